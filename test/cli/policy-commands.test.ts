import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { writeFile } from "../config/folder.ts";
import { run } from "./fake-io.ts";

test("explain prints score, rule and facts, without colours where nobody looks", async () => {
  const { code, stdout } = await run(["explain", "DELETE FROM orders", "--user", "app"]);
  assert.equal(code, 0);
  assert.match(stdout, /^warn by dml\.nowhere {2}risk 60 \(high\)/);
  assert.match(stdout, /writes {2}orders/);
  assert.ok(!stdout.includes("\u001b"));
});

test("explain --json prints one object", async () => {
  const { stdout } = await run(["explain", "--json", "SELECT 1"]);
  assert.equal((JSON.parse(stdout) as { decision: string }).decision, "allow");
});

test("explain reads a statement that begins with a dash from standard input", async () => {
  const { stdout } = await run(["explain", "--json"], { stdin: "-- note\nDROP DATABASE shop" });
  assert.equal((JSON.parse(stdout) as { decision: string }).decision, "block");
});

test("explain without a statement says how to give one", async () => {
  const { code, stderr } = await run(["explain"]);
  assert.equal(code, 2);
  assert.match(stderr, /no statement: give one, or pipe it in/);
});

test("explain --batch answers line by line", async () => {
  const stdin = '{"sql":"SELECT 1"}\n\nnonsense\n{"sql":"DROP DATABASE x"}';
  const { code, stdout } = await run(["explain", "--batch"], { stdin });
  assert.equal(code, 0);
  const decisions = stdout
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { decision?: string }).decision);
  assert.deepEqual(decisions, ["allow", undefined, "block"]);
});

test("explain --batch takes the flags for every line, and tells of keys that it does not know", async () => {
  const policy = writeFile(
    "ro.yaml",
    "version: 1\nprofiles:\n  - { name: r, match: { users: [ro] }, read_only: true }\n",
  );
  const flags = ["explain", "--batch", "--policy", policy, "--user", "ro"];
  const stdin = '{"sql":"DELETE FROM t WHERE id = 1"}';
  assert.match((await run(flags, { stdin })).stdout, /"decision":"block"/);
  const misspelt = await run(flags, { stdin: '{"sql":"SELECT 1","usr":"app"}' });
  assert.equal(misspelt.code, 2);
  assert.match(misspelt.stderr, /^line 1: unknown key "usr"/);
  assert.equal((await run([...flags, "--dialect", "postgres"], { stdin })).code, 2);
  assert.equal((await run([...flags, "SELECT 1"], { stdin })).code, 2);
});

test("explain refuses a bad policy file with its lines", async () => {
  const file = writeFile("policy.yaml", "version: 1\nmode: enforced\n");
  const { code, stderr } = await run(["explain", "SELECT 1", "--policy", file]);
  assert.equal(code, 2);
  assert.match(stderr, /policy\.yaml:2: mode: expected one of off, observe, enforce/);
});

test("policy lint exits with 0 for a good file, 1 for a doubtful one under --strict, 2 for a bad one", async () => {
  const good = writeFile("good.yaml", "version: 1\n");
  const doubtful = writeFile("doubtful.yaml", "version: 1\nmode: off\n");
  const bad = writeFile("bad.yaml", "version: 2\n");
  assert.equal((await run(["policy", "lint", good])).code, 0);
  assert.equal((await run(["policy", "lint", doubtful])).code, 0);
  assert.equal((await run(["policy", "lint", "--strict", doubtful])).code, 1);
  const { code, stdout } = await run(["policy", "lint", bad]);
  assert.equal(code, 2);
  assert.match(stdout, /bad\.yaml:1: version: /);
});

test("policy test runs cases and fails with file and line", async () => {
  const cases = "cases:\n  - { sql: DELETE FROM a, expect: warn }\n  - { sql: SELECT 1, expect: block }\n";
  const { code, stdout } = await run(["policy", "test", writeFile("cases.yaml", cases)]);
  assert.equal(code, 1);
  assert.match(stdout, /cases\.yaml:3: SELECT 1: expected block, got allow/);
  assert.match(stdout, /1 passed, 1 failed/);
});

test("policy replay and learn read an audit file", async () => {
  const record = {
    type: "statement-intent",
    session: { id: "s", clientAddress: "10.0.0.1:1", user: "app" },
    text: "SELECT id FROM book WHERE id = 1",
    textForm: "redacted",
    decision: "allow",
  };
  const audit = writeFile("audit.ndjson", `${JSON.stringify(record)}\n`);
  const policy = writeFile("policy.yaml", "version: 1\ndeny: { tables: [book] }\n");
  const same = await run(["policy", "replay", audit]);
  assert.equal(same.code, 0);
  assert.match(same.stdout, /1 statement replayed, 1 decided as before/);
  const changed = await run(["policy", "replay", audit, "--policy", policy]);
  assert.equal(changed.code, 1);
  assert.match(changed.stdout, /newly blocked: 1 shape$/m);
  const learned = await run(["policy", "learn", audit]);
  assert.match(learned.stdout, /users: \["app"\]/);
});

test("policy show prints the policy of an old decision out of the audit log, whole or not at all", async () => {
  const [old, present] = ["version: 1\nmode: observe\n", "version: 1\n"];
  const change = (policyText: string | undefined, toVersion: string, outcome = "ok"): string =>
    JSON.stringify({ type: "policy-change", toVersion, policyText, outcome, by: "file" });
  const versionOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);
  const lines = [
    change(undefined, "built-in"),
    change(old, versionOf(old)),
    change(present, versionOf(present)),
    change(undefined, "refused", "error"),
    change("version: 1 [cut]", "0123456789ab"),
    change(present, versionOf(present)),
    JSON.stringify({ type: "statement-intent", text: 'SELECT "policy-change"' }),
  ];
  const audit = writeFile("changes.ndjson", `${lines.join("\n")}\n`);
  const show = (...args: readonly string[]) => run(["policy", "show", audit, ...args]);
  assert.deepEqual([(await show()).stdout, (await show("--policy-version", versionOf(old))).stdout], [present, old]);
  for (const [version, why] of [
    ["built-in", /was built in/],
    ["0123456789ab", /too long/],
    ["ffffffffffff", /no policy ffffffffffff took effect/],
  ] as const) {
    const { code, stdout, stderr } = await show("--policy-version", version);
    assert.deepEqual([code, stdout], [1, ""], version);
    assert.match(stderr, why);
  }
});

test("policy import-digests reads standard input", async () => {
  const stdin = "SCHEMA_NAME\tDIGEST_TEXT\nshop\tSELECT ? \nshop\tSELECT `a` ...\n";
  const { code, stdout, stderr } = await run(["policy", "import-digests", "-", "--user", "app"], { stdin });
  assert.equal(code, 0);
  assert.match(stdout, /name: "learned app"/);
  assert.match(stderr, /imported 1, .* truncated by the server 1, unreadable 0/);
});

test("policy says which verbs there are", async () => {
  const { code, stderr } = await run(["policy", "lnit", "x"]);
  assert.equal(code, 2);
  assert.match(stderr, /expected one of lint, test, replay, learn, import-digests, grants, show, got "lnit"/);
});
