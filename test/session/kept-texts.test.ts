/** What sessions keep of names, texts and accounts: how much of it, and when it is forgotten. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import type { Leg } from "../../src/net/leg.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { MysqlPreparedText } from "../../src/policy/mysql/prepared-text.ts";
import { contextFor, subjectFor } from "../../src/policy/tools/tool-context.ts";
import { UserDirectory, type UserEntry } from "../../src/session/accounts/user-directory.ts";
import { UserWindows } from "../../src/session/limits/user-windows.ts";
import { type DynamicEffect, SessionDynamicSql } from "../../src/session/mysql/judging/dynamic-sql.ts";
import { PreparedStatement, PreparedStatements } from "../../src/session/mysql/statements/prepared-statements.ts";
import { SessionMemory } from "../../src/session/session-memory.ts";
import { sessionView } from "../../src/session/session-view.ts";
import { DecisionLog } from "../../src/session/statement/decision-log.ts";
import { judgeLongText, soleStatementOf } from "../../src/session/statement/long-text.ts";
import type { Judgement } from "../../src/session/statement/statement-judge.ts";
import { policyFrom } from "../policy/policy-fixture.ts";

const OK = { outcome: "ok", affectedRows: 1 } as const;
const textOf = (sql: string | Uint8Array): MysqlPreparedText =>
  new MysqlPreparedText(typeof sql === "string" ? Buffer.from(sql) : sql, contextFor({ schema: "app" }), 0);

function setTo(name: string, sql: string | Uint8Array): DynamicEffect {
  const texts = [typeof sql === "string" ? Buffer.from(sql) : sql];
  return { kind: "set", values: [[name, { texts, mayBeNull: false }]], forgetsOthers: false };
}

test("SessionDynamicSql keeps 64 variables, and nothing of those that come behind them", () => {
  const known = new SessionDynamicSql();
  for (let index = 0; index < 65; index++) known.after(setTo(`v${index}`, "SELECT 1"), OK);
  assert.equal(known.variable("v0") === undefined, false);
  assert.equal(known.variable("v63") === undefined, false);
  assert.equal(known.variable("v64"), undefined);
  known.after(setTo("V0", "SELECT 2"), OK);
  assert.equal(
    Buffer.from(known.variable("v0")?.texts[0] ?? []).toString(),
    "SELECT 2",
    "one that is known may change",
  );
});

test("SessionDynamicSql keeps 256 statements, and behind them does not vouch for any name", () => {
  const known = new SessionDynamicSql();
  for (let index = 0; index < 256; index++) {
    known.after({ kind: "prepare", name: `s${index}`, texts: [textOf("SELECT 1")] }, OK);
  }
  assert.equal(known.statement("s255")?.length, 1);
  assert.equal(known.lacksStatement("other"), true);
  known.after({ kind: "prepare", name: "s256", texts: [textOf("SELECT 1")] }, OK);
  assert.equal(known.statement("s256"), undefined);
  assert.equal(known.lacksStatement("s256"), false);
  assert.equal(known.statement("s0")?.length, 1);
});

test("SessionDynamicSql keeps no more than a mebibyte, of which no text has more than its share", () => {
  const known = new SessionDynamicSql();
  let kept = 0;
  let name = 0;
  const piece = new Uint8Array(60_000);
  while (name < 40) {
    known.after({ kind: "prepare", name: `s${name}`, texts: [textOf(piece)] }, OK);
    if (known.statement(`s${name}`) === undefined) break;
    kept += piece.length;
    name++;
  }
  assert.ok(kept <= 1_048_576 && kept + piece.length > 1_048_576, `${kept} bytes`);
  assert.equal(known.lacksStatement(`s${name}`), false, "it is there, and nobody knows as what");
  known.after({ kind: "drop", name: "s0" }, OK);
  known.after({ kind: "prepare", name: "again", texts: [textOf(piece)] }, OK);
  assert.equal(known.statement("again")?.length, 1, "what is dropped makes room");
});

test("SessionDynamicSql doubts what a failed statement may have done in part", () => {
  const failed = { outcome: "err", affectedRows: 0 } as const;
  const known = new SessionDynamicSql();
  known.after(setTo("v", "SELECT 1"), OK);
  known.after({ kind: "prepare", name: "s", texts: [textOf("SELECT 1")] }, OK);
  const copy = known.copy();
  known.after(setTo("w", "SELECT 2"), failed);
  assert.deepEqual([known.hasVariables, known.variable("w"), known.statement("s")?.length], [false, undefined, 1]);
  known.after({ kind: "drop", name: "s" }, failed);
  assert.deepEqual([known.statement("s"), known.lacksStatement("s")], [undefined, false]);
  known.after({ kind: "become", known: copy }, OK);
  assert.deepEqual([known.hasVariables, known.statement("s")?.length, known.hasAllNames], [true, 1, true]);
  known.after({ kind: "become", known: copy }, failed);
  assert.deepEqual([known.isEmpty, known.hasAllNames], [true, false]);
  known.begin();
  assert.equal(known.lacksStatement("s"), true);
});

test("PreparedStatements tells of the bytes it keeps, and finds the last one by MariaDB's number", () => {
  const statements = new PreparedStatements();
  let kept = 0;
  statements.onKept = (bytes) => {
    kept += bytes;
  };
  const LAST = 0xffffffff;
  assert.equal(statements.find(LAST), undefined);
  statements.add(new PreparedStatement(1, textOf("SELECT 1"), 0));
  statements.add(new PreparedStatement(2, textOf("SELECT 22"), 0));
  assert.deepEqual([kept, statements.size, statements.find(LAST)?.statementId], [17, 2, 2]);
  statements.add(new PreparedStatement(1, textOf("SELECT 333"), 0));
  assert.deepEqual([kept, statements.size, statements.find(LAST)?.statementId], [19, 2, 1]);
  statements.close(LAST);
  statements.close(7);
  assert.deepEqual([kept, statements.size, statements.find(LAST)], [9, 1, undefined]);
  statements.forgetLast();
  statements.clear();
  assert.deepEqual([kept, statements.size], [0, 0]);
});

test("PreparedStatements keeps the beginnings of long values, up to a mebibyte in all", () => {
  const statements = new PreparedStatements();
  const statement = new PreparedStatement(1, textOf("SELECT ?"), 40);
  statements.add(statement);
  const headOf = (parameter: number): number | undefined => statement.longValues.get(parameter)?.head?.length;
  statements.addLongData(statement, 0, new Uint8Array(65_535));
  statements.addLongData(statement, 0, new Uint8Array(5));
  statements.addLongData(statement, 40, new Uint8Array(5));
  assert.deepEqual([headOf(0), statement.longValues.has(40)], [65_536, false]);
  for (let parameter = 1; parameter < 17; parameter++)
    statements.addLongData(statement, parameter, new Uint8Array(65_536));
  assert.deepEqual([headOf(15), headOf(16)], [65_536, undefined]);
  statements.addLongData(statement, 16, new Uint8Array(1));
  assert.equal(headOf(16), undefined, "what was too much stays unknown");
  statements.addLongData(statement, 17, new Uint8Array(0));
  assert.equal(headOf(17), 0);
});

test("PreparedStatement repeats types that were sent before, and none after a failure with others", () => {
  const statement = new PreparedStatement(1, textOf("SELECT ?"), 1);
  const capabilities = { flags: 0, mariadb: 0 };
  const LONG = [0, 1, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0];
  const UNSIGNED = [0, 1, 8, 0x80, 7, 0, 0, 0, 0, 0, 0, 0];
  const UNTYPED = [0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
  const bind = (bytes: readonly number[]) => statement.bind(Uint8Array.from(bytes), 0, capabilities);
  const first = bind(LONG);
  statement.afterExecution(first, true);
  assert.equal(Number(bind(UNTYPED).values[0]), 9);
  statement.afterExecution(bind(LONG), false);
  assert.equal(Number(bind(UNTYPED).values[0]), 9, "the same types, however it ended");
  assert.notEqual(statement.describeRest(bind(UNSIGNED)), statement.describeRest(bind(LONG)));
  statement.afterExecution(bind(UNSIGNED), false);
  assert.throws(() => bind(UNTYPED), /types/i);
  statement.afterExecution(bind(LONG), false);
  assert.throws(() => bind(UNTYPED), /types/i, "in doubt until one succeeds");
  statement.afterExecution(bind(LONG), true);
  assert.equal(Number(bind(UNTYPED).values[0]), 9);
});

test("UserDirectory forgets what it has learned with the account, and names the plugin that all can use", () => {
  const hash = new Uint8Array([1, 2]);
  const ann: UserEntry = { cachingSha2: "a", native: "n" };
  const directory = new UserDirectory(new Map([["ann", ann]]));
  assert.equal(directory.commonPlugin, "mysql_native_password");
  directory.rememberFastHash("ann", "another", hash);
  directory.rememberFastHash("bob", "a", hash);
  assert.deepEqual([directory.fastHash("ann"), directory.fastHash("bob")], [undefined, undefined]);
  directory.rememberFastHash("ann", "a", hash);
  assert.equal(directory.fastHash("ann"), hash);
  assert.equal(directory.isStill("ann", ann), true);
  for (const other of [
    { ...ann, cachingSha2: "b" },
    { ...ann, native: "m" },
    { ...ann, scram: "s" },
  ]) {
    assert.equal(directory.isStill("ann", other), false);
  }
  directory.reload(
    new Map([
      ["ann", ann],
      ["bob", { cachingSha2: "a" }],
    ]),
  );
  assert.equal(directory.fastHash("ann"), undefined, "also of an account that has stayed the same");
  assert.equal(directory.commonPlugin, "caching_sha2_password");
  assert.equal(directory.isStill("carl", ann), false);
});

test("SessionMemory counts what is kept, and says where there is no room for more", () => {
  const budget = new MemoryBudget(1_000);
  const client = { progress: undefined, countIn: () => undefined } as unknown as Leg;
  const memory = new SessionMemory(budget, client, () => undefined);
  memory.keep(600);
  assert.equal(budget.used, 600);
  assert.equal(memory.refusalToKeep(400, "a statement"), undefined);
  const refusal = memory.refusalToKeep(401, "a statement");
  assert.match(String(refusal?.message), /^Cannot take a statement: the sessions hold 600 bytes/);
  memory.keep(-100);
  assert.equal(memory.refusalToKeep(401, "a statement"), undefined);
  memory.close();
  assert.equal(budget.used, 0);
});

test("DecisionLog tells 50 at once and 10 a second, and how many are missing", () => {
  let nowMs = 1_000;
  const told: Record<string, unknown>[] = [];
  const log = new DecisionLog({ wallMs: () => nowMs, monotonicMs: () => nowMs });
  const logger = { warn: (_: string, fields: Record<string, unknown>) => void told.push(fields) };
  const teller = { services: { logger }, logFields: () => ({ user: "ann" }) } as unknown as Parameters<
    DecisionLog["tell"]
  >[1];
  const judgement = {
    decisionId: "t-1",
    ruleId: "r",
    score: 7,
    text: "x".repeat(300),
    textForm: "digest",
  } as Judgement;
  for (let index = 0; index < 60; index++) log.tell("statement blocked", teller, judgement);
  assert.equal(told.length, 50);
  assert.deepEqual(told[0], {
    user: "ann",
    decision: "t-1",
    rule: "r",
    score: 7,
    digest: "x".repeat(200),
    missing: undefined,
  });
  nowMs += 101;
  log.tell("statement blocked", teller, { ...judgement, textForm: "raw" });
  log.tell("statement blocked", teller, judgement);
  nowMs += 100;
  log.tell("statement blocked", teller, judgement);
  assert.deepEqual(
    told.slice(50).map(({ missing, digest }) => [missing, typeof digest]),
    [
      [10, "undefined"],
      [1, "string"],
    ],
  );
});

test("UserWindows looks for empty windows once a second at most", () => {
  const windows = new UserWindows(1);
  windows.windowOf("first", 0).bytes.add(1, 0);
  const shared = windows.windowOf("second", 61_100);
  assert.notEqual(shared, windows.windowOf("first", 61_100));
  const full = new UserWindows(1);
  full.windowOf("first", 0).bytes.add(1, 60_000);
  const early = full.windowOf("second", 120_900);
  assert.equal(full.windowOf("third", 121_500), early, "it has just been looked for one");
  assert.notEqual(full.windowOf("third", 121_901), early);
});

test("sessionView() says whether a session is logging in, rests, works or waits", () => {
  const audit = { id: "s", listener: "l", clientAddress: "c", user: "ann", schema: "app" } as unknown as Parameters<
    typeof sessionView
  >[0]["audit"];
  const nowMs = performance.now();
  const viewed = {
    audit,
    isInCommands: true,
    startedMs: nowMs - 5_500,
    lastActivityMs: nowMs - 2_500,
    bytesToClient: 1,
    bytesToBackend: 2,
  };
  const judgement = { statementKind: "select", text: "SELECT ?", textForm: "digest", decisionId: "t-1" } as const;
  const context = (more: object) => ({
    isIdle: false,
    isHeld: false,
    isInTransaction: true,
    ordinal: 3,
    judged: { ordinal: 3, command: "COM_QUERY", judgement, beganMs: nowMs - 1_500 },
    ...more,
  });
  const states = [
    sessionView({ ...viewed, context: undefined, isInCommands: false }),
    sessionView({ ...viewed, context: context({ isIdle: true }) }),
    sessionView({ ...viewed, context: context({}) }),
    sessionView({ ...viewed, context: context({ isHeld: true }) }),
    sessionView({ ...viewed, context: context({ ordinal: 4, isInTransaction: false }) }),
  ].map(({ state, isInTransaction, commands, silentSeconds, statement }) => [
    state,
    isInTransaction,
    commands,
    silentSeconds,
    statement?.seconds,
    statement?.kind,
  ]);
  assert.deepEqual(states, [
    ["login", false, 0, 0, undefined, undefined],
    ["idle", true, 3, 2, undefined, undefined],
    ["busy", true, 3, 0, 1, "select"],
    ["held", true, 3, 0, 1, "select"],
    ["busy", false, 4, 0, undefined, undefined],
  ]);
});

test("judgeLongText() hands on the facts of one statement that has few, and of no other", () => {
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: policyFrom("multi_statements: true"),
    clock,
    idPrefix: "t",
    cacheBytesMax: 0,
  });
  const context = contextFor({ schema: "app" });
  const kindsOf = (sql: string): string[] => {
    const text = { sql: Buffer.from(sql), context, subject: subjectFor({ user: "app", schema: "app" }) };
    const verdict = judgeLongText(judge, text);
    const { understood, statements } = soleStatementOf(verdict, text);
    return [String(understood), ...statements.map(({ kind }) => kind)];
  };
  const list = (columns: number): string => Array.from({ length: columns }, (_, index) => `c${index}`).join();
  const SELECT = ["true", "select"];
  assert.deepEqual(kindsOf("SELECT 1"), SELECT);
  assert.deepEqual(kindsOf("SELECT 1; SELECT 2"), ["false"]);
  assert.deepEqual(kindsOf("SELEC 1"), ["false"]);
  assert.deepEqual(kindsOf(`SELECT ${list(254)} FROM t`), SELECT, "254 columns, a table and a block");
  assert.deepEqual(kindsOf(`SELECT ${list(255)} FROM t`), ["false"]);
  assert.deepEqual(kindsOf(`SELECT '${"x".repeat(256 * 1024 - 9)}'`), SELECT);
  assert.deepEqual(kindsOf(`SELECT '${"x".repeat(256 * 1024 - 8)}'`), ["false"]);
});
