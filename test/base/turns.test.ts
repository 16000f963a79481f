import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "../../src/base/turns.ts";

/** Lets all promises that can settle do so. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Takes the turn and holds it until told. */
function hold(turns: Turns): { release: () => void; done: Promise<unknown> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { release: resolve, done: turns.take("holder", "holder", () => promise) };
}

test("one works at a time, and groups and their members take turns", async () => {
  const turns = new Turns(100);
  const order: string[] = [];
  let atWork = 0;
  const come = (group: string, member: string): Promise<unknown> =>
    turns.take(group, member, async () => {
      assert.equal(++atWork, 1);
      await settled();
      atWork--;
      order.push(`${group}${member}`);
    });
  const held = hold(turns);
  const all = [...Array.from({ length: 4 }, () => come("a", "1")), come("a", "2"), come("b", "1"), come("b", "1")];
  assert.equal(turns.waiting, 7);
  held.release();
  await Promise.all(all);
  assert.deepEqual(order, ["a1", "b1", "a2", "b1", "a1", "a1", "a1"]);
  assert.equal(turns.waiting, 0);
});

test("when too many wait, one of the largest crowd is sent away", async () => {
  const turns = new Turns(4);
  const held = hold(turns);
  const come = (group: string, member: string): Promise<unknown> => turns.take(group, member, async () => "done");
  const crowd = Array.from({ length: 4 }, () => come("crowd", "x"));
  const other = come("crowd", "y");
  const single = come("single", "x");
  held.release();
  assert.deepEqual(await Promise.all(crowd), ["done", "done", false, false]);
  assert.deepEqual(await Promise.all([other, single]), ["done", "done"]);
});

test("work that fails passes the turn on", async () => {
  const turns = new Turns(4);
  await assert.rejects(
    turns.take("a", "a", () => Promise.reject(new Error("no"))),
    /no/,
  );
  assert.equal(await turns.take("a", "a", async () => 1), 1);
});
