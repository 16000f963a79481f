import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decideText, policyFrom } from "./policy-fixture.ts";

const POLICY = policyFrom(`thresholds: { warn: off, block: off }
multi_statements: true
profiles:
  - { name: production, match: { schemas: ["prod*"] }, read_only: true, limits: { max_response_rows: 10 } }
  - { name: tenants, match: { schemas: [shop] }, tenants: [{ tables: [orders], column: tenant_id, value: "7" }] }
  - { name: loose, match: { schemas: [scratch] }, mode: "off" }
`);

const decideIn = (sql: string, schema: string | undefined) => decideText(sql, { policy: POLICY, subject: { schema } });

describe("a profile that matches by schema", () => {
  for (const [sql, schema] of [
    ["DELETE FROM prod.t", "other"],
    ["DELETE FROM `PROD`.t", "other"],
    ["DELETE FROM prod_eu.t", undefined],
    ["DELETE FROM t", undefined],
    ["UPDATE other.t JOIN prod.u USING (id) SET t.a = 1", "other"],
    ["USE prod; DELETE FROM t", "other"],
    ["DROP DATABASE prod", "other"],
    ["CALL prod.p()", "scratch"],
    ["DELETE FROM prod.t", "scratch"],
    ["TRUNCATE prod.t", "shop"],
  ] as const) {
    it(`holds for its tables in whichever schema the session is: ${sql} in ${schema}`, () => {
      const { ruleId, isReadOnly, limits } = decideIn(sql, schema);
      assert.deepEqual([ruleId, isReadOnly, limits?.responseRowsMax], ["pol.readonly", true, 10]);
    });
  }

  it("holds its tenants for bound values too", () => {
    const bound = (value: string) =>
      decideText("SELECT id FROM shop.orders WHERE tenant_id = ?", {
        policy: POLICY,
        subject: { schema: "other" },
        values: [value],
      });
    assert.equal(bound("8").ruleId, "acc.tenant");
    assert.equal(bound("7").action, "allow");
  });

  it("is nobody else's", () => {
    assert.equal(decideIn("DELETE FROM other.t", "other").action, "allow");
    assert.equal(decideIn("SELECT id FROM prod.t", "other").action, "allow");
    assert.equal(decideIn("SELECT 1", "other").limits, undefined);
  });

  it("makes nothing milder for sessions in another schema", () => {
    assert.equal(decideIn("DELETE FROM scratch.t", "prod").ruleId, "pol.readonly");
    assert.equal(decideIn("DELETE FROM scratch.t", "scratch").action, "allow");
  });
});
