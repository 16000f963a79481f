import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parsePolicy } from "../../src/policy/file/policy-file.ts";
import { lintPolicy } from "../../src/policy/tools/policy-lint.ts";
import { decideText, NOON, policyFrom, ruleIds } from "./policy-fixture.ts";

const MARIADB = { context: { dialect: "mariadb", serverVersion: 101119 } } as const;

const denied = (sql: string, kind: string): string | undefined =>
  decideText(sql, { ...MARIADB, policy: `deny: { statements: ["${kind}"] }\nthresholds: { block: off }` }).ruleId;
const actionOf = (sql: string, policy: string): string => decideText(sql, { ...MARIADB, policy }).enforcedAction;

/** What a statement does, under every name by which a policy may deny it. */
const DENIED: readonly (readonly [sql: string, kinds: readonly string[]])[] = [
  ["CREATE OR REPLACE TABLE t (a INT)", ["create-table", "drop-table", "drop-*", "drop", "create"]],
  ["CREATE OR REPLACE TABLE t SELECT 1", ["drop-table"]],
  ["CREATE OR REPLACE DATABASE d", ["create-schema", "drop-schema", "drop-*"]],
  ["CREATE OR REPLACE SCHEMA d COMMENT 'x'", ["drop-schema"]],
  ["CREATE OR REPLACE VIEW v AS SELECT 1", ["create-view", "drop-view"]],
  ["CREATE OR REPLACE SEQUENCE s", ["drop-sequence"]],
  ["CREATE OR REPLACE INDEX i ON t (a)", ["drop-index", "create-index"]],
  ["CREATE OR REPLACE USER u", ["drop-user"]],
  ["CREATE OR REPLACE FUNCTION f RETURNS INT SONAME 'x.so'", ["drop-function"]],
  ["CREATE OR REPLACE PROCEDURE p() SELECT 1", ["drop-procedure"]],
  ["ALTER TABLE t ENGINE=BLACKHOLE", ["alter-table", "drop-table", "truncate"]],
  ["ALTER TABLE t ENGINE 'merge'", ["drop-table"]],
  ["ALTER TABLE t COMMENT 'x', ENGINE = `MEMORY`", ["truncate"]],
  ["ALTER TABLE t DROP PARTITION p", ["drop-partition", "drop-table", "truncate"]],
  ["ALTER TABLE t WAIT 3 DROP PARTITION p", ["drop-partition"]],
  ["ALTER TABLE t TRUNCATE PARTITION ALL", ["truncate"]],
  ["ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u", ["drop-partition"]],
  ["ALTER TABLE t CONVERT PARTITION p TO TABLE u", ["drop-partition"]],
  ["ALTER TABLE t DISCARD TABLESPACE", ["drop-table"]],
  ["ALTER TABLE t IMPORT TABLESPACE", ["drop-table"]],
  ["ALTER TABLE t DISCARD PARTITION p TABLESPACE", ["drop-partition"]],
  ["ALTER TABLE t DROP SYSTEM VERSIONING", ["drop-table"]],
  ["ALTER TABLE t DROP a", ["drop-column"]],
  ["ALTER TABLE t DROP INDEX a", ["drop-index"]],
  ["ALTER TABLE t ADD UNIQUE KEY (a)", ["create-index"]],
  ["ALTER TABLE t RENAME u", ["rename-table"]],
  ["REPAIR TABLE t USE_FRM", ["drop-table"]],
  ["DELETE a FROM a JOIN b USING (id)", ["delete"]],
  ["UPDATE a JOIN b USING (id) SET a.x = 1", ["update"]],
  ["INSERT INTO a SELECT * FROM b", ["insert"]],
  ["INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE a = 2", ["update"]],
  ["REPLACE INTO a VALUES (1)", ["replace", "insert", "delete"]],
  ["REPLACE INTO a SELECT 1", ["replace", "delete"]],
  ["LOAD DATA INFILE 'x' REPLACE INTO TABLE a", ["insert", "delete"]],
  ["TABLE a", ["select"]],
  ["HANDLER a OPEN", ["select"]],
  ["EXECUTE IMMEDIATE 'SELECT 1'", ["execute"]],
  ["RESET PERSIST", ["reset"]],
];

const PASSED: readonly (readonly [sql: string, kind: string])[] = [
  ["CREATE TABLE t (a INT)", "drop-*"],
  ["CREATE DATABASE d", "drop-*"],
  ["ALTER TABLE t ENGINE=InnoDB", "drop-*"],
  ["ALTER TABLE t ENGINE=aria, ALGORITHM=COPY", "drop-*"],
  ["ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", "drop-*"],
  ["ALTER TABLE t DROP FOREIGN KEY f", "drop-*"],
  ["ALTER TABLE t REORGANIZE PARTITION p INTO (PARTITION q VALUES LESS THAN (9))", "drop-*"],
  ["CREATE TABLE t (a INT) ENGINE=BLACKHOLE", "drop-*"],
  ["INSERT INTO a VALUES (1)", "update"],
  ["SELECT 1", "set"],
];

describe("the kinds that a policy names", () => {
  for (const [sql, kinds] of DENIED) {
    for (const kind of kinds) {
      it(`deny ${kind} covers ${sql}`, () => assert.equal(denied(sql, kind), "pol.deny.statement"));
    }
  }
  for (const [sql, kind] of PASSED) {
    it(`deny ${kind} leaves ${sql}`, () => assert.notEqual(denied(sql, kind), "pol.deny.statement"));
  }

  it("an allow list must name what a statement destroys or overwrites too", () => {
    const policy = (kinds: string): string => `allow: { statements: [${kinds}] }\nthresholds: { block: off }`;
    for (const [sql, own, also] of [
      ["CREATE OR REPLACE TABLE t (a INT)", "create-table", "drop-table"],
      ["CREATE OR REPLACE DATABASE d", "create-schema", "drop-schema"],
      ["INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE a = 2", "insert", "update"],
      ["ALTER TABLE t DROP PARTITION p", "alter-table", "drop-partition"],
      ["ALTER TABLE t ENGINE=BLACKHOLE", "alter-table", "drop-table"],
    ] as const) {
      assert.equal(actionOf(sql, policy(own)), "block", sql);
      assert.notEqual(actionOf(sql, policy(`${own}, ${also}`)), "block", sql);
    }
    assert.notEqual(actionOf("ALTER TABLE t DROP a", policy("alter-table")), "block");
    assert.equal(actionOf("DELETE a FROM a JOIN b USING (id)", policy("delete")), "block");
  });
});

describe("what destroys a table or schema", () => {
  it("weighs as much as a drop", () => {
    const scoreOf = (sql: string): number => decideText(sql, MARIADB).score;
    const drop = scoreOf("DROP TABLE t");
    for (const sql of [
      "CREATE OR REPLACE TABLE t (a INT)",
      "ALTER TABLE t ENGINE=BLACKHOLE",
      "ALTER TABLE t ENGINE=MERGE",
      "ALTER TABLE t DISCARD TABLESPACE",
      "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u",
    ]) {
      assert.equal(scoreOf(sql), drop, sql);
    }
    assert.equal(scoreOf("CREATE OR REPLACE DATABASE d"), scoreOf("DROP DATABASE d"));
    assert.equal(scoreOf("CREATE OR REPLACE TEMPORARY TABLE t (a INT)"), scoreOf("CREATE TEMPORARY TABLE t (a INT)"));
    assert.deepEqual(ruleIds(decideText("CREATE OR REPLACE TABLE t (a INT)", MARIADB)), ["ddl.drop"]);
  });

  it("has the points of its own kind where the rule for drops is off", () => {
    const policy = "rules: { ddl.drop: off }";
    assert.deepEqual(ruleIds(decideText("CREATE OR REPLACE TABLE t (a INT)", { ...MARIADB, policy })), ["ddl.create"]);
  });

  it("touches every table of a schema that goes with it", () => {
    for (const sql of ["DROP DATABASE shop", "CREATE OR REPLACE DATABASE shop", "DROP SCHEMA IF EXISTS Shop"]) {
      for (const policy of [
        "deny: { tables: [shop.salary] }",
        "deny: { tables: [salary] }",
        "canary_tables: [shop.old]",
        "allow: { tables: [shop.book] }",
      ]) {
        const decision = decideText(sql, { ...MARIADB, policy: `${policy}\nthresholds: { block: off }` });
        assert.equal(decision.enforcedAction, "block", `${sql} under ${policy}`);
      }
      const others = "deny: { tables: [hr.salary] }\nallow: { tables: ['shop.*'] }\nthresholds: { block: off }";
      // A permission for shop is one for Shop only where the server says that case does not count.
      const subject = { ignoresTableCase: true };
      assert.notEqual(decideText(sql, { ...MARIADB, policy: others, subject }).enforcedAction, "block", sql);
    }
  });
});

describe("lintPolicy() about kinds", () => {
  const textsFor = (lines: string): string[] => lintPolicy(policyFrom(lines), NOON).map(({ text }) => text);

  it("tells which kinds of a family a denial leaves out", () => {
    assert.deepEqual(textsFor("deny: { statements: [delete-multi] }"), [
      'deny.statements: "delete-multi" leaves delete; write delete for all of them',
    ]);
    for (const lines of ["[delete]", "['delete*']", "[delete-multi, delete]", "[drop-table, set]"]) {
      assert.deepEqual(textsFor(`deny: { statements: ${lines} }`), []);
    }
  });

  it("a name that means no kind is refused when the policy is loaded", () => {
    const result = parsePolicy("version: 1\ndeny: { statements: [remove] }");
    assert.equal(result.kind, "refused");
  });
});
