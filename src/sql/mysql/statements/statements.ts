/** The first words of a statement, and what each leads to. */

import type { ObjectReference, StatementKind, StatementOrigin } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import type { Walker } from "../queries/walker.ts";
import { grantStatement, renameUser, userStatement } from "./accounts.ts";
import {
  cacheIndex,
  dropPrepare,
  executeStatement,
  flushStatement,
  handlerStatement,
  loadStatement,
  lockStatement,
  prepareStatement,
  showStatement,
  tableMaintenance,
} from "./administration.ts";
import { dataStatement, selectStatement } from "./data-statements.ts";
import {
  alterTable,
  createTable,
  dropTables,
  indexStatement,
  namedObject,
  renameTable,
  schemaStatement,
  viewStatement,
} from "./definitions.ts";
import { finishQuery } from "./finish.ts";
import { callStatement } from "./procedures.ts";
import { readIfExists, readObject, readTable, readTables, skipRest, walkExpression, wordsAhead } from "./reading-on.ts";
import { eventHead, routineHead, triggerHead } from "./routines.ts";
import { setStatement } from "./variables.ts";

/** What comes after a statement's head: another statement that belongs to it. */
export type Follow = StatementOrigin | undefined;

type Handler = (w: Walker) => Follow;

const DETAIL_WORDS_MAX = 4;

/** Wraps what needs no following statement. */
function plain(run: (w: Walker) => unknown): Handler {
  return (w) => {
    run(w);
    return undefined;
  };
}

/** A statement that its words tell completely. */
function simple(kind: StatementKind): Handler {
  return (w) => {
    w.statement.kind = kind;
    w.at++;
    w.statement.detail = wordsAhead(w, DETAIL_WORDS_MAX);
    skipRest(w);
    return undefined;
  };
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [K.SELECT, plain(selectStatement)],
  [K.WITH, plain(selectStatement)],
  [K.TABLE, plain(selectStatement)],
  [K.VALUES, plain(selectStatement)],
  [T.LEFT_PAREN, plain(selectStatement)],
  [K.INSERT, plain((w) => dataStatement(w, K.INSERT))],
  [K.REPLACE, plain((w) => dataStatement(w, K.REPLACE))],
  [K.UPDATE, plain((w) => dataStatement(w, K.UPDATE))],
  [K.DELETE, plain((w) => dataStatement(w, K.DELETE))],
  [K.SET, (w) => (setStatement(w) ? "set-statement" : undefined)],
  [K.SHOW, plain(showStatement)],
  [K.CREATE, createStatement],
  [K.ALTER, alterStatement],
  [K.DROP, plain(dropStatement)],
  [K.RENAME, plain(renameStatement)],
  [K.TRUNCATE, plain(truncateStatement)],
  [K.LOAD, plain(loadStatement)],
  [K.IMPORT, plain(importTable)],
  [K.CALL, plain(callStatement)],
  [K.DO, plain(doStatement)],
  [K.HANDLER, plain(handlerStatement)],
  [K.USE, plain(useStatement)],
  [K.HELP, simple("help")],
  [K.EXPLAIN, explainStatement],
  [K.DESCRIBE, explainStatement],
  [K.DESC, explainStatement],
  [K.BEGIN, simple("begin")],
  [K.START, plain(startStatement)],
  [K.COMMIT, simple("commit")],
  [K.ROLLBACK, plain(rollbackStatement)],
  [K.SAVEPOINT, simple("savepoint")],
  [K.RELEASE, simple("release-savepoint")],
  [K.XA, plain(xaStatement)],
  [K.LOCK, plain(lockStatement)],
  [K.UNLOCK, plain(unlockStatement)],
  [K.PREPARE, plain(prepareStatement)],
  [K.EXECUTE, plain(executeStatement)],
  [K.DEALLOCATE, plain(deallocateStatement)],
  [K.GET, simple("get-diagnostics")],
  [K.SIGNAL, plain((w) => signalStatement(w, "signal"))],
  [K.RESIGNAL, plain((w) => signalStatement(w, "resignal"))],
  [K.GRANT, plain(grantStatement)],
  [K.REVOKE, plain(grantStatement)],
  [K.ANALYZE, analyzeStatement],
  [K.CHECK, plain((w) => tableMaintenance(w, "check-table"))],
  [K.CHECKSUM, plain((w) => tableMaintenance(w, "checksum-table"))],
  [K.OPTIMIZE, plain((w) => tableMaintenance(w, "optimize-table"))],
  [K.REPAIR, plain((w) => tableMaintenance(w, "repair-table"))],
  [K.CACHE, plain(cacheIndex)],
  [K.FLUSH, plain(flushStatement)],
  [K.RESET, plain(resetStatement)],
  [K.PURGE, simple("purge-logs")],
  [K.KILL, plain(killStatement)],
  [K.SHUTDOWN, simple("shutdown")],
  [K.RESTART, simple("restart")],
  [K.BINLOG, plain((w) => reaching(w, "binlog", "binlog"))],
  [K.CLONE, plain((w) => reaching(w, "clone", "clone"))],
  [K.BACKUP, simple("backup")],
  [K.CHANGE, plain(changeStatement)],
  [K.STOP, plain(stopStatement)],
  [K.INSTALL, plain((w) => installStatement(w, true))],
  [K.UNINSTALL, plain((w) => installStatement(w, false))],
]);

/** Walks the statement whose first token the walk stands at; `undefined` unless another one belongs to it. */
export function walkStatement(w: Walker): Follow {
  const handler = HANDLERS.get(w.kind(w.at));
  if (handler !== undefined) return handler(w);
  if (w.rules.dialect === "vitess" && w.text.isWord(w.at, "VEXPLAIN")) return vexplain(w);
  if (w.rules.dialect === "vitess" && w.text.isWord(w.at, "REVERT")) {
    simple("vitess-migration")(w);
    return undefined;
  }
  w.fail("unknown-statement", w.at);
  w.find("not-understood", w.at, w.at);
  skipRest(w);
  return undefined;
}

function vexplain(w: Walker): Follow {
  w.statement.kind = "vitess-vexplain";
  w.at++;
  if (["ALL", "QUERIES", "PLAN", "TRACE"].some((word) => w.text.isWord(w.at, word))) w.at++;
  return "explain-analyze";
}

function createStatement(w: Walker): Follow {
  w.at++;
  createModifiers(w);
  const kind = w.kind(w.at);
  w.at++;
  switch (kind) {
    case K.TABLE:
      createTable(w);
      return undefined;
    case K.PROCEDURE:
      return routineHead(w, "create-procedure") ? "body" : undefined;
    case K.FUNCTION:
      return routineHead(w, "create-function") ? "body" : undefined;
    case K.TRIGGER:
      return triggerHead(w) ? "trigger-body" : undefined;
    case K.EVENT:
      return eventHead(w, "create-event") ? "event-body" : undefined;
    case K.VIEW:
      viewStatement(w, "create-view");
      return undefined;
    case K.INDEX:
    case K.KEY:
      indexStatement(w, "create-index");
      return undefined;
    case K.USER:
      userStatement(w, "create-user");
      return undefined;
    case K.ROLE:
      userStatement(w, "create-role");
      return undefined;
    default:
      return createOther(w, kind);
  }
}

/** OR REPLACE, DEFINER = account, ALGORITHM = x, SQL SECURITY x, TEMPORARY, UNIQUE, AGGREGATE … */
function createModifiers(w: Walker) {
  for (; w.at < w.count; w.at++) {
    switch (w.kind(w.at)) {
      case K.REPLACE:
        w.statement.modify("or-replace");
        break;
      case K.TEMPORARY:
        w.statement.modify("temporary");
        break;
      case K.DEFINER:
        // DEFINER = 'user'@'host' or SQL SECURITY DEFINER
        if (w.kind(w.at + 1) === T.EQUAL) skipDefiner(w);
        else w.statement.modify("sql-security-definer");
        break;
      case K.ALGORITHM:
        w.at += 2;
        break;
      case K.IGNORE:
        // MariaDB's ALTER IGNORE TABLE deletes what a new key would not allow.
        w.statement.modify("ignore");
        break;
      case K.OR:
      case K.SQL:
      case K.SECURITY:
      case K.INVOKER:
      case K.UNIQUE:
      case K.FULLTEXT:
      case K.SPATIAL:
      case K.AGGREGATE:
      case K.UNDO:
      case K.EXTERNAL:
      case K.JSON_WORD:
      case K.RELATIONAL:
      case K.DUALITY:
      case K.MATERIALIZED:
        break;
      default:
        if (!w.text.isWord(w.at, "OFFLINE") && !w.text.isWord(w.at, "ONLINE") && !w.text.isWord(w.at, "VECTOR")) return;
    }
  }
}

function skipDefiner(w: Walker) {
  w.at += 2;
  if (w.kind(w.at) === K.CURRENT_USER) {
    if (w.kind(w.at + 1) === T.LEFT_PAREN) w.at += 2;
  } else if (w.kind(w.at + 1) === T.AT) w.at += 2;
}

interface ObjectRow {
  readonly type: ObjectReference["type"] | undefined;
  readonly name: string;
}

/** Objects that are created, altered and dropped by name alone, by the last word of CREATE x. */
const OBJECTS: ReadonlyMap<number, ObjectRow> = new Map<number, ObjectRow>([
  [K.SERVER, { type: "server", name: "server" }],
  [K.TABLESPACE, { type: "tablespace", name: "tablespace" }],
  [K.LOGFILE, { type: undefined, name: "logfile-group" }],
  [K.RESOURCE, { type: undefined, name: "resource-group" }],
  [K.LIBRARY, { type: "library", name: "library" }],
]);

type Verb = "create" | "alter" | "drop";

function createOther(w: Walker, kind: number): Follow {
  if (kind === K.DATABASE || kind === K.SCHEMA) schemaStatement(w, "create-schema");
  else if (!objectStatement(w, kind, "create")) unknownObject(w);
  return undefined;
}

function unknownObject(w: Walker) {
  w.fail("unknown-statement", w.at - 1);
  w.find("not-understood", w.at - 1, w.at - 1);
  skipRest(w);
}

/** What CREATE, ALTER and DROP have in common. False when the word is none of theirs. */
function objectStatement(w: Walker, kind: number, verb: Verb): boolean {
  const word = w.at - 1;
  // Servers before 9.2 have no such word: a text that begins so can only be meant for one that has.
  const row = OBJECTS.get(w.text.isWord(word, "LIBRARY") ? K.LIBRARY : kind);
  if (row !== undefined) {
    if (row.type === undefined) w.at++;
    namedObject(w, `${verb}-${row.name}` as StatementKind, row.type ?? "tablespace");
    if (row.name === "library" && verb !== "drop") w.find("native-code", w.at - 1, w.at - 1, 1, "LIBRARY");
  } else if (w.text.isWord(word, "SEQUENCE")) {
    sequenceStatement(w, verb);
  } else if (w.text.isWord(word, "PACKAGE") && verb !== "alter") {
    if (w.text.isWord(w.at, "BODY")) w.at++;
    namedObject(w, verb === "create" ? "create-package" : "drop-package", "package");
  } else {
    return verb !== "alter" && serverObject(w, kind, verb);
  }
  return true;
}

/** Objects that are created and dropped but not altered. */
function serverObject(w: Walker, kind: number, verb: "create" | "drop"): boolean {
  if (kind === K.REFERENCE || kind === K.SYSTEM) w.statement.kind = `${verb}-spatial-reference-system`;
  else if (kind === K.MASKING) w.statement.kind = `${verb}-masking-policy`;
  else return false;
  skipRest(w);
  return true;
}

function sequenceStatement(w: Walker, verb: Verb) {
  w.statement.kind = `${verb}-sequence`;
  readIfExists(w);
  if (verb === "drop") readTables(w, "write");
  else readTable(w, "write");
  skipRest(w);
}

function alterStatement(w: Walker): Follow {
  w.at++;
  createModifiers(w);
  const kind = w.kind(w.at);
  w.at++;
  switch (kind) {
    case K.TABLE:
      alterTable(w);
      return undefined;
    case K.VIEW:
      viewStatement(w, "alter-view");
      return undefined;
    case K.EVENT:
      return eventHead(w, "alter-event") ? "event-body" : undefined;
    case K.PROCEDURE:
    case K.FUNCTION:
      namedObject(
        w,
        kind === K.PROCEDURE ? "alter-procedure" : "alter-function",
        kind === K.PROCEDURE ? "procedure" : "function",
      );
      return undefined;
    case K.USER:
      userStatement(w, "alter-user");
      return undefined;
    case K.DATABASE:
    case K.SCHEMA:
      schemaStatement(w, "alter-schema");
      return undefined;
    case K.INSTANCE:
      w.statement.kind = "alter-instance";
      w.statement.detail = wordsAhead(w, DETAIL_WORDS_MAX);
      skipRest(w);
      return undefined;
    default:
      alterOther(w, kind);
      return undefined;
  }
}

function alterOther(w: Walker, kind: number) {
  const word = w.at - 1;
  const isVitess = w.text.isWord(word, "VITESS_MIGRATION") || w.text.isWord(word, "VSCHEMA");
  if (isVitess) {
    w.statement.kind = "vitess-migration";
    skipRest(w);
  } else if (!objectStatement(w, kind, "alter")) unknownObject(w);
}

function dropStatement(w: Walker) {
  w.at++;
  createModifiers(w);
  const kind = w.kind(w.at);
  w.at++;
  switch (kind) {
    case K.TABLE:
    case K.TABLES:
      return dropTables(w, "drop-table");
    case K.VIEW:
      return dropTables(w, "drop-view");
    case K.INDEX:
      return indexStatement(w, "drop-index");
    case K.PROCEDURE:
      return namedObject(w, "drop-procedure", "procedure");
    case K.FUNCTION:
      return namedObject(w, "drop-function", "function");
    case K.TRIGGER:
      return namedObject(w, "drop-trigger", "trigger");
    case K.EVENT:
      return namedObject(w, "drop-event", "event");
    case K.DATABASE:
    case K.SCHEMA:
      return schemaStatement(w, "drop-schema");
    case K.USER:
      return userStatement(w, "drop-user");
    case K.ROLE:
      return userStatement(w, "drop-role");
    case K.PREPARE:
      return dropPrepare(w);
    default:
      if (!objectStatement(w, kind, "drop")) unknownObject(w);
  }
}

function renameStatement(w: Walker) {
  w.at++;
  if (w.accept(K.USER)) return renameUser(w);
  if (!w.accept(K.TABLE) && !w.accept(K.TABLES)) w.fail("unexpected-token", w.at);
  renameTable(w);
}

function truncateStatement(w: Walker) {
  w.statement.kind = "truncate";
  w.at++;
  w.accept(K.TABLE);
  readTable(w, "write");
  skipRest(w);
}

function importTable(w: Walker) {
  w.statement.kind = "import-table";
  const first = w.at;
  while (w.at < w.count && w.kind(w.at) !== T.STRING && w.kind(w.at) !== T.SEMICOLON) w.at++;
  w.reach("import-table", first, w.at, w.kind(w.at) === T.STRING ? w.text.string(w.at) : undefined);
  skipRest(w);
}

function doStatement(w: Walker) {
  w.statement.kind = "do";
  w.at++;
  walkExpression(w, undefined);
  finishQuery(w);
}

function useStatement(w: Walker) {
  w.statement.kind = "use";
  w.at++;
  w.nextSchema = readObject(w, "schema")?.name;
  skipRest(w);
}

/** EXPLAIN of a statement, or DESCRIBE of a table. */
function explainStatement(w: Walker): Follow {
  w.statement.kind = "explain";
  w.at++;
  while (explainOption(w));
  if (w.kind(w.at) === K.FOR) {
    w.statement.detail = "FOR CONNECTION";
    skipRest(w);
    return undefined;
  }
  if (isExplained(w.kind(w.at))) return w.statement.modifiers.includes("analyze") ? "explain-analyze" : "explained";
  describeTable(w);
  return undefined;
}

/** Steps over one option of EXPLAIN. */
function explainOption(w: Walker): boolean {
  const kind = w.kind(w.at);
  const next = w.kind(w.at + 1);
  if (kind === K.ANALYZE) {
    w.statement.modify("analyze");
    w.at++;
  } else if (kind === K.FORMAT && next === T.EQUAL) w.at += 3;
  else if (kind === K.INTO && next === T.AT) w.at += 3;
  else if (kind === K.FOR && (next === K.SCHEMA || next === K.DATABASE)) {
    w.at += 2;
    w.schema = readObject(w, "schema")?.name;
  } else if (kind === K.EXTENDED || (kind === K.PARTITIONS && isExplained(next))) w.at++;
  else return false;
  return w.at < w.count;
}

const EXPLAINED: ReadonlySet<number> = new Set([
  K.SELECT,
  K.INSERT,
  K.REPLACE,
  K.UPDATE,
  K.DELETE,
  K.WITH,
  K.TABLE,
  K.VALUES,
  K.CALL,
  T.LEFT_PAREN,
]);

function isExplained(kind: number): boolean {
  return EXPLAINED.has(kind);
}

function describeTable(w: Walker) {
  w.statement.kind = "describe";
  w.beginBlock(w.at, "main", -1).hasFrom = true;
  readTable(w, "read");
  skipRest(w);
}

/** ANALYZE TABLE; in MariaDB also ANALYZE of a statement, which runs it. */
function analyzeStatement(w: Walker): Follow {
  const next = w.kind(w.at + 1);
  const at = next === K.FORMAT ? w.at + 4 : w.at + 1;
  if (isExplained(w.kind(at)) && !(w.kind(at) === K.TABLE)) {
    w.statement.kind = "explain";
    w.statement.modify("analyze");
    w.at = at;
    return "explain-analyze";
  }
  tableMaintenance(w, "analyze-table");
  return undefined;
}

function startStatement(w: Walker) {
  const next = w.kind(w.at + 1);
  if (next === K.TRANSACTION) return transaction(w);
  if (next === K.GROUP_REPLICATION) return void simple("start-group-replication")(w);
  simple("start-replica")(w);
}

function transaction(w: Walker) {
  w.statement.kind = "begin";
  for (; w.at < w.count && w.kind(w.at) !== T.SEMICOLON; w.at++) {
    if (w.kind(w.at) !== K.READ) continue;
    w.statement.modify(w.kind(w.at + 1) === K.ONLY ? "read-only" : "read-write");
  }
}

function stopStatement(w: Walker) {
  simple(w.kind(w.at + 1) === K.GROUP_REPLICATION ? "stop-group-replication" : "stop-replica")(w);
}

function rollbackStatement(w: Walker) {
  let at = w.at + 1;
  if (w.kind(at) === K.WORK) at++;
  simple(w.kind(at) === K.TO ? "rollback-to-savepoint" : "rollback")(w);
}

const XA_KINDS: ReadonlyMap<number, StatementKind> = new Map<number, StatementKind>([
  [K.START, "xa-begin"],
  [K.BEGIN, "xa-begin"],
  [K.END, "xa-end"],
  [K.PREPARE, "xa-prepare"],
  [K.COMMIT, "xa-commit"],
  [K.ROLLBACK, "xa-rollback"],
  [K.RECOVER, "xa-recover"],
]);

function xaStatement(w: Walker) {
  const kind = XA_KINDS.get(w.kind(w.at + 1));
  if (kind === undefined) w.fail("unexpected-token", w.at + 1);
  simple(kind ?? "unknown")(w);
}

function unlockStatement(w: Walker) {
  simple(w.kind(w.at + 1) === K.INSTANCE ? "unlock-instance" : "unlock-tables")(w);
}

function deallocateStatement(w: Walker) {
  w.at++;
  w.accept(K.PREPARE);
  dropPrepare(w);
}

function signalStatement(w: Walker, kind: "signal" | "resignal") {
  w.statement.kind = kind;
  w.at++;
  walkExpression(w, undefined);
}

function resetStatement(w: Walker) {
  const next = w.kind(w.at + 1);
  if (next === K.PERSIST) return void simple("reset-persist")(w);
  if (next === K.MASTER || next === K.BINARY) return void simple("reset-binary-logs")(w);
  if (next === K.REPLICA || next === K.SLAVE) return void simple("reset-replica")(w);
  simple("reset")(w);
}

function killStatement(w: Walker) {
  w.statement.kind = "kill";
  w.at++;
  w.statement.detail = wordsAhead(w, 2);
  walkExpression(w, undefined);
}

function reaching(w: Walker, kind: StatementKind, type: "binlog" | "clone") {
  const first = w.at;
  simple(kind)(w);
  w.reach(type, first, w.at - 1, undefined);
}

/** CHANGE MASTER TO, CHANGE REPLICATION SOURCE TO, CHANGE REPLICATION FILTER. */
function changeStatement(w: Walker) {
  const isFilter = w.kind(w.at + 2) === K.FILTER;
  simple(isFilter ? "change-replication-filter" : "change-replication-source")(w);
}

function installStatement(w: Walker, isInstall: boolean) {
  const first = w.at;
  w.at++;
  const isPlugin = w.kind(w.at) === K.PLUGIN || w.text.isWord(w.at, "SONAME");
  if (isPlugin) w.statement.kind = isInstall ? "install-plugin" : "uninstall-plugin";
  else w.statement.kind = isInstall ? "install-component" : "uninstall-component";
  w.at++;
  const target = w.kind(w.at) === T.STRING ? w.text.string(w.at) : undefined;
  if (isInstall) {
    w.reach(isPlugin ? "plugin" : "component", first, w.at, target);
    w.find("native-code", first, w.at, 1, isPlugin ? "PLUGIN" : "COMPONENT");
  }
  skipRest(w);
}
