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

  /** Resolves to true with a slot, or to false when the queue is full or `signal` aborts first. Then `leave()`. */
  enter(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#used < this.#slots) {
      this.#used++;
      return Promise.resolve(true);
    }
    if (this.#waiters.size >= this.#waitersMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const onAbort = (): void => {
        this.#waiters.delete(onSlot);
        resolve(false);
      };
      const onSlot = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve(true);
      };
      signal.addEventListener("abort", onAbort, { once: true });
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
