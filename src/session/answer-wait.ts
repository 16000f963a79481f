/** Waits for the pieces of one answer of the backend's, none of them for ever. */
import { SYSTEM_CLOCK } from "../base/clock.ts";
import { QuerycopError } from "../base/errors.ts";
import type { BackendGate } from "./backend-gate.ts";
import type { BackendOptions } from "./listener-options.ts";

interface Answer {
  /** Whether its first packet has come whole. */
  readonly hasWholePacket: boolean;
  readonly bytes: number;
}

/**
 * Until the first packet is whole, response_timeout counts: a server sends the packet that says how a statement went, or
 * what its rows look like, in one go. From then on, and between the bytes of that packet, progress_timeout does: rows may
 * be looked for as long as that.
 */
export class AnswerWait {
  readonly #backend: BackendGate;
  readonly #answer: Answer;
  readonly #responseTimeoutMs: number;
  readonly #progressTimeoutMs: number;
  /** Looked at where there is a response_timeout only: to read the clock is a good part of what a statement costs. */
  readonly #beganMs: number;

  constructor(backend: BackendGate, answer: Answer, options: BackendOptions) {
    this.#backend = backend;
    this.#answer = answer;
    this.#responseTimeoutMs = options.responseTimeoutMs;
    this.#progressTimeoutMs = options.progressTimeoutMs;
    this.#beganMs = options.responseTimeoutMs > 0 ? SYSTEM_CLOCK.monotonicMs() : 0;
  }

  /**
   * Resolves when there may be another chunk to take; ask `takeChunk()` first. Throws or rejects with QC_BACKEND_CLOSED when
   * the backend has gone away, and with QC_BACKEND_TIMEOUT when it is late; the connection has then ended, because the answer
   * may still come and must not be taken for the next one's. Without a limit this is the backend's own promise and no other:
   * every statement waits here once.
   */
  event(): Promise<void> {
    if (this.#backend.isFinished) throw backendClosed();
    const hasLimit = !this.#answer.hasWholePacket && this.#responseTimeoutMs > 0;
    return hasLimit || this.#answer.bytes > 0 ? this.#eventWithin(hasLimit) : this.#backend.nextEvent();
  }

  async #eventWithin(hasLimit: boolean): Promise<void> {
    const firstMs = hasLimit ? Math.max(1, this.#leftMs()) : Number.POSITIVE_INFINITY;
    const silenceMs = this.#answer.bytes > 0 ? this.#progressTimeoutMs : Number.POSITIVE_INFINITY;
    if (await this.#backend.nextEventWithin(Math.min(firstMs, silenceMs))) return;
    throw firstMs <= silenceMs ? noAnswer(this.#responseTimeoutMs) : noProgress(this.#progressTimeoutMs);
  }

  #leftMs(): number {
    return this.#beganMs + this.#responseTimeoutMs - SYSTEM_CLOCK.monotonicMs();
  }
}

function backendClosed(): QuerycopError {
  return new QuerycopError("QC_BACKEND_CLOSED", "The backend closed the connection inside a response");
}

function noAnswer(ms: number): QuerycopError {
  const text = `The backend did not begin its answer within ${ms} ms (GATEKEEPER_BACKEND_RESPONSE_TIMEOUT)`;
  return new QuerycopError("QC_BACKEND_TIMEOUT", text);
}

function noProgress(ms: number): QuerycopError {
  const text = `The backend sent nothing for ${ms} ms inside an answer (GATEKEEPER_BACKEND_PROGRESS_TIMEOUT)`;
  return new QuerycopError("QC_BACKEND_TIMEOUT", text);
}
