/** What ties a SCRAM exchange to the TLS connection around it: tls-server-end-point (RFC 5929, section 4). */

import { createHash } from "node:crypto";
import { ByteReader, MalformedPacketError } from "../base/bytes.ts";

/** Digests by the OID of the certificate's signature algorithm, in hexadecimal; MD5 and SHA-1 become SHA-256. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  // 1.2.840.113549.1.1: RSA.
  ["2a864886f70d010104", "sha256"],
  ["2a864886f70d010105", "sha256"],
  ["2a864886f70d01010b", "sha256"],
  ["2a864886f70d01010c", "sha384"],
  ["2a864886f70d01010d", "sha512"],
  ["2a864886f70d01010e", "sha224"],
  // 1.2.840.10045.4: ECDSA.
  ["2a8648ce3d0401", "sha256"],
  ["2a8648ce3d040301", "sha224"],
  ["2a8648ce3d040302", "sha256"],
  ["2a8648ce3d040303", "sha384"],
  ["2a8648ce3d040304", "sha512"],
]);

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const LENGTH_BYTES_MAX = 4;

/**
 * The binding of a server's certificate (DER). Undefined where its signature has no digest of its own, as Ed25519 and
 * RSASSA-PSS: then neither side of PostgreSQL can name one, and SCRAM goes without binding.
 */
export function tlsServerEndPoint(certificate: Uint8Array): Uint8Array | undefined {
  const digest = DIGESTS.get(signatureAlgorithm(certificate) ?? "");
  return digest === undefined ? undefined : createHash(digest).update(certificate).digest();
}

/** Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, … }, signature } (RFC 5280). */
function signatureAlgorithm(certificate: Uint8Array): string | undefined {
  try {
    const outer = new ByteReader(readElement(new ByteReader(certificate, "certificate"), SEQUENCE), "certificate");
    readElement(outer, SEQUENCE);
    const algorithm = new ByteReader(readElement(outer, SEQUENCE), "signatureAlgorithm");
    return Buffer.from(readElement(algorithm, OBJECT_IDENTIFIER)).toString("hex");
  } catch (thrown) {
    if (thrown instanceof MalformedPacketError) return undefined;
    throw thrown;
  }
}

function readElement(reader: ByteReader, tag: number): Uint8Array {
  const found = reader.uint8();
  if (found !== tag) reader.fail(`tag ${found}, expected ${tag}`);
  const first = reader.uint8();
  if (first < 0x80) return reader.bytes(first);
  const count = first & 0x7f;
  if (count > LENGTH_BYTES_MAX) reader.fail(`a length of ${count} bytes`);
  let length = 0;
  for (let index = 0; index < count; index++) length = length * 256 + reader.uint8();
  return reader.bytes(length);
}
