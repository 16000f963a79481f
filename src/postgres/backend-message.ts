/** What servers send after the startup: every type in one table, decoders for what querycop reads, encoders for what it sends. */

import { ByteReader, decodeUtf8Lossy, MalformedPacketError } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import { encodeMessage, readCounted, typeByte, writeString } from "./message.ts";

/**
 * - whole: held until it is whole, for querycop reads or replaces it
 * - pass: goes on as it comes, however long it is
 */
export type BackendHolding = "whole" | "pass";

export interface BackendRow {
  readonly type: string;
  readonly name: BackendName;
  readonly holding: BackendHolding;
  /** Most bytes, type and length included, that are held. */
  readonly heldBytesMax: number;
  /** Whether a longer one is passed on unread instead of ending the session. */
  readonly isLongerPassed: boolean;
  /** Comes at any moment and answers nothing. */
  readonly isAnytime: boolean;
}

/** What libpq takes of the types that have no reason to be long (VALID_LONG_MESSAGE_TYPE in fe-protocol3.c). */
const SHORT = 30_000;
/** 1,664 columns with names of 63 bytes are 140 kB, 65,535 parameters 262 kB. */
const LONG = 1024 * 1024;

const row = <const Name extends string>(type: string, name: Name, heldBytesMax: number, isLongerPassed = false) => ({
  type,
  name,
  holding: heldBytesMax === 0 ? ("pass" as const) : ("whole" as const),
  heldBytesMax,
  isLongerPassed,
  isAnytime: type === "N" || type === "S" || type === "A",
});

const ROWS = [
  row("R", "Authentication", SHORT),
  row("K", "BackendKeyData", SHORT),
  row("v", "NegotiateProtocolVersion", SHORT),
  row("S", "ParameterStatus", LONG),
  row("Z", "ReadyForQuery", SHORT),
  // What a statement raises or notifies may be as long as any value.
  row("E", "ErrorResponse", LONG, true),
  row("N", "NoticeResponse", LONG, true),
  row("A", "NotificationResponse", LONG, true),
  row("1", "ParseComplete", SHORT),
  row("2", "BindComplete", SHORT),
  row("3", "CloseComplete", SHORT),
  row("t", "ParameterDescription", LONG),
  row("T", "RowDescription", LONG),
  row("n", "NoData", SHORT),
  row("D", "DataRow", 0),
  row("C", "CommandComplete", SHORT),
  row("I", "EmptyQueryResponse", SHORT),
  row("s", "PortalSuspended", SHORT),
  row("G", "CopyInResponse", SHORT),
  row("H", "CopyOutResponse", SHORT),
  row("W", "CopyBothResponse", SHORT),
  row("d", "CopyData", 0),
  row("c", "CopyDone", SHORT),
  row("V", "FunctionCallResponse", 0),
] as const;

export type BackendName = (typeof ROWS)[number]["name"];

/** By type byte, all 256 of them. A type without a row is no answer of a PostgreSQL. */
export const BACKEND_MESSAGES: readonly (BackendRow | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  ROWS.find(({ type }) => typeByte(type) === byte),
);

function decodeBody<Value>(name: string, body: Uint8Array, read: (reader: ByteReader) => Value): Value {
  const reader = new ByteReader(body, name);
  try {
    const value = read(reader);
    reader.expectEnd();
    return value;
  } catch (thrown) {
    if (!(thrown instanceof MalformedPacketError)) throw thrown;
    throw new QuerycopError("QC_BACKEND_PROTOCOL", thrown.message, { cause: thrown });
  }
}

// Every decoder takes the body of its message and throws QC_BACKEND_PROTOCOL for one that does not hold together.

/** What the server asks of the login: Authentication… messages, page protocol-message-formats. */
export type Authentication =
  | { readonly kind: "ok" | "cleartext" }
  | { readonly kind: "md5"; readonly salt: Uint8Array }
  | { readonly kind: "sasl"; readonly mechanisms: readonly string[] }
  | { readonly kind: "sasl-continue" | "sasl-final"; readonly data: Uint8Array }
  /** Kerberos, GSSAPI, SSPI and whatever is new. */
  | { readonly kind: "unsupported"; readonly code: number };

const AUTHENTICATION_OK = 0;
const AUTHENTICATION_CLEARTEXT = 3;
const AUTHENTICATION_MD5 = 5;
const AUTHENTICATION_SASL = 10;
const AUTHENTICATION_SASL_CONTINUE = 11;
const AUTHENTICATION_SASL_FINAL = 12;
const MD5_SALT_BYTES = 4;
const MECHANISMS_MAX = 32;

export function decodeAuthentication(body: Uint8Array): Authentication {
  return decodeBody("Authentication", body, (reader): Authentication => {
    const code = reader.int32BE();
    switch (code) {
      case AUTHENTICATION_OK:
        return { kind: "ok" };
      case AUTHENTICATION_CLEARTEXT:
        return { kind: "cleartext" };
      case AUTHENTICATION_MD5:
        return { kind: "md5", salt: reader.bytes(MD5_SALT_BYTES) };
      case AUTHENTICATION_SASL:
        return { kind: "sasl", mechanisms: readStrings(reader, MECHANISMS_MAX) };
      case AUTHENTICATION_SASL_CONTINUE:
        return { kind: "sasl-continue", data: reader.rest() };
      case AUTHENTICATION_SASL_FINAL:
        return { kind: "sasl-final", data: reader.rest() };
      default:
        reader.rest();
        return { kind: "unsupported", code };
    }
  });
}

/** Strings up to an empty one. */
function readStrings(reader: ByteReader, countMax: number): string[] {
  const strings: string[] = [];
  for (;;) {
    const text = readString(reader);
    if (text === "") return strings;
    strings.push(text);
    if (strings.length > countMax) reader.fail(`more than ${countMax} names`);
  }
}

function readString(reader: ByteReader): string {
  return decodeUtf8Lossy(reader.nulTerminatedBytes());
}

export function encodeAuthentication(request: Exclude<Authentication, { kind: "unsupported" }>): Uint8Array {
  return encodeMessage("R", (body) => {
    switch (request.kind) {
      case "ok":
        return void body.int32BE(AUTHENTICATION_OK);
      case "cleartext":
        return void body.int32BE(AUTHENTICATION_CLEARTEXT);
      case "md5":
        return void body.int32BE(AUTHENTICATION_MD5).bytes(request.salt);
      case "sasl":
        body.int32BE(AUTHENTICATION_SASL);
        for (const mechanism of request.mechanisms) writeString(body, mechanism);
        return void body.uint8(0);
      case "sasl-continue":
        return void body.int32BE(AUTHENTICATION_SASL_CONTINUE).bytes(request.data);
      default:
        return void body.int32BE(AUTHENTICATION_SASL_FINAL).bytes(request.data);
    }
  });
}

/** What a CancelRequest must name. */
export interface BackendKeyData {
  readonly processId: number;
  /** 4 bytes in protocol 3.0, up to 256 in 3.2. */
  readonly secretKey: Uint8Array;
}

export const SECRET_KEY_BYTES_MIN = 4;
export const SECRET_KEY_BYTES_MAX = 256;

export function decodeBackendKeyData(body: Uint8Array): BackendKeyData {
  return decodeBody("BackendKeyData", body, (reader) => {
    const processId = reader.int32BE();
    const secretKey = reader.rest();
    if (secretKey.length < SECRET_KEY_BYTES_MIN || secretKey.length > SECRET_KEY_BYTES_MAX) {
      reader.fail(`a secret key of ${secretKey.length} bytes`);
    }
    return { processId, secretKey };
  });
}

export function encodeBackendKeyData({ processId, secretKey }: BackendKeyData): Uint8Array {
  return encodeMessage("K", (body) => body.int32BE(processId).bytes(secretKey));
}

/** idle, in a transaction, in one that has failed. */
export type TransactionStatus = "I" | "T" | "E";

const STATUS_BY_BYTE: Readonly<Record<number, TransactionStatus>> = {
  [typeByte("I")]: "I",
  [typeByte("T")]: "T",
  [typeByte("E")]: "E",
};

export function decodeReadyForQuery(body: Uint8Array): TransactionStatus {
  const known = body.length === 1 ? STATUS_BY_BYTE[body[0] as number] : undefined;
  if (known !== undefined) return known;
  return decodeBody("ReadyForQuery", body, (reader) => {
    const status = String.fromCharCode(reader.uint8());
    if (status === "I" || status === "T" || status === "E") return status;
    return reader.fail(`transaction status ${JSON.stringify(status)}, expected I, T or E`);
  });
}

export function encodeReadyForQuery(status: TransactionStatus): Uint8Array {
  return encodeMessage("Z", (body) => body.uint8(typeByte(status)));
}

export interface ParameterStatus {
  readonly parameter: string;
  readonly value: string;
}

export function decodeParameterStatus(body: Uint8Array): ParameterStatus {
  return decodeBody("ParameterStatus", body, (reader) => ({
    parameter: readString(reader),
    value: readString(reader),
  }));
}

export function encodeParameterStatus({ parameter, value }: ParameterStatus): Uint8Array {
  return encodeMessage("S", (body) => writeString(writeString(body, parameter), value));
}

/** The letters that the manual knows, page protocol-error-fields; others are kept as they come. */
export interface ErrorFields {
  /** ERROR, FATAL, PANIC; WARNING, NOTICE, DEBUG, INFO, LOG: from field V, which no language changes, else from S. */
  readonly severity: string;
  /** SQLSTATE; the empty text where the server left it out. */
  readonly code: string;
  readonly message: string;
  /** All of them by letter, these three too. Bytes that are no UTF-8 are U+FFFD. */
  readonly fields: ReadonlyMap<string, string>;
}

const FIELDS_MAX = 64;

/** ErrorResponse and NoticeResponse. */
export function decodeErrorFields(body: Uint8Array): ErrorFields {
  return decodeBody("ErrorResponse", body, (reader) => {
    const fields = new Map<string, string>();
    for (let letter = reader.uint8(); letter !== 0; letter = reader.uint8()) {
      fields.set(String.fromCharCode(letter), readString(reader));
      if (fields.size > FIELDS_MAX) reader.fail(`more than ${FIELDS_MAX} fields`);
    }
    const of = (letter: string): string => fields.get(letter) ?? "";
    return { severity: fields.get("V") ?? of("S"), code: of("C"), message: of("M"), fields };
  });
}

export interface OwnError {
  readonly severity: "ERROR" | "FATAL";
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

export function encodeErrorResponse(error: OwnError): Uint8Array {
  return encodeFields("E", error);
}

export interface OwnNotice extends Omit<OwnError, "severity"> {
  readonly severity: "WARNING" | "NOTICE" | "INFO";
}

export function encodeNoticeResponse(notice: OwnNotice): Uint8Array {
  return encodeFields("N", notice);
}

function encodeFields(type: "E" | "N", from: OwnError | OwnNotice): Uint8Array {
  const { severity, code, message, detail, hint } = from;
  const fields = { S: severity, V: severity, C: code, M: message, D: detail, H: hint };
  return encodeMessage(type, (body) => {
    for (const [letter, text] of Object.entries(fields)) {
      // No NUL ends a field early, wherever the text comes from.
      if (text !== undefined) writeString(body.uint8(typeByte(letter)), text.replaceAll("\0", "\ufffd"));
    }
    body.uint8(0);
  });
}

export interface CommandTag {
  readonly tag: string;
  /** The last number of the tag, where it has one: `INSERT 0 3`, `SELECT 5`. */
  readonly rows: number | undefined;
}

export function decodeCommandComplete(body: Uint8Array): CommandTag {
  return decodeBody("CommandComplete", body, (reader) => {
    const tag = readString(reader);
    const last = tag.slice(tag.lastIndexOf(" ") + 1);
    const isCount = last !== "" && last.length < 20 && [...last].every((digit) => digit >= "0" && digit <= "9");
    return { tag, rows: isCount ? Number(last) : undefined };
  });
}

export interface ColumnDescription {
  readonly name: string;
  /** 0 for what is no column of a table. */
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeOid: number;
  readonly format: number;
}

/** One for each column: at most 1,664 come from a PostgreSQL, 65,535 fit the count. */
export function decodeRowDescription(body: Uint8Array): ColumnDescription[] {
  return decodeBody("RowDescription", body, (reader) =>
    readCounted(reader, () => {
      const name = readString(reader);
      const tableOid = reader.uint32BE();
      const columnNumber = reader.uint16BE();
      const typeOid = reader.uint32BE();
      // The type's size and modifier.
      reader.skip(6);
      return { name, tableOid, columnNumber, typeOid, format: reader.uint16BE() };
    }),
  );
}

export function decodeParameterDescription(body: Uint8Array): number[] {
  return decodeBody("ParameterDescription", body, (reader) => readCounted(reader, () => reader.uint32BE()));
}

export interface CopyResponse {
  /** 0 for text and CSV, 1 for binary. */
  readonly format: number;
  readonly columnFormats: readonly number[];
}

/** CopyInResponse, CopyOutResponse and CopyBothResponse. */
export function decodeCopyResponse(body: Uint8Array): CopyResponse {
  return decodeBody("Copy…Response", body, (reader) => {
    const format = reader.uint8();
    return { format, columnFormats: readCounted(reader, () => reader.uint16BE()) };
  });
}

export interface ProtocolNegotiation {
  /** Newest minor version of protocol 3 that the server speaks. */
  readonly minor: number;
  readonly unknownOptions: readonly string[];
}

const OPTIONS_MAX = 128;

export function decodeNegotiateProtocolVersion(body: Uint8Array): ProtocolNegotiation {
  return decodeBody("NegotiateProtocolVersion", body, (reader) => {
    // Servers send the whole version, the manual speaks of the minor one: the major, if any, must be ours.
    const version = reader.int32BE();
    const major = version >> 16;
    if (major !== 0 && major !== 3) reader.fail(`protocol version ${major}`);
    const count = reader.int32BE();
    if (count < 0 || count > OPTIONS_MAX) reader.fail(`${count} unknown options`);
    const unknownOptions = Array.from({ length: count }, () => readString(reader));
    return { minor: version & 0xffff, unknownOptions };
  });
}

export function encodeNegotiateProtocolVersion({ minor, unknownOptions }: ProtocolNegotiation): Uint8Array {
  return encodeMessage("v", (body) => {
    body.int32BE((3 << 16) | minor).int32BE(unknownOptions.length);
    for (const option of unknownOptions) writeString(body, option);
  });
}

export interface Notification {
  readonly processId: number;
  readonly channel: string;
  readonly payload: string;
}

export function decodeNotification(body: Uint8Array): Notification {
  return decodeBody("NotificationResponse", body, (reader) => ({
    processId: reader.int32BE(),
    channel: readString(reader),
    payload: readString(reader),
  }));
}
