import assert from "node:assert/strict";
import { before, test } from "node:test";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { RULES, testingRules } from "../../src/policy/rules/rules.ts";
import { Steps } from "../../src/policy/rules/steps.ts";
import { resolveSettings } from "../../src/policy/settings.ts";
import { contextFor, subjectFor } from "../../src/policy/tools/tool-context.ts";
import type { Analysis } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { analyze as analyzePostgres } from "../../src/sql/postgres/analyze.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../support/postgres-context.ts";
import { POSTGRES_TEXTS } from "../support/postgres-texts.ts";
import { STATEMENT_TEXTS } from "../support/statement-texts.ts";

before(readyToParse);

const subject = subjectFor({ user: "app", schema: "shop" });
const { settings } = resolveSettings(DEFAULT_POLICY, subject, 0);
const unasked = RULES.filter(({ needs }) => needs?.(settings) === false);

function assertFindNothing(analysis: Analysis) {
  for (const reading of analysis.readings) {
    for (const statement of reading.statements) {
      const input = { analysis, reading, settings, subject, steps: new Steps(1_000_000) };
      for (const { id, test: look } of unasked) {
        assert.equal(look?.(statement, input), undefined, `${id}: ${Buffer.from(analysis.sql)}`);
        // What is not asked has not spent steps either.
        assert.equal(input.steps.spent, 0, id);
      }
    }
  }
}

test("a policy without lists asks no rule that goes by them, and asks the others", () => {
  assert.ok(unasked.length >= 10);
  const asked = testingRules("mysql", settings);
  assert.deepEqual(
    unasked.filter((rule) => asked.some(({ id }) => id === rule.id)),
    [],
  );
  assert.ok(asked.some(({ id }) => id === "acc.secret"));
});

test("rules that are not asked would have found nothing in MySQL's statements", () => {
  for (const { context, texts } of STATEMENT_TEXTS) {
    for (const sql of texts) assertFindNothing(analyze(Buffer.from(sql), { ...contextFor({}), ...context }));
  }
});

test("rules that are not asked would have found nothing in PostgreSQL's statements", () => {
  for (const sql of Object.values(POSTGRES_TEXTS).flat())
    assertFindNothing(analyzePostgres(Buffer.from(sql), POSTGRES_CONTEXT));
});
