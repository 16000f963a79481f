import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuditEvent } from "../../../src/audit/audit-event.ts";
import { ActivityBook } from "../../../src/server/activity/activity-book.ts";
import { LatencyBuckets } from "../../../src/server/activity/latency-buckets.ts";
import { SlottedCounts } from "../../../src/server/activity/slotted-counts.ts";
import { OTHERS } from "../../../src/server/activity/usage-table.ts";

interface Told {
  readonly user?: string;
  readonly session?: string;
  readonly ordinal?: number;
  readonly tables?: readonly string[];
  readonly rules?: readonly string[];
  readonly decision?: "allow" | "warn";
}

function intent(text: string, told: Told = {}): AuditEvent {
  const { user = "app", session = "run-1", ordinal = 1, decision = "allow", ...about } = told;
  return {
    type: "statement-intent",
    session: { id: session, clientAddress: "192.0.2.1", user },
    ordinal,
    command: "COM_QUERY",
    text,
    textForm: "digest",
    decision,
    ...about,
  };
}

function outcome(durationUs: number, rows = 0, ordinal = 1, session = "run-1"): AuditEvent {
  const about = { id: session, clientAddress: "192.0.2.1" };
  return { type: "statement-outcome", session: about, ordinal, outcome: "ok", durationUs, rows, bytes: 10 * rows };
}

const byTime = { order: "time", offset: 0, limit: 10 } as const;

test("statements are added up by digest, and outcomes go to the statement they belong to, also in a pipeline", () => {
  const book = new ActivityBook(0);
  book.observe(intent("SELECT ?", { ordinal: 1 }), 1);
  book.observe(intent("SELECT * FROM t", { ordinal: 2, tables: ["shop.t"] }), 1);
  book.observe(outcome(5_000, 100, 2), 2);
  book.observe(outcome(10, 1, 1), 2);
  book.observe(outcome(10, 1, 7), 2);
  const { total, digests } = book.digests.list(byTime, 3);
  assert.equal(total, 2);
  assert.deepEqual(
    digests.map(({ text, count, rows, totalUs, tables }) => [text, count, rows, totalUs, tables]),
    [
      ["SELECT * FROM t", 1, 100, 5_000, ["shop.t"]],
      ["SELECT ?", 1, 1, 10, []],
    ],
  );
  assert.deepEqual(book.digests.find(digests[0]?.digest ?? "", 3)?.users, [{ user: "app", count: 1 }]);
  assert.deepEqual(
    book.usage.users(3).map(({ user, allowed, rows, bytes }) => [user, allowed, rows, bytes]),
    [["app", 2, 101, 1_010]],
  );
});

test("a text that is no digest is never kept: its statement counts under its kind", () => {
  const book = new ActivityBook(0);
  book.observe({ ...intent("SELECT 'secret'"), textForm: "raw", statementKind: "select" } as AuditEvent, 1);
  const [found] = book.digests.list(byTime, 1).digests;
  assert.deepEqual([found?.text, found?.kind, found?.count], [undefined, "select", 1]);
  assert.doesNotMatch(JSON.stringify(book.digests.list(byTime, 1)), /secret/);
});

test("what was held counts once it has run, and rules count what they have stopped", () => {
  const book = new ActivityBook(0);
  const told = { rules: ["dml.nowhere"] };
  book.observe({ ...intent("DELETE FROM t", told), type: "hold" } as AuditEvent, 1);
  book.observe({ ...intent("DELETE FROM t", told), type: "statement-blocked" } as AuditEvent, 2);
  const [found] = book.digests.list({ ...byTime, order: "blocked" }, 3).digests;
  assert.deepEqual([found?.count, found?.held, found?.blocked], [1, 1, 1]);
  const [rule] = book.usage.rules(3);
  assert.deepEqual([rule?.rule, rule?.held, rule?.blocked, rule?.blockedHistory.at(-1)], ["dml.nowhere", 1, 1, 1]);
});

test("however many digests, users and tables come, what is kept is bounded, and what is dropped is told", () => {
  const book = new ActivityBook(0);
  for (let i = 0; i < 10_000; i++) {
    const told = { user: `user${i}`, session: `run-${i}`, tables: [`shop.t${i}`] };
    book.observe(intent(`SELECT ${"a".repeat(i % 100)} FROM t${i}`, told), i);
    book.observe(outcome(i === 3 ? 1e9 : 1, 1, 1, `run-${i}`), i);
    book.observe({ type: "disconnect", session: { id: `run-${i}`, clientAddress: "" }, reason: "client" }, i);
  }
  assert.ok(book.digests.size <= 2_000, String(book.digests.size));
  assert.equal(book.digests.size + book.digests.dropped, 10_000);
  assert.match(book.digests.list(byTime, 1).digests[0]?.text ?? "", /FROM t3$/);
  const users = book.usage.users(1);
  assert.ok(users.length <= 501);
  assert.equal(
    users.reduce((sum, { rows }) => sum + rows, 0),
    10_000,
  );
  assert.ok(users.some(({ user }) => user === OTHERS));
  assert.ok(book.usage.tables().length <= 5_001);
});

test("a long text counts by its beginning and is shown as cut", () => {
  const book = new ActivityBook(0);
  book.observe(intent(`SELECT ${"a,".repeat(100_000)}b`), 1);
  const [found] = book.digests.list(byTime, 1).digests;
  assert.deepEqual([found?.isCut, found?.text?.length], [true, 16 * 1024]);
});

test("quantiles are right up to a factor of two", () => {
  const buckets = new LatencyBuckets();
  assert.equal(buckets.quantileUs(0.5), undefined);
  for (let us = 1; us <= 1_000; us++) buckets.add(us);
  for (const share of [0.1, 0.5, 0.99]) {
    const found = buckets.quantileUs(share) ?? 0;
    assert.ok(found >= 1_000 * share && found <= 2_000 * share + 1, `${share}: ${found}`);
  }
  buckets.add(Number.MAX_SAFE_INTEGER);
  assert.ok((buckets.quantileUs(1) ?? 0) >= 2 ** 31 - 1);
});

test("counts leave with their slot, also when nothing came for longer than all of them", () => {
  const counts = new SlottedCounts(["a", "b"], { slotMs: 10, slots: 3 }, 5);
  counts.add("a", 5);
  counts.add("b", 15, 2);
  assert.deepEqual(counts.valuesOf("a", 25), [1, 0, 0]);
  assert.deepEqual(counts.valuesOf("b", 25), [0, 2, 0]);
  // A clock that was set back.
  counts.add("a", 3);
  assert.deepEqual(counts.valuesOf("a", 25), [1, 0, 1]);
  assert.deepEqual(counts.valuesOf("a", 1_000_000), [0, 0, 0]);
});
