import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { recordBestEffort } from "../../src/audit/best-effort.ts";

test("recordBestEffort() survives a record that fails at once or later", async () => {
  let calls = 0;
  const later = Promise.reject(new Error("later"));
  for (const outcome of [() => undefined, () => Promise.resolve(), () => later]) {
    recordBestEffort(() => {
      calls++;
      return outcome();
    });
  }
  recordBestEffort(() => {
    calls++;
    throw new Error("at once");
  });
  // A rejection that nobody has taken would end the test run here.
  await nextTurn();
  assert.equal(calls, 4);
});
