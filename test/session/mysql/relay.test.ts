import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { afterEach, describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { concatBytes } from "../../../src/base/bytes.ts";
import { encodeChangeUser } from "../../../src/mysql/command.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { encodePacket } from "../../../src/mysql/packet.ts";
import {
  acceptLogin,
  errPayload,
  type FakeBackend,
  GREETING,
  logIn,
  OK_PAYLOAD,
  type PacketPeer,
  queryPayload,
  scriptedBackend,
  serveCommands,
} from "../../support/fake-peers.ts";
import type { ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import {
  AUTOCOMMIT,
  binaryRow,
  CLASSIC_GREETING,
  CURSOR_EXISTS,
  classicResultSet,
  columnCount,
  columnDefinition,
  eof,
  executePayload,
  fileRequest,
  IN_TRANSACTION,
  LAST_ROW_SENT,
  MORE_RESULTS,
  okWith,
  prepareOk,
  resultSet,
  rowsEnd,
  statementCommand,
  textRow,
  wireOf,
} from "../../support/wire-replies.ts";

const MIB = 1024 * 1024;
const FULL = 2 ** 24 - 1;
const SIZES = [0, 1, FULL - 1, FULL, FULL + 1, 2 * FULL] as const;
const LARGE = { listener: { packetBytesMax: 64 * MIB } } as const;

afterEach(closeStages);

/** The next bytes on the wire, unframed: what a test of "byte for byte" compares. */
async function readBytes(peer: PacketPeer, byteCount: number, from = 0): Promise<Buffer> {
  const total = (): number => peer.received.reduce((sum, chunk) => sum + chunk.length, 0);
  while (total() < from + byteCount && !peer.isClosed) {
    await Promise.race([new Promise((resolve) => peer.socket.once("data", resolve)), peer.closed()]);
  }
  return Buffer.concat(peer.received).subarray(from, from + byteCount);
}

const bytesSoFar = (peer: PacketPeer): number => peer.received.reduce((sum, chunk) => sum + chunk.length, 0);

/** Answers every command with the next wire, whatever it is. */
function answering(wires: readonly Uint8Array[], greeting = GREETING): (peer: PacketPeer) => Promise<void> {
  return async (peer) => {
    await acceptLogin(peer, greeting);
    for (const wire of wires) {
      await peer.expect();
      peer.socket.write(wire);
    }
    await peer.read();
  };
}

async function assertRelayed(wire: Uint8Array, command: Uint8Array, greeting = GREETING): Promise<void> {
  const { proxy } = await openStage(answering([wire], greeting), LARGE);
  const client = await logIn(proxy.port);
  const from = bytesSoFar(client);
  client.write(command, 0);
  const got = await readBytes(client, wire.length, from);
  assert.ok(got.equals(wire), "the client got other bytes than the server sent");
  client.socket.destroy();
}

describe("a response", () => {
  for (const size of SIZES) {
    it(`with a row of ${size} bytes passes byte for byte`, { timeout: 20_000 }, async () => {
      // A row of this length exactly: a value shorter by its length prefix, or a NULL where there is room for nothing.
      const row = size === 0 ? textRow(null) : exactRow(size);
      await assertRelayed(wireOf(resultSet([row])), queryPayload("select a"));
    });
  }

  for (const size of SIZES.slice(2)) {
    it(`with EOF_Packets and a row of ${size} bytes passes byte for byte`, { timeout: 20_000 }, async () => {
      await assertRelayed(wireOf(classicResultSet([exactRow(size)])), queryPayload("select a"), CLASSIC_GREETING);
    });
  }

  it("of no rows, one row and 1000 rows passes, over the wrap of the sequence id", async () => {
    for (const count of [0, 1, 251, 252, 253, 254, 255, 1000]) {
      const rows = Array.from({ length: count }, (_, index) => textRow(`row ${index}`));
      await assertRelayed(wireOf(resultSet(rows)), queryPayload("select a"));
    }
  });

  it("of several result sets is one response", async () => {
    const sets = [
      ...resultSet([textRow("1")], AUTOCOMMIT | MORE_RESULTS),
      ...resultSet([textRow("2"), textRow("3")], AUTOCOMMIT | MORE_RESULTS),
      okWith(AUTOCOMMIT | MORE_RESULTS),
      okWith(AUTOCOMMIT),
    ];
    await assertRelayed(wireOf(sets), queryPayload("call two_results()"));
  });

  it("that fails in its middle ends with the error", async () => {
    const failing = [
      ...resultSet([textRow("1")], AUTOCOMMIT | MORE_RESULTS),
      errPayload({ errorNumber: 1146, sqlState: "42S02", message: "no such table" }),
    ];
    const { proxy } = await openStage(answering([wireOf(failing), wireOf([OK_PAYLOAD])]));
    const client = await logIn(proxy.port);
    client.write(queryPayload("select 1; select * from nowhere; select 3"), 0);
    for (let packet = 0; packet < 4; packet++) await client.expect();
    assert.equal(decodeErrPacket((await client.expect()).payload).errorNumber, 1146);
    client.write(queryPayload("select 4"), 0);
    assert.equal((await client.expect()).payload[0], 0);
    client.socket.destroy();
  });

  it("keeps the status flags and the info of every OK_Packet", async () => {
    const ok = okWith(0x4202 | IN_TRANSACTION, {
      affectedRows: 7,
      info: "Records: 7  Duplicates: 0  Warnings: 0",
      sessionState: { schema: "other", systemVariables: new Map([["sql_mode", "NO_BACKSLASH_ESCAPES"]]) },
    });
    await assertRelayed(wireOf([ok]), queryPayload("insert"));
  });
});

describe("a query", () => {
  for (const size of SIZES) {
    it(`of ${size} bytes reaches the backend byte for byte`, { timeout: 20_000 }, async () => {
      const hashes: string[] = [];
      const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
      const { proxy } = await openStage(
        scriptedBackend((payload) => {
          hashes.push(hash(payload));
          return [OK_PAYLOAD];
        }),
        LARGE,
      );
      const client = await logIn(proxy.port);
      // The command byte is a part of the payload.
      const payload = size === 0 ? queryPayload("") : Buffer.alloc(size, "select ");
      payload[0] = 3;
      client.write(payload, 0);
      const answer = await client.expect();
      assert.equal(answer.payload[0], 0);
      client.write(queryPayload("select 1"), 0);
      assert.equal((await client.expect()).payload[0], 0);
      assert.deepEqual(hashes, [hash(payload), hash(queryPayload("select 1"))]);
      client.socket.destroy();
    });
  }
});

/** A packet of exactly this many bytes that reads as a row. */
function exactRow(size: number): Buffer {
  const row = Buffer.alloc(size, 0x61);
  if (size === 1) row[0] = 0;
  else if (size >= 2 ** 16 + 4) {
    row[0] = 0xfd;
    row.writeUIntLE(Math.min(size - 4, 0xffffff), 1, 3);
  }
  return row;
}

describe("stalled readers", () => {
  it("R3 and regression 37: results without end cost at most 64 MiB of memory, eight of them", {
    timeout: 30_000,
  }, async () => {
    const CLIENTS = 8;
    const ENOUGH_BYTES = 64 * MIB;
    // One row for every sequence id, made once: what the test allocates is not what it measures.
    const block = Buffer.alloc(MIB / 16, 0x61);
    const rows = Array.from({ length: 256 }, (_, sequenceId) => encodePacket(block, sequenceId));
    let stuck = 0;
    let allStuck: () => void = () => undefined;
    const stalled = new Promise<void>((resolve) => {
      allStuck = resolve;
    });
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      await peer.expect();
      peer.socket.write(wireOf([columnCount(1), columnDefinition("a")]));
      let sequenceId = 3;
      let sent = 0;
      // What a socket does not take within this many turns it will not take at all: nobody reads behind it.
      for (let turns = 0; turns < 2000 && sent < ENOUGH_BYTES; turns++) {
        if (peer.socket.writableLength === 0) {
          peer.socket.write(rows[sequenceId++ & 0xff] ?? block);
          sent += block.length;
          turns = 0;
        }
        await nextTurn();
      }
      assert.ok(sent < ENOUGH_BYTES, "the proxy reads what nobody takes");
      if (++stuck === CLIENTS) allStuck();
      await peer.closed();
    });
    const clients: PacketPeer[] = [];
    for (let index = 0; index < CLIENTS; index++) {
      const client = await logIn(proxy.port);
      client.socket.pause();
      clients.push(client);
    }
    const before = process.memoryUsage().rss;
    for (const client of clients) client.write(queryPayload("select a"), 0);
    await stalled;
    // Both ends of all four sockets of each session live in this process.
    const grown = (process.memoryUsage().rss - before) / MIB;
    assert.ok(grown <= 64, `grew by ${grown.toFixed(1)} MiB`);
    for (const client of clients) client.socket.destroy();
  });
});

describe("LOCAL INFILE", () => {
  const REQUEST = wireOf([fileRequest("items.csv")]);

  /** Asks for a file, collects its packets and says OK. */
  const loading = (packets: Uint8Array[]) => async (peer: PacketPeer) => {
    await acceptLogin(peer);
    for (let command = await peer.read(); command !== undefined; command = await peer.read()) {
      if (!Buffer.from(command.payload).includes("load")) {
        peer.write(OK_PAYLOAD, 1);
        continue;
      }
      peer.socket.write(REQUEST);
      let packet = await peer.expect();
      for (; packet.payload.length > 0; packet = await peer.expect()) packets.push(packet.payload);
      peer.write(OK_PAYLOAD, packet.sequenceId + 1);
    }
  };

  const LOAD = queryPayload("load data local infile 'items.csv' into table items");

  async function send(client: PacketPeer, pieces: readonly Uint8Array[]): Promise<number> {
    client.write(LOAD, 0);
    assert.equal((await client.expect()).payload[0], 0xfb);
    let sequenceId = 2;
    for (const piece of [...pieces, new Uint8Array(0)]) client.write(piece, sequenceId++ & 0xff);
    const answer = await client.expect();
    assert.equal(answer.payload[0], 0);
    return answer.sequenceId;
  }

  it("takes data that begin with every byte for data", async () => {
    const packets: Uint8Array[] = [];
    const { proxy } = await openStage(loading(packets));
    const client = await logIn(proxy.port);
    const pieces = Array.from({ length: 256 }, (_, first) => Buffer.from([first, 0x20, 0x55, 0x53, 0x45]));
    await send(client, pieces);
    assert.deepEqual(
      packets.map((packet) => Buffer.from(packet).toString("hex")),
      pieces.map((piece) => piece.toString("hex")),
    );
    for (let first = 0; first < 256; first += 17) await send(client, [Uint8Array.of(first)]);
    client.write(queryPayload("select 1"), 0);
    assert.equal((await client.expect()).payload[0], 0);
    const commands = proxy.events.filter(({ type }) => type === "statement-intent").length;
    assert.equal(commands, 2 + Math.ceil(256 / 17));
    client.socket.destroy();
  });

  it("takes an empty file, which is how clients say that there is none", async () => {
    const packets: Uint8Array[] = [];
    const { proxy } = await openStage(loading(packets));
    const client = await logIn(proxy.port);
    assert.equal(await send(client, []), 3);
    assert.deepEqual(packets, []);
    client.write(queryPayload("select 1"), 0);
    assert.equal((await client.expect()).payload[0], 0);
    client.socket.destroy();
  });

  it("counts on over the wrap of the sequence id and records bytes and hash", async () => {
    const packets: Uint8Array[] = [];
    const { proxy } = await openStage(loading(packets));
    const client = await logIn(proxy.port);
    const pieces = Array.from({ length: 600 }, (_, index) => Buffer.from(`line ${index}\n`));
    await send(client, pieces);
    const event = proxy.events.find(({ type }) => type === "local-infile");
    const all = Buffer.concat(pieces);
    assert.ok(event?.type === "local-infile");
    assert.equal(event.bytes, all.length);
    assert.equal(event.contentHash, createHash("sha256").update(all).digest("hex"));
    client.socket.destroy();
  });

  it("of a file above the limit is cut off at the backend, and the client is told behind its last packet", async () => {
    const packets: Uint8Array[] = [];
    const { proxy, backends } = await openStage(loading(packets), { listener: { localInfileBytesMax: 1_000 } });
    const client = await logIn(proxy.port);
    client.write(LOAD, 0);
    await client.expect();
    const pieces = Array.from({ length: 300 }, () => Buffer.alloc(400, "x"));
    [...pieces, new Uint8Array(0)].forEach((piece, index) => {
      client.write(piece, (index + 2) & 0xff);
    });
    const answer = await client.expect();
    assert.equal(answer.sequenceId, (2 + 301) & 0xff);
    assert.match(
      Buffer.from(answer.payload).toString("latin1"),
      /exceeds 0\.001 MB \(GATEKEEPER_LOCAL_INFILE_MAX_MB\)/,
    );
    await client.closed();
    await backends.peers[0]?.closed();
    assert.equal(packets.length, 2, "and no empty packet, which would have loaded them");
    const event = proxy.events.find(({ type }) => type === "local-infile");
    assert.ok(event?.type === "local-infile" && event.action === "cut-off" && event.bytes === 800);
    assert.equal(event.contentHash, createHash("sha256").update(Buffer.alloc(800, "x")).digest("hex"));
  });

  it("regression 12: of several files in one text asks for each", async () => {
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      await peer.expect();
      peer.socket.write(wireOf([fileRequest("one")]));
      while ((await peer.expect()).payload.length > 0);
      peer.socket.write(wireOf([okWith(AUTOCOMMIT | MORE_RESULTS), fileRequest("two")], 4));
      while ((await peer.expect()).payload.length > 0);
      peer.socket.write(wireOf([OK_PAYLOAD], 8));
      await peer.read();
    });
    const client = await logIn(proxy.port);
    client.write(queryPayload("load data local infile 'one' …; load data local infile 'two' …"), 0);
    assert.equal(Buffer.from((await client.expect()).payload).toString("latin1"), "\xfbone");
    client.write(Buffer.from("1"), 2);
    client.write(new Uint8Array(0), 3);
    assert.equal((await client.expect()).payload[0], 0);
    assert.equal(Buffer.from((await client.expect()).payload).toString("latin1"), "\xfbtwo");
    client.write(Buffer.from("2"), 6);
    client.write(new Uint8Array(0), 7);
    assert.deepEqual(
      [(await client.expect()).payload[0], proxy.events.filter(({ type }) => type === "local-infile").length],
      [0, 2],
    );
    client.socket.destroy();
  });

  it("ends the session when the packets of the file are out of order", async () => {
    const { proxy } = await openStage(loading([]));
    const client = await logIn(proxy.port);
    client.write(LOAD, 0);
    await client.expect();
    client.write(queryPayload("drop table items"), 0);
    await client.closed();
    client.socket.end();
    await proxy.registry.whenEmpty();
    const end = proxy.events.find(({ type }) => type === "disconnect");
    assert.ok(end?.type === "disconnect" && end.errorCode === "QC_CLIENT_SEQUENCE");
  });
});

describe("prepared statements", () => {
  it("prepared and executed in one go, the id left to the server, run in order", async () => {
    const seen: number[] = [];
    const { proxy } = await openStage(
      scriptedBackend((payload) => {
        seen.push(payload[0] ?? 0);
        return payload[0] === 0x16 ? prepareOk(9, 0, 1) : resultSet([binaryRow("x")]);
      }),
    );
    const client = await logIn(proxy.port);
    const prepare = Buffer.concat([Uint8Array.of(0x16), Buffer.from("select 'x'")]);
    client.socket.write(concatBytes([encodePacket(prepare, 0), encodePacket(executePayload(0xffffffff), 0)]));
    for (let packet = 0; packet < 2; packet++) await client.expect();
    assert.equal((await client.expect()).payload[0], 1);
    assert.deepEqual(seen, [0x16, 0x17]);
    client.socket.destroy();
  });

  it("are at most 4096 on one connection; closing one makes room", { timeout: 20_000 }, async () => {
    let prepared = 0;
    const { proxy } = await openStage(scriptedBackend((payload) => (payload[0] === 0x16 ? prepareOk(++prepared) : [])));
    const client = await logIn(proxy.port);
    const prepare = Buffer.concat([Uint8Array.of(0x16), Buffer.from("select 1")]);
    for (let round = 0; round < 4096; round += 256) {
      client.socket.write(concatBytes(Array.from({ length: 256 }, () => encodePacket(prepare, 0))));
      for (let count = 0; count < 256; count++) assert.equal((await client.expect()).payload[0], 0);
    }
    client.write(prepare, 0);
    assert.equal(decodeErrPacket((await client.expect()).payload).errorNumber, 1461);
    assert.equal(prepared, 4096);
    client.write(statementCommand(0x19, 17), 0);
    client.write(prepare, 0);
    assert.equal((await client.expect()).payload[0], 0);
    client.socket.destroy();
  });

  for (const [style, greeting] of [
    ["with OK_Packets", GREETING],
    ["with EOF_Packets", CLASSIC_GREETING],
  ] as const) {
    it(`read through a cursor ${style} do not wait for rows`, async () => {
      const isClassic = greeting === CLASSIC_GREETING;
      const end = (flags: number): Uint8Array => (isClassic ? eof(flags) : rowsEnd(flags));
      const definitions = [columnCount(1), columnDefinition("a")];
      const { proxy } = await openStage(
        scriptedBackend((payload) => {
          if (payload[0] === 0x16) return [...prepareOk(3, 0, 1), ...(isClassic ? [eof()] : [])];
          if (payload[0] === 0x17) return [...definitions, end(AUTOCOMMIT | CURSOR_EXISTS)];
          const isLast = payload[5] === 2;
          return [binaryRow("x"), end(AUTOCOMMIT | (isLast ? LAST_ROW_SENT : CURSOR_EXISTS))];
        }, greeting),
      );
      const client = await logIn(proxy.port);
      client.write(Buffer.from([0x16, 0x78]), 0);
      for (let packet = 0; packet < (isClassic ? 3 : 2); packet++) await client.expect();
      client.write(executePayload(3, 1), 0);
      for (let packet = 0; packet < 3; packet++) await client.expect();
      for (const rows of [1, 1, 2]) {
        client.write(statementCommand(0x1c, 3, [rows, 0, 0, 0]), 0);
        assert.equal((await client.expect()).payload[0], 0);
        assert.equal((await client.expect()).payload[0], 0xfe);
      }
      client.socket.destroy();
    });
  }
});

describe("a session started anew", () => {
  const script = scriptedBackend((payload) => (payload[0] === 0x16 ? prepareOk(5) : [OK_PAYLOAD]));

  for (const [name, command] of [
    ["COM_RESET_CONNECTION", Uint8Array.of(0x1f)],
    [
      "COM_CHANGE_USER",
      encodeChangeUser(
        {
          user: "other",
          authResponse: new Uint8Array(0),
          authPluginName: "caching_sha2_password",
          characterSet: 45,
        },
        0,
      ),
    ],
  ] as const) {
    it(`by ${name} forgets its prepared statements`, async () => {
      const { proxy } = await openStage(script);
      const client = await logIn(proxy.port);
      client.write(Buffer.from([0x16, 0x78]), 0);
      await client.expect();
      client.write(executePayload(5), 0);
      assert.equal((await client.expect()).payload[0], 0);
      client.write(command, 0);
      assert.equal((await client.expect()).payload[0], 0);
      client.write(executePayload(5), 0);
      assert.equal(decodeErrPacket((await client.expect()).payload).errorNumber, 1243);
      client.write(executePayload(0xffffffff), 0);
      assert.equal(decodeErrPacket((await client.expect()).payload).errorNumber, 1243);
      client.socket.destroy();
    });
  }

  it("by COM_CHANGE_USER is recorded under its new name", async () => {
    const { proxy } = await openStage(script);
    const client = await logIn(proxy.port);
    const change = { user: "other", authResponse: new Uint8Array(0), authPluginName: "caching_sha2_password" };
    client.write(encodeChangeUser({ ...change, characterSet: 45 }, 0), 0);
    assert.equal((await client.expect()).payload[0], 0);
    client.write(queryPayload("select 1"), 0);
    await client.expect();
    const users = proxy.events
      .filter((event) => event.type === "login" || event.type === "statement-intent")
      .map(({ session }) => session.user);
    assert.deepEqual(users, ["app", "other", "other"]);
    client.socket.destroy();
  });
});

/** One conversation, with everything whose length or content steers a parser. */
const CONVERSATION: readonly { readonly command: Uint8Array; readonly answer: readonly Uint8Array[] }[] = [
  { command: queryPayload("select a from items"), answer: resultSet([textRow("one"), textRow(null)]) },
  { command: Buffer.from([0x16, 0x78]), answer: prepareOk(5, 1, 1) },
  { command: executePayload(5), answer: resultSet([binaryRow("x")]) },
  { command: statementCommand(0x19, 5), answer: [] },
  { command: Uint8Array.of(0x77), answer: [] },
  { command: queryPayload("fail"), answer: [errPayload({ errorNumber: 1146, sqlState: "42S02", message: "none" })] },
  { command: Uint8Array.of(0x0e), answer: [OK_PAYLOAD] },
];

describe("P2 segmentation", () => {
  const requests = Buffer.concat(CONVERSATION.map(({ command }) => encodePacket(command, 0)));
  const REFUSAL = "Command 0x77";

  /** Runs the conversation with both streams cut where told; gives what each end got. */
  async function converse(
    port: () => Promise<number>,
    cutClient: readonly number[],
    backends: FakeBackend,
  ): Promise<{ toBackend: string; toClient: string }> {
    const client = await logIn(await port());
    const backend = backends.peers[backends.peers.length - 1];
    assert.ok(backend !== undefined);
    const [fromClient, fromBackend] = [bytesSoFar(client), 0];
    void fromBackend;
    const loginBytes = bytesSoFar(backend);
    let at = 0;
    for (const cut of [...cutClient, requests.length]) {
      client.socket.write(requests.subarray(at, cut));
      at = cut;
      // Lets the piece leave by itself: what is written in one turn shares a segment.
      await nextTurn();
    }
    client.socket.end();
    await client.closed();
    const toClient = Buffer.concat(client.received).subarray(fromClient).toString("hex");
    return { toBackend: Buffer.concat(backend.received).subarray(loginBytes).toString("hex"), toClient };
  }

  async function prepare(
    cutBackend: () => number | undefined,
  ): Promise<{ proxy: ProxyHarness; backends: FakeBackend }> {
    return await openStage(async (peer) => {
      await acceptLogin(peer);
      let index = 0;
      await serveCommands(peer, () => {
        while (CONVERSATION[index]?.command[0] === 0x77) index++;
        const wire = wireOf(CONVERSATION[index++]?.answer ?? []);
        const cut = cutBackend();
        if (wire.length === 0) return [];
        if (cut === undefined || cut >= wire.length) {
          peer.socket.write(wire);
        } else {
          peer.socket.write(wire.subarray(0, cut));
          setImmediate(() => peer.socket.write(wire.subarray(cut)));
        }
        return [];
      });
    });
  }

  it("of the client's bytes in two, anywhere, changes nothing on either leg", { timeout: 30_000 }, async () => {
    const { proxy, backends } = await prepare(() => undefined);
    const whole = await converse(() => Promise.resolve(proxy.port), [], backends);
    assert.ok(Buffer.from(whole.toClient, "hex").includes(REFUSAL));
    const decisions = (): string =>
      JSON.stringify(proxy.events.filter(({ type }) => type === "statement-intent" || type === "command").map(strip));
    const wanted = decisions();
    for (let cut = 1; cut < requests.length; cut++) {
      proxy.events.length = 0;
      assert.deepEqual(await converse(() => Promise.resolve(proxy.port), [cut], backends), whole, `cut at ${cut}`);
      assert.equal(decisions(), wanted, `cut at ${cut}`);
    }
    const every = Array.from({ length: requests.length - 1 }, (_, index) => index + 1);
    assert.deepEqual(await converse(() => Promise.resolve(proxy.port), every, backends), whole);
  });

  it("of each of the backend's answers in two, anywhere, changes nothing on either leg", {
    timeout: 30_000,
  }, async () => {
    let cut: number | undefined;
    const { proxy, backends } = await prepare(() => cut);
    const whole = await converse(() => Promise.resolve(proxy.port), [], backends);
    const longest = Math.max(...CONVERSATION.map(({ answer }) => wireOf(answer).length));
    for (cut = 1; cut < longest; cut++) {
      assert.deepEqual(await converse(() => Promise.resolve(proxy.port), [], backends), whole, `cut at ${cut}`);
    }
  });
});

/** A decision without what differs between sessions. */
function strip(event: ProxyHarness["events"][number]): unknown {
  if (event.type === "statement-intent") return [event.command, event.text, event.decision, event.ordinal];
  return event.type === "command" ? [event.command, event.action, event.ordinal] : [];
}
