import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Clock, SYSTEM_CLOCK } from "../../src/base/clock.ts";
import type { Logger } from "../../src/base/log.ts";
import { Judge } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/policy/policy.ts";
import { contextFor, subjectFor } from "../../src/policy/tools/tool-context.ts";
import { JudgePool } from "../../src/server/judge-pool.ts";
import { judgeLongText, type LongVerdict } from "../../src/session/statement/long-text.ts";
import { policyFrom } from "../policy/policy-fixture.ts";

const NOON = Date.UTC(2026, 6, 1, 12);
const CLOCK = { wallMs: () => NOON, monotonicMs: () => 0 };
const pools: JudgePool[] = [];
after(() => Promise.all(pools.map((pool) => pool.close())));

interface SetUp {
  readonly timeoutMs?: number;
  readonly workerUrl?: URL;
  readonly clock?: Clock;
}

function setUp(policy: Policy, { timeoutMs = 60_000, workerUrl, clock = CLOCK }: SetUp = {}) {
  const logged: string[] = [];
  const log = (event: string): void => void logged.push(event);
  const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
  const judge = new Judge({ engines: { mysql: MYSQL_ENGINE }, policy, clock: CLOCK, idPrefix: "t", cacheBytesMax: 0 });
  const own = workerUrl === undefined ? {} : { workerUrl };
  const pool = new JudgePool({ judge, clock, idPrefix: "t", logger, timeoutMs, ...own });
  pools.push(pool);
  const context = contextFor({ schema: "shop" });
  const subject = subjectFor({ user: "app", schema: "shop" });
  return {
    judge,
    pool,
    logged,
    there: (sql: string, client = "app", signal?: AbortSignal) =>
      pool.judge({ sql: Buffer.from(sql), context, subject }, { client, signal }),
    here: (sql: string) => judgeLongText(judge, { sql: Buffer.from(sql), context, subject }),
  };
}

/** Everything but the id, which is new each time. */
function withoutId({ decisionId: _decisionId, ...rest }: LongVerdict): unknown {
  return rest;
}

const LONG = "x".repeat(2_000_000);
const POLICY =
  "deny: { tables: [secret] }\nprofiles: [{ name: app, match: { users: [app] }, limits: { max_response_rows: 7 } }]";
const TEXTS = [
  `SELECT '${LONG}'`,
  `SELECT id FROM t WHERE a IN (${"1,".repeat(30_000)}2)`,
  `INSERT INTO t VALUES (1, '${LONG}'); DROP TABLE secret`,
  `SELECT ${"(".repeat(5000)}1${")".repeat(5000)}`,
  `LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE t LINES STARTING BY '${LONG}'`,
  `${"SELECT 1;".repeat(5000)}`,
  `SELECT ' ${LONG}`,
  `/* ${LONG} */ SELEC 1`,
];

test("JudgePool judges as the judge of the main thread does", async () => {
  for (const policy of [DEFAULT_POLICY, policyFrom(POLICY)]) {
    const { here, there, logged } = setUp(policy);
    for (const sql of TEXTS) assert.deepEqual(withoutId(await there(sql)), withoutId(here(sql)), sql.slice(0, 40));
    assert.deepEqual(logged, []);
  }
});

test("JudgePool judges a prepared statement by its values", async () => {
  const { judge, pool } = setUp(DEFAULT_POLICY);
  const sql = Buffer.from(`SELECT id FROM t WHERE a = ? OR b = '${LONG}' LIMIT ?`);
  const context = contextFor({});
  const subject = subjectFor({});
  for (const rows of [10, 5_000_000, undefined]) {
    const value = Buffer.alloc(200_000, 97);
    const text = { sql, context, subject, execution: { parameters: 2, values: [value, rows] } };
    const verdict = await pool.judge(text, { client: "app", signal: undefined });
    assert.deepEqual(withoutId(verdict), withoutId(judgeLongText(judge, text)));
  }
});

test("JudgePool gives every decision another id, across policies and workers", async () => {
  const { judge, pool, there } = setUp(DEFAULT_POLICY);
  const ids = [(await there("SELECT 1")).decisionId, (await there("SELECT 1")).decisionId];
  judge.replacePolicy(policyFrom(POLICY));
  ids.push((await there("SELECT 1")).decisionId);
  await pool.close();
  ids.push((await there("SELECT 1")).decisionId);
  assert.equal(new Set(ids).size, 4);
});

test("JudgePool follows a new policy with the next text", async () => {
  const { judge, there } = setUp(DEFAULT_POLICY);
  const sql = `SELECT word FROM secret WHERE a = '${LONG}'`;
  assert.equal((await there(sql)).decision.action, "allow");
  judge.replacePolicy(policyFrom(POLICY));
  const { decision } = await there(sql);
  assert.deepEqual([decision.action, decision.policyVersion], ["block", judge.policy.version]);
});

test("JudgePool lets the main thread go on while it judges", async () => {
  const { there } = setUp(DEFAULT_POLICY);
  let turns = 0;
  let isJudged = false;
  const turn = (): void => {
    turns++;
    if (!isJudged) setImmediate(turn);
  };
  setImmediate(turn);
  await there(`INSERT INTO t VALUES ${"(1, 'a', 2.5), ".repeat(200_000)}(1, 'a', 2.5)`);
  isJudged = true;
  // One for each megabyte that was copied, and more while the worker had the text.
  assert.ok(turns > 3, `${turns}`);
});

test("JudgePool answers in the order of the questions", async () => {
  const { there } = setUp(DEFAULT_POLICY);
  const order: number[] = [];
  await Promise.all(
    [`SELECT '${LONG}'`, "SELECT 1", `SELECT ${"a,".repeat(50_000)}a FROM t`, "SELECT 2"].map(async (sql, index) => {
      await there(sql);
      order.push(index);
    }),
  );
  assert.deepEqual(order, [0, 1, 2, 3]);
});

const isRefused = ({ decision, summary }: LongVerdict): boolean =>
  decision.action === "block" && !decision.isCacheable && !summary.isUnderstood && summary.sessionEffect === "opaque";

test("JudgePool refuses what is not judged when it is closed", async () => {
  const { pool, there } = setUp(policyFrom(POLICY));
  const open = there(TEXTS[1] ?? "");
  await pool.close();
  for (const verdict of [await open, await there(TEXTS[1] ?? "")]) assert.ok(isRefused(verdict));
});

test("JudgePool refuses what its thread died of, and starts another for the next text", async () => {
  const { judge, there, logged } = setUp(DEFAULT_POLICY);
  const sql = "SELECT 1";
  judge.replacePolicy({ ...policyFrom(POLICY), source: 5 as unknown as string });
  const verdict = await there(sql);
  assert.ok(isRefused(verdict));
  assert.match(verdict.decision.reason, /could not be judged/);
  assert.deepEqual(logged, ["judge thread failed"]);
  judge.replacePolicy(policyFrom(POLICY));
  const { decisionId, decision } = await there(sql);
  assert.equal(decision.action, "allow");
  assert.match(decisionId, /^t-2\./);
});

/** Judges nothing: a text that begins with H keeps it longer than any test waits, another is answered at once. */
const HANGING = new URL("./hanging-worker.ts", import.meta.url);
const HANGS = "H".repeat(20_000);

test("JudgePool ends a text that hangs at its deadline, and it is refused", async () => {
  const { there, logged } = setUp(DEFAULT_POLICY, { timeoutMs: 300, workerUrl: HANGING, clock: SYSTEM_CLOCK });
  const verdict = await there(HANGS);
  assert.ok(isRefused(verdict));
  assert.match(verdict.decision.reason, /JUDGE_TIMEOUT/);
  assert.deepEqual(logged, ["statement not judged in time"]);
  await there("S");
});

test("JudgePool lets pass in observe mode what it could not judge, as the worst", async () => {
  const policy = policyFrom("mode: observe");
  const { there } = setUp(policy, { timeoutMs: 200, workerUrl: HANGING, clock: SYSTEM_CLOCK });
  const { decision, summary } = await there(HANGS);
  assert.deepEqual([decision.action, decision.enforcedAction, summary.sessionEffect], ["allow", "block", "opaque"]);
});

test("JudgePool lets no text that hangs keep another client waiting for long", { timeout: 60_000 }, async () => {
  const { there } = setUp(DEFAULT_POLICY, { workerUrl: HANGING, clock: SYSTEM_CLOCK });
  const gone = new AbortController();
  const hung = Array.from({ length: 12 }, () => there(HANGS, "attacker", gone.signal));
  const waits: number[] = [];
  for (let round = 0; round < 2; round++) {
    const beganMs = performance.now();
    await there("S", "app");
    waits.push(performance.now() - beganMs);
  }
  // One turn of the attacker's before each, and the start of a thread.
  assert.ok(Math.max(...waits) < 10_000, waits.join());
  gone.abort();
  for (const verdict of await Promise.all(hung)) assert.ok(isRefused(verdict));
});

test("JudgePool ends the text of a client that has left", async () => {
  const { there, logged } = setUp(DEFAULT_POLICY, { workerUrl: HANGING, clock: SYSTEM_CLOCK });
  const left = new AbortController();
  const hung = [there(HANGS, "a", left.signal), there(HANGS, "a", left.signal)];
  left.abort();
  for (const verdict of await Promise.all(hung)) assert.ok(isRefused(verdict));
  assert.deepEqual(logged, []);
});
