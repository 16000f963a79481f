import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { policyFrom } from "../../policy/policy-fixture.ts";
import { ask, openPolicySession, run } from "../../support/policy-session.ts";
import { closeStages } from "../../support/session-stage.ts";

afterEach(closeStages);

const BLOCKED = 1148;
/** ER_UNKNOWN_STMT_HANDLER */
const NOT_PREPARED = 1243;
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
    ["nobody has prepared", "EXECUTE s"],
    ["is dropped", "PREPARE s FROM 'SELECT 1'", "DEALLOCATE PREPARE s", "EXECUTE s"],
    ["is not that of another", "PREPARE s FROM 'SELECT 1'", "EXECUTE t"],
  ] as const) {
    it(`is refused as by a server under a name that ${what}`, async () => {
      await assertLast(texts, NOT_PREPARED);
    });
  }

  for (const [what, ...texts] of [
    ["a literal that destroys", `PREPARE s FROM '${DROP}'`],
    ["a variable that was set to it", `SET @v = '${DROP}'`, "PREPARE s FROM @v"],
    ["a variable by another spelling", `SET @V := '${DROP}'`, "PREPARE s FROM @`v`"],
    ["a variable that nobody has set", "PREPARE s FROM @v"],
    ["a name that a routine may have prepared", "PREPARE s FROM 'SELECT 1'", "CALL p()", "EXECUTE s"],
    ["a name that needs quotes", "PREPARE `s-1` FROM 'SELECT 1'", "EXECUTE `s-1`"],
    ["a name in another spelling", "PREPARE s FROM 'SELECT 1'", "PREPARE \u015b FROM 'SELECT 2'", "EXECUTE s"],
    [
      "a name that a packet may have prepared again",
      "PREPARE s FROM 'SELECT 1'",
      "CALL p(); PREPARE t FROM 'SELECT 2'",
      "EXECUTE s",
    ],
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
    ["a name behind a packet that prepares nothing", "PREPARE s FROM 'SELECT 1'", "SELECT 1; SELECT 2", "EXECUTE s"],
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

  for (const [what, texts, answer] of [
    ["a literal before it", [PREPARE, "SET @t = '7'; EXECUTE s USING @t"], 0],
    ["another literal before it", [PREPARE, "SET @t = '8'; EXECUTE s USING @t"], BLOCKED],
    ["one of the session", [PREPARE, "SET @t = '8'", "SELECT 1; EXECUTE s USING @t"], BLOCKED],
    ["what a query has set meanwhile", [PREPARE, "SET @t = '7'; SELECT @t := 8; EXECUTE s USING @t"], BLOCKED],
    ["a name prepared in it", [`${PREPARE}; SET @t = '7'; EXECUTE s USING @t`], 0],
    ["a name prepared in it, and another value", [`${PREPARE}; SET @t = '8'; EXECUTE s USING @t`], BLOCKED],
    ["a name that it has dropped", [PREPARE, "SET @t = '7'; DEALLOCATE PREPARE s; EXECUTE s USING @t"], BLOCKED],
    ["a routine before it", [PREPARE, "SET @t = '7'; CALL p(); EXECUTE s USING @t"], BLOCKED],
    ["a name that stays known", [PREPARE, "SET @t = '7'; EXECUTE s USING @t", "EXECUTE s USING @t"], BLOCKED],
    [
      "a name that stays known, with a value",
      [PREPARE, "SELECT 1; SET @t = '7'; EXECUTE s USING @t; COMMIT", "SET @t = '7'", "EXECUTE s USING @t"],
      0,
    ],
  ] as const) {
    it(`is judged in a packet by its values: ${what}`, async () => {
      await assertLast(texts, answer, `multi_statements: true\n${TENANT}`);
    });
  }

  for (const [what, answer, ...texts] of [
    ["a variable set in it", 0, "SET @v = 'SELECT 1'; PREPARE s FROM @v", "EXECUTE s; DEALLOCATE PREPARE s"],
    [
      "one variable out of another",
      0,
      "SET @a = 'SELECT 1'; SET @v = CONCAT(@a, ' + 1'); PREPARE s FROM @v; EXECUTE s",
    ],
    [
      "a name that stays known behind it",
      0,
      "SELECT 1; PREPARE s FROM 'SELECT 1'",
      "SET @a = 1; SET NAMES utf8mb4",
      "EXECUTE s",
    ],
    ["a name prepared anew in it", 0, "PREPARE s FROM 'SELECT 1'", "SELECT 1; PREPARE s FROM 'SELECT 2'", "EXECUTE s"],
    ["settings that it states", 0, `SET sql_mode = ''; SET @v = 'SELECT "a"'; PREPARE s FROM @v; EXECUTE s`],
    ["a variable known before", 0, "SET @v = 'SELECT 1'", "PREPARE s FROM @v; EXECUTE s"],
    ["a literal with quotes", 0, `SET @v = 'SELECT "it\\'s"'; PREPARE s FROM @v; EXECUTE s`],
    ["a variable set to what destroys", BLOCKED, `SET @v = '${DROP}'; PREPARE s FROM @v`],
    ["a variable set to it last", BLOCKED, `SET @v = 'SELECT 1'; SET @V = '${DROP}'; PREPARE s FROM @v`],
    ["a variable set to it beside", BLOCKED, `SET @v = 'SELECT 1', @v = CONCAT('${DROP}', ''); PREPARE s FROM @v`],
    ["the worse of two branches", BLOCKED, `SET @v = IF(1 = 1, 'SELECT 1', '${DROP}'); PREPARE s FROM @v`],
    ["parts that destroy", BLOCKED, "SET @a = 'DROP '; SET @v = CONCAT(@a, 'DATABASE shop'); PREPARE s FROM @v"],
    ["what a query sets", BLOCKED, `SET @v = 'SELECT 1'; SELECT '${DROP}' INTO @v; PREPARE s FROM @v`],
    ["what an expression sets", BLOCKED, "SET @v = 'SELECT 1'; SELECT @v := a FROM t; PREPARE s FROM @v"],
    ["what a trigger may set", BLOCKED, "SET @v = 'SELECT 1'; INSERT INTO t VALUES (1); PREPARE s FROM @v"],
    ["what a function may set", BLOCKED, "SET @v = 'SELECT 1'; SELECT f(); PREPARE s FROM @v"],
    ["what a routine may set", BLOCKED, "SET @v = 'SELECT 1'; CALL p(); PREPARE s FROM @v"],
    [
      "what an execution sets",
      BLOCKED,
      "SET @v = 'SELECT 1'; PREPARE p FROM 'SET @v = 2'; EXECUTE p; PREPARE s FROM @v",
    ],
    [
      "what a statement sets that ran by a name",
      BLOCKED,
      "PREPARE p FROM 'SELECT f()'; SET @v = 'SELECT 1'; EXECUTE p; PREPARE s FROM @v",
    ],
    [
      "a setting made by a name",
      BLOCKED,
      "SET @v = 'SELECT \"x\" FROM t'; PREPARE p FROM 'SET sql_mode = ANSI'; EXECUTE p; PREPARE s FROM @v",
    ],
    ["a variable that nobody has set", BLOCKED, "SET @w = 'SELECT 1'; PREPARE s FROM @v"],
    ["a name dropped in it", NOT_PREPARED, "PREPARE s FROM 'SELECT 1'", "SELECT 1; DEALLOCATE PREPARE s", "EXECUTE s"],
    [
      "more texts than are followed",
      BLOCKED,
      "SET @a = CONCAT(IF(1, '1', '2'), IF(1, '1', '2')); SET @v = CONCAT('SELECT ', @a); PREPARE s FROM @v; PREPARE t FROM @v; PREPARE u FROM @v",
    ],
  ] as const) {
    it(`is followed through a packet: ${what}`, async () => {
      await assertLast(texts, answer, "multi_statements: true");
    });
  }

  it("is judged in a packet by the deny lists, as what the variable holds", async () => {
    const text = "SET @v = 'UPDATE t SET a = 1 WHERE b = 2'; PREPARE s FROM @v";
    await assertLast([`${text}; EXECUTE s`], 0, "multi_statements: true");
    await assertLast([`${text}; EXECUTE s`], BLOCKED, "multi_statements: true\ndeny: { statements: [update] }");
    await assertLast([text], BLOCKED, "multi_statements: true\ndeny: { statements: [update] }");
  });

  it("is read by the settings that its packet has made before", async () => {
    const policy = "multi_statements: true\ndeny: { columns: [t.secret] }";
    const prepare = `PREPARE s FROM 'SELECT a FROM t WHERE b = "secret"'`;
    await assertLast([prepare, "SET @a = 1; EXECUTE s"], 0, policy);
    await assertLast([prepare, "SET sql_mode = 'ANSI_QUOTES'; EXECUTE s"], BLOCKED, policy);
    await assertLast([`SET sql_mode = 'ANSI_QUOTES'; ${prepare}`], BLOCKED, policy);
  });

  it("is told behind the packet's own text", async () => {
    const { client, proxy } = await openPolicySession("multi_statements: true\ndeny: { tables: [secret] }");
    const texts =
      "SELECT c FROM t WHERE d = 1; SET @v = 'SELECT a FROM secret WHERE b = 1'; PREPARE s FROM @v; EXECUTE s";
    assert.equal(await run(client, texts), BLOCKED);
    const blocked = proxy.events.find(({ type }) => type === "statement-blocked");
    assert.ok(blocked?.type === "statement-blocked");
    assert.match(blocked.text ?? "", /\/\* SELECT `a` FROM `secret` WHERE `b` = \? \*\/$/);
  });

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

  it("is held for an approval with every EXECUTE", async () => {
    const { client, proxy } = await openPolicySession(
      "thresholds: { require_approval: 50, block: off }\napproval: { mode: immediate }",
    );
    assert.equal(await run(client, "EXECUTE s"), BLOCKED);
    assert.equal(await run(client, "EXECUTE s"), BLOCKED);
    const refused = proxy.events.filter(({ type }) => type === "statement-blocked");
    assert.equal(refused.length, 2);
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
