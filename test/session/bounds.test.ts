/** Every limit of what a session keeps, at its border: what is as much as may be, and what is one more. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../src/base/clock.ts";
import { MysqlPreparedText } from "../../src/policy/mysql/prepared-text.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { UserSlots } from "../../src/session/limits/user-slots.ts";
import { SessionDynamicSql } from "../../src/session/mysql/judging/dynamic-sql.ts";
import { concernsNames, followPacket } from "../../src/session/mysql/judging/packet-dynamic.ts";
import { PreparedStatement, PreparedStatements } from "../../src/session/mysql/statements/prepared-statements.ts";
import { CancelKeys } from "../../src/session/postgres/cancel-keys.ts";
import { TransactionWatch } from "../../src/session/postgres/dsql/transaction-watch.ts";
import { sessionView } from "../../src/session/session-view.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import type { PossibleTexts } from "../../src/sql/mysql/dynamic/possible-texts.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const CONTEXT = contextFor({ schema: "app" });
const OK = { outcome: "ok", affectedRows: 0 } as const;

function textsOf(...texts: readonly string[]): PossibleTexts {
  return { texts: texts.map(bytes), mayBeNull: false };
}

function set(known: SessionDynamicSql, name: string, value: PossibleTexts): void {
  known.after({ kind: "set", values: [[name, value]], forgetsOthers: false }, OK);
}

function prepare(known: SessionDynamicSql, name: string, sql: string): void {
  known.after({ kind: "prepare", name, texts: [new MysqlPreparedText(bytes(sql), CONTEXT, undefined)] }, OK);
}

describe("what a session knows of SQL that is run by names", () => {
  it("is 64 variables, and a known one can be set again", () => {
    const known = new SessionDynamicSql();
    for (let count = 1; count <= 65; count++) set(known, `v${count}`, textsOf("a"));
    assert.notEqual(known.variable("v64"), undefined);
    assert.equal(known.variable("v65"), undefined);
    set(known, "V1", textsOf("b"));
    assert.deepEqual(known.variable("v1"), textsOf("b"));
  });

  it("is 256 statements, and behind more of them any name may be one", () => {
    const known = new SessionDynamicSql();
    for (let count = 1; count <= 256; count++) prepare(known, `s${count}`, "SELECT 1");
    assert.equal(known.hasAllNames, true);
    assert.equal(known.statement("s256")?.length, 1);
    assert.equal(known.lacksStatement("nobody"), true);
    prepare(known, "s257", "SELECT 1");
    assert.equal(known.hasAllNames, false);
    assert.equal(known.statement("s257"), undefined);
    assert.equal(known.lacksStatement("nobody"), false);
  });

  it("is 64 KiB of one value and 1 MiB of all, statements too", () => {
    const known = new SessionDynamicSql();
    set(known, "long", textsOf("x".repeat(65_537)));
    assert.equal(known.variable("long"), undefined);
    set(known, "both", textsOf("x".repeat(32_768), "y".repeat(32_769)));
    assert.equal(known.variable("both"), undefined);
    for (let count = 1; count <= 14; count++) set(known, `v${count}`, textsOf("x".repeat(65_536)));
    prepare(known, "s", "s".repeat(65_536));
    prepare(known, "t", "t".repeat(65_536));
    assert.notEqual(known.variable("v14"), undefined);
    assert.equal(known.statement("t")?.length, 1);
    set(known, "more", textsOf("x"));
    prepare(known, "u", "u");
    assert.equal(known.variable("more"), undefined);
    assert.equal(known.statement("u"), undefined);
    assert.equal(known.lacksStatement("u"), false);
    set(known, "v1", textsOf("x".repeat(65_535)));
    set(known, "more", textsOf("x"));
    assert.notEqual(known.variable("more"), undefined);
  });
});

describe("followPacket()", () => {
  const follow = (sql: string, known = new SessionDynamicSql(), bytesMax = 16_384) =>
    followPacket(known, {
      analysis: analyze(bytes(sql), CONTEXT),
      schema: "app",
      bytesMax,
      look: () => ({ kinds: ["select"], sessionEffect: "none" }),
    });

  it("follows 32 statements", () => {
    const sets = (count: number): string => Array.from({ length: count }, (_, at) => `SET @a = ${at}`).join("; ");
    assert.notEqual(follow(sets(32)), undefined);
    assert.equal(follow(sets(33)), undefined);
  });

  it("follows eight texts that the whole may be", () => {
    const known = new SessionDynamicSql();
    set(known, "two", textsOf("SELECT 1", "SELECT 2"));
    set(known, "three", textsOf("SELECT 1", "SELECT 2", "SELECT 3"));
    const prepares = "PREPARE a FROM @two; PREPARE b FROM @two";
    assert.deepEqual(
      follow(prepares, known)?.sqls.map((sql) =>
        Buffer.from(sql)
          .toString()
          .replace(/X'|PREPARE /g, ""),
      ).length,
      4,
    );
    assert.equal(follow(`${prepares}; PREPARE c FROM @two`, known)?.sqls.length, 8);
    assert.equal(follow("PREPARE a FROM @three; PREPARE b FROM @three", known), undefined);
  });

  it("writes no text longer than it is told", () => {
    const known = new SessionDynamicSql();
    set(known, "v", textsOf("SELECT 'some words'"));
    const sql = "PREPARE a FROM @v; SELECT 1";
    const length = follow(sql, known)?.sqls[0]?.length ?? 0;
    assert.ok(length > sql.length);
    assert.notEqual(follow(sql, known, length), undefined);
    assert.equal(follow(sql, known, length - 1), undefined);
  });

  it("knows what all of it leaves", () => {
    const followed = follow("SET @v = 'SELECT 1'; PREPARE s FROM @v; SET @v = 2; EXECUTE s; SET @w = 'x'");
    assert.equal(Buffer.from(followed?.known.statement("s")?.[0]?.sql ?? []).toString(), "SELECT 1");
    assert.equal(followed?.known.variable("v"), undefined, "what has run may have set it");
    assert.equal(Buffer.from(followed?.known.variable("w")?.texts[0] ?? []).toString(), "x");
    assert.equal(followed?.executions.length, 1);
  });

  it("follows nothing that may run or prepare unseen", () => {
    for (const sql of ["CALL p(); SELECT 1", "EXECUTE nobody; SELECT 1", "USE other; SELECT 1", "SELECT 1; SELEC"]) {
      assert.equal(follow(sql), undefined, sql);
    }
  });
});

it("concernsNames() goes by the kinds of a packet, and by what a SET may set", () => {
  const known = new SessionDynamicSql();
  const full = new SessionDynamicSql();
  set(full, "v", textsOf("x"));
  for (const [kinds, sql, of, isSo] of [
    [["execute"], "EXECUTE s", known, false],
    [["select", "execute"], "…", known, true],
    [["select", "prepare"], "…", known, true],
    [["set", "select"], "SET @v = 1", known, true],
    [["set", "select"], "SET v = 1", known, false],
    [["select", "select"], "SELECT @v", known, false],
    [["drop-prepare", "select"], "…", known, false],
    [["drop-prepare", "select"], "…", full, true],
  ] as const) {
    assert.equal(concernsNames(kinds, bytes(sql), of), isSo, `${kinds.join()} ${sql}`);
  }
});

describe("what a session keeps of prepared statements", () => {
  const statementOf = (id: number, parameters: number, sql = "SELECT ?"): PreparedStatement =>
    new PreparedStatement(id, new MysqlPreparedText(bytes(sql), CONTEXT, parameters), parameters);

  it("is 64 KiB of a value in pieces, and the hash of all of it", () => {
    const all = new PreparedStatements();
    const [one, other] = [statementOf(1, 2), statementOf(2, 2)];
    for (const statement of [one, other]) all.add(statement);
    all.addLongData(one, 0, bytes("x".repeat(65_535)));
    all.addLongData(one, 0, bytes("yz"));
    assert.equal(one.longValues.get(0)?.head?.length, 65_536);
    assert.equal(one.longValues.get(0)?.head?.[65_535], 0x79);
    all.addLongData(other, 0, bytes(`${"x".repeat(65_535)}yz`));
    assert.equal(one.describeRest({ values: [], types: [] }), other.describeRest({ values: [], types: [] }));
    all.addLongData(other, 0, bytes("!"));
    assert.notEqual(one.describeRest({ values: [], types: [] }), other.describeRest({ values: [], types: [] }));
    all.addLongData(one, 2, bytes("no such parameter"));
    assert.equal(one.longValues.size, 1);
  });

  it("is 1 MiB of all such values together, and none of a value that does not fit", () => {
    const all = new PreparedStatements();
    const [full, more] = [statementOf(1, 16), statementOf(2, 2)];
    for (const statement of [full, more]) all.add(statement);
    for (let parameter = 0; parameter < 16; parameter++) all.addLongData(full, parameter, new Uint8Array(65_536));
    assert.equal(full.longValues.get(15)?.head?.length, 65_536);
    all.addLongData(more, 0, new Uint8Array(0));
    assert.equal(more.longValues.get(0)?.head?.length, 0);
    all.addLongData(more, 0, bytes("x"));
    assert.equal(more.longValues.get(0)?.head, undefined);
    all.close(1);
    all.addLongData(more, 0, bytes("x"));
    assert.equal(more.longValues.get(0)?.head, undefined, "its beginning is gone");
    all.addLongData(more, 1, bytes("x"));
    assert.equal(more.longValues.get(1)?.head?.length, 1);
  });

  it("is counted, and let go with the statement", () => {
    const all = new PreparedStatements();
    const kept: number[] = [];
    all.onKept = (count) => kept.push(count);
    all.add(statementOf(1, 0, "SELECT 1"));
    all.add(statementOf(2, 0, "SELECT 22"));
    all.add(statementOf(1, 0, "SELECT 333"));
    assert.equal(all.find(0xffffffff)?.statementId, 1);
    all.close(7);
    all.close(0xffffffff);
    assert.equal(all.find(0xffffffff), undefined);
    all.clear();
    assert.deepEqual(kept, [8, 9, -8, 10, -10, -9]);
    assert.equal(all.size, 0);
  });

  it("is no statement prepared last once that was forgotten or all were", () => {
    const all = new PreparedStatements();
    all.add(statementOf(3, 0));
    all.forgetLast();
    assert.equal(all.find(0xffffffff), undefined);
    assert.equal(all.find(3)?.statementId, 3);
    all.add(statementOf(4, 0));
    all.clear();
    all.add(statementOf(5, 0));
    assert.equal(all.find(0xffffffff)?.statementId, 5);
  });

  it("is no rows in bulk behind a value that was sent ahead", () => {
    const all = new PreparedStatements();
    const statement = statementOf(1, 1);
    all.add(statement);
    const row = Uint8Array.of(1, 0, 0, 7);
    const { values, types, rows } = statement.bindRows(row, 0x80);
    assert.deepEqual([values, types.map(({ type }) => type), rows?.count], [[7], [1], 1]);
    all.addLongData(statement, 0, bytes("x"));
    assert.throws(() => statement.bindRows(row, 0x80), /sent ahead in pieces/);
  });
});

describe("CancelKeys", () => {
  it("carries fifty out at once and one more every twentieth of a second", async () => {
    const keys = new CancelKeys();
    let carriedOut = 0;
    const key = keys.issue(0, async () => void carriedOut++);
    assert.deepEqual([key.secretKey.length, keys.issue(2, async () => undefined).secretKey.length], [4, 32]);
    for (let count = 0; count < 50; count++) assert.equal(await keys.cancel(key, 1000), true);
    assert.equal(await keys.cancel(key, 1000), false);
    assert.equal(await keys.cancel(key, 1019.9), false);
    assert.equal(await keys.cancel(key, 1020), true);
    assert.equal(carriedOut, 51);
  });

  it("has 32 under way, and a place again when one has failed", async () => {
    const keys = new CancelKeys();
    const fails: (() => void)[] = [];
    const key = keys.issue(2, () => new Promise((_, reject) => fails.push(() => reject(new Error("no")))));
    const underWay = Array.from({ length: 32 }, () => keys.cancel(key, 0));
    assert.equal(await keys.cancel(key, 0), false);
    fails[0]?.();
    assert.equal(await underWay[0], false);
    const next = keys.cancel(key, 0);
    assert.equal(fails.length, 33);
    for (const fail of fails) fail();
    assert.equal(await next, false);
    keys.giveUp(key.processId);
    assert.equal(keys.size, 0);
    assert.equal(await keys.cancel(key, 0), false);
    assert.equal(fails.length, 33);
  });
});

it("TransactionWatch tells what is near from four fifths of a limit on, and not at it", () => {
  const done = { rows: 0, nowMs: 1000, bytesSent: 500 };
  const near = 0.8 * 10 * 1024 * 1024;
  for (const [more, count] of [
    [{ rows: 2400 }, 0],
    [{ rows: 2401 }, 1],
    [{ bytesSent: 500 + near }, 0],
    [{ bytesSent: 501 + near }, 1],
    [{ nowMs: 241_000 }, 0],
    [{ nowMs: 241_001 }, 1],
  ] as const) {
    const watch = new TransactionWatch();
    watch.completed({ ...done, tag: "BEGIN" });
    assert.equal(watch.completed({ ...done, tag: "INSERT 0 0" }).length, 1, "what may not follow");
    assert.equal(watch.completed({ ...done, tag: "UPDATE 1", ...more }).length, count, JSON.stringify(more));
  }
});

it("UserSlots gives a user as many places as it may have, and those again that are left", () => {
  const slots = new UserSlots(2);
  slots.take("a");
  slots.requireRoom("a");
  slots.take("a");
  slots.take("b");
  assert.throws(() => slots.take("a"), /2 connections of user "a" are open/);
  slots.release("a");
  slots.take("a");
  const free = new UserSlots(0);
  for (let count = 0; count < 100; count++) free.take("a");
});

it("sessionView() tells whole seconds, and a statement while it is under way", () => {
  const nowMs = SYSTEM_CLOCK.monotonicMs();
  const judgement = { statementKind: "select", text: "SELECT ?", textForm: "digest", decisionId: "d" } as const;
  const context = { isIdle: false, isHeld: false, isInTransaction: true, ordinal: 3 };
  const judged = { ordinal: 3, command: "COM_QUERY", judgement, beganMs: nowMs - 2500 };
  const viewed = {
    audit: { id: "x", clientAddress: "10.0.0.1" },
    isInCommands: true,
    startedMs: nowMs - 5500,
    lastActivityMs: nowMs - 3500,
    bytesToClient: 1,
    bytesToBackend: 2,
  };
  const busy = sessionView({ ...viewed, context: { ...context, judged } });
  assert.deepEqual([busy.state, busy.ageSeconds, busy.silentSeconds, busy.commands], ["busy", 5, 0, 3]);
  assert.deepEqual(
    [busy.statement?.command, busy.statement?.kind, busy.statement?.seconds],
    ["COM_QUERY", "select", 2],
  );
  const agoMs = Date.now() - Date.parse(busy.statement?.since ?? "");
  assert.ok(agoMs >= 2400 && agoMs < 60_000, `${agoMs}`);
  const idle = sessionView({ ...viewed, context: { ...context, isIdle: true, judged } });
  assert.deepEqual([idle.state, idle.silentSeconds, idle.statement], ["idle", 3, undefined]);
  const held = sessionView({ ...viewed, context: { ...context, isHeld: true, judged: { ...judged, ordinal: 2 } } });
  assert.deepEqual([held.state, held.isInTransaction, held.statement], ["held", true, undefined]);
  const login = sessionView({ ...viewed, isInCommands: false, context: undefined });
  assert.deepEqual(
    [login.state, login.commands, login.isInTransaction, login.listener, login.backend],
    ["login", 0, false, "", ""],
  );
});
