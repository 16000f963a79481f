/** Finds records in an audit log: the last ones, all that match, and new ones as they come. Checks no hashes on the way. */
import { createHash } from "node:crypto";
import { pause } from "../base/pause.ts";
import { AuditFollower } from "./audit-follower.ts";
import { CUT_MARK } from "./audit-record.ts";
import { parseRecord, type ReadRecord, withHash } from "./record-expander.ts";
import { readLinesBackwards, readSettled } from "./segment-reader.ts";

/** Every condition given must hold. */
export interface AuditFilter {
  readonly types?: readonly string[] | undefined;
  /** Canonical user, or the user as sent. */
  readonly user?: string | undefined;
  readonly sessionId?: string | undefined;
  /** Number of the command in its session. */
  readonly ordinal?: number | undefined;
  /** Address without port, or with it. */
  readonly clientAddress?: string | undefined;
  readonly decision?: string | undefined;
  /** As a client was told: `1f3a9c02-1`. */
  readonly decisionId?: string | undefined;
  /** As a client was told: `apr-1f3a9c02-1`. */
  readonly approvalId?: string | undefined;
  /** A rule that matched: its id, or the beginning of it with a `*` behind. */
  readonly rule?: string | undefined;
  /** The hash of the statement's digest or of one behind a name, in hexadecimal, or the beginning of it. */
  readonly digest?: string | undefined;
  readonly outcome?: string | undefined;
  /** A table of the statement: as recorded, or its last part. */
  readonly table?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

/** The last `limit` matching records, oldest first. Reads from the end, and no more than it must. */
export function tailAudit(activePath: string, limit: number, filter: AuditFilter = {}): Promise<ReadRecord[]> {
  return readSettled(activePath, (paths) => lastOf(paths, limit, filter));
}

async function lastOf(paths: readonly string[], limit: number, filter: AuditFilter): Promise<ReadRecord[]> {
  const found: ReadRecord[] = [];
  for (const path of [...paths].reverse()) {
    for await (const { lines, expander } of readLinesBackwards(path)) {
      for (const line of lines) {
        const record = await expander.read(line);
        if (record === undefined || !isMatch(record, filter)) continue;
        found.push(withHash(record));
        if (found.length >= limit) return found.reverse();
      }
      const oldest = parseRecord(lines.at(-1) ?? "");
      if (filter.fromMs !== undefined && timeOf(oldest) < filter.fromMs) return found.reverse();
    }
  }
  return found.reverse();
}

/** Every matching record, oldest first: over rotations that happen meanwhile, until there is no more. */
export async function* readAudit(activePath: string, filter: AuditFilter = {}): AsyncGenerator<ReadRecord> {
  const follower = new AuditFollower(activePath, "begin");
  try {
    for (let read = await follower.read(); read !== undefined; read = await follower.read()) {
      for (const line of read.lines) {
        const record = await read.expander.read(line);
        if (record !== undefined && isMatch(record, filter)) yield withHash(record);
      }
    }
  } finally {
    await follower.close();
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
    let read = await follower.read();
    const shown = new Set<unknown>();
    for (const record of last > 0 ? await tailAudit(activePath, last, filter) : []) {
      shown.add(record["hash"]);
      yield record;
    }
    while (!signal.aborted) {
      for (const line of read?.lines ?? []) {
        const record = await read?.expander.read(line);
        if (signal.aborted) return;
        if (record === undefined || !isMatch(record, filter)) continue;
        const found = withHash(record);
        if (!shown.has(found["hash"])) yield found;
      }
      read = await follower.read();
      if (read !== undefined) continue;
      shown.clear();
      await pause(FOLLOW_MS, signal);
    }
  } finally {
    await follower.close();
  }
}

export function timeOf(record: ReadRecord | undefined): number {
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
    (filter.ordinal === undefined || record["ordinal"] === filter.ordinal) &&
    isFrom(filter.clientAddress, session["clientAddress"] ?? record["clientAddress"]) &&
    isSame(filter.decision, record["decision"]) &&
    isSame(filter.decisionId, record["decisionId"]) &&
    isSame(filter.approvalId, record["approvalId"]) &&
    hasRule(filter.rule, record["rules"]) &&
    hasDigest(filter.digest, record) &&
    hasTable(filter.table, record["tables"]) &&
    isSame(filter.outcome, record["outcome"]) &&
    (filter.fromMs === undefined || timeOf(record) >= filter.fromMs) &&
    (filter.toMs === undefined || timeOf(record) < filter.toMs)
  );
}

function hasRule(wanted: string | undefined, rules: unknown): boolean {
  if (wanted === undefined) return true;
  if (!Array.isArray(rules)) return false;
  const beginning = wanted.endsWith("*") ? wanted.slice(0, -1) : undefined;
  return rules.some((rule) =>
    beginning === undefined ? rule === wanted : typeof rule === "string" && rule.startsWith(beginning),
  );
}

function hasTable(wanted: string | undefined, tables: unknown): boolean {
  if (wanted === undefined) return true;
  if (!Array.isArray(tables)) return false;
  return tables.some((table) => table === wanted || (typeof table === "string" && table.endsWith(`.${wanted}`)));
}

function hasDigest(wanted: string | undefined, record: ReadRecord): boolean {
  if (wanted === undefined) return true;
  return digestHashesOf(record).some((hash) => hash.startsWith(wanted));
}

/**
 * The hashes by which a policy lists the statement, its own first. Worked out here and not when the statement is recorded,
 * where it would cost each one a twentieth of its record.
 */
export function digestHashesOf({ text, textForm, digestHashes }: ReadRecord): readonly string[] {
  if (Array.isArray(digestHashes)) return digestHashes.filter((hash) => typeof hash === "string");
  if (textForm !== "digest" || typeof text !== "string" || text.endsWith(CUT_MARK)) return [];
  return [createHash("sha256").update(text).digest("hex")];
}

function isFrom(wanted: string | undefined, address: unknown): boolean {
  if (wanted === undefined) return true;
  if (typeof address !== "string") return false;
  return address === wanted || address.slice(0, address.lastIndexOf(":")) === wanted;
}
