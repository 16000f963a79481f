/** What the tools for policies print for people, to the letter. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_POLICY, type Policy } from "../../src/policy/policy.ts";
import { COLOUR_PALETTE, explain, PLAIN_PALETTE, renderExplanation } from "../../src/policy/tools/explain.ts";
import { PolicyReplay, renderReplay } from "../../src/policy/tools/policy-replay.ts";
import { NOON, policyFrom } from "./policy-fixture.ts";

function audited(text: string, fields: object = {}, user = "app"): string {
  const session = { id: "s", clientAddress: "10.0.0.1:4000", user, schema: "shop" };
  return JSON.stringify({
    seq: 1,
    type: "statement-intent",
    session,
    text,
    textForm: "redacted",
    decision: "allow",
    ...fields,
  });
}

const replayed = (policy: Policy, lines: readonly string[]): string => {
  const replay = new PolicyReplay({ policy, wallMs: NOON, version: "1" });
  for (const line of lines) replay.add(line);
  return renderReplay(replay.report());
};

describe("renderReplay()", () => {
  it("says what changes, the most frequent first", () => {
    const page = replayed(policyFrom("deny: { tables: [salary] }\nthresholds: { warn: 10, block: 70 }"), [
      audited("SELECT a FROM salary WHERE id = 1"),
      audited("SELECT b FROM salary WHERE id = 1"),
      audited("SELECT b FROM salary WHERE id = 2"),
      audited("SELECT name FROM book WHERE id = 1", { type: "statement-blocked", decision: "block" }, "ann"),
      audited("SELECT * FROM a, b"),
      audited("SELECT 1"),
      JSON.stringify({ type: "connect" }),
      "{",
    ]);
    assert.equal(
      page,
      `6 statements replayed, 1 decided as before (0 without text, 1 unreadable lines)

newly blocked: 2 shapes
  2 x allow -> block by pol.deny.table (risk 100) user app
    SELECT \`b\` FROM \`salary\` WHERE \`id\` = ?
  1 x allow -> block by pol.deny.table (risk 100) user app
    SELECT \`a\` FROM \`salary\` WHERE \`id\` = ?

newly allowed: 1 shape
  1 x block -> allow (risk 0) user ann
    SELECT NAME FROM \`book\` WHERE \`id\` = ?

other changes: 1 shape
  1 x allow -> warn by perf.cartesian (risk 15) user app
    SELECT * FROM \`a\` , \`b\`
`,
    );
  });

  it("says what the record does not tell enough of, the most frequent first", () => {
    const digest = { textForm: "digest", digestHashes: ["a".repeat(64)], rules: [], score: 0 };
    const page = replayed(DEFAULT_POLICY, [
      audited(`SELECT ${"x".repeat(300)} ...`, digest),
      audited("SELECT `a` , ...", digest, "ann"),
      audited("SELECT `a` , ...", digest, "ann"),
    ]);
    assert.deepEqual(page.split("\n").slice(-6), [
      "not judged: 2 shapes, of which the record does not tell enough",
      "  2 x allow, user ann: its digest does not tell what it does",
      "    SELECT `a` , ...",
      "  1 x allow, user app: its digest does not tell what it does",
      `    SELECT ${"x".repeat(193)}`,
      "",
    ]);
  });
});

describe("renderExplanation()", () => {
  const explained = (sql: string) => explain({ sql, session: {}, policy: DEFAULT_POLICY, wallMs: NOON });

  it("says the verdict first, then what makes it up, then the facts", () => {
    const explanation = explained("UPDATE s.t JOIN u USING (i) SET t.a = SLEEP(5)");
    const [verdict, ...lines] = renderExplanation(explanation, PLAIN_PALETTE).split("\n");
    assert.equal(
      verdict,
      `${explanation.decision} by ${explanation.rule}  risk ${explanation.score} (${explanation.level})`,
    );
    const facts = lines.slice(lines.indexOf("update-multi"), -5);
    assert.deepEqual(facts, ["update-multi", "  reads   u", "  writes  s.t", "  columns i, t.a", "  calls   SLEEP"]);
    for (const { id, points } of explanation.rules) {
      assert.ok(
        lines.some((line) => line.startsWith(`  ${String(points).padStart(3)}  ${id.padEnd(16)} `)),
        id,
      );
    }
  });

  it("shows where a rule applies by at most 60 bytes", () => {
    const long = renderExplanation(
      explained(`SELECT a FROM t WHERE '${"x".repeat(80)}' = '${"x".repeat(80)}' OR 1=1`),
      PLAIN_PALETTE,
    );
    assert.ok(long.split("\n").every((line) => !line.includes("x".repeat(61))));
    assert.ok(long.includes("…\n"));
    const short = renderExplanation(explained("SELECT a FROM t WHERE b = 'x' OR 1=1"), PLAIN_PALETTE);
    assert.match(short, /at \d+: OR 1=1\n/);
  });

  it("is green where the statement may run and red where not", () => {
    assert.ok(renderExplanation(explained("SELECT 1"), COLOUR_PALETTE).startsWith("\u001b[32m\u001b[1mallow"));
    assert.ok(renderExplanation(explained("SHUTDOWN"), COLOUR_PALETTE).startsWith("\u001b[31m\u001b[1mblock"));
  });

  it("says that a statement is not understood, and in how many ways it may be read", () => {
    assert.match(renderExplanation(explained("FROBNICATE t"), PLAIN_PALETTE), /\nnot understood: unknown-statement\n/);
    assert.match(
      renderExplanation(explained("SELECT 1 /*!99999 , 2 */"), PLAIN_PALETTE),
      /\nreadings: 2 \(version-comment\)\n/,
    );
    assert.ok(!renderExplanation(explained("SELECT 1"), PLAIN_PALETTE).includes("readings:"));
  });
});
