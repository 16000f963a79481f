/** Operators of the condition scan: what two values make, and what is odd about it. */

import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_HAVING, CLAUSE_ON, CLAUSE_SELECT, CLAUSE_WHERE } from "../lexing/tokens.ts";
import { isNeverTrue } from "./constant-values.ts";
import { FRAME_PARENTHESIS } from "./frames.ts";
import { judgeQuestion } from "./judge.ts";
import type { ConditionScan } from "./scan.ts";
import * as V from "./values.ts";
import { OPERATORS } from "./words.ts";

/** Replaces the value on top by what the prefix operator makes of it. */
export function applyPrefix(scan: ConditionScan, operator: number, token: number): void {
  const top = scan.valueCount - 1;
  const value = scan.attributes[top] as number;
  const isText = (value & (V.IS_STRING | V.IS_LITERAL)) === (V.IS_STRING | V.IS_LITERAL);
  if (isText && operator !== V.OP_PREFIX && operator !== V.OP_NOT) {
    scan.emit("string-operator", token, scan.lasts[top] as number, 1, undefined);
  }
  scan.firsts[top] = token;
  const isNumber = operator === V.OP_SIGN || operator === V.OP_INVERT;
  if (isNumber && isForeignQuery(value) && !scan.isPlainSelect(token)) {
    scan.emit("comparison-subquery", token, scan.lasts[top] as number, 1, undefined);
  }
  if (operator === V.OP_SIGN || operator === V.OP_PREFIX) return;
  const base = value & (V.INHERITED | V.IS_CONSTANT);
  if (operator === V.OP_EXISTS) scan.attributes[top] = base | V.IS_PREDICATE;
  else if (operator === V.OP_INVERT) scan.attributes[top] = base | V.IS_ARITHMETIC | V.HAS_INVERSION;
  else scan.attributes[top] = base | V.IS_PREDICATE | (value & (V.IS_SUBQUERY | V.IS_SELF));
}

function isForeignQuery(value: number): boolean {
  return (value & V.IS_SUBQUERY) !== 0 && (value & V.HAS_FOREIGN) !== 0;
}

/** Replaces the two values on top by what the operator makes of them. */
export function applyBinary(scan: ConditionScan, operator: number, token: number): void {
  const right = scan.valueCount - 1;
  const left = right - 1;
  let result: number;
  if (operator === V.OP_ASSIGN) result = assigned(scan, left, right);
  else if (operator === V.OP_ARROW) result = ((scan.attributes[left] as number) & V.INHERITED) | V.IS_FUNCTION;
  else if (operator <= V.OP_AND) result = joinConditions(scan, operator, token, left, right);
  else if (operator === V.OP_COMPARE || operator === V.OP_IS) result = compare(scan, operator, token, left, right);
  else if (operator >= V.OP_LIKE && operator <= V.OP_BETWEEN_HIGH) result = predicate(scan, operator, left, right);
  else result = calculate(scan, token, left, right);
  scan.attributes[left] = result;
  scan.lasts[left] = scan.lasts[right] as number;
  scan.valueCount = right;
}

/** := has the value on its right, and stores it in a variable that a later row or statement may read. */
function assigned(scan: ConditionScan, left: number, right: number): number {
  const rightValue = scan.attributes[right] as number;
  judgeQuestion(scan, rightValue, scan.firsts[right] as number, scan.lasts[right] as number);
  return V.combined(scan.attributes[left] as number, rightValue) | V.IS_ARITHMETIC;
}

function joinConditions(scan: ConditionScan, operator: number, token: number, left: number, right: number): number {
  const isAnd = operator === V.OP_AND;
  const leftValue = scan.attributes[left] as number;
  const rightValue = scan.attributes[right] as number;
  // SELECT 1=1 OR 0=1 asks for a value, and `a || ', ' || b` there means to join texts: no row depends on it.
  const isText = scan.kindAt(token) === T.OR_OR && scan.tokens.clauses[token] === CLAUSE_SELECT;
  if (isText || scan.isPlainSelect(token)) return V.combined(leftValue, rightValue) | (isAnd ? V.IS_AND : V.IS_OR);
  if (isFalseStart(scan, left, right)) {
    scan.emit("where-first-constant", token, scan.lasts[right] as number, 1, undefined);
    return V.combined(leftValue, rightValue) | (isAnd ? V.IS_AND : V.IS_OR);
  }
  const isFirstTerm = (leftValue & (V.IS_AND | V.IS_OR)) === 0 || (leftValue & V.IS_PARENTHESISED) !== 0;
  if (isFirstTerm) judgeFirstTerm(scan, isAnd, token, left, right);
  if (isAnd && isBuilderTerm(scan, left, right)) {
    scan.emit("where-first-constant", token, scan.lasts[right] as number, 1, undefined);
  } else if (!isEmptyListIdiom(scan, isAnd, left, right) && !isOptionalFilter(scan, isAnd, right)) {
    judgeTerm(scan, isAnd, token, right);
  }
  return V.combined(leftValue, rightValue) | (isAnd ? V.IS_AND : V.IS_OR);
}

/** `0 = 1 AND 0 = 2` and `FALSE OR 1 = 0`: a condition that begins with literals alone and so far finds no row. */
function isFalseStart(scan: ConditionScan, left: number, right: number): boolean {
  const bothValues = (scan.attributes[left] as number) & (scan.attributes[right] as number);
  const first = scan.firsts[left] as number;
  if ((bothValues & V.IS_CONSTANT) === 0 || !startsCondition(scan, first)) return false;
  return isNeverTrue(scan.tokens, first, (scan.lasts[right] as number) + 1) === true;
}

/**
 * SQLAlchemy writes `x IN (NULL) AND (1 != 1)` and `x NOT IN (NULL) OR (1 = 1)` for an empty list.
 * SAFETY: only as a pair, so that a condition added behind a value is still seen.
 */
function isEmptyListIdiom(scan: ConditionScan, isAnd: boolean, left: number, right: number): boolean {
  const first = scan.firsts[right] as number;
  const last = scan.lasts[right] as number;
  if (last - first !== 4 || scan.kindAt(first) !== T.LEFT_PAREN) return false;
  if (scan.kindAt(first + 2) !== (isAnd ? T.NOT_EQUAL : T.EQUAL)) return false;
  const before = scan.lasts[left] as number;
  if (scan.kindAt(before) !== T.RIGHT_PAREN || scan.kindAt(before - 1) !== K.NULL) return false;
  if (scan.kindAt(before - 2) !== T.LEFT_PAREN || scan.kindAt(before - 3) !== K.IN) return false;
  return isAnd || scan.kindAt(before - 4) === K.NOT;
}

/**
 * What query builders add with AND: `0 = 1` and `1 = 0` for nothing at all, TRUE for no more conditions, and any constant
 * behind a placeholder, where no value of the client is.
 */
function isBuilderTerm(scan: ConditionScan, left: number, right: number): boolean {
  const value = scan.attributes[right] as number;
  if ((value & V.IS_CONSTANT) === 0) return false;
  if (scan.kindAt(scan.lasts[left] as number) === T.PARAMETER) return true;
  let first = scan.firsts[right] as number;
  let last = scan.lasts[right] as number;
  if (first === last) return scan.kindAt(first) === K.TRUE;
  if (scan.kindAt(first) === T.LEFT_PAREN && last - first === 4) {
    first++;
    last--;
  }
  if (last - first !== 2 || scan.kindAt(first + 1) !== T.EQUAL) return false;
  return (scan.isDigit(first, 0) && scan.isDigit(last, 1)) || (scan.isDigit(first, 1) && scan.isDigit(last, 0));
}

/** `x = 7 OR 7 IS NULL`, the filter that a client may leave out. SAFETY: not for NULL, with which it is true for all. */
function isOptionalFilter(scan: ConditionScan, isAnd: boolean, right: number): boolean {
  const first = scan.firsts[right] as number;
  if (isAnd || (scan.lasts[right] as number) - first !== 2) return false;
  const kind = scan.kindAt(first);
  const isLiteral = kind >= T.INTEGER_NUMBER && kind <= T.NATIONAL_STRING;
  return isLiteral && scan.kindAt(first + 1) === K.IS && scan.kindAt(first + 2) === K.NULL;
}

function judgeTerm(scan: ConditionScan, isAnd: boolean, token: number, index: number): void {
  const value = scan.attributes[index] as number;
  const last = scan.lasts[index] as number;
  const emit = (what: Parameters<ConditionScan["emit"]>[0]): void => scan.emit(what, token, last, 1, undefined);
  if ((value & V.IS_SELF) !== 0) emit(isAnd ? "and-self-comparison" : "or-self-comparison");
  else if ((value & V.IS_ANYTHING) !== 0 && !isAnd) emit("or-self-comparison");
  else if ((value & V.IS_CONSTANT) !== 0) judgeConstantTerm(scan, isAnd, token, last, value);
  else if ((value & V.IS_SUBQUERY) !== 0) emit("and-subquery");
  else if ((value & (V.HAS_SESSION | V.HAS_COLUMN | V.HAS_SUBQUERY)) === V.HAS_SESSION) emit("session-condition");
  else if ((value & V.IS_CONDITION) === 0 && isSigned(scan, index)) emit("signed-term");
  // AND with a comparison of the time is how applications begin and end a season.
  else if ((!isAnd || (value & V.IS_CONDITION) === 0) && (value & V.DEPENDS) === 0 && (value & V.HAS_MOMENT) !== 0) {
    emit("session-condition");
  }
}

/** -x and ~x are numbers; as the term of a condition they only save the blank behind AND. */
function isSigned(scan: ConditionScan, index: number): boolean {
  const kind = scan.kindAt(scan.firsts[index] as number);
  return kind === T.MINUS || kind === T.PLUS || kind === T.TILDE;
}

function judgeConstantTerm(scan: ConditionScan, isAnd: boolean, token: number, last: number, value: number): void {
  if ((value & V.IS_COMPARISON) !== 0) {
    scan.emit(isAnd ? "and-constant-comparison" : "or-constant-comparison", token, last, 1, undefined);
  } else if ((value & (V.IS_PREDICATE | V.IS_FUNCTION | V.IS_AND | V.IS_OR)) !== 0) {
    scan.emit(isAnd ? "and-constant-predicate" : "or-constant-predicate", token, last, 1, undefined);
  } else scan.emit(isAnd ? "and-constant" : "or-constant", token, last, 1, undefined);
}

/** Query builders start conditions with a constant; values that are joined into something else do not start one. */
function judgeFirstTerm(scan: ConditionScan, isAnd: boolean, token: number, index: number, right: number): void {
  const value = scan.attributes[index] as number;
  const first = scan.firsts[index] as number;
  if ((value & V.IS_SELF) !== 0) {
    scan.emit(isAnd ? "and-self-comparison" : "or-self-comparison", first, token, 1, undefined);
    return;
  }
  if ((value & V.IS_ANYTHING) !== 0 && (!isAnd || isBehindOr(scan, first))) {
    scan.emit("or-self-comparison", first, token, 1, undefined);
    return;
  }
  if ((value & V.IS_CONSTANT) === 0) return;
  if (isOptionalGroup(scan, isAnd, first, right)) scan.emit("where-first-constant", first, token, 1, undefined);
  else if (!startsCondition(scan, first))
    judgeConstantTerm(scan, isAnd && !isBehindOr(scan, first), first, token, value);
  else if (!isAnd && (value & V.IS_TRUE_COMPARISON) !== 0) {
    scan.emit("or-constant-comparison", first, token, 1, undefined);
  } else scan.emit("where-first-constant", first, token, 1, undefined);
}

/**
 * `(7 = 0 AND x IS NULL)` and `('' = '' OR x = '')`: parentheses that begin with a constant and go on with the row.
 * SAFETY: behind an OR only with AND inside, so that the parentheses as a whole are never true for every row.
 */
function isOptionalGroup(scan: ConditionScan, isAnd: boolean, first: number, right: number): boolean {
  const { kind, token } = scan.frame;
  const next = scan.attributes[right] as number;
  if (kind !== FRAME_PARENTHESIS || token !== first - 1) return false;
  if (!startsCondition(scan, first) && !(isAnd && isBehindOr(scan, first))) return false;
  return (next & V.HAS_COLUMN) !== 0 && (next & (V.IS_SELF | V.IS_ANYTHING | V.HAS_SUBQUERY | V.HAS_SESSION)) === 0;
}

/** Whether the token is the first one of a condition: behind WHERE and the like, or the parenthesis of an AND term. */
function startsCondition(scan: ConditionScan, first: number): boolean {
  const before = scan.beforeParentheses(first);
  const kind = scan.kindAt(before);
  if (kind === K.WHERE || kind === K.ON || kind === K.WHEN) return true;
  return before < first - 1 && (kind === K.AND || kind === K.NOT || kind === T.AND_AND);
}

/** In `a OR 1=1 AND b` the constant makes the OR true for every row that has b. */
function isBehindOr(scan: ConditionScan, first: number): boolean {
  const before = scan.beforeParentheses(first);
  const kind = scan.kindAt(before);
  return kind === K.OR || kind === T.OR_OR || kind === K.XOR;
}

function compare(scan: ConditionScan, operator: number, token: number, left: number, right: number): number {
  const leftValue = scan.attributes[left] as number;
  const rightValue = scan.attributes[right] as number;
  const last = scan.lasts[right] as number;
  const both = V.combined(leftValue, rightValue);
  if (operator === V.OP_IS) return both | (leftValue & V.IS_CONSTANT) | V.IS_PREDICATE;
  let result = both | V.IS_COMPARISON;
  const isChain = (leftValue & (V.IS_COMPARISON | V.IS_PREDICATE)) !== 0 && (leftValue & V.IS_PARENTHESISED) === 0;
  // SELECT 1 > 0 > 1 is a sum put to the server: nothing was compared with a column.
  const isSum = (both & V.IS_CONSTANT) !== 0 && scan.isPlainSelect(token);
  if (isChain && !isSum && (rightValue & V.IS_LITERAL) !== 0) {
    scan.emit("string-operator", token, last, 1, undefined);
  }
  if ((both & V.IS_CONSTANT) !== 0) {
    if (isSameText(scan, left, right)) result |= V.IS_TRUE_COMPARISON;
  } else if ((both & V.DEPENDS) === 0 && (both & V.HAS_MOMENT) !== 0 && isSameText(scan, left, right)) {
    result |= V.IS_CONSTANT | V.IS_TRUE_COMPARISON;
  } else if ((leftValue & rightValue & V.HAS_COLUMN) !== 0) {
    if (isSameText(scan, left, right)) result |= V.IS_SELF;
    else scan.block().hasColumnPair = true;
  }
  // Settings and counts are compared with numbers in earnest.
  const isText = (rightValue & V.IS_LITERAL) !== 0 && (rightValue & V.IS_NUMBER) === 0;
  const isAsked = isText && isForeignQuery(leftValue) && !scan.isPlainSelect(token);
  if (isAsked || ((leftValue & V.IS_CONSTANT) !== 0 && isForeignQuery(rightValue))) {
    scan.emit("comparison-subquery", scan.firsts[left] as number, last, 1, undefined);
  }
  if (isRowClause(scan, token)) judgeColumnOperand(scan, leftValue, rightValue, token, last);
  return result;
}

const IS_CALCULATED = V.IS_CONSTANT | V.IS_ARITHMETIC;

/** Applications compare columns with values, not with conditions or sums of literals. */
function judgeColumnOperand(scan: ConditionScan, left: number, right: number, token: number, last: number): void {
  if ((left & V.HAS_COLUMN) === 0) return;
  if ((right & V.IS_CONDITION) !== 0 && (right & V.DEPENDS) === 0) {
    scan.emit("constant-comparison", token, last, 1, undefined);
  } else if (V.isQuestion(right)) {
    scan.emit("comparison-subquery", token, last, 1, undefined);
  } else if ((left & V.IS_COLUMN) !== 0 && (right & IS_CALCULATED) === IS_CALCULATED) {
    scan.emit("constant-arithmetic", token, last, 1, isProduct(scan, token, last) ? "product" : undefined);
  }
}

/** `= 4*14` and the like. Reports do write `= 1999 + 1`, and `> 10*1024`. */
function isProduct(scan: ConditionScan, token: number, last: number): boolean {
  const operator = scan.kindAt(token);
  const isLimit = operator >= T.LESS && operator <= T.GREATER_OR_EQUAL;
  if (isLimit || last - token > SAME_TEXT_TOKENS_MAX) return false;
  for (let at = token + 1; at <= last; at++) {
    const kind = OPERATORS[scan.kindAt(at)];
    if (kind === V.OP_MULTIPLY || kind === V.OP_BITS) return true;
  }
  return false;
}

function isRowClause(scan: ConditionScan, token: number): boolean {
  const clause = scan.tokens.clauses[token];
  return clause === CLAUSE_WHERE || clause === CLAUSE_HAVING || clause === CLAUSE_ON;
}

function predicate(scan: ConditionScan, operator: number, left: number, right: number): number {
  const leftValue = scan.attributes[left] as number;
  const rightValue = scan.attributes[right] as number;
  let result = V.combined(leftValue, rightValue) | V.IS_PREDICATE;
  if ((leftValue & rightValue & V.HAS_COLUMN) !== 0) {
    if (operator === V.OP_LIKE && isSameText(scan, left, right)) result |= V.IS_SELF;
    else scan.block().hasColumnPair = true;
  }
  if (operator === V.OP_LIKE || operator === V.OP_REGEXP) return result | judgePattern(scan, operator, left, right);
  if (operator !== V.OP_IN) return result;
  judgeColumnOperand(scan, leftValue, rightValue, scan.firsts[left] as number, scan.lasts[right] as number);
  // x IN (SELECT …) is how applications choose rows by those of another table.
  const isOrdinary = (leftValue & V.HAS_COLUMN) !== 0 && (rightValue & V.IS_SUBQUERY) !== 0;
  return isOrdinary ? result & (~V.HAS_FOREIGN | (leftValue & V.HAS_FOREIGN)) : result;
}

/** LIKE and REGEXP: what is odd about the pattern, and whether it fits everything. */
function judgePattern(scan: ConditionScan, operator: number, left: number, right: number): number {
  const leftValue = scan.attributes[left] as number;
  const rightValue = scan.attributes[right] as number;
  const first = scan.firsts[left] as number;
  const last = scan.lasts[right] as number;
  const isChain = (leftValue & (V.IS_COMPARISON | V.IS_PREDICATE)) !== 0 && (leftValue & V.IS_PARENTHESISED) === 0;
  if (isChain) scan.emit("string-operator", first, last, 1, undefined);
  if ((rightValue & V.IS_HEX) !== 0) scan.emit("hex-pattern", first, last, 1, undefined);
  if (operator === V.OP_REGEXP) {
    if ((rightValue & V.HAS_SUBQUERY) !== 0) scan.emit("regexp-subquery", first, last, 1, undefined);
    return isAnyPattern(scan, last) ? V.IS_ANYTHING : 0;
  }
  if ((rightValue & V.IS_STRING) === 0 || (leftValue & V.HAS_COLUMN) === 0) return 0;
  const firstByte = scan.tokens.sql[(scan.tokens.starts[last] as number) + 1];
  if (firstByte === PERCENT || firstByte === UNDERSCORE) scan.emit("like-leading-wildcard", first, last, 1, undefined);
  return isOnlyPercent(scan, last) ? V.IS_ANYTHING : 0;
}

const PERCENT = 0x25;
const UNDERSCORE = 0x5f;

const ANY_BYTES: ReadonlySet<number> = new Set(Array.from(".*+^$", (sign) => sign.charCodeAt(0)));

/** '', '.', '^.*$': a pattern without one character that would have to be there. */
function isAnyPattern(scan: ConditionScan, token: number): boolean {
  if (scan.kindAt(token) !== T.STRING) return false;
  const start = (scan.tokens.starts[token] as number) + 1;
  const end = (scan.tokens.ends[token] as number) - 1;
  if (end - start > 8) return false;
  for (let at = start; at < end; at++) if (!ANY_BYTES.has(scan.tokens.sql[at] as number)) return false;
  return true;
}

function isOnlyPercent(scan: ConditionScan, token: number): boolean {
  const start = (scan.tokens.starts[token] as number) + 1;
  const end = (scan.tokens.ends[token] as number) - 1;
  if (end - start > 8 || end <= start) return false;
  for (let at = start; at < end; at++) if (scan.tokens.sql[at] !== PERCENT) return false;
  return true;
}

/**
 * Arithmetic and bits. Drivers that quote numbers write `stock - '1'`; a text in front, or one beside something that is
 * no column, is never calculated with in earnest.
 */
function calculate(scan: ConditionScan, token: number, left: number, right: number): number {
  const leftValue = scan.attributes[left] as number;
  const rightValue = scan.attributes[right] as number;
  const both = V.combined(leftValue, rightValue);
  const isTime = ((leftValue | rightValue) & V.IS_INTERVAL) !== 0;
  const isBehindText = (leftValue & V.IS_STRING) !== 0;
  const isTextBehind = (rightValue & V.IS_STRING) !== 0 && (both & (V.HAS_COLUMN | V.HAS_OPEN | V.HAS_MOMENT)) === 0;
  if (!isTime && (isBehindText || isTextBehind)) {
    scan.emit("string-operator", scan.firsts[left] as number, scan.lasts[right] as number, 1, undefined);
  }
  const isCondition = (value: number): boolean => (value & V.IS_CONSTANT) !== 0 && (value & V.IS_CONDITION) !== 0;
  if ((isCondition(leftValue) || isCondition(rightValue)) && !scan.isPlainSelect(token)) {
    scan.emit("constant-comparison", scan.firsts[left] as number, scan.lasts[right] as number, 1, undefined);
  }
  judgeQuestion(scan, leftValue, scan.firsts[left] as number, scan.lasts[left] as number);
  judgeQuestion(scan, rightValue, scan.firsts[right] as number, scan.lasts[right] as number);
  judgeForeignSum(scan, token, left, right);
  // x - x has the column in it but not the row.
  if ((leftValue & rightValue & V.IS_COLUMN) !== 0 && scan.kindAt(token) !== T.PLUS && isSameText(scan, left, right)) {
    return V.IS_CONSTANT | V.IS_ARITHMETIC;
  }
  const isTrick = ((leftValue | rightValue) & V.IS_CONDITION) !== 0 && !scan.isPlainSelect(token);
  return both | V.IS_ARITHMETIC | (isTrick ? V.HAS_INVERSION : 0);
}

/** 1-(SELECT …) and (SELECT …)+0: literals that only lead up to a subquery. MAX(id)+1 is how some applications count. */
function judgeForeignSum(scan: ConditionScan, token: number, left: number, right: number): void {
  const leftValue = scan.attributes[left] as number;
  const rightValue = scan.attributes[right] as number;
  const operator = scan.kindAt(token);
  const isLed =
    isForeignQuery(rightValue) && (leftValue & V.IS_LITERAL) !== 0 && operator !== T.PLUS && operator !== T.STAR;
  const isZero =
    isForeignQuery(leftValue) &&
    scan.firsts[right] === scan.lasts[right] &&
    scan.isDigit(scan.lasts[right] as number, 0);
  if ((isLed || isZero) && !scan.isPlainSelect(token)) {
    scan.emit("comparison-subquery", scan.firsts[left] as number, scan.lasts[right] as number, 1, undefined);
  }
}

const SAME_TEXT_TOKENS_MAX = 16;

/** The same tokens on both sides, names without regard to case. */
function isSameText(scan: ConditionScan, left: number, right: number): boolean {
  const leftFirst = scan.firsts[left] as number;
  const rightFirst = scan.firsts[right] as number;
  const length = (scan.lasts[left] as number) - leftFirst;
  if (length !== (scan.lasts[right] as number) - rightFirst || length > SAME_TEXT_TOKENS_MAX) return false;
  for (let index = 0; index <= length; index++) {
    if (!isSameToken(scan, leftFirst + index, rightFirst + index)) return false;
  }
  return true;
}

function isSameToken({ tokens }: ConditionScan, left: number, right: number): boolean {
  const { sql, starts, ends, kinds } = tokens;
  if (kinds[left] !== kinds[right]) return false;
  const start = starts[left] as number;
  const other = starts[right] as number;
  const length = (ends[left] as number) - start;
  if (length !== (ends[right] as number) - other) return false;
  const fold = kinds[left] === T.STRING ? 0 : 0x20;
  for (let index = 0; index < length; index++) {
    if (((sql[start + index] as number) | fold) !== ((sql[other + index] as number) | fold)) return false;
  }
  return true;
}
