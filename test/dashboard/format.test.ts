import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, count, countdown, duration, span } from "../../src/dashboard/format.ts";

test("count() and bytes() fit into a cell and say no digit that is none", () => {
  assert.deepEqual([0, 7, 0.7, 999, 1000, 1049, 1250, 9949, 9960, 243_000, 1e6, 1.5e9].map(count), [
    "0",
    "7",
    "0.7",
    "999",
    "1k",
    "1k",
    "1.3k",
    "9.9k",
    "10k",
    "243k",
    "1M",
    "1.5G",
  ]);
  assert.equal(count(Number.NaN), "–");
  assert.deepEqual([512, 1000, 243_000].map(bytes), ["512 B", "1 kB", "243 kB"]);
});

test("duration(), span(), countdown() and ago() say how long", () => {
  assert.deepEqual([4, 437, 6200, 71_000, 1.5e6, 95e6].map(duration), [
    "4.0 µs",
    "437 µs",
    "6.2 ms",
    "71 ms",
    "1.5 s",
    "1 min",
  ]);
  assert.deepEqual([45, 180, 7500, 356_400].map(span), ["45 s", "3 min", "2 h 5 min", "4 d 3 h"]);
  assert.deepEqual([245_000, 56_100, -5].map(countdown), ["4:05", "0:57", "0:00"]);
  assert.deepEqual(
    [1_000, 56_000, -240_000].map((ms) => ago(100_000_000 + ms, 100_000_000)),
    ["just now", "in 56 s", "4 min ago"],
  );
});
