/** So many a second and a few more at once: what comes too early waits for its place, or is turned away. */
export interface PaceOptions {
  readonly perSecond: number;
  /** Those that may come at once. perSecond + burst is the most in any one second. */
  readonly burst: number;
  /** 0 turns away all that would have to wait. */
  readonly waitMsMax: number;
}

export class Pace {
  readonly #options: PaceOptions;
  readonly #gapMs: number;
  /** When the next one would be due if all came evenly spread. */
  #dueMs = 0;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#gapMs = 1000 / options.perSecond;
  }

  /** Reserves the next place: how long to wait for it, or undefined when that would be too long. */
  reserve(nowMs: number): number | undefined {
    const dueMs = Math.max(this.#dueMs, nowMs);
    const waitMs = Math.max(0, dueMs - nowMs - (this.#options.burst - 1) * this.#gapMs);
    if (waitMs > this.#options.waitMsMax) return undefined;
    this.#dueMs = dueMs + this.#gapMs;
    return waitMs;
  }
}
