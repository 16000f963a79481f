/**
 * The command phase: one loop, one switch.
 *
 *   read a packet ─► decode the command ─► judge its statement ─► record ─► send the very bytes ─► relay the response
 *                          │                     │
 *                          └─ unknown,           └─ blocked: answered here, the backend never sees it
 *                             malformed: refused
 */
import { MalformedPacketError } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import { COMMANDS, type Command, type CommandRow, decodeCommand } from "../mysql/command.ts";
import { CLIENT_QUERY_ATTRIBUTES } from "../mysql/constants.ts";
import type { Packet } from "../mysql/packet.ts";
import { changeUser } from "./change-user.ts";
import type { CommandContext } from "./command-context.ts";
import { refuseCommand, sendErr } from "./local-answer.ts";
import { drainBackend } from "./relay.ts";
import { forwardCommand, runStatement, type StatementRun } from "./statement-run.ts";
import { fieldListSql, initDbSql, PROCESS_INFO_SQL, processKillSql, retargetKill } from "./statement-text.ts";

export type CommandOutcome = "continue" | "quit";

/** Reads and carries out one command. Returns "quit" when the client has closed or said COM_QUIT. */
export async function runCommand(context: CommandContext): Promise<CommandOutcome> {
  context.isIdle = true;
  const packet = await context.client.leg.readPacket();
  context.isIdle = false;
  if (packet === undefined) return "quit";
  context.lastActivityMs = context.clock.monotonicMs();
  context.client.leg.nextSequenceId = (packet.lastSequenceId + 1) & 0xff;
  if (packet.sequenceId !== 0) {
    const text = `Packets out of order: a command began with sequence id ${packet.sequenceId} instead of 0`;
    throw new QuerycopError("QC_CLIENT_SEQUENCE", text);
  }
  context.state.ordinal++;
  const row = COMMANDS[packet.payload[0] ?? 0];
  if (row === undefined || packet.payload.length === 0 || row.disposition === "refuse") {
    return refuseCommand(context, packet.payload[0] ?? 0, row);
  }
  const command = decode(context, packet, row);
  return command === undefined ? "continue" : dispatch(context, packet, command);
}

/**
 * The decoded command, or undefined when it was malformed and has been answered. A command without response cannot be
 * answered: the client would take the error for the answer to its next command, so the connection ends.
 */
function decode(context: CommandContext, packet: Packet, row: CommandRow): Command | undefined {
  try {
    return decodeCommand(packet.payload, context.state.capabilities);
  } catch (thrown) {
    if (!(thrown instanceof MalformedPacketError)) throw thrown;
    const error = new QuerycopError("QC_CLIENT_MALFORMED_COMMAND", `Malformed ${row.name}: ${thrown.message}`);
    if (!row.hasResponse) throw error;
    sendErr(context, error);
    return undefined;
  }
}

async function dispatch(context: CommandContext, packet: Packet, command: Command): Promise<CommandOutcome> {
  switch (command.name) {
    case "COM_QUIT":
      context.backend.send({ kind: "command", name: command.name }, packet.wire);
      context.backend.end();
      return "quit";
    case "COM_QUERY":
      await runQuery(context, packet, command.sql);
      return "continue";
    case "COM_STMT_PREPARE":
      await runStatement(context, packet, { command: command.name, sql: command.sql, shape: "prepare" });
      return "continue";
    case "COM_STMT_EXECUTE":
      await runExecute(context, packet, command.statementId);
      return "continue";
    case "COM_INIT_DB":
      await runStatement(context, packet, { command: command.name, sql: initDbSql(command.schema), shape: "ok" });
      return "continue";
    case "COM_FIELD_LIST":
      await runStatement(context, packet, {
        command: command.name,
        sql: fieldListSql(command.table),
        shape: "field-list",
      });
      return "continue";
    case "COM_PROCESS_INFO":
      await runStatement(context, packet, { command: command.name, sql: PROCESS_INFO_SQL, shape: "result-set" });
      return "continue";
    case "COM_PROCESS_KILL":
      await runStatement(context, packet, {
        command: command.name,
        sql: processKillSql(command.connectionId),
        shape: "ok",
      });
      return "continue";
    case "COM_CHANGE_USER":
      await changeUser(context, command.changeUser);
      return "continue";
    case "COM_STMT_CLOSE":
      context.state.prepared.delete(command.statementId);
      await sendWithoutResponse(context, command.name, packet);
      return "continue";
    case "COM_STMT_SEND_LONG_DATA":
      await sendWithoutResponse(context, command.name, packet);
      return "continue";
    case "COM_STMT_RESET":
    case "COM_STMT_FETCH":
      if (!context.state.prepared.has(command.statementId)) refuseStatementId(context, command.statementId);
      else await forwardCommand(context, packet, command.name);
      return "continue";
    case "COM_RESET_CONNECTION":
      await forwardCommand(context, packet, command.name);
      context.state.reset();
      return "continue";
    default:
      if (command.name === "unknown") return refuseCommand(context, command.byte, undefined);
      await forwardCommand(context, packet, command.name);
      return "continue";
  }
}

/** `KILL` names a connection by the id its client was greeted with, which is not always the backend's. */
async function runQuery(context: CommandContext, packet: Packet, sql: Uint8Array): Promise<void> {
  const run: StatementRun = { command: "COM_QUERY", sql, shape: "query" };
  const retargeted = retargetKill(sql, (id) => context.services.backendConnectionId(id));
  if (retargeted === undefined) return runStatement(context, packet, run);
  const hasAttributes = (context.state.capabilities.flags & CLIENT_QUERY_ATTRIBUTES) !== 0;
  return runStatement(context, packet, { ...run, rewritten: { sql: retargeted, hasAttributes } });
}

/** MariaDB takes this id for the statement prepared last, so that a client need not wait for the id. */
const LAST_PREPARED = 0xffffffff;

async function runExecute(context: CommandContext, packet: Packet, sentId: number): Promise<void> {
  const { prepared, lastPreparedId } = context.state;
  const statementId = sentId === LAST_PREPARED ? (lastPreparedId ?? sentId) : sentId;
  const statement = prepared.get(statementId);
  if (statement === undefined) {
    refuseStatementId(context, sentId);
    return;
  }
  await runStatement(context, packet, {
    command: "COM_STMT_EXECUTE",
    sql: statement.sql,
    shape: "execute",
    statementId,
  });
}

function refuseStatementId(context: CommandContext, statementId: number): void {
  const text = `Unknown prepared statement handler (${statementId}): this connection has not prepared it`;
  sendErr(context, new QuerycopError("QC_CLIENT_UNKNOWN_STATEMENT_ID", text));
}

async function sendWithoutResponse(context: CommandContext, name: string, packet: Packet): Promise<void> {
  if (context.backend.send({ kind: "command", name }, packet.wire)) return;
  await drainBackend(context.backend, context.services.options.writeTimeoutMs);
}
