import assert from "node:assert/strict";
import { test } from "node:test";
import { killTargets, SessionRegistry } from "../../src/server/session-registry.ts";
import type { Session } from "../../src/session/session.ts";

test("a KILL means the session that was greeted with its id by the same backend, and no other backend's", () => {
  const registry = new SessionRegistry({ connectionsMax: 10, connectionsPerAddressMax: 10 });
  const cancelled: string[] = [];
  for (const [id, backendAddress, backendConnectionId] of [
    [1, "reader:3306", 70],
    [2, "writer:3306", 80],
  ] as const) {
    const cancelHold = (): void => void cancelled.push(backendAddress);
    const session = { id, clientAddress: "", greetedConnectionId: 7, backendConnectionId, backendAddress, cancelHold };
    registry.add(session as unknown as Session);
  }
  const writer = killTargets(registry, { host: "writer", port: 3306 });
  assert.equal(writer.backendConnectionId(7), 80);
  assert.equal(writer.backendConnectionId(8), undefined);
  writer.cancelHold(7);
  writer.cancelHold(8);
  assert.deepEqual(cancelled, ["writer:3306"]);
  assert.equal(killTargets(registry, { host: "writer", port: 3307 }).backendConnectionId(7), undefined);
});
