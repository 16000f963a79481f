/** The walk over queries and expressions: one loop, one stack of levels, no recursion. */

import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import {
  CLAUSE_GROUP,
  CLAUSE_HAVING,
  CLAUSE_INSERT_COLUMNS,
  CLAUSE_INTO,
  CLAUSE_LIMIT,
  CLAUSE_ON,
  CLAUSE_ON_DUPLICATE,
  CLAUSE_ORDER,
  CLAUSE_OTHER,
  CLAUSE_RETURNING,
  CLAUSE_SELECT,
  CLAUSE_SET,
  CLAUSE_VALUES,
  CLAUSE_WHERE,
  CLAUSE_WINDOW,
  ROLE_COLUMN,
  ROLE_EXPRESSION_PAREN,
  ROLE_LIST_PAREN,
  ROLE_NAME,
  ROLE_SUBQUERY_PAREN,
  ROLE_TABLES_PAREN,
  ROLE_VARIABLE,
} from "../lexing/tokens.ts";
import { CLAUSE_WORDS, JOIN_WORDS, QUERY_STARTS, SET_OPERATORS } from "../lexing/word-sets.ts";
import { beginCondition, endCondition } from "./conditions.ts";
import { beginWith } from "./ctes.ts";
import { addWildcard, expressionToken } from "./expressions.ts";
import { closeLevel, openLevel } from "./parentheses.ts";
import type { BlockBuilder } from "./statement-builder.ts";
import { timeOfTable } from "./system-time.ts";
import { addTable, backToTables, joinWord, tablesAfter, tablesToken } from "./tables.ts";
import { MODE_COLUMNS, MODE_EXPRESSION, MODE_NAMES, MODE_QUERY, MODE_TABLES, type Walker } from "./walker.ts";

/** Walks on from `w.at` in the walk's mode, to a semicolon, a stop word or the end; that token is `w.at` then. */
export function walkQuery(w: Walker): void {
  const kinds = w.kinds;
  const clauses = w.tokens.clauses;
  while (w.at < w.count) {
    const kind = kinds[w.at] as number;
    clauses[w.at] = w.clause;
    if (kind === T.LEFT_PAREN) {
      if (!openLevel(w)) {
        toStatementEnd(w);
        return;
      }
    } else if (kind === T.RIGHT_PAREN) {
      closeLevel(w);
      if (w.isSingleLevel && w.depth === 0) return;
    } else if (kind === T.HINT_START) {
      skipHint(w);
    } else if (kind === T.SEMICOLON || isStop(w, kind)) {
      break;
    } else {
      plainToken(w, kind);
    }
  }
  endWalk(w);
}

/** The server leaves out what it does not understand of a hint, an open quote or parenthesis included. */
export function skipHint(w: Walker): void {
  while (w.at < w.count && w.kinds[w.at] !== T.HINT_END) w.at++;
  w.at++;
}

/** SAFETY: who calls walkQuery() until the statement is over must not be left where the walk gave up. */
function toStatementEnd(w: Walker) {
  while (w.at < w.count && w.kinds[w.at] !== T.SEMICOLON) w.at++;
}

function isStop(w: Walker, kind: number): boolean {
  return w.stops !== undefined && w.stops[kind] === 1 && w.depth === 0 && w.frame().caseDepth === 0;
}

function plainToken(w: Walker, kind: number) {
  if (kind >= K.KEYWORD_FIRST && isStructure(w, kind)) structureWord(w, kind);
  else modeToken(w, kind);
}

function endWalk(w: Walker) {
  if (w.depth > 0) w.fail("unbalanced-parentheses", w.frame().open);
  if (w.mode === MODE_TABLES && w.isTableExpected) w.fail("unfinished", w.at);
  while (w.depth > 0) {
    const at = w.at;
    closeLevel(w);
    w.at = at;
  }
  endCondition(w, w.at);
  const block = w.block();
  if (block !== undefined) block.end = w.endBefore(w.at);
}

/** Whether the word opens a clause or a query at this level, rather than being part of an expression or list. */
function isStructure(w: Walker, kind: number): boolean {
  if (QUERY_STARTS[kind] === 1) return !(kind === K.VALUES && w.isInsert && w.depth === 0) && isQueryStart(w, kind);
  if (SET_OPERATORS[kind] === 1) return true;
  if (CLAUSE_WORDS[kind] !== 1) return isTableWord(w, kind) || isOffsetClause(w, kind);
  return (w.frame().hasQuery || endsInnerQuery(w, kind)) && isClauseHere(w, kind);
}

/** ORDER BY, LIMIT or a lock after a query in parentheses: the level turns out to be a query expression. */
function endsInnerQuery(w: Walker, kind: number): boolean {
  if (!endsQuery(w, kind) || w.kind(w.at - 1) !== T.RIGHT_PAREN) return false;
  const frame = w.frame();
  const isPlain =
    frame.role === ROLE_TABLES_PAREN || frame.role === ROLE_EXPRESSION_PAREN || frame.role === ROLE_LIST_PAREN;
  const before = w.tokens.roles[w.at - 1];
  return isPlain && w.depth > 0 && (before === ROLE_SUBQUERY_PAREN || before === ROLE_TABLES_PAREN);
}

function endsQuery(w: Walker, kind: number): boolean {
  if (kind === K.ORDER || kind === K.LIMIT || kind === K.FETCH || kind === K.LOCK) return true;
  const next = w.kind(w.at + 1);
  return kind === K.FOR && (next === K.UPDATE || next === K.SHARE);
}

/** JOIN words, and commas handled elsewhere, lead from ON back to the tables. */
function isTableWord(w: Walker, kind: number): boolean {
  if (w.clause !== CLAUSE_ON || JOIN_WORDS[kind] !== 1 || w.mode !== MODE_EXPRESSION) return false;
  const next = w.kind(w.at + 1);
  return next !== T.LEFT_PAREN && w.frame().function === undefined && !w.isOperandExpected;
}

/** MariaDB: OFFSET n ROWS [FETCH …], with or without ORDER BY. The word is no name there, but one in MySQL. */
function isOffsetClause(w: Walker, kind: number): boolean {
  if (kind !== K.OFFSET || w.rules.dialect !== "mariadb" || w.clause === CLAUSE_LIMIT) return false;
  const unit = w.kind(w.at + 2);
  return unit === K.ROW || unit === K.ROWS;
}

function isQueryStart(w: Walker, kind: number): boolean {
  if (kind === K.SELECT) return true;
  const isFirst = w.mode === MODE_QUERY || (w.mode === MODE_TABLES && w.isTableExpected) || isFirstInLevel(w);
  if (!isFirst) return false;
  if (kind === K.WITH) return isCteStart(w);
  if (kind === K.TABLE) return w.isName(w.at + 1);
  // VALUES(column) is a function in ON DUPLICATE KEY UPDATE.
  if (w.kind(w.at + 1) === K.ROW) return true;
  return w.kind(w.at + 1) === T.LEFT_PAREN && w.rules.dialect === "mariadb" && w.clause !== CLAUSE_ON_DUPLICATE;
}

/** Not a view's WITH CHECK OPTION, not JSON_DUALITY_OBJECT(WITH …). */
function isCteStart(w: Walker): boolean {
  const next = w.kind(w.at + 1);
  if (next === K.CHECK || w.frame().function?.name === "JSON_DUALITY_OBJECT") return false;
  return !((next === K.LOCAL || next === K.CASCADED) && w.kind(w.at + 2) === K.CHECK);
}

function isFirstInLevel(w: Walker): boolean {
  const frame = w.frame();
  return w.mode === MODE_EXPRESSION && w.depth > 0 && frame.open === w.at - 1;
}

function isClauseHere(w: Walker, kind: number): boolean {
  switch (kind) {
    case K.ON:
      return w.kind(w.at + 1) === K.DUPLICATE;
    case K.RETURNING:
      return w.mode !== MODE_TABLES || w.rules.dialect === "mariadb";
    case K.SET:
      return w.depth === 0;
    case K.FOR: {
      const next = w.kind(w.at + 1);
      return w.mode !== MODE_NAMES || next === K.UPDATE || next === K.SHARE;
    }
    case K.FROM:
      return !isFromFirst(w);
    case K.WINDOW:
      return w.kind(w.at + 2) === K.AS && !(w.mode === MODE_TABLES && w.isTableExpected) && w.mode !== MODE_NAMES;
    case K.LIMIT:
    case K.LOCK:
    case K.WHERE:
      return true;
    default:
      return w.mode !== MODE_NAMES;
  }
}

/** NTH_VALUE(a, 2) FROM FIRST OVER … */
function isFromFirst(w: Walker): boolean {
  const next = w.kind(w.at + 1);
  if ((next !== K.FIRST && next !== K.LAST) || w.kind(w.at - 1) !== T.RIGHT_PAREN) return false;
  const after = w.kind(w.at + 2);
  return after === K.OVER || after === K.IGNORE || after === K.RESPECT;
}

function structureWord(w: Walker, kind: number) {
  const token = w.at;
  if (QUERY_STARTS[kind] === 1) queryStart(w, kind, token);
  else if (SET_OPERATORS[kind] === 1) setOperator(w, token);
  else if (JOIN_WORDS[kind] === 1) {
    backToTables(w, token);
    joinWord(w, kind, token);
  } else {
    if (!w.frame().hasQuery) {
      convertToQuery(w);
      w.frame().hasQuery = true;
    }
    clauseWord(w, kind, token);
  }
}

function modeToken(w: Walker, kind: number) {
  switch (w.mode) {
    case MODE_TABLES:
      tablesToken(w, kind);
      return;
    case MODE_NAMES:
    case MODE_COLUMNS:
      nameListToken(w, kind);
      return;
    case MODE_QUERY:
      queryToken(w, kind);
      return;
    default:
      if (kind === T.COMMA && w.clause === CLAUSE_ON && (w.frame().hasQuery || w.frame().role === ROLE_TABLES_PAREN)) {
        backToTables(w, w.at);
        tablesToken(w, kind);
      } else {
        expressionToken(w, kind);
      }
  }
}

function nameListToken(w: Walker, kind: number) {
  const token = w.at;
  w.at = token + 1;
  if (w.names[kind] !== 1) {
    if (kind === T.RIGHT_BRACE || kind === K.JOIN) return;
    return;
  }
  if (w.mode === MODE_COLUMNS) insertColumn(w, token);
  else w.role(token, ROLE_NAME);
}

function insertColumn(w: Walker, token: number) {
  const last = w.chainEnd(token);
  w.at = last + 1;
  w.role(last, ROLE_COLUMN);
  const name = w.text.name(last);
  if (w.clause === CLAUSE_INSERT_COLUMNS) w.insertColumns.push(name);
  w.statement.columns.push({
    name,
    qualifier: last > token ? w.text.name(last - 2) : undefined,
    table: w.clause === CLAUSE_INSERT_COLUMNS ? w.statement.tablesWritten[0]?.table : undefined,
    clause: w.clause === CLAUSE_INSERT_COLUMNS ? "insert-columns" : "on",
    block: w.blockIndex,
    start: w.start(token),
    end: w.endBefore(last + 1),
  });
}

/** A token where a query expression is expected or has just ended. */
function queryToken(w: Walker, kind: number) {
  const token = w.at;
  w.at = token + 1;
  if (w.isInsert && w.depth === 0 && (kind === K.VALUES || kind === K.VALUE || kind === K.SET)) {
    w.frame().hasQuery = true;
    w.hasRows = true;
    w.clause = kind === K.SET ? CLAUSE_SET : CLAUSE_VALUES;
    w.mode = MODE_EXPRESSION;
    w.isOperandExpected = true;
    w.valuesDepth = kind === K.SET ? -1 : 0;
    return;
  }
  if (kind === K.WITH) {
    w.mode = MODE_NAMES;
    return;
  }
  w.fail("unexpected-token", token);
}

function queryStart(w: Walker, kind: number, token: number) {
  convertToQuery(w);
  if (kind === K.WITH) {
    beginWith(w, token);
    return;
  }
  const frame = w.frame();
  endCondition(w, token);
  const role: BlockBuilder["role"] = frame.hasQuery ? "union-branch" : frame.queryRole;
  const block = w.beginBlock(token, role, frame.blockIndex);
  if (!frame.hasQuery) frame.firstBlock = w.blockIndex;
  frame.hasQuery = true;
  w.isOperandExpected = true;
  w.at = token + 1;
  if (kind === K.SELECT) {
    w.clause = CLAUSE_SELECT;
    w.mode = MODE_EXPRESSION;
  } else if (kind === K.TABLE) {
    const last = w.chainEnd(token + 1);
    block.hasFrom = true;
    block.hasWildcard = true;
    addTable(w, token + 1, last, "read");
    w.clause = CLAUSE_SELECT;
    addWildcard(w, token, token, undefined);
    w.at = last + 1;
    w.mode = MODE_QUERY;
  } else {
    w.clause = CLAUSE_VALUES;
    w.mode = MODE_EXPRESSION;
    w.valuesDepth = w.depth;
    w.insertColumns = [];
  }
}

/** A SELECT in a parenthesis makes that parenthesis a subquery. */
function convertToQuery(w: Walker) {
  const frame = w.frame();
  if (frame.hasQuery || w.depth === 0) return;
  if (frame.role === ROLE_LIST_PAREN || frame.role === ROLE_EXPRESSION_PAREN) {
    w.statement.subqueries++;
    frame.isCondition = false;
  }
  if (frame.role === ROLE_TABLES_PAREN) {
    const outer = w.statement.blocks[frame.blockIndex];
    frame.source = outer?.addSource(undefined);
  }
  if (frame.role !== ROLE_LIST_PAREN) frame.role = ROLE_SUBQUERY_PAREN;
  w.queryDepth++;
  w.statement.subqueryDepthMax = Math.max(w.statement.subqueryDepthMax, w.queryDepth);
}

function setOperator(w: Walker, token: number) {
  endCondition(w, token);
  convertToQuery(w);
  w.frame().hasQuery = true;
  const block = w.block();
  if (block !== undefined) block.end = w.endBefore(token);
  w.statement.unionBranches++;
  w.mode = MODE_QUERY;
  w.clause = CLAUSE_OTHER;
  w.at = token + 1;
  const next = w.kind(w.at);
  if (next === K.ALL || next === K.DISTINCT || next === K.DISTINCTROW) w.at++;
}

function clauseWord(w: Walker, kind: number, token: number) {
  endCondition(w, token);
  w.at = token + 1;
  w.isOperandExpected = true;
  const isList = w.mode === MODE_TABLES && w.isTableExpected;
  if (isList) w.fail("unfinished", token);
  switch (kind) {
    case K.FROM:
      return fromClause(w, token);
    case K.WHERE:
      return conditionClause(w, CLAUSE_WHERE, token);
    case K.HAVING:
    case K.QUALIFY:
      return conditionClause(w, CLAUSE_HAVING, token);
    case K.GROUP:
    case K.ORDER:
      return byClause(w, kind);
    case K.WINDOW:
      return expressionClause(w, CLAUSE_WINDOW);
    case K.LIMIT:
      return limitClause(w, token);
    case K.OFFSET:
      return offsetClause(w, token);
    case K.FETCH:
      return fetchClause(w, token);
    case K.FOR:
      return forClause(w, token);
    case K.LOCK:
      return lockClause(w);
    case K.INTO:
      return intoClause(w, token);
    case K.PROCEDURE:
      return expressionClause(w, CLAUSE_OTHER);
    case K.SET:
      return expressionClause(w, CLAUSE_SET);
    case K.RETURNING:
      w.statement.modify("returning");
      return expressionClause(w, CLAUSE_RETURNING);
    default:
      return onDuplicate(w, token);
  }
}

function expressionClause(w: Walker, clause: number) {
  w.clause = clause;
  w.mode = MODE_EXPRESSION;
}

function conditionClause(w: Walker, clause: number, token: number) {
  expressionClause(w, clause);
  beginCondition(w, token + 1);
}

function fromClause(w: Walker, token: number) {
  const block = w.block();
  if (block !== undefined) block.hasFrom = true;
  tablesAfter(w, token);
}

function byClause(w: Walker, kind: number) {
  expressionClause(w, kind === K.GROUP ? CLAUSE_GROUP : CLAUSE_ORDER);
  const block = w.block();
  if (kind === K.GROUP && block !== undefined) block.hasGroupBy = true;
  if (kind === K.ORDER && block !== undefined) block.isOrdered = true;
  if (w.kind(w.at) === K.BY) w.at++;
}

/** The block that ORDER BY, LIMIT and locks after a union belong to: all of it, so its first block. */
function wholeBlock(w: Walker): BlockBuilder | undefined {
  const first = w.statement.blocks[w.frame().firstBlock];
  return w.mode === MODE_QUERY && first !== undefined ? first : w.block();
}

function limitClause(w: Walker, token: number) {
  const block = wholeBlock(w);
  let rows = w.text.integer(token + 1);
  let offset: number | undefined = 0;
  let last = token + 1;
  const separator = w.kind(token + 2);
  if (separator === T.COMMA) {
    offset = rows;
    rows = w.text.integer(token + 3);
    last = token + 3;
  } else if (separator === K.OFFSET) {
    offset = w.text.integer(token + 3);
    last = token + 3;
  }
  if (block !== undefined) {
    block.limit = { rows, offset, start: w.start(token), end: w.endBefore(last + 1) };
    block.isRowPicked = rows === 1 && last > token + 1 && !block.isOrdered;
  }
  expressionClause(w, CLAUSE_LIMIT);
}

function offsetClause(w: Walker, token: number) {
  const block = wholeBlock(w);
  const offset = w.text.integer(token + 1);
  if (block !== undefined) {
    block.limit = { rows: undefined, offset, start: w.start(token), end: w.endBefore(token + 3) };
  }
  w.clause = CLAUSE_LIMIT;
  w.mode = MODE_NAMES;
  w.at = token + 3;
}

/** FETCH FIRST n ROWS ONLY, as MariaDB and the standard have it. */
function fetchClause(w: Walker, token: number) {
  const block = wholeBlock(w);
  const rows = w.text.integer(token + 2) ?? 1;
  if (block !== undefined)
    block.limit = { rows, offset: block.limit?.offset, start: w.start(token), end: w.endBefore(token + 3) };
  w.clause = CLAUSE_LIMIT;
  w.mode = MODE_NAMES;
}

function forClause(w: Walker, token: number) {
  const next = w.kind(token + 1);
  const block = w.block();
  if (next === K.UPDATE || next === K.SHARE) {
    if (block !== undefined) block.locking = next === K.UPDATE ? "update" : "share";
    w.statement.modify(next === K.UPDATE ? "for-update" : "for-share");
    w.at = token + 2;
    w.clause = CLAUSE_OTHER;
    w.mode = MODE_NAMES;
    return;
  }
  if (w.mode === MODE_TABLES) timeOfTable(w, token);
}

function lockClause(w: Walker) {
  const block = w.block();
  if (block !== undefined) block.locking = "share";
  w.statement.modify("for-share");
  w.clause = CLAUSE_OTHER;
  w.mode = MODE_NAMES;
}

/** SELECT … INTO: a file, an object store or variables. */
function intoClause(w: Walker, token: number) {
  const next = w.kind(token + 1);
  w.clause = CLAUSE_INTO;
  if (next === K.OUTFILE || next === K.DUMPFILE) {
    outfile(w, token, next);
    return;
  }
  w.statement.modify("into-variable");
  w.mode = MODE_EXPRESSION;
  for (;;) {
    if (w.kind(w.at) === T.AT) {
      w.role(w.at + 1, ROLE_VARIABLE);
      assignVariable(w, w.at);
      w.at += 2;
    } else if (w.isName(w.at)) {
      w.role(w.at, ROLE_VARIABLE);
      w.at = w.chainEnd(w.at) + 1;
    } else return;
    if (w.kind(w.at) !== T.COMMA) break;
    w.at++;
  }
  w.isOperandExpected = false;
}

function assignVariable(w: Walker, token: number) {
  w.statement.variables.push({
    scope: "user",
    name: w.text.name(token + 1),
    value: { type: "expression", text: undefined },
    start: w.start(token),
    end: w.endBefore(token + 2),
  });
}

function outfile(w: Walker, token: number, kind: number) {
  let path = token + 2;
  const isS3 = w.text.isWord(path, "S3");
  if (isS3) path++;
  const target = w.kind(path) === T.STRING ? w.text.string(path) : undefined;
  if (isS3) w.reach("s3-write", token, path, target);
  else w.reach(kind === K.OUTFILE ? "outfile" : "dumpfile", token, path, target);
  w.find(isS3 ? "into-s3" : "into-outfile", token, path);
  w.at = path + 1;
  w.mode = MODE_NAMES;
}

function onDuplicate(w: Walker, token: number) {
  if (w.kind(token + 1) !== K.DUPLICATE) return;
  w.statement.modify("on-duplicate-key-update");
  w.at = token + 3;
  expressionClause(w, CLAUSE_ON_DUPLICATE);
  if (w.kind(w.at) === K.UPDATE) w.at++;
}
