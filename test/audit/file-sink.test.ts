import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createPassingAuditKey } from "../../src/audit/audit-key.ts";
import type { AuditLog } from "../../src/audit/audit-log.ts";
import { verifyAudit, verifyAuditFiles } from "../../src/audit/audit-verify.ts";
import { listSegments } from "../../src/audit/segment-files.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { withSmallDisk } from "../support/small-disk.ts";
import { intent, openLog, outcome, records, SESSION, types, withFolder } from "./audit-fixture.ts";

const isAuditFailure = (error: unknown): boolean => error instanceof QuerycopError && error.code === "QC_AUDIT_FAILED";
const refuses = (log: AuditLog, ordinal: number): void =>
  assert.throws(() => log.append(intent(ordinal)), isAuditFailure);

function pair(log: AuditLog, ordinal: number): void {
  log.append(intent(ordinal));
  log.append(outcome(ordinal));
}

async function assertWhole(path: string): Promise<Awaited<ReturnType<typeof verifyAudit>>> {
  const found = await verifyAudit(path);
  assert.deepEqual(found.problems, []);
  return found;
}

test("files are private, and so is a folder made for them", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "deep", "audit.ndjson");
    const log = openLog(path);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, "deep")).mode & 0o777, 0o700);
    await log.close();
    assert.deepEqual(readdirSync(join(folder, "deep")), ["audit.ndjson"], "the reserve is given back");
  });
});

test("a folder that others may write to is refused", async () => {
  await withFolder((folder) => {
    for (const mode of [0o777, 0o1777, 0o770, 0o702]) {
      const open = join(folder, mode.toString(8));
      mkdirSync(open);
      chmodSync(open, mode);
      assert.throws(() => openLog(join(open, "audit.ndjson")), isAuditFailure);
      assert.deepEqual(readdirSync(open), []);
    }
  });
});

test("a link or a folder in the place of the file is refused", async () => {
  await withFolder((folder, path) => {
    const victim = join(folder, "victim");
    writeFileSync(victim, "precious\n");
    symlinkSync(victim, path);
    assert.throws(() => openLog(path), isAuditFailure);
    unlinkSync(path);
    mkdirSync(path);
    assert.throws(() => openLog(path), isAuditFailure);
    assert.equal(readFileSync(victim, "utf8"), "precious\n");
  });
});

test("a link in the place of the next file or of the reserve is not followed", async () => {
  await withFolder(async (folder, path) => {
    const victim = join(folder, "victim");
    writeFileSync(victim, "precious\n");
    symlinkSync(victim, `${path}.reserve`);
    const log = openLog(path);
    pair(log, 1);
    renameSync(path, join(folder, "moved"));
    symlinkSync(victim, path);
    for (let i = 2; i < 6; i++) pair(log, i);
    await log.close();
    assert.equal(readFileSync(victim, "utf8"), "precious\n");
    assert.equal(types(path)[0], "segment-start", "the name is taken back");
  });
});

test("files are rotated by size, and the chain goes on", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path, { segmentBytesMax: 2000 });
    for (let i = 1; i <= 100; i++) pair(log, i);
    await log.close();
    const segments = listSegments(path);
    assert.ok(segments.length > 10);
    assert.deepEqual(
      segments.map((segment) => segment.segment),
      segments.map((_, i) => i + 1),
    );
    for (const segment of segments) assert.ok(segment.bytes < 3000 && types(segment.path)[0] === "segment-start");
    const { records: count, intents } = await assertWhole(path);
    assert.equal(intents.intents, 100);
    assert.equal(count, 200 + segments.length + 2);
  });
});

test("files are rotated by age", async () => {
  await withFolder(async (_folder, path) => {
    const clock = new FakeClock();
    const log = openLog(path, { segmentAgeMsMax: 3_600_000, clock });
    pair(log, 1);
    clock.advance(3_599_999);
    pair(log, 2);
    assert.equal(listSegments(path).length, 0);
    clock.advance(1);
    pair(log, 3);
    assert.equal(listSegments(path).length, 1);
    await log.close();
    await assertWhole(path);
  });
});

test("old files are deleted by total size and by age, and never the active one", async () => {
  await withFolder(async (folder, path) => {
    const clock = new FakeClock();
    const stranger = join(folder, "audit-2026.ndjson");
    writeFileSync(stranger, "not ours\n");
    const log = openLog(path, {
      segmentBytesMax: 4000,
      retention: { bytesMax: 20_000, ageMsMax: 86_400_000 },
      clock,
    });
    for (let i = 1; i <= 100; i++) {
      pair(log, i);
      clock.advance(10);
    }
    const kept = listSegments(path);
    assert.ok(kept.length >= 3 && kept.reduce((sum, { bytes }) => sum + bytes, 0) <= 20_000);
    const { beginsWith } = await assertWhole(path);
    assert.ok(beginsWith !== undefined && beginsWith.seq > 1);
    clock.advance(86_400_001);
    for (let i = 101; listSegments(path).some(({ path: old }) => old === kept.at(-1)?.path); i++) {
      assert.ok(i < 200);
      pair(log, i);
    }
    await log.close();
    await assertWhole(path);
    assert.ok(existsSync(stranger) && existsSync(path));
  });
});

test("old files are deleted by their number", async () => {
  await withFolder(async (folder, path) => {
    const clock = new FakeClock();
    const log = openLog(path, { segmentBytesMax: 4000, retention: { filesMax: 3 }, clock });
    for (let i = 1; i <= 100; i++) {
      pair(log, i);
      clock.advance(10);
    }
    await log.close();
    const segments = readdirSync(folder).filter((name) => name.startsWith("audit-"));
    assert.equal(segments.length, 3);
    assert.ok((await verifyAudit(path)).isWhole);
  });
});

test("reopen() goes on to a new file at once, so that log rotation may compress the old one", async () => {
  await withFolder(async (folder, path) => {
    const log = openLog(path, { inspectMs: 60_000 });
    pair(log, 1);
    log.reopen();
    assert.deepEqual(types(path).slice(0, 2), ["segment-start", "statement-intent"], "nothing has happened to it");
    renameSync(path, join(folder, "audit.ndjson.1"));
    log.reopen();
    assert.deepEqual(types(path), ["segment-start"]);
    pair(log, 2);
    await log.close();
    assert.ok(types(join(folder, "audit.ndjson.1")).includes("statement-outcome"));
    const { problems } = await verifyAuditFiles([path, join(folder, "audit.ndjson.1")]);
    assert.deepEqual(problems, []);
  });
});

test("a restart continues the chain in a new file", async () => {
  await withFolder(async (_folder, path) => {
    for (let run = 0; run < 4; run++) {
      const log = openLog(path);
      pair(log, 1);
      await log.close();
    }
    assert.equal(listSegments(path).length, 3);
    const { runs } = await assertWhole(path);
    assert.equal(runs.length, 4);
    const [first] = records(path);
    assert.equal(first?.fields["continues"], runs[2]?.run);
    assert.equal(first?.fields["continuesSeq"], 4);
  });
});

test("a restart continues from the newest segment when the active file is gone or empty", async () => {
  await withFolder(async (_folder, path) => {
    const first = openLog(path);
    pair(first, 1);
    await first.close();
    await openLog(path).close();
    unlinkSync(path);
    const second = openLog(path);
    assert.equal(records(path)[0]?.fields["continues"], first.run);
    await second.close();
    truncateSync(path, 0);
    const third = openLog(path);
    assert.equal(records(path)[0]?.fields["continues"], first.run);
    await third.close();
  });
});

test("a torn last record is cut off, kept aside and noted", async () => {
  await withFolder(async (folder, path) => {
    const first = openLog(path);
    pair(first, 1);
    appendFileSync(path, '{"seq":4,"time":"2026');
    const before = await verifyAudit(path);
    assert.deepEqual([before.isWhole, before.tornBytes], [true, 21]);
    const second = openLog(path);
    pair(second, 1);
    assert.equal(records(path)[0]?.fields["tornBytes"], 21);
    const { tornBytes, runs } = await assertWhole(path);
    assert.deepEqual([tornBytes, runs.length], [0, 2]);
    const torn = readdirSync(folder).filter((name) => name.endsWith(".torn"));
    assert.equal(torn.length, 1);
    assert.equal(readFileSync(join(folder, torn[0] ?? ""), "utf8"), '{"seq":4,"time":"2026');
    await first.close();
    await second.close();
  });
});

test("a file with nothing but the beginning of a record is put aside, and the chain continues the file before", async () => {
  await withFolder(async (folder, path) => {
    const first = openLog(path);
    pair(first, 1);
    await first.close();
    await openLog(path).close();
    writeFileSync(path, '{"seq":1,"ti');
    const second = openLog(path);
    assert.deepEqual([records(path)[0]?.fields["continues"], records(path)[0]?.fields["tornBytes"]], [first.run, 12]);
    await second.close();
    await assertWhole(path);
    assert.equal(readdirSync(folder).filter((name) => name.endsWith(".torn")).length, 1);
  });
});

test("a file whose end is no record is left as it is, and the new chain says so", async () => {
  await withFolder(async (_folder, path) => {
    for (const garbage of ["garbage\n", `${"\0".repeat(5000)}\n`, '{"seq":1}\n', `${"x".repeat(3_000_000)}\n`]) {
      writeFileSync(path, garbage, { mode: 0o600 });
      const log = openLog(path);
      pair(log, 1);
      await log.close();
      assert.deepEqual(types(path).slice(0, 2), ["segment-start", "audit-gap"]);
      assert.equal(records(path)[1]?.fields["reason"], "previous-file-unreadable");
    }
    assert.equal((await verifyAudit(path)).isWhole, false);
  });
});

test("a renamed file is left for a new one at the path", async () => {
  await withFolder(async (folder, path) => {
    const log = openLog(path);
    pair(log, 1);
    // A name our own listing knows, so that verifyAudit finds it.
    const moved = join(folder, `audit-20260101T000000000Z-${log.run}-000001.ndjson`);
    renameSync(path, moved);
    pair(log, 2);
    await log.close();
    assert.deepEqual(types(path).slice(0, 2), ["segment-start", "statement-intent"]);
    assert.equal(records(path)[0]?.fields["why"], "reopened");
    await assertWhole(path);
  });
});

test("an empty file made by log rotation is taken, one made by another process is left alone", async () => {
  await withFolder(async (folder, path) => {
    const log = openLog(path);
    pair(log, 1);
    const moved = join(folder, `audit-20260101T000000000Z-${log.run}-000001.ndjson`);
    renameSync(path, moved);
    writeFileSync(path, "", { mode: 0o600 });
    for (let i = 2; i < 5; i++) pair(log, i);
    assert.equal(types(path)[0], "segment-start");
    await log.close();
    await assertWhole(path);
  });
});

test("an old process that still serves and a new one keep one log together", async () => {
  await withFolder(async (_folder, path) => {
    const old = openLog(path, { segmentBytesMax: 3000 });
    pair(old, 1);
    const young = openLog(path, { segmentBytesMax: 3000 });
    for (let i = 2; i < 40; i++) {
      pair(old, i);
      pair(young, i);
    }
    await old.close();
    pair(young, 40);
    await young.close();
    const { runs, intents } = await assertWhole(path);
    assert.deepEqual(
      runs.map(({ run }) => run),
      [old.run, young.run],
    );
    assert.equal(intents.intents, 39 + 39);
    assert.ok(runs.every(({ isStopped }) => !isStopped));
  });
});

test("a deleted file is recovered from its descriptor", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    for (let i = 1; i <= 50; i++) pair(log, i);
    unlinkSync(path);
    pair(log, 51);
    await log.close();
    const { gaps, intents } = await assertWhole(path);
    assert.equal(intents.intents, 51);
    assert.deepEqual(
      gaps.map(({ reason, lost }) => [reason, lost]),
      [["deleted", 0]],
    );
  });
});

/** Finished files and the active one, by what they begin with. */
const asideOf = (folder: string): string[] => readdirSync(folder).filter((name) => name.includes(".foreign-"));

for (const [what, put] of [
  ["a folder", (path: string) => mkdirSync(path)],
  ["a link", (path: string) => symlinkSync("/etc/hostname", path)],
  ["a pipe", (path: string) => void execFileSync("mkfifo", [path])],
  ["a file of others", (path: string) => writeFileSync(path, "mine\n")],
  ["a chain of another key", (path: string) => writeFileSync(path, chainOfAnotherKey())],
] as const) {
  test(`${what} in the place of the file loses the name again, and nothing is lost`, async () => {
    await withFolder(async (folder, path) => {
      const elsewhere = join(folder, "elsewhere");
      mkdirSync(elsewhere);
      const told: string[] = [];
      const log = openLog(path, {}, { onGap: (reason) => told.push(reason) });
      for (let i = 1; i <= 3; i++) pair(log, i);
      renameSync(path, join(elsewhere, "gone"));
      put(path);
      for (let i = 4; i <= 8; i++) pair(log, i);
      await log.close();
      const { gaps, intents } = await assertWhole(path);
      assert.equal(intents.intents, 8);
      assert.deepEqual(
        gaps.map(({ reason }) => reason),
        ["replaced"],
      );
      assert.deepEqual(told, ["replaced"]);
      assert.equal(asideOf(folder).length, 1);
    });
  });
}

function chainOfAnotherKey(): string {
  const folder = mkdtempSync(join(tmpdir(), "querycop-other-"));
  const other = openLog(join(folder, "audit.ndjson"), {}, { key: createPassingAuditKey() });
  pair(other, 1);
  const text = readFileSync(join(folder, "audit.ndjson"), "latin1");
  rmSync(folder, { recursive: true });
  return text;
}

test("another folder in the place of the log's, as by a mount, and that taken away again loses nothing", async () => {
  await withFolder(async (folder) => {
    const place = join(folder, "log");
    const path = join(place, "audit.ndjson");
    const log = openLog(path);
    pair(log, 1);
    renameSync(place, join(folder, "beneath"));
    mkdirSync(place, { mode: 0o700 });
    for (let i = 2; i <= 5; i++) pair(log, i);
    await assertWhole(path);
    // What was mounted is out of reach from now on, but for the descriptor.
    renameSync(place, join(folder, "unmounted"));
    renameSync(join(folder, "beneath"), place);
    for (let i = 6; i <= 9; i++) pair(log, i);
    await log.close();
    const { gaps, intents } = await assertWhole(path);
    assert.equal(intents.intents, 9);
    assert.deepEqual(
      gaps.map(({ reason }) => reason),
      ["folder-replaced", "folder-replaced"],
    );
  });
});

test("a deleted file that was replaced is recovered, and the replacement is put aside as it is", async () => {
  await withFolder(async (folder, path) => {
    const log = openLog(path);
    pair(log, 1);
    unlinkSync(path);
    writeFileSync(path, "mine\n");
    pair(log, 2);
    await log.close();
    const [aside = ""] = asideOf(folder);
    assert.equal(readFileSync(join(folder, aside), "utf8"), "mine\n");
    assert.equal((await assertWhole(path)).intents.intents, 2);
  });
});

test("a deleted folder fails, and works again once it is back", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "deep", "audit.ndjson");
    const log = openLog(path);
    pair(log, 1);
    rmSync(join(folder, "deep"), { recursive: true });
    refuses(log, 2);
    mkdirSync(join(folder, "deep"), { mode: 0o700 });
    pair(log, 3);
    await log.close();
    const { gaps, intents } = await assertWhole(path);
    assert.equal(intents.intents, 2);
    assert.deepEqual(
      gaps.map(({ reason }) => reason),
      ["deleted", "ENOENT"],
    );
  });
});

test("a file cut or added to by others is left for a new one, and the log says so", async () => {
  await withFolder(async (_folder, path) => {
    const log = openLog(path);
    for (let i = 1; i <= 5; i++) pair(log, i);
    truncateSync(path, 700);
    pair(log, 6);
    appendFileSync(path, "forged\n");
    pair(log, 7);
    await log.close();
    const { gaps, isWhole, problems } = await verifyAudit(path);
    assert.equal(isWhole, false);
    assert.deepEqual(
      gaps.map(({ reason }) => reason),
      ["truncated", "foreign-bytes"],
    );
    assert.ok(problems.length > 0);
  });
});

test("a full disk stops intents first, then everything, and recording resumes alone", async () => {
  await withSmallDisk(async (disk) => {
    const path = join(disk.folder, "audit.ndjson");
    const clock = new FakeClock();
    const log = openLog(path, { reserveBytes: 131_072, clock });
    let ordinal = 0;
    disk.fill();
    let refused = 0;
    while (refused === 0) {
      try {
        log.append(intent(++ordinal));
      } catch (error) {
        assert.ok(isAuditFailure(error));
        refused++;
      }
    }
    assert.equal(log.state, "low");
    for (let i = 1; i < ordinal; i++) log.append(outcome(i));
    refuses(log, ++ordinal);
    log.append({ type: "disconnect", session: SESSION, reason: "audit-failed" });
    let endings = 0;
    try {
      for (; endings < 10_000; endings++) log.append({ type: "disconnect", session: SESSION, reason: "audit-failed" });
    } catch (error) {
      assert.ok(isAuditFailure(error));
    }
    assert.ok(endings > 100 && endings < 10_000, `the reserve took ${endings} records and then ended`);
    assert.equal(log.state, "low");
    disk.makeRoom();
    refuses(log, ++ordinal);
    clock.advance(1000);
    pair(log, ++ordinal);
    assert.equal(log.state, "ok");
    await log.close();
    const { gaps, intents } = await assertWhole(path);
    assert.equal(intents.unknown, 0);
    assert.ok(gaps.some(({ lost }) => lost > 0));
  });
});

test("without a reserve a full disk refuses at once, and no torn record stays", async () => {
  await withSmallDisk(async (disk) => {
    const path = join(disk.folder, "audit.ndjson");
    const log = openLog(path, { reserveBytes: 0 });
    const session = { ...SESSION, program: "x".repeat(3000) };
    let ordinal = 0;
    assert.throws(() => {
      for (; ordinal < 10_000; ordinal++) log.append(intent(ordinal, session));
    }, isAuditFailure);
    assert.equal(log.state, "failed");
    const { tornBytes } = await assertWhole(path);
    assert.equal(tornBytes, 0);
    for (let i = 0; i < 20; i++) refuses(log, 10_000);
    await disk.remount("size=8m");
    pair(log, 20_000);
    await log.close();
    const { gaps, intents } = await assertWhole(path);
    assert.deepEqual(
      gaps.map(({ reason, lost }) => [reason, lost]),
      [["ENOSPC", 21]],
    );
    assert.equal(intents.intents, ordinal + 1);
  });
});

test("a disk that turns read-only refuses, and works again once it can be written", async () => {
  await withSmallDisk(async (disk) => {
    const path = join(disk.folder, "audit.ndjson");
    const first = openLog(path);
    pair(first, 1);
    await first.close();
    await disk.remount("ro");
    assert.throws(() => openLog(path), isAuditFailure);
    await disk.remount("rw");
    const log = openLog(path);
    pair(log, 1);
    await log.close();
    await assertWhole(path);
  });
});

test("rotation without room for another file goes on in the old one", async () => {
  await withSmallDisk(async (disk) => {
    await disk.remount("nr_inodes=4");
    const path = join(disk.folder, "audit.ndjson");
    const log = openLog(path, { segmentBytesMax: 2000, reserveBytes: 0 });
    writeFileSync(join(disk.folder, "filler"), "");
    writeFileSync(join(disk.folder, "filler2"), "");
    for (let i = 1; i <= 20; i++) pair(log, i);
    assert.equal(listSegments(path).length, 0);
    unlinkSync(join(disk.folder, "filler"));
    pair(log, 21);
    assert.equal(listSegments(path).length, 1);
    await log.close();
    await assertWhole(path);
  });
});
