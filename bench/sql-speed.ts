/**
 * What the lexer, the digest and a verdict cost: `bun bench/sql-speed.ts [<corpora folder>]`. Each figure is processor
 * time of this process, the least of many rounds, so that a busy machine does not matter. With a folder also
 * its corpora as a whole, the spread over its benign statements and every line of hang.jsonl.
 */

import { SYSTEM_CLOCK } from "../src/base/clock.ts";
import { Judge } from "../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../src/policy/mysql/mysql-engine.ts";
import { DEFAULT_POLICY } from "../src/policy/policy.ts";
import { contextFor, subjectFor } from "../src/policy/tools/tool-context.ts";
import { lexForCache } from "../src/sql/mysql/analyze.ts";
import { Digest } from "../src/sql/mysql/digest/digest.ts";
import { Lexer } from "../src/sql/mysql/lexing/lexer.ts";
import { primaryRules } from "../src/sql/mysql/lexing/readings.ts";
import { readSamples } from "./corpus.ts";

const KIB = 1024;
const MIB = 1 << 20;
const TOKENS_MAX = 20_000_000;

const context = contextFor({});
const subject = subjectFor({});
const rules = primaryRules(context);
const lexer = new Lexer();
const digest = new Digest();

const POINT_SELECT = "SELECT id, title, price FROM book WHERE id = 4711 AND owner = 'app'  ;";

const STATEMENTS: readonly (readonly [string, string])[] = [
  ["point select", POINT_SELECT],
  ["update", "UPDATE orders SET status = 'sent', changed = NOW() WHERE id = 4711 AND tenant_id = 7"],
  [
    "report with joins",
    "SELECT c.name, COUNT(*), SUM(i.price * i.amount) FROM customer c JOIN orders o ON o.customer_id = c.id " +
      "JOIN item i ON i.order_id = o.id LEFT JOIN coupon u ON u.id = o.coupon_id WHERE o.created >= '2026-01-01' " +
      "AND o.status IN ('paid', 'sent') AND (c.country = 'DE' OR c.country = 'AT') GROUP BY c.id HAVING COUNT(*) > 3 " +
      "ORDER BY 3 DESC LIMIT 50",
  ],
  [
    "insert of 100 rows",
    `INSERT INTO book (id, title, price) VALUES ${"(4711, 'a title', 9.99), ".repeat(99)}(1, 'b', 2)`,
  ],
];

const SHAPES: readonly (readonly [name: string, head: string, part: string, tail: string])[] = [
  ["one string", "SELECT '", "x", "'"],
  ["IN list", "SELECT a FROM t WHERE b IN (1", ",2345", ")"],
  ["rows", "INSERT INTO t VALUES (1, 'abc', 2.5)", ", (1, 'abc', 2.5)", ""],
  ["columns", "SELECT a", ", b", " FROM t"],
  ["parentheses", "SELECT ", "(", "1"],
  ["comments", "SELECT 1", " /* a comment */", ""],
  ["joins", "SELECT * FROM t", " JOIN u ON a = b", ""],
  ["UNIONs", "SELECT 1", " UNION SELECT 1", ""],
  ["ORs", "SELECT a FROM t WHERE b = 1", " OR b = 1", ""],
  ["statements", "SELECT 1", "; SELECT 1", ""],
  ["stars in a comment", "SELECT /*", "*", "*/ 1"],
  ["backslashes", "SELECT '", "\\\\", "'"],
  ["two dashes", "SELECT 1", " --1", ""],
  ["high bytes", "SELECT `", "\u00e4", "`"],
];

/** Both together: how time is divided between user and system mode is only sampled. */
function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Microseconds per call: the least of the rounds, each long enough for the clock. */
function least(work: () => unknown, rounds = 25, roundUs = 4000): number {
  let count = 1;
  for (;;) {
    const began = processorUs();
    for (let i = 0; i < count; i++) work();
    if (processorUs() - began >= roundUs || count > 1e7) break;
    count *= 2;
  }
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const began = processorUs();
    for (let i = 0; i < count; i++) work();
    best = Math.min(best, (processorUs() - began) / count);
  }
  return best;
}

function lexAndDigest(sql: Uint8Array): void {
  lexer.start(sql, rules, TOKENS_MAX);
  lexer.run(sql.length);
  digest.start();
  digest.consume(lexer, 0, lexer.count);
  digest.text();
}

function judgeWith(cacheBytesMax: number): Judge {
  return new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: DEFAULT_POLICY,
    clock: SYSTEM_CLOCK,
    idPrefix: "b",
    cacheBytesMax,
  });
}

const cold = judgeWith(0);
const warm = judgeWith(64 * MIB);

function statements(): void {
  console.log("\nmicroseconds             bytes  lex+digest   cache key    uncached       known");
  for (const [name, sql] of STATEMENTS) {
    const bytes = Buffer.from(sql);
    const figures = [
      least(() => lexAndDigest(bytes)),
      least(() => lexForCache(bytes, context)),
      least(() => cold.judge(bytes, context, subject)),
      least(() => warm.judge(bytes, context, subject)),
    ];
    const columns = figures.map((us) => us.toFixed(2).padStart(12)).join("");
    console.log(`${name.padEnd(20)}${String(bytes.length).padStart(10)}${columns}`);
  }
}

function ofSize([, head, part, tail]: (typeof SHAPES)[number], bytes: number): Uint8Array {
  return Buffer.from(head + part.repeat(Math.max(0, bytes - head.length - tail.length) / part.length) + tail);
}

/** Nanoseconds per byte: a linear cost stays what it is from size to size. */
function growth(): void {
  const sizes = [KIB, 16 * KIB, 256 * KIB, 4 * MIB, 16 * MIB];
  const heads = sizes.map((size) => (size < MIB ? `${size / KIB} KiB` : `${size / MIB} MiB`).padStart(9)).join("");
  for (const [what, work] of [
    ["lex+digest, ns per byte", lexAndDigest],
    ["verdict, ns per byte", (sql: Uint8Array) => cold.judge(sql, context, subject)],
  ] as const) {
    console.log(`${what.padEnd(28)}${heads}`);
    for (const shape of SHAPES) {
      const columns = sizes.map((size) => {
        const sql = ofSize(shape, size);
        const us = size < MIB ? least(() => work(sql), 9, 1000) : least(() => work(sql), 3, 0);
        return ((us * 1000) / sql.length).toFixed(2).padStart(9);
      });
      console.log(`${shape[0].padEnd(28)}${columns.join("")}`);
    }
    console.log("");
  }
}

/** Whole corpora, statement after statement: other than a shape, what comes next cannot be foreseen by the processor. */
function corpora(folder: string | undefined): void {
  for (const name of ["benign", "digest", "attacks"]) {
    const texts = readSamples(folder, name).map(({ sql }) => Buffer.from(sql));
    if (texts.length === 0) continue;
    const bytes = texts.reduce((sum, { length }) => sum + length, 0);
    const us = least(() => texts.forEach(lexAndDigest), 15, 1000);
    const perText = (us / texts.length).toFixed(2);
    const mean = (bytes / texts.length).toFixed(0);
    console.log(
      `lex+digest of ${name}: ${((us * 1000) / bytes).toFixed(2)} ns per byte, ${perText} us for ${mean} bytes`,
    );
  }
  console.log("");
}

/** Every statement by itself, cold caches of the processor and all: the least of five passes over the whole corpus. */
function benign(folder: string | undefined): void {
  const texts = readSamples(folder, "benign").map(({ sql }) => Buffer.from(sql));
  if (texts.length === 0) return;
  const us = new Float64Array(texts.length).fill(Number.POSITIVE_INFINITY);
  for (let pass = 0; pass < 7; pass++) {
    for (const [index, text] of texts.entries()) {
      const began = performance.now();
      cold.judge(text, context, subject);
      us[index] = Math.min(us[index] as number, (performance.now() - began) * 1000);
    }
  }
  us.sort();
  const at = (share: number): string => (us[Math.floor((us.length - 1) * share)] ?? 0).toFixed(1);
  const mean = us.reduce((sum, one) => sum + one, 0) / us.length;
  console.log(`\nuncached verdicts on ${us.length} benign statements, microseconds`);
  console.log(`mean ${mean.toFixed(1)}   p50 ${at(0.5)}   p90 ${at(0.9)}   p99 ${at(0.99)}   most ${at(1)}`);
}

function hangs(folder: string | undefined): void {
  const samples = readSamples(folder, "hang");
  if (samples.length > 0) console.log("\ninputs that hang other parsers, verdict in milliseconds");
  for (const { sql } of samples) {
    const bytes = Buffer.from(sql);
    const ms = least(() => cold.judge(bytes, context, subject), 9, 0) / 1000;
    console.log(`${sql.slice(0, 44).padEnd(48)}${String(bytes.length).padStart(9)} bytes${ms.toFixed(2).padStart(9)}`);
  }
}

const folder = process.argv[2];
// Before anything is warm: what the first such text costs in a fresh process.
const began = processorUs();
const hanging = readSamples(folder, "hang");
for (const { sql } of hanging) cold.judge(Buffer.from(sql), context, subject);
if (hanging.length > 0) {
  console.log(`first pass over hang.jsonl, compilation included: ${((processorUs() - began) / 1000).toFixed(0)} ms\n`);
}
// In this order, so that what is quoted for a shape or a statement is compiled for all of SQL by then.
corpora(folder);
growth();
benign(folder);
statements();
hangs(folder);
