import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { RollingWindow } from "../../src/session/limits/rolling-window.ts";

describe("RollingWindow", () => {
  it("counts a thing for 60 to 61 seconds", () => {
    const window = new RollingWindow();
    window.add(5, 10_999);
    assert.equal(window.amountAt(10_999), 5);
    assert.equal(window.amountAt(70_999), 5);
    assert.equal(window.amountAt(71_000), 0);
  });

  it("says in how many seconds at most that much is left", () => {
    const window = new RollingWindow();
    window.add(5, 10_000);
    window.add(3, 20_000);
    assert.equal(window.secondsUntil(3, 20_000), 51);
    assert.equal(window.secondsUntil(2, 20_000), 61);
    assert.equal(window.secondsUntil(8, 20_000), 1);
    assert.equal(window.secondsUntil(0, 80_000), 1);
  });

  it("has what was added in the last 61 seconds begun, whatever the times", () => {
    const steps = fc.array(fc.record({ amount: fc.nat(100), passedMs: fc.nat(90_000) }), { maxLength: 40 });
    const holds = (all: readonly { amount: number; passedMs: number }[]): void => {
      const window = new RollingWindow();
      const added: { amount: number; second: number }[] = [];
      let nowMs = 1_000_000;
      for (const { amount, passedMs } of all) {
        nowMs += passedMs;
        const now = Math.floor(nowMs / 1000);
        window.add(amount, nowMs);
        added.push({ amount, second: now });
        const at = (second: number): number =>
          added.reduce((sum, each) => sum + (second - each.second <= 60 ? each.amount : 0), 0);
        assert.equal(window.amountAt(nowMs), at(now));
        const wanted = Math.floor(at(now) / 2);
        const ahead = Array.from({ length: 61 }, (_, index) => index + 1).find((each) => at(now + each) <= wanted);
        assert.equal(window.secondsUntil(wanted, nowMs), ahead);
      }
    };
    fc.assert(fc.property(steps, holds), { numRuns: 200 });
  });
});
