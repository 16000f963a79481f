/** Ids that count up behind a prefix, in base 36: `a1-1`, …, `a1-z`, `a1-10`. */

const BASE = 36;
const LAST_DIGITS = Array.from({ length: BASE * BASE }, (_, index) => index.toString(BASE).padStart(2, "0"));

export class SerialIds {
  readonly #prefix: string;
  #count = 0;
  /** The prefix and all digits but the last two. */
  #head = "";

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Every statement takes one, and to write a number in base 36 costs as much as to look its verdict up. */
  next(): string {
    const count = ++this.#count;
    if (count < LAST_DIGITS.length) return `${this.#prefix}-${count.toString(BASE)}`;
    const last = count % LAST_DIGITS.length;
    if (last === 0) this.#head = `${this.#prefix}-${(count / LAST_DIGITS.length).toString(BASE)}`;
    return this.#head + LAST_DIGITS[last];
  }
}
