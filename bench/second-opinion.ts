/**
 * The second opinion measured on corpora: `bun bench/second-opinion.ts <folder>`. Reads benign*.jsonl.gz and tables*.jsonl.gz
 * (one JSON object {src, sql} per line) and prints, per source, how often the parser agrees and differs, and how many
 * statements reach 25 points only because of it. Exits with 1 when one does. Nothing of the texts is kept.
 */
import { decide, decideWithAdvice } from "../src/policy/decide.ts";
import { DEFAULT_POLICY } from "../src/policy/policy.ts";
import { contextFor, subjectFor } from "../src/policy/tools/tool-context.ts";
import { analyze } from "../src/sql/mysql/analyze.ts";
import type { Advice } from "../src/sql/second-opinion/advice.ts";
import { SecondOpinion } from "../src/sql/second-opinion/second-opinion.ts";
import { readSamples } from "./corpus.ts";

/** What decides is the medium level: nothing below it is ever shown to anybody. */
const MEDIUM = 25;
const OUTCOMES = ["agrees", "disagrees", "refused", "skipped", "timeout", "busy"] as const;

const context = contextFor({});
const subject = subjectFor({});
const encoder = new TextEncoder();

class Row {
  readonly counts = new Map<Advice["outcome"], number>();
  columns = 0;
  raised = 0;

  add(advice: Advice, isRaised: boolean): void {
    this.counts.set(advice.outcome, (this.counts.get(advice.outcome) ?? 0) + 1);
    if (advice.columns.length > 0) this.columns++;
    if (isRaised) this.raised++;
  }

  print(name: string): void {
    const counts = OUTCOMES.map((outcome) => String(this.counts.get(outcome) ?? 0).padStart(10)).join("");
    console.log(`${name.padEnd(32)}${counts}${String(this.columns).padStart(10)}${String(this.raised).padStart(10)}`);
  }
}

async function main(folder: string | undefined): Promise<void> {
  if (folder === undefined) {
    console.error("usage: bun bench/second-opinion.ts <corpora folder>");
    process.exitCode = 2;
    return;
  }
  const advisor = new SecondOpinion({ deadlineMs: 2_000, holdsProcess: true });
  const rows = new Map<string, Row>();
  const all = new Row();
  for (const { src, sql } of readSamples(folder, "benign", "tables")) {
    const analysis = analyze(encoder.encode(sql), context);
    const advice = await advisor.secondOpinion(analysis);
    const options = { wallMs: 0 };
    const own = decide(analysis, subject, DEFAULT_POLICY, options).score;
    const advised = decideWithAdvice(analysis, advice, subject, DEFAULT_POLICY, options).score;
    const row = rows.get(src) ?? new Row();
    rows.set(src, row);
    for (const each of [row, all]) each.add(advice, own < MEDIUM && advised >= MEDIUM);
  }
  await advisor.close();
  const titles = [...OUTCOMES, "columns", "raised"].map((title) => title.padStart(10)).join("");
  console.log(`${"source".padEnd(32)}${titles}`);
  for (const [name, row] of [...rows].sort(([left], [right]) => (left < right ? -1 : 1))) row.print(name);
  all.print("all");
  if (all.raised > 0) process.exitCode = 1;
}

await main(process.argv[2]);
