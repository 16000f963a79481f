/**
 * What recording costs: statements, an intent and an outcome each, a second of one process, against a bare write of one whole
 * intent, in interleaved rounds.
 *
 *   bun bench/audit.ts <folder on the disk to measure>
 */
import { Buffer } from "node:buffer";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { AuditEvent, AuditEventOf } from "../src/audit/audit-event.ts";
import { createPassingAuditKey } from "../src/audit/audit-key.ts";
import { AuditLog } from "../src/audit/audit-log.ts";
import { encodeRecord } from "../src/audit/audit-record.ts";
import { FileSink } from "../src/audit/file-sink.ts";

const ROUNDS = 7;
const ROUND_MS = 400;

const session = {
  id: "0123456789abcdef-42",
  listener: "writer",
  clientAddress: "10.1.2.3:51234",
  userSent: "app",
  user: "app",
  backend: "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com:3306",
  backendConnectionId: 4242,
  schema: "sbtest",
  sqlMode: "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
};

const intent = (ordinal: number): AuditEvent => ({
  type: "statement-intent",
  session,
  ordinal,
  command: "COM_QUERY",
  text: "SELECT `c` FROM `sbtest1` WHERE `id` = ?",
  textForm: "digest",
  textBytes: 41,
  textHash: "0".repeat(64),
  statementKind: "select",
  decision: "allow",
  decisionId: "d-0123456789",
  score: 5,
  level: "low",
  policyVersion: "0123456789ab",
});

const outcome = (ordinal: number): AuditEventOf<"statement-outcome"> => ({
  type: "statement-outcome",
  session: { id: session.id, clientAddress: session.clientAddress, user: "app", backendConnectionId: 4242 },
  ordinal,
  outcome: "ok",
  rows: 1,
  affectedRows: 0,
  resultSets: 1,
  warnings: 0,
  bytes: 212,
  durationUs: 151,
});

interface Contender {
  readonly name: string;
  /** Records until `untilMs`; returns how many. */
  run(untilMs: number): Promise<number>;
  close(): Promise<void> | void;
}

function bareWrite(folder: string): Contender {
  const fd = openSync(join(folder, "bare"), "a", 0o600);
  const line = Buffer.from(encodeRecord(intent(1), { seq: 0, hash: "0".repeat(64) }, Date.now()).line);
  return {
    name: "bare write() of one whole record",
    run: async (untilMs) => {
      let count = 0;
      for (; performance.now() < untilMs; count++) writeSync(fd, line);
      return count;
    },
    close: () => closeSync(fd),
  };
}

function auditLog(
  folder: string,
  mode: "kernel" | "durable",
  parallel: number,
  form: "short" | "whole" = "short",
): Contender {
  const path = join(folder, `${mode}${parallel}${form}`, "audit.ndjson");
  const sink = new FileSink({ path, retention: { bytesMax: 256 << 20 } });
  const log = new AuditLog({ sink, key: createPassingAuditKey(), mode, isCompact: form === "short" });
  let ordinal = 0;
  const one = async (untilMs: number): Promise<number> => {
    let count = 0;
    for (; performance.now() < untilMs; count++) {
      const pending = log.append(intent(++ordinal));
      if (pending !== undefined) await pending;
      log.appendSoon(outcome(ordinal));
    }
    return count;
  };
  return {
    name: `${mode}, ${form} records, ${parallel} session${parallel === 1 ? "" : "s"}`,
    run: async (untilMs) => {
      const counts = await Promise.all(Array.from({ length: parallel }, () => one(untilMs)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    close: () => log.close(),
  };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const parent = process.argv[2];
if (parent === undefined) {
  process.stderr.write("usage: bun bench/audit.ts <folder on the disk to measure>\n");
  process.exit(2);
}
const folder = mkdtempSync(join(parent, "querycop-bench-"));
try {
  const contenders = [
    bareWrite(folder),
    auditLog(folder, "kernel", 1, "whole"),
    auditLog(folder, "kernel", 1),
    auditLog(folder, "durable", 1),
    auditLog(folder, "durable", 64),
    auditLog(folder, "durable", 1024),
  ];
  const rates = contenders.map(() => [] as number[]);
  const cpus = contenders.map(() => [] as number[]);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, contender] of contenders.entries()) {
      const beganMs = performance.now();
      const before = process.cpuUsage();
      const count = await contender.run(beganMs + ROUND_MS);
      const { user, system } = process.cpuUsage(before);
      // The first round warms up.
      if (round === 0) continue;
      rates[index]?.push((count / (performance.now() - beganMs)) * 1000);
      cpus[index]?.push((user + system) / count);
    }
  }
  const base = median(rates[0] ?? []);
  for (const [index, contender] of contenders.entries()) {
    const rate = median(rates[index] ?? []);
    const cpuUs = median(cpus[index] ?? []).toFixed(2);
    const ratio = (rate / base).toFixed(3);
    process.stdout.write(
      `${contender.name.padEnd(42)} ${`${Math.round(rate)}/s`.padStart(10)} ${ratio.padStart(8)} of bare ${cpuUs.padStart(8)} µs CPU each\n`,
    );
    await contender.close();
  }
} finally {
  rmSync(folder, { recursive: true });
}
