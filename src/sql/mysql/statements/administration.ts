/** Statements that steer the session, the server or its files. */

import type { Reach, StatementKind } from "../../facts.ts";
import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_OTHER, CLAUSE_SET, CLAUSE_WHERE, ROLE_DEFINITION, ROLE_NAME } from "../lexing/tokens.ts";
import { beginCondition } from "../queries/conditions.ts";
import { walkQuery } from "../queries/query.ts";
import { MODE_COLUMNS, MODE_EXPRESSION, type Walker } from "../queries/walker.ts";
import { finishQuery } from "./finish.ts";
import {
  addObject,
  mention,
  readName,
  readObject,
  readTable,
  readTables,
  skipRest,
  walkExpression,
  wordsAhead,
} from "./reading-on.ts";

const DETAIL_WORDS_MAX = 4;
const READ_ENDS = kindSet([], "WHERE LIMIT");

/** LOAD DATA, XML or INDEX at the walk's position. */
export function loadStatement(w: Walker) {
  const { statement } = w;
  const first = w.at;
  w.at++;
  if (w.accept(K.INDEX)) {
    statement.kind = "load-index";
    w.accept(K.INTO);
    w.accept(K.CACHE);
    return indexTables(w);
  }
  const isXml = w.kind(w.at) === K.XML;
  statement.kind = isXml ? "load-xml" : "load-data";
  w.at++;
  loadSource(w, first, isXml);
  while (w.at < w.count && w.kind(w.at) !== K.TABLE && w.kind(w.at) !== T.SEMICOLON) {
    if (w.kind(w.at) === K.IGNORE) statement.modify("ignore");
    if (w.kind(w.at) === K.REPLACE) statement.modify("or-replace");
    w.at++;
  }
  w.beginBlock(w.at, "main", -1);
  w.frame().blockIndex = 0;
  if (!w.accept(K.TABLE) || !readTable(w, "write")) w.fail("unexpected-token", w.at);
  loadTail(w);
  finishQuery(w);
}

function loadSource(w: Walker, first: number, isXml: boolean) {
  const { statement } = w;
  let isLocal = false;
  let store = -1;
  while (w.at < w.count && w.kind(w.at) !== T.STRING && w.kind(w.at) !== T.SEMICOLON && w.kind(w.at) !== K.INTO) {
    if (w.kind(w.at) === K.LOCAL) isLocal = true;
    if (store < 0 && (w.text.isWord(w.at, "S3") || w.kind(w.at) === K.URL)) store = w.at;
    w.at++;
  }
  const target = w.kind(w.at) === T.STRING ? w.text.string(w.at) : undefined;
  if (isLocal) statement.modify("local");
  if (store >= 0) {
    w.reach(storeReach(w, store, isLocal), first, w.at, target);
    w.find("load-from-s3", first, w.at);
  } else if (isLocal) {
    w.reach(isXml ? "load-xml-local" : "load-data-local", first, w.at, target);
    w.find("load-data-local", first, w.at);
  } else {
    w.reach(isXml ? "load-xml" : "load-data", first, w.at, target);
    w.find("load-data", first, w.at);
  }
}

const AFTER_ADDRESS = kindSet([], "REPLACE IGNORE INTO");

/**
 * Aurora's forms (Aurora user guide, LOAD DATA FROM S3: `S3 [FILE | PREFIX | MANIFEST] 'address' [REPLACE | IGNORE] INTO`).
 * SAFETY: MySQL's own, with URL or COUNT, read what nobody can see in the text.
 */
function storeReach(w: Walker, store: number, isLocal: boolean): Reach["type"] {
  const words = w.at - store - 1;
  const isForm = (word: string): boolean => words === 1 && w.text.isWord(store + 1, word);
  if (isLocal || w.kind(store) === K.URL || AFTER_ADDRESS[w.kind(w.at + 1)] !== 1) return "s3-read-list";
  if (words === 0 || isForm("FILE")) return "s3-read";
  return isForm("PREFIX") ? "s3-read-prefix" : "s3-read-list";
}

/** Options, the columns, and SET. */
function loadTail(w: Walker) {
  while (w.at < w.count && w.kind(w.at) !== T.SEMICOLON) {
    const kind = w.kind(w.at);
    if (kind === T.LEFT_PAREN) {
      w.mode = MODE_COLUMNS;
      w.isSingleLevel = true;
      walkQuery(w);
      w.isSingleLevel = false;
    } else if (kind === K.SET && w.kind(w.at - 1) !== K.CHARACTER && w.kind(w.at - 1) !== K.CHAR) {
      w.clause = CLAUSE_SET;
      w.mode = MODE_EXPRESSION;
      w.isOperandExpected = true;
      w.at++;
      walkQuery(w);
    } else w.at++;
  }
}

/** HANDLER t OPEN | READ … | CLOSE. */
export function handlerStatement(w: Walker) {
  const { statement } = w;
  w.at++;
  const block = w.beginBlock(w.at, "main", -1);
  block.hasFrom = true;
  w.frame().hasQuery = true;
  w.frame().firstBlock = 0;
  readTable(w, "read");
  const kind = w.kind(w.at);
  statement.kind = kind === K.OPEN ? "handler-open" : kind === K.CLOSE ? "handler-close" : "handler-read";
  if (kind === K.OPEN) return skipRest(w);
  if (kind !== K.CLOSE && kind !== K.READ) w.fail("unexpected-token", w.at);
  w.at++;
  w.clause = CLAUSE_OTHER;
  while (w.at < w.count && w.kind(w.at) !== T.SEMICOLON && READ_ENDS[w.kind(w.at)] !== 1) w.at++;
  w.mode = MODE_EXPRESSION;
  walkQuery(w);
  finishQuery(w);
}

/** LOCK TABLES t [AS a] READ | WRITE, …; LOCK INSTANCE FOR BACKUP. */
export function lockStatement(w: Walker) {
  w.at++;
  if (w.accept(K.INSTANCE)) {
    w.statement.kind = "lock-instance";
    return skipRest(w);
  }
  w.statement.kind = "lock-tables";
  w.at++;
  do {
    if (!readTable(w, "read")) return skipRest(w);
    lockedTable(w);
  } while (w.accept(T.COMMA));
}

function lockedTable(w: Walker) {
  const { tablesRead, tablesWritten } = w.statement;
  while (w.at < w.count && w.kind(w.at) !== T.COMMA && w.kind(w.at) !== T.SEMICOLON) {
    const kind = w.kind(w.at);
    if (kind === K.WRITE) {
      const table = tablesRead.pop();
      if (table !== undefined) tablesWritten.push(table);
    } else if (w.isName(w.at) && kind !== K.LOCAL) w.role(w.at, ROLE_DEFINITION);
    w.at++;
  }
}

/** FLUSH, with its options in `detail` and the tables it names. */
export function flushStatement(w: Walker) {
  const { statement } = w;
  statement.kind = "flush";
  w.at++;
  if (w.accept(K.NO_WRITE_TO_BINLOG) || w.accept(K.LOCAL)) statement.modify("local");
  statement.detail = wordsAhead(w, DETAIL_WORDS_MAX);
  if (w.accept(K.TABLES) || w.accept(K.TABLE)) {
    if (w.isName(w.at)) readTables(w, "read");
  }
  for (; w.at < w.count && w.kind(w.at) !== T.SEMICOLON; w.at++) {
    if (w.kind(w.at) === K.READ && w.kind(w.at + 1) === K.LOCK) statement.modify("with-read-lock");
    if (w.kind(w.at) === K.EXPORT) statement.modify("for-export");
  }
}

/** ANALYZE, CHECK, CHECKSUM, OPTIMIZE, REPAIR TABLE. */
export function tableMaintenance(w: Walker, kind: StatementKind) {
  w.statement.kind = kind;
  w.at++;
  if (w.accept(K.NO_WRITE_TO_BINLOG) || w.accept(K.LOCAL)) w.statement.modify("local");
  if (w.accept(K.TABLE) || w.accept(K.TABLES) || w.accept(K.VIEW))
    maintainedTables(w, kind === "repair-table" || kind === "optimize-table" ? "write" : "read");
  else w.fail("unexpected-token", w.at);
  if (kind === "repair-table") noteUseFrm(w);
  skipRest(w);
}

/** REPAIR TABLE t USE_FRM makes a table anew from its definition and what can be read of its rows. */
function noteUseFrm(w: Walker) {
  for (let at = w.at; at < w.count && w.kind(at) !== T.SEMICOLON; at++) {
    if (w.text.isWord(at, "USE_FRM")) w.statement.modify("drops-rows");
  }
}

/** MariaDB's ANALYZE TABLE has words after each table: PERSISTENT FOR COLUMNS (a) INDEXES (i), u. */
function maintainedTables(w: Walker, access: "read" | "write") {
  readTables(w, access);
  // MySQL: UPDATE HISTOGRAM ON a, b
  if (w.kind(w.at) === K.UPDATE) w.statement.modify("for-columns");
  if (!w.text.isWord(w.at, "PERSISTENT")) return;
  w.statement.modify("for-columns");
  let parens = 0;
  for (; w.at < w.count && w.kind(w.at) !== T.SEMICOLON; w.at++) {
    if (w.kind(w.at) === T.LEFT_PAREN) parens++;
    else if (w.kind(w.at) === T.RIGHT_PAREN) parens--;
    else if (w.kind(w.at) === T.COMMA && parens === 0) {
      w.at++;
      readTable(w, access);
      w.at--;
    } else if (w.isName(w.at)) mention(w, w.at);
    else if (w.kind(w.at) === K.ALL) mention(w, w.at, "*");
  }
}

/** CACHE INDEX t INDEX (…) IN cache. */
export function cacheIndex(w: Walker) {
  w.statement.kind = "cache-index";
  w.at++;
  w.accept(K.INDEX);
  indexTables(w);
}

/** `t PARTITION (p) INDEX (i, j) IGNORE LEAVES, u IN cache`. */
function indexTables(w: Walker) {
  let parens = 0;
  readTable(w, "read");
  for (; w.at < w.count && w.kind(w.at) !== T.SEMICOLON; w.at++) {
    const kind = w.kind(w.at);
    if (kind === T.LEFT_PAREN) parens++;
    else if (kind === T.RIGHT_PAREN) parens--;
    else if (kind === T.COMMA && parens === 0) {
      w.at++;
      readTable(w, "read");
      w.at--;
    } else if (w.isName(w.at)) w.role(w.at, ROLE_NAME);
  }
  if (parens !== 0) w.fail("unbalanced-parentheses", w.at);
}

/** SHOW: its words in `detail`, the table or schema it asks about, and its condition. */
export function showStatement(w: Walker) {
  const { statement } = w;
  statement.kind = "show";
  w.at++;
  statement.detail = wordsAhead(w, DETAIL_WORDS_MAX);
  const block = w.beginBlock(w.at, "main", -1);
  block.hasFrom = true;
  w.frame().hasQuery = true;
  w.frame().firstBlock = 0;
  const isCreate = w.accept(K.CREATE);
  if (isCreate) showCreate(w);
  else showObject(w);
  showTail(w);
  finishQuery(w);
}

function showCreate(w: Walker) {
  const kind = w.kind(w.at);
  w.at++;
  if (kind === K.TABLE || kind === K.VIEW) {
    readTable(w, "read");
    return;
  }
  if (w.text.isWord(w.at - 1, "SEQUENCE")) {
    readTable(w, "read");
    return;
  }
  const type = SHOW_CREATE_TYPES.get(kind);
  if (kind === K.DATABASE || kind === K.SCHEMA) {
    skipIfNotExists(w);
    readObject(w, "schema");
  } else if (type !== undefined) readObject(w, type);
}

function skipIfNotExists(w: Walker) {
  if (w.kind(w.at) === K.IF) w.at += 3;
}

const SHOW_CREATE_TYPES: ReadonlyMap<number, "procedure" | "function" | "trigger" | "event" | "library"> = new Map([
  [K.PROCEDURE, "procedure"],
  [K.FUNCTION, "function"],
  [K.TRIGGER, "trigger"],
  [K.EVENT, "event"],
  [K.LIBRARY, "library"],
] as const);

const ASKS_TABLE = kindSet([], "COLUMNS FIELDS INDEX INDEXES KEYS");
const SHOW_ENDS = kindSet([T.SEMICOLON], "LIKE WHERE LIMIT");

/** SHOW COLUMNS FROM t FROM db, SHOW INDEX IN t, SHOW TABLES FROM db. */
function showObject(w: Walker) {
  let asksTable = false;
  while (w.at < w.count && SHOW_ENDS[w.kind(w.at)] !== 1) {
    const kind = w.kind(w.at);
    if (ASKS_TABLE[kind] === 1) asksTable = true;
    w.at++;
    if ((kind !== K.FROM && kind !== K.IN) || !w.isName(w.at)) continue;
    if (asksTable) shownTable(w);
    else {
      const read = readName(w);
      if (read !== undefined) addObject(w, "schema", read);
    }
    asksTable = false;
  }
}

function shownTable(w: Walker) {
  readTable(w, "read");
  const table = w.statement.tablesRead[0];
  if ((w.accept(K.FROM) || w.accept(K.IN)) && w.isName(w.at) && table !== undefined) {
    table.schema = readName(w)?.name;
    table.isQualified = true;
  }
}

/** LIKE 'pattern', WHERE condition, LIMIT. */
function showTail(w: Walker) {
  if (w.at >= w.count || w.kind(w.at) === T.SEMICOLON) return;
  if (w.kind(w.at) === K.WHERE) {
    w.at++;
    w.clause = CLAUSE_WHERE;
    w.mode = MODE_EXPRESSION;
    w.isOperandExpected = true;
    beginCondition(w, w.at);
    walkQuery(w);
    return;
  }
  skipRest(w);
}

/** Notes SQL text that the statement hands to the server: one literal, one variable, or something that nobody knows. */
export function noteDynamic(
  w: Walker,
  type: "prepare" | "execute-immediate" | "executor-procedure",
  name: string | undefined,
  { argument, end }: { readonly argument: number; readonly end: number },
  { first, last }: { readonly first: number; readonly last: number },
) {
  const range = { start: w.start(first), end: w.endBefore(last + 1) };
  const using = usedVariables(w);
  if (end !== argument + 1 || w.kind(argument) !== T.STRING) {
    const isVariable = end === argument + 2 && w.kind(argument) === T.AT;
    const text = isVariable ? w.text.name(argument + 1) : undefined;
    w.statement.dynamic = { type, name, source: isVariable ? "user-variable" : "expression", text, using, ...range };
    w.find("prepare-variable", first, last);
    return;
  }
  const literal = argument;
  w.statement.dynamic = { type, name, source: "literal", text: w.text.string(literal), using, ...range };
  w.find("prepare-literal", first, last);
  w.inner.push({
    sql: w.text.stringBytes(literal),
    within: type === "executor-procedure" ? "executor-argument" : "prepared-literal",
    parent: w.statementIndex(),
    schema: w.schema,
    start: w.start(literal),
    end: w.endBefore(literal + 1),
  });
}

/** PREPARE name FROM 'text' | @variable. */
export function prepareStatement(w: Walker) {
  w.statement.kind = "prepare";
  const first = w.at;
  w.at++;
  const read = readObject(w, "prepared-statement");
  if (!w.accept(K.FROM)) w.fail("unexpected-token", w.at);
  dynamicText(w, "prepare", read?.name, first);
}

/** The text after PREPARE … FROM or EXECUTE IMMEDIATE. */
function dynamicText(w: Walker, type: "prepare" | "execute-immediate", name: string | undefined, first: number) {
  const start = w.at;
  walkExpression(w, USING_ENDS);
  noteDynamic(w, type, name, { argument: start, end: w.at }, { first, last: w.at - 1 });
  skipRest(w);
}

const NOTHING_USED: readonly (string | undefined)[] = [];

/** USING @a, @b at the walk's position. */
function usedVariables(w: Walker): readonly (string | undefined)[] {
  if (w.kind(w.at) !== K.USING) return NOTHING_USED;
  const names: (string | undefined)[] = [];
  let token = w.at + 1;
  for (; w.kind(token) !== 0 && w.kind(token) !== T.SEMICOLON; token++) {
    const isOne = w.kind(token) === T.AT && USED_ENDS[w.kind(token + 2)] === 1;
    names.push(isOne ? w.text.name(token + 1) : undefined);
    while (USED_ENDS[w.kind(token)] !== 1) token++;
    if (w.kind(token) !== T.COMMA) break;
  }
  return names;
}

const USED_ENDS = kindSet([0, T.COMMA, T.SEMICOLON], "");

const USING_ENDS = kindSet([], "USING");

/** EXECUTE name USING @a, or EXECUTE IMMEDIATE text. */
export function executeStatement(w: Walker) {
  const first = w.at;
  w.at++;
  if (w.text.isWord(w.at, "IMMEDIATE") && w.kind(w.at + 1) !== K.USING && w.kind(w.at + 1) !== 0) {
    w.statement.kind = "execute-immediate";
    w.at++;
    return dynamicText(w, "execute-immediate", undefined, first);
  }
  w.statement.kind = "execute";
  const read = readObject(w, "prepared-statement");
  const range = { start: w.start(first), end: w.endBefore(w.at) };
  const using = usedVariables(w);
  w.statement.dynamic = { type: "execute", name: read?.name, source: "named", text: undefined, using, ...range };
  skipRest(w);
}

/** DEALLOCATE or DROP PREPARE, after PREPARE. */
export function dropPrepare(w: Walker) {
  w.statement.kind = "drop-prepare";
  readObject(w, "prepared-statement");
}
