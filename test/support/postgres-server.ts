/**
 * Throw-away PostgreSQL servers for tests, as servers.ts has them for MySQL: Debian's PostgreSQL 15, 17 or 18 with its own
 * data directory and port on 127.0.0.1. The server refuses to run as root, so root starts it as another user.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runChecked, spawnSupervised } from "./child.ts";
import { type DebianRoot, SERVERS_CACHE } from "./debian-root.ts";
import { installServerRoot, type RootName } from "./install.ts";
import { withLock } from "./lock.ts";
import { pickPort, type ServerCertificate } from "./servers.ts";

/** How the server asks each account for its password is in HBA. */
export const POSTGRES_ACCOUNTS = {
  trust: { user: "trust_user", password: "" },
  scram: { user: "scram_user", password: "secret of scram" },
  /** SASLprep takes the soft hyphen out and makes a blank of the no-break space. */
  prepared: { user: "prepared_user", password: "gr\u00f6\u00dfe\u00ad\u00a0\u2168" },
  md5: { user: "md5_user", password: "secret of md5" },
  cleartext: { user: "cleartext_user", password: "secret in clear" },
} as const;

export type PostgresAccount = (typeof POSTGRES_ACCOUNTS)[keyof typeof POSTGRES_ACCOUNTS];

const HBA = `
host all postgres       127.0.0.1/32 trust
host all trust_user     127.0.0.1/32 trust
host all cleartext_user 127.0.0.1/32 password
host all md5_user       127.0.0.1/32 md5
host all all            127.0.0.1/32 scram-sha-256
`;

const createRole = ({ user, password }: PostgresAccount): string => `CREATE ROLE ${user} LOGIN PASSWORD '${password}';`;

const SETUP = [
  createRole(POSTGRES_ACCOUNTS.trust),
  createRole(POSTGRES_ACCOUNTS.scram),
  createRole(POSTGRES_ACCOUNTS.prepared),
  createRole(POSTGRES_ACCOUNTS.cleartext),
  "SET password_encryption = 'md5';",
  createRole(POSTGRES_ACCOUNTS.md5),
  "GRANT ALL ON SCHEMA public TO PUBLIC;",
  "",
].join("\n\n");

export interface PostgresServer {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly version: PostgresVersion;
  /** What the server wrote to its log so far. */
  log(): string;
  stop(): Promise<void>;
}

export type PostgresVersion = 15 | 17 | 18;

const ROOTS: Readonly<Record<PostgresVersion, RootName>> = { 15: "postgresql", 17: "postgresql17", 18: "postgresql18" };

/** QUERYCOP_TEST_POSTGRES has every test that asks for no other one meet the version that it names. */
const USUAL_VERSION = ((): PostgresVersion => {
  const named = Number(process.env["QUERYCOP_TEST_POSTGRES"] ?? 15);
  if (named === 15 || named === 17 || named === 18) return named;
  throw new Error(`QUERYCOP_TEST_POSTGRES is ${named}: there are 15, 17 and 18.`);
})();

interface Installed {
  readonly root: DebianRoot;
  readonly version: PostgresVersion;
}

const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 20_000;
const LOCK_TIMEOUT_MS = 5 * 60_000;
/** `nobody`, where the tests run as root. */
const OTHER_USER = 65_534;

function asOther(command: string, args: readonly string[]): { readonly command: string; readonly args: string[] } {
  if (process.getuid?.() !== 0) return { command, args: [...args] };
  const user = [`--reuid=${OTHER_USER}`, `--regid=${OTHER_USER}`, "--clear-groups"];
  return { command: "setpriv", args: [...user, command, ...args] };
}

async function giveAway(folder: string): Promise<void> {
  if (process.getuid?.() === 0) await runChecked("chown", ["-R", `${OTHER_USER}:${OTHER_USER}`, folder]);
}

/**
 * A tree that looks like an installed PostgreSQL: its programs start each other by their paths and find their files
 * beside them, so each stands there as a script that runs it with its own loader. The path of `bin`.
 */
function linkTree({ root, version }: Installed, folder: string): string {
  const tree = join(folder, "tree");
  const home = `usr/lib/postgresql/${version}`;
  const programs = join(tree, home, "bin");
  mkdirSync(programs, { recursive: true });
  mkdirSync(join(tree, "usr/share"), { recursive: true });
  symlinkSync(root.path(join(home, "lib")), join(tree, home, "lib"));
  symlinkSync(root.path("usr/share/postgresql"), join(tree, "usr/share/postgresql"));
  for (const name of ["postgres", "initdb"]) {
    const { command, args } = root.command(join(home, "bin", name), []);
    const quoted = [command, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    const [loader = "", ...rest] = quoted;
    writeFileSync(join(programs, name), `#!/bin/sh\nexec ${loader} --argv0 "$0" ${rest.join(" ")} "$@"\n`);
    chmodSync(join(programs, name), 0o755);
  }
  return programs;
}

/** Compiled queries need another package. */
const CHEAP = ["jit=off", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB"];

async function makeTemplate(installed: Installed, template: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-postgres-template-"));
  try {
    const programs = linkTree(installed, folder);
    await giveAway(folder);
    const data = join(folder, "data");
    const options = ["-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--auth=trust"];
    const init = asOther(join(programs, "initdb"), options);
    await runChecked(init.command, init.args, { cwd: folder, env: { TZ: "UTC" } });
    const single = asOther(join(programs, "postgres"), ["--single", "-j", "-D", data, "-c", "fsync=off", "postgres"]);
    const { stderr } = await runChecked(single.command, single.args, { cwd: folder, input: SETUP });
    if (/ERROR|FATAL/.test(stderr)) throw new Error(`Setting PostgreSQL up: ${stderr.slice(-2000)}`);
    const draft = `${template}.${process.pid}`;
    cpSync(data, draft, { recursive: true });
    renameSync(draft, template);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A data directory with all accounts, made once per machine. */
async function templateOf(installed: Installed): Promise<string> {
  const { root } = installed;
  const parts = [SETUP, readFileSync(root.path("recipe.json"), "utf8"), readFileSync(root.path("versions"), "utf8")];
  const key = createHash("sha256").update(parts.join()).digest("hex").slice(0, 16);
  const template = join(SERVERS_CACHE, `template-postgresql-${key}`);
  if (existsSync(template)) return template;
  await withLock(`${template}.lock`, LOCK_TIMEOUT_MS, async () => {
    if (!existsSync(template)) await makeTemplate(installed, template);
  });
  return template;
}

/**
 * Starts a server, with TLS where there is a certificate. The first start on a machine downloads and initialises it. `hba`
 * stands in front of the lines of the accounts.
 */
export async function startPostgres(
  certificate?: Omit<ServerCertificate, "clientCaFile">,
  hba = "",
  version: PostgresVersion = USUAL_VERSION,
): Promise<PostgresServer> {
  const installed = { root: await installServerRoot(ROOTS[version]), version };
  const template = await templateOf(installed);
  const folder = mkdtempSync(join(tmpdir(), "querycop-postgres-"));
  const data = join(folder, "data");
  cpSync(template, data, { recursive: true });
  writeFileSync(join(data, "pg_hba.conf"), hba + HBA);
  chmodSync(data, 0o700);
  const settings = [...CHEAP, "listen_addresses=127.0.0.1", "unix_socket_directories=", "logging_collector=off"];
  if (certificate !== undefined) {
    copyFileSync(certificate.certFile, join(data, "own.crt"));
    copyFileSync(certificate.keyFile, join(data, "own.key"));
    chmodSync(join(data, "own.key"), 0o600);
    settings.push("ssl=on", "ssl_cert_file=own.crt", "ssl_key_file=own.key");
  }
  const port = await pickPort();
  settings.push(`port=${port}`);
  const programs = linkTree(installed, folder);
  await giveAway(folder);
  const start = asOther(join(programs, "postgres"), ["-D", data, ...settings.flatMap((setting) => ["-c", setting])]);
  const pidFile = join(folder, "pid");
  const child = spawnSupervised(start.command, start.args, { cwd: folder, pidFile, removeFolder: folder });
  let log = "";
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`Starting PostgreSQL: ${why}\n${log.slice(-4000)}`));
    const timer = setTimeout(() => {
      child.stdin?.end();
      fail(`not ready after ${START_TIMEOUT_MS} ms`);
    }, START_TIMEOUT_MS);
    child.stderr?.setEncoding("utf8");
    child.stderr?.on("data", (text: string) => {
      log += text;
      if (!log.includes("ready to accept connections")) return;
      clearTimeout(timer);
      resolve();
    });
    child.once("close", () => {
      clearTimeout(timer);
      fail("it ended");
    });
  });
  return {
    host: "127.0.0.1",
    port,
    version,
    log: () => log,
    async stop() {
      // A fast shutdown: killed, it would leave a segment of shared memory behind.
      process.kill(Number(readFileSync(pidFile, "utf8")), "SIGINT");
      const timer = setTimeout(() => child.stdin?.end(), STOP_TIMEOUT_MS);
      await closed;
      clearTimeout(timer);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
