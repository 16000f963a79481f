/** Real MySQL clients, each in a process of its own, behind one way of calling them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunResult, run } from "./child.ts";
import type { DebianRoot } from "./debian-root.ts";
import { installServerRoot, type RootName } from "./install.ts";

/** `mysql` is Oracle's program of 9.7, `mariadb` and `mariadb11` MariaDB's of 10.11 and 11.x. */
export type CliName = "mysql" | "mariadb" | "mariadb11";
export type DriverName = "pymysql" | "mysql2" | "mariadb-connector";
export type ClientName = CliName | DriverName;

export const CLIENT_NAMES: readonly ClientName[] = [
  "mysql",
  "mariadb",
  "mariadb11",
  "pymysql",
  "mysql2",
  "mariadb-connector",
];

export interface ClientTls {
  /** `default` says nothing of TLS to the client, as somebody new does. */
  readonly mode: "default" | "required" | "verify-ca" | "verify-full";
  readonly caFile?: string;
  /** The client's own certificate. */
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface ClientTarget {
  readonly host: string;
  readonly port: number;
  /** Instead of host and port. Only the command line programs use it. */
  readonly socketPath?: string;
  readonly user: string;
  readonly password?: string;
  readonly database?: string;
  /** Absent: a plaintext connection. */
  readonly tls?: ClientTls | undefined;
  /** Lets the client answer mysql_clear_password, which Oracle's programs otherwise refuse. */
  readonly cleartext?: boolean;
}

export interface ClientOptions {
  /** Use server-side prepared statements; npm drivers only. */
  readonly prepared?: boolean;
  readonly timeoutMs?: number;
  /** Ask for a compressed connection; npm drivers only. */
  readonly compress?: boolean;
  /** Further arguments of a command line program. */
  readonly args?: readonly string[];
}

const CLIENT_TIMEOUT_MS = 60_000;

function mysqlTlsArguments(tls: ClientTls | undefined): string[] {
  if (tls === undefined) return ["--ssl-mode=DISABLED"];
  if (tls.mode === "default") return [];
  const modes = { required: "REQUIRED", "verify-ca": "VERIFY_CA", "verify-full": "VERIFY_IDENTITY" };
  return [`--ssl-mode=${modes[tls.mode]}`, ...tlsFileArguments(tls)];
}

function mariadbTlsArguments(tls: ClientTls | undefined): string[] {
  if (tls === undefined) return ["--skip-ssl"];
  if (tls.mode === "default") return [];
  const verify = tls.mode === "required" ? "--disable-ssl-verify-server-cert" : "--ssl-verify-server-cert";
  return ["--ssl", verify, ...tlsFileArguments(tls)];
}

function tlsFileArguments(tls: ClientTls): string[] {
  return [
    ...(tls.caFile === undefined ? [] : [`--ssl-ca=${tls.caFile}`]),
    ...(tls.certFile === undefined ? [] : [`--ssl-cert=${tls.certFile}`]),
    ...(tls.keyFile === undefined ? [] : [`--ssl-key=${tls.keyFile}`]),
  ];
}

function cliArguments(name: CliName, root: DebianRoot, target: ClientTarget): string[] {
  const newerShare = root.path("usr/share/mariadb");
  const share = existsSync(newerShare) ? newerShare : root.path("usr/share/mysql");
  const address =
    target.socketPath === undefined
      ? ["--protocol=tcp", `--host=${target.host}`, `--port=${target.port}`]
      : [`--socket=${target.socketPath}`];
  return [
    "--no-defaults",
    ...address,
    `--user=${target.user}`,
    `--character-sets-dir=${join(share, "charsets")}`,
    "--default-character-set=utf8mb4",
    ...(name === "mysql" ? mysqlTlsArguments(target.tls) : mariadbTlsArguments(target.tls)),
    ...(name === "mysql" && target.cleartext === true ? ["--enable-cleartext-plugin"] : []),
    // Oracle's client asks for the RSA key that a caching_sha2_password login in plaintext wants; MariaDB's always does.
    ...(name === "mysql" && target.tls === undefined ? ["--get-server-public-key"] : []),
  ];
}

function cliEnvironment(root: DebianRoot, target: ClientTarget): Record<string, string | undefined> {
  const mariadbPlugins = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
    .map((triplet) => root.path(`usr/lib/${triplet}/libmariadb3/plugin`))
    .find((folder) => existsSync(folder));
  return {
    MYSQL_PWD: target.password ?? "",
    LIBMYSQL_PLUGIN_DIR: root.path("usr/lib/mysql/plugin"),
    MARIADB_PLUGIN_DIR: mariadbPlugins,
    TZ: "UTC",
  };
}

async function runCliProgram(
  name: CliName,
  program: string,
  target: ClientTarget,
  args: readonly string[],
  input: string,
  timeoutMs: number,
): Promise<RunResult> {
  const root = await installServerRoot(name);
  const command = root.command(`usr/bin/${program}`, [...cliArguments(name, root, target), ...args]);
  return await run(command.command, command.args, { input, env: cliEnvironment(root, target), timeoutMs });
}

/** Runs SQL text with a command line client; output as tab-separated lines with a header, errors on stderr. */
async function runCli(name: CliName, target: ClientTarget, sql: string, options: ClientOptions): Promise<RunResult> {
  const args = ["--batch", "--max-allowed-packet=64M", ...(options.args ?? [])];
  if (target.database !== undefined) args.push(target.database);
  const program = name === "mysql" ? "mysql" : "mariadb";
  return await runCliProgram(name, program, target, args, sql, options.timeoutMs ?? CLIENT_TIMEOUT_MS);
}

/** Runs mysqldump (9.7) or mariadb-dump; `args` name databases and tables. */
export async function runDump(name: CliName, target: ClientTarget, args: readonly string[]): Promise<RunResult> {
  const program = name === "mysql" ? "mysqldump" : "mariadb-dump";
  return await runCliProgram(name, program, target, ["--skip-dump-date", ...args], "", CLIENT_TIMEOUT_MS);
}

async function runPymysql(target: ClientTarget, statements: readonly string[], timeoutMs: number): Promise<RunResult> {
  const { host, port, user, password = "", database, tls } = target;
  const request = { options: { host, port, user, password, database, tls }, statements };
  return await runPython("clients", "pymysql_client.py", request, timeoutMs);
}

/** A program of client-programs/ with the Python of a root, with a JSON value as its standard input. */
async function runPython(name: RootName, program: string, input: object, timeoutMs: number): Promise<RunResult> {
  const root = await installServerRoot(name);
  const script = fileURLToPath(new URL(`./client-programs/${program}`, import.meta.url));
  const { command, args } = root.command("usr/bin/python3", [script]);
  const env = {
    // The interpreter looks for its library beside the loader, which is its executable as far as the kernel knows.
    PYTHONHOME: root.path("usr"),
    PYTHONPATH: root.path("usr/lib/python3/dist-packages"),
    // Unpacked packages are not compiled; without a place for it Python would do so at each start.
    PYTHONDONTWRITEBYTECODE: undefined,
    PYTHONPYCACHEPREFIX: root.path("pycache"),
    TZ: "UTC",
  };
  return await run(command, args, { input: JSON.stringify(input), env, timeoutMs });
}

/** What a pool of SQLAlchemy made of each connection that it lost, as sqlalchemy_pool.py prints it. */
export async function runSqlAlchemy(input: object): Promise<unknown[]> {
  const { code, stdout, stderr } = await runPython("sqlalchemy", "sqlalchemy_pool.py", input, CLIENT_TIMEOUT_MS);
  if (code !== 0) throw new Error(`sqlalchemy_pool.py ended with ${code}: ${stderr}${stdout}`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}

function nodeTls(tls: ClientTls | undefined): Record<string, unknown> | undefined {
  if (tls === undefined || tls.mode === "default") return undefined;
  return {
    rejectUnauthorized: tls.mode !== "required",
    ...(tls.caFile === undefined ? {} : { caFile: tls.caFile }),
    ...(tls.certFile === undefined ? {} : { certFile: tls.certFile, keyFile: tls.keyFile }),
    verifyIdentity: tls.mode === "verify-full",
  };
}

async function runNpmDriver(
  driver: "mysql2" | "mariadb-connector",
  target: ClientTarget,
  statements: readonly string[],
  options: ClientOptions,
): Promise<RunResult> {
  const script = fileURLToPath(new URL("./client-programs/npm-client.mjs", import.meta.url));
  const { host, port, user, password = "", database, cleartext } = target;
  const request = {
    driver,
    options: { host, port, user, password, database, cleartext, ssl: nodeTls(target.tls), compress: options.compress },
    statements,
    prepared: options.prepared === true,
  };
  const timeoutMs = options.timeoutMs ?? CLIENT_TIMEOUT_MS;
  return await run("node", [script], { input: JSON.stringify(request), env: { TZ: "UTC" }, timeoutMs });
}

/** Runs statements one after the other on one connection of the given client. */
export async function runClient(
  name: ClientName,
  target: ClientTarget,
  statements: readonly string[],
  options: ClientOptions = {},
): Promise<RunResult> {
  switch (name) {
    case "mysql":
    case "mariadb":
    case "mariadb11":
      return await runCli(name, target, `${statements.join(";\n")};\n`, options);
    case "pymysql":
      return await runPymysql(target, statements, options.timeoutMs ?? CLIENT_TIMEOUT_MS);
    case "mysql2":
    case "mariadb-connector":
      return await runNpmDriver(name, target, statements, options);
  }
}
