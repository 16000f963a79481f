/** What the data guard did, told in the log and on record. */
import { recordBestEffort } from "../../audit/best-effort.ts";
import type { DataLimit } from "../../policy/limits.ts";
import type { StatementSession } from "../statement/statement-session.ts";
import type { GuardNotice } from "./data-guard.ts";

/** A limit is near, or was passed where that is only told. */
export function tellLimit(session: StatementSession, { action, limit, used }: GuardNotice): void {
  session.services.dataGuardCounts.warnings++;
  session.services.logger.warn("data guard", { ...session.logFields(), action, limit, used });
  record(session, action, limit);
}

/** The response under way was cut off. */
export function tellCut(session: StatementSession, limit: DataLimit): void {
  const { dataGuard, services } = session;
  services.dataGuardCounts.responsesCutOff++;
  const { cutOff } = dataGuard;
  services.logger.warn("data guard cut off a response", {
    ...session.logFields(),
    limit,
    bytes: cutOff?.bytes,
    rows: cutOff?.rows,
  });
  record(session, dataGuard.limits.limitAction === "terminate" ? "terminated" : "cut-off", limit);
}

/** A fetch from a cursor was refused; a refused statement has its own record. */
export function tellRefusedFetch(session: StatementSession, limit: DataLimit): void {
  session.services.dataGuardCounts.statementsRefused++;
  record(session, "refused", limit);
}

/** SAFETY: a breach that cannot be recorded is still cut: the log above has it, and the audit log tells its own gap. */
function record(
  session: StatementSession,
  action: "warned" | "exceeded" | "cut-off" | "terminated" | "refused",
  limit: DataLimit,
): void {
  const { cutOff } = session.dataGuard;
  recordBestEffort(() =>
    session.record({
      type: "data-guard",
      session: session.auditSession(),
      ordinal: session.ordinal,
      command: session.fetching?.command,
      statementId: session.fetching?.statementId,
      statementOrdinal: session.fetching?.executedAs,
      action,
      limit,
      rows: cutOff?.rows,
      bytes: cutOff?.bytes,
    }),
  );
}
