/**
 * Searches for the texts that cost most to judge: `bun bench/worst-texts.ts [--minutes <n>] [--seed <n>]`. A text is a head,
 * a unit of fragments over and over, and a tail; units that cost more per byte, or more so in a longer text, are changed
 * further. Costs are processor time under a policy that has every kind of rule. What is linear costs the same per byte at
 * any length: a growth near 4 is a square.
 */

import { parseArgs } from "node:util";
import { SYSTEM_CLOCK } from "../src/base/clock.ts";
import { parsePolicy } from "../src/policy/file/policy-file.ts";
import { Judge } from "../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../src/policy/mysql/mysql-engine.ts";
import { contextFor, subjectFor } from "../src/policy/tools/tool-context.ts";
import { Dice } from "../test/support/digest-oracle.ts";
import { FRAGMENTS, HEADS, repeated, STRICT_POLICY, TAILS, type WorstText } from "../test/support/worst-texts.ts";

const { values: flags } = parseArgs({
  options: { minutes: { type: "string", default: "2" }, seed: { type: "string", default: "1" } },
});

const SHORT_BYTES = 8 << 10;
const LONG_BYTES = 32 << 10;
const KEPT = 24;
const SHOWN = 12;
const FRAGMENTS_MAX = 5;

interface Cost {
  readonly text: WorstText;
  /** Nanoseconds per byte of the long text. */
  readonly perByte: number;
  /** That, divided by the same of the short text. */
  readonly growth: number;
}

const loaded = parsePolicy(STRICT_POLICY);
if (loaded.kind !== "loaded") throw new Error("the policy does not load");
const judge = new Judge({
  engines: { mysql: MYSQL_ENGINE },
  policy: loaded.policy,
  clock: SYSTEM_CLOCK,
  idPrefix: "w",
  cacheBytesMax: 0,
});
const subject = subjectFor({});
const contexts = [contextFor({ schema: "shop" }), contextFor({ schema: "shop", dialect: "mariadb" })];
const dice = new Dice(Number(flags.seed));

function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** The least of some rounds, in the dialect where it is most. */
function nsPerByte(text: WorstText, bytes: number): number {
  const sql = Buffer.from(repeated(text, bytes));
  let most = 0;
  for (const context of contexts) {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 3; round++) {
      const began = processorUs();
      judge.judge(sql, context, subject);
      least = Math.min(least, processorUs() - began);
      // What takes that long will not turn out to be noise.
      if (least > 500_000) break;
    }
    most = Math.max(most, least);
  }
  return (most * 1000) / sql.length;
}

function measure(text: WorstText): Cost {
  const short = Math.max(1, nsPerByte(text, SHORT_BYTES));
  const perByte = nsPerByte(text, LONG_BYTES);
  return { text, perByte, growth: perByte / short };
}

const weight = ({ perByte, growth }: Cost): number => perByte * Math.max(1, growth);

function invented(): WorstText {
  const count = 1 + dice.below(FRAGMENTS_MAX);
  return {
    head: dice.pick(HEADS),
    unit: Array.from({ length: count }, () => dice.pick(FRAGMENTS)),
    tail: dice.pick(TAILS),
  };
}

function changed({ head, unit, tail }: WorstText): WorstText {
  const parts = [...unit];
  const at = dice.below(parts.length);
  switch (dice.below(5)) {
    case 0:
      return { head: dice.pick(HEADS), unit: parts, tail };
    case 1:
      return { head, unit: parts, tail: dice.pick(TAILS) };
    case 2:
      if (parts.length < FRAGMENTS_MAX) parts.splice(at, 0, dice.pick(FRAGMENTS));
      break;
    case 3:
      if (parts.length > 1) parts.splice(at, 1);
      break;
    default:
      parts[at] = dice.pick(FRAGMENTS);
  }
  return { head, unit: parts, tail };
}

const best: Cost[] = [];

function offer(cost: Cost): void {
  best.push(cost);
  best.sort((left, right) => weight(right) - weight(left));
  best.length = Math.min(best.length, KEPT);
}

const endsAt = performance.now() + Number(flags.minutes) * 60_000;
// Every fragment by itself first, compiled and all.
for (const fragment of FRAGMENTS) for (const head of HEADS) offer(measure({ head, unit: [fragment], tail: "" }));
let tried = FRAGMENTS.length * HEADS.length;
for (; performance.now() < endsAt; tried++) {
  const base = best.length === 0 || dice.below(10) < 3 ? invented() : changed((dice.pick(best) as Cost).text);
  offer(measure(base));
}

console.log(`${tried} units tried\n\nns per byte    growth   unit`);
for (const { text } of best.slice(0, SHOWN)) {
  const { perByte, growth } = measure(text);
  const shown = JSON.stringify([text.head, text.unit.join(""), text.tail]);
  console.log(`${perByte.toFixed(1).padStart(11)}${growth.toFixed(2).padStart(10)}   ${shown}`);
}
