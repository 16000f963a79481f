import assert from "node:assert/strict";
import { before, test } from "node:test";
import { explainedStatement } from "../../../src/sql/plans/explained-statement.ts";
import { loadParser } from "../../../src/sql/postgres/parser/parser.ts";

before(loadParser);

test("an UPDATE or DELETE becomes the SELECT of the rows that it reads", () => {
  const pairs: readonly (readonly [given: string, explained: string])[] = [
    ["UPDATE t SET a = 1 WHERE id = 7;", "SELECT * FROM t WHERE id = 7"],
    ["UPDATE t SET a = 1", "SELECT * FROM t"],
    ["update only s.t as x set a = b is distinct from c where x.id > 1", "SELECT * FROM only s.t as x where x.id > 1"],
    ["UPDATE t SET a = u.a FROM u, v WHERE t.id = u.id RETURNING t.*", "SELECT * FROM t, u, v WHERE t.id = u.id"],
    ["UPDATE t SET a = (SELECT b FROM w WHERE w.id = t.id)", "SELECT * FROM t"],
    ["UPDATE set SET a = 1 WHERE b", "SELECT * FROM set WHERE b"],
    ['UPDATE "from" SET "where" = 1 WHERE "set" = 2', 'SELECT * FROM "from" WHERE "set" = 2'],
    ["DELETE FROM t WHERE id IN (SELECT id FROM u WHERE x)", "SELECT * FROM t WHERE id IN (SELECT id FROM u WHERE x)"],
    ["DELETE FROM t USING u AS y WHERE t.id = y.id RETURNING 1", "SELECT * FROM t, u AS y WHERE t.id = y.id"],
    ["DELETE FROM t", "SELECT * FROM t"],
    [
      "WITH w AS (SELECT 1 AS id) DELETE FROM t USING w WHERE t.id = w.id",
      "WITH w AS (SELECT 1 AS id) SELECT * FROM t, w WHERE t.id = w.id",
    ],
  ];
  for (const [given, sql] of pairs) assert.deepEqual(explainedStatement(given), { sql, isRewritten: true }, given);
  assert.deepEqual(explainedStatement(" SELECT ';' ; -- end"), { sql: "SELECT ';'", isRewritten: false });
});

test("what cannot be run without a change, or is more than one statement, is refused", () => {
  for (const given of [
    "INSERT INTO t VALUES (1)",
    "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE",
    "SELECT 1; DROP TABLE t",
    "UPDATE t SET a = 1; SELECT 1",
    "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
    "WITH d AS (DELETE FROM t RETURNING *) UPDATE u SET a = 1 FROM d",
    "SELECT * INTO u FROM t",
    "SELECT * FROM t FOR UPDATE",
    "UPDATE t SET a = 1 WHERE CURRENT OF c",
    "DO $$ BEGIN END $$",
    "CALL p()",
    "EXPLAIN SELECT 1",
    "VALUES (1",
    "SELECT 'open",
    "",
  ]) {
    assert.ok("refusal" in explainedStatement(given), given);
  }
});
