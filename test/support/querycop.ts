/** The compiled executable as tests run it: built when its sources changed, started on a free port, read through its logs. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { auditRecordsIn } from "./audit-records.ts";
import { type RunResult, run, runChecked, spawnSupervised } from "./child.ts";
import { withLock } from "./lock.ts";

export type Settings = Readonly<Record<string, string | undefined>>;

export interface LogLine {
  readonly event: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

export interface AuditLine {
  readonly seq: number;
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface Querycop {
  readonly host: "127.0.0.1";
  /** Of the first listener. */
  readonly port: number;
  /** By the listener's name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly folder: string;
  /** Everything written to stderr so far. */
  logText(): string;
  logs(): LogLine[];
  auditText(): string;
  audit(): AuditLine[];
  pid(): number;
  signal(name: NodeJS.Signals): void;
  /** The exit code, once it has ended. */
  readonly exited: Promise<number>;
  /** Kills it and removes its files. */
  stop(): Promise<void>;
}

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = join(PROJECT, "dist/querycop");
const START_TIMEOUT_MS = 20_000;
const BUILD_TIMEOUT_MS = 5 * 60_000;

/** What the executable is made from. */
const SOURCES = ["src", "build.ts", "tools/dashboard.ts", "package.json", "package-lock.json"];

function newestChangeMs(path: string): number {
  const info = statSync(path);
  if (!info.isDirectory()) return info.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newestChangeMs(join(path, name))));
}

function isBinaryFresh(): boolean {
  if (!existsSync(BINARY)) return false;
  const builtMs = statSync(BINARY).mtimeMs;
  return SOURCES.every((source) => newestChangeMs(join(PROJECT, source)) <= builtMs);
}

let binary: Promise<string> | undefined;

/**
 * Path of dist/querycop, built first when it is missing or older than what it is made from. QUERYCOP_TEST_BINARY names
 * another executable to test as it is, such as one for another libc.
 */
export function querycopBinary(): Promise<string> {
  const given = process.env["QUERYCOP_TEST_BINARY"];
  if (given !== undefined) return Promise.resolve(given);
  binary ??= withLock(join(tmpdir(), "querycop-build.lock"), BUILD_TIMEOUT_MS, async () => {
    if (!isBinaryFresh()) await runChecked("npm", ["run", "build"], { cwd: PROJECT, timeoutMs: BUILD_TIMEOUT_MS });
    return BINARY;
  });
  return binary;
}

/** The parent's environment without anything that would configure querycop. */
export function cleanEnvironment(settings: Settings): Record<string, string | undefined> {
  const foreign = Object.keys(process.env).filter((name) => name.startsWith("GATEKEEPER_") || name === "ADMIN_API_KEY");
  return { ...Object.fromEntries(foreign.map((name) => [name, undefined])), ...settings };
}

/** Runs a command that ends by itself, such as `check-config`, or a `serve` that is expected to refuse. */
export async function runQuerycop(args: readonly string[], settings: Settings = {}, input = ""): Promise<RunResult> {
  const options = { env: cleanEnvironment(settings), cwd: "/", timeoutMs: START_TIMEOUT_MS, input };
  return await run(await querycopBinary(), args, options);
}

function parseLines<T>(text: string): T[] {
  const lines = text.split("\n").slice(0, -1);
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as T);
}

/** The ports that are listened on, by listener name, once there are `count` of them. */
function portsOf(log: readonly LogLine[], count: number): Record<string, number> | undefined {
  const lines = log.filter(({ event }) => event === "querycop listening");
  if (lines.length < count) return undefined;
  const portOf = (line: LogLine): number => Number(/\d+$/.exec(String(line["address"]))?.[0]);
  return Object.fromEntries(lines.map((line) => [String(line["listener"]), portOf(line)]));
}

export interface QuerycopOptions {
  /** How many listeners to wait for. */
  readonly listeners?: number;
  /** Content of a configuration file. It names the listeners' ports; 0 lets the system choose. */
  readonly configYaml?: string;
  /** A program that is to start querycop, whose command line is added to this one's. */
  readonly launcher?: readonly string[];
  /** Another executable than the one of these sources. */
  readonly executable?: string;
}

/**
 * Starts `querycop serve` on a free port of 127.0.0.1 with JSON logs at level debug and an audit file, and waits until
 * all listeners are open. `settings` are environment variables, added to and overriding these.
 */
export async function startQuerycop(settings: Settings, options: QuerycopOptions = {}): Promise<Querycop> {
  const program = options.executable ?? (await querycopBinary());
  const folder = mkdtempSync(join(tmpdir(), "querycop-proxy-"));
  const auditFile = join(folder, "audit.ndjson");
  const pidFile = join(folder, "pid");
  const configFile = join(folder, "querycop.yaml");
  if (options.configYaml !== undefined) writeFileSync(configFile, options.configYaml, { mode: 0o600 });
  const env = cleanEnvironment({
    ...(options.configYaml === undefined ? { GATEKEEPER_LISTEN_PORT: "0" } : { GATEKEEPER_CONFIG: configFile }),
    GATEKEEPER_API_PORT: "0",
    GATEKEEPER_LOG_FORMAT: "json",
    GATEKEEPER_LOG_LEVEL: "debug",
    GATEKEEPER_AUDIT_FILE: auditFile,
    ...settings,
  });
  const [command = program, ...args] = [...(options.launcher ?? []), program, "serve"];
  const child = spawnSupervised(command, args, { env, cwd: "/", pidFile, removeFolder: folder });
  let log = "";
  child.stderr?.setEncoding("utf8");
  const exited = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  const ports = await new Promise<Record<string, number>>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`Starting querycop: ${why}\n${log.slice(-4000)}`));
    const timer = setTimeout(() => {
      child.stdin?.end();
      fail(`not listening after ${START_TIMEOUT_MS} ms`);
    }, START_TIMEOUT_MS);
    let isListening = false;
    child.stderr?.on("data", (text: string) => {
      log += text;
      const found = isListening ? undefined : portsOf(parseLines(log), options.listeners ?? 1);
      if (found === undefined) return;
      isListening = true;
      clearTimeout(timer);
      resolve(found);
    });
    child.once("close", (code) => {
      clearTimeout(timer);
      fail(`it ended with exit code ${code}`);
    });
  }).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  const pid = (): number => Number(readFileSync(pidFile, "utf8"));
  const auditText = (): string => (existsSync(auditFile) ? readFileSync(auditFile, "utf8") : "");
  return {
    host: "127.0.0.1",
    port: Object.values(ports)[0] ?? 0,
    ports,
    folder,
    logText: () => log,
    logs: () => parseLines(log),
    auditText,
    audit: () => auditRecordsIn(auditText()) as unknown as AuditLine[],
    pid,
    signal: (name) => process.kill(pid(), name),
    exited,
    async stop() {
      child.stdin?.end();
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
