import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { verifyAudit } from "../../src/audit/audit-verify.ts";
import { CheckpointCopy } from "../../src/audit/checkpoint-copy.ts";
import { intent, openLog, withFolder } from "./audit-fixture.ts";

test("CheckpointCopy appends each checkpoint, and verification finds them all in the log", async () => {
  await withFolder(async (folder, path) => {
    const copyPath = join(folder, "checkpoints.ndjson");
    const copy = new CheckpointCopy(copyPath, (error) => assert.fail(error));
    const log = openLog(path, {}, { checkpointRecords: 5, copyCheckpoint: (line) => copy.add(line) });
    for (let i = 1; i <= 20; i++) log.append(intent(i));
    await log.close();
    await copy.written();
    const checkpoints = readFileSync(copyPath, "latin1").split("\n").slice(0, -1);
    assert.equal(checkpoints.length, 5);
    assert.deepEqual((await verifyAudit(path, { checkpoints })).problems, []);
  });
});

test("CheckpointCopy says once that its file is away, keeps the newest and writes them when it is back", async () => {
  await withFolder(async (folder) => {
    const away = join(folder, "away");
    const failures: string[] = [];
    const copy = new CheckpointCopy(join(away, "copy"), (error) => failures.push(error));
    for (let i = 1; i <= 150; i++) copy.add(`${i}\n`);
    await copy.written();
    await copy.written();
    assert.equal(failures.length, 1);
    assert.match(failures[0] ?? "", /ENOENT/);
    assert.ok(!existsSync(away));
    mkdirSync(away);
    await copy.written();
    const lines = readFileSync(join(away, "copy"), "latin1").split("\n").slice(0, -1);
    assert.deepEqual([lines.length, lines[0], lines.at(-1)], [100, "51", "150"]);
  });
});
