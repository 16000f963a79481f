/**
 * Keeps the process below its memory limit. The runtime lets garbage grow with the machine's memory, of which a container
 * has a part: what nobody holds any more is collected when the process has grown by some share of its limit, and near the
 * limit nothing large is begun. What was let go lately is looked for first; all, which keeps sessions waiting, where that
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
  readonly collect: (what: "young" | "all") => void;
}

export class GarbageWatch {
  readonly #options: GarbageWatchOptions;
  /** The least that was seen since the last collection. */
  #floorBytes = 0;
  #collectedMs = Number.NEGATIVE_INFINITY;
  /** What was in memory then. */
  #collectedAtBytes = Number.POSITIVE_INFINITY;

  constructor(options: GarbageWatchOptions) {
    this.#options = options;
  }

  /** Looks at the process now; true when it is so near its limit that little should be begun. */
  look(nowMs: number): boolean {
    const { limitBytes, residentBytes, collect } = this.#options;
    const bytes = residentBytes();
    this.#floorBytes = Math.min(this.#floorBytes, bytes);
    const isDue = nowMs - this.#collectedMs >= GAP_MS;
    const mostBytes = Math.max(limitBytes * WATCHED_SHARE, this.#floorBytes + limitBytes * GROWTH_SHARE);
    if (bytes > mostBytes && isDue) {
      const hasHelped = this.#floorBytes < this.#collectedAtBytes - limitBytes * HELP_SHARE;
      const isNear = bytes > limitBytes * SQUEEZED_SHARE;
      collect(hasHelped && !isNear ? "young" : "all");
      this.#collectedMs = nowMs;
      this.#floorBytes = bytes;
      this.#collectedAtBytes = bytes;
    }
    return bytes > limitBytes * SQUEEZED_SHARE;
  }
}
