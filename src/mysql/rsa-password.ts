/** The RSA half of caching_sha2_password and sha256_password on plaintext legs (sql/auth/sha2_password.cc). */

import { constants, type KeyObject, privateDecrypt, publicEncrypt } from "node:crypto";
import { MalformedPacketError } from "../base/bytes.ts";
import { nonceOf } from "./auth-plugin-data.ts";

/**
 * What a client sends to the owner of `publicKey`: the password with its closing NUL, XORed with authPluginData,
 * in RSA-OAEP with SHA-1. The caller puts the NUL there.
 */
export function encryptPassword(publicKey: KeyObject, password: Uint8Array, authPluginData: Uint8Array): Uint8Array {
  const scrambled = xorWithNonce(password, authPluginData);
  try {
    return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" }, scrambled);
  } finally {
    scrambled.fill(0);
  }
}

/** The inverse: the password with its closing NUL. Throws MalformedPacketError when the bytes were not made for this key. */
export function decryptPassword(privateKey: KeyObject, encrypted: Uint8Array, authPluginData: Uint8Array): Uint8Array {
  const scrambled = decrypt(privateKey, encrypted);
  const password = xorWithNonce(scrambled, authPluginData);
  scrambled.fill(0);
  if (password.length === 0 || password[password.length - 1] !== 0) {
    password.fill(0);
    throw new MalformedPacketError("Cannot decrypt a password: it does not end with a NUL");
  }
  return password;
}

function decrypt(privateKey: KeyObject, encrypted: Uint8Array): Uint8Array {
  try {
    return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" }, encrypted);
  } catch {
    // The cause is not kept: its text tells a peer about our padding checks.
    throw new MalformedPacketError("Cannot decrypt a password: it was not encrypted for this key");
  }
}

/** Repeats the 20 bytes over the password; the NUL that closes authPluginData on the wire takes no part. */
function xorWithNonce(bytes: Uint8Array, authPluginData: Uint8Array): Uint8Array {
  const nonce = nonceOf(authPluginData);
  return Uint8Array.from(bytes, (byte, index) => byte ^ (nonce[index % nonce.length] as number));
}
