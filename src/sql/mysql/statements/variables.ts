/** SET: variables, charsets, transactions, passwords, roles. */

import type { VariableAssignment } from "../../facts.ts";
import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { ROLE_NAME, ROLE_QUALIFIER, ROLE_VARIABLE } from "../lexing/tokens.ts";
import { LITERALS } from "../lexing/word-sets.ts";
import { foldName } from "../names/names.ts";
import type { Walker } from "../queries/walker.ts";
import { readAccount } from "./accounts.ts";
import { skipRest, walkExpression } from "./reading-on.ts";
import { findSetting } from "./settings.ts";

type Scope = VariableAssignment["scope"];

const VALUE_ENDS = kindSet([T.COMMA], "");
/** The value of SET STATEMENT … FOR ends there. */
const STATEMENT_VALUE_ENDS = kindSet([T.COMMA], "FOR");

const SCOPES: ReadonlyMap<number, Scope> = new Map<number, Scope>([
  [K.GLOBAL, "global"],
  [K.SESSION, "session"],
  [K.LOCAL, "session"],
  [K.PERSIST, "persist"],
  [K.PERSIST_ONLY, "persist-only"],
]);

/** SET at the walk's position. True when a statement follows that runs under the settings (SET STATEMENT … FOR). */
export function setStatement(w: Walker): boolean {
  const { statement } = w;
  w.at++;
  statement.kind = "set";
  const next = w.kind(w.at);
  if (w.text.isWord(w.at, "STATEMENT") && w.rules.dialect === "mariadb") {
    w.at++;
    readAssignments(w, "statement");
    return w.accept(K.FOR);
  }
  if (next === K.PASSWORD) setPassword(w);
  else if (next === K.ROLE || (next === K.DEFAULT && w.kind(w.at + 1) === K.ROLE)) setRole(w);
  else if (next === K.RESOURCE && w.kind(w.at + 1) === K.GROUP) {
    statement.kind = "set-resource-group";
    skipRest(w);
  } else if (isTransaction(w)) setTransaction(w);
  else readAssignments(w, undefined);
  return false;
}

function isTransaction(w: Walker): boolean {
  return w.kind(w.at) === K.TRANSACTION || (SCOPES.has(w.kind(w.at)) && w.kind(w.at + 1) === K.TRANSACTION);
}

function setTransaction(w: Walker) {
  const first = w.at;
  const scope = SCOPES.get(w.kind(first));
  const isGlobal = scope !== undefined && scope !== "session";
  w.statement.kind = "set-transaction";
  if (scope !== undefined) w.statement.modify(isGlobal ? "global" : "session");
  for (; w.at < w.count && w.kind(w.at) !== T.SEMICOLON; w.at++) {
    if (w.kind(w.at) === K.READ && w.kind(w.at + 1) === K.ONLY) w.statement.modify("read-only");
    if (w.kind(w.at) === K.READ && w.kind(w.at + 1) === K.WRITE) w.statement.modify("read-write");
  }
  // As the variables transaction_isolation and transaction_read_only would be set.
  if (isGlobal) w.find("set-global", first, w.at - 1, 1, "transaction");
}

function setPassword(w: Walker) {
  readPassword(w);
  if (isListed(w)) readMore(w);
  else skipRest(w);
}

function readPassword(w: Walker) {
  w.statement.kind = "set-password";
  w.at++;
  if (w.accept(K.FOR)) readAccount(w);
  if (isListed(w) && (w.accept(T.EQUAL) || w.accept(T.ASSIGN))) walkExpression(w, VALUE_ENDS);
}

function setRole(w: Walker) {
  if (isListed(w)) {
    readRole(w);
    readMore(w);
    return;
  }
  const isDefault = w.accept(K.DEFAULT);
  w.statement.kind = isDefault ? "set-default-role" : "set-role";
  w.at++;
  while (readAccount(w) && w.accept(T.COMMA));
  skipRest(w);
}

/** SAFETY: MariaDB takes roles and passwords for items of a list like any other; MySQL lists roles alone. */
function isListed(w: Walker): boolean {
  return w.rules.dialect === "mariadb";
}

/** [DEFAULT] ROLE name [FOR account]. */
function readRole(w: Walker) {
  const isDefault = w.accept(K.DEFAULT);
  if (w.statement.kind !== "set-password") w.statement.kind = isDefault ? "set-default-role" : "set-role";
  w.at++;
  if (!readAccount(w)) w.at++;
  if (w.accept(K.FOR)) readAccount(w);
}

/** What stands behind the first item of a list. */
function readMore(w: Walker) {
  if (w.accept(T.COMMA)) readAssignments(w, undefined);
}

/** An item of MariaDB's lists that is no assignment, although its word may be the name of a variable too. */
function readListed(w: Walker): boolean {
  const kind = w.kind(w.at);
  const next = w.kind(w.at + 1);
  if (!isListed(w) || next === T.EQUAL || next === T.ASSIGN) {
    // PASSWORD = … is the account's own; a variable of that name does not exist.
    if (!isListed(w) || kind !== K.PASSWORD) return false;
  }
  if (kind === K.PASSWORD) readPassword(w);
  else if (kind === K.ROLE || (kind === K.DEFAULT && next === K.ROLE)) readRole(w);
  else return false;
  return true;
}

function readAssignments(w: Walker, fixedScope: Scope | undefined) {
  do {
    const first = w.at;
    if (isNames(w)) setNames(w);
    else if (!readListed(w) && !readAssignment(w, fixedScope)) {
      w.fail("unexpected-token", first);
      skipRest(w);
      return;
    }
  } while (w.accept(T.COMMA));
}

/** NAMES x, CHARACTER SET x, CHARSET x. */
function isNames(w: Walker): boolean {
  const kind = w.kind(w.at);
  if (kind === K.NAMES || kind === K.CHARSET) return w.kind(w.at + 1) !== T.EQUAL && w.kind(w.at + 1) !== T.ASSIGN;
  return (kind === K.CHARACTER || kind === K.CHAR) && w.kind(w.at + 1) === K.SET;
}

function setNames(w: Walker) {
  const first = w.at;
  w.at += w.kind(first) === K.CHARACTER || w.kind(first) === K.CHAR ? 2 : 1;
  if (w.statement.variables.length === 0 && w.statement.kind === "set") w.statement.kind = "set-names";
  const value = w.at;
  const name = w.kind(first) === K.NAMES ? "names" : "character set";
  w.at = value + 1;
  if (w.kind(w.at) === K.COLLATE) w.at += 2;
  push(w, "session", name, first, settingOf(w, value, value + 1));
}

/** `[scope] name = value`, `@@scope.name = value`, `@name = value`. */
function readAssignment(w: Walker, fixedScope: Scope | undefined): boolean {
  const first = w.at;
  let scope: Scope = fixedScope ?? "unspecified";
  let name: string;
  if (w.accept(T.AT)) {
    scope = "user";
    name = w.text.name(w.at);
    w.role(w.at, ROLE_VARIABLE);
    w.at++;
  } else {
    if (w.accept(T.AT_AT)) scope = "session";
    const word = SCOPES.get(w.kind(w.at));
    if (word !== undefined && w.kind(w.at + 1) !== T.EQUAL && w.kind(w.at + 1) !== T.ASSIGN) {
      scope = word;
      w.role(w.at, ROLE_QUALIFIER);
      w.at++;
      w.accept(T.DOT);
    }
    if (!w.isName(w.at) && w.kind(w.at) < K.KEYWORD_FIRST) return false;
    const last = w.chainEnd(w.at);
    name = variableName(w, w.at, last);
    w.at = last + 1;
  }
  if (!w.accept(T.EQUAL) && !w.accept(T.ASSIGN)) return false;
  readValue(w, scope, name, first);
  return true;
}

/** As foldName() makes it: whatever the server finds under the name. `keycache.key_buffer_size` keeps its prefix; `new.column` and the like are names of triggers. */
function variableName(w: Walker, first: number, last: number): string {
  const parts: string[] = [];
  for (let i = first; i <= last; i += 2) {
    w.role(i, i === last ? ROLE_VARIABLE : ROLE_QUALIFIER);
    parts.push(w.text.name(i));
  }
  return foldName(parts.join("."));
}

function readValue(w: Walker, scope: Scope, name: string, first: number) {
  const start = w.at;
  const kind = w.kind(start);
  // SET x = ON and the like: a word that is no column.
  const isWord = (w.isName(start) || kind >= K.KEYWORD_FIRST) && endsValue(w, start + 1);
  if (isWord) {
    w.role(start, ROLE_NAME);
    w.at = start + 1;
  } else {
    walkExpression(w, w.statement.kind === "set" && scope === "statement" ? STATEMENT_VALUE_ENDS : VALUE_ENDS);
  }
  push(w, scope, name, first, settingOf(w, start, w.at));
}

function endsValue(w: Walker, token: number): boolean {
  const kind = w.kind(token);
  return kind === 0 || kind === T.COMMA || kind === T.SEMICOLON || kind === K.FOR;
}

function settingOf(w: Walker, first: number, end: number): VariableAssignment["value"] {
  const kind = w.kind(first);
  if (end - first === 2 && kind === T.MINUS) return { type: "number", text: `-${w.text.raw(first + 1)}` };
  if (end - first !== 1) return { type: "expression", text: undefined };
  if (kind === T.STRING) return { type: "string", text: w.text.string(first) };
  if (kind === K.DEFAULT) return { type: "default", text: undefined };
  if (kind === K.TRUE || kind === K.FALSE || kind === K.NULL) return { type: "keyword", text: w.text.upper(first) };
  if (LITERALS[kind] === 1) return { type: "number", text: w.text.raw(first) };
  if (w.isName(first) || kind >= K.KEYWORD_FIRST) return { type: "keyword", text: w.text.name(first) };
  return { type: "expression", text: undefined };
}

function push(w: Walker, scope: Scope, name: string, first: number, value: VariableAssignment["value"]) {
  const assignment = { scope, name, value, start: w.start(first), end: w.endBefore(w.at) };
  w.statement.variables.push(assignment);
  findSetting(w, assignment, first);
}
