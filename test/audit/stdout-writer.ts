/** Run as a child by stdout-sink.test.ts: records to stdout, stops at the first failure, and goes on when told to. */
import process from "node:process";
import { createPassingAuditKey } from "../../src/audit/audit-key.ts";
import { AuditLog } from "../../src/audit/audit-log.ts";
import { StdoutSink } from "../../src/audit/stdout-sink.ts";

const log = new AuditLog({ sink: new StdoutSink(), key: createPassingAuditKey(), mode: "kernel" });
const session = { id: "s", clientAddress: "127.0.0.1:1", program: "x".repeat(3000) };
let ordinal = 0;
const record = (): void => {
  log.append({
    type: "statement-intent",
    session,
    ordinal: ++ordinal,
    command: "COM_QUERY",
    textForm: "none",
    decision: "allow",
  });
};
// Makes the pipe one that does not block, as a program that prints through it does.
process.stdout.write("");
try {
  while (ordinal < 1000) record();
  process.stderr.write("full: never\n");
} catch (error) {
  process.stderr.write(`full: ${(error as { code?: string }).code}\n`);
}
process.stdin.once("data", () => {
  for (let i = 0; i < 10; i++) record();
  process.exit(0);
});
