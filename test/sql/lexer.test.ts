import assert from "node:assert/strict";
import { test } from "node:test";
import { charsetRules } from "../../src/sql/mysql/lexing/character-classes.ts";
import * as K from "../../src/sql/mysql/lexing/keywords.ts";
import {
  DEFAULT_RULES,
  Lexer,
  type LexRules,
  MARK_ERROR,
  MARK_NUL,
  MARK_OVER_BUDGET,
  MARK_UNTERMINATED_COMMENT,
} from "../../src/sql/mysql/lexing/lexer.ts";
import * as T from "../../src/sql/mysql/lexing/token-kinds.ts";

const NAMES = new Map<number, string>();
for (const [name, kind] of [...Object.entries(T), ...Object.entries(K)]) {
  if (typeof kind === "number" && name !== "KEYWORD_FIRST") NAMES.set(kind, name);
}

/** The kinds of the text's tokens by name. */
function kindsOf(sql: string | Uint8Array, rules: Partial<LexRules> = {}): string {
  const lexer = new Lexer();
  const bytes = typeof sql === "string" ? Buffer.from(sql) : sql;
  lexer.start(bytes, { ...DEFAULT_RULES, ...rules }, 10_000);
  assert.equal(lexer.run(bytes.length), true);
  return Array.from(lexer.kinds.subarray(0, lexer.count), (kind) => NAMES.get(kind) ?? String(kind)).join(" ");
}

function marksOf(sql: string): number {
  const lexer = new Lexer();
  const bytes = Buffer.from(sql);
  lexer.start(bytes, DEFAULT_RULES, 10_000);
  lexer.run(bytes.length);
  return lexer.marks;
}

// Each row was put to MySQL 9.7: what it accepts, it lexes so.
const ROWS: readonly (readonly [string, string, Partial<LexRules>?])[] = [
  // Comments
  ["1 -- x", "INTEGER_NUMBER"],
  ["1 --", "INTEGER_NUMBER"],
  ["1--1", "INTEGER_NUMBER MINUS MINUS INTEGER_NUMBER"],
  ["1 --\u0001x", "INTEGER_NUMBER"],
  ["1 --\u007fx", "INTEGER_NUMBER"],
  ["1 # x\r2\n,3", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["1 /* , */ ,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["1 /*/ ,2 */", "INTEGER_NUMBER"],
  ["1 /*! ,2 */", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["1 /*!50000,2*/", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["1 /*!90705 ,2*/", "INTEGER_NUMBER"],
  ["1 /*!090704 ,2*/", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["1 /*!090705 ,2*/", "INTEGER_NUMBER"],
  ["1 /*!99999 /* a */ ,3 */", "INTEGER_NUMBER"],
  ["1 /*! ,2 /* a */ ,3 */", "INTEGER_NUMBER COMMA INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["1 /*M! ,2 */", "INTEGER_NUMBER"],
  ["1 /*M! ,2 */", "INTEGER_NUMBER COMMA INTEGER_NUMBER", { dialect: "mariadb" }],
  ["1 /*!50701 ,2 */", "INTEGER_NUMBER", { dialect: "mariadb", versionMax: 101119 }],
  ["1 /*!100100 ,2 */", "INTEGER_NUMBER COMMA INTEGER_NUMBER", { dialect: "mariadb", versionMax: 101119 }],
  ["1 // x\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER", { dialect: "vitess", slashComments: true }],
  ["1 // x", "INTEGER_NUMBER SLASH SLASH IDENTIFIER"],
  // Blanks
  ["1\u000b,\u000c2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["a\u00a0b", "IDENTIFIER"],
  // Numbers and names that begin with digits
  ["1.union", "DECIMAL_NUMBER UNION"],
  ["1union", "IDENTIFIER"],
  ["1e5x", "FLOAT_NUMBER IDENTIFIER"],
  ["1ex", "IDENTIFIER"],
  ["1e+x", "IDENTIFIER PLUS IDENTIFIER"],
  ["0x4G", "IDENTIFIER"],
  ["0X41", "IDENTIFIER"],
  ["0x41", "HEX_LITERAL"],
  ["0b12", "IDENTIFIER"],
  ["0b01", "BIT_LITERAL"],
  [".5", "DECIMAL_NUMBER"],
  ["a.5", "IDENTIFIER DOT IDENTIFIER"],
  ["a .5", "IDENTIFIER DECIMAL_NUMBER"],
  ["a.b.5c", "IDENTIFIER DOT IDENTIFIER DOT IDENTIFIER"],
  ["select.5c", "IDENTIFIER DOT IDENTIFIER"],
  ["`a`.5", "QUOTED_IDENTIFIER DECIMAL_NUMBER"],
  ["a.`b`.c", "IDENTIFIER DOT QUOTED_IDENTIFIER DOT IDENTIFIER"],
  ["a.é.b", "IDENTIFIER DOT IDENTIFIER DOT IDENTIFIER"],
  ["1.e(1)", "LEFT_PAREN INTEGER_NUMBER RIGHT_PAREN"],
  ["a 1.e.b", "IDENTIFIER DOT IDENTIFIER"],
  ["1.2e(1)", "LEFT_PAREN INTEGER_NUMBER RIGHT_PAREN"],
  // Names and keywords
  ["a.select", "IDENTIFIER DOT IDENTIFIER"],
  ["select.a", "IDENTIFIER DOT IDENTIFIER"],
  ["a. select", "IDENTIFIER DOT SELECT"],
  ["count (1)", "IDENTIFIER LEFT_PAREN INTEGER_NUMBER RIGHT_PAREN"],
  ["count(1)", "COUNT LEFT_PAREN INTEGER_NUMBER RIGHT_PAREN"],
  ["count (1)", "COUNT LEFT_PAREN INTEGER_NUMBER RIGHT_PAREN", { ignoreSpace: true }],
  ["`a``b`", "QUOTED_IDENTIFIER"],
  ["``.`a`", "QUOTED_IDENTIFIER DOT QUOTED_IDENTIFIER"],
  ['"a"', "STRING"],
  ['"a"', "QUOTED_IDENTIFIER", { ansiQuotes: true }],
  ["qualify", "QUALIFY"],
  ["qualify", "IDENTIFIER", { keywordVersion: 80036 }],
  // Strings
  ["'a''b'", "STRING"],
  ["'a\\'c'", "STRING"],
  ["'a\\'c'", "STRING IDENTIFIER STRING", { backslashEscapes: false }],
  ["n'a'", "NATIONAL_STRING"],
  ["x'41' b'01'", "HEX_LITERAL BIT_LITERAL"],
  ["x'4'", "ERROR"],
  ["_utf8'a' _foo'b'", "CHARSET_INTRODUCER STRING IDENTIFIER STRING"],
  ["$a$ ' $a$", "DOLLAR_STRING"],
  ["$1", "IDENTIFIER"],
  // Variables
  ["@a.b$", "AT HOSTNAME"],
  ["@ a", "AT HOSTNAME IDENTIFIER"],
  ["@/*x*/b", "AT HOSTNAME IDENTIFIER"],
  ["@`a`", "AT QUOTED_IDENTIFIER"],
  ["@@global.x", "AT_AT GLOBAL DOT IDENTIFIER"],
  ["@@`x`", "AT_AT QUOTED_IDENTIFIER"],
  // Operators
  [
    "a<=>b<>c!=d<<e>>f:=g->h->>i",
    "IDENTIFIER NULL_SAFE_EQUAL IDENTIFIER NOT_EQUAL IDENTIFIER NOT_EQUAL IDENTIFIER SHIFT_LEFT IDENTIFIER SHIFT_RIGHT IDENTIFIER ASSIGN IDENTIFIER ARROW IDENTIFIER ARROW_UNQUOTE IDENTIFIER",
  ],
  ["!!1", "BANG INTEGER_NUMBER"],
  ["1=!1", "INTEGER_NUMBER ERROR INTEGER_NUMBER"],
  ["a&&b||c&d|e", "IDENTIFIER AND_AND IDENTIFIER OR_OR IDENTIFIER AMPERSAND IDENTIFIER PIPE IDENTIFIER"],
  // Hints
  ["select/*+ bka(t1) */1", "SELECT HINT_START HINT_NAME LEFT_PAREN IDENTIFIER RIGHT_PAREN HINT_END INTEGER_NUMBER"],
  ["select /**//*+ bka(t1) */1", "SELECT INTEGER_NUMBER"],
  ["1 /*+ a */", "INTEGER_NUMBER"],
  ["@@insert/*+ a */", "AT_AT INSERT"],
  ["\\N", "ERROR IDENTIFIER"],
  ["\\N", "NULL_ESCAPE", { dialect: "mariadb" }],
];

for (const [sql, kinds, rules] of ROWS) {
  test(`Lexer reads ${JSON.stringify(sql)}${rules === undefined ? "" : ` with ${JSON.stringify(rules)}`}`, () => {
    assert.equal(kindsOf(sql, rules), kinds);
  });
}

test("Lexer takes 0xa0 for a blank when the client charset is latin1", () => {
  const sql = Buffer.from("select\xa01", "latin1");
  assert.equal(kindsOf(sql, { charset: { multiByte: "none", highSpace: 0xa0 } }), "SELECT INTEGER_NUMBER");
});

test("Lexer lets lead bytes of gbk swallow a backslash, those of utf8mb4 not", () => {
  const sql = Buffer.from("n='\xbf\\' OR 1=1 -- '", "latin1");
  assert.equal(kindsOf(sql), "IDENTIFIER EQUAL STRING");
  const gbk = kindsOf(sql, { charset: { multiByte: "gbk", highSpace: -1 } });
  assert.equal(gbk, "IDENTIFIER EQUAL STRING OR INTEGER_NUMBER EQUAL INTEGER_NUMBER");
});

// As above, as a client of the charset.
const CHARSET_ROWS: readonly (readonly [string, string, string])[] = [
  ["latin1", "1--\xa0'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["utf8mb4", "1--\xa0\n,2", "INTEGER_NUMBER MINUS MINUS IDENTIFIER COMMA INTEGER_NUMBER"],
  ["cp1250", "1--\x80'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["cp850", "1--\xff'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["cp866", "1--\xff'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["hebrew", "1--\xfd'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["hp8", "1--\x91'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["latin7", "1--\xa5'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["macroman", "1--\xcb'\n,2", "INTEGER_NUMBER COMMA INTEGER_NUMBER"],
  ["sjis", "@a\x82`b", "AT HOSTNAME IDENTIFIER"],
  ["euckr", "@a\xc6Ab", "AT HOSTNAME IDENTIFIER"],
  ["ujis", "@\xe4\xb8\xad", "AT HOSTNAME IDENTIFIER"],
  ["gbk", "@a\xb0\xa1b", "AT HOSTNAME"],
  ["utf8mb4", "@a\xb0\xa1b", "AT HOSTNAME"],
  ["gbk", "1\xfe\x9f~", "IDENTIFIER"],
  ["gbk", "a\xfe\x9f~", "IDENTIFIER TILDE"],
  ["keybcs2", "0x1\x82", "HEX_LITERAL"],
  ["latin2", "0x1\x82", "IDENTIFIER"],
  ["swe7", "a[z\\ + ~", "IDENTIFIER PLUS IDENTIFIER"],
];

for (const [charset, text, kinds] of CHARSET_ROWS) {
  test(`Lexer reads ${JSON.stringify(text)} of a ${charset} client`, () => {
    assert.equal(kindsOf(Buffer.from(text, "latin1"), { charset: charsetRules(charset) }), kinds);
  });
}

for (const sql of [
  "1 /*!99999 /**/",
  "1 /*!99999 x /* y */",
  "/*!99999/",
  "/*!99999 *",
  "/*!99999 /*",
  "/*!99999 /**",
]) {
  test(`Lexer comes to an end of ${JSON.stringify(sql)}`, () => {
    assert.notEqual(marksOf(sql) & MARK_UNTERMINATED_COMMENT, 0);
  });
}

test("Lexer marks what has no end and what is no token", () => {
  assert.notEqual(marksOf("select /* 1") & MARK_UNTERMINATED_COMMENT, 0);
  assert.notEqual(marksOf("select /*! 1") & MARK_UNTERMINATED_COMMENT, 0);
  assert.notEqual(marksOf("a\u0000b") & MARK_NUL, 0);
  assert.notEqual(marksOf("a \\ b") & MARK_ERROR, 0);
});

test("Lexer ends where its budget does, also behind a number that the server swallows", () => {
  const lexer = new Lexer();
  const bytes = Buffer.from("/**/1.e'/**/");
  lexer.start(bytes, DEFAULT_RULES, 2);
  assert.equal(lexer.run(bytes.length), true);
  assert.equal(lexer.commentCount, 2);
  assert.equal(lexer.marks & MARK_OVER_BUDGET, MARK_OVER_BUDGET);
});

test("Lexer reads a text as a new one does, whatever it has read before", () => {
  const texts: readonly (readonly [Uint8Array, Partial<LexRules>])[] = [
    ...ROWS.map(([sql, , rules = {}]) => [Buffer.from(sql), rules] as const),
    ...[
      "1.",
      "1.e",
      "a.",
      "@",
      "@@",
      "'a",
      "`a",
      '"a',
      "/*",
      "/*!",
      "/*!99999 a",
      "select/*+ a",
      "x'4",
      "$a$ b",
      "a\u0000",
      "é",
      "\\",
    ].map((sql) => [Buffer.from(sql), {}] as const),
  ];
  const read = (lexer: Lexer, [sql, rules]: (typeof texts)[number], tokensMax = 1000): unknown => {
    lexer.start(sql, { ...DEFAULT_RULES, ...rules }, tokensMax);
    lexer.run(sql.length);
    const { count, commentCount, marks, errorAt, end } = lexer;
    const tokens = (["kinds", "starts", "ends", "flags"] as const).map((name) => [...lexer[name].subarray(0, count)]);
    return {
      tokens,
      comments: [...lexer.comments.subarray(0, commentCount * 3)],
      marks,
      errorAt,
      end,
      versions: [...lexer.versions],
    };
  };
  const used = new Lexer();
  for (const [index, text] of texts.entries()) {
    const alone = read(new Lexer(), text);
    for (const step of [1, 7, 40]) {
      const before = texts[(index * step + 5) % texts.length] ?? text;
      read(used, before, step === 7 ? 2 : 1000);
      assert.deepEqual(read(used, text), alone, `${Buffer.from(text[0])} behind ${Buffer.from(before[0])}`);
    }
  }
});

test("Lexer drops tokens with all that it knows of them", () => {
  const whole = new Lexer();
  const sql = Buffer.from("select 1, 2, 'it''s' from `a``b` where é = 1.union");
  whole.start(sql, DEFAULT_RULES, 1000);
  whole.run(sql.length);
  const lexer = new Lexer();
  lexer.start(sql, DEFAULT_RULES, 1000);
  lexer.run(sql.length);
  lexer.drop(1, 5);
  assert.equal(lexer.count, whole.count - 4);
  for (const name of ["kinds", "starts", "ends", "flags"] as const) {
    const left = [...whole[name].subarray(0, 1), ...whole[name].subarray(5, whole.count)];
    assert.deepEqual([...lexer[name].subarray(0, lexer.count)], left, name);
  }
});

test("Lexer reads the same tokens in slices of any size", () => {
  const sql = Buffer.from("select a.b, 'it''s', 1.e(2), /*! x */ count(*) from t -- end\n where a <=> 0x41 /* c */");
  const whole = new Lexer();
  whole.start(sql, DEFAULT_RULES, 1000);
  whole.run(sql.length);
  for (let size = 1; size <= sql.length; size++) {
    const lexer = new Lexer();
    lexer.start(sql, DEFAULT_RULES, 1000);
    for (let until = size; !lexer.run(until); until += size);
    assert.deepEqual(lexer.kinds.subarray(0, lexer.count), whole.kinds.subarray(0, whole.count));
    assert.deepEqual(lexer.ends.subarray(0, lexer.count), whole.ends.subarray(0, whole.count));
  }
});
