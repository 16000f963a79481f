/** Statements that hold or run other statements: EXPLAIN, PREPARE, cursors, COPY, functions, DO, rules. */
import type { StatementKind, StatementOrigin } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import { constantOf, fieldsIn, flagIn, listIn, nameParts, nodeOf, stringOf, textIn, wrapped } from "../parser/tree.ts";
import { opaque } from "../walk/expressions.ts";
import { wholeRow } from "../walk/queries.ts";
import { variableSet } from "../walk/settings.ts";
import type { Handler, Place, Walk } from "../walk/walk.ts";
import { optionOf, putObject } from "./definitions.ts";

/** A query inside, as a statement of its own. */
function inner(walk: Walk, value: unknown, place: Place, within: StatementOrigin): void {
  if (value !== undefined) walk.value(value, walk.beginWithin(place, within));
}

/** SAFETY: planning runs functions, so that EXPLAIN counts as running what it explains, whether ANALYZE is said or not. */
export function explain(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "explain";
  const isAnalyze = listIn(fields, "options").some((each) => {
    const option = wrapped(each, "DefElem") ?? {};
    return (
      textIn(option, "defname") === "analyze" && !["false", "off", "0"].includes(constantOf(option["arg"])?.text ?? "")
    );
  });
  if (isAnalyze) draft.addModifier("analyze");
  inner(walk, fields["query"], place, "explain-analyze");
}

export function prepare(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "prepare";
  const name = textIn(fields, "name");
  draft.dynamic = { ...draft.range, type: "prepare", name, source: "literal", text: undefined, using: [] };
  inner(walk, fields["query"], place, "prepared-literal");
}

export function execute(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "execute";
  draft.dynamic = {
    ...draft.range,
    type: "execute",
    name: textIn(fields, "name"),
    source: "named",
    text: undefined,
    using: [],
  };
  walk.value(fields["params"], place);
}

export function declareCursor(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "declare-cursor";
  inner(walk, fields["query"], place, "cursor");
}

export function fetch(_walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = flagIn(fields, "ismove") ? "move" : "fetch";
}

/** The kinds of COPY, by direction and by what is at the other end. */
function copyKind(isFrom: boolean, isProgram: boolean, hasFile: boolean): StatementKind {
  if (isProgram) return isFrom ? "copy-from-program" : "copy-to-program";
  if (hasFile) return isFrom ? "copy-from-file" : "copy-to-file";
  return isFrom ? "copy-in" : "copy-out";
}

export function copy(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  const isFrom = flagIn(fields, "is_from");
  const isProgram = flagIn(fields, "is_program");
  const target = textIn(fields, "filename");
  draft.kind = copyKind(isFrom, isProgram, target !== undefined);
  const columns = nameParts(listIn(fields, "attlist"));
  walk.typed("RangeVar", fieldsIn(fields, "relation"), { ...place, isWriting: isFrom });
  for (const name of columns) {
    draft.columns.push({
      ...draft.range,
      name,
      qualifier: undefined,
      table: undefined,
      clause: isFrom ? "insert-columns" : "select",
      block: 0,
    });
  }
  if (columns.length === 0 && !isFrom && fields["relation"] !== undefined) wholeRow(place, draft.range, undefined);
  inner(walk, fields["query"], place, "cursor");
  walk.value(fields["whereClause"], { ...place, clause: "where" });
  walk.value(fields["options"], place);
  if (target === undefined) return;
  draft.reach.push({ ...draft.range, type: isProgram ? "copy-program" : "copy-file", target });
  const what = isProgram ? "server-program" : isFrom ? "server-file-read" : "server-file-write";
  walk.find(what, place, draft.range);
}

/** A body in SQL is read; one in PL/pgSQL by its own parser; in any other language nobody can tell what it does. */
function body(walk: Walk, place: Place, text: string, language: string, within: StatementOrigin): void {
  const { range } = place.draft;
  if (language === "sql" || language === "plpgsql") {
    walk.inner.push({ sql: text, within, parent: place.index, range, language });
  } else if (language === "c" || language === "internal") {
    walk.find("native-code", place, range, 1, language);
    place.draft.reach.push({ ...range, type: "native-code", target: text });
  } else opaque(walk, place, range, language);
}

export function doBlock(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "do-block";
  const bodies = listIn(fields, "args").filter((each) => textIn(wrapped(each, "DefElem") ?? {}, "defname") === "as");
  const [first] = bodies;
  const text = bodies.length === 1 && first !== undefined ? stringOf(wrapped(first, "DefElem")?.["arg"]) : undefined;
  const language = optionOf(fields, "args", "language") ?? "plpgsql";
  // Two bodies may be one string that goes on behind a comment.
  if (text === undefined || language !== "plpgsql") opaque(walk, place, draft.range, language);
  else body(walk, place, text, language, "body");
}

export function createFunction(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  const isProcedure = flagIn(fields, "is_procedure");
  draft.kind = isProcedure ? "create-procedure" : "create-function";
  if (flagIn(fields, "replace")) draft.addModifier("or-replace");
  putObject(place, isProcedure ? "procedure" : "function", nameParts(listIn(fields, "funcname")));
  if (optionOf(fields, "options", "security") === "true") draft.addModifier("sql-security-definer");
  walk.value(fields["parameters"], { ...place, clause: "definition" });
  functionOptions(walk, fields, place);
  const { sql_body: inSql } = fields;
  if (inSql !== undefined) bodyStatements(walk, inSql, place);
}

function bodyStatements(walk: Walk, value: unknown, place: Place): void {
  if (Array.isArray(value)) for (const each of value) bodyStatements(walk, each, place);
  else {
    const list = wrapped(value, "List");
    if (list === undefined) walk.value(value, walk.beginWithin(place, "body"));
    else for (const each of listIn(list, "items")) bodyStatements(walk, each, place);
  }
}

function functionOptions(walk: Walk, fields: TreeFields, place: Place): void {
  const language = optionOf(fields, "options", "language") ?? "sql";
  for (const each of [...listIn(fields, "options"), ...listIn(fields, "actions")]) {
    const option = wrapped(each, "DefElem") ?? {};
    const name = textIn(option, "defname");
    if (name === "as") {
      const [text = "", library] = nameParts(option["arg"]);
      if (library !== undefined) walk.find("native-code", place, place.draft.range, 1, "library");
      body(walk, place, text, language, "body");
    } else if (name === "set") {
      const set = wrapped(option["arg"], "VariableSetStmt");
      if (set !== undefined) variableSet(walk, set, place, "local");
    } else if (name === "support") {
      // The planner calls it.
      walk.find("native-code", place, place.draft.range, 1, "support");
    }
  }
}

export function alterFunction(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = textIn(fields, "objtype") === "OBJECT_PROCEDURE" ? "alter-procedure" : "alter-function";
  putObject(place, "function", nameParts(listIn(fieldsIn(fields, "func") ?? {}, "objname")));
  functionOptions(walk, fields, place);
}

export function call(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "call";
  const routine = fieldsIn(fields, "funccall") ?? {};
  const [name = "", schema] = nameParts(listIn(routine, "funcname")).toReversed();
  draft.objects.push({ ...draft.range, type: "procedure", schema, name });
  walk.find("unknown-routine", place, draft.range, 1, name);
  walk.value(routine["args"], place);
}

export function createTrigger(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "create-trigger";
  putObject(place, "trigger", [textIn(fields, "trigname") ?? ""]);
  putObject(place, "function", nameParts(listIn(fields, "funcname")));
  walk.fields(fields, { ...place, clause: "definition", isWriting: true }, new Set(["funcname"]));
  wholeRow(place, draft.range, NEW_ROW);
}

/** SAFETY: a trigger's function and a rule's actions are handed every column, whatever the statement names of them. */
const NEW_ROW = "new";

export function createRule(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "create-rule";
  walk.typed("RangeVar", fieldsIn(fields, "relation"), { ...place, isWriting: true });
  walk.value(fields["whereClause"], { ...place, clause: "where" });
  for (const action of listIn(fields, "actions")) {
    if (nodeOf(action) !== undefined) inner(walk, action, place, "rule-body");
  }
  wholeRow(place, place.draft.range, NEW_ROW);
}

/** Behind CREATE CAST and CREATE OPERATOR there is a function that later nothing names. */
export const hidesFunction =
  (kind: StatementKind): Handler =>
  (walk, fields, place) => {
    place.draft.kind = kind;
    const of = fieldsIn(fields, "func");
    if (of !== undefined) putObject(place, "function", nameParts(listIn(of, "objname")));
    walk.fields(fields, { ...place, clause: "definition" });
  };
