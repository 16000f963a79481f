import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { SYSTEM_CLOCK } from "../../../src/base/clock.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { parsePolicy } from "../../../src/policy/file/policy-file.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../../src/policy/mysql/mysql-engine.ts";
import { PolicyJudge } from "../../../src/session/mysql/judging/policy-judge.ts";
import { acceptLogin, errPayload, logIn, type PacketPeer, queryPayload } from "../../support/fake-peers.ts";
import type { ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import { AUTOCOMMIT, fileRequest, IN_TRANSACTION, okWith, resultSet, textRow } from "../../support/wire-replies.ts";

after(closeStages);

const DELETE = "DELETE FROM t WHERE a < 9";
const IN_OURS = AUTOCOMMIT | IN_TRANSACTION;
type Answers = Readonly<Record<string, readonly Uint8Array[] | "close">>;

/** A proxy whose policy allows 5 changed rows, before a server that answers by the first word of each text. */
async function setUp(answers: Answers): Promise<{ proxy: ProxyHarness; client: PacketPeer; asked: string[] }> {
  const policy = parsePolicy("version: 1\nimpact: { max_changed_rows: 5 }\n");
  assert.ok(policy.kind === "loaded");
  const judge = new PolicyJudge(
    new Judge({
      engines: { mysql: MYSQL_ENGINE },
      policy: policy.policy,
      clock: SYSTEM_CLOCK,
      idPrefix: "t",
      cacheBytesMax: 1_000_000,
    }),
  );
  const asked: string[] = [];
  const script = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const text = Buffer.from(packet.payload.subarray(1)).toString();
      if (!text.startsWith("SET session_track") && !text.startsWith("SELECT CAST(@@")) asked.push(text);
      const found = answers[text.split(" ")[0] ?? ""] ?? [okWith(AUTOCOMMIT)];
      if (found === "close") return void peer.socket.destroy();
      found.forEach((payload, index) => {
        peer.write(payload, index + 1);
      });
    }
  };
  const { proxy } = await openStage(script, { services: { judge } });
  return { proxy, client: await logIn(proxy.port), asked };
}

const START = { START: [okWith(IN_OURS)] } as const;

describe("a guarded statement", () => {
  it("within the limit is committed, and its OK says that no transaction is open", async () => {
    const { client, asked } = await setUp({
      ...START,
      DELETE: [okWith(IN_OURS | 0x20, { affectedRows: 5, info: "five" })],
    });
    client.write(queryPayload(DELETE), 0);
    const { payload, sequenceId } = await client.expect();
    assert.equal(sequenceId, 1);
    assert.deepEqual(Buffer.from(payload), Buffer.from(okWith(AUTOCOMMIT | 0x20, { affectedRows: 5, info: "five" })));
    assert.deepEqual(asked, ["START TRANSACTION", DELETE, "COMMIT AND NO CHAIN NO RELEASE"]);
    client.socket.destroy();
  });

  it("keeps both statements' session state", async () => {
    const ours = { systemVariables: new Map([["autocommit", "ON"]]) };
    const gtid = { systemVariables: new Map<string, string>(), gtids: "3e11fa47:23" };
    const { client } = await setUp({
      ...START,
      DELETE: [okWith(IN_OURS | 0x4000, { affectedRows: 300, sessionState: ours })],
      INSERT: [okWith(IN_OURS | 0x4000, { affectedRows: 3, sessionState: ours })],
      COMMIT: [okWith(AUTOCOMMIT | 0x4000, { sessionState: gtid })],
    });
    client.write(queryPayload("INSERT INTO t SELECT a FROM u"), 0);
    const { payload } = await client.expect();
    const expected = okWith(AUTOCOMMIT | 0x4000, { affectedRows: 3, sessionState: { ...ours, gtids: gtid.gtids } });
    assert.deepEqual(Buffer.from(payload), Buffer.from(expected));
    client.socket.destroy();
  });

  it("above the limit is rolled back, and the client is told how many rows and which limit", async () => {
    const { proxy, client, asked } = await setUp({ ...START, DELETE: [okWith(IN_OURS, { affectedRows: 70_000 })] });
    client.write(queryPayload(DELETE), 0);
    const err = decodeErrPacket((await client.expect()).payload);
    assert.deepEqual([err.errorNumber, err.sqlState], [1148, "42000"]);
    assert.match(err.message, /^querycop: impact guard: 70000 rows changed, max_changed_rows is 5: rolled back/);
    assert.equal(asked.at(-1), "ROLLBACK AND NO CHAIN NO RELEASE");
    const outcome = await proxy.untilEvent(({ type }) => type === "statement-outcome");
    assert.ok(
      outcome.type === "statement-outcome" && outcome.outcome === "rolled-back" && outcome.affectedRows === 70_000,
    );
    const order = proxy.events.flatMap((event) =>
      event.type === "own-statement" ? [event.purpose] : event.type.startsWith("statement") ? [event.type] : [],
    );
    assert.deepEqual(order, ["statement-intent", "guard-begin", "guard-rollback", "statement-outcome"]);
    const { impactGuard } = proxy.metrics;
    assert.deepEqual([impactGuard.of("rolled-back").value, impactGuard.of("committed").value], [1, 0]);
    client.write(queryPayload("SELECT 1"), 0);
    assert.equal((await client.expect()).payload[0], 0, "the session goes on");
    client.socket.destroy();
  });

  it("that fails, or whose COMMIT fails, tells the server's own error", async () => {
    const { client, asked } = await setUp({
      ...START,
      DELETE: [errPayload({ errorNumber: 1213, sqlState: "40001", message: "Deadlock found" })],
      UPDATE: [okWith(IN_OURS, { affectedRows: 1 })],
      COMMIT: [errPayload({ errorNumber: 3101, sqlState: "40000", message: "rejected by the group" })],
    });
    client.write(queryPayload(DELETE), 0);
    assert.equal(decodeErrPacket((await client.expect()).payload).message, "Deadlock found");
    assert.equal(asked.at(-1), "ROLLBACK AND NO CHAIN NO RELEASE");
    client.write(queryPayload("UPDATE t SET a = 1 WHERE b = 2"), 0);
    const commit = await client.expect();
    assert.deepEqual([decodeErrPacket(commit.payload).errorNumber, commit.sequenceId], [3101, 1]);
    client.socket.destroy();
  });

  it("is not sent when the server begins no transaction", async () => {
    const refusal = errPayload({ errorNumber: 1568, sqlState: "25001", message: "no" });
    const { proxy, client, asked } = await setUp({ START: [refusal] });
    client.write(queryPayload(DELETE), 0);
    assert.match(decodeErrPacket((await client.expect()).payload).message, /so the statement was not sent/);
    await client.closed();
    assert.deepEqual(asked, ["START TRANSACTION"]);
    const outcome = await proxy.untilEvent(({ type }) => type === "statement-outcome");
    assert.ok(outcome.type === "statement-outcome" && outcome.outcome === "not-sent");
  });

  it("in the client's transaction runs behind a savepoint, and its answer is the server's own", async () => {
    const { client, asked, proxy } = await setUp({
      BEGIN: [okWith(IN_OURS)],
      INSERT: [okWith(IN_OURS, { affectedRows: 5, info: "five" })],
      UPDATE: [errPayload({ errorNumber: 1213, sqlState: "40001", message: "Deadlock found" })],
      DELETE: [okWith(IN_OURS, { affectedRows: 6 })],
      ROLLBACK: [okWith(IN_OURS)],
    });
    const ask = async (sql: string): Promise<Buffer> => {
      client.write(queryPayload(sql), 0);
      return Buffer.from((await client.expect()).payload);
    };
    await ask("BEGIN");
    assert.deepEqual(
      await ask("INSERT INTO t SELECT a FROM u"),
      Buffer.from(okWith(IN_OURS, { affectedRows: 5, info: "five" })),
    );
    assert.match((await ask("UPDATE t SET a = 1 WHERE b = 2")).toString(), /Deadlock found/);
    assert.match((await ask(DELETE)).toString(), /6 rows changed, max_changed_rows is 5: rolled back/);
    const savepoint = "SAVEPOINT querycop_impact_guard";
    assert.deepEqual(asked, [
      "BEGIN",
      savepoint,
      "INSERT INTO t SELECT a FROM u",
      savepoint,
      "UPDATE t SET a = 1 WHERE b = 2",
      savepoint,
      DELETE,
      `ROLLBACK TO ${savepoint}`,
    ]);
    const { impactGuard } = proxy.metrics;
    assert.deepEqual([impactGuard.of("kept").value, impactGuard.of("rolled-back").value], [1, 1]);
    client.socket.destroy();
  });

  it("in the client's transaction ends the session where the server does not go back", async () => {
    const { client } = await setUp({
      BEGIN: [okWith(IN_OURS)],
      DELETE: [okWith(IN_OURS, { affectedRows: 6 })],
      ROLLBACK: [errPayload({ errorNumber: 1305, sqlState: "42000", message: "no such savepoint" })],
    });
    client.write(queryPayload("BEGIN"), 0);
    await client.expect();
    client.write(queryPayload(DELETE), 0);
    assert.match(decodeErrPacket((await client.expect()).payload).message, /did not go back to the savepoint/);
    await client.closed();
  });

  it("of which nobody knows how it ended is a lost connection, never an OK", async () => {
    const { proxy, client } = await setUp({
      ...START,
      DELETE: [okWith(IN_OURS, { affectedRows: 1 })],
      COMMIT: "close",
    });
    client.write(queryPayload(DELETE), 0);
    assert.equal(await client.read(), undefined);
    const outcome = await proxy.untilEvent(({ type }) => type === "statement-outcome");
    assert.ok(outcome.type === "statement-outcome" && outcome.outcome === "unknown");
  });

  for (const [what, reply] of [
    ["rows", resultSet([textRow("a")])],
    ["a request for a file", [fileRequest("/etc/passwd")]],
  ] as const) {
    it(`that a rogue server answers with ${what} ends the session`, async () => {
      const { client, asked } = await setUp({ ...START, DELETE: reply });
      client.write(queryPayload(DELETE), 0);
      assert.equal(await client.read(), undefined);
      assert.equal(asked.at(-1), DELETE);
    });
  }
});
