/** A login with a token, made by the code of the proxy, and what the server says once it is through. */
import { QuerycopError } from "../base/errors.ts";
import {
  CLIENT_CONNECT_ATTRS,
  CLIENT_DEPRECATE_EOF,
  CLIENT_LONG_PASSWORD,
  CLIENT_PLUGIN_AUTH,
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
  CLIENT_PROTOCOL_41,
  CLIENT_SECURE_CONNECTION,
  CLIENT_TRANSACTIONS,
  ER_ACCESS_DENIED_ERROR,
} from "../mysql/constants.ts";
import { canonicalHandshakeResponse, type HandshakeV10 } from "../mysql/handshake.ts";
import { Leg } from "../net/leg.ts";
import type { Transport } from "../net/transport.ts";
import { BackendRefusal } from "../session/mysql/login/authentication.ts";
import { LOGIN_PACKET_BYTES_MAX, logInToBackend, openBackend } from "../session/mysql/login/backend-login.ts";
import { ClientPeer } from "../session/mysql/login/client-peer.ts";
import type { ClientLogin } from "../session/mysql/login/connection-phase.ts";
import { type Finding, fail, type ListenerCheck, type ListenerContext, ok, remedy, skip, warn } from "./check.ts";
import { messageOf } from "./messages.ts";
import { postgresLogin, postgresSettings } from "./postgres/login-checks.ts";
import { ServerQueries } from "./server-queries.ts";
import { remarksOnServer, type ServerSide } from "./server-remarks.ts";

const FLAGS =
  CLIENT_LONG_PASSWORD |
  CLIENT_PROTOCOL_41 |
  CLIENT_TRANSACTIONS |
  CLIENT_SECURE_CONNECTION |
  CLIENT_PLUGIN_AUTH |
  CLIENT_CONNECT_ATTRS |
  CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA |
  CLIENT_DEPRECATE_EOF;

const SLACK_MS = 2_500;

export const backendLogin: ListenerCheck = {
  id: "backend.login",
  scope: "listener",
  onPostgres: postgresLogin,
  title: "A login with a token goes through",
  about:
    "Logs in as the user of `--user` with a token of the configured source, through the proxy's own login code, and runs `SELECT 1`. Skipped without `--user`, and without a token source: then clients log in with their own passwords, which doctor does not ask for. To a PostgreSQL it goes in the database `postgres`.",
  needs: ["backend.tls", "token.command", "token.signer"],
  timeoutMs: ({ listener: { backend } }) =>
    2 * (backend.connectTimeoutMs + backend.tokenTimeoutMs + 3 * backend.loginTimeoutMs) + SLACK_MS,
  run: async (context, signal) => {
    const { listener } = context;
    const user = context.user ?? listener.account?.user ?? listener.account?.connection;
    if (listener.backend.tokenSource === "none") {
      return skip("no token source: clients log in with their own passwords, see backend.password");
    }
    if (user === undefined) return skip("name a user to log in as: querycop doctor --user NAME");
    try {
      const authPluginName = await logIn(context, user, signal);
      const answer = await context.probe.queries?.firstRow("SELECT 1");
      if (answer === undefined || "errorNumber" in answer || answer.row?.[0] !== "1") {
        return fail(`${user} logged in, but SELECT 1 was not answered with 1`);
      }
      return ok(`${user} logged in by ${authPluginName}, SELECT 1 answered`);
    } catch (error) {
      return explainLoginFailure(error, user);
    }
  },
};

async function logIn(context: ListenerContext, user: string, signal: AbortSignal): Promise<string> {
  const { services, probe } = context;
  const connection = await openBackend(services, signal);
  try {
    const result = await logInToBackend(
      {
        services,
        client: absentClient(),
        clientAnswers: "never",
        sessionLabel: "doctor",
        clientAddress: "doctor",
        signal,
      },
      loginOf(user, connection.greeting),
      connection,
    );
    const flags = capabilityFlags(result.backendGreeting);
    probe.queries = new ServerQueries(result.backend, flags, services.options.backend.loginTimeoutMs);
    return result.authPluginName;
  } catch (error) {
    connection.gate.destroy();
    throw error;
  }
}

function capabilityFlags({ capabilities }: HandshakeV10): number {
  return (capabilities.flags & FLAGS) >>> 0;
}

function loginOf(user: string, greeting: HandshakeV10): ClientLogin {
  const capabilities = { flags: capabilityFlags(greeting), mariadb: 0 };
  const response = canonicalHandshakeResponse({
    capabilities,
    maxPacketSize: LOGIN_PACKET_BYTES_MAX,
    characterSet: greeting.characterSet,
    user,
    authResponse: new Uint8Array(0),
    authPluginName: "mysql_clear_password",
    connectAttributes: new Map([["program_name", "querycop doctor"]]),
  });
  return { response, capabilities, greeting };
}

/** Where a session has its client: nobody who could be asked. The login of a token asks nobody. */
function absentClient(): ClientPeer {
  const silence: Transport = {
    remoteAddress: undefined,
    needsDrain: false,
    unsentBytes: 0,
    attach: () => undefined,
    write: () => true,
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
    startTls: () => Promise.reject(new Error("doctor has no client")),
  };
  return new ClientPeer(new Leg("client", silence, LOGIN_PACKET_BYTES_MAX), true, 1);
}

const CREATE = (user: string): string => `CREATE USER '${user}'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'`;

function explainLoginFailure(error: unknown, user: string): Finding {
  const name = /^[A-Za-z0-9_.@+-]+$/.test(user) ? user : "USER";
  if (error instanceof QuerycopError && error.code === "QC_AUTH_PLUGIN_REFUSED") {
    return fail(
      error.message,
      remedy(
        "backend.login",
        "Make the account one for tokens.",
        `mysql -e "ALTER USER '${name}'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"`,
      ),
    );
  }
  if (error instanceof BackendRefusal && error.errPacket.errorNumber === ER_ACCESS_DENIED_ERROR) {
    return fail(
      error.message,
      remedy(
        "backend.login",
        "Any of: the account is missing or not for tokens, IAM authentication is off on the server, the role lacks the permission of token.policy, or its clock or region is wrong.",
        `mysql -e "${CREATE(name)}"`,
        "aws sts get-caller-identity",
      ),
    );
  }
  return fail(
    messageOf(error),
    remedy("backend.login", "See docs/errors.md for the error, and the server's error log."),
  );
}

export const serverSettings: ListenerCheck = {
  id: "server.settings",
  scope: "listener",
  onPostgres: postgresSettings,
  title: "The server's settings fit",
  about:
    "After the login: `sql_mode` (NO_BACKSLASH_ESCAPES, ANSI_QUOTES and PIPES_AS_CONCAT change how statements are read; querycop follows them), `init_connect` (runs before each session, past the policy), `local_infile`, free connections of the server against `max_connections` of querycop, `read_only` against `backend.role`, the authentication plugin of the account, and the server's clock against this one (warns from a minute on). Of a PostgreSQL instead: its version, `standard_conforming_strings`, `client_encoding`, `password_encryption`, whether the account has the role `rds_iam`; connections, read-only and clock as above.",
  needs: ["backend.login"],
  timeoutMs: ({ listener }) => 6 * listener.backend.loginTimeoutMs,
  run: async (context) => {
    const { queries } = context.probe;
    if (queries === undefined) return skip("needs a login: querycop doctor --user NAME");
    const answer = await queries.firstRow(
      "SELECT @@sql_mode, @@init_connect, @@local_infile, @@max_connections, @@read_only, @@innodb_read_only, @@version, UNIX_TIMESTAMP()",
    );
    if ("errorNumber" in answer) return fail(`error ${answer.errorNumber}: ${answer.message}`);
    const [
      sqlMode = "",
      initConnect = "",
      localInfile = "",
      connections = "",
      readOnly = "",
      innodbReadOnly = "",
      version = "",
      clock = "",
    ] = answer.row ?? [];
    const used = await numberOf(queries, "SHOW GLOBAL STATUS LIKE 'Threads_connected'");
    const plugin = await accountPlugin(queries);
    // Aurora's readers have the second one, and MariaDB writes words.
    const isReadOnly = [readOnly, innodbReadOnly].some((value) => value !== "0" && value !== "OFF");
    const clockS = /^\d{9,11}/.test(clock) ? Number.parseFloat(clock) : undefined;
    const facts = {
      sqlMode,
      initConnect,
      localInfile,
      isReadOnly,
      connections: Number(connections),
      used,
      plugin,
      clockS,
    };
    const detail = `${version}, sql_mode ${sqlMode || "empty"}, local_infile ${localInfile}, ${used ?? "?"} of ${connections} connections used, ${isReadOnly ? "read-only" : "takes writes"}, plugin ${plugin ?? "unknown"}`;
    const remarks = remarksOn(facts, context);
    if (remarks.length === 0) return ok(detail);
    return warn(
      [detail, ...remarks].join("\n"),
      remedy("server.settings", "Decide whether each line above is meant; the settings are the server's."),
    );
  },
};

interface ServerFacts extends ServerSide {
  readonly sqlMode: string;
  readonly initConnect: string;
  readonly localInfile: string;
  readonly plugin: string | undefined;
}

/** Modes that change where a string or a comment ends. */
const READING_MODES = ["NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "PIPES_AS_CONCAT", "IGNORE_SPACE"];
/** The authentication of RDS, and of servers that stand in for it in tests. */
const TOKEN_PLUGINS = new Set(["AWSAuthenticationPlugin", "aws_authentication_plugin", "mysql_clear_password"]);

function remarksOn(facts: ServerFacts, context: ListenerContext): string[] {
  const remarks: string[] = [];
  const modes = facts.sqlMode.split(",").filter((mode) => READING_MODES.includes(mode));
  if (modes.length > 0)
    remarks.push(`sql_mode ${modes.join(",")} changes how statements are read; querycop follows it`);
  if (facts.initConnect !== "") remarks.push("init_connect is set: it runs before each session, past the policy");
  if (facts.localInfile === "1" && context.listener.localInfile) {
    remarks.push(
      "local_infile is on here and on the server: LOAD DATA LOCAL sends files of clients, by the names its text gives",
    );
  }
  remarks.push(...remarksOnServer(facts, context));
  if (facts.plugin !== undefined && !TOKEN_PLUGINS.has(facts.plugin)) {
    remarks.push(`the account's plugin is ${facts.plugin}, which is not for tokens`);
  }
  return remarks;
}

async function numberOf(queries: ServerQueries, sql: string): Promise<number | undefined> {
  const answer = await queries.firstRow(sql);
  const value = "row" in answer ? Number(answer.row?.[1]) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

/** Of the account logged in, which may look at itself. The statement holds password hashes: only the name is taken. */
async function accountPlugin(queries: ServerQueries): Promise<string | undefined> {
  const answer = await queries.firstRow("SHOW CREATE USER CURRENT_USER()");
  const statement = "row" in answer ? (answer.row?.[0] ?? "") : "";
  return /IDENTIFIED (?:WITH|VIA) ['"]?([A-Za-z0-9_]{1,64})/.exec(statement)?.[1];
}
