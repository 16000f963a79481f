/** Token kinds below KEYWORD_FIRST: literals, names, punctuation. Keywords are in keywords.ts. */

/** What the server cannot lex, or lexes to a character that no grammar rule accepts. */
export const ERROR = 1;

// Names
export const IDENTIFIER = 2;
export const QUOTED_IDENTIFIER = 3;
/** What follows `@` without quotes; may be empty. */
export const HOSTNAME = 4;
/** `_utf8mb4` and the like before a literal. */
export const CHARSET_INTRODUCER = 5;
/** A word inside a hint that names a hint. */
export const HINT_NAME = 6;
/** `t1@qb1` inside a hint. */
export const HINT_TABLE = 7;

// Values
export const INTEGER_NUMBER = 8;
export const DECIMAL_NUMBER = 9;
export const FLOAT_NUMBER = 10;
export const HEX_LITERAL = 11;
export const BIT_LITERAL = 12;
export const STRING = 13;
export const NATIONAL_STRING = 14;
export const PARAMETER = 15;
/** `\N`, which MariaDB still reads as NULL. */
export const NULL_ESCAPE = 16;
/** `$tag$ … $tag$`: the body of a routine in another language. */
export const DOLLAR_STRING = 17;

// Punctuation
export const COMMA = 20;
export const DOT = 21;
export const LEFT_PAREN = 22;
export const RIGHT_PAREN = 23;
export const SEMICOLON = 24;
export const LEFT_BRACE = 25;
export const RIGHT_BRACE = 26;
export const COLON = 27;
export const AT = 28;
export const AT_AT = 29;
export const HINT_START = 30;
export const HINT_END = 31;

// Operators
export const STAR = 32;
export const PLUS = 33;
export const MINUS = 34;
export const SLASH = 35;
export const PERCENT = 36;
export const CARET = 37;
export const TILDE = 38;
export const BANG = 39;
export const AMPERSAND = 40;
export const PIPE = 41;
export const SHIFT_LEFT = 42;
export const SHIFT_RIGHT = 43;
export const AND_AND = 44;
export const OR_OR = 45;
export const EQUAL = 46;
export const NULL_SAFE_EQUAL = 47;
export const NOT_EQUAL = 48;
export const LESS = 49;
export const LESS_OR_EQUAL = 50;
export const GREATER = 51;
export const GREATER_OR_EQUAL = 52;
export const ASSIGN = 53;
export const ARROW = 54;
export const ARROW_UNQUOTE = 55;

/** How the digest prints kinds that have one spelling. */
export const SPELLINGS: ReadonlyMap<number, string> = new Map([
  [COMMA, ","],
  [DOT, "."],
  [LEFT_PAREN, "("],
  [RIGHT_PAREN, ")"],
  [SEMICOLON, ";"],
  [LEFT_BRACE, "{"],
  [RIGHT_BRACE, "}"],
  [COLON, ":"],
  [AT, "@"],
  [AT_AT, "@@"],
  [HINT_START, "/*+"],
  [HINT_END, "*/"],
  [STAR, "*"],
  [PLUS, "+"],
  [MINUS, "-"],
  [SLASH, "/"],
  [PERCENT, "%"],
  [CARET, "^"],
  [TILDE, "~"],
  [BANG, "!"],
  [AMPERSAND, "&"],
  [PIPE, "|"],
  [SHIFT_LEFT, "<<"],
  [SHIFT_RIGHT, ">>"],
  [AND_AND, "&&"],
  [OR_OR, "||"],
  [EQUAL, "="],
  [NULL_SAFE_EQUAL, "<=>"],
  [NOT_EQUAL, "!="],
  [LESS, "<"],
  [LESS_OR_EQUAL, "<="],
  [GREATER, ">"],
  [GREATER_OR_EQUAL, ">="],
  [ASSIGN, ":="],
  [ARROW, "->"],
  [ARROW_UNQUOTE, "->>"],
  [CHARSET_INTRODUCER, "(_charset)"],
  [DOLLAR_STRING, "(unknown)"],
]);
