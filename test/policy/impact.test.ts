import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../src/base/clock.ts";
import { parsePolicy } from "../../src/policy/file/policy-file.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { decideText, policyFrom, ruleIds, SUBJECT } from "./policy-fixture.ts";

const POLICY = `
impact:
  estimated_rows: { warn: 100, require_approval: 1000, block: 10000 }
  max_changed_rows: 50
`;

describe("planImpact()", () => {
  for (const [sql, needsEstimate, changedRowsMax] of [
    ["SELECT a FROM t", true, undefined],
    ["SELECT a FROM t LIMIT 99", false, undefined],
    ["SELECT a FROM t LIMIT 100000", true, undefined],
    ["TABLE t", true, undefined],
    ["SELECT 1", false, undefined],
    ["SHOW TABLES", false, undefined],
    ["UPDATE t SET a = 1 WHERE b = 2", true, 50],
    ["UPDATE t SET a = 1 WHERE b = 2 LIMIT 5", true, 50],
    ["DELETE t FROM t JOIN u USING (a) WHERE u.b = 1", true, 50],
    ["INSERT INTO t SELECT * FROM u", true, 50],
    ["REPLACE INTO t VALUES (1)", false, 50],
    ["INSERT INTO t VALUES (1), (2)", false, undefined],
    [`INSERT INTO t VALUES ${"(1),".repeat(30)}(2)`, false, 50],
    ["EXPLAIN DELETE FROM t", false, undefined],
    ["TRUNCATE t", false, undefined],
    ["PREPARE p FROM 'DELETE FROM t'", false, undefined],
    ["CREATE PROCEDURE p() DELETE FROM t", false, undefined],
  ] as const) {
    it(`for ${sql.slice(0, 60)}`, () => {
      const { impact } = decideText(sql, { policy: POLICY });
      assert.deepEqual([impact?.needsEstimate ?? false, impact?.changedRowsMax], [needsEstimate, changedRowsMax]);
    });
  }

  it("guards no RETURNING, whose answer is rows", () => {
    const context = { dialect: "mariadb" } as const;
    assert.equal(
      decideText("DELETE FROM t WHERE a = 1 RETURNING a", { policy: POLICY, context }).impact?.changedRowsMax,
      undefined,
    );
    assert.equal(decideText("DELETE FROM t WHERE a = 1", { policy: POLICY, context }).impact?.changedRowsMax, 50);
  });

  it("guards no text of several statements", () => {
    const context = { multiStatements: true };
    const { impact } = decideText("DELETE FROM t WHERE a = 1; DELETE FROM t WHERE a = 2", { policy: POLICY, context });
    assert.deepEqual([impact?.needsEstimate, impact?.changedRowsMax], [true, undefined]);
  });

  it("guards what really runs, whatever stands around it", () => {
    const context = { dialect: "mariadb", serverVersion: 101119 } as const;
    for (const sql of [
      "EXECUTE IMMEDIATE 'DELETE FROM t WHERE a < 9'",
      "SET STATEMENT max_statement_time = 9 FOR DELETE FROM t WHERE a < 9",
      "SET STATEMENT max_statement_time = 9 FOR INSERT INTO t SELECT * FROM u",
    ]) {
      const { impact } = decideText(sql, { policy: POLICY, context });
      assert.deepEqual([impact?.needsEstimate, impact?.changedRowsMax], [true, 50], sql);
    }
  });

  it("refuses what cannot be counted", () => {
    const policy = "multi_statements: true\nthresholds: { block: off }\nimpact: { max_changed_rows: 50 }";
    const context = { dialect: "mariadb", serverVersion: 101119, multiStatements: true } as const;
    for (const sql of [
      "ANALYZE DELETE FROM t WHERE a < 9",
      "ANALYZE FORMAT=JSON UPDATE t SET a = 1 WHERE a < 9",
      "DELETE FROM t WHERE a < 9 RETURNING a",
      "SELECT 1; DELETE FROM t WHERE a < 9",
      "BEGIN NOT ATOMIC DELETE FROM t WHERE a < 9; END",
      "BEGIN NOT ATOMIC IF 1 THEN UPDATE t SET a = 1 WHERE a < 9; END IF; END",
      "EXECUTE IMMEDIATE 'ANALYZE DELETE FROM t WHERE a < 9'",
      "SET STATEMENT max_statement_time = 9 FOR DELETE FROM t WHERE a < 9 RETURNING a",
    ]) {
      const { enforcedAction, ruleId } = decideText(sql, { policy, context });
      assert.deepEqual([enforcedAction, ruleId], ["block", "pol.impact.uncounted"], sql);
    }
    for (const sql of [
      "EXPLAIN DELETE FROM t WHERE a < 9",
      "ANALYZE SELECT * FROM t WHERE a < 9",
      "SELECT 1; INSERT INTO t VALUES (1)",
      "INSERT INTO t VALUES (1) RETURNING a",
      "CREATE PROCEDURE p() DELETE FROM t WHERE a < 9",
    ]) {
      assert.notEqual(decideText(sql, { policy, context }).ruleId, "pol.impact.uncounted", sql);
    }
  });

  it("takes nothing back in observe mode", () => {
    const { impact } = decideText("DELETE FROM t WHERE a = 1", { policy: `mode: observe\n${POLICY}` });
    assert.deepEqual([impact?.needsEstimate, impact?.changedRowsMax], [true, undefined]);
  });
});

it("a plan is not remembered for texts that differ in a LIMIT or in how much they insert", () => {
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: policyFrom(POLICY),
    clock: SYSTEM_CLOCK,
    idPrefix: "t",
    cacheBytesMax: 1_000_000,
  });
  const planOf = (sql: string) => judge.judge(Buffer.from(sql), contextFor({}), SUBJECT).decision.impact;
  for (let round = 0; round < 5; round++) {
    assert.equal(planOf("SELECT a FROM t WHERE b = 1 LIMIT 10"), undefined);
    assert.equal(planOf("INSERT INTO t VALUES (1), (2)"), undefined);
  }
  assert.equal(planOf("SELECT a FROM t WHERE b = 1 LIMIT 999999")?.needsEstimate, true);
  assert.equal(planOf(`INSERT INTO t VALUES ${"(1),".repeat(60)}(2)`)?.changedRowsMax, 50);
});

describe("the estimate", () => {
  for (const [estimatedRows, action, rules] of [
    [99, "allow", []],
    [100, "warn", ["pol.impact.rows"]],
    [1000, "require-approval", ["pol.impact.rows"]],
    [10_000, "block", ["pol.impact.rows"]],
    ["unknown", "warn", ["pol.impact.unknown"]],
  ] as const) {
    it(`of ${estimatedRows} rows is ${action}`, () => {
      const decision = decideText("SELECT a FROM t WHERE b = 1", { policy: POLICY, subject: { estimatedRows } });
      assert.deepEqual([decision.action, ruleIds(decision).filter((id) => id.startsWith("pol."))], [action, rules]);
      assert.equal(decision.isCacheable, false);
    });
  }

  it("decides nothing without impact settings", () => {
    assert.equal(decideText("SELECT a FROM t", { subject: { estimatedRows: 1e9 } }).action, "allow");
  });
});

describe("the impact of a policy file", () => {
  for (const [lines, problem] of [
    ["impact: { max_changed_rows: 5 }", undefined],
    ["impact: { no_estimate: block }", "impact: expected estimated_rows or max_changed_rows"],
    ["impact: { estimated_rows: {} }", "impact.estimated_rows: expected one of warn, require_approval, block"],
    [
      "impact: { estimated_rows: { warn: 10, block: 5 } }",
      "impact.estimated_rows: expected warn <= require_approval <= block",
    ],
    [
      "impact: { estimated_rows: { block: 0 } }",
      'impact.estimated_rows.block: expected a whole number from 1 to 1000000000000, got "0"',
    ],
    [
      "limits: { max_response_rows: many }",
      'limits.max_response_rows: expected a whole number from 1 to 1000000000, got "many"',
    ],
    [
      "limits: { data_guard_action: cutt }",
      'limits.data_guard_action: expected one of warn, cut, terminate, got "cutt", did you mean "cut"',
    ],
  ] as const) {
    it(lines, () => {
      const result = parsePolicy(`version: 1\n${lines}\n`);
      const problems = result.kind === "refused" ? result.problems.map(({ text }) => text) : [undefined];
      assert.deepEqual(problems, [problem]);
    });
  }
});
