/** What a server's answers say about its being the writer: docs/decisions/0020-failover.md. */
import {
  ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION,
  ER_OPTION_PREVENTS_STATEMENT,
  ER_READ_ONLY_MODE,
  ER_RUN_HOOK_ERROR,
} from "../../mysql/constants.ts";
import type { ResponseEnd } from "../../mysql/response.ts";
import type { CommandContext } from "./command-context.ts";
import { askRole } from "./login/writer-login.ts";

/** After a statement. Undefined where there is nothing to be asked, which is nearly always. */
export function heedReadOnly(context: CommandContext, end: ResponseEnd): Promise<void> | undefined {
  const { writers } = context.services;
  if (writers === undefined || end.outcome !== "err") return undefined;
  switch (end.errorNumber) {
    case ER_OPTION_PREVENTS_STATEMENT:
      // Other options prevent other statements.
      if (!namesReadOnly(end.errorMessage)) return undefined;
      writers.learn(context.backend.remoteAddress, false);
      return undefined;
    case ER_READ_ONLY_MODE:
      writers.learn(context.backend.remoteAddress, false);
      return undefined;
    case ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION:
    case ER_RUN_HOOK_ERROR:
      return context.state.isInTransaction || context.state.wall !== "down" ? undefined : askAgain(context);
    default:
      return undefined;
  }
}

function namesReadOnly(message = ""): boolean {
  return message.includes("read-only") || message.includes("read_only");
}

async function askAgain(context: CommandContext): Promise<void> {
  const { services, backend, state } = context;
  const role = await askRole(services, backend, state.capabilities);
  if (role !== "unknown") services.writers?.learn(backend.remoteAddress, role === "writer");
}
