/**
 * The command phase: one loop, one switch.
 *
 *   read a packet ─► decode the command ─► judge its statement ─► record ─► send the very bytes ─► relay the response
 *                          │                     │
 *                          └─ unknown,           └─ blocked: answered here, the backend never sees it
 *                             malformed: refused
 */
import { MalformedPacketError } from "../../base/bytes.ts";
import { QuerycopError } from "../../base/errors.ts";
import { COMMANDS, type Command, type CommandRow, decodeCommand } from "../../mysql/command.ts";
import { COM_STMT_BULK_EXECUTE, MARIADB_CLIENT_STMT_BULK_OPERATIONS } from "../../mysql/constants.ts";
import type { Packet } from "../../mysql/packet.ts";
import { tellRefusedFetch } from "../limits/data-guard-record.ts";
import type { CommandContext } from "./command-context.ts";
import { forwardCommand } from "./forwarded-command.ts";
import { refuseCommand, sendErr } from "./local-answer.ts";
import { changeUser } from "./login/change-user.ts";
import { runStatement } from "./statement-wire.ts";
import {
  fieldListSql,
  initDbSql,
  killSql,
  PROCESS_INFO_SQL,
  processKillSql,
  readKill,
} from "./statements/statement-text.ts";

/**
 * Reads and carries out commands until the client has closed or said COM_QUIT, or the session is being ended.
 * One promise is awaited per pause for the client and one per response: this loop is the product's hot path.
 */
export async function serveCommands(context: CommandContext): Promise<void> {
  const { leg } = context.client;
  let isPipelined = false;
  while (!context.hasQuit) {
    if (isOver(context)) return;
    if (isPipelined && leg.hasUnread) {
      isPipelined = false;
      const turn = turnOfPipelined(context);
      if (turn !== undefined) {
        await turn;
        continue;
      }
    }
    const packet = leg.takePacket();
    if (packet !== undefined) {
      const running = runCommand(context, packet);
      if (running !== undefined) await running;
      isPipelined = true;
      continue;
    }
    if (leg.isFinished) return;
    context.isIdle = true;
    context.lastActivityMs = context.clock.monotonicMs();
    // It may have closed right behind its last answer, when nobody listened.
    if (context.backend.isFinished) {
      context.backendSpokeUnasked();
      return;
    }
    await leg.nextEvent();
    context.isIdle = false;
    isPipelined = false;
  }
}

/** Between two commands: whether there is not to be another. */
function isOver(context: CommandContext): boolean {
  if (context.backend.hasUnread) {
    // SAFETY: it was said after the end of a response and before a question. It must not become the next answer.
    context.isIdle = true;
    context.backendSpokeUnasked();
    return true;
  }
  if (!context.isLeaving || context.isInTransaction) return false;
  context.endReason ??= "not-writer";
  context.backend.quit();
  return true;
}

/** Undefined where the next command may be carried out at once: a client that has sent many leaves others their turns. */
function turnOfPipelined({ services: { pipelined } }: CommandContext): Promise<void> | undefined {
  let goOn = (): void => undefined;
  if (pipelined.take(1, () => goOn())) return undefined;
  return new Promise((resolve) => {
    goOn = resolve;
  });
}

/** Carries out one command. Returns a promise where something has to be waited for. */
function runCommand(context: CommandContext, packet: Packet): Promise<unknown> | undefined {
  context.client.leg.nextSequenceId = (packet.lastSequenceId + 1) & 0xff;
  if (packet.sequenceId !== 0) {
    const text = `Packets out of order: a command began with sequence id ${packet.sequenceId} instead of 0`;
    throw new QuerycopError("QC_CLIENT_SEQUENCE", text);
  }
  context.state.ordinal++;
  const row = COMMANDS[packet.payload[0] ?? 0];
  context.services.metrics.commands.of(row?.name ?? "unknown").value++;
  if (row === undefined || packet.payload.length === 0 || isRefused(context, row)) {
    refuseCommand(context, packet.payload[0] ?? 0, row);
    return undefined;
  }
  const command = decode(context, packet, row);
  return command === undefined ? undefined : dispatch(context, packet, command);
}

/** A server that has not agreed to bulk operations reads their packets as it likes. */
function isRefused({ state }: CommandContext, { byte, disposition }: CommandRow): boolean {
  if (byte !== COM_STMT_BULK_EXECUTE) return disposition === "refuse";
  return (state.capabilities.mariadb & MARIADB_CLIENT_STMT_BULK_OPERATIONS) === 0;
}

function decode(context: CommandContext, packet: Packet, row: CommandRow): Command | undefined {
  return orMalformed(context, row, () => decodeCommand(packet.payload, context.state.capabilities));
}

/**
 * What `read` makes of the command, or undefined when it was malformed and has been answered. A command without
 * response cannot be answered: the client would take the error for the answer to its next command, so the connection
 * ends.
 */
function orMalformed<Value>(context: CommandContext, row: CommandRow, read: () => Value): Value | undefined {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof MalformedPacketError)) throw thrown;
    const error = new QuerycopError("QC_CLIENT_MALFORMED_COMMAND", `Malformed ${row.name}: ${thrown.message}`);
    if (!row.hasResponse) {
      context.isUnanswerable = true;
      throw error;
    }
    sendErr(context, error);
    return undefined;
  }
}

function dispatch(context: CommandContext, packet: Packet, command: Command): Promise<unknown> | undefined {
  const { name } = command;
  switch (name) {
    case "COM_QUERY":
      return runQuery(context, packet, command.sql);
    case "COM_STMT_EXECUTE":
    case "COM_STMT_BULK_EXECUTE":
      return runExecute(context, packet, command);
    case "COM_STMT_PREPARE":
      return runStatement(context, { packet, command: name, sql: command.sql, shape: "prepare", isPreparing: true });
    case "COM_INIT_DB":
      return runStatement(context, {
        packet,
        command: name,
        sql: initDbSql(command.schema),
        shape: "ok",
        isPreparing: false,
      });
    case "COM_FIELD_LIST":
      return runStatement(context, {
        packet,
        command: name,
        sql: fieldListSql(command.table),
        shape: "field-list",
        isPreparing: false,
      });
    case "COM_PROCESS_INFO":
      return runStatement(context, {
        packet,
        command: name,
        sql: PROCESS_INFO_SQL,
        shape: "result-set",
        isPreparing: false,
      });
    case "COM_PROCESS_KILL":
      return runStatement(context, {
        packet,
        command: name,
        sql: processKillSql(command.connectionId),
        shape: "ok",
        isPreparing: false,
        kills: command.connectionId,
      });
    case "COM_CHANGE_USER":
      return changeUser(context, command.changeUser);
    case "COM_STMT_CLOSE":
      context.state.prepared.close(command.statementId);
      return sendWithoutResponse(context, name, packet);
    case "COM_STMT_SEND_LONG_DATA":
      return sendLongData(context, packet, command);
    case "COM_STMT_RESET":
    case "COM_STMT_FETCH":
      return runCursor(context, packet, name, command.statementId);
    case "COM_SET_OPTION":
      return setOption(context, packet, command.option);
    case "COM_QUIT":
      context.backend.send({ kind: "command", name }, packet.wire);
      context.backend.end();
      context.hasQuit = true;
      return undefined;
    case "unknown":
      refuseCommand(context, command.byte, undefined);
      return undefined;
    default:
      return forwardCommand(context, packet, name);
  }
}

/** `KILL` names a connection by the id its client was greeted with, which is not always the backend's. */
function runQuery(context: CommandContext, packet: Packet, sql: Uint8Array): Promise<void> | undefined {
  const kill = readKill(sql);
  if (kill === undefined)
    return runStatement(context, { packet, command: "COM_QUERY", sql, shape: "query", isPreparing: false });
  const kills = kill.connectionId;
  const connectionId = context.services.backendConnectionId(kills) ?? kills;
  const rewritten = connectionId === kills ? {} : { rewritten: killSql({ ...kill, connectionId }) };
  return runStatement(context, {
    packet,
    command: "COM_QUERY",
    sql,
    shape: "query",
    isPreparing: false,
    kills,
    ...rewritten,
  });
}

type CommandOf<Name extends Command["name"]> = Extract<Command, { readonly name: Name }>;

function runExecute(
  context: CommandContext,
  packet: Packet,
  command: CommandOf<"COM_STMT_EXECUTE" | "COM_STMT_BULK_EXECUTE">,
): Promise<void> | undefined {
  const { name, statementId, flags } = command;
  const prepared = context.state.prepared.find(statementId);
  if (prepared === undefined) {
    refuseStatementId(context, statementId);
    return undefined;
  }
  const { sql } = prepared.text;
  const run = {
    packet,
    command: name,
    sql,
    shape: "execute",
    isPreparing: false,
    prepared,
    // Not the one sent: to MariaDB -1 is the statement prepared last.
    statementId: prepared.statementId,
  } as const;
  // Without a policy nothing asks for values.
  if (!context.services.judge.readsSql) return runStatement(context, run);
  const binding = orMalformed(context, COMMANDS[packet.payload[0] as number] as CommandRow, () =>
    name === "COM_STMT_EXECUTE"
      ? prepared.bind(command.parameterBytes, flags, context.state.capabilities)
      : prepared.bindRows(command.rowBytes, flags),
  );
  return binding && runStatement(context, { ...run, binding, boundRows: binding.rows?.count });
}

/** Servers drop what is sent for a statement that they do not know, and so do we: there is no answer to give. */
function sendLongData(
  context: CommandContext,
  packet: Packet,
  { name, statementId, parameter, data }: CommandOf<"COM_STMT_SEND_LONG_DATA">,
): Promise<void> | undefined {
  const { prepared } = context.state;
  const statement = prepared.find(statementId);
  if (statement === undefined) return undefined;
  if (context.services.judge.readsSql) prepared.addLongData(statement, parameter, data);
  return sendWithoutResponse(context, name, packet);
}

function runCursor(
  context: CommandContext,
  packet: Packet,
  name: "COM_STMT_RESET" | "COM_STMT_FETCH",
  statementId: number,
): Promise<unknown> | undefined {
  const statement = context.state.prepared.find(statementId);
  if (statement === undefined) {
    refuseStatementId(context, statementId);
    return undefined;
  }
  if (name === "COM_STMT_RESET") {
    return forwardCommand(context, packet, name).then(({ outcome }) => {
      if (outcome === "ok") statement.longValues.clear();
    });
  }
  // A row may be made only now, with the functions that it calls.
  context.state.dynamicSql.forgetVariables();
  context.fetching = { command: name, statementId: statement.statementId, executedAs: statement.executedAs };
  const overLimit = context.dataGuard.usedUp();
  if (overLimit !== undefined) {
    tellRefusedFetch(context, overLimit);
    sendErr(context, context.dataGuard.errorFor(overLimit));
    context.fetching = undefined;
    return undefined;
  }
  return forwardCommand(context, packet, name)
    .then((end) => {
      if (statement.fetchEffect !== "none") context.state.afterStatement(end, "opaque");
    })
    .finally(() => {
      context.fetching = undefined;
    });
}

/** MYSQL_OPTION_MULTI_STATEMENTS_ON of enum_mysql_set_option. */
const MULTI_STATEMENTS_ON = 0;

async function setOption(context: CommandContext, packet: Packet, option: number): Promise<void> {
  const { outcome } = await forwardCommand(context, packet, "COM_SET_OPTION");
  // SAFETY: switched off only on the server's word, switched on whatever it said: the stricter reading of a text.
  if (option === MULTI_STATEMENTS_ON) context.state.allowsMultiStatements = true;
  else if (outcome === "ok") context.state.allowsMultiStatements = false;
}

function refuseStatementId(context: CommandContext, statementId: number): void {
  const text = `Unknown prepared statement handler (${statementId}): this connection has not prepared it`;
  sendErr(context, new QuerycopError("QC_CLIENT_UNKNOWN_STATEMENT_ID", text));
}

function sendWithoutResponse(context: CommandContext, name: string, packet: Packet): Promise<void> | undefined {
  if (context.backend.send({ kind: "command", name }, packet.wire)) return undefined;
  return context.backend.drainedWithin(context.services.options.backend.writeTimeoutMs);
}
