/** Schemas of the shapes that public applications have, written anew, as statements of Aurora DSQL: every decision is in the golden page. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseMysqlSchema } from "../../../src/sql/migration/ddl-parser.ts";
import { toDsql } from "../../../src/sql/migration/dsql-schema.ts";
import { doubtsOf, renderSchema, renderTraffic } from "../../../src/sql/migration/report.ts";
import { obstaclesOf, TrafficCheck } from "../../../src/sql/migration/traffic.ts";
import { DsqlRuleSet } from "../../../src/sql/postgres/dsql/rule-set.ts";
import { assertGolden } from "../../config/golden.ts";
import { readyToParse } from "../../support/postgres-context.ts";

await readyToParse();
const rules = new DsqlRuleSet("2026-11-30");
const FOLDER = join(import.meta.dirname, "schemas");
const FILES = readdirSync(FOLDER).sort();
const textOf = (file: string): string => readFileSync(join(FOLDER, file), "utf8");

test("thirty schemas become statements that PostgreSQL's grammar and the rules about Aurora DSQL take, one by one", () => {
  assert.equal(FILES.length, 30);
  const pages = FILES.map((file) => {
    const schema = parseMysqlSchema(textOf(file));
    const written = toDsql(schema);
    assert.deepEqual(doubtsOf(written, rules), [], file);
    return `## ${file}\n\n${renderSchema(schema, written)}`;
  });
  assertGolden("migration.txt", pages.join("\n"));
});

test("every column, key and statement without an equal has a decision with a reason", () => {
  for (const file of FILES) {
    const schema = parseMysqlSchema(textOf(file));
    const { decisions } = toDsql(schema);
    for (const { why, verdict, to } of decisions) {
      assert.ok(why.length > 5, file);
      assert.ok(verdict !== "lost" || to === undefined || /no equal/.test(why), `${file}: ${why}`);
    }
    const of = (table: string, subject: string): number =>
      decisions.filter((one) => one.table === table && one.subject === subject).length;
    for (const { name, columns, foreignKeys, checks } of schema.tables) {
      for (const column of columns) assert.ok(of(name, `column ${column.name}`) > 0, `${file} ${name}.${column.name}`);
      const keys = decisions.filter((one) => one.table === name && one.subject.startsWith("foreign key")).length;
      const conditions = decisions.filter((one) => one.table === name && one.subject.startsWith("check")).length;
      assert.deepEqual([keys, conditions], [foreignKeys.length, checks.length], `${file} ${name}`);
    }
  }
});

test("what a schema says cannot leave its comment, nor its literal", () => {
  const schema = parseMysqlSchema(
    "CREATE TABLE `a\n; DROP TABLE x; --` (`b\"; DROP TABLE y; --` varchar(9) DEFAULT 'c''; DROP TABLE z; --\n' COLLATE `x\nDROP`) ENGINE=`q\nDROP`;",
  );
  const written = toDsql(schema);
  const text = renderSchema(schema, written);
  assert.deepEqual(doubtsOf(written, rules), []);
  assert.equal(written.statements.length, 1);
  // The text as a whole is one statement, whatever stands in it.
  const check = rules.check(new TextEncoder().encode(text));
  assert.ok(check.kind === "read" && check.types.length === 1, text);
});

test("texts without end, and with nothing of MySQL's, are read to their end or said to be unread", () => {
  for (const text of [
    "CREATE TABLE a (b int",
    "CREATE TABLE a (b strange)",
    "CREATE TABLE",
    "CREATE TABLE a ('",
    "`",
    "((((",
  ]) {
    const { tables } = parseMysqlSchema(text);
    assert.equal(tables.length, 0, text);
  }
  assert.equal(parseMysqlSchema("CREATE TABLE a (b strange)").unread.length, 1);
  assert.equal(parseMysqlSchema("").unread.length, 0);
});

/** Digests as records of MySQL sessions have them. */
const TRAFFIC: readonly (readonly [digest: string, ids: readonly string[]])[] = [
  ["SELECT * FROM `users` WHERE `id` = ?", []],
  ["SELECT `id` , COUNT ( * ) FROM `orders` GROUP BY `id` HAVING COUNT ( * ) > ? LIMIT ?", []],
  ["INSERT INTO `orders` ( `id` , `name` ) VALUES ( ... )", []],
  ["SELECT * FROM `t` WHERE `id` IN ( ... )", []],
  ["UPDATE `users` SET `name` = ? WHERE `id` = ?", []],
  ["SELECT `id` FROM `jobs` WHERE `state` = ? FOR UPDATE", []],
  ["BEGIN", []],
  ["INSERT INTO `a` ( `id` ) VALUES ( ? ) ON DUPLICATE KEY UPDATE `n` = `n` + ?", ["on-duplicate-key"]],
  ["REPLACE INTO `a` VALUES ( ... )", ["replace"]],
  ["INSERT IGNORE INTO `a` VALUES ( ... )", ["insert-ignore"]],
  ["SELECT * FROM `a` LIMIT ? , ?", ["limit-comma"]],
  ["DELETE FROM `a` WHERE `x` < ? LIMIT ?", ["update-limit"]],
  ["UPDATE `a` JOIN `b` ON `a` . `id` = `b` . `id` SET `a` . `x` = ?", ["update-join"]],
  ["SELECT IFNULL ( `a` , ? ) FROM `b`", ["function"]],
  ["SELECT `a` FROM `b` WHERE `t` > NOW ( ) - INTERVAL ? DAY", ["interval-unit"]],
  ["SAVEPOINT `x`", ["savepoint"]],
  ["SET NAMES ?", ["set-variable"]],
  ["SELECT @@ `version`", ["system-variable"]],
  ["SHOW TABLES", ["show"]],
  ["TRUNCATE TABLE `a`", ["truncate"]],
  ["SELECT * FROM `a` FOR SHARE", ["lock-share", "locking-clause"]],
  ["CALL `p` ( ? )", ["call"]],
  ["SELECT GET_LOCK ( ? , ? )", ["named-lock"]],
];

test("recorded traffic says which statements would not run, how often, and why", () => {
  for (const [digest, ids] of TRAFFIC) {
    assert.deepEqual(
      obstaclesOf(digest, rules).map(({ id }) => id),
      ids,
      digest,
    );
  }
  const check = new TrafficCheck(rules);
  for (const [index, [digest]] of TRAFFIC.entries()) for (let times = 0; times <= index; times++) check.take(digest);
  check.take(undefined);
  const text = renderTraffic(check);
  assert.match(text, /^277 statements of 23 forms: 248 of 16 forms would not run/);
  assert.match(text, /1 have no text in their record/);
  assert.match(text, /8 x INSERT INTO `a` .*\n {4}on-duplicate-key: INSERT … ON CONFLICT/);
});
