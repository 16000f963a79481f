/** The tenant rule: a statement on a shared table must pick one tenant with `column = value`, in every read and write. */

import type { Operand, PlacedColumn, Predicate, SqlContext, StatementFacts, TableReference } from "../../sql/facts.ts";
import { ROWS_LISTED_MAX } from "../../sql/facts.ts";
import { isAscii, isSameName, mayBeSameName } from "../../sql/mysql/names/names.ts";
import { mayMatchTable, surelyMatchesTable, type TenantRule } from "../policy.ts";
import { handedOver, mayBeHandedOver } from "./handed-over.ts";
import { lostSchema, mayBeIn, tableText } from "./policy-tests.ts";
import type { Evidence, RuleInput } from "./rule.ts";
import { findShownValues } from "./value-catalogs.ts";

/** They tell of a table what holds for every tenant: its columns and keys. */
const METADATA_KINDS: ReadonlySet<string> = new Set(["show", "describe"]);

/** They write a table and leave it, its name and everybody's rows as they are. */
const HARMLESS_DEFINITIONS: ReadonlySet<string> = new Set([
  "create-index",
  "drop-index",
  "optimize-table",
  "repair-table",
  "cache-index",
  "load-index",
]);

/** They read or change rows, which a condition can pick. */
const ROW_KINDS: ReadonlySet<string> = new Set([
  "select",
  "update",
  "update-multi",
  "delete",
  "delete-multi",
  "load-data",
  "load-xml",
  "truncate",
]);

export function findTenant(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const { tenants } = input.settings;
  if (tenants.length === 0) return undefined;
  const opened = handedOver(statement, input.subject);
  for (const rule of tenants) {
    const shown = findShownValues(statement, input, (table) => rule.tables.some((one) => one.table.mayMatch(table)));
    if (shown !== undefined) return evidenceAt(shown, 80, "it may show rows of other tenants");
    const lost = lostSchema(statement);
    if (lost !== undefined && rule.tables.some((pattern) => mayBeIn(pattern, lost))) {
      return evidenceAt(lost, 80, `${lost.name} may hold rows of other tenants`);
    }
    if (opened !== undefined && rule.tables.some((pattern) => mayBeHandedOver(pattern, opened))) {
      return evidenceAt(opened, 80, "it may hand over privileges on rows of other tenants");
    }
    const evidence = judgeTables(statement, rule, input);
    if (evidence !== undefined) return evidence;
  }
  return undefined;
}

function judgeTables(statement: StatementFacts, rule: TenantRule, input: RuleInput): Evidence | undefined {
  const { tablesRead, tablesWritten, kind } = statement;
  if (!input.steps.spend(tablesRead.length + tablesWritten.length)) return undefined;
  const isOf = ({ schema, table }: TableReference): boolean =>
    rule.tables.some((pattern) => mayMatchTable(pattern, schema, table));
  const read = METADATA_KINDS.has(kind) ? [] : tablesRead.filter(isOf);
  const written = tablesWritten.filter(isOf);
  if (read.length + written.length === 0) return undefined;
  const held = new HeldTables(statement, rule, input);
  for (const table of written) {
    const evidence = judgeWritten(statement, table, rule, held, input);
    if (evidence !== undefined) return evidence;
  }
  for (const table of read) {
    const evidence = judgeRows(table, rule, held);
    if (evidence !== undefined) return evidence;
  }
  return undefined;
}

function judgeWritten(
  statement: StatementFacts,
  table: TableReference,
  rule: TenantRule,
  held: HeldTables,
  input: RuleInput,
): Evidence | undefined {
  if (isInsert(statement)) return judgeInsert(statement, table, rule, input);
  if (!ROW_KINDS.has(statement.kind)) return judgeDefinition(statement, table);
  if (reassignsTenant(statement, rule, input)) {
    return evidenceAt(table, 80, `${rule.column} of ${tableText(table)} must not be changed`);
  }
  return judgeRows(table, rule, held);
}

function judgeRows(table: TableReference, rule: TenantRule, held: HeldTables): Evidence | undefined {
  if (held.has(table)) return undefined;
  const text = tableText(table);
  return held.isAnother(table)
    ? evidenceAt(table, 80, `${rule.column} of ${text} is another tenant${typeHint(rule)}`)
    : evidenceAt(table, 40, `${text} needs ${rule.column} = … joined with AND`);
}

const typeHint = ({ isText, value }: TenantRule): string =>
  value === undefined || !isText ? "" : ", or its value is not written as a string";

const isInsert = ({ kind }: StatementFacts): boolean => kind.startsWith("insert") || kind.startsWith("replace");

const evidenceAt = (place: { start: number; end: number }, points: number, reason: string): Evidence => ({
  points,
  start: place.start,
  end: place.end,
  reason,
  action: "block",
});

/**
 * Definitions that leave the table where it is and the rows as they are pass; whatever renames, replaces, empties or
 * exchanges it, or runs at other tenants' changes of it, is for a user without this rule.
 */
function judgeDefinition({ kind, modifiers }: StatementFacts, table: TableReference): Evidence | undefined {
  if (HARMLESS_DEFINITIONS.has(kind)) return undefined;
  const has = (modifier: StatementFacts["modifiers"][number]): boolean => modifiers.includes(modifier);
  if (kind === "alter-table" && has("adds-only") && !has("ignore")) return undefined;
  const replaces = has("or-replace") || has("temporary") || has("as-select") || has("merge-tables");
  if (kind === "create-table" && !replaces) return undefined;
  return evidenceAt(table, 80, `${kind} of ${tableText(table)} concerns every tenant's rows`);
}

/** Which mentions of tables are held to one tenant: by a value, or by being equal to one that is. */
class HeldTables {
  readonly #own = new Set<TableReference>();
  readonly #another = new Set<TableReference>();

  constructor(statement: StatementFacts, rule: TenantRule, input: RuleInput) {
    /** By table: the tables that are held as soon as it is. */
    const links = new Map<TableReference, TableReference[]>();
    const { predicates } = statement;
    if (!input.steps.spend(predicates.length)) return;
    for (const predicate of predicates) this.#note(predicate, rule, input, links);
    const reached = [...this.#own];
    for (let table = reached.pop(); table !== undefined; table = reached.pop()) {
      if (!isShared(table, rule, input)) continue;
      for (const other of links.get(table) ?? []) {
        if (this.#own.has(other)) continue;
        this.#own.add(other);
        reached.push(other);
      }
    }
  }

  has(table: TableReference): boolean {
    return this.#own.has(table);
  }

  /** Held, but not to the value that the policy names. */
  isAnother(table: TableReference): boolean {
    return this.#another.has(table);
  }

  #note(predicate: Predicate, rule: TenantRule, input: RuleInput, links: Map<TableReference, TableReference[]>): void {
    const { operator, operand } = predicate;
    if (operator !== "=") return;
    const left = ofTenant(predicate.ofColumn, rule);
    if (left?.isHeld === true && isOneValue(operand)) {
      (isOwnValue(operand, rule, input) ? this.#own : this.#another).add(left.table);
      return;
    }
    const right = ofTenant(predicate.ofOperand, rule);
    if (left === undefined || right === undefined || left.table === right.table) return;
    if (left.isHeld) link(links, right.table, left.table);
    if (right.isHeld) link(links, left.table, right.table);
  }
}

function ofTenant(placed: PlacedColumn | undefined, { column }: TenantRule): PlacedColumn | undefined {
  return placed !== undefined && isSameName(placed.column, column) ? placed : undefined;
}

function link(links: Map<TableReference, TableReference[]>, from: TableReference, to: TableReference): void {
  const known = links.get(from);
  if (known === undefined) links.set(from, [to]);
  else known.push(to);
}

/** SAFETY: only columns of one rule are of one type; equality with any other column need not be exact. */
const isShared = (table: TableReference, { tables }: TenantRule, { subject }: RuleInput): boolean =>
  tables.some((pattern) => surelyMatchesTable(pattern, table, subject));

const isOneValue = ({ type }: Operand): boolean => type === "number" || type === "string" || type === "parameter";

/**
 * The value itself, or a parameter, which is judged when the statement runs.
 * SAFETY: a number is compared with a column of text as a number, so that '7-eu' and '07' are equal to 7. A string that
 * is compared with a column of numbers is exact, as long as it is spelled as the value is.
 */
function isOwnValue(operand: Operand, { value, isText }: TenantRule, { analysis, hasValues }: RuleInput): boolean {
  if (value === undefined) return true;
  if (operand.type === "parameter") return hasValues !== true;
  if (operand.text !== value) return false;
  if (operand.type === "number") return !isText;
  if (operand.type !== "string" || operand.isIntroduced === true) return false;
  return isAscii(value) || isUtf8(analysis.context);
}

/** SAFETY: an INSERT must name the tenant column; without a column list nothing can be said about the values. */
function judgeInsert(
  statement: StatementFacts,
  table: TableReference,
  rule: TenantRule,
  input: RuleInput,
): Evidence | undefined {
  const { column, value } = rule;
  const { columns, assignments, modifiers, kind } = statement;
  if (!input.steps.spend(columns.length + assignments.length)) return undefined;
  const names = columns.filter(({ clause }) => clause === "insert-columns" || clause === "set");
  if (!names.some(({ name }) => isSameName(name, column))) {
    return evidenceAt(table, 40, `INSERT into ${tableText(table)} must name the column ${column}`);
  }
  if (assignments.some((one) => one.clause === "on-duplicate" && mayBeSameName(one.column, column))) {
    return evidenceAt(table, 80, `${column} must not change on a duplicate key`);
  }
  const overwrites = kind.startsWith("replace") || modifiers.includes("on-duplicate-key-update");
  if (overwrites && modifiers.includes("returning")) {
    return evidenceAt(table, 80, `RETURNING may show another tenant's row of ${tableText(table)}`);
  }
  if (value === undefined) return undefined;
  const known = assignments.filter(
    (one) => (one.clause === "values" || one.clause === "set") && isSameName(one.column, column),
  );
  if (known.some(({ operand }) => !isOwnValue(operand, rule, input))) {
    return evidenceAt(table, 80, `${column} of ${tableText(table)} is another tenant${typeHint(rule)}`);
  }
  return isEveryRowKnown(statement, known.length, column)
    ? undefined
    : evidenceAt(table, 40, `it is not certain which ${column} the rows for ${tableText(table)} have`);
}

/** In VALUES every row is listed, or like the last one that is; rows that a query makes are not known. */
function isEveryRowKnown(statement: StatementFacts, known: number, column: string): boolean {
  if (known === 0 || statement.kind.endsWith("-select") || statement.unionBranches > 0) return false;
  if (statement.unlistedColumns.some((name) => isSameName(name, column))) return false;
  return known >= Math.min(statement.valuesRows, ROWS_LISTED_MAX);
}

function reassignsTenant({ kind, columns }: StatementFacts, { column }: TenantRule, { steps }: RuleInput): boolean {
  if (!kind.startsWith("update") || !steps.spend(columns.length)) return false;
  return columns.some(({ name, clause }) => clause === "set" && mayBeSameName(name, column));
}

function isUtf8(context: SqlContext): boolean {
  return context.engine === "mysql" ? context.charset.startsWith("utf8") : context.clientEncoding === "UTF8";
}
