import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { METRICS, type MetricRow } from "../../src/base/metric-table.ts";
import { newMetrics } from "../../src/base/metrics.ts";
import { newProxyMetrics } from "../../src/server/metric-labels.ts";
import { assertGolden } from "../config/golden.ts";

const BUILD = { version: "1.2.3", commit: "abcdef0", adminRoutes: ["/sessions"] };
const LISTENERS = [{ name: 'of "\\ two\nlines', backend: { role: "writer" } }];

function seriesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** The value of one series. */
function readSeries(text: string, series: string): number {
  const line = seriesOf(text).find((candidate) => candidate.startsWith(`${series} `));
  assert.ok(line !== undefined, `${series} is not there`);
  return Number(line.slice(series.length + 1));
}

test("/metrics has this text", () => {
  const metrics = newProxyMetrics({ ...BUILD, listeners: LISTENERS });
  metrics.buildInfo.of("1.2.3", "abcdef0").value = 1;
  metrics.listenerInfo.of(LISTENERS[0]?.name ?? "", "writer").value = 1;
  metrics.commands.of("COM_QUERY").value += 3;
  metrics.decisions.of("block", "file.out").value++;
  metrics.adminRequests.of("/sessions", "2xx").value++;
  metrics.backendConnectDuration.observe(0.0025);
  metrics.backendConnectDuration.observe(0.3);
  metrics.backendConnectDuration.observe(1000);
  metrics.processMemory.value = 123_456_789_012;
  assertGolden("metrics.txt", metrics.render());
});

test("every line is of the text format 0.0.4, and every metric has help and type once", () => {
  const text = newProxyMetrics().render();
  const sample = /^[a-z][a-z0-9_]*(\{([a-z_]+="(\\[\\"n]|[^\\"\n])*",?)+\})? (\+Inf|-Inf|NaN|-?[0-9.e+-]+)$/;
  for (const line of seriesOf(text)) assert.match(line, sample);
  const heads = text.split("\n").filter((line) => line.startsWith("# TYPE"));
  assert.equal(heads.length, Object.keys(METRICS).length);
  assert.equal(new Set(heads).size, heads.length);
});

test("names keep to Prometheus' conventions", () => {
  for (const { name, type, help, labels } of Object.values<MetricRow>(METRICS)) {
    assert.match(name, /^(querycop|process)_[a-z_]+$/, name);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    if (type === "histogram") assert.match(name, /_seconds$/, name);
    assert.doesNotMatch(help, /[\n\\]|\.$/, name);
    for (const label of Object.keys(labels ?? {})) assert.doesNotMatch(label, /user|schema|digest|sql|address/, name);
  }
});

test("a histogram counts a value in the bucket whose bound it equals, and above all bounds in +Inf alone", () => {
  const metrics = newProxyMetrics();
  for (const value of [0.001, 0.0011, 61]) metrics.responseDuration.observe(value);
  const text = metrics.render();
  const bucket = (bound: string): number =>
    readSeries(text, `querycop_response_duration_seconds_bucket{le="${bound}"}`);
  assert.deepEqual(["0.001", "0.0025", "60", "+Inf"].map(bucket), [1, 2, 2, 3]);
  assert.equal(readSeries(text, "querycop_response_duration_seconds_count"), 3);
});

test("100 000 names that are in no set make one series, other, in each metric with labels", () => {
  const metrics = newProxyMetrics();
  const families = [metrics.commands, metrics.sessionsClosed, metrics.tokenMintFailures, metrics.notUnderstood];
  for (const family of families) family.of("first stranger").value++;
  metrics.decisions.of("stranger", "stranger").value++;
  metrics.handshakeDuration.of("stranger").observe(1);
  const before = seriesOf(metrics.render()).length;
  for (let i = 0; i < 100_000; i++) {
    const name = randomBytes(9).toString("base64");
    for (const family of families) family.of(name).value++;
    metrics.decisions.of(name, name).value++;
    metrics.handshakeDuration.of(name).observe(1);
  }
  const text = metrics.render();
  assert.equal(seriesOf(text).length, before);
  assert.equal(readSeries(text, 'querycop_commands_total{command="other"}'), 100_001);
  assert.equal(readSeries(text, 'querycop_decisions_total{action="other",rule="other"}'), 100_001);
});

test("one unknown value leaves the other label as it is", () => {
  const metrics = newProxyMetrics();
  metrics.decisions.of("allow", "no.such.rule").value++;
  assert.equal(readSeries(metrics.render(), 'querycop_decisions_total{action="allow",rule="other"}'), 1);
});

test("a number that lives elsewhere is read when it is asked for", () => {
  const metrics = newProxyMetrics();
  let now = 1;
  metrics.onScrape(() => {
    metrics.clientConnections.value = now;
  });
  assert.equal(readSeries(metrics.render(), "querycop_client_connections"), 1);
  now = 2;
  assert.equal(readSeries(metrics.render(), "querycop_client_connections"), 2);
});

test("a table that names a set nobody gave does not start", () => {
  assert.throws(() => newMetrics({}), /No set of label values is called/);
});
