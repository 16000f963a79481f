/**
 * querycop as a server: finds out who a client is before any backend hears of it.
 * The exchange is the one of page_caching_sha2_authentication_exchanges, with hashes from the users file.
 */
import { QuerycopError } from "../base/errors.ts";
import {
  CACHING_SHA2_FAST_OK,
  CACHING_SHA2_FULL,
  cachingSha2DoubleHash,
  verifyCachingSha2Password,
  verifyCachingSha2Scramble,
} from "../mysql/caching-sha2-password.ts";
import { encodeAuthMoreData, encodeAuthSwitchRequest } from "../mysql/handshake.ts";
import { verifyNativePassword } from "../mysql/native-password.ts";
import type { ClientPeer } from "./client-peer.ts";
import type { ClientLogin, ConnectionPhaseContext } from "./connection-phase.ts";
import { isKeyRequest, readPasswordWithOwnKey } from "./password-exchange.ts";
import type { UserDirectory, UserEntry } from "./user-directory.ts";

const SCRAMBLE_BYTES = 32;

/** What a client answered to which question. */
export interface ClientAnswer {
  readonly user: string;
  readonly authPluginName: string;
  readonly authResponse: Uint8Array;
  /** The 20 bytes the answer was computed with. */
  readonly authPluginData: Uint8Array;
}

/** Returns when the client is who it says. Throws QC_AUTH_REFUSED with the text a server would use. */
export async function verifyClient(context: ConnectionPhaseContext, login: ClientLogin): Promise<void> {
  const { authPluginName, authResponse, user } = login.response;
  const answer = { user, authPluginName, authResponse, authPluginData: login.greeting.authPluginData };
  await verifyAnswer(context, answer);
}

/** The same for COM_CHANGE_USER, which brings an answer to the greeting's authPluginData. */
export async function verifyAnswer(
  context: Pick<ConnectionPhaseContext, "services" | "client" | "clientAddress">,
  answer: ClientAnswer,
): Promise<void> {
  const { options } = context.services;
  if (options.clientAuth === "certificate") {
    requireCertificateFor(context.client, answer.user, options.certificateUsers);
    return;
  }
  const { users } = options;
  if (users === undefined) throw new Error("client_auth=password without a users file");
  const isRight = await hasRightPassword(context.client, users, answer);
  if (!isRight) throw accessDenied(answer, context.clientAddress);
}

function accessDenied(answer: ClientAnswer, clientAddress: string): QuerycopError {
  const usingPassword = answer.authResponse.length > 0 ? "YES" : "NO";
  return new QuerycopError("QC_AUTH_REFUSED", `Access denied for user "${answer.user}" from ${clientAddress}`, {
    clientMessage: `querycop: Access denied for user '${answer.user}'@'${clientAddress}' (using password: ${usingPassword})`,
  });
}

/**
 * SAFETY: the subjectAltName must be equal, not contained: names like "app,DNS:admin" have been used to pass for
 * another. The common name is not looked at, it is not meant for this.
 */
function requireCertificateFor(
  client: ClientPeer,
  user: string,
  certificateUsers: ReadonlyMap<string, string> | undefined,
): void {
  const names = client.tls?.alternativeNames ?? [];
  const users = certificateUsers === undefined ? names : names.map((name) => certificateUsers.get(name));
  if (users.includes(user)) return;
  throw new QuerycopError(
    "QC_AUTH_REFUSED",
    client.tls === undefined
      ? `User "${user}" came without TLS, GATEKEEPER_CLIENT_AUTH is certificate`
      : `The client certificate (${names.join(", ") || "no subjectAltName"}) does not name user "${user}"`,
    { clientMessage: `querycop: Access denied for user '${user}': the client certificate does not name this user` },
  );
}

/** Unknown users go through the same questions as known ones, with a hash no password fits. */
const DECOY: UserEntry = { cachingSha2: `$A$005$${"\u0001".repeat(20)}${".".repeat(43)}` };

async function hasRightPassword(client: ClientPeer, users: UserDirectory, answer: ClientAnswer): Promise<boolean> {
  const entry = users.find(answer.user) ?? DECOY;
  const isClear = answer.authPluginName === "mysql_clear_password";
  if (isClear && client.isSecure) return fitsEntry(entry, withoutNul(answer.authResponse));
  const wantsNative = entry.cachingSha2 === undefined;
  const wanted = wantsNative ? "mysql_native_password" : "caching_sha2_password";
  const bothKnown = entry.native !== undefined && answer.authPluginName === "mysql_native_password";
  let response = answer.authResponse;
  if (answer.authPluginName !== wanted && !bothKnown) {
    client.sendPayload(
      encodeAuthSwitchRequest({
        authPluginName: wanted,
        authPluginData: Buffer.concat([answer.authPluginData, Uint8Array.of(0)]),
      }),
    );
    response = (await client.expectLoginPacket(`waiting for the answer to ${wanted}`)).payload;
  }
  if (wantsNative || bothKnown) {
    return entry.native !== undefined && verifyNativePassword(entry.native, response, answer.authPluginData);
  }
  return hasRightCachingSha2(client, users, answer, entry.cachingSha2 ?? "", response);
}

async function hasRightCachingSha2(
  client: ClientPeer,
  users: UserDirectory,
  answer: ClientAnswer,
  hash: string,
  response: Uint8Array,
): Promise<boolean> {
  if (response.length !== SCRAMBLE_BYTES) return false;
  const known = users.fastHash(answer.user);
  if (known !== undefined && verifyCachingSha2Scramble(known, response, answer.authPluginData)) {
    client.sendPayload(encodeAuthMoreData(Uint8Array.of(CACHING_SHA2_FAST_OK)));
    return true;
  }
  client.sendPayload(encodeAuthMoreData(Uint8Array.of(CACHING_SHA2_FULL)));
  const { payload } = await client.expectLoginPacket("waiting for the whole password");
  const wantsKey = isKeyRequest("caching_sha2_password", payload);
  if (!wantsKey && !client.isSecure) return false;
  const password = withoutNul(wantsKey ? await readPasswordWithOwnKey(client, answer.authPluginData) : payload);
  // SAFETY: the scramble came first; a password that does not belong to it would let one login probe two passwords.
  const doubleHash = cachingSha2DoubleHash(password);
  const isRight =
    verifyCachingSha2Password(hash, password) && verifyCachingSha2Scramble(doubleHash, response, answer.authPluginData);
  password.fill(0);
  if (isRight) users.rememberFastHash(answer.user, doubleHash);
  return isRight;
}

function fitsEntry(entry: UserEntry, password: Uint8Array): boolean {
  if (entry.cachingSha2 !== undefined) return verifyCachingSha2Password(entry.cachingSha2, password);
  return false;
}

function withoutNul(bytes: Uint8Array): Uint8Array {
  return bytes.length > 0 && bytes[bytes.length - 1] === 0 ? bytes.subarray(0, -1) : bytes;
}
