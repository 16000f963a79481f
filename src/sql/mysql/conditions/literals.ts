/** What literals hold, as far as rules want to know: long hex, hex that spells code, text that looks like an attack. */

import { FLAG_ESCAPED } from "../lexing/lexer.ts";
import type { Tokens } from "../lexing/tokens.ts";
import type { EmitFinding } from "./scan.ts";

/** Whose literals are judged, and who hears of it. */
export interface LiteralScan {
  readonly tokens: Pick<Tokens, "sql" | "starts" | "ends" | "flags">;
  readonly emit: EmitFinding;
}

const HEX_BYTES_MAX = 16;
/** Of longer literals only so much is looked at: they are data far more often than code. */
const LOOK_BYTES_MAX = 512;

const SINGLE_QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const RIGHT_PAREN = 0x29;
const SPACE = 0x20;
const SEMICOLON = 0x3b;
const PIPE = 0x7c;
const DASH = 0x2d;
const HASH = 0x23;
const ZERO = 0x30;
const NINE = 0x39;

/** 0x… and x'…'. */
export function judgeHexLiteral(scan: LiteralScan, token: number): void {
  const { sql, starts, ends } = scan.tokens;
  const start = (starts[token] as number) + 2;
  const isQuoted = sql[start - 1] === SINGLE_QUOTE;
  const end = (ends[token] as number) - (isQuoted ? 1 : 0);
  const bytes = Math.ceil((end - start) / 2);
  if (bytes > HEX_BYTES_MAX) scan.emit("hex-literal-long", token, token, bytes, undefined);
  if (bytes >= CODE_WORDS_BYTES_MIN && spellsCode(sql, start, Math.min(end, start + LOOK_BYTES_MAX))) {
    scan.emit("hex-literal-text", token, token, bytes, undefined);
  }
}

const CODE_WORDS = ["select ", "union ", "insert ", "drop ", "<?php", "<script", "/etc/", "../"].map((word) =>
  Array.from(word, (character) => character.charCodeAt(0)),
);
const CODE_WORDS_BYTES_MIN = 4;

/** Whether the bytes that the hex digits spell hold one of the words. Letters count in both cases. */
function spellsCode(sql: Uint8Array, start: number, end: number): boolean {
  const text: number[] = [];
  for (let at = start + ((end - start) % 2); at + 1 < end; at += 2) {
    const byte = (digitOf(sql[at] as number) << 4) | digitOf(sql[at + 1] as number);
    text.push(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
  }
  return CODE_WORDS.some((word) => indexOfWord(text, word) >= 0);
}

function indexOfWord(text: readonly number[], word: readonly number[]): number {
  for (let from = 0; from + word.length <= text.length; from++) {
    if (word.every((byte, index) => text[from + index] === byte)) return from;
  }
  return -1;
}

function digitOf(byte: number): number {
  return byte <= NINE ? byte - ZERO : (byte | SPACE) - 0x57;
}

/** A quoted literal with quotes inside, as an attack ends up that an application has escaped. */
export function judgeTextLiteral(scan: LiteralScan, token: number): void {
  const { sql, starts, ends, flags } = scan.tokens;
  if (((flags[token] as number) & FLAG_ESCAPED) === 0) return;
  const end = Math.min((ends[token] as number) - 1, (starts[token] as number) + LOOK_BYTES_MAX);
  for (let at = (starts[token] as number) + 1; at < end; at++) {
    const byte = sql[at];
    if ((byte === SINGLE_QUOTE || byte === DOUBLE_QUOTE) && startsAttack(sql, at + 1, end)) {
      scan.emit("literal-looks-like-sql", token, token, 1, undefined);
      return;
    }
  }
}

/** Behind a quote: blanks and parentheses, then a word or sign that would go on with other code. */
function startsAttack(sql: Uint8Array, from: number, end: number): boolean {
  let at = from;
  while (at < end && isFiller(sql[at] as number)) at++;
  const byte = sql[at] as number;
  if (at >= end) return false;
  if (byte === SEMICOLON || byte === HASH) return true;
  if (byte === PIPE || byte === DASH) return sql[at + 1] === byte;
  return isWordAt(sql, at, OR) || isWordAt(sql, at, AND) || isWordAt(sql, at, UNION);
}

function isFiller(byte: number): boolean {
  return byte <= SPACE || byte === RIGHT_PAREN || byte === SINGLE_QUOTE || byte === DOUBLE_QUOTE || byte === BACKSLASH;
}

const OR = [0x6f, 0x72];
const AND = [0x61, 0x6e, 0x64];
const UNION = [0x75, 0x6e, 0x69, 0x6f, 0x6e];

function isWordAt(sql: Uint8Array, at: number, word: readonly number[]): boolean {
  const after = (sql[at + word.length] as number) | SPACE;
  if (after >= 0x61 && after <= 0x7a) return false;
  return word.every((byte, index) => ((sql[at + index] as number) | SPACE) === byte);
}
