import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEvent, AuditEventOf, AuditSession } from "../../src/audit/audit-event.ts";
import { type AuditKey, createPassingAuditKey } from "../../src/audit/audit-key.ts";
import { AuditLog, type AuditLogOptions } from "../../src/audit/audit-log.ts";
import { type AuditRecord, decodeRecord } from "../../src/audit/audit-record.ts";
import { FileSink, type FileSinkOptions } from "../../src/audit/file-sink.ts";

export const SESSION: AuditSession = { id: "s1", clientAddress: "127.0.0.1:50001", userSent: "app", user: "app" };
export const KEY: AuditKey = createPassingAuditKey();

export async function withFolder(run: (folder: string, path: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "querycop-audit-"));
  try {
    await run(folder, join(folder, "audit.ndjson"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function openLog(
  path: string,
  sinkOptions: Partial<FileSinkOptions> = {},
  logOptions: Partial<AuditLogOptions> = {},
): AuditLog {
  const clock = sinkOptions.clock === undefined ? {} : { clock: sinkOptions.clock };
  const sink = new FileSink({ path, inspectMs: 0, reserveBytes: 65_536, ...sinkOptions });
  return new AuditLog({ sink, key: KEY, mode: "kernel", ...clock, ...logOptions });
}

export function intent(ordinal: number, session: AuditSession = SESSION): AuditEvent {
  return {
    type: "statement-intent",
    session,
    ordinal,
    command: "COM_QUERY",
    text: "SELECT ?",
    textForm: "digest",
    textBytes: 8,
    decision: "allow",
  };
}

export function outcome(ordinal: number, session: AuditSession = SESSION): AuditEventOf<"statement-outcome"> {
  return { type: "statement-outcome", session, ordinal, outcome: "ok", rows: 1 };
}

export function records(path: string): AuditRecord[] {
  return readFileSync(path, "latin1")
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const decoded = decodeRecord(line);
      if (!decoded.ok) throw new Error(`${decoded.reason}: ${line}`);
      return decoded.record;
    });
}

export const types = (path: string): string[] => records(path).map((record) => record.type);
