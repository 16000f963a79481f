/** Comparisons of columns: what WHERE and ON compare, and whose column it is. */
import type { ColumnName, Operand, PlacedColumn, Predicate, PredicateOperator, TableReference } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import { constantOf, listIn, locationOf, nodeOf, stringOf, textIn } from "../parser/tree.ts";
import type { Place, Walk } from "./walk.ts";

const OPERATORS: Readonly<Record<string, PredicateOperator>> = {
  "=": "=",
  "<>": "<>",
  "!=": "<>",
  "<": "<",
  "<=": "<=",
  ">": ">",
  ">=": ">=",
  "~~": "like",
  "~~*": "like",
  "!~~": "not-like",
  "!~~*": "not-like",
  "~": "regexp",
  "~*": "regexp",
};

/** The parts of a ColumnRef; undefined for anything else, and for `*`. */
export function columnOf(value: unknown): ColumnName | undefined {
  const node = nodeOf(value);
  if (node?.type !== "ColumnRef") return undefined;
  const parts = listIn(node.fields, "fields").map((part) => stringOf(part));
  if (parts.some((part) => part === undefined)) return undefined;
  const [name, qualifier, schema] = (parts as string[]).toReversed();
  return name === undefined ? undefined : { name, qualifier, schema };
}

/** What a column is compared with, or is to hold. SAFETY: what PREPARE and a function take for values is no value of the message. */
export function operandOf(value: unknown, place: Place): Operand {
  const node = nodeOf(value);
  if (node?.type === "ParamRef") {
    if (place.runsLater) return EXPRESSION;
    const number = node.fields["number"];
    return { type: "parameter", text: String(typeof number === "number" ? number - 1 : 0) };
  }
  const name = columnOf(value);
  if (name !== undefined) {
    return { type: "column", text: name.qualifier === undefined ? name.name : `${name.qualifier}.${name.name}`, name };
  }
  // A cast may make another value of it: only one to a text or a number of the server's own leaves it as it is.
  if (node?.type === "TypeCast") return isPlainCast(node.fields) ? operandOf(node.fields["arg"], place) : EXPRESSION;
  if (node?.type === "List" || node?.type === "A_ArrayExpr") return { type: "list", text: undefined };
  const constant = node?.type === "A_Const" ? constantOf(value) : undefined;
  if (constant === undefined) return EXPRESSION;
  if (constant.type === "boolean") return { type: "number", text: constant.text === "true" ? "1" : "0" };
  return { type: constant.type, text: constant.text };
}

const EXPRESSION: Operand = { type: "expression", text: undefined };

const PLAIN_TYPES: ReadonlySet<string> = new Set(["int2", "int4", "int8", "text", "varchar", "uuid"]);

function isPlainCast(fields: TreeFields): boolean {
  const type = fields["typeName"] as TreeFields | undefined;
  if (type === undefined || listIn(type, "typmods").length > 0) return false;
  return PLAIN_TYPES.has(stringOf(listIn(type, "names").at(-1)) ?? "");
}

/** True where nothing inside asks for a column. */
export function isAllConstant(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isAllConstant);
  for (const key in value) {
    if (key === "ColumnRef" || key === "SubLink" || key === "ParamRef" || key === "A_Star") return false;
    if (!isAllConstant((value as TreeFields)[key])) return false;
  }
  return true;
}

/** The terms of a condition. Only those joined by AND hold for every row that comes out. */
export function wherePredicates(walk: Walk, value: unknown, place: Place, isHeld: boolean): void {
  const terms = conjunctsOf(value);
  for (const term of terms) predicateIn(walk, term, place, true, isHeld);
}

/** AND is flat in the tree but for parentheses. */
export function conjunctsOf(value: unknown): readonly unknown[] {
  const terms: unknown[] = [];
  const open: unknown[] = [value];
  for (let top = open.pop(); top !== undefined; top = open.pop()) {
    const node = nodeOf(top);
    if (node?.type === "BoolExpr" && textIn(node.fields, "boolop") === "AND_EXPR") {
      open.push(...listIn(node.fields, "args").toReversed());
    } else terms.push(top);
  }
  return terms;
}

function predicateIn(walk: Walk, value: unknown, place: Place, isConjunct: boolean, isHeld: boolean): void {
  const node = nodeOf(value);
  if (node === undefined) return;
  walk.steps++;
  if (node.type === "BoolExpr") {
    for (const each of listIn(node.fields, "args")) predicateIn(walk, each, place, false, false);
  } else if (node.type === "NullTest") {
    const operator = textIn(node.fields, "nulltesttype") === "IS_NULL" ? "is-null" : "is-not-null";
    put(
      walk,
      node.fields["arg"],
      { operator, operand: { type: "null", text: undefined } },
      node.fields,
      place,
      false,
      false,
    );
  } else if (node.type === "A_Expr") comparison(walk, node.fields, place, isConjunct, isHeld);
}

interface Compared {
  readonly operator: PredicateOperator;
  readonly operand: Operand;
}

function comparison(walk: Walk, fields: TreeFields, place: Place, isConjunct: boolean, isHeld: boolean): void {
  const operator = operatorOf(fields);
  if (operator === undefined) return;
  const { lexpr, rexpr } = fields;
  const left = operandOf(lexpr, place);
  const right = operandOf(rexpr, place);
  if (left.type === "column") put(walk, lexpr, { operator, operand: right }, fields, place, isConjunct, isHeld);
  else if (right.type === "column")
    put(walk, rexpr, { operator: turned(operator), operand: left }, fields, place, isConjunct, isHeld);
}

const TURNED: Readonly<Partial<Record<PredicateOperator, PredicateOperator>>> = {
  "<": ">",
  ">": "<",
  "<=": ">=",
  ">=": "<=",
};

const turned = (operator: PredicateOperator): PredicateOperator => TURNED[operator] ?? operator;

/** Undefined for operators of other people, and for those that compare nothing. */
export function operatorOf(fields: TreeFields): PredicateOperator | undefined {
  const names = listIn(fields, "name");
  const isOwn = names.length === 1 || stringOf(names[0]) === "pg_catalog";
  if (!isOwn) return undefined;
  const name = stringOf(names.at(-1)) ?? "";
  switch (textIn(fields, "kind")) {
    case "AEXPR_OP":
      return OPERATORS[name];
    case "AEXPR_OP_ANY":
      return name === "=" ? "in" : undefined;
    case "AEXPR_IN":
      return name === "<>" ? "not-in" : "in";
    case "AEXPR_LIKE":
    case "AEXPR_ILIKE":
      return OPERATORS[name];
    case "AEXPR_SIMILAR":
      return "regexp";
    case "AEXPR_BETWEEN":
    case "AEXPR_BETWEEN_SYM":
      return "between";
    case "AEXPR_NOT_DISTINCT":
      return "<=>";
    default:
      return undefined;
  }
}

function put(
  walk: Walk,
  value: unknown,
  { operator, operand }: Compared,
  fields: TreeFields,
  place: Place,
  isConjunct: boolean,
  isHeld: boolean,
): void {
  const name = columnOf(value);
  if (name === undefined) return;
  const { draft, block, clause } = place;
  const isPlaced = isConjunct && operator === "=";
  const predicate: Predicate = {
    ...walk.source.at(locationOf(fields)),
    column: name.name,
    qualifier: name.qualifier,
    schema: name.schema,
    table: undefined,
    operator,
    operand,
    clause: clause === "where" || clause === "on" || clause === "having" ? clause : "other",
    block: Math.max(0, block),
    isConjunct,
    ofColumn: isPlaced ? placed(place, name, isHeld) : undefined,
    ofOperand: isPlaced && operand.name !== undefined ? placed(place, operand.name, isHeld) : undefined,
  };
  draft.predicates.push(predicate);
}

/**
 * The one table of the block that the column can be of. SAFETY: where there could be two, it is of none; nor is it of a
 * table whose columns have got other names, as in `orders AS o (tenant_id, id)`.
 */
function placed(
  { draft, block }: Place,
  { name, qualifier, schema }: ColumnName,
  isHeld: boolean,
): PlacedColumn | undefined {
  const own = draft.blocks[block];
  const tables = [...draft.tablesRead, ...draft.tablesWritten].filter((table) => table.block === block);
  if (own === undefined) return undefined;
  if (qualifier === undefined) {
    const [only] = tables;
    const isAlone = tables.length === 1 && own.otherSources.length === 0;
    return isAlone && only !== undefined && own.renamed.length === 0
      ? { table: only, column: name, isHeld }
      : undefined;
  }
  const named = tables.filter((table) => isNamed(table, qualifier, schema));
  const [only] = named;
  if (only === undefined || named.length > 1 || own.otherSources.includes(qualifier)) return undefined;
  if (own.renamed.includes(only) || own.renamed.includes(qualifier)) return undefined;
  return { table: only, column: name, isHeld };
}

const isNamed = (table: TableReference, qualifier: string, schema: string | undefined): boolean =>
  (table.alias ?? table.table) === qualifier && (schema === undefined || table.schema === schema);
