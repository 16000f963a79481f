/** The computations of mysql_native_password (sql/auth/password.cc). */

import { createHash, timingSafeEqual } from "node:crypto";
import { nonceOf } from "./auth-plugin-data.ts";

const SHA1_BYTES = 20;

/** What a client answers: SHA1(password) XOR SHA1(authPluginData, SHA1(SHA1(password))). Nothing for an empty password. */
export function encodeNativePasswordScramble(password: Uint8Array, authPluginData: Uint8Array): Uint8Array {
  if (password.length === 0) return new Uint8Array(0);
  const stage1 = sha1(password);
  return xor(stage1, sha1(nonceOf(authPluginData), sha1(stage1)));
}

/** The hash servers keep: "*" and SHA1(SHA1(password)) in upper-case hex. Empty for an empty password. */
export function hashNativePassword(password: Uint8Array): string {
  return password.length === 0 ? "" : `*${sha1(sha1(password)).toString("hex").toUpperCase()}`;
}

/** SHA1(SHA1(password)) out of the hash that servers keep; undefined for a hash of another shape. */
export function nativePasswordStage2(hash: string): Uint8Array | undefined {
  const stage2 = hash.startsWith("*") ? Buffer.from(hash.slice(1), "hex") : Buffer.alloc(0);
  return stage2.length === SHA1_BYTES && hash.length === 2 * SHA1_BYTES + 1 ? stage2 : undefined;
}

/** True when the scramble was made from the password of this hash. A hash of another shape fits nothing. */
export function verifyNativePassword(hash: string, scramble: Uint8Array, authPluginData: Uint8Array): boolean {
  if (hash === "") return scramble.length === 0;
  const stage2 = nativePasswordStage2(hash);
  if (stage2 === undefined || scramble.length !== SHA1_BYTES) return false;
  const stage1 = xor(scramble, sha1(nonceOf(authPluginData), stage2));
  return timingSafeEqual(sha1(stage1), stage2);
}

function sha1(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha1");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return Uint8Array.from(a, (byte, index) => byte ^ (b[index] as number));
}
