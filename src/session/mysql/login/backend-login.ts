/** querycop as a client: dials the backend, upgrades the leg to TLS and logs a user in. */
import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import { QuerycopError } from "../../../base/errors.ts";
import {
  type Capabilities,
  CLIENT_CONNECT_ATTRS,
  CLIENT_LONG_PASSWORD,
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
  CLIENT_SSL,
  ER_ACCESS_DENIED_ERROR,
  ERR_HEADER,
  OK_HEADER,
} from "../../../mysql/constants.ts";
import type { OkPacket } from "../../../mysql/generic-response.ts";
import {
  canonicalHandshakeResponse,
  decodeInitialPacket,
  encodeHandshakeResponse41,
  encodeSslRequest,
  type HandshakeResponse41,
  type HandshakeV10,
} from "../../../mysql/handshake.ts";
import { type DialOptions, dialBackend } from "../../../net/dial.ts";
import { Leg } from "../../../net/leg.ts";
import type { HeldPassword, PasswordSource } from "../../../token/password.ts";
import { type LoginTokens, tokensFor, withNul } from "../../accounts/login-tokens.ts";
import { withHeldPassword } from "../../accounts/own-password-login.ts";
import { BackendGate } from "../../backend-gate.ts";
import type { BackendOptions } from "../../listener-options.ts";
import { decodingFrom } from "../../malformed.ts";
import type { SessionServices } from "../../session-services.ts";
import { type AuthenticationContext, authenticate, authenticationFor, BackendRefusal } from "./authentication.ts";
import type { ClientPeer } from "./client-peer.ts";
import type { ClientLogin } from "./connection-phase.ts";
import { firstScramble } from "./own-password.ts";
import { translatePasswordReply } from "./password-exchange.ts";

/** Largest packet either peer may send before the login is through. Servers allow about as much. */
export const LOGIN_PACKET_BYTES_MAX = 128 * 1024;

export interface BackendConnection {
  readonly gate: BackendGate;
  readonly greeting: HandshakeV10;
  /** What to send to be refused, and with that be let go, once a login has begun; "nothing" inside a TLS handshake. */
  leaveWith?: Uint8Array | "nothing";
}

export interface LoginContext {
  readonly services: SessionServices;
  readonly client: ClientPeer;
  /**
   * When the client answers for the backend: now, as it was greeted in the backend's words; when asked, as its answer so far
   * is to others; never, as querycop has verified it by itself.
   */
  readonly clientAnswers: "now" | "when asked" | "never";
  readonly sessionLabel: string;
  readonly clientAddress: string;
  readonly signal: AbortSignal;
}

export interface LoginResult {
  readonly backend: BackendGate;
  readonly backendGreeting: HandshakeV10;
  readonly ok: OkPacket;
  readonly okPayload: Uint8Array;
  readonly authPluginName: string;
  readonly tokenUsed: boolean;
  readonly backendIsSecure: boolean;
  /** The account, where it is not the client's name: that of a password which querycop holds. */
  readonly backendUser: string | undefined;
  /** What the backend was told in HandshakeResponse41: it lays out a later COM_CHANGE_USER by these. */
  readonly backendFlags: number;
}

/** Connects and reads the greeting. A backend that answers with an error instead (1040, 1129) is a BackendRefusal. */
export async function openBackend(
  services: SessionServices,
  signal: AbortSignal,
  isAvoided?: DialOptions["isAvoided"],
): Promise<BackendConnection> {
  const beganMs = SYSTEM_CLOCK.monotonicMs();
  try {
    const connection = await greetedBackend(services.options.backend, signal, isAvoided);
    services.metrics.backendConnectDuration.observe((SYSTEM_CLOCK.monotonicMs() - beganMs) / 1000);
    return connection;
  } catch (thrown) {
    // A client that left in the meantime says nothing about the backend, nor does one that was not dialled.
    const isNews = !(thrown instanceof QuerycopError && thrown.code === "QC_BACKEND_NOT_WRITER");
    if (!signal.aborted && isNews) services.metrics.backendConnectFailures.value++;
    throw thrown;
  }
}

async function greetedBackend(
  backend: BackendOptions,
  signal: AbortSignal,
  isAvoided: DialOptions["isAvoided"],
): Promise<BackendConnection> {
  const socket = await dialBackend({
    host: backend.host,
    port: backend.port,
    family: backend.family,
    timeoutMs: backend.connectTimeoutMs,
    signal,
    isAvoided,
  });
  const gate = new BackendGate(new Leg("backend", socket, LOGIN_PACKET_BYTES_MAX), backend.loginTimeoutMs);
  try {
    return await greetingOf(gate, signal);
  } catch (thrown) {
    if (signal.aborted) await leaveUngreeted(gate);
    gate.destroy();
    throw thrown;
  }
}

async function greetingOf(gate: BackendGate, signal?: AbortSignal): Promise<BackendConnection> {
  const { payload } = await gate.expectLoginPacket("waiting for its greeting", signal);
  const initial = decodingFrom("backend", () => decodeInitialPacket(payload));
  if (initial.kind === "ERR_Packet") throw new BackendRefusal(initial.err, "the connection");
  return { gate, greeting: initial.handshake };
}

/** As `takeLeave`, where the greeting is still to come: a health check is gone before it. */
async function leaveUngreeted(gate: BackendGate): Promise<void> {
  try {
    gate.renewBudget(LEAVE_TIMEOUT_MS);
    await takeLeave(await greetingOf(gate));
  } catch {
    // Gone is gone.
  }
}

/** A name no account has, so that the leave below is refused. */
const LEAVING_USER = "querycop_left_without_login";
const LEAVE_TIMEOUT_MS = 2_000;

/**
 * Ends a connection whose login is not wanted any more, wherever it stands. Just closing it counts against
 * max_connect_errors (manual 7.1.8): a dozen port scans, TCP health checks or clients that give up, and the server blocks
 * this host with error 1129. A login that is refused does not count. Resolves with what the backend said last, or
 * undefined.
 */
export async function takeLeave(connection: BackendConnection, isTls = false): Promise<Uint8Array | undefined> {
  const { gate, greeting, leaveWith } = connection;
  let last: Uint8Array | undefined;
  try {
    if (leaveWith === "nothing" || gate.isDead || gate.isEnded) return undefined;
    const response = leaveWith ?? encodeHandshakeResponse41(leavingResponse(greeting, isTls));
    gate.renewBudget(LEAVE_TIMEOUT_MS);
    gate.sendPayload({ kind: "login", packet: "HandshakeResponse41" }, response);
    for (let round = 0; round < 3; round++) {
      const { payload } = await gate.expectLoginPacket("leaving");
      last = payload;
      if (payload[0] === OK_HEADER || payload[0] === ERR_HEADER) break;
      gate.sendPayload({ kind: "login", packet: "authentication" }, NO_BYTES);
    }
  } catch {
    // Gone is gone.
  } finally {
    gate.destroy();
  }
  return last;
}

export function leavingResponse(greeting: HandshakeV10, isTls: boolean): HandshakeResponse41 {
  return canonicalHandshakeResponse({
    capabilities: {
      flags: (greeting.capabilities.flags & CLIENT_LONG_PASSWORD) | (isTls ? CLIENT_SSL : 0),
      mariadb: 0,
    },
    maxPacketSize: LOGIN_PACKET_BYTES_MAX,
    characterSet: greeting.characterSet,
    user: LEAVING_USER,
    authResponse: NO_BYTES,
    authPluginName: "mysql_native_password",
  });
}

/**
 * Logs the client's user in. A token from the cache that the backend refuses is replaced by a fresh one, once, on a new
 * connection: the backend closes the one it refused.
 */
export async function logInToBackend(
  context: LoginContext,
  login: ClientLogin,
  connection: BackendConnection,
): Promise<LoginResult> {
  const { passwords } = context.services;
  if (passwords !== undefined) return await logInWithOwnPassword(context, login, connection, passwords);
  const tokens = tokensFor(context.services, login.response.user, context.signal);
  try {
    return await logIn(context, login, connection, tokens);
  } catch (thrown) {
    if (!(thrown instanceof BackendRefusal) || thrown.errPacket.errorNumber !== ER_ACCESS_DENIED_ERROR) throw thrown;
    if (tokens === undefined || !tokens.canRetry) throw thrown;
    connection.gate.destroy();
    context.services.logger.info("reused token refused, minting a fresh one", { user: login.response.user });
    tokens.forceFresh();
    const again = await openBackend(context.services, context.signal);
    try {
      // The client's scramble was made for the first connection; what is left to say is the token.
      return await logIn({ ...context, clientAnswers: "never" }, login, again, tokens);
    } catch (second) {
      again.gate.destroy();
      // A token that could not be replaced changes nothing about the refusal, which says more.
      throw second instanceof QuerycopError && second.code === "QC_AUTH_REFUSED" ? thrown : second;
    }
  }
}

/** The backend closes a connection whose login it refused: each further password gets one of its own. */
async function logInWithOwnPassword(
  context: LoginContext,
  login: ClientLogin,
  connection: BackendConnection,
  passwords: PasswordSource,
): Promise<LoginResult> {
  const { services, signal } = context;
  let next: BackendConnection | undefined = connection;
  const limits = { withinMs: services.options.backend.loginTimeoutMs, signal, isRefusal: isAccessDenied };
  return await withHeldPassword(passwords, limits, async (password) => {
    const used = next ?? (await openBackend(services, signal));
    next = undefined;
    try {
      const own = { ...login, response: asUser(login.response, password.user) };
      const result = await logIn(context, own, used, undefined, password);
      return { ...result, backendUser: password.user };
    } catch (thrown) {
      // The first one is let go by whoever opened it, unless it was refused.
      if (used !== connection || thrown instanceof BackendRefusal) used.gate.destroy();
      throw thrown;
    }
  });
}

function isAccessDenied(thrown: unknown): boolean {
  return thrown instanceof BackendRefusal && thrown.errPacket.errorNumber === ER_ACCESS_DENIED_ERROR;
}

/** The same login under the name of the account that querycop has the password of. */
export function asUser<T extends { readonly userBytes?: Uint8Array | undefined }>(
  login: T,
  user: string,
): Omit<T, "userBytes"> {
  const { userBytes: _, ...rest } = login;
  return { ...rest, user };
}

async function logIn(
  context: LoginContext,
  login: ClientLogin,
  connection: BackendConnection,
  tokens: LoginTokens | undefined,
  password?: HeldPassword,
): Promise<LoginResult> {
  const { gate, greeting } = connection;
  const { services, client } = context;
  const isTls = await startBackendTls(context, login, connection);
  const authentication = authenticationFor(services, {
    client,
    backend: gate,
    backendIsSecure: isTls,
    tokens,
    password,
    clientCanAnswer: context.clientAnswers !== "never",
    user: login.response.user,
    capabilityFlags: login.capabilities.flags,
    signal: context.signal,
  });
  const first = await firstAuthResponse(context, login.response, authentication, greeting);
  const response = responseFor(context, login, greeting, isTls, first);
  gate.sendPayload({ kind: "login", packet: "HandshakeResponse41" }, encodeHandshakeResponse41(response));
  // From here on the backend asks, and no answer is the wrong one.
  connection.leaveWith = NO_BYTES;
  if (first.isToken) first.authResponse.fill(0);
  const result = await authenticate(authentication, first.authPluginName, greeting.authPluginData);
  return {
    ...result,
    tokenUsed: result.tokenUsed || first.isToken,
    backend: gate,
    backendGreeting: greeting,
    backendIsSecure: isTls,
    backendUser: undefined,
    backendFlags: response.capabilities.flags,
  };
}

/** Sends the SSLRequest and upgrades the leg; false when the mode allows plaintext and the backend has no TLS. */
async function startBackendTls(
  context: LoginContext,
  login: ClientLogin,
  connection: BackendConnection,
): Promise<boolean> {
  const { tls } = context.services.options.backend;
  if (tls.mode === "disable") return false;
  if ((connection.greeting.capabilities.flags & CLIENT_SSL) === 0) {
    if (tls.mode === "prefer") return false;
    throw new QuerycopError(
      "QC_BACKEND_TLS_NOT_OFFERED",
      `The backend offers no TLS and GATEKEEPER_BACKEND_TLS_MODE is ${tls.mode}`,
      {
        clientMessage: "querycop: the backend offers no TLS, which GATEKEEPER_BACKEND_TLS_MODE demands",
      },
    );
  }
  const head = responseFor(context, login, connection.greeting, true, NO_AUTH_RESPONSE);
  connection.leaveWith = "nothing";
  connection.gate.sendPayload({ kind: "login", packet: "SSLRequest" }, encodeSslRequest(head));
  await connection.gate.upgrade(tls, context.signal);
  // The flags are those of the SSLRequest, and the server reads what follows by them.
  connection.leaveWith = encodeHandshakeResponse41({ ...head, user: LEAVING_USER });
  return true;
}

interface FirstAuthResponse {
  readonly authPluginName: string;
  readonly authResponse: Uint8Array;
  readonly isToken: boolean;
}

const NO_BYTES = new Uint8Array(0);
const NO_AUTH_RESPONSE: FirstAuthResponse = { authPluginName: "", authResponse: NO_BYTES, isToken: false };

/** Clients that know no plugins speak the one that was there before them. */
function pluginOf({ authPluginName }: HandshakeResponse41): string {
  return authPluginName === "" ? "mysql_native_password" : authPluginName;
}

/**
 * A server takes an empty answer of the account's own plugin for an empty password; to one of a plugin that no server has
 * it asks for the account's own.
 */
export const NOTHING_YET: FirstAuthResponse = { ...NO_AUTH_RESPONSE, authPluginName: "querycop_unanswered" };

function firstOwnAnswer(password: HeldPassword, { authPluginName, authPluginData }: HandshakeV10): FirstAuthResponse {
  const authResponse = firstScramble(password, authPluginName, authPluginData);
  return authResponse === undefined ? NOTHING_YET : { authPluginName, authResponse, isToken: false };
}

/** What goes into the HandshakeResponse41 itself; anything that is no safe first answer is left for the exchange. */
export async function firstAuthResponse(
  context: Pick<LoginContext, "client" | "clientAnswers">,
  response: HandshakeResponse41,
  authentication: AuthenticationContext,
  greeting: HandshakeV10,
): Promise<FirstAuthResponse> {
  const { authResponse } = response;
  const authPluginName = pluginOf(response);
  const isSecure = authentication.backendIsSecure;
  if (authentication.password !== undefined) return firstOwnAnswer(authentication.password, greeting);
  if (context.clientAnswers === "never") {
    const { tokens } = authentication;
    if (tokens === undefined || !isSecure) return { ...NO_AUTH_RESPONSE, authPluginName: greeting.authPluginName };
    // Naming the plugin and giving the token at once spares the backend's AuthSwitchRequest.
    const token = await tokens.mint();
    return { authPluginName: "mysql_clear_password", authResponse: withNul(token), isToken: true };
  }
  if (context.clientAnswers === "when asked" && authPluginName !== "mysql_clear_password") return NOTHING_YET;
  switch (authPluginName) {
    case "mysql_native_password":
    case "caching_sha2_password":
      return { authPluginName, authResponse, isToken: false };
    case "sha256_password": {
      // The backend's key can be asked for when it has asked for the password.
      const { backendIsLocal, pinnedKey } = authentication;
      if (context.client.isSecure && !isSecure && backendIsLocal && pinnedKey === undefined) return NOTHING_YET;
      const translated = await translatePasswordReply(
        authentication,
        authPluginName,
        authResponse,
        greeting.authPluginData,
      );
      return { authPluginName, authResponse: translated, isToken: false };
    }
    case "mysql_clear_password":
      // With a token source the client's password is nobody's business; without one it crosses safe legs only.
      if (authentication.tokens === undefined && isSecure && context.client.isSecure) {
        return { authPluginName, authResponse, isToken: false };
      }
      if (authentication.tokens !== undefined) return { ...NO_AUTH_RESPONSE, authPluginName: greeting.authPluginName };
      // SAFETY: the password stays here.
      return NOTHING_YET;
    default:
      return { ...NO_AUTH_RESPONSE, authPluginName };
  }
}

function responseFor(
  context: LoginContext,
  login: ClientLogin,
  greeting: HandshakeV10,
  isTls: boolean,
  first: FirstAuthResponse,
): HandshakeResponse41 {
  const { response } = login;
  const backendFlags = greeting.capabilities.flags;
  // These two shape the response packet only, so the backend leg uses them whatever the client can do.
  const own = backendFlags & (CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA | CLIENT_CONNECT_ATTRS);
  const flags = (login.capabilities.flags | own | (isTls ? CLIENT_SSL : 0)) >>> 0;
  const capabilities: Capabilities = { flags, mariadb: login.capabilities.mariadb };
  const attributes = (backendFlags & CLIENT_CONNECT_ATTRS) !== 0 ? connectAttributes(context, response) : undefined;
  return canonicalHandshakeResponse({
    capabilities,
    maxPacketSize: response.maxPacketSize,
    characterSet: response.characterSet,
    ...namesOf(response),
    authResponse: first.authResponse,
    authPluginName: first.authPluginName,
    ...(attributes === undefined ? {} : { connectAttributes: attributes }),
  });
}

type LoginNames = Pick<HandshakeResponse41, "user" | "userBytes" | "schema" | "schemaBytes">;

/** The names of a login, to be sent on as they came. */
export function namesOf({ user, userBytes, schema, schemaBytes }: LoginNames): LoginNames {
  return {
    user,
    ...(userBytes === undefined ? {} : { userBytes }),
    ...(schema === undefined ? {} : { schema }),
    ...(schemaBytes === undefined ? {} : { schemaBytes }),
  };
}

/** The client's own attributes, and who it is: performance_schema then shows the person behind the proxy's address. */
export function connectAttributes(
  context: Pick<LoginContext, "sessionLabel" | "clientAddress">,
  response: HandshakeResponse41,
): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const [key, value] of response.connectAttributes ?? []) {
    if (!key.startsWith("_querycop")) attributes.set(key, value);
  }
  attributes.set("_querycop_session", context.sessionLabel);
  attributes.set("_querycop_client", context.clientAddress);
  return attributes;
}
