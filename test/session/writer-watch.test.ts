import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { newProxyMetrics } from "../../src/server/metric-labels.ts";
import { WriterWatch } from "../../src/session/writer-watch.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { memoryLogger, type ProxyHarness } from "../support/session-harness.ts";

const ONE = "10.0.0.1";
const OTHER = "10.0.0.2";

let clock = new FakeClock();
let metrics = newProxyMetrics();
let log: ProxyHarness["log"] = [];
let watch: WriterWatch;

beforeEach(() => {
  clock = new FakeClock();
  metrics = newProxyMetrics();
  log = [];
  watch = new WriterWatch({ failoverWaitMs: 10_000, clock, logger: memoryLogger(log), metrics });
});

/** Counts how often it was told to leave. */
const member = () => {
  const it = { left: 0, leave: () => void it.left++ };
  return it;
};

describe("WriterWatch", () => {
  it("believes an answer for a second and of its own address alone", () => {
    watch.learn(ONE, true);
    assert.deepEqual([watch.isWriter(ONE), watch.isWriter(OTHER)], [true, false]);
    clock.advance(999);
    assert.equal(watch.isWriter(ONE), true);
    clock.advance(1);
    assert.equal(watch.isWriter(ONE), false);
  });

  it("lets one of those that ask about a reader go and see, once a second", () => {
    watch.learn(ONE, false);
    assert.equal(watch.isAvoided(ONE), true);
    assert.equal(watch.isAvoided(OTHER), false);
    clock.advance(1000);
    assert.deepEqual([watch.isAvoided(ONE), watch.isAvoided(ONE)], [false, true]);
    clock.advance(1000);
    assert.deepEqual([watch.isAvoided(ONE), watch.isAvoided(ONE)], [false, true]);
    watch.learn(ONE, true);
    assert.equal(watch.isAvoided(ONE), false);
  });

  it("tells those on an address that it has become a reader, and counts and logs it once", () => {
    const [here, gone, elsewhere] = [member(), member(), member()];
    watch.join(ONE, here);
    watch.join(ONE, gone);
    watch.join(OTHER, elsewhere);
    watch.part(ONE, gone);
    watch.learn(ONE, true);
    assert.equal(here.left, 0);
    watch.learn(ONE, false);
    watch.learn(ONE, false);
    assert.deepEqual([here.left > 0, gone.left, elsewhere.left], [true, 0, 0]);
    assert.equal(metrics.backendDemotions.value, 1);
    watch.learn(ONE, true);
    assert.deepEqual(
      log.map(({ level, event, fields }) => ({ level, event, fields })),
      [
        { level: "warn", event: "backend is a reader", fields: { backend: ONE, sessions: 1 } },
        { level: "info", event: "backend takes writes again", fields: { backend: ONE } },
      ],
    );
  });

  it("tells who joins a reader that was found in the meantime, and nobody later", () => {
    watch.learn(ONE, false);
    const [early, late] = [member(), member()];
    watch.join(ONE, early);
    clock.advance(1000);
    watch.join(ONE, late);
    assert.deepEqual([early.left, late.left], [1, 0]);
  });

  it("takes a failover for under way as long as a login would wait", () => {
    assert.equal(watch.isTurning, false);
    watch.learn(ONE, false);
    clock.advance(9_999);
    assert.equal(watch.isTurning, true);
    clock.advance(1);
    assert.equal(watch.isTurning, false);
  });

  it("remembers 64 addresses", () => {
    for (let index = 0; index < 65; index++) watch.learn(`10.0.1.${index}`, true);
    assert.equal(watch.isWriter("10.0.1.0"), false);
    assert.equal(watch.isWriter("10.0.1.1"), true);
  });
});
