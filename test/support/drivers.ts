/** Drivers that prepare statements, each in a process of its own, behind one way of calling them. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunResult, run, runChecked } from "./child.ts";
import { type DebianRoot, SERVERS_CACHE } from "./debian-root.ts";
import { installServerRoot } from "./install.ts";
import { withLock } from "./lock.ts";

export type Driver = "jdbc" | "go" | "mysqli" | "pdo" | "mysqlclient" | "pymysql" | "mysql2" | "mariadb-connector";

export const DRIVERS: readonly Driver[] = [
  "jdbc",
  "go",
  "mysqli",
  "pdo",
  "mysqlclient",
  "pymysql",
  "mysql2",
  "mariadb-connector",
];

/** They send values in the text: there is nothing to prepare. */
export const TEXT_DRIVERS: ReadonlySet<Driver> = new Set<Driver>(["mysqlclient", "pymysql"]);

export interface DriverStep {
  readonly sql: string;
  readonly values: readonly (string | number)[];
  /** As many rows of these values in one batch; drivers that have batches. */
  readonly batch?: number;
  /** Through a cursor on the server; mysqli. */
  readonly cursor?: boolean;
  /** The value that is sent in pieces ahead of the execution; mysqli. */
  readonly long?: number;
  /** Instead of a statement: a change of user; npm drivers. */
  readonly changeUser?: { readonly user: string; readonly password: string };
}

export type DriverAnswer =
  | { readonly rows: readonly (readonly (string | null)[])[] }
  /** What the driver throws: its class or code, and the server's error number. */
  | { readonly error: string; readonly number: number; readonly message: string };

export interface DriverTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

export const programPath = (name: string): string =>
  fileURLToPath(new URL(`./client-programs/${name}`, import.meta.url));

async function runPython(driver: Driver, input: object): Promise<RunResult> {
  const module = driver === "pymysql" ? "pymysql" : "MySQLdb";
  const root = await installServerRoot(driver === "pymysql" ? "clients" : "drivers");
  const { command, args } = root.command("usr/bin/python3", [programPath("prepared_client.py")]);
  const env = {
    PYTHONHOME: root.path("usr"),
    PYTHONPATH: root.path("usr/lib/python3/dist-packages"),
    PYTHONDONTWRITEBYTECODE: undefined,
    PYTHONPYCACHEPREFIX: root.path("pycache"),
    MARIADB_PLUGIN_DIR: pluginFolder(root),
  };
  return await run(command, args, { input: JSON.stringify({ ...input, driver: module }), env });
}

const TRIPLET = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";

function pluginFolder(root: DebianRoot): string {
  return root.path(`usr/lib/${TRIPLET}/libmariadb3/plugin`);
}

const PHP_EXTENSIONS = ["mysqlnd", "mysqli", "pdo", "pdo_mysql"];

async function runPhp(driver: Driver, input: object): Promise<RunResult> {
  const root = await installServerRoot("drivers");
  const extensions = PHP_EXTENSIONS.flatMap((name) => ["-d", `extension=${name}`]);
  const settings = ["-n", "-d", `extension_dir=${root.path("usr/lib/php/20220829")}`, ...extensions];
  const { command, args } = root.command("usr/bin/php8.2", [...settings, programPath("prepared_client.php")]);
  return await run(command, args, { input: JSON.stringify({ ...input, driver }) });
}

const JAVA = `usr/lib/jvm/java-17-openjdk-${process.arch === "arm64" ? "arm64" : "amd64"}/bin/java`;

/** The folder with the compiled program: there is a compiler among the packages, but no development kit. */
async function compiledJava(root: DebianRoot): Promise<string> {
  const source = programPath("PreparedClient.java");
  const folder = join(SERVERS_CACHE, "drivers-classes");
  await withLock(`${folder}.lock`, 60_000, async () => {
    mkdirSync(folder, { recursive: true });
    const compiler = ["-cp", root.path("usr/share/java/ecj.jar"), "org.eclipse.jdt.internal.compiler.batch.Main"];
    const { command, args } = root.command(JAVA, [...compiler, "-11", "-proc:none", "-d", folder, source]);
    await runChecked(command, args);
  });
  return folder;
}

let java: Promise<string> | undefined;

/** Runs the steps over JDBC, by the driver of that file. */
export async function runJdbc(driver: string, url: string, steps: readonly DriverStep[]): Promise<RunResult> {
  const root = await installServerRoot("drivers");
  java ??= compiledJava(root);
  const lines = steps.map(({ batch = 0, sql, values }) => {
    const fields = values.map((value) => (typeof value === "number" ? `i:${value}` : `s:${value}`));
    return `${[batch, sql, ...fields].join("\t")}\n`;
  });
  const options = ["-XX:TieredStopAtLevel=1", "-cp", `${await java}:${driver}`, "PreparedClient", url];
  const { command, args } = root.command(JAVA, options);
  return await run(command, args, { input: lines.join("") });
}

async function runJava(target: DriverTarget, steps: readonly DriverStep[]): Promise<RunResult> {
  const root = await installServerRoot("drivers");
  const { host, port, user, password, database } = target;
  const options = `useServerPrepStmts=true&allowPublicKeyRetrieval=true&user=${user}&password=${password}`;
  const url = `jdbc:mariadb://${host}:${port}/${database}?${options}`;
  return await runJdbc(root.path("usr/share/java/mariadb-java-client.jar"), url, steps);
}

/** The compiled program, in a file named for its source: compiling the standard library takes a while. */
async function compiledGo(): Promise<string> {
  const root = await installServerRoot("go");
  const postgres = await installServerRoot("postgresql-go");
  const source = programPath("prepared_client.go");
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const program = join(SERVERS_CACHE, `go-client-${hash}`);
  await withLock(join(SERVERS_CACHE, "go-client.lock"), 180_000, async () => {
    if (existsSync(program)) return;
    const env = {
      GOROOT: root.path("usr/lib/go-1.19"),
      GOPATH: [root, postgres].map((each) => each.path("usr/share/gocode")).join(":"),
      GOCACHE: root.path("cache"),
      GO111MODULE: "off",
      GOFLAGS: "-trimpath",
      GOTOOLCHAIN: undefined,
      CGO_ENABLED: "0",
    };
    const draft = `${program}.${process.pid}`;
    await runChecked(root.path("usr/lib/go-1.19/bin/go"), ["build", "-o", draft, source], { env, timeoutMs: 170_000 });
    renameSync(draft, program);
    rmSync(root.path("cache"), { recursive: true, force: true });
  });
  return program;
}

let go: Promise<string> | undefined;

/** Runs the steps with a driver of Go's database/sql; `source` is what it calls a data source name. */
export async function runGo(
  driver: "mysql" | "postgres" | "pgx",
  source: string,
  steps: readonly DriverStep[],
): Promise<RunResult> {
  go ??= compiledGo();
  return await run(await go, [], { input: JSON.stringify({ driver, source, steps }) });
}

async function runProgram(driver: Driver, target: DriverTarget, steps: readonly DriverStep[]): Promise<RunResult> {
  const input = { driver, options: target, steps };
  switch (driver) {
    case "jdbc":
      return await runJava(target, steps);
    case "go": {
      const { host, port, user, password, database } = target;
      return await runGo("mysql", `${user}:${password}@tcp(${host}:${port})/${database}?charset=utf8mb4`, steps);
    }
    case "mysqli":
    case "pdo":
      return await runPhp(driver, input);
    case "mysqlclient":
    case "pymysql":
      return await runPython(driver, input);
    case "mysql2":
    case "mariadb-connector":
      return await run("node", [programPath("prepared-client.mjs")], { input: JSON.stringify(input) });
  }
}

/** Runs the steps one after the other on one connection. Fails when the driver ends before the last of them. */
export async function runDriver(
  driver: Driver,
  target: DriverTarget,
  steps: readonly DriverStep[],
): Promise<DriverAnswer[]> {
  return answersOf(driver, await runProgram(driver, target, steps), steps.length);
}

/** What a program printed, a line for each of its steps. */
export function answersOf<A = DriverAnswer>(driver: string, { code, stdout, stderr }: RunResult, steps: number): A[] {
  const lines = stdout.split("\n").filter((line) => line !== "");
  if (code !== 0 || lines.length !== steps) {
    throw new Error(`${driver} ended with ${code} after ${lines.length} of ${steps} steps: ${stderr}${stdout}`);
  }
  return lines.map((line) => JSON.parse(line) as A);
}
