import assert from "node:assert/strict";
import { after, test } from "node:test";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { decodeErrorFields, encodeErrorResponse } from "../../../src/postgres/backend-message.ts";
import { withHint } from "../../../src/postgres/error-hint.ts";
import { encodeMessage, writeValue } from "../../../src/postgres/message.ts";
import { Conflicts } from "../../../src/session/postgres/dsql/conflicts.ts";
import { ConnectionAge } from "../../../src/session/postgres/dsql/connection-age.ts";
import { JobRow } from "../../../src/session/postgres/dsql/job-id.ts";
import { TransactionWatch } from "../../../src/session/postgres/dsql/transaction-watch.ts";
import type { PostgresJudge } from "../../../src/session/postgres/judging/judge.ts";
import { DsqlRuleSet } from "../../../src/sql/postgres/dsql/rule-set.ts";
import { type DsqlModel, type ModelAnswer, startDsqlModel } from "../../support/dsql-model.ts";
import { PostgresClient } from "../../support/postgres-client.ts";
import { type PostgresProxy, startPostgresProxy, WORD_JUDGE } from "../../support/postgres-proxy.ts";

const MINUTE = 60_000;

test("ConnectionAge tells at 55 minutes and ends at 59, between transactions and not within", () => {
  const age = new ConnectionAge(60 * MINUTE);
  assert.equal(age.due(54.9 * MINUTE, true), undefined);
  assert.equal(age.due(55 * MINUTE, false), "notice");
  assert.equal(age.due(56 * MINUTE, true), undefined);
  assert.equal(age.due(59.5 * MINUTE, false), undefined);
  assert.equal(age.due(61 * MINUTE, true), "end");
  assert.equal(new ConnectionAge(0).due(1e12, true), undefined);
});

test("TransactionWatch says what may not follow, and what is near, once each", () => {
  const watch = new TransactionWatch();
  const done = (tag: string, rows = 0, nowMs = 0, bytesSent = 0): string =>
    watch
      .completed({ tag, rows, nowMs, bytesSent })
      .map((text) => text.split(/[:,]/, 1)[0])
      .join("; ");
  // By itself each statement is a transaction of its own.
  assert.deepEqual([done("CREATE TABLE"), done("INSERT 0 1", 1)], ["", ""]);
  assert.deepEqual([done("BEGIN"), done("CREATE TABLE")], ["", "Nothing but COMMIT may follow in this transaction"]);
  assert.deepEqual([done("COMMIT"), done("BEGIN"), done("SELECT 1", 1)], ["", "", ""]);
  assert.equal(done("INSERT 0 2400", 2400), "No DDL may follow in this transaction");
  assert.equal(done("UPDATE 1", 1), "This transaction has changed 2401 rows of 3000");
  assert.equal(done("DELETE 1", 1), "");
  assert.deepEqual([done("ROLLBACK"), done("START TRANSACTION", 0, 1000, 500)], ["", ""]);
  // What a session was told of writing it knows.
  assert.equal(done("INSERT 0 1", 1, 1000, 600), "");
  assert.equal(done("INSERT 0 1", 1, 1000, 9e6), "This transaction has sent over 8 MiB");
  assert.equal(done("SELECT 1", 1, 1000 + 4.5 * MINUTE, 9e6), "This transaction is open for over 4 minutes");
});

test("Conflicts tells of a table at powers of two, and keeps a hundred tables at most", () => {
  const conflicts = new Conflicts();
  const told = [1, 2, 3, 4, 5, 6, 7, 8].flatMap(() => conflicts.count(["a"]));
  assert.deepEqual(
    told.map((one) => one.conflicts),
    [1, 2, 4, 8],
  );
  for (let table = 0; table < 99; table++) conflicts.count([`t${table}`]);
  assert.deepEqual(conflicts.count(["one more"]), [{ name: "(others)", conflicts: 1 }]);
  assert.deepEqual(conflicts.count([]), [{ name: "(others)", conflicts: 2 }]);
});

test("JobRow reads the id of a job from one row, in pieces too, and nothing else", () => {
  const row = (value: string): Uint8Array =>
    encodeMessage("D", (body) => writeValue(body.uint16BE(1), encodeUtf8(value)));
  const id = "qfzv5uemkrg2lbczil2fim3o2q";
  const whole = new JobRow();
  whole.add(row(id));
  assert.equal(whole.id, id);
  const pieces = new JobRow();
  for (const byte of row(id)) pieces.add(Uint8Array.of(byte));
  assert.equal(pieces.id, id);
  for (const value of ["", "short", "With Capitals!", "x".repeat(200)]) {
    const other = new JobRow();
    other.add(row(value));
    assert.equal(other.id, undefined, value);
  }
  const two = new JobRow();
  two.add(row(id));
  two.add(row(id));
  assert.equal(two.id, undefined);
});

test("withHint() adds a hint to an error and leaves all else", () => {
  const wire = encodeErrorResponse({ severity: "ERROR", code: "0A000", message: "no", detail: "because" });
  const hinted = withHint(wire, "do this");
  const before = decodeErrorFields(wire.subarray(5)).fields;
  const fields = decodeErrorFields(hinted.subarray(5)).fields;
  assert.deepEqual([...fields], [...before, ["H", "do this"]]);
});

const opened: { close(): unknown }[] = [];
after(async () => {
  for (const one of opened) await one.close();
});

const JOB = "qfzv5uemkrg2lbczil2fim3o2q";
const ANSWERS: Readonly<Record<string, ModelAnswer>> = {
  "CREATE INDEX ASYNC i ON orders (a)": { tag: "CREATE INDEX", column: "job_id", rows: [JOB] },
  "CREATE INDEX i ON orders (a)": { error: ["0A000", "unsupported mode. please use CREATE INDEX ASYNC."] },
  "SELECT * FROM nothing": { error: ["42P01", 'relation "nothing" does not exist'] },
  BEGIN: { tag: "BEGIN", status: "T" },
  "UPDATE orders": { tag: "UPDATE 1", status: "T" },
  COMMIT: { error: ["40001", "change conflicts with another transaction, please retry: (OC000)"] },
};

/** With what a judge knows of these texts. */
const JUDGE: PostgresJudge = {
  judge: (statement) => {
    const sql = new TextDecoder().decode(statement.sql);
    const judgement = WORD_JUDGE.judge(statement);
    assert.ok(!(judgement instanceof Promise));
    return {
      ...judgement,
      statementKind: sql.startsWith("CREATE INDEX") ? "create-index" : "other",
      tablesWritten: sql.includes("orders") ? ["orders"] : [],
      keysWritten: sql.startsWith("UPDATE") ? ["orders (id = number)"] : [],
    };
  },
};

async function connect(connectionLimitMs = 0): Promise<{ client: PostgresClient; proxy: PostgresProxy }> {
  const model: DsqlModel = await startDsqlModel((sql) => ANSWERS[sql] ?? { tag: "SELECT 0" });
  const dsql = {
    rules: new DsqlRuleSet("2026-11-30"),
    conflicts: new Conflicts(),
    hotKeys: new Conflicts(),
    connectionLimitMs,
    refusesEarly: false,
  };
  const proxy = await startPostgresProxy({ backendPort: model.port, judge: JUDGE, dsql });
  const client = await PostgresClient.logIn({ port: proxy.port, user: "app" });
  opened.unshift(client, proxy, model);
  return { client, proxy };
}

/** What comes of a Query, as the client sees it: letters, with the texts of notices and the hints of errors. */
async function ask(client: PostgresClient, sql: string): Promise<string[]> {
  client.send({ name: "Query", sql: encodeUtf8(sql) });
  const pieces = await client.untilReady();
  return pieces.map((piece) => {
    const letter = String.fromCharCode(piece.type);
    if (piece.kind !== "message" || !"EN".includes(letter)) return letter;
    const { message, fields } = decodeErrorFields(piece.body);
    return letter === "N" ? `N ${message.split(":", 1)[0]}` : `E ${fields.get("H") ?? "without a hint"}`;
  });
}

test("a session with Aurora DSQL: errors get hints, jobs are recorded, conflicts are counted with their tables", async () => {
  const { client, proxy } = await connect();
  assert.deepEqual(await ask(client, "CREATE INDEX ASYNC i ON orders (a)"), ["T", "D", "C", "Z"]);
  assert.match((await ask(client, "CREATE INDEX i ON orders (a)"))[0] ?? "", /^E CREATE INDEX ASYNC in a transaction/);
  assert.deepEqual(await ask(client, "SELECT * FROM nothing"), ["E without a hint", "Z"]);
  assert.deepEqual(await ask(client, "BEGIN"), ["C", "Z"]);
  assert.deepEqual(await ask(client, "UPDATE orders"), [
    "C",
    "N No DDL may follow in this transaction, nor more than 3,000 changed rows, 10 MiB or 5 minutes",
    "Z",
  ]);
  assert.match((await ask(client, "COMMIT"))[0] ?? "", /^E Run the whole transaction again/);
  assert.deepEqual(
    proxy.of("statement-outcome").map(({ jobId, sqlState }) => jobId ?? sqlState ?? "ok"),
    [JOB, "0A000", "42P01", "ok", "ok", "40001"],
  );
  const told = proxy.log.filter(({ event }) => event === "conflict on Aurora DSQL");
  assert.deepEqual(
    told.map(({ fields }) => [fields["table"], fields["conflicts"], fields["code"]]),
    [["orders", 1, "OC000"]],
  );
  const hot = proxy.log.filter(({ event }) => event === "rows that conflict on Aurora DSQL");
  assert.deepEqual(
    hot.map(({ fields }) => [fields["key"], fields["conflicts"]]),
    [["orders (id = number)", 1]],
  );
});

test("a session as old as Aurora DSQL lets it become is told, and ends at rest with a word to reconnect", async () => {
  const { client, proxy } = await connect(60 * MINUTE);
  const [session] = proxy.sessions;
  const beganMs = performance.now();
  await ask(client, "BEGIN");
  session?.endLatePacket(beganMs + 56 * MINUTE);
  session?.endLatePacket(beganMs + 61 * MINUTE);
  const [notice, tag] = await ask(client, "UPDATE orders");
  assert.match(notice ?? "", /^N Aurora DSQL ends this connection soon/);
  assert.equal(tag, "C");
  await ask(client, "COMMIT");
  session?.endLatePacket(beganMs + 61 * MINUTE);
  const farewell = await client.next();
  assert.ok(farewell?.kind === "message");
  const { severity, code, message } = decodeErrorFields(farewell.body);
  assert.deepEqual([severity, code], ["FATAL", "57P01"]);
  assert.match(message, /please reconnect/);
  assert.equal(await client.next(), undefined);
});
