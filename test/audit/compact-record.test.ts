import assert from "node:assert/strict";
import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { AuditEvent, AuditEventOf, AuditSession } from "../../src/audit/audit-event.ts";
import { AuditLog } from "../../src/audit/audit-log.ts";
import { readAudit, tailAudit } from "../../src/audit/audit-read.ts";
import { CHAIN_START, encodeRecord } from "../../src/audit/audit-record.ts";
import { searchAudit } from "../../src/audit/audit-search.ts";
import { FilelessSink } from "../../src/audit/audit-sink.ts";
import { verifyAudit } from "../../src/audit/audit-verify.ts";
import { CompactEncoder, isInShort } from "../../src/audit/compact-record.ts";
import { RecordChain } from "../../src/audit/record-chain.ts";
import { type ReadRecord, RecordExpander, wholeLines } from "../../src/audit/record-expander.ts";
import { KEY, openLog, SESSION, wholeLinesOf, withFolder } from "./audit-fixture.ts";

const TIME_MS = Date.UTC(2026, 10, 30, 12);

/** What a record in a file of whole ones says of the event, but for the chain. */
function wholeRecord(event: AuditEvent, seq: number): ReadRecord {
  const {
    prev: _prev,
    hash: _hash,
    ...rest
  } = JSON.parse(encodeRecord(event, { seq: seq - 1, hash: CHAIN_START }, TIME_MS).line);
  return rest;
}

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const text = fc.oneof(
  fc.constantFrom("SELECT ?", "UPDATE `t` SET `a` = ?"),
  fc.string({ unit: "binary", maxLength: 12 }),
);
const few = fc.integer({ min: 0, max: 4 });
const session: fc.Arbitrary<AuditSession> = fc.record({
  id: fc.constantFrom("run-1", "run-2"),
  clientAddress: fc.constantFrom("10.0.0.1:1", "10.0.0.2:2"),
  user: maybe(text),
  backendConnectionId: maybe(few),
});
const intents: fc.Arbitrary<AuditEvent> = fc.record({
  type: fc.constant("statement-intent" as const),
  session,
  ordinal: few,
  command: fc.constantFrom("COM_QUERY", "COM_STMT_EXECUTE"),
  statementId: maybe(few),
  boundRows: maybe(few),
  text: maybe(text),
  textForm: fc.constantFrom("digest", "raw", "none"),
  sealedText: maybe(text),
  textBytes: maybe(few),
  textHash: maybe(fc.constantFrom("00ff", "11ee")),
  digestHashes: maybe(fc.array(text, { maxLength: 2 })),
  tables: maybe(fc.array(text, { maxLength: 2 })),
  decision: fc.constantFrom("allow", "warn"),
  decisionId: maybe(fc.constantFrom("1f3a9c02-1", "1f3a9c02-2")),
  score: maybe(few),
  rules: maybe(fc.array(text, { maxLength: 2 })),
  estimatedRows: maybe(few),
  approver: maybe(text),
});
const outcomes: fc.Arbitrary<AuditEvent> = fc.record({
  type: fc.constant("statement-outcome" as const),
  session,
  ordinal: few,
  outcome: fc.constantFrom("ok", "error"),
  errorNumber: maybe(few),
  sqlState: maybe(fc.constant("42S02")),
  rows: maybe(few),
  affectedRows: maybe(few),
  resultSets: maybe(few),
  warnings: maybe(few),
  jobId: maybe(text),
  bytes: maybe(few),
  durationUs: maybe(few),
  limit: maybe(text),
});

test("a record in short is read as the whole record it stands for, whatever was before", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(intents, outcomes), { maxLength: 40 }), (events) => {
      const { text: lines } = new RecordChain(true).encode(
        events.map((event) => ({ event, timeMs: TIME_MS })),
        { seq: 0, hash: CHAIN_START },
      );
      const expander = new RecordExpander();
      const read = lines
        .split("\n")
        .slice(0, -1)
        .map((line) => {
          assert.ok(isInShort(line) && /^[ -~]*$/.test(line));
          return expander.read(line);
        });
      const expected = events.map((event, index) => wholeRecord(event, index + 1));
      assert.deepEqual(read, expected);
      assert.deepEqual(
        read.map((record) => Object.keys(record ?? {})),
        expected.map((record) => Object.keys(record)),
        "in the same order",
      );
    }),
  );
});

function statement(ordinal: number, of: AuditSession, digest: string): AuditEventOf<"statement-intent"> {
  return {
    type: "statement-intent",
    session: of,
    ordinal,
    command: "COM_QUERY",
    text: digest,
    textForm: "digest",
    textBytes: 120,
    textHash: "0".repeat(64),
    statementKind: "select",
    tables: ["shop.orders", "shop.customers"],
    decision: "allow",
    decisionId: `1f3a9c02-${1_000_000 + ordinal}`,
    score: 0,
    level: "low",
    policyVersion: "0123456789ab",
  };
}

const LONG =
  "SELECT `o`.`id` , `c`.`name` FROM `orders` AS `o` JOIN `customers` AS `c` ON `c`.`id` = `o`.`customer` WHERE `o`.`id` = ?";

function ended(ordinal: number, of: AuditSession): AuditEventOf<"statement-outcome"> {
  return {
    type: "statement-outcome",
    session: of,
    ordinal,
    outcome: "ok",
    rows: 1,
    affectedRows: 0,
    resultSets: 1,
    warnings: 0,
    bytes: 1021,
    durationUs: 1542,
  };
}

const FULL: AuditSession = {
  ...SESSION,
  listener: "writer",
  backend: "shop.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com:3306",
  backendConnectionId: 4242,
  schema: "shop",
  sqlMode: "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION",
  characterSet: "utf8mb4",
  program: "shop-backend",
};

test("a statement takes at most 400 bytes, its outcome among them", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    const before = statSync(path).size;
    for (let i = 1; i <= 2000; i++) {
      log.append(statement(i, FULL, LONG));
      log.appendSoon(ended(i, FULL));
    }
    await log.close();
    const bytes = (statSync(path).size - before) / 2000;
    assert.ok(bytes <= 400, `${bytes} bytes`);
    assert.equal((await verifyAudit(path)).isWhole, true);
  });
});

test("what records refer to is found from any place of a file, and where it was written long before", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, {}, { checkpointRecords: 100_000 });
    const sessions = Array.from({ length: 20 }, (_, i) => ({ ...FULL, id: `run-${i}`, user: `user${i}` }));
    // The first statements have the parts, and half a megabyte lies between them and the last ones.
    for (let i = 1; i <= 3000; i++) {
      const of = sessions[i % 20] ?? FULL;
      log.append(statement(i, of, `${LONG} ${i % 7}`));
      log.appendSoon(ended(i, of));
    }
    await log.close();
    assert.ok(statSync(path).size > 700_000);
    const all: ReadRecord[] = [];
    for await (const record of readAudit(path, { types: ["statement-intent"] })) all.push(record);
    assert.equal(all.length, 3000);
    assert.deepEqual(await tailAudit(path, 10, { types: ["statement-intent"] }), all.slice(-10));
    const wanted = { types: ["statement-intent"], user: "user3", table: "orders" };
    const page = await searchAudit(path, { filter: wanted, limit: 5 });
    const ofUser3 = all.filter(({ session: of }) => (of as ReadRecord)["user"] === "user3");
    assert.deepEqual([...page.records].reverse(), ofUser3.slice(-5));
    const next = await searchAudit(path, { filter: wanted, limit: 5, cursor: page.cursor });
    assert.deepEqual([...next.records].reverse(), ofUser3.slice(-10, -5));
  });
});

test("an encoder begins anew before a reader would have to keep too much", () => {
  const encoder = new CompactEncoder();
  const expander = new RecordExpander();
  const sessions = Array.from({ length: 20_000 }, (_, i) => ({ id: `run-${i}`, clientAddress: "10.0.0.1:1" }));
  let seq = 0;
  for (let round = 0; round < 2; round++) {
    for (const [index, of] of sessions.entries()) {
      const line = `${encoder.encode(statement(index, of, "SELECT ?"), ++seq, TIME_MS)}}`;
      const record = expander.read(line) as ReadRecord;
      assert.equal((record["session"] as ReadRecord)["id"], of.id);
    }
  }
});

test("a statement too long to stand in short is written whole", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(statement(1, FULL, "x".repeat(3_000_000)));
    log.append(statement(2, FULL, LONG));
    await log.close();
    const [, long = "", short = ""] = readFileSync(path, "latin1").split("\n");
    assert.deepEqual([isInShort(long), isInShort(short)], [false, true]);
    assert.equal((await verifyAudit(path)).isWhole, true);
  });
});

test("a group that was cut off in its middle is put aside at the next start, and what was before it stands", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(statement(1, FULL, LONG));
    const whole = readFileSync(path, "latin1");
    log.appendSoon(ended(1, FULL));
    log.append(statement(2, FULL, LONG));
    const group = readFileSync(path, "latin1").slice(whole.length);
    await log.close();
    // As a machine that lost its power may leave it: the group's first line alone.
    writeFileSync(path, whole);
    appendFileSync(path, group.slice(0, group.indexOf("\n") + 1));
    const cut = await verifyAudit(path);
    assert.deepEqual([cut.isWhole, cut.tornBytes > 0], [true, true]);
    const next = openLog(path);
    next.append(statement(3, FULL, LONG));
    await next.close();
    const found = await verifyAudit(path);
    assert.deepEqual(found.problems, []);
    assert.equal(found.intents.unknown, 2);
  });
});

test("a write that failed leaves nothing that later records refer to", async () => {
  const lines: string[] = [];
  let fails = false;
  class Failing extends FilelessSink {
    override write(text: string): void {
      if (fails) throw new Error("no space");
      lines.push(text);
    }
  }
  const log = new AuditLog({ sink: new Failing(), key: KEY, mode: "kernel", isCompact: true });
  fails = true;
  assert.throws(() => log.append(statement(1, FULL, LONG)));
  fails = false;
  log.append(statement(2, FULL, LONG));
  await log.close();
  const expander = new RecordExpander();
  const read = lines
    .join("")
    .split("\n")
    .slice(0, -1)
    .map((line) => expander.read(line));
  assert.ok(read.every((record) => record !== undefined));
});

test("wholeLines() makes a piped log whole, over the segments in it, and passes other lines", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(statement(1, FULL, LONG));
    log.append(statement(2, FULL, LONG));
    await log.close();
    const lines = readFileSync(path, "latin1").split("\n").slice(0, -1);
    async function* piped(): AsyncGenerator<string> {
      yield* ["SELECT 1", ...lines, ...lines];
    }
    const whole: string[] = [];
    for await (const line of wholeLines(piped())) whole.push(line);
    assert.deepEqual(whole, ["SELECT 1", ...wholeLinesOf(path), ...wholeLinesOf(path)]);
    assert.ok(whole.every((line) => !isInShort(line)));
    // Without the line that begins a run, its numbers are not taken for those of the run before.
    const headless = lines.filter(isInShort);
    async function* filtered(): AsyncGenerator<string> {
      yield* [...headless, ...headless.slice(1)];
    }
    const told: boolean[] = [];
    for await (const line of wholeLines(filtered())) told.push(!isInShort(line));
    assert.deepEqual(told, [true, true, false]);
  });
});
