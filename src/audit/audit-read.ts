/** Finds records in an audit log: the last ones, all that match, and new ones as they come. Checks no hashes on the way. */
import { AuditFollower } from "./audit-follower.ts";
import { pause } from "./pause.ts";
import { listAuditFiles, readLines, readLinesBackwards } from "./segment-reader.ts";

/** A record as parsed JSON. */
export type ReadRecord = Readonly<Record<string, unknown>>;

/** Every condition given must hold. */
export interface AuditFilter {
  readonly types?: readonly string[] | undefined;
  /** Canonical user, or the user as sent. */
  readonly user?: string | undefined;
  readonly sessionId?: string | undefined;
  /** Address without port, or with it. */
  readonly clientAddress?: string | undefined;
  readonly decision?: string | undefined;
  readonly outcome?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** The last `limit` matching records, oldest first. Reads from the end, and no more than it must. */
export async function tailAudit(activePath: string, limit: number, filter: AuditFilter = {}): Promise<ReadRecord[]> {
  const found: ReadRecord[] = [];
  const files = await listAuditFiles(activePath);
  for (const path of files.reverse()) {
    for await (const lines of readLinesBackwards(path)) {
      for (const line of lines) {
        const record = parseRecord(line);
        if (record === undefined || !isMatch(record, filter)) continue;
        found.push(record);
        if (found.length >= limit) return found.reverse();
      }
      const oldest = parseRecord(lines.at(-1) ?? "");
      if (filter.fromMs !== undefined && timeOf(oldest) < filter.fromMs) return found.reverse();
    }
  }
  return found.reverse();
}

/** Every matching record, oldest first. */
export async function* readAudit(activePath: string, filter: AuditFilter = {}): AsyncGenerator<ReadRecord> {
  for (const path of await listAuditFiles(activePath)) yield* readFile(path, filter);
}

async function* readFile(path: string, filter: AuditFilter): AsyncGenerator<ReadRecord> {
  for await (const { lines } of readLines(path)) {
    for (const line of lines) {
      const record = parseRecord(line);
      if (record !== undefined && isMatch(record, filter)) yield record;
    }
  }
}

const FOLLOW_MS = 200;

/**
 * Matching records written from now on, over rotations, until `signal` aborts. `last` of those that are there already
 * come first.
 */
export async function* followAudit(
  activePath: string,
  filter: AuditFilter,
  signal: AbortSignal,
  last = 0,
): AsyncGenerator<ReadRecord> {
  const follower = new AuditFollower(activePath, "end");
  try {
    // Opened before the last ones are looked up, so that none falls between; what comes up in both is given once.
    let lines = (await follower.read())?.lines ?? [];
    const shown = new Set<unknown>();
    for (const record of last > 0 ? await tailAudit(activePath, last, filter) : []) {
      shown.add(record["hash"]);
      yield record;
    }
    while (!signal.aborted) {
      for (const line of lines) {
        const record = parseRecord(line);
        if (signal.aborted) return;
        if (record !== undefined && isMatch(record, filter) && !shown.has(record["hash"])) yield record;
      }
      lines = (await follower.read())?.lines ?? [];
      if (lines.length > 0) continue;
      shown.clear();
      await pause(FOLLOW_MS, signal);
    }
  } finally {
    await follower.close();
  }
}

function parseRecord(line: string): ReadRecord | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === "object" && parsed !== null ? (parsed as ReadRecord) : undefined;
  } catch {
    return undefined;
  }
}

function timeOf(record: ReadRecord | undefined): number {
  const { time } = record ?? {};
  return typeof time === "string" ? Date.parse(time) : Number.NaN;
}

export function isMatch(record: ReadRecord, filter: AuditFilter): boolean {
  const session = (record["session"] ?? {}) as ReadRecord;
  const isSame = (wanted: string | undefined, ...values: unknown[]): boolean =>
    wanted === undefined || values.includes(wanted);
  return (
    (filter.types === undefined || filter.types.includes(String(record["type"]))) &&
    isSame(filter.user, session["user"], session["userSent"], record["user"]) &&
    isSame(filter.sessionId, session["id"]) &&
    isFrom(filter.clientAddress, session["clientAddress"] ?? record["clientAddress"]) &&
    isSame(filter.decision, record["decision"]) &&
    isSame(filter.outcome, record["outcome"]) &&
    (filter.fromMs === undefined || timeOf(record) >= filter.fromMs) &&
    (filter.toMs === undefined || timeOf(record) < filter.toMs)
  );
}

function isFrom(wanted: string | undefined, address: unknown): boolean {
  if (wanted === undefined) return true;
  if (typeof address !== "string") return false;
  return address === wanted || address.slice(0, address.lastIndexOf(":")) === wanted;
}
