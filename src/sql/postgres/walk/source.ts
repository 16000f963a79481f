/** Where in the text a node of the tree stands. */
import type { ByteRange } from "../../facts.ts";
import type { Lexer } from "../lexing/lexer.ts";

export interface Source {
  /** The token at a place that the parser gave. */
  at(location: number): ByteRange;
  /** The name that begins there, with what is before its points. */
  nameAt(location: number): ByteRange;
  /** From there to the end of the parentheses that follow the name. */
  callAt(location: number): ByteRange;
  /** The statement without blanks and comments around it. */
  statementAt(location: number, length: number | undefined): ByteRange;
}

/** For a text inside a literal: all of it is where the literal is. */
export function fixedSource(range: ByteRange): Source {
  const fixed = (): ByteRange => range;
  return { at: fixed, nameAt: fixed, callAt: fixed, statementAt: fixed };
}

const DOT = 46;
const LEFT = 40;
const RIGHT = 41;

/** By the tokens of the text itself. The lexer must not read another text meanwhile. */
export class TokenSource implements Source {
  readonly #lexer: Lexer;
  /** Bytes of the parsed text that were put in front of strings, in order. */
  readonly #added: readonly number[];
  #closing: Int32Array | undefined;

  constructor(lexer: Lexer, added: readonly number[]) {
    this.#lexer = lexer;
    this.#added = added;
  }

  at(location: number): ByteRange {
    const { starts, ends } = this.#lexer;
    const token = this.#tokenAt(location);
    return { start: starts[token] ?? 0, end: ends[token] ?? 0 };
  }

  nameAt(location: number): ByteRange {
    const { starts, ends } = this.#lexer;
    const first = this.#tokenAt(location);
    return { start: starts[first] ?? 0, end: ends[this.#lastOfName(first)] ?? 0 };
  }

  callAt(location: number): ByteRange {
    const { starts, ends, count } = this.#lexer;
    const first = this.#tokenAt(location);
    const open = this.#lastOfName(first) + 1;
    const closing = open < count && this.#byteAt(open) === LEFT ? this.#closingOf(open) : open - 1;
    return { start: starts[first] ?? 0, end: ends[closing] ?? 0 };
  }

  statementAt(location: number, length: number | undefined): ByteRange {
    const { starts, ends, count } = this.#lexer;
    const from = this.#original(location);
    const to = length === undefined ? Number.MAX_SAFE_INTEGER : this.#original(location + length);
    const first = this.#firstFrom(from);
    let last = this.#firstFrom(to) - 1;
    if (last >= count) last = count - 1;
    if (first >= count || last < first) return { start: from, end: from };
    return { start: starts[first] as number, end: ends[last] as number };
  }

  #original(location: number): number {
    const added = this.#added;
    if (added.length === 0) return location;
    let low = 0;
    let high = added.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((added[middle] as number) < location) low = middle + 1;
      else high = middle;
    }
    return location - low;
  }

  /** The token that begins there, or the last one before. */
  #tokenAt(location: number): number {
    const at = this.#original(Math.max(0, location));
    const next = this.#firstFrom(at);
    return this.#lexer.starts[next] === at && next < this.#lexer.count ? next : Math.max(0, next - 1);
  }

  /** The first token that does not begin before the byte. */
  #firstFrom(byte: number): number {
    const { starts, count } = this.#lexer;
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) < byte) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #byteAt(token: number): number {
    const { sql, starts } = this.#lexer;
    return sql[starts[token] as number] ?? 0;
  }

  #lastOfName(first: number): number {
    const { count, starts, ends } = this.#lexer;
    let last = first;
    while (
      last + 2 < count &&
      this.#byteAt(last + 1) === DOT &&
      (ends[last + 1] ?? 0) - (starts[last + 1] ?? 0) === 1
    ) {
      last += 2;
    }
    return last;
  }

  #closingOf(open: number): number {
    this.#closing ??= this.#pair();
    return this.#closing[open] ?? open;
  }

  /** The closing parenthesis of every opening one, in one pass. */
  #pair(): Int32Array {
    const { count } = this.#lexer;
    const closing = new Int32Array(count);
    const open: number[] = [];
    for (let token = 0; token < count; token++) {
      closing[token] = token;
      const byte = this.#byteAt(token);
      if (byte === LEFT) open.push(token);
      else if (byte === RIGHT) {
        const first = open.pop();
        if (first !== undefined) closing[first] = token;
      }
    }
    return closing;
  }
}
