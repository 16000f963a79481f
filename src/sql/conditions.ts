/** The shape of conditions: whether they depend on the row at all, and which comparisons hold for every row. */
import type { WhereShape } from "./facts.ts";
import * as K from "./keywords.ts";
import * as T from "./token-kinds.ts";
import { CLAUSE_HAVING, CLAUSE_ON, CLAUSE_WHERE } from "./tokens.ts";
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
import { COMPARISONS } from "./word-sets.ts";

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
  if (w.clause === CLAUSE_WHERE && block !== undefined) block.where = shapeOf(truth);
  if (w.clause !== CLAUSE_HAVING) confirmPending(w, frame);
  w.pending.length = frame.pendingStart;
}

function confirmPending(w: Walker, frame: Frame) {
  if (frame.hasOr) return;
  for (let i = frame.pendingStart; i < w.pending.length; i++) {
    const predicate = w.statement.predicates[w.pending[i] as number];
    if (predicate !== undefined) predicate.isConjunct = w.clause !== CLAUSE_ON || holdsInJoin(w, predicate);
  }
}

/** ON of an outer join limits only the side that the join can fill with NULL. */
function holdsInJoin(w: Walker, predicate: { readonly qualifier: string | undefined }): boolean {
  if (w.joinKind === "inner") return true;
  const block = w.block();
  const table = w.resolve(predicate.qualifier, w.blockIndex);
  if (block === undefined || table === undefined) return false;
  const isJoined = block.tables.indexOf(table) >= w.joinFirstTable;
  return isJoined === (w.joinKind === "left");
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

/** Literals alone: false only when plainly so. */
function constantTruth(w: Walker, from: number, to: number): number {
  if (to - from === 1) {
    const isZero = w.text.integer(from) === 0 || w.kind(from) === K.FALSE || w.kind(from) === K.NULL;
    return isZero ? TRUTH_FALSE : TRUTH_TRUE;
  }
  if (to - from !== 3 || COMPARISONS[w.kind(from + 1)] !== 1) return TRUTH_TRUE;
  const left = w.text.integer(from);
  const right = w.text.integer(from + 2);
  if (left === undefined || right === undefined) return TRUTH_TRUE;
  return compares(w.kind(from + 1), left, right) ? TRUTH_TRUE : TRUTH_FALSE;
}

function compares(operator: number, left: number, right: number): boolean {
  switch (operator) {
    case T.LESS:
      return left < right;
    case T.LESS_OR_EQUAL:
      return left <= right;
    case T.GREATER:
      return left > right;
    case T.GREATER_OR_EQUAL:
      return left >= right;
    case T.NOT_EQUAL:
      return left !== right;
    default:
      return left === right;
  }
}
