/** Which addresses of a listener's backend take writes, as far as is known, and who is connected to them. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";

/** Whoever ends when the address it is connected to has become a reader. */
export interface WriterMember {
  /** Ends the session as soon as it is between two commands and outside a transaction. */
  leave(): void;
}

interface Known {
  readonly isWriter: boolean;
  atMs: number;
}

/** How long an answer is believed. */
const KNOWN_MS = 1_000;
/** A name has 16 addresses at most; these are the ones it had lately. */
const ADDRESSES_MAX = 64;

interface WriterWatchOptions {
  /** How long a login looks for a writer. */
  readonly failoverWaitMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, "backendDemotions">;
}

export class WriterWatch {
  readonly failoverWaitMs: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #metrics: WriterWatchOptions["metrics"];
  readonly #known = new Map<string, Known>();
  readonly #members = new Map<string, Set<WriterMember>>();
  #readerSeenMs = Number.NEGATIVE_INFINITY;

  constructor({ failoverWaitMs, clock, logger, metrics }: WriterWatchOptions) {
    this.failoverWaitMs = failoverWaitMs;
    this.#clock = clock;
    this.#logger = logger;
    this.#metrics = metrics;
  }

  /** Whether the address was found to take writes a moment ago. */
  isWriter(address: string): boolean {
    const known = this.#known.get(address);
    return known?.isWriter === true && !this.#isOld(known);
  }

  /** Whether not to dial an address. Of all that ask about a reader, one a second is told to go and see. */
  isAvoided(address: string): boolean {
    const known = this.#known.get(address);
    if (known === undefined || known.isWriter) return false;
    if (!this.#isOld(known)) return true;
    known.atMs = this.#clock.monotonicMs();
    return false;
  }

  /** Whether a reader was met within the time that a login looks for a writer. */
  get isTurning(): boolean {
    return this.#clock.monotonicMs() - this.#readerSeenMs < this.failoverWaitMs;
  }

  /** What a server has said of itself. Sessions on one that has become a reader are told to leave. */
  learn(address: string, isWriter: boolean): void {
    const before = this.#known.get(address);
    const nowMs = this.#clock.monotonicMs();
    this.#known.delete(address);
    this.#known.set(address, { isWriter, atMs: nowMs });
    const [oldest] = this.#known.keys();
    if (this.#known.size > ADDRESSES_MAX && oldest !== undefined) this.#known.delete(oldest);
    if (isWriter) {
      if (before?.isWriter === false) this.#logger.info("backend takes writes again", { backend: address });
      return;
    }
    this.#readerSeenMs = nowMs;
    const members = [...(this.#members.get(address) ?? [])];
    if (before?.isWriter !== false) {
      this.#metrics.backendDemotions.value++;
      this.#logger.warn("backend is a reader", { backend: address, sessions: members.length });
    }
    for (const member of members) member.leave();
  }

  /** A session is connected to this address from now on. */
  join(address: string, member: WriterMember): void {
    const members = this.#members.get(address);
    if (members === undefined) this.#members.set(address, new Set([member]));
    else members.add(member);
    const known = this.#known.get(address);
    if (known !== undefined && !known.isWriter && !this.#isOld(known)) member.leave();
  }

  part(address: string, member: WriterMember): void {
    const members = this.#members.get(address);
    if (members === undefined) return;
    members.delete(member);
    if (members.size === 0) this.#members.delete(address);
  }

  #isOld({ atMs }: Known): boolean {
    return this.#clock.monotonicMs() - atMs >= KNOWN_MS;
  }
}
