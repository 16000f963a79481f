/**
 * A text that is refused because querycop does not understand it may be one that nobody understands. The server's parser is
 * asked, by COM_STMT_PREPARE, which runs nothing of any statement (measured: test/e2e/syntax.test.ts). The text is never
 * sent in another way, whatever the answer:
 *
 *   1064 ──► the client gets the server's own error, with its "near '…' at line N"
 *   else ──► refused as what it is, a statement that only the server understands
 */
import { concatBytes } from "../../../base/bytes.ts";
import { encodeStmtClose, encodeStmtPrepare } from "../../../mysql/command.ts";
import { ER_PARSE_ERROR } from "../../../mysql/constants.ts";
import { encodePacket } from "../../../mysql/packet.ts";
import { ResponseTracker } from "../../../mysql/response.ts";
import type { Permit } from "../../backend-gate.ts";
import type { Judgement } from "../../statement/statement-judge.ts";
import { statementFields } from "../../statement/statement-record.ts";
import type { CommandContext } from "../command-context.ts";
import { probeTimeout } from "../session-probe.ts";
import type { StatementRun } from "../statement-wire.ts";
import { givenUpAfter, readAnswer } from "./own-statement.ts";

/** Longer texts are no typing. */
const TEXT_BYTES_MAX = 16 * 1024;
const PURPOSE = "its syntax check";
const PERMIT: Permit = { kind: "own", purpose: PURPOSE };

const SEMICOLON = 0x3b;
const SPACES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]);

/**
 * Whether the server is to be asked about a text that is about to be refused. A pooler may do more with a statement that is
 * prepared than to parse it.
 */
export function isSyntaxInDoubt({ services, state }: CommandContext, run: StatementRun, judgement: Judgement): boolean {
  return (
    judgement.action === "block" &&
    judgement.mayBeTypingError === true &&
    (run.command === "COM_QUERY" || run.command === "COM_STMT_PREPARE") &&
    run.rewritten === undefined &&
    services.options.backend.checksSyntax &&
    services.options.backend.pooler === undefined &&
    state.dialect !== "vitess" &&
    run.sql.length <= TEXT_BYTES_MAX &&
    isOneStatement(run.sql)
  );
}

/** SAFETY: of several statements the first may parse and run by itself; to a PREPARE each of them is a syntax error. */
function isOneStatement(sql: Uint8Array): boolean {
  let end = sql.length;
  while (end > 0 && (SPACES.has(sql[end - 1] ?? 0) || sql[end - 1] === SEMICOLON)) end--;
  const first = sql.indexOf(SEMICOLON);
  return first === -1 || first >= end;
}

/** True when the client has been told the server's syntax error; false when the statement is still to be refused. */
export async function tellSyntaxError(
  context: CommandContext,
  run: StatementRun,
  judgement: Judgement,
): Promise<boolean> {
  try {
    await context.record({ type: "syntax-check", ...statementFields(context, run, judgement) });
  } catch {
    // No record, no byte to the server.
    return false;
  }
  const error = await givenUpAfter(context, PURPOSE, probeTimeout(context), () => askParser(context, run.sql));
  if (error === undefined) return false;
  context.client.leg.write(error);
  return true;
}

/** The server's syntax error as it came; undefined where there is none. */
async function askParser(context: CommandContext, sql: Uint8Array): Promise<Uint8Array | undefined> {
  const { backend, state } = context;
  // To MariaDB it is the statement prepared last, also where it failed.
  state.prepared.forgetLast();
  const tracker = new ResponseTracker({ shape: "prepare", capabilities: state.capabilities });
  backend.send(PERMIT, encodePacket(encodeStmtPrepare(sql), 0));
  const chunks: Uint8Array[] = [];
  const end = await readAnswer(context, tracker, (chunk) => chunks.push(chunk));
  if (end.prepared !== undefined) backend.send(PERMIT, encodePacket(encodeStmtClose(end.prepared.statementId), 0));
  return end.errorNumber === ER_PARSE_ERROR ? concatBytes(chunks) : undefined;
}
