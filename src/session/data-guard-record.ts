/** What the data guard did, told in the log and on record. */
import { recordBestEffort } from "../audit/best-effort.ts";
import type { DataLimit } from "../policy/limits.ts";
import type { CommandContext } from "./command-context.ts";
import type { GuardNotice } from "./data-guard.ts";

/** A limit is near, or was passed where that is only told. */
export function tellLimit(context: CommandContext, { action, limit, used }: GuardNotice): void {
  context.services.dataGuardCounts.warnings++;
  context.services.logger.warn("data guard", { ...context.logFields(), action, limit, used });
  record(context, action, limit);
}

/** The response under way was cut off. */
export function tellCut(context: CommandContext, limit: DataLimit): void {
  const { dataGuard, services } = context;
  services.dataGuardCounts.responsesCutOff++;
  const { cutOff } = dataGuard;
  services.logger.warn("data guard cut off a response", {
    ...context.logFields(),
    limit,
    bytes: cutOff?.bytes,
    rows: cutOff?.rows,
  });
  record(context, dataGuard.limits.limitAction === "terminate" ? "terminated" : "cut-off", limit);
}

/** A fetch from a cursor was refused; a refused statement has its own record. */
export function tellRefusedFetch(context: CommandContext, limit: DataLimit): void {
  context.services.dataGuardCounts.statementsRefused++;
  record(context, "refused", limit);
}

/** SAFETY: a breach that cannot be recorded is still cut: the log above has it, and the audit log tells its own gap. */
function record(
  context: CommandContext,
  action: "warned" | "exceeded" | "cut-off" | "terminated" | "refused",
  limit: DataLimit,
): void {
  const { cutOff } = context.dataGuard;
  recordBestEffort(() =>
    context.record({
      type: "data-guard",
      session: context.auditSession(),
      ordinal: context.state.ordinal,
      command: context.fetching === undefined ? undefined : "COM_STMT_FETCH",
      statementId: context.fetching?.statementId,
      statementOrdinal: context.fetching?.executedAs,
      action,
      limit,
      rows: cutOff?.rows,
      bytes: cutOff?.bytes,
    }),
  );
}
