import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResponseEnd } from "../../../src/mysql/response.ts";
import type { SessionEffect } from "../../../src/policy/session-effect.ts";
import { SessionState } from "../../../src/session/mysql/session-state.ts";

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

const KNOWN = { sqlMode: "", characterSet: "utf8mb4", connectionCharacterSet: "utf8mb4" };

function trackedState(): SessionState {
  const state = new SessionState();
  state.setVariables(KNOWN);
  state.setSchema("app");
  state.isTracked = true;
  state.needsProbe = false;
  state.afterResponse(end());
  return state;
}

function end(reported: Record<string, string> = {}, more: Partial<ResponseEnd> = {}): ResponseEnd {
  const systemVariables = new Map(Object.entries(reported));
  return { outcome: "ok", affectedRows: 0, statusFlags: 2, sessionState: { systemVariables }, ...more } as ResponseEnd;
}

test("SessionState.afterStatement() believes what the answer itself has reported", () => {
  const state = trackedState();
  state.afterStatement(end({ sql_mode: "ANSI_QUOTES" }), "sets sql_mode");
  state.afterStatement(
    end({ character_set_client: "gbk", character_set_connection: "gbk" }),
    "sets charset connection",
  );
  state.afterStatement(end({ COLLATION_CONNECTION: "latin1_bin" }), "sets connection");
  const { sqlMode, characterSet, connectionCharacterSet, schema } = state.variables;
  assert.deepEqual([sqlMode, characterSet, connectionCharacterSet, schema], ["ANSI_QUOTES", "gbk", "latin1", "app"]);
  assert.equal(state.needsProbe, false);
});

const DOUBTS: readonly (readonly [why: string, end: ResponseEnd, effect: SessionEffect])[] = [
  ["nothing is reported", end(), "sets sql_mode"],
  ["something else is reported", end({ sql_mode: "" }), "sets charset sql_mode"],
  ["the statement failed", end({ sql_mode: "" }, { outcome: "err" }), "sets sql_mode"],
  ["anything may have been set", end({ sql_mode: "" }), "opaque"],
  ["charset and collation differ", end({ character_set_connection: "gbk", collation_connection: "swe7_bin" }), "none"],
  ["the list of what is reported lacks a name", end({ session_track_system_variables: "sql_mode" }), "none"],
  ["a flag changes without a report", end({}, { statusFlags: 0x202 }), "none"],
];

for (const [why, answer, effect] of DOUBTS) {
  test(`SessionState.afterStatement() knows nothing any more where ${why}`, () => {
    const state = trackedState();
    state.afterStatement(answer, effect);
    const { schema, sqlMode } = state.variables;
    assert.deepEqual(
      [schema, sqlMode, state.isReadingKnown, state.isSchemaKnown],
      [undefined, "unknown", false, false],
    );
    assert.equal(state.needsProbe, true);
  });
}

test("SessionState.afterStatement() asks for what a server without tracking does not report", () => {
  const state = trackedState();
  state.isTracked = false;
  state.afterStatement(end({ sql_mode: "" }), "none");
  assert.equal(state.needsProbe, false);
  state.afterStatement(end({ sql_mode: "" }), "sets sql_mode");
  assert.equal(state.needsProbe, true);
});
