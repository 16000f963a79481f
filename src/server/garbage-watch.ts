/**
 * Keeps the process below its memory limit. The runtime lets garbage grow with the machine's memory, of which a container
 * has a part: what nobody holds any more is collected when the process has grown by some share of its limit, other than by
 * what sessions hold, and near the limit nothing large is begun. What was let go lately is looked for first; all, which keeps sessions waiting, where that
 * has not helped.
 */

/** Below this share of the limit the runtime collects when it wants to. */
const WATCHED_SHARE = 0.55;
/** What may be added since the last time, garbage or not. */
const GROWTH_SHARE = 0.08;
/** So much less there is after a collection that has helped. */
const HELP_SHARE = 0.02;
/** Here sessions are to hold less, whatever they are counted with. */
const SQUEEZED_SHARE = 0.85;
/** It takes a moment until the system has back what was freed. */
const GAP_MS = 300;

export interface GarbageWatchOptions {
  readonly limitBytes: number;
  /** Of the process, in memory now. */
  readonly residentBytes: () => number;
  /** Of them, what sessions are known to hold: no collection frees that. */
  readonly heldBytes: () => number;
  readonly collect: (what: "young" | "all") => void;
}

export class GarbageWatch {
  readonly #options: GarbageWatchOptions;
  /** The least that was seen since the last collection. */
  #floorBytes = 0;
  /** What sessions held then. */
  #heldAtFloorBytes = 0;
  #collectedMs = Number.NEGATIVE_INFINITY;
  /** What was in memory then. */
  #collectedAtBytes = Number.POSITIVE_INFINITY;

  constructor(options: GarbageWatchOptions) {
    this.#options = options;
  }

  /** Looks at the process now; true when it is so near its limit that little should be begun. */
  look(nowMs: number): boolean {
    const { limitBytes, residentBytes, heldBytes, collect } = this.#options;
    const bytes = residentBytes();
    const held = heldBytes();
    if (bytes <= this.#floorBytes) this.#setFloor(bytes, held);
    const isDue = nowMs - this.#collectedMs >= GAP_MS;
    const isNear = bytes > limitBytes * SQUEEZED_SHARE;
    const heldMore = isNear ? 0 : Math.max(0, held - this.#heldAtFloorBytes);
    const mostBytes = Math.max(limitBytes * WATCHED_SHARE, this.#floorBytes + limitBytes * GROWTH_SHARE + heldMore);
    if (bytes > mostBytes && isDue) {
      const hasHelped = this.#floorBytes < this.#collectedAtBytes - limitBytes * HELP_SHARE;
      collect(hasHelped && !isNear ? "young" : "all");
      this.#collectedMs = nowMs;
      this.#setFloor(bytes, held);
      this.#collectedAtBytes = bytes;
    }
    return isNear;
  }

  #setFloor(bytes: number, held: number): void {
    this.#floorBytes = bytes;
    this.#heldAtFloorBytes = held;
  }
}
