import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { GarbageWatch } from "../../src/server/garbage-watch.ts";

function watched(): { see: (percent: number, atMs: number, heldPercent?: number) => string } {
  let residentBytes = 0;
  let heldBytes = 0;
  let collected = "left";
  const watch = new GarbageWatch({
    limitBytes: 1000,
    residentBytes: () => residentBytes,
    heldBytes: () => heldBytes,
    collect: (what) => {
      collected = what;
    },
  });
  return {
    see: (percent, atMs, heldPercent = 0) => {
      residentBytes = percent * 10;
      heldBytes = heldPercent * 10;
      collected = "left";
      const isNear = watch.look(atMs);
      return `${collected}${isNear ? ", near the limit" : ""}`;
    },
  };
}

describe("GarbageWatch", () => {
  it("leaves a process alone that is small against its limit", () => {
    const { see } = watched();
    assert.deepEqual([see(10, 0), see(50, 1000), see(30, 2000), see(54, 3000)], ["left", "left", "left", "left"]);
  });

  it("collects when the process has grown by some of its limit since the last time", () => {
    const { see } = watched();
    assert.equal(see(60, 0), "young");
    assert.equal(see(61, 1000), "left");
    assert.equal(see(45, 2000), "left", "it has helped");
    assert.equal(see(54, 3000), "left");
    assert.equal(see(56, 4000), "young");
  });

  it("does not collect again and again what is in use, and looks through all where what was let go lately was little", () => {
    const { see } = watched();
    assert.equal(see(60, 0), "young");
    for (const atMs of [1000, 2000, 3000]) assert.equal(see(62, atMs), "left");
    assert.equal(see(69, 4000), "all");
    assert.equal(see(60, 5000), "left");
    assert.equal(see(70, 6000), "young", "that has helped");
  });

  it("does not look for garbage in what sessions have begun to hold, unless the limit is near", () => {
    const { see } = watched();
    assert.equal(see(60, 0, 10), "young");
    assert.equal(see(75, 1000, 20), "left", "10 % more are held");
    assert.equal(see(79, 2000, 20), "all");
    assert.equal(see(60, 3000, 0), "left");
    assert.equal(see(84, 4000, 30), "left");
    assert.equal(see(86, 5000, 30), "all, near the limit");
  });

  it("waits for what the last collection does, however much comes meanwhile, and says when the limit is near", () => {
    const { see } = watched();
    assert.equal(see(60, 0), "young");
    assert.equal(see(50, 100), "left");
    assert.equal(see(84, 200), "left");
    assert.equal(see(90, 250), "left, near the limit");
    assert.equal(see(90, 400), "all, near the limit");
    assert.equal(see(80, 500), "left");
  });
});
