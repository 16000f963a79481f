/** CREATE, ALTER and DROP: which kind of statement it is, and what it names. */
import type { ByteRange, ObjectReference, StatementKind } from "../../facts.ts";
import { POSTGRES_KINDS, STATEMENT_KINDS } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import { constantOf, fieldsIn, flagIn, listIn, nameParts, nodeOf, stringOf, textIn, wrapped } from "../parser/tree.ts";

import { subquery } from "../walk/queries.ts";
import type { Handler, Place, Walk } from "../walk/walk.ts";

const KINDS: ReadonlySet<string> = new Set([...STATEMENT_KINDS, ...POSTGRES_KINDS]);

/** The words of the kinds, by the grammar's ObjectType. */
const OBJECT_WORDS: Readonly<Record<string, string>> = {
  OBJECT_ACCESS_METHOD: "access-method",
  OBJECT_AGGREGATE: "aggregate",
  OBJECT_CAST: "cast",
  OBJECT_COLLATION: "collation",
  OBJECT_COLUMN: "table",
  OBJECT_ATTRIBUTE: "type",
  OBJECT_CONVERSION: "conversion",
  OBJECT_DATABASE: "database",
  OBJECT_DOMAIN: "domain",
  OBJECT_DOMCONSTRAINT: "domain",
  OBJECT_EVENT_TRIGGER: "event-trigger",
  OBJECT_EXTENSION: "extension",
  OBJECT_FDW: "foreign-data-wrapper",
  OBJECT_FOREIGN_SERVER: "server",
  OBJECT_FOREIGN_TABLE: "foreign-table",
  OBJECT_FUNCTION: "function",
  OBJECT_INDEX: "index",
  OBJECT_LANGUAGE: "language",
  OBJECT_LARGEOBJECT: "large-object",
  OBJECT_MATVIEW: "materialized-view",
  OBJECT_OPCLASS: "operator",
  OBJECT_OPERATOR: "operator",
  OBJECT_OPFAMILY: "operator",
  OBJECT_POLICY: "policy",
  OBJECT_PROCEDURE: "procedure",
  OBJECT_PUBLICATION: "publication",
  OBJECT_ROLE: "user",
  OBJECT_ROUTINE: "function",
  OBJECT_RULE: "rule",
  OBJECT_SCHEMA: "schema",
  OBJECT_SEQUENCE: "sequence",
  OBJECT_SUBSCRIPTION: "subscription",
  OBJECT_STATISTIC_EXT: "statistics",
  OBJECT_TABCONSTRAINT: "table",
  OBJECT_TABLE: "table",
  OBJECT_TABLESPACE: "tablespace",
  OBJECT_TRANSFORM: "transform",
  OBJECT_TRIGGER: "trigger",
  OBJECT_TSCONFIGURATION: "text-search",
  OBJECT_TSDICTIONARY: "text-search",
  OBJECT_TSPARSER: "text-search",
  OBJECT_TSTEMPLATE: "text-search",
  OBJECT_TYPE: "type",
  OBJECT_VIEW: "view",
};

/** SAFETY: a combination without a kind is an unknown statement. */
function kindOf(verb: "create" | "alter" | "drop", type: string | undefined): StatementKind {
  const kind = `${verb}-${OBJECT_WORDS[type ?? ""] ?? ""}`;
  return KINDS.has(kind) ? (kind as StatementKind) : "unknown";
}

const OBJECT_TYPES: Readonly<Record<string, ObjectReference["type"]>> = {
  schema: "schema",
  function: "function",
  aggregate: "function",
  procedure: "procedure",
  trigger: "trigger",
  view: "view",
  index: "index",
  server: "server",
  sequence: "sequence",
  tablespace: "tablespace",
  extension: "extension",
  type: "type",
  domain: "type",
  "large-object": "large-object",
};

/** Objects that hold rows: their names are tables to every rule. */
const RELATIONS: ReadonlySet<string> = new Set([
  "OBJECT_TABLE",
  "OBJECT_VIEW",
  "OBJECT_MATVIEW",
  "OBJECT_FOREIGN_TABLE",
  "OBJECT_COLUMN",
  "OBJECT_TABCONSTRAINT",
  "OBJECT_TRIGGER",
  "OBJECT_RULE",
  "OBJECT_POLICY",
]);

/** Names with the name of their table before it. */
const PARTS_OF_TABLE: ReadonlySet<string> = new Set([
  "OBJECT_COLUMN",
  "OBJECT_TABCONSTRAINT",
  "OBJECT_TRIGGER",
  "OBJECT_RULE",
  "OBJECT_POLICY",
]);

export function putTable(walk: Walk, place: Place, parts: readonly string[], range: ByteRange): void {
  const [table, schemaName] = parts.toReversed();
  if (table === undefined) return;
  const schema = schemaName ?? walk.schemaOf(table, place);
  const { start, end } = range;
  place.draft.tablesWritten.push({
    start,
    end,
    schema,
    isQualified: schemaName !== undefined,
    table,
    alias: undefined,
    block: 0,
  });
}

export function putObject(place: Place, word: string, parts: readonly string[]): void {
  const [name, schema] = parts.toReversed();
  if (name === undefined) return;
  place.draft.objects.push({ ...place.draft.range, type: OBJECT_TYPES[word] ?? "other", schema, name });
}

/** A name in any of the forms in which the grammar has names of objects. */
function partsOf(value: unknown): readonly string[] {
  const object = wrapped(value, "ObjectWithArgs");
  if (object !== undefined) return nameParts(listIn(object, "objname"));
  const type = wrapped(value, "TypeName");
  if (type !== undefined) return nameParts(listIn(type, "names"));
  const single = stringOf(value);
  return single === undefined ? nameParts(value) : [single];
}

/** What DROP, COMMENT, ALTER … OWNER and their like name. */
export function putNamed(walk: Walk, place: Place, type: string | undefined, value: unknown): void {
  const parts = partsOf(value);
  if (RELATIONS.has(type ?? "")) {
    const own = PARTS_OF_TABLE.has(type ?? "") ? parts.slice(0, -1) : parts;
    putTable(walk, place, own, place.draft.range);
    if (type === "OBJECT_COLUMN") place.draft.mentions.push({ ...place.draft.range, name: parts.at(-1) ?? "" });
  } else if (type === "OBJECT_SEQUENCE" || type === "OBJECT_INDEX") {
    putObject(place, type === "OBJECT_INDEX" ? "index" : "sequence", parts);
  } else putObject(place, OBJECT_WORDS[type ?? ""] ?? "", parts);
}

/** Every table that is named is written; everything inside is visited. */
export const definition =
  (kind: StatementKind, note?: (walk: Walk, fields: TreeFields, place: Place) => void): Handler =>
  (walk, fields, place) => {
    place.draft.kind = kind;
    if (flagIn(fields, "if_not_exists")) place.draft.addModifier("if-not-exists");
    if (flagIn(fields, "missing_ok")) place.draft.addModifier("if-exists");
    if (flagIn(fields, "replace")) place.draft.addModifier("or-replace");
    note?.(walk, fields, place);
    walk.fields(fields, { ...place, clause: "definition", isWriting: true });
  };

const isTemporary = (relation: TreeFields | undefined): boolean => textIn(relation ?? {}, "relpersistence") === "t";

export function createTable(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  if (draft.kind === "unknown") draft.kind = "create-table";
  if (isTemporary(fieldsIn(fields, "relation"))) draft.addModifier("temporary");
  if (flagIn(fields, "if_not_exists")) draft.addModifier("if-not-exists");
  walk.fields(fields, { ...place, clause: "definition", isWriting: true });
}

export function createForeignTable(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "create-foreign-table";
  const base = fieldsIn(fields, "base");
  if (base !== undefined) createTable(walk, base, place);
  const server = textIn(fields, "servername");
  if (server !== undefined) putObject(place, "server", [server]);
  walk.find("other-server", place, place.draft.range, 1, server);
  place.draft.reach.push({ ...place.draft.range, type: "remote-server", target: server });
}

/** CREATE TABLE … LIKE copies columns; INHERITS and PARTITION OF share rows. */
export function tableLike(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.addModifier("like-table");
  walk.typed("RangeVar", fieldsIn(fields, "relation"), { ...place, isWriting: false });
}

export function createTableAs(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = textIn(fields, "objtype") === "OBJECT_MATVIEW" ? "create-materialized-view" : "create-table";
  draft.addModifier("as-select");
  if (flagIn(fields, "if_not_exists")) draft.addModifier("if-not-exists");
  const into = fieldsIn(fields, "into") ?? {};
  if (isTemporary(fieldsIn(into, "rel"))) draft.addModifier("temporary");
  walk.typed("RangeVar", fieldsIn(into, "rel"), { ...place, isWriting: true });
  walk.value(into["options"], place);
  const query = nodeOf(fields["query"]);
  if (query?.type === "SelectStmt") subquery(walk, fields["query"], place, "view");
  else walk.value(fields["query"], walk.beginWithin(place, "prepared-literal"));
}

export function createView(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = "create-view";
  if (flagIn(fields, "replace")) draft.addModifier("or-replace");
  const view = fieldsIn(fields, "view");
  if (isTemporary(view)) draft.addModifier("temporary");
  walk.typed("RangeVar", view, { ...place, isWriting: true });
  walk.value(fields["options"], place);
  subquery(walk, fields["query"], place, "view");
}

export function dropStmt(walk: Walk, fields: TreeFields, place: Place): void {
  const type = textIn(fields, "removeType");
  place.draft.kind = kindOf("drop", type);
  if (flagIn(fields, "missing_ok")) place.draft.addModifier("if-exists");
  for (const object of listIn(fields, "objects")) putNamed(walk, place, type, object);
}

/** COMMENT, SECURITY LABEL, ALTER … OWNER TO, … SET SCHEMA, … DEPENDS ON. */
export const ofObject =
  (kind: StatementKind | "alter", typeField: string): Handler =>
  (walk, fields, place) => {
    const type = textIn(fields, typeField);
    place.draft.kind = kind === "alter" ? kindOf("alter", type) : kind;
    const inside: Place = { ...place, clause: "definition", isWriting: true };
    if (fields["object"] !== undefined) putNamed(walk, place, type, fields["object"]);
    walk.fields(fields, inside, new Set(["object"]));
  };

export function renameStmt(walk: Walk, fields: TreeFields, place: Place): void {
  const type = textIn(fields, "renameType");
  const { draft } = place;
  draft.kind =
    type === "OBJECT_TABLE" ? "rename-table" : kindOf("alter", type === "OBJECT_TABCONSTRAINT" ? "OBJECT_TABLE" : type);
  if (type === "OBJECT_COLUMN") draft.kind = "alter-table";
  if (fields["object"] !== undefined) putNamed(walk, place, type, fields["object"]);
  for (const field of ["subname", "newname"]) {
    const name = textIn(fields, field);
    if (name !== undefined && type === "OBJECT_COLUMN") draft.mentions.push({ ...draft.range, name });
    else if (name !== undefined) putObject(place, OBJECT_WORDS[type ?? ""] ?? "", [name]);
  }
  if (type === "OBJECT_TABLE") putTable(walk, place, [textIn(fields, "newname") ?? ""], draft.range);
  walk.fields(fields, { ...place, clause: "definition", isWriting: true }, new Set(["object"]));
}

const ADDING: ReadonlySet<string> = new Set([
  "AT_AddColumn",
  "AT_AddConstraint",
  "AT_ValidateConstraint",
  "AT_SetStatistics",
]);
const DROPPING: Readonly<Record<string, "drops-column" | "drops-partition">> = {
  AT_DropColumn: "drops-column",
  AT_DetachPartition: "drops-partition",
};

export function alterTable(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = kindOf("alter", textIn(fields, "objtype"));
  if (draft.kind === "unknown") draft.kind = "alter-table";
  const commands = listIn(fields, "cmds").map((each) => wrapped(each, "AlterTableCmd") ?? {});
  const types = commands.map((command) => textIn(command, "subtype") ?? "");
  if (types.length > 0 && types.every((type) => ADDING.has(type))) draft.addModifier("adds-only");
  for (const type of types) {
    const modifier = DROPPING[type];
    if (modifier !== undefined) draft.addModifier(modifier);
  }
  for (const command of commands) {
    const name = textIn(command, "name");
    if (name !== undefined) draft.mentions.push({ ...draft.range, name });
  }
  walk.fields(fields, { ...place, clause: "definition", isWriting: true });
}

export function truncate(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "truncate";
  walk.fields(fields, { ...place, isWriting: true });
}

export function createIndex(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "create-index";
  const name = textIn(fields, "idxname");
  if (name !== undefined) putObject(place, "index", [name]);
  walk.fields(fields, { ...place, clause: "definition", isWriting: true });
}

/** What an index or statistics are of. */
export function indexElement(walk: Walk, fields: TreeFields, place: Place): void {
  const name = textIn(fields, "name");
  if (name !== undefined) place.draft.mentions.push({ ...place.draft.range, name });
  walk.fields(fields, place);
}

/** Keys, whose values the server's errors show. */
export function constraint(walk: Walk, fields: TreeFields, place: Place): void {
  for (const list of ["keys", "fk_attrs", "pk_attrs"] as const) {
    for (const name of nameParts(listIn(fields, list))) place.draft.mentions.push({ ...place.draft.range, name });
  }
  walk.fields(fields, place);
}

export function createSchema(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "create-schema";
  const name = textIn(fields, "schemaname");
  if (name !== undefined) putObject(place, "schema", [name]);
  for (const element of listIn(fields, "schemaElts")) walk.value(element, walk.beginWithin(place, "body"));
}

/** A sequence is no table to a policy about rows. */
export const ofSequence =
  (kind: StatementKind): Handler =>
  (walk, fields, place) => {
    const sequence = fieldsIn(fields, "sequence") ?? {};
    place.draft.kind = kind;
    if (isTemporary(sequence)) place.draft.addModifier("temporary");
    const { schemaname, relname } = sequence as Readonly<Record<string, string | undefined>>;
    putObject(
      place,
      "sequence",
      [schemaname, relname].filter((part) => part !== undefined),
    );
    walk.value(fields["options"], place);
  };

export function defineStmt(walk: Walk, fields: TreeFields, place: Place): void {
  const type = textIn(fields, "kind");
  place.draft.kind = kindOf("create", type);
  putObject(place, OBJECT_WORDS[type ?? ""] ?? "", nameParts(listIn(fields, "defnames")));
  walk.value(fields["args"], { ...place, clause: "definition" });
  walk.value(fields["definition"], { ...place, clause: "definition" });
}

/** An option's value, where it is one word, string or number. */
export function optionOf(fields: TreeFields, field: string, name: string): string | undefined {
  for (const each of listIn(fields, field)) {
    const element = wrapped(each, "DefElem");
    if (element === undefined || textIn(element, "defname") !== name) continue;
    const type = wrapped(element["arg"], "TypeName");
    return type === undefined ? constantOf(element["arg"])?.text : nameParts(listIn(type, "names")).at(-1);
  }
  return undefined;
}
