/** A MySQL statement that waits for an approval: what the approval is bound to, and who may end the wait. */
import { createHash } from "node:crypto";
import { ERROR_CODES } from "../../base/errors.ts";
import { COM_QUIT, SERVER_STATUS_ANSI_QUOTES, SERVER_STATUS_NO_BACKSLASH_ESCAPES } from "../../mysql/constants.ts";
import type { CancelReason } from "../../policy/approvals.ts";
import type { HeldStatement } from "../statement/approval-hold.ts";
import type { Judgement } from "../statement/statement-judge.ts";
import type { CommandContext } from "./command-context.ts";
import { probeSession } from "./session-probe.ts";
import type { StatementRun } from "./statement-wire.ts";

export function heldStatement(context: CommandContext, run: StatementRun, judgement: Judgement): HeldStatement {
  const { state } = context;
  return {
    numbers: NUMBERS,
    bytes: run.packet.payload.length,
    get holdsLocks() {
      return state.isInTransaction || state.hasLockedTables;
    },
    settle: async () => {
      if (state.needsProbe && context.services.judge.readsSql) await probeSession(context);
    },
    bind: () => {
      const { schema, sqlMode, characterSet } = state.variables;
      const reading = JSON.stringify([
        run.command,
        sqlMode,
        characterSet,
        state.statusFlags & READING_FLAGS,
        state.allowsMultiStatements,
      ]);
      return { statementHash: hashOf(run, judgement), schema: schema ?? "", reading };
    },
    lost: () => lostOf(context),
    clientLeaves: (isOver) => clientLeaves(context, isOver),
  };
}

/** ER_QUERY_INTERRUPTED. */
const KILLED = { errorNumber: 1317, sqlState: "70100" } as const;
const NUMBERS = { killed: KILLED, shutdown: ERROR_CODES.QC_SHUTDOWN } as const;

const READING_FLAGS = SERVER_STATUS_NO_BACKSLASH_ESCAPES | SERVER_STATUS_ANSI_QUOTES;

/** The statement's own bytes, and for a prepared one the rest of the command: its flags and bound values. */
function hashOf(run: StatementRun, judgement: Judgement): string {
  const hash = createHash("sha256").update(run.sql);
  if (judgement.approval?.behind !== undefined) hash.update(`\0${judgement.approval.behind}`);
  if (run.prepared !== undefined) hash.update(run.packet.payload.subarray(5));
  if (run.binding !== undefined) hash.update(run.prepared?.describeRest(run.binding) ?? "");
  return hash.digest("hex");
}

/** Later events come by the session's cancelHold; this is for what had happened before. */
function lostOf({ signal, backend }: CommandContext): CancelReason | undefined {
  if (signal.aborted) return "session-ended";
  return backend.isDead || backend.isEnded || backend.hasUnread ? "backend-closed" : undefined;
}

/** A reset is told by the session. A FIN, a goodbye and too much behind are found here. */
async function clientLeaves({ client }: CommandContext, isOver: () => boolean): Promise<CancelReason | undefined> {
  const { leg } = client;
  while (!isOver()) {
    if (leg.isEnded || leg.isDead) return "client-closed";
    if (isQuit(leg.peek(5))) return "client-quit";
    // SAFETY: a leg that is not read shows no end of the client, and nobody would wait for the result.
    if (leg.isPaused) return "client-backlog";
    await leg.nextEvent();
  }
  return undefined;
}

function isQuit(head: Uint8Array): boolean {
  return head.length === 5 && head[0] === 1 && head[1] === 0 && head[2] === 0 && head[4] === COM_QUIT;
}
