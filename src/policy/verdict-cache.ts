/** Remembers verdicts by what they depend on. Bounded by bytes; never the reason that something is allowed. */

export interface VerdictCacheOptions {
  /** All keys and entries together; 0 switches the cache off. */
  readonly bytesMax: number;
  /** Longest key kept; longer texts are judged every time. */
  readonly keyBytesMax?: number;
  /** Admit a key on its first sighting. */
  readonly admitsAtOnce?: boolean;
}

export interface VerdictCacheCounts {
  readonly hits: number;
  readonly misses: number;
  readonly entries: number;
  readonly bytes: number;
}

/** What a Map entry costs beside its strings, measured on Bun and rounded up. */
const ENTRY_OVERHEAD_BYTES = 200;

/** Keys seen once and not yet admitted. */
const CANDIDATE_COUNT_MAX = 8192;

/**
 * A map that admits a key on its second sighting, so that one-off texts (literals in names, generated reports) do not
 * push out the shapes an application repeats. Evicts the oldest half-generation when full, which keeps hot keys
 * without moving an entry on every hit.
 */
export class VerdictCache<Verdict> {
  readonly #bytesMax: number;
  readonly #keyBytesMax: number;
  readonly #admitsAtOnce: boolean;
  /** Two generations: hits in the old one move to the young one; when the young one is half the budget, the old one goes. */
  #young = new Map<string, Verdict>();
  #old = new Map<string, Verdict>();
  #youngBytes = 0;
  #oldBytes = 0;
  #candidates = new Set<string>();
  #hits = 0;
  #misses = 0;

  constructor(options: VerdictCacheOptions) {
    this.#bytesMax = options.bytesMax;
    this.#keyBytesMax = options.keyBytesMax ?? 8192;
    this.#admitsAtOnce = options.admitsAtOnce ?? false;
  }

  lookUp(key: string): Verdict | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) {
      this.#hits++;
      return young;
    }
    const old = this.#old.get(key);
    if (old === undefined) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    this.#old.delete(key);
    this.#oldBytes -= costOf(key);
    this.#insert(key, old);
    return old;
  }

  /** Offers a verdict after a miss. Kept from the second offer of the same key on. */
  offer(key: string, verdict: Verdict): void {
    if (this.#bytesMax === 0 || key.length * 2 > this.#keyBytesMax) return;
    if (!this.#admitsAtOnce && !this.#candidates.delete(key)) {
      if (this.#candidates.size >= CANDIDATE_COUNT_MAX) this.#candidates.clear();
      this.#candidates.add(key);
      return;
    }
    this.#insert(key, verdict);
  }

  /** Forgets one key, so that it is judged anew. */
  forget(key: string): void {
    this.#candidates.delete(key);
    if (this.#young.delete(key)) this.#youngBytes -= costOf(key);
    if (this.#old.delete(key)) this.#oldBytes -= costOf(key);
  }

  /** Forgets everything, as after a policy change. */
  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#candidates.clear();
    this.#youngBytes = 0;
    this.#oldBytes = 0;
  }

  counts(): VerdictCacheCounts {
    return {
      hits: this.#hits,
      misses: this.#misses,
      entries: this.#young.size + this.#old.size,
      bytes: this.#youngBytes + this.#oldBytes,
    };
  }

  #insert(key: string, verdict: Verdict): void {
    const cost = costOf(key);
    if (this.#youngBytes + cost > this.#bytesMax / 2) {
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, verdict);
    this.#youngBytes += cost;
  }
}

/** Strings with a character above 0xff take two bytes per character; every key is counted so. */
function costOf(key: string): number {
  return key.length * 2 + ENTRY_OVERHEAD_BYTES;
}
