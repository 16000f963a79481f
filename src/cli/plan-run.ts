/** `querycop plan`: a statement explained with its run, through the gate, and a report of what was found. */
import type { Config, ConnectionConfig } from "../config/schema.ts";
import { PrivateClient } from "../server/private-client.ts";
import type { PrivateServer } from "../server/private-server.ts";
import { PostgresRefusal } from "../session/postgres/login/backend-login.ts";
import { explainedStatement } from "../sql/plans/explained-statement.ts";
import { type Experiment, renderPlanReport, type TableEvidence } from "../sql/plans/plan-report.ts";
import { type PlanText, readPlan } from "../sql/plans/plan-text.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import { build, ident, keyword, literal, type SafeSql } from "../sql/postgres/writing/safe-sql.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, EXIT_USAGE, UsageError } from "./command-io.ts";
import { connectionOf, inRole, loadConnections, reachConnection } from "./connection-choice.ts";
import { required } from "./policy-source.ts";
import { privateServerFor } from "./private-server-for.ts";

type Arguments = Readonly<Record<string, unknown>>;

const STATEMENT_BYTES_MAX = 1024 * 1024;

export async function runPlan(args: Arguments, io: CommandIo): Promise<number> {
  const given = await statementOf(required(args["statement"], "a statement to explain"), io);
  await loadParser();
  const explained = explainedStatement(given);
  if ("refusal" in explained) throw new UsageError(explained.refusal);
  const config = await loadConnections(args, io);
  if (config === undefined) return EXIT_USAGE;
  const connection = inRole(chosenConnection(config, args["connection"]), args["admin"] === true);
  try {
    return await withClient(connection, config, io, async (client) => {
      const found = await explore(client, explained.sql, args);
      if ("refusal" in found) return told(found.refusal, io);
      const { sql, isRewritten } = explained;
      io.stdout(renderPlanReport({ connection: connection.name, given, explained: sql, isRewritten, ...found }));
      return EXIT_OK;
    });
  } catch (thrown) {
    if (thrown instanceof PostgresRefusal) return told(thrown.fields, io);
    io.stderr(`querycop: plan: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    return EXIT_FAILED;
  }
}

async function statementOf(word: string, io: CommandIo): Promise<string> {
  if (word !== "-") return word;
  const input = await io.readStdin(STATEMENT_BYTES_MAX);
  if (input === undefined) throw new UsageError("standard input is a terminal: pipe the statement in");
  if (input.length > STATEMENT_BYTES_MAX)
    throw new UsageError(`the statement is longer than ${STATEMENT_BYTES_MAX} bytes`);
  return new TextDecoder().decode(input).trim();
}

function chosenConnection(config: Config, name: unknown): ConnectionConfig {
  const speaks = ({ listener }: ConnectionConfig): boolean => listener.backend.engine !== "mysql";
  if (typeof name === "string") {
    const connection = connectionOf(config, name);
    if (speaks(connection)) return connection;
    throw new UsageError(`connection ${name} leads to MySQL: plans are of PostgreSQL and Aurora DSQL`);
  }
  const [first, second] = config.connections.filter((one) => one.enabled && speaks(one));
  if (first !== undefined && second === undefined) return first;
  throw new UsageError(
    `--connection is missing: there ${first === undefined ? "is none" : "are several"} to PostgreSQL or Aurora DSQL`,
  );
}

/** In the server's words, or in querycop's. */
function told({ code, message, fields }: PostgresRefusal["fields"], io: CommandIo): typeof EXIT_FAILED {
  const more = ["D", "H"].flatMap((letter) => fields.get(letter) ?? []);
  io.stderr([`querycop: plan: ${code} ${message}`, ...more, ""].join("\n"));
  return EXIT_FAILED;
}

async function withClient(
  connection: ConnectionConfig,
  config: Config,
  io: CommandIo,
  work: (client: PrivateClient) => Promise<number>,
): Promise<number> {
  const reached = await reachConnection(connection, io);
  let server: PrivateServer | undefined;
  let client: PrivateClient | undefined;
  try {
    server = privateServerFor(reached, config, io, []);
    const host = "127.0.0.1";
    const port = await server.listen({ kind: "tcp", host, port: 0 });
    const { user, password } = server;
    const { database = "postgres" } = reached;
    const login = { host, port, user, password, database, program: "querycop plan" };
    client = await PrivateClient.logIn(login, io.stopped ?? new AbortController().signal);
    return await work(client);
  } finally {
    client?.close();
    await server?.close();
    reached.passwords?.close();
  }
}

interface Found {
  readonly lines: readonly string[];
  readonly plan: PlanText;
  readonly tables: readonly TableEvidence[];
  readonly experiments: readonly Experiment[];
  readonly notes: readonly string[];
}

/** Longer ones are not run again to try other plans. */
const EXPERIMENT_MS_MAX = 30_000;
const TABLES_MAX = 20;

async function explore(
  client: PrivateClient,
  sql: string,
  args: Arguments,
): Promise<Found | { readonly refusal: PostgresRefusal["fields"] }> {
  const run = await explain(client, sql, []);
  if ("refusal" in run) return run;
  const plan = readPlan(run.lines);
  const notes: string[] = [];
  const names = [...new Set(plan.nodes.flatMap(({ table }) => table ?? []))].slice(0, TABLES_MAX);
  const tables: TableEvidence[] = [];
  for (const name of names) tables.push(await evidenceOf(client, name, plan, args["count"] === true, notes));
  const settings = settingsFor(plan);
  const { executionMs = 0 } = plan;
  const experiments: Experiment[] = [];
  if (args["once"] === true) notes.push("No other plan was tried: --once.");
  else if (executionMs > EXPERIMENT_MS_MAX) {
    notes.push(
      `No other plan was tried, as the statement runs for more than ${EXPERIMENT_MS_MAX / 1000} s. By hand, in a transaction each: ${settings.map((one) => `SET LOCAL ${one} = off`).join("; ")}.`,
    );
  } else {
    for (const setting of settings) {
      const tried = await explain(client, sql, [setting]);
      const text = `${setting} = off`;
      if ("refusal" in tried) notes.push(`${text} could not be tried: ${tried.refusal.message}`);
      else experiments.push({ setting: text, executionMs: readPlan(tried.lines).executionMs });
    }
  }
  return { lines: run.lines, plan, tables, experiments, notes };
}

/** Kinds of nodes, and the setting that keeps the planner from them. */
const SETTINGS: readonly (readonly [title: RegExp, setting: string])[] = [
  [/^(?:Parallel )?(?:Seq|Full) Scan/, "enable_seqscan"],
  [/^(?:Parallel )?Hash .*Join|^Hash Join/, "enable_hashjoin"],
  [/^Nested Loop/, "enable_nestloop"],
  [/^Merge .*Join/, "enable_mergejoin"],
  [/^(?:Parallel )?Index Scan/, "enable_indexscan"],
  [/^(?:Parallel )?Index Only Scan/, "enable_indexonlyscan"],
  [/^(?:Parallel )?Bitmap Heap Scan/, "enable_bitmapscan"],
];
const SETTING_NAMES = SETTINGS.map(([, setting]) => setting);
const EXPERIMENTS_MAX = 3;

function settingsFor({ nodes }: PlanText): string[] {
  const wanted = SETTINGS.filter(([title]) => nodes.some((node) => title.test(node.title)));
  return wanted.map(([, setting]) => setting).slice(0, EXPERIMENTS_MAX);
}

/** SAFETY: in a transaction in which the server lets nothing be written, by functions either, and which is rolled back. */
async function explain(
  client: PrivateClient,
  sql: string,
  switchedOff: readonly string[],
): Promise<{ readonly lines: readonly string[] } | { readonly refusal: PostgresRefusal["fields"] }> {
  const begun = await client.query("BEGIN READ ONLY");
  if ("refusal" in begun) return begun;
  try {
    for (const setting of switchedOff) {
      const name = keyword(setting, SETTING_NAMES);
      const set = await client.query(build("SET LOCAL {name} = off", { name }).toString());
      if ("refusal" in set) return set;
    }
    // The statement is the user's own, one by the grammar, as explainedStatement() has found it.
    const answer = await client.query(`EXPLAIN ANALYZE VERBOSE ${sql}`);
    return "refusal" in answer ? answer : { lines: answer.rows.map(([line = ""]) => line) };
  } finally {
    await client.query("ROLLBACK");
  }
}

const COUNTED_ROWS_MAX = 1_000_000;

async function evidenceOf(
  client: PrivateClient,
  table: string,
  plan: PlanText,
  countsAll: boolean,
  notes: string[],
): Promise<TableEvidence> {
  const name = ident(...partsOf(table));
  const oid = build("{name}::pg_catalog.regclass", { name: literal(name.toString()) });
  const ask = async (what: string, sql: SafeSql): Promise<readonly (readonly (string | undefined)[])[]> => {
    const answer = await client.query(sql.toString());
    if ("rows" in answer) return answer.rows;
    notes.push(`${what} of ${table}: ${answer.refusal.message}`);
    return [];
  };
  const [[tuples] = []] = await ask(
    "Statistics",
    build("SELECT reltuples::pg_catalog.int8 FROM pg_catalog.pg_class WHERE oid = {oid}", { oid }),
  );
  const indexes = await ask(
    "Indexes",
    build(
      "SELECT pg_catalog.pg_get_indexdef(indexrelid) FROM pg_catalog.pg_index WHERE indrelid = {oid} ORDER BY 1 LIMIT 50",
      { oid },
    ),
  );
  const columns = await ask("Columns", build(COLUMNS, { oid }));
  const estimated = Number(tuples ?? -1);
  const isCounted = countsAll || (estimated >= 0 && estimated <= COUNTED_ROWS_MAX);
  const [[counted] = []] = isCounted
    ? await ask("Rows", build("SELECT pg_catalog.count(*) FROM {name}", { name }))
    : [];
  const conditions = plan.nodes.flatMap(({ details }) => details).filter((line) => !line.startsWith("Output: "));
  const named = new Set(conditions.join("\n").match(/[\p{L}\p{N}_$]+/gu));
  return {
    table,
    estimatedRows: estimated < 0 ? undefined : estimated,
    countedRows: counted === undefined ? undefined : Number(counted),
    indexes: indexes.flatMap(([definition]) => definition ?? []),
    columns: columns
      .filter(([column = ""]) => named.has(column))
      .map(([column = "", distinct = "", nulls = "", correlation = ""]) => ({ column, distinct, nulls, correlation })),
  };
}

const COLUMNS =
  "SELECT s.attname, s.n_distinct, s.null_frac, s.correlation FROM pg_catalog.pg_class AS c " +
  "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace " +
  "JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname " +
  "WHERE c.oid = {oid} ORDER BY s.attname LIMIT 200";

/** As quote_identifier() of the server has written them. */
function partsOf(table: string): string[] {
  return [...table.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(
    ([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain,
  );
}
