/** Statements that querycop puts to the server by itself are on record too, as its own. */
import type { CommandContext } from "./command-context.ts";

/** Records it before it is sent. Throws where it cannot be recorded: then it must not be sent. */
export async function recordOwn(context: CommandContext, purpose: string, text: string): Promise<void> {
  if (!context.services.audit.isKept) return;
  await context.record({
    type: "own-statement",
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    purpose,
    text,
  });
}
