import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { AuditEvent } from "../../src/audit/audit-event.ts";
import { type AuditFilter, tailAudit } from "../../src/audit/audit-read.ts";
import { type SearchOptions, searchAudit } from "../../src/audit/audit-search.ts";
import type { ReadRecord } from "../../src/audit/record-expander.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { intent, openLog, outcome, SESSION, withFolder } from "./audit-fixture.ts";

const ordinals = (list: readonly ReadRecord[]): unknown[] => list.map((record) => record["ordinal"]);

/** Every page, until there is no cursor. */
async function allPages(path: string, options: Omit<SearchOptions, "cursor">): Promise<ReadRecord[][]> {
  const pages: ReadRecord[][] = [];
  let cursor: string | undefined;
  do {
    const page = await searchAudit(path, { ...options, cursor, timeMsMax: Number.MAX_SAFE_INTEGER });
    pages.push([...page.records]);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return pages;
}

async function withLog(work: (path: string, clock: FakeClock) => Promise<void>): Promise<void> {
  await withFolder(async (_folder, path) => {
    const clock = new FakeClock();
    for (const run of ["a", "b"]) {
      const log = openLog(path, { clock, segmentBytesMax: 3000 });
      for (let i = 1; i <= 50; i++) {
        log.append(intent(i, { ...SESSION, id: run }));
        log.append(outcome(i, { ...SESSION, id: run }));
        clock.advance(1000);
      }
      await log.close();
    }
    await work(path, clock);
  });
}

test("searchAudit() gives page by page what tailAudit() gives at once, over files and restarts", async () => {
  await withLog(async (path) => {
    const fromMs = Date.UTC(2026, 10, 21, 12, 0, 20);
    const filters: readonly AuditFilter[] = [
      {},
      { types: ["statement-intent"] },
      { sessionId: "b", types: ["statement-outcome"] },
      { ordinal: 7 },
      { fromMs },
      { toMs: fromMs },
      { fromMs, toMs: fromMs + 2000 },
      { user: "nobody" },
    ];
    for (const filter of filters) {
      const expected = (await tailAudit(path, 1e9, filter)).reverse();
      for (const limit of [1, 7, 1000]) {
        const found = (await allPages(path, { filter, limit })).flat();
        assert.deepEqual(found, expected, `${JSON.stringify(filter)} by ${limit}`);
      }
    }
  });
});

test("searchAudit() ends a page at its bound of bytes, and what it did not look at comes with the next", async () => {
  await withLog(async (path) => {
    const page = await searchAudit(path, { filter: { ordinal: 1, sessionId: "a" }, limit: 10, bytesMax: 1 });
    assert.deepEqual(page.records, []);
    assert.ok(page.cursor !== undefined && page.scannedTo !== undefined && page.scannedBytes < 10_000);
    const found = (await allPages(path, { filter: { ordinal: 1, sessionId: "a" }, limit: 10, bytesMax: 1 })).flat();
    assert.deepEqual(ordinals(found), [1, 1]);
  });
});

test("searchAudit() finds its place again when the active file has become a finished one meanwhile", async () => {
  await withLog(async (path, clock) => {
    const filter = { types: ["statement-intent"] };
    const first = await searchAudit(path, { filter, limit: 5 });
    assert.deepEqual(ordinals(first.records), [50, 49, 48, 47, 46]);
    const log = openLog(path, { clock });
    log.append(intent(99));
    await log.close();
    const next = await searchAudit(path, { filter, limit: 5, cursor: first.cursor });
    assert.deepEqual(ordinals(next.records), [45, 44, 43, 42, 41]);
    for (const cursor of ["nonsense", "gone-1-100"]) {
      assert.deepEqual((await searchAudit(path, { filter, limit: 5, cursor })).records, []);
    }
  });
});

test("searchAudit() finds names as they stand in the record: quoted, escaped, of any script", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, {});
    const users = ['a"b\\c', "jürgen", "\u202e", "名前"];
    for (const [index, user] of users.entries()) {
      const about = { tables: [`shop.${user}`], rules: ["ddl.drop"] };
      log.append({ ...intent(index, { ...SESSION, user }), ...about } as AuditEvent);
    }
    await log.close();
    for (const [index, user] of users.entries()) {
      for (const filter of [{ user }, { table: user }, { table: `shop.${user}` }]) {
        const { records } = await searchAudit(path, { filter: { ...filter, rule: "ddl.*" }, limit: 10 });
        assert.deepEqual(ordinals(records), [index], JSON.stringify(filter));
      }
    }
  });
});

test("searchAudit() reads an active file whose first record cannot be read, and goes on in it once it has another name", async () => {
  await withLog(async (path, clock) => {
    const expected = (await tailAudit(path, 1e9, { types: ["statement-intent"] })).reverse();
    const bytes = readFileSync(path);
    bytes.write("damaged", 2);
    writeFileSync(path, bytes);
    const options = { filter: { types: ["statement-intent"] }, limit: 1 };
    assert.deepEqual((await allPages(path, options)).flat(), expected);
    const first = await searchAudit(path, options);
    const log = openLog(path, { clock });
    await log.close();
    const rest = await searchAudit(path, { ...options, limit: 1000, cursor: first.cursor });
    assert.deepEqual([...first.records, ...rest.records], expected);
  });
});
