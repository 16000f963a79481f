/** The shape of conditions: whether they depend on the row at all, and which comparisons hold for every row. */
import type { WhereShape } from "../../facts.ts";
import { isNeverTrue } from "../conditions/constant-values.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_HAVING, CLAUSE_ON, CLAUSE_WHERE } from "../lexing/tokens.ts";
import {
  type Frame,
  resetCondition,
  TRUTH_FALSE,
  TRUTH_NONE,
  TRUTH_PRESENT,
  TRUTH_SELF,
  TRUTH_TRUE,
  type Walker,
} from "./walker.ts";

/** Begins WHERE, ON or HAVING at the walk's level; the next token is the condition's first. */
export function beginCondition(w: Walker, firstToken: number): void {
  const frame = w.frame();
  resetCondition(frame, firstToken, w.pending.length);
  frame.caseDepth = 0;
  frame.betweens = 0;
}

/** Ends the condition of the level, if there is one, at token `end`: notes the shape and what holds for every row. */
export function endCondition(w: Walker, end: number): void {
  const frame = w.frame();
  if (!frame.isCondition) return;
  frame.isCondition = false;
  const truth = conditionTruth(w, frame, end);
  const block = w.block();
  if (w.clause === CLAUSE_WHERE && block !== undefined) {
    const isImpossible =
      isNeverTrue(w.tokens, frame.conditionStart, end) === true ||
      (truth === TRUTH_FALSE && neverHolds(w, frame.conditionStart, end, 0));
    block.where = isImpossible ? "never" : shapeOf(truth);
  }
  if (w.clause !== CLAUSE_HAVING) confirmPending(w, frame);
  w.pending.length = frame.pendingStart;
}

function confirmPending(w: Walker, frame: Frame) {
  if (frame.hasOr) return;
  const count = w.block()?.sources.length ?? 0;
  const { join } = frame;
  const isOn = w.clause === CLAUSE_ON;
  // What stands behind FOR SYSTEM_TIME is no condition of a join.
  if (isOn && join === undefined) return;
  const scopeFrom = join?.left ?? 0;
  // ON of an outer join limits only the side that the join can fill with NULL.
  const heldFrom = join?.kind === "left" ? join.right : scopeFrom;
  const heldTo = join?.kind === "right" ? join.right : count;
  for (let i = frame.pendingStart; i < w.pending.length; i++) {
    const index = w.pending[i] as number;
    const predicate = w.statement.predicates[index];
    if (predicate === undefined) continue;
    predicate.isConjunct = join === undefined || join.kind === "inner";
    w.statement.held.push({ predicate: index, scopeFrom, scopeTo: count, heldFrom, heldTo });
  }
}

function shapeOf(truth: number): WhereShape {
  if (truth === TRUTH_PRESENT) return "present";
  if (truth === TRUTH_SELF) return "self-comparison";
  return truth === TRUTH_NONE ? "absent" : "constant";
}

/** The truth of all terms of the level up to token `end`. */
export function conditionTruth(w: Walker, frame: Frame, end: number): number {
  const term = termTruth(w, frame, end);
  return either(frame.truthOr, both(frame.truthAnd, term));
}

/** AND, OR or XOR at the level: closes the term before it. */
export function logicWord(w: Walker, kind: number, token: number): void {
  const frame = w.frame();
  if (frame.caseDepth > 0) return;
  if ((kind === K.AND || kind === T.AND_AND) && frame.betweens > 0) {
    frame.betweens--;
    return;
  }
  if (!frame.isCondition) return;
  const term = termTruth(w, frame, token);
  if (kind === K.AND || kind === T.AND_AND) {
    frame.truthAnd = both(frame.truthAnd, term);
  } else if (kind === K.XOR) {
    frame.hasOr = true;
    const joined = both(frame.truthAnd, term);
    frame.truthAnd = joined === TRUTH_PRESENT ? TRUTH_PRESENT : TRUTH_TRUE;
  } else {
    frame.hasOr = true;
    frame.truthOr = either(frame.truthOr, both(frame.truthAnd, term));
    frame.truthAnd = TRUTH_NONE;
  }
  frame.truthTerm = TRUTH_NONE;
  frame.isNegated = false;
  frame.termStart = token + 1;
  frame.termHasColumn = false;
  frame.termIsSelf = false;
}

function both(a: number, b: number): number {
  if (a === TRUTH_NONE) return b;
  if (b === TRUTH_NONE) return a;
  if (a === TRUTH_FALSE || b === TRUTH_FALSE) return TRUTH_FALSE;
  if (a === TRUTH_TRUE) return b;
  if (b === TRUTH_TRUE) return a;
  return a === TRUTH_PRESENT || b === TRUTH_PRESENT ? TRUTH_PRESENT : TRUTH_SELF;
}

function either(a: number, b: number): number {
  if (a === TRUTH_NONE || a === TRUTH_FALSE) return b === TRUTH_NONE ? a : b;
  if (b === TRUTH_NONE || b === TRUTH_FALSE) return a;
  if (a === TRUTH_TRUE || b === TRUTH_TRUE) return TRUTH_TRUE;
  return a === TRUTH_SELF || b === TRUTH_SELF ? TRUTH_SELF : TRUTH_PRESENT;
}

function termTruth(w: Walker, frame: Frame, end: number): number {
  if (end <= frame.termStart) return TRUTH_NONE;
  let truth: number;
  if (frame.truthTerm !== TRUTH_NONE) truth = frame.truthTerm;
  else if (frame.termIsSelf) truth = TRUTH_SELF;
  else if (frame.termHasColumn) truth = TRUTH_PRESENT;
  else truth = constantTruth(w, frame.termStart, end);
  if (!frame.isNegated) return truth;
  if (truth === TRUTH_FALSE) return TRUTH_TRUE;
  // What is true only as far as we compute stays true: NOT must not turn a constant into a harmless one.
  return truth;
}

/** Literals alone: false only for certain. */
export function constantTruth(w: Walker, from: number, to: number): number {
  return isNeverTrue(w.tokens, from, to) === true ? TRUTH_FALSE : TRUTH_TRUE;
}

/** Deeper than ORMs write. */
const IMPOSSIBLE_NESTING_MAX = 8;

/** What AND and OR at the same level may be a part of, or bind less than. */
const UNCLEAR: ReadonlySet<number> = new Set([
  K.SELECT,
  K.WITH,
  K.VALUES,
  K.TABLE,
  K.XOR,
  K.BETWEEN,
  K.CASE,
  K.END,
  T.OR_OR,
  T.ASSIGN,
  T.COMMA,
]);

/**
 * SAFETY: true only where the condition is false or NULL for certain, in every sql_mode: in each alternative between ORs one
 * of the terms between ANDs is made of literals and comes to false or NULL, or is parentheses around such a condition. The
 * truths above take for false what only looks so.
 */
function neverHolds(w: Walker, from: number, to: number, nesting: number): boolean {
  let depth = 0;
  let termStart = from;
  let isImpossible = false;
  for (let at = from; at <= to; at++) {
    const kind = at === to ? K.OR : w.kind(at);
    if (kind === T.LEFT_PAREN) depth++;
    else if (kind === T.RIGHT_PAREN) depth--;
    if (depth > 0) continue;
    if (UNCLEAR.has(kind)) return false;
    if (kind !== K.AND && kind !== T.AND_AND && kind !== K.OR) continue;
    isImpossible ||= isImpossibleTerm(w, termStart, at, nesting);
    termStart = at + 1;
    if (kind !== K.OR) continue;
    if (!isImpossible) return false;
    isImpossible = false;
  }
  return true;
}

function isImpossibleTerm(w: Walker, from: number, to: number, nesting: number): boolean {
  if (constantTruth(w, from, to) === TRUTH_FALSE) return true;
  if (w.kind(from) !== T.LEFT_PAREN || nesting === IMPOSSIBLE_NESTING_MAX) return false;
  let depth = 0;
  for (let at = from; at < to; at++) {
    if (w.kind(at) === T.LEFT_PAREN) depth++;
    else if (w.kind(at) === T.RIGHT_PAREN && --depth === 0) {
      return at === to - 1 && neverHolds(w, from + 1, at, nesting + 1);
    }
  }
  return false;
}
