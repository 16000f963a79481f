import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { createConnection } from "mysql2/promise";
import type { Clock } from "../../src/base/clock.ts";
import { decodeErrPacket } from "../../src/mysql/generic-response.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import { type DataGuardCounts, type DataGuardLimits, newDataGuardCounts } from "../../src/session/data-guard.ts";
import {
  acceptLogin,
  type FakeBackend,
  logIn,
  OK_PAYLOAD,
  type PacketPeer,
  queryPayload,
  startFakeBackend,
} from "../support/fake-peers.ts";
import { type ProxyHarness, startProxy } from "../support/session-harness.ts";
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

const closing: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

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
): Promise<Setup> {
  const asked: string[] = [];
  const backend: FakeBackend = await startFakeBackend(async (peer: PacketPeer) => {
    await acceptLogin(peer);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const payload = Buffer.from(packet.payload);
      asked.push(payload.toString("latin1"));
      for (const bytes of reply(payload)) {
        if (!peer.socket.write(bytes)) await new Promise((resolve) => peer.socket.once("drain", resolve));
      }
    }
  });
  const counts = newDataGuardCounts();
  const proxy = await startProxy({
    backendPort: backend.port,
    listener: {
      dataGuard: { responseBytesMax: 0, windowBytesMax: 0, discardTimeoutMs: 5_000, discardBytesMax: 1e9, ...limits },
    },
    services: { dataGuardCounts: counts, ...(clock === undefined ? {} : { clock }) },
  });
  closing.push(
    () => backend.close(),
    () => proxy.close(),
  );
  return { proxy, counts, asked };
}

const ROWS = Array.from({ length: 300 }, (_, index) => textRow(`row ${index}`.padEnd(40 + (index % 7), ".")));
const RESPONSE = resultSet(ROWS);
const WIRE = wireOf(RESPONSE);
const OK_WIRE = encodePacket(OK_PAYLOAD, 1);
const isQuery = (payload: Buffer, sql: string): boolean => payload.subarray(1).toString().endsWith(sql);

/** Reads up to an ERR_Packet or the end of the rows; checks every sequence id. */
async function readResponse(client: PacketPeer): Promise<{ readonly packets: number; readonly error?: string }> {
  for (let packets = 0; ; packets++) {
    const { payload, sequenceId } = await client.expect();
    assert.equal(sequenceId, (packets + 1) & 0xff);
    if (payload[0] === 0xff) {
      const err = decodeErrPacket(payload);
      assert.deepEqual([err.errorNumber, err.sqlState], [1317, "70100"]);
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
      lines.map(({ fields }) => [fields["user"], fields["limit"], fields["bytes"]]),
      [["app", "max_response_mb", WIRE.length]],
    );
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
      assert.equal(decodeErrPacket(last.payload).errorNumber, 1317);
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

  it("keeps no memory of 300 MB that nobody gets, and mysql2 goes on", { timeout: 60_000 }, async () => {
    const row = textRow("x".repeat(999_000));
    const { proxy } = await setUp({ responseBytesMax: 2_000_000 }, function* (payload) {
      if (!isQuery(payload, "rows")) return yield OK_WIRE;
      yield wireOf([columnCount(1), columnDefinition("a"), eof()]);
      for (let sent = 0; sent < 300; sent++) yield encodePacket(row, (4 + sent) & 0xff);
      yield encodePacket(eof(), 304 & 0xff);
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
    assert.ok(failure instanceof Error && "errno" in failure && failure.errno === 1317, String(failure));
    assert.match(failure.message, /data guard: response exceeds 2 MB \(GATEKEEPER_MAX_RESPONSE_MB\)/);
    // The scripted backend's own 300 encoded packets live in this process too.
    assert.ok(peak - before < 200e6, `grew by ${Math.round((peak - before) / 1e6)} MB`);
    connection.destroy();
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
    assert.ok(proxy.events.some((event) => event.type === "statement-blocked" && event.errorNumber === 1317));
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
