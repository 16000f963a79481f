/** The commands of the command phase: the only place that knows what each byte means and what querycop does with it. */

import { ByteReader, ByteWriter, concatBytes, encodeUtf8 } from "../base/bytes.ts";
import { encodeNameBytes } from "./character-set.ts";
import * as com from "./constants.ts";
import { type Capabilities, CLIENT_CONNECT_ATTRS, CLIENT_QUERY_ATTRIBUTES, SCHEMA_BYTES_MAX } from "./constants.ts";
import {
  decodeConnectAttributes,
  decodePluginName,
  decodeSchemaName,
  decodeUserName,
  encodeConnectAttributes,
  requireLength,
} from "./handshake.ts";
import { encodeQueryAttributes, type QueryAttribute, readQueryAttributes } from "./query-attributes.ts";
import type { ResponseShape } from "./response.ts";

/**
 * - judge: has an effect that policy decides about
 * - local: querycop carries it out itself
 * - forward: harmless, or only finishes what was judged before
 * - refuse: answered with error 1047
 */
export type CommandDisposition = "judge" | "local" | "forward" | "refuse";

export interface CommandRow {
  readonly byte: number;
  readonly name: CommandName;
  /**
   * With the command byte. Servers differ in what they do with shorter packets, up to answering commands that have
   * no answer, so a shorter packet is never forwarded.
   */
  readonly payloadBytesMin: number;
  /** "login" is the exchange of the connection phase, "none" no answer at all. */
  readonly response: ResponseShape | "login" | "none";
  readonly hasResponse: boolean;
  readonly disposition: CommandDisposition;
}

const row = <const Name extends string>(
  byte: number,
  name: Name,
  payloadBytesMin: number,
  response: CommandRow["response"],
  disposition: CommandDisposition,
) => ({ byte, name, payloadBytesMin, response, hasResponse: response !== "none", disposition });

const ROWS = [
  row(com.COM_SLEEP, "COM_SLEEP", 0, "ok", "refuse"),
  row(com.COM_QUIT, "COM_QUIT", 1, "none", "forward"),
  row(com.COM_INIT_DB, "COM_INIT_DB", 1, "ok", "judge"),
  row(com.COM_QUERY, "COM_QUERY", 1, "query", "judge"),
  row(com.COM_FIELD_LIST, "COM_FIELD_LIST", 2, "field-list", "judge"),
  row(com.COM_CREATE_DB, "COM_CREATE_DB", 1, "ok", "refuse"),
  row(com.COM_DROP_DB, "COM_DROP_DB", 1, "ok", "refuse"),
  row(com.COM_REFRESH, "COM_REFRESH", 2, "ok", "refuse"),
  row(com.COM_SHUTDOWN, "COM_SHUTDOWN", 1, "eof", "refuse"),
  row(com.COM_STATISTICS, "COM_STATISTICS", 1, "statistics", "forward"),
  row(com.COM_PROCESS_INFO, "COM_PROCESS_INFO", 1, "result-set", "judge"),
  row(com.COM_CONNECT, "COM_CONNECT", 1, "ok", "refuse"),
  row(com.COM_PROCESS_KILL, "COM_PROCESS_KILL", 5, "ok", "judge"),
  row(com.COM_DEBUG, "COM_DEBUG", 1, "eof", "refuse"),
  row(com.COM_PING, "COM_PING", 1, "ok", "forward"),
  row(com.COM_TIME, "COM_TIME", 1, "ok", "refuse"),
  row(com.COM_DELAYED_INSERT, "COM_DELAYED_INSERT", 1, "ok", "refuse"),
  row(com.COM_CHANGE_USER, "COM_CHANGE_USER", 4, "login", "local"),
  // Streams that never end, or another protocol on the same socket: no tracker could follow them.
  row(com.COM_BINLOG_DUMP, "COM_BINLOG_DUMP", 11, "none", "refuse"),
  row(com.COM_TABLE_DUMP, "COM_TABLE_DUMP", 1, "none", "refuse"),
  row(com.COM_CONNECT_OUT, "COM_CONNECT_OUT", 1, "ok", "refuse"),
  row(com.COM_REGISTER_SLAVE, "COM_REGISTER_SLAVE", 18, "ok", "refuse"),
  row(com.COM_STMT_PREPARE, "COM_STMT_PREPARE", 1, "prepare", "judge"),
  row(com.COM_STMT_EXECUTE, "COM_STMT_EXECUTE", 10, "execute", "judge"),
  row(com.COM_STMT_SEND_LONG_DATA, "COM_STMT_SEND_LONG_DATA", 7, "none", "forward"),
  row(com.COM_STMT_CLOSE, "COM_STMT_CLOSE", 5, "none", "forward"),
  row(com.COM_STMT_RESET, "COM_STMT_RESET", 5, "ok", "forward"),
  row(com.COM_SET_OPTION, "COM_SET_OPTION", 3, "eof", "judge"),
  row(com.COM_STMT_FETCH, "COM_STMT_FETCH", 9, "fetch", "forward"),
  row(com.COM_DAEMON, "COM_DAEMON", 1, "ok", "refuse"),
  row(com.COM_BINLOG_DUMP_GTID, "COM_BINLOG_DUMP_GTID", 23, "none", "refuse"),
  row(com.COM_RESET_CONNECTION, "COM_RESET_CONNECTION", 1, "ok", "forward"),
  row(com.COM_CLONE, "COM_CLONE", 1, "none", "refuse"),
  row(com.COM_SUBSCRIBE_GROUP_REPLICATION_STREAM, "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM", 1, "none", "refuse"),
  row(com.COM_STMT_BULK_EXECUTE, "COM_STMT_BULK_EXECUTE", 7, "execute", "judge"),
] as const;

export type CommandName = (typeof ROWS)[number]["name"];

/** By command byte, all 256 of them. Bytes without a row are refused like those whose disposition says so. */
export const COMMANDS: readonly (CommandRow | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  ROWS.find((candidate) => candidate.byte === byte),
);

/** A client's second login on the same connection. Optional members are absent where the client did not send them. */
export interface ChangeUser {
  readonly user: string;
  /** Names as they were sent, as in HandshakeResponse41. */
  readonly userBytes?: Uint8Array;
  readonly authResponse: Uint8Array;
  readonly schema?: string;
  readonly schemaBytes?: Uint8Array;
  /** A whole collation id, where the greeting has the low 8 bits. */
  readonly characterSet?: number;
  readonly authPluginName: string;
  readonly connectAttributes?: ReadonlyMap<string, string>;
}

/** Commands whose content is their name. */
type PlainCommandName = Exclude<
  CommandName,
  | "COM_INIT_DB"
  | "COM_QUERY"
  | "COM_FIELD_LIST"
  | "COM_PROCESS_KILL"
  | "COM_CHANGE_USER"
  | "COM_STMT_PREPARE"
  | "COM_STMT_EXECUTE"
  | "COM_STMT_BULK_EXECUTE"
  | "COM_STMT_SEND_LONG_DATA"
  | "COM_STMT_CLOSE"
  | "COM_STMT_RESET"
  | "COM_SET_OPTION"
  | "COM_STMT_FETCH"
>;

/**
 * Byte fields are views of the packet. Schema and table names are read as UTF-8, servers read them in the session's
 * character_set_client: beyond ASCII they are right only where that is utf8mb3 or utf8mb4.
 */
export type Command =
  | { readonly name: PlainCommandName }
  /** Names are bytes of the client's character set. */
  | { readonly name: "COM_INIT_DB"; readonly schema: Uint8Array }
  | { readonly name: "COM_QUERY"; readonly sql: Uint8Array; readonly attributes: readonly QueryAttribute[] }
  | { readonly name: "COM_FIELD_LIST"; readonly table: Uint8Array; readonly wildcard: Uint8Array }
  | { readonly name: "COM_PROCESS_KILL"; readonly connectionId: number }
  | { readonly name: "COM_CHANGE_USER"; readonly changeUser: ChangeUser }
  | { readonly name: "COM_STMT_PREPARE"; readonly sql: Uint8Array }
  | {
      readonly name: "COM_STMT_EXECUTE";
      readonly statementId: number;
      readonly flags: number;
      /** For decodeBoundParameters(), which must know the statement. */
      readonly parameterBytes: Uint8Array;
    }
  | {
      readonly name: "COM_STMT_BULK_EXECUTE";
      readonly statementId: number;
      readonly flags: number;
      /** For decodeBulkRows(), which must know the statement. */
      readonly rowBytes: Uint8Array;
    }
  | {
      readonly name: "COM_STMT_SEND_LONG_DATA";
      readonly statementId: number;
      readonly parameter: number;
      readonly data: Uint8Array;
    }
  | { readonly name: "COM_STMT_CLOSE" | "COM_STMT_RESET"; readonly statementId: number }
  | { readonly name: "COM_SET_OPTION"; readonly option: number }
  | { readonly name: "COM_STMT_FETCH"; readonly statementId: number; readonly rowCount: number }
  | { readonly name: "unknown"; readonly byte: number };

const NO_ATTRIBUTES: readonly QueryAttribute[] = [];

/**
 * Reads one command. An empty payload is a COM_SLEEP, as servers have it. Throws MalformedPacketError for anything
 * shorter than payloadBytesMin and for content that does not hold together: such a packet must not be forwarded, and
 * where the command has no response the connection must be closed, because an error would answer the next command.
 */
export function decodeCommand(payload: Uint8Array, capabilities: Capabilities): Command {
  const byte = payload[0] ?? com.COM_SLEEP;
  const found = COMMANDS[byte];
  if (found === undefined) return { name: "unknown", byte };
  const reader = new ByteReader(payload, found.name);
  if (payload.length < found.payloadBytesMin) {
    reader.fail(`${payload.length} bytes, expected at least ${found.payloadBytesMin}`);
  }
  if (payload.length > 0) reader.skip(1);
  return decodeContent(found.name, reader, payload, capabilities);
}

function decodeContent(
  name: CommandName,
  reader: ByteReader,
  payload: Uint8Array,
  capabilities: Capabilities,
): Command {
  switch (name) {
    case "COM_INIT_DB":
      return { name, schema: requireIdentifier(reader, "schema name", reader.rest()) };
    case "COM_QUERY":
      return decodeQuery(payload, capabilities.flags);
    case "COM_STMT_PREPARE":
      return { name, sql: reader.rest() };
    case "COM_FIELD_LIST": {
      const table = requireIdentifier(reader, "table name", reader.nulTerminatedBytes());
      return { name, table, wildcard: reader.rest() };
    }
    case "COM_PROCESS_KILL":
      return { name, connectionId: reader.uint32() };
    case "COM_CHANGE_USER":
      return { name, changeUser: decodeChangeUser(reader, capabilities) };
    case "COM_STMT_EXECUTE": {
      const statementId = reader.uint32();
      const flags = reader.uint8();
      // The iteration count: always 1, and servers do not look at it.
      reader.skip(4);
      return { name, statementId, flags, parameterBytes: reader.rest() };
    }
    case "COM_STMT_BULK_EXECUTE":
      return { name, statementId: reader.uint32(), flags: reader.uint16(), rowBytes: reader.rest() };
    case "COM_STMT_SEND_LONG_DATA":
      return { name, statementId: reader.uint32(), parameter: reader.uint16(), data: reader.rest() };
    case "COM_STMT_CLOSE":
    case "COM_STMT_RESET":
      return { name, statementId: reader.uint32() };
    case "COM_SET_OPTION":
      return { name, option: reader.uint16() };
    case "COM_STMT_FETCH":
      return { name, statementId: reader.uint32(), rowCount: reader.uint32() };
    default:
      return { name };
  }
}

function decodeQuery(payload: Uint8Array, capabilityFlags: number): Command {
  if ((capabilityFlags & CLIENT_QUERY_ATTRIBUTES) === 0) {
    return { name: "COM_QUERY", sql: payload.subarray(1), attributes: NO_ATTRIBUTES };
  }
  // Nearly every client that agreed to attributes sends none.
  if (payload[1] === 0 && payload[2] === 1) {
    return { name: "COM_QUERY", sql: payload.subarray(3), attributes: NO_ATTRIBUTES };
  }
  const reader = new ByteReader(payload, "COM_QUERY", 1, payload.length, true);
  const attributes = readQueryAttributes(reader, payload);
  return { name: "COM_QUERY", sql: reader.rest(), attributes };
}

/** A COM_QUERY for a leg with these flags: without CLIENT_QUERY_ATTRIBUTES the attributes are left out. */
export function encodeQuery(
  sql: Uint8Array,
  capabilityFlags: number,
  attributes: readonly QueryAttribute[] = NO_ATTRIBUTES,
): Uint8Array {
  const head = Uint8Array.of(com.COM_QUERY);
  if ((capabilityFlags & CLIENT_QUERY_ATTRIBUTES) === 0) return concatBytes([head, sql]);
  return concatBytes([head, encodeQueryAttributes(attributes), sql]);
}

/** Of a text: what is prepared is parsed and looked up, and does not run (page_protocol_com_stmt_prepare). */
export function encodeStmtPrepare(sql: Uint8Array): Uint8Array {
  return new ByteWriter(1 + sql.length).uint8(com.COM_STMT_PREPARE).bytes(sql).finish();
}

/** Has no answer. */
export function encodeStmtClose(statementId: number): Uint8Array {
  return new ByteWriter(5).uint8(com.COM_STMT_CLOSE).uint32(statementId).finish();
}

function requireIdentifier(reader: ByteReader, noun: string, bytes: Uint8Array): Uint8Array {
  if (bytes.includes(0)) reader.fail(`the ${noun} holds a NUL`);
  return requireLength(reader, noun, bytes, SCHEMA_BYTES_MAX);
}

/**
 * The authResponse has a length of one byte here, whatever CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA says
 * (parse_com_change_user_packet() in sql_authentication.cc). What follows the schema may be left out.
 */
function decodeChangeUser(reader: ByteReader, capabilities: Capabilities): ChangeUser {
  const userBytes = reader.nulTerminatedBytes();
  const authResponse = reader.bytes(reader.uint8());
  const schemaBytes = requireIdentifier(reader, "schema name", reader.nulTerminatedBytes());
  const characterSet = reader.remaining > 0 ? reader.uint16() : undefined;
  const changeUser: { -readonly [Key in keyof ChangeUser]: ChangeUser[Key] } = {
    ...decodeUserName(reader, userBytes, characterSet),
    authResponse,
    ...decodeSchemaName(schemaBytes, characterSet),
    authPluginName: "",
  };
  if (characterSet !== undefined) changeUser.characterSet = characterSet;
  if (reader.remaining === 0) return changeUser;
  changeUser.authPluginName = decodePluginName(reader);
  if ((capabilities.flags & CLIENT_CONNECT_ATTRS) !== 0) changeUser.connectAttributes = decodeConnectAttributes(reader);
  return changeUser;
}

/**
 * Without a characterSet the packet ends behind the schema. Throws RangeError for an authResponse above 255 bytes:
 * a long secret goes into the answer to an AuthSwitchRequest.
 */
export function encodeChangeUser(changeUser: ChangeUser, capabilityFlags: number): Uint8Array {
  const writer = new ByteWriter(128)
    .uint8(com.COM_CHANGE_USER)
    .nulTerminatedBytes(encodeNameBytes(changeUser.user, changeUser.userBytes, changeUser.characterSet))
    .uint8(changeUser.authResponse.length)
    .bytes(changeUser.authResponse)
    .nulTerminatedBytes(encodeNameBytes(changeUser.schema ?? "", changeUser.schemaBytes, changeUser.characterSet));
  if (changeUser.characterSet === undefined) return writer.finish();
  writer.uint16(changeUser.characterSet).nulTerminatedBytes(encodeUtf8(changeUser.authPluginName));
  if ((capabilityFlags & CLIENT_CONNECT_ATTRS) !== 0) {
    writer.lenencBytes(encodeConnectAttributes(changeUser.connectAttributes ?? new Map()));
  }
  return writer.finish();
}
