/** What a migration comes to, for people: the schema as SQL with its decisions, and traffic as a list. */
import { encodeUtf8 } from "../../base/bytes.ts";
import { visibleText } from "../../base/visible-text.ts";
import type { DsqlRule } from "../postgres/dsql/rule.ts";
import type { DsqlRuleSet } from "../postgres/dsql/rule-set.ts";
import type { Decision, DsqlSchema, DsqlStatement } from "./dsql-schema.ts";
import type { MysqlSchema } from "./mysql-schema.ts";
import type { TrafficCheck } from "./traffic.ts";

/** A statement that the rules say would be refused. */
export interface Doubt {
  readonly sql: string;
  /** Empty where PostgreSQL's grammar does not take it. */
  readonly rules: readonly DsqlRule[];
}

/** The parser must be loaded. Empty where grammar and rules take every statement. */
export function doubtsOf({ statements }: Pick<DsqlSchema, "statements">, rules: DsqlRuleSet): readonly Doubt[] {
  return statements.flatMap(({ sql }) => {
    const check = rules.check(encodeUtf8(sql));
    if (check.kind === "unread") return [{ sql, rules: [] }];
    return check.broken.length === 0 ? [] : [{ sql, rules: check.broken }];
  });
}

/** SQL that can be run as it is, a statement at a time, with the decisions in comments in front of each table. */
export function renderSchema(schema: MysqlSchema, { statements, decisions }: DsqlSchema): string {
  const lines = [
    "-- Aurora DSQL takes one DDL statement by itself: run them one by one, outside of a transaction (psql without -1).",
    "-- Where a statement answers with a job_id, it goes on in the background: CALL sys.wait_for_job('job_id').",
  ];
  for (const { name, why } of schema.unread) lines.push(`-- NOT READ: ${name}: ${why}`);
  const told = new Set<string>();
  for (const { sql, table } of statements) {
    if (table !== undefined && !told.has(table) && told.add(table)) lines.push("", ...tableLines(table, decisions));
    lines.push(sql);
  }
  const rest = decisions.filter(({ table }) => !told.has(table));
  if (rest.length > 0) lines.push("", "-- Left out:", ...rest.map(decisionLine));
  return `${lines.join("\n")}\n`;
}

function tableLines(table: string, decisions: readonly Decision[]): readonly string[] {
  const own = decisions.filter((decision) => decision.table === table);
  return [`-- ${oneLine(table)}`, ...own.map(decisionLine)];
}

const MARKS = { same: "=", changed: "~", lost: "!" } as const;

function decisionLine({ subject, from, to, verdict, why }: Decision): string {
  const arrow = to === undefined ? "left out" : oneLine(to);
  return `--   ${MARKS[verdict]} ${oneLine(subject)}: ${oneLine(from)} -> ${arrow}: ${why}`;
}

/** A comment ends with its line. */
const oneLine = (text: string): string => visibleText(text.replaceAll(/\s+/g, " ").trim());

export function summaryOf({ decisions, statements }: DsqlSchema): string {
  const count = (verdict: Decision["verdict"]): number => decisions.filter((one) => one.verdict === verdict).length;
  const tables = statements.filter(({ sql }: DsqlStatement) => sql.startsWith("CREATE TABLE")).length;
  return `${tables} tables, ${statements.length} statements; ${count("same")} decisions mean the same, ${count("changed")} behave otherwise, ${count("lost")} have no equal`;
}

export function renderTraffic(check: TrafficCheck): string {
  const rows = check.rows();
  const stopped = rows.filter(({ obstacles }) => obstacles.length > 0);
  const count = (of: typeof rows): number => of.reduce((sum, row) => sum + row.count, 0);
  const lines = [
    `${check.statements} statements of ${rows.length} forms: ${count(stopped)} of ${stopped.length} forms would not run on Aurora DSQL as they are`,
  ];
  if (check.withoutText > 0) lines.push(`${check.withoutText} have no text in their record`);
  if (check.others > 0) lines.push(`${check.others} of further forms were not looked at`);
  for (const { digest, count: times, obstacles } of stopped) {
    lines.push("", `${times} x ${oneLine(digest).slice(0, DIGEST_SHOWN)}`);
    for (const { id, why } of obstacles) lines.push(`    ${id}: ${why}`);
  }
  return `${lines.join("\n")}\n`;
}

const DIGEST_SHOWN = 400;
