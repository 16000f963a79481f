/** Columns, calls, operators, casts and subqueries: everything that an expression may hold. */
import type { ByteRange, FunctionCall, Reach } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import {
  type Constant,
  constantOf,
  fieldsIn,
  listIn,
  locationOf,
  nodeOf,
  stringOf,
  textIn,
  wrapped,
} from "../parser/tree.ts";
import { BUILT_IN_OPERATORS, BUILT_IN_TYPES } from "./built-in-names.ts";
import { classOf, NAMED_ARGUMENTS, REWRITES_BY_QUERY, SECRET_RELATIONS, SQL_ARGUMENTS } from "./function-classes.ts";
import { callName, isCatalogFirst, isOfApplication } from "./names.ts";
import { columnOf, isAllConstant, operatorOf } from "./predicates.ts";
import { rangeVar, sortItem, subquery, wholeRow } from "./queries.ts";
import { assignSetting, dynamicSetting } from "./settings.ts";
import type { Place, Walk } from "./walk.ts";

const CATALOG = "pg_catalog";

export function columnRef(walk: Walk, fields: TreeFields, place: Place): void {
  const range = walk.source.nameAt(locationOf(fields));
  const parts = listIn(fields, "fields");
  const names = parts.map((part) => stringOf(part));
  const last = names.at(-1);
  const qualifier = names.at(-2);
  if (last === undefined) {
    wholeRow(place, range, qualifier);
    return;
  }
  const { draft, block, clause } = place;
  draft.columns.push({ ...range, name: last, qualifier, table: undefined, clause, block: Math.max(0, block) });
  if (names.length === 1) {
    if (isRowName(place, last)) wholeRow(place, range, last);
    if (isJoinName(place, last)) wholeRow(place, range, undefined);
    return;
  }
  attribute(place, last, range);
}

/** `SELECT t FROM t`: the name of a table stands for all of its columns. */
function isRowName({ draft }: Place, name: string): boolean {
  const isNamed = (table: { readonly alias: string | undefined; readonly table: string }): boolean =>
    (table.alias ?? table.table) === name;
  return draft.tablesRead.some(isNamed) || draft.tablesWritten.some(isNamed);
}

/** The name of a join, `(t JOIN u …) AS name`, stands for the columns of all of its tables. */
function isJoinName({ draft }: Place, name: string): boolean {
  return draft.blocks.some(({ renamed }) => renamed.includes(name));
}

/** `t.f` calls f(t) where t has no column f. */
function attribute(place: Place, last: string, range: ByteRange): void {
  if (classOf(last) !== undefined || last === "version") return;
  put(place, { ...range, ...named(last), schema: undefined, spelling: "attribute", arguments: 1 });
}

type NewCall = Pick<FunctionCall, "start" | "end" | "name" | "schema" | "spelling" | "arguments"> &
  Partial<Pick<FunctionCall, "hasSubquery" | "firstLiteral">>;

function put({ draft, clause, block }: Place, call: NewCall): void {
  draft.functions.push({
    hasSubquery: false,
    firstLiteral: undefined,
    ...call,
    clause,
    block: Math.max(0, block),
  });
}

const named = (name: string): { readonly name: string } => ({ name: callName(name).name });

export function funcCall(walk: Walk, fields: TreeFields, place: Place): void {
  const parts = listIn(fields, "funcname").map((part) => stringOf(part) ?? "");
  const name = parts.at(-1) ?? "";
  const schema = parts.at(-2);
  const args = listIn(fields, "args");
  const range = walk.source.callAt(locationOf(fields));
  const { isFolded, name: shown } = callName(name);
  const first = constantOf(args[0]);
  put(place, {
    ...range,
    name: shown,
    schema,
    spelling: isFolded ? "plain" : "quoted",
    arguments: args.length,
    hasSubquery: args.some((argument) => nodeOf(argument)?.type === "SubLink"),
    firstLiteral: first?.text,
  });
  walk.fields(fields, place);
  noteCall(walk, name, args, place, range);
}

function noteCall(walk: Walk, name: string, args: readonly unknown[], place: Place, range: ByteRange): void {
  const finding = classOf(name);
  if (finding !== undefined) {
    walk.find(finding, place, range, 1, name);
    reachOf(place, finding, args, range);
  }
  if (name === "set_config") setConfig(walk, args, place, range);
  else if (SLEEPS.has(name)) sleep(walk, args, place, range);
  else if (name === "currval" || name === "nextval" || name === "setval") sequence(args, place, range);
  runsSql(walk, name, args, place, range);
  if (SESSION_FUNCTIONS.has(name)) sessionFunction(walk, place, range, name);
}

const FILE_FINDINGS: Readonly<Record<string, Reach["type"]>> = {
  "server-file-read": "server-file",
  "server-file-write": "server-file",
  "large-object": "large-object",
  "other-server": "remote-server",
};

function reachOf({ draft }: Place, finding: string, args: readonly unknown[], range: ByteRange): void {
  const type = FILE_FINDINGS[finding];
  if (type !== undefined) draft.reach.push({ ...range, type, target: constantOf(args[0])?.text });
}

const SLEEPS: ReadonlySet<string> = new Set(["pg_sleep", "pg_sleep_for", "pg_sleep_until"]);

function sleep(walk: Walk, args: readonly unknown[], place: Place, range: ByteRange): void {
  const seconds = Number(constantOf(args[0])?.text);
  const isAlone = place.clause === "select" && place.depth === 0 && place.draft.tablesRead.length === 0;
  walk.find(isAlone ? "sleep" : "sleep-nested", place, range, Number.isFinite(seconds) ? seconds : 1);
}

function sequence(args: readonly unknown[], { draft }: Place, range: ByteRange): void {
  const text = constantOf(args[0])?.text;
  if (text !== undefined) draft.objects.push({ ...range, type: "sequence", schema: undefined, name: text });
}

function setConfig(walk: Walk, args: readonly unknown[], place: Place, range: ByteRange): void {
  const setting = constantOf(args[0]) ?? settingOfRow(args[0], place);
  const value = constantOf(args[1]);
  const isLocal = constantOf(args[2])?.text === "true";
  if (setting?.type !== "string") dynamicSetting(walk, place, range, undefined);
  else if (value === undefined) dynamicSetting(walk, place, range, setting.text);
  else
    assignSetting(walk, place, range, {
      name: setting.text,
      values: [value.text],
      scope: isLocal ? "local" : "session",
    });
}

/** The column `name` of the row of pg_settings that the query asks for, as pg_dump does to set only what the server knows. */
function settingOfRow(argument: unknown, place: Place): Constant | undefined {
  const column = columnOf(argument);
  const { setting } = place.draft.blocks[place.block] ?? {};
  const isName = column?.name === "name" && column.qualifier === undefined;
  return isName && setting !== undefined ? { type: "string", text: setting } : undefined;
}

/** SQL in an argument, which is analysed where it is a literal. */
function runsSql(walk: Walk, name: string, args: readonly unknown[], place: Place, range: ByteRange): void {
  const position = SQL_ARGUMENTS.get(name) ?? (name === REWRITES_BY_QUERY && args.length === 2 ? 1 : undefined);
  if (position !== undefined) {
    const literal = constantOf(args[position]);
    if (literal?.type === "string") {
      walk.inner.push({ sql: literal.text, within: "executor-argument", parent: place.index, range, language: "sql" });
      walk.find("prepare-literal", place, range, 1, name);
    } else opaque(walk, place, range, name);
    return;
  }
  const what = NAMED_ARGUMENTS.get(name);
  const table = constantOf(args[0]);
  if (what === "table" && table?.type === "string") tableByName(walk, table.text, place, range);
  else if (what !== undefined) opaque(walk, place, range, name);
}

export function opaque(walk: Walk, place: Place, range: ByteRange, detail: string): void {
  walk.find("prepare-variable", place, range, 1, detail);
  const { start, end } = range;
  place.draft.dynamic ??= {
    start,
    end,
    type: "executor-procedure",
    name: detail,
    source: "expression",
    text: undefined,
    using: [],
  };
}

function tableByName(walk: Walk, text: string, place: Place, range: ByteRange): void {
  const [table = "", schemaName] = text.split(".").toReversed();
  const isPlain = /^[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?$/.test(text);
  if (!isPlain) {
    opaque(walk, place, range, "table_to_xml");
    return;
  }
  const schema = schemaName ?? walk.schemaOf(table, place);
  place.draft.tablesRead.push({
    ...range,
    schema,
    isQualified: schemaName !== undefined,
    table,
    alias: undefined,
    block: Math.max(0, place.block),
  });
  wholeRow(place, range, table);
}

const SESSION_FUNCTIONS: ReadonlySet<string> = new Set([
  "version",
  "current_database",
  "inet_server_addr",
  "current_setting",
  "pg_postmaster_start_time",
  "getpgusername",
]);

function sessionFunction(walk: Walk, place: Place, range: ByteRange, name: string): void {
  const role = place.draft.blocks[place.block]?.role;
  const isNested =
    role === "union-branch" || (place.clause === "where" && place.draft.tablesRead.some(isOfApplication));
  if (isNested) walk.find("session-function-nested", place, range, 1, name);
}

/** Words such as current_user, which are functions without parentheses. */
export function sqlValueFunction(walk: Walk, fields: TreeFields, place: Place): void {
  const range = walk.source.at(locationOf(fields));
  const word = (textIn(fields, "op") ?? "").replace(/^SVFOP_/, "").replace(/_N$/, "");
  put(place, { ...range, name: word, schema: CATALOG, spelling: "plain", arguments: 0 });
  if (/USER|ROLE|CATALOG|SCHEMA/.test(word)) sessionFunction(walk, place, range, word.toLowerCase());
}

export function operatorExpr(walk: Walk, fields: TreeFields, place: Place): void {
  const names = listIn(fields, "name").map((part) => stringOf(part) ?? "");
  operator(walk, names, fields, place);
  findOperator(walk, fields, place);
  walk.fields(fields, place);
}

/** SAFETY: behind an operator there is a function. */
function operator(walk: Walk, names: readonly string[], fields: TreeFields, place: Place): void {
  const name = names.at(-1) ?? "";
  const schema = names.at(-2);
  const isOwn = schema === CATALOG || (schema === undefined && isCatalogFirst(walk.context));
  if (isOwn && (BUILT_IN_OPERATORS.has(name) || /^[A-Z ]+$/.test(name))) return;
  put(place, { ...walk.source.at(locationOf(fields)), name, schema, spelling: "operator", arguments: 2 });
}

const PLENTY_IN_LIST = 1_000;

function findOperator(walk: Walk, fields: TreeFields, place: Place): void {
  const kind = textIn(fields, "kind");
  const { draft, clause } = place;
  const range = walk.source.at(locationOf(fields));
  if (kind === "AEXPR_IN") {
    const items = listIn(wrapped(fields["rexpr"], "List") ?? {}, "items").length;
    draft.inListMax = Math.max(draft.inListMax, items);
    if (items > PLENTY_IN_LIST) walk.find("in-list-long", place, range, items);
  } else if (kind === "AEXPR_LIKE" || kind === "AEXPR_ILIKE") {
    if (/^[%_]./s.test(constantOf(fields["rexpr"])?.text ?? "")) walk.find("like-leading-wildcard", place, range);
  } else if (kind === "AEXPR_OP" && clause !== "where" && clause !== "on" && clause !== "having") {
    const isComparison = operatorOf(fields) !== undefined && fields["lexpr"] !== undefined;
    const isOfConstants = constantOf(fields["lexpr"]) !== undefined && constantOf(fields["rexpr"]) !== undefined;
    if (isComparison && isOfConstants) walk.find("constant-comparison", place, range);
  }
  findSubqueryComparison(walk, fields, place, range);
}

/** Reading a value out bit by bit: ascii(substr((SELECT …), 1, 1)) > 64. */
function findSubqueryComparison(walk: Walk, fields: TreeFields, place: Place, range: ByteRange): void {
  if (place.clause !== "where" && place.clause !== "having") return;
  const sides = [fields["lexpr"], fields["rexpr"]];
  if (!sides.some((side) => side !== undefined && isAllConstant(side))) return;
  for (const side of sides) {
    const call = nodeOf(side);
    if (call?.type === "FuncCall" && isPiece(call.fields)) walk.find("blind-substring", place, range);
    else if (call?.type === "SubLink" && textIn(call.fields, "subLinkType") === "EXPR_SUBLINK") {
      const query = wrapped(call.fields["subselect"], "SelectStmt") ?? {};
      const isPicked = query["whereClause"] === undefined && listIn(query, "fromClause").length > 0;
      if (isPicked && query["limitCount"] !== undefined) walk.find("comparison-subquery", place, range);
    }
  }
}

const PIECES: ReadonlySet<string> = new Set([
  "ascii",
  "substr",
  "substring",
  "left",
  "right",
  "length",
  "encode",
  "get_byte",
  "strpos",
]);

function isPiece(fields: TreeFields): boolean {
  const name = stringOf(listIn(fields, "funcname").at(-1)) ?? "";
  if (!PIECES.has(name)) return false;
  return listIn(fields, "args").some((argument) => {
    const node = nodeOf(argument);
    if (node?.type === "SubLink") return true;
    if (node?.type === "TypeCast") return nodeOf(node.fields["arg"])?.type === "SubLink";
    return node?.type === "FuncCall" && isPiece(node.fields);
  });
}

const NUMBER_TYPES: ReadonlySet<string> = new Set([
  "int2",
  "int4",
  "int8",
  "numeric",
  "float4",
  "float8",
  "bool",
  "date",
  "xml",
]);

/** A type outside of a definition: values are made ones of it, by functions of the type. */
export function typeName(walk: Walk, fields: TreeFields, place: Place): void {
  walk.value(listIn(fields, "typmods"), place);
  if (place.clause === "definition") return;
  const names = listIn(fields, "names").map((part) => stringOf(part) ?? "");
  const [name = "", schema] = names.toReversed();
  if (isOwnType(walk, name, schema)) return;
  put(place, {
    ...walk.source.at(Math.max(0, locationOf(fields))),
    name,
    schema,
    spelling: "cast",
    arguments: 1,
  });
}

function isOwnType(walk: Walk, name: string, schema: string | undefined): boolean {
  const isOwn = schema === CATALOG || (schema === undefined && isCatalogFirst(walk.context));
  return isOwn && BUILT_IN_TYPES.has(name);
}

/** ORDER BY … USING an operator, and a method of TABLESAMPLE, are functions too. */
export function sortBy(walk: Walk, fields: TreeFields, place: Place): void {
  const using = listIn(fields, "useOp").map((part) => stringOf(part) ?? "");
  if (using.length > 0) operator(walk, using, { location: locationOf(fields) }, place);
  sortItem(walk, fields, place);
}

const SAMPLE_METHODS: ReadonlySet<string> = new Set(["system", "bernoulli"]);

export function tableSample(walk: Walk, fields: TreeFields, place: Place): void {
  const [name = "", schema] = listIn(fields, "method")
    .map((part) => stringOf(part) ?? "")
    .toReversed();
  const isOwn = (schema === CATALOG || schema === undefined) && SAMPLE_METHODS.has(name);
  if (!isOwn) {
    const range = walk.source.at(Math.max(0, locationOf(fields)));
    put(place, { ...range, name, schema, spelling: "operator", arguments: 1 });
  }
  walk.fields(fields, place);
}

export function typeCast(walk: Walk, fields: TreeFields, place: Place): void {
  const type = fieldsIn(fields, "typeName") ?? {};
  const names = listIn(type, "names").map((part) => stringOf(part) ?? "");
  const name = names.at(-1) ?? "";
  const schema = names.at(-2);
  const isOwn = isOwnType(walk, name, schema);
  const range = walk.source.at(locationOf(fields));
  if (!isOwn) put(place, { ...range, name, schema, spelling: "cast", arguments: 1 });
  else if (NUMBER_TYPES.has(name) && carriesText(fields["arg"])) {
    walk.find("error-function", place, range, 1, `cast to ${name}`);
  }
  walk.value(fields["arg"], place);
}

/** CAST(('~' || (SELECT …)) AS int): the error tells what it could not cast. */
function carriesText(value: unknown): boolean {
  const node = nodeOf(value);
  if (node?.type === "A_Expr") {
    const isJoined = stringOf(listIn(node.fields, "name").at(-1)) === "||";
    return isJoined && [node.fields["lexpr"], node.fields["rexpr"]].some((side) => holdsQuery(side));
  }
  if (node?.type !== "SubLink") return false;
  const query = wrapped(node.fields["subselect"], "SelectStmt") ?? {};
  const targets = listIn(query, "targetList").map((each) => nodeOf(wrapped(each, "ResTarget")?.["val"]));
  return targets.some((target) => target?.type === "A_Expr" && stringOf(listIn(target.fields, "name").at(-1)) === "||");
}

function holdsQuery(value: unknown): boolean {
  const node = nodeOf(value);
  if (node?.type === "SubLink" || node?.type === "SQLValueFunction") return true;
  if (node?.type === "FuncCall") return SESSION_FUNCTIONS.has(stringOf(listIn(node.fields, "funcname").at(-1)) ?? "");
  if (node?.type === "TypeCast") return holdsQuery(node.fields["arg"]);
  return node?.type === "A_Expr" && (holdsQuery(node.fields["lexpr"]) || holdsQuery(node.fields["rexpr"]));
}

export function subLink(walk: Walk, fields: TreeFields, place: Place): void {
  walk.value(fields["testexpr"], place);
  const names = listIn(fields, "operName").map((part) => stringOf(part) ?? "");
  if (names.length > 0) operator(walk, names, fields, place);
  const query = wrapped(fields["subselect"], "SelectStmt") ?? {};
  const readsNothing = listIn(query, "fromClause").length === 0 && query["op"] === "SETOP_NONE";
  const isCompared = place.clause === "where" && textIn(fields, "subLinkType") === "EXPR_SUBLINK";
  if (isCompared && readsNothing && listIn(query, "valuesLists").length === 0 && query["whereClause"] === undefined) {
    const [target] = listIn(query, "targetList");
    const value = wrapped(target, "ResTarget")?.["val"];
    const isAuthCall = nodeOf(value)?.type === "FuncCall" || nodeOf(value)?.type === "TypeCast";
    if (!isAuthCall) walk.find("subquery-without-table", place, walk.source.at(locationOf(fields)));
  }
  subquery(walk, fields["subselect"], place, "subquery");
}

export function indirection(walk: Walk, fields: TreeFields, place: Place): void {
  for (const part of listIn(fields, "indirection")) {
    const name = stringOf(part);
    if (name !== undefined) attribute(place, name, place.draft.range);
  }
  walk.fields(fields, place);
}

export function caseExpr(walk: Walk, fields: TreeFields, place: Place): void {
  const tests = listIn(fields, "args").map((when) => wrapped(when, "CaseWhen")?.["expr"]);
  const isConstant = fields["arg"] === undefined && tests.some((test) => test !== undefined && isAllConstant(test));
  if (isConstant) walk.find("case-constant", place, place.draft.range);
  walk.fields(fields, place);
}

/** A table in FROM or as a target, and what it says that just this one is named. */
export function relation(walk: Walk, fields: TreeFields, place: Place): void {
  rangeVar(walk, fields, place);
  const table = textIn(fields, "relname") ?? "";
  const schema = textIn(fields, "schemaname") ?? walk.schemaOf(table, place);
  const isCatalog = schema === CATALOG || schema === "information_schema";
  if (!isCatalog && !table.startsWith("pg_")) return;
  const range = walk.source.nameAt(locationOf(fields));
  if (SECRET_RELATIONS.has(table)) walk.find("catalog-secrets", place, range, 1, table);
  if (place.ctes.has(table) && schema === undefined) return;
  const role = place.draft.blocks[place.block]?.role;
  const isNested = (role !== undefined && role !== "main") || place.draft.tablesWritten.length > 0;
  walk.find(isNested ? "catalog-read-nested" : "catalog-read", place, range, 1, table);
}
