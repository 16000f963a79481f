import assert from "node:assert/strict";
import { test } from "node:test";
import { Digest } from "../../src/sql/mysql/digest/digest.ts";
import { DEFAULT_RULES, Lexer } from "../../src/sql/mysql/lexing/lexer.ts";

function digestOf(sql: string): string {
  const lexer = new Lexer();
  const digest = new Digest();
  const bytes = Buffer.from(sql);
  lexer.start(bytes, DEFAULT_RULES, 100_000);
  lexer.run(bytes.length);
  digest.start();
  digest.consume(lexer, 0, lexer.count);
  return digest.text();
}

// Answers of MySQL 9.7 to SELECT STATEMENT_DIGEST_TEXT(…).
const ROWS: readonly (readonly [string, string])[] = [
  ["select 1, null, x from t where a in (1,2)", "SELECT ?, ... , `x` FROM `t` WHERE `a` IN (...)"],
  ["select a not in (1)", "SELECT `a` NOT IN (...)"],
  ["insert into t values (1),(2),(b)", "INSERT INTO `t` VALUES (?) /* , ... */ , ( `b` )"],
  ["insert into t values (1,2),(3,b),(5,6),(7,8)", "INSERT INTO `t` VALUES (...) , ( ? , `b` ) , (...) /* , ... */"],
  ["insert into t values (null,null),(1,2)", "INSERT INTO `t` VALUES (...) /* , ... */"],
  ["select a is null, null", "SELECT `a` IS NULL , ?"],
  ["select not null", "SELECT NOT ?"],
  ["select a=-1, a- -1, a-1, - -1, (-1), - + -1", "SELECT `a` = ? , `a` - ? , `a` - ?, ... , (?) , ?"],
  ["select 1 where -1", "SELECT ? WHERE - ?"],
  ["select a from t order by 1, 2 desc, a, 3", "SELECT `a` FROM `t` ORDER BY 1 , 2 DESC , `a` , 3"],
  ["select a from t order by -1", "SELECT `a` FROM `t` ORDER BY - ?"],
  [
    "select row_number() over (partition by 1 order by 1, 2) from t",
    "SELECT ROW_NUMBER ( ) OVER ( PARTITION BY 1 ORDER BY 1 , 2 ) FROM `t`",
  ],
  [
    "select database(), user(), now(), substr('a',1,1)",
    "SELECT SCHEMA ( ) , SYSTEM_USER ( ) , NOW ( ) , SUBSTRING (...)",
  ],
  ["select a <> b, a rlike c, distinct d", "SELECT `a` != `b` , `a` RLIKE `c` , DISTINCTROW `d`"],
  [
    "create table t (a bigint not null default -1, b varchar(5) null)",
    "CREATE TABLE `t` ( `a` INT8 NOT NULL DEFAULT ? , `b` VARCHARACTER (?) NULL )",
  ],
  [
    "alter table t add foreign key (a) references b (c) on delete set null",
    "ALTER TABLE `t` ADD FOREIGN KEY ( `a` ) REFERENCES `b` ( `c` ) ON DELETE SET NULL",
  ],
  ["select @a, @@sql_mode, @`b c`", "SELECT @? , @@`sql_mode` , @`b c`"],
  ["select `1```", "SELECT `1```".replace("```", "``")],
  ["select _utf8'a', -1, _latin1 x'41'", "SELECT (_charset) ?, ... , (_charset) ?"],
  [
    "select/*+ max_execution_time(1000) bka(t@x) foo(1) */ 1",
    "SELECT /*+ MAX_EXECUTION_TIME (?) BKA ( `t`@`x` ) `foo` (?) */ ?",
  ],
  ["select /*+ bka(t) */ null", "SELECT /*+ BKA ( `t` ) */ ?"],
  ["select /*+ bka(t) */ -1", "SELECT /*+ BKA ( `t` ) */ - ?"],
  ["select 1;", "SELECT ?"],
  [`select ${"a".repeat(64)}, ${"a".repeat(65)}, 1`, `SELECT \`${"a".repeat(64)}\` , ..., ?`],
];

for (const [sql, text] of ROWS) {
  test(`Digest prints ${sql.slice(0, 70)}`, () => {
    assert.equal(digestOf(sql), text);
  });
}

test("Digest prints texts of any number of tokens and of the longest names", () => {
  for (const count of [1, 100, 255, 256, 257, 600, 3000]) {
    const names = Array.from({ length: count }, (_, index) => String(index).padStart(64, "n"));
    const printed = names.map((name) => `\`${name}\``).join(" , ");
    assert.equal(digestOf(`select ${names.join(", ")}`), `SELECT ${printed}`);
  }
});

test("Digest takes back what it has printed, however long ago that was", () => {
  const items = Array.from({ length: 2000 }, (_, index) => index % 7).join(", ");
  assert.equal(
    digestOf(`select a from t where b in (${items}) order by 1`),
    "SELECT `a` FROM `t` WHERE `b` IN (...) ORDER BY 1",
  );
  const rows = `(${items.slice(0, 100)}0), `.repeat(500);
  assert.equal(digestOf(`insert into t values ${rows}(1)`), "INSERT INTO `t` VALUES (...) /* , ... */ , (?)");
});
