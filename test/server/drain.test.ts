import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { drainSessions, endAllSessions, IdleSweep } from "../../src/server/drain.ts";
import { SessionRegistry } from "../../src/server/session-registry.ts";
import type { LiveSession } from "../../src/session/live-session.ts";

interface Ended {
  readonly name: string;
  readonly reason: string;
}

/** Sessions that end as soon as they are told to. */
function stage(sessions: Readonly<Record<string, Partial<LiveSession>>>) {
  const registry = new SessionRegistry({ connectionsMax: 10, connectionsPerAddressMax: 10 });
  const ended: Ended[] = [];
  for (const [index, [name, state]] of Object.entries(sessions).entries()) {
    const session = {
      id: index,
      clientAddress: "127.0.0.1",
      bytesToClient: 0,
      bytesToBackend: 0,
      lastActivityMs: performance.now() - 10_000,
      endLatePacket: () => undefined,
      close: (reason: string) => {
        ended.push({ name, reason });
        registry.remove(session);
      },
      ...state,
    } as unknown as LiveSession;
    registry.add(session);
  }
  return { registry, ended };
}

describe("drainSessions()", () => {
  it("ends what rests at once, and what is busy at the deadline", async () => {
    const { registry, ended } = stage({ resting: { isAtRest: true }, busy: { isAtRest: false } });
    await drainSessions(registry, 20);
    assert.deepEqual(ended, [
      { name: "resting", reason: "shutdown" },
      { name: "busy", reason: "shutdown" },
    ]);
  });

  it("leaves what has just been served a moment", async () => {
    const { registry, ended } = stage({
      served: { isAtRest: true, lastActivityMs: performance.now() },
      resting: { isAtRest: true },
    });
    const drained = drainSessions(registry, 60_000);
    assert.deepEqual(
      ended.map(({ name }) => name),
      ["resting"],
    );
    await drained;
    assert.equal(ended.length, 2);
  });

  it("is over at once where nobody is connected", async () => {
    await drainSessions(stage({}).registry, 60_000);
  });
});

describe("IdleSweep", () => {
  it("ends those that are silent for longer than they may be", () => {
    const { registry, ended } = stage({
      silent: { isIdle: true, idleLimitMs: 5_000 },
      patient: { isIdle: true, idleLimitMs: 20_000 },
      unlimited: { isIdle: true, idleLimitMs: 0 },
      busy: { isIdle: false, idleLimitMs: 5_000 },
    });
    new IdleSweep(registry).step();
    assert.deepEqual(ended, [{ name: "silent", reason: "timeout" }]);
  });

  it("comes to every one of many in a few steps, whoever comes and goes in between", () => {
    const many = Array.from(
      { length: 4_500 },
      (_, index) => [`${index}`, { isIdle: true, idleLimitMs: 5_000 }] as const,
    );
    const { registry, ended } = stage(Object.fromEntries(many));
    const sweep = new IdleSweep(registry);
    sweep.step();
    assert.equal(ended.length, 2_000);
    sweep.step();
    sweep.step();
    assert.equal(ended.length, 4_500);
    assert.equal(registry.size, 0);
  });
});

describe("endAllSessions()", () => {
  it("spares nobody", () => {
    const { registry, ended } = stage({ busy: { isAtRest: false }, resting: { isAtRest: true } });
    endAllSessions(registry);
    assert.equal(ended.length, 2);
    assert.equal(registry.size, 0);
  });
});
