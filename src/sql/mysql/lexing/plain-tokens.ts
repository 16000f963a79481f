/**
 * The tokens that nearly every text consists of, as functions of bytes alone. Each answers 0 for what takes more care than
 * it has, which the lexer's methods then take. They are small, so that the engine puts them into the loop that calls
 * them: around a real call it would look up every array again.
 */
import { CLASS_DIGIT, CLASS_DOLLAR, CLASS_SINGLE, CLASS_WORD } from "./character-classes.ts";
import { findKeyword, isKeywordBefore } from "./keyword-table.ts";
import { IDENTIFIER } from "./token-kinds.ts";

/** The end of longer literals is found by other means. */
export const SHORT_LITERAL = 48;

const DASH = 45;
const DOT = 46;
const UNDERSCORE = 95;

/** The digits. */
export const DIGITS = new Uint8Array(256).fill(1, 48, 58);

/** What may stand between quotes without further care: all but backslashes and NULs. */
const QUOTED = new Uint8Array(256).fill(1);
QUOTED[0] = 0;
QUOTED[92] = 0;

/** Bytes that make a word before them more than it seems: the quote of `x'41'`, letters above 0x7f. */
const CARE_BEHIND_WORD = new Uint8Array(256).fill(1, 0x80);
CARE_BEHIND_WORD[39] = 1;

/** The first byte at or after `from` whose entry in `table` is not 1, or `end`. */
export function runEnd(sql: Uint8Array, from: number, end: number, table: Uint8Array): number {
  let p = from;
  while (p < end && table[sql[p] as number] === 1) p++;
  return p;
}

/** Past the closing quote of a short literal or name, of which `from` is the first byte. */
export function quotedEnd(sql: Uint8Array, from: number, end: number, quote: number): number {
  const near = end - from < SHORT_LITERAL ? end : from + SHORT_LITERAL;
  for (let p = from; p < near; p++) {
    const c = sql[p] as number;
    if (c === quote) return onceEnd(sql, p + 1, end, quote);
    if (QUOTED[c] === 0) return 0;
  }
  return 0;
}

/** `at`, unless the byte there is another such. */
function onceEnd(sql: Uint8Array, at: number, end: number, byte: number): number {
  return at < end && sql[at] === byte ? 0 : at;
}

/** The kind of the word [start, at), which is as long as word bytes below 0x80 go. */
export function wordKind(sql: Uint8Array, start: number, at: number, end: number, isPart: boolean): number {
  const next = at < end ? (sql[at] as number) : 0;
  if (CARE_BEHIND_WORD[next] === 1) return 0;
  return isPart ? IDENTIFIER : bareKind(sql, start, at, next);
}

function bareKind(sql: Uint8Array, start: number, at: number, next: number): number {
  const kind = findKeyword(sql, start, at);
  if (kind === 0) return sql[start] === UNDERSCORE ? 0 : IDENTIFIER;
  return isKeywordBefore(kind, next) ? kind : 0;
}

/** Past the digits behind the point, if there is one at `point`. */
export function fractionEnd(sql: Uint8Array, point: number, end: number, words: Uint8Array): number {
  const p = point < end && sql[point] === DOT ? runEnd(sql, point + 1, end, DIGITS) : point;
  return p < end && words[sql[p] as number] === 1 ? 0 : p;
}

/** `at`, if the byte there cannot belong to the operator before it. */
export function aloneEnd(sql: Uint8Array, at: number, end: number, classes: Uint8Array): number {
  return at < end && (classes[sql[at] as number] as number) > CLASS_SINGLE ? 0 : at;
}

/** Whether the byte at `at` is the second of two dashes that begin no comment. */
export function isDashBeforeCode(sql: Uint8Array, at: number, end: number, dashEnds: Uint8Array): boolean {
  return at + 1 < end && sql[at] === DASH && dashEnds[sql[at + 1] as number] === 0;
}

/** `at`, behind a dot, unless what follows there is part of a number, or of a name that begins unusually. */
export function dotEnd(sql: Uint8Array, at: number, end: number, classes: Uint8Array): number {
  const next = at < end ? classes[sql[at] as number] : 0;
  return next === CLASS_DIGIT || next === CLASS_DOLLAR ? 0 : at;
}

export function beginsWord(sql: Uint8Array, at: number, end: number, classes: Uint8Array): boolean {
  return at < end && classes[sql[at] as number] === CLASS_WORD;
}
