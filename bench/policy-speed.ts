/**
 * How long a verdict takes: `bun bench/policy-speed.ts [<corpora folder>]`. Medians of batches in one process.
 * Without a folder, built-in statements only; with one, also the mean over its benign statements.
 */

import { SYSTEM_CLOCK } from "../src/base/clock.ts";
import { Judge } from "../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../src/policy/mysql/mysql-engine.ts";
import { DEFAULT_POLICY } from "../src/policy/policy.ts";
import { contextFor, subjectFor } from "../src/policy/tools/tool-context.ts";
import { readSamples } from "./corpus.ts";
import { TIMED_TEXTS } from "./judged-texts.ts";

const ROUNDS = 15;
const context = contextFor({});
const subject = subjectFor({});
const encoder = new TextEncoder();

function judgeWith(cacheBytesMax: number): Judge {
  return new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: DEFAULT_POLICY,
    clock: SYSTEM_CLOCK,
    idPrefix: "b",
    cacheBytesMax,
  });
}

/** Microseconds per call: the median of the batches, and the third best, which a busy machine disturbs less. */
function measure(work: () => void, count: number): { median: number; best: number } {
  const batches: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    for (let index = 0; index < count; index++) work();
    batches.push(((performance.now() - started) * 1000) / count);
  }
  batches.sort((left, right) => left - right);
  return { median: batches[Math.floor(ROUNDS / 2)] ?? 0, best: batches[2] ?? 0 };
}

function main(folder: string | undefined): void {
  const columns = ["bytes", "uncached", "(best)", "cached", "(best)"].map((name) => name.padStart(11)).join("");
  console.log(`${"microseconds".padEnd(24)}${columns}`);
  for (const { name, sql } of TIMED_TEXTS) {
    const bytes = encoder.encode(sql);
    const cold = judgeWith(0);
    const warm = judgeWith(64 << 20);
    const uncached = measure(() => cold.judge(bytes, context, subject), 2000);
    const cached = measure(() => warm.judge(bytes, context, subject), 5000);
    const figures = [uncached.median, uncached.best, cached.median, cached.best].map((us) =>
      us.toFixed(2).padStart(11),
    );
    console.log(`${name.padEnd(24)}${String(bytes.length).padStart(11)}${figures.join("")}`);
  }
  const texts = readSamples(folder, "benign").map(({ sql }) => encoder.encode(sql));
  if (texts.length === 0) return;
  for (const [name, cacheBytesMax] of [
    ["uncached", 0],
    ["with cache", 64 << 20],
  ] as const) {
    const judge = judgeWith(cacheBytesMax);
    const rounds: number[] = [];
    for (let round = 0; round < 5; round++) {
      const started = performance.now();
      for (const text of texts) judge.judge(text, context, subject);
      rounds.push(((performance.now() - started) * 1000) / texts.length);
    }
    const { hits, misses } = judge.cacheCounts();
    const share = hits + misses === 0 ? "" : `, ${((100 * hits) / (hits + misses)).toFixed(1)} % hits`;
    console.log(
      `benign corpus ${name}: ${(rounds.sort((a, b) => a - b)[2] ?? 0).toFixed(2)} us per statement over ${texts.length}${share}`,
    );
  }
}

main(process.argv[2]);
