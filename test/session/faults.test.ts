import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { decodeErrPacket } from "../../src/mysql/generic-response.ts";
import { decodeHandshakeV10, encodeAuthSwitchRequest, encodeHandshakeV10 } from "../../src/mysql/handshake.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import {
  acceptLogin,
  connectPeer,
  GREETING,
  logIn,
  loginPayload,
  OK_PAYLOAD,
  type PacketPeer,
  queryPayload,
  scriptedBackend,
  startFakeBackend,
} from "../support/fake-peers.ts";
import { type HarnessOptions, type ProxyHarness, startProxy } from "../support/session-harness.ts";
import { closeLater, closeStages, openStage } from "../support/session-stage.ts";
import {
  CURSOR_EXISTS,
  columnCount,
  columnDefinition,
  executePayload,
  fileRequest,
  IN_TRANSACTION,
  LAST_ROW_SENT,
  okWith,
  prepareOk,
  resultSet,
  rowsEnd,
  statementCommand,
  textRow,
  wireOf,
} from "../support/wire-replies.ts";

const COM_STMT_FETCH = 0x1c;
const ROW = textRow("one row");
const HALF_A_RESULT = wireOf([columnCount(1), columnDefinition("a"), ROW]);
const REST_OF_RESULT = encodePacket(rowsEnd(), 4);

/** A session in a known state, with both its ends in the hands of the test. */
interface Scene {
  readonly proxy: ProxyHarness;
  readonly client: PacketPeer;
  readonly backend: PacketPeer;
}

async function loggedIn(options: Partial<HarnessOptions> = {}): Promise<Scene> {
  const { proxy, backends } = await openStage(async (peer) => void (await acceptLogin(peer)), options);
  const client = await logIn(proxy.port);
  const backend = backends.peers[0];
  assert.ok(backend !== undefined);
  return { proxy, client, backend };
}

async function command(scene: Scene, payload: Uint8Array, answer: readonly Uint8Array[]): Promise<void> {
  scene.client.write(payload, 0);
  await scene.backend.expect();
  scene.backend.socket.write(wireOf(answer));
  for (const _ of answer) await scene.client.expect();
}

async function inResult(options?: Partial<HarnessOptions>): Promise<Scene> {
  const scene = await loggedIn(options);
  scene.client.write(queryPayload("select a from items"), 0);
  await scene.backend.expect();
  scene.backend.socket.write(HALF_A_RESULT);
  for (let packet = 0; packet < 3; packet++) await scene.client.expect();
  return scene;
}

async function inAuth(options?: Partial<HarnessOptions>): Promise<Scene> {
  const { proxy, backends } = await openStage(async (peer) => {
    peer.write(encodeHandshakeV10(GREETING), 0);
    const response = await peer.expect();
    const question = { authPluginName: "some_challenge", authPluginData: new Uint8Array(21) };
    peer.write(encodeAuthSwitchRequest(question), response.sequenceId + 1);
  }, options);
  const client = await connectPeer(proxy.port);
  client.write(loginPayload(decodeHandshakeV10((await client.expect()).payload)), 1);
  assert.equal((await client.expect()).payload[0], 0xfe);
  const backend = backends.peers[0];
  assert.ok(backend !== undefined);
  return { proxy, client, backend };
}

/** Every state that stands between two bytes, by what a session was doing there. */
const STATES = {
  idle: () => loggedIn(),
  "in a result": () => inResult(),
  "in a transaction": async () => {
    const scene = await loggedIn();
    await command(scene, queryPayload("begin"), [okWith(IN_TRANSACTION)]);
    return scene;
  },
  "in a fetch": async () => {
    const scene = await loggedIn();
    await command(scene, Uint8Array.of(0x16, 0x78), prepareOk(5, 0, 1));
    await command(scene, executePayload(5, 1), [columnCount(1), columnDefinition("a"), rowsEnd(CURSOR_EXISTS)]);
    scene.client.write(statementCommand(COM_STMT_FETCH, 5, [1, 0, 0, 0]), 0);
    await scene.backend.expect();
    scene.backend.socket.write(wireOf([Uint8Array.of(0, 0, 1, 0x61)]));
    await scene.client.expect();
    return scene;
  },
  "before the answer": async () => {
    const scene = await loggedIn();
    scene.client.write(queryPayload("select sleep(100)"), 0);
    await scene.backend.expect();
    return scene;
  },
  "in LOCAL INFILE": async () => {
    const scene = await loggedIn();
    scene.client.write(queryPayload("load data local infile 'f' into table t"), 0);
    await scene.backend.expect();
    scene.backend.socket.write(wireOf([fileRequest("f")]));
    await scene.client.expect();
    scene.client.write(Buffer.from("first piece"), 2);
    await scene.backend.expect();
    return scene;
  },
  "in auth": () => inAuth(),
} as const satisfies Record<string, () => Promise<Scene>>;

type State = keyof typeof STATES;

/** States in which a statement is on its way whose end the record must tell. */
const RUNNING: readonly State[] = ["in a result", "before the answer", "in LOCAL INFILE"];
/** States in which the backend goes on talking to nobody for a while, for the record. */
const ANSWERING: readonly State[] = ["in a result", "before the answer", "in a fetch"];

const outcomes = (events: readonly AuditEvent[]) =>
  events.filter((event) => event.type === "statement-outcome").map(({ outcome }) => outcome);

/** What holds after any fault: nothing is left behind, every intent has at most one outcome, one record of the end. */
async function assertGone({ proxy, backend, client }: Scene, peers: number): Promise<void> {
  // A client that was told something is given a while to read it.
  await client.closed();
  client.socket.end();
  await backend.closed();
  await proxy.registry.whenEmpty();
  assert.equal(proxy.registry.size, 0);
  const count = (type: AuditEvent["type"]): number => proxy.events.filter((event) => event.type === type).length;
  assert.equal(count("connect"), peers);
  assert.equal(count("disconnect"), peers);
  assert.equal(count("statement-intent"), count("statement-outcome"));
}

/** The packets the client gets after the fault. */
async function readAll(peer: PacketPeer): Promise<Uint8Array[]> {
  const payloads: Uint8Array[] = [];
  for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) payloads.push(packet.payload);
  return payloads;
}

afterEach(closeStages);

describe("P13 a client that vanishes", () => {
  for (const [state, reach] of Object.entries(STATES) as [State, () => Promise<Scene>][]) {
    for (const fault of ["RST", "FIN"] as const) {
      if (fault === "FIN" && ANSWERING.includes(state)) continue;
      it(`${state}: ${fault} closes the backend`, async () => {
        const scene = await reach();
        if (fault === "RST") scene.client.socket.resetAndDestroy();
        else scene.client.socket.end();
        // The server runs a statement to its end: what it says is waited for.
        if (fault === "RST" && ANSWERING.includes(state)) {
          const leftOver = state === "before the answer" ? OK_PAYLOAD : rowsEnd(LAST_ROW_SENT);
          scene.backend.write(leftOver, state === "before the answer" ? 1 : state === "in a fetch" ? 2 : 4);
        }
        await assertGone(scene, 1);
        if (!RUNNING.includes(state)) return;
        assert.deepEqual(outcomes(scene.proxy.events), [state === "in LOCAL INFILE" ? "client-gone" : "ok"]);
      });
    }
  }

  it("in a partial packet: nothing reaches the backend", async () => {
    const scene = await loggedIn();
    const wire = encodePacket(queryPayload("drop table items"), 0);
    const before = scene.backend.received.length;
    scene.client.socket.end(wire.subarray(0, wire.length - 1));
    await assertGone(scene, 1);
    assert.equal(scene.backend.received.length, before);
    assert.deepEqual(outcomes(scene.proxy.events), []);
  });

  it("behind a whole packet: the statement runs and is recorded", async () => {
    const scene = await loggedIn();
    scene.client.socket.end(encodePacket(queryPayload("insert into items values (1)"), 0));
    const packet = await scene.backend.expect();
    assert.equal(Buffer.from(packet.payload).toString(), "\x03insert into items values (1)");
    scene.backend.write(okWith(2, { affectedRows: 1 }), 1);
    await assertGone(scene, 1);
    assert.deepEqual(outcomes(scene.proxy.events), ["ok"]);
  });

  it("is recorded as client-gone when the backend does not finish within five seconds", {
    timeout: 15_000,
  }, async () => {
    const scene = await inResult();
    scene.client.socket.resetAndDestroy();
    await assertGone(scene, 1);
    assert.deepEqual(outcomes(scene.proxy.events), ["client-gone"]);
  });

  it("half-closed before the answer is given up when the backend stays silent, and how the statement ended is kept", {
    timeout: 15_000,
  }, async () => {
    const scene = await loggedIn({ listener: { leftTimeoutMs: 50 } });
    scene.client.write(queryPayload("select sleep(100)"), 0);
    await scene.backend.expect();
    scene.client.socket.end();
    await scene.client.closed();
    scene.backend.write(OK_PAYLOAD, 1);
    await assertGone(scene, 1);
    assert.deepEqual(outcomes(scene.proxy.events), ["ok"]);
    const end = scene.proxy.events.find(({ type }) => type === "disconnect");
    assert.ok(end?.type === "disconnect" && end.reason === "client-closed");
  });

  it("half-closed gets an answer of any length while its bytes come", { timeout: 30_000 }, async () => {
    const scene = await inResult({ listener: { leftTimeoutMs: 500 } });
    scene.client.socket.end();
    const rows = 60;
    const dripping = new Promise<void>((resolve) => {
      let sent = 0;
      const drip = setInterval(() => {
        scene.backend.write(ROW, 4 + sent++);
        if (sent < rows) return;
        clearInterval(drip);
        resolve();
      }, 25);
    });
    for (let row = 0; row < rows; row++) await scene.client.expect();
    await dripping;
    scene.backend.write(rowsEnd(), 4 + rows);
    assert.equal((await scene.client.expect()).payload[0], 0xfe);
    await assertGone(scene, 1);
    assert.deepEqual(outcomes(scene.proxy.events), ["ok"]);
  });

  it("half-closed in a result gets the rest of it", async () => {
    const scene = await inResult();
    scene.client.socket.end();
    scene.backend.socket.write(REST_OF_RESULT);
    assert.equal((await scene.client.expect()).payload[0], 0xfe);
    await assertGone(scene, 1);
    assert.deepEqual(outcomes(scene.proxy.events), ["ok"]);
  });
});

describe("a client that closes during its login", { timeout: 20_000 }, () => {
  const patient = { backend: { loginTimeoutMs: 600_000, connectTimeoutMs: 600_000 } };
  const reasonOf = (proxy: ProxyHarness): unknown => {
    const end = proxy.events.find(({ type }) => type === "disconnect");
    return end?.type === "disconnect" ? [end.reason, end.errorCode] : end;
  };

  for (const fault of ["RST", "FIN"] as const) {
    it(`${fault} before the greeting: the server is left as soon as it greets`, async () => {
      let greet: (() => void) | undefined;
      const { proxy, backends } = await openStage(async (peer) => {
        await new Promise<void>((resolve) => {
          greet = resolve;
        });
        peer.write(encodeHandshakeV10(GREETING), 0);
        // Refusing it keeps the host from being blocked.
        assert.match(Buffer.from((await peer.expect()).payload).toString("latin1"), /querycop_left_without_login/);
        peer.write(Uint8Array.of(0xff, 0x15, 0x04), 2);
      }, patient);
      const client = await connectPeer(proxy.port);
      while (greet === undefined) await new Promise((resolve) => setImmediate(resolve));
      if (fault === "RST") client.socket.resetAndDestroy();
      else client.socket.end();
      await proxy.untilEvent(() => true);
      greet();
      await backends.peers[0]?.closed();
      await proxy.registry.whenEmpty();
      assert.deepEqual(reasonOf(proxy), ["client-closed", "QC_CLIENT_CLOSED"]);
    });

    it(`${fault} before the greeting: a server that never greets is given up`, async () => {
      const { proxy, backends } = await openStage(async () => undefined, patient);
      const client = await connectPeer(proxy.port);
      while (backends.peers.length === 0) await new Promise((resolve) => setImmediate(resolve));
      if (fault === "RST") client.socket.resetAndDestroy();
      else client.socket.end();
      await proxy.registry.whenEmpty();
      assert.deepEqual(reasonOf(proxy), ["client-closed", "QC_CLIENT_CLOSED"]);
      await backends.peers[0]?.closed();
    });

    it(`${fault} before the verdict: the server is left by an empty answer`, async () => {
      const answers: number[] = [];
      const { proxy, backends } = await openStage(async (peer) => {
        peer.write(encodeHandshakeV10(GREETING), 0);
        await peer.expect();
        answers.push((await peer.expect()).payload.length);
        peer.write(Uint8Array.of(0xff, 0x15, 0x04), 4);
      }, patient);
      const client = await connectPeer(proxy.port);
      client.write(loginPayload(decodeHandshakeV10((await client.expect()).payload)), 1);
      while ((backends.peers[0]?.received.length ?? 0) === 0) await new Promise((resolve) => setImmediate(resolve));
      if (fault === "RST") client.socket.resetAndDestroy();
      else client.socket.end();
      await backends.peers[0]?.closed();
      await proxy.registry.whenEmpty();
      assert.deepEqual(answers, [0]);
      assert.deepEqual(reasonOf(proxy), ["client-closed", "QC_CLIENT_CLOSED"]);
    });
  }

  it("with a command behind its login is served before it is let go", async () => {
    const { proxy } = await openStage(scriptedBackend(() => [OK_PAYLOAD]));
    const client = await connectPeer(proxy.port);
    const login = encodePacket(loginPayload(decodeHandshakeV10((await client.expect()).payload)), 1);
    client.socket.end(Buffer.concat([login, encodePacket(queryPayload("do 1"), 0)]));
    assert.deepEqual(
      (await readAll(client)).map((payload) => payload[0]),
      [0, 0],
    );
    await proxy.registry.whenEmpty();
  });
});

describe("a backend that vanishes", () => {
  for (const [state, reach] of Object.entries(STATES) as [State, () => Promise<Scene>][]) {
    for (const fault of ["RST", "FIN"] as const) {
      it(`${state}: ${fault} ends the client at once, without an OK`, async () => {
        const scene = await reach();
        if (fault === "RST") scene.backend.socket.resetAndDestroy();
        else scene.backend.socket.end();
        const last = await readAll(scene.client);
        await assertGone(scene, 1);
        if (RUNNING.includes(state)) assert.deepEqual(outcomes(scene.proxy.events), ["unknown"]);
        assert.equal(last.length, 0, "a server that is gone says nothing");
        const end = scene.proxy.events.find(({ type }) => type === "disconnect");
        assert.ok(end?.type === "disconnect");
        assert.equal(end.reason, "backend-closed");
      });
    }
  }

  it("right behind its answer ends the client as well", async () => {
    const scene = await loggedIn();
    scene.client.write(queryPayload("select 1"), 0);
    await scene.backend.expect();
    scene.backend.socket.end(encodePacket(OK_PAYLOAD, 1));
    assert.equal((await scene.client.expect()).payload[0], 0);
    await scene.client.closed();
    await assertGone(scene, 1);
  });

  it("with an error in its farewell passes the error on", async () => {
    const scene = await loggedIn();
    const farewell = Buffer.concat([Uint8Array.of(0xff, 0xbf, 0x0f), Buffer.from("#HY000idle too long")]);
    scene.backend.socket.end(encodePacket(farewell, 0));
    assert.equal(decodeErrPacket((await scene.client.expect()).payload).errorNumber, 4031);
    await scene.client.closed();
    await assertGone(scene, 1);
  });

  it("records the bytes that got through before it broke", async () => {
    const scene = await inResult();
    scene.backend.socket.resetAndDestroy();
    await assertGone(scene, 1);
    const event = scene.proxy.events.find(({ type }) => type === "statement-outcome");
    assert.ok(event?.type === "statement-outcome" && event.outcome === "unknown");
    assert.equal(event.bytes, HALF_A_RESULT.length);
    assert.equal(event.rows, 1);
  });

  it("leaves other sessions alone", async () => {
    const { proxy, backends } = await openStage(scriptedBackend(() => resultSet([ROW])));
    const [victim, bystander] = [await logIn(proxy.port), await logIn(proxy.port)];
    backends.peers[0]?.socket.resetAndDestroy();
    await victim.closed();
    bystander.write(queryPayload("select 1"), 0);
    assert.equal((await bystander.expect()).payload[0], 1);
    bystander.socket.destroy();
  });
});

describe("a backend that cannot be had", () => {
  it("closes before its greeting: the client's connection ends", async () => {
    const { proxy } = await openStage(async (peer) => void peer.socket.end());
    const client = await connectPeer(proxy.port);
    assert.equal(await client.read(), undefined);
    client.socket.end();
    await proxy.registry.whenEmpty();
  });

  it("never greets: the client's connection ends when the login timeout is over", async () => {
    const { proxy } = await openStage(async () => undefined, { backend: { loginTimeoutMs: 50 } });
    const client = await connectPeer(proxy.port);
    assert.equal(await client.read(), undefined);
    client.socket.end();
    await proxy.registry.whenEmpty();
  });

  it("stalls in the login: the client's connection ends when the login timeout is over", async () => {
    const { proxy, backends } = await openStage(async (peer) => peer.write(encodeHandshakeV10(GREETING), 0), {
      backend: { loginTimeoutMs: 50 },
    });
    const client = await connectPeer(proxy.port);
    client.write(loginPayload(decodeHandshakeV10((await client.expect()).payload)), 1);
    assert.equal(await client.read(), undefined);
    client.socket.end();
    await backends.peers[0]?.closed();
    await proxy.registry.whenEmpty();
  });

  it("is dialled again for the next client as soon as it is back", async () => {
    const first = await startFakeBackend(scriptedBackend(() => [OK_PAYLOAD]));
    const proxy = await startProxy({ backendPort: first.port });
    closeLater(proxy);
    const early = await logIn(proxy.port);
    await first.close();
    await early.closed();
    await assert.rejects(logIn(proxy.port));
    const again = await startFakeBackend(
      scriptedBackend(() => [OK_PAYLOAD]),
      first.port,
    );
    closeLater(again);
    const late = await logIn(proxy.port);
    late.socket.destroy();
  });
});

describe("a peer that stalls", () => {
  it("client in auth: the handshake timeout ends both legs", async () => {
    const scene = await inAuth({ listener: { handshakeTimeoutMs: 50 } });
    assert.equal(decodeErrPacket((await scene.client.expect()).payload).errorNumber, 1159);
    await assertGone(scene, 1);
    const refusal = scene.proxy.events.find(({ type }) => type === "refuse");
    assert.ok(refusal?.type === "refuse" && refusal.errorCode === "QC_CLIENT_TIMEOUT");
  });

  it("client that dribbles its handshake is bounded by one budget", async () => {
    const { proxy } = await openStage(async (peer) => void (await acceptLogin(peer)), {
      listener: { handshakeTimeoutMs: 100 },
    });
    const client = await connectPeer(proxy.port);
    const wire = encodePacket(loginPayload(decodeHandshakeV10((await client.expect()).payload)), 1);
    let sent = 0;
    const dribble = setInterval(() => client.socket.write(wire.subarray(sent, ++sent)), 5);
    await client.closed();
    clearInterval(dribble);
    client.socket.end();
    assert.ok(sent < wire.length, "the deadline did not move with the bytes");
    await proxy.registry.whenEmpty();
  });

  it("client that does not read a result is cut after the write timeout", { timeout: 15_000 }, async () => {
    const scene = await loggedIn({ listener: { writeTimeoutMs: 50 } });
    scene.client.socket.pause();
    scene.client.write(queryPayload("select a from items"), 0);
    await scene.backend.expect();
    scene.backend.socket.write(HALF_A_RESULT);
    let sequenceId = 4;
    const row = textRow(Buffer.alloc(60_000, 0x61));
    const isOver = (): boolean => scene.proxy.events.some(({ type }) => type === "disconnect");
    // More than both sockets hold: the proxy must stop reading, then give the client up.
    for (let count = 0; count < 1000 && !isOver(); count++) {
      if (!scene.backend.socket.write(encodePacket(row, sequenceId++ & 0xff))) {
        await Promise.race([
          new Promise((resolve) => scene.backend.socket.once("drain", resolve)),
          scene.backend.closed(),
        ]);
      }
    }
    scene.backend.write(rowsEnd(), sequenceId & 0xff);
    await scene.proxy.registry.whenEmpty();
    const end = scene.proxy.events.find(({ type }) => type === "disconnect");
    assert.ok(end?.type === "disconnect" && end.reason === "timeout");
  });

  it("backend that does not take a file is cut after the write timeout", { timeout: 15_000 }, async () => {
    const scene = await loggedIn({ backend: { writeTimeoutMs: 50 } });
    scene.client.write(queryPayload("load data local infile 'f' into table t"), 0);
    await scene.backend.expect();
    scene.backend.socket.write(wireOf([fileRequest("f")]));
    await scene.client.expect();
    scene.backend.socket.pause();
    const piece = encodePacket(Buffer.alloc(8_000_000), 2);
    scene.client.socket.write(piece);
    const more = encodePacket(Buffer.alloc(8_000_000), 3);
    scene.client.socket.write(more);
    await scene.client.closed();
    scene.backend.socket.resume();
    await assertGone(scene, 1);
    assert.deepEqual(outcomes(scene.proxy.events), ["unknown"]);
  });
});

describe("an end by the operator", () => {
  it("closes an idle session, and one in a result, at once", async () => {
    for (const reach of [STATES.idle, STATES["in a result"], STATES["before the answer"], STATES["in LOCAL INFILE"]]) {
      const scene = await reach();
      for (const session of scene.proxy.registry) session.close("shutdown");
      for (const payload of await readAll(scene.client)) assert.equal(payload[0], 0xff);
      await assertGone(scene, 1);
      const end = scene.proxy.events.find(({ type }) => type === "disconnect");
      assert.ok(end?.type === "disconnect" && end.reason === "shutdown");
    }
  });

  it("closes a session in auth", async () => {
    const scene = await inAuth();
    for (const session of scene.proxy.registry) session.close("shutdown");
    await scene.client.closed();
    await assertGone(scene, 1);
  });
});

describe("garbage", () => {
  it("of a client at every offset of its handshake ends cleanly", async () => {
    const { proxy } = await openStage(async (peer) => void (await acceptLogin(peer)));
    const wire = encodePacket(loginPayload(GREETING), 1);
    for (let offset = 0; offset < wire.length; offset++) {
      const client = await connectPeer(proxy.port);
      await client.expect();
      const bytes = Buffer.from(wire);
      bytes[offset] = (bytes[offset] ?? 0) ^ 0xff;
      client.socket.end(bytes);
      await client.closed();
    }
    await proxy.registry.whenEmpty();
    assert.deepEqual(
      proxy.log.filter(({ level }) => level === "error"),
      [],
    );
    assert.equal(proxy.events.filter(({ type }) => type === "disconnect").length, wire.length);
  });

  it("of a backend at every offset of its greeting and its OK ends cleanly", async () => {
    const greeting = encodePacket(encodeHandshakeV10(GREETING), 0);
    const ok = encodePacket(OK_PAYLOAD, 2);
    let offset = 0;
    const { proxy } = await openStage(
      async (peer) => {
        const bytes = Buffer.concat([greeting, ok]);
        bytes[offset] = (bytes[offset] ?? 0) ^ 0xff;
        peer.socket.write(bytes.subarray(0, greeting.length));
        await peer.expect();
        peer.socket.end(bytes.subarray(greeting.length));
      },
      { backend: { loginTimeoutMs: 20 } },
    );
    for (; offset < greeting.length + ok.length; offset++) {
      const client = await connectPeer(proxy.port);
      const first = await client.read();
      if (first?.payload[0] === 10) client.write(loginPayload(decodeHandshakeV10(first.payload)), 1);
      client.socket.end();
      await client.closed();
    }
    await proxy.registry.whenEmpty();
    assert.deepEqual(
      proxy.log.filter(({ level }) => level === "error"),
      [],
    );
  });
});

describe("churn", () => {
  it("leaves no session behind after 300 clients that end in every way", async () => {
    const { proxy } = await openStage(scriptedBackend(() => resultSet([ROW])));
    const ends: readonly ((peer: PacketPeer) => unknown)[] = [
      (peer) => peer.socket.destroy(),
      (peer) => peer.socket.resetAndDestroy(),
      (peer) => peer.socket.end(),
      (peer) => peer.socket.end(encodePacket(Uint8Array.of(1), 0)),
      (peer) => peer.socket.end(encodePacket(Uint8Array.of(0x19, 1), 0)),
    ];
    for (let count = 0; count < 300; count++) {
      const client = await logIn(proxy.port);
      client.write(queryPayload("select 1"), 0);
      if (count % 2 === 0) await client.expect();
      ends[count % ends.length]?.(client);
    }
    await proxy.registry.whenEmpty();
    assert.equal(proxy.events.filter(({ type }) => type === "disconnect").length, 300);
    assert.equal(
      proxy.events.filter(({ type }) => type === "statement-intent").length,
      proxy.events.filter(({ type }) => type === "statement-outcome").length,
    );
  });
});
