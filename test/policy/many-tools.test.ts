/**
 * What the tools for policies print of all they can be given, too much to be read: explanations of statements of every
 * form, drafts and comparisons made of records of every kind, findings and grants of many policies, and what has changed
 * between two texts. test/golden/many-tools.txt holds a sum for each line; `MANY_TOOLS='learn 3'` prints what is behind it,
 * to be compared with what it prints in another commit.
 */
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import {
  COLOUR_PALETTE,
  explain,
  explainLine,
  PLAIN_PALETTE,
  renderExplanation,
} from "../../src/policy/tools/explain.ts";
import { renderGrants } from "../../src/policy/tools/grants.ts";
import { lineDiff } from "../../src/policy/tools/line-diff.ts";
import { parseCases, runCases } from "../../src/policy/tools/policy-cases.ts";
import { importDigests, PolicyLearner } from "../../src/policy/tools/policy-learn.ts";
import { lintPolicy } from "../../src/policy/tools/policy-lint.ts";
import { PolicyReplay, renderReplay } from "../../src/policy/tools/policy-replay.ts";
import { TOOL_DIALECTS } from "../../src/policy/tools/tool-context.ts";
import { assertGoldenPart } from "../config/golden.ts";
import { Dice } from "../support/digest-oracle.ts";
import { readyToParse } from "../support/postgres-context.ts";
import { STATEMENT_TEXTS } from "../support/statement-texts.ts";
import { NOON, policyFrom } from "./policy-fixture.ts";

const TIMEOUT_MS = 120_000;
before(readyToParse);

const POLICIES = [
  "",
  "read_only: true\nmulti_statements: true\nallow: { tables: [t, app.u], functions: [f], routines: [app.p] }\nnot_understood: warn",
  "multi_statements: true\ntenants: [{ tables: [orders], column: tenant_id, value: 7 }]\ndeny: { tables: [secret], columns: [u.word], statements: [delete, drop-*] }",
  "thresholds: { warn: 10, require_approval: 30, block: 90 }\nimpact: { estimated_rows: { warn: 10, block: 1000 }, no_estimate: block, max_changed_rows: 5 }",
  "mode: observe\nlimits: { max_response_rows: 7 }\nrules: { dml.nowhere: off, ddl.drop: block }",
  "deny: { functions: [sleep, dänger], digests: [] }\nexceptions:\n  - { id: a, rules: [dml.nowhere], users: [app], reason: x, expires: 2030-01-01 }",
  "profiles:\n  - { name: p, match: { schemas: [pay], users: [bob, a*] }, read_only: true, limits: { max_response_rows: 5 } }\n  - { name: q, match: { users: [app], addresses: [10.0.0.0/8] }, schemas: [shop], allow: { statements: [select, set, use] } }",
  "profiles:\n  - { name: w, match: { users: [w] }, allow: { tables: [shop.t, shop.u], statements: [select, insert, update, create-table, alter-table, drop-table, call] }, schemas: [shop] }",
];

const texts = STATEMENT_TEXTS.flatMap((each) => each.texts);

function sums(title: string, answers: Iterable<readonly [name: string, answer: unknown]>): void {
  const lines: string[] = [];
  for (const [name, answer] of answers) {
    const told = typeof answer === "string" ? answer : JSON.stringify(answer);
    if (process.env["MANY_TOOLS"] === name) console.log(told);
    lines.push(`${createHash("sha256").update(told).digest("hex").slice(0, 8)} ${name}`);
  }
  assertGoldenPart("many-tools.txt", title, lines);
}

test("explanations are those of test/golden/many-tools.txt", { timeout: TIMEOUT_MS }, () => {
  const dice = new Dice(1);
  const answers = Array.from({ length: 40 }, (_, line): [string, unknown] => {
    const told = Array.from({ length: 8 }, () => {
      const sql = dice.pick(texts);
      const session = {
        user: dice.pick(["app", "bob", undefined]),
        schema: dice.pick(["pay", "shop", undefined]),
        dialect: dice.pick([...TOOL_DIALECTS, undefined]),
        clientAddress: dice.pick(["10.1.2.3", "192.0.2.1", undefined]),
        sqlMode: dice.pick([undefined, "ANSI_QUOTES", "", 0, 0x200000]),
      };
      const policy = policyFrom(dice.pick(POLICIES));
      const explanation = explain({ sql, session, policy, wallMs: NOON });
      const batch = explainLine(JSON.stringify({ sql, ...session }), { policy, wallMs: NOON });
      return [renderExplanation(explanation, dice.below(4) > 0 ? PLAIN_PALETTE : COLOUR_PALETTE), batch];
    });
    return [`explain ${line}`, told];
  });
  sums("explanations", answers);
});

const ACTIONS = ["allow", "allow", "allow", "warn", "block", "require-approval"];

/** Lines of an audit file, some of them broken, and some that hold no statement. */
function recordsFrom(dice: Dice): string[] {
  const shapes = Array.from({ length: 12 }, () => dice.pick(texts));
  return Array.from({ length: 60 }, () => {
    const kind = dice.below(24);
    if (kind === 0) return dice.pick(["", "{", "null", "7", '"x"', "[]"]);
    if (kind === 1)
      return JSON.stringify({
        type: dice.pick(["start", "login", "disconnect"]),
        version: dice.pick(["1.0", "2.0", 7]),
      });
    const text = dice.pick(shapes);
    const decision = dice.pick(ACTIONS);
    const textForm = dice.pick(["digest", "redacted", "raw", "redacted", "none"]);
    const session = {
      user: dice.pick(["app", "bob", undefined, "o'neil"]),
      userSent: dice.pick(["sent", undefined]),
      schema: dice.pick(["pay", "shop", undefined]),
      clientAddress: dice.pick(["10.0.0.1:4000", "[::1]:5000", "10.0.0.1", undefined]),
      sqlMode: dice.pick(["", "ANSI_QUOTES", undefined]),
      ...(dice.below(3) === 0 ? { clientTls: "TLSv1.3" } : {}),
    };
    return JSON.stringify({
      type: decision === "block" ? "statement-blocked" : dice.pick(["statement-intent", "statement-intent", "hold"]),
      session,
      text: textForm === "digest" ? text.replace(/'[^']*'|\b\d+\b/g, "?") + dice.pick(["", "", "[cut]"]) : text,
      textForm,
      decision,
      ...(dice.below(3) === 0 ? { digestHashes: dice.pick([[], ["a".repeat(64)], ["b".repeat(64), 7]]) } : {}),
      score: dice.pick([0, 20, 45, 60, 89, 90, 100, undefined]),
      rules: dice.pick([[], ["dml.nowhere"], ["dyn.unknown"], ["inj.tautology", "pol.deny.table"], undefined]),
      policyVersion: dice.pick([undefined, "x"]),
      estimatedRows: dice.pick([undefined, undefined, 5, 5000]),
    });
  });
}

test("drafts of profiles are those of test/golden/many-tools.txt", { timeout: TIMEOUT_MS }, () => {
  const answers = Array.from({ length: 40 }, (_, seed): [string, unknown] => {
    const dice = new Dice(seed);
    const policy = policyFrom(dice.pick(POLICIES));
    const learner = new PolicyLearner({ policy, wallMs: NOON, isStrict: dice.below(2) === 0 });
    for (const line of recordsFrom(dice)) learner.add(line);
    const dump = [
      dice.pick(["DIGEST_TEXT\tuser", "userhost\tRULE", "x\tdigest_text", "NORMALIZED_QUERY"]),
      ...Array.from({ length: 10 }, () => {
        const text = dice
          .pick(texts)
          .replace(/'[^']*'|\b\d+\b/g, "?")
          .replaceAll("\n", "\\n");
        return dice.below(2) === 0
          ? `${text}\t${dice.pick(["app@%", "", "bob"])}`
          : `${dice.pick(["app@%", "", "NULL"])}\t${text}`;
      }),
    ];
    const imported = importDigests(dump, learner, { defaultUser: "nobody", digestLengthMax: dice.pick([1024, 60]) });
    return [`learn ${seed}`, [learner.render(), learner.counts(), imported]];
  });
  sums("drafts", answers);
});

test("comparisons are those of test/golden/many-tools.txt", { timeout: TIMEOUT_MS }, () => {
  const answers = Array.from({ length: 40 }, (_, seed): [string, unknown] => {
    const dice = new Dice(1000 + seed);
    const policy = policyFrom(dice.pick(POLICIES));
    const replay = new PolicyReplay({ policy, wallMs: NOON, version: "1.0" });
    const lines = recordsFrom(dice).map((line) =>
      line.replace('"policyVersion":"x"', `"policyVersion":"${policy.version}"`),
    );
    for (const line of lines) replay.add(line);
    return [`replay ${seed}`, renderReplay(replay.report()).replaceAll(policy.version, "…")];
  });
  sums("comparisons", answers);
});

test("findings, grants and cases are those of test/golden/many-tools.txt", { timeout: TIMEOUT_MS }, () => {
  const words = [
    "schema: pay",
    "user: app",
    "dialect: mariadb",
    "sql_mode: ANSI_QUOTES",
    "address: 10.0.0.1",
    "rule: dml.nowhere",
  ];
  const answers = POLICIES.flatMap((lines, index): [string, unknown][] => {
    const policy = policyFrom(lines);
    const dice = new Dice(index);
    const file = `cases:\n${Array.from({ length: 30 }, () => {
      const sql = JSON.stringify(dice.pick(texts));
      const more = words.filter(() => dice.below(4) === 0).map((word) => `, ${word}`);
      return `  - { sql: ${sql}, expect: ${dice.pick(["allow", "warn", "block", "require-approval"])}${more.join("")} }\n`;
    }).join("")}`;
    const { cases, problems } = parseCases(file);
    const results = runCases(cases, policy, NOON).map(({ decision, failure }) => [
      decision.action,
      decision.score,
      failure,
    ]);
    const grants = [undefined, "shop"].map((schema) => renderGrants(policy, { profile: undefined, schema }));
    return [
      [`lint ${index}`, lintPolicy(policy, NOON)],
      [`grants ${index}`, grants],
      [`cases ${index}`, [problems, results]],
    ];
  });
  sums("findings, grants and cases", answers);
});

test("differences are those of test/golden/many-tools.txt", { timeout: TIMEOUT_MS }, () => {
  const answers = Array.from({ length: 10 }, (_, seed): [string, unknown] => {
    const dice = new Dice(seed);
    const text = (): string =>
      Array.from({ length: dice.below(12) }, () => `${dice.pick("abcd".split(""))}\n`).join("");
    return [`diff ${seed}`, Array.from({ length: 20 }, () => lineDiff(text(), text() + dice.pick(["", "x"])))];
  });
  sums("differences", answers);
});
