import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { permitOf } from "../../../src/session/postgres/backend-permit.ts";

describe("a permit to send to a PostgreSQL", () => {
  test("is what was decided", () => {
    for (const action of ["allow", "warn", "require-approval"] as const) {
      assert.deepEqual(permitOf({ action, decisionId: "d1" }), { kind: "decision", decisionId: "d1", action });
    }
  });

  test("is never got for what was blocked", () => {
    assert.throws(() => permitOf({ action: "block", decisionId: "d1" }), /blocked statement of decision d1/);
  });
});
