/** Conditions that leave no row out, and those that look injected. */
import type { FindingName, TableReference, WhereShape } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import { constantOf, fieldsIn, listIn, nodeOf, stringOf, type TreeNode, textIn, wrapped } from "../parser/tree.ts";
import { isOfApplication } from "./names.ts";
import { columnOf, conjunctsOf, isAllConstant, operatorOf } from "./predicates.ts";
import { isSameTree } from "./same-tree.ts";
import type { Place, Walk } from "./walk.ts";

interface Around {
  /** The tables whose rows the condition is about. */
  readonly tables: readonly TableReference[];
}

/** The shape of a WHERE. */
export function shapeOf(value: unknown, around: Around): WhereShape {
  if (value === undefined) return "absent";
  const node = nodeOf(value);
  if (node === undefined) return "present";
  switch (node.type) {
    case "BoolExpr":
      return shapeOfTerms(node.fields, around);
    case "TypeCast":
      return shapeOf(node.fields["arg"], around);
    case "BooleanTest":
      return shapeOfTest(node.fields, around);
    case "A_Expr":
      return shapeOfComparison(node.fields);
    case "SubLink":
      return shapeOfSubquery(node.fields, around);
    case "NullTest":
      return isAllConstant(value) ? constantShape(value) : shapeOfNullTest(node.fields);
    default:
      return asksForColumn(value) ? "present" : constantShape(value);
  }
}

function constantShape(value: unknown): WhereShape {
  const constant = constantOf(value);
  if (constant === undefined) return "constant";
  return constant.type === "null" || FALSE_WORDS.has(constant.text.trim().toLowerCase()) ? "never" : "constant";
}

/** What PostgreSQL reads as false, where a boolean is asked for. */
const FALSE_WORDS: ReadonlySet<string> = new Set(["false", "fals", "fal", "fa", "f", "no", "n", "off", "of", "0"]);

/** A primary key is never NULL, and neither is a system column; which columns are, is not in the text. */
const NEVER_NULL: ReadonlySet<string> = new Set(["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"]);

function shapeOfNullTest(fields: TreeFields): WhereShape {
  const name = columnOf(fields["arg"])?.name;
  const isNotNull = textIn(fields, "nulltesttype") === "IS_NOT_NULL";
  return isNotNull && name !== undefined && NEVER_NULL.has(name) ? "self-comparison" : "present";
}

function shapeOfTerms(fields: TreeFields, around: Around): WhereShape {
  const terms = listIn(fields, "args");
  const op = textIn(fields, "boolop");
  if (op === "NOT_EXPR") return shapeOfNegation(terms[0], around);
  const shapes = terms.map((term) => shapeOf(term, around));
  if (op === "AND_EXPR") {
    if (shapes.includes("never")) return "never";
    if (shapes.includes("present")) return "present";
    return shapes.includes("self-comparison") ? "self-comparison" : "constant";
  }
  if (shapes.includes("constant")) return "constant";
  if (shapes.includes("self-comparison") || hasOpposites(terms)) return "self-comparison";
  return shapes.every((shape) => shape === "never") ? "never" : "present";
}

function shapeOfNegation(term: unknown, around: Around): WhereShape {
  const node = nodeOf(term);
  if (node?.type === "BoolExpr" && textIn(node.fields, "boolop") === "NOT_EXPR") {
    return shapeOf(listIn(node.fields, "args")[0], around);
  }
  if (constantOf(term)?.type === "null") return "never";
  switch (shapeOf(term, around)) {
    case "present": {
      // NOT (id <> id) and NOT (id IS NULL AND …) leave rows out or not by what columns hold.
      const negated = node?.type === "A_Expr" ? oppositeOf(node.fields) : undefined;
      return negated === undefined ? "present" : shapeOfComparison({ ...node?.fields, ...negated });
    }
    case "never":
      return asksForColumn(term) ? "self-comparison" : "constant";
    case "constant":
      return constantOf(term) === undefined ? "constant" : "never";
    default:
      return "present";
  }
}

const OPPOSITES: Readonly<Record<string, string>> = {
  "=": "<>",
  "<>": "=",
  "<": ">=",
  ">=": "<",
  ">": "<=",
  "<=": ">",
};

function oppositeOf(fields: TreeFields): TreeFields | undefined {
  const name = stringOf(listIn(fields, "name").at(-1)) ?? "";
  const opposite = OPPOSITES[name];
  if (opposite === undefined || textIn(fields, "kind") !== "AEXPR_OP") return undefined;
  return { name: [{ String: { sval: opposite } }] };
}

const TERMS_COMPARED_MAX = 64;

/** id < 5 OR id >= 5, and a OR NOT a. SAFETY: NULL fulfils neither, but which columns may be NULL is not in the text. */
function hasOpposites(terms: readonly unknown[]): boolean {
  const compared = terms.slice(0, TERMS_COMPARED_MAX);
  return compared.some((left, index) => compared.slice(index + 1).some((right) => areOpposites(left, right)));
}

function areOpposites(left: unknown, right: unknown): boolean {
  if (isNegationOf(left, right) || isNegationOf(right, left)) return true;
  const one = nodeOf(left);
  const other = nodeOf(right);
  if (one?.type !== other?.type || one === undefined || other === undefined) return false;
  if (one.type === "NullTest") {
    const differs = textIn(one.fields, "nulltesttype") !== textIn(other.fields, "nulltesttype");
    return differs && isSameTree(one.fields["arg"], other.fields["arg"]);
  }
  if (one.type !== "A_Expr") return false;
  return coverTogether(one.fields, other.fields);
}

function isNegationOf(value: unknown, term: unknown): boolean {
  const node = nodeOf(value);
  if (node?.type !== "BoolExpr" || textIn(node.fields, "boolop") !== "NOT_EXPR") return false;
  return isSameTree(listIn(node.fields, "args")[0], term);
}

/** By the relations that make either of them true, all three are there. */
const RELATIONS: Readonly<Record<string, number>> = { "<": 1, "=": 2, ">": 4, "<=": 3, ">=": 6, "<>": 5 };

function coverTogether(left: TreeFields, right: TreeFields): boolean {
  const one = RELATIONS[operatorOf(left) ?? ""];
  const other = RELATIONS[operatorOf(right) ?? ""];
  if (one === undefined || other === undefined || !isSameTree(left["lexpr"], right["lexpr"])) return false;
  if (isSameTree(left["rexpr"], right["rexpr"])) return (one | other) === 7;
  // id > 0 OR id < 5: between numbers that overlap.
  const low = numberIn(left["rexpr"]);
  const high = numberIn(right["rexpr"]);
  if (low === undefined || high === undefined) return false;
  return ((one & 4) !== 0 && (other & 1) !== 0 && low < high) || ((one & 1) !== 0 && (other & 4) !== 0 && high < low);
}

function numberIn(value: unknown): number | undefined {
  const constant = constantOf(value);
  const number = constant?.type === "number" ? Number(constant.text) : Number.NaN;
  return Number.isNaN(number) ? undefined : number;
}

const TRUE_TESTS: ReadonlySet<string> = new Set(["IS_TRUE", "IS_NOT_FALSE"]);

function shapeOfTest(fields: TreeFields, around: Around): WhereShape {
  const shape = shapeOf(fields["arg"], around);
  if (TRUE_TESTS.has(textIn(fields, "booltesttype") ?? "")) return shape;
  return shape === "present" ? "present" : asksForColumn(fields["arg"]) ? "self-comparison" : "constant";
}

function shapeOfComparison(fields: TreeFields): WhereShape {
  const { lexpr, rexpr } = fields;
  if (!asksForColumn(fields)) return truthOf(fields);
  const operator = operatorOf(fields);
  if (operator === "like" && isEverything(rexpr)) return "self-comparison";
  if (operator === "between") {
    const [low, high] = listIn(nodeOf(rexpr)?.fields ?? {}, "items");
    return isSameTree(lexpr, low) && isSameTree(lexpr, high) ? "self-comparison" : "present";
  }
  if (operator === "in") return hasItself(lexpr, rexpr) ? "self-comparison" : "present";
  if (operator === "regexp" && isAnyPattern(rexpr)) return "self-comparison";
  if (!isSameTree(bare(lexpr), bare(rexpr))) return "present";
  if (operator === "=" || operator === "<=" || operator === ">=" || operator === "<=>") return "self-comparison";
  if (operator === "<>" || operator === "<" || operator === ">") return "never";
  return "present";
}

/** Without casts, which change nothing about being the same. */
function bare(value: unknown): unknown {
  let inner = value;
  for (let node = nodeOf(inner); node?.type === "TypeCast"; node = nodeOf(inner)) inner = node.fields["arg"];
  return inner;
}

const isEverything = (value: unknown): boolean => /^%+$/.test(constantOf(value)?.text ?? "");

const isAnyPattern = (value: unknown): boolean =>
  ["", ".*", "^", "$", ".*$", "^.*", "^.*$"].includes(constantOf(value)?.text ?? "x");

function hasItself(left: unknown, right: unknown): boolean {
  const node = nodeOf(right);
  const items = node === undefined ? [] : [...listIn(node.fields, "items"), ...listIn(node.fields, "elements")];
  return items.slice(0, 1_000).some((item) => isSameTree(bare(left), bare(item)));
}

/** Of a comparison of constants; `constant` where it is not false for certain. */
function truthOf(fields: TreeFields): WhereShape {
  const left = constantOf(fields["lexpr"]);
  const right = constantOf(fields["rexpr"]);
  const operator = operatorOf(fields);
  if (left?.type === "null" || right?.type === "null") return operator === "<=>" ? "constant" : "never";
  if (left === undefined || right === undefined || operator === undefined) return "constant";
  const isNumber = left.type === "number" && right.type === "number";
  // Texts are compared by a collation, so that only their being equal is certain.
  if (!isNumber) return operator === "=" && left.type === right.type && left.text !== right.text ? "never" : "constant";
  const relation = relationOf(Number(left.text), Number(right.text));
  return ((RELATIONS[operator] ?? 7) & relation) === 0 ? "never" : "constant";
}

const relationOf = (left: number, right: number): number => (left < right ? 1 : left > right ? 4 : 2);

/** A subquery that no column of the row is asked in comes to the same for every row. */
function shapeOfSubquery(fields: TreeFields, { tables }: Around): WhereShape {
  const query = nodeOf(fields["subselect"]);
  const test = columnOf(fields["testexpr"]);
  if (query?.type !== "SelectStmt") return "present";
  if (fields["testexpr"] !== undefined) {
    return test !== undefined && isOfOwnTable(query.fields, test.name, tables) ? "self-comparison" : "present";
  }
  return isCorrelated(query) ? "present" : "constant";
}

/** id IN (SELECT id FROM the_same_table): each row finds itself. */
function isOfOwnTable(query: TreeFields, column: string, tables: readonly TableReference[]): boolean {
  const [from, ...others] = listIn(query, "fromClause");
  const relation = nodeOf(from);
  const [target] = listIn(query, "targetList");
  const selected = columnOf(nodeOf(target)?.fields?.["val"]);
  if (relation?.type !== "RangeVar" || others.length > 0 || selected?.name !== column) return false;
  if (query["limitCount"] !== undefined || query["limitOffset"] !== undefined) return false;
  const isOwn = tables.some(({ table }) => table === textIn(relation.fields, "relname"));
  const where = shapeOf(query["whereClause"], { tables: [] });
  return isOwn && where !== "present" && where !== "never";
}

/** SAFETY: a column without qualifier may be one of the row around. */
function isCorrelated(query: TreeNode): boolean {
  const sources = new Set<string>();
  const columns: string[] = [];
  let isPlain = true;
  const open: unknown[] = [query.fields];
  for (let top = open.pop(); top !== undefined; top = open.pop()) {
    if (typeof top !== "object" || top === null) continue;
    const fields = top as TreeFields;
    const relation = textIn(fields, "relname");
    const alias = fieldsIn(fields, "alias");
    if (relation !== undefined && alias === undefined) sources.add(relation);
    if (alias !== undefined) sources.add(textIn(alias, "aliasname") ?? "");
    const column = columnOf(top);
    if (column?.qualifier !== undefined) columns.push(column.qualifier);
    else if (column !== undefined) isPlain = false;
    open.push(...Object.values(top));
  }
  return !isPlain || columns.some((qualifier) => !sources.has(qualifier));
}

function asksForColumn(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(asksForColumn);
  for (const key in value) {
    const inner = (value as TreeFields)[key];
    if (key === "ColumnRef") return true;
    if (key === "SubLink" ? isAskedOfRow(inner as TreeFields) : asksForColumn(inner)) return true;
  }
  return false;
}

function isAskedOfRow(fields: TreeFields): boolean {
  const query = nodeOf(fields["subselect"]);
  return query === undefined || isCorrelated(query) || asksForColumn(fields["testexpr"]);
}

/** OR and AND terms that no row can change, as injected conditions have them. */
export function findConditions(walk: Walk, value: unknown, place: Place): void {
  if (value === undefined) return;
  const terms = conjunctsOf(value);
  terms.forEach((term, index) => {
    const node = nodeOf(term);
    if (node?.type === "BoolExpr") {
      disjunction(walk, node.fields, place);
      return;
    }
    const what = constantTerm(term, "and");
    if (what === undefined || (what === "and-constant-predicate" && isOfCatalog(place))) return;
    const isWritten = index === 0 || isOfMapper(term, terms);
    if (terms.length > 1 && isWritten && what !== "and-self-comparison") {
      walk.find("where-first-constant", place, place.draft.range);
    } else if (terms.length > 1) walk.find(what, place, place.draft.range);
  });
}

/** psql asks pg_relation_is_publishable('16385') of a table that it names once for the whole question. */
function isOfCatalog({ draft, block }: Place): boolean {
  const tables = draft.tablesRead.filter((table) => table.block === block);
  return tables.length > 0 && !tables.some(isOfApplication);
}

/** `(id = $1 AND 1=1)`, as Prisma has it: nobody has put a value into a text in which all values are parameters. */
function isOfMapper(term: unknown, terms: readonly unknown[]): boolean {
  const fields = wrapped(term, "A_Expr");
  if (fields === undefined || constantOf(fields["lexpr"])?.text !== "1" || constantOf(fields["rexpr"])?.text !== "1")
    return false;
  return terms.every((other) => other === term || !holdsLiteral(other));
}

function holdsLiteral(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(holdsLiteral);
  for (const key in value) if (key === "A_Const" || holdsLiteral((value as TreeFields)[key])) return true;
  return false;
}

function disjunction(walk: Walk, fields: TreeFields, place: Place): void {
  const isOr = textIn(fields, "boolop") === "OR_EXPR";
  for (const term of listIn(fields, "args")) {
    const node = nodeOf(term);
    const what = isOr ? constantTerm(term, "or") : undefined;
    if (what !== undefined) walk.find(what, place, place.draft.range);
    else if (node?.type === "BoolExpr") findConditions(walk, term, place);
  }
}

function constantTerm(term: unknown, word: "or" | "and"): FindingName | undefined {
  const node = nodeOf(term);
  const inner =
    node?.type === "BoolExpr" && textIn(node.fields, "boolop") === "NOT_EXPR" ? listIn(node.fields, "args")[0] : term;
  const of = nodeOf(inner);
  if (of === undefined) return undefined;
  if (of.type === "A_Expr" && asksForColumn(inner)) {
    return shapeOfComparison(of.fields) === "self-comparison" ? `${word}-self-comparison` : undefined;
  }
  if (!isAllConstant(inner)) return undefined;
  if (constantOf(inner) !== undefined) return `${word}-constant`;
  if (of.type !== "A_Expr") return of.type === "BoolExpr" ? undefined : `${word}-constant-predicate`;
  return textIn(of.fields, "kind") === "AEXPR_OP" ? `${word}-constant-comparison` : `${word}-constant-predicate`;
}
