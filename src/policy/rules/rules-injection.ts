/** Rules about injected code: conditions that no row can change, added queries, disguise, looking around. */

import type { Finding } from "../../sql/facts.ts";
import { lowerAscii } from "../../sql/mysql/names/names.ts";
import type { Rule, RuleInput } from "./rule.ts";

const BIND = "Pass the value as a parameter of a prepared statement, so that it cannot become code";

/** SELECT 1 = 1 without a table asks the server a sum; beside a table it asks about its rows. */
function comparisonPoints(finding: Finding, { reading }: RuleInput): number {
  const statement = finding.statement === undefined ? undefined : reading.statements[finding.statement];
  return statement !== undefined && statement.tablesRead.length + statement.tablesWritten.length === 0 ? 5 : 25;
}

/** Tools ask old and new servers for one more variable: SELECT 1 /*!50038 , @@hostname … . Without a table there is nothing to take. */
function executableCommentPoints(finding: Finding, { reading }: RuleInput): number {
  const statement = finding.statement === undefined ? undefined : reading.statements[finding.statement];
  const isAboutServer = statement?.kind === "select" && statement.tablesRead.length === 0;
  return isAboutServer ? 10 : 35;
}

const INJECTION: readonly Rule[] = [
  {
    id: "inj.tautology",
    category: "injection",
    points: "45-60",
    title: "A condition that is true for every row is joined with OR",
    rewrite: BIND,
    example: { sql: "SELECT id FROM member WHERE login = 'x' OR 1=1" },
    findings: {
      "or-constant-comparison": 55,
      "or-constant": 50,
      "or-self-comparison": 50,
      "or-constant-predicate": 50,
    },
  },
  {
    id: "inj.const",
    category: "injection",
    points: "5-35",
    title: "A condition over constants only, as used to ask yes-or-no questions",
    rewrite: BIND,
    example: { sql: "SELECT id FROM member WHERE id = 4 AND 3=7" },
    findings: {
      "and-constant-comparison": 35,
      "and-constant": 30,
      "and-constant-predicate": 35,
      "and-self-comparison": 30,
      "having-constant": 35,
      "case-constant": 25,
      "constant-comparison": comparisonPoints,
      "signed-term": 30,
      "session-condition": 30,
    },
  },
  {
    id: "inj.where1",
    category: "injection",
    points: "3",
    title: "The first WHERE term is constant, as query builders write it",
    rewrite: "Start WHERE with the first real condition",
    example: { sql: "SELECT id FROM member WHERE 1=1 AND login = 'x'" },
    findings: { "where-first-constant": 3 },
  },
  {
    id: "inj.implicit",
    category: "injection",
    points: "20-30",
    title: "Literals are joined by an operator where a plain value belongs",
    rewrite: BIND,
    example: { sql: "SELECT id FROM member WHERE login = ''*''" },
    findings: {
      "string-operator": 30,
      "adjacent-strings": 30,
      "constant-arithmetic": ({ detail }: Finding) => (detail === "product" ? 25 : 20),
    },
  },
  {
    id: "inj.union",
    category: "injection",
    points: "10-55",
    title: "A UNION branch that looks added: constants, padding, or directly after a literal",
    rewrite: BIND,
    example: { sql: "SELECT title FROM book WHERE id = 1 UNION SELECT NULL" },
    findings: {
      "union-constants": 40,
      "union-null-padding": 40,
      "union-numbered": 40,
      "union-after-literal": 20,
      "union-branch": 10,
    },
    sumMax: 55,
  },
  {
    id: "inj.marker",
    category: "injection",
    points: "15-35",
    title: "CONCAT with hex or CHAR() markers around a value",
    rewrite: "Write text as quoted literals",
    example: { sql: "SELECT CONCAT(0x717a71, name, 0x716b71) FROM book" },
    findings: { "concat-hex-markers": 35 },
  },
  {
    id: "inj.stacked",
    category: "injection",
    points: "40",
    title: "More than one statement in a packet",
    rewrite: "Send statements one by one, or set multi_statements: true in the profile of this user",
    example: { sql: "SELECT 1; SELECT 2" },
    findings: { "stacked-statement": (_finding, input) => (input.settings.allowsMultiStatements ? 0 : 40) },
  },
  {
    id: "inj.time",
    category: "injection",
    points: "5-60",
    title: "The answer is delayed on purpose",
    rewrite: "Wait in the application, not in the database",
    example: { sql: "SELECT title FROM book WHERE id = 1 AND SLEEP(5)" },
    findings: {
      sleep: 30,
      "sleep-nested": 55,
      benchmark: 60,
      "get-lock": 5,
      "get-lock-nested": 45,
      "schema-cross-join": 55,
    },
  },
  {
    id: "inj.error",
    category: "injection",
    points: "12-60",
    title: "A function that carries data out in its error message",
    rewrite: "Select the value itself",
    example: { sql: "SELECT title FROM book WHERE id = EXTRACTVALUE(1, CONCAT(0x5c, (SELECT name FROM author)))" },
    findings: {
      "error-function": 60,
      "error-function-plain": 12,
      "floor-rand": 60,
      "procedure-analyse": 40,
      "exp-overflow": 50,
    },
  },
  {
    id: "inj.blind",
    category: "injection",
    points: "25-35",
    title: "A value is read out piece by piece through conditions",
    rewrite: "Join the table and select the column",
    example: { sql: "SELECT title FROM book WHERE id = 1 AND ORD(MID((SELECT name FROM author LIMIT 1),1,1)) > 64" },
    findings: {
      "blind-substring": 35,
      "blind-code": 25,
      "row-picked": 25,
      "blind-if": 30,
      "regexp-subquery": 35,
      "and-subquery": 25,
      "comparison-subquery": 25,
      "subquery-without-table": 25,
    },
    sumMax: 50,
  },
  {
    id: "inj.order",
    category: "injection",
    points: "0-30",
    title: "ORDER BY or GROUP BY probes the number of columns or carries a condition",
    rewrite: "Choose the ORDER BY column from a fixed list in the application",
    example: { sql: "SELECT title FROM book ORDER BY (SELECT 1)" },
    findings: {
      "order-by-subquery": 30,
      "order-by-constant": 25,
      "order-by-beyond": 25,
      "order-by-number": (finding: Finding) => (finding.count > 20 ? 15 : 0),
    },
  },
];

const OBFUSCATION: readonly Rule[] = [
  {
    id: "obf.tail",
    category: "obfuscation",
    points: "25-35",
    title: "A comment at the end cuts off the rest of the statement",
    rewrite: "Put comments in front of the statement, or write them as /* */",
    example: { sql: "SELECT id FROM member WHERE login = 'x' -- " },
    findings: { "trailing-comment": 25, "trailing-comment-cuts-quote": 35 },
  },
  {
    id: "obf.exec",
    category: "obfuscation",
    points: "3-35",
    title: "Code inside an executable comment",
    rewrite: "Write the code without /*! */",
    example: { sql: "SELECT id FROM member WHERE id = 1 /*!50000 AND balance > 0 */" },
    findings: {
      "executable-comment": executableCommentPoints,
      "executable-comment-whole": 3,
      "executable-comment-option": 3,
    },
  },
  {
    id: "obf.comment",
    category: "obfuscation",
    points: "12-25",
    title: "Comments between tokens where blanks would do",
    rewrite: "Use blanks between words and put comments in front of the statement",
    example: { sql: "SELECT/**/id/**/FROM/**/member" },
    findings: {
      "comment-between-tokens": (finding: Finding) => (finding.count >= 3 ? 25 : 12),
      "comment-nested": 25,
    },
  },
  {
    id: "obf.glue",
    category: "obfuscation",
    points: "35",
    title: "A number runs directly into a word",
    rewrite: "Put a blank after the number",
    example: { sql: "SELECT id FROM member WHERE id = 1e0UNION SELECT 2" },
    findings: { "number-glued-to-word": 35, "number-swallowed": 35 },
  },
  {
    id: "obf.nul",
    category: "obfuscation",
    points: "20",
    title: "A NUL byte outside of literals",
    rewrite: "Remove the NUL byte",
    example: { sql: "SELECT \0 1" },
    findings: { "nul-byte": 20 },
  },
  {
    id: "obf.char",
    category: "obfuscation",
    points: "20",
    title: "Text is spelled as character codes",
    rewrite: "Write text as a quoted literal",
    example: { sql: "SELECT id FROM member WHERE login = CHAR(97,98,99)" },
    findings: { "char-call": 20 },
  },
  {
    id: "obf.hex",
    category: "obfuscation",
    points: "5-25",
    title: "A long hex literal, or one that spells code or a pattern",
    rewrite: "Write text as a quoted literal; send binary data as a parameter",
    example: { sql: "SELECT id FROM member WHERE token = 0x00112233445566778899aabbccddeeff0011" },
    findings: { "hex-literal-long": 5, "hex-literal-text": 15, "hex-pattern": 25 },
  },
  {
    id: "obf.odbc",
    category: "obfuscation",
    points: "8",
    title: "An ODBC escape in braces",
    rewrite: "Write the expression without braces",
    example: { sql: "SELECT {x 1}" },
    findings: { "odbc-escape": 8 },
  },
  {
    id: "obf.space",
    category: "obfuscation",
    points: "10",
    title: "Vertical tab or form feed used as a blank",
    rewrite: "Use ordinary blanks",
    example: { sql: "SELECT\u000bid\u000bFROM\u000bmember" },
    findings: { "odd-whitespace": 10 },
  },
  {
    id: "obf.lex",
    category: "obfuscation",
    points: "30-40",
    title: "The text does not lex as SQL, so the server might see other words than querycop",
    rewrite: "Close every quote, comment and parenthesis",
    example: { sql: "SELECT 'a" },
    findings: {
      "unterminated-string": 40,
      "comment-unterminated": 40,
      "unknown-character": 40,
      "unbalanced-parentheses": 30,
      "budget-exceeded": 40,
    },
  },
  {
    id: "obf.ambig",
    category: "obfuscation",
    points: "20",
    title: "The text means something else under another sql_mode, charset, version or dialect",
    rewrite: "Quote names with backticks and text with single quotes, and avoid version comments",
    example: { sql: 'SELECT id FROM member WHERE name = "x"', context: { sqlMode: "unknown" } },
    findings: { "readings-differ": 20 },
  },
  {
    id: "obf.literal",
    category: "obfuscation",
    points: "2-3",
    title: "A literal or a name that looks like an attack, harmless where it stands",
    rewrite: "Nothing to change; the literal is data",
    example: { sql: "SELECT id FROM member WHERE login = '1'' OR 1=1 -- '" },
    findings: { "literal-looks-like-sql": 3, "identifier-not-ascii": 2 },
  },
];

const CATALOG_SCHEMAS: ReadonlySet<string> = new Set(["information_schema", "performance_schema", "sys"]);

/** Tools join and unite catalog tables with each other; beside a table of the application they do not belong. */
function nestedCatalogPoints(finding: Finding, { reading }: RuleInput): number {
  const statement = finding.statement === undefined ? undefined : reading.statements[finding.statement];
  if (statement === undefined || statement.tablesWritten.length > 0) return 30;
  const isCatalogOnly = statement.tablesRead.every(({ schema }) => CATALOG_SCHEMAS.has(lowerAscii(schema ?? "")));
  return isCatalogOnly ? 8 : 30;
}

/** What statements about time, replication and names ask for in earnest. */
const ORDINARY_VARIABLES: ReadonlySet<string> = new Set([
  "time_zone",
  "system_time_zone",
  "server_id",
  "server_uuid",
  "sql_mode",
  "lower_case_table_names",
  "auto_increment_increment",
  "auto_increment_offset",
  "collation_connection",
  "character_set_connection",
  "character_set_database",
  "collation_database",
]);

function variablePoints({ detail }: Finding): number {
  return detail !== undefined && ORDINARY_VARIABLES.has(detail) ? 5 : 25;
}

const RECON: readonly Rule[] = [
  {
    id: "recon.schema",
    category: "recon",
    points: "8-30",
    title: "The catalog is read",
    rewrite: "Let migrations and tools read the catalog under their own user",
    example: { sql: "SELECT table_name FROM information_schema.tables" },
    findings: { "catalog-read": 8, "catalog-read-nested": nestedCatalogPoints },
  },
  {
    id: "recon.mysql",
    category: "recon",
    points: "35-50",
    title: "The server's own schema mysql is read",
    rewrite: "Use SHOW statements under an administrator's user",
    example: { sql: "SELECT user, authentication_string FROM mysql.user" },
    findings: { "mysql-schema-read": 35, "mysql-account-read": 50 },
  },
  {
    id: "recon.var",
    category: "recon",
    points: "0-25",
    title: "A system variable inside a condition, UNION or subquery",
    rewrite: "Read system variables with a statement of their own",
    example: { sql: "SELECT id FROM member WHERE id = 1 AND @@version LIKE '8%'" },
    findings: { "system-variable-nested": variablePoints },
  },
  {
    id: "recon.fn",
    category: "recon",
    points: "0-25",
    title: "VERSION(), USER() or the like inside a condition, UNION or subquery",
    rewrite: "Read session values with a statement of their own",
    example: { sql: "SELECT title FROM book WHERE id = 1 UNION SELECT VERSION()" },
    findings: { "session-function-nested": 25 },
  },
];

export const INJECTION_RULES: readonly Rule[] = [...INJECTION, ...OBFUSCATION, ...RECON];
