/** The server's nonce: the 20 bytes that every scramble and every encrypted password is bound to. */

import { randomBytes } from "node:crypto";
import { MalformedPacketError } from "../base/bytes.ts";
import { AUTH_PLUGIN_DATA_BYTES } from "./constants.ts";

/** The 20 bytes without the NUL that closes them in an AuthSwitchRequest. Throws MalformedPacketError for fewer. */
export function nonceOf(authPluginData: Uint8Array): Uint8Array {
  if (authPluginData.length < AUTH_PLUGIN_DATA_BYTES) {
    throw new MalformedPacketError(
      `Cannot use authPluginData of ${authPluginData.length} bytes: expected ${AUTH_PLUGIN_DATA_BYTES}`,
    );
  }
  return authPluginData.subarray(0, AUTH_PLUGIN_DATA_BYTES);
}

/** Fresh authPluginData as servers make it: 7-bit bytes without NUL and "$" (generate_user_salt() in crypt_genhash_impl.cc). */
export function createAuthPluginData(): Uint8Array {
  const bytes = new Uint8Array(randomBytes(AUTH_PLUGIN_DATA_BYTES));
  for (let index = 0; index < bytes.length; index++) {
    const byte = (bytes[index] as number) & 0x7f;
    bytes[index] = byte === 0 || byte === DOLLAR ? byte + 1 : byte;
  }
  return bytes;
}

const DOLLAR = 0x24;
