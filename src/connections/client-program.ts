/** How a program learns of the private listener: by a defaults file where it reads one, and by its environment. */
import { closeSync, constants, openSync, unlinkSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import type { BackendEngine } from "../config/schema.ts";
import { postgresUrl, postgresVariables } from "./postgres-program.ts";

export interface PrivateTarget {
  readonly engine: BackendEngine;
  readonly host: string;
  readonly port: number;
  /** Undefined where it listens on TCP. */
  readonly socketPath: string | undefined;
  readonly user: string;
  readonly password: string;
  readonly database: string | undefined;
}

/** Programs of MySQL and MariaDB that take `--defaults-file` as their first argument. */
const TOOLS = ["admin", "check", "import", "show", "slap"];
const KNOWN: ReadonlySet<string> = new Set([
  "mysql",
  "mariadb",
  "mysqldump",
  "mariadb-dump",
  ...TOOLS.flatMap((tool) => [`mysql${tool}`, `mariadb-${tool}`]),
]);

/** Who says these has defaults of their own. */
const OWN_DEFAULTS = /^--(?:defaults-file|defaults-extra-file|login-path)(?:=|$)|^--no-(?:defaults|login-paths)$/;

/** Whether the program is told by a defaults file, and not already by its arguments. */
export function takesDefaultsFile(
  engine: BackendEngine,
  program: string,
  args: readonly string[],
): "yes" | "no" | "own" {
  if (engine !== "mysql" || !KNOWN.has(basename(program))) return "no";
  return args.some((argument) => OWN_DEFAULTS.test(argument)) ? "own" : "yes";
}

/** Quoted as option files want it. */
function quoted(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

export function defaultsFileText({ host, port, socketPath, user, password, database }: PrivateTarget): string {
  const place =
    socketPath === undefined
      ? [`host=${quoted(host)}`, `port=${port}`, "protocol=tcp"]
      : [`socket=${quoted(socketPath)}`, "protocol=socket"];
  return [
    "[client]",
    `user=${quoted(user)}`,
    `password=${quoted(password)}`,
    ...place,
    // MariaDB's clients of 11.4 and later want TLS even on a private socket; MySQL's do not read the group.
    "[client-mariadb]",
    "disable-ssl-verify-server-cert",
    // In [client] it would be an unknown option to those that take no database.
    ...(database === undefined ? [] : ["[mysql]", `database=${quoted(database)}`]),
    "",
  ].join("\n");
}

/** The descriptor of a file without a name that only this user could have opened, and nobody can find any more. */
export function unlinkedFile(folder: string, text: string): number {
  const path = join(folder, "defaults");
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, 0o600);
  try {
    unlinkSync(path);
    writeSync(fd, text);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

/** querycop's own, and its line to the service manager. */
const OWN_NAMES = new Set(["ADMIN_API_KEY", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"]);
const OWN_PREFIXES = ["GATEKEEPER_", "LISTEN_FD", "LISTEN_PID", "QUERYCOP_", "MYSQL_"];
/** What of PostgreSQL's variables is about the session, not about where it is and who logs in (manual, page libpq-envars). */
const SESSION_VARIABLES = new Set(["PGOPTIONS", "PGAPPNAME", "PGDATESTYLE", "PGTZ", "PGGEQO", "PGCLIENTENCODING"]);
const LIBPQ_VARIABLE = /^PG[A-Z]+$/;
/** What is left of an environment with --pristine. */
const PRISTINE = new Set(["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TZ", "TMPDIR", "PWD"]);

export interface EnvironmentOptions {
  readonly isPristine: boolean;
  /** Variables in words of `{url}`, `{host}`, `{port}`, `{socket}`, `{user}`, `{password}` and `{database}`. */
  readonly templates: ReadonlyMap<string, string>;
  /** The connection's name. */
  readonly connection: string;
}

export function programEnvironment(
  parent: Readonly<Record<string, string | undefined>>,
  target: PrivateTarget,
  { isPristine, templates, connection }: EnvironmentOptions,
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(parent)) {
    const isOwn =
      OWN_NAMES.has(name) ||
      OWN_PREFIXES.some((prefix) => name.startsWith(prefix)) ||
      (LIBPQ_VARIABLE.test(name) && !SESSION_VARIABLES.has(name));
    const isKept = !isPristine || PRISTINE.has(name) || name.startsWith("LC_");
    if (value !== undefined && !isOwn && isKept) env[name] = value;
  }
  const { host, port, socketPath, user, password, database } = target;
  const own: Readonly<Record<string, string | undefined>> = {
    QUERYCOP_CONNECTION: connection,
    QUERYCOP_HOST: host,
    QUERYCOP_PORT: socketPath === undefined ? String(port) : undefined,
    QUERYCOP_SOCKET: socketPath,
    QUERYCOP_USER: user,
    QUERYCOP_PASSWORD: password,
    QUERYCOP_DATABASE: database,
    QUERYCOP_URL: urlOf(target),
    ...(target.engine === "mysql" ? mysqlVariables(target) : postgresVariables(target)),
  };
  for (const [name, value] of Object.entries(own)) if (value !== undefined) env[name] = value;
  for (const [name, template] of templates) env[name] = fillTemplate(template, target);
  return env;
}

function mysqlVariables({ host, port, socketPath, password }: PrivateTarget) {
  return {
    MYSQL_PWD: password,
    MYSQL_UNIX_PORT: socketPath,
    MYSQL_HOST: socketPath === undefined ? host : undefined,
    MYSQL_TCP_PORT: socketPath === undefined ? String(port) : undefined,
    // Where there is one it beats even --defaults-file.
    MYSQL_TEST_LOGIN_FILE: "/dev/null",
  };
}

const urlOf = (target: PrivateTarget): string => (target.engine === "mysql" ? mysqlUrl(target) : postgresUrl(target));

function mysqlUrl({ host, port, socketPath, user, password, database = "" }: PrivateTarget): string {
  const account = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const place = socketPath === undefined ? `${host}:${port}` : "localhost";
  const query = socketPath === undefined ? "" : `?socket=${encodeURIComponent(socketPath)}`;
  return `mysql://${account}@${place}/${encodeURIComponent(database)}${query}`;
}

/** Words in braces that are none of these are left as they are. */
function fillTemplate(template: string, target: PrivateTarget): string {
  const words: Readonly<Record<string, string>> = {
    url: urlOf(target),
    host: target.host,
    port: target.socketPath === undefined ? String(target.port) : "",
    socket: target.socketPath ?? "",
    user: target.user,
    password: target.password,
    database: target.database ?? "",
  };
  return template.replaceAll(/\{([a-z]{1,10})\}/g, (whole, word: string) => words[word] ?? whole);
}
