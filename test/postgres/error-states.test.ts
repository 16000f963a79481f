import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_CODES, type ErrorCode, QuerycopError } from "../../src/base/errors.ts";
import { ClientMessageError, ERROR_STATES, sqlStateOf } from "../../src/postgres/error-states.ts";

describe("sqlStateOf()", () => {
  it("has a SQLSTATE of PostgreSQL's classes for every error", () => {
    const classes = ["08", "22", "25", "26", "28", "42", "53", "54", "57", "58", "F0", "XX"];
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const state = sqlStateOf(new QuerycopError(code, "x"));
      assert.match(state, /^[0-9A-Z]{5}$/, code);
      assert.ok(classes.includes(state.slice(0, 2)), `${code}: ${state}`);
    }
    assert.deepEqual(Object.keys(ERROR_STATES), Object.keys(ERROR_CODES));
  });

  it("says what the error itself knows better", () => {
    assert.equal(sqlStateOf(new ClientMessageError("QC_CLIENT_MALFORMED_COMMAND", "22021", "x")), "22021");
  });
});
