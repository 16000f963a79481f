/** Carries one response from the backend to the client, as chunks. */
import { QuerycopError } from "../base/errors.ts";
import type { ResponseEnd, ResponseTracker } from "../mysql/response.ts";
import type { BackendGate } from "./backend-gate.ts";
import type { CommandContext } from "./command-context.ts";
import { requireJudgedFile } from "./local-infile.ts";
import type { Judgement } from "./statement-judge.ts";

/**
 * Forwards chunks unchanged until the tracker has seen the end of the response. Throws QC_BACKEND_CLOSED when the
 * backend goes away inside it, and QC_BACKEND_PROTOCOL when it sends what no response holds.
 * A client that is gone does not end the relay: the server runs the statement to its end, and the record wants to say how.
 */
export async function relayResponse(
  context: CommandContext,
  tracker: ResponseTracker,
  judgement: Judgement | undefined,
): Promise<ResponseEnd> {
  const { backend } = context;
  const client = context.client.leg;
  const { responseTimeoutMs } = context.services.options.backend;
  for (;;) {
    const chunk = backend.takeChunk();
    if (chunk === undefined) {
      if (backend.isFinished) throw backendClosed();
      if (tracker.bytes === 0 && responseTimeoutMs > 0) await awaitAnswer(backend, responseTimeoutMs);
      else await backend.nextEvent();
      continue;
    }
    const consumed = tracker.feed(chunk);
    const end = tracker.end;
    if (end?.outcome === "local-infile") requireJudgedFile(context, end, judgement);
    context.isInsideResponse = true;
    if (consumed < chunk.length) {
      client.write(chunk.subarray(0, consumed));
      const text = `The backend sent ${chunk.length - consumed} bytes behind the end of a response`;
      throw new QuerycopError("QC_BACKEND_PROTOCOL", text);
    }
    if (!client.write(chunk)) await drainClient(context);
    if (end !== undefined) return end;
  }
}

/** The connection ends with the wait: the answer may still come, and must not be taken for the next one's. */
async function awaitAnswer(backend: BackendGate, timeoutMs: number): Promise<void> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    backend.destroy();
  }, timeoutMs);
  await backend.nextEvent();
  clearTimeout(timer);
  if (!isLate) return;
  throw new QuerycopError("QC_BACKEND_TIMEOUT", `The backend did not begin its answer within ${timeoutMs} ms`, {
    clientMessage: "querycop: the backend did not answer in time (GATEKEEPER_BACKEND_RESPONSE_TIMEOUT)",
  });
}

function backendClosed(): QuerycopError {
  return new QuerycopError("QC_BACKEND_CLOSED", "The backend closed the connection inside a response", {
    clientMessage: "querycop: lost connection to the backend during the query",
  });
}

/** A client that accepts nothing holds the backend's resources: after the write timeout its leg is ended. */
async function drainClient(context: CommandContext): Promise<void> {
  const { leg } = context.client;
  const timer = setTimeout(() => {
    context.endReason ??= "timeout";
    leg.destroy();
  }, context.services.options.writeTimeoutMs);
  await leg.drained();
  clearTimeout(timer);
}

/** As for the client, for a backend that does not take a large statement. */
export function drainBackend(backend: BackendGate, timeoutMs: number): Promise<void> {
  return backend.drainedWithin(timeoutMs);
}
