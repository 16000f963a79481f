import assert from "node:assert/strict";
import { test } from "node:test";
import { LEVEL_SCORES } from "../../src/policy/score.ts";
import { contextsOf, GUARDED_POLICY, readBypassCases } from "./bypass-cases.ts";
import { decideText, policyFrom } from "./policy-fixture.ts";

const GUARDED = policyFrom(GUARDED_POLICY);
const DEFAULT = policyFrom("");

for (const attempt of readBypassCases()) {
  test(`bypass ${attempt.file}:${attempt.line} ends in ${attempt.action}: ${attempt.text.slice(0, 100)}`, () => {
    for (const context of contextsOf(attempt)) {
      const policy = attempt.under === "default" ? DEFAULT : GUARDED;
      const decision = decideText(attempt.sql, { policy, context, subject: { schema: "qc_scratch" } });
      const found = `${context.dialect} ${context.serverVersion} ${decision.score} ${JSON.stringify(decision.rules)}`;
      assert.equal(decision.enforcedAction, attempt.action, found);
      if (attempt.rule !== undefined)
        assert.ok(
          decision.rules.some(({ id }) => id === attempt.rule),
          found,
        );
      if (attempt.level !== undefined) {
        assert.ok(decision.score >= LEVEL_SCORES[attempt.level as keyof typeof LEVEL_SCORES], found);
      }
    }
  });
}

test("a text of 100,000 nested parentheses is refused, not overflowed", () => {
  const sql = `SELECT ${"(".repeat(100_000)}1${")".repeat(100_000)}`;
  assert.equal(decideText(sql, { policy: GUARDED }).enforcedAction, "block");
});

test("an IN list of a million items is judged", () => {
  const sql = `SELECT word FROM secret WHERE id IN (${"1,".repeat(1_000_000)}1)`;
  assert.equal(decideText(sql, { policy: GUARDED }).enforcedAction, "block");
});
