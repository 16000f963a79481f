/** What a client is told of the judgement on its statement. */
import { encodeNoticeResponse, type OwnError } from "../../../postgres/backend-message.ts";
import type { Judgement } from "../../statement/statement-judge.ts";

/** The rule and the decision in one line; the reason and what to do instead where the manual wants them. */
export function refusalOf(judgement: Judgement): OwnError {
  const { clientMessage = "querycop: refused", decisionId } = judgement;
  const [message = "", ...rest] = clientMessage.split("\n");
  const named = message.includes(decisionId) ? message : `${message} [decision ${decisionId}]`;
  return {
    severity: "ERROR",
    // SAFETY: 42501 where the judge names no state of PostgreSQL's.
    code: /^[0-9A-Z]{5}$/.test(judgement.sqlState) && judgement.sqlState !== "HY000" ? judgement.sqlState : "42501",
    message: named,
    ...(rest.length > 0 ? { detail: rest.join("\n") } : {}),
  };
}

export function warningOf({ clientMessage, decisionId, ruleId }: Judgement): Uint8Array {
  const message =
    clientMessage ?? `querycop: warning${ruleId === undefined ? "" : ` ${ruleId}`} [decision ${decisionId}]`;
  return encodeNoticeResponse({ severity: "WARNING", code: "01000", message });
}
