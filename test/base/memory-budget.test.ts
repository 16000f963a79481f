import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type BudgetOwner, type Holding, MemoryBudget } from "../../src/base/memory-budget.ts";
import { defaultMemoryBudget, memoryLimit } from "../../src/base/memory-limit.ts";
import { eventually } from "../support/eventually.ts";

const MIB = 1024 * 1024;

interface Owner extends BudgetOwner {
  progress: number | undefined;
  readonly heard: string[];
}

function newOwner(): Owner {
  const heard: string[] = [];
  return {
    progress: undefined,
    heard,
    answer: (hasRoom) => heard.push(hasRoom ? "room" : "no room"),
    evict: () => heard.push("evicted"),
  };
}

function open(budget: MemoryBudget): { holding: Holding; owner: Owner } {
  const owner = newOwner();
  return { holding: budget.open(owner), owner };
}

describe("MemoryBudget", () => {
  it("gives room at once while there is some, and in order when it becomes free", async () => {
    const budget = new MemoryBudget(100 * MIB);
    const [one, two, three] = [open(budget), open(budget), open(budget)];
    assert.equal(one.holding.ask(60 * MIB), true);
    assert.equal(two.holding.ask(60 * MIB), false);
    assert.equal(three.holding.ask(MIB), false, "nobody overtakes");
    assert.equal(two.holding.ask(60 * MIB), false, "who waits does not ask twice");
    assert.deepEqual([budget.waiting, budget.counts.waited], [2, 2]);
    one.holding.giveBack();
    assert.deepEqual([two.owner.heard, three.owner.heard], [["room"], []], "one takes in what it has queued");
    assert.equal(budget.used, 61 * MIB, "what was given is counted before it is used");
    await eventually("the next one has its turn", () => three.owner.heard.length > 0);
    assert.deepEqual(three.owner.heard, ["room"]);
    assert.equal(two.holding.ask(60 * MIB), true);
    assert.equal(budget.used, 61 * MIB, "and only once");
    for (const { holding } of [one, two, three]) holding.close();
    assert.equal(budget.used, 0);
  });

  it("has those to whom room is given go on in turns, and none that is closed by then", async () => {
    const budget = new MemoryBudget(100 * MIB);
    const first = open(budget);
    first.holding.ask(75 * MIB);
    const others = Array.from({ length: 10 }, () => open(budget));
    for (const { holding } of others) holding.ask(2 * MIB);
    first.holding.close();
    const heard = (): number => others.filter(({ owner }) => owner.heard.length > 0).length;
    assert.deepEqual([heard(), budget.used], [1, 20 * MIB]);
    others[5]?.holding.close();
    await eventually("all but one have had their turns", () => heard() === 9);
    assert.deepEqual([others[5]?.owner.heard, budget.used], [[], 18 * MIB]);
  });

  it("keeps room for the rest of what has begun, which goes before what has not", async () => {
    const budget = new MemoryBudget(80 * MIB);
    const many = Array.from({ length: 60 }, () => open(budget));
    const begun = many.filter(({ holding }) => holding.ask(MIB, true));
    assert.deepEqual([begun.length, budget.waiting], [30, 30], "half of what there is for large packets");
    const [one, two, three, ...others] = begun;
    assert.ok(one && two && three);
    assert.equal(one.holding.ask(30 * MIB), true);
    assert.equal(two.holding.ask(25 * MIB), false);
    assert.equal(three.holding.ask(MIB), true, "what is small enough need not wait for the larger rest");
    one.holding.close();
    await eventually("the rest is there", () => two.owner.heard.length > 0);
    for (const { holding } of [two, three, ...others, ...many]) holding.close();
    assert.deepEqual([budget.used, budget.waiting], [0, 0]);
    assert.equal(open(budget).holding.ask(60 * MIB, true), true, "nothing is left of what had begun");
  });

  it("leaves a quarter to what is small, and refuses at once what can never fit", async () => {
    const budget = new MemoryBudget(100 * MIB);
    const { holding, owner } = open(budget);
    assert.equal(holding.ask(76 * MIB), false);
    await eventually("it is refused", () => owner.heard.length > 0);
    assert.deepEqual(owner.heard, ["no room"]);
    assert.equal(budget.counts.refused, 1);
    assert.equal(holding.ask(75 * MIB), true);
    const small = open(budget).holding;
    small.add(25 * MIB);
    assert.equal(small.isTight, false);
    small.add(1);
    assert.equal(small.isTight, true);
  });

  it("ends those that wait for their own peer when others need the room, the largest first, and nobody else", async () => {
    const budget = new MemoryBudget(100 * MIB);
    const [large, small, busy, quick, waiting] = [open(budget), open(budget), open(budget), open(budget), open(budget)];
    large.owner.progress = 5;
    small.owner.progress = 5;
    quick.owner.progress = 5;
    large.holding.ask(30 * MIB);
    small.holding.ask(10 * MIB);
    busy.holding.ask(20 * MIB);
    quick.holding.ask(10 * MIB);
    assert.equal(waiting.holding.ask(30 * MIB), false);
    const sending = setInterval(() => {
      quick.owner.progress = (quick.owner.progress ?? 0) + MIB;
    }, 20);
    await eventually("there is room", () => waiting.owner.heard.length > 0);
    clearInterval(sending);
    assert.deepEqual(
      [large, small, busy, quick, waiting].map(({ owner }) => owner.heard.join()),
      ["evicted", "", "", "", "room"],
    );
    assert.equal(budget.counts.evicted, 1);
    for (const { holding } of [large, small, busy, quick, waiting]) holding.close();
    assert.equal(budget.used, 0);
  });

  it("forgets whoever waits and is closed", () => {
    const budget = new MemoryBudget(100 * MIB);
    const [one, two, three] = [open(budget), open(budget), open(budget)];
    one.holding.ask(70 * MIB);
    two.holding.ask(70 * MIB);
    three.holding.ask(20 * MIB);
    two.holding.close();
    one.holding.close();
    assert.deepEqual([two.owner.heard, three.owner.heard, budget.used], [[], ["room"], 20 * MIB]);
    one.holding.add(5);
    assert.equal(budget.used, 20 * MIB, "what is closed counts no more");
    three.holding.close();
  });

  it("asks for garbage to be collected by the bytes that were let go", () => {
    let collections = 0;
    const budget = new MemoryBudget(160 * MIB, () => collections++);
    const { holding } = open(budget);
    holding.discard(9 * MIB);
    assert.equal(collections, 0);
    holding.discard(MIB);
    assert.equal(collections, 1);
    holding.discard(10 * MIB);
    assert.equal(collections, 1, "not again at once");
  });
});

describe("memoryLimit()", () => {
  const withFiles =
    (files: Record<string, string>) =>
    (path: string): string =>
      files[path] ?? "";

  it("takes the least of all groups above the process, of version 2 and 1", () => {
    const two = withFiles({
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/memory.max": "max\n",
      "/sys/fs/cgroup/a/memory.max": "268435456\n",
    });
    assert.deepEqual(memoryLimit(two), { bytes: 256 * MIB, from: "cgroup" });
    const one = withFiles({
      "/proc/self/cgroup": "5:cpu:/x\n4:memory:/pod/c\n0::/\n",
      "/sys/fs/cgroup/memory/pod/c/memory.limit_in_bytes": "134217728\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    });
    assert.deepEqual(memoryLimit(one), { bytes: 128 * MIB, from: "cgroup" });
  });

  it("finds the limit of a container, where the group is the root", () => {
    const inside = withFiles({ "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "1073741824\n" });
    assert.deepEqual(memoryLimit(inside), { bytes: 1024 * MIB, from: "cgroup" });
  });

  it("takes the machine's memory where there is no limit", () => {
    assert.equal(memoryLimit(() => "").from, "machine");
  });

  it("gives sessions a share that leaves room for the process", () => {
    assert.equal(defaultMemoryBudget({ bytes: 1024 * MIB, from: "cgroup" }), Math.floor((928 * MIB) / 3));
    assert.equal(defaultMemoryBudget({ bytes: 64 * MIB, from: "cgroup" }), 16 * MIB);
    assert.equal(defaultMemoryBudget({ bytes: 4096 * MIB, from: "machine" }), 1024 * MIB);
  });
});
