import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { createConnection } from "mysql2/promise";
import { type Clock, SYSTEM_CLOCK } from "../../src/base/clock.ts";
import { decodeErrPacket } from "../../src/mysql/generic-response.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import { parsePolicy } from "../../src/policy/file/policy-file.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { type DataGuardCounts, type DataGuardLimits, newDataGuardCounts } from "../../src/session/limits/data-guard.ts";
import { PolicyJudge } from "../../src/session/mysql/judging/policy-judge.ts";
import type { StatementJudge } from "../../src/session/statement/statement-judge.ts";
import { acceptLogin, logIn, OK_PAYLOAD, type PacketPeer, queryPayload } from "../support/fake-peers.ts";
import { NO_DATA_LIMITS, type ProxyHarness } from "../support/session-harness.ts";
import { closeStages, openStage } from "../support/session-stage.ts";
import {
  binaryRow,
  columnCount,
  columnDefinition,
  eof,
  executePayload,
  MORE_RESULTS,
  prepareOk,
  resultSet,
  rowsEnd,
  statementCommand,
  textRow,
  wireOf,
} from "../support/wire-replies.ts";

after(closeStages);

interface Setup {
  readonly proxy: ProxyHarness;
  readonly counts: DataGuardCounts;
  readonly asked: string[];
}

/** A proxy in front of a backend that answers each command with the bytes `reply` gives, as often as it yields. */
async function setUp(
  limits: Partial<DataGuardLimits>,
  reply: (payload: Buffer) => Iterable<Uint8Array>,
  clock?: Clock,
  judge?: StatementJudge,
): Promise<Setup> {
  const asked: string[] = [];
  const script = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const payload = Buffer.from(packet.payload);
      asked.push(payload.toString("latin1"));
      for (const bytes of reply(payload)) {
        if (!peer.socket.write(bytes)) await new Promise((resolve) => peer.socket.once("drain", resolve));
      }
    }
  };
  const counts = newDataGuardCounts();
  const { proxy } = await openStage(script, {
    listener: {
      dataGuard: { ...NO_DATA_LIMITS, ...limits },
    },
    services: {
      dataGuardCounts: counts,
      ...(clock === undefined ? {} : { clock }),
      ...(judge === undefined ? {} : { judge }),
    },
  });
  return { proxy, counts, asked };
}

const ROWS = Array.from({ length: 300 }, (_, index) => textRow(`row ${index}`.padEnd(40 + (index % 7), ".")));
const RESPONSE = resultSet(ROWS);
const WIRE = wireOf(RESPONSE);
const OK_WIRE = encodePacket(OK_PAYLOAD, 1);
const isQuery = (payload: Buffer, sql: string): boolean => payload.subarray(1).toString().endsWith(sql);

function guardRecords(proxy: ProxyHarness): [string, string][] {
  const found: [string, string][] = [];
  for (const event of proxy.events) if (event.type === "data-guard") found.push([event.action, event.limit]);
  return found;
}

/** Reads up to an ERR_Packet or the end of the rows; checks every sequence id. */
async function readResponse(client: PacketPeer): Promise<{ readonly packets: number; readonly error?: string }> {
  for (let packets = 0; ; packets++) {
    const { payload, sequenceId } = await client.expect();
    assert.equal(sequenceId, (packets + 1) & 0xff);
    if (payload[0] === 0xff) {
      const err = decodeErrPacket(payload);
      assert.deepEqual([err.errorNumber, err.sqlState], [1226, "42000"]);
      return { packets, error: err.message };
    }
    if (packets > 0 && payload[0] === 0xfe && payload.length < 20) return { packets: packets + 1 };
  }
}

describe("the response limit", () => {
  const boundary = wireOf(RESPONSE.slice(0, 100)).length;
  const cases: [string, number, number | undefined][] = [
    ["the whole response", WIRE.length, undefined],
    ["all but the last byte", WIRE.length - 1, RESPONSE.length - 1],
    ["exactly 100 packets", boundary, 100],
    ["one byte less", boundary - 1, 99],
    ["one byte more", boundary + 1, 100],
    ["a header more", boundary + 4, 100],
    ["not even one packet", 4, 0],
  ];
  for (const [what, responseBytesMax, packets] of cases) {
    for (const pieceBytes of [WIRE.length, 1]) {
      it(`room for ${what}, in pieces of ${pieceBytes} bytes`, async () => {
        const { proxy } = await setUp({ responseBytesMax }, function* (payload) {
          if (!isQuery(payload, "rows")) yield OK_WIRE;
          else for (let at = 0; at < WIRE.length; at += pieceBytes) yield WIRE.subarray(at, at + pieceBytes);
        });
        const client = await logIn(proxy.port);
        client.write(queryPayload("rows"), 0);
        const got = await readResponse(client);
        assert.equal(got.packets, packets ?? RESPONSE.length);
        assert.equal(got.error === undefined, packets === undefined);
        if (responseBytesMax > OK_WIRE.length) {
          client.write(queryPayload("next"), 0);
          assert.equal((await client.expect()).payload[0], 0);
        }
        const outcome = await proxy.untilEvent(({ type }) => type === "statement-outcome");
        assert.ok(outcome.type === "statement-outcome");
        assert.equal(outcome.outcome, packets === undefined ? "ok" : "cut-off");
        assert.equal(outcome.limit, packets === undefined ? undefined : "max_response_mb");
        if (packets !== undefined) {
          assert.equal(outcome.bytes, wireOf(RESPONSE.slice(0, packets)).length);
          assert.equal(outcome.rows, Math.max(0, packets - 2));
        }
        client.socket.destroy();
      });
    }
  }

  it("warns once at 80 percent", async () => {
    const { proxy, counts } = await setUp({ responseBytesMax: WIRE.length }, () => [WIRE]);
    const client = await logIn(proxy.port);
    client.write(queryPayload("rows"), 0);
    await readResponse(client);
    assert.deepEqual({ ...counts }, { ...newDataGuardCounts(), warnings: 1 });
    const lines = proxy.log.filter(({ event, level }) => event === "data guard" && level === "warn");
    assert.deepEqual(
      lines.map(({ fields }) => [fields["user"], fields["limit"], fields["action"], fields["used"]]),
      [["app", "max_response_mb", "warned", WIRE.length]],
    );
    assert.deepEqual(guardRecords(proxy), [["warned", "max_response_mb"]]);
    client.socket.destroy();
  });

  it("counts all results of one text, binary rows, and each fetch from a cursor", async () => {
    const rows = Array.from({ length: 100 }, () => binaryRow("x".repeat(50)));
    const binary = resultSet(rows);
    const results = [...resultSet(ROWS.slice(0, 50), MORE_RESULTS), ...resultSet(ROWS.slice(0, 50))];
    const fetched = [...rows, rowsEnd()];
    const { proxy } = await setUp({ responseBytesMax: 4_000 }, (payload) => {
      const answers: Record<number, readonly Uint8Array[]> = { 22: prepareOk(1), 23: binary, 28: fetched, 3: results };
      return [wireOf(answers[payload[0] ?? 0] ?? [OK_PAYLOAD])];
    });
    const client = await logIn(proxy.port);
    client.write(Uint8Array.of(0x16, 0x61), 0);
    assert.equal((await client.expect()).payload[0], 0);
    for (const command of [queryPayload("two"), executePayload(1), statementCommand(28, 1, [100, 0, 0, 0])]) {
      client.write(command, 0);
      let last = await client.expect();
      let bytes = 0;
      for (; last.payload[0] !== 0xff; last = await client.expect()) bytes += last.wire.length;
      assert.equal(decodeErrPacket(last.payload).errorNumber, 1226);
      assert.ok(bytes <= 4_000 && bytes > 3_900, `${bytes}`);
    }
    client.write(Uint8Array.of(0x0e), 0);
    assert.equal((await client.expect()).payload[0], 0);
    client.socket.destroy();
  });

  it("ends the connection when a part of a giant row has already gone out", async () => {
    const giant = wireOf([columnCount(1), columnDefinition("a"), textRow(new Uint8Array(17_500_000)), rowsEnd()]);
    const { proxy, counts } = await setUp({ responseBytesMax: 17_000_000 }, () => [giant]);
    const client = await logIn(proxy.port);
    client.write(queryPayload("giant"), 0);
    await client.closed();
    assert.equal(counts.connectionsEnded, 1);
    const outcome = await proxy.untilEvent(({ type }) => type === "statement-outcome");
    assert.ok(outcome.type === "statement-outcome" && outcome.outcome === "cut-off" && outcome.rows === 0);
    await proxy.untilEvent((event) => event.type === "disconnect" && event.reason === "limit");
  });

  it("ends the connection when the backend does not stop", async () => {
    const limits = { responseBytesMax: 5_000, discardBytesMax: 100_000 };
    const row = encodePacket(textRow("x".repeat(60_000)), 0);
    const { proxy, counts } = await setUp(limits, function* () {
      yield wireOf([columnCount(1), columnDefinition("a")]);
      for (let packet = 3; packet < 20; packet++) {
        row[3] = packet;
        yield row.slice();
      }
    });
    const client = await logIn(proxy.port);
    client.write(queryPayload("endless"), 0);
    assert.equal((await readResponse(client)).packets, 2);
    await client.closed();
    assert.equal(await client.read(), undefined);
    assert.equal(counts.connectionsEnded, 1);
  });

  it("keeps no memory of 900 MB that nobody gets, and mysql2 goes on", { timeout: 60_000 }, async () => {
    const ROWS_OF_1_MB = 900;
    const row = textRow("x".repeat(999_000));
    const { proxy } = await setUp({ responseBytesMax: 2_000_000, discardTimeoutMs: 40_000 }, function* (payload) {
      if (!isQuery(payload, "rows")) return yield OK_WIRE;
      yield wireOf([columnCount(1), columnDefinition("a"), eof()]);
      for (let sent = 0; sent < ROWS_OF_1_MB; sent++) yield encodePacket(row, (4 + sent) & 0xff);
      yield encodePacket(eof(), (4 + ROWS_OF_1_MB) & 0xff);
    });
    const connection = await createConnection({ host: "127.0.0.1", port: proxy.port, user: "app" });
    const before = process.memoryUsage().rss;
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 5);
    const failure = await connection.query("rows").catch((error: unknown) => error);
    await connection.query("next");
    clearInterval(timer);
    assert.ok(failure instanceof Error && "errno" in failure && failure.errno === 1226, String(failure));
    assert.match(failure.message, /data guard: response exceeds 2 MB \(GATEKEEPER_MAX_RESPONSE_MB\)/);
    // The scripted backend's own packets live in this process too, some of them until they are collected: it grows by 100.
    assert.ok(peak - before < 450e6, `grew by ${Math.round((peak - before) / 1e6)} MB`);
    connection.destroy();
  });
});

describe("the row limit", () => {
  const texts = resultSet(ROWS.slice(0, 10));
  const values = resultSet(Array.from({ length: 10 }, () => binaryRow("x".repeat(50))));
  const ask = { text: queryPayload("rows"), binary: executePayload(1) };
  for (const form of ["text", "binary"] as const) {
    for (const [responseRowsMax, rows] of [
      [10, undefined],
      [9, 9],
      [1, 1],
    ] as const) {
      for (const pieceBytes of [100_000, 1, 5]) {
        it(`${responseRowsMax} of 10 ${form} rows, in pieces of ${pieceBytes} bytes`, async () => {
          const wire = wireOf(form === "text" ? texts : values);
          const { proxy } = await setUp({ responseRowsMax }, function* (payload) {
            if (payload[0] === 0x16) yield wireOf(prepareOk(1));
            else if (isQuery(payload, "next")) yield OK_WIRE;
            else for (let at = 0; at < wire.length; at += pieceBytes) yield wire.subarray(at, at + pieceBytes);
          });
          const client = await logIn(proxy.port);
          client.write(Uint8Array.of(0x16, 0x61), 0);
          await client.expect();
          client.write(ask[form], 0);
          const { packets, error } = await readResponse(client);
          assert.equal(packets, rows === undefined ? 13 : rows + 2);
          const text = new RegExp(`response exceeds ${rows} rows \\(GATEKEEPER_MAX_RESPONSE_ROWS\\)`);
          if (rows !== undefined) assert.match(String(error), text);
          client.write(queryPayload("next"), 0);
          assert.equal((await client.expect()).payload[0], 0);
          client.socket.destroy();
        });
      }
    }
  }

  it("counts the rows of all results of a text", async () => {
    const results = [...resultSet(ROWS.slice(0, 5), MORE_RESULTS), ...resultSet(ROWS.slice(0, 5))];
    const { proxy } = await setUp({ responseRowsMax: 7 }, () => [wireOf(results)]);
    const client = await logIn(proxy.port);
    client.write(queryPayload("rows"), 0);
    const rows = [];
    for (let packet = await client.expect(); packet.payload[0] !== 0xff; packet = await client.expect()) {
      if (Buffer.from(packet.payload).includes("row ")) rows.push(packet);
    }
    assert.equal(rows.length, 7);
    client.socket.destroy();
  });
});

describe("what happens at a limit", () => {
  it("warn: tells and records it, and cuts nothing", async () => {
    const limits = {
      responseRowsMax: 100,
      responseBytesMax: 1_000,
      windowBytesMax: 35_000,
      limitAction: "warn",
    } as const;
    const { proxy, counts } = await setUp(limits, () => [WIRE]);
    const client = await logIn(proxy.port);
    for (let round = 0; round < 3; round++) {
      client.write(queryPayload("rows"), 0);
      assert.equal((await readResponse(client)).packets, RESPONSE.length);
    }
    assert.equal(counts.responsesCutOff + counts.statementsRefused, 0);
    const records = guardRecords(proxy);
    assert.deepEqual(records.slice(0, 2), [
      ["exceeded", "max_response_mb"],
      ["exceeded", "max_response_rows"],
    ]);
    assert.equal(records.filter(([, limit]) => limit === "max_window_mb").length, 2, "near once, passed once");
    client.socket.destroy();
  });

  it("terminate: says so and ends the connection", async () => {
    const { proxy } = await setUp({ responseRowsMax: 5, limitAction: "terminate" }, () => [WIRE]);
    const client = await logIn(proxy.port);
    client.write(queryPayload("rows"), 0);
    const { packets, error } = await readResponse(client);
    assert.equal(packets, 7);
    assert.match(String(error), /\(reconnect to continue\)$/);
    await client.closed();
    assert.equal(await client.read(), undefined, "nothing behind the error");
    const outcome = await proxy.untilEvent(({ type }) => type === "statement-outcome");
    assert.ok(outcome.type === "statement-outcome" && outcome.outcome === "cut-off" && outcome.rows === 5);
    assert.deepEqual(guardRecords(proxy).at(-1), ["terminated", "max_response_rows"]);
    const end = await proxy.untilEvent(({ type }) => type === "disconnect");
    assert.ok(end.type === "disconnect" && end.reason === "limit" && end.errorCode === "QC_DATA_GUARD");
  });

  it("records a cut fetch with the execution it belongs to", async () => {
    const fetched = [...ROWS.slice(0, 20), rowsEnd()].map((row) => (row[0] === 0xfe ? row : binaryRow("x".repeat(40))));
    const cursor = [columnCount(1), columnDefinition("a"), rowsEnd(0x42)];
    const { proxy } = await setUp({ responseRowsMax: 10 }, (payload) => {
      const answers: Record<number, readonly Uint8Array[]> = { 22: prepareOk(1), 23: cursor, 28: fetched };
      return [wireOf(answers[payload[0] ?? 0] ?? [OK_PAYLOAD])];
    });
    const client = await logIn(proxy.port);
    client.write(Uint8Array.of(0x16, 0x61), 0);
    await client.expect();
    client.write(executePayload(1, 1), 0);
    for (const _packet of cursor) await client.expect();
    client.write(Uint8Array.of(0x0e), 0);
    await client.expect();
    client.write(statementCommand(28, 1, [20, 0, 0, 0]), 0);
    let rows = 0;
    for (let packet = await client.expect(); packet.payload[0] !== 0xff; packet = await client.expect()) rows++;
    assert.equal(rows, 10);
    const record = await proxy.untilEvent((event) => event.type === "data-guard" && event.action === "cut-off");
    assert.ok(record.type === "data-guard");
    assert.deepEqual(
      [record.command, record.ordinal, record.statementId, record.statementOrdinal, record.limit, record.rows],
      ["COM_STMT_FETCH", 4, 1, 2, "max_response_rows", 10],
    );
    client.socket.destroy();
  });

  it("is what the profile says where a profile says it", async () => {
    const policy = parsePolicy(`
version: 1
profiles:
  - name: reports
    match: { users: [reports] }
    limits: { max_response_rows: 20, max_response_mb: off }
  - name: trial
    match: { users: [trial] }
    limits: { max_response_rows: 1, data_guard_action: warn }
  - name: observed
    match: { users: [observed] }
    mode: observe
`);
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
    const { proxy } = await setUp(
      { responseRowsMax: 5 },
      (payload) => [isQuery(payload, "t") ? WIRE : OK_WIRE],
      undefined,
      judge,
    );
    const rowsOf = async (user: string): Promise<[number, string | undefined]> => {
      const client = await logIn(proxy.port, { user });
      client.write(queryPayload("SELECT a FROM t"), 0);
      const { packets, error } = await readResponse(client);
      client.socket.destroy();
      return [packets, error?.match(/\((.*)\)/)?.[1]];
    };
    assert.deepEqual(await rowsOf("app"), [7, "GATEKEEPER_MAX_RESPONSE_ROWS"]);
    assert.deepEqual(await rowsOf("reports"), [22, "max_response_rows of the policy"]);
    assert.deepEqual(await rowsOf("trial"), [RESPONSE.length, undefined]);
    assert.deepEqual(await rowsOf("observed"), [RESPONSE.length, undefined]);
  });
});

describe("the limits of a user", () => {
  it("count all connections of the user, and nobody else's", async () => {
    let nowMs = 0;
    const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
    const limits = { userWindowRowsMax: 500, userWindowBytesMax: 10_000_000 };
    const { proxy, asked } = await setUp(limits, () => [WIRE], clock);
    const clients = await Promise.all([logIn(proxy.port), logIn(proxy.port), logIn(proxy.port, { user: "other" })]);
    const run = async (index: number): Promise<[number, string | undefined]> => {
      clients[index]?.write(queryPayload("rows"), 0);
      const { packets, error } = await readResponse(clients[index] as PacketPeer);
      return [packets, error?.match(/user exceeds 500 rows in 60 s/)?.[0]];
    };
    assert.deepEqual(await run(0), [303, undefined]);
    assert.deepEqual(await run(1), [202, "user exceeds 500 rows in 60 s"]);
    const sent = asked.length;
    assert.deepEqual((await run(0))[0], 0, "the user's other connection is refused before anything is sent");
    assert.equal(asked.length, sent);
    assert.deepEqual(await run(2), [303, undefined]);
    nowMs += 61_000;
    assert.deepEqual(await run(0), [303, undefined]);
    for (const client of clients) client.socket.destroy();
  });

  it("of bytes cut at the last packet that fits", async () => {
    const rows = resultSet(Array.from({ length: 100 }, () => textRow("x".repeat(1_000))));
    const wire = wireOf(rows);
    const userWindowBytesMax = wire.length + wireOf(rows.slice(0, 40)).length + 500;
    const { proxy } = await setUp({ userWindowBytesMax }, () => [wire]);
    const clients = await Promise.all([logIn(proxy.port), logIn(proxy.port)]);
    const packets: number[] = [];
    for (const client of clients) {
      client.write(queryPayload("rows"), 0);
      packets.push((await readResponse(client)).packets);
    }
    assert.deepEqual(packets, [rows.length, 40]);
    for (const client of clients) client.socket.destroy();
  });
});

describe("the window limit", () => {
  it("refuses statements until the window has moved on, without a reconnect", async () => {
    let nowMs = 5_000;
    const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
    const windowBytesMax = WIRE.length * 4;
    const { proxy, asked, counts } = await setUp({ windowBytesMax }, () => [WIRE], clock);
    const client = await logIn(proxy.port);
    const run = async (): Promise<string | undefined> => {
      client.write(queryPayload("rows"), 0);
      return (await readResponse(client)).error;
    };
    for (let round = 0; round < 4; round++) {
      assert.equal(await run(), undefined);
      nowMs += 10_000;
      if (windowBytesMax - WIRE.length * (round + 1) < 16 * 1024) break;
    }
    const sent = asked.length;
    assert.match(String(await run()), /data guard: connection exceeds .* in 60 s \(GATEKEEPER_MAX_WINDOW_MB\)/);
    assert.equal(asked.length, sent);
    assert.equal(counts.statementsRefused, 1);
    assert.ok(proxy.events.some((event) => event.type === "statement-blocked" && event.errorNumber === 1226));
    nowMs += 61_000;
    assert.equal(await run(), undefined);
    client.socket.destroy();
  });

  it("cuts a running response, and stays shut until its bytes are a minute old", async () => {
    let nowMs = 0;
    const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
    const rows = resultSet(Array.from({ length: 100 }, () => textRow("x".repeat(1_000))));
    const { proxy } = await setUp({ windowBytesMax: 50_000 }, () => [wireOf(rows)], clock);
    const client = await logIn(proxy.port);
    const steps = [0, 30_000, 29_999, 1_001];
    const packets: number[] = [];
    for (const step of steps) {
      nowMs += step;
      client.write(queryPayload("rows"), 0);
      packets.push((await readResponse(client)).packets);
    }
    assert.deepEqual([packets[0], packets[3]], [packets[3], packets[0]]);
    assert.ok((packets[0] ?? 0) > 45);
    assert.deepEqual(packets.slice(1, 3), [0, 0]);
    client.socket.destroy();
  });
});
