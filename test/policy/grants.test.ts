import assert from "node:assert/strict";
import { test } from "node:test";
import { renderGrants } from "../../src/policy/tools/grants.ts";
import { policyFrom } from "./policy-fixture.ts";

const grantsOf = (lines: string, profile = "p", schema?: string): string[] =>
  renderGrants(policyFrom(`profiles:\n  - { name: p, match: { users: [app, "job_*"] }, ${lines} }`), {
    profile,
    schema,
  })
    .trim()
    .split("\n");

test("renderGrants() prints what a profile's statements need, for its accounts and schemas", () => {
  assert.deepEqual(grantsOf("read_only: true, schemas: [my_app]"), [
    "-- profile p",
    "-- the same for every account like job_*",
    "GRANT SELECT, SHOW VIEW ON `my\\_app`.* TO 'app'@'%';",
  ]);
  assert.deepEqual(grantsOf("allow: { statements: [select, update], tables: [shop.book, 'hr.*'] }").slice(2), [
    "GRANT SELECT, SHOW VIEW, UPDATE ON `shop`.`book` TO 'app'@'%';",
    "GRANT SELECT, SHOW VIEW, UPDATE ON `hr`.* TO 'app'@'%';",
  ]);
  assert.deepEqual(grantsOf("read_only: true, allow: { routines: [shop.report] }", "p", "shop").slice(2), [
    "GRANT SELECT, SHOW VIEW ON `shop`.* TO 'app'@'%';",
    "GRANT EXECUTE ON PROCEDURE `shop`.`report` TO 'app'@'%';",
  ]);
});

test("renderGrants() names the accounts of patterns only where there are some", () => {
  const policy = policyFrom("profiles:\n  - { name: p, match: { users: [app] }, read_only: true, schemas: [s] }");
  const [title, grant] = renderGrants(policy, { profile: "p", schema: undefined }).trim().split("\n");
  assert.equal(title, "-- profile p");
  assert.equal(grant, "GRANT SELECT, SHOW VIEW ON `s`.* TO 'app'@'%';");
});

test("renderGrants() leaves out what is denied under any name, and keeps what is about rows out of the question", () => {
  const [, , grant = ""] = grantsOf("schemas: [shop], deny: { statements: [drop, truncate, delete] }");
  assert.ok(!/\bDROP\b|DELETE/.test(grant), grant);
  const [, , tenant = ""] = grantsOf(
    "read_only: true, schemas: [shop], tenants: [{ tables: ['*'], column: t, value: 7 }]",
  );
  assert.match(tenant, /^GRANT SELECT, SHOW VIEW ON/);
});

test("renderGrants() says what a grant cannot, and which profile there is not", () => {
  const lines = grantsOf("schemas: [shop], deny: { tables: [shop.salary], columns: [shop.member.iban] }");
  assert.match(lines.join("\n"), /to keep shop\.salary closed, grant table by table/);
  assert.match(lines.join("\n"), /grant SELECT \(a, b\)/);
  assert.throws(() => grantsOf("read_only: true", "q"), /no profile is named "q"/);
});
