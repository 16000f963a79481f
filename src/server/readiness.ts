/** Whether clients can be served now: what /readyz says. */
import { SYSTEM_CLOCK } from "../base/clock.ts";
import { toQuerycopError } from "../base/errors.ts";
import type { SessionWing } from "../session/live-session.ts";
import type { SessionServices } from "../session/session-services.ts";

export interface ReadinessCheck {
  readonly name: string;
  readonly ok: boolean;
  /** In words of our own: for readers without a key as well. */
  readonly detail: string;
}

export interface Readiness {
  readonly isReady: boolean;
  /** The first check that failed. */
  readonly reason: string | undefined;
  readonly checks: readonly ReadinessCheck[];
}

/** How long a handshake that was seen to succeed speaks for the backend. */
const FRESH_MS = 10_000;
/** Shortest time between two probes: how long a failure speaks for it. */
const PROBE_PAUSE_MS = 1_000;
/** Who asks waits this long for a new answer, and then gets the one before. */
const WAIT_MS = 2_000;

interface ProbeResult {
  readonly failure: string | undefined;
  readonly atMs: number;
  readonly failuresSeen: number;
}

/** The state of one listener's backend: at most one connection of its own at a time, however many ask. */
export class BackendReadiness {
  readonly #wing: Pick<SessionWing, "probe">;
  readonly #services: SessionServices;
  #last: ProbeResult | undefined;
  #pending: Promise<void> | undefined;
  readonly #stop = new AbortController();

  constructor(wing: Pick<SessionWing, "probe">, services: SessionServices) {
    this.#wing = wing;
    this.#services = services;
  }

  async check(): Promise<ReadinessCheck> {
    const name = `backend of ${this.#services.options.name}`;
    if (!this.#isFresh()) await this.#refresh();
    const failure = this.#last === undefined ? "no answer yet" : this.#last.failure;
    return { name, ok: failure === undefined, detail: failure ?? "completed a handshake" };
  }

  close(): void {
    this.#stop.abort();
  }

  /** A failure is looked at again soon, and so is a success that a session has not had since. */
  #isFresh(): boolean {
    if (this.#last === undefined) return false;
    const ageMs = SYSTEM_CLOCK.monotonicMs() - this.#last.atMs;
    const hasNewFailures = this.#services.metrics.backendConnectFailures.value !== this.#last.failuresSeen;
    return ageMs < (hasNewFailures || this.#last.failure !== undefined ? PROBE_PAUSE_MS : FRESH_MS);
  }

  async #refresh(): Promise<void> {
    this.#pending ??= this.#probe().finally(() => {
      this.#pending = undefined;
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), WAIT_MS);
    });
    const outcome = await Promise.race([this.#pending, late]);
    clearTimeout(timer);
    // What was known too long ago is not known.
    if (outcome === "late") this.#note("backend does not answer");
  }

  async #probe(): Promise<void> {
    let failure: string | undefined;
    try {
      await this.#wing.probe(this.#services, this.#stop.signal);
    } catch (thrown) {
      const { code, message } = toQuerycopError(thrown);
      failure = WORDS[code] ?? "not usable";
      if (this.#last?.failure !== failure) this.#services.logger.warn("backend not ready", { code, error: message });
    }
    if (failure === undefined && this.#last?.failure !== undefined) this.#services.logger.info("backend ready again");
    this.#note(failure);
  }

  #note(failure: string | undefined): void {
    const failuresSeen = this.#services.metrics.backendConnectFailures.value;
    this.#last = { failure, atMs: SYSTEM_CLOCK.monotonicMs(), failuresSeen };
  }
}

const WORDS: Readonly<Record<string, string>> = {
  QC_BACKEND_UNREACHABLE: "backend unreachable",
  QC_BACKEND_DNS: "backend name not found",
  QC_BACKEND_TIMEOUT: "backend does not answer",
  QC_BACKEND_CLOSED: "backend closes connections",
  QC_BACKEND_TLS: "backend TLS fails",
  QC_BACKEND_TLS_NOT_OFFERED: "backend offers no TLS",
  QC_BACKEND_REFUSED: "backend refuses connections",
};

export function readinessOf(checks: readonly ReadinessCheck[]): Readiness {
  const failed = checks.find(({ ok }) => !ok);
  return { isReady: failed === undefined, reason: failed?.detail, checks };
}
