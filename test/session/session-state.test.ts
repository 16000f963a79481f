import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionState } from "../../src/session/session-state.ts";

test("SessionState.afterKinds() goes by the last statement of a text that locks or unlocks tables", () => {
  const state = new SessionState();
  for (const [kinds, isLocked] of [
    ["lock-tables", true],
    ["select", true],
    ["unlock-tables", false],
    ["unlock-tables,lock-tables", true],
    ["lock-tables,select,unlock-tables", false],
  ] as const) {
    state.afterKinds(kinds);
    assert.equal(state.hasLockedTables, isLocked, kinds);
  }
});

test("SessionState.afterKinds() takes tables neither for locked nor for unlocked by a statement that failed", () => {
  const state = new SessionState();
  state.afterKinds("lock-tables", false);
  assert.equal(state.hasLockedTables, false);
  state.afterKinds("lock-tables", true);
  state.afterKinds("unlock-tables", false);
  assert.equal(state.hasLockedTables, true);
});

test("SessionState.afterKinds() takes the schema for unknown after several statements and a DROP SCHEMA", () => {
  for (const [kinds, isKnown] of [
    [undefined, true],
    ["select", true],
    ["create-table", true],
    ["drop-schema", false],
    ["select,select", false],
  ] as const) {
    const state = new SessionState();
    state.afterKinds(kinds);
    assert.equal(state.isSchemaKnown, isKnown);
  }
});
