/** Statements that wait for an answer, with the time that is left. */
import type { Approval } from "../api-types.ts";
import { countdown, span } from "../format.ts";
import { clock } from "../live.ts";
import { linkTo } from "../location.ts";
import { Empty, Shown, Sql } from "./text.tsx";

export function WaitingList({ approvals }: { readonly approvals: readonly Approval[] }) {
  if (approvals.length === 0) {
    return (
      <Empty title="Nobody waits">Statements that the policy sends to an approval appear here within a second.</Empty>
    );
  }
  return (
    <ul class="waiting">
      {approvals.map((approval) => (
        <li key={approval.id}>
          <a class="row-link waiting-row" href={linkTo("approvals", [approval.id])}>
            <span class="waiting-head">
              <strong>
                <Shown text={approval.user} />
              </strong>{" "}
              <span class="faint">
                on {approval.listener}, {approval.kinds.join(", ")}
                {approval.isInTransaction ? ", in a transaction" : ""}
              </span>
            </span>
            <span class="waiting-left">
              <TimeLeft approval={approval} />
            </span>
            <Sql text={approval.text} />
          </a>
        </li>
      ))}
    </ul>
  );
}

export function TimeLeft({ approval }: { readonly approval: Approval }) {
  const leftMs = Date.parse(approval.expiresAt) - clock.value;
  if (approval.state !== "pending") return null;
  return (
    <span class={leftMs < 60_000 ? "left left-short" : "left"} role="timer" aria-label={`${span(leftMs / 1000)} left`}>
      {countdown(leftMs)}
    </span>
  );
}
