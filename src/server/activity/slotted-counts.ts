/** Counts of several kinds over the last hours, in slots of equal length: bounded, and oldest slots make room. */

export interface SlotShape {
  readonly slotMs: number;
  readonly slots: number;
}

export class SlottedCounts<Kind extends string> {
  readonly #kinds: readonly Kind[];
  readonly #shape: SlotShape;
  readonly #counts: Uint32Array;
  /** Number of the newest slot since the epoch. */
  #newest: number;

  constructor(kinds: readonly Kind[], shape: SlotShape, nowMs: number) {
    this.#kinds = kinds;
    this.#shape = shape;
    this.#counts = new Uint32Array(kinds.length * shape.slots);
    this.#newest = Math.floor(nowMs / shape.slotMs);
  }

  add(kind: Kind, nowMs: number, count = 1): void {
    this.#advance(nowMs);
    const at = this.#placeOf(this.#newest) + this.#kinds.indexOf(kind);
    this.#counts[at] = (this.#counts[at] as number) + count;
  }

  /** Of each slot of the time up to now, oldest first. */
  valuesOf(kind: Kind, nowMs: number): number[] {
    this.#advance(nowMs);
    const { slots } = this.#shape;
    const offset = this.#kinds.indexOf(kind);
    return Array.from(
      { length: slots },
      (_, index) => this.#counts[this.#placeOf(this.#newest - slots + 1 + index) + offset] as number,
    );
  }

  #placeOf(slot: number): number {
    return (slot % this.#shape.slots) * this.#kinds.length;
  }

  /** A clock that was set back counts into the newest slot there is. */
  #advance(nowMs: number): void {
    const slot = Math.floor(nowMs / this.#shape.slotMs);
    const { slots } = this.#shape;
    if (slot <= this.#newest) return;
    for (let next = Math.max(this.#newest + 1, slot - slots + 1); next <= slot; next++) {
      const place = this.#placeOf(next);
      this.#counts.fill(0, place, place + this.#kinds.length);
    }
    this.#newest = slot;
  }
}
