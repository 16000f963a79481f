/** Sets of token kinds that the walker asks about, as byte tables. */
import { isReserved, KEYWORD_COUNT, kindSet } from "./keyword-table.ts";
import { KEYWORD_FIRST } from "./keywords.ts";
import * as T from "./token-kinds.ts";

/** Words that MariaDB, and most of them MySQL 5.7, take as names although MySQL 8 reserves them. */
const RESERVED_SINCE_8 = kindSet(
  [],
  "GENERATED GET IO_AFTER_GTIDS IO_BEFORE_GTIDS OPTIMIZER_COSTS STORED VIRTUAL MANUAL PARALLEL " +
    "CUBE CUME_DIST DENSE_RANK EMPTY FIRST_VALUE FUNCTION GROUPING GROUPS JSON_TABLE LAG LAST_VALUE LATERAL LEAD NTH_VALUE " +
    "NTILE OF PERCENT_RANK RANK ROW_NUMBER SYSTEM WINDOW",
);

/** Reserved in every MySQL, names in MariaDB: held against MariaDB 10.11 with each keyword as table, column and alias. */
const RESERVED_IN_MYSQL = kindSet([], "DATABASE OPTION ROW SCHEMA");

function nameTable(...unreserved: readonly Uint8Array[]): Uint8Array {
  const set = kindSet([T.IDENTIFIER, T.QUOTED_IDENTIFIER], "");
  for (let kind = KEYWORD_FIRST; kind < KEYWORD_FIRST + KEYWORD_COUNT; kind++) {
    if (!isReserved(kind, undefined) || unreserved.some((words) => words[kind] === 1)) set[kind] = 1;
  }
  return set;
}

/** What may stand as a bare or quoted name: in MySQL 8 and later, in older ones, and in MariaDB. */
export const NAMES = nameTable();
export const NAMES_OLD = nameTable(RESERVED_SINCE_8);
export const NAMES_MARIADB = nameTable(RESERVED_SINCE_8, RESERVED_IN_MYSQL);

const NUMBERS = [T.INTEGER_NUMBER, T.DECIMAL_NUMBER, T.FLOAT_NUMBER, T.HEX_LITERAL, T.BIT_LITERAL];
const STRINGS = [T.STRING, T.NATIONAL_STRING, T.DOLLAR_STRING];

/** One token that is a literal by itself. */
export const LITERALS = kindSet([...NUMBERS, ...STRINGS, T.NULL_ESCAPE], "NULL TRUE FALSE");

/** After these an operand is complete: what comes next is an operator, an alias or the end. */
export const OPERAND_ENDS = kindSet(
  [
    ...NUMBERS,
    ...STRINGS,
    T.IDENTIFIER,
    T.QUOTED_IDENTIFIER,
    T.HOSTNAME,
    T.PARAMETER,
    T.NULL_ESCAPE,
    T.RIGHT_PAREN,
    T.RIGHT_BRACE,
  ],
  "NULL TRUE FALSE CURRENT_USER CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP UTC_DATE UTC_TIME " +
    "UTC_TIMESTAMP END ASC DESC DEFAULT MAXVALUE UNKNOWN",
);

/** Reserved words that are functions when a parenthesis follows. */
export const RESERVED_FUNCTIONS = kindSet(
  [],
  "CHAR CHARACTER CONVERT CUME_DIST CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DEFAULT DENSE_RANK " +
    "FIRST_VALUE GROUPING IF INSERT INTERVAL JSON_TABLE LAG LAST_VALUE LEAD LEFT LOCALTIME LOCALTIMESTAMP MATCH MOD " +
    "NTH_VALUE NTILE PERCENT_RANK RANK REPEAT REPLACE RIGHT ROW_NUMBER SCHEMA UTC_DATE UTC_TIME UTC_TIMESTAMP VALUES",
);

/** Words that are functions without a parenthesis too. */
export const BARE_FUNCTIONS = kindSet(
  [],
  "CURRENT_USER CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP LOCALTIME LOCALTIMESTAMP UTC_DATE UTC_TIME UTC_TIMESTAMP",
);

/** Words that may be names but are syntax before a parenthesis. */
export const NOT_FUNCTIONS = kindSet([], "ANY SOME ESCAPE AGAINST OFFSET ROLLUP COLUMNS");

export const AGGREGATES = kindSet(
  [],
  "AVG BIT_AND BIT_OR BIT_XOR COUNT GROUP_CONCAT JSON_ARRAYAGG JSON_OBJECTAGG MAX MIN STD STDDEV STDDEV_POP STDDEV_SAMP " +
    "ST_COLLECT SUM VARIANCE VAR_POP VAR_SAMP",
);

export const COMPARISONS = kindSet(
  [T.EQUAL, T.NULL_SAFE_EQUAL, T.NOT_EQUAL, T.LESS, T.LESS_OR_EQUAL, T.GREATER, T.GREATER_OR_EQUAL],
  "",
);

/** Tokens before which the right side of a comparison is certainly complete. */
export const TERM_ENDS = kindSet(
  [0, T.RIGHT_PAREN, T.COMMA, T.SEMICOLON, T.AND_AND, T.OR_OR, T.RIGHT_BRACE],
  "AND OR XOR GROUP ORDER HAVING LIMIT UNION EXCEPT INTERSECT FOR LOCK INTO WINDOW QUALIFY WHERE ON JOIN LEFT RIGHT INNER " +
    "CROSS NATURAL STRAIGHT_JOIN THEN ELSE WHEN END AS ASC DESC RETURNING PROCEDURE FETCH DO SET WITH SELECT FROM",
);

/** Words that begin a query expression. */
export const QUERY_STARTS = kindSet([], "SELECT WITH TABLE VALUES");

export const SET_OPERATORS = kindSet([], "UNION EXCEPT INTERSECT");

export const JOIN_WORDS = kindSet([], "JOIN INNER CROSS LEFT RIGHT OUTER NATURAL STRAIGHT_JOIN FULL");

/** Words that end an item or open a clause at the level of a query. */
export const CLAUSE_WORDS = kindSet(
  [],
  "FROM WHERE GROUP HAVING QUALIFY WINDOW ORDER LIMIT FETCH FOR LOCK INTO PROCEDURE UNION EXCEPT INTERSECT SET RETURNING ON",
);
