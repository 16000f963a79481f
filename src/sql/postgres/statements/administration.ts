/** Accounts, privileges, transactions, settings, maintenance and what attaches other servers and libraries. */
import type { FindingName, Reach, StatementKind } from "../../facts.ts";
import type { TreeFields } from "../parser/parser.ts";
import { fieldsIn, flagIn, listIn, locationOf, nameParts, stringOf, textIn, wrapped } from "../parser/tree.ts";
import { resetAll, storedSetting, transactionModes } from "../walk/settings.ts";
import type { Handler, Place, Walk } from "../walk/walk.ts";
import { optionOf, putNamed, putObject, putTable } from "./definitions.ts";

export function roleSpec(walk: Walk, fields: TreeFields, place: Place): void {
  const range = walk.source.at(Math.max(0, locationOf(fields)));
  const special = (textIn(fields, "roletype") ?? "").replace("ROLESPEC_", "");
  place.draft.accounts.push({ ...range, user: textIn(fields, "rolename") ?? special, host: undefined });
}

const ROLE_ATTRIBUTES: ReadonlySet<string> = new Set([
  "superuser",
  "createrole",
  "createdb",
  "isreplication",
  "bypassrls",
]);

function roleOptions(walk: Walk, fields: TreeFields, place: Place): void {
  for (const each of listIn(fields, "options")) {
    const option = wrapped(each, "DefElem") ?? {};
    const name = textIn(option, "defname") ?? "";
    if (ROLE_ATTRIBUTES.has(name)) place.draft.privileges.push(name.toUpperCase());
    walk.value(option["arg"], place);
  }
}

export function createRole(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  const mayLogIn =
    textIn(fields, "stmt_type") === "ROLESTMT_USER" || optionOf(fields, "options", "canlogin") === "true";
  draft.kind = mayLogIn ? "create-user" : "create-role";
  draft.accounts.push({ ...draft.range, user: textIn(fields, "role") ?? "", host: "" });
  roleOptions(walk, fields, place);
}

export function alterRole(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "alter-user";
  walk.typed("RoleSpec", fieldsIn(fields, "role"), place);
  roleOptions(walk, fields, place);
}

/** CREATE, ALTER and DROP of what has no names but roles. */
export const ofAccounts =
  (kind: StatementKind): Handler =>
  (walk, fields, place) => {
    place.draft.kind = kind;
    walk.fields(fields, place);
  };

export const ofStoredSetting =
  (kind: StatementKind, scope: "global" | "persist"): Handler =>
  (walk, fields, place) => {
    place.draft.kind = kind;
    walk.typed("RoleSpec", fieldsIn(fields, "role"), place);
    storedSetting(walk, fields, place, scope);
    if (scope === "global") walk.find("set-global", place, place.draft.range);
  };

export function grant(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  draft.kind = flagIn(fields, "is_grant") ? "grant" : "revoke";
  if (flagIn(fields, "grant_option")) draft.addModifier("with-grant-option");
  const privileges = listIn(fields, "privileges").map((each) => wrapped(each, "AccessPriv") ?? {});
  if (privileges.length === 0) draft.addModifier("all-privileges");
  for (const privilege of privileges) {
    draft.privileges.push((textIn(privilege, "priv_name") ?? "").toUpperCase());
    for (const name of nameParts(listIn(privilege, "cols"))) draft.mentions.push({ ...draft.range, name });
  }
  walk.value(fields["grantees"], place);
  granted(walk, fields, place);
}

function granted(walk: Walk, fields: TreeFields, place: Place): void {
  const { draft } = place;
  const type = textIn(fields, "objtype");
  const objects = listIn(fields, "objects");
  if (textIn(fields, "targtype") === "ACL_TARGET_ALL_IN_SCHEMA") {
    for (const each of objects) putObject(place, "schema", [stringOf(each) ?? ""]);
  } else if (textIn(fields, "targtype") !== "ACL_TARGET_OBJECT") draft.addModifier("on-everything");
  else if (type === "OBJECT_TABLE") walk.value(objects, { ...place, isWriting: true });
  else for (const each of objects) putNamed(walk, place, type, each);
}

export function grantRole(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = flagIn(fields, "is_grant") ? "grant-role" : "revoke-role";
  walk.value(fields["grantee_roles"], place);
  for (const each of listIn(fields, "granted_roles")) {
    place.draft.privileges.push(textIn(wrapped(each, "AccessPriv") ?? {}, "priv_name") ?? "");
  }
}

export function defaultPrivileges(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "default-privileges";
  place.draft.addModifier("on-everything");
  const action = fieldsIn(fields, "action") ?? {};
  walk.value(action["grantees"], place);
  walk.value(fields["options"], place);
}

const TRANSACTIONS: Readonly<Record<string, StatementKind>> = {
  TRANS_STMT_BEGIN: "begin",
  TRANS_STMT_START: "begin",
  TRANS_STMT_COMMIT: "commit",
  TRANS_STMT_ROLLBACK: "rollback",
  TRANS_STMT_SAVEPOINT: "savepoint",
  TRANS_STMT_RELEASE: "release-savepoint",
  TRANS_STMT_ROLLBACK_TO: "rollback-to-savepoint",
  TRANS_STMT_PREPARE: "prepare-transaction",
  TRANS_STMT_COMMIT_PREPARED: "commit-prepared",
  TRANS_STMT_ROLLBACK_PREPARED: "rollback-prepared",
};

export function transaction(_walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = TRANSACTIONS[textIn(fields, "kind") ?? ""] ?? "unknown";
  transactionModes(listIn(fields, "options"), place);
}

export function show(_walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "show";
  place.draft.detail = (textIn(fields, "name") ?? "").toUpperCase();
}

/** Only a kind, and whatever stands inside. */
export const plain =
  (kind: StatementKind): Handler =>
  (walk, fields, place) => {
    place.draft.kind = kind;
    walk.fields(fields, place);
  };

/** A kind whose tables are changed. */
export const maintenance =
  (kind: StatementKind): Handler =>
  (walk, fields, place) => {
    place.draft.kind = kind;
    walk.fields(fields, { ...place, isWriting: true });
  };

export function vacuum(walk: Walk, fields: TreeFields, place: Place): void {
  maintenance(flagIn(fields, "is_vacuumcmd") ? "vacuum" : "analyze")(walk, fields, place);
}

/** What attaches other servers or libraries: a kind with a finding and a reach. */
export const outside =
  (kind: StatementKind, finding: FindingName, type: Reach["type"], nameField: string): Handler =>
  (walk, fields, place) => {
    const { draft } = place;
    const target = textIn(fields, nameField);
    draft.kind = kind;
    if (target !== undefined) putObject(place, type === "extension" ? "extension" : "server", [target]);
    draft.reach.push({ ...draft.range, type, target });
    walk.find(finding, place, draft.range, 1, target);
    walk.fields(fields, { ...place, clause: "definition", isWriting: true });
  };

export function notify(walk: Walk, _fields: TreeFields, place: Place): void {
  place.draft.kind = "notify";
  walk.find("notify-channel", place, place.draft.range);
}

/** A database, whatever is said of it. */
export const ofDatabase =
  (kind: StatementKind): Handler =>
  (walk, fields, place) => {
    place.draft.kind = kind;
    putObject(place, "database", [textIn(fields, "dbname") ?? ""]);
    walk.value(fields["options"], place);
  };

export function discard(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "discard";
  place.draft.detail = (textIn(fields, "target") ?? "").replace("DISCARD_", "");
  if (place.draft.detail === "ALL") resetAll(place, "session");
  walk.fields(fields, place);
}

/** REINDEX and CLUSTER of an index name that index alone. */
export function reindex(walk: Walk, fields: TreeFields, place: Place): void {
  place.draft.kind = "reindex";
  const relation = fieldsIn(fields, "relation");
  const name = textIn(relation ?? {}, "relname") ?? textIn(fields, "name");
  if (textIn(fields, "kind") === "REINDEX_OBJECT_TABLE" && name !== undefined) {
    putTable(
      walk,
      place,
      [textIn(relation ?? {}, "schemaname"), name].filter((part) => part !== undefined),
      place.draft.range,
    );
  } else if (name !== undefined) putObject(place, "index", [name]);
}
