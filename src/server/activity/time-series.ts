/** The process's numbers over time, kept in memory: ten seconds apart for an hour, five minutes apart for a day. */
import type { HistogramReading, Metrics } from "../../base/metrics.ts";

/** Rates are per second. Durations are in microseconds; 0 where nothing happened. */
export const SERIES_NAMES = [
  "statements",
  "warned",
  "blocked",
  "held",
  "judgeUs",
  "judgeP99Us",
  "recordUs",
  "serverUs",
  "serverP50Us",
  "serverP99Us",
  "rows",
  "bytesToClient",
  "bytesToBackend",
  "sessions",
  "approvalsPending",
  "auditBytes",
  "cpu",
  "memoryBytes",
] as const;

export type SeriesName = (typeof SERIES_NAMES)[number];
type Values = Record<SeriesName, number>;

export const SAMPLE_MS = 10_000;
const FINE = { stepMs: SAMPLE_MS, points: 360 };
const COARSE = { stepMs: 300_000, points: 288 };

/** The last values of every series, in place of the oldest. */
class Ring {
  readonly stepMs: number;
  readonly #points: number;
  readonly #values: Float64Array;
  #length = 0;
  #next = 0;
  #newestMs = 0;

  constructor({ stepMs, points }: { readonly stepMs: number; readonly points: number }) {
    this.stepMs = stepMs;
    this.#points = points;
    this.#values = new Float64Array(points * SERIES_NAMES.length);
  }

  push(values: Values, atMs: number): void {
    for (const [index, name] of SERIES_NAMES.entries()) {
      this.#values[this.#next * SERIES_NAMES.length + index] = values[name];
    }
    this.#next = (this.#next + 1) % this.#points;
    this.#length = Math.min(this.#points, this.#length + 1);
    this.#newestMs = atMs;
  }

  get newestMs(): number {
    return this.#newestMs;
  }

  /** Oldest first. */
  read(name: SeriesName): number[] {
    const index = SERIES_NAMES.indexOf(name);
    const first = this.#next - this.#length + this.#points;
    return Array.from(
      { length: this.#length },
      (_, i) => this.#values[((first + i) % this.#points) * SERIES_NAMES.length + index] as number,
    );
  }
}

export interface SeriesView {
  readonly stepMs: number;
  /** When the newest value was taken, RFC 3339. */
  readonly newest: string;
  /** Oldest first, all of the same length. */
  readonly values: Readonly<Record<SeriesName, readonly number[]>>;
}

export class TimeSeries {
  readonly #metrics: Metrics;
  /** Bytes the audit log has written since the start. */
  readonly #auditBytes: () => number;
  readonly #fine = new Ring(FINE);
  readonly #coarse = new Ring(COARSE);
  #before: Reading | undefined;
  #coarseBefore: Reading | undefined;

  constructor(metrics: Metrics, auditBytes: () => number) {
    this.#metrics = metrics;
    this.#auditBytes = auditBytes;
  }

  /** To be called every SAMPLE_MS. */
  sample(nowMs: number): void {
    this.#metrics.refresh();
    const reading = readingOf(this.#metrics, this.#auditBytes(), nowMs);
    if (this.#before !== undefined) this.#fine.push(valuesBetween(this.#before, reading), nowMs);
    this.#before = reading;
    this.#coarseBefore ??= reading;
    if (nowMs - this.#coarseBefore.atMs < COARSE.stepMs) return;
    this.#coarse.push(valuesBetween(this.#coarseBefore, reading), nowMs);
    this.#coarseBefore = reading;
  }

  view(range: "hour" | "day"): SeriesView {
    const ring = range === "hour" ? this.#fine : this.#coarse;
    const values = Object.fromEntries(SERIES_NAMES.map((name) => [name, ring.read(name)])) as unknown as Record<
      SeriesName,
      readonly number[]
    >;
    return { stepMs: ring.stepMs, newest: new Date(ring.newestMs).toISOString(), values };
  }
}

interface Reading {
  readonly atMs: number;
  readonly decisions: Readonly<Record<string, number>>;
  readonly judge: HistogramReading;
  readonly record: HistogramReading;
  readonly response: HistogramReading;
  readonly rows: number;
  readonly toClient: number;
  readonly toBackend: number;
  readonly sessions: number;
  readonly approvalsPending: number;
  readonly auditBytes: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

function readingOf(metrics: Metrics, auditBytes: number, atMs: number): Reading {
  const decisions: Record<string, number> = {};
  for (const [[action = ""], { value }] of metrics.decisions.byValues()) {
    decisions[action] = (decisions[action] ?? 0) + value;
  }
  return {
    atMs,
    decisions,
    judge: metrics.proxyOverhead.of("judge").reading,
    record: metrics.proxyOverhead.of("record").reading,
    response: metrics.responseDuration.reading,
    rows: metrics.responseRows.value,
    toClient: metrics.relayedBytes.of("to_client").value,
    toBackend: metrics.relayedBytes.of("to_backend").value,
    sessions: metrics.clientConnections.value,
    approvalsPending: metrics.approvalsPending.value,
    auditBytes,
    cpuSeconds: metrics.processCpu.value,
    memoryBytes: metrics.processMemory.value,
  };
}

function valuesBetween(before: Reading, now: Reading): Values {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
  const rate = (after: number, earlier: number): number => Math.max(0, after - earlier) / seconds;
  const decided = (action: string): number => rate(now.decisions[action] ?? 0, before.decisions[action] ?? 0);
  const all = Object.keys(now.decisions).reduce((sum, action) => sum + decided(action), 0);
  return {
    statements: all,
    warned: decided("warn"),
    blocked: decided("block"),
    held: decided("require-approval"),
    judgeUs: meanUs(before.judge, now.judge),
    judgeP99Us: quantileUs(before.judge, now.judge, 0.99),
    recordUs: meanUs(before.record, now.record),
    serverUs: meanUs(before.response, now.response),
    serverP50Us: quantileUs(before.response, now.response, 0.5),
    serverP99Us: quantileUs(before.response, now.response, 0.99),
    rows: rate(now.rows, before.rows),
    bytesToClient: rate(now.toClient, before.toClient),
    bytesToBackend: rate(now.toBackend, before.toBackend),
    sessions: now.sessions,
    approvalsPending: now.approvalsPending,
    auditBytes: rate(now.auditBytes, before.auditBytes),
    cpu: rate(now.cpuSeconds, before.cpuSeconds),
    memoryBytes: now.memoryBytes,
  };
}

function meanUs(before: HistogramReading, now: HistogramReading): number {
  const count = now.count - before.count;
  return count <= 0 ? 0 : ((now.sum - before.sum) / count) * 1e6;
}

/** By straight lines within a bucket, as Prometheus' histogram_quantile() has it. */
function quantileUs(before: HistogramReading, now: HistogramReading, share: number): number {
  const count = now.count - before.count;
  if (count <= 0) return 0;
  const wanted = count * share;
  let passed = 0;
  let lower = 0;
  for (const [index, bound] of now.bounds.entries()) {
    const inside = (now.counts[index] ?? 0) - (before.counts[index] ?? 0);
    if (inside > 0 && passed + inside >= wanted) return (lower + (bound - lower) * ((wanted - passed) / inside)) * 1e6;
    passed += inside;
    lower = bound;
  }
  return lower * 1e6;
}
