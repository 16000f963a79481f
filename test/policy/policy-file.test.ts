import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parsePolicy, renderProblems } from "../../src/policy/file/policy-file.ts";
import type { Policy, Subject } from "../../src/policy/policy.ts";
import { resolveSettings } from "../../src/policy/settings.ts";

const NOON = Date.UTC(2026, 10, 21, 12, 0);

function load(text: string): Policy {
  const result = parsePolicy(text);
  assert.equal(result.kind, "loaded", result.kind === "refused" ? renderProblems("p", result.problems) : "");
  return (result as { policy: Policy }).policy;
}

function refusal(text: string): string {
  const result = parsePolicy(text);
  assert.equal(result.kind, "refused");
  return result.kind === "refused" ? renderProblems("policy.yaml", result.problems) : "";
}

const SUBJECT: Subject = {
  user: "app",
  clientAddress: "10.1.2.3",
  isTls: true,
  listener: "writer",
  isInTransaction: false,
};

test("parsePolicy() reads the example file", () => {
  const policy = load(readFileSync(new URL("../../querycop.policy.example.yaml", import.meta.url), "utf8"));
  assert.deepEqual(
    policy.profiles.map(({ name }) => name),
    ["web application", "reports", "migrations"],
  );
});

test("parsePolicy() gives another version for another text", () => {
  const versions = new Set([load("version: 1"), load("version: 1\nmode: observe")].map(({ version }) => version));
  assert.equal(versions.size, 2);
});

const REFUSED: readonly [name: string, text: string, message: string][] = [
  ["a missing version", "mode: enforce", "policy.yaml:1: version: missing, write version: 1"],
  ["an unknown key", "version: 1\nmod: enforce", 'policy.yaml:2: mod: unknown key, did you mean "mode"'],
  [
    "an unknown word",
    "version: 1\nmode: enforced",
    'policy.yaml:2: mode: expected one of off, observe, enforce, got "enforced", did you mean "enforce"',
  ],
  [
    "a rule that does not exist",
    "version: 1\nrules:\n  dml.no_where: off",
    'policy.yaml:3: rules.dml.no_where: no rule has the id "dml.no_where", see docs/rules.md',
  ],
  [
    "a kind that does not exist",
    "version: 1\ndeny:\n  statements:\n    - drop-everything",
    'policy.yaml:4: deny.statements[0]: no statement kind matches "drop-everything", see docs/policy.md',
  ],
  [
    "thresholds in the wrong order",
    "version: 1\nthresholds: { warn: 90, block: 80 }",
    "policy.yaml:1: thresholds: expected warn <= require_approval <= block",
  ],
  [
    "a threshold out of range",
    "version: 1\nthresholds: { block: 101 }",
    'policy.yaml:2: thresholds.block: expected a whole number from 1 to 100, got "101"',
  ],
  [
    "a time without unit",
    "version: 1\napproval: { timeout: 300 }",
    'policy.yaml:2: approval.timeout: Cannot read "300" as a time: write 30s, 5m or 1h, at most 168h',
  ],
  [
    "a time longer than timers run",
    "version: 1\napproval: { valid_for: 169h }",
    'policy.yaml:2: approval.valid_for: Cannot read "169h" as a time: write 30s, 5m or 1h, at most 168h',
  ],
  [
    "a bad address",
    "version: 1\nprofiles:\n  - name: a\n    match: { addresses: [10.0.0.1/8] }",
    'policy.yaml:4: profiles[0].match.addresses[0]: Cannot read "10.0.0.1/8": bits after the prefix are set',
  ],
  [
    "a profile without match",
    "version: 1\nprofiles:\n  - name: a",
    "policy.yaml:3: profiles[0]: match: missing, say whom the profile is for (settings for everybody go to the top level)",
  ],
  [
    "a profile name twice",
    "version: 1\nprofiles:\n  - { name: a, match: { users: [x] } }\n  - { name: a, match: { users: [y] } }",
    'policy.yaml:4: profiles[1]: name: "a" is used twice',
  ],
  [
    "an exception without an end",
    "version: 1\nexceptions:\n  - { id: a, reason: b, rules: [dml.nowhere] }",
    "policy.yaml:3: exceptions[0]: expires: missing, every exception needs id, reason, expires, rules",
  ],
  [
    "an exception from read-only",
    "version: 1\nexceptions:\n  - { id: a, reason: b, expires: 2027-01-01, rules: [pol.readonly] }",
    "policy.yaml:3: exceptions[0].rules[0]: pol.readonly cannot be excepted: change the profile instead",
  ],
  [
    "hours that are none",
    'version: 1\nprofiles:\n  - { name: a, match: { hours: "8-18" } }',
    'policy.yaml:3: profiles[0].match.hours: Cannot read "8-18" as hours: write them as "08:00-18:00" (UTC)',
  ],
  [
    "a digest that is none",
    "version: 1\nallow: { digests: [SELECT ?] }",
    "policy.yaml:2: allow.digests[0]: expected the 64 hex digits that querycop explain prints as digest",
  ],
  [
    "an alias",
    "version: 1\nschemas: &a [x]\ndeny: { tables: *a }",
    "policy.yaml:3: deny.tables: expected a list, got an alias, which policy files do not use",
  ],
  [
    "a list where text belongs",
    "version: 1\nmode: [enforce]",
    "policy.yaml:2: mode: expected off, observe, enforce, got a list",
  ],
];

for (const [name, text, message] of REFUSED) {
  test(`parsePolicy() refuses ${name} with file and line`, () => {
    assert.equal(refusal(text), message);
  });
}

test("parsePolicy() reports every problem at once, in the order of the file", () => {
  const text = refusal("version: 1\nmode: x\nread_only: maybe\nrules:\n  nope: off");
  assert.deepEqual(
    text.split("\n").map((line) => line.split(":")[1]),
    ["2", "3", "5"],
  );
});

test("parsePolicy() refuses a text that is not YAML, with a line", () => {
  assert.match(refusal("version: 1\nmode: [enforce\n"), /^policy\.yaml:\d+: /);
});

test("parsePolicy() refuses a key written twice", () => {
  assert.match(refusal("version: 1\nmode: off\nmode: enforce"), /^policy\.yaml:3: /);
});

test("resolveSettings() applies matching profiles in order, plain values replace and lists add up", () => {
  const policy = load(`
version: 1
deny: { tables: [a] }
profiles:
  - { name: one, match: { users: [app] }, mode: observe, deny: { tables: [b] } }
  - { name: other, match: { users: [root] }, mode: off }
  - { name: two, match: { addresses: [10.0.0.0/8] }, mode: enforce, deny: { tables: [c] } }
`);
  const { settings, profiles } = resolveSettings(policy, SUBJECT, NOON);
  assert.deepEqual(profiles, ["one", "two"]);
  assert.equal(settings.mode, "enforce");
  assert.deepEqual(
    settings.denyTables.map(({ table }) => table.text),
    ["a", "b", "c"],
  );
});

test("resolveSettings() keeps read-only whatever a later profile says", () => {
  const policy = load(`
version: 1
profiles:
  - { name: one, match: { users: [app] }, read_only: true }
  - { name: two, match: { users: [app] }, read_only: false }
`);
  assert.equal(resolveSettings(policy, SUBJECT, NOON).settings.isReadOnly, true);
});

test("resolveSettings() keeps the read-only rule on whatever overrides and rule sets say", () => {
  const policy = load("version: 1\nread_only: true\nrule_sets: { policy: off }\nrules: { 'pol.*': off, '*': allow }");
  const state = resolveSettings(policy, SUBJECT, NOON).ruleStates.get("pol.readonly");
  assert.deepEqual(state, { isOff: false, isObserved: false, points: undefined, action: undefined });
});

const MATCHES: readonly [match: string, subject: Partial<Subject>, applies: boolean][] = [
  ["{ users: [app] }", {}, true],
  ["{ users: [App] }", {}, false],
  ["{ users: ['a*'] }", {}, true],
  ["{ roles: [dba] }", {}, false],
  ["{ roles: [dba] }", { role: "dba" }, true],
  ["{ schemas: [shop] }", { schema: "SHOP" }, true],
  ["{ schemas: [shop] }", {}, false],
  ["{ listeners: [reader] }", {}, false],
  ["{ tls: false }", {}, false],
  ["{ addresses: [unix] }", { clientAddress: "unix" }, true],
  ["{ users: [app], addresses: [192.0.2.0/24] }", {}, false],
  ["{ hours: '11:00-13:00' }", {}, true],
  ["{ hours: '22:00-12:00' }", {}, false],
  ["{ hours: '22:00-12:01' }", {}, true],
  ["{ days: [sat, sun] }", {}, true],
  ["{ days: [mon] }", {}, false],
];

for (const [match, subject, applies] of MATCHES) {
  test(`a profile matching ${match} ${applies ? "applies" : "does not apply"} to ${JSON.stringify(subject)}`, () => {
    const policy = load(`version: 1\nprofiles: [{ name: one, match: ${match}, mode: observe }]`);
    const { profiles } = resolveSettings(policy, { ...SUBJECT, ...subject }, NOON);
    assert.deepEqual(profiles, applies ? ["one"] : []);
  });
}

test("resolveSettings() gives the same object for the same set of profiles", () => {
  const policy = load("version: 1\nprofiles: [{ name: one, match: { users: ['a*'] }, mode: observe }]");
  const first = resolveSettings(policy, SUBJECT, NOON);
  assert.equal(resolveSettings(policy, { ...SUBJECT, user: "another" }, NOON), first);
  assert.notEqual(resolveSettings(policy, { ...SUBJECT, user: "zoe" }, NOON), first);
});

test("parsePolicy() takes a threshold from 1 to 100", () => {
  for (const [value, isTaken] of [
    ["0", false],
    ["1", true],
    ["100", true],
    ["101", false],
    ["1000", false],
    ["-1", false],
    ["1.5", false],
  ] as const) {
    const { kind } = parsePolicy(`version: 1\nthresholds: { warn: ${value}, block: off }`);
    assert.equal(kind, isTaken ? "loaded" : "refused", value);
  }
});

test("parsePolicy() keeps the thresholds that a file does not write, and switches off those it says", () => {
  const policy = load(
    "version: 1\nthresholds: { block: 90 }\nprofiles: [{ name: a, match: { users: [app] }, thresholds: { warn: off } }]",
  );
  assert.deepEqual(policy.base.thresholds, { warn: 50, requireApproval: undefined, block: 90 });
  const { thresholds } = resolveSettings(policy, SUBJECT, NOON).settings;
  assert.deepEqual(thresholds, { warn: undefined, requireApproval: undefined, block: 90 });
});

test("parsePolicy() reads how approvals are got, and keeps what is not written", () => {
  const policy = load(
    "version: 1\napproval: { timeout: 90s, in_transaction: hold, open_per_user: 2 }\n" +
      "profiles: [{ name: a, match: { users: [app] }, approval: { mode: immediate, transaction_timeout: 500ms, valid_for: 1h } }]",
  );
  const { approval } = resolveSettings(policy, SUBJECT, NOON).settings;
  assert.deepEqual(approval, {
    mode: "immediate",
    timeoutMs: 90_000,
    validForMs: 3_600_000,
    inTransaction: "hold",
    transactionTimeoutMs: 500,
    openPerUserMax: 2,
  });
  assert.equal(policy.base.approval.mode, "hold");
});
