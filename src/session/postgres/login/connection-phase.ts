/**
 * From a fresh connection to two legs that speak the command phase.
 *
 *   password, certificate:  startup → prove the client → dial → log in with its key or a token → ready
 *   relay, trust:           startup → dial → log in with a token, or with what the client answers → ready
 *
 * The client's StartupMessage is never forwarded: it is decoded, judged, and what the backend gets is written anew.
 */

import { encodeUtf8 } from "../../../base/bytes.ts";
import { QuerycopError } from "../../../base/errors.ts";
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeNegotiateProtocolVersion,
  encodeReadyForQuery,
} from "../../../postgres/backend-message.ts";
import { ClientMessageError } from "../../../postgres/error-states.ts";
import { negotiateProtocol, type Setting, type StartupMessage, startupSettings } from "../../../postgres/startup.ts";
import { build, ident, literal } from "../../../sql/postgres/writing/safe-sql.ts";
import { type LoginTokens, logsInAlone, tokensFor } from "../../accounts/login-tokens.ts";
import { withHeldPassword } from "../../accounts/own-password-login.ts";
import { verifiesClients } from "../../listener-options.ts";
import type { SessionServices } from "../../session-services.ts";
import type { SessionSubject } from "../../statement/statement-judge.ts";
import { type BackendConnection, openBackend } from "../backend-connection.ts";
import type { ClientLeg } from "../client-leg.ts";
import type { PostgresJudge } from "../judging/judge.ts";
import { SessionFacts } from "../session-facts.ts";
import { askForWall, requireWallBuilt } from "../statements/read-only-wall.ts";
import { type Credentials, type LoggedIn, logInToBackend, PostgresRefusal } from "./backend-login.ts";
import { type ProvedClient, proveClient } from "./client-proof.ts";
import { RelayCredentials, SecretCredentials, TokenCredentials } from "./credentials.ts";

export interface ConnectionPhaseContext {
  readonly services: SessionServices;
  readonly client: ClientLeg;
  readonly judge: PostgresJudge;
  readonly subject: SessionSubject;
  readonly clientAddress: string;
  readonly signal: AbortSignal;
  /** Told when the backend has taken the login, before the client is. What it throws refuses the client. */
  readonly onLoggedIn: () => void;
}

/** Both legs stand before the client's ReadyForQuery. */
export interface EstablishedSession {
  readonly backend: BackendConnection;
  readonly loggedIn: LoggedIn;
  readonly method: Credentials["method"];
  readonly tokenUsed: boolean;
  /** Minor version of the protocol with the client. */
  readonly minor: number;
  readonly proved: ProvedClient | undefined;
  /** The server holds its transactions read only. */
  readonly isWalled: boolean;
}

/** How long a client may wait for a place where a backend is held for it while it answers. */
const PLACE_WAIT_MS = 30_000;

/** Runs the phase up to where the client is told. Throws what ended it; the caller tells the client. */
export async function runConnectionPhase(
  context: ConnectionPhaseContext,
  message: StartupMessage,
): Promise<EstablishedSession> {
  const { services, client, signal } = context;
  const settings = new Map<string, string>();
  const facts = new SessionFacts(message.user, message.database, settings, "I");
  await judgeSettings(context, message, facts, settings);
  const isWalled = await askForWall(context, facts, settings);
  const { minor, answer } = negotiateProtocol(message);
  if (answer !== undefined) client.send(encodeNegotiateProtocolVersion(answer));
  const isVerified = verifiesClients(services.options);
  const proved = isVerified ? await proveClient(client, services.options, message.user, signal) : undefined;
  const startup = { minor, user: message.user, database: message.database, settings };
  const established = await logIn(context, startup, proved).finally(() => proved?.scram?.clientKey.fill(0));
  try {
    if (isWalled) requireWallBuilt(established.loggedIn.parameters);
    proved?.requireStill();
    context.onLoggedIn();
  } catch (thrown) {
    established.backend.destroy();
    throw thrown;
  }
  return {
    ...established,
    minor,
    proved,
    isWalled,
    tokenUsed: services.passwords === undefined && services.tokens !== undefined,
  };
}

/** What the client is told once it is in: it may send statements from there on. */
export function greet(client: ClientLeg, established: EstablishedSession, key: LoggedIn["key"]): void {
  const { loggedIn, proved } = established;
  const parts = [
    ...(proved?.farewell === undefined ? [] : [proved.farewell]),
    encodeAuthentication({ kind: "ok" }),
    ...loggedIn.greeting,
    ...(key === undefined ? [] : [encodeBackendKeyData(key)]),
    encodeReadyForQuery(loggedIn.status),
  ];
  client.send(Buffer.concat(parts));
}

/** A backend is held for a client that is still to answer: so many of those at a time. */
async function withPlace<T>({ services, signal }: ConnectionPhaseContext, work: () => Promise<T>): Promise<T> {
  const { loginSlots } = services;
  if (!(await loginSlots.enter(signal, PLACE_WAIT_MS))) {
    if (signal.aborted) throw new QuerycopError("QC_CLIENT_CLOSED", "The client left before it was let in");
    const text = `no place for a login became free within ${PLACE_WAIT_MS} ms, see GATEKEEPER_LOGIN_CONNECTIONS_MAX`;
    throw new QuerycopError("QC_TOO_MANY_CONNECTIONS", `Refused a login: ${text}`, {
      clientMessage: `querycop: ${text}`,
    });
  }
  try {
    return await work();
  } finally {
    loginSlots.leave();
  }
}

type OwnStartup = Parameters<typeof logInToBackend>[1];

interface Established {
  readonly backend: BackendConnection;
  readonly loggedIn: LoggedIn;
  readonly method: Credentials["method"];
}

/** With a password that querycop holds, a token, the key of the client's proof, or what the client answers. */
function logIn(
  context: ConnectionPhaseContext,
  startup: OwnStartup,
  proved: ProvedClient | undefined,
): Promise<Established> {
  const { services, client, signal } = context;
  if (logsInAlone(services)) {
    client.isAwaitedAtNoCost = false;
    return logInAlone(context, startup);
  }
  if (proved?.scram !== undefined) {
    client.isAwaitedAtNoCost = false;
    const { isVerifying } = services.options.backend.tls;
    const credentials = new SecretCredentials({ user: startup.user, secret: proved.scram, isVerifying });
    return logInOnce(context, startup, credentials);
  }
  if (proved !== undefined) {
    throw new QuerycopError(
      "QC_TOKEN_FAILED",
      "A client proved by its certificate has no credentials for the backend",
      {
        clientMessage:
          "querycop: GATEKEEPER_CLIENT_AUTH=certificate needs a token source (GATEKEEPER_BACKEND_TOKEN_SOURCE)",
      },
    );
  }
  return withPlace(context, () => {
    client.isAwaitedAtNoCost = false;
    return logInOnce(context, startup, new RelayCredentials(client, signal));
  });
}

/** What a login takes where there is no client to ask. */
type OwnLoginContext = Pick<ConnectionPhaseContext, "services" | "signal">;

/** With a password that querycop holds, or a token: only where logsInAlone() says so. Throws as logInToBackend(). */
export function logInAlone(context: OwnLoginContext, startup: OwnStartup): Promise<Established> {
  const { services, signal } = context;
  const { passwords, options } = services;
  if (passwords !== undefined) {
    const { isVerifying } = options.backend.tls;
    const limits = { withinMs: options.backend.loginTimeoutMs, signal, isRefusal: isPasswordRefusal };
    return withHeldPassword(passwords, limits, ({ user, value: password }) =>
      logInOnce(context, { ...startup, user }, new SecretCredentials({ user, secret: { password }, isVerifying })),
    );
  }
  const tokens = tokensFor(services, startup.user, signal);
  if (tokens === undefined) throw new TypeError("Cannot log in without a client: there is neither token nor password");
  return logInWithToken(context, startup, tokens);
}

/** A token that was minted for an earlier login may have become worthless: the login is tried once more with a fresh one. */
async function logInWithToken(
  context: OwnLoginContext,
  startup: OwnStartup,
  tokens: LoginTokens,
): Promise<Established> {
  const { logger, options } = context.services;
  const credentials = new TokenCredentials(tokens, options.backend.tls.isVerifying);
  try {
    return await logInOnce(context, startup, credentials);
  } catch (thrown) {
    if (!tokens.canRetry || !isTokenRefusal(thrown)) throw thrown;
    tokens.forceFresh();
    logger.info("backend refused a reused token, trying a fresh one", { user: startup.user });
    return await logInOnce(context, startup, credentials);
  }
}

/** RDS says so with the text of its PAM module, Aurora DSQL with one of its own. */
function isTokenRefusal(thrown: unknown): boolean {
  if (isPasswordRefusal(thrown)) return true;
  if (!(thrown instanceof PostgresRefusal)) return false;
  const { code, message } = thrown.fields;
  return code === "28000" && /\b(?:PAM|IAM|LDAP)\b/.test(message);
}

function isPasswordRefusal(thrown: unknown): boolean {
  return thrown instanceof PostgresRefusal && thrown.fields.code === "28P01";
}

async function logInOnce(
  { services, signal }: OwnLoginContext,
  startup: OwnStartup,
  credentials: Credentials,
): Promise<Established> {
  const backend = await openBackend(services, signal);
  try {
    const loggedIn = await logInToBackend(backend, startup, credentials, signal);
    return { backend, loggedIn, method: credentials.method };
  } catch (thrown) {
    backend.destroy();
    throw thrown;
  }
}

/** They change how every text is read: what was judged would not be what runs. */
const LEXING_SETTINGS: ReadonlySet<string> = new Set([
  "standard_conforming_strings",
  "backslash_quote",
  "escape_string_warning",
  "transform_null_equals",
  "session_preload_libraries",
  "local_preload_libraries",
]);
/** In these a byte of a character may look like a quote or a backslash; servers know them for clients only. */
const UNREADABLE_ENCODINGS =
  /^(?:big5|gb18030|gbk|johab|sjis|shiftjis|mskanji|win932|windows932|win936|windows936|uhc|windows949|win949|win950|windows950|shiftjis2004|sjis2004)$/;

/** Keeps the settings that the session begins with, each judged as the SET that it stands for. */
async function judgeSettings(
  context: ConnectionPhaseContext,
  message: StartupMessage,
  facts: SessionFacts,
  kept: Map<string, string>,
): Promise<void> {
  for (const setting of startupSettings(message)) {
    requireReadable(setting);
    const { name, value } = setting;
    const judgement = await context.judge.judge({
      command: "StartupMessage",
      sql: encodeUtf8(
        build("SET {name} TO {value}", { name: ident(...name.split(".")), value: literal(value) }).toString(),
      ),
      facts,
      subject: context.subject,
      preparedTexts: () => [],
      signal: context.signal,
    });
    if (judgement.action === "block" || judgement.action === "require-approval") {
      throw new ClientMessageError(
        "QC_POLICY_BLOCKED",
        "42501",
        `${judgement.clientMessage ?? "Refused"} (the startup parameter ${name}) [decision ${judgement.decisionId}]`,
      );
    }
    // The server lets the later of two win.
    kept.delete(name);
    kept.set(name, value);
  }
}

function requireReadable({ name, value }: Setting): void {
  if (!/^[a-z_][a-z0-9_$]{0,62}(?:\.[a-z_][a-z0-9_$]{0,62})?$/.test(name)) {
    throw new ClientMessageError(
      "QC_CLIENT_PROTOCOL",
      "42601",
      "The startup message sets something that is no name of a setting",
    );
  }
  const isLexing = LEXING_SETTINGS.has(name) && !(name === "standard_conforming_strings" && value === "on");
  if (isLexing) {
    const text = `The startup parameter ${name} is not allowed: it changes how statements are read`;
    throw new ClientMessageError("QC_POLICY_BLOCKED", "42501", text);
  }
  if (name === "client_encoding" && UNREADABLE_ENCODINGS.test(value.toLowerCase().replaceAll(/[^a-z0-9]/g, ""))) {
    throw new ClientMessageError(
      "QC_CLIENT_CHARSET",
      "22023",
      "client_encoding is not allowed here: statements cannot be read in it for certain, use UTF8",
    );
  }
}
