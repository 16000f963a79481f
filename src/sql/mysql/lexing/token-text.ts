/** What tokens say, as strings: names without quotes, literals without escapes, words for comparison. */

import { decodeCharacters, decodeRange, UNKNOWN_TEXT } from "../../../base/characters.ts";
import { nameText } from "../names/known-names.ts";
import { upperAscii } from "../names/names.ts";
import { FLAG_ESCAPED, type LexRules } from "./lexer.ts";
import * as T from "./token-kinds.ts";
import type { Tokens } from "./tokens.ts";

const BACKSLASH = 92;
const SINGLE_QUOTE = 39;
const DOLLAR = 36;
const ZERO = 48;
/** Integers of so many digits the engine writes sooner than it decodes their bytes. */
const SMALL_DIGITS_MAX = 9;

const PERCENT = 37;
const UNDERSCORE = 95;

/** Escapes that stand for another byte; any other escaped byte stands for itself, two excepted. */
const ESCAPES: ReadonlyMap<number, number> = new Map([
  [0x30, 0],
  [0x62, 8],
  [0x6e, 10],
  [0x72, 13],
  [0x74, 9],
  [0x5a, 26],
]);

/** Reads tokens of one text. Names and strings are decoded as decodeCharacters() reads them in the client's character set. */
export class TokenText {
  readonly #tokens: Tokens;
  readonly #buffer: Buffer;
  readonly #backslashEscapes: boolean;
  readonly #characterSet: string;

  /** Of the rules: `characterSet` is "unknown" where nobody knows it. */
  constructor(tokens: Tokens, { backslashEscapes, characterSet }: Pick<LexRules, "backslashEscapes" | "characterSet">) {
    this.#tokens = tokens;
    this.#buffer = asBuffer(tokens.sql);
    this.#backslashEscapes = backslashEscapes;
    this.#characterSet = characterSet;
  }

  /** The bytes of the token as they stand. */
  raw(token: number): string {
    const { starts, ends, sql } = this.#tokens;
    const start = starts[token] as number;
    const end = ends[token] as number;
    // Most numbers have one digit, of which the engine holds a string already.
    if (end === start + 1 && (sql[start] as number) < 0x80) return String.fromCharCode(sql[start] as number);
    if (this.#tokens.kinds[token] === T.INTEGER_NUMBER && sql[start] !== ZERO && end - start <= SMALL_DIGITS_MAX) {
      return String(this.integer(token));
    }
    return this.#buffer.toString("utf8", start, end);
  }

  /** A name without its quotes. */
  name(token: number): string {
    const { kinds, starts, ends, flags } = this.#tokens;
    const start = starts[token] as number;
    const end = ends[token] as number;
    const kind = kinds[token];
    if (kind === T.STRING || kind === T.NATIONAL_STRING) return this.string(token);
    if (kind !== T.QUOTED_IDENTIFIER) return nameText(this.#buffer, start, end, this.#characterSet);
    const text = nameText(this.#buffer, start + 1, Math.max(start + 1, end - 1), this.#characterSet);
    const isEscaped = ((flags[token] as number) & FLAG_ESCAPED) !== 0;
    const isAllAscii = text.length >= end - start - 2;
    if (isAllAscii && !isEscaped) return text;
    const quote = String.fromCharCode(this.#tokens.sql[start] as number);
    // SAFETY: MariaDB leaves out what follows a quote that is half of a character.
    if (!isAllAscii && this.#hasHalfQuote(start, end, text.split(quote).length - 1)) return UNKNOWN_TEXT;
    return isEscaped ? text.replaceAll(quote + quote, quote) : text;
  }

  /** Whether more bytes between the quotes at `start` and before `end` look like a quote than there are such characters. */
  #hasHalfQuote(start: number, end: number, quotes: number): boolean {
    const { sql } = this.#tokens;
    const quote = sql[start] as number;
    let count = 0;
    for (let at = sql.indexOf(quote, start + 1); at >= 0 && at < end - 1; at = sql.indexOf(quote, at + 1)) count++;
    return count > quotes;
  }

  /** The bytes a string literal stands for. */
  stringBytes(token: number): Uint8Array {
    const { kinds, starts, ends, flags, sql } = this.#tokens;
    let start = starts[token] as number;
    const end = ends[token] as number;
    if (kinds[token] === T.DOLLAR_STRING) {
      const tag = sql.indexOf(DOLLAR, start + 1) + 1 - start;
      return sql.subarray(start + tag, Math.max(start + tag, end - tag));
    }
    if (kinds[token] === T.NATIONAL_STRING) start++;
    const to = this.#closingQuote(start, end);
    if (((flags[token] as number) & FLAG_ESCAPED) === 0) return sql.subarray(start + 1, to);
    return this.#unescape(start + 1, to, sql[start] as number);
  }

  /** Where the quote that opens at `start` is closed; the end of a literal that nothing closes. */
  #closingQuote(start: number, end: number): number {
    const { sql } = this.#tokens;
    return end > start + 1 && sql[end - 1] === sql[start] ? end - 1 : end;
  }

  string(token: number): string {
    const { kinds, starts, ends, flags } = this.#tokens;
    if (kinds[token] !== T.STRING || ((flags[token] as number) & FLAG_ESCAPED) !== 0) {
      return decodeCharacters(this.stringBytes(token), this.#characterSet);
    }
    const start = starts[token] as number;
    const end = this.#closingQuote(start, ends[token] as number);
    return decodeRange(this.#buffer, start + 1, end, this.#characterSet);
  }

  #unescape(from: number, to: number, quote: number): Uint8Array {
    const { sql } = this.#tokens;
    const bytes = new Uint8Array(to - from);
    let length = 0;
    for (let p = from; p < to; p++) {
      const c = sql[p] as number;
      if (c === quote) {
        p++;
        bytes[length++] = quote;
      } else if (c === BACKSLASH && this.#backslashEscapes && p + 1 < to) {
        p++;
        const escaped = sql[p] as number;
        // \% and \_ keep their backslash, for LIKE to see (manual 11.1.1, table 11.1).
        if (escaped === PERCENT || escaped === UNDERSCORE) bytes[length++] = BACKSLASH;
        bytes[length++] = ESCAPES.get(escaped) ?? escaped;
      } else {
        bytes[length++] = c;
      }
    }
    return bytes.subarray(0, length);
  }

  /** The bytes of a hex literal, or `undefined` for an odd thing. */
  hexBytes(token: number): Uint8Array {
    const { starts, ends, sql } = this.#tokens;
    const start = (starts[token] as number) + 2;
    const end = (ends[token] as number) - (sql[start - 1] === SINGLE_QUOTE ? 1 : 0);
    const digits = this.#buffer.toString("latin1", start, end);
    return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
  }

  /** A number when it is an unsigned integer that is exact in a double. */
  integer(token: number): number | undefined {
    const { kinds, starts, ends, sql } = this.#tokens;
    if (kinds[token] !== T.INTEGER_NUMBER) return undefined;
    let value = 0;
    for (let p = starts[token] as number; p < (ends[token] as number); p++) {
      value = value * 10 + (sql[p] as number) - 48;
      if (value > Number.MAX_SAFE_INTEGER) return undefined;
    }
    return value;
  }

  /** Whether a bare word of any kind is this one; `word` in upper case. */
  isWord(token: number, word: string): boolean {
    const { kinds, starts, ends, sql, count } = this.#tokens;
    if (token < 0 || token >= count || kinds[token] === T.QUOTED_IDENTIFIER) return false;
    const start = starts[token] as number;
    if ((ends[token] as number) - start !== word.length) return false;
    for (let i = 0; i < word.length; i++) {
      const c = sql[start + i] as number;
      if ((c >= 97 && c <= 122 ? c - 32 : c) !== word.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The token with ASCII's letters in upper case; for words only. */
  upper(token: number): string {
    const { starts, ends } = this.#tokens;
    return upperAscii(nameText(this.#buffer, starts[token] as number, ends[token] as number, this.#characterSet));
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
