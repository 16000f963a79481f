/** The tenant rule: a statement on a shared table must pick one tenant with `column = value`, in every read and write. */

import {
  type Operand,
  type Predicate,
  ROWS_LISTED_MAX,
  type StatementFacts,
  type TableReference,
} from "../sql/facts.ts";
import { isExecuted } from "./effects.ts";
import { mayMatchTable, type TenantRule } from "./policy.ts";
import { tablesOf, tableText } from "./policy-tests.ts";
import type { Evidence, RuleInput } from "./rule.ts";

/** Kinds that read or change rows. Definitions are left to the ddl rules; TRUNCATE takes every tenant's rows. */
const ROW_KINDS: ReadonlySet<string> = new Set([
  "select",
  "table",
  "handler-open",
  "handler-read",
  "insert",
  "insert-select",
  "replace",
  "replace-select",
  "update",
  "update-multi",
  "delete",
  "delete-multi",
  "load-data",
  "load-xml",
  "truncate",
  "do",
  "set",
]);

export function findTenant(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const { tenants } = input.settings;
  if (tenants.length === 0 || !isExecuted(statement)) return undefined;
  for (const rule of tenants) {
    for (const table of tablesOf(statement)) {
      if (!rule.tables.some((pattern) => mayMatchTable(pattern, table.schema, table.table))) continue;
      const evidence = judgeTable(statement, table, rule, input.hasValues === true);
      if (evidence !== undefined) return evidence;
    }
  }
  return undefined;
}

function judgeTable(
  statement: StatementFacts,
  table: TableReference,
  rule: TenantRule,
  hasValues: boolean,
): Evidence | undefined {
  const isWritten = statement.tablesWritten.includes(table);
  if (isWritten && !ROW_KINDS.has(statement.kind)) return undefined;
  const text = tableText(table);
  if (isWritten && (statement.kind.startsWith("insert") || statement.kind.startsWith("replace"))) {
    return judgeInsert(statement, table, rule, hasValues);
  }
  if (isWritten && reassignsTenant(statement, rule)) {
    return evidenceAt(table, 80, `${rule.column} of ${text} must not be changed`);
  }
  const found = statement.predicates.filter((predicate) => picksTenant(statement, predicate, table, rule));
  if (found.length === 0) return evidenceAt(table, 40, `${text} needs ${rule.column} = … joined with AND`);
  if (rule.value === undefined || found.some(({ operand }) => isOwnValue(operand, rule.value, hasValues))) {
    return undefined;
  }
  return evidenceAt(table, 80, `${rule.column} of ${text} is another tenant`);
}

/** A column is held by the table it is equal to; a parameter is judged when the statement runs. */
function isOwnValue(operand: Operand, wanted: string | undefined, hasValues: boolean): boolean {
  if (operand.type === "number" || operand.type === "string") return operand.text === wanted;
  return operand.type !== "parameter" || !hasValues;
}

const evidenceAt = (table: TableReference, points: number, reason: string): Evidence => ({
  points,
  start: table.start,
  end: table.end,
  reason,
  action: "block",
});

/** SAFETY: an INSERT must name the tenant column; without a column list nothing can be said about the values. */
function judgeInsert(
  statement: StatementFacts,
  table: TableReference,
  rule: TenantRule,
  hasValues: boolean,
): Evidence | undefined {
  const { column, value } = rule;
  const names = statement.columns.filter(({ clause }) => clause === "insert-columns" || clause === "set");
  if (!names.some(({ name }) => name.toLowerCase() === column)) {
    return evidenceAt(table, 40, `INSERT into ${tableText(table)} must name the column ${column}`);
  }
  const assigned = statement.assignments.filter((assignment) => assignment.column.toLowerCase() === column);
  if (assigned.some(({ clause }) => clause === "on-duplicate")) {
    return evidenceAt(table, 80, `${column} must not change on a duplicate key`);
  }
  if (value === undefined) return undefined;
  const known = assigned.filter(({ clause }) => clause === "values" || clause === "set");
  if (known.some(({ operand }) => !isOwnLiteral(operand, value, hasValues))) {
    return evidenceAt(table, 80, `${column} of ${tableText(table)} is another tenant`);
  }
  return isEveryRowKnown(statement, known.length, column)
    ? undefined
    : evidenceAt(table, 40, `it is not certain which ${column} the rows for ${tableText(table)} have`);
}

/** In VALUES every row is listed, or like the last one that is; rows that a query makes are not known. */
function isEveryRowKnown(statement: StatementFacts, known: number, column: string): boolean {
  if (known === 0 || statement.kind.endsWith("-select") || statement.unionBranches > 0) return false;
  if (statement.unlistedColumns.some((name) => name.toLowerCase() === column)) return false;
  return known >= Math.min(statement.valuesRows, ROWS_LISTED_MAX);
}

/** The value itself, or a parameter, which is judged when the statement runs. */
function isOwnLiteral(operand: Operand, wanted: string, hasValues: boolean): boolean {
  if (operand.type === "number" || operand.type === "string") return operand.text === wanted;
  return operand.type === "parameter" && !hasValues;
}

function reassignsTenant(statement: StatementFacts, rule: TenantRule): boolean {
  return (
    statement.kind.startsWith("update") &&
    statement.columns.some(({ name, clause }) => clause === "set" && name.toLowerCase() === rule.column)
  );
}

/** True when the predicate holds the table to one tenant: by a value, or by equality with a table already held. */
function picksTenant(
  statement: StatementFacts,
  predicate: Predicate,
  table: TableReference,
  rule: TenantRule,
  depth = 0,
): boolean {
  if (!predicate.isConjunct || predicate.operator !== "=" || predicate.block !== table.block) return false;
  if (predicate.column.toLowerCase() !== rule.column || !namesTable(statement, predicate, table)) return false;
  const { type, text } = predicate.operand;
  if (type === "number" || type === "string" || type === "parameter") return true;
  if (type !== "column" || text === undefined || depth > 4) return false;
  const other = tableOfColumn(statement, text, rule, table.block);
  if (other === undefined || other === table) return false;
  return statement.predicates.some((candidate) => picksTenant(statement, candidate, other, rule, depth + 1));
}

function namesTable(statement: StatementFacts, predicate: Predicate, table: TableReference): boolean {
  const qualifier = predicate.qualifier?.split(".").at(-1)?.toLowerCase();
  if (qualifier !== undefined) return qualifier === (table.alias ?? table.table).toLowerCase();
  const inBlock = new Set<TableReference>();
  for (const reference of tablesOf(statement)) if (reference.block === table.block) inBlock.add(reference);
  const names = new Set([...inBlock].map((reference) => (reference.alias ?? reference.table).toLowerCase()));
  return names.size === 1;
}

/** The table that "alias.tenant_id" means: in the same block, else in the blocks around it. */
function tableOfColumn(
  statement: StatementFacts,
  text: string,
  rule: TenantRule,
  block: number,
): TableReference | undefined {
  const parts = text.toLowerCase().split(".");
  if (parts.length < 2 || parts.at(-1) !== rule.column) return undefined;
  const qualifier = parts.at(-2);
  for (let at: number | undefined = block; at !== undefined; at = statement.blocks[at]?.parent) {
    for (const table of tablesOf(statement)) {
      if (table.block === at && (table.alias ?? table.table).toLowerCase() === qualifier) return table;
    }
  }
  return undefined;
}
