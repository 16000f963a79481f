import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Parser, type ParserOptions } from "../../src/sql/second-opinion/parse.ts";
import { eventually } from "../support/eventually.ts";

const nested = (depth: number, open: string, close: string) => `SELECT ${open.repeat(depth)}a${close.repeat(depth)}`;

/** Deno 2.9 never ends a thread in a loop, whoever terminates its worker: there its text has to come to an end. */
const IS_DENO = "Deno" in globalThis;

/** Each takes the parser many seconds: twice as many for each level, so that on Deno they end before the other tests do. */
const HANGING = [nested(8, "CAST(", " AS SIGNED)"), nested(19, "TRIM(", ")"), nested(22, "(SELECT ", " LIMIT 1)")];

/** Longer than any answer takes on a busy machine. */
const PATIENT_MS = 5_000;

async function withParser<Result>(options: ParserOptions, use: (parser: Parser) => Promise<Result>): Promise<Result> {
  const parser = new Parser({ deadlineMs: PATIENT_MS, holdsProcess: true, ...options });
  try {
    return await use(parser);
  } finally {
    await parser.close();
  }
}

test("Parser tells tables, columns, functions and the number of queries", async () => {
  const sql = "SELECT f(a) FROM t WHERE b IN (SELECT sleep(1) FROM s.u)";
  const answer = await withParser({}, (parser) => parser.parse(sql));
  assert.ok(answer.outcome === "parsed");
  assert.equal(answer.type, "select");
  assert.deepEqual([...answer.tables].sort(), ["select::null::t", "select::s::u"]);
  assert.deepEqual([...answer.functions].sort(), ["F", "SLEEP"]);
  assert.equal(answer.queries, 2);
  assert.equal(answer.hasWhere, true);
});

test("Parser refuses what it does not know and goes on", async () => {
  await withParser({}, async (parser) => {
    assert.equal((await parser.parse("SELECT FROM WHERE")).outcome, "refused");
    assert.equal((await parser.parse("SELECT 1")).outcome, "parsed");
    assert.equal(parser.killCount, 0);
  });
});

test("Parser is killed when it hangs, starts again, and never holds up this thread", async () => {
  await withParser({ deadlineMs: 1_000 }, async (parser) => {
    await parser.parse("SELECT 1");
    for (const sql of HANGING) {
      let turns = 0;
      const turn = setInterval(() => turns++, 5);
      const answer = await parser.parse(sql);
      clearInterval(turn);
      assert.equal(answer.outcome, "timeout", sql);
      assert.ok(turns > 5, `this thread had ${turns} turns while the parser hung`);
    }
    assert.equal(parser.killCount, HANGING.length);
    await eventually("a new worker answers", async () => (await parser.parse("SELECT 1")).outcome === "parsed");
    if (!IS_DENO) await eventually("the killed workers' threads are gone", () => workerCount() === 1, 60_000);
  });
});

test("Parser answers those that wait behind a hanging text", async () => {
  await withParser({ deadlineMs: 1_000 }, async (parser) => {
    const answers = await Promise.all([HANGING[0] ?? "", "SELECT 1", "SELECT 2"].map((sql) => parser.parse(sql)));
    assert.deepEqual(
      answers.map(({ outcome }) => outcome),
      ["timeout", "parsed", "parsed"],
    );
  });
});

test("Parser asks nobody for a while when its worker dies again and again", async () => {
  await withParser({ deadlineMs: 20, killsPerMinuteMax: 2 }, async (parser) => {
    for (const _ of [1, 2]) assert.equal((await parser.parse(HANGING[0] ?? "")).outcome, "timeout");
    assert.deepEqual(await parser.parse("SELECT 1"), { outcome: "busy" });
    assert.equal(parser.killCount, 2);
  });
});

test("Parser lets only so many wait", async () => {
  await withParser({ queueMax: 3 }, async (parser) => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => parser.parse("SELECT 1")));
    const counts = { parsed: 0, busy: 0 };
    for (const { outcome } of answers) if (outcome === "parsed" || outcome === "busy") counts[outcome]++;
    assert.equal(counts.parsed + counts.busy, 20);
    assert.ok(counts.parsed >= 3 && counts.parsed <= 4, `${counts.parsed} were asked`);
  });
});

test("Parser that is closed answers everybody and leaves no thread", async () => {
  const parser = new Parser();
  const open = [HANGING[0] ?? "", "SELECT 1"].map((sql) => parser.parse(sql));
  await parser.close();
  assert.deepEqual(await Promise.all(open), [{ outcome: "busy" }, { outcome: "busy" }]);
  assert.deepEqual(await parser.parse("SELECT 1"), { outcome: "busy" });
  if (!IS_DENO) await eventually("the worker's thread is gone", () => workerCount() === 0, 60_000);
});

/** Threads of this process that Bun runs a worker's code in: it has others, that come and go as it likes. */
function workerCount(): number {
  const names = readdirSync("/proc/self/task").map((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim();
    } catch {
      return "gone meanwhile";
    }
  });
  return names.filter((name) => name === "Worker").length;
}
