import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePolicy } from "../../src/policy/file/policy-file.ts";
import { DEFAULT_POLICY } from "../../src/policy/policy.ts";
import { POSTGRES_ENGINE } from "../../src/policy/postgres/postgres-engine.ts";
import {
  COLOUR_PALETTE,
  explain,
  explainLine,
  PLAIN_PALETTE,
  renderExplanation,
} from "../../src/policy/tools/explain.ts";
import { parseCases, runCases } from "../../src/policy/tools/policy-cases.ts";
import { importDigests, PolicyLearner } from "../../src/policy/tools/policy-learn.ts";
import { lintPolicy } from "../../src/policy/tools/policy-lint.ts";
import { PolicyReplay } from "../../src/policy/tools/policy-replay.ts";
import { parseSqlMode } from "../../src/policy/tools/tool-context.ts";
import { sha256Hex } from "../../src/sql/mysql/digest/digest.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../support/postgres-context.ts";
import { decideText, NOON, policyFrom } from "./policy-fixture.ts";

const BATCH = { policy: DEFAULT_POLICY, wallMs: NOON };

const explained = (sql: string) => explain({ sql, session: {}, policy: DEFAULT_POLICY, wallMs: NOON });

test("explain() says where each rule applies", () => {
  const { rules, decision, digestHash } = explained("SELECT id FROM t WHERE a = 'x' OR 1=1");
  assert.equal(decision, "warn");
  assert.match(rules.find(({ id }) => id === "inj.tautology")?.text ?? "", /1=1/);
  assert.match(digestHash, /^[0-9a-f]{64}$/);
});

test("renderExplanation() colours only when asked to, and lets no control character through", () => {
  const explanation = explained("DELETE FROM `a\u001b[31mb`");
  assert.ok(!renderExplanation({ ...explanation, digest: "" }, PLAIN_PALETTE).includes("\u001b"));
  assert.ok(renderExplanation(explanation, COLOUR_PALETTE).includes("\u001b["));
});

test("explainLine() prints exactly the documented fields", () => {
  const line = explainLine(JSON.stringify({ sql: "DELETE FROM shop.book", user: "app" }), BATCH);
  assert.deepEqual(JSON.parse(line.text), {
    score: 60,
    level: "high",
    decision: "warn",
    rules: [{ id: "dml.nowhere", points: 60 }],
    statements: [{ kind: "delete", tablesRead: [], tablesWritten: ["shop.book"] }],
    understood: true,
    digest: "DELETE FROM `shop` . `book`",
  });
});

for (const line of ["", "{", "[]", "{}", '{"sql":1}', "null"]) {
  test(`explainLine() answers ${JSON.stringify(line)} with an error line`, () => {
    assert.equal(typeof (JSON.parse(explainLine(line, BATCH).text) as { error: unknown }).error, "string");
  });
}

test("explainLine() reads the session's sql_mode", () => {
  const sql = 'SELECT "id" FROM t WHERE "a" = 1';
  const ansi = explainLine(JSON.stringify({ sql, sqlMode: "ANSI_QUOTES" }), BATCH).text;
  assert.equal((JSON.parse(ansi) as { digest: string }).digest, "SELECT `id` FROM `t` WHERE `a` = ?");
});

test("explainLine() takes what its line does not say from the flags, and names keys that it does not know", () => {
  const policy = policyFrom("profiles:\n  - { name: ro, match: { users: [ro] }, read_only: true }");
  const options = { policy, wallMs: NOON, session: { user: "ro" } };
  const decide = (fields: object) => {
    const { text, problem } = explainLine(JSON.stringify({ sql: "DELETE FROM t WHERE id = 1", ...fields }), options);
    return [(JSON.parse(text) as { decision?: string }).decision, problem?.split(",")[0]];
  };
  assert.deepEqual(decide({}), ["block", undefined]);
  assert.deepEqual(decide({ user: "app" }), ["allow", undefined]);
  assert.deepEqual(decide({ user: null }), ["block", undefined]);
  assert.deepEqual(decide({ usr: "app" }), ["block", 'unknown key "usr"']);
  assert.deepEqual(decide({ user: 7 }), [undefined, undefined]);
  assert.deepEqual(decide({ dialect: "postgres" }), [undefined, undefined]);
});

test("parseSqlMode() keeps what changes lexing", () => {
  assert.equal(parseSqlMode("STRICT_TRANS_TABLES"), 0);
  assert.equal(parseSqlMode("ansi_quotes, no_backslash_escapes"), 4 | 0x100000);
  assert.equal(parseSqlMode("ANSI"), 2 | 4 | 8);
  assert.equal(parseSqlMode(4), 4);
});

test("lintPolicy() fails on a profile that protects a schema and is left with USE", () => {
  const findingsFor = (settings: string) =>
    lintPolicy(policyFrom(`profiles: [{ name: p, match: { schemas: [shop] }, ${settings} }]`), NOON).filter(
      ({ isStrictOnly }) => !isStrictOnly,
    );
  for (const [settings, words] of [
    ["read_only: true", "read_only"],
    ["deny: { tables: [salary] }", "deny"],
    ["tenants: [{ tables: [orders], column: tenant_id, value: 7 }]", "tenants"],
    ["impact: { max_changed_rows: 5 }", "impact"],
    ["thresholds: { warn: 30, block: 40 }", "thresholds"],
  ] as const) {
    const [finding] = findingsFor(settings);
    assert.match(finding?.text ?? "", new RegExp(`^profile p: match.schemas is left with USE, and ${words} with it`));
  }
  assert.deepEqual(findingsFor("rules: { perf.star: off }"), []);
});

test("lintPolicy() finds what loads and does not protect", () => {
  const result = parsePolicy(`version: 1
not_understood: allow
deny: { columns: [password] }
profiles:
  - name: r
    match: { users: ["*"] }
    mode: observe
    read_only: true
exceptions:
  - { id: old, reason: x, expires: 2020-01-01, rules: [dml.nowhere], users: [a] }
  - { id: wide, reason: x, expires: 2027-01-01, rules: ["*"] }
`);
  assert.equal(result.kind, "loaded");
  if (result.kind !== "loaded") return;
  const findings = lintPolicy(result.policy, NOON);
  const text = findings.map(({ line, text: words }) => `${line}: ${words}`).join("\n");
  for (const wanted of [
    "lets through what querycop cannot judge",
    "SELECT * gets past it",
    "read_only does nothing in mode observe",
    '"*" is everybody',
    "10: exception old: has expired",
    "11: exception wide: is for everybody",
  ]) {
    assert.ok(text.includes(wanted), `${wanted}\n${text}`);
  }
  assert.ok(findings.some(({ isStrictOnly }) => !isStrictOnly));
});

test("runCases() passes and fails with a reason", () => {
  const { cases, problems } = parseCases(`cases:
  - { sql: DELETE FROM a, expect: warn, rule: dml.nowhere }
  - { name: wrong, sql: SELECT 1, expect: block }
`);
  assert.deepEqual(problems, []);
  const results = runCases(cases, DEFAULT_POLICY, NOON);
  assert.equal(results[0]?.failure, undefined);
  assert.match(results[1]?.failure ?? "", /^expected block, got allow/);
});

test("parseCases() refuses what it cannot read, with lines", () => {
  const { problems } = parseCases("cases:\n  - { sql: SELECT 1 }\n  - { expect: allow }");
  assert.deepEqual(
    problems.map(({ line }) => line),
    [2, 3],
  );
});

function auditLine(text: string, decision = "allow", user = "app"): string {
  const session = { id: "s", clientAddress: "10.0.0.1:4000", user, schema: "shop" };
  return JSON.stringify({ seq: 1, type: "statement-intent", session, text, textForm: "redacted", decision });
}

test("PolicyReplay reports what another policy would newly block and newly allow", () => {
  const replay = new PolicyReplay({ policy: policyFrom("deny: { tables: [salary] }"), wallMs: NOON, version: "1" });
  for (const id of [1, 2]) replay.add(auditLine(`SELECT id FROM salary WHERE id = ${id}`));
  replay.add(auditLine("SELECT id FROM book WHERE id = 1"));
  replay.add(auditLine("SELECT name FROM book WHERE id = 1", "block"));
  replay.add(JSON.stringify({ type: "connect" }));
  replay.add("{");
  const report = replay.report();
  assert.equal(report.statements, 4);
  assert.equal(report.unchanged, 1);
  assert.equal(report.unreadable, 1);
  assert.deepEqual(
    report.newlyBlocked.map(({ count, rule }) => [count, rule]),
    [[2, "pol.deny.table"]],
  );
  assert.equal(report.newlyAllowed.length, 1);
});

function postgresLine(
  sql: string,
  { rules = [] as readonly string[], decision = "allow", searchPath = "public" } = {},
): string {
  const analysis = POSTGRES_ENGINE.analyze(Buffer.from(sql), POSTGRES_CONTEXT);
  const session = {
    id: "s",
    clientAddress: "10.0.0.1:4000",
    user: "app",
    schema: "shop",
    engine: "postgresql",
    searchPath,
  };
  const { digest: text } = analysis;
  return JSON.stringify({
    seq: 1,
    type: "statement-intent",
    session,
    text,
    textForm: "digest",
    decision,
    rules,
    digestHashes: [sha256Hex(text)],
  });
}

test("PolicyReplay judges PostgreSQL's records by what is told of their session, and says what it cannot judge", async () => {
  await readyToParse();
  const policy = policyFrom(
    "deny: { tables: [pay.salary] }\nprofiles: [{ name: p, match: { schemas: [shop] }, read_only: true }]",
  );
  const replay = new PolicyReplay({ policy, wallMs: NOON, version: "1" });
  // Of the database shop, which is no schema: the profile holds for none of them.
  replay.add(postgresLine("UPDATE public.book SET name = 'x' WHERE id = 1"));
  replay.add(postgresLine("SELECT id FROM salary WHERE id = 5"));
  replay.add(postgresLine("SELECT id FROM salary WHERE id = 6", { searchPath: "pay, public" }));
  replay.add(postgresLine("SELECT id FROM \"order\" WHERE day > date '2026-01-01'"));
  replay.add(postgresLine("DO 'BEGIN DELETE FROM book; END'"));
  const report = replay.report();
  assert.deepEqual([report.statements, report.unchanged], [5, 3]);
  assert.deepEqual(
    report.newlyBlocked.map(({ rule, digest }) => [rule, digest]),
    [["pol.deny.table", "select id from salary where id = ?"]],
  );
  assert.deepEqual(
    report.notJudged.map(({ digest, why }) => [digest, why]),
    [["do ?", "its digest does not tell what it does"]],
  );
});

test("PolicyReplay takes records that name no engine for those of the one that is named", async () => {
  await readyToParse();
  const line = postgresLine("SELECT a::int FROM t").replace('"engine":"postgresql",', "");
  const reports = [undefined, "postgresql" as const].map((engine) => {
    const replay = new PolicyReplay({ policy: policyFrom(""), wallMs: NOON, version: "1", engine });
    replay.add(line);
    return replay.report();
  });
  assert.deepEqual(
    reports.map(({ unchanged, notJudged }) => [unchanged, notJudged.length]),
    [
      [0, 1],
      [1, 0],
    ],
  );
});

test("a policy learned from PostgreSQL's records knows the same statements with other values", async () => {
  await readyToParse();
  const learner = new PolicyLearner({ policy: DEFAULT_POLICY, wallMs: NOON, isStrict: false });
  learner.add(postgresLine('SELECT "order".id FROM "order" WHERE id IN (1, 2)'));
  learner.add(
    postgresLine("DROP DATABASE shop", { decision: "block" }).replace("statement-intent", "statement-blocked"),
  );
  const policy = policyFrom(
    learner.render().replace("version: 1", "").replace("new_digest: warn", "new_digest: block"),
  );
  const decided = (sql: string) => decideText(sql, { policy, engine: "postgresql" }).enforcedAction;
  assert.equal(decided('SELECT "order".id FROM "order" WHERE id IN (7, 8, 9)'), "allow");
  assert.equal(decided('SELECT "order".name FROM "order" WHERE id IN (7, 8, 9)'), "block");
  assert.equal(decided("DROP DATABASE shop"), "block");
});

test("a schema is the search_path of a session of PostgreSQL's, of which profiles by schema know nothing", async () => {
  await readyToParse();
  const policy = policyFrom(
    "deny: { tables: [pay.salary] }\nprofiles: [{ name: p, match: { schemas: [pay] }, read_only: true }]",
  );
  const decided = (sql: string, schema?: string) =>
    explain({ sql, session: { dialect: "postgresql", schema }, policy, wallMs: NOON }).rule;
  assert.equal(decided("SELECT id FROM salary", "pay"), "pol.deny.table");
  assert.equal(decided("SELECT id FROM salary", "public"), undefined);
  assert.equal(decided("DELETE FROM shop.book WHERE id = 1", "pay"), undefined);
  assert.equal(decided("DELETE FROM book WHERE id = 1", "pay"), "pol.readonly");
});

test("PolicyLearner drafts a profile that loads, knows what was seen and leaves out what is risky", () => {
  const learner = new PolicyLearner({ policy: DEFAULT_POLICY, wallMs: NOON, isStrict: false });
  for (const id of [1, 2]) learner.add(auditLine(`SELECT id FROM book WHERE id = ${id}`));
  learner.add(auditLine("DROP DATABASE shop"));
  const draft = learner.render();
  const policy = policyFrom(draft.replace("version: 1", "").replace("new_digest: warn", "new_digest: block"));
  assert.equal(decideText("SELECT id FROM book WHERE id = 9", { policy }).enforcedAction, "allow");
  assert.equal(decideText("SELECT id FROM book WHERE id = 9 OR 1=1", { policy }).enforcedAction, "block");
  assert.equal(decideText("DROP DATABASE shop", { policy }).ruleId, "pol.newdigest");
});

test("PolicyLearner lets no statement break out of its comment", () => {
  const learner = new PolicyLearner({ policy: DEFAULT_POLICY, wallMs: NOON, isStrict: false });
  learner.add(auditLine("SELECT `a\nmode: off` FROM book"));
  assert.ok(
    !learner
      .render()
      .split("\n")
      .some((line) => line.startsWith("mode:")),
  );
});

test("importDigests() reads a dump of mysql --batch and leaves out what the server cut", () => {
  const learner = new PolicyLearner({ policy: DEFAULT_POLICY, wallMs: NOON, isStrict: false });
  const dump = [
    "SCHEMA_NAME\tDIGEST_TEXT",
    "shop\tSELECT `id` FROM `book` WHERE `id` = ?",
    "shop\tSELECT `a` , ...",
    "shop\tNULL",
  ];
  assert.deepEqual(importDigests(dump, learner, { defaultUser: "app", digestLengthMax: 1024 }), {
    imported: 1,
    truncated: 1,
    unreadable: 1,
  });
  const policy = policyFrom(
    learner.render().replace("version: 1", "").replace("new_digest: warn", "new_digest: block"),
  );
  assert.equal(decideText("SELECT id FROM book WHERE id = 9", { policy }).enforcedAction, "allow");
});
