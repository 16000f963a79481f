/**
 * Compares what our facts say of statements with what real servers did:
 * `bun bench/effects-oracle.ts [--kind mysql|mariadb|mariadb11] [--cases <n>] [--seed <n>] [--mode <sql_mode>]
 * [--grammar <sql_yacc.yy> --symbols <lex.h>] [--only <regular expression>] [--out <file>] [<corpora folder>]`.
 * Statements come from our own grammar (test/support/effects-grammar.ts), or from the server's, whose sources say it in
 * the two files named, and from the corpora. Ends with status 1 when the facts of any text say less than was done.
 *
 * What would end, stop or spoil the server is left out: SHUTDOWN, RESTART, KILL, CLONE, INSTALL, UNINSTALL, BINLOG,
 * CHANGE, START and STOP of replication, PURGE, ALTER INSTANCE, undo tablespaces and log file groups; and texts of the
 * corpora that write to the server's own schemas or accounts.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { analyze } from "../src/sql/mysql/analyze.ts";
import { KEYWORD_ROWS } from "../src/sql/mysql/lexing/keywords.ts";
import type { ServerKind } from "../test/support/accounts.ts";
import { Dice } from "../test/support/digest-oracle.ts";
import { contextOf, underReports } from "../test/support/effects-compare.ts";
import { effectsGrammar, makeText } from "../test/support/effects-grammar.ts";
import { isLetThrough } from "../test/support/effects-policy.ts";
import { EffectsServer, type Observation } from "../test/support/effects-server.ts";
import { readSamples } from "./corpus.ts";
import { serverGrammar } from "./server-grammar.ts";

const MODES = [
  "",
  "",
  "",
  "ANSI_QUOTES",
  "NO_BACKSLASH_ESCAPES",
  "IGNORE_SPACE",
  "PIPES_AS_CONCAT",
  "ANSI",
  "HIGH_NOT_PRECEDENCE",
];
const TEXTS_PER_MODE = 100;
const SHOWN_MAX = 6;
const RESTARTS_MAX = 10;
const ER_NO_SUCH_TABLE = 1146;
/** So many tables are made for a text of others that names them. */
const ATTEMPTS_MAX = 6;

/** In texts of others, whatever would end or spoil the server. */
const SPOILING =
  /\b(?:shutdown|restart|kill|clone|install|uninstall|binlog|purge|replica|slave|master|group_replication|instance|undo|logfile|mysql\s*\.|root|offline_mode|read_only|super_read_only|performance_schema|keyring|debug|global|persist|init_connect|max_execution_time|max_statement_time|qcprober|tablespace|drop\s+user|drop\s+schema|drop\s+database|create\s+user)\b/i;

interface Family {
  texts: number;
  refused: number;
  unclear: number;
  different: number;
}

interface Run {
  server: EffectsServer;
  restarts: number;
  readonly families: Map<string, Family>;
  readonly shown: Map<string, string[]>;
  readonly out: string | undefined;
  cutOff: number;
  readonly isMaking: boolean;
}

/** Places where a word may be a name or not, which is what decides where the tables are. */
const WORD_PLACES = [
  "SELECT * FROM t1 W, t2",
  "SELECT * FROM t1 AS W, t2",
  "SELECT * FROM t1 W JOIN t2 ON 1",
  "SELECT * FROM t1 W STRAIGHT_JOIN t2",
  "SELECT * FROM (SELECT 1) W, t2",
  "SELECT * FROM t1 JOIN t2 W ON W.a = 1, t3",
  "SELECT a W FROM t1",
  "SELECT 1 W, (SELECT MAX(a) FROM t2) FROM t1",
  "SELECT a AS W FROM t1 WHERE a IN (SELECT a FROM t2 W)",
  "SELECT W.a FROM t1 W, t2",
  "SELECT W.* FROM t1 W, t2",
  "SELECT W FROM t1, t2",
  "SELECT W(1) FROM t1, t2",
  "SELECT W (1), a FROM t1, t2",
  "SELECT @W := 1 FROM t1, t2",
  "SELECT * FROM W, t2",
  "SELECT * FROM qc1.W, t2",
  "SELECT * FROM t1 LEFT JOIN (t2 W, t3) ON 1",
  "WITH W AS (SELECT a FROM t1) SELECT * FROM W, t2",
  "WITH W (a) AS (SELECT a FROM t1) DELETE FROM t2 WHERE a IN (SELECT a FROM W)",
  "UPDATE t1 W, t2 SET W.b = 1",
  "UPDATE t1 W SET b = (SELECT MAX(a) FROM t2)",
  "DELETE W FROM t1 W, t2",
  "DELETE FROM W USING t1 W, t2",
  "DELETE FROM t1 W WHERE a = 1",
  "DELETE FROM t1 WHERE W.a IN (SELECT a FROM t2)",
  "INSERT INTO t1 (a) SELECT a + 100 FROM t2 W",
  "INSERT INTO t1 SELECT 101, 1, 'x' FROM t2 W ON DUPLICATE KEY UPDATE b = 1",
  "INSERT W INTO t1 VALUES (102, 1, 'x')",
  "INSERT INTO W VALUES (1, 2, 'x')",
  "INSERT INTO t1 (a) VALUES (103) AS W ON DUPLICATE KEY UPDATE b = 1",
  "SELECT a FROM t1 WHERE a = W",
  "SELECT a FROM t1 GROUP BY a W UNION SELECT a FROM t2",
  "SELECT a FROM t1 UNION W SELECT a FROM t2",
  "SELECT a FROM t1 W UNION SELECT a FROM t2",
  "SELECT W a FROM t1, t2",
  "SELECT W t1.a FROM t1, t2",
  "TABLE t1 W",
  "LOCK TABLES t1 W READ, t2 WRITE",
  "HANDLER t1 OPEN AS W",
  "SET W = 1",
  "SET @@W = 1",
  "W",
  "W t1",
  "W TABLE t1",
  "CREATE W TABLE q1 (a INT)",
  "CREATE TABLE q1 W SELECT * FROM t1",
  "ALTER W TABLE t1 ADD d INT",
  "DROP W TABLE t1",
  "BEGIN W",
  "COMMIT W",
];

/** The texts of every word in every place. */
function wordTexts(symbolsFile: string | undefined): string[] {
  const own = KEYWORD_ROWS.map((row) => row.split(" ")[0] ?? "");
  const symbols = symbolsFile === undefined ? "" : readFileSync(symbolsFile, "utf8");
  const servers = [...symbols.matchAll(/"([A-Z_]+)",/g)].map(([, word = ""]) => word);
  const words = [...new Set([...own, ...servers])].filter((word) => /^[A-Z_0-9]+$/.test(word) && !SPOILING.test(word));
  return words.flatMap((word) => WORD_PLACES.map((place) => place.replaceAll(/\bW\b/g, word)));
}

/** So many of the texts, from all over them. */
function spread(texts: readonly string[], count: number): readonly string[] {
  const step = Math.max(1, texts.length / count);
  return texts.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}

/** The table that the server looked for in vain. */
function missingTable({ statements }: Observation): [schema: string, table: string] | undefined {
  const message = statements.find(({ errorNumber }) => errorNumber === ER_NO_SUCH_TABLE)?.message ?? "";
  const [, schema, table] = /^Table '([^.]+)\.(.+)' doesn't exist/.exec(message) ?? [];
  return schema === undefined || table === undefined ? undefined : [schema, table];
}

async function judge(run: Run, sql: Uint8Array, mode: string, attempts = 0): Promise<void> {
  const { server, families, shown } = run;
  const text = Buffer.from(sql).toString("utf8");
  const analysis = analyze(sql, contextOf(server.kind, mode));
  const observation = await server.observe(sql);
  const missing = run.isMaking ? missingTable(observation) : undefined;
  if (missing !== undefined && attempts < ATTEMPTS_MAX && (await server.ensureTable(...missing))) {
    return await judge(run, sql, mode, attempts + 1);
  }
  if (observation.isCutOff) run.cutOff++;
  const [first] = observation.statements;
  const name = first?.kind ?? "none";
  const family = families.get(name) ?? { texts: 0, refused: 0, unclear: 0, different: 0 };
  families.set(name, family);
  family.texts++;
  const hasRun = observation.statements.every(({ errorNumber }) => errorNumber === 0);
  if (!hasRun) family.refused++;
  const lines = underReports(analysis, observation);
  if (isLetThrough(sql, server.kind, mode, observation)) lines.push("policy: a read-only one lets it through");
  if (!analysis.understood && hasRun) {
    family.unclear++;
    lines.push(`unclear: ${analysis.notUnderstood?.reason} ${name}`);
  } else if (lines.length > 0) family.different++;
  for (const line of lines) {
    const texts = shown.get(line) ?? [];
    shown.set(line, texts);
    if (texts.length < SHOWN_MAX) texts.push(`[${mode}] ${JSON.stringify(text)} ${first?.errorNumber ?? ""}`);
    if (run.out !== undefined) appendFileSync(run.out, `${JSON.stringify({ kind: server.kind, mode, line, text })}\n`);
  }
}

/** Some texts crash a server: it is started anew for those that follow. */
async function judgeOrRestart(run: Run, text: string, mode: string): Promise<void> {
  try {
    await judge(run, Buffer.from(text), mode);
  } catch (error) {
    console.log(`The server is lost at ${JSON.stringify(text)}: ${error}\n${run.server.errorLog()}`);
    if (++run.restarts > RESTARTS_MAX) throw error;
    const { kind } = run.server;
    await run.server.stop();
    run.server = await EffectsServer.start(kind);
    await run.server.useMode(mode);
  }
}

/** Rows for LOAD DATA. */
function inFileOf({ outFolder }: EffectsServer): string {
  const file = join(outFolder, "..", "in.txt");
  writeFileSync(file, "21,1,x\n22,2,y\n");
  return file;
}

function report({ families, shown, cutOff }: Run): number {
  const columns = (...cells: readonly (string | number)[]): string =>
    cells.map((cell) => String(cell).padStart(10)).join("");
  console.log(`${"server's kind".padEnd(34)}${columns("texts", "refused", "unclear", "different")}`);
  const total = { texts: 0, refused: 0, unclear: 0, different: 0 };
  for (const [name, family] of [...families].sort()) {
    console.log(`${name.padEnd(34)}${columns(family.texts, family.refused, family.unclear, family.different)}`);
    for (const key of ["texts", "refused", "unclear", "different"] as const) total[key] += family[key];
  }
  console.log(`${"all".padEnd(34)}${columns(total.texts, total.refused, total.unclear, total.different)}`);
  console.log(`cut off: ${cutOff}`);
  for (const [line, texts] of [...shown].sort()) console.log(`\n${line}\n  ${texts.join("\n  ")}`);
  return total.different;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kind: { type: "string" },
      cases: { type: "string" },
      seed: { type: "string" },
      mode: { type: "string" },
      grammar: { type: "string" },
      symbols: { type: "string" },
      side: { type: "string" },
      corpus: { type: "string" },
      words: { type: "boolean" },
      only: { type: "string" },
      out: { type: "string" },
      depth: { type: "string" },
      oddity: { type: "string" },
    },
  });
  const kind = (values.kind ?? "mysql") as ServerKind;
  const cases = Number(values.cases ?? 2000);
  const dice = new Dice(Number(values.seed ?? 1));
  const only = values.only === undefined ? undefined : new RegExp(values.only, "i");
  const isOwn = values.grammar === undefined || values.symbols === undefined;
  const grammar = isOwn
    ? effectsGrammar(kind)
    : serverGrammar(kind, values.grammar ?? "", values.symbols ?? "", values.side ?? "MARIADB");
  const endless = isOwn ? grammar.endless() : [];
  if (endless.length > 0) throw new Error(`Rules without end: ${endless.join(" ")}`);
  const isGiven = positionals.length > 0 || values.words === true;
  const server = await EffectsServer.start(kind);
  const run: Run = {
    server,
    families: new Map(),
    shown: new Map(),
    out: values.out,
    cutOff: 0,
    restarts: 0,
    isMaking: positionals.length > 0,
  };
  try {
    const samples = readSamples(positionals[0], values.corpus ?? "").map(({ sql }) => sql);
    const given = values.words ? wordTexts(values.symbols) : samples.filter((sql) => !SPOILING.test(sql));
    const texts = values.cases === undefined ? given : spread(given, cases);
    let mode = "";
    for (let index = 0; index < (isGiven ? texts.length : cases); index++) {
      if (index % TEXTS_PER_MODE === 0 && !isGiven) {
        mode = values.mode ?? dice.pick(MODES);
        await run.server.useMode(mode);
      }
      const { outFolder } = run.server;
      const text =
        texts[index] ??
        makeText(dice, grammar, {
          mode,
          oddity: Number(values.oddity ?? dice.pick([0, 0.03, 0.1, 0.3])),
          depth: Number(values.depth ?? dice.pick(isOwn ? [5, 8, 11] : [8, 20, 40])),
          inFile: inFileOf(run.server),
          outFile: join(outFolder, `out${index}`),
        });
      if (only === undefined || only.test(text)) await judgeOrRestart(run, text, mode);
    }
  } finally {
    await run.server.stop();
  }
  process.exitCode = report(run) === 0 ? 0 : 1;
}

await main();
