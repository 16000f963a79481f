import assert from "node:assert/strict";
import { test } from "node:test";
import { decide, decideWithAdvice } from "../../src/policy/decide.ts";
import { Judge, type JudgeOptions } from "../../src/policy/judge.ts";
import { MYSQL_ENGINE } from "../../src/policy/mysql/mysql-engine.ts";
import type { OpinionReport } from "../../src/policy/opinions.ts";
import { strictestAction } from "../../src/policy/policy.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { Analysis } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { type Advice, adviceWithout } from "../../src/sql/second-opinion/advice.ts";
import { GUARDED_POLICY, readBypassCases } from "./bypass-cases.ts";
import { NOON, policyFrom, ruleIds, SUBJECT } from "./policy-fixture.ts";

const SECRET: Advice = {
  outcome: "disagrees",
  disagreements: [{ about: "table", detail: "secret" }],
  columns: [{ name: "password", table: undefined }],
};

/** An advisor whose answers arrive when the test says so. */
class LateAdvisor {
  readonly open: { readonly analysis: Analysis; readonly answer: (advice: Advice) => void }[] = [];
  asked = 0;

  secondOpinion(analysis: Analysis): Promise<Advice> {
    this.asked++;
    return new Promise((answer) => this.open.push({ analysis, answer }));
  }

  async answerAll(advice: Advice): Promise<void> {
    for (const { answer } of this.open.splice(0)) answer(advice);
    await Promise.resolve();
    await Promise.resolve();
  }
}

function judgeWith(options: Partial<JudgeOptions> & { readonly lines?: string } = {}) {
  let nowMs = NOON;
  const advisor = new LateAdvisor();
  const reports: OpinionReport[] = [];
  const judge = new Judge({
    engines: { mysql: MYSQL_ENGINE },
    policy: policyFrom(options.lines ?? ""),
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
    idPrefix: "t",
    cacheBytesMax: 1 << 20,
    advisor,
    onDisagreement: (report) => reports.push(report),
    ...options,
  });
  const run = (sql: string, user = "app") =>
    judge.judge(new TextEncoder().encode(sql), contextFor({}), { ...SUBJECT, user });
  return { judge, run, advisor, reports, setTime: (wallMs: number) => (nowMs = wallMs) };
}

test("Judge decides the first sight of a shape alone and knows the opinion from then on", async () => {
  const { run, advisor, reports } = judgeWith();
  const first = run("SELECT a FROM t WHERE id = 1");
  assert.deepEqual(ruleIds(first.decision), []);
  await advisor.answerAll(SECRET);
  assert.deepEqual(ruleIds(run("SELECT a FROM t WHERE id = 2").decision), ["dyn.opinion"]);
  assert.equal(advisor.asked, 1);
  assert.deepEqual(
    reports.map(({ decisionId }) => decisionId),
    [first.decisionId],
  );
});

test("Judge forgets a verdict that it remembered before the opinion came, whoever it was for", async () => {
  const { run, advisor } = judgeWith({ lines: "profiles: [{ name: a, match: { users: [b] }, require_where: true }]" });
  const sql = "SELECT a FROM t WHERE id = 1";
  for (const user of ["app", "b"]) for (const _ of [0, 1, 2]) run(sql, user);
  assert.equal(run(sql).isFromCache, true);
  await advisor.answerAll(SECRET);
  for (const user of ["app", "b"]) {
    for (const isFromCache of [false, false, true]) {
      const judged = run(sql, user);
      assert.equal(judged.isFromCache, isFromCache);
      assert.deepEqual(ruleIds(judged.decision), ["dyn.opinion"]);
    }
  }
});

test("Judge gives the same decisions with the cache off", async () => {
  const { run, advisor } = judgeWith({ cacheBytesMax: 0 });
  assert.deepEqual(ruleIds(run("SELECT a FROM t WHERE id = 1").decision), []);
  await advisor.answerAll(SECRET);
  for (const id of [2, 3]) assert.deepEqual(ruleIds(run(`SELECT a FROM t WHERE id = ${id}`).decision), ["dyn.opinion"]);
  assert.equal(advisor.asked, 1);
});

test("Judge keeps verdicts when the opinion adds nothing, and asks once per shape", async () => {
  const { judge, run, advisor, reports } = judgeWith();
  for (const _ of [0, 1, 2]) run("SELECT a FROM t WHERE id = 1");
  await advisor.answerAll(adviceWithout("agrees"));
  assert.equal(run("SELECT a FROM t WHERE id = 1").isFromCache, true);
  assert.equal(advisor.asked, 1);
  assert.deepEqual([...judge.opinionCounts()], [["agrees", 1]]);
  assert.deepEqual(reports, []);
});

test("Judge asks again about a shape for which nobody had time", async () => {
  const { run, advisor, setTime } = judgeWith();
  for (const _ of [0, 1, 2]) run("SELECT a FROM t WHERE id = 1");
  await advisor.answerAll(adviceWithout("busy"));
  assert.equal(run("SELECT a FROM t WHERE id = 1").isFromCache, true);
  setTime(NOON + 60_000);
  assert.equal(run("SELECT a FROM t WHERE id = 1").isFromCache, false);
  assert.equal(advisor.asked, 2);
  await advisor.answerAll(SECRET);
  assert.deepEqual(ruleIds(run("SELECT a FROM t WHERE id = 1").decision), ["dyn.opinion"]);
});

test("Judge keeps the number of open questions bounded", () => {
  const { run, advisor } = judgeWith();
  for (let index = 0; index < 500; index++) run(`SELECT a${index} FROM t WHERE id = 1`);
  assert.equal(advisor.asked, 64);
});

for (const lines of ["mode: off", "rules: { dyn.opinion: off }"]) {
  test(`Judge asks nobody with ${lines}`, () => {
    const { run, advisor } = judgeWith({ lines });
    run("SELECT a FROM t WHERE id = 1");
    assert.equal(advisor.asked, 0);
  });
}

test("Judge survives an advisor that fails", async () => {
  const failing = { secondOpinion: () => Promise.reject(new Error("gone")) };
  const { run } = judgeWith({ advisor: failing });
  for (const _ of [0, 1, 2]) {
    assert.equal(run("SELECT a FROM t WHERE id = 1").decision.action, "allow");
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test("a column that only the parser saw is denied like any other", () => {
  const analysis = analyze(new TextEncoder().encode("SELECT a FROM t"), contextFor({}));
  const policy = policyFrom("deny: { columns: [password] }");
  const options = { wallMs: NOON };
  assert.equal(decide(analysis, SUBJECT, policy, options).action, "allow");
  assert.equal(decideWithAdvice(analysis, SECRET, SUBJECT, policy, options).action, "block");
});

test("an opinion never makes a decision milder", () => {
  const where: Advice = { ...SECRET, disagreements: [{ about: "where", detail: "absent" }] };
  const overridden = "rules: { dyn.opinion: { action: block, points: 1 } }";
  for (const policy of ["", GUARDED_POLICY, overridden].map(policyFrom)) {
    for (const { sql } of readBypassCases()) {
      const analysis = analyze(sql, contextFor({}));
      const own = decide(analysis, SUBJECT, policy, { wallMs: NOON });
      for (const advice of [SECRET, where]) {
        const advised = decideWithAdvice(analysis, advice, SUBJECT, policy, { wallMs: NOON });
        assert.ok(advised.score >= own.score);
        assert.equal(strictestAction(advised.action, own.action), advised.action);
      }
    }
  }
});
