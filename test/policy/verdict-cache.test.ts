import assert from "node:assert/strict";
import { test } from "node:test";
import { VerdictCache } from "../../src/policy/verdict-cache.ts";

test("VerdictCache keeps a key from its second offer on", () => {
  const cache = new VerdictCache<number>({ bytesMax: 100_000 });
  cache.offer("a", 1);
  assert.equal(cache.lookUp("a"), undefined);
  cache.offer("a", 1);
  assert.equal(cache.lookUp("a"), 1);
  assert.deepEqual({ hits: cache.counts().hits, misses: cache.counts().misses }, { hits: 1, misses: 1 });
});

test("VerdictCache stays within its bytes whatever is offered", () => {
  const cache = new VerdictCache<number>({ bytesMax: 50_000 });
  for (let index = 0; index < 5_000; index++) {
    const key = `${index}`.padEnd(20 + (index % 200), "x");
    cache.offer(key, index);
    cache.offer(key, index);
    assert.ok(cache.counts().bytes <= 50_000);
  }
  assert.ok(cache.counts().entries > 20);
});

test("VerdictCache keeps what is asked for again and again", () => {
  const cache = new VerdictCache<number>({ bytesMax: 20_000 });
  cache.offer("hot", 1);
  cache.offer("hot", 1);
  for (let index = 0; index < 2_000; index++) {
    assert.equal(cache.lookUp("hot"), 1);
    for (const _ of [0, 1]) cache.offer(`cold ${index}`, index);
  }
});

test("VerdictCache takes no key that is too long, and nothing when it is off", () => {
  const small = new VerdictCache<number>({ bytesMax: 100_000, keyBytesMax: 100 });
  const off = new VerdictCache<number>({ bytesMax: 0 });
  for (const _ of [0, 1]) {
    small.offer("x".repeat(51), 1);
    off.offer("x", 1);
  }
  assert.equal(small.lookUp("x".repeat(51)), undefined);
  assert.equal(off.lookUp("x"), undefined);
});

test("VerdictCache forgets everything on clear()", () => {
  const cache = new VerdictCache<number>({ bytesMax: 100_000 });
  for (const _ of [0, 1]) cache.offer("a", 1);
  cache.clear();
  assert.equal(cache.lookUp("a"), undefined);
  assert.equal(cache.counts().bytes, 0);
});
