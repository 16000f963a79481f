import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { encodePacket } from "../../src/mysql/packet.ts";
import { Leg } from "../../src/net/leg.ts";
import { ClientTls } from "../../src/net/tls.ts";
import { tlsError } from "../../src/net/tls-errors.ts";
import type { Network, TlsPeer, Transport, TransportListener } from "../../src/net/transport.ts";
import { makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { IS_DENO, peerSocket, pemPair, testOverEach, withListener, withPeer } from "./network-fixture.ts";

const PACKET_BYTES_MAX = 128 * 1024;
const NEVER = new AbortController().signal;

/** A transport without a network: shows what it was told and says what it is told to. */
class FakeTransport implements Transport {
  readonly remoteAddress = "192.0.2.1";
  readonly calls: string[] = [];
  listener: TransportListener | undefined;
  needsDrain = false;
  unsentBytes = 0;

  attach(listener: TransportListener): void {
    this.listener = listener;
  }
  write(bytes: Uint8Array): boolean {
    this.calls.push(`write ${bytes.length}`);
    return !this.needsDrain;
  }
  pause(): void {
    this.calls.push("pause");
  }
  resume(): void {
    this.calls.push("resume");
  }
  end(): void {
    this.calls.push("end");
  }
  destroy(): void {
    this.calls.push("destroy");
  }
  startTls(): Promise<TlsPeer> {
    return Promise.reject(tlsError("ECONNRESET", "gone"));
  }
}

function fakeLeg(side: "client" | "backend" = "client"): {
  leg: Leg;
  transport: FakeTransport;
  hears: TransportListener;
} {
  const transport = new FakeTransport();
  const leg = new Leg(side, transport, PACKET_BYTES_MAX);
  assert.ok(transport.listener);
  return { leg, transport, hears: transport.listener };
}

const packet = (text: string, sequenceId = 0): Uint8Array => encodePacket(Buffer.from(text), sequenceId);
const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("latin1");

test("peek() shows the first unread bytes, in pieces or half taken, and leaves them unread", () => {
  const transport = new FakeTransport();
  const leg = new Leg("client", transport, PACKET_BYTES_MAX);
  assert.equal(leg.peek(5).length, 0);
  const wire = encodePacket(Uint8Array.of(7, 8, 9), 0);
  leg.receive(Uint8Array.from([...wire, 1]));
  leg.receive(Uint8Array.of(0));
  leg.receive(Uint8Array.of(0, 0, 14, 99));
  assert.deepEqual([...leg.peek(4)], [...wire.subarray(0, 4)]);
  assert.deepEqual([...(leg.takePacket()?.payload ?? [])], [7, 8, 9]);
  assert.deepEqual([...leg.peek(5)], [1, 0, 0, 0, 14]);
  assert.deepEqual([...leg.peek(9)], [1, 0, 0, 0, 14, 99]);
  assert.deepEqual([...(leg.takePacket()?.payload ?? [])], [14]);
});

test("takePacket() hands out packets in order, however they were cut", () => {
  const { leg, hears } = fakeLeg();
  const wire = Buffer.concat([packet("one"), packet("two", 1), packet("three", 2)]);
  for (const byte of wire) hears.receive(Uint8Array.of(byte));
  assert.deepEqual(
    [leg.takePacket(), leg.takePacket(), leg.takePacket()].map((each) => textOf(each?.payload)),
    ["one", "two", "three"],
  );
  assert.equal(leg.takePacket(), undefined);
  assert.equal(leg.bytesRead, wire.length);
});

test("takeChunk() continues where packets stopped", () => {
  const { leg, hears } = fakeLeg();
  hears.receive(Buffer.concat([packet("one"), Buffer.from("rest")]));
  assert.equal(textOf(leg.takePacket()?.payload), "one");
  assert.equal(leg.hasUnread, true);
  hears.receive(Buffer.from("more"));
  assert.equal(textOf(leg.takeChunk()), "rest");
  assert.equal(textOf(leg.takeChunk()), "more");
  assert.equal(leg.hasUnread, false);
});

test("takeUnread() gathers what follows a packet", () => {
  const { leg, hears } = fakeLeg();
  hears.receive(Buffer.concat([packet("one"), Buffer.from("be")]));
  hears.receive(Buffer.from("hind"));
  leg.takePacket();
  assert.equal(textOf(leg.takeUnread()), "behind");
  assert.equal(leg.takeUnread().length, 0);
});

test("readPacket() waits, and is undefined when the peer closes between two packets", async () => {
  const { leg, hears } = fakeLeg();
  const first = leg.readPacket();
  hears.receive(packet("one"));
  assert.equal(textOf((await first)?.payload), "one");
  const second = leg.readPacket();
  hears.receiveEnd();
  assert.equal(await second, undefined);
  assert.equal(leg.isEnded, true);
  assert.equal(leg.isDead, false);
});

test("readPacket() throws when the peer closes inside a packet", async () => {
  const { leg, hears } = fakeLeg("backend");
  const reading = leg.readPacket();
  hears.receive(packet("one").subarray(0, 5));
  hears.receiveEnd();
  await assert.rejects(reading, { code: "QC_BACKEND_CLOSED", message: "The backend closed in the middle of a packet" });
});

test("what arrived before the peer closed can still be read", () => {
  const { leg, hears } = fakeLeg();
  hears.receive(packet("one"));
  hears.receive(packet("two"));
  hears.receiveEnd();
  hears.receiveClose(undefined);
  assert.equal(leg.isFinished, false);
  assert.equal(textOf(leg.takePacket()?.payload), "one");
  assert.equal(textOf(leg.takePacket()?.payload), "two");
  assert.equal(leg.isFinished, true);
});

for (const [error, text] of [
  [undefined, "closed the connection"],
  [tlsError("ECONNRESET", "read ECONNRESET"), "reset the connection"],
  [
    tlsError("EPROTO", "error:10000412:SSL routines:OPENSSL_internal:BAD_RECORD_MAC"),
    "failed: bad record mac (ERR_SSL_BAD_RECORD_MAC)",
  ],
] as const) {
  test(`expectPacket() says that the peer ${text}`, async () => {
    const { leg, hears } = fakeLeg();
    const expecting = leg.expectPacket("waiting for its answer", 5_000);
    hears.receiveClose(error);
    await assert.rejects(expecting, {
      code: "QC_CLIENT_CLOSED",
      message: `The client ${text} while waiting for its answer`,
    });
  });
}

test("expectPacket() sets the sequence id of the answer and gives up in time", async () => {
  const { leg, hears } = fakeLeg();
  hears.receive(packet("one", 255));
  await leg.expectPacket("waiting", 5_000);
  assert.equal(leg.nextSequenceId, 0);
  await assert.rejects(leg.expectPacket("waiting for more", 20), {
    code: "QC_CLIENT_TIMEOUT",
    message: "The client sent nothing within 20 ms while waiting for more",
  });
});

test("a packet larger than allowed is refused as soon as its header is there", () => {
  const { leg, hears } = fakeLeg();
  hears.receive(Uint8Array.of(0xff, 0xff, 0x0f, 0));
  assert.throws(() => leg.takePacket(), { code: "QC_CLIENT_PACKET_TOO_LARGE" });
});

test("onUnasked() is told of bytes nobody waits for, and onDead() once of the end", async () => {
  const { leg, hears } = fakeLeg();
  const told: string[] = [];
  leg.onUnasked(() => told.push("unasked"));
  leg.onDead(() => told.push("dead"));
  hears.receive(packet("one"));
  leg.takePacket();
  const waiting = leg.nextEvent();
  hears.receive(packet("two"));
  await waiting;
  hears.receiveClose(undefined);
  leg.destroy();
  assert.deepEqual(told, ["unasked", "dead"]);
  leg.onDead(() => told.push("again"));
  assert.deepEqual(told, ["unasked", "dead", "again"]);
});

test("a dead leg takes writes without complaint and waits for no drain", async () => {
  const { leg, transport } = fakeLeg();
  transport.needsDrain = true;
  assert.equal(leg.write(Buffer.from("x")), false);
  const drained = leg.drained();
  leg.destroy();
  await drained;
  assert.equal(leg.write(Buffer.from("x")), true);
  await leg.drained();
  leg.end();
  assert.deepEqual(transport.calls, ["write 1", "destroy"]);
});

test("a leg whose TLS failed is dead", async () => {
  const { leg } = fakeLeg();
  const tls = new ClientTls(pemPair(certificates.leaves.goodEc));
  await assert.rejects(tls.upgrade(leg, 5_000), { code: "QC_CLIENT_TLS" });
  assert.equal(leg.isDead, true);
});

test("unread bytes are bounded: past the bound the transport is paused, below half of it resumed", () => {
  const { leg, transport, hears } = fakeLeg();
  const chunk = Buffer.alloc(64 * 1024);
  for (let i = 0; i < 4; i++) hears.receive(chunk);
  assert.deepEqual(transport.calls, []);
  hears.receive(chunk);
  hears.receive(chunk);
  assert.deepEqual(transport.calls, ["pause"]);
  for (let i = 0; i < 3; i++) leg.takeChunk();
  assert.deepEqual(transport.calls, ["pause"]);
  leg.takeChunk();
  assert.deepEqual(transport.calls, ["pause", "resume"]);
});

testOverEach("a peer that sends without being read is held back", async (network) => {
  await withPeer(
    (socket) => sendForEver(socket),
    async (port) => {
      const leg = new Leg("backend", await network.connect("127.0.0.1", port, NEVER), PACKET_BYTES_MAX);
      await untilSteady(() => leg.bytesRead);
      assert.ok(leg.bytesRead > 256 * 1024 && leg.bytesRead < 2 * 1024 * 1024, `${leg.bytesRead} bytes`);
      const held = leg.bytesRead;
      while (leg.takeChunk() !== undefined);
      await eventually("reading goes on", () => leg.bytesRead > held);
      leg.destroy();
    },
  );
});

const STALLED_READERS = 8;
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
const certificates = await makeCertificates();
const BLOCK = Buffer.alloc(256 * 1024, "y");

/** A result without end, as fast as it is taken. */
function sendForEver(socket: Socket): void {
  const send = (): void => {
    while (!socket.destroyed && socket.write(BLOCK));
  };
  socket.on("drain", send);
  send();
}

/** Resolves when a number has stopped growing. */
async function untilSteady(look: () => number): Promise<void> {
  let last = -1;
  let same = 0;
  await eventually("the number is steady", () => {
    same = look() === last && last > 0 ? same + 1 : 0;
    last = look();
    return same >= 5;
  });
}

async function relay(from: Leg, to: Leg): Promise<void> {
  while (!from.isFinished && !to.isDead) {
    const chunk = from.takeChunk();
    if (chunk === undefined) await from.nextEvent();
    else if (!to.write(chunk)) await to.drained();
  }
}

async function stalledReaders(network: Network, secure: boolean): Promise<void> {
  const tls = new ClientTls(pemPair(certificates.leaves.goodEc));
  await withPeer(sendForEver, async (backendPort) => {
    await withListener(network, async ({ port, next }) => {
      const legs: Leg[] = [];
      const clients: Socket[] = [];
      const relays: Promise<void>[] = [];
      const before = process.memoryUsage.rss();
      for (let i = 0; i < STALLED_READERS; i++) {
        const raw = await peerSocket(port);
        clients.push(raw);
        const client = new Leg("client", await next(), PACKET_BYTES_MAX);
        if (secure) {
          const started = connectTls({ socket: raw, rejectUnauthorized: false });
          started.on("error", () => {});
          await tls.upgrade(client, 5_000);
          started.pause();
          clients.push(started);
        } else {
          raw.pause();
        }
        const backend = new Leg("backend", await network.connect("127.0.0.1", backendPort, NEVER), PACKET_BYTES_MAX);
        legs.push(client, backend);
        relays.push(relay(backend, client));
      }
      await untilSteady(() => legs.reduce((sum, leg) => sum + leg.bytesWritten, 0));
      const growth = process.memoryUsage.rss() - before;
      assert.ok(growth <= GROWTH_BYTES_MAX, `the process grew by ${Math.round(growth / 1024 / 1024)} MiB`);
      for (const leg of legs) leg.destroy();
      for (const client of clients) client.destroy();
      await Promise.all(relays);
    });
  });
}

testOverEach("readers that stall hold back what is sent to them: memory stays bounded", (network) =>
  stalledReaders(network, false),
);

// Deno's upgraded TLS sockets know no backpressure.
if (!IS_DENO) {
  testOverEach("readers that stall over TLS hold back what is sent to them", (network) =>
    stalledReaders(network, true),
  );
}

test("many legs with large chunks are read in turns, a small one at once", async () => {
  const budget = new MemoryBudget(1024 * 1024 * 1024);
  const owner = { progress: undefined, answer: () => undefined, evict: () => undefined };
  const legs = Array.from({ length: 20 }, () => {
    const made = fakeLeg("backend");
    made.leg.countIn(budget.open(owner));
    return made;
  });
  const read = (index: number, bytes: number): void => {
    legs[index]?.hears.receive(new Uint8Array(bytes));
    legs[index]?.leg.takeChunk();
  };
  for (const index of legs.keys()) read(index, 200 * 1024);
  const paused = (): number => legs.filter(({ transport }) => transport.calls.at(-1) === "pause").length;
  assert.equal(paused(), 18, "two fill a quarter of a mebibyte");
  assert.equal(legs[19]?.leg.isPaused, false, "a FIN is seen as soon as its turn comes");
  read(0, 1000);
  assert.deepEqual(legs[0]?.transport.calls, []);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(paused(), 17);
  await eventually("all have had their turn", () => paused() === 0);
  for (const { transport } of legs.slice(2)) assert.deepEqual(transport.calls, ["pause", "resume"]);
});

test("a leg that is full stays paused when its turn has come, and goes on when both are over", async () => {
  const budget = new MemoryBudget(1024 * 1024 * 1024);
  const { leg, transport, hears } = fakeLeg("backend");
  leg.countIn(budget.open({ progress: undefined, answer: () => undefined, evict: () => undefined }));
  hears.receive(new Uint8Array(1024 * 1024));
  hears.receive(new Uint8Array(1024 * 1024));
  assert.deepEqual([transport.calls, leg.isPaused], [["pause"], true]);
  await eventually("its turn has come", () => budget.reads.waiting === 0);
  assert.deepEqual(transport.calls, ["pause"]);
  leg.takeChunk();
  leg.takeChunk();
  assert.deepEqual(transport.calls, ["pause", "resume"]);
});

test("what is not taken of a peer that nobody listens to is thrown away, uncopied, and counts no more", () => {
  const budget = new MemoryBudget(1024 * 1024 * 1024);
  const { leg, transport, hears } = fakeLeg();
  leg.countIn(budget.open({ progress: undefined, answer: () => undefined, evict: () => undefined }));
  const wire = encodePacket(new Uint8Array(120 * 1024), 0);
  hears.receive(wire.slice(0, 90 * 1024));
  assert.equal(leg.takePacket(), undefined);
  const queued = new Uint8Array(300 * 1024);
  hears.receive(queued);
  assert.deepEqual([leg.hasUnread, leg.isPaused, budget.used > 0], [true, true, true]);
  leg.dropUnread();
  assert.deepEqual([leg.hasUnread, leg.isPaused, queued.byteLength], [false, false, 0]);
  assert.deepEqual(transport.calls, ["pause", "resume"]);
  assert.ok(budget.used <= 120 * 1024, "the room for the packet is given back with its session");
});
