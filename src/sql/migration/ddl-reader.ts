/** A place in the tokens of one statement. */
import type { DdlToken } from "./ddl-tokens.ts";

export class DdlError extends Error {}

export class DdlReader {
  readonly #tokens: readonly DdlToken[];
  at = 0;

  constructor(tokens: readonly DdlToken[]) {
    this.#tokens = tokens;
  }

  get isEnd(): boolean {
    return this.at >= this.#tokens.length;
  }

  /** The next token as a word or mark in capitals; empty for what is in quotes. */
  peek(ahead = 0): string {
    const token = this.#tokens[this.at + ahead];
    return token === undefined || token.kind === "name" || token.kind === "text" ? "" : token.text.toUpperCase();
  }

  token(ahead = 0): DdlToken | undefined {
    return this.#tokens[this.at + ahead];
  }

  /** Takes these words, or nothing. */
  take(...words: readonly string[]): boolean {
    if (!words.every((word, index) => this.peek(index) === word)) return false;
    this.at += words.length;
    return true;
  }

  expect(word: string): void {
    if (!this.take(word))
      throw new DdlError(`expected ${word} and found ${this.token()?.text.slice(0, 40) ?? "its end"}`);
  }

  /** A name in backticks, in quotes or without; of `a.b` the last part. */
  name(): string {
    for (;;) {
      const token = this.#tokens[this.at];
      if (token === undefined || token.kind === "mark" || token.kind === "number") {
        throw new DdlError(`expected a name and found ${token?.text.slice(0, 40) ?? "its end"}`);
      }
      this.at++;
      if (this.peek() !== ".") return token.text;
      this.at++;
    }
  }

  /** The tokens between the parenthesis that comes next and its other half. */
  parenthesized(): readonly DdlToken[] {
    this.expect("(");
    const from = this.at;
    for (let depth = 1; ; this.at++) {
      if (this.isEnd) throw new DdlError("a parenthesis is not closed");
      if (this.peek() === "(") depth++;
      else if (this.peek() === ")") depth--;
      if (depth === 0) break;
    }
    return this.#tokens.slice(from, this.at++);
  }

  /** Lists between commas outside of parentheses. */
  static split(tokens: readonly DdlToken[]): readonly (readonly DdlToken[])[] {
    const parts: DdlToken[][] = [[]];
    let depth = 0;
    for (const token of tokens) {
      if (token.kind === "mark") {
        if (token.text === "(") depth++;
        if (token.text === ")") depth--;
        if (token.text === "," && depth === 0) {
          parts.push([]);
          continue;
        }
      }
      (parts.at(-1) as DdlToken[]).push(token);
    }
    return parts.filter((part) => part.length > 0);
  }
}
