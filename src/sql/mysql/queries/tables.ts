/** Tokens of table lists: FROM, the targets of UPDATE and DELETE, and lists of statements such as DROP TABLE. */

import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_FROM, CLAUSE_ON, ROLE_DEFINITION, ROLE_FUNCTION, ROLE_NAME, ROLE_TABLE } from "../lexing/tokens.ts";
import { CLAUSE_WORDS, JOIN_WORDS } from "../lexing/word-sets.ts";
import { endCondition } from "./conditions.ts";
import { conditionAfter } from "./expressions.ts";
import type { TableDraft } from "./statement-builder.ts";
import { beforeTime, timeOfTable } from "./system-time.ts";
import { MODE_COLUMNS, MODE_EXPRESSION, MODE_NAMES, MODE_TABLES, type PendingJoin, type Walker } from "./walker.ts";

/** With more CTEs than that all names count as tables: too many is safe, too few is not. */
const CTES_MAX = 100;

/** Adds the table named by tokens [first, last] to the statement, unless it is the name of a CTE. */
export function addTable(w: Walker, first: number, last: number, access: "read" | "write"): TableDraft | undefined {
  w.role(last, ROLE_TABLE);
  const { schema, name } = w.qualified(first, last);
  const block = w.block();
  if (schema === undefined && w.ctes.length < CTES_MAX && w.ctes.includes(name)) {
    w.lastSource = block?.addSource(name);
    return undefined;
  }
  const table: TableDraft = {
    schema: schema ?? w.schema,
    isQualified: schema !== undefined,
    table: name,
    alias: undefined,
    block: Math.max(w.blockIndex, 0),
    start: w.start(first),
    end: w.endBefore(last + 1),
  };
  (access === "read" ? w.statement.tablesRead : w.statement.tablesWritten).push(table);
  block?.tables.push(table);
  block?.sources.push({ name: undefined, table });
  return table;
}

/** One token of a table list at the walk's level. Leaves `w.at` behind it. */
export function tablesToken(w: Walker, kind: number): void {
  if (w.isTableExpected) expectedTable(w, kind);
  else afterTable(w, kind);
}

function expectedTable(w: Walker, kind: number) {
  const token = w.at;
  switch (kind) {
    case K.LATERAL:
      if (w.kind(token + 1) === T.LEFT_PAREN) {
        noteLink(w);
        w.at = token + 1;
        return;
      }
      break;
    case T.LEFT_BRACE:
      // {OJ a LEFT OUTER JOIN b ON …}
      w.role(token + 1, ROLE_NAME);
      w.at = token + 2;
      return;
    case T.DOT:
      w.at = token + 1;
      return;
    case K.DUAL:
      w.isTableExpected = false;
      w.at = token + 1;
      return;
    default:
      break;
  }
  if (JOIN_WORDS[kind] === 1 && kind !== K.FULL) {
    // NATURAL LEFT JOIN, or what is left of a JOIN of several words.
    joinWord(w, kind, token);
    return;
  }
  if (!w.isName(token) && kind !== K.JSON_TABLE) {
    w.fail("unexpected-token", token);
    w.isTableExpected = false;
    w.at = token + 1;
    return;
  }
  namedTable(w, token);
}

function namedTable(w: Walker, token: number) {
  const last = w.chainEnd(token);
  w.isTableExpected = false;
  w.at = last + 1;
  if (w.kind(last + 1) === T.LEFT_PAREN && w.clause === CLAUSE_FROM && !isIndexHintOrColumns(w)) {
    // A table function: its arguments are an expression.
    w.role(last, ROLE_FUNCTION);
    w.lastTable = undefined;
    w.lastSource = w.block()?.addSource(undefined);
    noteLink(w);
    w.mode = MODE_EXPRESSION;
    w.isOperandExpected = true;
    w.isTableFunction = true;
    return;
  }
  // DELETE FROM t1.*, t2.*
  if (w.kind(last + 1) === T.DOT && w.kind(last + 2) === T.STAR) w.at = last + 3;
  w.lastSource = undefined;
  w.lastTable = addTable(w, token, last, "read");
}

function isIndexHintOrColumns(w: Walker): boolean {
  const kind = w.statement.kind;
  return kind !== "select" && w.depth === 0 && w.statement.blocks.length === 1 && !kind.startsWith("update");
}

function noteLink(w: Walker) {
  const block = w.block();
  if (block !== undefined) block.linkedJoins++;
}

function afterTable(w: Walker, kind: number) {
  const token = w.at;
  w.at = token + 1;
  switch (kind) {
    case T.COMMA:
      w.isTableExpected = true;
      noteJoin(w);
      // A comma binds less than any JOIN.
      w.joins.length = w.joinBase;
      w.joinFirst = w.block()?.sources.length ?? 0;
      return;
    case K.ON:
      endCondition(w, token);
      w.clause = CLAUSE_ON;
      w.mode = MODE_EXPRESSION;
      noteLink(w);
      conditionAfter(w, token);
      w.frame().join = endJoin(w);
      return;
    case K.USING:
      noteLink(w);
      endJoin(w);
      w.mode = MODE_COLUMNS;
      return;
    case K.AS:
      if (w.isName(token + 1) && w.kind(token + 1) !== K.OF) {
        alias(w, token + 1);
        w.at = token + 2;
      }
      return;
    case K.PARTITION:
    case K.TABLESAMPLE:
      w.mode = MODE_NAMES;
      return;
    case K.USE:
    case K.FORCE:
    case K.IGNORE:
      w.mode = MODE_NAMES;
      return;
    case T.RIGHT_BRACE:
      return;
    case K.FOR:
      timeOfTable(w, token);
      return;
    case K.BEFORE:
      if (beforeTime(w, token)) return;
      break;
    case K.WITH:
      // A view's WITH CHECK OPTION.
      w.mode = MODE_NAMES;
      return;
    default:
      break;
  }
  if (JOIN_WORDS[kind] === 1 && !(kind === K.FULL && !isFullJoin(w, token))) joinWord(w, kind, token);
  else if (w.isName(token) && (CLAUSE_WORDS[kind] !== 1 || NAMES_OF_CLAUSES.has(kind))) alias(w, token);
  else w.fail("unexpected-token", token);
}

/** Come here only where they open no clause: MySQL's RETURNING, MariaDB's WINDOW. */
const NAMES_OF_CLAUSES: ReadonlySet<number> = new Set([K.RETURNING, K.WINDOW]);

function isFullJoin(w: Walker, token: number): boolean {
  return w.kind(token + 1) === K.OUTER || w.kind(token + 1) === K.JOIN;
}

function alias(w: Walker, token: number) {
  w.role(token, ROLE_DEFINITION);
  // The alias of a derived table belongs to no table reference.
  if (w.lastTable !== undefined && w.lastTable.alias === undefined) w.lastTable.alias = w.text.name(token);
  else if (w.lastSource !== undefined) w.lastSource.name = w.text.name(token);
  w.lastTable = undefined;
  w.lastSource = undefined;
}

/** A word of a join. The table follows the last of them. */
export function joinWord(w: Walker, kind: number, token: number): void {
  w.at = token + 1;
  w.mode = MODE_TABLES;
  switch (kind) {
    case K.NATURAL:
      noteLink(w);
      naturalColumns(w, token);
      w.isTableExpected = true;
      return;
    case K.LEFT:
    case K.RIGHT:
      noteJoin(w);
      beginJoin(w, kind === K.LEFT ? "left" : "right", token);
      w.isTableExpected = true;
      return;
    case K.JOIN:
    case K.STRAIGHT_JOIN: {
      const before = w.kind(token - 1);
      const isCounted = before === K.LEFT || before === K.RIGHT || before === K.OUTER;
      if (!isCounted) {
        noteJoin(w);
        beginJoin(w, "inner", token);
      }
      w.isTableExpected = true;
      return;
    }
    default:
      w.isTableExpected = true;
  }
}

function noteJoin(w: Walker) {
  const block = w.block();
  w.clause = CLAUSE_FROM;
  if (block !== undefined) block.joins++;
}

/** NATURAL joins have no condition to wait for. */
function beginJoin(w: Walker, kind: PendingJoin["kind"], token: number) {
  const before = w.kind(token - 1);
  if (before === K.NATURAL || (before === K.INNER && w.kind(token - 2) === K.NATURAL)) return;
  const outer = w.joins.length > w.joinBase ? w.joins[w.joins.length - 1] : undefined;
  w.joins.push({ kind, left: outer?.right ?? w.joinFirst, right: w.block()?.sources.length ?? 0 });
}

/** The join that the ON or USING at hand belongs to. */
function endJoin(w: Walker): PendingJoin | undefined {
  return w.joins.length > w.joinBase ? w.joins.pop() : undefined;
}

/** NATURAL compares all columns that two tables both have, without naming one. */
function naturalColumns(w: Walker, token: number) {
  w.statement.columns.push({
    name: "*",
    qualifier: undefined,
    table: undefined,
    clause: "on",
    block: w.blockIndex,
    start: w.start(token),
    end: w.endBefore(token + 1),
  });
}

/** Returns from ON to the table list: at a comma, a JOIN word or the end of USING. */
export function backToTables(w: Walker, token: number): void {
  if (w.depth <= w.timedDepth) w.timedTable = undefined;
  endCondition(w, token);
  w.clause = CLAUSE_FROM;
  w.mode = MODE_TABLES;
  w.isTableExpected = false;
}

/** Begins a table list at the next token. */
export function tablesAfter(w: Walker, token: number): void {
  w.clause = CLAUSE_FROM;
  w.mode = MODE_TABLES;
  w.isTableExpected = true;
  w.at = token + 1;
}
