/**
 * A hostile server and a hostile client against the executable, in every phase, with and without TLS on both legs: whatever
 * they send, or stop sending, no session outlives the configured bounds, nobody is told what the server has not said, and
 * no file is asked for that no statement names.
 *
 *   QUERYCOP_TEST_SEED    which cases
 *   QUERYCOP_TEST_SCALE   "full" for 20,000 cases of each kind and another seed each time, or how many cases
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, describe } from "node:test";
import { encodeHandshakeV10 } from "../../src/mysql/handshake.ts";
import { makeCertificates } from "../support/certificates.ts";
import { endStage } from "../support/e2e-stage.ts";
import { e2e } from "../support/e2e-test.ts";
import { eventually } from "../support/eventually.ts";
import {
  connectPeer,
  type FakeBackend,
  OK_PAYLOAD,
  type OpenLogin,
  openLogin,
  type PacketPeer,
  refuseProbe,
  sslRequest,
  startFakeBackend,
  startServerTls,
} from "../support/fake-peers.ts";
import {
  CHANGE_USER,
  type ClientPhase,
  clientCase,
  greetingOf,
  LOAD_FILE,
  type ServerCase,
  SWITCH_REQUEST,
  serverCase,
} from "../support/hostile-cases.ts";
import {
  assertUnforged,
  type HostileListener,
  HostileStage,
  inParallel,
  leave,
  withinBounds,
} from "../support/hostile-stage.ts";
import { randomFrom } from "../support/random.ts";
import { RawClient, type WirePacket } from "../support/raw-client.ts";
import { startServer } from "../support/servers.ts";
import { fileRequest, resultSet, textRow, wireOf } from "../support/wire-replies.ts";

const SCALE = process.env["QUERYCOP_TEST_SCALE"];
const IS_FULL = SCALE !== undefined;
const SEED = Number(process.env["QUERYCOP_TEST_SEED"] ?? (IS_FULL ? Date.now() % 1_000_000 : 1));
const CASES = SCALE === "full" ? 20_000 : Math.ceil(Number(SCALE ?? "240") / 16) * 16;
const TOGETHER = IS_FULL ? 96 : 24;
const TIMEOUT_MS = IS_FULL ? 7_200_000 : 120_000;
const FIRST_SEED = SEED * 100_003;
const SECRET = Buffer.from("SECRET,1\n");

const certificates = await makeCertificates();
after(() => certificates.remove());
afterEach(endStage);

/** Greets and goes over to TLS where it is to; undefined when the client does not come so far. */
async function acceptHello(plain: PacketPeer, isTls: boolean, early?: ServerCase): Promise<PacketPeer | undefined> {
  if (early?.phase === "greeting") {
    leave(plain, early.said, early.ending, false);
    return undefined;
  }
  plain.write(encodeHandshakeV10(greetingOf(isTls)), 0);
  if (!isTls) return plain;
  await plain.expect();
  if (early?.phase === "tls") {
    leave(plain, early.said, early.ending, false);
    return undefined;
  }
  const { certFile, keyFile } = certificates.leaves.goodEc;
  return startServerTls(plain, { cert: readFileSync(certFile, "latin1"), key: readFileSync(keyFile, "latin1") });
}

/** What hostile servers have in common: which case it is stands in the user's name, or is taken as it comes. */
class HostileServers {
  readonly #late = new Map<string, ServerCase>();
  readonly #early: Readonly<Record<"plain" | "tls", ServerCase[]>> = { plain: [], tls: [] };
  /** Names of cases that were sent a file nobody had asked the client for. */
  readonly files: string[] = [];

  add(name: string, one: ServerCase, isTls: boolean): void {
    if (one.phase === "greeting" || one.phase === "tls") this.#early[isTls ? "tls" : "plain"].push(one);
    else this.#late.set(name, one);
  }

  async serve(plain: PacketPeer, isTls: boolean): Promise<void> {
    const peer = await acceptHello(plain, isTls, this.#early[isTls ? "tls" : "plain"].pop());
    if (peer === undefined) return;
    const response = await peer.expect();
    const name = /case\d+/.exec(Buffer.from(response.payload).toString("latin1"))?.[0] ?? "";
    const one = this.#late.get(name);
    this.#late.delete(name);
    if (one === undefined) return void peer.socket.destroy();
    const sequenceId = response.lastSequenceId + 1;
    if (one.phase === "login") return leave(peer, one.said, one.ending, isTls);
    if (one.phase === "authentication") {
      peer.write(SWITCH_REQUEST, sequenceId);
      await peer.expect();
      return leave(peer, one.said, one.ending, isTls);
    }
    peer.write(OK_PAYLOAD, sequenceId);
    await this.#answer(peer, one, name, isTls);
  }

  async #answer(peer: PacketPeer, one: ServerCase, name: string, isTls: boolean): Promise<void> {
    let asked = 0;
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      const { payload } = packet;
      if (SECRET.equals(payload) && !LOAD_FILE.every((byte, at) => one.commands[asked - 1]?.[at] === byte)) {
        this.files.push(name);
      }
      if (one.phase === "probe") {
        leave(peer, one.said, one.ending, isTls);
        continue;
      }
      if (refuseProbe(peer, payload)) continue;
      const whole = one.replies[asked++];
      if (whole !== undefined) peer.socket.write(wireOf(whole));
      else leave(peer, one.said, one.ending, isTls);
    }
  }
}

/** A trusting client: it answers whatever it is asked, with a file too. True when it is let in. */
async function trustingLogin({ peer, sequenceId, response }: OpenLogin, user: string): Promise<boolean> {
  peer.write(response({ user }), sequenceId);
  for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
    const header = packet.payload[0];
    if (header === 0x00) return true;
    if (header === 0xff) return false;
    peer.write(Buffer.alloc(20, 0x62), (packet.lastSequenceId + 1) & 0xff);
  }
  return false;
}

/** Asks what the case asks and checks every byte that comes. */
async function askAll(peer: PacketPeer, one: ServerCase, seed: number): Promise<void> {
  const from = Buffer.concat(peer.received).length;
  for (const [index, command] of one.commands.entries()) {
    peer.write(command, 0);
    const whole = one.replies[index];
    for (let packets = whole?.length ?? 0; packets > 0; packets -= 1) if ((await peer.read()) === undefined) return;
    if (whole !== undefined) continue;
    const first = await peer.read();
    if (first?.payload[0] === 0xfb && first.payload.length > 1) {
      assert.deepEqual(Buffer.from(first.payload), Buffer.from(fileRequest("f.csv")), `case ${seed}`);
      assert.deepEqual(command, LOAD_FILE, `case ${seed}: asked for a file that no statement names`);
      peer.write(SECRET, 2);
      peer.write(new Uint8Array(0), 3);
    }
  }
  await peer.closed();
  const said = Buffer.concat([...one.replies.map((reply) => wireOf(reply)), one.said]);
  const got = Buffer.concat(peer.received).subarray(from);
  // The packets of a login are numbered anew, but for who is let in.
  if (one.phase === "change-user") {
    const payload = got.subarray(4, 4 + (got.length < 4 ? 0 : got.readUIntLE(0, 3)));
    if (payload[0] === 0x00) assert.ok(one.said.includes(payload), `case ${seed}: let in by nobody`);
  } else if (one.phase === "probe") {
    assertUnforged(got, Buffer.concat([one.said, one.said]), seed);
  } else {
    assertUnforged(got, said, seed);
  }
}

/** False when it did not come to what the case is about. */
async function trustingClient(port: number, isTls: boolean, one: ServerCase, seed: number): Promise<boolean> {
  const isEarly = one.phase === "greeting" || one.phase === "tls";
  const opened = await openLogin(port, isTls).catch(() => undefined);
  if (opened === undefined) return isEarly;
  const { peer } = opened;
  try {
    if (await trustingLogin(opened, `case${seed}`)) {
      if (one.phase === "login" || one.phase === "authentication") {
        assert.equal(one.said.includes(OK_PAYLOAD.subarray(0, 1)), true, `case ${seed}: let in by nobody`);
      }
      await askAll(peer, one, seed);
      return true;
    }
    await peer.closed();
    return isEarly || one.phase === "login" || one.phase === "authentication";
  } finally {
    peer.socket.destroy();
  }
}

describe(`hostile peers, seed ${SEED}`, () => {
  e2e(
    "a server that says anything in any phase holds no session, forges no answer, gets no file",
    async () => {
      const servers = new HostileServers();
      const [plain, secure] = [
        await startFakeBackend((peer) => servers.serve(peer, false)),
        await startFakeBackend((peer) => servers.serve(peer, true)),
      ];
      const listeners = [
        { name: "plain", backendPort: plain.port, isTls: false },
        { name: "secure", backendPort: secure.port, isTls: true },
      ];
      const stage = await HostileStage.start(listeners, certificates);
      const run = (from: number, count: number): Promise<void> =>
        inParallel(from, count, TOGETHER, async (seed) => {
          const random = randomFrom(seed);
          const listener = listeners[random() < 0.3 ? 1 : 0] as HostileListener;
          const one = serverCase(random, listener.isTls);
          servers.add(`case${seed}`, one, listener.isTls);
          const client = trustingClient(stage.portOf(listener), listener.isTls, one, seed);
          stage.count(await withinBounds(seed, client));
        });
      await run(FIRST_SEED, CASES / 4);
      stage.markMemory();
      await run(FIRST_SEED + CASES / 4, (CASES * 3) / 4);
      await stage.assertOver(SEED);
      assert.deepEqual(servers.files, []);
      for (const backend of [plain, secure]) await backend.close();
    },
    TIMEOUT_MS,
  );

  e2e(
    "a client that says anything in any phase holds no session and is told nothing that no server says",
    async () => {
      const [plain, secure] = [await startHonest(false), await startHonest(true)];
      const listeners = [
        { name: "plain", backendPort: plain.port, isTls: false },
        { name: "secure", backendPort: secure.port, isTls: true },
      ];
      const stage = await HostileStage.start(listeners, certificates);
      const run = (from: number, count: number): Promise<void> =>
        inParallel(from, count, TOGETHER, async (seed) => {
          const random = randomFrom(seed);
          const listener = listeners[random() < 0.3 ? 1 : 0] as HostileListener;
          const client = hostileClient(stage.portOf(listener), listener.isTls, random, seed);
          stage.count(await withinBounds(seed, client));
        });
      const count = CASES / 2;
      await run(FIRST_SEED, count / 4);
      stage.markMemory();
      await run(FIRST_SEED + count / 4, (count * 3) / 4);
      await stage.assertOver(SEED);
      for (const backend of [plain, secure]) await backend.close();
    },
    TIMEOUT_MS,
  );

  for (const kind of ["mysql", "mariadb"] as const) {
    e2e(
      `a client that says anything holds no session of ${kind}, and the answers of others stay theirs`,
      async () => {
        const { certFile, keyFile } = certificates.leaves.goodEc;
        const server = await startServer({
          kind,
          certificate: { certFile, keyFile, clientCaFile: certificates.caFile },
          options: ["--general-log=0", "--max-connections=500"],
        });
        const listeners = [
          { name: "plain", backendPort: server.port, isTls: false },
          { name: "secure", backendPort: server.port, isTls: true },
        ];
        const stage = await HostileStage.start(listeners, certificates);
        const run = (from: number, count: number): Promise<void> =>
          inParallel(from, count, Math.min(TOGETHER, 48), async (seed) => {
            const random = randomFrom(seed);
            const listener = listeners[random() < 0.3 ? 1 : 0] as HostileListener;
            const login = server.account("admin");
            const target = { port: stage.portOf(listener), isTls: listener.isTls, login };
            const client = seed % 8 === 0 ? honestClient(target, seed) : hostileUser(target, random);
            stage.count(await withinBounds(seed, client));
          });
        const count = CASES / 4;
        await run(FIRST_SEED, count / 4);
        stage.markMemory();
        await run(FIRST_SEED + count / 4, (count * 3) / 4);
        await stage.assertOver(SEED);
        const left = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'admin'";
        // A busy server takes a moment to see that a connection has ended.
        await eventually("the server has let all go", async () => (await server.rootQuery(left))[0]?.[0] === "0");
        await server.stop();
      },
      TIMEOUT_MS,
    );
  }
});

/** Answers every command with a row, a LOAD DATA LOCAL with a request for its file, and asks users named "asked" again. */
function startHonest(isTls: boolean): Promise<FakeBackend> {
  return startFakeBackend(async (plain) => {
    const peer = await acceptHello(plain, isTls);
    if (peer === undefined) return;
    let response = await peer.expect();
    if (Buffer.from(response.payload).includes("asked")) {
      peer.write(SWITCH_REQUEST, response.lastSequenceId + 1);
      response = await peer.expect();
    }
    peer.write(OK_PAYLOAD, response.lastSequenceId + 1);
    for (let packet = await peer.read(); packet !== undefined; packet = await peer.read()) {
      if (refuseProbe(peer, packet.payload)) continue;
      if (LOAD_FILE.equals(packet.payload)) peer.socket.write(wireOf([fileRequest("f.csv")]));
      else if (packet.payload[0] === CHANGE_USER[0]) peer.write(OK_PAYLOAD, 1);
      else peer.socket.write(wireOf(resultSet([textRow("one row")]), packet.lastSequenceId + 1));
    }
  });
}

/** In any phase of a session with a server that is all there. */
async function hostileClient(port: number, isTls: boolean, random: () => number, seed: number): Promise<boolean> {
  const isHello = isTls && random() < 0.1;
  if (isHello) return await hostileHello(port, random);
  const opened = await openLogin(port, isTls).catch(() => undefined);
  if (opened === undefined) return false;
  const { peer, sequenceId, response } = opened;
  const phases: readonly ClientPhase[] = ["anything", "login", "authentication", "command", "command", "command"];
  const one = clientCase(random, wireOf([response({ user: "asked" })], sequenceId), phases);
  try {
    if (one.phase === "authentication" || one.phase === "command") {
      peer.write(response({ user: one.phase === "command" ? "app" : "asked" }), sequenceId);
      const answer = await peer.read();
      if (answer === undefined || answer.payload[0] === 0xff) return false;
    }
    const from = Buffer.concat(peer.received).length;
    leave(peer, one.said, one.ending, isTls);
    await peer.closed();
    if (one.phase === "command") assertOwnErrors(Buffer.concat(peer.received).subarray(from), seed);
    return true;
  } finally {
    peer.socket.destroy();
  }
}

async function hostileHello(port: number, random: () => number): Promise<boolean> {
  const peer = await connectPeer(port);
  const first = await peer.read();
  const isGreeted = first !== undefined && first.payload[0] !== 0xff;
  if (isGreeted) {
    const one = clientCase(random, Buffer.alloc(5), ["hello"]);
    const hello = Buffer.concat([wireOf([sslRequest(greetingOf(true))], 1), one.said]);
    leave(peer, hello, one.ending, false);
    await peer.closed();
  }
  peer.socket.destroy();
  return isGreeted;
}

/** This server says no error, so that each there is must be querycop's. */
function assertOwnErrors(got: Buffer, seed: number): void {
  for (let at = 0; at + 5 <= got.length; ) {
    const length = got.readUIntLE(at, 3);
    const payload = got.subarray(at + 4, at + 4 + length);
    if (payload[0] === 0xff) assert.match(payload.toString("latin1"), /querycop/, `case ${seed}`);
    at += 4 + length;
  }
}

interface Target {
  readonly port: number;
  readonly isTls: boolean;
  readonly login: { readonly user: string; readonly password: string };
}

async function enter({ port, isTls, login }: Target): Promise<RawClient> {
  const client = await RawClient.connect("127.0.0.1", port);
  await client.login(login, isTls ? { rejectUnauthorized: false } : undefined);
  return client;
}

/** Logs in and sends commands that are damaged. */
async function hostileUser(target: Target, random: () => number): Promise<boolean> {
  const client = await enter(target).catch(() => undefined);
  if (client === undefined) return false;
  const { said, ending } = clientCase(random, Buffer.alloc(5), ["command"]);
  client.write(said);
  if (ending === "FIN") client.end();
  if (ending === "RST") client.reset();
  await client.readAll();
  client.reset();
  return true;
}

/** Asks for something that nobody else asks for, between the hostile ones. */
async function honestClient(target: Target, seed: number): Promise<boolean> {
  const client = await enter(target).catch(() => undefined);
  if (client === undefined) return false;
  for (let question = 0; question < 5; question++) {
    const word = `word ${seed} ${question}`;
    const answer: readonly WirePacket[] | undefined = await client.query(`SELECT '${word}'`).catch(() => undefined);
    if (answer === undefined) return false;
    assert.equal(answer[2]?.payload.toString("latin1").slice(1), word);
  }
  client.quit();
  return true;
}
