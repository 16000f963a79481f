import assert from "node:assert/strict";
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { AuditHeadFile, headPath, lastSeqOf, readAuditHead } from "../../src/audit/audit-head.ts";
import type { AuditLog } from "../../src/audit/audit-log.ts";
import { verifyAudit } from "../../src/audit/audit-verify.ts";
import { intent, openLog, outcome, withFolder } from "./audit-fixture.ts";

function headOf(log: AuditLog, path: string): AuditHeadFile {
  const head = () => ({ run: log.run, ...log.head });
  return new AuditHeadFile(headPath(`${path}.key`), head, (error) => assert.fail(error));
}

async function recorded(path: string): Promise<AuditLog> {
  const log = openLog(path);
  const head = headOf(log, path);
  for (let i = 1; i <= 20; i++) {
    log.append(intent(i));
    log.append(outcome(i));
  }
  await log.close();
  head.close();
  return log;
}

test("the end that was kept beside the key is found in a whole log", async () => {
  await withFolder(async (_folder, path) => {
    const log = await recorded(path);
    const head = readAuditHead(headPath(`${path}.key`));
    assert.deepEqual(head, { run: log.run, seq: log.head.seq, hash: log.head.hash });
    assert.ok(head !== undefined);
    assert.equal(statSync(headPath(`${path}.key`)).mode & 0o777, 0o600);
    assert.equal(lastSeqOf(path, head), head.seq);
    assert.deepEqual((await verifyAudit(path, { head })).problems, []);
  });
});

test("a log that was cut to a shorter whole one is not whole", async () => {
  await withFolder(async (_folder, path) => {
    await recorded(path);
    const lines = readFileSync(path, "latin1").split("\n");
    truncateSync(path, lines.slice(0, 10).join("\n").length + 1);
    const head = readAuditHead(headPath(`${path}.key`));
    assert.ok(head !== undefined);
    assert.deepEqual((await verifyAudit(path)).problems, []);
    const { problems } = await verifyAudit(path, { head });
    assert.deepEqual(
      problems.map(({ kind }) => kind),
      ["cut-end"],
    );
    assert.match(problems[0]?.detail ?? "", /when its process last said so: 10 are there/);
    assert.ok(lastSeqOf(path, head) < head.seq);
  });
});

test("another chain in the place of the log is not the one whose end was kept", async () => {
  await withFolder(async (_folder, path) => {
    await recorded(path);
    const head = readAuditHead(headPath(`${path}.key`));
    assert.ok(head !== undefined);
    rmSync(path);
    await openLog(path).close();
    const { problems } = await verifyAudit(path, { head });
    assert.deepEqual(
      problems.map(({ kind }) => kind),
      ["cut-end"],
    );
    assert.equal(lastSeqOf(path, head), 0);
  });
});

test("what is no kept end is none", async () => {
  await withFolder((folder) => {
    for (const text of ["", "{", "{}", '{"run":1,"seq":"2","hash":3}', "x".repeat(2000)]) {
      writeFileSync(`${folder}/head`, text);
      assert.equal(readAuditHead(`${folder}/head`), undefined);
    }
    assert.equal(readAuditHead(`${folder}/none`), undefined);
  });
});
