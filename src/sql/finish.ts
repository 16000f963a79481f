/** What is known only when a statement has been walked: whose column it was, what is written, what was left out. */
import type { BlockBuilder, StatementBuilder, TableDraft } from "./statement-builder.ts";
import { addTable } from "./tables.ts";
import type { Walker } from "./walker.ts";

const JOINS_MAX = 8;
/** Tables of more than so many are not all compared with every name. */
const TABLES_COMPARED_MAX = 64;
const IN_LIST_MAX = 1000;
const OFFSET_MAX = 10_000;
const CATALOG_JOINS = 3;

const CATALOGS: ReadonlySet<string> = new Set(["information_schema", "performance_schema", "sys"]);
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
  const moved = new Set(tables);
  const kept = statement.tablesRead.filter((table) => !moved.has(table));
  statement.tablesRead.length = 0;
  for (const table of kept) statement.tablesRead.push(table);
  for (const table of moved) statement.tablesWritten.push(table);
}

function noteUpdated(w: Walker, statement: StatementBuilder, main: BlockBuilder) {
  const isMulti = main.tables.length + main.otherSources > 1;
  if (!isMulti) {
    moveToWritten(statement, main.tables);
    return;
  }
  statement.kind = "update-multi";
  moveToWritten(statement, updatedTables(w, statement, main));
}

function updatedTables(w: Walker, statement: StatementBuilder, main: BlockBuilder): readonly TableDraft[] {
  const written = new Set<TableDraft>();
  for (const { qualifier } of statement.assignments) {
    const table = qualifier === undefined ? undefined : w.resolve(qualifier, statement.blocks.indexOf(main));
    // Whose column it is nobody knows from the text alone: any of them may be written.
    if (table === undefined || qualifier === undefined) return main.tables;
    if (main.tables.length <= TABLES_COMPARED_MAX) for (const other of sameName(main, qualifier)) written.add(other);
    written.add(table);
  }
  return [...written];
}

/** SAFETY: tables of several schemas may share a name, and which of them is meant the last part of a name does not tell. */
function sameName(main: BlockBuilder, name: string): readonly TableDraft[] {
  const lower = name.toLowerCase();
  return main.tables.filter((table) => (table.alias ?? table.table).toLowerCase() === lower);
}

function noteDeleted(w: Walker, statement: StatementBuilder, main: BlockBuilder) {
  const deleted: TableDraft[] = [];
  for (const { first, last } of w.deleteTargets) {
    const { schema, name } = w.qualified(first, last);
    const isFew = main.tables.length <= TABLES_COMPARED_MAX;
    const table = main.tableOf(name) ?? (isFew ? byName(main, name) : undefined);
    if (table !== undefined && (schema === undefined || schema === table.schema || !table.isQualified)) {
      deleted.push(table);
    } else {
      w.blockIndex = statement.blocks.indexOf(main);
      addTable(w, first, last, "write");
    }
    if (isFew) deleted.push(...sameName(main, name));
  }
  moveToWritten(statement, deleted);
}

function byName(main: BlockBuilder, name: string): TableDraft | undefined {
  return main.tables.find((table) => table.table.toLowerCase() === name.toLowerCase());
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
  for (const { clause, operator, operand, qualifier, block, start } of predicates) {
    const isCompared = clause === "where" && operator === "=" && operand.type === "expression";
    if (!isCompared || qualifier === undefined) continue;
    while (at < columns.length && (columns[at]?.start ?? 0) <= start) at++;
    const next = columns[at];
    if (next?.block !== block || next.qualifier === undefined || next.qualifier === qualifier) continue;
    const isBefore = !predicates.some((other) => other.start > start && other.start <= next.start);
    if (isBefore) links[block] = (links[block] ?? 0) + 1;
  }
}

function findWrites(w: Walker, statement: StatementBuilder) {
  const { kind } = statement;
  const isWrite = kind === "update" || kind === "update-multi" || kind === "delete" || kind === "delete-multi";
  if (!isWrite) return;
  const main = statement.blocks.find((block) => block.role === "main");
  if (main === undefined) return;
  const end = w.endBefore(w.at);
  if (main.where === "absent") {
    // A join condition limits the rows of a multi-table write as WHERE does.
    if (main.joins === 0 || main.linkedJoins === 0) w.findBytes("write-without-where", main.start, end);
  } else if (main.where === "constant") w.findBytes("write-where-constant", main.start, end);
  else if (main.where === "self-comparison") w.findBytes("write-where-self-comparison", main.start, end);
  if (kind === "update-multi" || kind === "delete-multi") {
    w.findBytes("write-many-tables", main.start, end, main.tables.length);
  }
}

function findHygiene(w: Walker, statement: StatementBuilder) {
  let catalogs = 0;
  for (const table of [...statement.tablesRead, ...statement.tablesWritten])
    if (findCatalog(w, statement, table)) catalogs++;
  for (const block of statement.blocks) findInBlock(w, statement, block);
  if (catalogs >= CATALOG_JOINS && statement.blocks.some((block) => block.joinsWithoutCondition >= CATALOG_JOINS - 1)) {
    w.findBytes("schema-cross-join", statement.start, w.endBefore(w.at), catalogs);
  }
  if (statement.inListMax > IN_LIST_MAX)
    w.findBytes("in-list-long", statement.start, w.endBefore(w.at), statement.inListMax);
}

/** True for tables of the catalogs information_schema, performance_schema and sys. */
function findCatalog(w: Walker, statement: StatementBuilder, table: TableDraft): boolean {
  const schema = table.schema?.toLowerCase();
  if (schema === undefined) return false;
  const detail = `${schema}.${table.table.toLowerCase()}`;
  if (schema === "mysql" && !PUBLIC_TABLES.test(table.table)) {
    const isAccount = ACCOUNT_TABLES.has(table.table.toLowerCase());
    w.findBytes(isAccount ? "mysql-account-read" : "mysql-schema-read", table.start, table.end, 1, detail);
    return false;
  }
  if (schema !== "mysql" && !CATALOGS.has(schema)) return false;
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
