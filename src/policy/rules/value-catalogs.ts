/** Catalog tables and statements that show what rows hold, or the text of other statements, without naming the table. */

import type { StatementFacts, TableReference } from "../../sql/facts.ts";
import { isAscii, isSameName, mayBeSameName, possibleName } from "../../sql/mysql/names/names.ts";
import type { RuleInput } from "./rule.ts";

interface Place {
  readonly start: number;
  readonly end: number;
}

/** The column that tells which table a row is about; undefined where no column does. */
type TableColumn = string | undefined;

const CATALOGS = catalogs({
  information_schema: {
    // Histograms: values of a column and how often they occur.
    column_statistics: "table_name",
    optimizer_trace: undefined,
    innodb_ft_index_table: undefined,
    innodb_ft_index_cache: undefined,
    // Keys of the rows that are locked.
    innodb_locks: undefined,
    innodb_trx: undefined,
    query_cache_info: undefined,
  },
  mysql: {
    column_stats: "table_name",
    column_statistics: "table_name",
    general_log: undefined,
    slow_log: undefined,
  },
  performance_schema: {
    data_locks: undefined,
    events_statements_current: undefined,
    events_statements_history: undefined,
    events_statements_history_long: undefined,
    events_statements_summary_by_digest: undefined,
    prepared_statements_instances: undefined,
    user_variables_by_thread: undefined,
  },
  sys: { innodb_lock_waits: undefined, x$innodb_lock_waits: undefined },
  // PostgreSQL: values of columns and how often they occur, texts of statements, and pages of large objects.
  pg_catalog: {
    pg_stats: "tablename",
    pg_stats_ext: "tablename",
    pg_stats_ext_exprs: "tablename",
    pg_statistic: undefined,
    pg_statistic_ext_data: undefined,
    pg_stat_activity: undefined,
    pg_largeobject: undefined,
  },
  public: { pg_stat_statements: undefined },
});

type Catalogs = ReadonlyMap<string, ReadonlyMap<string, TableColumn>>;

function catalogs(tables: Readonly<Record<string, Readonly<Record<string, TableColumn>>>>): Catalogs {
  return new Map(Object.entries(tables).map(([schema, columns]) => [schema, new Map(Object.entries(columns))]));
}

/** SHOW ENGINE … STATUS prints rows of deadlocks; SHOW EXPLAIN and SHOW ANALYZE the plan of another session's statement. */
const SHOW_WORDS = /^(?:ENGINE$|ENGINE |INNODB |BINLOG |RELAYLOG |EXPLAIN |ANALYZE )/;

/** Procedures of sys that make views of all tables of a schema, and those that show statements of others. */
const COPYING_PROCEDURES: ReadonlySet<string> = new Set(["create_synonym_db"]);
const SHOWING_PROCEDURES: ReadonlySet<string> = new Set([
  "diagnostics",
  "ps_trace_statement_digest",
  "ps_trace_thread",
]);

/**
 * Where the statement reads what may hold values of a table that `isProtected`. With `isAnyText` also what shows the
 * plans and texts of other statements, in which values of any table may stand.
 */
export function findShownValues(
  statement: StatementFacts,
  { steps }: RuleInput,
  isProtected: (table: string) => boolean,
  isAnyText = true,
): Place | undefined {
  for (const reference of statement.tablesRead) {
    if (!steps.spend(1)) return undefined;
    const column = catalogColumn(reference);
    if (column === null || (column === undefined && !isAnyText)) continue;
    if (column === undefined || !steps.spend(statement.predicates.length)) return reference;
    if (!isAboutOthers(statement, reference, column, isProtected)) return reference;
  }
  return copiesTables(statement) || (isAnyText && showsTexts(statement)) ? statement : undefined;
}

const copiesTables = (statement: StatementFacts): boolean =>
  statement.kind === "call" && callsOne(statement, COPYING_PROCEDURES);

function showsTexts(statement: StatementFacts): boolean {
  const { kind, detail = "" } = statement;
  if (kind === "call") return callsOne(statement, SHOWING_PROCEDURES);
  return kind === "show" ? SHOW_WORDS.test(detail) : kind === "explain" && detail === "FOR CONNECTION";
}

const callsOne = ({ objects }: StatementFacts, names: ReadonlySet<string>): boolean =>
  objects.some(({ type, name }) => type === "procedure" && possibleName(names, name) !== undefined);

/** Null for a table that is none of these. SAFETY: without a schema it may be any. */
function catalogColumn({ schema, table }: TableReference): TableColumn | null {
  for (const [name, tables] of CATALOGS) {
    if (schema !== undefined && !mayBeSameName(schema, name)) continue;
    const found = possibleName(tables, table);
    if (found !== undefined) return tables.get(found);
  }
  return null;
}

/** `table_name = 'other'`, as dump tools ask. SAFETY: catalogs compare names beyond ASCII by rules of their own. */
function isAboutOthers(
  { predicates }: StatementFacts,
  reference: TableReference,
  column: string,
  isProtected: (table: string) => boolean,
): boolean {
  return predicates.some(({ operator, ofColumn, operand }) => {
    if (operator !== "=" || ofColumn?.table !== reference || !ofColumn.isHeld) return false;
    if (!isSameName(ofColumn.column, column) || operand.type !== "string" || operand.isIntroduced) return false;
    const { text = "" } = operand;
    return isAscii(text) && text.trimEnd() === text && !isProtected(text);
  });
}

/** Whether the verdict may depend on the name of a table in a literal. */
export function readsCatalogRows(statement: StatementFacts): boolean {
  return statement.tablesRead.some((reference) => typeof catalogColumn(reference) === "string");
}
