import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Pace } from "../../src/base/pace.ts";

/** The most moments in any span of one second. */
function mostInOneSecond(moments: readonly number[]): number {
  const sorted = [...moments].sort((a, b) => a - b);
  let most = 0;
  let first = 0;
  for (const [last, moment] of sorted.entries()) {
    while (moment - (sorted[first] ?? 0) >= 1000) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

test("Pace keeps any second below the sum of rate and burst, whatever comes", () => {
  const arrivals = fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 1, max: 300 })), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(arrivals, (waves) => {
      const pace = new Pace({ perSecond: 150, burst: 40, waitMsMax: 5000 });
      let nowMs = 7;
      const taken: number[] = [];
      for (const [gapMs, count] of waves) {
        nowMs += gapMs;
        for (let i = 0; i < count; i++) {
          const waitMs = pace.reserve(nowMs);
          if (waitMs !== undefined) taken.push(nowMs + waitMs);
        }
      }
      assert.ok(mostInOneSecond(taken) <= 190, String(mostInOneSecond(taken)));
    }),
    { numRuns: 300 },
  );
});

test("Pace lets a burst through at once and spreads the rest", () => {
  const pace = new Pace({ perSecond: 100, burst: 3, waitMsMax: 25 });
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map(() => pace.reserve(0)),
    [0, 0, 0, 10, 20, undefined],
  );
  assert.equal(pace.reserve(10), 20, "what is turned away takes no place");
  assert.equal(pace.reserve(1000), 0);
});
