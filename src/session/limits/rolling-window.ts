/** What was counted in the last 60 seconds, by the second: a thing counts for 60 to 61 seconds. */

const BUCKET_MS = 1_000;
const BUCKETS = 61;

export class RollingWindow {
  readonly #buckets = new Float64Array(BUCKETS);
  #second = -1;
  #amount = 0;

  amountAt(nowMs: number): number {
    const second = Math.floor(nowMs / BUCKET_MS);
    if (second === this.#second) return this.#amount;
    const from = Math.max(this.#second + 1, second - BUCKETS + 1);
    for (let passed = from; passed <= second; passed++) {
      this.#amount -= this.#buckets[passed % BUCKETS] as number;
      this.#buckets[passed % BUCKETS] = 0;
    }
    this.#second = second;
    return this.#amount;
  }

  add(amount: number, nowMs: number): void {
    this.amountAt(nowMs);
    const at = this.#second % BUCKETS;
    this.#buckets[at] = (this.#buckets[at] as number) + amount;
    this.#amount += amount;
  }

  /** Whole seconds until at most `amount` is in the window. */
  secondsUntil(amount: number, nowMs: number): number {
    let left = this.amountAt(nowMs);
    for (let ahead = 1; ahead <= BUCKETS; ahead++) {
      left -= this.#buckets[(this.#second + ahead) % BUCKETS] as number;
      if (left <= amount) return ahead;
    }
    return BUCKETS;
  }
}
