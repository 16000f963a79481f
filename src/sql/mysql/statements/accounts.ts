/** Accounts, roles and privileges. */
import type { StatementKind } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { ROLE_NAME } from "../lexing/tokens.ts";
import { addTable } from "../queries/tables.ts";
import type { Walker } from "../queries/walker.ts";
import { addObject, readIfExists, readName, skipRest } from "./reading-on.ts";

const NATIVE_PASSWORD = "mysql_native_password";
const PRIVILEGE_WORDS_MAX = 6;

/** `user`, `user@host`, `'user'@'host'` or CURRENT_USER at the walk's position. */
export function readAccount(w: Walker): boolean {
  const first = w.at;
  const kind = w.kind(first);
  if (kind === K.CURRENT_USER) {
    w.at = w.kind(first + 1) === T.LEFT_PAREN ? first + 3 : first + 1;
    push(w, first, "CURRENT_USER", undefined);
    return true;
  }
  if (!w.isName(first) && kind !== T.STRING) return false;
  w.role(first, ROLE_NAME);
  const user = w.text.name(first);
  let host: string | undefined;
  w.at = first + 1;
  if (w.accept(T.AT)) {
    host = w.text.name(w.at);
    w.role(w.at, ROLE_NAME);
    w.at++;
  }
  push(w, first, user, host);
  return true;
}

function push(w: Walker, first: number, user: string, host: string | undefined) {
  w.statement.accounts.push({ user, host, start: w.start(first), end: w.endBefore(w.at) });
}

/** CREATE, ALTER or DROP USER or ROLE, after that word. */
export function userStatement(w: Walker, kind: StatementKind): void {
  w.statement.kind = kind;
  readIfExists(w);
  const first = w.at;
  if (w.accept(K.USER)) {
    // ALTER USER USER() …
    w.at += 2;
    push(w, first, "CURRENT_USER", undefined);
  } else readAccount(w);
  let parens = 0;
  while (w.at < w.count && w.kind(w.at) !== T.SEMICOLON) {
    const token = w.kind(w.at);
    if (token === T.LEFT_PAREN) parens++;
    else if (token === T.RIGHT_PAREN) parens--;
    else if (token === T.COMMA && parens === 0) {
      w.at++;
      readAccount(w);
      continue;
    } else noteOption(w, token);
    w.at++;
  }
}

function noteOption(w: Walker, kind: number) {
  if (kind === K.ROLE && w.kind(w.at - 1) === K.DEFAULT) w.statement.modify("default-role");
  if (kind === T.STRING && w.text.string(w.at) === NATIVE_PASSWORD) w.statement.modify("mysql-native-password");
  else if (w.names[kind] === 1) {
    w.role(w.at, ROLE_NAME);
    if (w.text.isWord(w.at, NATIVE_PASSWORD.toUpperCase())) w.statement.modify("mysql-native-password");
  }
}

/** RENAME USER, after that word. */
export function renameUser(w: Walker): void {
  w.statement.kind = "rename-user";
  do {
    readAccount(w);
    w.accept(K.TO);
    readAccount(w);
  } while (w.accept(T.COMMA));
}

/** GRANT or REVOKE at the walk's position. */
export function grantStatement(w: Walker): void {
  const { statement } = w;
  const isGrant = w.kind(w.at) === K.GRANT;
  w.at++;
  readIfExists(w);
  const isPrivileges = readPrivileges(w);
  if (isPrivileges) statement.kind = isGrant ? "grant" : "revoke";
  else statement.kind = isGrant ? "grant-role" : "revoke-role";
  if (w.accept(K.ON)) readPrivilegeObject(w);
  if (w.accept(K.TO) || w.accept(K.FROM)) while (readAccount(w) && skipAuthentication(w) && w.accept(T.COMMA));
  readGrantOptions(w);
  skipRest(w);
}

/** Up to ON, TO or FROM. True when they are privileges, not roles. */
function readPrivileges(w: Walker): boolean {
  const { privileges } = w.statement;
  let parens = 0;
  let words: string[] = [];
  for (; w.at < w.count && !endsPrivileges(w.kind(w.at), parens); w.at++) {
    const kind = w.kind(w.at);
    if (kind === T.LEFT_PAREN) parens++;
    else if (kind === T.RIGHT_PAREN) parens--;
    else if (parens > 0) columnPrivilege(w, kind);
    else if (kind === T.COMMA) {
      privileges.push(words.join(" "));
      words = [];
    } else if (words.length < PRIVILEGE_WORDS_MAX) words.push(w.text.upper(w.at));
  }
  privileges.push(words.join(" "));
  notePrivileges(w, privileges);
  return w.kind(w.at) === K.ON || privileges.some((privilege) => privilege.startsWith("ALL"));
}

function endsPrivileges(kind: number, parens: number): boolean {
  if (kind === T.SEMICOLON) return true;
  return parens === 0 && (kind === K.ON || kind === K.TO || kind === K.FROM);
}

function notePrivileges(w: Walker, privileges: readonly string[]) {
  for (const privilege of privileges) {
    if (privilege === "ALL" || privilege === "ALL PRIVILEGES") w.statement.modify("all-privileges");
    if (privilege === "GRANT OPTION") w.statement.modify("with-grant-option");
  }
}

function columnPrivilege(w: Walker, kind: number) {
  if (w.names[kind] !== 1) return;
  w.role(w.at, ROLE_NAME);
  w.statement.columns.push({
    name: w.text.name(w.at),
    qualifier: undefined,
    table: undefined,
    clause: "other",
    block: -1,
    start: w.start(w.at),
    end: w.endBefore(w.at + 1),
  });
}

/** `*`, `*.*`, `schema.*`, `schema.table`, a routine, or an account after PROXY. */
function readPrivilegeObject(w: Walker) {
  const { statement } = w;
  if (statement.privileges.includes("PROXY")) {
    readAccount(w);
    return;
  }
  const type = w.kind(w.at);
  if (type === K.TABLE || type === K.FUNCTION || type === K.PROCEDURE || type === K.LIBRARY) w.at++;
  const first = w.at;
  if (w.accept(T.STAR)) {
    if (w.accept(T.DOT)) w.accept(T.STAR);
    statement.modify("on-everything");
    return;
  }
  if (!w.isName(first)) return;
  if (w.kind(first + 1) === T.DOT && w.kind(first + 2) === T.STAR) {
    w.at = first + 3;
    addObject(w, "schema", { schema: undefined, name: w.text.name(first), first, last: first });
    return;
  }
  if (type === K.FUNCTION || type === K.PROCEDURE || type === K.LIBRARY) {
    const read = readName(w);
    const object = type === K.FUNCTION ? "function" : type === K.PROCEDURE ? "procedure" : "library";
    if (read !== undefined) addObject(w, object, read);
    return;
  }
  const last = w.chainEnd(first);
  addTable(w, first, last, "write");
  w.at = last + 1;
}

/** IDENTIFIED BY … after an account, as servers before 8.0 and MariaDB have it. */
function skipAuthentication(w: Walker): boolean {
  if (w.kind(w.at) !== K.IDENTIFIED) return true;
  while (w.at < w.count) {
    const kind = w.kind(w.at);
    if (kind === T.COMMA || kind === T.SEMICOLON || kind === K.WITH || kind === K.REQUIRE) break;
    noteOption(w, kind);
    w.at++;
    // IDENTIFIED WITH plugin
    if (kind === K.IDENTIFIED && w.kind(w.at) === K.WITH) w.at++;
  }
  return true;
}

function readGrantOptions(w: Walker) {
  for (let at = w.at; at < w.count && w.kind(at) !== T.SEMICOLON; at++) {
    if (w.kind(at) === K.OPTION && (w.kind(at - 1) === K.GRANT || w.kind(at - 1) === K.ADMIN)) {
      w.statement.modify("with-grant-option");
    }
  }
}
