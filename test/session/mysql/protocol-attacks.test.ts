import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, describe, it } from "node:test";
import { COMMANDS } from "../../../src/mysql/command.ts";
import {
  CLIENT_COMPRESS,
  CLIENT_LOCAL_FILES,
  CLIENT_PLUGIN_AUTH,
  CLIENT_QUERY_ATTRIBUTES,
  CLIENT_SSL,
  CLIENT_ZSTD_COMPRESSION_ALGORITHM,
} from "../../../src/mysql/constants.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import {
  decodeHandshakeResponse41,
  decodeHandshakeV10,
  encodeAuthSwitchRequest,
  encodeHandshakeV10,
  encodeSslRequest,
  type HandshakeV10,
} from "../../../src/mysql/handshake.ts";
import { encodePacket } from "../../../src/mysql/packet.ts";
import { BackendTls, ClientTls } from "../../../src/net/tls.ts";
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
  startServerTls,
} from "../../support/fake-peers.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";
import {
  columnCount,
  columnDefinition,
  executePayload,
  fileRequest,
  prepareOk,
  resultSet,
  statementCommand,
  textRow,
  WordBlockingJudge,
  wireOf,
} from "../../support/wire-replies.ts";

const certificates = await makeCertificates();
const serverTls = {
  cert: readFileSync(certificates.leaves.goodEc.certFile, "latin1"),
  key: readFileSync(certificates.leaves.goodEc.keyFile, "latin1"),
};

afterEach(closeStages);

/** A backend that says OK to everything and tells what it was asked, as `byte:rest`. */
function recording(seen: string[], greeting: HandshakeV10 = GREETING): (peer: PacketPeer) => Promise<void> {
  return scriptedBackend((payload) => {
    const byte = payload[0] ?? 0;
    seen.push(`${byte}:${Buffer.from(payload.subarray(1)).toString("latin1")}`);
    if (byte === 0x18 || byte === 0x19) return [];
    return byte === 0x16 ? prepareOk(5) : [OK_PAYLOAD];
  }, greeting);
}

async function errorOf(peer: PacketPeer): Promise<number> {
  const { payload } = await peer.expect();
  assert.equal(payload[0], 0xff, `expected an error, got ${Buffer.from(payload).toString("hex")}`);
  return decodeErrPacket(payload).errorNumber;
}

/** Reads on until the proxy has closed; everything it still says must be an error. */
async function assertRefused(peer: PacketPeer): Promise<number | undefined> {
  let errorNumber: number | undefined;
  for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
    assert.equal(packet.payload[0], 0xff);
    ({ errorNumber } = decodeErrPacket(packet.payload));
  }
  peer.socket.end();
  return errorNumber;
}

async function assertStillServes(client: PacketPeer): Promise<void> {
  client.write(queryPayload("select 1"), 0);
  assert.equal((await client.expect()).payload[0], 0);
  client.socket.destroy();
}

async function greeted(port: number): Promise<{ client: PacketPeer; greeting: HandshakeV10 }> {
  const client = await connectPeer(port);
  return { client, greeting: decodeHandshakeV10((await client.expect()).payload) };
}

describe("P1 pipelining", () => {
  it("decides each command when its turn comes and lets none pass a blocked one", async () => {
    const seen: string[] = [];
    const judge = new WordBlockingJudge("drop");
    const { proxy } = await openStage(recording(seen), { services: { judge } });
    const client = await logIn(proxy.port);
    const texts = ["select 1", "drop table items", "select 2", "drop table items", "select 3"];
    client.socket.write(Buffer.concat(texts.map((sql) => encodePacket(queryPayload(sql), 0))));
    const answers: number[] = [];
    for (const _ of texts) answers.push((await client.expect()).payload[0] ?? -1);
    assert.deepEqual(answers, [0, 0xff, 0, 0xff, 0]);
    assert.deepEqual(seen, ["3:select 1", "3:select 2", "3:select 3"]);
    assert.deepEqual(judge.judged, texts);
    client.socket.destroy();
  });

  it("sends no command before the answer to the one in front of it", async () => {
    const { proxy, backends } = await openStage(async (peer) => void (await acceptLogin(peer)));
    const client = await logIn(proxy.port);
    const [backend] = backends.peers;
    assert.ok(backend !== undefined);
    const before = Buffer.concat(backend.received).length;
    client.socket.write(Buffer.concat(["one", "two"].map((sql) => encodePacket(queryPayload(sql), 0))));
    await backend.expect();
    assert.equal(Buffer.concat(backend.received).length - before, 4 + 4);
    backend.write(OK_PAYLOAD, 1);
    assert.equal(Buffer.from((await backend.expect()).payload).toString(), "\x03two");
    client.socket.destroy();
  });

  it("keeps commands behind the HandshakeResponse41 until the login is through", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen));
    const { client, greeting } = await greeted(proxy.port);
    const login = encodePacket(loginPayload(greeting), 1);
    client.socket.write(Buffer.concat([login, encodePacket(queryPayload("early"), 0)]));
    assert.equal((await client.expect()).payload[0], 0);
    assert.equal((await client.expect()).payload[0], 0);
    assert.deepEqual(seen, ["3:early"]);
    client.socket.destroy();
  });

  it("never takes an early command for the answer to a question of the login", async () => {
    const replies: string[] = [];
    const { proxy } = await openStage(async (peer) => {
      peer.write(encodeHandshakeV10(GREETING), 0);
      const response = await peer.expect();
      const question = { authPluginName: "some_challenge", authPluginData: new Uint8Array(21) };
      peer.write(encodeAuthSwitchRequest(question), response.sequenceId + 1);
      const reply = await peer.expect();
      replies.push(Buffer.from(reply.payload).toString());
    });
    const { client, greeting } = await greeted(proxy.port);
    const login = encodePacket(loginPayload(greeting), 1);
    client.socket.write(Buffer.concat([login, encodePacket(queryPayload("early"), 0)]));
    assert.equal((await client.expect()).payload[0], 0xfe);
    assert.equal(await assertRefused(client), 1156);
    assert.ok(
      replies.every((reply) => reply === ""),
      "at most querycop's own empty answer, to be let go",
    );
  });
});

describe("P3 lengths", () => {
  it("closes a login of endless full packets without reading on", async () => {
    const { proxy } = await openStage(recording([]));
    const { client } = await greeted(proxy.port);
    client.socket.on("error", () => undefined);
    client.socket.write(Buffer.from([0xff, 0xff, 0xff, 1]));
    assert.equal(await assertRefused(client), 1153);
  });

  it("closes a login packet above the limit by its header alone", async () => {
    const { proxy } = await openStage(recording([]));
    const { client } = await greeted(proxy.port);
    client.socket.write(Buffer.from([1, 0, 2, 1]));
    assert.equal(await assertRefused(client), 1153);
  });

  it("closes a command above the packet limit before it has come", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen), { listener: { packetBytesMax: 1024 } });
    const client = await logIn(proxy.port);
    client.socket.write(Buffer.from([1, 4, 0, 0, 3]));
    assert.equal(await assertRefused(client), 1153);
    assert.deepEqual(seen, []);
  });

  it("answers an empty command with 1047 and goes on", async () => {
    const { proxy } = await openStage(recording([]));
    const client = await logIn(proxy.port);
    client.write(new Uint8Array(0), 0);
    assert.equal(await errorOf(client), 1047);
    await assertStillServes(client);
  });

  it("refuses lengths inside a login that reach beyond it", async () => {
    const { proxy } = await openStage(recording([]));
    for (const prefix of [
      [0xfe, 0, 0, 0, 0, 0, 0, 0, 0x80],
      [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
      [0xfd, 0xff, 0xff, 0xff],
      [0xfc, 0xff, 0xff],
      [0xff],
      [0xfb],
    ]) {
      const { client, greeting } = await greeted(proxy.port);
      const payload = Buffer.from(loginPayload(greeting, { authResponse: new Uint8Array(0) }));
      // The response of no bytes stands behind the user name's NUL: its length is replaced.
      const at = payload.indexOf("app\0") + 4;
      client.write(Buffer.concat([payload.subarray(0, at), Buffer.from(prefix), payload.subarray(at + 1)]), 1);
      assert.equal(await assertRefused(client), 1043);
    }
  });
});

describe("P4 sequence ids", () => {
  it("closes with 1156 when a command does not begin with 0", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen));
    for (const sequenceId of [1, 2, 255]) {
      const client = await logIn(proxy.port);
      client.write(queryPayload("select 1"), sequenceId);
      assert.equal(await assertRefused(client), 1156);
    }
    assert.deepEqual(seen, []);
  });

  it("closes with 1156 when the login does not continue the greeting", async () => {
    const { proxy } = await openStage(recording([]));
    const { client, greeting } = await greeted(proxy.port);
    client.write(loginPayload(greeting), 0);
    assert.equal(await assertRefused(client), 1156);
  });
});

describe("P5 and P6 commands", () => {
  for (const { disposition, name, byte, payloadBytesMin, hasResponse } of COMMANDS.filter((row) => row !== undefined)) {
    if (disposition === "refuse" || payloadBytesMin < 2) continue;
    it(`${name} shorter than ${payloadBytesMin} bytes never reaches the backend`, async () => {
      const seen: string[] = [];
      const { proxy } = await openStage(recording(seen));
      for (let length = 1; length < payloadBytesMin; length++) {
        const client = await logIn(proxy.port);
        client.write(
          Uint8Array.from({ length }, (_, index) => (index === 0 ? byte : 0)),
          0,
        );
        if (hasResponse) {
          // Nobody has agreed to bulk execution here.
          assert.equal(await errorOf(client), name === "COM_STMT_BULK_EXECUTE" ? 1047 : 1835);
          client.socket.destroy();
        } else {
          // An error would be taken for the answer to the next command.
          assert.equal(await assertRefused(client), undefined);
        }
      }
      assert.deepEqual(seen, []);
    });
  }

  it("without a row, or refused by theirs, get 1047 from us for all 256 bytes", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen));
    const client = await logIn(proxy.port);
    const refused = COMMANDS.flatMap((row, byte) => (row === undefined || row.disposition === "refuse" ? [byte] : []));
    for (const byte of refused) {
      client.write(Uint8Array.from([byte, ...new Array<number>(40).fill(0)]), 0);
      assert.equal(await errorOf(client), 1047);
    }
    assert.deepEqual(seen, []);
    const records = proxy.events.filter((event) => event.type === "command" && event.action === "refused");
    assert.equal(records.length, refused.length);
    assert.ok(refused.length > 230);
    await assertStillServes(client);
  });
});

describe("P7 statement ids", () => {
  for (const [what, id] of [
    ["an unknown id", 6],
    ["id -1 when nothing was prepared", 0xffffffff],
    ["id 0", 0],
  ] as const) {
    it(`refuses to execute ${what} with 1243`, async () => {
      const seen: string[] = [];
      const { proxy } = await openStage(recording(seen));
      const client = await logIn(proxy.port);
      client.write(executePayload(id), 0);
      assert.equal(await errorOf(client), 1243);
      for (const command of [0x1a, 0x1c]) {
        client.write(statementCommand(command, id, command === 0x1c ? [1, 0, 0, 0] : []), 0);
        assert.equal(await errorOf(client), 1243);
      }
      assert.deepEqual(seen, []);
      client.socket.destroy();
    });
  }

  it("refuses an id that another session has prepared", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen));
    const [owner, thief] = [await logIn(proxy.port), await logIn(proxy.port)];
    owner.write(Buffer.from("\x16select 1"), 0);
    await owner.expect();
    thief.write(executePayload(5), 0);
    assert.equal(await errorOf(thief), 1243);
    assert.deepEqual(seen, ["22:select 1"]);
    owner.socket.destroy();
    thief.socket.destroy();
  });

  it("refuses an id that was closed", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen));
    const client = await logIn(proxy.port);
    client.write(Buffer.from("\x16select 1"), 0);
    await client.expect();
    client.write(statementCommand(0x19, 5), 0);
    client.write(executePayload(5), 0);
    assert.equal(await errorOf(client), 1243);
    client.write(executePayload(0xffffffff), 0);
    assert.equal(await errorOf(client), 1243);
    client.socket.destroy();
  });

  it("judges every execution by the text that was prepared", async () => {
    const judge = new WordBlockingJudge("never");
    const { proxy } = await openStage(recording([]), { services: { judge } });
    const client = await logIn(proxy.port);
    client.write(Buffer.from("\x16delete from items"), 0);
    await client.expect();
    for (const id of [5, 0xffffffff]) {
      client.write(executePayload(id), 0);
      assert.equal((await client.expect()).payload[0], 0);
    }
    assert.deepEqual(judge.judged, ["delete from items", "delete from items", "delete from items"]);
    client.socket.destroy();
  });
});

describe("P8 pipelined prepares", () => {
  it("give each answer its own text, also when one of them fails", async () => {
    let prepared = 0;
    const judge = new WordBlockingJudge("never");
    const { proxy } = await openStage(
      scriptedBackend((payload) => {
        if (payload[0] !== 0x16) return [OK_PAYLOAD];
        const text = Buffer.from(payload.subarray(1)).toString();
        return text === "bad"
          ? [errPayload({ errorNumber: 1064, sqlState: "42000", message: "syntax" })]
          : prepareOk(++prepared);
      }),
      { services: { judge } },
    );
    const client = await logIn(proxy.port);
    const commands = [
      ...["first", "bad", "second"].map((text) => Buffer.from(`\x16${text}`)),
      executePayload(2),
      executePayload(1),
    ];
    client.socket.write(Buffer.concat(commands.map((payload) => encodePacket(payload, 0))));
    for (const wanted of [0, 0xff, 0, 0, 0]) assert.equal((await client.expect()).payload[0], wanted);
    assert.deepEqual(judge.judged, ["first", "bad", "second", "second", "first"]);
    client.socket.destroy();
  });

  it("leave id -1 without meaning when the last of them has failed", async () => {
    const { proxy } = await openStage(
      scriptedBackend((payload) =>
        payload[1] === 0x62
          ? [errPayload({ errorNumber: 1064, sqlState: "42000", message: "syntax" })]
          : prepareOk(payload[0] ?? 0),
      ),
    );
    const client = await logIn(proxy.port);
    const commands = [Buffer.from("\x16ok"), Buffer.from("\x16bad"), executePayload(0xffffffff)];
    client.socket.write(Buffer.concat(commands.map((payload) => encodePacket(payload, 0))));
    assert.equal((await client.expect()).payload[0], 0);
    assert.equal(await errorOf(client), 1064);
    assert.equal(await errorOf(client), 1243);
    client.socket.destroy();
  });
});

describe("P9 COM_CHANGE_USER", () => {
  it("is one attempt: a refusal ends the connection", async () => {
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      const packet = await peer.expect();
      peer.write(errPayload({ errorNumber: 1045, sqlState: "28000", message: "Access denied" }), packet.sequenceId + 1);
      assert.equal(await peer.read(), undefined);
    });
    const client = await logIn(proxy.port);
    client.write(Buffer.from("\x11root\0\0\0"), 0);
    client.write(queryPayload("select 1"), 0);
    assert.equal(await assertRefused(client), 1045);
  });
});

describe("P10 user names", () => {
  for (const [what, bytes] of [
    ["a NUL inside", Buffer.from("a\0b\0")],
    ["invalid UTF-8", Buffer.from([0x61, 0xff, 0xfe, 0])],
    ["more than 96 bytes", Buffer.concat([Buffer.alloc(97, 0x61), Buffer.of(0)])],
    ["quotes around it, which servers strip", Buffer.from("'app'\0")],
  ] as const) {
    it(`refuses a login name with ${what}`, async () => {
      const users: string[] = [];
      const { proxy } = await openStage(async (peer) => {
        const response = await acceptLogin(peer);
        users.push(Buffer.from(response.payload).toString("latin1"));
        await peer.read();
      });
      const { client, greeting } = await greeted(proxy.port);
      const payload = Buffer.from(loginPayload(greeting));
      const at = payload.indexOf("app\0");
      client.write(Buffer.concat([payload.subarray(0, at), bytes, payload.subarray(at + 4)]), 1);
      await assertRefused(client);
      await proxy.registry.whenEmpty();
      // What reaches the backend is at most the name with which querycop takes its leave.
      for (const text of users) assert.ok(text.includes("querycop_left_without_login"));
    });
  }
});

describe("P11 query attributes", () => {
  const withAttributes: HandshakeV10 = {
    ...GREETING,
    capabilities: { flags: (BACKEND_FLAGS | CLIENT_QUERY_ATTRIBUTES) >>> 0, mariadb: 0 },
  };
  const query = (header: readonly number[], sql: string): Buffer =>
    Buffer.concat([Buffer.from([3, ...header]), Buffer.from(sql)]);
  /** One attribute of type VAR_STRING without a name whose value is SQL. */
  const decoy = [1, 1, 0, 1, 0xfd, 0, 0, 8, ...Buffer.from("select 1")];

  it("judges the statement, not what an attribute holds", async () => {
    const judge = new WordBlockingJudge("drop");
    const { proxy } = await openStage(recording([], withAttributes), { services: { judge } });
    const client = await logIn(proxy.port);
    client.write(query(decoy, "drop table items"), 0);
    assert.equal(await errorOf(client), 1148);
    assert.deepEqual(judge.judged, ["drop table items"]);
    await client.socket.destroy();
  });

  for (const [what, header] of [
    ["no parameter set count", [0]],
    ["two parameter sets", [0, 2]],
    ["more parameters than bytes", [0xfc, 0xff, 0xff, 1]],
    ["types that were not sent", [1, 1, 0, 0]],
    ["a value longer than the packet", [1, 1, 0, 1, 0xfd, 0, 0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0x80]],
    ["an unknown type", [1, 1, 0, 1, 0x77, 0, 0, 8]],
  ] as const) {
    it(`refuses a header with ${what} and forwards nothing`, async () => {
      const seen: string[] = [];
      const { proxy } = await openStage(recording(seen, withAttributes));
      const client = await logIn(proxy.port);
      client.write(query(header, ""), 0);
      assert.equal(await errorOf(client), 1835);
      assert.deepEqual(seen, []);
      client.socket.destroy();
    });
  }

  it("reads the same bytes as plain SQL where the client did not agree to attributes", async () => {
    const judge = new WordBlockingJudge("never");
    const { proxy } = await openStage(recording([], withAttributes), { services: { judge } });
    const client = await logIn(proxy.port, { flags: BACKEND_FLAGS });
    client.write(query([0, 1], "select 1"), 0);
    await client.expect();
    assert.deepEqual(judge.judged, ["\0\x01select 1"]);
    client.socket.destroy();
  });

  it("are never half agreed: the backend is told what the client was", async () => {
    const flags: number[] = [];
    const { proxy } = await openStage(async (peer) => {
      const response = await acceptLogin(peer, withAttributes);
      flags.push(decodeHandshakeResponse41(response.payload).capabilities.flags);
      await peer.read();
    });
    for (const wanted of [withAttributes.capabilities.flags, BACKEND_FLAGS]) {
      const client = await logIn(proxy.port, { flags: wanted });
      client.socket.destroy();
    }
    assert.deepEqual(
      flags.map((value) => (value & CLIENT_QUERY_ATTRIBUTES) !== 0),
      [true, false],
    );
  });
});

describe("P12 and R1 client files", () => {
  const asking = async (peer: PacketPeer): Promise<void> => {
    await acceptLogin(peer);
    await peer.expect();
    peer.write(fileRequest("/etc/passwd"), 1);
    await peer.read();
  };

  for (const sql of [
    "select 1",
    "load data local infile 'items.csv' into table items",
    "load data infile '/etc/passwd' into table items",
    "select 'load data local infile ''/etc/passwd'' into table items'",
  ]) {
    it(`does not pass on a request for another file than "${sql}" names`, async () => {
      const { proxy, backends } = await openStage(asking);
      const client = await logIn(proxy.port);
      client.write(queryPayload(sql), 0);
      assert.equal(await assertRefused(client), undefined);
      await backends.peers[0]?.closed();
      const refused = proxy.events.find((event) => event.type === "local-infile");
      assert.ok(refused?.type === "local-infile" && refused.action === "refused" && refused.fileName === "/etc/passwd");
    });
  }

  it("does not pass on a request that the client's capabilities rule out, policy or not", async () => {
    const { proxy } = await openStage(asking, { listener: { allowsLocalInfile: false } });
    const client = await logIn(proxy.port);
    assert.equal(client.greeting.capabilities.flags & CLIENT_LOCAL_FILES, 0);
    client.write(queryPayload("load data local infile '/etc/passwd' into table items"), 0);
    assert.equal(await assertRefused(client), undefined);
  });

  it("takes file data that nobody asked for as commands, which need a decision", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen));
    const client = await logIn(proxy.port);
    client.write(Buffer.from("1,2,3\n"), 2);
    assert.equal(await assertRefused(client), 1156);
    assert.deepEqual(seen, []);
  });
});

describe("P14 and P15 other protocols", () => {
  for (const [what, bytes] of [
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
    ["TLS", Buffer.from("16030100c8010000c40303", "hex")],
    ["PROXY v1", Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")],
    ["PROXY v2", Buffer.from("0d0a0d0a000d0a515549540a2111000c", "hex")],
    ["SSH", Buffer.from("SSH-2.0-OpenSSH_9.6\r\n")],
  ] as const) {
    it(`${what} where a login is expected ends the connection and is not echoed`, async () => {
      const { proxy } = await openStage(async (peer) => void (await acceptLogin(peer)));
      const client = await connectPeer(proxy.port);
      await client.expect();
      const from = Buffer.concat(client.received).length;
      client.socket.end(bytes);
      await client.closed();
      const said = Buffer.concat(client.received).subarray(from);
      assert.ok(!said.includes(bytes.subarray(0, 8)), said.toString("latin1"));
      await proxy.registry.whenEmpty();
    });
  }
});

describe("P16 compression", () => {
  it("is not offered, and a client that takes it anyway is not granted it", async () => {
    const everything = (BACKEND_FLAGS | CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION_ALGORITHM) >>> 0;
    let told = 0;
    const { proxy } = await openStage(async (peer) => {
      const response = await acceptLogin(peer, { ...GREETING, capabilities: { flags: everything, mariadb: 0 } });
      told = decodeHandshakeResponse41(response.payload).capabilities.flags;
      await peer.read();
    });
    const client = await logIn(proxy.port, { flags: (BACKEND_FLAGS | CLIENT_COMPRESS) >>> 0 });
    const compression = CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION_ALGORITHM;
    assert.equal(client.greeting.capabilities.flags & compression, 0);
    assert.equal(told & compression, 0);
    client.socket.destroy();
  });

  it("of a command, sent all the same, is no command", async () => {
    const seen: string[] = [];
    const { proxy } = await openStage(recording(seen));
    const client = await logIn(proxy.port);
    // A stored frame: length, sequence id, uncompressed length 0, then a COM_QUERY packet.
    const inner = encodePacket(queryPayload("select 1"), 0);
    client.socket.write(Buffer.concat([Buffer.from([inner.length, 0, 0, 0, 0, 0, 0]), inner]));
    assert.equal(await errorOf(client), 1047);
    client.socket.end();
    await client.closed();
    assert.deepEqual(seen, []);
  });
});

describe("T1 to T4, T7 and T8 on the wire", () => {
  const sslGreeting: HandshakeV10 = {
    ...GREETING,
    capabilities: { flags: (BACKEND_FLAGS | CLIENT_SSL) >>> 0, mariadb: 0 },
  };
  const backendTls = (mode: "require" | "verify-ca" | "verify-full" | "prefer"): BackendTls =>
    new BackendTls({
      mode,
      serverName: "localhost",
      minVersion: "TLSv1.2",
      ca: readFileSync(certificates.caFile, "latin1"),
    });
  const clientTls = (): ClientTls => new ClientTls(serverTls);

  it("T1 bytes behind the backend's greeting are not read as TLS, and end the login", async () => {
    const { proxy } = await openStage(
      async (peer) => {
        peer.socket.write(
          Buffer.concat([encodePacket(encodeHandshakeV10(sslGreeting), 0), encodePacket(OK_PAYLOAD, 2)]),
        );
        await peer.read();
      },
      { backend: { tls: backendTls("require") } },
    );
    const { client, greeting } = await greeted(proxy.port);
    client.write(loginPayload(greeting), 1);
    assert.notEqual(await assertRefused(client), undefined);
  });

  for (const mode of ["require", "verify-ca", "verify-full"] as const) {
    it(`T2 ${mode}: a greeting without TLS gets nothing of the client's login`, async () => {
      let told = Buffer.alloc(0);
      const { proxy } = await openStage(
        async (peer) => {
          peer.write(encodeHandshakeV10(GREETING), 0);
          await peer.closed();
          told = Buffer.concat(peer.received);
        },
        { backend: { tls: backendTls(mode) } },
      );
      const { client, greeting } = await greeted(proxy.port);
      client.write(loginPayload(greeting, { user: "someone", password: "secret" }), 1);
      assert.equal(await assertRefused(client), 1429);
      await proxy.registry.whenEmpty();
      assert.ok(!told.includes("someone"), "the user name left in clear");
    });
  }

  it("T3 an error of the server in place of TLS is told in our words, and no login has left", async () => {
    let told = Buffer.alloc(0);
    const { proxy } = await openStage(
      async (peer) => {
        peer.write(encodeHandshakeV10(sslGreeting), 0);
        await peer.expect();
        peer.write(errPayload({ errorNumber: 1045, sqlState: "28000", message: "type your password again" }), 2);
        await peer.closed();
        told = Buffer.concat(peer.received);
      },
      { backend: { tls: backendTls("verify-full") } },
    );
    const { client, greeting } = await greeted(proxy.port);
    client.write(loginPayload(greeting, { user: "someone" }), 1);
    const { payload } = await client.expect();
    const err = decodeErrPacket(payload);
    assert.ok(err.message.startsWith("querycop"), err.message);
    assert.ok(!err.message.includes("type your password"));
    client.socket.end();
    await proxy.registry.whenEmpty();
    assert.ok(!told.includes("someone"));
  });

  for (const plugin of ["mysql_clear_password", "dialog", "mysql_old_password"] as const) {
    it(`T4 a backend that asks for ${plugin} on a plaintext leg gets no answer`, async () => {
      const { proxy } = await openStage(async (peer) => {
        peer.write(encodeHandshakeV10(GREETING), 0);
        const response = await peer.expect();
        const question = { authPluginName: plugin, authPluginData: new Uint8Array(0) };
        peer.write(encodeAuthSwitchRequest(question), response.sequenceId + 1);
        assert.equal(await peer.read(), undefined);
      });
      const { client, greeting } = await greeted(proxy.port);
      client.write(loginPayload(greeting, { password: "secret" }), 1);
      assert.equal(await assertRefused(client), 1251);
    });
  }

  it("T4 a bare 0xFE, the old way to ask for mysql_old_password, gets no answer", async () => {
    const { proxy } = await openStage(async (peer) => {
      peer.write(encodeHandshakeV10(GREETING), 0);
      const response = await peer.expect();
      peer.write(Uint8Array.of(0xfe), response.sequenceId + 1);
      assert.equal(await peer.read(), undefined);
    });
    const { client, greeting } = await greeted(proxy.port);
    client.write(loginPayload(greeting), 1);
    assert.notEqual(await assertRefused(client), undefined);
  });

  it("T7 capability flags that differ between SSLRequest and response end the login", async () => {
    const { proxy } = await openStage(async (peer) => void (await acceptLogin(peer)), {
      listener: { clientTls: clientTls(), clientTlsMode: "allow" },
    });
    const plain = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await plain.expect()).payload);
    const flags = greeting.capabilities.flags;
    plain.write(encodeSslRequest({ capabilities: { flags, mariadb: 0 }, maxPacketSize: 1, characterSet: 45 }), 1);
    const client = await startClientTls(plain, {});
    client.write(loginPayload(greeting, { flags: (flags & ~CLIENT_PLUGIN_AUTH) >>> 0 }), 2);
    assert.notEqual(await assertRefused(client), undefined);
  });

  it("T8 TLS that ends inside a result is a broken connection, never an OK", async () => {
    const { proxy } = await openStage(
      async (plain) => {
        plain.write(encodeHandshakeV10(sslGreeting), 0);
        await plain.expect();
        const peer = startServerTls(plain, serverTls);
        const response = await peer.expect();
        peer.write(OK_PAYLOAD, response.sequenceId + 1);
        await peer.expect();
        // close_notify, then FIN: to TLS a proper end, to the protocol a cut.
        peer.socket.end(wireOf([columnCount(1), columnDefinition("a"), textRow("one")]));
      },
      { backend: { tls: backendTls("require") } },
    );
    const client = await logIn(proxy.port);
    client.write(queryPayload("select a"), 0);
    for (let packet = 0; packet < 3; packet++) await client.expect();
    assert.equal(await client.read(), undefined);
    client.socket.end();
    await proxy.registry.whenEmpty();
    const outcome = proxy.events.find(({ type }) => type === "statement-outcome");
    assert.ok(outcome?.type === "statement-outcome" && outcome.outcome === "unknown");
  });
});

describe("a rogue backend", () => {
  const answers: readonly (readonly [string, Uint8Array])[] = [
    ["2^40 columns", Buffer.from([0xfe, 0, 0, 0, 0, 0, 1, 0, 0])],
    ["no columns behind a count", Buffer.from([0xfc, 0, 0])],
    ["an empty packet", new Uint8Array(0)],
    ["a truncated OK_Packet", Buffer.from([0, 0])],
    ["a first byte that means nothing", Buffer.from([0xfb])],
  ];
  for (const [what, payload] of answers) {
    it(`R2 ${what}: nothing of it is told, and the connection ends`, async () => {
      const { proxy, backends } = await openStage(
        scriptedBackend(() => [payload]),
        {
          listener: { allowsLocalInfile: false },
        },
      );
      const client = await logIn(proxy.port);
      client.write(queryPayload("select 1"), 0);
      assert.equal(await assertRefused(client), undefined);
      await backends.peers[0]?.closed();
      const outcome = proxy.events.find(({ type }) => type === "statement-outcome");
      assert.ok(outcome?.type === "statement-outcome" && outcome.outcome === "unknown");
    });
  }

  it("R2 a packet behind the end of a response never becomes the next answer", async () => {
    const { proxy } = await openStage(scriptedBackend(() => [...resultSet([textRow("1")]), OK_PAYLOAD]));
    const client = await logIn(proxy.port);
    client.socket.write(Buffer.concat(["one", "two"].map((sql) => encodePacket(queryPayload(sql), 0))));
    const first: number[] = [];
    for (let packet = await client.read(); packet !== undefined; packet = await client.read()) {
      first.push(packet.payload[0] ?? -1);
    }
    assert.ok(!first.includes(0), `an OK got through: ${first.join()}`);
    client.socket.end();
    await proxy.registry.whenEmpty();
  });

  it("R2 a packet that comes while nothing is asked never becomes the next answer", async () => {
    const { proxy, backends } = await openStage(async (peer) => void (await acceptLogin(peer)));
    const client = await logIn(proxy.port);
    backends.peers[0]?.write(OK_PAYLOAD, 1);
    await client.closed();
    client.socket.end();
    await proxy.registry.whenEmpty();
    assert.ok(
      !Buffer.concat(client.received)
        .subarray(-11)
        .equals(Buffer.from(wireOf([OK_PAYLOAD]))),
    );
    const end = proxy.events.find(({ type }) => type === "disconnect");
    assert.ok(end?.type === "disconnect" && end.reason === "backend-protocol");
  });

  it("R2 sequence ids that do not continue end the connection", async () => {
    const { proxy } = await openStage(async (peer) => {
      await acceptLogin(peer);
      await peer.expect();
      peer.write(OK_PAYLOAD, 2);
      await peer.read();
    });
    const client = await logIn(proxy.port);
    client.write(queryPayload("select 1"), 0);
    assert.equal(await assertRefused(client), undefined);
  });

  it("R4 an error without SQLSTATE, or with control bytes, stays one line for the log", async () => {
    const text = Buffer.from("\xff\x48\x04gone\x1b[31m\nlevel=info forged\u202e", "latin1");
    const { proxy } = await openStage(async (peer) => {
      peer.socket.end(encodePacket(text, 0));
      await peer.read();
    });
    const client = await connectPeer(proxy.port);
    await client.expect();
    client.socket.end();
    await proxy.registry.whenEmpty();
    const logged = JSON.stringify(proxy.log.map(({ fields }) => fields["error"]));
    assert.ok(logged.includes("gone"));
    assert.ok(!logged.includes("\\u001b") && !logged.includes("\\n"), logged);
  });

  for (const bytes of [1, 2, 3]) {
    it(`R4 an error that is cut after ${bytes} of its bytes is never told without its text`, async () => {
      const { proxy } = await openStage(scriptedBackend(() => [Uint8Array.of(0xff, 0x48, 0x04).subarray(0, bytes)]));
      const client = await logIn(proxy.port);
      client.write(queryPayload("select 1"), 0);
      assert.equal(await assertRefused(client), undefined);
      const outcomes = proxy.events.flatMap((event) => (event.type === "statement-outcome" ? [event.outcome] : []));
      assert.deepEqual(outcomes, ["unknown"]);
    });
  }

  for (const sequenceId of [1, 255]) {
    it(`R5 a greeting with sequence id ${sequenceId} is refused`, async () => {
      const { proxy } = await openStage(async (peer) => {
        peer.write(encodeHandshakeV10(GREETING), sequenceId);
        await peer.read();
      });
      const client = await connectPeer(proxy.port);
      assert.equal(await assertRefused(client), 1835);
    });
  }

  it("R5 an answer to the login that does not continue it is refused", async () => {
    const { proxy } = await openStage(async (peer) => {
      peer.write(encodeHandshakeV10(GREETING), 0);
      await peer.expect();
      peer.write(OK_PAYLOAD, 5);
      await peer.read();
    });
    const { client, greeting: own } = await greeted(proxy.port);
    client.write(loginPayload(own), 1);
    assert.equal(await assertRefused(client), 1835);
  });

  const greeting = Buffer.from(encodeHandshakeV10(GREETING));
  const named = (plugin: string): Buffer => Buffer.from(encodeHandshakeV10({ ...GREETING, authPluginName: plugin }));
  for (const [what, payload] of [
    ["of protocol version 9", Buffer.concat([Buffer.of(9), greeting.subarray(1)])],
    ["of a server that stops in its middle", greeting.subarray(0, 20)],
    ["without a version", Buffer.of(10)],
    ["with a path for a plugin", named("../../lib/evil")],
    ["with control bytes in the plugin's name", named("a\x1b[2J")],
  ] as const) {
    it(`R5 a greeting ${what} is refused before the client sees it`, async () => {
      const { proxy } = await openStage(async (peer) => {
        peer.write(payload, 0);
        await peer.read();
      });
      const client = await connectPeer(proxy.port);
      const first = await client.expect();
      assert.equal(first.payload[0], 0xff);
      assert.equal(decodeErrPacket(first.payload).errorNumber, 1835);
      client.socket.end();
      await proxy.registry.whenEmpty();
    });
  }
});
