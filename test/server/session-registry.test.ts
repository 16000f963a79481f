import assert from "node:assert/strict";
import { test } from "node:test";
import { killTargets, SessionRegistry } from "../../src/server/session-registry.ts";
import type { LiveSession } from "../../src/session/live-session.ts";

test("a KILL means the session that was greeted with its id by the same backend, and no other backend's", () => {
  const registry = new SessionRegistry({ connectionsMax: 10, connectionsPerAddressMax: 10 });
  const cancelled: string[] = [];
  for (const [id, backendAddress, backendConnectionId] of [
    [1, "reader:3306", 70],
    [2, "writer:3306", 80],
  ] as const) {
    const cancelHold = (): void => void cancelled.push(backendAddress);
    const session = { id, clientAddress: "", greetedConnectionId: 7, backendConnectionId, backendAddress, cancelHold };
    registry.add(session as unknown as LiveSession);
  }
  const writer = killTargets(registry, { host: "writer", port: 3306 });
  assert.equal(writer.backendConnectionId(7), 80);
  assert.equal(writer.backendConnectionId(8), undefined);
  writer.cancelHold(7);
  writer.cancelHold(8);
  assert.deepEqual(cancelled, ["writer:3306"]);
  assert.equal(killTargets(registry, { host: "writer", port: 3307 }).backendConnectionId(7), undefined);
});

interface Stand {
  readonly registry: SessionRegistry;
  readonly ended: string[];
  add(name: string, clientAddress: string, awaitedMs?: number): void;
}

/** Sessions whose clients are awaited for so long, or that have logged in. */
function stand(limits: { connectionsMax?: number; connectionsPerAddressMax?: number; loginsMax?: number }): Stand {
  const registry = new SessionRegistry({ connectionsMax: 100, connectionsPerAddressMax: 100, ...limits });
  const ended: string[] = [];
  return {
    registry,
    ended,
    add: (name, clientAddress, awaitedMs) => {
      registry.add({
        id: registry.nextSessionId(),
        clientAddress,
        bytesToClient: 1,
        bytesToBackend: 0,
        isLoggingIn: awaitedMs !== undefined,
        holdsLoginPlace: awaitedMs !== undefined && name !== "at no cost",
        awaitedSinceMs: awaitedMs === undefined ? undefined : performance.now() - awaitedMs,
        close: (reason: string) => ended.push(`${name} ${reason}`),
      } as unknown as LiveSession);
    },
  };
}

test("in a full house the client that has been silent longest makes room, of the address with the most of them", () => {
  const { registry, ended, add } = stand({ connectionsMax: 5 });
  add("logged in", "1.1.1.1");
  add("patient", "2.2.2.2", 9_000);
  add("crowd 1", "3.3.3.3", 100);
  add("crowd 2", "3.3.3.3", 300);
  assert.equal(registry.makeRoom("4.4.4.4"), undefined);
  assert.deepEqual(ended, [], "there was room");
  add("crowd 3", "3.3.3.3", 200);
  assert.equal(registry.makeRoom("4.4.4.4"), undefined);
  assert.deepEqual(ended, ["crowd 2 limit"]);
  add("new", "4.4.4.4", 0);
  assert.equal(registry.makeRoom("4.4.4.4"), undefined);
  assert.deepEqual(ended, ["crowd 2 limit", "crowd 3 limit"]);
});

test("who has logged in makes no room, and an address that has too many makes its own", () => {
  const full = stand({ connectionsMax: 2 });
  full.add("one", "1.1.1.1");
  full.add("two", "2.2.2.2");
  assert.equal(full.registry.makeRoom("3.3.3.3")?.limit, "connections");
  const { registry, ended, add } = stand({ connectionsPerAddressMax: 2 });
  add("other", "2.2.2.2", 9_000);
  add("one", "1.1.1.1");
  add("two", "1.1.1.1", 10);
  assert.equal(registry.makeRoom("1.1.1.1"), undefined);
  assert.deepEqual(ended, ["two limit"]);
});

test("too many logins end those that keep us waiting, not those that are at work", () => {
  const { registry, ended, add } = stand({ loginsMax: 3 });
  add("silent", "1.1.1.1", 2_900);
  add("at work", "1.1.1.1", 100);
  add("logged in", "1.1.1.1");
  assert.equal(registry.endSilentLogins(performance.now()), 0);
  add("at no cost", "1.1.1.1", 2_800);
  assert.equal(registry.endSilentLogins(performance.now()), 0);
  add("late", "1.1.1.1", 2_700);
  assert.equal(registry.endSilentLogins(performance.now()), 2);
  assert.deepEqual(ended, ["silent limit", "late limit"]);
});

test("the addresses of one /64 share what one address may have", () => {
  const { registry, ended, add } = stand({ connectionsPerAddressMax: 2 });
  add("one", "2001:db8:1:2::1");
  add("two", "2001:db8:1:2::2", 5_000);
  assert.equal(registry.refusalFor("2001:db8:1:3::1"), undefined);
  assert.match(registry.refusalFor("2001:db8:1:2::3")?.text ?? "", /^2 connections from 2001:db8:1:2::\/64 are open/);
  assert.equal(registry.makeRoom("2001:db8:1:2::3"), undefined);
  assert.deepEqual(ended, ["two limit"]);
});
