/** The token table of one reading, with what the walker found out about each token. */
import type { Clause } from "../../facts.ts";

/** Columns of equal length; entries from `count` on are garbage. Kinds are those of token-kinds.ts and keywords.ts. */
export interface Tokens {
  readonly sql: Uint8Array;
  readonly kinds: Uint16Array;
  /** Byte offsets into `sql`. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  /** FLAG_* bits of lexer.ts. */
  readonly flags: Uint8Array;
  /** ROLE_*: what a name or parenthesis is for. */
  readonly roles: Uint8Array;
  /** CLAUSE_*: the clause of the innermost query block or statement that the token stands in. */
  readonly clauses: Uint8Array;
  readonly count: number;
  /**
   * How many rows of literals are not among the tokens, by the parenthesis that ends the row before them, and how many
   * literals of an IN list, by the comma before them.
   */
  readonly forgottenRows: ReadonlyMap<number, number>;
}

/** Literals, operators, clause words: the kind says it all. */
export const ROLE_NONE = 0;
/** The last name of a column reference. */
export const ROLE_COLUMN = 1;
/** A name before a dot, in references to columns, tables and routines. */
export const ROLE_QUALIFIER = 2;
export const ROLE_TABLE = 3;
/** A name that is being defined: alias, CTE, index, parameter. */
export const ROLE_DEFINITION = 4;
/** The name of a function directly before its parenthesis; keywords such as COUNT or IF too. */
export const ROLE_FUNCTION = 5;
/** The name of a user variable, system variable or routine parameter. */
export const ROLE_VARIABLE = 6;
/** Any other name: type, unit, charset, engine, routine. */
export const ROLE_NAME = 7;
/** Parentheses, by what they hold; the closing one has the role of its opening one. */
export const ROLE_SUBQUERY_PAREN = 8;
export const ROLE_CALL_PAREN = 9;
export const ROLE_LIST_PAREN = 10;
export const ROLE_ROW_PAREN = 11;
export const ROLE_EXPRESSION_PAREN = 12;
export const ROLE_TABLES_PAREN = 13;
export const ROLE_OTHER_PAREN = 14;

export const CLAUSE_OTHER = 0;
export const CLAUSE_SELECT = 1;
export const CLAUSE_FROM = 2;
export const CLAUSE_ON = 3;
export const CLAUSE_WHERE = 4;
export const CLAUSE_GROUP = 5;
export const CLAUSE_HAVING = 6;
export const CLAUSE_WINDOW = 7;
export const CLAUSE_ORDER = 8;
export const CLAUSE_LIMIT = 9;
export const CLAUSE_INTO = 10;
export const CLAUSE_VALUES = 11;
export const CLAUSE_SET = 12;
export const CLAUSE_INSERT_COLUMNS = 13;
export const CLAUSE_ON_DUPLICATE = 14;
export const CLAUSE_RETURNING = 15;
export const CLAUSE_DEFINITION = 16;

/** Names of CLAUSE_* in their order. */
export const CLAUSE_NAMES: readonly Clause[] = [
  "other",
  "select",
  "from",
  "on",
  "where",
  "group",
  "having",
  "window",
  "order",
  "limit",
  "into",
  "values",
  "set",
  "insert-columns",
  "on-duplicate",
  "returning",
  "definition",
];
