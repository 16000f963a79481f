/** Statements that querycop puts to the server by itself: on record as its own, before they are sent. */
import { encodeUtf8 } from "../../../base/bytes.ts";
import { QuerycopError } from "../../../base/errors.ts";
import { encodeQuery } from "../../../mysql/command.ts";
import { encodePacket } from "../../../mysql/packet.ts";
import { type ResponseEnd, ResponseTracker } from "../../../mysql/response.ts";
import { AnswerWait } from "../../answer-wait.ts";
import type { CommandContext } from "../command-context.ts";

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
  await recordOwn(context, purpose, sql);
  return await readAnswer(context, put(context, purpose, encodeUtf8(sql)));
}

/** As runOwn(), for what touches no data: it is not on record, and a server that takes longer than this is given up. */
export async function runUnrecorded(
  context: CommandContext,
  { purpose, sql, timeoutMs }: { readonly purpose: string; readonly sql: Uint8Array; readonly timeoutMs: number },
): Promise<ResponseEnd> {
  return await givenUpAfter(context, purpose, timeoutMs, () => readAnswer(context, put(context, purpose, sql)));
}

/** Ends the connection with a server that takes longer: its answer may still come, and is not the next one's. */
export async function givenUpAfter<Value>(
  context: CommandContext,
  purpose: string,
  timeoutMs: number,
  work: () => Promise<Value>,
): Promise<Value> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    context.backend.destroy();
  }, timeoutMs);
  try {
    return await work();
  } catch (thrown) {
    if (!isLate) throw thrown;
    throw new QuerycopError("QC_BACKEND_TIMEOUT", `The backend did not answer ${purpose} within ${timeoutMs} ms`);
  } finally {
    clearTimeout(timer);
  }
}

function put({ backend, state }: CommandContext, purpose: string, sql: Uint8Array): ResponseTracker {
  backend.send({ kind: "own", purpose }, encodePacket(encodeQuery(sql, state.capabilities.flags), 0));
  return new ResponseTracker({ shape: "query", capabilities: state.capabilities });
}

/** Reads a response that nobody is to see, or not yet; `take` gets its chunks. */
export async function readAnswer(
  { backend, services }: CommandContext,
  tracker: ResponseTracker,
  take?: (chunk: Uint8Array) => void,
): Promise<ResponseEnd> {
  const wait = new AnswerWait(backend, tracker, services.options.backend);
  for (;;) {
    const chunk = backend.takeChunk();
    if (chunk === undefined) {
      await wait.event();
      continue;
    }
    const fed = tracker.feed(chunk);
    if (fed < chunk.length) {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend sent bytes behind the end of a response");
    }
    take?.(chunk);
    if (tracker.resultSets > 0 || tracker.end?.outcome === "local-infile") {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend sent rows where a statement has none");
    }
    if (tracker.end !== undefined) return tracker.end;
  }
}
