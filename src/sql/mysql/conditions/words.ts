/** What each token kind means to the condition scan. */

import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import * as V from "./values.ts";

/** Kinds of words. A boundary ends an expression. */
export const WORD_NOTHING = 0;
export const WORD_OPERATOR = 1;
export const WORD_BOUNDARY = 2;
export const WORD_LITERAL = 3;
export const WORD_OPEN = 4;
const WORD_SESSION = 5;
export const WORD_MOMENT = 6;

/** By token kind: what kind of word it is. */
export const WORDS = new Uint8Array(2048);
/** By token kind: the operator it is, 255 for none. */
export const OPERATORS = new Uint8Array(2048).fill(255);
buildTables();

function buildTables(): void {
  const boundaries = [
    K.SELECT, K.FROM, K.WHERE, K.GROUP, K.ORDER, K.HAVING, K.LIMIT, K.OFFSET, K.UNION, K.EXCEPT, K.INTERSECT, K.INTO,
    K.SET, K.VALUES, K.VALUE, K.ON, K.USING, K.JOIN, K.BY, K.WINDOW, K.FOR, K.LOCK, K.PROCEDURE, K.RETURNING, K.WHEN,
    K.THEN, K.ELSE, K.DO, K.PARTITION, K.WITH, K.UPDATE, K.DELETE, K.INSERT, K.REPLACE, K.DUPLICATE, K.RETURN, K.WHILE,
    K.UNTIL, K.IF, K.ELSEIF, K.CALL, K.ASC, K.DESC, K.SEPARATOR, K.BEGIN,
  ]; // biome-ignore format: a table
  for (const kind of boundaries) WORDS[kind] = WORD_BOUNDARY;
  for (const kind of [K.NULL, K.UNKNOWN, K.TRUE, K.FALSE]) WORDS[kind] = WORD_LITERAL;
  for (const kind of [K.CURRENT_DATE, K.CURRENT_TIME, K.CURRENT_TIMESTAMP, K.LOCALTIME, K.LOCALTIMESTAMP]) {
    WORDS[kind] = WORD_MOMENT;
  }
  for (const kind of [K.UTC_DATE, K.UTC_TIME, K.UTC_TIMESTAMP]) WORDS[kind] = WORD_MOMENT;
  WORDS[K.DEFAULT] = WORD_OPEN;
  WORDS[K.CURRENT_USER] = WORD_SESSION;
  const operators: readonly (readonly [kind: number, operator: number])[] = [
    [K.OR, V.OP_OR],
    [T.OR_OR, V.OP_OR],
    [K.XOR, V.OP_XOR],
    [K.AND, V.OP_AND],
    [T.AND_AND, V.OP_AND],
    [K.NOT, V.OP_NOT],
    [K.IS, V.OP_IS],
    [K.LIKE, V.OP_LIKE],
    [K.SOUNDS, V.OP_PREFIX],
    [K.REGEXP, V.OP_REGEXP],
    [K.RLIKE, V.OP_REGEXP],
    [K.IN, V.OP_IN],
    [K.AGAINST, V.OP_IN],
    [K.MEMBER, V.OP_IN],
    [K.BETWEEN, V.OP_BETWEEN],
    [K.EXISTS, V.OP_EXISTS],
    [K.BINARY, V.OP_PREFIX],
    [K.DIV, V.OP_MULTIPLY],
    [K.MOD, V.OP_MULTIPLY],
    [T.STAR, V.OP_MULTIPLY],
    [T.SLASH, V.OP_MULTIPLY],
    [T.PERCENT, V.OP_MULTIPLY],
    [T.PLUS, V.OP_ADD],
    [T.MINUS, V.OP_ADD],
    [T.CARET, V.OP_BITS],
    [T.AMPERSAND, V.OP_BITS],
    [T.PIPE, V.OP_BITS],
    [T.SHIFT_LEFT, V.OP_BITS],
    [T.SHIFT_RIGHT, V.OP_BITS],
    [T.ASSIGN, V.OP_ASSIGN],
  ];
  for (const [kind, operator] of operators) OPERATORS[kind] = operator;
  for (let kind = T.EQUAL; kind <= T.GREATER_OR_EQUAL; kind++) OPERATORS[kind] = V.OP_COMPARE;
  for (let kind = 0; kind < OPERATORS.length; kind++) if (OPERATORS[kind] !== 255) WORDS[kind] = WORD_OPERATOR;
}
