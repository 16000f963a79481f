/** A login to a PostgreSQL, made by the code of its sessions, and what the server says once it is through. */
import { SCRAM_SHA_256_PLUS } from "../../postgres/scram.ts";
import { logsInAlone } from "../../session/accounts/login-tokens.ts";
import { openBackend } from "../../session/postgres/backend-connection.ts";
import { serverVersionOf } from "../../session/postgres/judging/policy-judge.ts";
import {
  type AuthenticationRequest,
  type BackendMethod,
  type Credentials,
  logInToBackend,
  PostgresRefusal,
} from "../../session/postgres/login/backend-login.ts";
import { logInAlone } from "../../session/postgres/login/connection-phase.ts";
import { type Finding, fail, type ListenerContext, ok, remedy, skip, warn } from "../check.ts";
import { messageOf } from "../messages.ts";
import { remarksOnServer } from "../server-remarks.ts";
import { explainLoginFailure, explainRefusal } from "./refusals.ts";
import { ServerQuestions } from "./server-questions.ts";

/** Every server has it, unless somebody took it away. */
const DATABASE = "postgres";
/** A name no account has. */
const STRANGER = "querycop_left_without_login";

const startupOf = (user: string) => ({
  minor: 0,
  user,
  database: DATABASE,
  settings: new Map([["application_name", "querycop doctor"]]),
});

/** Ends the login as soon as the server has said how it wants the password. */
class MethodAsked implements Credentials {
  readonly method: BackendMethod = "trust";
  request: AuthenticationRequest | undefined;

  answer(request: AuthenticationRequest): Promise<never> {
    this.request = request;
    return Promise.reject(new Error("The method is known"));
  }

  confirm(): void {}
}

/** Without a token source: how the server asks for passwords, which doctor does not have. */
export async function postgresPassword(context: ListenerContext, signal: AbortSignal): Promise<Finding> {
  if (logsInAlone(context.services)) return skip("querycop logs in by itself, see backend.login");
  const user = context.user ?? STRANGER;
  const asked = new MethodAsked();
  try {
    const connection = await openBackend(context.services, signal);
    try {
      await logInToBackend(connection, startupOf(user), asked, signal);
    } finally {
      connection.destroy();
    }
    return lettingIn(`${user} is let in without a password`);
  } catch (error) {
    if (asked.request !== undefined) return judgeMethod(asked.request, context);
    if (error instanceof PostgresRefusal) return judgeUnasked(error, user);
    return fail(messageOf(error), remedy("backend.password", "See docs/errors.md for the error."));
  }
}

function lettingIn(detail: string): Finding {
  return warn(
    detail,
    remedy(
      "backend.password",
      "Let pg_hba.conf ask for scram-sha-256 in place of trust, by which everybody is in who reaches querycop.",
      "psql -c 'SELECT type, database, user_name, address, auth_method FROM pg_catalog.pg_hba_file_rules'",
    ),
  );
}

/** The routine of the server that complains, which no language changes. */
const LOOKS_UP = "InitializeSessionUserId";

/** A server that looks up a name before it has asked for a password lets in whoever has an account: `trust`. */
function judgeUnasked(error: PostgresRefusal, user: string): Finding {
  const isLookedUp = error.fields.fields.get("R") === LOOKS_UP;
  if (user !== STRANGER || !isLookedUp) return explainRefusal("backend.password", error, user, "none");
  return lettingIn("a name no account has is refused without being asked for a password: those that exist are let in");
}

const METHOD_NAMES = { cleartext: "password (in clear)", md5: "md5" } as const;

function judgeMethod(request: AuthenticationRequest, { listener }: ListenerContext): Finding {
  const id = "backend.password";
  if (request.kind === "cleartext" || request.kind === "md5")
    return ok(`logins are asked for by ${METHOD_NAMES[request.kind]}`);
  if (request.kind !== "sasl") {
    const method = request.kind === "unsupported" ? `method ${request.code}` : request.kind;
    return fail(
      `logins are asked for by ${method}, which querycop does not speak`,
      remedy(id, "Let pg_hba.conf ask querycop's address for scram-sha-256."),
    );
  }
  const detail = `logins are asked for by ${request.mechanisms.join(", ")}`;
  // libpq binds wherever its own leg has TLS, and says so: no server takes that from somebody in between.
  const hasTls = listener.proxy.tlsMode !== "off" && listener.listen.socket === undefined;
  if (listener.clientAuth !== "relay" || !hasTls || !request.mechanisms.includes(SCRAM_SHA_256_PLUS)) return ok(detail);
  return warn(
    `${detail}: that cannot be passed on between two TLS connections, so psql and all of libpq are refused over TLS`,
    remedy(
      id,
      "Set client_auth to password, and users_file to the verifiers of the clients.",
      "querycop hash-password --help",
    ),
  );
}

export async function postgresLogin(context: ListenerContext, signal: AbortSignal): Promise<Finding> {
  const { listener, services, probe } = context;
  const user = context.user ?? listener.account?.user ?? listener.account?.connection;
  if (!logsInAlone(services)) {
    return skip("no token source: clients log in with their own passwords, see backend.password");
  }
  if (user === undefined) return skip("name a user to log in as: querycop doctor --user NAME");
  try {
    const { backend, loggedIn, method } = await logInAlone({ services, signal }, startupOf(user));
    probe.questions = new ServerQuestions(backend, loggedIn.parameters);
    const answer = await probe.questions.firstRow("SELECT 1", signal);
    if (!("row" in answer) || answer.row[0] !== "1") {
      return fail(`${user} logged in, but SELECT 1 was not answered with 1`);
    }
    return ok(`${user} logged in by ${method}, SELECT 1 answered`);
  } catch (error) {
    if (error instanceof PostgresRefusal)
      return explainRefusal("backend.login", error, user, listener.backend.tokenSource);
    return explainLoginFailure(error, user);
  }
}

/** The oldest version whose users are known to be served. */
const VERSION_MIN = 120_000;

const QUESTION = `SELECT pg_catalog.current_setting('max_connections'),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
  pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('transaction_read_only')::bool,
  pg_catalog.current_setting('password_encryption'),
  (SELECT pg_catalog.pg_has_role(oid, 'MEMBER') FROM pg_catalog.pg_roles WHERE rolname = 'rds_iam'),
  pg_catalog.date_part('epoch', pg_catalog.now())`;

export async function postgresSettings(context: ListenerContext, signal: AbortSignal): Promise<Finding> {
  const { questions } = context.probe;
  if (questions === undefined) return skip("needs a login: querycop doctor --user NAME");
  const answer = await questions.firstRow(QUESTION, signal);
  if ("refusal" in answer) return fail(`error ${answer.refusal.code}: ${answer.refusal.message}`);
  const [connections = "", used = "", readOnly = "", encryption = "", isForTokens, clock = ""] = answer.row;
  const server = {
    connections: Number(connections),
    used: Number(used),
    isReadOnly: readOnly === "t",
    clockS: Number.parseFloat(clock),
  };
  const of = (name: string): string => questions.parameters.get(name) ?? "unknown";
  const conforming = of("standard_conforming_strings");
  const encoding = of("client_encoding");
  const tokens = isForTokens === undefined ? "no role rds_iam" : `${isForTokens === "t" ? "" : "not "}granted rds_iam`;
  const detail = `PostgreSQL ${of("server_version")}, standard_conforming_strings ${conforming}, client_encoding ${encoding}, password_encryption ${encryption}, ${used} of ${connections} connections used, ${server.isReadOnly ? "read-only" : "takes writes"}, ${tokens}`;
  const remarks = [
    ...remarksOnTexts({ version: of("server_version"), conforming, encoding, encryption }),
    ...remarksOnServer(server, context),
  ];
  if (remarks.length === 0) return ok(detail);
  return warn(
    [detail, ...remarks].join("\n"),
    remedy("server.settings", "Decide whether each line above is meant; the settings are the server's."),
  );
}

interface Texts {
  readonly version: string;
  readonly conforming: string;
  readonly encoding: string;
  readonly encryption: string;
}

function remarksOnTexts({ version, conforming, encoding, encryption }: Texts): string[] {
  const remarks: string[] = [];
  if ((serverVersionOf(version) ?? 0) < VERSION_MIN)
    remarks.push("the server is older than PostgreSQL 12, or does not say so: it was not tried");
  if (conforming !== "on")
    remarks.push("standard_conforming_strings is not on: a backslash ends strings elsewhere than the standard says");
  if (encoding !== "UTF8")
    remarks.push("client_encoding is not UTF8: unless clients set it, texts beyond ASCII cannot be read for certain");
  if (encryption !== "scram-sha-256") {
    remarks.push(
      "password_encryption is not scram-sha-256: passwords set from now on are not for client_auth password",
    );
  }
  return remarks;
}
