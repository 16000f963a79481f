/**
 * Tables found in statements, measured on corpora: `bun bench/tables.ts <folder> [--show=<source>]`. Reads tables*.jsonl.gz, one
 * JSON object {src, sql, tables, cte} per line, where `tables` is what another grammar found. Prints, per source, how many
 * statements have exactly these tables, fewer or more, and how many are understood. Nothing of the texts is kept.
 *
 * Exits with 1 when traffic of ORMs has less than 99.5 % exact or one table too few, or less than 99.5 % of the benign
 * corpora (benign*.jsonl.gz) is understood.
 */
import { contextFor } from "../src/policy/tools/tool-context.ts";
import type { Analysis } from "../src/sql/facts.ts";
import { analyze } from "../src/sql/mysql/analyze.ts";
import { readSamples, type Sample } from "./corpus.ts";

interface TableSample extends Sample {
  /** "schema.table" or "table". */
  readonly tables?: readonly string[];
  readonly cte?: readonly string[];
}

/** Sources that are recorded traffic of applications and tools; the others are test suites of parsers and servers. */
const ORM_SOURCES: ReadonlySet<string> = new Set(["benign_django", "benign_node", "benign_sqlalchemy", "bitrix"]);
const SHARE_MIN = 99.5;
const SHOWN_MAX = 40;

const context = contextFor({});
const encoder = new TextEncoder();

/** The last part of each name: the grammar has no schema of its own. */
function lastParts(names: Iterable<string>): Set<string> {
  const parts = new Set<string>();
  for (const name of names) parts.add((name.split(".").at(-1) ?? "").replaceAll("`", "").toLowerCase());
  return parts;
}

function tablesFound(analysis: Analysis): Set<string> {
  const found = new Set<string>();
  for (const { tablesRead, tablesWritten } of analysis.statements) {
    for (const { table } of [...tablesRead, ...tablesWritten]) found.add(table.toLowerCase());
  }
  return found;
}

class Row {
  samples = 0;
  exact = 0;
  under = 0;
  over = 0;
  understood = 0;

  add(missing: number, surplus: number, isUnderstood: boolean): void {
    this.samples++;
    if (missing > 0) this.under++;
    else if (surplus > 0) this.over++;
    else this.exact++;
    if (isUnderstood) this.understood++;
  }

  share(count: number): number {
    return this.samples === 0 ? 100 : (100 * count) / this.samples;
  }

  print(name: string): void {
    const shares = [this.exact, this.under, this.over, this.understood].map((count) =>
      this.share(count).toFixed(2).padStart(12),
    );
    console.log(`${name.padEnd(28)}${String(this.samples).padStart(8)}${shares.join("")}`);
  }
}

function measureTables(folder: string, show: string | undefined): Row {
  const rows = new Map<string, Row>();
  const orm = new Row();
  let shown = 0;
  for (const { src, sql, tables = [], cte = [] } of readSamples<TableSample>(folder, "tables")) {
    const analysis = analyze(encoder.encode(sql), context);
    const found = tablesFound(analysis);
    const named = lastParts(cte);
    const wanted = lastParts(tables);
    const missing = [...wanted].filter((name) => !found.has(name) && !named.has(name) && name !== "dual");
    const surplus = [...found].filter((name) => !wanted.has(name) && name !== "dual");
    const row = rows.get(src) ?? new Row();
    rows.set(src, row);
    row.add(missing.length, surplus.length, analysis.understood);
    if (ORM_SOURCES.has(src)) orm.add(missing.length, surplus.length, analysis.understood);
    if (show === undefined || !src.includes(show) || missing.length + surplus.length === 0) continue;
    if (shown++ < SHOWN_MAX) console.log(`  -[${missing}] +[${surplus}] ${JSON.stringify(sql.slice(0, 200))}`);
  }
  const titles = ["exact", "too few", "too many", "understood"].map((title) => title.padStart(12)).join("");
  console.log(`${"source".padEnd(28)}${"n".padStart(8)}${titles}  (% of statements)`);
  for (const [name, row] of [...rows].sort(([left], [right]) => (left < right ? -1 : 1))) row.print(name);
  orm.print("all ORM traffic");
  return orm;
}

function measureUnderstood(folder: string): Row {
  const all = new Row();
  for (const { sql } of readSamples(folder, "benign")) {
    all.add(0, 0, analyze(encoder.encode(sql), context).understood);
  }
  console.log(`\nbenign statements understood: ${all.understood} of ${all.samples}`);
  return all;
}

function main(args: readonly string[]): void {
  const folder = args.find((argument) => !argument.startsWith("--"));
  if (folder === undefined) {
    console.error("usage: bun bench/tables.ts <corpora folder> [--show=<source>]");
    process.exitCode = 2;
    return;
  }
  const show = args.find((argument) => argument.startsWith("--show="))?.slice("--show=".length);
  const orm = measureTables(folder, show);
  const benign = measureUnderstood(folder);
  const isGood = orm.share(orm.exact) >= SHARE_MIN && orm.under === 0 && benign.share(benign.understood) >= SHARE_MIN;
  if (!isGood) process.exitCode = 1;
}

main(process.argv.slice(2));
