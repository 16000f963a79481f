import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appendFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { followAudit, isMatch, readAudit, tailAudit } from "../../src/audit/audit-read.ts";
import type { ReadRecord } from "../../src/audit/record-expander.ts";
import { readLines, readLinesBackwards } from "../../src/audit/segment-reader.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { intent, openLog, outcome, SESSION, withFolder } from "./audit-fixture.ts";

const ordinals = (list: readonly ReadRecord[]): unknown[] => list.map((record) => record["ordinal"]);

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test("tailAudit() gives the last matching records over files and restarts, oldest first", async () => {
  await withFolder(async (_folder, path) => {
    for (const run of ["a", "b"]) {
      const log = openLog(path, { segmentBytesMax: 3000 });
      for (let i = 1; i <= 20; i++) {
        log.append(intent(i, { ...SESSION, id: run }));
        log.append(outcome(i, { ...SESSION, id: run }));
      }
      await log.close();
    }
    assert.deepEqual(ordinals(await tailAudit(path, 3, { types: ["statement-intent"] })), [18, 19, 20]);
    const all = await tailAudit(path, 1000, { types: ["statement-intent"] });
    assert.equal(all.length, 40);
    assert.deepEqual(
      all.slice(19, 21).map((record) => (record["session"] as ReadRecord)["id"]),
      ["a", "b"],
    );
    assert.deepEqual(all, await collect(readAudit(path, { types: ["statement-intent"] })));
    assert.deepEqual(ordinals(await tailAudit(path, 2, { types: ["statement-outcome"], sessionId: "a" })), [19, 20]);
    assert.deepEqual(await tailAudit(path, 5, { sessionId: "none" }), []);
    assert.equal((await collect(readAudit(path))).length, (await tailAudit(path, 1e9)).length);
  });
});

test("tailAudit() stops where the records are too old", async () => {
  await withFolder(async (_folder, path) => {
    const clock = new FakeClock();
    const log = openLog(path, { clock, segmentBytesMax: 2000 });
    for (let i = 1; i <= 30; i++) {
      log.append(intent(i));
      clock.advance(1000);
    }
    await log.close();
    const fromMs = Date.UTC(2026, 10, 21, 12, 0, 20);
    assert.deepEqual(
      ordinals(await tailAudit(path, 100, { types: ["statement-intent"], fromMs })),
      [21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
    );
    assert.deepEqual(
      ordinals(await tailAudit(path, 100, { types: ["statement-intent"], fromMs, toMs: fromMs + 2000 })),
      [21, 22],
    );
  });
});

test("reading a log that is not there finds nothing", async () => {
  await withFolder(async (_folder, path) => {
    assert.deepEqual(await tailAudit(path, 10), []);
    assert.deepEqual(await collect(readAudit(path)), []);
  });
});

test("lines that are no JSON are passed over", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    log.append(intent(1));
    await log.close();
    appendFileSync(path, 'garbage\nnull\n7\n{"type":"statement-intent","ordinal":2}\n{"torn');
    assert.deepEqual(ordinals(await tailAudit(path, 10, { types: ["statement-intent"] })), [1, 2]);
    assert.deepEqual(ordinals(await collect(readAudit(path, { types: ["statement-intent"] }))), [1, 2]);
  });
});

test("readLines() and readLinesBackwards() agree for any content and line length", async () => {
  await withFolder(async (_folder, path) => {
    // Lengths around the size of a read, so that lines begin and end at every place in one.
    const lengths = fc.array(fc.oneof(fc.nat(30), fc.nat(600_000), fc.integer({ min: 262_000, max: 262_300 })), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(20), async (lineLengths, tornBytes) => {
        const lines = lineLengths.map((length, i) => String.fromCharCode(97 + (i % 26)).repeat(length));
        writeFileSync(path, lines.map((line) => `${line}\n`).join("") + "t".repeat(tornBytes));
        const batches = await collect(readLines(path));
        assert.deepEqual(
          batches.flatMap((batch) => batch.lines),
          lines,
        );
        assert.equal(
          batches.reduce((sum, batch) => sum + batch.tornBytes, 0),
          tornBytes,
        );
        assert.deepEqual((await collect(readLinesBackwards(path))).flatMap((batch) => batch.lines).reverse(), lines);
      }),
      { numRuns: 60 },
    );
  });
});

const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

test("followAudit() gives new records over rotations and restarts, each once", { timeout: 30_000 }, async () => {
  await withFolder(async (_folder, path) => {
    const stop = new AbortController();
    const first = openLog(path, { segmentBytesMax: 2000 });
    const seen: number[] = [];
    let isFollowing = false;
    const following = (async () => {
      for await (const record of followAudit(path, { types: ["connect", "statement-intent"] }, stop.signal)) {
        isFollowing = true;
        if (record["type"] === "connect") continue;
        seen.push(Number(record["ordinal"]));
        if (record["ordinal"] === 60) stop.abort();
      }
    })();
    // "From now on" begins at a moment only the follower knows.
    for (; !isFollowing; await tick()) first.append({ type: "connect", session: SESSION });
    for (let i = 1; i <= 40; i++) {
      first.append(intent(i));
      if (i % 10 === 0) await tick();
    }
    await first.close();
    const second = openLog(path, { segmentBytesMax: 2000 });
    for (let i = 41; i <= 60; i++) second.append(intent(i));
    await following;
    await second.close();
    assert.deepEqual(
      seen,
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
  });
});

test("followAudit() passes over no file when several are begun between two of its steps", {
  timeout: 60_000,
}, async () => {
  // Each round turns the files over at another of the follower's steps.
  for (let turns = 0; turns < 12; turns++) {
    await withFolder(async (_folder, path) => {
      const stop = new AbortController();
      const log = openLog(path, { segmentBytesMax: 2000 });
      log.append(intent(0));
      const seen: number[] = [];
      const following = (async () => {
        for await (const record of followAudit(path, { types: ["statement-intent"] }, stop.signal, 1)) {
          seen.push(Number(record["ordinal"]));
          if (record["ordinal"] === 40) stop.abort();
        }
      })();
      await eventually("it follows", () => seen.length === 1);
      for (let i = 1; i <= 40; i++) {
        log.append(intent(i));
        if (i % 10 !== 0) continue;
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
        if (i === 10) await eventually("it reads on", () => seen.length > 1);
      }
      await following;
      await log.close();
      assert.deepEqual(seen, [...Array(41).keys()], `${turns} turns`);
    });
  }
});

test("followAudit() waits for a log that does not exist yet", { timeout: 30_000 }, async () => {
  await withFolder(async (_folder, path) => {
    const stop = new AbortController();
    const records = followAudit(path, { types: ["connect"] }, stop.signal);
    let isSeen = false;
    const next = records.next().then((result) => {
      isSeen = true;
      return result;
    });
    await tick();
    const log = openLog(path);
    for (; !isSeen; await tick()) log.append({ type: "connect", session: SESSION });
    assert.equal((await next).value?.["type"], "connect");
    stop.abort();
    while ((await records.next()).done !== true);
    await log.close();
  });
});

test("followAudit() gives the last ones that are there first, and none of them twice", {
  timeout: 30_000,
}, async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, { segmentBytesMax: 2000 });
    for (let i = 1; i <= 10; i++) log.append(intent(i));
    const stop = new AbortController();
    const seen: number[] = [];
    for await (const record of followAudit(path, { types: ["statement-intent"] }, stop.signal, 3)) {
      seen.push(Number(record["ordinal"]));
      if (seen.length < 6) log.append(intent(10 + seen.length));
      else stop.abort();
    }
    await log.close();
    assert.deepEqual(seen, [8, 9, 10, 11, 12, 13]);
  });
});

test("isMatch() needs every condition", () => {
  const record = {
    type: "statement-intent",
    time: "2026-11-21T12:00:00.000Z",
    decision: "warn",
    session: { id: "s", user: "app", userSent: "APP", clientAddress: "10.0.0.1:999" },
  };
  for (const filter of [
    {},
    { types: ["login", "statement-intent"] },
    { user: "app" },
    { user: "APP" },
    { clientAddress: "10.0.0.1" },
    { clientAddress: "10.0.0.1:999" },
    { decision: "warn", sessionId: "s" },
    { fromMs: Date.UTC(2026, 10, 21, 12), toMs: Date.UTC(2026, 10, 21, 13) },
  ]) {
    assert.equal(isMatch(record, filter), true, JSON.stringify(filter));
  }
  for (const filter of [
    { types: [] },
    { user: "ap" },
    { clientAddress: "10.0.0" },
    { decision: "warn", sessionId: "t" },
    { outcome: "ok" },
    { fromMs: Date.UTC(2026, 10, 21, 13) },
    { toMs: Date.UTC(2026, 10, 21, 12) },
  ]) {
    assert.equal(isMatch(record, filter), false, JSON.stringify(filter));
  }
  assert.equal(isMatch({ type: "token-mint", user: "app" }, { user: "app" }), true);
  assert.equal(isMatch({ type: "admin-call", clientAddress: "[::1]:5" }, { clientAddress: "[::1]" }), true);
});

test("a decision is found by its id, its rules and its digest, whole or by the beginning", () => {
  const record = {
    type: "statement-blocked",
    decisionId: "1f3a9c02-7",
    rules: ["ddl.drop", "inj.stacked"],
    text: "DROP TABLE `t`",
    textForm: "digest",
  };
  const hash = createHash("sha256").update(record.text).digest("hex");
  assert.ok(isMatch(record, { decisionId: "1f3a9c02-7" }));
  assert.ok(!isMatch(record, { decisionId: "1f3a9c02-70" }));
  assert.ok(isMatch(record, { rule: "inj.stacked" }));
  assert.ok(isMatch(record, { rule: "ddl.*" }));
  assert.ok(!isMatch(record, { rule: "ddl" }));
  assert.ok(!isMatch({ type: "connect" }, { rule: "*" }));
  assert.ok(isMatch(record, { digest: hash }));
  assert.ok(isMatch(record, { digest: hash.slice(0, 8) }));
  assert.ok(isMatch({ ...record, digestHashes: ["00ff00ff", hash] }, { digest: hash.slice(0, 12) }));
  assert.ok(!isMatch({ ...record, textForm: "none" }, { digest: hash.slice(0, 8) }));
});
