import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { policyFrom } from "../policy/policy-fixture.ts";
import { ask, openPolicySession, run } from "../support/policy-session.ts";
import { closeStages } from "../support/session-stage.ts";

afterEach(closeStages);

const BLOCKED = 1148;
const DROP = "DROP DATABASE shop";

/** Runs the texts in one session; every one but the last must pass, and the last gets the answer. */
async function assertLast(texts: readonly string[], answer: number, policy = ""): Promise<void> {
  const { client } = await openPolicySession(policy);
  const last = texts.at(-1) ?? "";
  for (const text of texts.slice(0, -1)) assert.equal(await run(client, text), 0, text);
  assert.equal(await run(client, last), answer, last);
  client.socket.destroy();
}

describe("SQL run by a name", () => {
  for (const [what, ...texts] of [
    ["a literal that destroys", `PREPARE s FROM '${DROP}'`],
    ["a variable that was set to it", `SET @v = '${DROP}'`, "PREPARE s FROM @v"],
    ["a variable by another spelling", `SET @V := '${DROP}'`, "PREPARE s FROM @`v`"],
    ["a variable that nobody has set", "PREPARE s FROM @v"],
    ["a concatenation", `SET @v = CONCAT('DROP ', 'DATABASE shop')`, "PREPARE s FROM @v"],
    ["a computed value that is not known", `SET @v = REVERSE('1 TCELES')`, "PREPARE s FROM @v"],
    ["the worse of two branches", `SET @v = IF(1 = 1, 'SELECT 1', '${DROP}')`, "PREPARE s FROM @v"],
    ["the worse of two branches, the other way", `SET @v = IF(1 = 1, '${DROP}', 'SELECT 1')`, "PREPARE s FROM @v"],
    ["a branch that reads a variable", `SET @d = '${DROP}'`, "SET @v = IF(1, 'SELECT 1', @d)", "PREPARE s FROM @v"],
    [
      "a value beside another of the same text",
      "SET @a = 'SELECT 1'",
      `SET @a = '${DROP}', @v = CONCAT(@a)`,
      "PREPARE s FROM @v",
    ],
    [
      "a value behind an assignment",
      "SET @a = 'SELECT 1'",
      `SET @v = IF(@a := '${DROP}', @a, @a)`,
      "PREPARE s FROM @v",
    ],
    [
      "what a table's rows may assign",
      "SET @a = 'SELECT 1'",
      "SET @v = (SELECT CONCAT(@a) FROM t)",
      "PREPARE s FROM @v",
    ],
    [
      "a variable beside which a function runs",
      "SET @v = 'SELECT 1'",
      "SET @a = IF(f(), 'x', 'y')",
      "PREPARE s FROM @v",
    ],
    ["a hex literal", "SET @v = 0x44524f50", "PREPARE s FROM @v"],
    ["a variable that a failed SET may have changed", "SET @v = 'SELECT 1'", "DO unknown(1)", "PREPARE s FROM @v"],
    ["a variable that a trigger may have set", "SET @v = 'SELECT 1'", "INSERT INTO t VALUES (1)", "PREPARE s FROM @v"],
    ["a variable that a view may have set", "SET @v = 'SELECT 1'", "SELECT a FROM t WHERE b = 1", "PREPARE s FROM @v"],
    ["a variable that a routine may have set", "SET @v = 'SELECT 1'", "CALL p()", "PREPARE s FROM @v"],
    ["a variable that a query has set", "SET @v = 'SELECT 1'", `SELECT '${DROP}' INTO @v`, "PREPARE s FROM @v"],
    [
      "a variable that a query may have left alone",
      `SET @v = '${DROP}'`,
      "SELECT 'SELECT 1' INTO @v",
      "PREPARE s FROM @v",
    ],
    ["a query that may have left a variable unset", "SELECT 'SELECT 1' INTO @v", "PREPARE s FROM @v"],
    ["a variable that an expression has set", "SET @v = 'SELECT 1'", "SELECT @v := 'x'", "PREPARE s FROM @v"],
    ["a variable whose name a collation may fold", "SET @e = 'SELECT 1'", "SET @`é` = 'x'", "PREPARE s FROM @e"],
    ["the argument of sys.execute_prepared_stmt", `SET @v = '${DROP}'`, "CALL sys.execute_prepared_stmt(@v)"],
    ["what sys.execute_prepared_stmt gets from nobody knows where", "CALL sys.execute_prepared_stmt(@v)"],
  ] as const) {
    it(`is judged: ${what}`, async () => {
      await assertLast(texts, BLOCKED);
    });
  }

  for (const [what, ...texts] of [
    ["a variable set to something harmless", "SET @v = 'SELECT 1'", "PREPARE s FROM @v", "EXECUTE s"],
    ["a variable set last to something harmless", "SET @v = 'x', @v = 'SELECT 1'", "SELECT 1 + 1", "PREPARE s FROM @v"],
    ["one of two texts", "SET @v = IF(f(), 'ALTER TABLE t ADD c INT', 'SELECT 1')", "PREPARE s FROM @v", "EXECUTE s"],
    ["what a query sets or leaves", "SET @v = 'SELECT 2'", "SELECT 'SELECT 1' INTO @v", "PREPARE s FROM @v"],
    [
      "text with the session's schema",
      "SET @d = DATABASE()",
      "SET @v = CONCAT('SELECT 1 FROM ', @d, '.t LIMIT 1')",
      "PREPARE s FROM @v",
    ],
    [
      "the idiom of migrations",
      'SET @t = "item"',
      "SET @v := (SELECT IF((SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE table_name = @t) > 0, 'SELECT 1', " +
        "CONCAT('ALTER TABLE ', @t, ' ADD c INT;')))",
      "PREPARE s FROM @v",
      "EXECUTE s",
      "DEALLOCATE PREPARE s",
    ],
    ["text with quotes", `SET @v = 'SELECT "it\\'s"'`, "PREPARE s FROM @v"],
    ["a name prepared anew", "PREPARE s FROM 'SELECT 2'", "PREPARE s FROM 'SELECT 1'", "EXECUTE s"],
    ["a name that is dropped", "PREPARE s FROM 'SELECT 1'", "DEALLOCATE PREPARE s", "EXECUTE s"],
  ] as const) {
    it(`passes: ${what}`, async () => {
      await assertLast(texts, 0);
    });
  }

  const TENANT = "tenants: [{ tables: [invoice], column: tenant_id, value: 7 }]";
  const PREPARE = "PREPARE s FROM 'SELECT id FROM invoice WHERE tenant_id = ?'";
  for (const [value, answer] of [
    ["7", 0],
    ["'7'", 0],
    ["8", BLOCKED],
    ["1 + 6", BLOCKED],
  ] as const) {
    it(`is judged by the values of USING: ${value}`, async () => {
      await assertLast([`SET @t = ${value}`, PREPARE, "SET @u = 7", "EXECUTE s USING @t"], answer, TENANT);
    });
  }

  it("is judged by the policy of the moment, under the verb that runs it too", async () => {
    const { client, judge, proxy } = await openPolicySession("");
    for (const text of ["PREPARE s FROM 'UPDATE t SET a = 1 WHERE b = 2'", "EXECUTE s"]) {
      assert.equal(await run(client, text), 0);
    }
    judge.replacePolicy(policyFrom("deny: { statements: [update] }"));
    assert.equal(await run(client, "EXECUTE s"), BLOCKED);
    const blocked = proxy.events.find(({ type }) => type === "statement-blocked");
    assert.ok(blocked?.type === "statement-blocked");
    assert.equal(blocked.text, "EXECUTE `s` /* UPDATE `t` SET `a` = ? WHERE `b` = ? */");
    judge.replacePolicy(policyFrom("deny: { statements: [execute] }"));
    assert.equal(await run(client, "EXECUTE s"), BLOCKED);
  });

  it("is every text that may stand behind the name", async () => {
    const { client, judge, proxy } = await openPolicySession("");
    for (const text of ["SET @v = IF(f(), 'UPDATE t SET a = 1 WHERE b = 2', 'SELECT 1')", "PREPARE s FROM @v"]) {
      assert.equal(await run(client, text), 0);
    }
    assert.equal(await run(client, "EXECUTE s"), 0);
    judge.replacePolicy(policyFrom("deny: { statements: [update] }"));
    assert.equal(await run(client, "EXECUTE s"), BLOCKED);
    const blocked = proxy.events.find(({ type }) => type === "statement-blocked");
    assert.ok(blocked?.type === "statement-blocked");
    assert.equal(blocked.text, "EXECUTE `s` /* UPDATE `t` SET `a` = ? WHERE `b` = ? | SELECT ? */");
  });

  it("is read in the schema in which it was prepared", async () => {
    const { client, judge } = await openPolicySession("");
    assert.equal(await run(client, "PREPARE s FROM 'SELECT a FROM secret WHERE b = 1'"), 0);
    judge.replacePolicy(policyFrom("deny: { tables: [shop.secret] }"));
    assert.equal(await run(client, "EXECUTE s"), BLOCKED);
  });

  it("is never taken from a variable that the same text sets first", async () => {
    const { client } = await openPolicySession("multi_statements: true");
    assert.equal(await run(client, "SET @v = 'SELECT 1'"), 0);
    assert.equal(await run(client, `SET @v = '${DROP}'; PREPARE s FROM @v`), BLOCKED);
  });

  it("is forgotten when the connection is reset", async () => {
    const { client } = await openPolicySession("");
    assert.equal(await run(client, "SET @v = 'SELECT 1'"), 0);
    assert.equal(await ask(client, Uint8Array.of(0x1f)), 0);
    assert.equal(await run(client, "PREPARE s FROM @v"), BLOCKED);
  });

  it("is bounded: names beyond the bound are not known", async () => {
    const { client } = await openPolicySession("");
    for (let index = 0; index < 70; index++) assert.equal(await run(client, `SET @v${index} = 'SELECT 1'`), 0);
    assert.equal(await run(client, "PREPARE s FROM @v0"), 0);
    assert.equal(await run(client, "PREPARE s FROM @v69"), BLOCKED);
    assert.equal(await run(client, `SET @v0 = '${"x".repeat(70_000)}'`), 0);
    assert.equal(await run(client, "PREPARE s FROM @v0"), BLOCKED);
  });
});
