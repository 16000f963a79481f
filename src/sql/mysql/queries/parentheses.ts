/** Opening and closing of levels: what a parenthesis holds, and what its content means to the level outside. */

import type { FunctionCall } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import {
  CLAUSE_FROM,
  CLAUSE_INSERT_COLUMNS,
  CLAUSE_NAMES,
  CLAUSE_VALUES,
  ROLE_CALL_PAREN,
  ROLE_EXPRESSION_PAREN,
  ROLE_FUNCTION,
  ROLE_LIST_PAREN,
  ROLE_OTHER_PAREN,
  ROLE_ROW_PAREN,
  ROLE_SUBQUERY_PAREN,
  ROLE_TABLES_PAREN,
} from "../lexing/tokens.ts";
import { LITERALS, TERM_ENDS } from "../lexing/word-sets.ts";
import { upperAscii } from "../names/names.ts";
import { conditionTruth, endCondition } from "./conditions.ts";
import { closeCteQuery, openCteQuery } from "./ctes.ts";
import { endListPredicate } from "./predicates.ts";
import { endRow } from "./rows.ts";
import { sequenceCall } from "./system-time.ts";
import {
  DEPTH_MAX,
  Frame,
  MODE_COLUMNS,
  MODE_EXPRESSION,
  MODE_NAMES,
  MODE_QUERY,
  MODE_TABLES,
  resetCondition,
  resetFrame,
  TRUTH_PRESENT,
  type Walker,
} from "./walker.ts";

/** "(" at the walk's position. False when the text is too deep to go on. */
export function openLevel(w: Walker): boolean {
  const token = w.at;
  if (w.depth >= DEPTH_MAX) {
    w.fail("budget-exceeded", token);
    return false;
  }
  const outer = w.frame();
  const role = roleOf(w, token);
  w.depth++;
  let frame = w.frames[w.depth];
  if (frame === undefined) {
    frame = new Frame();
    w.frames.push(frame);
  }
  resetFrame(frame, token, role);
  frame.blockIndex = w.blockIndex;
  frame.clause = w.clause;
  frame.mode = w.mode;
  frame.isTableExpected = w.isTableExpected;
  frame.ctes = w.ctes.length;
  frame.joinBase = w.joinBase;
  frame.joinFirst = w.joinFirst;
  w.joinBase = w.joins.length;
  w.role(token, role);
  enterLevel(w, frame, outer, token);
  w.at = token + 1;
  return true;
}

function roleOf(w: Walker, token: number): number {
  switch (w.mode) {
    case MODE_TABLES:
      return w.isTableExpected ? ROLE_TABLES_PAREN : ROLE_OTHER_PAREN;
    case MODE_QUERY:
      return ROLE_SUBQUERY_PAREN;
    case MODE_NAMES:
    case MODE_COLUMNS:
      return ROLE_OTHER_PAREN;
    default:
      break;
  }
  const before = w.kind(token - 1);
  if (before === K.IN) return ROLE_LIST_PAREN;
  // The columns of JSON_TABLE, the aliases of INSERT … VALUES.
  if (before === K.COLUMNS) return ROLE_OTHER_PAREN;
  if (token > 0 && w.tokens.roles[token - 1] === ROLE_FUNCTION) return ROLE_CALL_PAREN;
  if (w.clause === CLAUSE_VALUES && w.depth === w.valuesDepth) return ROLE_ROW_PAREN;
  return ROLE_EXPRESSION_PAREN;
}

function enterLevel(w: Walker, frame: Frame, outer: Frame, token: number) {
  const role = frame.role;
  w.isOperandExpected = true;
  if (role === ROLE_TABLES_PAREN) {
    frame.queryRole = "derived-table";
    w.joinFirst = w.block()?.sources.length ?? 0;
    return;
  }
  if (role === ROLE_OTHER_PAREN) {
    if (w.mode !== MODE_COLUMNS) w.mode = MODE_NAMES;
    return;
  }
  if (role === ROLE_SUBQUERY_PAREN) {
    frame.queryRole = outer.hasQuery ? "union-branch" : outer.queryRole;
    openCteQuery(w, frame);
    return;
  }
  w.mode = MODE_EXPRESSION;
  frame.queryRole = "subquery";
  if (role === ROLE_CALL_PAREN) {
    if (w.isTableFunction) {
      frame.mode = MODE_TABLES;
      frame.source = w.lastSource;
    }
    w.isTableFunction = false;
    beginCall(w, frame, token);
  } else if (
    role === ROLE_EXPRESSION_PAREN &&
    outer.isCondition &&
    outer.caseDepth === 0 &&
    token === outer.termStart
  ) {
    resetCondition(frame, token + 1, w.pending.length);
    frame.isConditionLevel = true;
  }
}

function beginCall(w: Walker, frame: Frame, token: number) {
  const name = token - 1;
  const isQualified = w.kind(name - 1) === T.DOT;
  const firstLiteral = LITERALS[w.kind(token + 1)] === 1 ? literalText(w, token + 1) : undefined;
  const draft = {
    name: upperAscii(w.text.name(name)),
    schema: isQualified ? w.text.name(name - 2) : undefined,
    spelling: spellingOf(w, name),
    clause: CLAUSE_NAMES[w.clause] ?? "other",
    block: w.blockIndex,
    arguments: 0,
    hasSubquery: false,
    firstLiteral,
    start: w.start(isQualified ? name - 2 : name),
    end: w.endBefore(token + 1),
  };
  frame.function = draft;
  w.statement.functions.push(draft);
  if (!isQualified) sequenceCall(w, draft.name, token);
}

function spellingOf(w: Walker, name: number): FunctionCall["spelling"] {
  if (w.kind(name) === T.QUOTED_IDENTIFIER) return "quoted";
  return w.start(name + 1) > w.endBefore(name + 1) ? "spaced" : "plain";
}

function literalText(w: Walker, token: number): string | undefined {
  const after = w.kind(token + 1);
  if (after !== T.COMMA && after !== T.RIGHT_PAREN) return undefined;
  const kind = w.kind(token);
  return kind === T.STRING || kind === T.NATIONAL_STRING ? w.text.string(token) : w.text.raw(token);
}

/** ")" at the walk's position. */
export function closeLevel(w: Walker): void {
  const token = w.at;
  w.at = token + 1;
  if (w.depth === 0) {
    w.fail("unbalanced-parentheses", token);
    return;
  }
  const frame = w.frame();
  if (frame.role === ROLE_ROW_PAREN) endRow(w, frame, token);
  const truth = levelTruth(w, frame, token);
  const hasOr = frame.hasOr;
  const block = w.statement.blocks[w.blockIndex];
  if (frame.hasQuery && block !== undefined) block.end = w.endBefore(token);
  w.role(frame.open, frame.role);
  w.role(token, frame.role);
  w.depth--;
  w.blockIndex = frame.blockIndex;
  w.clause = frame.clause;
  w.mode = frame.mode;
  w.isTableExpected = false;
  w.isOperandExpected = false;
  w.ctes.length = frame.ctes;
  w.joins.length = w.joinBase;
  w.joinBase = frame.joinBase;
  w.joinFirst = frame.joinFirst;
  if (frame.role !== ROLE_OTHER_PAREN) {
    // ((SELECT …)) AS a: the outer parentheses hold nothing but the source.
    const isAround = frame.role === ROLE_TABLES_PAREN && w.kind(token - 1) === T.RIGHT_PAREN;
    w.lastSource = frame.source ?? (isAround ? w.lastSource : undefined);
    w.lastTable = undefined;
  }
  leaveLevel(w, frame, token);
  if (frame.isConditionLevel) mergeCondition(w, frame, truth, hasOr, token);
}

/** The truth of a level that is one term of a condition. Ends the condition of a query whose level closes. */
function levelTruth(w: Walker, frame: Frame, token: number): number {
  if (frame.hasQuery) {
    endCondition(w, token);
    return TRUTH_PRESENT;
  }
  return frame.isCondition ? conditionTruth(w, frame, token) : TRUTH_PRESENT;
}

function leaveLevel(w: Walker, frame: Frame, token: number) {
  const outer = w.frame();
  if (frame.function !== undefined) {
    frame.function.arguments = frame.isEmpty && !frame.hasSubquery ? 0 : frame.items;
    frame.function.hasSubquery = frame.hasSubquery;
    frame.function.end = w.endBefore(token + 1);
  }
  if (frame.hasQuery) leaveQuery(w, frame, outer);
  else outer.hasSubquery ||= frame.hasSubquery;
  if (frame.hasColumn) noteColumns(outer);
  outer.isEmpty = false;
  if (frame.role === ROLE_LIST_PAREN) {
    if (!frame.hasQuery) w.statement.inListMax = Math.max(w.statement.inListMax, frame.items);
    endListPredicate(w, outer, token);
  }
  // USING (a, b), PARTITION (p0) and index hints lead back to the table list.
  const isTableList = w.clause === CLAUSE_FROM && outer.role !== ROLE_OTHER_PAREN;
  if (isTableList && (w.mode === MODE_NAMES || w.mode === MODE_COLUMNS)) w.mode = MODE_TABLES;
  else if (w.clause === CLAUSE_INSERT_COLUMNS) w.mode = MODE_QUERY;
}

function leaveQuery(w: Walker, frame: Frame, outer: Frame) {
  outer.hasSubquery = true;
  w.queryDepth--;
  const isConstant = w.statement.blocks[frame.firstBlock]?.hasFrom === false;
  if (!isConstant) noteColumns(outer);
  if (closeCteQuery(w, frame)) return;
  if (w.mode === MODE_QUERY) {
    if (!outer.hasQuery && w.depth > 0) w.queryDepth++;
    noteWholeQuery(outer, frame);
  }
}

/** `(SELECT …)` as the first part of a query expression. */
function noteWholeQuery(outer: Frame, frame: Frame) {
  if (!outer.hasQuery) outer.firstBlock = frame.firstBlock;
  outer.hasQuery = true;
}

function noteColumns(frame: Frame) {
  frame.hasColumn = true;
  frame.termHasColumn = true;
}

/** A parenthesis that is a whole term passes its truth outward; otherwise what it holds is merely optional. */
function mergeCondition(w: Walker, frame: Frame, truth: number, hasOr: boolean, token: number) {
  const outer = w.frame();
  const isWholeTerm = TERM_ENDS[w.kind(token + 1)] === 1 && outer.isCondition && frame.open === outer.termStart;
  if (isWholeTerm && !frame.hasQuery) outer.truthTerm = truth;
  if (!isWholeTerm || hasOr || outer.isNegated || outer.betweens > 0) w.pending.length = frame.pendingStart;
}
