/** What is known only when a statement has been walked: whose column it was, what is written, what was left out. */

import type { FindingName } from "../../facts.ts";
import { foldName, mayBeSameName, NameSet, possibleName } from "../names/names.ts";
import type { BlockBuilder, StatementBuilder, TableDraft } from "../queries/statement-builder.ts";
import { addTable } from "../queries/tables.ts";
import type { Walker } from "../queries/walker.ts";
import { writesWholeTable } from "../queries/whole-writes.ts";

const JOINS_MAX = 8;
/** Tables of more than so many are not all compared with every name. */
const TABLES_COMPARED_MAX = 64;
const IN_LIST_MAX = 1000;
const OFFSET_MAX = 10_000;
const CATALOG_JOINS = 3;

const SYSTEM_SCHEMAS: ReadonlySet<string> = new Set(["information_schema", "performance_schema", "sys", "mysql"]);
const ACCOUNT_TABLES: ReadonlySet<string> = new Set(
  "user db proc procs_priv tables_priv columns_priv global_grants global_priv proxies_priv role_edges default_roles password_history servers".split(
    " ",
  ),
);

/** Tables of the schema mysql that hold the same on every server: zones of time, pages of help. */
const PUBLIC_TABLES = /^(?:time_zone|help_)/i;

/** Ends a statement of rows: resolves its names and adds the findings that depend on the whole. */
export function finishQuery(w: Walker): void {
  const { statement } = w;
  const { columns, predicates, blocks, tablesRead, tablesWritten } = statement;
  w.spend(columns.length + predicates.length + blocks.length + tablesRead.length + tablesWritten.length);
  noteWrites(w, statement);
  for (const column of statement.columns) {
    if (column.table === undefined) column.table = w.resolve(column.qualifier, column.block)?.table;
  }
  for (const predicate of statement.predicates) {
    if (predicate.table === undefined) predicate.table = w.resolve(predicate.qualifier, predicate.block)?.table;
  }
  countLooseJoins(statement);
  findWrites(w, statement);
  findHygiene(w, statement);
}

function noteWrites(w: Walker, statement: StatementBuilder) {
  const main = statement.blocks.find((block) => block.role === "main");
  if (main === undefined) return;
  if (statement.kind === "update") noteUpdated(w, statement, main);
  else if (statement.kind === "delete") moveToWritten(statement, main.tables);
  else if (statement.kind === "delete-multi") noteDeleted(w, statement, main);
}

function moveToWritten(statement: StatementBuilder, tables: readonly TableDraft[]) {
  const [only] = tables;
  if (tables.length === 1 && only !== undefined && statement.tablesRead.length === 1) {
    if (statement.tablesRead[0] === only) statement.tablesRead.length = 0;
    statement.tablesWritten.push(only);
    return;
  }
  const moved = new Set(tables);
  const kept = statement.tablesRead.filter((table) => !moved.has(table));
  statement.tablesRead.length = 0;
  for (const table of kept) statement.tablesRead.push(table);
  for (const table of moved) statement.tablesWritten.push(table);
}

function noteUpdated(w: Walker, statement: StatementBuilder, main: BlockBuilder) {
  const isMulti = main.sources.length > 1;
  if (!isMulti) {
    moveToWritten(statement, main.tables);
    return;
  }
  statement.kind = "update-multi";
  moveToWritten(statement, updatedTables(w, statement, main));
}

function updatedTables(w: Walker, statement: StatementBuilder, main: BlockBuilder): readonly TableDraft[] {
  const written = new Set<TableDraft>();
  const block = statement.blocks.indexOf(main);
  for (const { qualifier } of statement.assignments) {
    const table = qualifier === undefined ? undefined : w.resolve(qualifier, block);
    // Whose column it is nobody knows from the text alone: any of them may be written.
    if (table === undefined || qualifier === undefined) return main.tables;
    w.spend(main.tables.length <= TABLES_COMPARED_MAX ? main.tables.length : 1);
    if (main.tables.length <= TABLES_COMPARED_MAX) for (const other of sameName(main, qualifier)) written.add(other);
    written.add(table);
  }
  return [...written];
}

/** SAFETY: tables of several schemas may share a name, and which of them is meant the last part of a name does not tell. */
function sameName(main: BlockBuilder, name: string): readonly TableDraft[] {
  return main.tables.filter((table) => mayBeSameName(table.alias ?? table.table, name));
}

function noteDeleted(w: Walker, statement: StatementBuilder, main: BlockBuilder) {
  const deleted: TableDraft[] = [];
  const block = statement.blocks.indexOf(main);
  const isFew = main.tables.length <= TABLES_COMPARED_MAX;
  for (const { first, last } of w.deleteTargets) {
    const { schema, name } = w.qualified(first, last);
    w.spend(isFew ? main.tables.length : 1);
    const table = main.tableOf(name) ?? (isFew ? byName(main, name) : undefined);
    if (table !== undefined && (schema === undefined || schema === table.schema || !table.isQualified)) {
      deleted.push(table);
    } else {
      w.blockIndex = block;
      addTable(w, first, last, "write");
    }
    if (isFew) deleted.push(...sameName(main, name));
  }
  moveToWritten(statement, deleted);
}

function byName(main: BlockBuilder, name: string): TableDraft | undefined {
  return main.tables.find((table) => mayBeSameName(table.table, name));
}

/** Joins that neither ON, USING, NATURAL nor a WHERE comparison of two tables relates. */
function countLooseJoins(statement: StatementBuilder) {
  if (statement.blocks.every((block) => block.joins === 0)) return;
  const links = statement.blocks.map((block) => block.linkedJoins);
  for (const predicate of statement.predicates) {
    if (predicate.clause !== "where" || predicate.operand.type !== "column") continue;
    const other = predicate.operand.text ?? "";
    const qualifier = other.includes(".") ? other.slice(0, other.indexOf(".")) : undefined;
    const isLink = qualifier !== predicate.qualifier || qualifier === undefined;
    if (isLink) links[predicate.block] = (links[predicate.block] ?? 0) + 1;
  }
  addLinksThroughExpressions(statement, links);
  statement.blocks.forEach((block, index) => {
    block.joinsWithoutCondition = Math.max(0, block.joins - (links[index] ?? 0));
  });
}

/** `a.x = CONCAT('p', b.y)`: the next column behind the comparison is another table's. Both lists are in text order. */
function addLinksThroughExpressions({ predicates, columns }: StatementBuilder, links: number[]) {
  let at = 0;
  const following = startsAfter(predicates);
  for (const [index, { clause, operator, operand, qualifier, block, start }] of predicates.entries()) {
    const isCompared = clause === "where" && operator === "=" && operand.type === "expression";
    if (!isCompared || qualifier === undefined) continue;
    while (at < columns.length && (columns[at]?.start ?? 0) <= start) at++;
    const next = columns[at];
    if (next?.block !== block || next.qualifier === undefined || next.qualifier === qualifier) continue;
    if ((following[index] as number) > next.start) links[block] = (links[block] ?? 0) + 1;
  }
}

/** For each predicate where the next one starts that does not start with it, which all do in a text within a literal. */
function startsAfter(predicates: StatementBuilder["predicates"]): Float64Array {
  const after = new Float64Array(predicates.length).fill(Number.POSITIVE_INFINITY);
  for (let index = predicates.length - 2; index >= 0; index--) {
    const next = predicates[index + 1]?.start ?? 0;
    after[index] = next > (predicates[index]?.start ?? 0) ? next : (after[index + 1] as number);
  }
  return after;
}

function findWrites(w: Walker, statement: StatementBuilder) {
  const { kind } = statement;
  if (kind === "insert-select" || kind === "replace-select") return findUpsert(w, statement);
  const isWrite = kind === "update" || kind === "update-multi" || kind === "delete" || kind === "delete-multi";
  if (!isWrite) return;
  const main = statement.blocks.find((block) => block.role === "main");
  if (main === undefined) return;
  const end = w.endBefore(w.at);
  const what = wholeWrite(w, statement, main);
  if (what !== undefined) {
    statement.modify("all-rows");
    w.findBytes(what, main.start, end);
  }
  if (kind === "update-multi" || kind === "delete-multi") {
    w.findBytes("write-many-tables", main.start, end, main.tables.length);
  }
}

function wholeWrite(w: Walker, statement: StatementBuilder, main: BlockBuilder): FindingName | undefined {
  if (main.where === "never") return undefined;
  if (main.where === "constant") return "write-where-constant";
  if (main.where === "self-comparison") return "write-where-self-comparison";
  if (!writesWholeTable(w, statement, main)) return undefined;
  return main.where === "absent" ? "write-without-where" : "write-where-self-comparison";
}

/** A query that overwrites rows: the table's own, or as many as another table has. */
function findUpsert(w: Walker, statement: StatementBuilder) {
  const { kind, modifiers, blocks, tablesWritten, start } = statement;
  if (kind === "insert-select" && !modifiers.includes("on-duplicate-key-update")) return;
  const written = new NameSet();
  for (const { table } of tablesWritten) written.add(table);
  const whole = blocks.filter(
    ({ where, limit, tables, role }) =>
      where !== "present" && where !== "never" && limit === undefined && role !== "main" && tables.length > 0,
  );
  if (whole.length === 0 || blocks.some(({ where }) => where === "present")) return;
  const isOwn = whole.some(({ tables }) => tables.some(({ table }) => written.mayHave(table)));
  if (isOwn) statement.modify("all-rows");
  w.findBytes(isOwn ? "write-upsert-self" : "write-upsert-all", start, w.endBefore(w.at));
}

function findHygiene(w: Walker, statement: StatementBuilder) {
  let catalogs = 0;
  for (const table of statement.tablesRead) if (findCatalog(w, statement, table)) catalogs++;
  for (const table of statement.tablesWritten) if (findCatalog(w, statement, table)) catalogs++;
  for (const block of statement.blocks) findInBlock(w, statement, block);
  if (catalogs >= CATALOG_JOINS && statement.blocks.some((block) => block.joinsWithoutCondition >= CATALOG_JOINS - 1)) {
    w.findBytes("schema-cross-join", statement.start, w.endBefore(w.at), catalogs);
  }
  if (statement.inListMax > IN_LIST_MAX)
    w.findBytes("in-list-long", statement.start, w.endBefore(w.at), statement.inListMax);
}

/** True for tables of the catalogs information_schema, performance_schema and sys. */
function findCatalog(w: Walker, statement: StatementBuilder, table: TableDraft): boolean {
  const schema = table.schema === undefined ? undefined : possibleName(SYSTEM_SCHEMAS, table.schema);
  if (schema === undefined) return false;
  const detail = `${schema}.${foldName(table.table)}`;
  if (schema === "mysql" && !PUBLIC_TABLES.test(table.table)) {
    const isAccount = possibleName(ACCOUNT_TABLES, table.table) !== undefined;
    w.findBytes(isAccount ? "mysql-account-read" : "mysql-schema-read", table.start, table.end, 1, detail);
    return false;
  }
  const isPlain =
    (statement.kind === "select" || statement.kind === "show" || statement.kind === "table") &&
    statement.unionBranches === 0 &&
    (statement.blocks[table.block]?.role ?? "main") === "main";
  w.findBytes(isPlain ? "catalog-read" : "catalog-read-nested", table.start, table.end, 1, detail);
  return true;
}

function findInBlock(w: Walker, statement: StatementBuilder, block: BlockBuilder) {
  const { start, end } = block;
  if (block.joins > JOINS_MAX) w.findBytes("joins-many", start, end, block.joins);
  if (block.joinsWithoutCondition > 0) w.findBytes("join-without-condition", start, end, block.joinsWithoutCondition);
  if (block.limit?.offset !== undefined && block.limit.offset > OFFSET_MAX) {
    w.findBytes("offset-large", block.limit.start, block.limit.end, block.limit.offset);
  }
  if (block.locking !== "none" && block.where === "absent" && block.hasFrom)
    w.findBytes("lock-without-where", start, end);
  if (block.isRowPicked && block.role !== "main" && block.hasFrom) w.findBytes("row-picked", start, end);
  if (statement.kind !== "select") return;
  if (block.hasWildcard && block.hasFrom && block.role === "main") w.findBytes("select-wildcard", start, end);
  const isUnbounded =
    block.role === "main" &&
    block.tables.length > 0 &&
    block.where === "absent" &&
    block.limit === undefined &&
    !block.hasAggregate &&
    !block.hasGroupBy;
  if (isUnbounded) w.findBytes("select-unbounded", start, end);
}
