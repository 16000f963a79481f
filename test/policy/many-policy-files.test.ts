/**
 * What is said of policy files a small step from good ones: a line left out, doubled, moved or indented otherwise, a word
 * exchanged. test/golden/many-policy-files.txt holds a sum for every few of them; `MANY_POLICY_FILES='rules 3'` prints what
 * is behind its line, to be compared with what it prints in another commit.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { parsePolicy, renderProblems } from "../../src/policy/file/policy-file.ts";
import { permitsByTable } from "../../src/policy/policy.ts";
import { lintPolicy } from "../../src/policy/tools/policy-lint.ts";
import { assertGoldenPart } from "../config/golden.ts";
import { NOON } from "./policy-fixture.ts";

const TIMEOUT_MS = 120_000;

/** Everything that can be set, at a border where there is one. */
const FILES: Readonly<Record<string, string>> = {
  "a few words": `
mode: enforce
rule_sets: { injection: observe, dml: off, access: enforce }
thresholds: { warn: 1, require_approval: 50, block: 100 }
read_only: false
multi_statements: true
not_understood: require-approval
new_digest: warn
housekeeping: false
`,
  rules: `
rules:
  dml.nowhere: block
  "ddl.*": { points: 100, action: warn }
  recon.mysql: off
  inj.union: { points: 0 }
  dyn.opinion: allow
`,
  lists: `
require_where: [t, "shop.*"]
canary_tables: [honey, "s.*"]
sensitive: { tables: [salary], columns: [iban, member.password, a.b.c] }
schemas: [shop, "p*"]
allow:
  tables: [t, shop.u]
  statements: [select, "insert*"]
  functions: [f]
  routines: [app.p]
  digests: [${"b".repeat(64)}]
`,
  tenants: `
require_where: true
tenants:
  - { tables: [orders, "shop.o*"], column: tenant_id, value: 7 }
  - { tables: [notes], column: Tenant, value: "it's" }
  - tables: [x]
    column: c
`,
  denials: `
deny:
  statements: [drop-database, "alter-*"]
  tables: [secret, { match: pay.x, action: warn }, { match: "a*", reason: no }]
  columns: [word, { match: member.pin, action: require-approval }]
  functions: [sleep]
  digests: [${"a".repeat(64)}]
`,
  exceptions: `
exceptions:
  - { id: a, reason: x, expires: 2026-12-01, rules: [dml.nowhere], users: [app], schemas: [shop], tables: [t] }
  - { id: b, reason: y, expires: "2026-12-01T10:00:00Z", rules: ["*"], addresses: [10.0.0.0/8, "2001:db8::/32"], digests: [${"c".repeat(64)}] }
`,
  amounts: `
limits: { max_response_mb: 1, max_response_rows: 1000000000, max_window_mb: off, max_user_window_mb: 3, max_user_window_rows: 2, data_guard_action: cut }
approval: { mode: immediate, timeout: 5m, valid_for: 1h, in_transaction: hold, transaction_timeout: 30s, open_per_user: 1 }
impact: { estimated_rows: { warn: 1, require_approval: 3, block: 5 }, no_estimate: warn, max_changed_rows: 0 }
`,
  profiles: `
profiles:
  - name: one
    match: { users: [a, "b*"], roles: [r], schemas: [shop], addresses: [192.0.2.0/24, unix], listeners: [writer] }
    read_only: true
    thresholds: { block: 90 }
  - { name: two, match: { tls: true, hours: "08:00-18:00", days: [mon, fri] }, mode: observe, limits: { max_response_rows: 3 } }
`,
};

const WORDS = [
  ..."off|observe|enforce|0|1|100|101|-1|1.5|7e1|true|false|null|~|[]|{}|[a, a]|{ a: b }|warn|block|cut|select|*|a.b|a.b.c".split(
    "|",
  ),
  ...[
    '"',
    "''",
    "&a x",
    "*a",
    "!t x",
    "|",
    ">",
    "2026-02-30",
    "10.0.0.0/33",
    "::/0",
    "x".repeat(300),
    "é",
    "\t",
    "#",
    ": :",
    "99999999999",
  ],
];

function* neighbours(text: string): Generator<string> {
  const lines = text.split("\n");
  for (const [at, line] of lines.entries()) {
    const put = (...some: readonly string[]): string => lines.toSpliced(at, 1, ...some).join("\n");
    yield put();
    yield put(line, line);
    yield put(` ${line}`);
    yield put(line.replace(/^ {2}/, ""));
    yield put(`\t${line}`);
    yield put(`${line} x`);
    yield put(line.slice(0, -1));
    const next = lines[at + 1];
    if (next !== undefined) yield lines.toSpliced(at, 2, next, line).join("\n");
    const words = [...line.matchAll(/"[^"]*"|'[^']*'|[\w.*@/:-]+/g)];
    for (const [index, { 0: word, index: from }] of words.entries()) {
      const change = (to: string): string => put(line.slice(0, from) + to + line.slice(from + word.length));
      yield change("");
      yield change(`${word.slice(0, -1)}`);
      for (let step = 0; step < 4; step++) {
        yield change(WORDS[(at * 5 + index * 11 + step * 7) % WORDS.length] ?? "");
      }
    }
  }
}

/** The policy as it was read, whatever it is made of. */
function plain(key: string, value: unknown): unknown {
  if (key === "version" || key === "serial") return undefined;
  if (value instanceof Set) return [...value];
  if (value instanceof Map) return [...value];
  if (typeof value === "function") return "function";
  return value;
}

function answerTo(text: string, index: number): string {
  const result = parsePolicy(text);
  if (result.kind === "refused") return renderProblems("p", result.problems);
  const { policy } = result;
  const findings = index % LINTED_EVERY === 0 ? lintPolicy(policy, NOON) : [];
  return JSON.stringify([policy, permitsByTable(policy), findings], plain);
}

/** What lint says takes longer than reading does. */
const LINTED_EVERY = 7;
/** Files of one sum. */
const SHARE = 25;

for (const [title, text] of Object.entries(FILES)) {
  test(`parsePolicy() says of files a step from ${title} what test/golden/many-policy-files.txt holds`, {
    timeout: TIMEOUT_MS,
  }, () => {
    const whole = `version: 1${text}`;
    assert.equal(parsePolicy(whole).kind, "loaded");
    const answers = [whole, ...neighbours(whole)].map(answerTo);
    const sums: string[] = [];
    for (let from = 0; from < answers.length; from += SHARE) {
      const some = answers.slice(from, from + SHARE).join("\n");
      if (process.env["MANY_POLICY_FILES"] === `${title} ${sums.length}`) console.log(some);
      sums.push(`${createHash("sha256").update(some).digest("hex").slice(0, 8)} ${sums.length}`);
    }
    assertGoldenPart("many-policy-files.txt", title, sums);
  });
}
