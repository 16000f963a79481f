/** Why bytes may go to a PostgreSQL: what was decided, by whom. Without one nothing is sent (backend-connection.ts). */
import type { ForwardedName } from "../../postgres/frontend-message.ts";
import type { DecisionAction, Judgement } from "../statement/statement-judge.ts";

export type BackendPermit =
  /** querycop's own part of the login: written by us from a decoded structure, never the client's raw bytes. */
  | { readonly kind: "login"; readonly message: "SSLRequest" | "StartupMessage" | "AuthenticationResponse" }
  /** A statement the policy let through. */
  | { readonly kind: "decision"; readonly decisionId: string; readonly action: Exclude<DecisionAction, "block"> }
  /** More of a portal that was decided with its Bind, which has this ordinal. */
  | { readonly kind: "portal"; readonly ordinal: number }
  /** A message without statement text which the table of messages forwards. */
  | { readonly kind: "forwarded"; readonly name: ForwardedName }
  /** What must fail, in the place of what was refused. */
  | { readonly kind: "poison" }
  /** querycop's own: CancelRequest stops what the session runs, Flush asks for answers, Terminate says goodbye; Query is doctor's, and a command's that is a client of its own. */
  | { readonly kind: "own"; readonly message: "CancelRequest" | "Flush" | "Terminate" | "Query" };

/** SAFETY: throws for a judgement that lets nothing through. */
export function permitOf({ action, decisionId }: Pick<Judgement, "action" | "decisionId">): BackendPermit {
  if (action === "block") throw new TypeError(`The blocked statement of decision ${decisionId} was about to be sent`);
  return { kind: "decision", decisionId, action };
}
