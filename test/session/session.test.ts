import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { decodeErrPacket } from "../../src/mysql/generic-response.ts";
import { decodeHandshakeV10 } from "../../src/mysql/handshake.ts";
import { AllowAllJudge } from "../../src/server/allow-all-judge.ts";
import {
  acceptLogin,
  connectPeer,
  errPayload,
  type FakeBackend,
  GREETING,
  logIn,
  loginPayload,
  OK_PAYLOAD,
  queryPayload,
  scriptedBackend,
  startFakeBackend,
} from "../support/fake-peers.ts";
import { type ProxyHarness, startProxy } from "../support/session-harness.ts";

describe("Session", () => {
  let backend: FakeBackend;
  let proxy: ProxyHarness;
  const seen: string[] = [];

  before(async () => {
    backend = await startFakeBackend(
      scriptedBackend((payload) => {
        const text = Buffer.from(payload.subarray(1)).toString();
        seen.push(text);
        if (text === "fail") return [errPayload({ errorNumber: 1146, sqlState: "42S02", message: "no such table" })];
        return [OK_PAYLOAD];
      }),
    );
    proxy = await startProxy({ backendPort: backend.port });
  });

  after(async () => {
    await proxy.close();
    await backend.close();
  });

  it("greets with the backend's version, connection id and authPluginData", async () => {
    const client = await logIn(proxy.port);
    assert.equal(client.greeting.serverVersion, GREETING.serverVersion);
    assert.equal(client.greeting.connectionId, GREETING.connectionId);
    assert.deepEqual(client.greeting.authPluginData, GREETING.authPluginData);
    client.socket.destroy();
  });

  it("relays pipelined commands in order, each with its own answer", async () => {
    const client = await logIn(proxy.port);
    seen.length = 0;
    for (const sql of ["a", "fail", "b"]) client.write(queryPayload(sql), 0);
    assert.equal((await client.expect()).payload[0], 0);
    assert.equal(decodeErrPacket((await client.expect()).payload).errorNumber, 1146);
    assert.equal((await client.expect()).payload[0], 0);
    assert.deepEqual(seen, ["a", "fail", "b"]);
    client.socket.destroy();
  });

  it("answers a half-closed client before it closes", async () => {
    const client = await logIn(proxy.port);
    client.write(queryPayload("last words"), 0);
    client.socket.end();
    assert.equal((await client.expect()).payload[0], 0);
    await client.closed();
  });

  it("refuses an unknown command with 1047 and goes on", async () => {
    const client = await logIn(proxy.port);
    client.write(Uint8Array.of(0x77), 0);
    assert.equal(decodeErrPacket((await client.expect()).payload).errorNumber, 1047);
    client.write(queryPayload("still here"), 0);
    assert.equal((await client.expect()).payload[0], 0);
    client.socket.destroy();
  });

  it("records an intent before and an outcome after each statement", async () => {
    const client = await logIn(proxy.port);
    const from = proxy.events.length;
    client.write(queryPayload("fail"), 0);
    await client.expect();
    await proxy.untilEvent((event) => event.type === "statement-outcome" && proxy.events.indexOf(event) >= from);
    const types = proxy.events.slice(from).map((event) => event.type);
    assert.deepEqual(types, ["statement-intent", "statement-outcome"]);
    const outcome = proxy.events[from + 1];
    assert.ok(outcome?.type === "statement-outcome" && outcome.outcome === "error" && outcome.errorNumber === 1146);
    client.socket.destroy();
  });

  it("closes a client whose first packet is no MySQL", async () => {
    const client = await connectPeer(proxy.port);
    await client.expect();
    client.socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await client.closed();
  });

  it("ends the connection of a client whose backend is unreachable, as a server that is not there", async () => {
    const dead = await startProxy({ backendPort: 1 });
    const client = await connectPeer(dead.port);
    assert.equal(await client.read(), undefined);
    const refused = await dead.untilEvent((event) => event.type === "refuse");
    assert.ok(refused.type === "refuse" && refused.errorCode === "QC_BACKEND_UNREACHABLE");
    assert.equal(refused.errorNumber, undefined);
    client.socket.destroy();
    await dead.close();
  });

  it("leaves a backend through a refused login when the client went away unauthenticated", async () => {
    const before = backend.peers.length;
    const client = await connectPeer(proxy.port);
    await client.expect();
    client.socket.destroy();
    await proxy.untilEvent((event) => event.type === "refuse");
    const peer = backend.peers[before];
    assert.ok(peer !== undefined);
    await peer.closed();
    assert.ok(Buffer.concat(peer.received).toString("latin1").includes("querycop_left_without_login"));
  });

  it("logs in a client that knows no authentication plugins", async () => {
    const client = await connectPeer(proxy.port);
    const greeting = decodeHandshakeV10((await client.expect()).payload);
    const response = loginPayload(greeting, {
      authPluginName: "mysql_native_password",
      authResponse: Buffer.alloc(20),
    });
    const CLIENT_PLUGIN_AUTH_BYTE = 0x08;
    response[2] = (response[2] ?? 0) & ~CLIENT_PLUGIN_AUTH_BYTE;
    client.write(response, 1);
    assert.equal((await client.expect()).payload[0], 0);
    client.socket.destroy();
  });

  it("gives up a backend that is silent to the session probe as early as it would its answer", async () => {
    const silent = await startFakeBackend(async (peer) => {
      await acceptLogin(peer);
      await peer.read();
      await peer.read();
    });
    const judge = Object.assign(new AllowAllJudge(), { readsSql: true });
    const backend = { responseTimeoutMs: 50, loginTimeoutMs: 600_000 };
    const impatient = await startProxy({ backendPort: silent.port, backend, services: { judge } });
    const client = await logIn(impatient.port);
    client.write(queryPayload("select 1"), 0);
    assert.equal(await client.read(), undefined);
    const ended = await impatient.untilEvent((event) => event.type === "disconnect");
    assert.ok(ended.type === "disconnect" && ended.errorCode === "QC_BACKEND_TIMEOUT");
    await impatient.close();
    await silent.close();
  });

  it("gives up a backend that does not begin its answer in time", async () => {
    const silent = await startFakeBackend(async (peer) => {
      await acceptLogin(peer);
      await peer.read();
      await peer.read();
    });
    const impatient = await startProxy({ backendPort: silent.port, backend: { responseTimeoutMs: 50 } });
    const client = await logIn(impatient.port);
    client.write(queryPayload("select sleep(100)"), 0);
    assert.equal(await client.read(), undefined);
    const outcome = await impatient.untilEvent((event) => event.type === "statement-outcome");
    assert.ok(outcome.type === "statement-outcome" && outcome.outcome === "unknown");
    await impatient.close();
    await silent.close();
  });
});
