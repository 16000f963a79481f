/** Values of the binary protocol (page_protocol_binary_resultset), as parameters and query attributes carry them. */

import type { ByteReader } from "../base/bytes.ts";
import {
  MYSQL_TYPE_BIT,
  MYSQL_TYPE_BLOB,
  MYSQL_TYPE_DATE,
  MYSQL_TYPE_DATETIME,
  MYSQL_TYPE_DECIMAL,
  MYSQL_TYPE_DOUBLE,
  MYSQL_TYPE_ENUM,
  MYSQL_TYPE_FLOAT,
  MYSQL_TYPE_GEOMETRY,
  MYSQL_TYPE_JSON,
  MYSQL_TYPE_LONG,
  MYSQL_TYPE_LONG_BLOB,
  MYSQL_TYPE_LONGLONG,
  MYSQL_TYPE_MEDIUM_BLOB,
  MYSQL_TYPE_NEWDECIMAL,
  MYSQL_TYPE_SET,
  MYSQL_TYPE_SHORT,
  MYSQL_TYPE_STRING,
  MYSQL_TYPE_TIME,
  MYSQL_TYPE_TIMESTAMP,
  MYSQL_TYPE_TINY,
  MYSQL_TYPE_TINY_BLOB,
  MYSQL_TYPE_VAR_STRING,
  MYSQL_TYPE_VARCHAR,
  MYSQL_TYPE_VECTOR,
} from "./constants.ts";

/** Temporal values come as text ("2026-11-21 10:00:00.000001"), text, decimals and binary values as their bytes. */
export type BinaryValue = null | number | bigint | string | Uint8Array;

/** The two type bytes in front of a parameter. */
export interface ParameterType {
  readonly type: number;
  readonly isUnsigned: boolean;
}

const UNSIGNED_FLAG = 0x8000;

const LENGTH_ENCODED_TYPES: ReadonlySet<number> = new Set([
  MYSQL_TYPE_DECIMAL,
  MYSQL_TYPE_VARCHAR,
  MYSQL_TYPE_BIT,
  MYSQL_TYPE_VECTOR,
  MYSQL_TYPE_JSON,
  MYSQL_TYPE_NEWDECIMAL,
  MYSQL_TYPE_ENUM,
  MYSQL_TYPE_SET,
  MYSQL_TYPE_TINY_BLOB,
  MYSQL_TYPE_MEDIUM_BLOB,
  MYSQL_TYPE_LONG_BLOB,
  MYSQL_TYPE_BLOB,
  MYSQL_TYPE_VAR_STRING,
  MYSQL_TYPE_STRING,
  MYSQL_TYPE_GEOMETRY,
]);

export function readParameterType(reader: ByteReader): ParameterType {
  const code = reader.uint16();
  return { type: code & ~UNSIGNED_FLAG, isUnsigned: (code & UNSIGNED_FLAG) !== 0 };
}

export function parameterTypeCode({ type, isUnsigned }: ParameterType): number {
  return isUnsigned ? type | UNSIGNED_FLAG : type;
}

/**
 * Reads one value that is not NULL.
 * SAFETY: types whose layout servers disagree about are refused (get_ps_param_len() in protocol_classic.cc reads
 * MYSQL_TYPE_INT24 and MYSQL_TYPE_YEAR as length-encoded, the manual as integers): whatever stands behind such a
 * value, statement text for one, would begin elsewhere for us than for the server.
 */
export function readBinaryValue(reader: ByteReader, { type, isUnsigned }: ParameterType): BinaryValue {
  switch (type) {
    case MYSQL_TYPE_TINY:
      return signed(reader.uint8(), 0x80, isUnsigned);
    case MYSQL_TYPE_SHORT:
      return signed(reader.uint16(), 0x8000, isUnsigned);
    case MYSQL_TYPE_LONG:
      return signed(reader.uint32(), 0x80000000, isUnsigned);
    case MYSQL_TYPE_LONGLONG:
      return isUnsigned ? reader.uint64() : BigInt.asIntN(64, reader.uint64());
    case MYSQL_TYPE_FLOAT:
      return floatView(reader.bytes(4)).getFloat32(0, true);
    case MYSQL_TYPE_DOUBLE:
      return floatView(reader.bytes(8)).getFloat64(0, true);
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
      return readDatetime(reader);
    case MYSQL_TYPE_TIME:
      return readTime(reader);
    default:
      if (LENGTH_ENCODED_TYPES.has(type)) return reader.lenencBytes();
      return reader.fail(`parameter type ${type} is not known`);
  }
}

/** Goes over one value that is not NULL: as far, and with the same refusals, as `readBinaryValue()`. */
export function skipBinaryValue(reader: ByteReader, { type }: ParameterType): void {
  const bytes = FIXED_BYTES[type];
  if (bytes !== undefined) reader.skip(bytes);
  else if (LENGTH_ENCODED_TYPES.has(type)) reader.skip(reader.lenencCount("a value's length", reader.remaining));
  else readBinaryValue(reader, { type, isUnsigned: false });
}

const FIXED_BYTES: Readonly<Record<number, number>> = {
  [MYSQL_TYPE_TINY]: 1,
  [MYSQL_TYPE_SHORT]: 2,
  [MYSQL_TYPE_LONG]: 4,
  [MYSQL_TYPE_LONGLONG]: 8,
  [MYSQL_TYPE_FLOAT]: 4,
  [MYSQL_TYPE_DOUBLE]: 8,
};

function signed(value: number, half: number, isUnsigned: boolean): number {
  return isUnsigned || value < half ? value : value - 2 * half;
}

function floatView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readDatetime(reader: ByteReader): string {
  const length = reader.uint8();
  if (length !== 0 && length !== 4 && length !== 7 && length !== 11 && length !== 13) {
    reader.fail(`a date or datetime has ${length} bytes, expected 0, 4, 7, 11 or 13`);
  }
  if (length === 0) return "0000-00-00";
  const date = `${pad(reader.uint16(), 4)}-${pad(reader.uint8(), 2)}-${pad(reader.uint8(), 2)}`;
  if (length === 4) return date;
  const clock = readClock(reader, 0);
  if (length === 7) return `${date} ${clock}`;
  const moment = `${date} ${clock}${readMicroseconds(reader)}`;
  return length === 11 ? moment : `${moment}${readDisplacement(reader)}`;
}

/**
 * Minutes from UTC, as MySQL 8.0.19 and later take them behind a datetime (sql/protocol_classic.cc), in the spelling of a
 * literal: +05:30. MariaDB skips them.
 */
function readDisplacement(reader: ByteReader): string {
  const minutes = signed(reader.uint16(), 0x8000, false);
  const sign = minutes < 0 ? "-" : "+";
  const distance = Math.abs(minutes);
  return `${sign}${pad(Math.floor(distance / 60), 2)}:${pad(distance % 60, 2)}`;
}

function readTime(reader: ByteReader): string {
  const length = reader.uint8();
  if (length !== 0 && length !== 8 && length !== 12) reader.fail(`a time has ${length} bytes, expected 0, 8 or 12`);
  if (length === 0) return "00:00:00";
  const sign = reader.uint8() === 0 ? "" : "-";
  const days = reader.uint32();
  return `${sign}${readClock(reader, days * 24)}${length === 12 ? readMicroseconds(reader) : ""}`;
}

function readClock(reader: ByteReader, hoursBefore: number): string {
  return `${pad(hoursBefore + reader.uint8(), 2)}:${pad(reader.uint8(), 2)}:${pad(reader.uint8(), 2)}`;
}

function readMicroseconds(reader: ByteReader): string {
  return `.${pad(reader.uint32(), 6)}`;
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
