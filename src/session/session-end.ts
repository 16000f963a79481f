/** The last steps of any session: its line in the log, and the end of its client's connection. */
import type { CloseReason, QuerycopError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Leg } from "../net/leg.ts";

/** Milliseconds to let a client read our last words before its socket is destroyed. */
export const LINGER_MS = 2_000;

/** Half-closes, waits for the client to take our last bytes, then closes: destroying at once would lose them. */
export async function lingerAndClose(leg: Leg): Promise<void> {
  if (leg.isDead) return;
  const timer = setTimeout(() => leg.destroy(), LINGER_MS);
  leg.end();
  while (!leg.isDead && !leg.isEnded) {
    leg.dropUnread();
    // Not waitReadable(): after a timeout that returns at once, and this loop would never leave the processor.
    if (!leg.isDead && !leg.isEnded) await leg.nextEvent();
  }
  clearTimeout(timer);
  leg.destroy();
}

interface EndFields {
  readonly session: number;
  readonly user: string | undefined;
  readonly client: string;
  readonly reason: CloseReason;
}

export function logEnd(logger: Logger, fields: EndFields, failure: QuerycopError | undefined): void {
  if (failure === undefined || fields.reason === "client-closed") {
    logger.debug("session ended", { ...fields });
    return;
  }
  const level = failure.code === "QC_INTERNAL" ? "error" : "warn";
  const stack = failure.code === "QC_INTERNAL" && failure.cause instanceof Error ? failure.cause.stack : undefined;
  logger[level]("session failed", { ...fields, code: failure.code, error: failure.message, stack });
}
