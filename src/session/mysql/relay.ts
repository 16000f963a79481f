/** Carries one response from the backend to the client, as chunks. */
import { concatBytes } from "../../base/bytes.ts";
import { QuerycopError } from "../../base/errors.ts";
import { encodeErrPacket } from "../../mysql/generic-response.ts";
import { encodePacket } from "../../mysql/packet.ts";
import type { ResponseEnd, ResponseTracker } from "../../mysql/response.ts";
import { AnswerWait } from "../answer-wait.ts";
import type { Admission } from "../limits/data-guard.ts";
import { tellCut } from "../limits/data-guard-record.ts";
import type { Judgement } from "../statement/statement-judge.ts";
import type { CommandContext } from "./command-context.ts";
import { discardRest, stopStatement } from "./discarded-response.ts";
import { errPacketOf } from "./local-answer.ts";
import { requireJudgedFile } from "./local-infile.ts";

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
  const { dataGuard } = context;
  let held: Uint8Array = NO_BYTES;
  const wait = new AnswerWait(backend, tracker, context.services.options.backend);
  for (;;) {
    const chunk = backend.takeChunk();
    if (chunk === undefined) {
      await wait.event();
      continue;
    }
    const admission = dataGuard.admit(tracker, chunk);
    const end = tracker.end;
    if (end?.outcome === "local-infile") requireJudgedFile(context, end, judgement);
    context.isInsideResponse = true;
    if (admission.cut !== undefined) return await cutOff(context, tracker, chunk, held, admission);
    const { forwardBytes } = admission;
    const isWhole = forwardBytes === chunk.length;
    const heldNext = admission.isHeldBack ? heldBack(held, chunk, admission) : NO_BYTES;
    const isTaken = forward(
      context,
      tracker,
      held,
      isWhole ? chunk : chunk.subarray(0, forwardBytes),
      end === undefined,
    );
    held = heldNext;
    if (end !== undefined && admission.fedBytes < chunk.length) {
      const text = `The backend sent ${chunk.length - admission.fedBytes} bytes behind the end of a response`;
      throw new QuerycopError("QC_BACKEND_PROTOCOL", text);
    }
    if (!isTaken) await drainClient(context);
    if (end !== undefined) return end;
  }
}

const NO_BYTES = new Uint8Array(0);

/** Writes what may go to the client, behind the piece of a header that was held back from it. */
function forward(
  context: CommandContext,
  tracker: ResponseTracker,
  held: Uint8Array,
  bytes: Uint8Array,
  isGiven = false,
): boolean {
  const { leg } = context.client;
  if (bytes.length === 0) return true;
  context.dataGuard.forwarded(held.length + bytes.length, tracker.rows);
  if (held.length > 0) leg.write(held);
  return leg.write(bytes, isGiven);
}

/** A piece of a header, which may come one byte at a time. */
function heldBack(held: Uint8Array, chunk: Uint8Array, { forwardBytes }: Admission): Uint8Array {
  const rest = chunk.slice(forwardBytes);
  return forwardBytes > 0 ? rest : concatBytes([held, rest]);
}

/**
 * Ends the client's response with an error, and the backend's by stopping its statement. Throws QC_DATA_GUARD, and with
 * that ends the connection, where the client has a part of a packet already or the backend does not stop.
 */
async function cutOff(
  context: CommandContext,
  tracker: ResponseTracker,
  chunk: Uint8Array,
  held: Uint8Array,
  admission: Admission,
): Promise<ResponseEnd> {
  const { client, dataGuard, services } = context;
  const limit = admission.cut ?? "max_response_mb";
  forward(context, tracker, held, chunk.subarray(0, admission.forwardBytes));
  dataGuard.cut(limit, tracker);
  tracker.rowsMax = Number.POSITIVE_INFINITY;
  tellCut(context, limit);
  const error = dataGuard.errorFor(limit);
  if (!admission.hasBoundary && held.length === 0) {
    services.dataGuardCounts.connectionsEnded++;
    throw error;
  }
  client.leg.write(encodePacket(encodeErrPacket(errPacketOf(error)), (tracker.lastSequenceId + 1) & 0xff));
  if (dataGuard.limits.limitAction === "terminate") {
    services.dataGuardCounts.connectionsEnded++;
    await stopStatement(context);
    throw error;
  }
  return await discardRest(context, tracker, chunk.subarray(admission.fedBytes));
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
