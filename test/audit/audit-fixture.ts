import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditEvent, AuditEventOf, AuditSession } from "../../src/audit/audit-event.ts";
import { type AuditKey, createPassingAuditKey } from "../../src/audit/audit-key.ts";
import { AuditLog, type AuditLogOptions } from "../../src/audit/audit-log.ts";
import { type AuditRecord, decodeRecord } from "../../src/audit/audit-record.ts";
import { isInShort } from "../../src/audit/compact-record.ts";
import { FileSink, type FileSinkOptions } from "../../src/audit/file-sink.ts";
import { RecordExpander, wholeLine, withHash } from "../../src/audit/record-expander.ts";

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
  return new AuditLog({ sink, key: KEY, mode: "kernel", isCompact: true, ...clock, ...logOptions });
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

/** What a receiver gets of the file. */
export function wholeLinesOf(path: string): string[] {
  const expander = new RecordExpander();
  const lines = readFileSync(path, "latin1").split("\n").slice(0, -1);
  return lines.map((line) => {
    const record = expander.read(line);
    return wholeLine(record instanceof Promise ? undefined : record, line);
  });
}

/** Those of statements, which stand in short, are not checked here. */
export function records(path: string): AuditRecord[] {
  const expander = new RecordExpander();
  return readFileSync(path, "latin1")
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const read = expander.read(line);
      if (isInShort(line) && read !== undefined && !(read instanceof Promise)) {
        const fields = withHash(read);
        return { ...fields, fields } as unknown as AuditRecord;
      }
      const decoded = decodeRecord(line);
      if (!decoded.ok) throw new Error(`${decoded.reason}: ${line}`);
      return decoded.record;
    });
}

export const types = (path: string): string[] => records(path).map((record) => record.type);
