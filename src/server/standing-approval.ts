/** The approvals of a process that asks about no statement by itself: one for all that it sends, or none. */
import type { OpenApproval, StandingAnswer, StatementApprovals } from "../session/statement/statement-approvals.ts";

export class StandingApproval implements StatementApprovals {
  standing: StandingAnswer;

  /** `why`: what whoever sends a statement that needs an approval can do. */
  constructor(why: string) {
    this.standing = { kind: "none", why };
  }

  grant(approvalId: string, approver: string): void {
    this.standing = { kind: "granted", approvalId, approver };
  }

  recall(): undefined {
    return undefined;
  }

  request(): OpenApproval | "closed" {
    return "closed";
  }

  use(id: string): boolean {
    return this.standing.kind === "granted" && this.standing.approvalId === id;
  }

  cancel(): void {}
}
