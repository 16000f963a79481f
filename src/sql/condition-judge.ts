/** What the condition scan makes of whole items, calls, subqueries and UNION branches. */

import { FRAME_CALL, FRAME_CASE, FRAME_STATEMENT, FRAME_SUBQUERY, type Frame } from "./condition-frames.ts";
import type { ConditionScan } from "./condition-scan.ts";
import * as V from "./condition-values.ts";
import * as F from "./function-classes.ts";
import * as K from "./keywords.ts";
import * as T from "./token-kinds.ts";
import {
  CLAUSE_FROM,
  CLAUSE_GROUP,
  CLAUSE_HAVING,
  CLAUSE_ON,
  CLAUSE_ORDER,
  CLAUSE_SELECT,
  CLAUSE_WHERE,
} from "./tokens.ts";

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
  if ((value & V.IS_CONSTANT) !== 0) frame.constantItems++;
  if ((value & V.IS_LITERAL) !== 0) frame.literalItems++;
  if ((value & (V.IS_HEX | V.IS_CHAR_CALL)) !== 0) frame.hexItems++;
  const isPadding = (value & V.IS_NULL) !== 0 || (value & IS_BARE_NUMBER) === IS_BARE_NUMBER;
  // A name for the column stands between the value and the comma: then somebody reads it.
  if (isPadding && last === at - 1) frame.paddingItems++;
}

function isBlock(frame: Frame): boolean {
  return frame.kind === FRAME_STATEMENT || frame.kind === FRAME_SUBQUERY;
}

function judgeByClause(scan: ConditionScan, frame: Frame, value: number, first: number, last: number): void {
  const clause = scan.tokens.clauses[first];
  const isConstantCondition = (value & V.IS_CONSTANT) !== 0 && (value & V.IS_CONDITION) !== 0;
  if (frame.kind === FRAME_CALL || frame.kind === FRAME_CASE) {
    if (isConstantCondition) judgeConstantArgument(scan, frame, first, last);
  } else if (clause === CLAUSE_WHERE || clause === CLAUSE_ON) return;
  else if (clause === CLAUSE_HAVING && isBlock(frame)) judgeHaving(scan, value, first, last);
  else if ((clause === CLAUSE_ORDER || clause === CLAUSE_GROUP) && isBlock(frame)) judgeOrder(scan, value, first, last);
  else if (isConstantCondition) scan.emit("constant-comparison", first, last, 1, undefined);
}

/** IF(1=1, …) and CASE WHEN 1=1 choose nothing. */
function judgeConstantArgument(scan: ConditionScan, frame: Frame, first: number, last: number): void {
  const isChoice = frame.kind === FRAME_CASE || (frame.functionClasses & F.FN_CHOICE) !== 0;
  scan.emit(isChoice ? "case-constant" : "constant-comparison", first, last, 1, undefined);
}

function judgeHaving(scan: ConditionScan, value: number, first: number, last: number): void {
  if ((value & V.IS_CONSTANT) !== 0) scan.emit("having-constant", first, last, 1, undefined);
  else if ((value & V.IS_SUBQUERY) !== 0) scan.emit("and-subquery", first, last, 1, undefined);
}

function judgeOrder(scan: ConditionScan, value: number, first: number, last: number): void {
  if ((value & IS_BARE_NUMBER) === IS_BARE_NUMBER && first === last) {
    scan.emit("order-by-number", first, last, numberAt(scan, first), undefined);
  } else if ((value & (V.IS_SUBQUERY | V.HAS_SUBQUERY)) !== 0) {
    scan.emit("order-by-subquery", first, last, 1, undefined);
  } else if ((value & V.IS_CONSTANT) !== 0 && (value & V.IS_LITERAL) === 0) {
    scan.emit("order-by-constant", first, last, 1, undefined);
  }
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
  if ((classes & F.FN_CHAR) !== 0) value |= V.IS_CHAR_CALL;
  if (!isConstant && (value & V.INHERITED) === 0) value |= V.HAS_OPEN;
  if (classes !== 0) judgeClasses(scan, frame, classes, name, at);
  scan.pushValue(value, name, at);
}

/** DATABASE() in a condition on the catalog is how every tool asks for its own schema. */
function pushSession(scan: ConditionScan, classes: number, name: number, at: number): void {
  const isSchema = (classes & F.FN_SCHEMA) !== 0;
  if (isSchema && scan.tokens.clauses[name] !== CLAUSE_SELECT) scan.pushValue(V.HAS_SESSION, name, at);
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
  if ((classes & F.FN_OVERFLOW) !== 0 && (has & V.HAS_INVERSION) !== 0) {
    scan.emit("exp-overflow", name, at, 1, undefined);
  }
  if ((classes & F.FN_FLOOR) !== 0 && (has & V.HAS_SEEDED_RAND) !== 0) scan.emit("floor-rand", name, at, 1, undefined);
  if ((classes & F.FN_CHAR) !== 0 && frame.items >= 3) scan.emit("char-call", name, at, frame.items, undefined);
  if ((classes & F.FN_CONCAT) !== 0) judgeConcat(scan, frame, name, at);
  if ((classes & F.FN_PIECE) !== 0) judgePiece(scan, frame, name, at);
  if ((classes & F.FN_CHOICE) !== 0) judgeChoice(scan, frame, name, at);
  if ((classes & F.FN_RAND) !== 0 && frame.items === 0 && scan.tokens.clauses[name] === CLAUSE_ORDER) {
    scan.emit("order-by-rand", name, at, 1, undefined);
  }
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
  if ((frame.itemAttributes & V.HAS_SUBQUERY) !== 0) scan.emit("blind-substring", name, at, 1, undefined);
  else if ((frame.itemAttributes & V.HAS_SESSION) !== 0 && isAsked) {
    scan.emit("blind-substring", name, at, 1, undefined);
  }
}

function judgeChoice(scan: ConditionScan, frame: Frame, name: number, at: number): void {
  const clause = scan.tokens.clauses[name];
  if (clause === CLAUSE_SELECT) return;
  const condition = frame.firstItem;
  const isOdd = (condition & (V.HAS_SUBQUERY | V.HAS_SESSION)) !== 0 && (condition & V.IS_CONDITION) !== 0;
  if (isOdd) scan.emit("blind-if", name, at, 1, undefined);
}

/** A subquery that reads no table, or only burns time: counting the product of several tables. */
export function judgeSubquery(scan: ConditionScan, frame: Frame, at: number): void {
  const clause = scan.tokens.clauses[frame.token];
  const isValue = scan.kindAt(frame.token - 1) !== K.EXISTS && clause !== CLAUSE_SELECT && clause !== CLAUSE_FROM;
  if (isValue && frame.branch === 0 && !frame.hasFrom && frame.items === 1) {
    scan.emit("subquery-without-table", frame.token, at, 1, undefined);
  }
  if (frame.commas >= 2 && frame.hasCount && frame.tables >= 3) {
    const isCatalogProduct = frame.catalogTables >= 3;
    if (!frame.hasWhere || isCatalogProduct) scan.emit("schema-cross-join", frame.token, at, frame.tables, undefined);
  }
}

/** Judges the UNION branch that ends at `last`; `around` knows the first branch. */
export function judgeBranch(scan: ConditionScan, branch: Frame, around: Frame, last: number): void {
  const isAdded = around.branch > 0 && (branch !== around || branch.branch > 0);
  if (!isAdded || !around.firstHasTable || branch.items === 0) return;
  const first = branch === around ? branch.branchToken : branch.token;
  if (branch.constantItems === branch.items) {
    scan.emit("union-constants", first, last, branch.items, undefined);
  } else if (branch.paddingItems > 0) {
    scan.emit("union-null-padding", first, last, branch.paddingItems, undefined);
  } else if (!branch.hasWhere && around.isAfterLiteral) {
    scan.emit("union-branch", first, last, 1, undefined);
  } else return;
  if (around.isAfterLiteral) scan.emit("union-after-literal", first, last, 1, undefined);
}
