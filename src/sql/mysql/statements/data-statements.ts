/** Statements that read and write rows. */

import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_FROM, CLAUSE_INSERT_COLUMNS, ROLE_NAME, ROLE_TABLE } from "../lexing/tokens.ts";
import { skipHint, walkQuery } from "../queries/query.ts";
import { isHistory } from "../queries/system-time.ts";
import { addTable } from "../queries/tables.ts";
import { MODE_COLUMNS, MODE_QUERY, MODE_TABLES, type Walker } from "../queries/walker.ts";
import { finishQuery } from "./finish.ts";
import { leadsToQuery } from "./reading-on.ts";

/** SELECT, WITH, TABLE, VALUES or a parenthesis at the walk's position. */
export function selectStatement(w: Walker): void {
  const kind = w.kind(w.at);
  w.statement.kind = "select";
  if (kind === K.TABLE) w.statement.kind = "table";
  else if (kind === K.VALUES) w.statement.kind = "values";
  w.mode = MODE_QUERY;
  walkWith(w);
}

/** Walks a query; after WITH it may turn out to be an UPDATE, DELETE, INSERT or REPLACE. */
function walkWith(w: Walker) {
  w.stops = WITH_STOPS;
  walkQuery(w);
  w.stops = undefined;
  const kind = w.kind(w.at);
  if (w.at < w.count && WITH_STOPS[kind] === 1 && kind !== 0) {
    if (w.statement.blocks.every((block) => block.role !== "main")) {
      dataStatement(w, kind);
      return;
    }
    w.fail("unexpected-token", w.at);
    walkQuery(w);
  }
  finishQuery(w);
}

const WITH_STOPS = new Uint8Array(1024);
for (const kind of [K.UPDATE, K.DELETE]) WITH_STOPS[kind] = 1;

/** INSERT, REPLACE, UPDATE or DELETE at the walk's position. */
export function dataStatement(w: Walker, kind: number): void {
  if (kind === K.UPDATE) updateStatement(w);
  else if (kind === K.DELETE) deleteStatement(w);
  else insertStatement(w, kind);
}

function skipModifiers(w: Walker) {
  for (;;) {
    switch (w.kind(w.at)) {
      case K.LOW_PRIORITY:
        w.statement.modify("low-priority");
        break;
      case K.IGNORE:
        w.statement.modify("ignore");
        break;
      case K.QUICK:
        w.statement.modify("quick");
        break;
      case K.HIGH_PRIORITY:
      case K.DELAYED:
        break;
      case T.HINT_START:
        skipHint(w);
        continue;
      default:
        return;
    }
    w.at++;
  }
}

function insertStatement(w: Walker, kind: number) {
  const { statement } = w;
  statement.kind = kind === K.INSERT ? "insert" : "replace";
  w.at++;
  skipModifiers(w);
  if (w.kind(w.at) === K.INTO) w.at++;
  w.beginBlock(w.at, "main", -1);
  w.frame().blockIndex = 0;
  if (!targetTable(w)) return;
  w.isInsert = true;
  if (w.kind(w.at) === K.PARTITION) {
    skipParenthesis(w, w.at + 1);
  }
  w.frame().queryRole = "subquery";
  if (w.kind(w.at) === T.LEFT_PAREN && !leadsToQuery(w, w.at)) {
    w.clause = CLAUSE_INSERT_COLUMNS;
    w.mode = MODE_COLUMNS;
  } else {
    w.mode = MODE_QUERY;
  }
  walkQuery(w);
  if (!w.hasRows) statement.kind = kind === K.INSERT ? "insert-select" : "replace-select";
  finishQuery(w);
}

/** The table that a statement writes, at the walk's position. */
function targetTable(w: Walker): boolean {
  if (w.kind(w.at) === T.DOT) w.at++;
  if (!w.isName(w.at)) {
    w.fail("unexpected-token", w.at);
    walkQuery(w);
    return false;
  }
  const last = w.chainEnd(w.at);
  addTable(w, w.at, last, "write");
  w.at = last + 1;
  return true;
}

/** Names in a parenthesis at `token`, if there is one; leaves the walk behind it. */
function skipParenthesis(w: Walker, token: number): void {
  w.at = token;
  if (w.kind(token) !== T.LEFT_PAREN) return;
  let depth = 0;
  while (w.at < w.count) {
    const kind = w.kind(w.at);
    if (kind === T.LEFT_PAREN) depth++;
    else if (kind === T.RIGHT_PAREN) depth--;
    else if (w.names[kind] === 1) w.role(w.at, ROLE_NAME);
    w.at++;
    if (depth === 0) return;
  }
}

function updateStatement(w: Walker) {
  w.statement.kind = "update";
  const start = w.at;
  w.at++;
  skipModifiers(w);
  const block = w.beginBlock(start, "main", -1);
  block.hasFrom = true;
  w.frame().hasQuery = true;
  w.frame().firstBlock = w.blockIndex;
  w.clause = CLAUSE_FROM;
  w.mode = MODE_TABLES;
  w.isTableExpected = true;
  walkQuery(w);
  finishQuery(w);
}

function deleteStatement(w: Walker) {
  w.statement.kind = "delete";
  const start = w.at;
  w.at++;
  skipModifiers(w);
  const block = w.beginBlock(start, "main", -1);
  block.hasFrom = true;
  w.frame().hasQuery = true;
  w.frame().firstBlock = w.blockIndex;
  if (isHistory(w, w.at)) w.at++;
  if (w.kind(w.at) === K.FROM) deleteFrom(w);
  else deleteList(w);
  w.clause = CLAUSE_FROM;
  walkQuery(w);
  finishQuery(w);
}

/** DELETE FROM t …, or DELETE FROM t1, t2 USING tables. */
function deleteFrom(w: Walker) {
  w.at++;
  const targets = readTargets(w, w.at);
  w.mode = MODE_TABLES;
  w.isTableExpected = true;
  if (w.kind(targets.end) !== K.USING) return;
  w.statement.kind = "delete-multi";
  for (const name of targets.names) w.deleteTargets.push(name);
  w.at = targets.end + 1;
}

/** DELETE t1, t2 FROM tables. */
function deleteList(w: Walker) {
  w.statement.kind = "delete-multi";
  const targets = readTargets(w, w.at);
  for (const name of targets.names) w.deleteTargets.push(name);
  w.at = targets.end;
  if (w.kind(w.at) !== K.FROM) w.fail("unexpected-token", w.at);
  w.at++;
  w.mode = MODE_TABLES;
  w.isTableExpected = true;
}

interface Targets {
  readonly names: { readonly first: number; readonly last: number }[];
  readonly end: number;
}

function readTargets(w: Walker, token: number): Targets {
  const names: { first: number; last: number }[] = [];
  let at = token;
  while (w.isName(at)) {
    const last = w.chainEnd(at);
    names.push({ first: at, last });
    w.role(last, ROLE_TABLE);
    at = last + 1;
    if (w.kind(at) === T.DOT && w.kind(at + 1) === T.STAR) at += 2;
    if (w.kind(at) !== T.COMMA) break;
    at++;
  }
  return { names, end: at };
}
