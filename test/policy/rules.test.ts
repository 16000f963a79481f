import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { RULE_CATEGORIES } from "../../src/policy/policy.ts";
import { RULES } from "../../src/policy/rules/rules.ts";
import { renderRulesMarkdown } from "../../src/policy/tools/rules-doc.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { FINDING_NAMES, type FindingName } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { sha256Hex } from "../../src/sql/mysql/digest/digest.ts";
import { readyToParse } from "../support/postgres-context.ts";
import { decideText } from "./policy-fixture.ts";

before(readyToParse);

/** Findings that only say what a rule on the kind or on another finding says already, or that are plain facts. */
const FINDINGS_WITHOUT_RULE: ReadonlySet<FindingName> = new Set([
  // The rule dyn.unknown looks at the reading itself.
  "not-understood",
]);

for (const rule of RULES) {
  test(`the example of ${rule.id} raises it, with points in the documented range`, () => {
    const { sql, subject, context = {}, disagreements = [], stepsMax, engine } = rule.example;
    const digest = sha256Hex(analyze(new TextEncoder().encode(sql), contextFor({})).digest);
    const policy = rule.id === "pol.deny.digest" ? `deny: { digests: ["${digest}"] }` : (rule.example.policy ?? "");
    const decision = decideText(sql, {
      policy,
      context,
      disagreements,
      ...(engine === undefined ? {} : { engine }),
      ...(subject === undefined ? {} : { subject }),
      ...(stepsMax === undefined ? {} : { stepsMax }),
    });
    const hit = decision.rules.find(({ id }) => id === rule.id);
    assert.ok(hit, `${decision.score} ${JSON.stringify(decision.rules)}`);
    const [low = 0, high = low] = rule.points.split("-").map(Number);
    assert.ok(hit.points >= low && hit.points <= high, `${hit.points} is not in ${rule.points}`);
    assert.ok(hit.start >= 0 && hit.end <= new TextEncoder().encode(sql).length && hit.start <= hit.end);
  });
}

test("rule ids are unique and start with a lower case family", () => {
  assert.equal(new Set(RULES.map(({ id }) => id)).size, RULES.length);
  for (const { id } of RULES) assert.match(id, /^[a-z]+\.[a-z0-9.]+$/);
});

test("every rule has words for people that end without a full stop", () => {
  for (const { id, title, rewrite } of RULES) {
    for (const text of [title, rewrite]) assert.match(text, /^[A-Z].{7,}[^.]$/, id);
  }
});

test("every rule set has at least one rule", () => {
  for (const category of RULE_CATEGORIES)
    assert.ok(
      RULES.some((rule) => rule.category === category),
      category,
    );
});

test("every finding of the analysis is weighed by a rule", () => {
  const weighed = new Set(RULES.flatMap(({ findings }) => Object.keys(findings ?? {})));
  for (const name of Object.keys(FINDING_NAMES)) {
    assert.ok(weighed.has(name) || FINDINGS_WITHOUT_RULE.has(name as FindingName), name);
  }
});

test("docs/rules.md is what the table of rules says", () => {
  assert.equal(readFileSync(new URL("../../docs/rules.md", import.meta.url), "utf8"), renderRulesMarkdown());
});
