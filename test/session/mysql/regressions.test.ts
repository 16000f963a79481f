/**
 * What broke in other proxies, by the numbers of the project's list of regressions; what needs a real server is in
 * test/e2e/regressions.test.ts under the same numbers.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, describe, it } from "node:test";
import fc from "fast-check";
import { COMMANDS, encodeChangeUser } from "../../../src/mysql/command.ts";
import { CLIENT_COMPRESS, CLIENT_SSL, CLIENT_ZSTD_COMPRESSION_ALGORITHM } from "../../../src/mysql/constants.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { decodeHandshakeV10, encodeHandshakeV10 } from "../../../src/mysql/handshake.ts";
import { encodePacket, type Packet } from "../../../src/mysql/packet.ts";
import { ClientTls } from "../../../src/net/tls.ts";
import { makeCertificates } from "../../support/certificates.ts";
import {
  acceptLogin,
  BACKEND_FLAGS,
  connectPeer,
  errPayload,
  GREETING,
  logIn,
  loginPayload,
  OK_PAYLOAD,
  type PacketPeer,
  queryPayload,
  scriptedBackend,
  startClientTls,
} from "../../support/fake-peers.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import {
  AUTOCOMMIT,
  binaryRow,
  CURSOR_EXISTS,
  columnCount,
  columnDefinition,
  executePayload,
  fileRequest,
  LAST_ROW_SENT,
  MORE_RESULTS,
  okWith,
  prepareOk,
  resultSet,
  rowsEnd,
  statementCommand,
  textRow,
  WordBlockingJudge,
  wireOf,
} from "../../support/wire-replies.ts";

const MIB = 1024 * 1024;
const NO_BACKSLASH_ESCAPES = 0x0200;
const METADATA_CHANGED = 0x0400;

afterEach(closeStages);

/** Sends payloads one by one; gives the payloads of each one's answer, of the length the script gave it. */
async function ask(client: PacketPeer, payload: Uint8Array, packets = 1): Promise<Uint8Array[]> {
  client.write(payload, 0);
  const answer: Uint8Array[] = [];
  for (let count = 0; count < packets; count++) answer.push((await client.expect()).payload);
  return answer;
}

async function first(client: PacketPeer, payload: Uint8Array): Promise<number> {
  return (await ask(client, payload))[0]?.[0] ?? -1;
}

async function assertServes(client: PacketPeer): Promise<void> {
  assert.equal(await first(client, Uint8Array.of(0x0e)), 0);
  client.socket.destroy();
}

/** Reads to the end of the connection. */
async function readAll(peer: PacketPeer): Promise<Packet[]> {
  const packets: Packet[] = [];
  for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) packets.push(packet);
  peer.socket.end();
  return packets;
}

const prepare = (text: string): Buffer => Buffer.from(`\x16${text}`);
const okBackend = scriptedBackend((payload) => {
  if (payload[0] === 0x18 || payload[0] === 0x19) return [];
  return payload[0] === 0x16 ? prepareOk(5) : [OK_PAYLOAD];
});

describe("regressions of size", () => {
  const offsets = [-6, -5, -4, -3, -2, -1, 0, 1];
  for (const [name, byte] of [
    ["QUERY", 0x03],
    ["PREPARE", 0x16],
    ["EXECUTE", 0x17],
  ] as const) {
    it(`regression 2: ${name} of about 2^24 bytes does not hang`, { timeout: 180_000 }, async () => {
      const { proxy } = await openStage(okBackend);
      const client = await logIn(proxy.port);
      await ask(client, prepare("select 1"));
      for (const offset of offsets) {
        const payload = Buffer.alloc(2 ** 24 + offset, 0x20);
        payload[0] = byte;
        if (byte === 0x17) payload.writeUInt32LE(5, 1);
        assert.equal(await first(client, payload), 0, `${offset}`);
      }
      await assertServes(client);
    });
  }

  it("regression 3: a query of 0xfffffb bytes, three times, then another", { timeout: 180_000 }, async () => {
    const { proxy } = await openStage(okBackend);
    const client = await logIn(proxy.port);
    for (let round = 0; round < 3; round++) {
      const payload = Buffer.alloc(0xfffffb, 0x20);
      payload[0] = 3;
      assert.equal(await first(client, payload), 0);
    }
    await assertServes(client);
  });

  it("regression 4: an execute with wrong lengths is the server's to refuse", async () => {
    const { proxy } = await openStage(okBackend);
    const client = await logIn(proxy.port);
    await ask(client, prepare("select ?"));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (rest) => {
        assert.equal(await first(client, statementCommand(0x17, 5, [0, 1, 0, 0, 0, ...rest])), 0);
      }),
      { numRuns: 200 },
    );
    await assertServes(client);
  });

  it("regression 5: COM_CHANGE_USER of endless fragments ends at the packet limit", async () => {
    const { proxy } = await openStage(okBackend, { listener: { packetBytesMax: 20 * MIB } });
    const client = await logIn(proxy.port);
    client.socket.on("error", () => undefined);
    client.socket.write(Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0]), Buffer.alloc(0xffffff, 0x11)]));
    client.socket.write(Buffer.from([0xff, 0xff, 0xff, 1]));
    const said = await readAll(client);
    assert.equal(decodeErrPacket(said[0]?.payload ?? new Uint8Array(0)).errorNumber, 1153);
  });

  it("regression 6: a flood of full packet headers before the login is cut at the first", async () => {
    const { proxy } = await openStage(okBackend);
    const before = process.memoryUsage().rss;
    for (let count = 0; count < 50; count++) {
      const client = await connectPeer(proxy.port);
      client.socket.on("error", () => undefined);
      await client.expect();
      client.socket.write(Buffer.alloc(64 * 1024, Buffer.from([0xff, 0xff, 0xff, 1])));
      await readAll(client);
    }
    await proxy.registry.whenEmpty();
    assert.ok(process.memoryUsage().rss - before < 64 * MIB);
  });

  it("regression 17: long data in many packets, of no bytes too, reach the server as they are", async () => {
    const got: string[] = [];
    const { proxy } = await openStage(
      scriptedBackend((payload) => {
        if (payload[0] === 0x18) {
          got.push(Buffer.from(payload.subarray(7)).toString());
          return [];
        }
        return payload[0] === 0x16 ? prepareOk(5, 1) : [OK_PAYLOAD];
      }),
    );
    const client = await logIn(proxy.port);
    await ask(client, prepare("insert into t values (?)"), 2);
    for (const piece of ["one", "", "three"]) {
      client.write(statementCommand(0x18, 5, [0, 0, ...Buffer.from(piece)]), 0);
    }
    const answer = await first(client, executePayload(5));
    assert.deepEqual([answer, got], [0, ["one", "", "three"]]);
    client.socket.destroy();
  });

  it("regression 35: an alias of more than 250 characters", async () => {
    const payloads = [columnCount(1), columnDefinition("a".repeat(300)), textRow("1"), rowsEnd()];
    const { proxy } = await openStage(scriptedBackend(() => payloads));
    const client = await logIn(proxy.port);
    const got = await ask(client, queryPayload("select 1"), 4);
    assert.ok(Buffer.concat(got).equals(Buffer.concat(payloads)));
    client.socket.destroy();
  });
});

describe("regressions of the login", () => {
  it("regression 7: no mutated login response crashes or hangs a session", { timeout: 180_000 }, async () => {
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      await peer.read();
    });
    const valid = Buffer.from(loginPayload(GREETING));
    const mutation = fc.record({
      at: fc.nat(valid.length - 1),
      bytes: fc.uint8Array({ maxLength: 4 }),
      removed: fc.nat(40),
    });
    await fc.assert(
      fc.asyncProperty(mutation, async ({ at, bytes, removed }) => {
        const client = await connectPeer(proxy.port);
        await client.expect();
        const payload = Buffer.concat([valid.subarray(0, at), bytes, valid.subarray(at + removed)]);
        client.socket.end(encodePacket(payload, 1));
        await client.closed();
      }),
      { numRuns: 500 },
    );
    await proxy.registry.whenEmpty();
    assert.deepEqual(
      proxy.log.filter(({ level }) => level === "error"),
      [],
    );
  });

  it("regression 26: compression is never offered, so it cannot meet COM_CHANGE_USER", async () => {
    const flags = (BACKEND_FLAGS | CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION_ALGORITHM) >>> 0;
    const { proxy } = await openStage(
      scriptedBackend(() => [OK_PAYLOAD], { ...GREETING, capabilities: { flags, mariadb: 0 } }),
    );
    const client = await logIn(proxy.port);
    assert.equal(client.greeting.capabilities.flags & (CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION_ALGORITHM), 0);
    client.socket.destroy();
  });

  it("regression 31: a client whose TLS fails takes no other client with it", async () => {
    const certificates = await makeCertificates();
    const { certFile, keyFile } = certificates.leaves.goodEc;
    const tls = { cert: readFileSync(certFile, "latin1"), key: readFileSync(keyFile, "latin1") };
    const listener = { clientTls: new ClientTls(tls), clientTlsMode: "allow" } as const;
    const { proxy } = await openStage(okBackend, { listener });
    const plain = await logIn(proxy.port);
    const secureLogin = async (): Promise<PacketPeer> => {
      const bare = await connectPeer(proxy.port);
      const greeting = decodeHandshakeV10((await bare.expect()).payload);
      const payload = loginPayload(greeting, { flags: (BACKEND_FLAGS | CLIENT_SSL) >>> 0 });
      bare.write(payload.subarray(0, 32), 1);
      const secure = await startClientTls(bare, {});
      secure.write(payload, 2);
      assert.equal((await secure.expect()).payload[0], 0);
      return secure;
    };
    const before = await secureLogin();
    for (let count = 0; count < 20; count++) {
      const broken = await connectPeer(proxy.port);
      const greeting = decodeHandshakeV10((await broken.expect()).payload);
      broken.write(loginPayload(greeting, { flags: (BACKEND_FLAGS | CLIENT_SSL) >>> 0 }).subarray(0, 32), 1);
      broken.socket.end(Buffer.from(count % 2 === 0 ? "16030100050100000000" : "4745542f0a", "hex"));
      await broken.closed();
    }
    for (const client of [plain, before, await secureLogin()]) await assertServes(client);
    certificates.remove();
  });

  it("regression 32: bytes of a client that come before the backend has greeted are kept, not lost", async () => {
    let letGreet: () => void = () => undefined;
    const mayGreet = new Promise<void>((resolve) => {
      letGreet = resolve;
    });
    const { proxy } = await openStage(async (peer) => {
      await mayGreet;
      await acceptLogin(peer);
      await peer.read();
    });
    const client = await connectPeer(proxy.port);
    const login = encodePacket(loginPayload(GREETING), 1);
    client.socket.write(login.subarray(0, 9));
    letGreet();
    decodeHandshakeV10((await client.expect()).payload);
    client.socket.write(login.subarray(9));
    assert.equal((await client.expect()).payload[0], 0);
    client.socket.destroy();
  });

  it("regression 50: an error without SQLSTATE in place of the greeting is passed on without one", async () => {
    const { proxy } = await openStage(async (peer) => {
      peer.socket.end(encodePacket(errPayload({ errorNumber: 1040, message: "Too many connections" }), 0));
    });
    const client = await connectPeer(proxy.port);
    const err = decodeErrPacket((await client.expect()).payload);
    assert.deepEqual([err.errorNumber, err.sqlState, err.message], [1040, undefined, "Too many connections"]);
    client.socket.end();
    await client.closed();
  });

  it("regression 50: a schema name longer than servers allow is refused", async () => {
    const { proxy } = await openStage(okBackend);
    const client = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await client.expect()).payload);
    client.write(loginPayload(greeting, { schema: "d".repeat(10_000) }), 1);
    const [answer] = await readAll(client);
    assert.equal(answer?.payload[0], 0xff);
  });

  it("regression 51: a login that succeeded once is asked of the server again", async () => {
    let logins = 0;
    const { proxy } = await openStage(async (peer) => {
      peer.write(encodeHandshakeV10(GREETING), 0);
      await peer.expect();
      if (logins++ === 0) peer.write(OK_PAYLOAD, 2);
      else peer.write(errPayload({ errorNumber: 1045, sqlState: "28000", message: "Access denied" }), 2);
      await peer.read();
    });
    const client = await logIn(proxy.port, { password: "secret" });
    await assert.rejects(logIn(proxy.port, { password: "secret" }));
    assert.equal(logins, 2);
    client.socket.destroy();
  });

  it("regression 52: a probe that only connects leaves the backend by a refused login", async () => {
    let left = 0;
    const { proxy, backends } = await openStage(async (peer) => {
      peer.write(encodeHandshakeV10(GREETING), 0);
      const answer = await peer.read();
      if (answer !== undefined) left++;
      peer.write(errPayload({ errorNumber: 1045, sqlState: "28000", message: "Access denied" }), 2);
      await peer.closed();
    });
    for (let count = 0; count < 12; count++) {
      const probe = await connectPeer(proxy.port);
      await probe.expect();
      probe.socket.destroy();
    }
    await proxy.registry.whenEmpty();
    for (const peer of backends.peers) await peer.closed();
    assert.equal(left, 12);
  });
});

describe("regressions of prepared statements", () => {
  it("regression 9: every kind of answer to an execute ends", async () => {
    const answers: readonly Uint8Array[][] = [
      [OK_PAYLOAD],
      resultSet([binaryRow("x")]),
      [...resultSet([binaryRow("x")], AUTOCOMMIT | MORE_RESULTS), OK_PAYLOAD],
      [errPayload({ errorNumber: 1062, sqlState: "23000", message: "Duplicate entry" })],
    ];
    let next = 0;
    const { proxy } = await openStage(
      scriptedBackend((payload) =>
        payload[0] === 0x17 ? (answers[next++] ?? []) : payload[0] === 0x16 ? prepareOk(5) : [OK_PAYLOAD],
      ),
    );
    const client = await logIn(proxy.port);
    await ask(client, prepare("commit"));
    for (const answer of answers) await ask(client, executePayload(5), answer.length);
    await assertServes(client);
  });

  it("regression 10: a cursor execute does not hang", async () => {
    const { proxy } = await openStage(
      scriptedBackend((payload) => {
        if (payload[0] === 0x16) return prepareOk(5, 0, 1);
        if (payload[0] === 0x17) return [columnCount(1), columnDefinition("a"), rowsEnd(CURSOR_EXISTS)];
        return [OK_PAYLOAD];
      }),
    );
    const client = await logIn(proxy.port);
    await ask(client, prepare("select a from t"), 2);
    await ask(client, executePayload(5, 1), 3);
    await assertServes(client);
  });

  it("regression 11: two open cursors are fetched by turns", async () => {
    let prepared = 0;
    const { proxy } = await openStage(
      scriptedBackend((payload) => {
        if (payload[0] === 0x16) return prepareOk(++prepared, 0, 1);
        if (payload[0] === 0x17) return [columnCount(1), columnDefinition("a"), rowsEnd(CURSOR_EXISTS)];
        return [binaryRow(`of ${payload[1]}`), rowsEnd(payload[5] === 2 ? LAST_ROW_SENT : CURSOR_EXISTS)];
      }),
    );
    const client = await logIn(proxy.port);
    for (const id of [1, 2]) {
      await ask(client, prepare("select a from t"), 2);
      await ask(client, executePayload(id, 1), 3);
    }
    for (const id of [1, 2, 1, 2]) {
      const [row] = await ask(client, statementCommand(0x1c, id, [1, 0, 0, 0]), 2);
      assert.ok(Buffer.from(row ?? []).includes(`of ${id}`));
    }
    client.socket.destroy();
  });

  it("regression 16: the command behind a COM_STMT_CLOSE is answered", async () => {
    const { proxy } = await openStage(okBackend);
    const client = await logIn(proxy.port);
    await ask(client, prepare("select 1"));
    client.socket.write(
      Buffer.concat([encodePacket(statementCommand(0x19, 5), 0), encodePacket(queryPayload("x"), 0)]),
    );
    assert.equal((await client.expect()).payload[0], 0);
    await assertServes(client);
  });

  it("regression 24: no statement survives COM_CHANGE_USER", async () => {
    const { proxy } = await openStage(okBackend);
    const client = await logIn(proxy.port);
    await ask(client, prepare("select 1"));
    const change = { user: "b", authResponse: new Uint8Array(0), authPluginName: "caching_sha2_password" };
    assert.equal(await first(client, encodeChangeUser({ ...change, characterSet: 45 }, 0)), 0);
    assert.equal(await first(client, executePayload(5)), 0xff);
    await assertServes(client);
  });

  it("regression 27: an execute of an unknown id is answered here", async () => {
    let asked = 0;
    const { proxy } = await openStage(
      scriptedBackend(() => {
        asked++;
        return [OK_PAYLOAD];
      }),
    );
    const client = await logIn(proxy.port);
    const [answer] = await ask(client, executePayload(999));
    assert.deepEqual([decodeErrPacket(answer ?? new Uint8Array(0)).errorNumber, asked], [1243, 0]);
    await assertServes(client);
  });

  it("regression 29: a METADATA_CHANGED between two executes passes", async () => {
    const changed = resultSet([binaryRow("x")], AUTOCOMMIT | METADATA_CHANGED);
    const { proxy } = await openStage(scriptedBackend((payload) => (payload[0] === 0x16 ? prepareOk(5) : changed)));
    const client = await logIn(proxy.port);
    await ask(client, prepare("select * from t"));
    for (let round = 0; round < 2; round++) {
      assert.ok(Buffer.concat(await ask(client, executePayload(5), changed.length)).equals(Buffer.concat(changed)));
    }
    client.socket.destroy();
  });

  it("regression 42: the same text prepared many times gives as many statements", async () => {
    let prepared = 0;
    const { proxy } = await openStage(
      scriptedBackend((payload) => (payload[0] === 0x16 ? prepareOk(++prepared) : [OK_PAYLOAD])),
    );
    const client = await logIn(proxy.port);
    for (let count = 0; count < 500; count++) await ask(client, prepare("select 1"));
    for (const id of [1, 250, 500]) assert.equal(await first(client, executePayload(id)), 0);
    client.socket.destroy();
  });

  it("regression 48: the answers of pipelined prepares belong to their own texts", async () => {
    let prepared = 0;
    const judge = new WordBlockingJudge("never");
    const { proxy } = await openStage(
      scriptedBackend((payload) => (payload[0] === 0x16 ? prepareOk(++prepared) : [OK_PAYLOAD])),
      { services: { judge } },
    );
    const client = await logIn(proxy.port);
    client.socket.write(Buffer.concat(["a", "b", "c"].map((text) => encodePacket(prepare(text), 0))));
    for (let count = 0; count < 3; count++) await client.expect();
    for (const id of [2, 3, 1]) await ask(client, executePayload(id));
    assert.deepEqual(judge.judged.slice(3), ["b", "c", "a"]);
    client.socket.destroy();
  });
});

describe("regressions of files", () => {
  const load = queryPayload("load data local infile 'f' into table t");

  /** Runs one file through; gives the commands the backend saw afterwards. */
  async function loadThen(pieces: readonly Uint8Array[], commands: string[]): Promise<PacketPeer> {
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      await peer.expect();
      peer.write(fileRequest("f"), 1);
      let packet = await peer.expect();
      while (packet.payload.length > 0) packet = await peer.expect();
      peer.write(OK_PAYLOAD, packet.sequenceId + 1);
      for (let next = await peer.read(); next !== undefined; next = await peer.read()) {
        commands.push(Buffer.from(next.payload).toString("latin1"));
        peer.write(OK_PAYLOAD, 1);
      }
    });
    const client = await logIn(proxy.port);
    assert.equal(await first(client, load), 0xfb);
    [...pieces, new Uint8Array(0)].forEach((piece, index) => {
      client.write(piece, (index + 2) & 0xff);
    });
    assert.equal((await client.expect()).payload[0], 0);
    return client;
  }

  it("regression 13: data that begin with the byte of a command are data", async () => {
    const commands: string[] = [];
    const pieces = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte, 0x20, 0x55]));
    const client = await loadThen(pieces, commands);
    await assertServes(client);
    assert.deepEqual(commands, ["\x0e"]);
  });

  it("regression 14: a file that is missing or empty is its empty packet alone", async () => {
    await assertServes(await loadThen([], []));
  });

  it("regression 14: a file that is aborted leaves no session", async () => {
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      await peer.expect();
      peer.write(fileRequest("f"), 1);
      await peer.closed();
    });
    const client = await logIn(proxy.port);
    await ask(client, load);
    client.write(Buffer.from("half a li"), 2);
    client.socket.resetAndDestroy();
    await proxy.registry.whenEmpty();
  });

  it("regression 15: LOAD DATA INFILE without LOCAL has an ordinary answer", async () => {
    const { proxy } = await openStage(okBackend);
    const client = await logIn(proxy.port);
    assert.equal(await first(client, queryPayload("load data infile '/srv/f' into table t")), 0);
    await assertServes(client);
  });
});

describe("regressions of results", () => {
  const sets = (count: number): Uint8Array[] => [
    ...Array.from({ length: count }, () => resultSet([textRow("x")], AUTOCOMMIT | MORE_RESULTS)).flat(),
    OK_PAYLOAD,
  ];

  it("regression 18: MORE_RESULTS is followed to the end", async () => {
    for (const count of [1, 2, 50]) {
      const payloads = sets(count);
      const { proxy } = await openStage(scriptedBackend((payload) => (payload[0] === 0x0e ? [OK_PAYLOAD] : payloads)));
      const client = await logIn(proxy.port);
      await ask(client, queryPayload("call p()"), payloads.length);
      await assertServes(client);
    }
  });

  it("regression 19: a backend lost between two result sets is a lost connection, and nothing is sent again", async () => {
    let asked = 0;
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      await peer.expect();
      asked++;
      peer.socket.end(wireOf(sets(1).slice(0, -1)));
    });
    const client = await logIn(proxy.port);
    client.write(queryPayload("call p()"), 0);
    const packets = await readAll(client);
    assert.equal(packets.length, 4);
    await proxy.registry.whenEmpty();
    assert.equal(asked, 1);
    const outcome = proxy.events.find(({ type }) => type === "statement-outcome");
    assert.ok(outcome?.type === "statement-outcome" && outcome.outcome === "unknown" && outcome.resultSets === 1);
  });

  it("regression 20: a batch that fails stops there, and the record says after how many results", async () => {
    const failing = [
      ...resultSet([textRow("1")], AUTOCOMMIT | MORE_RESULTS),
      errPayload({ errorNumber: 1146, sqlState: "42S02", message: "none" }),
    ];
    const { proxy } = await openStage(scriptedBackend((payload) => (payload[0] === 0x0e ? [OK_PAYLOAD] : failing)));
    const client = await logIn(proxy.port);
    await ask(client, queryPayload("select 1; select * from none; select 3"), failing.length);
    await assertServes(client);
    const outcome = proxy.events.find(({ type }) => type === "statement-outcome");
    assert.ok(outcome?.type === "statement-outcome" && outcome.outcome === "error");
    assert.deepEqual([outcome.resultSets, outcome.errorNumber], [1, 1146]);
  });

  it("regression 21: a text is judged whole, whatever its first statement is", async () => {
    const { proxy } = await openStage(okBackend, { services: { judge: new WordBlockingJudge("drop") } });
    const client = await logIn(proxy.port);
    assert.equal(await first(client, queryPayload("select 1; drop table t")), 0xff);
    await assertServes(client);
  });

  it("regression 22: status flags pass bit for bit", async () => {
    const ok = okWith(AUTOCOMMIT | NO_BACKSLASH_ESCAPES);
    const { proxy } = await openStage(scriptedBackend(() => [ok]));
    const client = await logIn(proxy.port);
    assert.deepEqual([...((await ask(client, queryPayload("set sql_mode=4")))[0] ?? [])], [...ok]);
    client.socket.destroy();
  });

  it("regression 34: SELECT $$, the probe of newer clients, is answered by the server", async () => {
    const error = errPayload({ errorNumber: 1054, sqlState: "42S22", message: "Unknown column '$$'" });
    const { proxy } = await openStage(scriptedBackend((payload) => (payload[0] === 3 ? [error] : [OK_PAYLOAD])));
    const client = await logIn(proxy.port);
    assert.deepEqual([...((await ask(client, queryPayload("select $$")))[0] ?? [])], [...error]);
    await assertServes(client);
  });

  it("regression 36: a refusal is well-formed as an answer to QUERY, PREPARE and EXECUTE", async () => {
    const judge = new WordBlockingJudge("drop");
    const { proxy } = await openStage(okBackend, { services: { judge } });
    const client = await logIn(proxy.port);
    for (const payload of [queryPayload("drop table t"), prepare("drop table t")]) {
      client.write(payload, 0);
      const { payload: answer, sequenceId } = await client.expect();
      assert.deepEqual([answer[0], sequenceId, decodeErrPacket(answer).sqlState], [0xff, 1, "42000"]);
    }
    await assertServes(client);
  });

  it("regression 41: the result of one session never shows in another", { timeout: 180_000 }, async () => {
    const { proxy } = await openStage(
      scriptedBackend((payload) => resultSet([textRow(Buffer.from(payload.subarray(1)).toString())])),
    );
    const converse = async (name: number): Promise<void> => {
      for (let reconnect = 0; reconnect < 5; reconnect++) {
        const client = await logIn(proxy.port);
        for (let round = 0; round < 40; round++) {
          const canary = `session ${name} ${reconnect} ${round}`;
          const row = (await ask(client, queryPayload(canary), 4))[2];
          assert.equal(
            Buffer.from(row ?? [])
              .subarray(1)
              .toString(),
            canary,
          );
        }
        client.socket.destroy();
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, name) => converse(name)));
  });

  it("regression 44: the info and the session state of an OK_Packet pass", async () => {
    const sessionState = { schema: "other", systemVariables: new Map([["autocommit", "OFF"]]) };
    const ok = okWith(AUTOCOMMIT | 0x4000, { affectedRows: 300, info: "Rows matched: 300", sessionState });
    const { proxy } = await openStage(scriptedBackend(() => [ok]));
    const client = await logIn(proxy.port);
    assert.deepEqual([...((await ask(client, queryPayload("update t")))[0] ?? [])], [...ok]);
    client.socket.destroy();
  });
});

describe("regressions of commands", () => {
  it("regression 8: commands shorter than their least are answered here", async () => {
    const seen: number[] = [];
    const { proxy } = await openStage(
      scriptedBackend((payload) => {
        seen.push(payload[0] ?? -1);
        return [OK_PAYLOAD];
      }),
    );
    for (const byte of [0x11, 0x12, 0x17, 0x1b, 0x1e]) {
      const client = await logIn(proxy.port);
      assert.equal(await first(client, Uint8Array.of(byte)), 0xff);
      client.socket.destroy();
    }
    assert.deepEqual(seen, []);
  });

  it("regression 30: a client that vanishes leaves no timer and no loop behind", async () => {
    const { proxy } = await openStage(okBackend, { listener: { handshakeTimeoutMs: 20 } });
    for (let count = 0; count < 20; count++) {
      const client = await connectPeer(proxy.port);
      await client.expect();
      await readAll(client);
    }
    await proxy.registry.whenEmpty();
    // A loop left behind would show in every window; compilers and collectors show in some.
    let quietestUs = Number.POSITIVE_INFINITY;
    for (let window = 0; window < 20 && quietestUs >= 40_000; window++) {
      const before = process.cpuUsage();
      await new Promise((resolve) => setTimeout(resolve, 100));
      const used = process.cpuUsage(before);
      quietestUs = Math.min(quietestUs, used.user + used.system);
    }
    assert.ok(quietestUs < 40_000, `${quietestUs} µs of CPU in the quietest 100 ms of nothing`);
  });

  it("regression 43: a packet of no bytes is COM_SLEEP", async () => {
    const { proxy } = await openStage(okBackend);
    const client = await logIn(proxy.port);
    const [answer] = await ask(client, new Uint8Array(0));
    assert.equal(decodeErrPacket(answer ?? new Uint8Array(0)).errorNumber, 1047);
    await assertServes(client);
  });

  it("regression 47: every command with a statement, and every refused one, leaves a record", async () => {
    const { proxy } = await openStage(okBackend);
    const rows = COMMANDS.filter((row) => row !== undefined).filter(
      ({ disposition, name }) => disposition === "refuse" || (disposition === "judge" && name !== "COM_SET_OPTION"),
    );
    for (const { byte, name, payloadBytesMin } of rows) {
      const client = await logIn(proxy.port);
      await ask(client, prepare("select 1"));
      const from = proxy.events.length;
      const payload = new Uint8Array(Math.max(payloadBytesMin, name === "COM_INIT_DB" ? 2 : 3));
      payload.set([byte, name === "COM_STMT_EXECUTE" ? 5 : 0x61]);
      client.write(payload, 0);
      const record = await proxy.untilEvent(
        (event) =>
          proxy.events.indexOf(event) >= from && (event.type === "statement-intent" || event.type === "command"),
      );
      assert.ok("command" in record && record.command === name, name);
      client.socket.destroy();
    }
  });

  it("regression 49: a PROXY header or a wrong sequence id in the login is refused as what it is", async () => {
    const { proxy } = await openStage(okBackend);
    for (const bytes of [
      Buffer.from("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"),
      encodePacket(loginPayload(GREETING), 88),
    ]) {
      const client = await connectPeer(proxy.port);
      await client.expect();
      client.socket.end(bytes);
      for (const packet of await readAll(client)) assert.equal(packet.payload[0], 0xff);
    }
    await proxy.registry.whenEmpty();
  });

  it("regression 53: the faults of a client and of a backend are told apart in the record", async () => {
    const { proxy, backends } = await openStage(okBackend);
    const first_ = await logIn(proxy.port);
    first_.socket.resetAndDestroy();
    await proxy.registry.whenEmpty();
    const second = await logIn(proxy.port);
    backends.peers[1]?.socket.resetAndDestroy();
    await second.closed();
    second.socket.end();
    await proxy.registry.whenEmpty();
    const reasons = proxy.events.flatMap((event) => (event.type === "disconnect" ? [event.reason] : []));
    assert.deepEqual(reasons, ["client-closed", "backend-closed"]);
  });
});
