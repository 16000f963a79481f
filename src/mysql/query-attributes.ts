/** What CLIENT_QUERY_ATTRIBUTES puts in front of the text of a COM_QUERY (page_protocol_com_query). */

import { type ByteReader, ByteWriter } from "../base/bytes.ts";
import { type ParameterType, parameterTypeCode, readBinaryValue, readParameterType } from "./binary-value.ts";

/** Servers allow 65 535; nobody sends more than a handful. */
const ATTRIBUTES_MAX = 4096;
const PARAMETER_SETS = 1;
const NEW_PARAMS_BIND_FLAG = 1;

export interface QueryAttribute extends ParameterType {
  readonly name: Uint8Array;
  /** The value in its wire form; undefined for NULL. */
  readonly wireValue: Uint8Array | undefined;
}

/**
 * Reads the attributes and leaves the reader on the first byte of the statement.
 * SAFETY: accepts exactly what encodeQueryAttributes() writes, byte for byte. Servers tolerate more (longer forms of
 * integers of which they read a part, values that overrun the packet), and each of these is a way to have the server
 * begin its statement at another byte than the one that was judged. The reader must be a strict one.
 */
export function readQueryAttributes(reader: ByteReader, bytes: Uint8Array): QueryAttribute[] {
  const count = reader.lenencCount("the attribute count", ATTRIBUTES_MAX);
  const sets = reader.lenencCount("the count of parameter sets", PARAMETER_SETS);
  if (sets !== PARAMETER_SETS) reader.fail(`the count of parameter sets is ${sets}, expected ${PARAMETER_SETS}`);
  if (count === 0) return [];
  const nullBitmap = reader.bytes((count + 7) >>> 3);
  const lastBitmapByte = nullBitmap[nullBitmap.length - 1] as number;
  if (count % 8 !== 0 && lastBitmapByte >>> (count % 8) !== 0)
    reader.fail("the NULL bitmap has bits without attribute");
  const bindFlag = reader.uint8();
  if (bindFlag !== NEW_PARAMS_BIND_FLAG) reader.fail(`new_params_bind_flag is ${bindFlag}, expected 1`);
  const types: (ParameterType & { name: Uint8Array })[] = [];
  for (let index = 0; index < count; index++) {
    types.push({ ...readParameterType(reader), name: reader.lenencBytes() });
  }
  return types.map((type, index) => {
    if (((nullBitmap[index >>> 3] as number) & (1 << (index & 7))) !== 0) return { ...type, wireValue: undefined };
    const start = reader.position;
    readBinaryValue(reader, type);
    return { ...type, wireValue: bytes.subarray(start, reader.position) };
  });
}

export function encodeQueryAttributes(attributes: readonly QueryAttribute[]): Uint8Array {
  const writer = new ByteWriter(64).lenencInteger(attributes.length).lenencInteger(PARAMETER_SETS);
  if (attributes.length === 0) return writer.finish();
  const nullBitmap = new Uint8Array((attributes.length + 7) >>> 3);
  attributes.forEach((attribute, index) => {
    if (attribute.wireValue === undefined)
      nullBitmap[index >>> 3] = (nullBitmap[index >>> 3] ?? 0) | (1 << (index & 7));
  });
  writer.bytes(nullBitmap).uint8(NEW_PARAMS_BIND_FLAG);
  for (const attribute of attributes) writer.uint16(parameterTypeCode(attribute)).lenencBytes(attribute.name);
  for (const { wireValue } of attributes) if (wireValue !== undefined) writer.bytes(wireValue);
  return writer.finish();
}
