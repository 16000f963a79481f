/** What tools, frameworks and people write in earnest, and what they read when several rules add up to a refusal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { MysqlContext } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { decideText } from "./policy-fixture.ts";

const MARIADB: Partial<MysqlContext> = { dialect: "mariadb", serverVersion: 101119 };

/** Statements without anything of an attack in them. */
const ORDINARY: readonly (readonly [why: string, sql: string])[] = [
  [
    "sqlx at every connect",
    "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,NO_ENGINE_SUBSTITUTION')),time_zone='+00:00'," +
      "NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
  ],
  [
    "Flyway's look at an empty schema",
    "SELECT SUM(found) FROM ((SELECT 1 AS found FROM information_schema.tables WHERE table_schema = 'shop') UNION ALL " +
      "(SELECT 1 AS found FROM information_schema.views WHERE table_schema = 'shop' LIMIT 1)) AS all_found",
  ],
  [
    "a report that fills a column",
    "SELECT id, amount, 0 AS fee FROM payments WHERE account_id = 3 " +
      "UNION ALL SELECT id, 0, fee FROM fees WHERE account_id = 3",
  ],
  [
    "a report that fills a column with NULL",
    "SELECT id, NULL AS refund, total FROM sale WHERE day = 3 UNION ALL SELECT id, total, NULL FROM refund WHERE day = 3",
  ],
  ["kinds of rows put together", "SELECT 1 AS a FROM t WHERE n >= 1 UNION SELECT 2 AS a FROM t"],
  ["replication tools", "SELECT GTID_SUBTRACT(@@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged)"],
  ["replication tools", "SELECT GTID_SUBSET('3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5', @@gtid_executed)"],
  ["data build tools", "CREATE OR REPLACE VIEW v AS (SELECT 1 AS id)"],
  ["data build tools", "CREATE TABLE t AS (((SELECT 1 AS id)))"],
  ["a query in parentheses", "INSERT INTO t (a) (SELECT 1)"],
  ["a common table expression of constants", "WITH x AS (SELECT 1 AS id) SELECT id FROM x WHERE id = 1"],
  ["a sum put to the server", "SELECT 1>0>1"],
  ["an assignment", "SET @@session.sql_select_limit := 'x'"],
  ["an assignment", "SET @@time_zone := '+00:00', @a := 'x', time_zone := '+01:00'"],
  ["Django", "SELECT JSON_EXTRACT((SELECT a FROM t LIMIT 1), '$.a')"],
];

const INJECTION = /^(?:inj\.(?!const)|obf\.)/;

for (const [why, sql] of ORDINARY) {
  test(`${why}: no sign of an injection in ${sql.slice(0, 60)}`, () => {
    for (const context of [{}, MARIADB]) {
      const { rules, action } = decideText(sql, { context });
      const heavy = rules.filter(({ id, points }) => INJECTION.test(id) && points > 30);
      assert.deepEqual(heavy, [], sql);
      assert.equal(action, "allow", sql);
    }
  });
}

test("CONNECTION of a table in an engine of the server's own names no other server", () => {
  for (const sql of [
    "CREATE TABLE t (a INT) ENGINE=MEMORY CONNECTION='x'",
    "CREATE TABLE t (a INT) CONNECTION='mysql://u:p@h/s/t' ENGINE = InnoDB",
  ]) {
    assert.ok(!decideText(sql, {}).rules.some(({ id }) => id === "adm.remote"), sql);
  }
  for (const sql of [
    "CREATE TABLE t (a INT) CONNECTION='x'",
    "ALTER TABLE t CONNECTION='x'",
    "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='x'",
    "CREATE TABLE t (a INT) ENGINE=SPIDER ENGINE=MEMORY CONNECTION='x'",
    "CREATE TABLE t (a INT) CONNECTION='x' AS SELECT 1",
  ]) {
    assert.ok(
      decideText(sql, {}).rules.some(({ id }) => id === "adm.remote"),
      sql,
    );
  }
});

test("a hint that the server leaves out hides nothing and breaks nothing", () => {
  for (const sql of [
    "SELECT /*+ MAX_EXECUTION_TIME(100) INDEX(`t) */ a FROM t WHERE a = 1",
    "SELECT /*+ ) */ a FROM t WHERE a = 1",
    "UPDATE /*+ ( */ t SET a = 1 WHERE a = 1",
  ]) {
    const { understood, score } = decideText(sql, {});
    assert.deepEqual([understood, score], [true, 0], sql);
  }
  const { tablesRead } = analyze(encodeUtf8("SELECT a FROM (SELECT /*+ ( */ b FROM mysql.user) x"), contextFor({}))
    .statements[0] ?? { tablesRead: [] };
  assert.deepEqual(
    tablesRead.map(({ table }) => table),
    ["user"],
  );
});

/** The clause asks about no row. */
const WITH_EXISTS = [
  "DROP USER IF EXISTS 'a'",
  "DROP USER IF EXISTS 'a'@'localhost', 'b'@'10.%'",
  "CREATE USER IF NOT EXISTS 'a'@'localhost' IDENTIFIED BY 'x'",
  "ALTER USER IF EXISTS 'a'@'localhost' ACCOUNT LOCK",
  "CREATE ROLE IF NOT EXISTS 'r1', 'r2'",
  "DROP ROLE IF EXISTS 'r'",
  "DROP SERVER IF EXISTS 's'",
  "REVOKE IF EXISTS SELECT ON t FROM 'a'",
];

for (const sql of WITH_EXISTS) {
  test(`IF [NOT] EXISTS adds nothing to ${sql}`, () => {
    const plain = sql.replace(/IF (?:NOT )?EXISTS /, "");
    assert.deepEqual(
      decideText(sql, {}).rules.map(({ id, points }) => [id, points]),
      decideText(plain, {}).rules.map(({ id, points }) => [id, points]),
    );
  });
}

test("EXISTS before a subquery is still an operator", () => {
  const { rules } = decideText("SELECT a FROM t WHERE a = 1 OR NOT EXISTS (SELECT 1)", {});
  assert.ok(rules.some(({ id }) => id === "inj.blind"));
});

test("a query injected into an application's report is still found", () => {
  const { action, rules } = decideText(
    "SELECT id, amount, 0 AS fee FROM payments WHERE account_id = 3 UNION SELECT NULL, password, NULL FROM member",
    {},
  );
  assert.notEqual(action, "allow");
  assert.ok(rules.some(({ id }) => id === "inj.union"));
});

test("a definition may name its schema, as migration tools do", () => {
  for (const sql of [
    "DROP TABLE other.t",
    "TRUNCATE other.t",
    "ALTER TABLE other.t ADD c INT",
    "CREATE INDEX i ON other.t (a)",
  ]) {
    const { action, rules } = decideText(sql, { subject: { schema: "shop" } });
    assert.notEqual(action, "block", sql);
    assert.ok(!rules.some(({ id }) => id === "acc.xschema"), sql);
  }
  const copied = decideText("CREATE TABLE t AS SELECT a FROM other.t", { subject: { schema: "shop" } });
  assert.ok(copied.rules.some(({ id }) => id === "acc.xschema"));
});

const STRICT = "rules: { dml.nowhere: block, ddl.truncate: block }";

test("migration tools may change their own tables without WHERE, whatever the policy says of that", () => {
  for (const sql of [
    "UPDATE `knex_migrations_lock` SET `is_locked` = 1",
    "DELETE FROM shop.DATABASECHANGELOGLOCK",
    "TRUNCATE TABLE `schema_migrations`",
    "DELETE FROM alembic_version",
  ]) {
    const { action, score, exceptions } = decideText(sql, { policy: STRICT });
    assert.deepEqual([action, score, exceptions], ["allow", 0, ["built-in.housekeeping"]], sql);
  }
});

test("nobody borrows a migration tool's exception", () => {
  for (const sql of [
    "UPDATE knex_migrations_lock SET is_locked = (SELECT MAX(id) FROM member)",
    "DELETE knex_migrations, member FROM knex_migrations JOIN member",
    "UPDATE member SET a = 1",
    "DELETE FROM knex_migrations_lock_2",
  ]) {
    assert.equal(decideText(sql, { policy: STRICT }).action, "block", sql);
  }
  const sql = "UPDATE knex_migrations_lock SET is_locked = 1";
  assert.equal(decideText(sql, { policy: `${STRICT}\nhousekeeping: false` }).action, "block");
  assert.equal(decideText(sql, { policy: "read_only: true" }).action, "block");
  assert.equal(decideText(sql, { policy: "deny: { tables: [knex_*] }" }).action, "block");
});

test("a refusal names the rule that tipped the score, and what helps against it", () => {
  const { reason } = decideText("SELECT 1; DROP TABLE t", {});
  assert.match(reason, /by rule ddl\.drop \(risk 100, inj\.stacked 40 of it\): .*; a statement after the first one/);
  assert.match(reason, /Send statements one by one/);
  assert.doesNotMatch(reason, /Rename the table/);
});

test("a refusal by one rule alone names that one", () => {
  const { reason } = decideText("DROP DATABASE shop", {});
  assert.match(reason, /by rule ddl\.dropdb \(risk 90\): A whole schema is dropped\. Take a snapshot/);
});

test("a refusal does not quote an example as if it were the statement", () => {
  const { reason } = decideText(
    "SELECT a FROM t WHERE a = 1 OR 5=5 AND 3=4 UNION SELECT NULL, password FROM mysql.user",
    {},
  );
  assert.doesNotMatch(reason, /1=1|7=7|count =/);
});
