import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SQL_MODE } from "../../src/sql/facts.ts";
import { decideText, ruleIds } from "../policy/policy-fixture.ts";
import { assertGrowth } from "../support/growth.ts";
import { COPYING_WRITES, PARTIAL_WRITES, WHOLE_WRITES } from "../support/whole-writes.ts";

const DIALECTS = [{}, { dialect: "mariadb", serverVersion: 101119 }] as const;
const isBounded = (sql: string): boolean => / LIMIT /.test(sql);

describe("a change that leaves no row out", () => {
  for (const sql of WHOLE_WRITES) {
    it(`is found: ${sql}`, () => {
      for (const context of DIALECTS) {
        const decision = decideText(sql, { context });
        assert.ok(ruleIds(decision).includes("dml.nowhere"));
        assert.notEqual(decision.enforcedAction, "allow");
        const required = decideText(sql, { context, policy: "require_where: [t, u]" });
        assert.equal(required.ruleId, "pol.where");
      }
    });
  }
  for (const sql of COPYING_WRITES) {
    it(`may be one: ${sql}`, () => assert.equal(decideText(sql).score, 30));
  }
  for (const sql of PARTIAL_WRITES.filter((text) => !isBounded(text))) {
    it(`is not what this is: ${sql}`, () => {
      for (const context of DIALECTS) assert.ok(!ruleIds(decideText(sql, { context })).includes("dml.nowhere"));
    });
  }

  it("may be one where a name could not be read, whatever is asked of it", () => {
    const asked = (sql: string, charset: string): boolean =>
      ruleIds(decideText(Buffer.from(sql, "latin1"), { context: { charset } })).includes("dml.nowhere");
    const unclear = [
      "DELETE FROM t WHERE \xe9 = id",
      "DELETE FROM t WHERE NOT \xe9 = 5",
      "DELETE FROM t WHERE NOT (a\xe9 <> b\xe9)",
      "DELETE FROM t WHERE a\xe9 IS NULL OR id IS NOT NULL",
      "DELETE FROM t WHERE a\xe9 = 1 XOR id = 5",
      "DELETE t FROM t LEFT JOIN u ON u.\xe9 <> u.id WHERE u.id IS NULL",
    ];
    for (const sql of unclear) assert.ok(asked(sql, "unknown"), sql);
    for (const sql of ["DELETE FROM t WHERE \xe9 = id", "DELETE FROM t WHERE NOT \xe9 = 5"]) {
      assert.ok(!asked(sql, "latin1"), sql);
    }
    assert.ok(!asked("DELETE FROM t WHERE id = 5 AND NOT a\xe9 = 1", "unknown"));
  });

  it("is one of the table of that alias among many, where another differs in case alone", () => {
    const others = Array.from({ length: 10 }, (_, index) => `u u${index}`).join(", ");
    for (const [written, asked] of ["aA", "Aa"] as const) {
      const write = `UPDATE t a, t A, ${others} SET ${written}.a = 9 WHERE ${asked}.id = 3`;
      assert.ok(ruleIds(decideText(write)).includes("dml.nowhere"), write);
    }
  });

  it("is judged in time that grows with the text", () => {
    const deep = `DELETE FROM t WHERE ${"(".repeat(200)}id = 1${")".repeat(200)}`;
    assert.ok(!ruleIds(decideText(deep)).includes("dml.nowhere"));
    for (const [term, joint] of [
      ["id = 1", " OR "],
      ["(id = 1 OR b = 2)", " AND "],
      ["id IN (SELECT id FROM u WHERE a = 1)", " OR "],
      ["NOT EXISTS (SELECT 1 FROM u WHERE u.id = t.id)", " AND "],
    ] as const) {
      assertGrowth(term, { from: 500, to: 4_000, most: 20 }, (count) => {
        decideText(`DELETE FROM t WHERE ${Array.from({ length: count }, () => term).join(joint)}`);
      });
    }
    // Each item of a list is compared with its left side. SAFETY: when the looks run out, no row counts as left out.
    assertGrowth("a long call and a long list", { from: 2_000, to: 16_000, most: 20 }, (parts) => {
      const call = `DELETE FROM t WHERE CONCAT(id${", ''".repeat(parts)}) IN (1${", 2".repeat(parts)})`;
      assert.ok(ruleIds(decideText(call)).includes("dml.nowhere"));
    });
  });
});

describe("NOT that binds as much as ! does", () => {
  const HIGH_NOT = [
    "DELETE FROM t WHERE NOT id BETWEEN 0 AND 1",
    "DELETE FROM t WHERE NOT id IN (0, 1)",
    "DELETE FROM t WHERE NOT id >= 0",
    "UPDATE t SET a = 1 WHERE NOT id < 2",
    "DELETE FROM t WHERE NOT id IS NOT NULL IS NOT NULL",
  ];
  for (const sql of HIGH_NOT) {
    it(`leaves no row out with HIGH_NOT_PRECEDENCE, and may where the mode is not known: ${sql}`, () => {
      for (const sqlMode of [SQL_MODE.HIGH_NOT_PRECEDENCE, "unknown"] as const) {
        assert.ok(ruleIds(decideText(sql, { context: { sqlMode } })).includes("dml.nowhere"), String(sqlMode));
      }
    });
  }
});
