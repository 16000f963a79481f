/** Values of a Bind in binary, as the text that says the same. */

const TEXT_ENCODER = new TextEncoder();

/** OIDs of pg_type.dat: they never change. */
const OID = {
  bool: 16,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  unknown: 705,
  bpchar: 1042,
  varchar: 1043,
  uuid: 2950,
} as const;

/** Their receiving functions take the bytes as those for text do, in client_encoding (textrecv() and its like). */
const TEXTUAL: ReadonlySet<number> = new Set([OID.name, OID.text, OID.json, OID.unknown, OID.bpchar, OID.varchar]);

const UUID_GROUPS = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/;

/**
 * What `bytes` say as a value of that type (int2recv() and its like): in decimal digits, `true` or `false`, or as they are.
 * Undefined for other types, and for bytes that the type does not take: the server refuses them.
 */
export function textOfBinary(typeOid: number, bytes: Uint8Array): Uint8Array | undefined {
  if (TEXTUAL.has(typeOid)) return bytes;
  const text = wordOf(typeOid, bytes);
  return text === undefined ? undefined : TEXT_ENCODER.encode(text);
}

function wordOf(typeOid: number, bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (typeOid) {
    case OID.int2:
      return bytes.length === 2 ? String(view.getInt16(0)) : undefined;
    case OID.int4:
      return bytes.length === 4 ? String(view.getInt32(0)) : undefined;
    case OID.int8:
      return bytes.length === 8 ? String(view.getBigInt64(0)) : undefined;
    case OID.oid:
      return bytes.length === 4 ? String(view.getUint32(0)) : undefined;
    case OID.bool:
      return bytes.length === 1 ? String(bytes[0] !== 0) : undefined;
    case OID.uuid:
      return bytes.length === 16
        ? Buffer.from(bytes).toString("hex").replace(UUID_GROUPS, "$1-$2-$3-$4-$5")
        : undefined;
    default:
      return undefined;
  }
}
