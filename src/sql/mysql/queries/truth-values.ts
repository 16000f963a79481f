/**
 * Conditions about conditions: `(id > 5) >= 0`, `id = 3 < 2`, `!id >= 0`. What stands before the last comparison is itself
 * true or false, so that it compares 1 and 0 with something, and may hold for either. With sql_mode HIGH_NOT_PRECEDENCE
 * `NOT id >= 0` is one of them.
 */
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { COMPARISONS } from "../lexing/word-sets.ts";
import { type Range, type RowTruth, splitAt } from "./token-ranges.ts";
import type { Walker } from "./walker.ts";

/** Undefined where the condition is none of these. `truthOf` tells what a condition within it comes to. */
export function truthOfTruths(w: Walker, range: Range, truthOf: (range: Range) => RowTruth): RowTruth | undefined {
  const compared = lastComparison(w, range);
  if (compared === undefined) return undefined;
  const left = { from: range.from, to: compared.leftEnd };
  if (!isTruth(w, left)) return undefined;
  // NOT of a part may bind in another way than it is read there.
  const inner = w.kind(left.from) === K.NOT || w.kind(left.from) === T.BANG ? "some" : truthOf(left);
  const truths = inner === "some" ? [1, 0] : [inner === "always" ? 1 : 0];
  const answers = truths.map((truth) => answer(w, compared, truth));
  if (answers.includes(undefined)) return "some";
  const isAlways = answers.every((holds) => holds !== compared.isNegated);
  const isNever = answers.every((holds) => holds === compared.isNegated);
  return isAlways ? "always" : isNever ? "never" : "some";
}

interface Compared {
  readonly leftEnd: number;
  readonly operator: number;
  readonly right: Range;
  readonly isNegated: boolean;
}

const PREDICATES: ReadonlySet<number> = new Set([K.IN, K.BETWEEN]);

/** Of signs and IS the last one binds least; IN and BETWEEN bind more than they do. */
function lastComparison(w: Walker, { from, to }: Range): Compared | undefined {
  let last: number | undefined;
  let predicate: number | undefined;
  let depth = 0;
  for (let at = from; at < to; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN || kind === K.CASE) depth++;
    else if (kind === T.RIGHT_PAREN || kind === K.END) depth--;
    else if (depth > 0) continue;
    else if (COMPARISONS[kind] === 1 || kind === K.IS) last = at;
    else if (PREDICATES.has(kind)) predicate ??= at;
  }
  const at = last ?? predicate;
  if (at === undefined) return undefined;
  const operator = w.kind(at);
  const isNotBefore = w.kind(at - 1) === K.NOT;
  const isNotBehind = operator === K.IS && w.kind(at + 1) === K.NOT;
  return {
    leftEnd: isNotBefore ? at - 1 : at,
    operator,
    right: { from: isNotBehind ? at + 2 : at + 1, to },
    isNegated: isNotBefore || isNotBehind,
  };
}

/** Operators whose value is 1 or 0. */
const TRUTHS: ReadonlySet<number> = new Set([
  K.IN,
  K.LIKE,
  K.BETWEEN,
  K.IS,
  K.REGEXP,
  K.RLIKE,
  K.AND,
  K.OR,
  K.XOR,
  T.AND_AND,
  T.OR_OR,
  K.NOT,
  T.BANG,
]);
const TRUTH_FUNCTIONS: ReadonlySet<string> = new Set("ISNULL REGEXP_LIKE JSON_VALID JSON_CONTAINS IS_UUID".split(" "));

function isTruth(w: Walker, range: Range): boolean {
  const { from, to } = range;
  const first = w.kind(from);
  if (first === T.BANG || first === K.EXISTS) return true;
  if (first === K.NOT) return w.rules.highNot;
  const isCall = w.kind(from + 1) === T.LEFT_PAREN && TRUTH_FUNCTIONS.has(w.text.upper(from));
  if (isCall) return isClosedAt(w, from + 1, to - 1);
  const isInner = first === T.LEFT_PAREN && isClosedAt(w, from, to - 1);
  return hasTruthOperator(w, isInner ? { from: from + 1, to: to - 1 } : range);
}

function hasTruthOperator(w: Walker, { from, to }: Range): boolean {
  let depth = 0;
  for (let at = from; at < to; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN || kind === K.CASE) depth++;
    else if (kind === T.RIGHT_PAREN || kind === K.END) depth--;
    else if (depth === 0 && kind === K.SELECT) return false;
    else if (depth === 0 && (COMPARISONS[kind] === 1 || TRUTHS.has(kind))) return true;
  }
  return false;
}

function isClosedAt(w: Walker, open: number, closing: number): boolean {
  let depth = 0;
  for (let at = open; at < closing; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN) depth++;
    else if (kind === T.RIGHT_PAREN && --depth === 0) return false;
  }
  return w.kind(closing) === T.RIGHT_PAREN;
}

/** Whether it holds for 1 or for 0; undefined where the other side is not known. */
function answer(w: Walker, { operator, right }: Compared, truth: number): boolean | undefined {
  if (operator === K.IS) return isAnswer(w, right, truth);
  if (operator === K.IN) {
    const items = splitAt(w, { from: right.from + 1, to: right.to - 1 }, (kind) => kind === T.COMMA);
    const values = items.map((item) => numberOf(w, item));
    return values.includes(truth) ? true : values.includes(undefined) ? undefined : false;
  }
  if (operator === K.BETWEEN) {
    const [low, high] = splitAt(w, right, (kind) => kind === K.AND).map((end) => numberOf(w, end));
    return low === undefined || high === undefined ? undefined : low <= truth && truth <= high;
  }
  const other = numberOf(w, right);
  return other === undefined ? undefined : holds(operator, truth, other);
}

/** SAFETY: IS NULL of a comparison holds where a column is NULL, which most are not. */
function isAnswer(w: Walker, { from }: Range, truth: number): boolean | undefined {
  switch (w.kind(from)) {
    case K.NULL:
    case K.UNKNOWN:
      return false;
    case K.TRUE:
      return truth === 1;
    case K.FALSE:
      return truth === 0;
    default:
      return undefined;
  }
}

export function holds(operator: number, left: number, right: number): boolean | undefined {
  switch (operator) {
    case T.EQUAL:
    case T.NULL_SAFE_EQUAL:
      return left === right;
    case T.NOT_EQUAL:
      return left !== right;
    case T.LESS:
      return left < right;
    case T.LESS_OR_EQUAL:
      return left <= right;
    case T.GREATER:
      return left > right;
    case T.GREATER_OR_EQUAL:
      return left >= right;
    default:
      return undefined;
  }
}

/** A number, a text that is one, TRUE or FALSE. */
function numberOf(w: Walker, { from, to }: Range): number | undefined {
  const isMinus = w.kind(from) === T.MINUS;
  const at = isMinus ? from + 1 : from;
  if (to - at !== 1) return undefined;
  const value = numberAt(w, at);
  return value === undefined || !isMinus ? value : -value;
}

/** Without a sign; undefined for anything else. */
export function numberAt(w: Walker, at: number): number | undefined {
  const kind = w.kind(at);
  if (kind === K.TRUE) return 1;
  if (kind === K.FALSE) return 0;
  const isNumber = kind === T.INTEGER_NUMBER || kind === T.DECIMAL_NUMBER || kind === T.FLOAT_NUMBER;
  const value = Number(isNumber ? w.text.raw(at) : kind === T.STRING ? w.text.string(at) : Number.NaN);
  return Number.isFinite(value) ? value : undefined;
}

/** CASE … WHEN … THEN 1 ELSE 1 END: whatever the case, it comes to a number that is true. */
export function isTrueCase(w: Walker, { from, to }: Range): boolean {
  if (w.kind(from) !== K.CASE || w.kind(to - 1) !== K.END) return false;
  let depth = 0;
  let hasElse = false;
  for (let at = from; at < to; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN || kind === K.CASE) depth++;
    else if (kind === T.RIGHT_PAREN || kind === K.END) depth--;
    if (depth !== 1 || (kind !== K.THEN && kind !== K.ELSE)) continue;
    const after = w.kind(at + 2);
    const isAlone = after === K.WHEN || after === K.ELSE || after === K.END;
    const isTrue = w.kind(at + 1) === K.TRUE || (w.text.integer(at + 1) ?? 0) !== 0;
    if (!isAlone || !isTrue) return false;
    hasElse ||= kind === K.ELSE;
  }
  return hasElse;
}
