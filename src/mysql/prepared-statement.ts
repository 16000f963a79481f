/** COM_STMT_PREPARE_OK and the binary values of parameters: page_protocol_com_stmt_{prepare,execute}. */

import { ByteReader, ByteWriter, decodeUtf8Lossy } from "../base/bytes.ts";
import { type BinaryValue, type ParameterType, readBinaryValue, readParameterType } from "./binary-value.ts";
import { CLIENT_OPTIONAL_RESULTSET_METADATA, CLIENT_QUERY_ATTRIBUTES, OK_HEADER } from "./constants.ts";

export interface StmtPrepareOk {
  readonly statementId: number;
  readonly columns: number;
  readonly parameters: number;
  readonly warnings: number;
  /** False when CLIENT_OPTIONAL_RESULTSET_METADATA is agreed and the session has turned metadata off. */
  readonly hasDefinitions: boolean;
}

/** Reads the packet only; the definitions that follow are separate packets. */
export function decodeStmtPrepareOk(payload: Uint8Array, capabilityFlags: number): StmtPrepareOk {
  return decodeStmtPrepareOkAt(new ByteReader(payload, "COM_STMT_PREPARE_OK"), capabilityFlags);
}

export function decodeStmtPrepareOkAt(reader: ByteReader, capabilityFlags: number): StmtPrepareOk {
  const header = reader.uint8();
  if (header !== OK_HEADER) reader.fail(`COM_STMT_PREPARE_OK begins with ${header}, expected 0`);
  const statementId = reader.uint32();
  const columns = reader.uint16();
  const parameters = reader.uint16();
  reader.skip(1);
  const warnings = reader.uint16();
  const hasFlag = (capabilityFlags & CLIENT_OPTIONAL_RESULTSET_METADATA) !== 0 && reader.remaining > 0;
  const hasDefinitions = !hasFlag || reader.uint8() !== 0;
  return { statementId, columns, parameters, warnings, hasDefinitions };
}

export function encodeStmtPrepareOk(prepared: StmtPrepareOk, capabilityFlags: number): Uint8Array {
  const writer = new ByteWriter(13)
    .uint8(OK_HEADER)
    .uint32(prepared.statementId)
    .uint16(prepared.columns)
    .uint16(prepared.parameters)
    .uint8(0)
    .uint16(prepared.warnings);
  if ((capabilityFlags & CLIENT_OPTIONAL_RESULTSET_METADATA) !== 0) writer.uint8(prepared.hasDefinitions ? 1 : 0);
  return writer.finish();
}

/** Execute flag: a parameter count follows although the statement has none (mysql_com.h, enum_cursor_type). */
export const PARAMETER_COUNT_AVAILABLE = 8;
const PARAMETERS_MAX = 65535;

/** A value bound to a statement, or a query attribute sent with it. */
export interface BoundParameter extends ParameterType {
  /** Empty for the statement's own parameters. */
  readonly name: string;
  /** "long-data" for a value that came in COM_STMT_SEND_LONG_DATA packets. */
  readonly value: BinaryValue | "long-data";
}

export interface ExecuteContext {
  /** From COM_STMT_PREPARE_OK. */
  readonly parameters: number;
  readonly capabilityFlags: number;
  /** The flags byte of the COM_STMT_EXECUTE. */
  readonly executeFlags: number;
  /** The types of the last execution that sent any: an execution may leave them out. */
  readonly previousTypes?: readonly ParameterType[];
  /** Has the parameters (counted from 0) that were sent with COM_STMT_SEND_LONG_DATA since the last execution. */
  readonly longData?: { has(parameter: number): boolean };
}

/**
 * Reads what follows the fixed part of a COM_STMT_EXECUTE: first the statement's parameters, then query attributes.
 * Throws MalformedPacketError for types it does not know and for an execution without types when none came before.
 * SAFETY: the bytes are forwarded as they came, so the reader is a strict one: what servers read in two ways is refused.
 */
export function decodeBoundParameters(bytes: Uint8Array, context: ExecuteContext): BoundParameter[] {
  const reader = new ByteReader(bytes, "COM_STMT_EXECUTE", 0, bytes.length, true);
  const isNamed = (context.capabilityFlags & CLIENT_QUERY_ATTRIBUTES) !== 0;
  const hasCount = isNamed && (context.parameters > 0 || (context.executeFlags & PARAMETER_COUNT_AVAILABLE) !== 0);
  const count = hasCount ? reader.lenencCount("the parameter count", PARAMETERS_MAX) : context.parameters;
  if (count < context.parameters) reader.fail(`${count} parameters for a statement that has ${context.parameters}`);
  if (count === 0) return [];
  const nullBitmap = reader.bytes((count + 7) >>> 3);
  const types = reader.uint8() !== 0 ? readTypes(reader, count, isNamed) : repeatTypes(reader, context, count);
  return types.map((type, index) => {
    // Servers look for long data first: then neither a bit nor a value in the packet counts.
    if (context.longData?.has(index) === true) return { ...type, value: "long-data" };
    const isNull = ((nullBitmap[index >>> 3] as number) & (1 << (index & 7))) !== 0;
    return { ...type, value: isNull ? null : readBinaryValue(reader, type) };
  });
}

interface NamedType extends ParameterType {
  readonly name: string;
}

function readTypes(reader: ByteReader, count: number, isNamed: boolean): NamedType[] {
  // Compared with what is left before anything is allocated by a count that the client made up.
  if (count * 2 > reader.remaining)
    reader.fail(`${count} parameter types announced, ${reader.remaining} bytes are left`);
  const types: NamedType[] = [];
  for (let index = 0; index < count; index++) {
    const type = readParameterType(reader);
    types.push({ ...type, name: isNamed ? decodeUtf8Lossy(reader.lenencBytes()) : "" });
  }
  return types;
}

function repeatTypes(reader: ByteReader, context: ExecuteContext, count: number): NamedType[] {
  const previous = context.previousTypes ?? [];
  if (previous.length < count) reader.fail("parameter types are left out, and no earlier execution sent them");
  return previous.slice(0, count).map((type) => ({ ...type, name: "" }));
}
