/** Drivers of PostgreSQL's clients, each in a process of its own, behind one way of calling them: drivers.ts for PostgreSQL. */
import { type RunResult, run } from "./child.ts";
import { answersOf, type DriverStep, type DriverTarget, programPath, runGo, runJdbc } from "./drivers.ts";
import { installServerRoot } from "./install.ts";

export const POSTGRES_DRIVERS = [
  "jdbc",
  "lib/pq",
  "pgx",
  "pgsql",
  "pdo_pgsql",
  "psycopg2",
  "psycopg",
  "asyncpg",
  "pg",
  "postgres.js",
] as const;

export type PostgresDriver = (typeof POSTGRES_DRIVERS)[number];

export interface PostgresStep extends DriverStep {
  /** Lines of values, separated by tabs, that COPY brings into `table`; the SQL is that of drivers that want one. */
  readonly copy?: string;
  readonly table?: string;
  readonly columns?: readonly string[];
}

export interface PostgresTarget extends DriverTarget {
  readonly sslMode: "disable" | "require";
}

export type PostgresAnswer =
  | { readonly rows: readonly (readonly (string | null)[])[] }
  /** What the driver throws: its class, and the server's SQLSTATE. */
  | { readonly error: string; readonly code: string; readonly message: string };

/** How a driver writes the place of a value. A text holds each number once and in order. */
const PLACES: Readonly<Partial<Record<PostgresDriver, string>>> = {
  jdbc: "?",
  pdo_pgsql: "?",
  psycopg2: "%s",
  psycopg: "%s",
};

function written(driver: PostgresDriver, step: PostgresStep): PostgresStep {
  const place = PLACES[driver];
  return place === undefined ? step : { ...step, sql: step.sql.replaceAll(/\$\d/g, place) };
}

function urlOf({ host, port, user, password, database, sslMode }: PostgresTarget): string {
  const account = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  return `postgres://${account}@${host}:${port}/${database}?sslmode=${sslMode}`;
}

async function runPython(driver: PostgresDriver, url: string, steps: readonly PostgresStep[]): Promise<RunResult> {
  const root = await installServerRoot("postgresql-drivers");
  const { command, args } = root.command("usr/bin/python3", [programPath("postgres_client.py")]);
  const env = {
    PYTHONHOME: root.path("usr"),
    PYTHONPATH: root.path("usr/lib/python3/dist-packages"),
    PYTHONDONTWRITEBYTECODE: undefined,
    PYTHONPYCACHEPREFIX: root.path("pycache"),
  };
  return await run(command, args, { input: JSON.stringify({ driver, url, steps }), env });
}

async function runPhp(driver: PostgresDriver, options: PostgresTarget, steps: readonly PostgresStep[]) {
  const root = await installServerRoot("postgresql-drivers");
  const extensions = ["pgsql", "pdo", "pdo_pgsql"].flatMap((name) => ["-d", `extension=${name}`]);
  const settings = ["-n", "-d", `extension_dir=${root.path("usr/lib/php/20220829")}`, ...extensions];
  const { command, args } = root.command("usr/bin/php8.2", [...settings, programPath("postgres_client.php")]);
  return await run(command, args, { input: JSON.stringify({ driver, options, steps }) });
}

async function runJava(target: PostgresTarget, steps: readonly PostgresStep[]): Promise<RunResult> {
  const root = await installServerRoot("postgresql-drivers");
  const { host, port, database, ...rest } = target;
  const parts = Object.entries({ user: rest.user, password: rest.password, sslmode: rest.sslMode }).map(
    ([name, value]) => `${name}=${encodeURIComponent(value)}`,
  );
  const url = `jdbc:postgresql://${host}:${port}/${database}?${parts.join("&")}`;
  return await runJdbc(root.path("usr/share/java/postgresql.jar"), url, steps);
}

async function runProgram(
  driver: PostgresDriver,
  target: PostgresTarget,
  steps: readonly PostgresStep[],
): Promise<RunResult> {
  switch (driver) {
    case "jdbc":
      return await runJava(target, steps);
    case "lib/pq":
      return await runGo("postgres", urlOf(target), steps);
    case "pgx":
      return await runGo("pgx", urlOf(target), steps);
    case "pgsql":
    case "pdo_pgsql":
      return await runPhp(driver, target, steps);
    case "psycopg2":
    case "psycopg":
    case "asyncpg":
      return await runPython(driver, urlOf(target), steps);
    case "pg":
    case "postgres.js": {
      const input = JSON.stringify({ driver, options: target, steps });
      return await run("node", [programPath("postgres-client.mjs")], { input });
    }
  }
}

/** Runs the steps one after the other on one connection. Fails when the driver ends before the last of them. */
export async function runPostgresDriver(
  driver: PostgresDriver,
  target: PostgresTarget,
  steps: readonly PostgresStep[],
): Promise<PostgresAnswer[]> {
  const result = await runProgram(
    driver,
    target,
    steps.map((step) => written(driver, step)),
  );
  return answersOf<PostgresAnswer>(driver, result, steps.length);
}
