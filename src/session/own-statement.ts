/** Statements that querycop puts to the server by itself: on record as its own, before they are sent. */
import { encodeUtf8 } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import { encodeQuery } from "../mysql/command.ts";
import { encodePacket } from "../mysql/packet.ts";
import { type ResponseEnd, ResponseTracker } from "../mysql/response.ts";
import type { CommandContext } from "./command-context.ts";

/** Throws where it cannot be recorded: then it must not be sent. */
export async function recordOwn(context: CommandContext, purpose: string, text: string): Promise<void> {
  if (!context.services.audit.isKept) return;
  await context.record({
    type: "own-statement",
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    purpose,
    text,
  });
}

/**
 * Puts a statement without rows to the session's own connection and waits for its end, as long as for a client's.
 * Throws QC_BACKEND_CLOSED when the backend is lost, and then nobody knows whether it ran.
 */
export async function runOwn(context: CommandContext, purpose: string, sql: string): Promise<ResponseEnd> {
  const { backend, state } = context;
  await recordOwn(context, purpose, sql);
  const tracker = new ResponseTracker({ shape: "query", capabilities: state.capabilities });
  const wire = encodePacket(encodeQuery(encodeUtf8(sql), state.capabilities.flags), 0);
  backend.send({ kind: "own", purpose }, wire);
  return await readAnswer(context, tracker);
}

/** Reads a response that nobody is to see, or not yet; `take` gets its chunks. */
export async function readAnswer(
  context: CommandContext,
  tracker: ResponseTracker,
  take: (chunk: Uint8Array) => void = () => undefined,
): Promise<ResponseEnd> {
  const { backend } = context;
  for (;;) {
    const chunk = backend.takeChunk();
    if (chunk === undefined) {
      if (backend.isFinished) throw new QuerycopError("QC_BACKEND_CLOSED", "The backend closed inside a response");
      await backend.nextEvent();
      continue;
    }
    const fed = tracker.feed(chunk);
    if (fed < chunk.length) {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend sent bytes behind the end of a response");
    }
    take(chunk);
    if (tracker.resultSets > 0 || tracker.end?.outcome === "local-infile") {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend sent rows where a statement has none");
    }
    if (tracker.end !== undefined) return tracker.end;
  }
}
