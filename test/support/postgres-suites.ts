/** PostgreSQL's own tests: the scripts of its regression suite, and libpq_pipeline, which judges pipelines. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type RunResult, run } from "./child.ts";
import { compileOnce } from "./compile.ts";
import { installSource } from "./debian-root.ts";
import { installServerRoot } from "./install.ts";
import { PostgresClient } from "./postgres-client.ts";

const MEMBERS = ["src/test/regress/sql", "src/test/regress/data", "src/test/regress/parallel_schedule"];
const PIPELINE = "src/test/modules/libpq_pipeline";

const sources = (): Promise<string> => installSource("bookworm", "postgresql-15", [...MEMBERS, PIPELINE]);

/** The settings that pg_regress gives its database (create_database() in pg_regress.c). */
const DATABASE_SETTINGS = ["lc_messages", "lc_monetary", "lc_numeric", "lc_time"];

export async function makeRegressionDatabase(port: number): Promise<void> {
  const owner = await PostgresClient.logIn({ port, user: "postgres" });
  try {
    await owner.query("CREATE DATABASE regression TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    for (const setting of DATABASE_SETTINGS) await owner.query(`ALTER DATABASE regression SET ${setting} TO 'C'`);
    await owner.query("ALTER DATABASE regression SET bytea_output TO 'hex'");
    await owner.query("ALTER DATABASE regression SET timezone_abbreviations TO 'Default'");
  } finally {
    owner.close();
  }
}

/** All scripts in the order of the schedule. */
export async function regressionScripts(): Promise<readonly string[]> {
  const schedule = readFileSync(join(await sources(), "src/test/regress/parallel_schedule"), "utf8");
  const lines = schedule.split("\n").filter((line) => line.startsWith("test:"));
  return lines.flatMap((line) => line.slice("test:".length).trim().split(/\s+/));
}

/** Roughly: semicolons at the ends of lines. */
export async function statementsOf(script: string): Promise<number> {
  const text = readFileSync(join(await sources(), `src/test/regress/sql/${script}.sql`), "utf8");
  return (text.match(/;\s*$/gm) ?? []).length;
}

const SCRIPT_TIMEOUT_MS = 300_000;

/**
 * As pg_regress runs it (psql_start_test() in pg_regress_main.c). The library of C functions is not there: what needs it
 * fails, on both ways alike.
 */
export async function runScript(port: number, script: string, outputFolder: string): Promise<RunResult> {
  const folder = join(await sources(), "src/test/regress");
  const root = await installServerRoot("psql");
  const variables = ["-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"];
  const words = ["-X", "-a", "-q", "-d", "regression", ...variables, "-f", join(folder, `sql/${script}.sql`)];
  const { command, args } = root.command("usr/lib/postgresql/15/bin/psql", words);
  const env = {
    PGHOST: "127.0.0.1",
    PGPORT: String(port),
    PGUSER: "postgres",
    PGTZ: "PST8PDT",
    PGDATESTYLE: "Postgres, MDY",
    PGOPTIONS: "-c intervalstyle=postgres_verbose",
    LC_MESSAGES: "C",
    PG_ABS_SRCDIR: folder,
    PG_ABS_BUILDDIR: outputFolder,
    PG_LIBDIR: outputFolder,
    PG_DLSUFFIX: ".so",
  };
  return await run(command, args, { timeoutMs: SCRIPT_TIMEOUT_MS, env });
}

/** Runs one of its tests, with all messages written to `traceFile`, where there is one, as libpq sees them. */
export type PipelineRun = (port: number, test: string, traceFile: string | undefined) => Promise<RunResult>;

const PIPELINE_TIMEOUT_MS = 240_000;
/** Fewer than the 10,000 that it takes by itself, whose trace alone has a million lines. */
const PIPELINE_ROWS = 700;

/** The program, and the names of its tests. */
export async function pipelineProgram(): Promise<{ readonly tests: readonly string[]; readonly run: PipelineRun }> {
  const [folder, development, root] = await Promise.all([
    sources(),
    installServerRoot("libpq-dev"),
    installServerRoot("psql"),
  ]);
  const libraries = root.command("", []).args[1] ?? "";
  const libpq =
    libraries
      .split(":")
      .map((place) => join(place, "libpq.so.5"))
      .find((file) => existsSync(file)) ?? "";
  const program = await compileOnce({
    source: join(folder, PIPELINE, "libpq_pipeline.c"),
    name: "libpq-pipeline",
    outputFile: "libpq_pipeline",
    flags: [
      "-w",
      "-I",
      development.path("usr/include/postgresql"),
      "-I",
      development.path("usr/include/postgresql/15/server"),
    ],
    libraries: [
      libpq,
      "-Wl,--unresolved-symbols=ignore-in-shared-libs",
      "-L",
      development.path("usr/lib/postgresql/15/lib"),
      "-lpgcommon",
      "-lpgport",
    ],
  });
  const { command } = root.command("", []);
  const runProgram = (words: readonly string[]) =>
    run(command, ["--library-path", libraries, program, ...words], { timeoutMs: PIPELINE_TIMEOUT_MS });
  const listed = await runProgram(["tests"]);
  return {
    tests: listed.stdout.trim().split(/\s+/),
    run: (port, test, traceFile) =>
      runProgram([
        "-r",
        String(PIPELINE_ROWS),
        ...(traceFile === undefined ? [] : ["-t", traceFile]),
        test,
        `host=127.0.0.1 port=${port} user=postgres dbname=postgres sslmode=disable`,
      ]),
  };
}
