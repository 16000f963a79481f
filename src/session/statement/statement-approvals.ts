/** Where a session asks for approvals. */
import type { AuditSession } from "../../audit/audit-event.ts";
import type { QuerycopError } from "../../base/errors.ts";
import type { ApprovalBinding, ApprovalMode, CancelReason, RequestRefusal } from "../../policy/approvals.ts";
import type { Judgement } from "./statement-judge.ts";

/** A statement that needs an approval, and what an approver may know of it. */
export interface ApprovalCase {
  readonly mode: ApprovalMode;
  readonly binding: ApprovalBinding;
  readonly timeoutMs: number;
  readonly validForMs: number;
  readonly openPerUserMax: number;
  readonly session: AuditSession;
  readonly ordinal: number;
  readonly command: string;
  readonly textBytes: number;
  readonly isInTransaction: boolean;
  /** Not the whole judgement: a request is kept after its end, and a text may be long and hold secrets. */
  readonly judgement: Pick<Judgement, "approval" | "score" | "level" | "policyVersion" | "estimatedRows">;
  /** Whose key of the admin API asks, where no session does. */
  readonly askedBy?: string;
}

export type ApprovalEnd =
  | { readonly kind: "approved"; readonly approver: string }
  | { readonly kind: "denied"; readonly approver: string; readonly reason: string | undefined }
  | { readonly kind: "expired" }
  | { readonly kind: "cancelled"; readonly reason: CancelReason };

/** One request as the session that made it sees it. */
export interface OpenApproval {
  readonly id: string;
  /** Settles once. Of no use in mode `immediate`, where nobody waits. */
  readonly ended: Promise<ApprovalEnd>;
  cancel(reason: CancelReason): void;
}

export type RecalledApproval = { readonly id: string } & (
  | { readonly state: "pending" }
  | { readonly state: "approved"; readonly approver: string }
  | { readonly state: "denied"; readonly approver: string; readonly reason: string | undefined }
);

/** What holds for whatever a process sends, where no statement of its own is asked about: an approval of all, or why there is none. */
export type StandingAnswer =
  | { readonly kind: "granted"; readonly approvalId: string; readonly approver: string }
  | { readonly kind: "none"; readonly why: string };

export interface StatementApprovals {
  /** Undefined where each statement is asked about. */
  readonly standing?: StandingAnswer | undefined;
  /** What became of an earlier request of mode `immediate` for the very same statement. */
  recall(binding: ApprovalBinding): RecalledApproval | undefined;
  request(approvalCase: ApprovalCase): OpenApproval | RequestRefusal;
  /** Uses an approval up. False when it does not hold any more: then nothing may be sent. */
  use(id: string): boolean;
  cancel(id: string, reason: CancelReason): void;
}

/** What became of a statement that needed an approval. */
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

export type GrantedClearance = Extract<Clearance, { readonly kind: "granted" }>;
