/** What the condition scan knows about a value or a part of an expression: bits, and how operators combine them. */

/** The same for every row. */
export const IS_CONSTANT = 1;
/** One literal token, with a sign or parentheses at most. */
export const IS_LITERAL = 2;
export const IS_STRING = 4;
export const IS_NUMBER = 8;
export const IS_NULL = 16;
export const HAS_COLUMN = 32;
export const IS_COLUMN = 64;
export const HAS_SUBQUERY = 128;
export const IS_SUBQUERY = 256;
export const HAS_SESSION = 512;
export const IS_COMPARISON = 1024;
/** LIKE, IN, BETWEEN, IS, REGEXP, EXISTS. */
export const IS_PREDICATE = 2048;
export const IS_AND = 4096;
export const IS_OR = 8192;
export const IS_FUNCTION = 0x4000;
export const IS_ARITHMETIC = 0x8000;
export const IS_PARENTHESISED = 0x10000;
/** True for every row that is not NULL: x = x. */
export const IS_SELF = 0x20000;
/** LIKE '%'. */
export const IS_ANYTHING = 0x40000;
export const HAS_HEX = 0x80000;
/** Anything that has no constness of its own: parameters, variables, intervals. */
export const HAS_OPEN = 0x100000;
/** TRUE, FALSE. */
export const IS_TRUTH = 0x200000;
/** RAND() with a seed, a bit inversion or a condition that is calculated with: parts of error tricks. */
export const HAS_SEEDED_RAND = 0x400000;
export const HAS_INVERSION = 0x800000;
/** Two equal literals compared: 1=1. */
export const IS_TRUE_COMPARISON = 0x1000000;
export const IS_INTERVAL = 0x2000000;
export const IS_HEX = 0x4000000;
/** An IN list, or a row of values. */
export const IS_LIST = 0x8000000;
/** CHAR(…) as a marker in CONCAT. */
export const IS_CHAR_CALL = 0x10000000;
/** A subquery that compares none of its columns with another column: nothing ties it to the row around it. */
export const HAS_FOREIGN = 0x20000000;
/** The time, a random number, the connection: another value at every call, but no row's. */
export const HAS_MOMENT = 0x40000000;
/** Text cut out of a column. The sign bit of the 32: compare with 0, never with >. */
export const HAS_CUT = 0x80000000 | 0;

/** What a whole inherits from its parts. */
export const INHERITED =
  HAS_COLUMN |
  HAS_SUBQUERY |
  HAS_FOREIGN |
  HAS_SESSION |
  HAS_MOMENT |
  HAS_CUT |
  HAS_HEX |
  HAS_OPEN |
  HAS_SEEDED_RAND |
  HAS_INVERSION;

/** What may differ from row to row, or from statement to statement. */
export const DEPENDS = HAS_COLUMN | HAS_SUBQUERY | HAS_OPEN;

export const IS_CONDITION = IS_COMPARISON | IS_PREDICATE | IS_AND | IS_OR;

/** A condition over a subquery that nothing ties to the row, or over the session. */
export function isQuestion(value: number): boolean {
  return (value & IS_CONDITION) !== 0 && (value & (HAS_FOREIGN | HAS_SESSION)) !== 0;
}

/** Both parts of an operator: what they have, and constant only if both are. */
export function combined(left: number, right: number): number {
  return ((left | right) & INHERITED) | (left & right & IS_CONSTANT);
}

// Operators, in the order of the manual's page "Operator Precedence", loosest first
export const OP_ASSIGN = 0;
export const OP_OR = 1;
export const OP_XOR = 2;
export const OP_AND = 3;
export const OP_NOT = 4;
export const OP_COMPARE = 5;
export const OP_IS = 6;
export const OP_LIKE = 7;
export const OP_REGEXP = 8;
export const OP_IN = 9;
export const OP_BETWEEN = 10;
export const OP_BETWEEN_HIGH = 11;
export const OP_BITS = 12;
export const OP_ADD = 13;
export const OP_MULTIPLY = 14;
export const OP_SIGN = 15;
export const OP_BANG = 16;
export const OP_INVERT = 17;
export const OP_EXISTS = 18;
export const OP_PREFIX = 19;
/** -> and ->>, which take a part of a document. */
export const OP_ARROW = 20;

const PRECEDENCES: readonly (readonly [operator: number, precedence: number])[] = [
  [OP_ASSIGN, 0],
  [OP_OR, 1],
  [OP_XOR, 2],
  [OP_AND, 3],
  [OP_NOT, 4],
  [OP_COMPARE, 5],
  [OP_IS, 5],
  [OP_LIKE, 6],
  [OP_REGEXP, 6],
  [OP_IN, 6],
  [OP_BETWEEN, 6],
  [OP_BETWEEN_HIGH, 6],
  [OP_BITS, 7],
  [OP_ADD, 8],
  [OP_MULTIPLY, 9],
  [OP_SIGN, 10],
  [OP_BANG, 10],
  [OP_INVERT, 10],
  [OP_EXISTS, 10],
  [OP_PREFIX, 11],
  [OP_ARROW, 12],
];

export const PRECEDENCE = new Uint8Array(32);
for (const [operator, precedence] of PRECEDENCES) PRECEDENCE[operator] = precedence;

/** Operators with one operand, which stands behind them. */
export function isPrefix(operator: number): boolean {
  return operator === OP_NOT || (operator >= OP_SIGN && operator <= OP_PREFIX);
}
