/** Stops a statement whose response was cut off, and reads the rest of that response to its end so that the session can go on. */
import { encodeUtf8 } from "../../base/bytes.ts";
import { QuerycopError, toQuerycopError } from "../../base/errors.ts";
import { encodePacket } from "../../mysql/packet.ts";
import type { ResponseEnd, ResponseTracker } from "../../mysql/response.ts";
import { logsInAlone } from "../accounts/login-tokens.ts";
import { malformedFrom } from "../malformed.ts";
import type { CommandContext } from "./command-context.ts";
import { withSideLogin } from "./login/side-login.ts";
import { recordOwn, runUnrecorded } from "./statements/own-statement.ts";

const ER_QUERY_INTERRUPTED = 1317;

/**
 * Reads and throws away, without ever pausing the backend, while a KILL QUERY is on its way if there is a token to log
 * in with. Resolves with the response's own end. Throws QC_DATA_GUARD when the time or the bytes for that run out.
 */
export async function discardRest(
  context: CommandContext,
  tracker: ResponseTracker,
  rest: Uint8Array,
): Promise<ResponseEnd> {
  const { backend, dataGuard, services } = context;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  const killing = logsInAlone(services) ? killQuery(context, signal) : undefined;
  const timer = setTimeout(() => backend.destroy(), dataGuard.limits.discardTimeoutMs);
  try {
    const end = await readToEnd(context, tracker, rest);
    over.abort();
    if ((await killing) === true) await absorbKill(context, end);
    return end;
  } catch (thrown) {
    services.dataGuardCounts.connectionsEnded++;
    throw thrown;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

async function readToEnd(context: CommandContext, tracker: ResponseTracker, rest: Uint8Array): Promise<ResponseEnd> {
  const { backend, dataGuard } = context;
  const bytesMax = tracker.bytes + dataGuard.limits.discardBytesMax;
  let chunk: Uint8Array | undefined = rest;
  for (;;) {
    const consumed = tracker.feed(chunk);
    if (tracker.end !== undefined && consumed < chunk.length) {
      throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend sent bytes behind the end of a response");
    }
    if (tracker.end !== undefined && tracker.end.outcome !== "local-infile") return tracker.end;
    if (tracker.end !== undefined) sendNoFile(context, tracker, tracker.end);
    if (tracker.bytes > bytesMax) throw unstopped();
    chunk = backend.takeChunk();
    while (chunk === undefined) {
      if (backend.isFinished) throw unstopped();
      await backend.nextEvent();
      chunk = backend.takeChunk();
    }
  }
}

/** A later statement of the text asks for a file. The client no longer takes part: the server gets none. */
function sendNoFile(context: CommandContext, tracker: ResponseTracker, end: ResponseEnd): void {
  const sequenceId = (end.lastSequenceId + 1) & 0xff;
  context.backend.send({ kind: "own", purpose: "no-file" }, encodePacket(new Uint8Array(0), sequenceId));
  tracker.resumeAfterLocalInfile(sequenceId);
}

function unstopped(): QuerycopError {
  const text = "A statement whose response was cut off did not stop in time, so its connection ends";
  return new QuerycopError("QC_DATA_GUARD", text);
}

/** Stops the statement where a token is at hand; else it ends when the server notices that nobody reads. */
export async function stopStatement(context: CommandContext, client = context.signal): Promise<void> {
  if (!logsInAlone(context.services)) return;
  const over = AbortSignal.timeout(context.dataGuard.limits.discardTimeoutMs);
  if (!(await killQuery(context, AbortSignal.any([client, over])))) context.backend.destroy();
}

/** Logs the session's user in once more and kills the session's statement. True when the server has said OK to that. */
async function killQuery(context: CommandContext, signal: AbortSignal): Promise<boolean> {
  const { services, login, backendGreeting } = context;
  try {
    await withSideLogin(context, login, signal, async (side) => {
      const { connectionId } = backendGreeting;
      await recordOwn(context, "kill-query", `KILL QUERY ${connectionId}`);
      // SAFETY: once the response is over, the kill could meet the client's next statement.
      if (signal.aborted) throw new QuerycopError("QC_BACKEND_CLOSED", "The response is over, nothing is left to kill");
      await side.query(`KILL QUERY ${connectionId}`, "KILL QUERY");
    });
    return true;
  } catch (thrown) {
    if (signal.aborted) return false;
    services.dataGuardCounts.killFailures++;
    const { code, message } = toQuerycopError(malformedFrom("backend", thrown));
    services.logger.warn("data guard could not stop a statement", { user: context.state.user, code, error: message });
    return false;
  }
}

/** A kill that came too late for its statement is waiting for the next one: a statement of ours takes it. */
async function absorbKill(context: CommandContext, end: ResponseEnd): Promise<void> {
  if (end.errorNumber === ER_QUERY_INTERRUPTED) return;
  const timeoutMs = context.services.options.backend.loginTimeoutMs;
  await runUnrecorded(context, { purpose: "what takes a late KILL QUERY", sql: encodeUtf8("DO 0"), timeoutMs });
}
