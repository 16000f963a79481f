/** How many steps judging one text may take: a number of its bytes, so that no text costs more than its length allows. */

/** Comparisons per byte of text and pattern of the policy. Real statements take less than one. */
const STEPS_PER_BYTE = 16;
const STEPS_MIN = 20_000;

export function stepsAllowed(textBytes: number, patternCount: number): number {
  return STEPS_MIN + STEPS_PER_BYTE * textBytes * (1 + patternCount);
}

/**
 * One text's budget, shared by all rules. Whoever loops over facts spends first and stops where nothing is left; that
 * the budget ran out is a finding of its own, which blocks.
 */
export class Steps {
  readonly #max: number;
  #spent = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** True while there is something left. */
  spend(count: number): boolean {
    this.#spent += count;
    return this.#spent <= this.#max;
  }

  get spent(): number {
    return this.#spent;
  }

  get isOut(): boolean {
    return this.#spent > this.#max;
  }
}
