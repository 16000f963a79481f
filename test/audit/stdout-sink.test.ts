import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { decodeRecord } from "../../src/audit/audit-record.ts";
import { StdoutSink } from "../../src/audit/stdout-sink.ts";
import { withFolder } from "./audit-fixture.ts";

test("StdoutSink writes whole lines to its descriptor", async () => {
  await withFolder((folder) => {
    const path = join(folder, "out");
    const fd = openSync(path, "a");
    const sink = new StdoutSink({ fd });
    sink.write("one\n");
    sink.write("two\n");
    closeSync(fd);
    assert.equal(readFileSync(path, "utf8"), "one\ntwo\n");
    assert.throws(() => sink.write("three\n"));
  });
});

test("StdoutSink fails when its device is full", () => {
  const fd = openSync("/dev/full", "w");
  try {
    assert.throws(() => new StdoutSink({ fd }).write("one\n"), /ENOSPC|No space/i);
  } finally {
    closeSync(fd);
  }
});

const WRITER = fileURLToPath(new URL("./stdout-writer.ts", import.meta.url));
const ARGUMENTS = "Deno" in globalThis ? ["run", "-A", "--no-check", WRITER] : [WRITER];

test("a reader that stops reading makes records fail, not the process hang; reading on mends it", {
  timeout: 20_000,
}, async (context) => {
  const child = spawn(process.execPath, ARGUMENTS, { stdio: ["pipe", "pipe", "pipe"] });
  try {
    let complaint = "";
    await new Promise<void>((resolve) => {
      child.stderr.on("data", (chunk) => {
        complaint += String(chunk);
        if (complaint.includes("\n")) resolve();
      });
      // A pipe that blocks holds the writer up until somebody reads: nothing to test then.
      setTimeout(resolve, 3000).unref();
    });
    if (!complaint.includes("full: QC_AUDIT_FAILED")) {
      context.skip(`stdout is a pipe that blocks here: ${complaint}`);
      return;
    }
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
    });
    child.stdin.write("go on\n");
    await new Promise((resolve) => child.on("close", resolve));
    const lines = output.split("\n").slice(0, -1);
    const decoded = lines.map((line) => decodeRecord(line));
    assert.ok(decoded.filter(({ ok }) => !ok).length <= 1, "at most the one torn line");
    const records = decoded.flatMap((each) => (each.ok ? [each.record] : []));
    assert.deepEqual(
      records.map(({ seq }) => seq),
      records.map((_, i) => i + 1),
    );
    for (const [i, { prev }] of records.entries()) if (i > 0) assert.equal(prev, records[i - 1]?.hash);
    assert.equal(records.filter(({ type }) => type === "audit-gap").length, 1);
  } finally {
    child.kill("SIGKILL");
  }
});
