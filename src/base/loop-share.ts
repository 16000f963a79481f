/**
 * What may be done in one turn of the event loop by those that have much to do. Whoever comes when that is used up goes on
 * in a later turn, in order; in between come all those that have little to do, however many have much.
 */

/** While little should be done at all: one goes on, and the next so much later. */
const TIGHT_MS = 50;

interface Waiter {
  readonly amount: number;
  readonly goOn: () => void;
}

export class LoopShare {
  readonly #most: number;
  readonly #waitedLeast: number;
  readonly #isTight: () => boolean;
  readonly #waiting: Waiter[] = [];
  #used = 0;
  #isTurnAwaited = false;

  /**
   * `most` in a turn, the last of which may go beyond it. Whoever goes on counts for `waitedLeast` or more: what was asked
   * for is past, and what comes next may be larger.
   */
  constructor(most: number, isTight: () => boolean = () => false, waitedLeast = 0) {
    this.#most = most;
    this.#waitedLeast = waitedLeast;
    this.#isTight = isTight;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** True where this has its place in the turn; else `goOn` is called in a later one, where it has. */
  take(amount: number, goOn: () => void): boolean {
    const hasPlace = this.#waiting.length === 0 && this.#used < this.#most && !this.#isTight();
    if (hasPlace) this.#used += amount;
    else this.#waiting.push({ amount, goOn });
    this.#awaitTurn();
    return hasPlace;
  }

  #awaitTurn(): void {
    if (this.#isTurnAwaited) return;
    this.#isTurnAwaited = true;
    if (this.#isTight()) setTimeout(() => this.#begin(), TIGHT_MS).unref();
    else setImmediate(() => this.#begin());
  }

  #begin(): void {
    this.#used = 0;
    const most = this.#isTight() ? 1 : this.#most;
    while (this.#used < most) {
      const first = this.#waiting.shift();
      if (first === undefined) break;
      this.#used += Math.max(first.amount, this.#waitedLeast);
      first.goOn();
    }
    this.#isTurnAwaited = false;
    if (this.#used > 0) this.#awaitTurn();
  }
}
