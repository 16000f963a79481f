import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { isCheckpointSignature } from "../../src/audit/audit-key.ts";
import { AuditLog, type AuditLogOptions, type AuditState } from "../../src/audit/audit-log.ts";
import { type AuditRecord, CHAIN_START, decodeRecord } from "../../src/audit/audit-record.ts";
import { type AuditSink, FilelessSink, type SinkStart, type SinkTurn } from "../../src/audit/audit-sink.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { intent, KEY, openLog, outcome, records, SESSION, types, withFolder } from "./audit-fixture.ts";

const isAuditFailure = (error: unknown): boolean => error instanceof QuerycopError && error.code === "QC_AUDIT_FAILED";

/** A sink whose disk the test breaks and mends. */
class FakeSink implements AuditSink {
  readonly lines: string[] = [];
  start: SinkStart = { previous: undefined, tornBytes: 0 };
  failure: Error | undefined;
  nextTurn: SinkTurn | undefined;
  low = false;
  syncs: (() => void)[] = [];
  syncFailure: Error | undefined;
  autoSync = true;

  open(): SinkStart {
    return this.start;
  }
  /** How many lines each write had. */
  readonly writes: number[] = [];
  write(text: string): void {
    if (this.failure !== undefined) throw this.failure;
    const lines = text.split("\n").slice(0, -1);
    this.writes.push(lines.length);
    this.lines.push(...lines.map((line) => `${line}\n`));
  }
  sync(): Promise<void> {
    if (this.syncFailure !== undefined) return Promise.reject(this.syncFailure);
    return this.autoSync ? Promise.resolve() : new Promise((resolve) => this.syncs.push(resolve));
  }
  turn(): SinkTurn | undefined {
    const turn = this.nextTurn;
    this.nextTurn = undefined;
    return turn;
  }
  lookSoon(): void {}
  isLow(): boolean {
    return this.low;
  }
  close(): void {}

  get records(): AuditRecord[] {
    return this.lines.map((line) => {
      const decoded = decodeRecord(line.trimEnd());
      assert.ok(decoded.ok);
      return decoded.record;
    });
  }
  get types(): string[] {
    return this.records.map((record) => record.type);
  }
}

function setUp(options: Partial<AuditLogOptions> = {}) {
  const sink = new FakeSink();
  const clock = new FakeClock();
  const states: AuditState[] = [];
  const log = new AuditLog({
    sink,
    clock,
    key: KEY,
    mode: "kernel",
    onStateChange: (state) => states.push(state),
    ...options,
  });
  return { sink, clock, states, log };
}

function assertChained(list: readonly AuditRecord[], firstPrev = CHAIN_START): void {
  let prev = firstPrev;
  for (const [index, record] of list.entries()) {
    assert.equal(record.seq, index + 1);
    assert.equal(record.prev, prev);
    prev = record.hash;
  }
}

test("append() in mode kernel leaves a chained line in the file before it returns", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    assert.equal(log.append({ type: "connect", session: SESSION }), undefined);
    assert.deepEqual(types(path), ["segment-start", "connect"]);
    assertChained(records(path));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await log.close();
    assert.deepEqual(types(path), ["segment-start", "connect", "checkpoint"]);
  });
});

test("append() signs a checkpoint every so many records, and close() signs the end", async () => {
  const copies: string[] = [];
  const { sink, log } = setUp({ checkpointRecords: 10, copyCheckpoint: (line) => copies.push(line) });
  for (let i = 1; i <= 25; i++) log.append(intent(i));
  await log.close();
  const checkpoints = sink.records.filter((record) => record.type === "checkpoint");
  assert.deepEqual(
    checkpoints.map((record) => record.seq),
    [11, 22, 29],
  );
  assertChained(sink.records);
  for (const { seq, time, prev, fields } of checkpoints) {
    const facts = { run: log.run, seq, time, head: prev };
    assert.ok(isCheckpointSignature(facts, String(fields["signature"]), KEY.publicKey));
    for (const wrong of [{ run: "x" }, { seq: seq + 1 }, { time: "x" }, { head: CHAIN_START }]) {
      assert.ok(!isCheckpointSignature({ ...facts, ...wrong }, String(fields["signature"]), KEY.publicKey));
    }
  }
  assert.deepEqual(
    copies,
    sink.lines.filter((line) => line.includes('"type":"checkpoint"')),
  );
  assert.throws(() => log.append(intent(1)), isAuditFailure);
  await log.close();
});

test("append() signs after a time as well", async () => {
  const { sink, log } = setUp({ checkpointMs: 10 });
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.deepEqual(sink.types, ["segment-start", "checkpoint"], "and not again when nothing was recorded since");
  await log.close();
});

test("the chain continues that of an earlier run", async () => {
  const sink = new FakeSink();
  sink.start = { previous: { seq: 7, hash: "c".repeat(64), run: "0123456789abcdef" }, tornBytes: 12 };
  const log = new AuditLog({ sink, key: KEY, mode: "kernel" });
  const [first] = sink.records;
  assert.equal(first?.prev, "c".repeat(64));
  assert.deepEqual(
    [first?.fields["continues"], first?.fields["continuesSeq"], first?.fields["tornBytes"], first?.seq],
    ["0123456789abcdef", 7, 12, 1],
  );
  await log.close();
});

test("append() throws when the sink does, and resumes alone with a gap record", async () => {
  const { sink, clock, states, log } = setUp();
  log.append(intent(1));
  sink.failure = Object.assign(new Error("no space left"), { code: "ENOSPC" });
  for (let i = 2; i <= 4; i++) assert.throws(() => log.append(intent(i)), isAuditFailure);
  assert.equal(log.state, "failed");
  clock.advance(5000);
  sink.failure = undefined;
  log.append(intent(5));
  assert.deepEqual(sink.types, ["segment-start", "statement-intent", "audit-gap", "statement-intent"]);
  const gap = sink.records[2]?.fields;
  assert.deepEqual([gap?.["reason"], gap?.["lost"], gap?.["since"]], ["ENOSPC", 3, "2026-11-21T12:00:00.000Z"]);
  assertChained(sink.records);
  assert.deepEqual(states, ["failed", "ok"]);
  assert.deepEqual(log.counters, { records: 4, failures: 3, checkpoints: 0, segments: 1 });
  await log.close();
});

test("appendSoon() costs no write of its own when another event follows, and keeps the order", async () => {
  const { sink, clock, log } = setUp();
  log.append(intent(1));
  log.appendSoon(outcome(1));
  clock.advance(3);
  log.append(intent(2));
  log.appendSoon(outcome(2));
  log.append({ type: "disconnect", session: SESSION, reason: "client-closed" });
  assert.deepEqual(sink.writes, [1, 1, 2, 2], "segment-start, intent, outcome and intent, outcome and disconnect");
  assertChained(sink.records);
  assert.deepEqual(
    sink.records.slice(1).map(({ type, time }) => [type, time.slice(-4)]),
    [
      ["statement-intent", "000Z"],
      ["statement-outcome", "000Z"],
      ["statement-intent", "003Z"],
      ["statement-outcome", "003Z"],
      ["disconnect", "003Z"],
    ],
  );
  await log.close();
});

test("appendSoon() is written by itself soon, when many wait, and by flush() and close()", async () => {
  const { sink, log } = setUp();
  for (let i = 1; i <= 64; i++) log.appendSoon(outcome(i));
  assert.deepEqual(sink.writes, [1, 64], "at once when many wait");
  log.appendSoon(outcome(65));
  log.flush();
  assert.deepEqual(sink.writes, [1, 64, 1]);
  log.appendSoon(outcome(66));
  await eventually("it is written without another event", () => sink.writes.length === 4);
  log.appendSoon(outcome(67));
  await log.close();
  assertChained(sink.records);
  assert.equal(sink.types.filter((type) => type === "statement-outcome").length, 67);
  log.appendSoon(outcome(68));
});

test("appendSoon() keeps outcomes over a time in which nothing can be written, and that time refuses nobody", async () => {
  const { sink, states, log } = setUp();
  log.append(intent(1));
  sink.failure = Object.assign(new Error("no space left"), { code: "ENOSPC" });
  log.appendSoon(outcome(1));
  log.flush();
  assert.equal(log.state, "failed");
  sink.failure = undefined;
  await eventually("it is tried again without another event", () => sink.types.includes("statement-outcome"));
  assert.deepEqual(sink.types, ["segment-start", "statement-intent", "statement-outcome"], "no gap: nothing was lost");
  assert.deepEqual(states, ["failed", "ok"]);
  await log.close();
});

test("appendSoon() bounds what it keeps, and the gap record counts what it had to drop", async () => {
  const { sink, log } = setUp();
  sink.failure = Object.assign(new Error("no space left"), { code: "ENOSPC" });
  for (let i = 1; i <= 300; i++) {
    assert.throws(() => log.append(intent(i)), isAuditFailure);
    log.appendSoon(outcome(i));
  }
  sink.failure = undefined;
  log.append(intent(301));
  assert.deepEqual(sink.types.slice(0, 2), ["segment-start", "audit-gap"]);
  assert.equal(sink.records[1]?.fields["lost"], 300 + 300 - 256);
  assert.equal(sink.types.filter((type) => type === "statement-outcome").length, 256);
  await log.close();
});

test("a client is not told where the log is", async () => {
  const { sink, log } = setUp();
  sink.failure = new Error("ENOSPC: no space left on device, write '/var/log/CANARY'");
  assert.throws(
    () => log.append(intent(1)),
    (error) =>
      error instanceof QuerycopError && error.message.includes("CANARY") && !error.clientMessage.includes("CANARY"),
  );
  sink.failure = undefined;
  await log.close();
});

test("with the reserve in use only records that end something are taken", async () => {
  const { sink, states, log } = setUp();
  log.append(intent(1));
  sink.low = true;
  assert.throws(() => log.append(intent(2)), isAuditFailure);
  assert.throws(() => log.append({ type: "connect", session: SESSION }), isAuditFailure);
  log.append(outcome(1));
  log.append({ type: "disconnect", session: SESSION, reason: "audit-failed" });
  assert.equal(log.state, "low");
  sink.low = false;
  log.append(intent(3));
  assert.deepEqual(sink.types.slice(1), [
    "statement-intent",
    "audit-gap",
    "statement-outcome",
    "disconnect",
    "statement-intent",
  ]);
  assert.deepEqual(states, ["low", "ok"]);
  await log.close();
});

test("a new file begins with a segment-start, also when its first write fails", async () => {
  const { sink, log } = setUp();
  log.append(intent(1));
  sink.nextTurn = { why: "recovered", gap: { reason: "deleted", detail: "x" } };
  sink.failure = new Error("full");
  assert.throws(() => log.append(intent(2)), isAuditFailure);
  sink.failure = undefined;
  log.append(intent(3));
  assert.deepEqual(sink.types, [
    "segment-start",
    "statement-intent",
    "segment-start",
    "audit-gap",
    "audit-gap",
    "statement-intent",
  ]);
  assert.equal(sink.records[2]?.fields["segment"], 2);
  assert.equal(sink.records[2]?.fields["why"], "recovered");
  assertChained(sink.records);
  await log.close();
});

test("append() in mode durable settles after a sync that began after the write, and shares syncs", async () => {
  const { sink, log } = setUp({ mode: "durable" });
  sink.autoSync = false;
  const settled: number[] = [];
  const append = (n: number): Promise<unknown> => Promise.resolve(log.append(intent(n))).then(() => settled.push(n));
  const appends = [append(1), append(2)];
  assert.equal(sink.syncs.length, 1, "the first one starts a sync at once");
  appends.push(append(3));
  await settle();
  assert.deepEqual(settled, []);
  sink.syncs.shift()?.();
  await settle();
  assert.deepEqual(settled, [1], "what came after the sync began waits for the next");
  assert.equal(sink.syncs.length, 1);
  sink.syncs.shift()?.();
  await settle();
  assert.deepEqual(settled, [1, 2, 3]);
  await Promise.all(appends);
  sink.autoSync = true;
  await log.close();
});

test("append() in mode durable rejects when the sync fails", async () => {
  const { sink, states, log } = setUp({ mode: "durable" });
  sink.syncFailure = Object.assign(new Error("i/o error"), { code: "EIO" });
  await assert.rejects(Promise.resolve(log.append(intent(1))), isAuditFailure);
  sink.syncFailure = undefined;
  await log.append(intent(2));
  assert.deepEqual(sink.types, ["segment-start", "statement-intent", "audit-gap", "statement-intent"]);
  assert.equal(sink.records[2]?.fields["reason"], "EIO");
  assert.deepEqual(states, ["failed", "ok"]);
  await log.close();
});

test("a log that cannot be opened says so", () => {
  const sink = new FakeSink();
  sink.failure = new Error("read-only file system");
  assert.throws(() => new AuditLog({ sink, key: KEY, mode: "kernel" }), isAuditFailure);
});

test("an unreadable end of the earlier file is put on record", async () => {
  const sink = new FakeSink();
  sink.start = { previous: undefined, tornBytes: 0, problem: "previous-file-unreadable" };
  const log = new AuditLog({ sink, key: KEY, mode: "kernel" });
  assert.deepEqual(sink.types, ["segment-start", "audit-gap"]);
  await log.close();
});

test("a sink without files gets each line", async () => {
  const lines: string[] = [];
  class Lines extends FilelessSink {
    override write(line: string): void {
      lines.push(line);
    }
  }
  const log = new AuditLog({ sink: new Lines(), key: KEY, mode: "durable" });
  await log.append(intent(1));
  await log.close();
  assert.equal(lines.length, 3);
});

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
