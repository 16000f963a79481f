/**
 * The signature of a release's SHA256SUMS, in minisign's format: https://jedisct1.github.io/minisign/, "Signature format".
 * Of its two kinds the one that signs the file itself (`Ed`), since that one OpenSSL can check, too.
 */
import { createPublicKey, type KeyObject, verify } from "node:crypto";

/** Algorithm and number in front of a public key and of a signature. */
const ALGORITHM = "Ed";
const KEY_ID_BYTES = 8;
const HEAD_BYTES = ALGORITHM.length + KEY_ID_BYTES;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** RFC 8410: what DER puts in front of an Ed25519 public key. */
const DER_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const UNTRUSTED = "untrusted comment: ";
const TRUSTED = "trusted comment: ";

export interface ReleaseKey {
  readonly id: Buffer;
  readonly key: KeyObject;
}

/** The comment that was signed along, or why the signature says nothing. */
export type SignatureCheck = { readonly comment: string } | { readonly problem: string };

/** Of `RW…`, 56 characters as `minisign -P` takes them. Undefined for anything else. */
export function parseReleaseKey(text: string): ReleaseKey | undefined {
  const bytes = decodeBase64(text.trim(), HEAD_BYTES + KEY_BYTES);
  if (bytes?.toString("latin1", 0, ALGORITHM.length) !== ALGORITHM) return undefined;
  const key = Buffer.concat([DER_PREFIX, bytes.subarray(HEAD_BYTES)]);
  return {
    id: bytes.subarray(ALGORITHM.length, HEAD_BYTES),
    key: createPublicKey({ key, format: "der", type: "spki" }),
  };
}

/** The text that `parseReleaseKey()` reads. */
export function renderReleaseKey({ id, key }: ReleaseKey): string {
  const raw = key.export({ format: "der", type: "spki" }).subarray(DER_PREFIX.length);
  return Buffer.concat([Buffer.from(ALGORITHM), id, raw]).toString("base64");
}

/** The file that lies beside what is signed; `sign` makes the Ed25519 signature of some bytes. */
export function renderSignature(
  message: Uint8Array,
  comment: string,
  { id, sign }: { readonly id: Uint8Array; readonly sign: (bytes: Uint8Array) => Uint8Array },
): string {
  const signature = sign(message);
  const first = Buffer.concat([Buffer.from(ALGORITHM), id, signature]).toString("base64");
  const second = Buffer.from(sign(Buffer.concat([signature, Buffer.from(comment)]))).toString("base64");
  return `${UNTRUSTED}verify with querycop self verify, minisign or openssl\n${first}\n${TRUSTED}${comment}\n${second}\n`;
}

/** Checks both signatures of the file: that of the message, and that of the first one with the trusted comment. */
export function checkSignature(message: Uint8Array, signatureFile: string, { id, key }: ReleaseKey): SignatureCheck {
  const [untrusted = "", first = "", trusted = "", second = "", ...rest] = signatureFile.trimEnd().split(/\r?\n/);
  const signed = decodeBase64(first, HEAD_BYTES + SIGNATURE_BYTES);
  const whole = decodeBase64(second, SIGNATURE_BYTES);
  const hasLines = untrusted.startsWith(UNTRUSTED) && trusted.startsWith(TRUSTED) && rest.length === 0;
  if (!hasLines || signed === undefined || whole === undefined) return { problem: "it is no minisign signature" };
  if (signed.toString("latin1", 0, ALGORITHM.length) !== ALGORITHM) {
    return { problem: `it is of another kind than ${ALGORITHM}: sign with minisign -l` };
  }
  if (!signed.subarray(ALGORITHM.length, HEAD_BYTES).equals(id)) return { problem: "it is of another key" };
  const signature = signed.subarray(HEAD_BYTES);
  const comment = trusted.slice(TRUSTED.length);
  if (!verify(null, message, key, signature)) return { problem: "it does not fit the file" };
  if (!verify(null, Buffer.concat([signature, Buffer.from(comment)]), key, whole)) {
    return { problem: "its trusted comment was changed" };
  }
  return { comment };
}

/** Exactly so many bytes, written as base64 writes them. */
function decodeBase64(text: string, length: number): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.length === length && bytes.toString("base64") === text ? bytes : undefined;
}
