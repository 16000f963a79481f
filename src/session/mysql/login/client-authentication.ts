/**
 * querycop as a server: finds out who a client is before any backend hears of it.
 * The exchange is the one of page_caching_sha2_authentication_exchanges, with hashes from the users file.
 */
import { timingSafeEqual } from "node:crypto";
import { QuerycopError } from "../../../base/errors.ts";
import {
  CACHING_SHA2_FAST_OK,
  CACHING_SHA2_FULL,
  cachingSha2DoubleHash,
  checkCachingSha2Password,
  verifyCachingSha2Scramble,
} from "../../../mysql/caching-sha2-password.ts";
import { encodeCertificateProof } from "../../../mysql/certificate-proof.ts";
import { encodeOkPacket } from "../../../mysql/generic-response.ts";
import { encodeAuthMoreData, encodeAuthSwitchRequest } from "../../../mysql/handshake.ts";
import { nativePasswordStage2, verifyNativePassword } from "../../../mysql/native-password.ts";
import { certificateObjection } from "../../accounts/certificate-names.ts";
import type { PasswordCheck } from "../../accounts/password-checks.ts";
import type { UserDirectory, UserEntry } from "../../accounts/user-directory.ts";
import type { AuthenticationResult } from "./authentication.ts";
import type { ClientPeer } from "./client-peer.ts";
import type { ClientLogin, ConnectionPhaseContext } from "./connection-phase.ts";
import { isKeyRequest, receiveForOwnKey } from "./password-exchange.ts";

const SCRAMBLE_BYTES = 32;

/** What a client answered to which question. */
export interface ClientAnswer {
  readonly user: string;
  readonly authPluginName: string;
  readonly authResponse: Uint8Array;
  /** The 20 bytes the answer was computed with. */
  readonly authPluginData: Uint8Array;
}

/** A client that is who it says. */
export interface VerifiedClient {
  /** Throws QC_AUTH_REFUSED when the user was taken out, or its password changed, since it was verified. */
  readonly requireStill: () => void;
  /** For the info of the login's OK_Packet, by which MariaDB's clients verify the certificate they were shown. */
  readonly certificateProof?: Uint8Array;
}

/** The backend's OK_Packet for the client, as it came where there is nothing to prove. */
export function okFor(
  { ok, okPayload }: Pick<AuthenticationResult, "ok" | "okPayload">,
  client: VerifiedClient | undefined,
  capabilityFlags: number,
): Uint8Array {
  const info = client?.certificateProof;
  return info === undefined ? okPayload : encodeOkPacket({ ...ok, info }, capabilityFlags);
}

type VerifyContext = Pick<ConnectionPhaseContext, "services" | "client" | "clientAddress">;

/**
 * Returns when the client is who it says. Throws QC_AUTH_REFUSED with the text a server would use.
 * SAFETY: `requireStill` is to be asked before the client is let in: much can happen until then.
 */
export async function verifyClient(context: ConnectionPhaseContext, login: ClientLogin): Promise<VerifiedClient> {
  const { authPluginName, authResponse, user } = login.response;
  const answer = { user, authPluginName, authResponse, authPluginData: login.greeting.authPluginData };
  return await verifyAnswer(context, answer);
}

/** The same for COM_CHANGE_USER, which brings an answer to the greeting's authPluginData. */
export async function verifyAnswer(context: VerifyContext, answer: ClientAnswer): Promise<VerifiedClient> {
  const { options } = context.services;
  if (options.clientAuth === "certificate") {
    const requireIt = (): void => requireCertificateFor(context.client, answer.user, options.certificateUsers);
    requireIt();
    return { requireStill: requireIt };
  }
  const { users } = options;
  if (users === undefined) throw new Error("client_auth=password without a users file");
  const entry = users.find(answer.user) ?? DECOY;
  const outcome = await checkAnswer(context, users, entry, answer);
  const requireStill = (): void => {
    if (outcome === "wrong" || !users.isStill(answer.user, entry)) throw accessDenied(answer, context.clientAddress);
  };
  requireStill();
  const certificateProof = outcome === "native" ? proofFor(context.client, entry, answer) : undefined;
  return { requireStill, ...(certificateProof === undefined ? {} : { certificateProof }) };
}

/** Only mysql_native_password leaves both sides with the same hash; MariaDB's caching_sha2_password proves nothing. */
function proofFor({ tls }: ClientPeer, { native = "" }: UserEntry, answer: ClientAnswer): Uint8Array | undefined {
  const hash = nativePasswordStage2(native);
  if (tls === undefined || hash === undefined) return undefined;
  return encodeCertificateProof(hash, answer.authPluginData, tls.ownFingerprint);
}

function accessDenied(answer: ClientAnswer, clientAddress: string): QuerycopError {
  const usingPassword = answer.authResponse.length > 0 ? "YES" : "NO";
  return new QuerycopError("QC_AUTH_REFUSED", `Access denied for user "${answer.user}" from ${clientAddress}`, {
    clientMessage: `querycop: Access denied for user '${answer.user}'@'${clientAddress}' (using password: ${usingPassword})`,
  });
}

function requireCertificateFor(
  client: ClientPeer,
  user: string,
  certificateUsers: ReadonlyMap<string, string> | undefined,
): void {
  const why = certificateObjection(client.tls, user, certificateUsers);
  if (why === undefined) return;
  throw new QuerycopError("QC_AUTH_REFUSED", why, {
    clientMessage: `querycop: Access denied for user '${user}': the client certificate does not name this user`,
  });
}

/** Unknown users go through the same questions as known ones, with a hash no password fits. */
const DECOY: UserEntry = { cachingSha2: `$A$005$${"\u0001".repeat(20)}${".".repeat(43)}` };

/** By which hash the password was found right. */
type Outcome = "native" | "caching-sha2" | "wrong";

async function checkAnswer(
  context: VerifyContext,
  users: UserDirectory,
  entry: UserEntry,
  answer: ClientAnswer,
): Promise<Outcome> {
  const { client } = context;
  const isClear = answer.authPluginName === "mysql_clear_password";
  if (isClear && client.isSecure) {
    const password = withoutNul(answer.authResponse);
    const isRight = await checkPassword(context, users, entry, { answer, open: () => password });
    return isRight ? "caching-sha2" : "wrong";
  }
  const wantsNative = entry.cachingSha2 === undefined;
  const wanted = wantsNative ? "mysql_native_password" : "caching_sha2_password";
  const bothKnown = entry.native !== undefined && answer.authPluginName === "mysql_native_password";
  let response = answer.authResponse;
  // A client that does not know the plugin of the greeting names its own, and has had nothing to answer for that one.
  const isUnanswered = response.length === 0;
  if ((answer.authPluginName !== wanted && !bothKnown) || isUnanswered) {
    client.sendPayload(
      encodeAuthSwitchRequest({
        authPluginName: bothKnown ? "mysql_native_password" : wanted,
        authPluginData: Buffer.concat([answer.authPluginData, Uint8Array.of(0)]),
      }),
    );
    response = (await client.expectLoginPacket(`waiting for the answer to ${wanted}`)).payload;
  }
  if (wantsNative || bothKnown) {
    const { native } = entry;
    const isRight = native !== undefined && verifyNativePassword(native, response, answer.authPluginData);
    return isRight ? "native" : "wrong";
  }
  return (await hasRightCachingSha2(context, users, entry, answer, response)) ? "caching-sha2" : "wrong";
}

async function hasRightCachingSha2(
  context: VerifyContext,
  users: UserDirectory,
  entry: UserEntry,
  answer: ClientAnswer,
  scramble: Uint8Array,
): Promise<boolean> {
  const { client } = context;
  if (scramble.length !== SCRAMBLE_BYTES) return false;
  const known = users.fastHash(answer.user);
  if (known !== undefined && verifyCachingSha2Scramble(known, scramble, answer.authPluginData)) {
    client.sendPayload(encodeAuthMoreData(Uint8Array.of(CACHING_SHA2_FAST_OK)));
    return true;
  }
  client.sendPayload(encodeAuthMoreData(Uint8Array.of(CACHING_SHA2_FULL)));
  const { payload } = await client.expectLoginPacket("waiting for the whole password");
  const wantsKey = isKeyRequest("caching_sha2_password", payload);
  if (!wantsKey && !client.isSecure) return false;
  const open = wantsKey ? await receiveForOwnKey(client, answer.authPluginData) : () => payload;
  return await checkPassword(context, users, entry, { answer, scramble, open: () => withoutNul(open()) });
}

interface GivenPassword {
  readonly answer: ClientAnswer;
  /** What the client answered before it was asked for the password itself. */
  readonly scramble?: Uint8Array;
  /** The password, which may have to be decrypted. Throws QC_AUTH_REFUSED. */
  readonly open: () => Uint8Array;
}

async function checkPassword(
  { services, client, clientAddress }: VerifyContext,
  users: UserDirectory,
  entry: UserEntry,
  given: GivenPassword,
): Promise<boolean> {
  const claimant = { clientAddress, user: given.answer.user, isGone: () => client.leg.isDead };
  return await services.passwordChecks.run(claimant, () => stepsOf(users, entry, given));
}

/** Only what can be right is worth the rounds of SHA-256. */
function* stepsOf(users: UserDirectory, entry: UserEntry, { answer, scramble, open }: GivenPassword): PasswordCheck {
  const { user } = answer;
  const { cachingSha2 } = entry;
  const password = open();
  try {
    const doubleHash = cachingSha2DoubleHash(password);
    // SAFETY: the scramble came first; a password that does not belong to it would let one login probe two passwords.
    if (scramble !== undefined && !verifyCachingSha2Scramble(doubleHash, scramble, answer.authPluginData)) return false;
    if (cachingSha2 === undefined || !users.isStill(user, entry)) return false;
    const known = users.fastHash(user);
    if (known !== undefined) return timingSafeEqual(known, doubleHash);
    const isRight = yield* checkCachingSha2Password(cachingSha2, password);
    if (isRight) users.rememberFastHash(user, cachingSha2, doubleHash);
    return isRight;
  } finally {
    password.fill(0);
  }
}

function withoutNul(bytes: Uint8Array): Uint8Array {
  return bytes.length > 0 && bytes[bytes.length - 1] === 0 ? bytes.subarray(0, -1) : bytes;
}
