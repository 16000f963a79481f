/** Whatever is repeated in a text, judging it takes steps in proportion to its length. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Steps } from "../../src/policy/rules/steps.ts";
import { collectHits } from "../../src/policy/score.ts";
import { resolveSettings } from "../../src/policy/settings.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { Reading, StatementFacts } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { Dice } from "../support/digest-oracle.ts";
import { FRAGMENTS, HEADS, repeated, STRICT_POLICY, TAILS, type WorstText } from "../support/worst-texts.ts";
import { decideText, NOON, policyFrom, SUBJECT } from "./policy-fixture.ts";

const SHORT_BYTES = 2 << 10;
const LONG_BYTES = 8 << 10;
/**
 * A text of four times the length may take four times the steps, and more where it has not been deep enough before: names
 * are looked for in 32 queries around them. A square would be 16 times.
 */
const GROWTH_MAX = { rules: 5, walk: 12 } as const;
/** What a text takes whatever its length says nothing about growth. */
const STEPS_COUNTED_MIN = 15_000;
const TIMEOUT_MS = 60_000;
const COMBINATIONS = process.env["QUERYCOP_TEST_SCALE"] === "full" ? 20_000 : 150;

const policy = policyFrom(STRICT_POLICY.replace("version: 1\n", ""));
const subject = { ...SUBJECT, schema: "shop" };
const resolved = resolveSettings(policy, subject, NOON);
const context = { ...contextFor({ schema: "shop" }), dialect: "mariadb" } as const;

/** The list, telling of every item that is looked at: whoever walks over it, and by whichever method. */
function counted<Item>(list: readonly Item[], onLook: () => void): readonly Item[] {
  return new Proxy(list, {
    get(target, key, receiver) {
      if (typeof key === "string" && key >= "0" && key <= "9~") onLook();
      return Reflect.get(target, key, receiver);
    },
  });
}

/** Looks at facts by all rules together, and steps of the walk before. */
function stepsOf(text: WorstText, bytes: number): { rules: number; walk: number } {
  const analysis = analyze(Buffer.from(repeated(text, bytes)), context);
  let rules = 0;
  const onLook = (): void => {
    rules++;
  };
  const countedFacts = (statement: StatementFacts): StatementFacts => {
    const lists = Object.entries(statement).filter(([, value]) => Array.isArray(value));
    return { ...statement, ...Object.fromEntries(lists.map(([key, list]) => [key, counted(list, onLook)])) };
  };
  const reading: Reading = {
    ...analysis,
    statements: counted(analysis.statements.map(countedFacts), onLook),
    findings: counted(analysis.findings, onLook),
  };
  const steps = new Steps(Number.POSITIVE_INFINITY);
  collectHits({ analysis, reading, settings: resolved.settings, subject, steps }, resolved);
  return { rules, walk: analysis.steps };
}

function assertLinear(text: WorstText): void {
  const short = stepsOf(text, SHORT_BYTES);
  const long = stepsOf(text, LONG_BYTES);
  for (const of of ["rules", "walk"] as const) {
    const growth = long[of] / Math.max(1, short[of]);
    const isLinear = long[of] < STEPS_COUNTED_MIN || growth <= GROWTH_MAX[of];
    assert.ok(isLinear, `${of}: ${short[of]} → ${long[of]} ${JSON.stringify(text)}`);
  }
}

describe("the steps of judging a text", () => {
  for (const [index, fragment] of FRAGMENTS.entries()) {
    test(`are in proportion to its length: ${JSON.stringify(fragment)} over and over`, { timeout: TIMEOUT_MS }, () => {
      for (let at = index % 4; at < HEADS.length; at += 4) {
        assertLinear({ head: HEADS[at] as string, unit: [fragment], tail: "" });
      }
    });
  }

  test("are in proportion to its length in combinations of fragments", { timeout: TIMEOUT_MS }, () => {
    const dice = new Dice(8);
    for (let index = 0; index < COMBINATIONS; index++) {
      const unit = Array.from({ length: 2 + dice.below(3) }, () => dice.pick(FRAGMENTS));
      assertLinear({ head: dice.pick(HEADS), unit, tail: dice.pick(TAILS) });
    }
  });

  test("stay few where two tables are said to be equal over and over", () => {
    const text: WorstText = {
      head: "SELECT * FROM orders a JOIN orders b WHERE a.id = 1",
      unit: [" AND a.tenant_id = b.tenant_id", " AND b.tenant_id = a.tenant_id"],
      tail: "",
    };
    const { rules } = stepsOf(text, 1400);
    assert.ok(rules < 10_000, `${rules}`);
  });

  test("are within its budget", { timeout: TIMEOUT_MS }, () => {
    for (const fragment of FRAGMENTS) {
      const sql = repeated({ head: "SELECT 1 FROM a WHERE 1", unit: [fragment], tail: "" }, LONG_BYTES);
      const { rules } = decideText(sql, { policy, context });
      assert.ok(!rules.some(({ id }) => id === "pol.budget"), fragment);
    }
  });
});

describe("a text whose steps run out", () => {
  const sql = "SELECT a.id FROM book a JOIN book b ON a.id = b.id WHERE a.id = 1";

  test("is blocked by a rule of that name", () => {
    const decision = decideText(sql, { stepsMax: 1 });
    assert.equal(decision.enforcedAction, "block");
    assert.equal(decision.ruleId, "pol.budget");
  });

  test("is blocked whatever the policy says of the rule", () => {
    for (const lines of ["rules: { pol.budget: off }", "rule_sets: { policy: off }"]) {
      assert.equal(decideText(sql, { policy: lines, stepsMax: 1 }).enforcedAction, "block", lines);
    }
  });

  test("passes in observe mode, and says so", () => {
    const decision = decideText(sql, { policy: "mode: observe", stepsMax: 1 });
    assert.equal(decision.action, "allow");
    assert.equal(decision.enforcedAction, "block");
  });
});
