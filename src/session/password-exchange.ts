/**
 * Carries the full password of caching_sha2_password and sha256_password between legs that differ in TLS.
 *
 * Over TLS these plugins send the password in clear; over plain TCP the client asks for an RSA key and encrypts with it.
 * When only one of our legs has TLS, one side must be translated, and a password is never encrypted for a key that
 * nobody vouches for (page_caching_sha2_authentication_exchanges; sql/auth/sha2_password.cc).
 */
import type { KeyObject } from "node:crypto";
import { QuerycopError } from "../base/errors.ts";
import { CACHING_SHA2_KEY_REQUEST } from "../mysql/caching-sha2-password.ts";
import { AUTH_MORE_DATA_HEADER } from "../mysql/constants.ts";
import { decryptPassword, encryptPassword } from "../mysql/rsa-password.ts";
import type { ClientPeer } from "./client-peer.ts";
import { localKey } from "./local-key.ts";

/** The one byte with which a client asks for the public key. */
const KEY_REQUEST: Readonly<Record<string, number>> = {
  caching_sha2_password: CACHING_SHA2_KEY_REQUEST,
  sha256_password: 0x01,
};

export interface PasswordRoute {
  readonly client: ClientPeer;
  readonly backendIsSecure: boolean;
  /** True for a backend on this very host: nobody between us can swap its key. */
  readonly backendIsLocal: boolean;
  readonly pinnedKey: KeyObject | undefined;
}

export function isKeyRequest(plugin: string, reply: Uint8Array): boolean {
  return reply.length === 1 && reply[0] === KEY_REQUEST[plugin];
}

/**
 * Turns the client's full-password reply into what the backend must be sent. May talk with the client (our own key).
 * `authPluginData` is the nonce both sides XOR the password with.
 */
export async function translatePasswordReply(
  route: PasswordRoute,
  plugin: string,
  reply: Uint8Array,
  authPluginData: Uint8Array,
): Promise<Uint8Array> {
  if (isKeyRequest(plugin, reply)) {
    if (route.backendIsSecure) return readPasswordWithOwnKey(route.client, authPluginData);
    if (route.backendIsLocal || route.pinnedKey !== undefined) return reply;
    throw refusePlaintextBackend(plugin);
  }
  const isEmptyPassword = reply.length === 0 || (reply.length === 1 && reply[0] === 0);
  if (isEmptyPassword || !route.client.isSecure === !route.backendIsSecure) return reply;
  if (!route.client.isSecure) {
    throw new QuerycopError(
      "QC_AUTH_PLUGIN_REFUSED",
      `The client encrypted its ${plugin} password for a server key of its own: querycop cannot read it for the TLS backend`,
      { clientMessage: `querycop: connect with TLS, or let the client fetch the server's public key for ${plugin}` },
    );
  }
  if (route.pinnedKey === undefined) throw refusePlaintextBackend(plugin);
  return encryptPassword(route.pinnedKey, reply, authPluginData);
}

/** Answers a key request with our own key and gives back the password with its closing NUL. */
export async function readPasswordWithOwnKey(client: ClientPeer, authPluginData: Uint8Array): Promise<Uint8Array> {
  const key = await localKey();
  client.sendPayload(Buffer.concat([Uint8Array.of(AUTH_MORE_DATA_HEADER), key.publicKeyPem]));
  const packet = await client.expectLoginPacket("waiting for the encrypted password");
  try {
    return decryptPassword(key.privateKey, packet.payload, authPluginData);
  } catch (cause) {
    throw new QuerycopError("QC_AUTH_REFUSED", "Cannot decrypt the client's password with the key it was sent", {
      cause,
    });
  }
}

function refusePlaintextBackend(plugin: string): QuerycopError {
  return new QuerycopError(
    "QC_AUTH_PLUGIN_REFUSED",
    `Cannot send a ${plugin} password to a plaintext backend whose key is not pinned: ` +
      "set GATEKEEPER_BACKEND_TLS_MODE=verify-full, or GATEKEEPER_BACKEND_PUBLIC_KEY_FILE",
    { clientMessage: `querycop: ${plugin} needs TLS on the backend leg, see GATEKEEPER_BACKEND_TLS_MODE` },
  );
}
