/** The rows of a COM_STMT_BULK_EXECUTE: MariaDB's protocol documentation, "COM_STMT_BULK_EXECUTE". */

import { ByteReader } from "../base/bytes.ts";
import {
  type BinaryValue,
  type ParameterType,
  readBinaryValue,
  readParameterType,
  skipBinaryValue,
} from "./binary-value.ts";

/** enum_stmt_bulk_flags of MariaDB's mysql_com.h; a server refuses all other bits. */
const SEND_TYPES_TO_SERVER = 0x80;
export const SEND_UNIT_RESULTS = 0x40;

/** enum_indicator_type of MariaDB's mysql.h: DEFAULT is the column's default, IGNORE leaves the column as it is. */
const INDICATOR_NONE = 0;
const INDICATOR_NULL = 1;
const INDICATOR_IGNORE = 3;

/** Undefined for DEFAULT and IGNORE: what the column gets does not stand in the packet. */
export type BulkValue = BinaryValue | undefined;

export interface BulkContext {
  /** From COM_STMT_PREPARE_OK. */
  readonly parameters: number;
  /** The flags of the command. */
  readonly bulkFlags: number;
  /** The types of the last execution that sent any. */
  readonly previousTypes?: readonly ParameterType[];
}

/** Rows that are known to be whole. Values are views of the packet, read when they are asked for. */
export class BulkRows {
  readonly types: readonly ParameterType[];
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #start: number;

  constructor(bytes: Uint8Array, start: number, types: readonly ParameterType[]) {
    this.#bytes = bytes;
    this.#start = start;
    this.types = types;
    this.count = this.#countRows();
  }

  /** Throws MalformedPacketError, as do all that read behind it, for what does not hold together. */
  #countRows(): number {
    const reader = this.#reader();
    let count = 0;
    while (reader.remaining > 0) {
      for (const type of this.types) if (takesValue(reader)) skipBinaryValue(reader, type);
      count++;
    }
    return count;
  }

  /** Each row's values, by parameter. */
  *values(): Generator<readonly BulkValue[], void, void> {
    const reader = this.#reader();
    while (reader.remaining > 0) yield this.types.map((type) => readValue(reader, type));
  }

  /** SAFETY: the bytes are forwarded as they came, so the reader is a strict one. */
  #reader(): ByteReader {
    return new ByteReader(this.#bytes, "COM_STMT_BULK_EXECUTE", this.#start, this.#bytes.length, true);
  }
}

/**
 * Reads what follows the flags: types, if they were sent, then rows to the end of the packet. Throws MalformedPacketError
 * for what servers refuse or read in two ways: unknown flags and indicators, no parameters, no row, a row cut short.
 */
export function decodeBulkRows(
  bytes: Uint8Array,
  { parameters, bulkFlags, previousTypes = [] }: BulkContext,
): BulkRows {
  const reader = new ByteReader(bytes, "COM_STMT_BULK_EXECUTE", 0, bytes.length, true);
  if ((bulkFlags & ~(SEND_TYPES_TO_SERVER | SEND_UNIT_RESULTS)) !== 0) reader.fail(`flags ${bulkFlags} are not known`);
  if (parameters === 0) reader.fail("the statement has no parameters");
  const sendsTypes = (bulkFlags & SEND_TYPES_TO_SERVER) !== 0;
  const types = sendsTypes ? readTypes(reader, parameters) : previousTypes.slice(0, parameters);
  if (types.length < parameters) reader.fail("parameter types are left out, and no earlier execution sent them");
  if (reader.remaining === 0) reader.fail("there is no row");
  return new BulkRows(bytes, reader.position, types);
}

function readTypes(reader: ByteReader, parameters: number): ParameterType[] {
  return Array.from({ length: parameters }, () => readParameterType(reader));
}

function takesValue(reader: ByteReader): boolean {
  const indicator = reader.uint8();
  if (indicator > INDICATOR_IGNORE) reader.fail(`indicator ${indicator} is not known`);
  return indicator === INDICATOR_NONE;
}

function readValue(reader: ByteReader, type: ParameterType): BulkValue {
  switch (reader.uint8()) {
    case INDICATOR_NONE:
      return readBinaryValue(reader, type);
    case INDICATOR_NULL:
      return null;
    default:
      return undefined;
  }
}
