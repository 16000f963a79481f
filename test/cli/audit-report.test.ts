import assert from "node:assert/strict";
import { readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { BoundedSums } from "../../src/cli/bounded-sums.ts";
import { intent, openLog, outcome, SESSION, withFolder } from "../audit/audit-fixture.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { run } from "./fake-io.ts";

const HOUR_MS = 3_600_000;
const HOSTILE = "x|`\u202e<img src=x onerror=alert(1)>*a*\n# title";

interface Statement {
  readonly type?: string;
  readonly user?: string;
  readonly text?: string;
  readonly decision?: string;
  readonly rules?: readonly string[];
}

/** Statements before and within a period of the day that ends at the clock's time, over many files. */
async function withReport(
  work: (path: string, range: readonly string[], folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder, path) => {
    const clock = new FakeClock();
    const log = openLog(path, { clock, segmentBytesMax: 4000 });
    let ordinal = 0;
    const add = ({
      type = "statement-intent",
      user = "app",
      text = "SELECT ?",
      decision = "allow",
      rules = [],
    }: Statement) => {
      const session = { ...SESSION, id: user, user, userSent: user, listener: "main" };
      ordinal++;
      const tables = ["shop.orders"];
      log.append({ ...intent(ordinal, session), type, text, decision, rules, tables } as AuditEvent);
      if (type !== "statement-intent") return;
      log.append({ ...outcome(ordinal, session), rows: 10, bytes: 100, durationUs: 2000 });
    };
    for (let i = 0; i < 30; i++) add({ text: "SELECT `old`" });
    clock.advance(48 * HOUR_MS);
    const since = new Date(clock.wall).toISOString();
    log.append({ type: "connect", session: SESSION });
    for (let i = 0; i < 30; i++) add({ text: "SELECT `old`" });
    for (let i = 0; i < 5; i++) add({ user: HOSTILE, text: `SELECT '|' ${HOSTILE}` });
    for (let i = 0; i < 3; i++)
      add({ type: "statement-blocked", decision: "block", text: "DROP", rules: ["ddl.drop"] });
    add({ type: "hold", decision: "require-approval", text: "DELETE", rules: ["dml.nowhere"] });
    log.append({ type: "approval", approvalId: "apr-1", verdict: "denied", approver: "alice", waitedMs: 1500 });
    add({ decision: "warn", rules: ["dml.nowhere"], text: "UPDATE" });
    log.append({ type: "policy-change", toVersion: "v2", outcome: "ok", by: "signal" });
    log.append({ type: "audit-gap", reason: "ENOSPC", lost: 3 });
    clock.advance(HOUR_MS);
    const until = new Date(clock.wall).toISOString();
    for (let i = 0; i < 7; i++) add({ text: "SELECT `later`" });
    await log.close();
    await work(path, ["--since", since, "--until", until], folder);
  });
}

test("audit report --json adds up what lies in the period, and what was new in it", async () => {
  await withReport(async (path, range) => {
    const { code, stdout } = await run(["audit", "report", path, ...range, "--json"]);
    assert.equal(code, 0);
    const told = JSON.parse(stdout);
    const { statements, allowed, warned, blocked, held, newDigests, digests, sessions } = told.totals;
    assert.deepEqual([statements, allowed, warned, blocked, held], [39, 35, 1, 3, 1]);
    assert.deepEqual([digests, newDigests, sessions], [5, 4, 1]);
    assert.deepEqual(told.outcomes, [{ outcome: "ok", statements: 36 }]);
    const [app] = told.users;
    assert.deepEqual([app.user, app.rows, app.bytes, app.blocked], ["app", 310, 3100, 3]);
    assert.deepEqual(told.rules, [
      { rule: "ddl.drop", user: "app", warned: 0, blocked: 3, held: 0 },
      { rule: "dml.nowhere", user: "app", warned: 1, blocked: 0, held: 1 },
    ]);
    assert.deepEqual([told.topDigests[0].text, told.topDigests[0].isNew], ["SELECT `old`", false]);
    assert.ok(!told.newDigests.some(({ text }: { text: string }) => /old|later/.test(text)));
    assert.deepEqual(told.tables[0], { user: "app", table: "shop.orders", count: 35 });
    assert.deepEqual(told.approvals, [{ approver: "alice", verdict: "denied", requests: 1, meanWaitMs: 1500 }]);
    assert.equal(told.policies[0].version, "v2");
    assert.deepEqual(
      told.gaps.map(({ reason, lost }: { reason: string; lost: number }) => [reason, lost]),
      [["ENOSPC", 3]],
    );
    assert.deepEqual(told.notTold, []);
  });
});

test("audit report in Markdown shows hostile names and statements as text, and says what it leaves out", async () => {
  await withReport(async (path, range) => {
    const { stdout } = await run(["audit", "report", path, ...range, "--limit", "1"]);
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    assert.equal(stdout.split("\n").filter((line) => line.startsWith("# ")).length, 1, "no title but its own");
    assert.match(stdout, /\| 39 \| 35 \| 1 \| 3 \| 1 \| 5 \| 4 \| 2 \| 1 \|/);
    assert.match(stdout, /- 1 user more than are shown/);
    const whole = (await run(["audit", "report", path, ...range])).stdout;
    assert.ok(whole.includes("x\\|\\`\\\\u202e\\<img src=x onerror=alert\\(1\\)\\>\\*a\\*\\\\u000a\\# title"), whole);
    assert.ok(whole.includes("`` SELECT '\\|' x\\|`\\u202e<img src=x onerror=alert(1)>*a*\\u000a# title ``"), whole);
    for (const line of whole.split("\n").filter((row) => row.startsWith("| ") && row.includes("img"))) {
      const cells = line.replaceAll("\\|", "").split("|").length;
      assert.ok([11, 9, 5, 6].includes(cells), line);
    }
  });
});

test("audit report tells a file that is missing in the middle of the period by the numbers", async () => {
  await withReport(async (path, range, folder) => {
    const segments = readdirSync(folder)
      .filter((name) => /^audit-.*\.ndjson$/.test(name))
      .sort();
    const middle = segments[Math.floor(segments.length * 0.75)];
    assert.ok(middle);
    unlinkSync(join(folder, middle));
    const told = JSON.parse((await run(["audit", "report", path, ...range, "--json"])).stdout);
    const missing = told.gaps.filter(({ reason }: { reason: string }) => reason === "missing-numbers");
    assert.equal(missing.length, 1, JSON.stringify(told.gaps));
    assert.ok(missing[0].lost > 5);
  });
});

test("audit report refuses what does not go with it, and says where there is no log", async () => {
  await withReport(async (path, range) => {
    for (const args of [
      ["--user", "app"],
      ["--limit", "0"],
      ["--since", "2030-01-01"],
      ["--since", "soon"],
    ]) {
      assert.equal((await run(["audit", "report", path, ...args])).code, 2, args.join(" "));
    }
    for (const ago of ["7d", "90d", "10000d"]) {
      assert.equal((await run(["audit", "report", path, "--since", ago])).code, 0, ago);
    }
    assert.match((await run(["audit", "report", `${path}.no`, ...range])).stderr, /no audit log at/);
  });
});

test("BoundedSums adds up what is beyond its bound under one name, and counts how often", () => {
  const sums = new BoundedSums(2, ["times"]);
  for (const name of ["a", "b", "c", "d", "a"]) sums.add([name, "x"], { times: 1 });
  assert.deepEqual(sums.sorted("times"), [
    { names: ["a", "x"], sums: { times: 2 } },
    { names: ["(others)", "(others)"], sums: { times: 2 } },
    { names: ["b", "x"], sums: { times: 1 } },
  ]);
  assert.equal(sums.overflow, 2);
});
