/** Whether a session may have one more prepared statement: by their number, and by the memory that their texts take. */
import { QuerycopError } from "../../../base/errors.ts";
import type { CommandContext } from "../command-context.ts";
import { sendErr } from "../local-answer.ts";

/** True when it may not, and the client has been told so. */
export function mayNotPrepare(context: CommandContext, textBytes: number): boolean {
  const refusal = tooMany(context) ?? context.memory.refusalToKeep(textBytes, "another prepared statement");
  if (refusal !== undefined) sendErr(context, refusal);
  return refusal !== undefined;
}

function tooMany({ services, state }: CommandContext): QuerycopError | undefined {
  const { preparedStatementsMax } = services.options;
  if (state.prepared.size < preparedStatementsMax) return undefined;
  const text =
    `Cannot prepare another statement: this connection has ${preparedStatementsMax} of them; ` +
    "close some, or raise GATEKEEPER_PREPARED_STATEMENTS_MAX";
  return new QuerycopError("QC_CLIENT_TOO_MANY_STATEMENTS", text);
}
