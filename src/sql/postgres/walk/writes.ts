/** INSERT, UPDATE, DELETE and MERGE. */
import { type Clause, ROWS_LISTED_MAX } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import { fieldsIn, listIn, locationOf, nodeOf, textIn, wrapped } from "../parser/tree.ts";
import { findConditions, shapeOf } from "./conditions.ts";
import { operandOf, wherePredicates } from "./predicates.ts";
import {
  at,
  blockOf,
  fromClause,
  isSetOperation,
  limitOf,
  newBlock,
  select,
  whereClause,
  withClause,
} from "./queries.ts";
import type { Place, Walk } from "./walk.ts";

function target(walk: Walk, fields: TreeFields, place: Place): void {
  walk.typed("RangeVar", fieldsIn(fields, "relation"), { ...place, isWriting: true });
}

export function insert(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  const source = wrapped(fields["selectStmt"], "SelectStmt");
  const rows = source === undefined ? [] : listIn(source, "valuesLists");
  draft.kind = source === undefined || rows.length > 0 ? "insert" : "insert-select";
  const inside = newBlock(walk, withClause(walk, fieldsIn(fields, "withClause"), place), "main", draft.range);
  target(walk, fields, inside);
  const names = listIn(fields, "cols").map((each) => textIn(wrapped(each, "ResTarget") ?? {}, "name") ?? "");
  for (const each of listIn(fields, "cols")) {
    const column = wrapped(each, "ResTarget") ?? {};
    columnAt(walk, column, inside, "insert-columns");
    walk.value(listIn(column, "indirection"), inside);
  }
  if (source !== undefined && rows.length > 0 && !isSetOperation(source)) {
    insertRows(walk, source, names, inside);
  } else if (source !== undefined) {
    select(walk, source, { ...inside, depth: place.depth + 1 }, "subquery");
  }
  conflict(walk, fieldsIn(fields, "onConflictClause"), inside);
  returning(walk, fields, inside);
}

function insertRows(walk: Walk, source: TreeFields, names: readonly string[], place: Place): void {
  const rows = listIn(source, "valuesLists");
  const { draft } = place;
  const inside = at(withClause(walk, fieldsIn(source, "withClause"), place), "values");
  draft.valuesRows = rows.length;
  rows.forEach((row, index) => {
    const values = listIn(wrapped(row, "List") ?? {}, "items");
    walk.value(values, inside);
    if (index >= ROWS_LISTED_MAX) return;
    values.forEach((value, position) => {
      const name = names[position];
      if (name !== undefined) assign(place, name, value, "values");
    });
  });
  if (rows.length > ROWS_LISTED_MAX) draft.unlistedColumns.push(...names);
  walk.value(listIn(source, "sortClause"), at(inside, "order"));
  limitOf(walk, source, inside);
}

function assign(place: Place, name: string, value: unknown, clause: "values" | "set" | "on-duplicate"): void {
  const { draft } = place;
  draft.assignments.push({
    ...draft.range,
    column: name,
    qualifier: undefined,
    clause,
    operand: operandOf(value, place),
  });
}

/** The name of a ResTarget as a column. */
function columnAt(walk: Walk, fields: TreeFields, { draft, block }: Place, clause: Clause): void {
  const name = textIn(fields, "name");
  if (name === undefined) return;
  const range = walk.source.at(locationOf(fields));
  draft.columns.push({ ...range, name, qualifier: undefined, table: undefined, clause, block: Math.max(0, block) });
}

function conflict(walk: Walk, fields: TreeFields | undefined, place: Place): void {
  if (fields === undefined) return;
  walk.value(fields["infer"], place);
  if (textIn(fields, "action") !== "ONCONFLICT_UPDATE") return;
  place.draft.addModifier("on-duplicate-key-update");
  setList(walk, listIn(fields, "targetList"), at(place, "on-duplicate"), "on-duplicate");
  walk.value(fields["whereClause"], at(place, "on-duplicate"));
  findConditions(walk, fields["whereClause"], place);
}

function setList(walk: Walk, targets: readonly unknown[], place: Place, clause: "set" | "on-duplicate"): void {
  for (const each of targets) {
    const fields = wrapped(each, "ResTarget") ?? {};
    columnAt(walk, fields, place, clause);
    walk.value(listIn(fields, "indirection"), place);
    walk.value(fields["val"], place);
    assign(place, textIn(fields, "name") ?? "", fields["val"], clause);
  }
}

function returning(walk: Walk, fields: TreeFields, place: Place): void {
  const clause = fieldsIn(fields, "returningClause");
  // Before PostgreSQL 18's grammar it was a list.
  if (clause === undefined && listIn(fields, "returningList").length === 0) return;
  place.draft.addModifier("returning");
  walk.value(clause?.["exprs"] ?? fields["returningList"], at(place, "returning"));
}

export function update(walk: Walk, fields: TreeFields, place: Place): void {
  change(walk, fields, place, "update", listIn(fields, "fromClause"));
}

export function deleteRows(walk: Walk, fields: TreeFields, place: Place): void {
  change(walk, fields, place, "delete", listIn(fields, "usingClause"));
}

function change(
  walk: Walk,
  fields: TreeFields,
  place: Place,
  kind: "update" | "delete",
  others: readonly unknown[],
): void {
  const { draft } = place;
  draft.kind = kind;
  const inside = newBlock(walk, withClause(walk, fieldsIn(fields, "withClause"), place), "main", draft.range);
  target(walk, fields, inside);
  fromClause(walk, others, inside);
  if (kind === "update") setList(walk, listIn(fields, "targetList"), at(inside, "set"), "set");
  const isCursor = nodeOf(fields["whereClause"])?.type === "CurrentOfExpr";
  if (isCursor) blockOf(inside).where = draft.where = "present";
  else whereClause(walk, fields["whereClause"], inside, true);
  returning(walk, fields, inside);
  findWholeWrite(walk, inside);
}

const WHOLE = {
  absent: "write-without-where",
  constant: "write-where-constant",
  "self-comparison": "write-where-self-comparison",
} as const;

function findWholeWrite(walk: Walk, place: Place): void {
  const { draft } = place;
  const { where } = draft;
  if (where === "present" || where === "never") return;
  draft.addModifier("all-rows");
  walk.find(WHOLE[where], place, draft.range);
}

export function merge(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "merge";
  const inside = newBlock(walk, withClause(walk, fieldsIn(fields, "withClause"), place), "main", draft.range);
  target(walk, fields, inside);
  walk.value(fields["sourceRelation"], at(inside, "from"));
  const on = fields["joinCondition"];
  wherePredicates(walk, on, at(inside, "on"), true);
  walk.value(on, at(inside, "on"));
  findConditions(walk, on, inside);
  draft.where = shapeOf(on, { tables: [...draft.tablesRead, ...draft.tablesWritten] });
  for (const each of listIn(fields, "mergeWhenClauses")) {
    const when = wrapped(each, "MergeWhenClause") ?? {};
    if (textIn(when, "commandType") !== "CMD_INSERT") draft.addModifier("on-duplicate-key-update");
    walk.value(when["condition"], at(inside, "where"));
    setList(walk, listIn(when, "targetList"), at(inside, "set"), "set");
    walk.value(listIn(when, "values"), at(inside, "values"));
  }
  returning(walk, fields, inside);
}
