/** Run as a child by audit-crash.test.ts: records as fast as it can until it is killed. Says on stdout what is recorded. */
import { writeSync } from "node:fs";
import process from "node:process";
import { loadAuditKey } from "../../src/audit/audit-key.ts";
import { AuditLog } from "../../src/audit/audit-log.ts";
import { FileSink } from "../../src/audit/file-sink.ts";

const [path = "", mode = "kernel"] = process.argv.slice(2);
const log = new AuditLog({
  sink: new FileSink({ path, segmentBytesMax: 20_000, reserveBytes: 65_536 }),
  key: loadAuditKey(`${path}.key`),
  mode: mode === "durable" ? "durable" : "kernel",
  checkpointRecords: 50,
  isCompact: true,
});
const session = { id: `${log.run}-1`, clientAddress: "127.0.0.1:1", program: "x".repeat(5000) };
writeSync(1, `run ${log.run}\n`);
for (let ordinal = 1; ; ordinal++) {
  await log.append({
    type: "statement-intent",
    session,
    ordinal,
    command: "COM_QUERY",
    textForm: "none",
    decision: "allow",
  });
  // What a backend would have seen: written only once the record is there.
  writeSync(1, `sent ${ordinal}\n`);
  const outcome = { type: "statement-outcome", session, ordinal, outcome: "ok" } as const;
  if (ordinal % 3 === 1) await log.append(outcome);
  if (ordinal % 3 === 2) log.appendSoon(outcome);
}
