/** How a session of MySQL ends that is not let go on: by operators, by its own slowness, and for want of memory. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { QuerycopError } from "../../../src/base/errors.ts";
import { type BudgetOwner, MemoryBudget } from "../../../src/base/memory-budget.ts";
import { decodeErrPacket } from "../../../src/mysql/generic-response.ts";
import { encodePacket } from "../../../src/mysql/packet.ts";
import type { LiveSession } from "../../../src/session/live-session.ts";
import { eventually } from "../../support/eventually.ts";
import { connectPeer, logIn, OK_PAYLOAD, ownAnswers, type PacketPeer, queryPayload } from "../../support/fake-peers.ts";
import type { HarnessOptions, ProxyHarness } from "../../support/session-harness.ts";
import { closeStages, openStage } from "../../support/session-stage.ts";

after(closeStages);

/** A budget that hands out who holds what, so that a test can say what all others do to it. */
class WatchedBudget extends MemoryBudget {
  readonly owners: BudgetOwner[] = [];

  override open(owner: BudgetOwner): ReturnType<MemoryBudget["open"]> {
    this.owners.push(owner);
    return super.open(owner);
  }
}

interface Stage {
  readonly proxy: ProxyHarness;
  readonly client: PacketPeer;
  readonly session: LiveSession;
  readonly memory: WatchedBudget;
  /** Commands that have reached the server. */
  readonly seen: string[];
}

/** A client that has logged in; the server never answers a text with SLEEP in it. */
async function begin(listener: HarnessOptions["listener"] = {}): Promise<Stage> {
  const seen: string[] = [];
  const memory = new WatchedBudget(1 << 26);
  const script = ownAnswers((peer, payload) => {
    const text = Buffer.from(payload).toString("latin1");
    seen.push(text);
    if (!text.includes("SLEEP")) peer.write(OK_PAYLOAD, 1);
  });
  const { proxy } = await openStage(script, { listener, services: { memory } });
  const client = await logIn(proxy.port);
  client.write(queryPayload("SELECT 1"), 0);
  await client.expect();
  const session = [...proxy.registry][0];
  assert.ok(session !== undefined);
  return { proxy, client, session, memory, seen };
}

async function errorOf(client: PacketPeer): Promise<string> {
  const packet = await client.read();
  if (packet === undefined) return "closed";
  const { errorNumber, message } = decodeErrPacket(packet.payload);
  return `${packet.sequenceId} ${errorNumber} ${message.replace(/test-\d+/, "…")}`;
}

/** The records of its end, and the last line of its log. */
async function endOf({ proxy }: Stage): Promise<string> {
  await proxy.registry.whenEmpty();
  const ends = proxy.events.flatMap((event) =>
    event.type === "disconnect" ? [`${event.reason} ${event.errorCode} by ${event.by}`] : [],
  );
  const { level, event } = proxy.log.at(-1) ?? {};
  return `${ends.join()}, ${level} ${event}`;
}

describe("a session that an operator ends", () => {
  it("at rest is told so out of turn, whoever else would end it too", async () => {
    const stage = await begin();
    stage.session.kill("olga");
    stage.session.kill("another");
    const told = await errorOf(stage.client);
    assert.match(told, /^0 \d+ .*ended by an operator \(olga\)/);
    assert.equal(await errorOf(stage.client), "closed");
    assert.equal(await endOf(stage), "killed QC_KILLED by olga, debug session ended");
    assert.equal(stage.proxy.log.filter(({ event }) => event === "session killed").length, 1);
    stage.session.kill("late");
    assert.equal(stage.proxy.log.filter(({ event }) => event === "session killed").length, 1);
  });

  it("inside a statement is told so in place of its answer, where nobody can stop the statement", async () => {
    const stage = await begin();
    stage.client.write(queryPayload("SELECT SLEEP(9)"), 0);
    await eventually("it has reached the server", () => stage.seen.some((text) => text.includes("SLEEP")));
    stage.session.kill("olga");
    assert.match(await errorOf(stage.client), /^1 \d+ .*ended by an operator \(olga\)/);
    assert.equal(await errorOf(stage.client), "closed");
    assert.match(await endOf(stage), /^killed QC_KILLED by olga/);
  });

  it("inside an answer just ends", async () => {
    const seen: string[] = [];
    const script = ownAnswers((peer, payload) => {
      seen.push(Buffer.from(payload).toString("latin1"));
      // The head of a result set, and nothing behind it.
      peer.write(Uint8Array.of(1), 1);
    });
    const { proxy } = await openStage(script);
    const client = await logIn(proxy.port);
    client.write(queryPayload("SELECT 1"), 0);
    await client.expect();
    for (const session of proxy.registry) session.kill("olga");
    assert.equal(await client.read(), undefined);
    await proxy.registry.whenEmpty();
    assert.ok(proxy.events.some((event) => event.type === "disconnect" && event.reason === "killed"));
  });

  it("within its login is on record as refused", async () => {
    const { proxy } = await openStage(ownAnswers(() => undefined));
    const client = await connectPeer(proxy.port);
    await client.expect();
    const [session] = proxy.registry;
    assert.equal(session?.isLoggingIn, true);
    assert.equal(session.isIdle, false);
    assert.equal(session.isAtRest, false);
    assert.equal(session.bytesToBackend, 0);
    assert.equal(session.user, undefined);
    session.kill("olga");
    assert.equal(await client.read(), undefined);
    await proxy.registry.whenEmpty();
    const ends = proxy.events.flatMap((event) =>
      event.type === "refuse" || event.type === "disconnect" ? [[event.type, event.reason, event.errorCode]] : [],
    );
    assert.deepEqual(ends, [
      ["refuse", "killed", "QC_KILLED"],
      ["disconnect", "killed", "QC_KILLED"],
    ]);
  });
});

describe("a client that does not finish what it has begun", () => {
  const half = encodePacket(queryPayload("SELECT 1"), 0).subarray(0, 7);

  it("is ended once its time is over, and told by which setting", async () => {
    const stage = await begin({ packetTimeoutMs: 10_000 });
    const { session, client } = stage;
    session.endLatePacket(Number.POSITIVE_INFINITY);
    client.socket.write(half);
    let sinceMs = 0;
    await eventually("the beginning of a packet has come", () => {
      sinceMs = stage.memory.owners[0]?.progress === undefined ? 0 : performance.now();
      return sinceMs > 0;
    });
    session.endLatePacket(sinceMs - 60_000);
    session.endLatePacket(sinceMs + 100);
    assert.equal(stage.proxy.registry.size, 1);
    session.endLatePacket(sinceMs + 10_001);
    assert.match(await errorOf(client), /within 10000 ms \(GATEKEEPER_CLIENT_PACKET_TIMEOUT\)/);
    assert.match(await endOf(stage), /^timeout QC_CLIENT_TIMEOUT/);
  });

  it("has all time where no limit is set, and while it waits for an answer", async () => {
    const stage = await begin({ packetTimeoutMs: 0 });
    stage.client.socket.write(half);
    await eventually("the beginning of a packet has come", () => stage.memory.owners[0]?.progress !== undefined);
    stage.session.endLatePacket(Number.POSITIVE_INFINITY);
    stage.client.socket.write(encodePacket(queryPayload("SELECT 1"), 0).subarray(7));
    assert.equal((await stage.client.expect()).payload[0], 0);
    stage.client.socket.destroy();
    assert.match(await endOf(stage), /^client-closed/);
  });

  it("is ended where others need its room, and told so", async () => {
    const stage = await begin();
    stage.client.socket.write(half);
    await eventually("the beginning of a packet has come", () => stage.memory.owners[0]?.progress !== undefined);
    stage.memory.owners[0]?.evict();
    assert.match(await errorOf(stage.client), /too slow while memory was short \(GATEKEEPER_MEMORY_BUDGET\)/);
    assert.match(await endOf(stage), /QC_MEMORY_BUDGET/);
  });

  it("is ended without a word where it takes nothing", async () => {
    const stage = await begin();
    stage.memory.owners[0]?.evict();
    assert.equal(await errorOf(stage.client), "closed");
    await stage.proxy.registry.whenEmpty();
    assert.ok(stage.proxy.log.some(({ level, event }) => level === "warn" && event === "session ended to free memory"));
    const reasons = stage.proxy.events.flatMap((event) => (event.type === "disconnect" ? [event.reason] : []));
    assert.deepEqual(reasons, [new QuerycopError("QC_MEMORY_BUDGET", "").closeReason]);
  });

  it("gets an error for a packet for which no room is found", async () => {
    const stage = await begin();
    stage.client.socket.write(half);
    await eventually("the beginning of a packet has come", () => stage.memory.owners[0]?.progress !== undefined);
    stage.memory.owners[0]?.answer(true);
    stage.memory.owners[0]?.answer(false);
    assert.match(await errorOf(stage.client), /no memory for the rest of a packet/);
  });
});

describe("a session that is closed", () => {
  for (const reason of ["shutdown", "timeout"] as const) {
    it(`at rest by ${reason} has that on record and no error`, async () => {
      const stage = await begin();
      stage.session.close(reason);
      stage.session.close("killed");
      assert.equal(await errorOf(stage.client), "closed");
      assert.equal(await endOf(stage), `${reason} undefined by undefined, debug session ended`);
    });
  }

  it("is awaited while it logs in, and no longer", async () => {
    const { proxy } = await openStage(ownAnswers(() => undefined));
    const beganMs = performance.now();
    const client = await connectPeer(proxy.port);
    await client.expect();
    const [session] = proxy.registry;
    const sinceMs = session?.awaitedSinceMs;
    assert.ok(sinceMs !== undefined && sinceMs >= beganMs && sinceMs <= performance.now(), `${sinceMs}`);
    assert.deepEqual([session?.holdsLoginPlace, session?.view().state], [true, "login"]);
    client.socket.destroy();
    await proxy.registry.whenEmpty();
    assert.equal(session?.awaitedSinceMs, undefined);
    const stage = await begin();
    assert.deepEqual([stage.session.awaitedSinceMs, stage.session.holdsLoginPlace], [undefined, false]);
    assert.equal(stage.session.bytesToBackend > 0 && stage.session.bytesToClient > 0, true);
  });
});
