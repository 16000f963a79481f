/**
 * Counters, gauges and histograms, and their text for Prometheus. To count is to add to a field: nothing is computed
 * until somebody reads the numbers.
 *
 * SAFETY: the values of a label come from a closed set that is given when the registry is made; every other value counts
 * as "other". So no client can make a series, and no name, text or address can become one.
 */
import { METRICS, type MetricRow, type MetricTable } from "./metric-table.ts";

/** One series of a counter or gauge: `metrics.commands.of("COM_QUERY").value++`. */
export interface Series {
  value: number;
}

/** What a value counts as that is not in its label's set. */
const OTHER = "other";
/** Families with more series than this, and facts, show a series from its first use on; the others all from the start. */
const COMPLETE_SERIES_MAX = 32;

/** The sets of label values that base does not know, by the name the table gives them. */
export type LabelSets = Readonly<Record<string, readonly string[]>>;

export interface HistogramReading {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }

  /** Adds one observation, in the unit of the metric's name. */
  observe(value: number): void {
    const bounds = this.#bounds;
    this.#sum += value;
    this.#count++;
    for (let i = 0; i < bounds.length; i++) {
      if (value > (bounds[i] as number)) continue;
      (this.#counts[i] as number)++;
      return;
    }
  }

  /** As it stands: observations per bucket, not cumulated, those above the last bound left out. */
  get reading(): HistogramReading {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum, count: this.#count };
  }

  render(name: string, labels: string): string {
    const prefix = labels === "" ? "" : `${labels},`;
    let cumulated = 0;
    let text = "";
    for (const [index, bound] of this.#bounds.entries()) {
      cumulated += this.#counts[index] as number;
      text += `${name}_bucket{${prefix}le="${bound}"} ${cumulated}\n`;
    }
    text += `${name}_bucket{${prefix}le="+Inf"} ${this.#count}\n`;
    const suffix = labels === "" ? "" : `{${labels}}`;
    return `${text}${name}_sum${suffix} ${numberText(this.#sum)}\n${name}_count${suffix} ${this.#count}\n`;
  }
}

/** The series of one metric, one for each combination of label values. */
class Family<S> {
  readonly #labelNames: readonly string[];
  readonly #sets: readonly ReadonlySet<string>[];
  readonly #make: () => S;
  readonly #series = new Map<string, S>();
  readonly #labelTexts = new Map<string, string>();
  /** Those of two labels by the first and the second: to join the values costs more than all else here. */
  readonly #pairs = new Map<string, Map<string, S>>();

  constructor(labels: ReadonlyMap<string, readonly string[]>, isInfo: boolean, make: () => S) {
    this.#labelNames = [...labels.keys()];
    this.#sets = [...labels.values()].map((values) => new Set(values));
    this.#make = make;
    const combinations = [...labels.values()].reduce((count, values) => count * values.length, 1);
    if (!isInfo && combinations <= COMPLETE_SERIES_MAX) this.#fill([...labels.values()], []);
  }

  /** The series of these label values, in the order of the table. */
  of(first: string, second?: string): S {
    if (second === undefined) return this.#series.get(first) ?? this.#open([first]);
    return this.#pairs.get(first)?.get(second) ?? this.#openPair(first, second);
  }

  #openPair(first: string, second: string): S {
    const series = this.#open([first, second]);
    // SAFETY: under a value that is not of its label's set nothing is kept, or clients could fill the memory.
    if (this.#sets[0]?.has(first) !== true || this.#sets[1]?.has(second) !== true) return series;
    const ofFirst = this.#pairs.get(first) ?? new Map<string, S>();
    this.#pairs.set(first, ofFirst.set(second, series));
    return series;
  }

  /** Series in the order of their first use, complete families in the order of the table. */
  *entries(): IterableIterator<readonly [labels: string, series: S]> {
    for (const [key, series] of this.#series) yield [this.#labelTexts.get(key) ?? "", series];
  }

  /** Series by the values of their labels, in the order of the table. */
  *byValues(): IterableIterator<readonly [values: readonly string[], series: S]> {
    for (const [key, series] of this.#series) yield [key.split("\n"), series];
  }

  /** A value that is not of the set must not make a series. */
  #open(values: readonly string[]): S {
    const known = this.#labelNames.map((_name, index) => {
      const value = values[index] ?? "";
      return this.#sets[index]?.has(value) === true ? value : OTHER;
    });
    const key = known.join("\n");
    const existing = this.#series.get(key);
    if (existing !== undefined) return existing;
    const series = this.#make();
    this.#series.set(key, series);
    this.#labelTexts.set(key, known.map((value, i) => `${this.#labelNames[i]}="${escapeLabel(value)}"`).join(","));
    return series;
  }

  #fill(sets: readonly (readonly string[])[], values: readonly string[]): void {
    const [next, ...rest] = sets;
    if (next === undefined) this.#open(values);
    else for (const value of next) this.#fill(rest, [...values, value]);
  }
}

type IsLabelled<R extends MetricRow> = R extends { readonly labels: object } ? true : false;
type Single<R extends MetricRow> = R["type"] extends "histogram" ? Histogram : Series;
type Instrument<R extends MetricRow> = IsLabelled<R> extends true ? Family<Single<R>> : Single<R>;
type Instruments = { readonly [K in keyof MetricTable]: Instrument<MetricTable[K]> };

/** All metrics of the process: one object, made once, handed to whoever counts. */
export interface Metrics extends Instruments {
  /** Runs before each reading: for numbers that live elsewhere. */
  onScrape(refresh: () => void): void;
  /** Brings in the numbers that live elsewhere, as each reading does. */
  refresh(): void;
  /** All metrics in the text format 0.0.4. */
  render(): string;
}

/** Makes every metric of the table. Throws when the table names a set of label values that is not in `sets`. */
export function newMetrics(sets: LabelSets): Metrics {
  const refreshers: (() => void)[] = [];
  const made = Object.fromEntries(
    Object.entries<MetricRow>(METRICS).map(([key, row]) => [key, instrumentOf(row, sets)]),
  ) as unknown as Instruments;
  const refreshAll = (): void => {
    for (const refresh of refreshers) refresh();
  };
  return {
    ...made,
    onScrape: (refresh) => {
      refreshers.push(refresh);
    },
    refresh: refreshAll,
    render: () => {
      refreshAll();
      let text = "";
      for (const [key, row] of Object.entries<MetricRow>(METRICS))
        text += renderMetric(row, made[key as keyof MetricTable]);
      return text;
    },
  };
}

function instrumentOf(row: MetricRow, sets: LabelSets): Series | Histogram | Family<Series | Histogram> {
  const bounds = row.buckets;
  const make = bounds === undefined ? (): Series => ({ value: 0 }) : (): Histogram => new Histogram(bounds);
  if (row.labels === undefined) return make();
  const labels = new Map<string, readonly string[]>();
  for (const [label, source] of Object.entries(row.labels)) {
    const values = typeof source === "string" ? sets[source] : source;
    if (values === undefined) throw new Error(`No set of label values is called "${String(source)}"`);
    labels.set(label, values);
  }
  return new Family<Series | Histogram>(labels, row.name.endsWith("_info"), make);
}

function renderMetric(row: MetricRow, instrument: Series | Histogram | Family<Series> | Family<Histogram>): string {
  const { name } = row;
  let text = `# HELP ${name} ${row.help}\n# TYPE ${name} ${row.type}\n`;
  const one = (labels: string, single: Series | Histogram): string => {
    if (single instanceof Histogram) return single.render(name, labels);
    return `${name}${labels === "" ? "" : `{${labels}}`} ${numberText(single.value)}\n`;
  };
  if (!(instrument instanceof Family)) return text + one("", instrument);
  for (const [labels, single] of instrument.entries()) text += one(labels, single);
  return text;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
