import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lintPolicy } from "../../src/policy/tools/policy-lint.ts";
import { NOON, policyFrom } from "./policy-fixture.ts";

/** Each finding as `line: text`, those for --strict alone behind a mark. */
const findingsOf = (lines: string, engine?: "postgresql"): string[] =>
  lintPolicy(policyFrom(lines), NOON, engine).map(
    ({ line, text, isStrictOnly }) => `${line}${isStrictOnly ? "s" : ""}: ${text}`,
  );

const profile = (settings: string, match = "users: [a]"): string =>
  `profiles: [{ name: p, match: { ${match} }, ${settings} }]`;
const exception = (fields: string): string =>
  `exceptions: [{ id: e, reason: r, expires: 2026-12-31, rules: [dml.nowhere], ${fields} }]`;

/** What is found, by the words it must have; none where nothing is to be found. */
const ROWS: readonly (readonly [lines: string, ...words: string[]])[] = [
  ["mode: enforce"],
  ["mode: off", "1s: mode: off judges nothing"],
  ["mode: observe"],
  ["thresholds: { warn: 30, block: off }", "1s: thresholds: without block"],
  ["thresholds: { warn: 30 }"],
  ["not_understood: allow", "1: not_understood: allow lets through"],
  ["not_understood: block"],
  ["rules: { 'perf.*': off }", '1s: rules: "perf.*: off" also switches off later rules'],
  ["rules: { perf.star: off }"],
  ["rules: { 'perf.*': warn }"],
  ["deny: { columns: [password] }", '1s: deny.columns: "password" names no table'],
  ["deny: { columns: [users.password] }"],
  ["tenants: [{ tables: [t], column: c }]", "1s: tenants: c without value accepts any tenant"],
  ["tenants: [{ tables: [t], column: c, value: 7 }]"],
  ["multi_statements: true", "1s: multi_statements: true gives stacked statements away"],
  ["multi_statements: false"],
  ["new_digest: warn", "1s: new_digest: no digest is listed"],
  [profile("new_digest: warn"), "2s: new_digest: no digest is listed"],
  [profile(`new_digest: warn, allow: { digests: [${"a".repeat(64)}] }`)],
  [profile("read_only: true")],
  [profile("read_only: true, mode: observe"), "2: profile p: read_only does nothing in mode observe"],
  [`mode: observe\n${profile("read_only: true")}`, "3: profile p: read_only does nothing in mode observe"],
  [`mode: observe\n${profile("read_only: true, mode: enforce")}`],
  [`read_only: true\n${profile("read_only: false")}`, "3: profile p: read_only: false has no effect"],
  [profile("read_only: false")],
  ["profiles: [{ name: p, match: { users: [a] } }]", "2: profile p: has no settings"],
  [profile("read_only: true", 'users: ["*"]'), '2s: profile p: users: "*" is everybody'],
  [profile("rules: { perf.star: warn }", "schemas: [s]")],
  [profile("read_only: true, deny: { tables: [t], functions: [f] }", "schemas: [s]"), "and read_only, deny with it"],
  [profile("read_only: false", "schemas: [s]")],
  [exception("users: [a]")],
  [exception("users: []").replace(", users: []", ""), "2s: exception e: is for everybody"],
  [exception("schemas: [s]")],
  [exception("tables: [t]")],
  [exception("addresses: [10.0.0.0/8]")],
  [exception(`digests: [${"a".repeat(64)}]`)],
  [exception("users: [a]").replace("2026-12-31", "2026-11-21"), "2: exception e: has expired"],
  [exception("users: [a]").replace("2026-12-31", "2027-11-20")],
  [exception("users: [a]").replace("2026-12-31", "2027-11-23"), "2s: exception e: lasts longer than a year"],
  [exception("users: [a]").replace("dml.nowhere", '"*"'), 'exception e: rules: "*" takes every rule away'],
];

describe("lintPolicy()", () => {
  for (const [lines, ...words] of ROWS) {
    it(`finds ${words.length === 0 ? "nothing" : words.join(" and ")} in ${lines.replaceAll("\n", " ")}`, () => {
      const found = findingsOf(lines);
      assert.equal(found.length, words.length, found.join("\n"));
      for (const [index, wanted] of words.entries()) assert.ok(found[index]?.includes(wanted), found.join());
    });
  }

  it("tells what it has found in the order of the lines", () => {
    const found = findingsOf(`${profile("read_only: true, mode: observe")}\nnot_understood: allow`);
    const lines = found.map((text) => Number.parseInt(text, 10));
    assert.deepEqual(
      lines,
      lines.toSorted((left, right) => left - right),
    );
    assert.equal(found.length, 2);
  });

  it("knows what is something else in front of PostgreSQL", () => {
    const impact = profile("impact: { max_changed_rows: 5 }");
    assert.deepEqual(findingsOf(impact), []);
    assert.deepEqual(findingsOf(impact, "postgresql"), [
      "2: impact.max_changed_rows cannot be kept in front of PostgreSQL: every change is refused",
    ]);
    const allowed = "allow: { tables: [Orders, book], functions: [Total] }";
    assert.deepEqual(findingsOf(allowed), []);
    assert.deepEqual(findingsOf(allowed, "postgresql"), [
      '1s: allow.tables: "Orders" is in PostgreSQL the name in quotes alone; write orders for the one without',
      '1s: allow.functions: "Total" is in PostgreSQL the name in quotes alone; write total for the one without',
    ]);
    // No session of PostgreSQL's leaves its schema by USE.
    assert.deepEqual(findingsOf(profile("read_only: true", "schemas: [s]"), "postgresql"), []);
  });
});
