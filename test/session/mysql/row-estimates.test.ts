import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RowEstimates, rowsOf } from "../../../src/session/mysql/statements/row-estimates.ts";

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
    assert.equal(rowsOf(Array.from({ length: 60 }, () => step("1", "18446744073709551615"))), Number.MAX_SAFE_INTEGER);
  });

  it("is unknown where the plan is none that can be read", () => {
    const plans: readonly (readonly ReadonlyMap<string, string | undefined>[])[] = [
      [],
      [new Map([["EXPLAIN", "-> Rows fetched before execution"]])],
      [new Map([["rows", "many"]])],
      [
        new Map([["rows", "3"]]),
        new Map([
          ["rows", "4"],
          ["filtered", "some"],
        ]),
      ],
    ];
    for (const plan of plans) assert.equal(rowsOf(plan), undefined);
  });
});

describe("RowEstimates", () => {
  it("keeps an estimate for ten seconds", () => {
    const estimates = new RowEstimates();
    assert.equal(estimates.find("a", 1_000), undefined);
    estimates.keep("a", 7, 1_000);
    assert.equal(estimates.find("a", 10_999), 7);
    assert.equal(estimates.find("a", 11_000), undefined);
    assert.equal(estimates.find("b", 1_000), undefined);
  });

  it("keeps the newest 512, and an estimate that is made again counts as new", () => {
    const estimates = new RowEstimates();
    for (let made = 0; made < 512; made++) estimates.keep(String(made), made, 0);
    estimates.keep("0", 1_000, 0);
    assert.equal(estimates.find("1", 0), 1);
    estimates.keep("new", 5, 0);
    assert.equal(estimates.find("0", 0), 1_000);
    assert.equal(estimates.find("1", 0), undefined);
    assert.equal(estimates.find("2", 0), 2);
  });
});
