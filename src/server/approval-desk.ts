/** Where approvers meet held statements: lists what waits, takes answers, records them, and tells the sessions. */

import { recordBestEffort } from "../audit/best-effort.ts";
import type { Clock } from "../base/clock.ts";
import { SYSTEM_CLOCK } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { visibleText } from "../base/visible-text.ts";
import {
  type AnswerRefusal,
  ApprovalBook,
  type ApprovalEntry,
  type ApprovalMode,
  type ApprovalState,
  type CancelReason,
  isApproverName,
  type RequestRefusal,
} from "../policy/approvals.ts";
import type { AuditTrail } from "../session/session-services.ts";
import type {
  ApprovalCase,
  ApprovalEnd,
  OpenApproval,
  RecalledApproval,
  StatementApprovals,
} from "../session/statement/statement-approvals.ts";
import { RUN_PREFIX_CHARS } from "./audit-setup.ts";
import { caseOfLoad, holdOfLoad, type LoadAsk } from "./load-request.ts";

/** One request as approvers see it. Holds no literal of the statement, and no character that could hide another. */
export interface ApprovalView {
  readonly id: string;
  readonly state: ApprovalState;
  readonly mode: ApprovalMode;
  readonly listener: string;
  readonly user: string;
  readonly clientAddress: string;
  readonly session: string;
  readonly schema: string | undefined;
  readonly command: string;
  /** The statement with `?` for every literal, whole. */
  readonly text: string;
  readonly textBytes: number;
  /** SHA-256 of the exact bytes: the approval is for these and no others. */
  readonly statementHash: string;
  readonly isUnderstood: boolean;
  readonly kinds: readonly string[];
  readonly tablesRead: readonly string[];
  readonly tablesWritten: readonly string[];
  readonly score: number | undefined;
  readonly level: string | undefined;
  /** Rows the server expects it to touch, where it was asked. */
  readonly estimatedRows: number | undefined;
  /** Each rule in words. */
  readonly reasons: readonly string[];
  readonly policyVersion: string | undefined;
  readonly isInTransaction: boolean;
  readonly requestedAt: string;
  readonly waitingMs: number;
  /** Until when it waits for an answer; once approved, until when it may run. */
  readonly expiresAt: string;
  readonly approver: string | undefined;
  readonly reason: string | undefined;
  /** The key that asked, where no session of a client did. */
  readonly askedBy: string | undefined;
}

export interface ApproverAnswer {
  readonly approver: string;
  readonly reason: string | undefined;
}

/** Why an answer was not taken. */
export type DeskRefusal = AnswerRefusal | "bad-approver" | "bad-reason" | "not-recorded";

export type DeskAnswer =
  | { readonly kind: "taken"; readonly view: ApprovalView }
  | { readonly kind: "refused"; readonly why: DeskRefusal; readonly view: ApprovalView | undefined };

export interface ApprovalCounts {
  approved: number;
  denied: number;
  expired: number;
  cancelled: number;
}

export interface ApprovalDeskOptions {
  readonly audit: AuditTrail;
  readonly logger: Logger;
  readonly openMax: number;
  /** False when no key is configured to answer with. */
  readonly hasApprovers?: boolean;
  readonly clock?: Clock;
  /** Called for each request and each change of one. Must not throw. */
  readonly onChange?: (view: ApprovalView) => void;
}

/** Ended requests that approvers can still look up. */
const ENDED_MAX = 200;
const REASON_CHARACTERS_MAX = 200;

type Entry = ApprovalEntry<ApprovalCase>;

export class ApprovalDesk implements StatementApprovals {
  readonly counts: ApprovalCounts = { approved: 0, denied: 0, expired: 0, cancelled: 0 };
  readonly #options: ApprovalDeskOptions;
  readonly #clock: Clock;
  readonly #book: ApprovalBook<ApprovalCase>;
  readonly #waiting = new Map<string, (end: ApprovalEnd) => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ApprovalDeskOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#book = new ApprovalBook({
      openMax: options.openMax,
      endedMax: ENDED_MAX,
      idPrefix: `apr-${options.audit.run.slice(0, RUN_PREFIX_CHARS)}`,
      onExpired: (entry) => this.#ended(entry),
    });
  }

  get openCount(): number {
    return this.#book.openCount;
  }

  list(): ApprovalView[] {
    return this.#book.entries(this.#nowMs).map((entry) => this.#viewOf(entry));
  }

  find(id: string): ApprovalView | undefined {
    const entry = this.#book.find(id, this.#nowMs);
    return entry === undefined ? undefined : this.#viewOf(entry);
  }

  /**
   * Takes effect once it is recorded. The name is what the caller vouches for: it is compared with the requester's
   * names and written down, nothing more.
   */
  async approve(id: string, answer: ApproverAnswer): Promise<DeskAnswer> {
    const refused = this.#checkAnswer(id, answer, false);
    if (refused !== undefined) return refused;
    const result = this.#book.approve(id, answer, this.#nowMs);
    if (result.kind === "refused") return this.#refused(result.why, result.entry);
    this.#schedule();
    try {
      await this.#record(result.entry, "approved");
    } catch {
      // SAFETY: an approval that nobody can read of later is none.
      this.cancel(id, "not-recorded");
      return this.#refused("not-recorded", result.entry);
    }
    this.counts.approved++;
    this.#log("statement approved", result.entry);
    this.#tell(result.entry);
    this.#settle(id, { kind: "approved", approver: answer.approver });
    return { kind: "taken", view: this.#viewOf(result.entry) };
  }

  /** The requester reads the reason in the error. */
  deny(id: string, answer: ApproverAnswer): DeskAnswer {
    const refused = this.#checkAnswer(id, answer, true);
    if (refused !== undefined) return refused;
    const result = this.#book.deny(id, answer, this.#nowMs);
    if (result.kind === "refused") return this.#refused(result.why, result.entry);
    this.#ended(result.entry);
    return { kind: "taken", view: this.#viewOf(result.entry) };
  }

  /** Holds nothing more and lets go of what is held: the sessions tell their clients. */
  close(): void {
    this.#book.close();
    for (const { id } of this.#book.entries(this.#nowMs)) this.cancel(id, "shutdown");
  }

  recall(binding: ApprovalCase["binding"]): RecalledApproval | undefined {
    const entry = this.#book.recall(binding, this.#nowMs);
    if (entry === undefined) return undefined;
    const { id, state, approver = "", reason } = entry;
    if (state === "approved") return { id, state, approver };
    return state === "denied" ? { id, state, approver, reason } : { id, state: "pending" };
  }

  request(approvalCase: ApprovalCase): OpenApproval | RequestRefusal {
    const { mode, binding, timeoutMs, validForMs, openPerUserMax, session } = approvalCase;
    const { askedBy } = approvalCase;
    const names = [session.user, session.userSent, session.tlsIdentity, askedBy];
    const requesters = names.filter((name) => name !== undefined);
    const result = this.#book.request(
      { mode, binding, requesters, timeoutMs, validForMs, openPerUserMax, detail: approvalCase },
      this.#nowMs,
    );
    if (result.kind === "refused") return result.why;
    const { id } = result.entry;
    this.#schedule();
    this.#log("statement waits for approval", result.entry);
    this.#tell(result.entry);
    if (this.#options.hasApprovers === false) {
      this.#options.logger.warn("nobody can approve: no key is configured", { fix: "set api.approvers_file" });
    }
    const ended = new Promise<ApprovalEnd>((resolve) => {
      if (mode === "hold") this.#waiting.set(id, resolve);
    });
    return { id, ended, cancel: (reason) => this.cancel(id, reason) };
  }

  /** The request for it, made now or still open from an earlier asking. Rejects where it cannot be recorded. */
  async askForLoad(ask: LoadAsk): Promise<ApprovalView | RequestRefusal> {
    const approvalCase = caseOfLoad(ask);
    const earlier = this.recall(approvalCase.binding);
    const opened = earlier ?? this.request(approvalCase);
    if (typeof opened === "string") return opened;
    if (earlier === undefined) {
      try {
        await this.#options.audit.append(holdOfLoad(ask, approvalCase, opened.id));
      } catch (thrown) {
        this.cancel(opened.id, "not-recorded");
        throw thrown;
      }
    }
    const entry = this.#book.find(opened.id, this.#nowMs);
    return entry === undefined ? "closed" : this.#viewOf(entry);
  }

  use(id: string): boolean {
    const isUsed = this.#book.use(id, this.#nowMs);
    const entry = isUsed ? this.#book.find(id, this.#nowMs) : undefined;
    if (entry !== undefined) this.#tell(entry);
    return isUsed;
  }

  cancel(id: string, reason: CancelReason): void {
    if (!this.#book.cancel(id, reason, this.#nowMs)) return;
    const entry = this.#book.find(id, this.#nowMs);
    if (entry !== undefined) this.#ended(entry);
  }

  get #nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Counts, records, logs and tells whoever waits. For every end but an approval. */
  #ended(entry: Entry): void {
    const end = endOf(entry);
    this.counts[end.kind]++;
    // Nothing was sent and nothing will be, whether or not it can be recorded.
    recordBestEffort(() => this.#record(entry, end.kind));
    this.#log(`statement ${end.kind === "cancelled" ? "not held any more" : end.kind}`, entry);
    this.#tell(entry);
    this.#schedule();
    this.#settle(entry.id, end);
  }

  #settle(id: string, end: ApprovalEnd): void {
    this.#waiting.get(id)?.(end);
    this.#waiting.delete(id);
  }

  #record(entry: Entry, verdict: ApprovalEnd["kind"]): void | Promise<void> {
    const { detail } = entry.request;
    return this.#options.audit.append({
      type: "approval",
      session: detail.session,
      ordinal: detail.ordinal,
      approvalId: entry.id,
      verdict,
      approver: entry.approver,
      reason: entry.reason,
      waitedMs: Math.round(this.#nowMs - entry.openedMs),
    });
  }

  #checkAnswer(id: string, { approver, reason }: ApproverAnswer, isReasonNeeded: boolean): DeskAnswer | undefined {
    if (!isApproverName(approver)) return this.#refused("bad-approver", this.#book.find(id, this.#nowMs));
    const isMissing = reason === undefined || reason.trim() === "";
    const isBad = isMissing ? isReasonNeeded : reason.length > REASON_CHARACTERS_MAX || visibleText(reason) !== reason;
    return isBad ? this.#refused("bad-reason", this.#book.find(id, this.#nowMs)) : undefined;
  }

  #refused(why: DeskRefusal, entry: Entry | undefined): DeskAnswer {
    return { kind: "refused", why, view: entry === undefined ? undefined : this.#viewOf(entry) };
  }

  /** One timer for whatever ends first. */
  #schedule(): void {
    clearTimeout(this.#timer);
    const next = this.#book.nextExpiryMs;
    if (next === undefined) return;
    // Timers may fire a little early, and then find nothing to do.
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, Math.ceil(next - this.#nowMs)));
    this.#timer.unref();
  }

  #expire(): void {
    this.#book.expire(this.#nowMs);
    this.#schedule();
  }

  #tell(entry: Entry): void {
    this.#options.onChange?.(this.#viewOf(entry));
  }

  #log(event: string, entry: Entry): void {
    const { session, judgement, mode } = entry.request.detail;
    const fields = { approval: entry.id, session: session.id, user: session.user, client: session.clientAddress };
    const { approver, reason } = entry;
    this.#options.logger.info(event, { ...fields, mode, score: judgement.score, approver, reason });
  }

  #viewOf(entry: Entry): ApprovalView {
    const { id, state, approver, reason, request } = entry;
    const { session, judgement, command, textBytes, isInTransaction, binding, mode } = request.detail;
    const { approval: brief } = judgement;
    const wallMs = this.#clock.wallMs() - this.#nowMs;
    const visible = (texts: readonly string[] | undefined): string[] => (texts ?? []).map(visibleText);
    return {
      id,
      state,
      mode,
      listener: binding.listener,
      user: visibleText(binding.user),
      clientAddress: session.clientAddress,
      session: session.id,
      schema: session.schema === undefined ? undefined : visibleText(session.schema),
      command,
      text: visibleText(brief?.digest ?? ""),
      textBytes,
      statementHash: binding.statementHash,
      isUnderstood: brief?.isUnderstood ?? false,
      kinds: brief?.kinds ?? [],
      tablesRead: visible(brief?.tablesRead),
      tablesWritten: visible(brief?.tablesWritten),
      score: judgement.score,
      level: judgement.level,
      estimatedRows: judgement.estimatedRows,
      reasons: visible(brief?.reasons),
      policyVersion: judgement.policyVersion,
      isInTransaction,
      requestedAt: new Date(wallMs + entry.openedMs).toISOString(),
      waitingMs: Math.round((entry.decidedMs ?? this.#nowMs) - entry.openedMs),
      expiresAt: new Date(wallMs + entry.expiresMs).toISOString(),
      approver,
      reason,
      askedBy: request.detail.askedBy,
    };
  }
}

function endOf({ state, approver = "", reason }: Entry): ApprovalEnd {
  if (state === "denied") return { kind: "denied", approver, reason };
  if (state === "expired") return { kind: "expired" };
  return { kind: "cancelled", reason: (reason ?? "not-sent") as CancelReason };
}
