/** Texts that a session keeps and something else runs: PREPARE, functions, rules. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { decide } from "../../../src/policy/decide.ts";
import { POSTGRES_ENGINE } from "../../../src/policy/postgres/postgres-engine.ts";
import type { PostgresqlContext } from "../../../src/sql/facts.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../../support/postgres-context.ts";
import { policyFrom, ruleIds, SUBJECT } from "../policy-fixture.ts";

before(readyToParse);

const policy = policyFrom(`deny: { tables: [guarded.secret] }
tenants:
  - { tables: [guarded.orders], column: tenant_id, value: 7 }`);

function rulesFor(
  sql: string,
  searchPath: PostgresqlContext["searchPath"],
  command: "text" | "prepare" = "text",
): string[] {
  const analysis = POSTGRES_ENGINE.analyze(Buffer.from(sql), { ...POSTGRES_CONTEXT, searchPath });
  const rules = ruleIds(decide(analysis, { ...SUBJECT, command }, policy, { wallMs: 0 }));
  return rules.filter((id) => id === "acc.tenant" || id === "pol.deny.table");
}

describe("a text that is kept to run later", () => {
  const ORDERS = "SELECT note FROM guarded.orders WHERE tenant_id = $1";

  test("has no tenant's value where only an EXECUTE or a call has it", () => {
    for (const sql of [
      `PREPARE n AS ${ORDERS}`,
      `PREPARE n AS ${ORDERS}; EXECUTE n(8)`,
      `PREPARE n (int) AS DELETE FROM guarded.orders WHERE tenant_id = $1::int`,
      "PREPARE n AS INSERT INTO guarded.orders (tenant_id, note) VALUES ($1, 'x')",
      `PREPARE n AS WITH w AS (${ORDERS}) SELECT * FROM w`,
      `CREATE FUNCTION f(int) RETURNS text LANGUAGE sql AS '${ORDERS}'`,
      `CREATE FUNCTION f(int) RETURNS text LANGUAGE sql RETURN (${ORDERS})`,
      `CREATE FUNCTION f(int) RETURNS text LANGUAGE sql BEGIN ATOMIC ${ORDERS}; END`,
    ]) {
      assert.deepEqual(rulesFor(sql, "unknown"), ["acc.tenant"], sql);
    }
  });

  test("has it where the message has, or the text itself", () => {
    assert.deepEqual(rulesFor(ORDERS, "unknown", "prepare"), []);
    assert.deepEqual(rulesFor(`EXPLAIN ${ORDERS}`, "unknown", "prepare"), []);
    assert.deepEqual(rulesFor(`PREPARE n AS ${ORDERS.replace("$1", "7")} AND note = $1`, "unknown"), []);
  });

  test("finds its tables by the search_path of the moment at which it runs", () => {
    assert.deepEqual(rulesFor("SELECT data FROM secret", ["free"]), []);
    for (const sql of [
      "PREPARE n AS SELECT data FROM secret",
      "PREPARE n AS TABLE secret; SET search_path = guarded; EXECUTE n",
      "PREPARE n AS SELECT 1 FROM free.pub WHERE EXISTS (SELECT FROM secret)",
      "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT data FROM secret'",
    ]) {
      assert.deepEqual(rulesFor(sql, ["free"]), ["pol.deny.table"], sql);
    }
  });

  test("may find it in the schema of a role that is none yet", () => {
    assert.deepEqual(rulesFor("SELECT data FROM secret", ["$user"]), ["pol.deny.table"]);
  });
});

test("what stands behind a write in one text is read under every search_path: it may have set another", () => {
  for (const write of [
    "UPDATE pg_settings SET setting = 'guarded' WHERE name = 'search_path'",
    "UPDATE pg_catalog.pg_settings SET setting = 'guarded' WHERE name = 'search_path'",
    "INSERT INTO with_trigger VALUES (1)",
  ]) {
    assert.deepEqual(rulesFor(`${write}; COPY (TABLE secret) TO STDOUT`, ["public"]), ["pol.deny.table"], write);
  }
  assert.deepEqual(rulesFor("SELECT 1; TABLE secret", ["public"]), []);
});
