import assert from "node:assert/strict";
import { test } from "node:test";
import { tellDecision } from "../../src/policy/decide.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import type { Subject } from "../../src/policy/policy.ts";
import type { SqlEngine } from "../../src/policy/sql-engine.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { PostgresqlContext } from "../../src/sql/facts.ts";
import { GUARDED_POLICY, readBypassCases } from "./bypass-cases.ts";
import { NOON, policyFrom, SUBJECT } from "./policy-fixture.ts";

function judgeWith(policy: string, cacheBytesMax = 1 << 20) {
  let nowMs = NOON;
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: policyFrom(policy),
    clock,
    idPrefix: "t",
    cacheBytesMax,
  });
  const run = (sql: string, subject: Partial<Subject> = {}, sqlMode = "") =>
    judge.judge(new TextEncoder().encode(sql), contextFor({ schema: subject.schema, sqlMode }), {
      ...SUBJECT,
      ...subject,
    });
  return { judge, run, setTime: (wallMs: number) => (nowMs = wallMs) };
}

test("Judge answers a repeated shape from the cache with the same verdict and a new id", () => {
  const { run } = judgeWith("");
  const answers = [2, 3, 4].map((id) => run(`SELECT title FROM book WHERE id = ${id}`));
  assert.deepEqual(
    answers.map(({ isFromCache }) => isFromCache),
    [false, false, true],
  );
  assert.equal(new Set(answers.map(({ decisionId }) => decisionId)).size, 3);
  assert.deepEqual(answers[2]?.summary, answers[0]?.summary);
});

test("Judge shares a remembered refusal, whose text has the id of the statement", () => {
  const { run } = judgeWith("");
  const [, second, third] = [0, 1, 2].map(() => run("DROP DATABASE shop"));
  assert.ok(second !== undefined && third?.isFromCache === true);
  assert.equal(third.decision, second.decision);
  assert.ok(tellDecision(third.decision, third.decisionId).endsWith(` [decision ${third.decisionId}]`));
  assert.notEqual(third.decisionId, second.decisionId);
});

for (const [name, first, second] of [
  [
    "the values of a constant condition",
    "SELECT id FROM t WHERE a = 5 OR 1 = 1",
    "SELECT id FROM t WHERE a = 5 OR b = 1",
  ],
  ["a delay", "SELECT SLEEP(0)", "SELECT SLEEP(90)"],
  ["a comment at the end", "SELECT id FROM t WHERE a = 5", "SELECT id FROM t WHERE a = 5 -- x"],
] as const) {
  test(`Judge tells texts apart by ${name}`, () => {
    const cached = judgeWith("");
    const fresh = judgeWith("", 0);
    for (const sql of [first, first, first, second, second, second]) {
      assert.equal(cached.run(sql).decision.score, fresh.run(sql).decision.score, sql);
    }
  });
}

test("Judge does not take a schema's name for a part of a remembered text", () => {
  const { run } = judgeWith("deny: { statements: [drop-table] }");
  // Alone a comment, behind the rest the end of a quoted name.
  const harmless = "SHOW TABLES /* ` */";
  const rest = "DROP TABLE book, `";
  const denied = `${rest}\n\n\u0001${harmless}`;
  const schema = `shop\n\n\u0001${rest}`;
  for (const _ of [0, 1, 2]) assert.equal(run(harmless, { schema, isTls: true }).decision.action, "allow");
  assert.equal(run(denied, { schema: "shop", isTls: true }).decision.action, "block");
});

test("Judge does not share verdicts between schemas, profiles or transaction states", () => {
  const { run } = judgeWith("profiles: [{ name: a, match: { users: [ro] }, read_only: true }]");
  const sql = "CREATE TABLE other.book (id INT)";
  for (const _ of [0, 1, 2]) run(sql, { schema: "other" });
  assert.equal(run(sql, { schema: "other" }).isFromCache, true);
  assert.equal(run(sql, { schema: "shop" }).isFromCache, false);
  assert.equal(run(sql, { schema: "other", isInTransaction: true }).isFromCache, false);
  assert.equal(run(sql, { schema: "other", user: "ro" }).decision.enforcedAction, "block");
});

for (const [mode, sql] of [
  ["PIPES_AS_CONCAT", "SELECT id FROM t WHERE a = b || 1 = 1"],
  ["", `DO (SELECT "password" FROM member LIMIT 1)`],
] as const) {
  test(`Judge does not share verdicts between sql_modes: ${sql}`, () => {
    const policy = "deny: { columns: [password] }";
    const other = mode === "" ? "ANSI_QUOTES" : "";
    const { run } = judgeWith(policy);
    for (const _ of [0, 1, 2]) run(sql, {}, mode);
    assert.equal(run(sql, {}, mode).isFromCache, true);
    const { decision, isFromCache } = run(sql, {}, other);
    assert.equal(isFromCache, false);
    assert.notEqual(decision.score, run(sql, {}, mode).decision.score);
  });
}

test("Judge follows a new policy at once", () => {
  const { judge, run } = judgeWith("");
  for (const _ of [0, 1, 2]) run("SELECT 1");
  judge.replacePolicy(policyFrom("deny: { statements: [select] }"));
  assert.equal(run("SELECT 1").decision.action, "block");
});

test("Judge asks again when an exception has ended", () => {
  const policy = "exceptions: [{ id: e, reason: r, expires: 2026-12-01, rules: [dml.nowhere] }]";
  const { run, setTime } = judgeWith(policy);
  for (const _ of [0, 1, 2]) assert.equal(run("DELETE FROM t").decision.action, "allow");
  setTime(Date.UTC(2026, 11, 1));
  assert.equal(run("DELETE FROM t").decision.action, "warn");
});

test("Judge does not remember a verdict that depends on a tenant's value", () => {
  const { run } = judgeWith("tenants: [{ tables: [invoice], column: tenant_id, value: 7 }]");
  for (const _ of [0, 1, 2]) assert.equal(run("SELECT id FROM invoice WHERE tenant_id = 7").decision.action, "allow");
  assert.equal(run("SELECT id FROM invoice WHERE tenant_id = 8").decision.action, "block");
});

test("Judge remembers no verdict that judging anew would not give", () => {
  for (const policy of ["", GUARDED_POLICY]) {
    const cached = judgeWith(policy);
    const fresh = judgeWith(policy, 0);
    let hits = 0;
    for (const _ of [0, 1, 2]) {
      for (const { sql } of readBypassCases()) {
        const answer = cached.judge.judge(sql, contextFor({}), SUBJECT);
        if (!answer.isFromCache) continue;
        hits++;
        const anew = fresh.judge.judge(sql, contextFor({}), SUBJECT).decision;
        assert.equal(answer.decision.action, anew.action);
        assert.deepEqual(
          answer.decision.rules.map(({ id, points }) => [id, points]),
          anew.rules.map(({ id, points }) => [id, points]),
        );
      }
    }
    assert.ok(hits > 100, `${hits} answers came from the cache`);
  }
});

/** Each with a secret where it belongs, where it was forgotten to be quoted, and in quotes of every kind. */
const SECRETS = [
  "CREATE USER 'a'@'%' IDENTIFIED BY SECRET",
  "CREATE USER a IDENTIFIED WITH mysql_native_password AS SECRET",
  "ALTER USER a IDENTIFIED BY SECRET REPLACE SECRET RETAIN CURRENT PASSWORD",
  "SET PASSWORD = SECRET",
  "SET PASSWORD FOR a = PASSWORD(SECRET)",
  "SET PASSWORD FOR a = OLD_PASSWORD(SECRET)",
  "GRANT ALL ON *.* TO x IDENTIFIED BY PASSWORD SECRET",
  "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'h', SOURCE_PASSWORD = SECRET",
  "CHANGE MASTER TO MASTER_PASSWORD = SECRET",
  "START REPLICA USER = 'u' PASSWORD = SECRET",
  "START GROUP_REPLICATION USER = 'u', PASSWORD = SECRET",
  "CLONE INSTANCE FROM a@h:3306 IDENTIFIED BY SECRET",
  "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD SECRET)",
  "ALTER SERVER s OPTIONS (PASSWORD SECRET)",
];

test("no secret of a statement that carries one is in its summary, however it is quoted and read", () => {
  const { run } = judgeWith("");
  const left: string[] = [];
  for (const sqlMode of ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"]) {
    for (const statement of SECRETS) {
      for (const quoted of [
        "'hunter2'",
        '"hunter2"',
        "`hunter2`",
        "hunter2",
        "'hunter2",
        "N'hunter2'",
        "_utf8'hunter2'",
      ]) {
        const sql = statement.replaceAll("SECRET", quoted);
        const { digest } = run(sql, {}, sqlMode).summary;
        if (digest.includes("hunter2")) left.push(`${sqlMode} ${sql} → ${digest}`);
      }
    }
  }
  assert.deepEqual(left, []);
});

const POSTGRESQL: PostgresqlContext = {
  engine: "postgresql",
  schema: "public",
  serverVersion: 150018,
  isDsql: false,
  clientEncoding: "UTF8",
  standardConformingStrings: "on",
  searchPath: ["public"],
};

test("Judge asks the engine that the session names, remembers its verdicts apart, and knows no other engine's", () => {
  const seen: string[] = [];
  const engine: SqlEngine<PostgresqlContext> = {
    ...MYSQL_ENGINE,
    analyze: (sql, context) => {
      seen.push(Buffer.from(sql).toString());
      return { ...MYSQL_ENGINE.analyze(sql, contextFor({})), context };
    },
    keyOf: (sql) => Buffer.from(sql).toString("latin1"),
    readingKeyOf: ({ serverVersion }) => String(serverVersion),
    prepare: () => assert.fail("nothing is prepared"),
  };
  const clock = { wallMs: () => NOON, monotonicMs: () => NOON };
  const options = { policy: policyFrom(""), clock, idPrefix: "t", cacheBytesMax: 1 << 20 };
  const judge = new Judge({ ...options, engines: { mysql: MYSQL_ENGINE, postgresql: engine } });
  const sql = new TextEncoder().encode("DROP DATABASE shop");
  const runs = [0, 1, 2].map(() => judge.judge(sql, POSTGRESQL, SUBJECT));
  assert.deepEqual(
    runs.map(({ isFromCache, decision }) => [isFromCache, decision.action]),
    [
      [false, "block"],
      [false, "block"],
      [true, "block"],
    ],
  );
  assert.equal(judge.judge(sql, contextFor({}), SUBJECT).isFromCache, false);
  assert.deepEqual(seen, ["DROP DATABASE shop", "DROP DATABASE shop"]);
  const alone = new Judge({ ...options, engines: { mysql: MYSQL_ENGINE } });
  assert.throws(() => alone.judge(sql, POSTGRESQL, SUBJECT), /no engine for it/);
});
