/** SET, RESET, SHOW and set_config(): what a setting makes of the session. */
import type { ByteRange, VariableAssignment } from "../../facts.ts";
import { encodingClassOf } from "../lexing/encodings.ts";
import type { TreeFields } from "../parser/parser.ts";
import { constantOf, fieldsIn, listIn, locationOf, nodeOf, textIn, wrapped } from "../parser/tree.ts";
import { SUPERUSER_SETTINGS } from "./built-in-names.ts";
import { isCatalogFirst } from "./names.ts";
import type { Place, Walk } from "./walk.ts";

interface NewSetting {
  readonly name: string;
  /** Literals only; none for DEFAULT and RESET. */
  readonly values: readonly string[] | "default" | "expression";
  readonly scope: VariableAssignment["scope"];
}

/** Settings by which the server reads the text of later statements. */
const STRINGS = "standard_conforming_strings";
const ENCODING = "client_encoding";
const PATH = "search_path";

const ON: ReadonlySet<string> = new Set(["on", "true", "tru", "tr", "t", "yes", "ye", "y", "1"]);

/** What turns a protection off, or runs code of the server's disk; beside those that superusers alone may set. */
const GUARDED: ReadonlySet<string> = new Set([
  "session_preload_libraries",
  "local_preload_libraries",
  "dynamic_library_path",
  "session_replication_role",
  "default_transaction_read_only",
  "transaction_read_only",
  "default_table_access_method",
  "check_function_bodies",
]);

const GUARDED_PREFIXES: readonly string[] = ["pgaudit.", "anon.", "rds."];

const IDENTITIES: ReadonlySet<string> = new Set(["role", "session_authorization"]);

export function assignSetting(walk: Walk, place: Place, range: ByteRange, setting: NewSetting): void {
  const name = setting.name.toLowerCase();
  const { values, scope } = setting;
  const text = typeof values === "string" ? undefined : values.join(", ");
  const type = values === "default" ? "default" : values === "expression" ? "expression" : "string";
  place.draft.variables.push({ ...range, scope, name, value: { type, text } });
  if (IDENTITIES.has(name)) walk.find("session-identity", place, range, 1, name);
  if (name === STRINGS && !(values.length === 1 && ON.has(text?.toLowerCase() ?? ""))) {
    walk.find("set-reading-setting", place, range, 1, name);
  }
  if (name === ENCODING && values !== "default" && encodingClassOf(text ?? "") !== "safe") {
    walk.find("set-reading-setting", place, range, 1, name);
  }
  if (name === PATH) findPath(walk, place, range, values);
  if (isGuarded(name)) walk.find("set-guarded-variable", place, range, 1, `${name}=${wordOf(values)}`);
}

function wordOf(values: NewSetting["values"]): string {
  if (values === "default") return "DEFAULT";
  const [only] = values === "expression" ? [] : values;
  if (only === undefined) return "EXPRESSION";
  return ON.has(only.toLowerCase()) ? "ON" : "OTHER";
}

const isGuarded = (name: string): boolean =>
  GUARDED.has(name) || SUPERUSER_SETTINGS.has(name) || GUARDED_PREFIXES.some((prefix) => name.startsWith(prefix));

function findPath(walk: Walk, place: Place, range: ByteRange, values: NewSetting["values"]): void {
  if (values === "default") return;
  const isHiding = values === "expression" || !isCatalogFirst({ searchPath: pathOf(values) });
  if (isHiding) walk.find("schema-change-hides", place, range, 1, PATH);
}

/** Whether a search_path may put other schemas before the server's own. */
export function mayHideCatalog({ value: { type, text } }: Pick<VariableAssignment, "value">): boolean {
  if (type === "default") return false;
  return text === undefined || !isCatalogFirst({ searchPath: pathOf([text]) });
}

/** The schemas of search_path: one literal may list several. */
export function pathOf(values: readonly string[]): readonly string[] {
  return values
    .flatMap((value) => value.split(","))
    .map((part) => part.trim().replace(/^"(.*)"$/s, "$1"))
    .filter((part) => part !== "");
}

/** set_config() of something that only runs tells. A name of the application's own may have any value. */
export function dynamicSetting(walk: Walk, place: Place, range: ByteRange, name: string | undefined): void {
  const isOwn = name?.includes(".") === true && !isGuarded(name.toLowerCase());
  if (name !== undefined) assignSetting(walk, place, range, { name, values: "expression", scope: "session" });
  if (!isOwn) walk.find("dynamic-setting", place, range, 1, name);
  if (name === undefined) {
    place.draft.variables.push({
      ...range,
      scope: "session",
      name: "*",
      value: { type: "expression", text: undefined },
    });
  }
}

/**
 * RESET ALL, and DISCARD ALL, which does it too: back to what the session began with, which was looked at then. The server
 * reports what has changed of it; the role is in it for DISCARD ALL.
 */
export function resetAll({ draft }: Place, scope: VariableAssignment["scope"]): void {
  for (const name of [STRINGS, PATH, "role"]) {
    draft.variables.push({ ...draft.range, scope, name, value: { type: "default", text: undefined } });
  }
}

/** SET and RESET, also as a part of ALTER SYSTEM, ALTER ROLE and CREATE FUNCTION. */
export function variableSet(walk: Walk, fields: TreeFields, place: Place, scope?: VariableAssignment["scope"]): void {
  const name = textIn(fields, "name") ?? "*";
  const kind = textIn(fields, "kind") ?? "";
  if (kind === "VAR_SET_MULTI") {
    transactionModes(listIn(fields, "args"), place);
    return;
  }
  const range = walk.source.at(Math.max(0, locationOf(fields)));
  const own = scope ?? (fields["is_local"] === true ? "local" : "session");
  if (kind === "VAR_RESET_ALL") {
    resetAll(place, own);
    return;
  }
  const isDefault = kind === "VAR_SET_DEFAULT" || kind === "VAR_RESET";
  const values = isDefault ? "default" : valuesOf(listIn(fields, "args"), kind);
  assignSetting(walk, place, range, { name, values, scope: own });
}

function valuesOf(args: readonly unknown[], kind: string): readonly string[] | "expression" {
  // SET … FROM CURRENT saves what nobody has written.
  if (kind === "VAR_SET_CURRENT") return "expression";
  const values = args.map((value) => constantOf(value)?.text);
  return values.some((value) => value === undefined) ? "expression" : (values as string[]);
}

/** READ ONLY and READ WRITE of BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS. */
export function transactionModes(options: readonly unknown[], { draft }: Place): void {
  for (const option of options) {
    const element = wrapped(option, "DefElem");
    if (element === undefined || textIn(element, "defname") !== "transaction_read_only") continue;
    const isOn = Number(constantOf(element["arg"])?.text ?? 0) !== 0;
    draft.addModifier(isOn ? "read-only" : "read-write");
  }
}

const SET_KINDS: Readonly<Record<string, "set-role" | "set-session-authorization">> = {
  role: "set-role",
  session_authorization: "set-session-authorization",
};

export function variableSetStmt(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  const name = textIn(fields, "name") ?? "";
  const kind = textIn(fields, "kind") ?? "";
  if (kind === "VAR_SET_MULTI") draft.kind = "set-transaction";
  else draft.kind = SET_KINDS[name] ?? (kind.startsWith("VAR_RESET") ? "reset-setting" : "set");
  variableSet(walk, fields, place);
  walk.value(nodeOf(fields["setstmt"]) === undefined ? undefined : fields["setstmt"], place);
}

/** ALTER SYSTEM SET, ALTER ROLE SET, ALTER DATABASE SET. */
export function storedSetting(walk: Walk, fields: TreeFields, place: Place, scope: "global" | "persist"): void {
  const set = fieldsIn(fields, "setstmt");
  if (set !== undefined) variableSet(walk, set, place, scope);
}
