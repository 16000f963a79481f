/** What clients send after the startup: the only place that knows what each type means and what querycop does with it. */

import { ByteReader, type ByteWriter, decodeUtf8, isUtf8 } from "../base/bytes.ts";
import { ClientMessageError, decodeForClient } from "./error-states.ts";
import { encodeMessage, readCounted, readValue, typeByte, writeString, writeValue } from "./message.ts";

/**
 * - judge: has an effect that policy decides about
 * - forward: harmless, or only finishes what was judged before
 * - login: belongs to the exchange of passwords and ends the connection anywhere else
 * - refuse: never forwarded as it is
 */
export type FrontendDisposition = "judge" | "forward" | "login" | "refuse";

export interface FrontendRow {
  readonly type: string;
  readonly name: FrontendName;
  readonly disposition: FrontendDisposition;
  /**
   * Largest length, itself included, that a server takes: SocketBackend() in postgres.c, where more ends the connection
   * (PQ_SMALL_MESSAGE_LIMIT, PQ_LARGE_MESSAGE_LIMIT), and auth.h for the login.
   */
  readonly lengthMax: number;
}

const SMALL = 10_000;
const LARGE = 0x3fffffff;
/** PG_MAX_AUTH_TOKEN_LENGTH; a SASL message may have 1,024. */
const AUTHENTICATION = 65_535;

const row = <const Name extends string, const Disposition extends FrontendDisposition>(
  type: string,
  name: Name,
  disposition: Disposition,
  lengthMax: number,
) => ({ type, name, disposition, lengthMax });

const ROWS = [
  row("Q", "Query", "judge", LARGE),
  row("P", "Parse", "judge", LARGE),
  // Plans are made here, and a plan runs functions that say they are immutable.
  row("B", "Bind", "judge", LARGE),
  row("D", "Describe", "forward", SMALL),
  row("E", "Execute", "judge", SMALL),
  row("C", "Close", "forward", SMALL),
  row("H", "Flush", "forward", SMALL),
  row("S", "Sync", "forward", SMALL),
  // Runs any function by its OID without a word of SQL.
  row("F", "FunctionCall", "refuse", LARGE),
  row("d", "CopyData", "forward", LARGE),
  row("c", "CopyDone", "forward", SMALL),
  row("f", "CopyFail", "forward", SMALL),
  row("p", "AuthenticationResponse", "login", AUTHENTICATION),
  row("X", "Terminate", "forward", SMALL),
] as const;

export type FrontendName = (typeof ROWS)[number]["name"];
/** What passes without a judgement of its own. */
export type ForwardedName = Extract<(typeof ROWS)[number], { disposition: "forward" }>["name"];

/** By type byte, all 256 of them. A server ends the connection (FATAL 08P01) at a type without a row. */
export const FRONTEND_MESSAGES: readonly (FrontendRow | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  ROWS.find(({ type }) => typeByte(type) === byte),
);

/**
 * Bytes, with the NUL that ends it, that a name of a statement or portal is told from others by: NAMEDATALEN, the key
 * size of prepared_queries in prepare.c. Two longer names that begin alike are one for the server.
 */
const NAME_BYTES_MAX = 63;

/** Formats are 0 for text and 1 for binary. None stands for text, one for all values. */
export type FormatCodes = readonly number[];

export type DescribeTarget = "statement" | "portal";

/** Byte fields are views of the body. Names are the empty text for the unnamed statement and portal. */
export type FrontendMessage =
  | { readonly name: "Query"; readonly sql: Uint8Array }
  | {
      readonly name: "Parse";
      readonly statement: string;
      readonly sql: Uint8Array;
      /** OIDs; 0 leaves it to the server. */
      readonly parameterTypes: readonly number[];
    }
  | {
      readonly name: "Bind";
      readonly portal: string;
      readonly statement: string;
      readonly parameterFormats: FormatCodes;
      /** As they came: the server refuses those that are no text of the session's encoding. */
      readonly values: readonly (Uint8Array | null)[];
      readonly resultFormats: FormatCodes;
    }
  | { readonly name: "Describe" | "Close"; readonly target: DescribeTarget; readonly of: string }
  /** `rowsMax` 0 is no limit. */
  | { readonly name: "Execute"; readonly portal: string; readonly rowsMax: number }
  | {
      readonly name: "FunctionCall";
      readonly functionOid: number;
      readonly argumentFormats: FormatCodes;
      readonly values: readonly (Uint8Array | null)[];
      readonly resultFormat: number;
    }
  | { readonly name: "CopyData" | "AuthenticationResponse"; readonly data: Uint8Array }
  | { readonly name: "CopyFail"; readonly reason: Uint8Array }
  | { readonly name: "Flush" | "Sync" | "CopyDone" | "Terminate" };

/**
 * How the server reads text of this session. "UTF8" refuses what is no UTF-8, as the server does; any other
 * client_encoding leaves the bytes to whoever knows it.
 */
export type TextEncoding = "UTF8" | "other";

/**
 * Reads one message. Throws ClientMessageError, 08P01 for a layout that does not hold together, an unknown type or a
 * byte behind the end, 22021 for text that is no UTF-8, 42622 for names that a server would cut: such a message must
 * not be forwarded.
 */
export function decodeFrontendMessage(type: number, body: Uint8Array, encoding: TextEncoding): FrontendMessage {
  const found = FRONTEND_MESSAGES[type];
  if (found === undefined) {
    throw new ClientMessageError(
      "QC_CLIENT_UNKNOWN_COMMAND",
      "08P01",
      `Cannot accept a message of type ${type}: unknown`,
    );
  }
  return decodeForClient("QC_CLIENT_MALFORMED_COMMAND", () => {
    const reader = new ByteReader(body, found.name);
    const message = decodeBody(found.name, reader, encoding);
    reader.expectEnd();
    return message;
  });
}

function decodeBody(name: FrontendName, reader: ByteReader, encoding: TextEncoding): FrontendMessage {
  switch (name) {
    case "Query":
      return { name, sql: readText(reader, encoding, name) };
    case "Parse":
      return decodeParse(reader, encoding);
    case "Bind":
      return decodeBind(reader);
    case "Describe":
    case "Close":
      return { name, target: readTarget(reader), of: readName(reader, name) };
    case "Execute":
      // Negative numbers are no limit either (exec_execute_message()).
      return { name, portal: readName(reader, name), rowsMax: Math.max(0, reader.int32BE()) };
    case "FunctionCall":
      return decodeFunctionCall(reader);
    case "CopyData":
    case "AuthenticationResponse":
      return { name, data: reader.rest() };
    case "CopyFail":
      return { name, reason: reader.nulTerminatedBytes() };
    default:
      return { name };
  }
}

function decodeParse(reader: ByteReader, encoding: TextEncoding): FrontendMessage {
  const statement = readName(reader, "Parse");
  const sql = readText(reader, encoding, "Parse");
  return { name: "Parse", statement, sql, parameterTypes: readCounted(reader, (item) => item.uint32BE()) };
}

function decodeBind(reader: ByteReader): FrontendMessage {
  const portal = readName(reader, "Bind");
  const statement = readName(reader, "Bind");
  const parameterFormats = readFormats(reader);
  const values = readCounted(reader, readValue);
  requireFormats(reader, parameterFormats, values.length);
  return { name: "Bind", portal, statement, parameterFormats, values, resultFormats: readFormats(reader) };
}

function decodeFunctionCall(reader: ByteReader): FrontendMessage {
  const functionOid = reader.uint32BE();
  const argumentFormats = readFormats(reader);
  const values = readCounted(reader, readValue);
  requireFormats(reader, argumentFormats, values.length);
  return { name: "FunctionCall", functionOid, argumentFormats, values, resultFormat: readFormat(reader) };
}

function readFormats(reader: ByteReader): number[] {
  return readCounted(reader, readFormat);
}

function readFormat(reader: ByteReader): number {
  const format = reader.uint16BE();
  if (format > 1) reader.fail(`format code ${format}, expected 0 or 1`);
  return format;
}

function requireFormats(reader: ByteReader, formats: FormatCodes, valueCount: number): void {
  if (formats.length > 1 && formats.length !== valueCount) {
    reader.fail(`${formats.length} format codes for ${valueCount} values`);
  }
}

/** All of it up to the NUL: a text with a NUL inside leaves bytes behind, and those are refused. */
function readText(reader: ByteReader, encoding: TextEncoding, what: FrontendName): Uint8Array {
  const text = reader.nulTerminatedBytes();
  if (encoding === "UTF8" && !isUtf8(text)) throw notUtf8(`the text of a ${what}`);
  return text;
}

/**
 * Names are compared as the server compares them. SAFETY: whatever the client_encoding, a name that is no UTF-8 is
 * refused, for two spellings of it could be one name to the server.
 */
function readName(reader: ByteReader, what: FrontendName): string {
  const bytes = reader.nulTerminatedBytes();
  if (bytes.length === 0) return "";
  if (bytes.length > NAME_BYTES_MAX) {
    throw new ClientMessageError(
      "QC_CLIENT_MALFORMED_COMMAND",
      "42622",
      `Cannot accept a name of ${bytes.length} bytes in a ${what}: a server tells them apart by ${NAME_BYTES_MAX} bytes only`,
    );
  }
  return decodeUtf8(bytes) ?? fail22021(`a name in a ${what}`);
}

function notUtf8(what: string): ClientMessageError {
  return new ClientMessageError("QC_CLIENT_MALFORMED_COMMAND", "22021", `Cannot decode ${what}: it is not UTF-8`);
}

function fail22021(what: string): never {
  throw notUtf8(what);
}

const TARGETS: ReadonlyMap<number, DescribeTarget> = new Map([
  [typeByte("S"), "statement"],
  [typeByte("P"), "portal"],
]);

function readTarget(reader: ByteReader): DescribeTarget {
  const byte = reader.uint8();
  return TARGETS.get(byte) ?? reader.fail(`it begins with ${byte}, expected S or P`);
}

/** RangeError for what no message can hold: a NUL in a text, more than 65,535 items. */
export function encodeFrontendMessage(message: FrontendMessage): Uint8Array {
  switch (message.name) {
    case "Query":
      return encodeMessage("Q", (body) => body.nulTerminatedBytes(message.sql), message.sql.length + 6);
    case "Parse":
      return encodeMessage("P", (body) => {
        writeString(body, message.statement).nulTerminatedBytes(message.sql);
        body.uint16BE(message.parameterTypes.length);
        for (const oid of message.parameterTypes) body.int32BE(oid);
      });
    case "Bind":
      return encodeMessage("B", (body) => {
        writeString(writeString(body, message.portal), message.statement);
        writeValues(body, message.parameterFormats, message.values);
        writeFormats(body, message.resultFormats);
      });
    case "Describe":
    case "Close": {
      const target = typeByte(message.target === "statement" ? "S" : "P");
      return encodeMessage(message.name[0] ?? "", (body) => writeString(body.uint8(target), message.of));
    }
    case "Execute":
      return encodeMessage("E", (body) => writeString(body, message.portal).int32BE(message.rowsMax));
    case "FunctionCall":
      return encodeMessage("F", (body) => {
        body.int32BE(message.functionOid);
        writeValues(body, message.argumentFormats, message.values);
        body.uint16BE(message.resultFormat);
      });
    case "CopyData":
      return encodeMessage("d", (body) => body.bytes(message.data), message.data.length + 5);
    case "AuthenticationResponse":
      return encodeMessage("p", (body) => body.bytes(message.data));
    case "CopyFail":
      return encodeMessage("f", (body) => body.nulTerminatedBytes(message.reason));
    default:
      return encodeMessage(EMPTY_TYPES[message.name]);
  }
}

const EMPTY_TYPES = { Flush: "H", Sync: "S", CopyDone: "c", Terminate: "X" } as const;

function writeFormats(body: ByteWriter, formats: FormatCodes): void {
  body.uint16BE(formats.length);
  for (const format of formats) body.uint16BE(format);
}

function writeValues(body: ByteWriter, formats: FormatCodes, values: readonly (Uint8Array | null)[]): void {
  writeFormats(body, formats);
  body.uint16BE(values.length);
  for (const value of values) writeValue(body, value);
}
