/**
 * A statement that needs an approval: held until somebody answers, or refused at once with a request id.
 *
 * Nothing of it reaches the backend meanwhile, and nothing behind it is read: what the client pipelines waits in its leg.
 * The wait ends with the answer, with its time, or when either peer goes away, whichever is first.
 */
import { createHash } from "node:crypto";
import { QuerycopError } from "../base/errors.ts";
import { COM_QUIT, SERVER_STATUS_ANSI_QUOTES, SERVER_STATUS_NO_BACKSLASH_ESCAPES } from "../mysql/constants.ts";
import type { Packet } from "../mysql/packet.ts";
import type { CancelReason, RequestRefusal } from "../policy/approvals.ts";
import { printable, REASON_BYTES_MAX } from "../policy/decide.ts";
import type { CommandContext } from "./command-context.ts";
import { probeSession } from "./session-probe.ts";
import type { ApprovalCase, ApprovalEnd, StatementApprovals } from "./statement-approvals.ts";
import type { ApprovalBrief, Judgement } from "./statement-judge.ts";
import type { StatementRun } from "./statement-run.ts";

/** What an approver cannot be shown whole must not be approved. */
const DIGEST_CHARACTERS_MAX = 64 * 1024;

/** A held statement is kept in memory for as long as a person takes. */
const HELD_BYTES_MAX = 1024 * 1024;

export type Clearance =
  | { readonly kind: "granted"; readonly approvalId: string; readonly approver: string }
  /** The client is to be told, and the session goes on. */
  | {
      readonly kind: "refused";
      readonly approvalId?: string;
      readonly approver?: string;
      readonly errorNumber: number;
      readonly sqlState: string;
      readonly clientMessage: string;
    }
  /** The session ends with this. */
  | { readonly kind: "over"; readonly approvalId: string; readonly failure: QuerycopError };

export interface Seeking {
  readonly packet: Packet;
  readonly run: Pick<StatementRun, "command" | "sql" | "prepared" | "binding">;
  readonly judgement: Judgement;
  /** Records that the statement waits. Throws or rejects when it cannot. */
  readonly recordHold: (approvalId: string, expiresInMs: number) => void | Promise<void>;
}

/** Resolves once the statement may run, or must not. Using the approval up is the caller's part. */
export async function seekApproval(context: CommandContext, seeking: Seeking): Promise<Clearance> {
  const brief = seeking.judgement.approval;
  if (brief === undefined) return refusal(seeking, "needs approval, which this listener does not give");
  if (brief.digest.length > DIGEST_CHARACTERS_MAX) {
    return refusal(seeking, "needs approval, and is too long to be shown to an approver: send it in parts");
  }
  if (brief.settings.mode === "immediate") return await seekImmediately(context, seeking, brief);
  if (seeking.packet.payload.length > HELD_BYTES_MAX) {
    return refusal(seeking, "needs approval, and is too large to be held: send at most 1 MiB at a time");
  }
  const isInTransaction = holdsLocks(context);
  if (isInTransaction && brief.settings.inTransaction === "block") {
    const text = "waiting for it inside a transaction would hold its locks: send it outside of one";
    return refusal(seeking, `needs approval, and ${text} (approval.in_transaction in the policy)`);
  }
  const { timeoutMs, transactionTimeoutMs } = brief.settings;
  const waitMs = isInTransaction ? Math.min(timeoutMs, transactionTimeoutMs) : timeoutMs;
  return await hold(context, seeking, caseOf(context, seeking, brief, waitMs));
}

function holdsLocks({ state }: CommandContext): boolean {
  return state.isInTransaction || state.hasLockedTables;
}

function caseOf(
  context: CommandContext,
  seeking: Seeking,
  { settings }: ApprovalBrief,
  timeoutMs: number,
): ApprovalCase {
  const { run } = seeking;
  const { approval, score, level, policyVersion, estimatedRows } = seeking.judgement;
  const { state } = context;
  const { schema, sqlMode, characterSet } = state.variables;
  const session = context.auditSession();
  return {
    mode: settings.mode,
    binding: {
      statementHash: hashOf(seeking),
      session: session.id,
      listener: context.subject.listener,
      user: state.user,
      schema: schema ?? "",
      reading: JSON.stringify([
        run.command,
        sqlMode,
        characterSet,
        state.statusFlags & READING_FLAGS,
        state.allowsMultiStatements,
      ]),
    },
    timeoutMs,
    validForMs: settings.validForMs,
    openPerUserMax: settings.openPerUserMax,
    session,
    ordinal: state.ordinal,
    command: run.command,
    textBytes: run.sql.length,
    isInTransaction: holdsLocks(context),
    judgement: { approval, score, level, policyVersion, estimatedRows },
  };
}

const READING_FLAGS = SERVER_STATUS_NO_BACKSLASH_ESCAPES | SERVER_STATUS_ANSI_QUOTES;

/** The statement's own bytes, and for a prepared one the rest of the command: its flags and bound values. */
function hashOf({ packet, run, judgement }: Seeking): string {
  const hash = createHash("sha256").update(run.sql);
  if (judgement.approval?.behind !== undefined) hash.update(`\0${judgement.approval.behind}`);
  if (run.command === "COM_STMT_EXECUTE") hash.update(packet.payload.subarray(5));
  if (run.binding !== undefined) hash.update(run.prepared?.describeRest(run.binding) ?? "");
  return hash.digest("hex");
}

async function hold(context: CommandContext, seeking: Seeking, approvalCase: ApprovalCase): Promise<Clearance> {
  const { approvals } = context.services;
  const opened = approvals.request(approvalCase);
  if (typeof opened === "string") return notOpened(seeking, opened);
  context.cancelHold = (reason) => opened.cancel(reason);
  try {
    await seeking.recordHold(opened.id, approvalCase.timeoutMs);
  } catch {
    opened.cancel("not-recorded");
  }
  cancelIfLost(context);
  let isOver = false;
  const watching = watchClient(context, () => isOver);
  const ended = await opened.ended;
  isOver = true;
  context.cancelHold = undefined;
  watching.catch(() => undefined);
  return clearanceOf(seeking, opened.id, ended, approvalCase.timeoutMs);
}

/** Later events come by context.cancelHold; this is for what had happened before. */
function cancelIfLost(context: CommandContext): void {
  if (context.signal.aborted) context.cancelHold?.("session-ended");
  else if (context.backend.isDead || context.backend.isEnded || context.backend.hasUnread) {
    context.cancelHold?.("backend-closed");
  }
}

/** A reset is told by the session. A FIN, a goodbye and too much behind are found here. */
async function watchClient(context: CommandContext, isOver: () => boolean): Promise<void> {
  const { leg } = context.client;
  while (!isOver()) {
    if (leg.isEnded || leg.isDead) return context.cancelHold?.("client-closed");
    if (isQuit(leg.peek(5))) return context.cancelHold?.("client-quit");
    // SAFETY: a leg that is not read shows no end of the client, and nobody would wait for the result.
    if (leg.isPaused) return context.cancelHold?.("client-backlog");
    await leg.nextEvent();
  }
}

function isQuit(head: Uint8Array): boolean {
  return head.length === 5 && head[0] === 1 && head[1] === 0 && head[2] === 0 && head[4] === COM_QUIT;
}

function clearanceOf(seeking: Seeking, approvalId: string, ended: ApprovalEnd, timeoutMs: number): Clearance {
  if (ended.kind === "approved") return { kind: "granted", approvalId, approver: ended.approver };
  if (ended.kind === "denied") return denial(seeking, approvalId, ended);
  if (ended.kind === "expired") {
    return refusal(seeking, `nobody approved the statement within ${timeoutMs / 1000} s`, approvalId);
  }
  return cancellation(seeking, approvalId, ended.reason);
}

function cancellation(seeking: Seeking, approvalId: string, reason: CancelReason): Clearance {
  const over = (failure: QuerycopError): Clearance => ({ kind: "over", approvalId, failure });
  switch (reason) {
    case "client-closed":
    case "client-quit":
      return over(new QuerycopError("QC_CLIENT_CLOSED", "The client left while its statement waited for approval"));
    case "backend-closed": {
      const clientMessage =
        "querycop: the backend closed the connection (wait_timeout?) while the statement waited for approval; it has not run";
      const text = "The backend closed the connection while a statement waited for approval";
      return over(new QuerycopError("QC_BACKEND_CLOSED", text, { clientMessage }));
    }
    case "session-ended":
      return over(shutdown());
    case "shutdown": {
      const { errorNumber, sqlState, clientMessage } = shutdown();
      return { kind: "refused", approvalId, errorNumber, sqlState, clientMessage };
    }
    case "killed": {
      const clientMessage = "querycop: interrupted while the statement waited for approval; it has not run";
      return { kind: "refused", approvalId, errorNumber: 1317, sqlState: "70100", clientMessage };
    }
    case "client-backlog":
      return refusal(seeking, "too much was sent behind a statement that waits for approval", approvalId);
    case "not-recorded":
    case "not-sent":
      return refusal(seeking, "needs approval, which cannot be recorded now; see querycop doctor", approvalId);
  }
}

function shutdown(): QuerycopError {
  const text = "querycop shuts down, the statement that waited for approval has not run";
  return new QuerycopError("QC_SHUTDOWN", text, { clientMessage: `querycop: ${text}` });
}

/** Refuses with a request id, or lets a statement through that was approved since it was sent before. */
async function seekImmediately(context: CommandContext, seeking: Seeking, brief: ApprovalBrief): Promise<Clearance> {
  const { approvals, judge } = context.services;
  // What the approval will be bound to must be known, or the same statement would not be found again.
  if (context.state.needsProbe && judge.readsSql) await probeSession(context);
  const approvalCase = caseOf(context, seeking, brief, brief.settings.timeoutMs);
  const earlier = approvals.recall(approvalCase.binding);
  if (earlier?.state === "approved") {
    return { kind: "granted", approvalId: earlier.id, approver: earlier.approver };
  }
  if (earlier?.state === "denied") return denial(seeking, earlier.id, earlier);
  const id = earlier?.id ?? (await ask(approvals, seeking, approvalCase));
  if (typeof id !== "string") return id;
  const why = brief.reasons[0] ?? `risk ${seeking.judgement.score}`;
  return refusal(seeking, `needs approval, ${why}. Once approved, send the same statement again`, id);
}

async function ask(
  approvals: StatementApprovals,
  seeking: Seeking,
  approvalCase: ApprovalCase,
): Promise<string | Clearance> {
  const opened = approvals.request(approvalCase);
  if (typeof opened === "string") return notOpened(seeking, opened);
  try {
    await seeking.recordHold(opened.id, approvalCase.timeoutMs);
  } catch {
    opened.cancel("not-recorded");
    return cancellation(seeking, opened.id, "not-recorded");
  }
  return opened.id;
}

const REQUEST_REFUSALS: Readonly<Record<Exclude<RequestRefusal, "closed">, string>> = {
  "too-many": "but too many requests wait already (GATEKEEPER_APPROVALS_OPEN_MAX)",
  "too-many-of-user": "but this user has too many open requests (approval.open_per_user in the policy)",
};

function notOpened(seeking: Seeking, why: RequestRefusal): Clearance {
  if (why !== "closed") return refusal(seeking, `needs approval, ${REQUEST_REFUSALS[why]}: try again later`);
  const { errorNumber, sqlState, clientMessage } = shutdown();
  return { kind: "refused", errorNumber, sqlState, clientMessage };
}

function denial(
  seeking: Seeking,
  approvalId: string,
  { approver, reason }: { readonly approver: string; readonly reason: string | undefined },
): Clearance {
  const text = `denied by ${approver}${reason === undefined ? "" : `: ${reason}`}`;
  return { ...refusal(seeking, text, approvalId), approver };
}

function refusal(
  { judgement }: Seeking,
  text: string,
  approvalId?: string,
): Extract<Clearance, { readonly kind: "refused" }> {
  const tail = approvalId === undefined ? ` [decision ${judgement.decisionId}]` : ` [request ${approvalId}]`;
  const { errorNumber, sqlState } = judgement;
  return {
    kind: "refused",
    errorNumber,
    sqlState,
    clientMessage: printable(`querycop: ${text}`, REASON_BYTES_MAX - tail.length) + tail,
    ...(approvalId === undefined ? {} : { approvalId }),
  };
}
