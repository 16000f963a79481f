/** CREATE, ALTER, DROP and RENAME of everything but accounts. */

import type { ObjectReference, StatementKind } from "../../facts.ts";
import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_DEFINITION, ROLE_COLUMN, ROLE_DEFINITION } from "../lexing/tokens.ts";
import { upperAscii } from "../names/names.ts";
import { addSequence, sequenceCall } from "../queries/system-time.ts";
import type { Walker } from "../queries/walker.ts";
import { finishQuery } from "./finish.ts";
import {
  addObject,
  leadsToQuery,
  mention,
  readIfExists,
  readName,
  readObject,
  readTable,
  readTables,
  skipRest,
  walkParenthesis,
  walkSelect,
} from "./reading-on.ts";

/** More of them are not told apart: each counts. */
const SERVERS_COMPARED_MAX = 64;

/** Engines and wrappers that keep their rows in another server or in files of one's choosing. */
const REMOTE_ENGINES = ["FEDERATED", "FEDERATEDX", "CONNECT", "SPIDER", "S3", "CSV"];
/** Engines that hold the rows of a table that is altered to them, also over a restart. Of any other that is not known. */
const KEEPING_ENGINES: ReadonlySet<string> = new Set(
  "INNODB XTRADB MYISAM ARIA ARCHIVE ROCKSDB TOKUDB NDB NDBCLUSTER COLUMNSTORE MROONGA CSV S3".split(" "),
);

/** Engines that keep CONNECTION = '…' as a word of the definition and connect to nothing. */
const LOCAL_ENGINES: ReadonlySet<string> = new Set([
  "INNODB",
  "MEMORY",
  "HEAP",
  "MYISAM",
  "ARIA",
  "ARCHIVE",
  "BLACKHOLE",
  "MERGE",
  "MRG_MYISAM",
  "CSV",
]);

/** CREATE TABLE, after that word. */
export function createTable(w: Walker) {
  w.statement.kind = "create-table";
  readIfExists(w);
  if (!readTable(w, "write")) return skipRest(w);
  walkDefinition(w);
}

/** From behind the table's name to the end: columns, options, and perhaps a query. */
function walkDefinition(w: Walker) {
  let parens = 0;
  while (w.at < w.count && w.kind(w.at) !== T.SEMICOLON) {
    const kind = w.kind(w.at);
    if (beginsQuery(w, kind, parens)) {
      attachConnection(w);
      w.accept(K.AS);
      w.statement.modify("as-select");
      return walkSelect(w);
    }
    if (kind === T.LEFT_PAREN) parens += definitionParen(w);
    else if (kind === T.RIGHT_PAREN) {
      parens--;
      w.at++;
    } else definitionWord(w, kind);
    if (parens < 0) w.fail("unbalanced-parentheses", w.at - 1);
  }
  if (parens > 0) w.fail("unbalanced-parentheses", w.at);
  attachConnection(w);
  finishQuery(w);
}

function beginsQuery(w: Walker, kind: number, parens: number): boolean {
  if (kind === K.SELECT) return true;
  if (kind === K.AS) return leadsToQuery(w, w.at + 1);
  return startsQuery(w, kind, parens);
}

/** A parenthesis of a definition; how many levels it leaves open. */
function definitionParen(w: Walker): number {
  if (isExpressionBefore(w, w.at)) {
    walkParenthesis(w, CLAUSE_DEFINITION);
    return 0;
  }
  w.at++;
  if (isColumnStart(w, w.at - 1)) columnName(w);
  return 1;
}

/** WITH, TABLE, VALUES or a parenthesis after a complete definition. */
function startsQuery(w: Walker, kind: number, parens: number): boolean {
  if (parens > 0) return false;
  if (w.statement.kind !== "create-table") return false;
  if (kind === T.LEFT_PAREN || kind === K.TABLE || kind === K.VALUES) return leadsToQuery(w, w.at);
  if (kind !== K.WITH) return false;
  const name = w.kind(w.at + 1) === K.RECURSIVE ? w.at + 2 : w.at + 1;
  return w.isName(name) && (w.kind(name + 1) === K.AS || w.kind(name + 1) === T.LEFT_PAREN);
}

function isColumnStart(w: Walker, open: number): boolean {
  return w.kind(open - 1) !== K.ENUM && w.kind(open - 1) !== K.SET && w.isName(open + 1);
}

function columnName(w: Walker) {
  w.role(w.at, ROLE_COLUMN);
  w.statement.columns.push({
    name: w.text.name(w.at),
    qualifier: undefined,
    table: undefined,
    clause: "definition",
    block: -1,
    start: w.start(w.at),
    end: w.endBefore(w.at + 1),
  });
  w.at++;
}

/** DEFAULT (…), CHECK (…), AS (…) and partition functions hold expressions. */
function isExpressionBefore(w: Walker, open: number): boolean {
  switch (w.kind(open - 1)) {
    case K.DEFAULT:
    case K.CHECK:
    case K.HASH:
    case K.RANGE:
    case K.THAN:
      return true;
    case K.AS:
      return true;
    case T.LEFT_PAREN:
    case T.COMMA:
      // A functional key part: KEY k ((a + b)).
      return w.kind(open + 1) !== T.LEFT_PAREN && w.kind(open - 1) === T.LEFT_PAREN;
    default:
      return false;
  }
}

function definitionWord(w: Walker, kind: number) {
  if (w.names[kind] === 1) mention(w, w.at);
  w.at++;
  switch (kind) {
    case K.REFERENCES:
      readTable(w, "read");
      return;
    case K.LIKE:
      w.statement.modify("like-table");
      readTable(w, "read");
      return;
    case K.UNION:
      w.accept(T.EQUAL);
      if (w.accept(T.LEFT_PAREN)) {
        w.statement.modify("merge-tables");
        if (w.kind(w.at) !== T.RIGHT_PAREN) readTables(w, "read");
        w.accept(T.RIGHT_PAREN);
      }
      return;
    case K.DIRECTORY:
      w.accept(T.EQUAL);
      w.reach("data-directory", w.at - 1, w.at, w.kind(w.at) === T.STRING ? w.text.string(w.at) : undefined);
      return;
    case K.ENGINE:
      noteEngine(w);
      return;
    case K.NEXT:
      // MariaDB: DEFAULT NEXT VALUE FOR sequence
      if (w.kind(w.at) === K.VALUE && w.kind(w.at + 1) === K.FOR && w.isName(w.at + 2))
        addSequence(w, w.at + 2, "write");
      return;
    case K.CONNECTION:
      noteConnection(w);
      return;
    case T.COMMA:
      if (w.isName(w.at) && w.kind(w.at + 1) !== T.EQUAL && w.kind(w.at + 1) !== T.LEFT_PAREN) columnName(w);
      return;
    default:
      if (w.names[kind] === 1 && w.kind(w.at) === T.LEFT_PAREN)
        sequenceCall(w, upperAscii(w.text.name(w.at - 1)), w.at);
  }
}

function noteEngine(w: Walker) {
  w.accept(T.EQUAL);
  if (w.statement.kind === "alter-table" && !KEEPING_ENGINES.has(engineAt(w))) w.statement.modify("drops-rows");
  w.statement.hasLocalEngine = LOCAL_ENGINES.has(engineAt(w));
  for (const engine of REMOTE_ENGINES) {
    if (engineAt(w) !== engine) continue;
    w.statement.modify("foreign-engine");
    if (engine === "CSV") return;
    attachServer(w, w.at - 1, w.at, undefined);
    w.find("remote-server", w.at - 1, w.at, 1, engine);
  }
}

function engineAt(w: Walker): string {
  return w.at < w.count ? upperAscii(w.text.name(w.at)) : "";
}

function noteConnection(w: Walker) {
  w.accept(T.EQUAL);
  if (w.kind(w.at) === T.STRING) w.statement.connectionToken = w.at;
}

/** SAFETY: without an engine that is known to be local, CONNECTION names a server: the default engine is a setting. */
function attachConnection(w: Walker) {
  const at = w.statement.connectionToken;
  if (at === undefined || w.statement.hasLocalEngine) return;
  attachServer(w, at - 1, at, withoutLogin(w.text.string(at)));
  w.find("remote-server", at - 1, at, 1, "CONNECTION");
  w.statement.connectionToken = undefined;
}

/** One reach per server, whichever of engine and connection comes first. */
function attachServer(w: Walker, first: number, last: number, target: string | undefined) {
  const { reach } = w.statement;
  w.spend(reach.length);
  if (reach.length > SERVERS_COMPARED_MAX) return w.reach("remote-server", first, last, target);
  const known = reach.findIndex((one) => one.type === "remote-server" && one.target === undefined);
  if (known >= 0 && target === undefined) return;
  if (known >= 0) reach.splice(known, 1);
  else if (target === undefined && reach.some(({ type }) => type === "remote-server")) return;
  w.reach("remote-server", first, last, target);
}

/** SAFETY: `mysql://user:password@host:port/schema/table` without user and password; whatever else names a server. */
function withoutLogin(connection: string): string {
  const scheme = connection.indexOf("://");
  const login = connection.lastIndexOf("@");
  return scheme < 0 || login < scheme ? connection : connection.slice(0, scheme + 3) + connection.slice(login + 1);
}

/** ALTER TABLE, after that word. */
export function alterTable(w: Walker) {
  const { statement } = w;
  statement.kind = "alter-table";
  readIfExists(w);
  if (!readTable(w, "write")) return skipRest(w);
  const from = w.at;
  noteAlterations(w, from);
  walkDefinition(w);
}

/** What the top-level words of ALTER TABLE do. */
function noteAlterations(w: Walker, from: number) {
  let parens = 0;
  let addsOnly = true;
  let isStart = true;
  for (let at = behindWait(w, from); at < w.count && w.kind(at) !== T.SEMICOLON; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN) parens++;
    else if (kind === T.RIGHT_PAREN) parens--;
    else if (kind === T.COMMA && parens === 0) {
      isStart = true;
      continue;
    }
    if (isStart && kind !== K.ADD) addsOnly = false;
    if (isStart) noteAlteration(w, kind, at);
    isStart = false;
  }
  if (addsOnly) w.statement.modify("adds-only");
}

/** MariaDB: ALTER TABLE t WAIT 5 …, ALTER TABLE t NOWAIT …. */
function behindWait(w: Walker, from: number): number {
  if (w.text.isWord(from, "NOWAIT")) return from + 1;
  return w.text.isWord(from, "WAIT") ? from + 2 : from;
}

function noteAlteration(w: Walker, kind: number, at: number) {
  const next = w.kind(at + 1);
  switch (kind) {
    case K.ADD:
      if (INDEX_WORDS.has(next)) w.statement.modify("adds-index");
      return;
    case K.DROP:
      return noteDropped(w, next);
    case K.TRUNCATE:
    case K.COALESCE:
      return w.statement.modify("drops-partition");
    case K.DISCARD:
    case K.IMPORT:
      return w.statement.modify(next === K.PARTITION ? "drops-partition" : "drops-rows");
    case K.RENAME:
      if (next === K.COLUMN || next === K.INDEX || next === K.KEY) return;
      w.statement.modify("renames-table");
      return writtenTable(w, next === K.TO || next === K.AS || next === T.EQUAL ? at + 2 : at + 1);
    case K.EXCHANGE:
    case K.CONVERT:
      return noteMoved(w, next, at);
    default:
  }
}

function noteDropped(w: Walker, next: number) {
  if (next === K.PARTITION) w.statement.modify("drops-partition");
  // MariaDB: DROP SYSTEM VERSIONING throws the history away.
  else if (next === K.SYSTEM) w.statement.modify("drops-rows");
  else if (next === K.INDEX || next === K.KEY || next === K.PRIMARY) w.statement.modify("drops-index");
  else if (!KEEPS_DATA.has(next)) w.statement.modify("drops-column");
}

/** EXCHANGE PARTITION p WITH TABLE t; MariaDB's CONVERT PARTITION p TO TABLE t, CONVERT TABLE t TO PARTITION p. */
function noteMoved(w: Walker, next: number, at: number) {
  if (next !== K.PARTITION && next !== K.TABLE) return;
  w.statement.modify("drops-partition");
  for (let i = at; i < at + 8; i++) if (w.kind(i) === K.TABLE) writtenTable(w, i + 1);
}

const INDEX_WORDS: ReadonlySet<number> = new Set([K.INDEX, K.KEY, K.UNIQUE, K.FULLTEXT, K.SPATIAL, K.PRIMARY]);

const KEEPS_DATA: ReadonlySet<number> = new Set([K.FOREIGN, K.CHECK, K.CONSTRAINT, K.DEFAULT]);

function writtenTable(w: Walker, token: number) {
  const at = w.at;
  w.at = token;
  readTable(w, "write");
  w.at = at;
}

/** RENAME TABLE, after that word. */
export function renameTable(w: Walker) {
  w.statement.kind = "rename-table";
  readIfExists(w);
  do {
    if (!readTable(w, "write")) return skipRest(w);
    if (!w.accept(K.TO)) skipWait(w);
    readTable(w, "write");
  } while (w.accept(T.COMMA));
}

/** MariaDB: RENAME TABLE t WAIT 5 TO u. */
function skipWait(w: Walker) {
  while (w.at < w.count && w.kind(w.at) !== T.SEMICOLON && !w.accept(K.TO)) w.at++;
}

/** DROP TABLE or DROP VIEW, after that word. */
export function dropTables(w: Walker, kind: "drop-table" | "drop-view") {
  w.statement.kind = kind;
  readIfExists(w);
  readTables(w, "write");
  skipRest(w);
}

/** CREATE INDEX i ON t (…) or DROP INDEX i ON t, after INDEX. */
export function indexStatement(w: Walker, kind: "create-index" | "drop-index") {
  w.statement.kind = kind;
  readIfExists(w);
  readObject(w, "index");
  while (w.at < w.count && w.kind(w.at) !== K.ON && w.kind(w.at) !== T.SEMICOLON) w.at++;
  if (w.accept(K.ON)) readTable(w, "write");
  walkDefinition(w);
}

/** CREATE or ALTER VIEW, after that word. The view counts as written, what it selects from as read. */
export function viewStatement(w: Walker, kind: "create-view" | "alter-view") {
  w.statement.kind = kind;
  readIfExists(w);
  const first = w.at;
  if (!readTable(w, "write")) return skipRest(w);
  const last = w.at - 1;
  addObject(w, "view", { ...w.qualified(first, last), first, last });
  if (w.accept(T.LEFT_PAREN)) {
    while (w.at < w.count && w.kind(w.at) !== T.RIGHT_PAREN) {
      if (w.isName(w.at)) w.role(w.at, ROLE_DEFINITION);
      w.at++;
    }
    w.at++;
  }
  if (!w.accept(K.AS)) w.fail("unexpected-token", w.at);
  w.frame().queryRole = "view";
  walkSelect(w);
}

/** CREATE, ALTER or DROP of an object that is just named. */
export function namedObject(w: Walker, kind: StatementKind, type: ObjectReference["type"]) {
  w.statement.kind = kind;
  readIfExists(w);
  readObject(w, type);
  noteServer(w, kind);
  skipRest(w);
}

function noteServer(w: Walker, kind: StatementKind) {
  if (kind !== "create-server" && kind !== "alter-server") return;
  const name = w.at - 1;
  w.reach("remote-server", name, name, hostOption(w));
  w.find("remote-server", name, name, 1, "SERVER");
}

/** OPTIONS (HOST 'name', PASSWORD 'secret'): the host alone. */
function hostOption(w: Walker): string | undefined {
  for (let at = w.at; at < w.count - 1 && w.kind(at) !== T.SEMICOLON; at++) {
    if (w.text.isWord(at, "HOST") && w.kind(at + 1) === T.STRING) return w.text.string(at + 1);
  }
  return undefined;
}

const SCHEMA_OPTIONS = kindSet([], "DEFAULT CHARACTER CHARSET CHAR COLLATE ENCRYPTION READ COMMENT UPGRADE");

/** CREATE, ALTER or DROP SCHEMA, after that word. */
export function schemaStatement(w: Walker, kind: StatementKind) {
  w.statement.kind = kind;
  readIfExists(w);
  const first = w.at;
  const read = readName(w);
  if (read !== undefined) addObject(w, "schema", read);
  // Without a name it is the current schema; CHARSET and the like may be a name or the first option.
  if (kind === "alter-schema" && SCHEMA_OPTIONS[w.kind(first)] === 1 && w.schema !== undefined) {
    addObject(w, "schema", { schema: undefined, name: w.schema, first, last: first });
  }
  skipRest(w);
}
