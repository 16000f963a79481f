/** What a second parser's view of a text adds to ours: it may only add, because it overlooks and misreads much. */

import type { Analysis, ColumnReference, Finding, Reading, StatementFacts, StatementKind } from "../facts.ts";
import { foldName } from "../mysql/names/names.ts";
import type { ParsedText } from "./parse-worker.ts";

/** What the parser says about the first reading. */
export interface Advice {
  /**
   * `agrees`, `disagrees`: the parser understood the text. `refused`: it did not, which means nothing. `skipped`: not
   * asked, because the text is no data statement, too long or nested. `timeout`, `busy`: no answer in time.
   */
  readonly outcome: "agrees" | "disagrees" | "refused" | "skipped" | "timeout" | "busy";
  readonly disagreements: readonly Disagreement[];
  /** Columns that only the parser saw. */
  readonly columns: readonly AdvisedColumn[];
}

export interface Disagreement {
  readonly about: "statement" | "count" | "table" | "write" | "function" | "query" | "where";
  /** Names and kinds only, never a literal of the statement. */
  readonly detail: string;
}

export interface AdvisedColumn {
  readonly name: string;
  readonly table: string | undefined;
}

/** The parser's word for the kinds that it is asked about. */
const PARSER_TYPES: ReadonlyMap<StatementKind, string> = new Map([
  ["select", "select"],
  ["insert", "insert"],
  ["insert-select", "insert"],
  ["replace", "replace"],
  ["replace-select", "replace"],
  ["update", "update"],
  ["update-multi", "update"],
  ["delete", "delete"],
  ["delete-multi", "delete"],
]);

const DETAILS_MAX = 8;
const COLUMNS_MAX = 32;
const NAME_CHARACTERS_MAX = 64;

/** Advice that adds nothing. */
export function adviceWithout(outcome: Advice["outcome"]): Advice {
  return { outcome, disagreements: [], columns: [] };
}

/** Longer texts are not asked about: comments, blanks and literals make a text longer than its canonical form. */
const SQL_BYTES_MAX = 16_384;
const TOKENS_MAX = 4096;

/** Whether the text is one short statement of rows that our walk has understood: nothing else is asked about. */
export function isWorthAsking(analysis: Analysis): boolean {
  const first = analysis.statements[0];
  if (analysis.sql.length > SQL_BYTES_MAX || analysis.tokenCount > TOKENS_MAX) return false;
  if (first === undefined || !analysis.understood || !PARSER_TYPES.has(first.kind)) return false;
  return analysis.statements.length === 1;
}

/**
 * What the parser saw and the walk did not. The other way round says nothing: the parser overlooks much. Words that are
 * not among the text's `names` are the language's, which the parser takes for functions (ANY) or columns (WEEK) at times.
 */
export function compare(analysis: Analysis, parsed: ParsedText, names: ReadonlySet<string>): Advice {
  const statement = analysis.statements[0];
  if (statement === undefined) return adviceWithout("skipped");
  const disagreements: Disagreement[] = [];
  const add = (about: Disagreement["about"], detail: string) => {
    if (disagreements.length === DETAILS_MAX) return;
    disagreements.push({ about, detail: detail.slice(0, NAME_CHARACTERS_MAX) });
  };
  const type = PARSER_TYPES.get(statement.kind);
  if (parsed.type !== type) add("statement", parsed.type);
  if (parsed.statements !== 1) add("count", String(parsed.statements));
  compareTables(statement, parsed, add);
  const called = new Set(statement.functions.map(({ name }) => name));
  for (const name of parsed.functions) {
    if (!called.has(name) && names.has(foldName(name))) add("function", name);
  }
  if (parsed.queries > statement.blocks.length) add("query", String(parsed.queries));
  const isWrite = type === "update" || type === "delete";
  if (isWrite && statement.where !== "absent" && !parsed.hasWhere) add("where", "absent");
  return {
    outcome: disagreements.length > 0 ? "disagrees" : "agrees",
    disagreements,
    columns: newColumns(statement, parsed, names),
  };
}

function compareTables(
  statement: StatementFacts,
  parsed: ParsedText,
  add: (about: Disagreement["about"], detail: string) => void,
) {
  const known = tableNames(statement);
  // It takes every table of an UPDATE or DELETE of several tables for one that is written.
  const isMulti = statement.kind.endsWith("-multi");
  const written = new Set(statement.tablesWritten.map(({ table }) => foldName(table)));
  for (const entry of parsed.tables) {
    const [action = "", , table = ""] = entry.split("::");
    const name = foldName(table);
    if (!known.has(name)) add("table", table);
    else if (action !== "select" && !isMulti && !written.has(name)) add("write", table);
  }
}

/** Everything that the parser may take for a table: tables, their aliases, CTEs and derived tables. */
function tableNames({ tablesRead, tablesWritten, columns, cteNames }: StatementFacts): Set<string> {
  const names = new Set<string>(["null", "dual"]);
  for (const name of cteNames) names.add(foldName(name));
  for (const { table, alias } of [...tablesRead, ...tablesWritten]) {
    names.add(foldName(table));
    if (alias !== undefined) names.add(foldName(alias));
  }
  for (const { qualifier } of columns) if (qualifier !== undefined) names.add(foldName(qualifier));
  return names;
}

function newColumns(
  statement: StatementFacts,
  parsed: ParsedText,
  names: ReadonlySet<string>,
): readonly AdvisedColumn[] {
  const known = new Set(statement.columns.map(({ name }) => foldName(name)));
  const added: AdvisedColumn[] = [];
  for (const entry of parsed.columns) {
    const [, table = "null", name = ""] = entry.split("::");
    const lower = foldName(name);
    if (known.has(lower) || !names.has(lower) || lower.length > NAME_CHARACTERS_MAX) continue;
    if (added.length === COLUMNS_MAX) break;
    known.add(lower);
    added.push({ name, table: table === "null" ? undefined : table });
  }
  return added;
}

/** Whether a decision may change when it knows of the advice. */
export function addsFacts({ disagreements, columns }: Advice): boolean {
  return disagreements.length > 0 || columns.length > 0;
}

/** The analysis with what the parser saw besides. Nothing is taken away. */
export function withAdvice(analysis: Analysis, advice: Advice): Analysis {
  const [first, ...others] = analysis.readings;
  const statement = first?.statements[0];
  if (first === undefined || statement === undefined || !addsFacts(advice)) return analysis;
  const { start, end } = statement;
  const columns = advice.columns.map(
    ({ name, table }): ColumnReference => ({
      name,
      table,
      qualifier: undefined,
      clause: "other",
      block: 0,
      start,
      end,
    }),
  );
  const reading: Reading = {
    ...first,
    findings: [...first.findings, ...findingsOf(advice, statement)],
    statements: [{ ...statement, columns: [...statement.columns, ...columns] }, ...first.statements.slice(1)],
  };
  return { ...analysis, ...reading, readings: [reading, ...others] };
}

function findingsOf({ disagreements }: Advice, { start, end }: StatementFacts): readonly Finding[] {
  if (disagreements.length === 0) return [];
  const count = disagreements.length;
  const detail = disagreements.map((one) => `${one.about} ${one.detail}`).join(", ");
  const found: Finding[] = [{ what: "second-opinion", statement: 0, start, end, count, detail }];
  if (disagreements.some(({ about }) => about === "where")) {
    found.push({ what: "write-without-where", statement: 0, start, end, count: 1, detail: undefined });
  }
  return found;
}
