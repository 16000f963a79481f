/**
 * What PREPARE has given names to. Whether one of them has failed, or was given up again, is not followed: a name stands for
 * all that it was ever given, and whoever runs it is judged by the worst of that.
 */
import type { NamedText } from "../judging/judge.ts";

/** Of one name; a server refuses a second one while the first stands. */
const MEANINGS_MAX = 8;

export class PreparedByText {
  readonly #namesMax: number;
  readonly #texts = new Map<string, Uint8Array[]>();

  constructor(namesMax: number) {
    this.#namesMax = namesMax;
  }

  has(name: string): boolean {
    return this.#texts.has(name);
  }

  of(name: string): readonly Uint8Array[] {
    return this.#texts.get(name) ?? [];
  }

  /** False where one of them could not be kept: what its name stands for is known no more. */
  add(given: readonly NamedText[]): boolean {
    return given.every((one) => this.#addOne(one));
  }

  #addOne({ name, sql }: NamedText): boolean {
    const texts = this.#texts.get(name);
    if (texts === undefined) {
      if (this.#texts.size >= this.#namesMax) return false;
      this.#texts.set(name, [sql]);
      return true;
    }
    if (texts.some((text) => Buffer.compare(text, sql) === 0)) return true;
    if (texts.length >= MEANINGS_MAX) return false;
    texts.push(sql);
    return true;
  }
}
