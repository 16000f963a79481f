/**
 * A statement that needs an approval: held until somebody answers, or refused at once with a request id.
 *
 * Nothing of it reaches the backend meanwhile, and nothing behind it is read: what the client pipelines waits in its leg.
 * The wait ends with the answer, with its time, or when either peer goes away, whichever is first.
 */
import { QuerycopError } from "../../base/errors.ts";
import type { ApprovalBinding, CancelReason, RequestRefusal } from "../../policy/approvals.ts";
import { printable, REASON_BYTES_MAX } from "../../policy/decide.ts";
import type { SessionServices } from "../session-services.ts";
import type {
  ApprovalCase,
  ApprovalEnd,
  Clearance,
  GrantedClearance,
  StatementApprovals,
} from "./statement-approvals.ts";
import type { ApprovalBrief, Judgement, SessionSubject } from "./statement-judge.ts";
import type { RecordedStatement, StatementSession } from "./statement-session.ts";

/** What an approver cannot be shown whole must not be approved. */
const DIGEST_CHARACTERS_MAX = 64 * 1024;

/** A held statement is kept in memory for as long as a person takes. */
const HELD_BYTES_MAX = 1024 * 1024;

/** The session of a statement that is held. */
export interface HoldingSession extends Pick<StatementSession, "ordinal" | "auditSession"> {
  readonly services: Pick<SessionServices, "approvals">;
  readonly subject: Pick<SessionSubject, "listener">;
  readonly user: string;
  /** Present while a statement of this session waits for an approval. */
  cancelHold: ((reason: CancelReason) => void) | undefined;
}

/** How a wire numbers an error. */
export interface ErrorNumbers {
  readonly errorNumber: number;
  readonly sqlState: string;
}

/** A statement that is held, as its wire knows it. */
export interface HeldStatement {
  /** How its client is told that somebody has ended the wait, and that querycop shuts down. */
  readonly numbers: { readonly killed: ErrorNumbers; readonly shutdown: ErrorNumbers };
  /** What is kept of it in memory. */
  readonly bytes: number;
  /** Whether others wait for what its transaction holds. */
  readonly holdsLocks: boolean;
  /** Makes certain what an approval is bound to, or the same statement would not be found again. */
  settle(): Promise<void>;
  /** What an approval holds for: the statement whole, with what is bound to it, and how the server reads it. */
  bind(): Pick<ApprovalBinding, "statementHash" | "schema" | "reading">;
  /** Why nobody can go on with it, from before the wait began. */
  lost(): CancelReason | undefined;
  /** Why its client waits no longer; undefined once `isOver`. */
  clientLeaves(isOver: () => boolean): Promise<CancelReason | undefined>;
}

export interface Seeking {
  readonly run: RecordedStatement;
  readonly held: HeldStatement;
  readonly judgement: Judgement;
  /** Records that the statement waits. Throws or rejects when it cannot. */
  readonly recordHold: (approvalId: string, expiresInMs: number) => void | Promise<void>;
}

/** Resolves once the statement may run, or must not. Using the approval up is the caller's part. */
export async function seekApproval(holder: HoldingSession, seeking: Seeking): Promise<Clearance> {
  const brief = seeking.judgement.approval;
  if (brief === undefined) return refusal(seeking, "needs approval, which this listener does not give");
  const { standing } = holder.services.approvals;
  if (standing?.kind === "granted") return standing;
  if (standing !== undefined) return refusal(seeking, `needs approval, ${standing.why}`);
  if (brief.digest.length > DIGEST_CHARACTERS_MAX) {
    return refusal(seeking, "needs approval, and is too long to be shown to an approver: send it in parts");
  }
  if (brief.settings.mode === "immediate") return await seekImmediately(holder, seeking, brief);
  if (seeking.held.bytes > HELD_BYTES_MAX) {
    return refusal(seeking, "needs approval, and is too large to be held: send at most 1 MiB at a time");
  }
  const isInTransaction = seeking.held.holdsLocks;
  if (isInTransaction && brief.settings.inTransaction === "block") {
    const text = "waiting for it inside a transaction would hold its locks: send it outside of one";
    return refusal(seeking, `needs approval, and ${text} (approval.in_transaction in the policy)`);
  }
  const { timeoutMs, transactionTimeoutMs } = brief.settings;
  const waitMs = isInTransaction ? Math.min(timeoutMs, transactionTimeoutMs) : timeoutMs;
  return await hold(holder, seeking, caseOf(holder, seeking, brief, waitMs));
}

function caseOf(
  holder: HoldingSession,
  seeking: Seeking,
  { settings }: ApprovalBrief,
  timeoutMs: number,
): ApprovalCase {
  const { run, held } = seeking;
  const { approval, score, level, policyVersion, estimatedRows } = seeking.judgement;
  const session = holder.auditSession();
  return {
    mode: settings.mode,
    binding: {
      ...held.bind(),
      session: session.id,
      listener: holder.subject.listener,
      user: holder.user,
    },
    timeoutMs,
    validForMs: settings.validForMs,
    openPerUserMax: settings.openPerUserMax,
    session,
    ordinal: holder.ordinal,
    command: run.command,
    textBytes: run.sql.length,
    isInTransaction: held.holdsLocks,
    judgement: { approval, score, level, policyVersion, estimatedRows },
  };
}

async function hold(holder: HoldingSession, seeking: Seeking, approvalCase: ApprovalCase): Promise<Clearance> {
  const { approvals } = holder.services;
  const opened = approvals.request(approvalCase);
  if (typeof opened === "string") return notOpened(seeking, opened);
  holder.cancelHold = (reason) => opened.cancel(reason);
  try {
    await seeking.recordHold(opened.id, approvalCase.timeoutMs);
  } catch {
    opened.cancel("not-recorded");
  }
  const lost = seeking.held.lost();
  if (lost !== undefined) opened.cancel(lost);
  let isOver = false;
  const watching = seeking.held
    .clientLeaves(() => isOver)
    .then((reason) => {
      if (reason !== undefined && !isOver) opened.cancel(reason);
    });
  const ended = await opened.ended;
  isOver = true;
  holder.cancelHold = undefined;
  watching.catch(() => undefined);
  return clearanceOf(seeking, opened.id, ended, approvalCase.timeoutMs);
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
      const text =
        "The backend closed the connection (wait_timeout?) while a statement waited for approval; it has not run";
      return over(new QuerycopError("QC_BACKEND_CLOSED", text));
    }
    case "session-ended": {
      const text = "the session ended while its statement waited for approval; it has not run";
      return over(new QuerycopError("QC_SHUTDOWN", text, { clientMessage: `querycop: ${text}` }));
    }
    case "shutdown":
      return {
        kind: "refused",
        approvalId,
        ...numbersOf(seeking.held.numbers.shutdown),
        clientMessage: shutdown().clientMessage,
      };
    case "killed": {
      const clientMessage = "querycop: interrupted while the statement waited for approval; it has not run";
      return { kind: "refused", approvalId, ...numbersOf(seeking.held.numbers.killed), clientMessage };
    }
    case "client-backlog":
      return refusal(seeking, "too much was sent behind a statement that waits for approval", approvalId);
    case "not-recorded":
    case "not-sent":
      return refusal(seeking, "needs approval, which cannot be recorded now; see querycop doctor", approvalId);
  }
}

const numbersOf = ({ errorNumber, sqlState }: ErrorNumbers): ErrorNumbers => ({ errorNumber, sqlState });

function shutdown(): QuerycopError {
  const text = "querycop shuts down, the statement that waited for approval has not run";
  return new QuerycopError("QC_SHUTDOWN", text, { clientMessage: `querycop: ${text}` });
}

/** Refuses with a request id, or lets a statement through that was approved since it was sent before. */
async function seekImmediately(holder: HoldingSession, seeking: Seeking, brief: ApprovalBrief): Promise<Clearance> {
  const { approvals } = holder.services;
  await seeking.held.settle();
  const approvalCase = caseOf(holder, seeking, brief, brief.settings.timeoutMs);
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
  return { kind: "refused", ...numbersOf(seeking.held.numbers.shutdown), clientMessage: shutdown().clientMessage };
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

/** It was taken back, or ran out, between the answer and now. */
export function approvalLost({ approvalId }: GrantedClearance): { readonly clientMessage: string } {
  return { clientMessage: `querycop: the approval does not hold any more, send it again [request ${approvalId}]` };
}
