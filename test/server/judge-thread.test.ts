import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Logger } from "../../src/base/log.ts";
import { Judge } from "../../src/policy/judge.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/policy/policy.ts";
import { contextFor, subjectFor } from "../../src/policy/tool-context.ts";
import { JudgeThread } from "../../src/server/judge-thread.ts";
import { judgeLongText, type LongVerdict } from "../../src/session/long-text.ts";
import { policyFrom } from "../policy/policy-fixture.ts";

const NOON = Date.UTC(2026, 6, 1, 12);
const CLOCK = { wallMs: () => NOON, monotonicMs: () => 0 };
const threads: JudgeThread[] = [];
after(() => Promise.all(threads.map((thread) => thread.close())));

function setUp(policy: Policy) {
  const logged: string[] = [];
  const log = (event: string): void => void logged.push(event);
  const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
  const judge = new Judge({ policy, clock: CLOCK, idPrefix: "t", cacheBytesMax: 0 });
  const thread = new JudgeThread({ judge, clock: CLOCK, idPrefix: "t", logger });
  threads.push(thread);
  const context = contextFor({ schema: "shop" });
  const subject = subjectFor({ user: "app", schema: "shop" });
  return {
    judge,
    thread,
    logged,
    there: (sql: string) => thread.judge({ sql: Buffer.from(sql), context, subject }),
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

test("JudgeThread judges as the judge of the main thread does", async () => {
  for (const policy of [DEFAULT_POLICY, policyFrom(POLICY)]) {
    const { here, there, logged } = setUp(policy);
    for (const sql of TEXTS) assert.deepEqual(withoutId(await there(sql)), withoutId(here(sql)), sql.slice(0, 40));
    assert.deepEqual(logged, []);
  }
});

test("JudgeThread judges a prepared statement by its values", async () => {
  const { judge, thread } = setUp(DEFAULT_POLICY);
  const sql = Buffer.from(`SELECT id FROM t WHERE a = ? OR b = '${LONG}' LIMIT ?`);
  const context = contextFor({});
  const subject = subjectFor({});
  for (const rows of [10, 5_000_000, undefined]) {
    const value = Buffer.alloc(200_000, 97);
    const text = { sql, context, subject, execution: { parameters: 2, values: [value, rows] } };
    const verdict = await thread.judge(text);
    assert.deepEqual(withoutId(verdict), withoutId(judgeLongText(judge, text)));
  }
});

test("JudgeThread gives every decision another id, across policies and workers", async () => {
  const { judge, thread, there } = setUp(DEFAULT_POLICY);
  const ids = [(await there("SELECT 1")).decisionId, (await there("SELECT 1")).decisionId];
  judge.replacePolicy(policyFrom(POLICY));
  ids.push((await there("SELECT 1")).decisionId);
  await thread.close();
  ids.push((await there("SELECT 1")).decisionId);
  assert.equal(new Set(ids).size, 4);
});

test("JudgeThread follows a new policy with the next text", async () => {
  const { judge, there } = setUp(DEFAULT_POLICY);
  const sql = `SELECT word FROM secret WHERE a = '${LONG}'`;
  assert.equal((await there(sql)).decision.action, "allow");
  judge.replacePolicy(policyFrom(POLICY));
  const { decision } = await there(sql);
  assert.deepEqual([decision.action, decision.policyVersion], ["block", judge.policy.version]);
});

test("JudgeThread lets the main thread go on while it judges", async () => {
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

test("JudgeThread answers in the order of the questions", async () => {
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

test("JudgeThread judges in the main thread once it is closed", async () => {
  const { thread, there, here } = setUp(policyFrom(POLICY));
  const open = there(TEXTS[1] ?? "");
  await thread.close();
  for (const verdict of [await open, await there(TEXTS[1] ?? "")]) {
    assert.deepEqual(withoutId(verdict), withoutId(here(TEXTS[1] ?? "")));
  }
});

test("JudgeThread judges in the main thread what its worker died of, and starts another for the next text", async () => {
  const { judge, there, here, logged } = setUp(DEFAULT_POLICY);
  const sql = "DROP TABLE secret";
  judge.replacePolicy({ ...policyFrom(POLICY), source: 5 as unknown as string });
  assert.deepEqual(withoutId(await there(sql)), withoutId(here(sql)));
  assert.deepEqual(logged, ["judge thread failed"]);
  judge.replacePolicy(policyFrom(POLICY));
  const { decisionId } = await there(sql);
  assert.match(decisionId, /^t-2\./);
});
