/** OK_Packet, ERR_Packet and EOF_Packet in every capability variant. Pages: page_protocol_basic_{ok,err,eof}_packet. */

import { ByteReader, ByteWriter, decodeUtf8Lossy, encodeUtf8, equalBytes } from "../base/bytes.ts";
import {
  CLIENT_DEPRECATE_EOF,
  CLIENT_SESSION_TRACK,
  EOF_HEADER,
  ERR_HEADER,
  OK_HEADER,
  SERVER_SESSION_STATE_CHANGED,
  SESSION_TRACK_GTIDS,
  SESSION_TRACK_SCHEMA,
  SESSION_TRACK_STATE_CHANGE,
  SESSION_TRACK_SYSTEM_VARIABLES,
  SESSION_TRACK_TRANSACTION_CHARACTERISTICS,
  SESSION_TRACK_TRANSACTION_STATE,
} from "./constants.ts";

/** What a server reports through CLIENT_SESSION_TRACK. Absent members did not change. */
export interface SessionState {
  readonly schema?: string;
  readonly systemVariables: ReadonlyMap<string, string>;
  /** Eight characters, for example "T_______": page_protocol_basic_ok_packet_sessinfo. */
  readonly transactionState?: string;
  readonly transactionCharacteristics?: string;
  readonly gtids?: string;
  readonly isStateChanged?: boolean;
}

export interface OkPacket {
  /** 0x00, or 0xFE where it ends a result set under CLIENT_DEPRECATE_EOF. */
  readonly header: number;
  readonly affectedRows: number | bigint;
  readonly lastInsertId: number | bigint;
  readonly statusFlags: number;
  readonly warnings: number;
  /** Human-readable bytes; MariaDB also puts the proof of its zero-configuration TLS here. */
  readonly info: Uint8Array;
  readonly sessionState?: SessionState;
}

export interface ErrPacket {
  readonly errorNumber: number;
  /** Absent in errors sent before CLIENT_PROTOCOL_41 is agreed. */
  readonly sqlState?: string;
  /** Made safe for logs and terminals: one line, no control characters, at most ERROR_TEXT_BYTES_MAX bytes. */
  readonly message: string;
}

export interface EofPacket {
  readonly warnings: number;
  readonly statusFlags: number;
}

/** MYSQL_ERRMSG_SIZE in mysql_com.h. */
export const ERROR_TEXT_BYTES_MAX = 512;

const ERROR_NUMBER_UNKNOWN = 2000;
const SQL_STATE_MARKER = 0x23;
const SQL_STATE_BYTES = 5;
const SESSION_VARIABLES_MAX = 1024;
const NO_BYTES: Uint8Array = new Uint8Array(0);

/**
 * Reads an OK_Packet whose header byte is 0x00 or 0xFE.
 * Without CLIENT_SESSION_TRACK the manual describes `info` as the rest of the packet, but servers send it with its
 * length in front (net_send_ok() in protocol_classic.cc); both are understood.
 */
export function decodeOkPacket(payload: Uint8Array, capabilityFlags: number): OkPacket {
  return decodeOkPacketAt(new ByteReader(payload, "OK_Packet"), capabilityFlags);
}

/** The same from a reader that stands on the header byte, so that a packet inside a chunk needs no view. */
export function decodeOkPacketAt(reader: ByteReader, capabilityFlags: number): OkPacket {
  const header = reader.uint8();
  if (header !== OK_HEADER && header !== EOF_HEADER) reader.fail(`its first byte is ${header}, expected 0 or 254`);
  const affectedRows = reader.lenencInteger();
  const lastInsertId = reader.lenencInteger();
  const statusFlags = reader.uint16();
  const warnings = reader.uint16();
  let info: Uint8Array = NO_BYTES;
  if (reader.remaining > 0) {
    const isTracked = (capabilityFlags & CLIENT_SESSION_TRACK) !== 0;
    info = isTracked ? reader.lenencBytes() : decodeUntrackedInfo(reader.rest());
    if (isTracked && (statusFlags & SERVER_SESSION_STATE_CHANGED) !== 0 && reader.remaining > 0) {
      const sessionState = decodeSessionState(reader.lenencBytes());
      return { header, affectedRows, lastInsertId, statusFlags, warnings, info, sessionState };
    }
  }
  return { header, affectedRows, lastInsertId, statusFlags, warnings, info };
}

function decodeUntrackedInfo(rest: Uint8Array): Uint8Array {
  try {
    const reader = new ByteReader(rest, "info");
    const info = reader.lenencBytes();
    return reader.remaining === 0 ? info : rest;
  } catch {
    return rest;
  }
}

/** Unknown kinds are skipped: MariaDB adds its own, and each entry carries its length. */
function decodeSessionState(block: Uint8Array): SessionState {
  const reader = new ByteReader(block, "session state of an OK_Packet");
  const systemVariables = new Map<string, string>();
  const state: { -readonly [Key in keyof SessionState]: SessionState[Key] } = { systemVariables };
  while (reader.remaining > 0) {
    const kind = reader.uint8();
    const entry = new ByteReader(reader.lenencBytes(), "session state entry");
    switch (kind) {
      case SESSION_TRACK_SYSTEM_VARIABLES:
        decodeSystemVariables(entry, systemVariables);
        break;
      case SESSION_TRACK_SCHEMA:
        state.schema = decodeUtf8Lossy(entry.lenencBytes());
        break;
      case SESSION_TRACK_STATE_CHANGE:
        // '1' as text, without a length of its own: measured on both servers, whatever the manual's page says.
        state.isStateChanged = equalBytes(entry.rest(), STATE_CHANGED);
        break;
      case SESSION_TRACK_GTIDS:
        // One byte for the encoding specification, always 0 so far.
        entry.skip(1);
        state.gtids = decodeUtf8Lossy(entry.lenencBytes());
        break;
      case SESSION_TRACK_TRANSACTION_CHARACTERISTICS:
        state.transactionCharacteristics = decodeUtf8Lossy(entry.lenencBytes());
        break;
      case SESSION_TRACK_TRANSACTION_STATE:
        state.transactionState = decodeUtf8Lossy(entry.lenencBytes());
        break;
      default:
        break;
    }
  }
  return state;
}

const STATE_CHANGED = encodeUtf8("1");

/** MySQL sends one name and value per entry, MariaDB as many as fit. */
function decodeSystemVariables(entry: ByteReader, systemVariables: Map<string, string>): void {
  while (entry.remaining > 0) {
    const name = decodeUtf8Lossy(entry.lenencBytes());
    systemVariables.set(name, decodeUtf8Lossy(entry.lenencBytes()));
    if (systemVariables.size > SESSION_VARIABLES_MAX) entry.fail(`more than ${SESSION_VARIABLES_MAX} system variables`);
  }
}

/** Without CLIENT_SESSION_TRACK the session state and its status flag are left out: the receiver could not read them. */
export function encodeOkPacket(ok: OkPacket, capabilityFlags: number): Uint8Array {
  const isTracked = (capabilityFlags & CLIENT_SESSION_TRACK) !== 0;
  const hasState = isTracked && ok.sessionState !== undefined;
  const statusFlags = hasState
    ? ok.statusFlags | SERVER_SESSION_STATE_CHANGED
    : ok.statusFlags & ~SERVER_SESSION_STATE_CHANGED;
  const writer = new ByteWriter(32)
    .uint8(ok.header)
    .lenencInteger(ok.affectedRows)
    .lenencInteger(ok.lastInsertId)
    .uint16(statusFlags)
    .uint16(ok.warnings);
  if (ok.info.length > 0 || hasState) writer.lenencBytes(ok.info);
  if (hasState && ok.sessionState !== undefined) writer.lenencBytes(encodeSessionState(ok.sessionState));
  return writer.finish();
}

function encodeSessionState(state: SessionState): Uint8Array {
  const block = new ByteWriter(128);
  const entry = (kind: number, ...texts: string[]): void => {
    const content = new ByteWriter(64);
    if (kind === SESSION_TRACK_GTIDS) content.uint8(0);
    for (const text of texts) content.lenencBytes(encodeUtf8(text));
    block.uint8(kind).lenencBytes(content.finish());
  };
  for (const [name, value] of state.systemVariables) entry(SESSION_TRACK_SYSTEM_VARIABLES, name, value);
  if (state.schema !== undefined) entry(SESSION_TRACK_SCHEMA, state.schema);
  if (state.isStateChanged !== undefined) {
    block.uint8(SESSION_TRACK_STATE_CHANGE).lenencBytes(encodeUtf8(state.isStateChanged ? "1" : "0"));
  }
  if (state.gtids !== undefined) entry(SESSION_TRACK_GTIDS, state.gtids);
  if (state.transactionCharacteristics !== undefined) {
    entry(SESSION_TRACK_TRANSACTION_CHARACTERISTICS, state.transactionCharacteristics);
  }
  if (state.transactionState !== undefined) entry(SESSION_TRACK_TRANSACTION_STATE, state.transactionState);
  return block.finish();
}

/**
 * Reads an ERR_Packet, with or without SQLSTATE: servers leave it out before they know the client's flags
 * (1040, 1129, 1130 as the very first packet). A packet too short for an error number counts as error 2000,
 * like libmysqlclient has it.
 */
export function decodeErrPacket(payload: Uint8Array): ErrPacket {
  return decodeErrPacketAt(new ByteReader(payload, "ERR_Packet"));
}

export function decodeErrPacketAt(reader: ByteReader): ErrPacket {
  const header = reader.uint8();
  if (header !== ERR_HEADER) reader.fail(`its first byte is ${header}, expected 255`);
  if (reader.remaining < 2) return { errorNumber: ERROR_NUMBER_UNKNOWN, message: "" };
  const errorNumber = reader.uint16();
  if (reader.peekUint8() === SQL_STATE_MARKER && reader.remaining > SQL_STATE_BYTES) {
    reader.skip(1);
    const sqlState = decodeSqlState(reader.bytes(SQL_STATE_BYTES));
    return { errorNumber, sqlState, message: sanitizeErrorText(decodeUtf8Lossy(reader.rest())) };
  }
  return { errorNumber, message: sanitizeErrorText(decodeUtf8Lossy(reader.rest())) };
}

function decodeSqlState(bytes: Uint8Array): string {
  let sqlState = "";
  for (const byte of bytes) {
    const isDigit = byte >= 0x30 && byte <= 0x39;
    const isUpper = byte >= 0x41 && byte <= 0x5a;
    if (!isDigit && !isUpper) return "HY000";
    sqlState += String.fromCharCode(byte);
  }
  return sqlState;
}

/**
 * `sqlState` is written only if the receiver has agreed to CLIENT_PROTOCOL_41, which is to say: leave it out of an
 * error that answers a TCP connect. The message is made one safe line of at most ERROR_TEXT_BYTES_MAX bytes.
 */
export function encodeErrPacket(err: ErrPacket): Uint8Array {
  const writer = new ByteWriter(64).uint8(ERR_HEADER).uint16(err.errorNumber);
  if (err.sqlState !== undefined) {
    const sqlState = encodeUtf8(err.sqlState);
    if (sqlState.length !== SQL_STATE_BYTES) throw new RangeError(`Cannot write "${err.sqlState}" as SQLSTATE`);
    writer.uint8(SQL_STATE_MARKER).bytes(sqlState);
  }
  return writer.bytes(encodeUtf8(sanitizeErrorText(err.message))).finish();
}

/** Control, bidirectional and line-separating characters could forge log lines or hide text on a terminal. */
function isUnsafe(code: number): boolean {
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  if (code === 0x061c || code === 0x200e || code === 0x200f || code === 0xfeff) return true;
  if (code >= 0x2028 && code <= 0x202e) return true;
  return code >= 0x2066 && code <= 0x2069;
}

/** One line without control characters (each becomes "?"), cut at ERROR_TEXT_BYTES_MAX bytes of UTF-8. */
export function sanitizeErrorText(text: string): string {
  let safe = "";
  let byteCount = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const isLoneSurrogate = code >= 0xd800 && code <= 0xdfff;
    const next = isUnsafe(code) || isLoneSurrogate ? "?" : character;
    byteCount += utf8ByteCount(next.codePointAt(0) ?? 0);
    if (byteCount > ERROR_TEXT_BYTES_MAX) break;
    safe += next;
  }
  return safe;
}

function utf8ByteCount(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

export function decodeEofPacket(payload: Uint8Array): EofPacket {
  return decodeEofPacketAt(new ByteReader(payload, "EOF_Packet"));
}

export function decodeEofPacketAt(reader: ByteReader): EofPacket {
  const header = reader.uint8();
  if (header !== EOF_HEADER) reader.fail(`its first byte is ${header}, expected 254`);
  const warnings = reader.uint16();
  const statusFlags = reader.uint16();
  reader.expectEnd();
  return { warnings, statusFlags };
}

/** The end of a result set for a leg: an EOF_Packet, or an OK_Packet with header 0xFE under CLIENT_DEPRECATE_EOF. */
export function encodeResultSetEnd(eof: EofPacket, capabilityFlags: number): Uint8Array {
  if ((capabilityFlags & CLIENT_DEPRECATE_EOF) === 0) return encodeEofPacket(eof);
  return encodeOkPacket(
    { header: EOF_HEADER, affectedRows: 0, lastInsertId: 0, info: NO_BYTES, ...eof },
    capabilityFlags,
  );
}

export function encodeEofPacket(eof: EofPacket): Uint8Array {
  return new ByteWriter(5).uint8(EOF_HEADER).uint16(eof.warnings).uint16(eof.statusFlags).finish();
}
