/** At most so many at work at once; the others wait in order, and no more than so many of them. */
export class Slots {
  readonly #slots: number;
  readonly #waitersMax: number;
  #used = 0;
  readonly #waiters: Set<() => void> = new Set();

  /** `slots` at work, and `waitersMax` that wait. */
  constructor(slots: number, waitersMax: number) {
    this.#slots = slots;
    this.#waitersMax = waitersMax;
  }

  get used(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /**
   * Resolves to true with a slot, or to false when the queue is full, `signal` aborts first or none is free for so long.
   * Then `leave()`.
   */
  enter(signal: AbortSignal, patienceMs?: number): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#used < this.#slots) {
      this.#used++;
      return Promise.resolve(true);
    }
    if (this.#waiters.size >= this.#waitersMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (hasSlot: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", giveUp);
        this.#waiters.delete(onSlot);
        resolve(hasSlot);
      };
      const giveUp = (): void => end(false);
      const onSlot = (): void => end(true);
      const timer = patienceMs === undefined ? undefined : setTimeout(giveUp, patienceMs);
      signal.addEventListener("abort", giveUp, { once: true });
      this.#waiters.add(onSlot);
    });
  }

  leave(): void {
    const [next] = this.#waiters;
    if (next === undefined) {
      this.#used--;
    } else {
      // The slot goes straight on to the one that waited longest.
      this.#waiters.delete(next);
      next();
    }
  }
}
