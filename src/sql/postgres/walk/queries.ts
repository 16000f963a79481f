/** SELECT, INSERT, UPDATE, DELETE and MERGE, and the clauses that they share. */
import type { ByteRange, Clause, Limit, QueryBlock, TableReference } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import {
  constantOf,
  fieldsIn,
  flagIn,
  listIn,
  locationOf,
  nameParts,
  nodeOf,
  stringOf,
  textIn,
  wrapped,
} from "../parser/tree.ts";
import { findConditions, shapeOf } from "./conditions.ts";
import type { Draft, OpenBlock } from "./draft.ts";
import { isOfApplication } from "./names.ts";
import { columnOf, isAllConstant, operatorOf, wherePredicates } from "./predicates.ts";
import type { Place, Walk } from "./walk.ts";

export const at = (place: Place, clause: Clause): Place => (place.clause === clause ? place : { ...place, clause });

export function newBlock(walk: Walk, place: Place, role: QueryBlock["role"], range: ByteRange): Place {
  const { draft } = place;
  const block: OpenBlock = {
    ...range,
    parent: place.block < 0 ? undefined : place.block,
    role,
    where: "absent",
    limit: undefined,
    joins: 0,
    joinsWithoutCondition: 0,
    hasWildcard: false,
    hasGroupBy: false,
    hasFrom: false,
    locking: "none",
    otherSources: [],
    renamed: [],
    setting: undefined,
  };
  walk.steps++;
  return { ...place, block: draft.blocks.push(block) - 1 };
}

export const blockOf = ({ draft, block }: Place): OpenBlock => draft.blocks[block] as OpenBlock;

/** A query whatever it stands in. */
export function subquery(walk: Walk, value: unknown, place: Place, role: QueryBlock["role"]): void {
  const node = nodeOf(value);
  if (node?.type === "SelectStmt") {
    const depth = place.depth + 1;
    if (role !== "cte" && role !== "view") {
      place.draft.subqueries++;
      place.draft.subqueryDepthMax = Math.max(place.draft.subqueryDepthMax, depth);
    }
    select(walk, node.fields, { ...place, depth }, role);
  } else walk.value(value, place);
}

/** A query with all of its branches. */
export function select(walk: Walk, fields: TreeFields, place: Place, role: QueryBlock["role"]): void {
  const inside = withClause(walk, fieldsIn(fields, "withClause"), place);
  if (!isSetOperation(fields)) {
    branch(walk, fields, inside, role, true);
    return;
  }
  const branches = branchesOf(fields);
  const { draft } = inside;
  draft.unionBranches += branches.length - 1;
  const first = draft.blocks.length;
  const blocks: number[] = [];
  branches.forEach((each, index) => {
    blocks.push(draft.blocks.length);
    branch(walk, each, inside, index === 0 ? role : "union-branch", false);
  });
  findUnion(walk, branches, inside, blocks);
  const block = { ...inside, block: first };
  walk.value(listIn(fields, "sortClause"), at(block, "order"));
  limitOf(walk, fields, block);
  locking(walk, fields, block);
}

export const isSetOperation = (fields: TreeFields): boolean => {
  const op = textIn(fields, "op");
  return op !== undefined && op !== "SETOP_NONE";
};

/** The branches from left to right, without recursion to the left, where the grammar puts long chains. */
function branchesOf(fields: TreeFields): readonly TreeFields[] {
  const branches: TreeFields[] = [];
  const open: TreeFields[] = [fields];
  while (open.length > 0) {
    const top = open.pop() as TreeFields;
    // In parentheses it may be a query with clauses of its own, which are then those of its branches.
    const isWhole = top !== fields && CLAUSES.some((clause) => top[clause] !== undefined);
    const larg = fieldsIn(top, "larg");
    const rarg = fieldsIn(top, "rarg");
    if (isWhole || !isSetOperation(top)) branches.push(top);
    else {
      if (rarg !== undefined) open.push(rarg);
      if (larg !== undefined) open.push(larg);
    }
  }
  return branches;
}

const CLAUSES = ["withClause", "sortClause", "limitCount", "limitOffset", "lockingClause"] as const;

function branch(walk: Walk, fields: TreeFields, place: Place, role: QueryBlock["role"], isAlone: boolean): void {
  if (isSetOperation(fields)) {
    select(walk, fields, place, role);
    return;
  }
  const inside = isAlone ? place : withClause(walk, fieldsIn(fields, "withClause"), place);
  const block = newBlock(walk, inside, role, inside.draft.range);
  const own = blockOf(block);
  fromClause(walk, listIn(fields, "fromClause"), block);
  own.setting = settingAskedFor(fields, block);
  const targets = listIn(fields, "targetList");
  own.hasWildcard = targets.some((target) => isStar(wrapped(target, "ResTarget")?.["val"]));
  walk.value(targets, at(block, "select"));
  walk.value(listIn(fields, "distinctClause"), at(block, "select"));
  whereClause(walk, fields["whereClause"], block, place.depth === 0 && role === "main");
  own.hasGroupBy = listIn(fields, "groupClause").length > 0;
  walk.value(listIn(fields, "groupClause"), at(block, "group"));
  having(walk, fields["havingClause"], block);
  walk.value(listIn(fields, "windowClause"), at(block, "window"));
  walk.value(listIn(fields, "sortClause"), at(block, "order"));
  limitOf(walk, fields, block);
  locking(walk, fields, block);
  valuesLists(walk, fields, block);
  const into = fieldsIn(fields, "intoClause");
  if (into !== undefined) selectInto(walk, into, block);
  hygiene(walk, fields, block);
}

/** `… FROM pg_settings WHERE name = 'x'`, and nothing else in either clause. */
function settingAskedFor(fields: TreeFields, { draft, block }: Place): string | undefined {
  const comparison = wrapped(fields["whereClause"], "A_Expr");
  if (comparison === undefined || listIn(fields, "fromClause").length !== 1) return undefined;
  const [table, ...others] = draft.tablesRead.filter((each) => each.block === block);
  const isOne = table?.table === "pg_settings" && !isOfApplication(table) && others.length === 0;
  const isEqual = textIn(comparison, "kind") === "AEXPR_OP" && operatorOf(comparison) === "=";
  // SAFETY: of another type, equal would be what that type takes for it.
  const asked = nodeOf(comparison["rexpr"])?.type === "A_Const" ? constantOf(comparison["rexpr"]) : undefined;
  if (!isOne || !isEqual || columnOf(comparison["lexpr"])?.name !== "name") return undefined;
  return asked?.type === "string" ? asked.text : undefined;
}

const isStar = (value: unknown): boolean => {
  const fields = wrapped(value, "ColumnRef");
  return fields !== undefined && nodeOf(listIn(fields, "fields").at(-1))?.type === "A_Star";
};

function having(walk: Walk, value: unknown, place: Place): void {
  if (value === undefined) return;
  if (isAllConstant(value)) walk.find("having-constant", place, place.draft.range);
  walk.value(value, at(place, "having"));
  findConditions(walk, value, place);
}

/** SELECT … INTO makes a table. */
function selectInto(walk: Walk, into: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "create-table";
  draft.addModifier("as-select");
  const relation = fieldsIn(into, "rel");
  if (relation === undefined) return;
  if (textIn(relation, "relpersistence") === "t") draft.addModifier("temporary");
  walk.typed("RangeVar", relation, { ...at(place, "into"), isWriting: true });
}

/** Sees each name only behind its own query, or in all of them where it is RECURSIVE. */
export function withClause(walk: Walk, clause: TreeFields | undefined, place: Place): Place {
  if (clause === undefined) return place;
  const definitions = listIn(clause, "ctes").flatMap((each): TreeFields[] => {
    const fields = wrapped(each, "CommonTableExpr");
    return fields === undefined ? [] : [fields];
  });
  const names = new Set(place.ctes);
  const isRecursive = flagIn(clause, "recursive");
  if (isRecursive) for (const each of definitions) names.add(textIn(each, "ctename") ?? "");
  let scope: ReadonlySet<string> = names;
  for (const each of definitions) {
    const name = textIn(each, "ctename") ?? "";
    place.draft.cteNames.push(name);
    commonTable(walk, each, { ...place, ctes: scope, clause: "from" });
    if (!isRecursive) scope = new Set(scope).add(name);
  }
  return { ...place, ctes: scope };
}

function commonTable(walk: Walk, fields: TreeFields, place: Place): void {
  const query = fields["ctequery"];
  if (nodeOf(query)?.type === "SelectStmt") subquery(walk, query, place, "cte");
  else {
    const inside = walk.beginWithin(place, "cte");
    walk.value(query, inside);
    walk.find("write-in-cte", inside, place.draft.range);
  }
  walk.value(fields["search_clause"], place);
  walk.value(fields["cycle_clause"], place);
}

/** Tables before all else, because other clauses ask for their names. */
export function fromClause(walk: Walk, items: readonly unknown[], place: Place): void {
  if (items.length === 0) return;
  const own = blockOf(place);
  own.hasFrom = true;
  own.joins += items.length - 1;
  place.draft.joins += items.length - 1;
  walk.value(items, at(place, "from"));
}

export function rangeVar(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft, block, ctes, isWriting = false } = place;
  const table = textIn(fields, "relname") ?? "";
  const schemaName = textIn(fields, "schemaname");
  const alias = fieldsIn(fields, "alias");
  const aliasName = alias === undefined ? undefined : textIn(alias, "aliasname");
  if (!isWriting && schemaName === undefined && ctes.has(table)) {
    draft.blocks[block]?.otherSources.push(aliasName ?? table);
    return;
  }
  const range = walk.source.nameAt(locationOf(fields));
  const reference: TableReference = {
    ...range,
    schema: schemaName ?? walk.schemaOf(table, place),
    isQualified: schemaName !== undefined,
    table,
    alias: aliasName,
    block: Math.max(0, block),
  };
  (isWriting ? draft.tablesWritten : draft.tablesRead).push(reference);
  // SAFETY: `secret AS s (a, b)` gives the columns other names, by their order.
  if (!isRenaming(alias)) return;
  wholeRow(place, range, aliasName);
  draft.blocks[block]?.renamed.push(reference);
}

const isRenaming = (alias: TreeFields | undefined): boolean =>
  alias !== undefined && listIn(alias, "colnames").length > 0;

/** All columns of what has that name. */
export function wholeRow({ draft, block, clause }: Place, range: ByteRange, qualifier: string | undefined): void {
  draft.columns.push({ ...range, name: "*", qualifier, table: undefined, clause, block: Math.max(0, block) });
}

function aliasOf(fields: TreeFields): string | undefined {
  const alias = fieldsIn(fields, "alias");
  return alias === undefined ? undefined : textIn(alias, "aliasname");
}

export function rangeSubselect(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.blocks[place.block]?.otherSources.push(aliasOf(fields));
  subquery(walk, fields["subquery"], place, "derived-table");
}

/** RangeFunction, RangeTableFunc, JsonTable: whatever is called there is visited like everything else. */
export function rangeCall(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.blocks[place.block]?.otherSources.push(aliasOf(fields));
  walk.fields(fields, place);
}

export function joinExpr(walk: Walk, fields: TreeFields, place: Place): void {
  // CREATE STATISTICS has tables and no query.
  const own = place.draft.blocks[place.block];
  if (own !== undefined) own.joins++;
  place.draft.joins++;
  walk.value(fields["larg"], place);
  walk.value(fields["rarg"], place);
  const alias = fieldsIn(fields, "alias");
  const aliasName = aliasOf(fields);
  if (aliasName !== undefined) own?.renamed.push(aliasName);
  if (isRenaming(alias)) wholeRow(place, place.draft.range, undefined);
  const on = fields["quals"];
  const isInner = textIn(fields, "jointype") === "JOIN_INNER";
  const using = nameParts(listIn(fields, "usingClause"));
  for (const name of using) column(place, place.draft.range, name, "on");
  if (flagIn(fields, "isNatural")) wholeRow(at(place, "on"), place.draft.range, undefined);
  if (on !== undefined) {
    const inside = at(place, "on");
    wherePredicates(walk, on, inside, isInner);
    walk.value(on, inside);
    findConditions(walk, on, inside);
  }
  const isCross = on === undefined && using.length === 0 && !flagIn(fields, "isNatural");
  if (isCross && isInner && own !== undefined) own.joinsWithoutCondition++;
}

function column({ draft, block }: Place, range: ByteRange, name: string, clause: Clause): void {
  const { start, end } = range;
  draft.columns.push({ start, end, name, qualifier: undefined, table: undefined, clause, block: Math.max(0, block) });
}

export function whereClause(walk: Walk, value: unknown, place: Place, isMain: boolean): void {
  const own = blockOf(place);
  own.where = shapeOf(value, { tables: [...place.draft.tablesRead, ...place.draft.tablesWritten] });
  if (isMain) place.draft.where = own.where;
  if (value === undefined) return;
  const inside = at(place, "where");
  wherePredicates(walk, value, inside, true);
  walk.value(value, inside);
  findConditions(walk, value, inside);
}

export function limitOf(walk: Walk, fields: TreeFields, place: Place): void {
  const { limitCount, limitOffset } = fields;
  if (limitCount === undefined && limitOffset === undefined) return;
  const inside = at(place, "limit");
  walk.value(limitCount, inside);
  walk.value(limitOffset, inside);
  const offset = limitOffset === undefined ? undefined : numberOf(limitOffset);
  if (offset !== undefined && offset > 10_000) walk.find("offset-large", place, place.draft.range, offset);
  // LIMIT ALL and LIMIT NULL limit nothing.
  if (limitCount === undefined || constantOf(limitCount)?.type === "null") return;
  const limit: Limit = { ...place.draft.range, rows: numberOf(limitCount), offset };
  blockOf(place).limit = limit;
  if (place.depth === 0) place.draft.limit ??= limit;
}

function numberOf(value: unknown): number | undefined {
  const constant = constantOf(value);
  const number = constant?.type === "number" ? Number(constant.text) : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

function locking(walk: Walk, fields: TreeFields, place: Place): void {
  for (const each of listIn(fields, "lockingClause")) {
    const clause = wrapped(each, "LockingClause");
    if (clause === undefined) continue;
    const isUpdate = /UPDATE/.test(textIn(clause, "strength") ?? "");
    const own = blockOf(place);
    own.locking = isUpdate ? "update" : own.locking === "update" ? "update" : "share";
    place.draft.addModifier(isUpdate ? "for-update" : "for-share");
    if (isUpdate && own.where === "absent" && own.limit === undefined && own.hasFrom) {
      walk.find("lock-without-where", place, place.draft.range);
    }
  }
}

function valuesLists(walk: Walk, fields: TreeFields, place: Place): void {
  const rows = listIn(fields, "valuesLists");
  if (rows.length === 0) return;
  place.draft.valuesRows = Math.max(place.draft.valuesRows, rows.length);
  walk.value(rows, at(place, "values"));
}

const PLENTY_OF_JOINS = 8;

function hygiene(walk: Walk, fields: TreeFields, place: Place): void {
  const own = blockOf(place);
  const { draft } = place;
  if (own.where === "absent") own.joinsWithoutCondition += commas(listIn(fields, "fromClause"));
  else own.joinsWithoutCondition = 0;
  if (own.joinsWithoutCondition > 0) {
    walk.find("join-without-condition", place, draft.range, own.joinsWithoutCondition);
  }
  if (own.joins > PLENTY_OF_JOINS) walk.find("joins-many", place, draft.range, own.joins);
  if (own.hasWildcard) walk.find("select-wildcard", place, draft.range);
  const isOfTable = own.hasFrom && own.otherSources.length === 0 && draft.tablesRead.length > 0;
  const aggregates = own.hasGroupBy || listIn(fields, "targetList").every((target) => isCall(target));
  if (isOfTable && own.role === "main" && own.where === "absent" && own.limit === undefined && !aggregates) {
    walk.find("select-unbounded", place, draft.range);
  }
}

const isCall = (target: unknown): boolean => nodeOf(wrapped(target, "ResTarget")?.["val"])?.type === "FuncCall";

/** Tables with commas between them; functions and LATERAL queries refer to their neighbours. */
function commas(items: readonly unknown[]): number {
  return Math.max(0, items.filter((item) => nodeOf(item)?.type === "RangeVar").length - 1);
}

function findUnion(walk: Walk, branches: readonly TreeFields[], place: Place, blocks: readonly number[]): void {
  const { draft } = place;
  const before = tablesIn(draft, blocks[0] ?? 0);
  // Tools put questions about the catalog together so. What somebody adds to is a query of an application.
  if (!draft.tablesRead.some((table) => table.block === (blocks[0] ?? 0) && isOfApplication(table))) return;
  branches.slice(1).forEach((fields, index) => {
    const targets = listIn(fields, "targetList").map((target) => wrapped(target, "ResTarget")?.["val"]);
    if (targets.length === 0) return;
    const constants = targets.filter((target) => isAllConstant(target)).length;
    const own = tablesIn(draft, blocks[index + 1] ?? 0);
    if (constants === targets.length && listIn(fields, "fromClause").length === 0) {
      walk.find("union-constants", place, draft.range, constants);
    } else if (constants >= 2 && constants * 2 >= targets.length && own.size > 0) {
      walk.find("union-null-padding", place, draft.range, constants);
    } else if ([...own].some((table) => !before.has(table))) {
      walk.find("union-branch", place, draft.range);
    }
  });
}

const tablesIn = ({ tablesRead }: Draft, block: number): ReadonlySet<string> =>
  new Set(tablesRead.filter((table) => table.block === block).map(({ table }) => table));

/** Of ORDER BY and GROUP BY: a number, a subquery, or RANDOM(). */
export function sortItem(walk: Walk, fields: TreeFields, place: Place): void {
  const node = nodeOf(fields["node"]);
  const constant = node?.type === "A_Const" ? constantOf(fields["node"]) : undefined;
  if (constant?.type === "number") {
    const number = Number(constant.text);
    walk.find("order-by-number", place, place.draft.range, number);
  } else if (node?.type === "SubLink" || node?.type === "CaseExpr") {
    const isOfSession = node.type === "CaseExpr" && isAllConstant(fields["node"]);
    if (node.type === "SubLink" || isOfSession) walk.find("order-by-subquery", place, place.draft.range);
  } else if (node?.type === "FuncCall" && stringOf(listIn(node.fields, "funcname").at(-1)) === "random") {
    walk.find("order-by-rand", place, place.draft.range);
  }
  walk.fields(fields, place);
}
