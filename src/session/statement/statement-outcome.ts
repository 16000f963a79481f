/** How a statement ended, on record. */
import { type ErrorCode, type ErrorOrigin, QuerycopError } from "../../base/errors.ts";
import type { ResponseMeter } from "../limits/data-guard.ts";
import type { StatementSession } from "./statement-session.ts";

/** How the server says that a statement ended. */
export interface StatementEnd {
  readonly outcome: string;
  readonly errorNumber?: number | undefined;
  readonly sqlState?: string | undefined;
  readonly affectedRows: number | bigint;
  readonly warnings?: number | undefined;
  /** It was taken back. */
  readonly isRolledBack?: boolean;
}

/** They end a statement before its packet is sent. */
const NOT_SENT: ReadonlySet<string> = new Set<ErrorCode>(["QC_IMPACT_GUARD", "QC_READ_ONLY_WALL"]);

function isFailureOf(failure: unknown, origin: ErrorOrigin): boolean {
  return failure instanceof QuerycopError && failure.origin === origin;
}

/** The statement has run, whether or not this can be recorded: its intent is on record. Nothing waits for it. */
export function recordOutcome(
  session: StatementSession,
  meter: Pick<ResponseMeter, "rows" | "resultSets" | "bytes">,
  end: StatementEnd | undefined,
  durationMs: number,
  failure?: unknown,
): void {
  if (!session.services.audit.isKept) return;
  const { cutOff } = session.dataGuard;
  const isGone = isFailureOf(failure, "client") || session.isClientGone;
  const howFailed = end?.isRolledBack === true ? "rolled-back" : "error";
  const isUnsent = failure instanceof QuerycopError && NOT_SENT.has(failure.code);
  const howEnded = isUnsent ? "not-sent" : end === undefined ? "unknown" : end.outcome === "err" ? howFailed : "ok";
  const ended = isGone && end === undefined ? "client-gone" : howEnded;
  session.services.audit.appendSoon({
    type: "statement-outcome",
    session: session.briefAuditSession(),
    ordinal: session.ordinal,
    outcome: cutOff === undefined ? ended : "cut-off",
    errorNumber: end?.errorNumber,
    sqlState: end?.sqlState,
    rows: cutOff?.rows ?? meter.rows,
    affectedRows: end === undefined ? undefined : Number(end.affectedRows),
    resultSets: cutOff?.resultSets ?? meter.resultSets,
    warnings: end?.warnings,
    bytes: cutOff?.bytes ?? meter.bytes,
    limit: cutOff?.limit,
    durationUs: Math.round(durationMs * 1000),
  });
}
