/** Durations counted in powers of two: what quantiles need, in bounded memory and without a sort. */

/** From 1 µs to over half an hour; longer ones count into the last. */
const BUCKETS = 32;

export class LatencyBuckets {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(durationUs: number): void {
    const bucket = durationUs < 1 ? 0 : Math.min(BUCKETS - 1, 32 - Math.clz32(Math.min(durationUs, 0x7fffffff)));
    (this.#counts[bucket] as number)++;
    this.#count++;
  }

  /** The duration that this share of all does not exceed, in microseconds and up to a factor of two too long; undefined for none. */
  quantileUs(share: number): number | undefined {
    if (this.#count === 0) return undefined;
    let left = Math.ceil(this.#count * share);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket] as number;
      if (left <= 0) return bucket === 0 ? 1 : 2 ** bucket;
    }
    return 2 ** (BUCKETS - 1);
  }
}
