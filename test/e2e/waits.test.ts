/** Peers that fall silent where an answer is due, against the executable: no session outlives the configured bounds. */
import assert from "node:assert/strict";
import { afterEach, describe } from "node:test";
import { decodeHandshakeV10, encodeAuthSwitchRequest, encodeHandshakeV10 } from "../../src/mysql/handshake.ts";
import { plaintextBackend } from "../support/backend-settings.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import {
  connectPeer,
  type FakeLogin,
  GREETING,
  logIn,
  loginPayload,
  OK_PAYLOAD,
  ownAnswers,
  type PacketPeer,
  queryPayload,
  startFakeBackend,
} from "../support/fake-peers.ts";
import type { Querycop } from "../support/querycop.ts";
import {
  CURSOR_EXISTS,
  columnCount,
  columnDefinition,
  executePayload,
  fileRequest,
  IN_TRANSACTION,
  okWith,
  prepareOk,
  rowsEnd,
  statementCommand,
  textRow,
  wireOf,
} from "../support/wire-replies.ts";

const BOUND_MS = 300;
/** Every bound of a session one after the other, the linger of its end, and what a crowded machine takes besides. */
const OVER_MS = 30_000;

const BOUNDS = {
  GATEKEEPER_BACKEND_LOGIN_TIMEOUT: `${BOUND_MS}ms`,
  GATEKEEPER_BACKEND_RESPONSE_TIMEOUT: `${BOUND_MS}ms`,
  GATEKEEPER_BACKEND_PROGRESS_TIMEOUT: `${BOUND_MS}ms`,
  GATEKEEPER_BACKEND_WRITE_TIMEOUT: `${BOUND_MS}ms`,
  GATEKEEPER_HANDSHAKE_TIMEOUT: `${BOUND_MS}ms`,
  GATEKEEPER_CLIENT_IDLE_TIMEOUT: "1s",
  GATEKEEPER_CLIENT_WRITE_TIMEOUT: `${BOUND_MS}ms`,
  GATEKEEPER_CLIENT_LEFT_TIMEOUT: `${BOUND_MS}ms`,
  GATEKEEPER_LOG_LEVEL: "info",
  GATEKEEPER_LOCAL_INFILE: "true",
};

afterEach(endStage);

const start = (port: number): Promise<Querycop> =>
  startStaged({ ...plaintextBackend({ host: "127.0.0.1", port }), ...BOUNDS });

const disconnects = (querycop: Querycop): number => querycop.audit().filter(({ type }) => type === "disconnect").length;

async function untilOver(querycop: Querycop, sessions: number): Promise<void> {
  await eventually(`${sessions} sessions are over`, () => disconnects(querycop) >= sessions, OVER_MS);
}

/** Everything the client still gets until its connection ends. */
async function rest(peer: PacketPeer): Promise<Buffer> {
  const from = Buffer.concat(peer.received).length;
  await peer.closed();
  peer.socket.destroy();
  return Buffer.concat(peer.received).subarray(from);
}

describe("an answer that stands still", () => {
  const OK = wireOf([OK_PAYLOAD]);
  const stalls: Readonly<Record<string, Buffer>> = {
    "six bytes of an OK_Packet": OK.subarray(0, 6),
    "one column of 65,535": wireOf([columnCount(65_535), columnDefinition("a")]),
    "a header of 0xffffff": Buffer.from([0xff, 0xff, 0xff, 1, 0x61]),
    "a row cut in its middle": wireOf([columnCount(1), columnDefinition("a"), textRow("x".repeat(500))]).subarray(
      0,
      200,
    ),
    "nothing at all": Buffer.alloc(0),
  };
  for (const [what, bytes] of Object.entries(stalls)) {
    e2e(`after ${what} ends the session within its bounds`, async () => {
      const backend = await startFakeBackend(ownAnswers((peer) => void peer.socket.write(bytes)));
      const querycop = await start(backend.port);
      for (const first of ["SELECT a FROM t WHERE b = 3", "START TRANSACTION"]) {
        const client = await logIn(querycop.port);
        client.write(queryPayload(first), 0);
        const told = await rest(client);
        assert.ok(bytes.subarray(0, told.length).equals(told), "the client got what the server has not said");
      }
      await untilOver(querycop, 2);
      await backend.close();
    });
  }

  const replies: Readonly<Record<number, readonly Uint8Array[]>> = {
    22: prepareOk(1, 0, 1),
    23: [columnCount(1), columnDefinition("a"), rowsEnd(CURSOR_EXISTS)],
  };

  e2e("in a transaction, a cursor's fetch and a file ends it as well", async () => {
    const answers = ownAnswers((peer, payload) => {
      const text = Buffer.from(payload).toString();
      if (/LOAD DATA/.test(text)) peer.socket.write(wireOf([fileRequest("f.csv")]));
      else if (/START/.test(text)) peer.socket.write(wireOf([okWith(IN_TRANSACTION)]));
      else peer.socket.write(wireOf(replies[payload[0] ?? 0] ?? []));
    });
    const backend = await startFakeBackend(answers);
    const querycop = await start(backend.port);
    const transaction = await logIn(querycop.port);
    transaction.write(queryPayload("START TRANSACTION"), 0);
    await transaction.expect();
    transaction.write(queryPayload("SELECT a FROM t WHERE b = 3"), 0);
    const fetch = await logIn(querycop.port);
    fetch.write(Buffer.from("\x16SELECT a FROM t WHERE b = 3"), 0);
    for (let packet = 0; packet < 2; packet++) await fetch.expect();
    fetch.write(executePayload(1, 1), 0);
    for (let packet = 0; packet < 3; packet++) await fetch.expect();
    fetch.write(statementCommand(0x1c, 1, [1, 0, 0, 0]), 0);
    // One whose client says nothing of its file, and one whose server says nothing behind it.
    const files = [await logIn(querycop.port), await logIn(querycop.port)];
    for (const file of files) {
      file.write(queryPayload("LOAD DATA LOCAL INFILE 'f.csv' INTO TABLE t"), 0);
      await file.expect();
    }
    files[1]?.write(Buffer.from("1,2\n"), 2);
    files[1]?.write(new Uint8Array(0), 3);
    for (const client of [transaction, fetch, ...files]) assert.equal((await rest(client))[4] ?? 0xff, 0xff);
    await untilOver(querycop, 4);
    await backend.close();
  });

  e2e("in a login that has AuthMoreData out of place ends all of 20 sessions", async () => {
    for (const state of [0x7f, 0x03]) {
      const backend = await startFakeBackend(async (peer) => {
        peer.write(encodeHandshakeV10({ ...GREETING, authPluginName: "mysql_native_password" }), 0);
        const response = await peer.expect();
        peer.write(Uint8Array.of(0x01, state), response.lastSequenceId + 1);
        await peer.read();
      });
      const querycop = await start(backend.port);
      const clients = Array.from({ length: 20 }, async () => {
        const client = await connectPeer(querycop.port);
        const greeting = decodeHandshakeV10((await client.expect()).payload);
        const native = { authPluginName: "mysql_native_password", authResponse: Buffer.alloc(20) };
        client.write(loginPayload(greeting, native), 1);
        await rest(client);
      });
      await Promise.all(clients);
      await untilOver(querycop, 20);
      await endStage();
      await backend.close();
    }
  });
});

describe("a login that stands still", () => {
  const NATIVE = { authPluginName: "mysql_native_password", authResponse: Buffer.alloc(20) };
  const SHA2 = { authPluginName: "caching_sha2_password", authResponse: Buffer.alloc(32) };
  const SWITCH = encodeAuthSwitchRequest({
    authPluginName: "mysql_native_password",
    authPluginData: Buffer.from(`${"n".repeat(20)}\0`),
  });
  /** What the server says to the login, packet by packet, each behind an answer of the client's; then it is silent. */
  const servers: Readonly<Record<string, readonly [login: FakeLogin, says: readonly Uint8Array[]]>> = {
    "nothing to the login": [NATIVE, []],
    "AuthMoreData 01 7f out of place": [NATIVE, [Uint8Array.of(1, 0x7f)]],
    "AuthMoreData 01 03 out of place": [NATIVE, [Uint8Array.of(1, 3)]],
    "AuthMoreData 01 04 out of place": [NATIVE, [Uint8Array.of(1, 4)]],
    "AuthMoreData 01 03 and no OK": [SHA2, [Uint8Array.of(1, 3)]],
    "a state of caching_sha2_password that there is not": [SHA2, [Uint8Array.of(1, 0x7f)]],
    "AuthMoreData 01 04, and nothing to the password": [SHA2, [Uint8Array.of(1, 4)]],
    "AuthSwitchRequest, and nothing to the answer": [NATIVE, [SWITCH]],
    "AuthSwitchRequest and AuthMoreData 01 7f": [NATIVE, [SWITCH, Uint8Array.of(1, 0x7f)]],
    "half a packet": [NATIVE, []],
  };

  e2e("for a server that says a part of its own ends within login_timeout", async () => {
    const names = Object.keys(servers);
    const backend = await startFakeBackend(async (peer) => {
      peer.write(encodeHandshakeV10(GREETING), 0);
      const response = await peer.expect();
      const name = names.find((one) => Buffer.from(response.payload).includes(`${one}\0`)) ?? "";
      let { lastSequenceId } = response;
      for (const payload of servers[name]?.[1] ?? []) {
        peer.write(payload, lastSequenceId + 1);
        lastSequenceId = ((await peer.read()) ?? response).lastSequenceId;
      }
      if (name === "half a packet") peer.socket.write(wireOf([OK_PAYLOAD], 2).subarray(0, 6));
    });
    const querycop = await start(backend.port);
    const ended = names.map(async (user) => {
      const client = await connectPeer(querycop.port);
      const greeting = decodeHandshakeV10((await client.expect()).payload);
      client.write(loginPayload(greeting, { user, ...servers[user]?.[0] }), 1);
      for (let packet = await client.read(); packet !== undefined; packet = await client.read()) {
        assert.notEqual(packet.payload[0], 0, `${user}: let in`);
        if (packet.payload[0] !== 0xff) client.write(Buffer.alloc(20, 0x61), packet.lastSequenceId + 1);
      }
      client.socket.destroy();
    });
    await Promise.all(ended);
    await untilOver(querycop, names.length);
    await backend.close();
  });

  /** What a client says, and then nothing more. */
  const clients: Readonly<Record<string, (login: Buffer) => Buffer>> = {
    nothing: () => Buffer.alloc(0),
    "half a header": (login) => login.subarray(0, 2),
    "half a login": (login) => login.subarray(0, 40),
    "an SSLRequest that nobody offered": (login) => Buffer.concat([Buffer.from([32, 0, 0, 1]), login.subarray(4, 36)]),
    "a login, and nothing when asked again": (login) => login,
  };

  e2e("for a client that says a part of its own ends within handshake_timeout", async () => {
    const backend = await startFakeBackend(async (peer) => {
      peer.write(encodeHandshakeV10(GREETING), 0);
      const response = await peer.expect();
      peer.write(SWITCH, response.lastSequenceId + 1);
      await peer.read();
    });
    const querycop = await start(backend.port);
    const ended = Object.values(clients).map(async (said) => {
      const client = await connectPeer(querycop.port);
      const greeting = decodeHandshakeV10((await client.expect()).payload);
      client.socket.write(said(wireOf([loginPayload(greeting, NATIVE)], 1)));
      await rest(client);
    });
    await Promise.all(ended);
    await untilOver(querycop, ended.length);
    await backend.close();
  });
});

describe("a text that takes too long to judge", () => {
  e2e("is refused and never sent, and the session goes on", async () => {
    const seen: string[] = [];
    const answers = ownAnswers((peer, payload) => {
      seen.push(Buffer.from(payload.subarray(1, 40)).toString());
      peer.socket.write(wireOf([OK_PAYLOAD]));
    });
    const backend = await startFakeBackend(answers);
    const querycop = await startStaged({
      ...plaintextBackend({ host: "127.0.0.1", port: backend.port }),
      GATEKEEPER_POLICY_JUDGE_TIMEOUT: "100ms",
    });
    const client = await logIn(querycop.port);
    client.write(queryPayload("SELECT 1;".repeat(800_000)), 0);
    const { payload } = await client.expect();
    assert.match(
      Buffer.from(payload).toString("latin1"),
      /^\xff\x7c\x04#42000querycop: blocked: judging .*JUDGE_TIMEOUT/,
    );
    client.write(queryPayload("DO 1"), 0);
    assert.equal((await client.expect()).payload[0], 0);
    assert.deepEqual(seen, ["DO 1"]);
    client.socket.destroy();
    await backend.close();
  });
});
