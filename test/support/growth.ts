import assert from "node:assert/strict";

/** A busy machine only ever adds to what a run takes, so that the least of some is the work's own. */
const ROUNDS = 12;
/** Below this the clock and the collector tell more than the work. */
const LEAST_MS = 5;

/**
 * Asserts that `work` of size `to` takes less than `most` times as long as of size `from`. Both are run in turns, again and
 * again until that shows or the rounds are over: what grows faster shows in no round. Choose `most` well above `to / from`
 * and well below its square.
 */
export function assertGrowth(
  label: string,
  sizes: { readonly from: number; readonly to: number; readonly most: number },
  work: (size: number) => void,
): void {
  const least = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY };
  const timed = (size: number): number => {
    const beganMs = performance.now();
    work(size);
    return performance.now() - beganMs;
  };
  for (let round = 0; round < ROUNDS; round++) {
    least.from = Math.min(least.from, timed(sizes.from));
    least.to = Math.min(least.to, timed(sizes.to));
    if (least.to < sizes.most * Math.max(least.from, LEAST_MS)) return;
  }
  assert.fail(
    `${label}: ${least.from.toFixed(1)} ms for ${sizes.from} and ${least.to.toFixed(1)} ms for ${sizes.to}, the least of ${ROUNDS} rounds`,
  );
}
