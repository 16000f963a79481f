/**
 * Crowds that want all of something, through the executable: memory, places, the processor. QUERYCOP_CROWD=10 makes them
 * ten times as large.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { decodeHandshakeV10, type HandshakeV10 } from "../../src/mysql/handshake.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import {
  beginStatement,
  type CrowdBackend,
  connectSilently,
  startCrowdBackend,
  statementOf,
} from "../support/crowd.ts";
import { endStage, startStaged } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import { connectPeer, logIn, loginPayload, type PacketPeer, queryPayload } from "../support/fake-peers.ts";
import { crowdOfGreed } from "../support/greed.ts";
import type { Querycop, QuerycopOptions, Settings } from "../support/querycop.ts";

const SCALE = Number(process.env["QUERYCOP_CROWD"] ?? "1");
const MIB = 1024 * 1024;

let backend: CrowdBackend;
const peers: PacketPeer[] = [];
const silentSockets: Socket[] = [];

before(async () => {
  backend = await startCrowdBackend();
});

afterEach(async () => {
  for (const { socket } of peers.splice(0)) socket.destroy();
  for (const socket of silentSockets.splice(0)) socket.destroy();
  await endStage();
});

after(() => backend.close());

function start(settings: Settings = {}, options: QuerycopOptions = {}): Promise<Querycop> {
  const all = {
    GATEKEEPER_BACKEND_HOST: "127.0.0.1",
    GATEKEEPER_BACKEND_PORT: String(backend.port),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
    GATEKEEPER_LOG_LEVEL: "info",
    ...settings,
  };
  return startStaged(all, options);
}

async function crowd({ port }: Querycop, count: number): Promise<PacketPeer[]> {
  const all: PacketPeer[] = [];
  for (let index = 0; index < count; index++) all.push(await logIn(port));
  peers.push(...all);
  return all;
}

/** The most memory the process has had, in MiB. */
function peakMiB(querycop: Querycop): number {
  const status = readFileSync(`/proc/${querycop.pid()}/status`, "latin1");
  return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1]) / 1024;
}

async function ask(peer: PacketPeer): Promise<void> {
  peer.write(queryPayload("SELECT 1"), 0);
  assert.equal((await peer.expect()).payload[0], 0);
}

e2e("logins that each send most of a large packet and fall silent do not take the memory of all", async () => {
  const querycop = await start({ GATEKEEPER_MEMORY_BUDGET: "32MiB" });
  const [small] = await crowd(querycop, 1);
  assert.ok(small);
  const greedy = await crowd(querycop, 16 * SCALE);
  for (const peer of greedy) beginStatement(peer, 16_000_000, 15_500_000);
  let rounds = 0;
  await eventually("the silent ones begin to end, and who asks little is answered all along", async () => {
    await ask(small);
    rounds++;
    return rounds > 20 && greedy.some(({ socket }) => socket.readableEnded || socket.destroyed);
  });
  const told = await Promise.all(greedy.slice(0, 3).map(errorOf));
  assert.ok(
    told.some((text) => text?.includes("GATEKEEPER_MEMORY_BUDGET") === true),
    `nobody was told why: ${told.join(", ")}`,
  );
  assert.ok(peakMiB(querycop) < 256, `${peakMiB(querycop)} MiB`);
});

e2e(
  "statements of 15 MB at once wait for memory and all run, in less than three times what they may hold",
  async () => {
    const querycop = await start({ GATEKEEPER_MEMORY_BUDGET: "48MiB" });
    const greedy = await crowd(querycop, 8 * SCALE);
    const wire = encodePacket(statementOf(15_000_000), 0);
    const answers = greedy.map(async (peer) => {
      peer.socket.write(wire);
      return (await peer.expect()).payload[0];
    });
    assert.deepEqual(await Promise.all(answers), Array<number>(greedy.length).fill(0));
    assert.ok(peakMiB(querycop) < 256, `${peakMiB(querycop)} MiB`);
  },
);

e2e("greed of every kind leaves small sessions their answers, and the process its memory", async () => {
  const querycop = await start({ GATEKEEPER_MEMORY_BUDGET: "32MiB", GATEKEEPER_LOCAL_INFILE: "true" });
  const small = await crowd(querycop, 4);
  const stop = new AbortController();
  const greedy = crowdOfGreed(querycop.port, { count: 30 * SCALE }, stop.signal);
  const isGreedy = (): boolean => backend.open > 10 * SCALE;
  await eventually("the crowd is there", isGreedy);
  // Each of the small ones has its answers, however many others want all.
  for (let round = 0; round < 10; round++) await Promise.all(small.map(ask));
  assert.ok(isGreedy(), "the crowd has been there all along");
  stop.abort();
  await greedy;
  await eventually("what the crowd had is given back", () => backend.open <= small.length, 60_000);
  await Promise.all(small.map(ask));
  assert.ok(peakMiB(querycop) < 320, `${peakMiB(querycop)} MiB`);
});

e2e("rows that nobody reads, and rows of clients that have gone, are not held", async () => {
  const querycop = await start();
  const [small, ...greedy] = await crowd(querycop, 25);
  assert.ok(small);
  for (const peer of greedy) {
    peer.socket.pause();
    peer.write(queryPayload("SELECT 64 MIB"), 0);
  }
  await eventually("all have begun", () => greedy.every(({ socket }) => socket.readableLength > 0));
  for (const { socket } of greedy.slice(12)) socket.destroy();
  await eventually(
    "those that have gone have left the server",
    async () => {
      await ask(small);
      return backend.open <= 13;
    },
    60_000,
  );
  assert.ok(peakMiB(querycop) < 256, `${peakMiB(querycop)} MiB`);
});

e2e("a packet that can never fit is refused in words that name the setting, before it has come", async () => {
  const querycop = await start({ GATEKEEPER_MEMORY_BUDGET: "32MiB" });
  const [peer] = await crowd(querycop, 1);
  assert.ok(peer);
  beginStatement(peer, 60 * MIB, 40 * MIB);
  assert.match((await errorOf(peer)) ?? "", /GATEKEEPER_MEMORY_BUDGET/);
});

e2e("a packet that is begun must be finished in time", async () => {
  const querycop = await start({ GATEKEEPER_CLIENT_PACKET_TIMEOUT: "1s" });
  const [peer, other] = await crowd(querycop, 2);
  assert.ok(peer && other);
  beginStatement(peer, 1000, 100);
  assert.match((await errorOf(peer)) ?? "", /GATEKEEPER_CLIENT_PACKET_TIMEOUT/);
  await ask(other);
});

e2e("clients that connect and say nothing keep nobody out, and hold few connections of the server", async () => {
  const querycop = await start({ GATEKEEPER_MAX_CONNECTIONS: "200", GATEKEEPER_LOGIN_CONNECTIONS_MAX: "40" });
  const silent: Socket[] = [];
  const before = backend.open;
  for (let index = 0; index < 300 * SCALE; index++) silent.push(connectSilently(querycop.port));
  await eventually("they hold what they may of the server", () => backend.open - before >= 40);
  for (let index = 0; index < 4; index++) {
    const [peer] = await crowd(querycop, 1);
    assert.ok(peer);
    await ask(peer);
    for (let more = 0; more < 20; more++) silent.push(connectSilently(querycop.port));
  }
  // Those that were let go may not have reached the server yet.
  await eventually("the server has no more than it may", () => backend.open - before <= 40 + 4);
  for (const socket of silent) socket.destroy();
});

e2e(
  "an address known for silent clients costs the server nothing until they speak, and who speaks is let in",
  async () => {
    const querycop = await start({ GATEKEEPER_HANDSHAKE_TIMEOUT: "60s" });
    await crowd(querycop, 1);
    for (let index = 0; index < 10; index++) silently(querycop);
    const held = await eventually("they are silent", async () => {
      const before = backend.open;
      const { greeting } = await greeted(querycop);
      // Of the ids that querycop gives by itself.
      return greeting.connectionId >= 0x40000000 ? before : undefined;
    });
    for (let index = 0; index < 50 * SCALE; index++) silently(querycop);
    for (let index = 0; index < 4; index++) {
      const { peer, greeting } = await greeted(querycop);
      peer.write(loginPayload(greeting), 1);
      assert.equal((await peer.expect()).payload[0], 0);
      await ask(peer);
      peer.socket.destroy();
    }
    await eventually("none of the silent ones holds a connection of the server", () => backend.open <= held);
  },
);

e2e("one address can not have all places, unless it is said that it may", async () => {
  for (const [setting, wanted] of [
    [undefined, /GATEKEEPER_CONNECTIONS_PER_ADDRESS/],
    ["off", /GATEKEEPER_MAX_CONNECTIONS/],
  ] as const) {
    const querycop = await start({
      GATEKEEPER_MAX_CONNECTIONS: "16",
      GATEKEEPER_CONNECTIONS_PER_ADDRESS: setting,
    });
    await crowd(querycop, setting === undefined ? 12 : 16);
    const { peer, refusal } = await refused(querycop);
    assert.match(refusal, wanted);
    peer.socket.destroy();
    if (setting === undefined) {
      const other = await connectPeer(querycop.port, "127.0.0.2");
      peers.push(other);
      assert.equal((await other.expect()).payload[0], 10);
    }
  }
});

e2e(
  "connections beyond the limit on open files leave the admin API, the audit file and the sessions at work",
  async () => {
    const querycop = await start(
      { GATEKEEPER_MAX_CONNECTIONS: "1000", GATEKEEPER_CONNECTIONS_PER_ADDRESS: "off", ADMIN_API_KEY: API_KEY },
      { launcher: ["sh", "-c", 'ulimit -n 192 && exec "$@"', "sh"] },
    );
    const address = await eventually("the admin API listens", () => {
      const line = querycop.logs().find(({ event }) => event === "admin API listening");
      return line?.["address"] as string | undefined;
    });
    const [one] = await crowd(querycop, 1);
    assert.ok(one);
    const full = await eventually("there is no room", async () => {
      const peer = await connectPeer(querycop.port);
      peers.push(peer);
      const { payload } = await peer.expect();
      if (payload[0] === 0xff) return Buffer.from(payload).toString("latin1");
      peer.write(loginPayload(decodeHandshakeV10(payload)), 1);
      return undefined;
    });
    assert.match(full, /too many connections/);
    const silent = Array.from({ length: 600 * SCALE }, () => connectSilently(querycop.port));
    for (let round = 0; round < 5; round++) {
      await ask(one);
      const answer = await fetch(`http://${address}/metrics`, {
        headers: { authorization: `Bearer ${API_KEY}` },
      });
      const text = await answer.text();
      const open = Number(/^process_open_fds (\d+)/m.exec(text)?.[1]);
      assert.ok(open > 0 && open < 192, `${open} files are open`);
    }
    for (const socket of silent) socket.destroy();
    one.socket.destroy();
    await eventually("the end of a session is recorded", () =>
      querycop.audit().some(({ type, reason }) => type === "disconnect" && reason === "client-closed"),
    );
  },
);

e2e("statements of a crowd that has gone are stopped a few at a time, within what is kept of files", async () => {
  const own = await startCrowdBackend();
  const folder = mkdtempSync(join(tmpdir(), "querycop-crowd-"));
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, "secret\n", { mode: 0o600 });
  const database = `{ host: 127.0.0.1, port: ${own.port}, user: app, password_file: ${passwordFile}, tls_mode: disable }`;
  const querycop = await startStaged(
    {},
    {
      configYaml: `connections: { db: ${database} }\nlisten: { port: 0 }\nclient_auth: trust\nconnection: db\n`,
      launcher: ["sh", "-c", 'ulimit -n 192 && exec "$@"', "sh"],
    },
  );
  try {
    const leaving = await crowd(querycop, 40);
    for (const peer of leaving) peer.write(queryPayload("SELECT SLEEP(1000)"), 0);
    await eventually("all statements have begun", () => own.answered >= leaving.length);
    own.holdKills();
    for (const { socket } of leaving) socket.resetAndDestroy();
    // Of 192 files 38 are no client's, a quarter of which these may have. While none is answered, each keeps its
    // connection: the server sees a closed one go late, so that connections that follow each other look like more.
    await eventually("as many as may be are under way, and those that they are to stop", () => own.open === 40 + 9);
    for (let look = 0; look < 20; look++) {
      await delay(25);
      assert.equal(own.open, 40 + 9);
    }
    own.answerKills();
    await eventually("all have been stopped", () => own.kills >= leaving.length, 60_000);
    await eventually("none is left", () => own.open === 0, 60_000);
  } finally {
    own.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

const API_KEY = "0123456789abcdef0123456789abcdef";

/** A socket that connects and says nothing, ended with the others. */
function silently({ port }: Querycop): void {
  silentSockets.push(connectSilently(port));
}

async function greeted({ port }: Querycop): Promise<{ peer: PacketPeer; greeting: HandshakeV10 }> {
  const peer = await connectPeer(port);
  peers.push(peer);
  return { peer, greeting: decodeHandshakeV10((await peer.expect()).payload) };
}

async function refused({ port }: Querycop): Promise<{ peer: PacketPeer; refusal: string }> {
  const peer = await connectPeer(port);
  peers.push(peer);
  return { peer, refusal: (await errorOf(peer)) ?? "" };
}

/** Hands the log on through a program that can be stopped. */
const LOG_READER = `mkfifo "$0" && { cat "$0" >&2 & } && echo $! >"$0.pid" && exec "$@" 2>"$0"`;

e2e("a log that nobody reads holds nobody up", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-log-"));
  const pipe = join(folder, "log");
  const querycop = await start({ GATEKEEPER_LOG_LEVEL: "debug" }, { launcher: ["sh", "-c", LOG_READER, pipe] });
  const reader = Number(readFileSync(`${pipe}.pid`, "latin1"));
  try {
    process.kill(reader, "SIGSTOP");
    // Many times what two pipes hold.
    for (let session = 0; session < 300; session++) {
      const [peer] = await crowd(querycop, 1);
      assert.ok(peer);
      await ask(peer);
      peer.socket.destroy();
    }
    process.kill(reader, "SIGCONT");
    await eventually("the log says how much is missing, or has all", () =>
      /lines dropped|client-closed/.test(querycop.logText()),
    );
  } finally {
    process.kill(reader, "SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});

/** The text of the error that the connection ends with. */
async function errorOf(peer: PacketPeer): Promise<string | undefined> {
  const packet = await peer.read().catch(() => undefined);
  return packet?.payload[0] === 0xff ? Buffer.from(packet.payload).toString("latin1") : undefined;
}
