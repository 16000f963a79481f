/**
 * From a fresh client connection to two legs that speak the command phase.
 *
 *   relay, trust:           AwaitBackendGreeting → greet client → AwaitClientAnswer (→ TLS → AwaitClientAnswer)
 *                             → log in to backend → AwaitBackendVerdict ⇄ AwaitClientAuthData / MintToken → Ready
 *     in a crowd:           greet client → AwaitClientAnswer (→ TLS → AwaitClientAnswer) → AwaitBackendGreeting
 *                             → log in to backend → AwaitBackendVerdict ⇄ AwaitClientAuthData / MintToken → Ready
 *   password, certificate:  greet client → AwaitClientAnswer (→ TLS) → verify client
 *                             → AwaitBackendGreeting → log in to backend with a token → Ready
 *
 * The client's HandshakeResponse41 is never forwarded: it is decoded, and what the backend gets is written anew.
 */
import { QuerycopError } from "../../../base/errors.ts";
import { createAuthPluginData } from "../../../mysql/auth-plugin-data.ts";
import { characterSetName, isClientCharacterSet } from "../../../mysql/character-set.ts";
import { type Capabilities, CLIENT_PLUGIN_AUTH, CLIENT_SSL } from "../../../mysql/constants.ts";
import type { OkPacket } from "../../../mysql/generic-response.ts";
import {
  decodeHandshakeResponse41,
  decodeSslRequest,
  encodeHandshakeV10,
  type HandshakeResponse41,
  type HandshakeV10,
  isSslRequest,
} from "../../../mysql/handshake.ts";
import { knownName } from "../../accounts/client-names.ts";
import { logsInAlone } from "../../accounts/login-tokens.ts";
import type { BackendGate } from "../../backend-gate.ts";
import { verifiesClients } from "../../listener-options.ts";
import { decodingFrom } from "../../malformed.ts";
import type { SessionServices } from "../../session-services.ts";
import { BackendRefusal } from "./authentication.ts";
import { asUser, type BackendConnection, type LoginContext, openBackend, takeLeave } from "./backend-login.ts";
import { agreedCapabilities, offeredCapabilities } from "./capabilities.ts";
import { okFor, type VerifiedClient, verifyClient } from "./client-authentication.ts";
import type { ClientPeer } from "./client-peer.ts";
import { logInToWriter, openWriter } from "./writer-login.ts";

export interface ConnectionPhaseContext {
  readonly services: SessionServices;
  readonly client: ClientPeer;
  /** Told as soon as a name is known, so that a refusal can be recorded with it. */
  readonly onIdentified: (login: ClientLogin) => void;
  /** Told when the backend has taken the login, before the client is. What it throws refuses the client. */
  readonly onLoggedIn: (login: ClientLogin) => void;
  readonly sessionLabel: string;
  readonly clientAddress: string;
  readonly signal: AbortSignal;
}

/** What the client said about itself. */
export interface ClientLogin {
  readonly response: HandshakeResponse41;
  readonly capabilities: Capabilities;
  /** The greeting the client answered: its authPluginData are what its scramble is made with. */
  readonly greeting: HandshakeV10;
}

/** Both legs stand behind their OK_Packet. */
export interface EstablishedSession {
  readonly backend: BackendGate;
  readonly login: ClientLogin;
  readonly backendGreeting: HandshakeV10;
  readonly ok: OkPacket;
  readonly authPluginName: string;
  readonly tokenUsed: boolean;
  readonly backendIsSecure: boolean;
  readonly backendUser: string | undefined;
  readonly backendFlags: number;
}

/** Runs the whole phase and sends the client its OK_Packet. Throws what ended it; the caller tells the client. */
export async function runConnectionPhase(context: ConnectionPhaseContext): Promise<EstablishedSession> {
  const isVerified = verifiesClients(context.services.options);
  const established = isVerified ? await greetThenDial(context) : await dialThenGreet(context);
  try {
    established.verified?.requireStill();
    context.onLoggedIn(established.login);
  } catch (thrown) {
    established.backend.destroy();
    throw thrown;
  }
  context.client.sendPayload(okFor(established, established.verified, established.login.capabilities.flags));
  return established;
}

interface Establishing extends EstablishedSession {
  readonly okPayload: Uint8Array;
  readonly verified?: VerifiedClient;
}

/** How long a client may wait to be greeted in the backend's own words. A storm of honest logins is through by then. */
const PLACE_PATIENCE_MS = 250;
/** How long a client may wait for a place where there is no other way to go on. */
const PLACE_WAIT_MS = 30_000;

/**
 * The client is greeted with the backend's own greeting, whose scramble it answers. So many backends are held at a time for
 * clients that have not logged in. In a crowd, and from addresses that are known to connect and say nothing, no backend is
 * dialled before the client has spoken.
 */
async function dialThenGreet(context: ConnectionPhaseContext): Promise<Establishing> {
  const { loginSlots, backendProfile, silentClients } = context.services;
  const isSuspect = backendProfile.kept !== undefined && silentClients.isSuspect(context.clientAddress);
  const patienceMs = backendProfile.kept === undefined ? PLACE_WAIT_MS : PLACE_PATIENCE_MS;
  if (!isSuspect && (await loginSlots.enter(context.signal, patienceMs))) {
    return await withSlot(context, () => dialAndGreet(context));
  }
  const kept = backendProfile.kept;
  if (kept === undefined || context.signal.aborted) throw noPlace(context);
  return await greetThenSwitch(context, kept);
}

/** For a slot of `loginSlots` that has been entered. */
async function withSlot<T>({ services }: ConnectionPhaseContext, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    services.loginSlots.leave();
  }
}

async function dialAndGreet(context: ConnectionPhaseContext): Promise<Establishing> {
  const backend = await openWriter(context.services, context.signal);
  context.services.backendProfile.remember(backend.greeting);
  let login: ClientLogin;
  try {
    login = await greetClient(context, greetingForClient(context, backend.greeting));
  } catch (thrown) {
    await letGo(context, backend);
    throw thrown;
  }
  return await finish(context, login, backend, "now");
}

/**
 * The client answers a scramble of ours, which proves nothing to the backend: the backend is told of a plugin that nobody
 * has, and asks the client for its account's own. Clients from before there were plugins cannot be asked again.
 */
async function greetThenSwitch(context: ConnectionPhaseContext, kept: HandshakeV10): Promise<Establishing> {
  context.client.isAwaitedAtNoCost = true;
  const login = await greetClient(context, ownGreeting(context, greetingForClient(context, kept)));
  context.client.isAwaitedAtNoCost = false;
  if ((login.capabilities.flags & CLIENT_PLUGIN_AUTH) === 0) {
    throw tooManyLogins("too many clients are silent in their login for one without CLIENT_PLUGIN_AUTH to be let in");
  }
  if (!(await context.services.loginSlots.enter(context.signal, PLACE_WAIT_MS))) throw noPlace(context);
  return await withSlot(context, async () => {
    const backend = await openBackendFor(context, login);
    const { authPluginData } = backend.greeting;
    return await finish(context, { ...login, greeting: { ...login.greeting, authPluginData } }, backend, "when asked");
  });
}

function leftUngreeted(): QuerycopError {
  return new QuerycopError("QC_CLIENT_CLOSED", "The client left before it was greeted");
}

function noPlace({ signal }: ConnectionPhaseContext): QuerycopError {
  if (signal.aborted) return leftUngreeted();
  return tooManyLogins(`no place for a login became free within ${PLACE_WAIT_MS} ms`);
}

function tooManyLogins(why: string): QuerycopError {
  const text = `${why}, see GATEKEEPER_LOGIN_CONNECTIONS_MAX`;
  return new QuerycopError("QC_TOO_MANY_CONNECTIONS", `Refused a login: ${text}`, {
    clientMessage: `querycop: ${text}`,
  });
}

/**
 * A server may name mysql_clear_password in its greeting. With a token source the client's password is nobody's business,
 * and clients without the cleartext plugin would give up (2059) before anybody could tell them so.
 */
function greetingForClient({ services }: ConnectionPhaseContext, greeting: HandshakeV10): HandshakeV10 {
  if (!logsInAlone(services) || greeting.authPluginName !== "mysql_clear_password") return greeting;
  return { ...greeting, authPluginName: "caching_sha2_password" };
}

/** No byte goes to the backend for a client that has not proved who it is. */
async function greetThenDial(context: ConnectionPhaseContext): Promise<Establishing> {
  const probe = context.services.backendProfile.current(() => openBackend(context.services, PROBE_SIGNAL));
  const profile = await unlessLeft(context, probe);
  const authPluginName = context.services.options.users?.commonPlugin ?? "caching_sha2_password";
  const greeting = { ...ownGreeting(context, profile), authPluginName };
  const login = await greetClient(context, greeting);
  const verified = await verifyClient(context, login);
  const backend = await openBackendFor(context, login);
  return { ...(await finish(context, login, backend, "never")), verified };
}

/** For a client that is greeted before its backend is dialled. */
function ownGreeting({ services }: ConnectionPhaseContext, profile: HandshakeV10): HandshakeV10 {
  return { ...profile, connectionId: services.nextOwnConnectionId(), authPluginData: createAuthPluginData() };
}

/** Opens the backend of a client that was greeted before: it must be able to do what was promised in its name. */
async function openBackendFor(
  context: ConnectionPhaseContext,
  login: ClientLogin,
  untilMs?: number,
): Promise<BackendConnection> {
  const backend = await openWriter(context.services, context.signal, untilMs);
  const stillOffered = offeredCapabilities(backend.greeting.capabilities, ownCapabilities(context));
  if ((login.capabilities.flags & ~stillOffered.flags) === 0) return backend;
  context.services.backendProfile.remember(backend.greeting);
  void takeLeave(backend);
  throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend changed its capabilities since the client was greeted", {
    clientMessage: "querycop: the backend was replaced, please reconnect",
  });
}

async function finish(
  context: ConnectionPhaseContext,
  login: ClientLogin,
  backend: BackendConnection,
  clientAnswers: LoginContext["clientAnswers"],
): Promise<Establishing> {
  const loginContext: LoginContext = {
    services: context.services,
    client: context.client,
    clientAnswers,
    sessionLabel: context.sessionLabel,
    clientAddress: context.clientAddress,
    signal: context.signal,
  };
  try {
    const openAgain = (untilMs: number) => openBackendFor(context, login, untilMs);
    return { ...(await logInToWriter(loginContext, login, backend, openAgain)), login };
  } catch (thrown) {
    if (thrown instanceof BackendRefusal) backend.gate.destroy();
    else await letGo(context, backend);
    throw thrown;
  }
}

/**
 * Takes leave of a backend whose login came to nothing. A client that is still there hears why at once; one that has
 * left waits for nothing, and its session's place is held until the backend's is free: a flood of clients that hang up
 * must not become one of connections.
 */
async function letGo(context: ConnectionPhaseContext, backend: BackendConnection): Promise<void> {
  const leaving = takeLeave(backend);
  if (context.signal.aborted) await leaving;
}

/** A probe is for all clients that wait for it: none of them ends it by leaving. */
const PROBE_SIGNAL = new AbortController().signal;

function unlessLeft<T>({ signal }: ConnectionPhaseContext, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(leftUngreeted());
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}

function ownCapabilities(context: ConnectionPhaseContext): { offersTls: boolean; allowsLocalInfile: boolean } {
  const { clientTls, clientTlsMode, allowsLocalInfile } = context.services.options;
  return { offersTls: clientTls !== undefined && clientTlsMode !== "off", allowsLocalInfile };
}

/** Sends the greeting, goes through TLS if the client asks for it, and reads its HandshakeResponse41. */
async function greetClient(context: ConnectionPhaseContext, from: HandshakeV10): Promise<ClientLogin> {
  const { client, services } = context;
  const offered = offeredCapabilities(from.capabilities, ownCapabilities(context));
  const greeting: HandshakeV10 = { ...from, capabilities: offered };
  client.leg.nextSequenceId = 0;
  client.sendPayload(encodeHandshakeV10(greeting));
  const answer = await services.silentClients.watch(context.clientAddress, greetingAnswer(context));
  const given = decodingFrom("client", () => decodeHandshakeResponse41(answer));
  const response = knownBy(services.options, given);
  requireTls(context, response);
  requireCharacterSet(response.characterSet);
  requireUnquoted(response.user);
  const login = { response, capabilities: agreedCapabilities(offered, response.capabilities), greeting };
  context.onIdentified(login);
  return login;
}

async function greetingAnswer(context: ConnectionPhaseContext): Promise<Uint8Array> {
  const { payload } = await context.client.expectLoginPacket("waiting for HandshakeResponse41");
  return isSslRequest(payload) ? await startClientTls(context, payload) : payload;
}

async function startClientTls(context: ConnectionPhaseContext, sslRequest: Uint8Array): Promise<Uint8Array> {
  const { client, services } = context;
  const tls = services.options.clientTls;
  if (tls === undefined || services.options.clientTlsMode === "off") {
    throw new QuerycopError("QC_CLIENT_PROTOCOL", "The client asked for TLS, which was not offered to it", {
      clientMessage: "querycop: TLS is not configured on this port, see GATEKEEPER_PROXY_TLS_CERT",
    });
  }
  const head = decodingFrom("client", () => decodeSslRequest(sslRequest));
  client.tls = await client.budget.spend((timeoutMs) => tls.upgrade(client.leg, timeoutMs));
  const packet = await client.expectLoginPacket("waiting for HandshakeResponse41 over TLS");
  // SAFETY: servers believe the flags of the SSLRequest and lay the response out by them. A client that says two
  // different things wants one of us to read the wrong fields.
  const { capabilities } = decodingFrom("client", () => decodeHandshakeResponse41(packet.payload));
  if (((capabilities.flags ^ head.capabilities.flags) & ~CLIENT_SSL) !== 0) {
    throw new QuerycopError("QC_CLIENT_PROTOCOL", "The capability flags of SSLRequest and HandshakeResponse41 differ");
  }
  return packet.payload;
}

function requireTls(context: ConnectionPhaseContext, response: HandshakeResponse41): void {
  const { clientTlsMode } = context.services.options;
  if (clientTlsMode !== "require" || context.client.isSecure) return;
  throw new QuerycopError("QC_CLIENT_TLS_REQUIRED", `Refused user "${response.user}" without TLS on the client leg`, {
    clientMessage: "querycop: connections must use TLS here (GATEKEEPER_PROXY_TLS_MODE=require)",
  });
}

/** The login under the name that policy and audit know the client by. Throws QC_USER_NOT_ALLOWED. */
export function knownBy<T extends { readonly user: string; readonly userBytes?: Uint8Array | undefined }>(
  options: Pick<SessionServices["options"], "clientNames">,
  login: T,
): T {
  if (options.clientNames === undefined) return login;
  return { ...asUser(login, knownName(options, login.user)) } as T;
}

/** SAFETY: statements in ucs2, utf16 or utf32 cannot be read; servers refuse these sets as well. */
export function requireCharacterSet(id: number): void {
  if (isClientCharacterSet(id)) return;
  const name = characterSetName(id) ?? `with the collation id ${id}`;
  throw new QuerycopError(
    "QC_CLIENT_CHARSET",
    `Refused client character set ${name}: statements cannot be read in it`,
    {
      clientMessage: `querycop: character set ${name} is not allowed for clients, use utf8mb4`,
    },
  );
}

/**
 * SAFETY: servers strip a pair of quotes around the name (sql_authentication.cc, parse_client_handshake_packet), so that
 * 'app' would log in as app, and be judged and recorded as somebody else.
 */
function requireUnquoted(user: string): void {
  if (!(user.length > 1 && user.startsWith("'") && user.endsWith("'"))) return;
  throw new QuerycopError("QC_AUTH_REFUSED", `Refused user "${user}": servers read a quoted name as another`, {
    clientMessage: "querycop: the user name must not be quoted",
  });
}
