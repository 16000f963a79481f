/** Comparisons of a column with something, as the walk meets the column. */

import type { Operand, Predicate, PredicateOperator } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { CLAUSE_HAVING, CLAUSE_ON, CLAUSE_WHERE } from "../lexing/tokens.ts";
import { COMPARISONS, TERM_ENDS } from "../lexing/word-sets.ts";
import { mayBeSameName } from "../names/names.ts";
import { readOperand } from "./operands.ts";
import type { Frame, Walker } from "./walker.ts";

const OPERATOR_NAMES: ReadonlyMap<number, PredicateOperator> = new Map([
  [T.EQUAL, "="],
  [T.NULL_SAFE_EQUAL, "<=>"],
  [T.NOT_EQUAL, "<>"],
  [T.LESS, "<"],
  [T.LESS_OR_EQUAL, "<="],
  [T.GREATER, ">"],
  [T.GREATER_OR_EQUAL, ">="],
]);

const FLIPPED: ReadonlyMap<PredicateOperator, PredicateOperator> = new Map([
  ["<", ">"],
  ["<=", ">="],
  [">", "<"],
  [">=", "<="],
]);

const LIST: Operand = { type: "list", text: undefined };
const EXPRESSION: Operand = { type: "expression", text: undefined };
const NULL_OPERAND: Operand = { type: "null", text: undefined };

interface Found {
  readonly operator: PredicateOperator;
  readonly operand: Operand;
  readonly end: number;
}

/** Notes what the column at [first, last] is compared with, if anything. `table` is its table where known. */
export function notePredicate(w: Walker, first: number, last: number, table: string | undefined): void {
  if (w.clause !== CLAUSE_WHERE && w.clause !== CLAUSE_ON && w.clause !== CLAUSE_HAVING) return;
  const frame = w.frame();
  const isTermStart = frame.isCondition && frame.caseDepth === 0 && first === frame.termStart;
  const found = comparisonAfter(w, last + 1);
  if (found === undefined) {
    noteReversed(w, first, last, table);
    return;
  }
  const isWhole = found.operand.type !== "expression" && TERM_ENDS[w.kind(found.end)] === 1;
  const index = addPredicate(w, first, last, found, table);
  if (found.operand.type === "list") {
    frame.listPredicate = index;
    frame.listStartsTerm = isTermStart;
    return;
  }
  if (!isTermStart || !isWhole || frame.betweens > 0) return;
  if (isSelfComparison(w, first, last, found)) frame.termIsSelf = true;
  else if (!isNegatedAt(w, frame, first)) w.pending.push(index);
}

/** SAFETY: two NOTs cancel out only where NOT binds less than `=`, which sql_mode HIGH_NOT_PRECEDENCE changes. */
function isNegatedAt(w: Walker, frame: Frame, first: number): boolean {
  return frame.isNegated || w.kind(first - 1) === K.NOT;
}

/** `column IN (…)` ends at the closing parenthesis: only then is it known whether it fills its term. */
export function endListPredicate(w: Walker, frame: Frame, closing: number): void {
  const index = frame.listPredicate;
  frame.listPredicate = -1;
  if (index < 0) return;
  const predicate = w.statement.predicates[index];
  if (predicate !== undefined) predicate.end = w.endBefore(closing + 1);
  const isWhole = TERM_ENDS[w.kind(closing + 1)] === 1;
  if (frame.listStartsTerm && isWhole && !frame.isNegated && predicate?.operator === "in") w.pending.push(index);
}

function comparisonAfter(w: Walker, token: number): Found | undefined {
  const kind = w.kind(token);
  if (COMPARISONS[kind] === 1) {
    const { operand, end } = readOperand(w, token + 1);
    return { operator: OPERATOR_NAMES.get(kind) ?? "=", operand, end };
  }
  if (kind === K.NOT) return wordComparison(w, token + 1, true);
  return wordComparison(w, token, false);
}

function wordComparison(w: Walker, token: number, isNegated: boolean): Found | undefined {
  switch (w.kind(token)) {
    case K.LIKE: {
      const { operand, end } = readOperand(w, token + 1);
      return { operator: isNegated ? "not-like" : "like", operand, end };
    }
    case K.REGEXP:
    case K.RLIKE: {
      const { operand, end } = readOperand(w, token + 1);
      return { operator: "regexp", operand, end };
    }
    case K.IN:
      return { operator: isNegated ? "not-in" : "in", operand: LIST, end: token + 1 };
    case K.BETWEEN:
      return { operator: "between", operand: EXPRESSION, end: token + 1 };
    case K.IS:
      return isComparison(w, token);
    default:
      return undefined;
  }
}

function isComparison(w: Walker, token: number): Found {
  const isNegated = w.kind(token + 1) === K.NOT;
  const at = isNegated ? token + 2 : token + 1;
  if (w.kind(at) !== K.NULL) return { operator: "is", operand: EXPRESSION, end: at + 1 };
  return { operator: isNegated ? "is-not-null" : "is-null", operand: NULL_OPERAND, end: at + 1 };
}

/** `5 = column`. */
function noteReversed(w: Walker, first: number, last: number, table: string | undefined) {
  const operator = OPERATOR_NAMES.get(w.kind(first - 1));
  if (operator === undefined || TERM_ENDS[w.kind(last + 1)] !== 1) return;
  const frame = w.frame();
  const at = frame.isCondition ? frame.termStart : first - 2;
  if (at > first - 2 || first - at > 4) return;
  const { operand, end } = readReversedOperand(w, at);
  if (end !== first - 1 || operand.type === "column") return;
  const index = addPredicate(
    w,
    first,
    last,
    { operator: FLIPPED.get(operator) ?? operator, operand, end: last + 1 },
    table,
  );
  if (frame.isCondition && frame.caseDepth === 0 && frame.betweens === 0 && !isNegatedAt(w, frame, at))
    w.pending.push(index);
}

function readReversedOperand(w: Walker, token: number): { operand: Operand; end: number } {
  // The operand is followed by an operator, so that it never "fills its term": ask for its parts instead.
  const kind = w.kind(token);
  if (kind === T.AT) return { operand: { type: "variable", text: w.text.name(token + 1) }, end: token + 2 };
  if (kind === T.PARAMETER) {
    return { operand: { type: "parameter", text: String(w.parameterOrdinal(token)) }, end: token + 1 };
  }
  if (kind === T.STRING) return { operand: { type: "string", text: w.text.string(token) }, end: token + 1 };
  if (kind === T.INTEGER_NUMBER || kind === T.DECIMAL_NUMBER) {
    return { operand: { type: "number", text: w.text.raw(token) }, end: token + 1 };
  }
  return { operand: EXPRESSION, end: token };
}

function addPredicate(w: Walker, first: number, last: number, found: Found, table: string | undefined): number {
  let clause: Predicate["clause"] = "where";
  if (w.clause === CLAUSE_ON) clause = "on";
  else if (w.clause === CLAUSE_HAVING) clause = "having";
  w.statement.predicates.push({
    column: w.text.name(last),
    qualifier: last > first ? w.text.name(last - 2) : undefined,
    schema: last > first + 2 ? w.text.name(last - 4) : undefined,
    table,
    operator: found.operator,
    operand: found.operand,
    clause,
    block: w.blockIndex,
    isConjunct: false,
    ofColumn: undefined,
    ofOperand: undefined,
    start: w.start(first),
    end: w.endBefore(Math.max(found.end, last + 1)),
  });
  return w.statement.predicates.length - 1;
}

function isSelfComparison(w: Walker, first: number, last: number, found: Found): boolean {
  if (found.operator === "like" && found.operand.type === "string") return isOnlyPercent(found.operand.text ?? "");
  if (found.operand.type !== "column") return false;
  const name = w.text.name(last);
  const text = last > first ? `${w.text.name(last - 2)}.${name}` : name;
  return mayBeSameName(text, found.operand.text ?? "");
}

function isOnlyPercent(text: string): boolean {
  for (const c of text) if (c !== "%") return false;
  return text !== "";
}
