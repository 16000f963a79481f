/** `querycop dsql rules|migrate`: what Aurora DSQL refuses, and the way there from MySQL. */
import type { ArgsDef } from "citty";
import { visibleText } from "../base/visible-text.ts";
import { parseAuditLine } from "../policy/tools/audit-texts.ts";
import { loadDsqlRules } from "../server/dsql-rules.ts";
import { parseMysqlSchema } from "../sql/migration/ddl-parser.ts";
import { toDsql } from "../sql/migration/dsql-schema.ts";
import { doubtsOf, renderSchema, renderTraffic, summaryOf } from "../sql/migration/report.ts";
import { TrafficCheck } from "../sql/migration/traffic.ts";
import type { DsqlRule } from "../sql/postgres/dsql/rule.ts";
import type { DsqlRuleSet } from "../sql/postgres/dsql/rule-set.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import { type CommandIo, EXIT_FAILED, EXIT_OK, UsageError } from "./command-io.ts";
import type { CommandHelp } from "./help.ts";
import { auditLinesOf, readText, required } from "./policy-source.ts";

export const dsqlHelp: CommandHelp = {
  name: "dsql",
  summary: "What Aurora DSQL refuses, and the way there from MySQL",
  example: "  querycop dsql migrate schema.sql > new.sql",
  text: [
    "  dsql rules                   What Aurora DSQL refuses, when that was last seen, and what to do instead",
    "  dsql migrate SCHEMA          MySQL's CREATE TABLEs as statements of Aurora DSQL, with a decision for every column",
    "  dsql migrate --audit AUDIT   Which statements of recorded MySQL traffic would not run there, how often, and why",
    "SCHEMA and AUDIT may be - for standard input. Nothing is sent anywhere.",
  ].join("\n"),
  options: [
    ["--rules FILE", "Rules in place of built-in ones; default GATEKEEPER_DSQL_RULES_FILE"],
    ["--audit AUDIT", "migrate: an audit log in place of a schema"],
    ["--json", "Print JSON; of rules, as a file of rules has it"],
  ],
  settings: "none",
};

export const dsqlArguments: ArgsDef = {
  verb: { type: "positional", required: true, valueHint: "rules|migrate" },
  file: { type: "positional", required: false },
  audit: { type: "string" },
  rules: { type: "string" },
  json: { type: "boolean" },
};

type Arguments = Readonly<Record<string, unknown>>;

const VERBS: Readonly<Record<string, (args: Arguments, io: CommandIo) => Promise<number>>> = {
  rules: printRules,
  migrate,
};

export async function runDsql(args: Arguments, io: CommandIo): Promise<number> {
  const verbs = Object.keys(VERBS).join(", ");
  const verb = VERBS[required(args["verb"], `one of ${verbs}`)];
  if (verb === undefined) throw new UsageError(`expected one of ${verbs}, got ${JSON.stringify(args["verb"])}`);
  return await verb(args, io);
}

/** Of --rules, of the environment, or as built in. */
function rulesOf(args: Arguments, io: CommandIo) {
  const file = typeof args["rules"] === "string" ? args["rules"] : io.env["GATEKEEPER_DSQL_RULES_FILE"];
  try {
    return loadDsqlRules(file === "" ? undefined : file, Date.now());
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function migrate(args: Arguments, io: CommandIo): Promise<number> {
  const { audit, file } = args;
  const rules = rulesOf(args, io);
  await loadParser();
  if (typeof audit === "string") return await migrateTraffic(audit, rules, args, io);
  const path = required(file, "a file of MySQL's CREATE TABLE statements, or --audit");
  const schema = parseMysqlSchema(await schemaText(path, io));
  if (schema.tables.length === 0 && schema.unread.length === 0) throw new UsageError("there is no CREATE TABLE in it");
  const written = toDsql(schema);
  const doubts = doubtsOf(written, rules);
  if (args["json"] === true) {
    io.stdout(`${JSON.stringify({ ...written, unread: schema.unread, doubts }, null, 2)}\n`);
  } else io.stdout(renderSchema(schema, written));
  io.stderr(`${summaryOf(written)}\n`);
  for (const { sql, rules: broken } of doubts) {
    const why = broken.length === 0 ? "PostgreSQL's grammar does not take it" : broken.map(({ id }) => id).join(", ");
    io.stderr(`would be refused (${why}): ${visibleText(sql.slice(0, SQL_SHOWN))}\n`);
  }
  for (const { name, why } of schema.unread) io.stderr(`not read: ${visibleText(`${name}: ${why}`)}\n`);
  return doubts.length + schema.unread.length > 0 ? EXIT_FAILED : EXIT_OK;
}

const SQL_SHOWN = 200;
const SCHEMA_BYTES_MAX = 64 * 1024 * 1024;

async function schemaText(path: string, io: CommandIo): Promise<string> {
  if (path !== "-") return readText(path);
  const input = await io.readStdin(SCHEMA_BYTES_MAX);
  if (input === undefined) throw new UsageError("standard input is a terminal: pipe the schema in");
  if (input.length > SCHEMA_BYTES_MAX) throw new UsageError(`the schema is longer than ${SCHEMA_BYTES_MAX} bytes`);
  return new TextDecoder().decode(input);
}

/** Every statement that was sent. 1 where one of them would not run. */
async function migrateTraffic(path: string, rules: DsqlRuleSet, args: Arguments, io: CommandIo): Promise<number> {
  const check = new TrafficCheck(rules);
  for await (const line of auditLinesOf(path, io)) {
    const parsed = parseAuditLine(line);
    if (parsed.kind === "without-text") check.take(undefined);
    if (parsed.kind === "statement" && parsed.statement.hasRun) check.take(parsed.statement.text);
    if (io.stopped?.aborted === true) break;
  }
  const { statements, withoutText, others } = check;
  const rows = check.rows();
  if (args["json"] === true) io.stdout(`${JSON.stringify({ statements, withoutText, others, rows }, null, 2)}\n`);
  else io.stdout(renderTraffic(check));
  return rows.some(({ obstacles }) => obstacles.length > 0) ? EXIT_FAILED : EXIT_OK;
}

async function printRules(args: Arguments, io: CommandIo): Promise<number> {
  const set = rulesOf(args, io);
  if (args["json"] === true) {
    io.stdout(`${JSON.stringify({ rules: set.rules }, null, 2)}\n`);
    return EXIT_OK;
  }
  const holding = set.rules.filter(({ id }) => set.holds(id));
  const ended = set.rules.filter(({ id }) => !set.holds(id));
  io.stdout(holding.map(renderRule).join("\n"));
  if (ended.length > 0) io.stdout(`\nRefused once, and not any more:\n${ended.map(renderEnded).join("")}`);
  return EXIT_OK;
}

function renderRule({ id, title, seen, source, sqlState, message, instead }: DsqlRule): string {
  return `${id} (${sqlState}, seen ${seen})\n  ${title}\n  says:    ${message}\n  instead: ${instead}\n  source:  ${source}\n`;
}

const renderEnded = ({ id, title, until, source }: DsqlRule): string => `  ${until} ${id}: ${title} (${source})\n`;
