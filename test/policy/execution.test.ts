import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { MysqlPreparedText } from "../../src/policy/mysql/prepared-text.ts";
import type { Subject } from "../../src/policy/policy.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { BoundValue } from "../../src/sql/facts.ts";
import { type MysqlContext, SQL_MODE } from "../../src/sql/facts.ts";
import { NOON, policyFrom, ruleIds, SUBJECT } from "./policy-fixture.ts";

const CLOCK = { wallMs: () => NOON, monotonicMs: () => NOON };
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function judgeWith(policy: string, cacheBytesMax = 1 << 20) {
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: policyFrom(policy),
    clock: CLOCK,
    idPrefix: "t",
    cacheBytesMax,
  });
  const prepare = (sql: string, changes: Partial<MysqlContext> = {}, parameters?: number) =>
    new MysqlPreparedText(encode(sql), { ...contextFor({ schema: "shop" }), ...changes }, parameters);
  const execute = (sql: string | MysqlPreparedText, values: readonly BoundValue[], subject: Partial<Subject> = {}) =>
    judge.judgeExecution(typeof sql === "string" ? prepare(sql) : sql, values, {
      ...SUBJECT,
      schema: "shop",
      ...subject,
    });
  const run = (sql: string) => judge.judge(encode(sql), contextFor({ schema: "shop" }), { ...SUBJECT, schema: "shop" });
  return { judge, prepare, execute, run };
}

describe("Judge.judgeExecution()", () => {
  const { execute } = judgeWith("");
  for (const [sql, values, rule] of [
    ["DELETE FROM t WHERE ? = ?", [1, 1], "dml.nowhere"],
    ["DELETE FROM t WHERE ?", [1], "dml.nowhere"],
    ["UPDATE t SET a = 1 WHERE ? OR id = 4", [1n], "dml.nowhere"],
    ["DELETE FROM t WHERE a LIKE ?", ["%"], "dml.nowhere"],
    ["SELECT a FROM t WHERE a LIKE ?", [encode("%x")], "perf.like"],
    ["SELECT a FROM t WHERE id = 4 LIMIT 5 OFFSET ?", [50_000], "perf.offset"],
    ["CALL sys.execute_prepared_stmt(?)", ["DROP DATABASE shop"], "ddl.dropdb"],
    ["SET sql_mode = ?", ["ANSI_QUOTES"], "adm.setvar"],
  ] as const) {
    it(`sees ${rule} in ${sql} with ${values.map(String).join()}`, () => {
      assert.ok(ruleIds(execute(sql, values).decision).includes(rule));
    });
  }

  for (const [sql, values] of [
    ["SELECT a FROM t WHERE a LIKE ?", ["x%"]],
    ["SELECT a FROM t WHERE id = 4 LIMIT 5 OFFSET ?", [10]],
  ] as const) {
    it(`sees nothing in ${sql} with ${values.join()}`, () => {
      assert.deepEqual(ruleIds(execute(sql, values).decision), []);
    });
  }

  it("takes no value for code: what looks like an attack inside one raises nothing", () => {
    for (const value of ["' OR 1=1 -- ", "1; DROP TABLE t", "x' UNION SELECT password FROM user #"]) {
      const { decision } = execute("SELECT a FROM t WHERE f(a) = ? OR (? IS NULL OR b = ?)", [value, null, value]);
      assert.deepEqual(
        decision.rules.filter(({ category }) => category === "injection" || category === "obfuscation"),
        [],
      );
    }
  });

  it("keeps what the prepared text itself raises", () => {
    assert.ok(ruleIds(execute("SELECT a FROM t WHERE b LIKE ? OR 1 = 1", ["x"]).decision).includes("inj.tautology"));
  });

  it("takes no verdict from values of another shape that have no key either", () => {
    const { execute } = judgeWith("");
    const sql = "SELECT a FROM t WHERE b LIKE ?";
    for (const _ of [0, 1, 2]) assert.deepEqual(ruleIds(execute(sql, ["it's"]).decision), []);
    assert.deepEqual(ruleIds(execute(sql, ["%it's"]).decision), ["perf.like"]);
  });

  it("keeps the schema that was chosen when the text was prepared", () => {
    const { execute, prepare } = judgeWith("deny: { tables: [vault.secret] }");
    const sql = "SELECT a FROM secret WHERE b = ?";
    for (const _ of [0, 1, 2]) assert.equal(execute(sql, [1]).decision.action, "allow");
    for (const _ of [0, 1, 2]) assert.equal(execute(prepare(sql, { schema: "vault" }), [1]).decision.action, "block");
    assert.equal(execute(prepare(sql, { schema: "vault" }), [1]).isFromCache, true);
    assert.equal(execute(sql, [1]).decision.action, "allow");
  });

  it("judges by the policy of the moment", () => {
    const { judge, prepare, execute } = judgeWith("");
    const text = prepare("DELETE FROM t WHERE a LIKE ?");
    for (const _ of [0, 1, 2]) assert.equal(execute(text, ["a%"]).decision.action, "allow");
    judge.replacePolicy(policyFrom("deny: { statements: [delete] }"));
    assert.equal(execute(text, ["a%"]).decision.action, "block");
  });

  it("remembers verdicts by the class of the values, and asks again for another class", () => {
    const { execute } = judgeWith("");
    const sql = "SELECT a FROM t WHERE id = 4 LIMIT 5 OFFSET ?";
    for (const offset of [5, 6]) execute(sql, [offset]);
    assert.equal(execute(sql, [7]).isFromCache, true);
    assert.deepEqual(ruleIds(execute(sql, [7]).decision), []);
    assert.deepEqual(ruleIds(execute(sql, [70_000]).decision), ["perf.offset"]);
  });

  it("never shares a verdict between a text and an execution that would be that text", () => {
    const { execute, run } = judgeWith("");
    for (const _ of [0, 1, 2]) execute("SELECT a FROM t WHERE b = 4 OR ? = ?", [1, 1]);
    for (const _ of [0, 1, 2]) {
      assert.ok(ruleIds(run("SELECT a FROM t WHERE b = 4 OR  1  =  1 ").decision).includes("inj.tautology"));
    }
  });

  it("keeps the schema in which the text was prepared", () => {
    const { prepare, execute } = judgeWith("deny: { tables: [secrets.word] }");
    const text = prepare("SELECT a FROM word WHERE b = ?", { schema: "secrets" });
    const other = prepare("SELECT a FROM word WHERE b = ?", { schema: "shop" });
    for (const _ of [0, 1, 2]) {
      assert.equal(execute(text, [1]).decision.action, "block");
      assert.equal(execute(other, [1]).decision.action, "allow");
    }
  });

  it("reads the text both ways when the session's sql_mode has changed since", () => {
    const { prepare, execute } = judgeWith("deny: { tables: [secret] }");
    const text = prepare('SELECT a FROM pub WHERE b = "x" AND c = ?');
    assert.deepEqual(ruleIds(execute(text, [1]).decision), []);
    const now = { ...contextFor({ schema: "shop" }), sqlMode: 4 };
    assert.ok(ruleIds(execute(text.inSession(now), [1]).decision).includes("obf.ambig"));
    assert.equal(text.inSession(text.context), text);
  });

  it("refuses what it cannot place: readings that differ, or another number than the server counted", () => {
    const { prepare, execute } = judgeWith("");
    const twice = "DELETE FROM t WHERE a = '\\' AND b = ? -- ' OR c = ?";
    assert.equal(execute(prepare(twice, { sqlMode: "unknown" }), [1]).decision.action, "block");
    assert.equal(execute(prepare("DELETE FROM t WHERE b = ?", {}, 2), [1, 2]).decision.action, "block");
  });

  it("holds a tenant to its own rows by the value that is bound", () => {
    const { execute } = judgeWith("tenants: [{ tables: [invoice], column: tenant_id, value: 7 }]");
    const sql = "SELECT id FROM invoice WHERE tenant_id = ? AND b = ?";
    for (const own of [7, 7n, "7", encode("7")]) assert.equal(execute(sql, [own, 1]).decision.action, "allow");
    for (const other of [8, "8", null, undefined]) assert.equal(execute(sql, [other, 7]).decision.action, "block");
  });

  const INSERT = "INSERT INTO invoice (id, tenant_id) VALUES";
  const rowsOf = (count: number, foreign = -1) =>
    Array.from({ length: count }, (_, row) => [row, row === foreign ? 8 : 7]).flat();
  const places = (count: number) => Array(count).fill("(?, ?)").join(", ");

  for (const [what, sql, values, own, bare] of [
    ["its own row", `${INSERT} (?, ?)`, [1, 7], "allow", "allow"],
    ["its own row as text", `${INSERT} (?, ?)`, [1, encode("7")], "allow", "allow"],
    ["another's row", `${INSERT} (?, ?)`, [7, 8], "block", "allow"],
    ["no tenant", `${INSERT} (?, ?)`, [1, null], "block", "allow"],
    ["a value nobody knows", `${INSERT} (?, ?)`, [1, undefined], "block", "allow"],
    ["an expression", `${INSERT} (?, ? + 1)`, [1, 6], "block", "allow"],
    ["SET of its own", "INSERT INTO invoice SET id = ?, tenant_id = ?", [1, 7], "allow", "allow"],
    ["SET of another's", "INSERT INTO invoice SET id = ?, tenant_id = ?", [1, 8], "block", "allow"],
    ["REPLACE of another's", "REPLACE INTO invoice (id, tenant_id) VALUES (?, ?)", [1, 8], "block", "allow"],
    ["no column list", "INSERT INTO invoice VALUES (?, ?)", [1, 7], "block", "block"],
    ["another column", "INSERT INTO invoice (id) VALUES (?)", [7], "block", "block"],
    ["a new tenant", `${INSERT} (?, ?) ON DUPLICATE KEY UPDATE tenant_id = ?`, [1, 7, 7], "block", "block"],
    ["400 of its rows", `${INSERT} ${places(400)}`, rowsOf(400), "allow", "allow"],
    ["400 rows, the second another's", `${INSERT} ${places(400)}`, rowsOf(400, 1), "block", "allow"],
    ["101 rows, the last another's", `${INSERT} ${places(101)}`, rowsOf(101, 100), "block", "allow"],
    ["400 rows, the last another's", `${INSERT} ${places(400)}`, rowsOf(400, 399), "block", "allow"],
    ["bound rows behind a literal one", `${INSERT} (1, 7), (?, ?)`, [1, 8], "block", "allow"],
  ] as const) {
    it(`holds an INSERT with bound values to its tenant: ${what}`, () => {
      const rule = "tables: [invoice], column: tenant_id";
      const byValue = judgeWith(`tenants: [{ ${rule}, value: 7 }]`).execute(sql, values).decision;
      assert.equal(byValue.action, own, byValue.reason);
      const byColumn = judgeWith(`tenants: [{ ${rule} }]`).execute(sql, values).decision;
      assert.equal(byColumn.action, bare, byColumn.reason);
    });
  }

  it("refuses rows whose values are together more than it looks at", () => {
    const { execute } = judgeWith("tenants: [{ tables: [invoice], column: tenant_id, value: 7 }]");
    const values = Array.from({ length: 8000 }, () => ["x".repeat(200), 7]).flat();
    const { decision } = execute(`INSERT INTO invoice (note, tenant_id) VALUES ${places(8000)}`, values);
    assert.deepEqual(ruleIds(decision), ["acc.tenant"]);
  });

  it("gives the verdict that the text with the values as literals has, but for rules about code", () => {
    const texts = [
      "DELETE FROM t WHERE ? = ?",
      "UPDATE t SET a = ? WHERE b LIKE ?",
      "SELECT * FROM t WHERE a = ? OR b LIKE ? ORDER BY RAND()",
      "SELECT a FROM t WHERE ? LIMIT 4 OFFSET ?",
      "INSERT INTO t (a, b) VALUES (?, f(?))",
      "DELETE FROM t WHERE a IN (?, ?)",
    ];
    const { execute, run } = judgeWith("", 0);
    const value = fc.oneof(
      fc.nat(),
      fc.constantFrom(0, 1, 99_999),
      fc.constantFrom("", "%", "x%", "_"),
      fc.constant(null),
    );
    fc.assert(
      fc.property(fc.constantFrom(...texts), value, value, (sql, first, second) => {
        const values = [first, second];
        const isOffset = sql.includes("OFFSET");
        if (isOffset && typeof second !== "number") return;
        const literal = sql.replaceAll("?", () => {
          const next = values.shift();
          return next === null ? "NULL" : typeof next === "string" ? `'${next}'` : String(next);
        });
        const ofEffects = (judged: ReturnType<typeof run>) =>
          judged.decision.rules
            .filter(({ category }) => category !== "injection" && category !== "obfuscation")
            .map(({ id, points }) => `${id} ${points}`);
        assert.deepEqual(ofEffects(execute(sql, [first, second])), ofEffects(run(literal)), literal);
      }),
      { numRuns: 500 },
    );
  });
});

describe("MysqlPreparedText.boundIn()", () => {
  it("quotes values for the session of now, not for the one that prepared", () => {
    const now = { ...contextFor({ schema: "shop" }), sqlMode: 0 };
    const then = { ...now, sqlMode: SQL_MODE.NO_BACKSLASH_ESCAPES };
    const text = new MysqlPreparedText(encode("SELECT a FROM t WHERE b = ?"), then, 1);
    const bound = (context: MysqlContext) => Buffer.from(text.boundIn(context, [encode("\\' OR 1")]) ?? []).toString();
    assert.equal(bound(now), "SELECT a FROM t WHERE b =  '\\\\'' OR 1' ");
    assert.equal(bound(then), "SELECT a FROM t WHERE b =  '\\'' OR 1' ");
    assert.equal(bound({ ...now, sqlMode: "unknown" }), "");
    assert.equal(bound({ ...now, schema: "elsewhere" }), "");
  });
});
