import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenFiles, sideConnectionsMax } from "../../src/server/open-files.ts";

/** With a limit of 256 the last 40 are for what is no client, and the last 20 of them not even for a refusal. */
function stand(limit: number | undefined = 256): {
  files: OpenFiles;
  state: { open: number; counts: number; nowMs: number };
} {
  const state = { open: 50, counts: 0, nowMs: 0 };
  const count = (): number => {
    state.counts++;
    return state.open;
  };
  return { files: new OpenFiles(limit, count, () => state.nowMs), state };
}

test("OpenFiles takes clients in until the reserve is touched, counting only when it matters", () => {
  const { files, state } = stand();
  let taken = 0;
  while (files.admit(2) === "enough") taken++;
  assert.equal(taken, (256 - 40 - 50) / 2 - 1);
  assert.equal(state.counts, 1);
});

test("OpenFiles refuses nobody for clients that have come and gone", () => {
  const { files, state } = stand();
  for (let client = 0; client < 1000; client++) {
    assert.equal(files.admit(2), "enough");
    state.nowMs += 25;
  }
  assert.ok(state.counts < 20, "it asks as rarely as it can");
});

test("OpenFiles believes the system's number rather than its own", () => {
  const { files, state } = stand();
  while (files.admit(2) === "enough");
  state.nowMs += 1000;
  assert.equal(files.admit(2), "enough");
  state.open = 230;
  while (files.admit(2) === "enough");
  state.nowMs += 1000;
  assert.equal(files.admit(2), "few");
  state.open = 240;
  state.nowMs += 1000;
  assert.equal(files.admit(2), "none");
});

test("OpenFiles does not ask the system at each client of a crowd", () => {
  const { files, state } = stand();
  state.open = 250;
  for (let client = 0; client < 100; client++) assert.equal(files.admit(2), "none");
  assert.equal(state.counts, 1);
});

test("OpenFiles knows no bound where the system tells none", () => {
  const files = new OpenFiles(Number.MAX_SAFE_INTEGER, () => assert.fail("asked"));
  assert.equal(files.admit(2), "enough");
});

test("sideConnectionsMax() takes half of what is kept for what is no client, and never none", () => {
  assert.deepEqual(
    [8, 64, 256, 1024, 65_536, undefined].map((limit) => sideConnectionsMax(limit)),
    [1, 4, 10, 16, 16, 16],
  );
});
