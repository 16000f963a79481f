/**
 * What is late in a session that carries out commands. It is looked for by a sweep over all of them, every second or so:
 * no message and no answer has a timer of its own.
 */
import { QuerycopError } from "../../base/errors.ts";
import type { ListenerOptions } from "../listener-options.ts";
import type { ClientLeg } from "./client-leg.ts";
import type { BackendRelay } from "./relay/backend-relay.ts";
import type { RelayContext } from "./relay/relay-context.ts";

type Options = Pick<ListenerOptions, "packetTimeoutMs" | "backend">;

/** Gives the client an error in place of more, when it has begun a message too long ago. */
export function failLateClient(client: ClientLeg, { packetTimeoutMs }: Options, nowMs: number): void {
  if (!client.isRestAwaited || packetTimeoutMs === 0 || nowMs - client.partialSinceMs <= packetTimeoutMs) return;
  const text = `The client did not finish a message within ${packetTimeoutMs} ms (GATEKEEPER_CLIENT_PACKET_TIMEOUT)`;
  client.fail(new QuerycopError("QC_CLIENT_TIMEOUT", text, { clientMessage: `querycop: ${text}` }));
}

/**
 * The silence of a backend that owes an answer: response_timeout bounds it before an answer, progress_timeout within one.
 * It counts from the first look at which the answer was owed and nothing was there to take.
 */
export class AnswerDeadline {
  readonly #relay: RelayContext;
  readonly #answers: BackendRelay;
  #bytesSeen = -1;
  #silentSinceMs = 0;

  constructor(relay: RelayContext, answers: BackendRelay) {
    this.#relay = relay;
    this.#answers = answers;
  }

  /** Ends the connection to the backend when it is late: the answer may still come, and must not be taken for another. */
  look(nowMs: number): void {
    const { backend, queue, services } = this.#relay;
    // What it is not asked for it need not send; a message that it has begun it has to finish.
    const isOwed = !backend.walker.isBetweenMessages || queue.owesAnswer;
    if (!this.#answers.isAwaiting || !isOwed) {
      this.#bytesSeen = -1;
      return;
    }
    const { bytesRead } = backend;
    if (bytesRead !== this.#bytesSeen) {
      this.#bytesSeen = bytesRead;
      this.#silentSinceMs = nowMs;
      return;
    }
    const { responseTimeoutMs, progressTimeoutMs } = services.options.backend;
    const isInside = this.#answers.isInsideAnswer;
    const limitMs = isInside ? progressTimeoutMs : responseTimeoutMs || Number.POSITIVE_INFINITY;
    if (nowMs - this.#silentSinceMs <= limitMs) return;
    const text = isInside
      ? `The backend sent nothing for ${limitMs} ms inside an answer (GATEKEEPER_BACKEND_PROGRESS_TIMEOUT)`
      : `The backend did not begin its answer within ${limitMs} ms (GATEKEEPER_BACKEND_RESPONSE_TIMEOUT)`;
    this.#relay.cancelRunning();
    backend.fail(new QuerycopError("QC_BACKEND_TIMEOUT", text));
  }
}

/** Does `act` when `progress` has stood still from one look to the next; it gives undefined when that is no matter any more. */
export function whenStill(intervalMs: number, progress: () => number | undefined, act: () => void): void {
  let seen = progress();
  const timer = setInterval(() => {
    const now = progress();
    if (now !== undefined && now !== seen) {
      seen = now;
      return;
    }
    clearInterval(timer);
    if (now !== undefined) act();
  }, intervalMs);
  timer.unref();
}
