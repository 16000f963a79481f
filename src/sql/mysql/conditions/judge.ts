/** What the condition scan makes of whole items, calls, subqueries and UNION branches. */

import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import {
  CLAUSE_DEFINITION,
  CLAUSE_FROM,
  CLAUSE_GROUP,
  CLAUSE_HAVING,
  CLAUSE_INSERT_COLUMNS,
  CLAUSE_ON,
  CLAUSE_ORDER,
  CLAUSE_OTHER,
  CLAUSE_SELECT,
  CLAUSE_WHERE,
} from "../lexing/tokens.ts";
import { COMPARISONS } from "../lexing/word-sets.ts";
import { FRAME_CALL, FRAME_CASE, FRAME_PARENTHESIS, FRAME_STATEMENT, FRAME_SUBQUERY, type Frame } from "./frames.ts";
import * as F from "./function-classes.ts";
import type { ConditionScan } from "./scan.ts";
import * as V from "./values.ts";

const IS_BARE_NUMBER = V.IS_LITERAL | V.IS_NUMBER;

/** Takes note of the item that ends before `at`, and judges it by the clause it stands in. */
export function judgeItem(scan: ConditionScan, frame: Frame, at: number): void {
  const index = frame.valueBase;
  const value = scan.attributes[index] as number;
  const first = scan.firsts[index] as number;
  const last = scan.lasts[index] as number;
  judgeByClause(scan, frame, value, first, last);
  // Of a query block, only the select list is a list.
  if (isBlock(frame) && !frame.isSelecting) return;
  if (frame.items === 0) {
    frame.firstItem = value;
    frame.firstItemToken = first;
  }
  frame.items++;
  frame.itemAttributes |= value;
  if ((value & V.IS_CONSTANT) !== 0) {
    frame.constantItems++;
    // A name for the column stands between the value and the comma: then somebody reads it.
    if (last !== at - 1) frame.namedConstants++;
  }
  if ((value & V.IS_LITERAL) !== 0) frame.literalItems++;
  if ((value & (V.IS_HEX | V.IS_CHAR_CALL)) !== 0) frame.hexItems++;
  if ((value & IS_BARE_NUMBER) === IS_BARE_NUMBER && last === at - 1) frame.numberedItems++;
  const isPadding = (value & V.IS_NULL) !== 0 || (value & IS_BARE_NUMBER) === IS_BARE_NUMBER;
  if (isPadding && last === at - 1) frame.paddingItems++;
}

function isBlock(frame: Frame): boolean {
  return frame.kind === FRAME_STATEMENT || frame.kind === FRAME_SUBQUERY;
}

function judgeByClause(scan: ConditionScan, frame: Frame, value: number, first: number, last: number): void {
  const clause = scan.tokens.clauses[first];
  const isConstantCondition = (value & V.IS_CONSTANT) !== 0 && (value & V.IS_CONDITION) !== 0;
  if (frame.kind === FRAME_CALL || frame.kind === FRAME_CASE) {
    if (isConstantCondition || (value & V.IS_SELF) !== 0) judgeConstantArgument(scan, frame, first, last);
    else if (frame.kind === FRAME_CASE) judgeQuestion(scan, value, first, last);
  } else if (clause === CLAUSE_WHERE || clause === CLAUSE_ON) return;
  else if (clause === CLAUSE_HAVING && isBlock(frame)) judgeHaving(scan, value, first, last);
  else if ((clause === CLAUSE_ORDER || clause === CLAUSE_GROUP) && isBlock(frame))
    judgeOrder(scan, frame, value, first, last);
  else if (isConstantCondition) scan.emit("constant-comparison", first, last, 1, undefined);
  else if (clause !== CLAUSE_SELECT) judgeQuestion(scan, value, first, last);
}

/**
 * A condition over what no row has, where a value is wanted: CASE WHEN (SELECT …) > 64 THEN 1 ELSE 0 END.
 * Whether rows EXISTS at all is asked by applications too.
 */
export function judgeQuestion(scan: ConditionScan, value: number, first: number, last: number): void {
  if (!V.isQuestion(value) || scan.isPlainSelect(first)) return;
  const before = scan.kindAt(first) === K.NOT ? first + 1 : first;
  if (scan.kindAt(before) !== K.EXISTS) scan.emit("blind-if", first, last, 1, undefined);
}

/** IF(1=1, …) and CASE WHEN 1=1 choose nothing. */
function judgeConstantArgument(scan: ConditionScan, frame: Frame, first: number, last: number): void {
  // IF('x' = '', …): whether the client left the filter empty.
  if (last - first === 2 && (isEmptyText(scan, first) || isEmptyText(scan, last))) {
    scan.emit("where-first-constant", first, last, 1, undefined);
    return;
  }
  const isChoice = frame.kind === FRAME_CASE || (frame.functionClasses & F.FN_CHOICE) !== 0;
  scan.emit(isChoice ? "case-constant" : "constant-comparison", first, last, 1, undefined);
}

function isEmptyText({ tokens: { kinds, starts, ends } }: ConditionScan, token: number): boolean {
  return kinds[token] === T.STRING && (ends[token] as number) - (starts[token] as number) === 2;
}

function judgeHaving(scan: ConditionScan, value: number, first: number, last: number): void {
  if ((value & V.IS_CONSTANT) !== 0) scan.emit("having-constant", first, last, 1, undefined);
  else if ((value & V.IS_SUBQUERY) !== 0) scan.emit("and-subquery", first, last, 1, undefined);
}

function judgeOrder(scan: ConditionScan, frame: Frame, value: number, first: number, last: number): void {
  if ((value & IS_BARE_NUMBER) === IS_BARE_NUMBER && first === last) {
    const number = numberAt(scan, first);
    const isBeyond = number > frame.items && !frame.hasWildcard && frame.items > 0;
    scan.emit(isBeyond ? "order-by-beyond" : "order-by-number", first, last, number, undefined);
  } else if ((value & (V.IS_SUBQUERY | V.HAS_SUBQUERY)) !== 0) {
    scan.emit("order-by-subquery", first, last, 1, undefined);
  } else if ((value & V.IS_LITERAL) === 0 && isSameForAllRows(value)) {
    scan.emit("order-by-constant", first, last, 1, undefined);
  }
}

/** RAND() alone sorts at random. */
function isSameForAllRows(value: number): boolean {
  if ((value & V.IS_CONSTANT) !== 0) return true;
  const isCondition = (value & V.IS_CONDITION) !== 0;
  return isCondition && (value & V.DEPENDS) === 0 && (value & (V.HAS_SESSION | V.HAS_MOMENT)) !== 0;
}

/** The number at a token, at most 2^31. */
function numberAt(scan: ConditionScan, token: number): number {
  const { sql, starts, ends } = scan.tokens;
  let value = 0;
  for (let at = starts[token] as number; at < (ends[token] as number); at++) {
    const digit = (sql[at] as number) - 0x30;
    if (digit < 0 || digit > 9 || value > 0x7fffffff) break;
    value = value * 10 + digit;
  }
  return Math.min(value, 0x7fffffff);
}

/** Judges a call that closes at `at` and pushes its value. */
export function judgeCall(scan: ConditionScan, frame: Frame, at: number): void {
  const classes = frame.functionClasses;
  const name = frame.token - 1;
  if ((classes & F.FN_SESSION) !== 0) {
    pushSession(scan, classes, name, at);
    return;
  }
  const isConstant = (classes & F.FN_DETERMINISTIC) !== 0 && frame.constantItems === frame.items;
  let value = (frame.itemAttributes & V.INHERITED) | V.IS_FUNCTION | (isConstant ? V.IS_CONSTANT : 0);
  if ((classes & F.FN_RAND) !== 0 && frame.items > 0) value |= V.HAS_SEEDED_RAND;
  if ((classes & F.FN_CHAR) !== 0 && !isLineBreak(scan, frame, at)) value |= V.IS_CHAR_CALL;
  if ((classes & F.FN_CUT) !== 0 && (value & (V.HAS_COLUMN | V.HAS_SESSION)) !== 0) value |= V.HAS_CUT;
  if (!isConstant && (value & V.INHERITED) === 0) value |= (classes & F.FN_MOMENT) === 0 ? V.HAS_OPEN : V.HAS_MOMENT;
  if (classes !== 0) judgeClasses(scan, frame, classes, name, at);
  scan.pushValue(value, name, at);
}

const SPACE = 32;

/** CHAR(13, 10): nobody can write it otherwise without breaking the line. */
function isLineBreak(scan: ConditionScan, { items, literalItems, firstItemToken }: Frame, at: number): boolean {
  if (items > 2 || literalItems !== items) return false;
  return numberAt(scan, firstItemToken) <= SPACE && numberAt(scan, at - 1) <= SPACE;
}

/** DATABASE() in a condition on the catalog is how every tool asks for its own schema. */
function pushSession(scan: ConditionScan, classes: number, name: number, at: number): void {
  const isSchema = (classes & F.FN_SCHEMA) !== 0;
  const isAlone = scan.kindAt(name - 1) === K.SELECT && scan.kindAt(name - 2) === T.LEFT_PAREN;
  const isOwn = isAlone && scan.kindAt(at + 1) === T.RIGHT_PAREN && COMPARISONS[scan.kindAt(name - 3)] === 1;
  if (isSchema && (isOwn || scan.tokens.clauses[name] !== CLAUSE_SELECT)) scan.pushValue(V.HAS_SESSION, name, at);
  else scan.session(name, at, true);
}

const NESTED = V.HAS_SUBQUERY | V.HAS_SESSION;

function judgeClasses(scan: ConditionScan, frame: Frame, classes: number, name: number, at: number): void {
  const has = frame.itemAttributes;
  judgeDelays(scan, frame, classes, name, at);
  if ((classes & F.FN_ERROR) !== 0) {
    const isCarrying = (has & (NESTED | V.HAS_HEX)) !== 0;
    scan.emit(isCarrying ? "error-function" : "error-function-plain", name, at, 1, undefined);
  }
  if ((classes & F.FN_ERROR_NESTED) !== 0 && (has & NESTED) !== 0) scan.emit("error-function", name, at, 1, undefined);
  if ((classes & F.FN_OVERFLOW) !== 0 && ((has & V.HAS_INVERSION) !== 0 || isOverflow(scan, frame, at))) {
    scan.emit("exp-overflow", name, at, 1, undefined);
  }
  if ((classes & F.FN_FLOOR) !== 0 && (has & V.HAS_SEEDED_RAND) !== 0) scan.emit("floor-rand", name, at, 1, undefined);
  if ((classes & F.FN_CHAR) !== 0 && frame.items >= 3) scan.emit("char-call", name, at, frame.items, undefined);
  if ((classes & F.FN_CONCAT) !== 0) judgeConcat(scan, frame, name, at);
  if ((classes & F.FN_PIECE) !== 0) judgePiece(scan, frame, name, at);
  if ((classes & F.FN_TEXT) !== 0) judgeText(scan, frame, name, at);
  if ((classes & F.FN_CHOICE) !== 0) judgeChoice(scan, frame, name, at);
  if ((classes & F.FN_RAND) !== 0 && frame.items === 0 && scan.tokens.clauses[name] === CLAUSE_ORDER) {
    scan.emit("order-by-rand", name, at, 1, undefined);
  }
}

/** The largest x for which EXP(x) is a number, and the digits of the largest number. */
const EXP_MAX = 709;
const DIGITS_MAX = 308;

/** Whether the literals of EXP or POW are too large by themselves: the call is there to fail. */
function isOverflow(
  scan: ConditionScan,
  { firstItem, firstItemToken, items, literalItems }: Frame,
  at: number,
): boolean {
  if (literalItems !== items || (firstItem & IS_BARE_NUMBER) !== IS_BARE_NUMBER) return false;
  const first = numberAt(scan, firstItemToken);
  return items === 1 ? first > EXP_MAX : numberAt(scan, at - 1) * Math.log10(first) > DIGITS_MAX;
}

function judgeDelays(scan: ConditionScan, frame: Frame, classes: number, name: number, at: number): void {
  if ((classes & F.FN_BENCHMARK) !== 0) {
    scan.emit("benchmark", name, at, firstNumber(scan, frame), undefined);
    return;
  }
  if ((classes & (F.FN_SLEEP | F.FN_LOCK)) === 0) return;
  const isAlone = isWholeSelect(scan, name, at);
  if ((classes & F.FN_SLEEP) !== 0) {
    scan.emit(isAlone ? "sleep" : "sleep-nested", name, at, firstNumber(scan, frame), undefined);
  } else scan.emit(isAlone ? "get-lock" : "get-lock-nested", name, at, 1, undefined);
}

function firstNumber(scan: ConditionScan, frame: Frame): number {
  return (frame.firstItem & V.IS_NUMBER) === 0 ? 0 : numberAt(scan, frame.firstItemToken);
}

/** Whether the call is all that a top-level SELECT, DO or SET asks for. */
function isWholeSelect(scan: ConditionScan, name: number, at: number): boolean {
  const clause = scan.tokens.clauses[name] as number;
  if (scan.depth > 0 || clause > CLAUSE_SELECT) return false;
  const before = scan.kindAt(name - 1);
  const after = scan.kindAt(at + 1);
  const isStart = before === K.SELECT || before === K.DO || before === T.EQUAL || before === T.ASSIGN;
  return isStart && after !== K.FROM && after !== T.COMMA && after !== K.AND && after !== K.OR;
}

/** Markers around a value: hex, CHAR(), or plain texts around a subquery. */
function judgeConcat(scan: ConditionScan, frame: Frame, name: number, at: number): void {
  const isWrapped = (frame.itemAttributes & V.HAS_SUBQUERY) !== 0 && frame.literalItems >= 2;
  if (frame.hexItems >= 2 || isWrapped) {
    scan.emit("concat-hex-markers", name, at, Math.max(frame.hexItems, frame.literalItems), undefined);
  }
}

/** Pieces of a subquery anywhere; pieces of session values where rows are chosen. */
function judgePiece(scan: ConditionScan, frame: Frame, name: number, at: number): void {
  const isAsked = scan.tokens.clauses[name] !== CLAUSE_SELECT || scan.subqueries > 0;
  const isCode = (frame.functionClasses & F.FN_CODE) !== 0 && (frame.itemAttributes & V.HAS_CUT) !== 0;
  if ((frame.itemAttributes & V.HAS_SUBQUERY) !== 0) scan.emit("blind-substring", name, at, 1, undefined);
  else if ((frame.itemAttributes & V.HAS_SESSION) !== 0) {
    if (isAsked || isCode) scan.emit("blind-substring", name, at, 1, undefined);
  } else if (isAsked && isCode) scan.emit("blind-code", name, at, 1, undefined);
}

/** Other text made of a subquery's, to be compared where rows are chosen or stored. */
function judgeText(scan: ConditionScan, frame: Frame, name: number, at: number): void {
  if ((frame.itemAttributes & V.HAS_FOREIGN) === 0 || scan.tokens.clauses[name] === CLAUSE_SELECT) return;
  scan.emit("blind-substring", name, at, 1, undefined);
}

function judgeChoice(scan: ConditionScan, frame: Frame, name: number, at: number): void {
  const clause = scan.tokens.clauses[name];
  if (clause === CLAUSE_SELECT) return;
  const condition = frame.firstItem;
  const isIndex = (frame.functionClasses & F.FN_INDEX) !== 0 && (condition & V.IS_CONDITION) !== 0;
  if (V.isQuestion(condition) || isIndex) scan.emit("blind-if", name, at, 1, undefined);
  // What is chosen by a literal was never a choice. A condition over constants has been judged as an argument.
  const isFixed = (condition & V.IS_CONSTANT) !== 0 && (condition & V.IS_CONDITION) === 0;
  const isOrder = clause === CLAUSE_ORDER || clause === CLAUSE_GROUP;
  if (isOrder && (condition & V.IS_CONDITION) !== 0 && isSameForAllRows(condition)) {
    scan.emit("case-constant", name, at, 1, undefined);
  } else if (isFixed && (isOrder || (frame.functionClasses & F.FN_IF) !== 0)) {
    scan.emit("case-constant", name, at, 1, undefined);
  }
}

/** A subquery that reads no table, or only burns time: counting the product of several tables. */
export function judgeSubquery(scan: ConditionScan, frame: Frame, at: number): void {
  const clause = scan.tokens.clauses[frame.token];
  const isValue = clause !== CLAUSE_SELECT && clause !== CLAUSE_FROM && !isWholeQuery(scan, frame.token);
  if (frame.branch === 0 && !frame.hasFrom && frame.items === 1) {
    if (isValue && !isEmptyQuestion(scan, frame)) {
      scan.emit("subquery-without-table", frame.token, at, 1, undefined);
    }
    // With a name for the column, somebody reads it.
    else if (clause === CLAUSE_FROM && scan.lasts[frame.valueBase] === at - 1) scan.block().literalTables++;
  }
  if (frame.branch === 0 && frame.tables === 1 && !frame.hasWhere && isAskedToExist(scan, frame.token)) {
    scan.emit("and-subquery", frame.token, at, 1, undefined);
  }
  if (frame.commas >= 2 && frame.hasCount && frame.tables >= 3) {
    const isCatalogProduct = frame.catalogTables >= 3;
    if (!frame.hasWhere || isCatalogProduct) scan.emit("schema-cross-join", frame.token, at, frame.tables, undefined);
  }
}

/** The words behind which a query in parentheses is no value: CREATE VIEW v AS (SELECT …), INSERT INTO t (SELECT …). */
const QUERY_CLAUSES: ReadonlySet<number> = new Set([CLAUSE_OTHER, CLAUSE_INSERT_COLUMNS, CLAUSE_DEFINITION]);
/** Statements that have no row to ask about. */
const ROWLESS_WORDS: ReadonlySet<number> = new Set([K.SET, K.DO]);

/** Whether the parenthesis holds the statement's own query, a WITH's, or a value of a statement without rows. */
function isWholeQuery(scan: ConditionScan, token: number): boolean {
  const statement = scan.frames[0] as Frame;
  if (ROWLESS_WORDS.has(scan.kindAt(statement.token))) return true;
  const before = scan.beforeParentheses(token);
  if (scan.kindAt(before) === K.AS) return true;
  const { kind } = scan.frame;
  const isOutside = kind === FRAME_STATEMENT || (kind === FRAME_PARENTHESIS && before < token - 1);
  return isOutside && QUERY_CLAUSES.has(scan.tokens.clauses[token] as number) && !scan.frame.hasOperand;
}

const RANDOM_OF_TABLE = V.HAS_MOMENT | V.HAS_SUBQUERY;

/** (SELECT NULL) tells nothing, (SELECT DATABASE()) is the schema in use, and a random row is picked by RAND() * MAX(id). */
function isEmptyQuestion(scan: ConditionScan, { firstItem, firstItemToken }: Frame): boolean {
  if ((firstItem & V.IS_NULL) !== 0 || (firstItem & RANDOM_OF_TABLE) === RANDOM_OF_TABLE) return true;
  const { sql, starts, ends } = scan.tokens;
  const classes = F.functionClasses(sql, starts[firstItemToken] as number, ends[firstItemToken] as number);
  return firstItem === V.HAS_SESSION && (classes & F.FN_SCHEMA) !== 0;
}

/** EXISTS over a whole table asks whether there is one. Alone in WHERE it is how rows are added to empty tables. */
function isAskedToExist(scan: ConditionScan, token: number): boolean {
  if (scan.kindAt(token - 1) !== K.EXISTS || scan.tokens.clauses[token] === CLAUSE_SELECT) return false;
  let before = scan.beforeParentheses(token - 1);
  if (scan.kindAt(before) === K.NOT) before = scan.beforeParentheses(before);
  return scan.kindAt(before) !== K.WHERE && scan.kindAt(before) !== K.IF;
}

/** SELECT 2 AS kind FROM t: a constant with a name beside the rows of a table is read by somebody. */
function isConstantBranch({ constantItems, items, namedConstants, tables }: Frame): boolean {
  return constantItems === items && (tables === 0 || namedConstants < items);
}

/** Reports over several tables fill the columns that one of them lacks, in the first branch as in the others. */
function isFilledUp({ paddingItems, items, tables }: Frame, { firstHasConstant }: Frame): boolean {
  return firstHasConstant && tables > 0 && paddingItems * 2 <= items;
}

/** Judges the UNION branch that ends at `last`; `around` knows the first branch. */
export function judgeBranch(scan: ConditionScan, branch: Frame, around: Frame, last: number): void {
  const isAdded = around.branch > 0 && (branch !== around || branch.branch > 0);
  if (isAdded && around.firstIsNumbered && branch.hasWildcard) {
    scan.emit("union-numbered", around.token, last, 1, undefined);
  }
  if (!isAdded || !around.firstHasTable || branch.items === 0) return;
  const first = branch === around ? branch.branchToken : branch.token;
  const isDerived = branch.hasFrom && branch.tables === 0;
  if (isConstantBranch(branch) || (isDerived && branch.literalTables > 0)) {
    // Without a condition before it there was no value to break out of.
    if (!around.firstHasWhere && !around.isAfterLiteral) return;
    scan.emit("union-constants", first, last, branch.items, undefined);
  } else if (branch.paddingItems > 0 && !isFilledUp(branch, around)) {
    scan.emit("union-null-padding", first, last, branch.paddingItems, undefined);
  } else if (!branch.hasWhere && !isDerived && around.isAfterLiteral) {
    scan.emit("union-branch", first, last, 1, undefined);
  } else return;
  if (around.isAfterLiteral) scan.emit("union-after-literal", first, last, 1, undefined);
}
