import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditSession } from "../../src/audit/audit-event.ts";
import { createPassingAuditKey } from "../../src/audit/audit-key.ts";
import { AuditLog } from "../../src/audit/audit-log.ts";
import { decodeRecord } from "../../src/audit/audit-record.ts";
import { FileSink } from "../../src/audit/file-sink.ts";

const session: AuditSession = { id: "s1", clientAddress: "127.0.0.1:50001", userSent: "app", user: "app" };

test("append() in mode kernel leaves a chained line in the file before it returns", async () => {
  const folder = mkdtempSync(join(tmpdir(), "querycop-audit-"));
  try {
    const path = join(folder, "audit.ndjson");
    const log = new AuditLog({ sink: new FileSink({ path }), key: createPassingAuditKey(), mode: "kernel" });
    assert.equal(log.append({ type: "connect", session }), undefined);
    const lines = readFileSync(path, "latin1").split("\n");
    assert.equal(lines.length, 3);
    assert.equal(lines[2], "");
    const records = lines.slice(0, 2).map((line) => {
      const decoded = decodeRecord(line);
      assert.ok(decoded.ok);
      return decoded.record;
    });
    assert.deepEqual(
      records.map((record) => [record.seq, record.type]),
      [
        [1, "segment-start"],
        [2, "connect"],
      ],
    );
    assert.equal(records[1]?.prev, records[0]?.hash);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await log.close();
    assert.deepEqual(readdirSync(folder), ["audit.ndjson"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
