/** Time that one side may take for its part of a login, all its waits together. */
export class TimeBudget {
  #leftMs: number;
  /** Since when that side is awaited, on the clock of `performance`; undefined while it is not. */
  spendingSinceMs: number | undefined;

  constructor(ms: number) {
    this.#leftMs = ms;
  }

  /** At least a millisecond: a wait of no time would never hear what has come already. */
  get leftMs(): number {
    return Math.max(1, this.#leftMs);
  }

  /** Runs a wait that ends by itself within the time it is given. */
  async spend<T>(wait: (timeoutMs: number) => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    this.spendingSinceMs = beganMs;
    try {
      return await wait(this.leftMs);
    } finally {
      this.spendingSinceMs = undefined;
      this.#leftMs -= performance.now() - beganMs;
    }
  }
}
