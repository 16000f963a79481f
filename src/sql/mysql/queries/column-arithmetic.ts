/** Expressions of one column and numbers, tried with values of the column: `id * 0` is 0 for every one, `id | 1` never is. */
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import type { Range } from "./token-ranges.ts";
import { numberAt } from "./truth-values.ts";
import type { Walker } from "./walker.ts";

/** Values that no arithmetic of small numbers takes for each other. */
const TRIED = [0, 1, -1, 2, 7.25, -13, 1_000_003];
/** Beyond that the values are not tried. */
const TOKENS_MAX = 64;

/** Signs by how much they bind, the loosest first. */
const SIGNS: readonly ReadonlySet<number>[] = [
  new Set([T.PIPE]),
  new Set([T.AMPERSAND]),
  new Set([T.SHIFT_LEFT, T.SHIFT_RIGHT]),
  new Set([T.PLUS, T.MINUS]),
  new Set([T.STAR, T.SLASH, T.PERCENT, K.DIV, K.MOD]),
  new Set([T.CARET]),
];

/** How a name of a column is told from others: where its first and its last token stand. */
export type ColumnIdentity = (first: number, last: number) => string;

/**
 * Whether `isTrue` holds of what the ranges come to, for all values tried and for those around every number in the
 * ranges. False where a range holds anything but one column, numbers, and what is known to make a number of them.
 */
export function holdsForAll(
  w: Walker,
  ranges: readonly Range[],
  identity: ColumnIdentity,
  isTrue: (results: readonly number[]) => boolean,
): boolean {
  if (ranges.some(({ from, to }) => to - from > TOKENS_MAX || to <= from)) return false;
  const column: { name?: string } = {};
  const values = [...TRIED, ...ranges.flatMap((range) => numbersIn(w, range))];
  return values.every((value) => {
    const results: number[] = [];
    for (const range of ranges) {
      const result = new Trial(w, range, value, identity, column).result();
      if (result === undefined) return false;
      results.push(result);
    }
    return isTrue(results);
  });
}

function numbersIn(w: Walker, { from, to }: Range): number[] {
  const numbers: number[] = [];
  for (let at = from; at < to; at++) {
    const number = numberAt(w, at);
    if (number !== undefined) numbers.push(number - 1, number, number + 1, -number);
  }
  return numbers;
}

/** One value tried. */
class Trial {
  readonly #w: Walker;
  readonly #range: Range;
  readonly #value: number;
  readonly #identity: ColumnIdentity;
  /** Of all ranges. */
  readonly #column: { name?: string };
  #at: number;

  constructor(w: Walker, range: Range, value: number, identity: ColumnIdentity, column: { name?: string }) {
    this.#w = w;
    this.#range = range;
    this.#value = value;
    this.#identity = identity;
    this.#column = column;
    this.#at = range.from;
  }

  result(): number | undefined {
    const result = this.#row(0);
    const isWhole = this.#at === this.#range.to;
    return isWhole && result !== undefined && Number.isFinite(result) ? result : undefined;
  }

  #row(level: number): number | undefined {
    const signs = SIGNS[level];
    if (signs === undefined) return this.#one();
    let result = this.#row(level + 1);
    while (this.#at < this.#range.to && signs.has(this.#w.kind(this.#at))) {
      const sign = this.#w.kind(this.#at++);
      const other = this.#row(level + 1);
      result = result === undefined || other === undefined ? undefined : apply(sign, result, other);
    }
    return result;
  }

  #one(): number | undefined {
    const w = this.#w;
    if (this.#at >= this.#range.to) return undefined;
    const at = this.#at++;
    if (w.kind(at) === T.MINUS) {
      const negated = this.#one();
      return negated === undefined ? undefined : -negated;
    }
    const call = w.kind(at + 1) === T.LEFT_PAREN ? FUNCTIONS.get(w.text.upper(at)) : undefined;
    if (call !== undefined) {
      this.#at++;
      return this.#called(call);
    }
    if (w.kind(at) === T.LEFT_PAREN) {
      const inner = this.#row(0);
      return w.kind(this.#at++) === T.RIGHT_PAREN ? inner : undefined;
    }
    if (w.isName(at) || w.kind(at) === T.QUOTED_IDENTIFIER) return this.#columnAt(at);
    return numberAt(w, at);
  }

  #columnAt(first: number): number | undefined {
    const last = Math.min(this.#w.chainEnd(first), this.#range.to - 1);
    this.#at = last + 1;
    if (this.#w.kind(this.#at) === T.LEFT_PAREN) return undefined;
    const name = this.#identity(first, last);
    this.#column.name ??= name;
    return this.#column.name === name ? this.#value : undefined;
  }

  #called(call: (values: readonly number[]) => number | undefined): number | undefined {
    const values: number[] = [];
    for (;;) {
      const value = this.#row(0);
      if (value === undefined) return undefined;
      values.push(value);
      const kind = this.#w.kind(this.#at++);
      if (kind === T.RIGHT_PAREN) return call(values);
      if (kind !== T.COMMA) return undefined;
    }
  }
}

const BITS = 64;

function apply(sign: number, left: number, right: number): number | undefined {
  switch (sign) {
    case T.PLUS:
      return left + right;
    case T.MINUS:
      return left - right;
    case T.STAR:
      return left * right;
    case T.SLASH:
      return left / right;
    case K.DIV:
      return Math.trunc(left / right);
    case T.PERCENT:
    case K.MOD:
      return left % right;
    default:
      return applyBits(sign, unsigned(left), unsigned(right));
  }
}

/** Servers take both sides of these as unsigned numbers of 64 bits. */
const unsigned = (value: number): bigint | undefined =>
  Number.isFinite(value) ? BigInt.asUintN(BITS, BigInt(Math.round(value))) : undefined;

function applyBits(sign: number, left: bigint | undefined, right: bigint | undefined): number | undefined {
  if (left === undefined || right === undefined) return undefined;
  switch (sign) {
    case T.PIPE:
      return Number(left | right);
    case T.AMPERSAND:
      return Number(left & right);
    case T.CARET:
      return Number(left ^ right);
    case T.SHIFT_LEFT:
      return right >= BITS ? 0 : Number(BigInt.asUintN(BITS, left << right));
    default:
      return right >= BITS ? 0 : Number(left >> right);
  }
}

/** Of numbers that are not NULL. */
const FUNCTIONS: ReadonlyMap<string, (values: readonly number[]) => number | undefined> = new Map([
  ["COALESCE", ([first]) => first],
  ["IFNULL", ([first]) => first],
  ["NVL", ([first]) => first],
  ["IF", ([asked, yes, no]) => (asked === 0 ? no : yes)],
  ["GREATEST", (values) => Math.max(...values)],
  ["LEAST", (values) => Math.min(...values)],
  ["ABS", ([first = Number.NaN]) => Math.abs(first)],
  ["SIGN", ([first = Number.NaN]) => Math.sign(first)],
  ["POW", ([base = Number.NaN, exponent = Number.NaN]) => base ** exponent],
  ["POWER", ([base = Number.NaN, exponent = Number.NaN]) => base ** exponent],
  ["MOD", ([left = Number.NaN, right = Number.NaN]) => left % right],
]);
