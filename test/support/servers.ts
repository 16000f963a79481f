/**
 * Throw-away MySQL and MariaDB servers for tests: own data directory, own port on 127.0.0.1, gone when the test is.
 * From the shell: `bun test/support/servers.ts mysql [--option …]` runs one until its input ends or it is interrupted.
 */
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Account, accountsOf, type ServerKind, setupSql } from "./accounts.ts";
import { runChecked, spawnSupervised } from "./child.ts";
import { type DebianRoot, SERVERS_CACHE } from "./debian-root.ts";
import {
  buildIamPlugin,
  IAM_PLUGIN_FILE,
  type IamAttempt,
  type IamSettings,
  readIamAttempts,
  writeIamSettings,
} from "./iam-plugin.ts";
import { installServerRoot } from "./install.ts";
import { withLock } from "./lock.ts";

/** PEM files a server presents itself with. */
export interface ServerCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** What client certificates must come from. */
  readonly clientCaFile: string;
}

export interface StartOptions {
  readonly kind: ServerKind;
  /** Without a certificate the server speaks plaintext only. */
  readonly certificate?: ServerCertificate | undefined;
  /** Added after the default options, so they win. LOWER_CASE_TABLES makes a server of its own kind of data directory. */
  readonly options?: readonly string[];
}

/** One line of the general query log: what the server was asked, before it judged it. */
export interface GeneralLogEntry {
  readonly threadId: number;
  /** Connect, Query, Prepare, Execute, Init DB, Quit … */
  readonly command: string;
  readonly argument: string;
}

export interface TestServer {
  readonly kind: ServerKind;
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly socketPath: string;
  readonly folder: string;
  readonly accounts: Readonly<Record<string, Account>>;
  /** Throws where the server has no account for the purpose. */
  account(purpose: string): Account;
  /** Runs statements as root over the unix socket; the rows of all results, NULL as the text `NULL`. */
  rootQuery(sql: string): Promise<string[][]>;
  generalLog(): GeneralLogEntry[];
  /** What the server wrote to its error log so far. */
  errorLog(): string;
  setIam(settings: IamSettings): void;
  iamAttempts(): IamAttempt[];
  /** Sends a signal to the server process: SIGSTOP and SIGCONT make it hang and come back. */
  signal(name: NodeJS.Signals): void;
  /** Kills the server where it stands and starts it again on what it had written. */
  crash(): Promise<void>;
  /** Kills the server and removes its files. */
  stop(): Promise<void>;
}

/** MySQL takes it only while it makes its data directory. */
export const LOWER_CASE_TABLES = "--lower-case-table-names=1";

const START_TIMEOUT_MS = 60_000;
const START_ATTEMPTS = 5;
const TEMPLATE_OLD_MS = 3_600_000;
const LOCK_TIMEOUT_MS = 5 * 60_000;
/** Ports from 32768 up are handed out by the kernel to outgoing connections. */
const PORT_MIN = 20_000;
const PORT_COUNT = 12_000;

/** Error messages, character sets and set-up scripts. */
function shareOf(root: DebianRoot): string {
  const newer = root.path("usr/share/mariadb");
  return existsSync(newer) ? newer : root.path("usr/share/mysql");
}

function programOptions(kind: ServerKind, root: DebianRoot, folder: string): string[] {
  const common = [
    "--no-defaults",
    `--basedir=${root.path("usr")}`,
    `--lc-messages-dir=${shareOf(root)}`,
    `--character-sets-dir=${join(shareOf(root), "charsets")}`,
    `--plugin-dir=${join(folder, "plugin")}`,
    `--datadir=${join(folder, "data")}`,
    "--innodb-buffer-pool-size=64M",
    "--skip-log-bin",
    ...(process.getuid?.() === 0 ? ["--user=root"] : []),
  ];
  if (kind === "mysql") return [...common, "--innodb-redo-log-capacity=16M", "--mysqlx=OFF"];
  return [...common, "--innodb-log-file-size=8M"];
}

function serverOptions(kind: ServerKind, folder: string, port: number, certificate?: ServerCertificate): string[] {
  const plugins = [`AWSAuthenticationPlugin=${IAM_PLUGIN_FILE}`];
  if (kind !== "mysql") plugins.push("auth_ed25519");
  if (kind === "mariadb11") plugins.push("auth_parsec");
  const tls =
    certificate === undefined
      ? [kind === "mysql" ? "--tls-version=" : "--skip-ssl"]
      : [
          `--ssl-cert=${certificate.certFile}`,
          `--ssl-key=${certificate.keyFile}`,
          `--ssl-ca=${certificate.clientCaFile}`,
        ];
  return [
    ...plugins.map((plugin) => `--plugin-load-add=${plugin}`),
    "--bind-address=127.0.0.1",
    `--port=${port}`,
    `--socket=${join(folder, "server.sock")}`,
    `--pid-file=${join(folder, "server.pid")}`,
    // Servers that start clear the temporary files of others from a folder that they share.
    `--tmpdir=${join(folder, "tmp")}`,
    `--secure-file-priv=`,
    "--skip-name-resolve",
    "--local-infile=1",
    "--max-allowed-packet=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--sync-binlog=0",
    "--general-log=1",
    `--general-log-file=${join(folder, "general.log")}`,
    ...(kind === "mysql" ? ["--log-raw=ON"] : []),
    ...tls,
  ];
}

const SERVER_PROGRAM: Readonly<Record<ServerKind, string>> = {
  mysql: "usr/sbin/mysqld",
  mariadb: "usr/sbin/mariadbd",
  mariadb11: "usr/sbin/mariadbd",
};

/** A plugin folder with the server's own plugins and ours. */
function linkPlugins(root: DebianRoot, iamPlugin: string, folder: string): void {
  const plugins = join(folder, "plugin");
  mkdirSync(plugins);
  const own = root.path("usr/lib/mysql/plugin");
  for (const name of readdirSync(own)) symlinkSync(join(own, name), join(plugins, name));
  symlinkSync(iamPlugin, join(plugins, IAM_PLUGIN_FILE));
}

async function initialise(kind: ServerKind, root: DebianRoot, folder: string, more: readonly string[]): Promise<void> {
  const options = [...programOptions(kind, root, folder), ...more];
  mkdirSync(join(folder, "data"), { recursive: true });
  if (kind === "mysql") {
    const { command, args } = root.command(SERVER_PROGRAM[kind], [...options, "--initialize-insecure"]);
    await runChecked(command, args);
    return;
  }
  // What mariadb-install-db does, without the shell script that expects an installed server.
  const prefix = existsSync(join(shareOf(root), "mariadb_system_tables.sql")) ? "mariadb" : "mysql";
  const scripts = [
    `${prefix}_system_tables`,
    `${prefix}_performance_tables`,
    `${prefix}_system_tables_data`,
    "fill_help_tables",
    "maria_add_gis_sp_bootstrap",
    `${prefix}_sys_schema`,
  ];
  const sql = scripts.map((script) => readFileSync(join(shareOf(root), `${script}.sql`), "utf8"));
  const { command, args } = root.command(SERVER_PROGRAM[kind], [
    ...options,
    "--bootstrap",
    "--enforce-storage-engine=",
  ]);
  const input = `create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n${sql.join("\n")}`;
  await runChecked(command, args, { input });
}

/** Client program of the server's own package, for queries as root over the unix socket. */
function rootClient(
  kind: ServerKind,
  root: DebianRoot,
  socketPath: string,
): { command: string; args: readonly string[] } {
  const program = kind === "mysql" ? "usr/bin/mysql" : "usr/bin/mariadb";
  const charsets = join(shareOf(root), "charsets");
  return root.command(program, [
    "--no-defaults",
    "--user=root",
    `--socket=${socketPath}`,
    `--character-sets-dir=${charsets}`,
    "--default-character-set=utf8mb4",
    "--batch",
    "--skip-column-names",
    ...(kind === "mysql" ? [] : ["--skip-ssl"]),
  ]);
}

const BATCH_ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", "0": "\0", "\\": "\\" };

function parseBatch(stdout: string): string[][] {
  const lines = stdout.split("\n").slice(0, -1);
  const decode = (cell: string): string =>
    cell.replace(/\\(.)/g, (_, letter: string) => BATCH_ESCAPES[letter] ?? letter);
  return lines.map((line) => line.split("\t").map(decode));
}

async function isPortFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

/** A port on 127.0.0.1 that nobody listens on now. */
export async function pickPort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * PORT_COUNT);
    if (await isPortFree(port)) return port;
  }
}

interface RunningServer {
  readonly child: ChildProcess;
  readonly closed: Promise<void>;
  errorLog(): string;
}

/** Starts the server program under the supervisor and waits until it says that it takes connections. */
async function launch(
  kind: ServerKind,
  root: DebianRoot,
  folder: string,
  options: readonly string[],
  isFolderKept = false,
): Promise<RunningServer> {
  mkdirSync(join(folder, "tmp"), { recursive: true });
  const { command, args } = root.command(SERVER_PROGRAM[kind], [...programOptions(kind, root, folder), ...options]);
  const child = spawnSupervised(command, args, {
    env: {
      QUERYCOP_TEST_IAM_CONFIG: join(folder, "iam.conf"),
      QUERYCOP_TEST_IAM_LOG: join(folder, "iam.log"),
      TZ: "UTC",
    },
    ...(isFolderKept ? {} : { removeFolder: folder }),
  });
  let log = "";
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`Starting ${kind}: ${why}\n${log.slice(-4000)}`));
    const timer = setTimeout(() => {
      child.stdin?.end();
      fail(`not ready after ${START_TIMEOUT_MS} ms`);
    }, START_TIMEOUT_MS);
    child.stderr?.setEncoding("utf8");
    child.stderr?.on("data", (text: string) => {
      log += text;
      // MySQL also logs this line for its X plugin's socket; that is switched off.
      if (!log.includes("ready for connections")) return;
      clearTimeout(timer);
      resolve();
    });
    child.once("close", () => {
      clearTimeout(timer);
      fail("it ended");
    });
  });
  return { child, closed, errorLog: () => log };
}

async function stopLaunched({ child, closed }: RunningServer): Promise<void> {
  child.stdin?.end();
  await closed;
}

async function makeTemplate(
  kind: ServerKind,
  root: DebianRoot,
  iamPlugin: string,
  folder: string,
  more: readonly string[],
): Promise<void> {
  linkPlugins(root, iamPlugin, folder);
  await initialise(kind, root, folder, more);
  const options = [...serverOptions(kind, folder, await pickPort()), ...more];
  const server = await launch(kind, root, folder, options, true);
  try {
    const { command, args } = rootClient(kind, root, join(folder, "server.sock"));
    // An orderly shutdown, so that every copy starts without recovery.
    await runChecked(command, args, { input: `${setupSql(kind)}SHUTDOWN//\n` });
    await server.closed;
  } finally {
    await stopLaunched(server);
  }
}

/** Those of other accounts or versions, unless somebody may be copying one right now. */
function removeOldTemplates(name: string): void {
  for (const old of readdirSync(SERVERS_CACHE).filter((entry) => entry.startsWith(`${name}-`))) {
    const folder = join(SERVERS_CACHE, old);
    if (Date.now() - statSync(folder).mtimeMs > TEMPLATE_OLD_MS) rmSync(folder, { recursive: true, force: true });
  }
}

/** Initialises a data directory with all accounts and data, once per machine, and returns its path. */
async function templateOf({ kind, options = [] }: StartOptions, root: DebianRoot, iamPlugin: string): Promise<string> {
  const more = options.filter((option) => option === LOWER_CASE_TABLES);
  const name = more.length === 0 ? `template-${kind}` : `template-lower-${kind}`;
  const sql = setupSql(kind);
  const recipe = readFileSync(root.path("recipe.json"), "utf8");
  const versions = readFileSync(root.path("versions"), "utf8");
  const key = createHash("sha256").update(`${sql}${recipe}${versions}`).digest("hex").slice(0, 16);
  const template = join(SERVERS_CACHE, `${name}-${key}`);
  if (existsSync(template)) return template;
  await withLock(`${template}.lock`, LOCK_TIMEOUT_MS, async () => {
    if (existsSync(template)) return;
    const folder = mkdtempSync(join(tmpdir(), "querycop-template-"));
    try {
      await makeTemplate(kind, root, iamPlugin, folder, more);
      const draft = `${template}.${process.pid}`;
      await runChecked("cp", ["-r", join(folder, "data"), draft]);
      renameSync(draft, template);
      removeOldTemplates(name);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  return template;
}

const ENTRY = /^(?:\S.*?)?\t+ *(\d+) ([A-Z][A-Za-z ]*)\t(.*)$/;

/** Entries of a general query log; lines that are no entry of their own continue the statement before. */
export function parseGeneralLog(text: string): GeneralLogEntry[] {
  const entries: { threadId: number; command: string; argument: string }[] = [];
  for (const line of text.split("\n")) {
    const match = ENTRY.exec(line);
    const last = entries.at(-1);
    if (match !== null) entries.push({ threadId: Number(match[1]), command: match[2] ?? "", argument: match[3] ?? "" });
    else if (last !== undefined) last.argument += `\n${line}`;
  }
  const newest = entries.at(-1);
  if (newest !== undefined) newest.argument = newest.argument.replace(/\n$/, "");
  return entries;
}

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

function testServer(
  start: StartOptions,
  root: DebianRoot,
  folder: string,
  port: number,
  started: RunningServer,
): TestServer {
  const { kind } = start;
  let running = started;
  const socketPath = join(folder, "server.sock");
  const accounts = accountsOf(kind);
  let stopped: Promise<void> | undefined;
  return {
    kind,
    host: "127.0.0.1",
    port,
    socketPath,
    folder,
    accounts,
    account(purpose) {
      const account = accounts[purpose];
      if (account === undefined) throw new Error(`${kind} has no account for ${purpose}`);
      return account;
    },
    async rootQuery(sql) {
      const { command, args } = rootClient(kind, root, socketPath);
      const { stdout } = await runChecked(command, args, { input: sql });
      return parseBatch(stdout);
    },
    generalLog: () => parseGeneralLog(readIfThere(join(folder, "general.log"))),
    errorLog: () => running.errorLog(),
    setIam: (settings) => writeIamSettings(join(folder, "iam.conf"), settings),
    iamAttempts: () => readIamAttempts(join(folder, "iam.log")),
    signal(name) {
      process.kill(Number(readFileSync(join(folder, "server.pid"), "utf8")), name);
    },
    async crash() {
      process.kill(Number(readFileSync(join(folder, "server.pid"), "utf8")), "SIGKILL");
      await running.closed;
      const options = [...serverOptions(kind, folder, port, start.certificate), ...(start.options ?? [])];
      running = await launch(kind, root, folder, options);
    },
    stop() {
      stopped ??= stopLaunched(running).then(() => rmSync(folder, { recursive: true, force: true }));
      return stopped;
    },
  };
}

/** Starts a server. The first start of a kind on a machine downloads and initialises it, which takes a while. */
export async function startServer(start: StartOptions): Promise<TestServer> {
  const root = await installServerRoot(start.kind);
  const iamPlugin = await buildIamPlugin();
  const template = await templateOf(start, root, iamPlugin);
  let lastError: unknown;
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    const folder = mkdtempSync(join(tmpdir(), "querycop-server-"));
    try {
      linkPlugins(root, iamPlugin, folder);
      await runChecked("cp", ["-r", "--reflink=auto", template, join(folder, "data")]);
      const port = await pickPort();
      const options = [...serverOptions(start.kind, folder, port, start.certificate), ...(start.options ?? [])];
      const running = await launch(start.kind, root, folder, options);
      return testServer(start, root, folder, port, running);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      // Somebody else may have taken the port between the look and the start.
      if (!String(error).includes("Address already in use")) throw error;
      lastError = error;
    }
  }
  throw lastError;
}

async function main(args: readonly string[]): Promise<void> {
  const [kind, ...options] = args;
  if (kind !== "mariadb" && kind !== "mysql" && kind !== "mariadb11") {
    throw new Error("Say which server: mariadb, mysql or mariadb11.");
  }
  const server = await startServer({ kind, options });
  const { command, args: clientArgs } = rootClient(kind, await installServerRoot(kind), server.socketPath);
  process.stdout.write(`port ${server.port}\nsocket ${server.socketPath}\nfolder ${server.folder}\n`);
  process.stdout.write(
    `root ${[command, ...clientArgs].join(" ")}\nadmin --user=admin --password=${server.account("admin").password}\n`,
  );
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.once("end", resolve));
  await server.stop();
}

if (import.meta.main) await main(process.argv.slice(2));
