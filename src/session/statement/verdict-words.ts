/** A verdict of the policy in the words of records and approvers. */
import type { Decision } from "../../policy/decide.ts";
import type { TextSummary } from "../../policy/judge.ts";
import type { ApprovalBrief } from "./statement-judge.ts";

/** The digest as people read it: behind it what it prepares or runs. */
export function toldOf({ digest, innerDigests }: TextSummary): string {
  return innerDigests.length === 0 ? digest : `${digest} /* ${innerDigests.join(" | ")} */`;
}

export function tablesOf({ tablesRead, tablesWritten }: TextSummary): readonly string[] {
  return [...new Set([...tablesRead, ...tablesWritten])];
}

/** What an approver is shown. `behind` is what stands behind the names in the text that run SQL. */
export function briefOf(
  { decision, summary }: { readonly decision: Decision; readonly summary: TextSummary },
  behind: string | undefined,
): ApprovalBrief {
  return {
    settings: decision.approval,
    digest: toldOf(summary),
    isUnderstood: decision.understood,
    kinds: [...summary.kinds, ...summary.innerKinds],
    tablesRead: summary.tablesRead,
    tablesWritten: summary.tablesWritten,
    reasons: decision.rules.map(({ id, points, reason }) => `${id} (${points}): ${reason}`),
    behind,
  };
}
