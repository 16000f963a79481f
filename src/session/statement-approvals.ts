/** Where a session asks for approvals. */
import type { AuditSession } from "../audit/audit-event.ts";
import type { ApprovalBinding, ApprovalMode, CancelReason, RequestRefusal } from "../policy/approvals.ts";
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

export interface StatementApprovals {
  /** What became of an earlier request of mode `immediate` for the very same statement. */
  recall(binding: ApprovalBinding): RecalledApproval | undefined;
  request(approvalCase: ApprovalCase): OpenApproval | RequestRefusal;
  /** Uses an approval up. False when it does not hold any more: then nothing may be sent. */
  use(id: string): boolean;
  cancel(id: string, reason: CancelReason): void;
}
