/** What a second parser said about statement shapes: asked once per shape, remembered, never waited for. */

import type { Analysis } from "../sql/facts.ts";
import { type Advice, addsFacts, adviceWithout, isWorthAsking } from "../sql/second-opinion/advice.ts";
import { VerdictCache } from "./verdict-cache.ts";

/** Who is asked. The answer may come late, and never rejects. */
export interface Advisor {
  secondOpinion(analysis: Analysis): Promise<Advice>;
}

/** A shape about which the two parsers differ. */
export interface OpinionReport {
  /** The decision that was taken before the opinion was known. */
  readonly decisionId: string;
  readonly digest: string;
  readonly advice: Advice;
}

export interface OpinionsOptions {
  readonly advisor: Advisor;
  readonly onDisagreement: (report: OpinionReport) => void;
  /** A verdict under this cache key was reached without an opinion that now adds to it. */
  readonly onStale: (cacheKey: string) => void;
}

/** A verdict for which an opinion is wanted. */
export interface OpinionCase {
  /** By which rules the text was read. */
  readonly reading: string;
  readonly cacheKey: string | undefined;
  readonly decisionId: string;
}

/** Some ten thousand shapes. */
const MEMORY_BYTES_MAX = 8 * 1024 * 1024;
/** No digest of a text that is short enough to be asked about is longer. */
const SHAPE_BYTES_MAX = 128 * 1024;
/** Questions that may be open at a time; the advisor's own queue is no longer. */
const PENDING_MAX = 64;
/** Verdicts of one shape that may wait for its opinion: users, schemas and transaction states each have their own. */
const WAITING_KEYS_MAX = 256;

const NOT_ASKED = adviceWithout("skipped");

/**
 * Opinions by digest: two texts of one digest differ only in literals and the lengths of lists, on which no part of an
 * opinion depends. The first sight of a shape gets no opinion; it asks for one.
 */
export class Opinions {
  readonly #advisor: Advisor;
  readonly #onDisagreement: OpinionsOptions["onDisagreement"];
  readonly #onStale: OpinionsOptions["onStale"];
  readonly #memory = new VerdictCache<Advice>({
    bytesMax: MEMORY_BYTES_MAX,
    keyBytesMax: SHAPE_BYTES_MAX,
    admitsAtOnce: true,
  });
  /** Answers by outcome. */
  readonly counts = new Map<Advice["outcome"], number>();
  /** Cache keys of the verdicts that were reached since the question was put. */
  readonly #pending = new Map<string, Set<string>>();

  constructor(options: OpinionsOptions) {
    this.#advisor = options.advisor;
    this.#onDisagreement = options.onDisagreement;
    this.#onStale = options.onStale;
  }

  /** What is known of the text's shape; undefined when nothing is: then the question is put, and a later text may know. */
  adviceOn(analysis: Analysis, { reading, cacheKey, decisionId }: OpinionCase): Advice | undefined {
    if (!isWorthAsking(analysis)) return NOT_ASKED;
    // One digest means different things under another sql_mode or dialect.
    const shape = `${reading}\n${analysis.digest}`;
    const known = this.#memory.lookUp(shape);
    if (known !== undefined) return known;
    let waiting = this.#pending.get(shape);
    if (waiting === undefined) {
      if (this.#pending.size >= PENDING_MAX) return undefined;
      waiting = new Set();
      this.#pending.set(shape, waiting);
      this.#ask(analysis, shape, decisionId, waiting);
    }
    if (cacheKey !== undefined && waiting.size < WAITING_KEYS_MAX) waiting.add(cacheKey);
    return undefined;
  }

  #ask(analysis: Analysis, shape: string, decisionId: string, waiting: ReadonlySet<string>): void {
    const { digest } = analysis;
    const arrive = (advice: Advice): void => {
      this.#pending.delete(shape);
      this.counts.set(advice.outcome, (this.counts.get(advice.outcome) ?? 0) + 1);
      // Nobody was asked: the next text of the shape tries again.
      if (advice.outcome !== "busy") this.#memory.offer(shape, advice);
      if (!addsFacts(advice)) return;
      for (const cacheKey of waiting) this.#onStale(cacheKey);
      if (advice.disagreements.length > 0) this.#onDisagreement({ decisionId, digest, advice });
    };
    this.#advisor.secondOpinion(analysis).then(arrive, () => this.#pending.delete(shape));
  }
}
