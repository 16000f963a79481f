import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { rowsOf } from "../../src/session/row-estimates.ts";

describe("rowsOf()", () => {
  it("is the most rows that a step of the plan goes through", () => {
    const step = (id: string | undefined, rows: string | undefined, filtered?: string) =>
      new Map<string, string | undefined>([
        ["id", id],
        ["rows", rows],
        ...(filtered === undefined ? [] : [["filtered", filtered] as const]),
      ]);
    assert.equal(rowsOf([step("1", "1000", "10.00"), step("1", "5", "100.00")]), 1000);
    assert.equal(rowsOf([step("1", "1000", "100.00"), step("1", "5", "100.00")]), 5000);
    assert.equal(rowsOf([step("1", "1000"), step("1", "5")]), 5000, "MariaDB has no column filtered");
    assert.equal(rowsOf([step("1", "10", "100.00"), step("2", "70", "1.00"), step(undefined, undefined)]), 70);
    assert.equal(rowsOf([step("1", undefined)]), 0, "impossible WHERE");
    assert.equal(rowsOf([]), 0);
    assert.equal(rowsOf(Array.from({ length: 60 }, () => step("1", "18446744073709551615"))), Number.MAX_SAFE_INTEGER);
  });
});
