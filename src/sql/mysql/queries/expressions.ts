/** Tokens of expressions: columns, functions, variables, aliases. */

import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import {
  CLAUSE_NAMES,
  CLAUSE_ON_DUPLICATE,
  CLAUSE_RETURNING,
  CLAUSE_SELECT,
  CLAUSE_SET,
  CLAUSE_VALUES,
  ROLE_COLUMN,
  ROLE_DEFINITION,
  ROLE_FUNCTION,
  ROLE_LIST_PAREN,
  ROLE_NAME,
  ROLE_QUALIFIER,
  ROLE_ROW_PAREN,
  ROLE_VARIABLE,
} from "../lexing/tokens.ts";
import { AGGREGATES, BARE_FUNCTIONS, NOT_FUNCTIONS, OPERAND_ENDS, RESERVED_FUNCTIONS } from "../lexing/word-sets.ts";
import { beginCondition, logicWord } from "./conditions.ts";
import { readOperand } from "./operands.ts";
import { notePredicate } from "./predicates.ts";
import { noteRowItem } from "./rows.ts";
import { addSequence, aliasOfTimed } from "./system-time.ts";
import { MODE_NAMES, type Walker } from "./walker.ts";

/** A name directly after these is part of the syntax: WITH ROLLUP, IN NATURAL LANGUAGE MODE, {d '…'}, ROWS UNBOUNDED. */
const MAKES_SYNTAX = kindSet([T.LEFT_BRACE], "WITH NATURAL ROWS RANGE GROUPS USING");

const UNIT_FUNCTIONS: ReadonlySet<string> = new Set(["EXTRACT", "TIMESTAMPADD", "TIMESTAMPDIFF", "GET_FORMAT"]);

/** One token of an expression that is neither a parenthesis nor a clause word. Leaves `w.at` behind it. */
export function expressionToken(w: Walker, kind: number): void {
  const token = w.at;
  const frame = w.frame();
  const next = w.kind(token + 1);
  if (next === T.LEFT_PAREN && isFunctionWord(w, kind)) functionName(w, token, token);
  else if (w.names[kind] === 1) nameToken(w, token, kind);
  else otherToken(w, token, kind);
  frame.isEmpty = false;
}

function otherToken(w: Walker, token: number, kind: number) {
  switch (kind) {
    case K.AND:
    case K.OR:
    case K.XOR:
    case T.AND_AND:
    case T.OR_OR:
      logicWord(w, kind, token);
      w.isOperandExpected = true;
      w.at = token + 1;
      return;
    case K.NOT:
      noteNegation(w, token);
      w.isOperandExpected = true;
      w.at = token + 1;
      return;
    case K.CASE:
      w.frame().caseDepth++;
      break;
    case K.BETWEEN:
      if (w.frame().caseDepth === 0) w.frame().betweens++;
      break;
    case K.AS:
      aliasAfter(w, token);
      return;
    case T.AT:
      userVariable(w, token);
      return;
    case T.AT_AT:
      systemVariable(w, token);
      return;
    case T.STAR:
      star(w, token);
      return;
    case K.COLLATE:
      if (w.isName(token + 1) || w.kind(token + 1) === K.BINARY) w.role(token + 1, ROLE_NAME);
      w.at = token + 2;
      w.isOperandExpected = false;
      return;
    case T.COMMA:
      comma(w, token);
      return;
    case K.RETURNING:
      w.at = token + 1;
      castType(w);
      return;
    default:
      if (BARE_FUNCTIONS[kind] === 1) bareFunction(w, token);
      else w.isOperandExpected = OPERAND_ENDS[kind] !== 1;
      w.at = token + 1;
      return;
  }
  w.isOperandExpected = true;
  w.at = token + 1;
}

/** Whether a word directly before "(" calls a function here. */
function isFunctionWord(w: Walker, kind: number): boolean {
  // After an operand it is an operator (a MOD (b)), a join or an alias.
  if (!w.isOperandExpected) return false;
  if (RESERVED_FUNCTIONS[kind] === 1) return true;
  return w.names[kind] === 1 && NOT_FUNCTIONS[kind] !== 1;
}

function comma(w: Walker, token: number) {
  const frame = w.frame();
  if (frame.role === ROLE_ROW_PAREN) noteRowItem(w, frame, token);
  frame.items++;
  if (frame.role === ROLE_LIST_PAREN) frame.items += w.tokens.forgottenRows.get(token) ?? 0;
  w.isOperandExpected = true;
  w.at = token + 1;
  // CONVERT(x, type)
  if (frame.function?.name === "CONVERT" && frame.items === 2) castType(w);
}

function noteNegation(w: Walker, token: number) {
  const frame = w.frame();
  if (!frame.isCondition || token !== frame.termStart) return;
  frame.isNegated = !frame.isNegated;
  frame.termStart = token + 1;
}

/** A bare or quoted word where a name may stand. */
function nameToken(w: Walker, token: number, kind: number) {
  if (!w.isOperandExpected) {
    wordAfterOperand(w, token, kind);
    return;
  }
  if (isSequenceWord(w, token, kind) && w.kind(token + 1) === K.VALUE && w.kind(token + 2) === K.FOR) {
    nextValue(w, token);
    return;
  }
  const last = w.chainEnd(token);
  const after = w.kind(last + 1);
  if (after === T.LEFT_PAREN && NOT_FUNCTIONS[kind] !== 1) {
    functionName(w, token, last);
    return;
  }
  if (last === token && isSyntaxWord(w, token, kind, after)) {
    w.at = token + 1;
    return;
  }
  if (after === T.DOT && w.kind(last + 2) === T.STAR) {
    wildcard(w, token, last);
    return;
  }
  column(w, token, last);
}

/** NEXT or PREVIOUS, before VALUE FOR. */
function isSequenceWord(w: Walker, token: number, kind: number): boolean {
  return kind === K.NEXT || (w.rules.dialect === "mariadb" && w.text.isWord(token, "PREVIOUS"));
}

/** Words that are names elsewhere but syntax in this place. Decides what may follow them. */
function isSyntaxWord(w: Walker, token: number, kind: number, after: number): boolean {
  const before = w.kind(token - 1);
  if (MAKES_SYNTAX[before] === 1) {
    w.role(token, ROLE_NAME);
    w.isOperandExpected = before === T.LEFT_BRACE;
    return true;
  }
  switch (kind) {
    case K.DATE:
    case K.TIME:
    case K.TIMESTAMP:
      return after === T.STRING;
    case K.ANY:
    case K.SOME:
      return after === T.LEFT_PAREN;
    case K.BOOLEAN:
    case K.UNKNOWN:
      w.isOperandExpected = false;
      return before === K.IN || before === K.IS || before === K.NOT;
    case K.END:
      if (w.frame().caseDepth === 0) return false;
      w.frame().caseDepth--;
      w.isOperandExpected = false;
      return true;
    case K.SQL_NO_CACHE:
    case K.SQL_BUFFER_RESULT:
      return before === K.SELECT || w.kind(token - 2) === K.SELECT;
    case K.UNBOUNDED:
    case K.CURRENT:
      w.isOperandExpected = false;
      return after === K.PRECEDING || after === K.FOLLOWING || after === K.ROW;
    default:
      return isUnit(w);
  }
}

/** The first argument of EXTRACT and the like is a unit, not a column. */
function isUnit(w: Walker): boolean {
  const frame = w.frame();
  if (frame.function === undefined || frame.items !== 1 || !frame.isEmpty || !UNIT_FUNCTIONS.has(frame.function.name)) {
    return false;
  }
  w.isOperandExpected = false;
  return true;
}

/** A word after a complete operand: the end of CASE, an alias, a unit, or an operator spelled as a word. */
function wordAfterOperand(w: Walker, token: number, kind: number) {
  w.at = token + 1;
  if (kind === K.END && w.frame().caseDepth > 0) {
    w.frame().caseDepth--;
    return;
  }
  if (kind === K.ESCAPE || kind === K.MEMBER || kind === K.SOUNDS || kind === K.SEPARATOR || kind === K.OFFSET) {
    w.isOperandExpected = true;
    return;
  }
  w.role(token, w.clause === CLAUSE_SELECT ? ROLE_DEFINITION : ROLE_NAME);
  aliasOfTimed(w, token);
}

/** AS: an alias in a select list; a type in CAST; the definition of a window or a CTE. */
function aliasAfter(w: Walker, token: number) {
  w.at = token + 1;
  w.isOperandExpected = false;
  const frame = w.frame();
  if (frame.function !== undefined) {
    castType(w);
    return;
  }
  if (w.isName(token + 1) || w.kind(token + 1) === T.STRING) {
    w.role(token + 1, ROLE_DEFINITION);
    w.at = token + 2;
    aliasOfTimed(w, token + 1);
  }
  // INSERT … VALUES (…) AS new(a, b)
  if (w.clause === CLAUSE_VALUES) w.mode = MODE_NAMES;
}

/** The words of a type, up to the end of the call or its next argument. */
function castType(w: Walker): void {
  while (w.at < w.count) {
    const kind = w.kind(w.at);
    if (kind === T.RIGHT_PAREN || kind === T.COMMA || kind === T.SEMICOLON || kind === K.FORMAT) return;
    if (kind === T.LEFT_PAREN) {
      while (w.at < w.count && w.kind(w.at) !== T.RIGHT_PAREN) w.at++;
    } else if (w.names[kind] === 1) {
      w.role(w.at, ROLE_NAME);
    }
    w.at++;
  }
}

function userVariable(w: Walker, token: number) {
  w.role(token + 1, ROLE_VARIABLE);
  w.isOperandExpected = false;
  w.at = token + 2;
}

function systemVariable(w: Walker, token: number) {
  let last = token + 1;
  while (w.kind(last + 1) === T.DOT) last += 2;
  for (let i = token + 1; i <= last; i += 2) w.role(i, i === last ? ROLE_VARIABLE : ROLE_QUALIFIER);
  w.isOperandExpected = false;
  w.at = last + 1;
}

function star(w: Walker, token: number) {
  w.at = token + 1;
  if (!w.isOperandExpected) {
    w.isOperandExpected = true;
    return;
  }
  w.isOperandExpected = false;
  if (w.frame().function !== undefined) return;
  if (w.clause === CLAUSE_RETURNING) addWildcard(w, token, token, undefined);
  if (w.clause !== CLAUSE_SELECT) return;
  const block = w.block();
  if (block !== undefined) block.hasWildcard = true;
  addWildcard(w, token, token, undefined);
}

/** Notes that all columns are meant: of one table where it is named. */
export function addWildcard(w: Walker, first: number, last: number, qualifier: string | undefined): void {
  addColumn(w, first, last, "*", qualifier);
}

function wildcard(w: Walker, first: number, last: number) {
  for (let i = first; i <= last; i += 2) w.role(i, ROLE_QUALIFIER);
  const block = w.block();
  if (block !== undefined && w.clause === CLAUSE_SELECT && w.frame().function === undefined) block.hasWildcard = true;
  addWildcard(w, first, last + 2, w.text.name(last));
  w.frame().hasColumn = true;
  w.frame().termHasColumn = true;
  w.isOperandExpected = false;
  w.at = last + 3;
}

function column(w: Walker, first: number, last: number) {
  for (let i = first; i < last; i += 2) w.role(i, ROLE_QUALIFIER);
  w.role(last, ROLE_COLUMN);
  const frame = w.frame();
  frame.hasColumn = true;
  frame.termHasColumn = true;
  const qualifier = last > first ? w.text.name(last - 2) : undefined;
  const name = w.text.name(last);
  const added = addColumn(w, first, last, name, qualifier);
  w.isOperandExpected = false;
  w.at = last + 1;
  if (isAssignmentTarget(w, first, last)) noteAssignment(w, first, last, name, qualifier);
  else notePredicate(w, first, last, added);
}

/** Adds the reference and answers the table, as far as the FROM clause is known yet. */
function addColumn(w: Walker, first: number, last: number, name: string, qualifier: string | undefined) {
  const table = w.resolve(qualifier, w.blockIndex)?.table;
  w.statement.columns.push({
    name,
    qualifier,
    table,
    clause: CLAUSE_NAMES[w.clause] ?? "other",
    block: w.blockIndex,
    start: w.start(first),
    end: w.endBefore(last + 1),
  });
  return table;
}

function isAssignmentTarget(w: Walker, first: number, last: number): boolean {
  if (w.clause !== CLAUSE_SET && w.clause !== CLAUSE_ON_DUPLICATE) return false;
  const after = w.kind(last + 1);
  if ((after !== T.EQUAL && after !== T.ASSIGN) || w.frame().isCondition) return false;
  const before = w.kind(first - 1);
  return before === K.SET || before === T.COMMA || before === K.UPDATE;
}

function noteAssignment(w: Walker, first: number, last: number, column: string, qualifier: string | undefined) {
  const { operand, end } = readOperand(w, last + 2);
  w.statement.assignments.push({
    column,
    qualifier,
    clause: w.clause === CLAUSE_SET ? "set" : "on-duplicate",
    operand,
    start: w.start(first),
    end: w.endBefore(Math.max(end, last + 2)),
  });
  w.at = last + 2;
  w.isOperandExpected = true;
}

/** The name of a call; the parenthesis after it is the next token. */
function functionName(w: Walker, first: number, last: number) {
  for (let i = first; i < last; i += 2) w.role(i, ROLE_QUALIFIER);
  w.role(last, ROLE_FUNCTION);
  const kind = w.kind(last);
  if (AGGREGATES[kind] === 1) {
    const block = w.block();
    if (block !== undefined) block.hasAggregate = true;
  }
  w.isOperandExpected = true;
  w.at = last + 1;
}

function bareFunction(w: Walker, token: number) {
  w.role(token, ROLE_FUNCTION);
  w.isOperandExpected = false;
  if (w.kind(token + 1) === T.LEFT_PAREN) return;
  w.statement.functions.push({
    name: w.text.upper(token),
    schema: undefined,
    spelling: "plain",
    clause: CLAUSE_NAMES[w.clause] ?? "other",
    block: w.blockIndex,
    arguments: 0,
    hasSubquery: false,
    firstLiteral: undefined,
    start: w.start(token),
    end: w.endBefore(token + 1),
  });
}

/** MariaDB's NEXT or PREVIOUS VALUE FOR sequence, which is NEXTVAL(sequence) or LASTVAL(sequence). */
function nextValue(w: Walker, token: number) {
  const first = token + 3;
  const last = w.chainEnd(first);
  for (let i = token; i <= last; i++) w.role(i, ROLE_NAME);
  w.isOperandExpected = false;
  w.at = last + 1;
  const isNext = w.kind(token) === K.NEXT;
  addSequence(w, first, isNext ? "write" : "read");
  w.statement.functions.push({
    name: isNext ? "NEXTVAL" : "LASTVAL",
    schema: undefined,
    spelling: "plain",
    clause: CLAUSE_NAMES[w.clause] ?? "other",
    block: w.blockIndex,
    arguments: 1,
    hasSubquery: false,
    firstLiteral: undefined,
    start: w.start(token),
    end: w.endBefore(last + 1),
  });
}

/** Begins a condition at the next token. */
export function conditionAfter(w: Walker, token: number): void {
  w.at = token + 1;
  w.isOperandExpected = true;
  beginCondition(w, token + 1);
}
