/**
 * Carries the full password of caching_sha2_password and sha256_password between legs that differ in TLS.
 *
 * Over TLS these plugins send the password in clear; over plain TCP the client asks for an RSA key and encrypts with it.
 * When only one of our legs has TLS, one side must be translated, and a password is never encrypted for a key that
 * nobody vouches for (page_caching_sha2_authentication_exchanges; sql/auth/sha2_password.cc).
 */
import type { KeyObject } from "node:crypto";
import { QuerycopError } from "../../../base/errors.ts";
import { CACHING_SHA2_KEY_REQUEST } from "../../../mysql/caching-sha2-password.ts";
import { AUTH_MORE_DATA_HEADER } from "../../../mysql/constants.ts";
import { decryptPassword, encryptPassword } from "../../../mysql/rsa-password.ts";
import { localKey, parsePublicKey } from "../../accounts/local-key.ts";
import type { BackendGate, Permit } from "../../backend-gate.ts";
import type { ClientPeer } from "./client-peer.ts";

/** The one byte with which a client asks for the public key. */
const KEY_REQUEST: Readonly<Record<string, number>> = {
  caching_sha2_password: CACHING_SHA2_KEY_REQUEST,
  sha256_password: 0x01,
};

export interface PasswordRoute {
  readonly client: ClientPeer;
  readonly backend: BackendGate;
  readonly backendIsSecure: boolean;
  /** True for a backend on this very host: nobody between us can swap its key. */
  readonly backendIsLocal: boolean;
  readonly pinnedKey: KeyObject | undefined;
  /** Ends a wait for the backend; the client has left. */
  readonly signal?: AbortSignal;
}

export const LOGIN_PERMIT: Permit = { kind: "login", packet: "authentication" };

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
  if (route.pinnedKey === undefined && !route.backendIsLocal) throw refusePlaintextBackend(plugin);
  return encryptPassword(route.pinnedKey ?? (await keyOfBackend(route, plugin)), reply, authPluginData);
}

/** Asked for where nobody can stand between us and the backend, as a client on the same host would. */
export async function keyOfBackend({ backend, signal }: PasswordRoute, plugin: string): Promise<KeyObject> {
  backend.sendPayload(LOGIN_PERMIT, Uint8Array.of(KEY_REQUEST[plugin] ?? 0));
  const { payload } = await backend.expectLoginPacket("waiting for its public key", signal);
  try {
    if (payload[0] !== AUTH_MORE_DATA_HEADER) throw new Error("it is no AuthMoreData");
    return parsePublicKey(Buffer.from(payload.subarray(1)).toString("latin1"));
  } catch (cause) {
    throw new QuerycopError("QC_BACKEND_PROTOCOL", `Cannot read the backend's public key for ${plugin}`, { cause });
  }
}

/** Answers a key request with our own key and gives back the password with its closing NUL. */
async function readPasswordWithOwnKey(client: ClientPeer, authPluginData: Uint8Array): Promise<Uint8Array> {
  return (await receiveForOwnKey(client, authPluginData))();
}

/**
 * Answers a key request with our own key. What is returned decrypts what came, at the cost of a millisecond, to the
 * password with its closing NUL; it throws QC_AUTH_REFUSED.
 */
export async function receiveForOwnKey(client: ClientPeer, authPluginData: Uint8Array): Promise<() => Uint8Array> {
  const key = await localKey();
  client.sendPayload(Buffer.concat([Uint8Array.of(AUTH_MORE_DATA_HEADER), key.publicKeyPem]));
  const packet = await client.expectLoginPacket("waiting for the encrypted password");
  return () => {
    try {
      return decryptPassword(key.privateKey, packet.payload, authPluginData);
    } catch (cause) {
      throw new QuerycopError("QC_AUTH_REFUSED", "Cannot decrypt the client's password with the key it was sent", {
        cause,
      });
    }
  };
}

function refusePlaintextBackend(plugin: string): QuerycopError {
  return new QuerycopError(
    "QC_AUTH_PLUGIN_REFUSED",
    `Cannot send a ${plugin} password to a plaintext backend whose key is not pinned: ` +
      "set GATEKEEPER_BACKEND_TLS_MODE=verify-full, or GATEKEEPER_BACKEND_PUBLIC_KEY_FILE",
    { clientMessage: `querycop: ${plugin} needs TLS on the backend leg, see GATEKEEPER_BACKEND_TLS_MODE` },
  );
}
