import assert from "node:assert/strict";
import { test } from "node:test";
import { ChangeHistory } from "../../../src/server/activity/change-history.ts";
import { SERIES_NAMES, TimeSeries } from "../../../src/server/activity/time-series.ts";
import { newProxyMetrics } from "../../../src/server/metric-labels.ts";

test("counters become rates, histograms means and quantiles of the time between two looks", () => {
  const metrics = newProxyMetrics();
  const series = new TimeSeries(metrics, () => 0);
  metrics.decisions.of("block", "none").value = 100;
  series.sample(0);
  metrics.decisions.of("allow", "none").value = 40;
  metrics.decisions.of("block", "none").value = 110;
  for (let i = 0; i < 100; i++) metrics.responseDuration.observe(i < 90 ? 0.002 : 0.2);
  series.sample(10_000);
  const { values, stepMs } = series.view("hour");
  assert.equal(stepMs, 10_000);
  assert.deepEqual([values.statements, values.blocked, values.warned], [[5], [1], [0]]);
  assert.ok(Math.abs((values.serverUs[0] ?? 0) - 21_800) < 1);
  assert.ok((values.serverP50Us[0] ?? 0) < 2_500);
  assert.ok((values.serverP99Us[0] ?? 0) > 100_000);
});

test("as many values as an hour and a day have are kept, and no more", () => {
  const metrics = newProxyMetrics();
  const series = new TimeSeries(metrics, () => 0);
  for (let step = 0; step < 30_000; step++) {
    metrics.responseRows.value += step;
    series.sample(step * 10_000);
  }
  const [hour, day] = [series.view("hour"), series.view("day")];
  for (const name of SERIES_NAMES) {
    assert.equal(hour.values[name].length, 360);
    assert.equal(day.values[name].length, 288);
  }
  assert.equal(hour.values.rows.at(-1), 2_999.9);
  assert.equal(hour.values.rows[0], 2_964);
});

test("policies are kept with their texts as long as there is room, and what changed nothing is no reload", () => {
  const changes = new ChangeHistory();
  for (let i = 1; i <= 60; i++) {
    changes.addPolicy(
      { outcome: "ok", fromVersion: "a", toVersion: String(i), policyText: "x".repeat(500_000), by: "file" },
      i,
    );
  }
  const { generations } = changes;
  assert.deepEqual([generations.length, generations[0]?.number, generations.at(-1)?.number], [50, 60, 11]);
  assert.equal(generations.filter(({ text }) => text !== undefined).length, 16);
  changes.addReload([{ what: "users", outcome: "unchanged" }], "signal", 0);
  assert.equal(changes.reloads.length, 0);
});
