/**
 * Finds records of an audit log a page at a time, the newest first, with bounded work: a page ends when it is full, and
 * also when so many bytes were read for it or so much time has passed. What comes back says where to go on.
 *
 *   files by the time in their names ─► a place in the file by halving ─► lines backwards ─► a look at the text ─► JSON
 */
import type { FileHandle } from "node:fs/promises";
import { type AuditFilter, isMatch, timeOf } from "./audit-read.ts";
import { isInShort } from "./compact-record.ts";
import { type ReadRecord, type RecordExpander, withHash } from "./record-expander.ts";
import { listSegments } from "./segment-files.ts";
import {
  type BackwardBatch,
  expanderOf,
  filesOf,
  nextLineAt,
  openForReading,
  placeByHalving,
  readBackwards,
  readFirstRecordOf,
} from "./segment-reader.ts";

export interface SearchOptions {
  readonly filter: AuditFilter;
  /** Of an answer before. */
  readonly cursor?: string | undefined;
  readonly limit: number;
  readonly bytesMax?: number;
  readonly timeMsMax?: number;
  /** Only files of processes whose run begins so. */
  readonly runPrefix?: string | undefined;
}

export interface SearchPage {
  /** The newest first. */
  readonly records: readonly ReadRecord[];
  /** Where to go on; undefined when everything was looked at. */
  readonly cursor: string | undefined;
  readonly scannedBytes: number;
  /** The time of the oldest record looked at. */
  readonly scannedTo: string | undefined;
}

const BYTES_MAX = 64 * 1024 * 1024;
const TIME_MS_MAX = 500;

interface SearchedFile {
  readonly path: string;
  /** Tells it from others whatever its name is by then: run and number. */
  readonly key: string;
  readonly beganMs: number;
  /** When the next one was begun. */
  readonly endedMs: number;
}

interface Progress {
  readonly records: ReadRecord[];
  readonly deadlineMs: number;
  readonly bytesMax: number;
  scannedBytes: number;
  scannedTo: string | undefined;
  cursor: string | undefined;
  isDone: boolean;
}

/** A cursor that fits no file any more, since that was deleted, ends the search: what is older is gone as well. */
export async function searchAudit(activePath: string, options: SearchOptions): Promise<SearchPage> {
  const { filter, cursor, runPrefix = "" } = options;
  const files = (await searchedFiles(activePath)).filter(({ key }) => key.startsWith(runPrefix));
  const place = cursor === undefined ? undefined : placeOf(cursor);
  const start = place === undefined ? 0 : files.findIndex(({ key }) => key === place.key);
  const progress: Progress = {
    records: [],
    deadlineMs: performance.now() + (options.timeMsMax ?? TIME_MS_MAX),
    bytesMax: options.bytesMax ?? BYTES_MAX,
    scannedBytes: 0,
    scannedTo: undefined,
    cursor: undefined,
    isDone: false,
  };
  const tests = needlesOf(filter);
  for (const [index, file] of start < 0 ? [] : files.slice(start).entries()) {
    if (filter.fromMs !== undefined && file.endedMs < filter.fromMs) break;
    if (filter.toMs !== undefined && file.beganMs >= filter.toMs) continue;
    await searchFile(file, index === 0 ? place?.offset : undefined, { filter, limit: options.limit, tests }, progress);
    if (progress.isDone) break;
  }
  const { records, scannedBytes, scannedTo } = progress;
  return { records, cursor: progress.cursor, scannedBytes, scannedTo };
}

/** The newest first. */
async function searchedFiles(activePath: string): Promise<SearchedFile[]> {
  const segments = new Map(listSegments(activePath).map((segment) => [segment.path, segment]));
  const found: SearchedFile[] = [];
  let endedMs = Number.POSITIVE_INFINITY;
  for (const { path } of [...(await filesOf(activePath))].reverse()) {
    const segment = segments.get(path);
    const named = segment ?? (await activeName(path));
    if (named === undefined) continue;
    found.push({ path, key: `${named.run}-${named.segment}`, beganMs: named.beganMs, endedMs });
    endedMs = named.beganMs;
  }
  return found;
}

async function activeName(path: string): Promise<{ run: string; segment: number; beganMs: number } | undefined> {
  const file = await openForReading(path).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const first = await readFirstRecordOf(file);
    const { run, segment } = first?.fields ?? {};
    if (first === undefined || typeof run !== "string" || typeof segment !== "number") return undefined;
    return { run, segment, beganMs: Date.parse(first.time) };
  } finally {
    await file.close();
  }
}

function placeOf(cursor: string): { readonly key: string; readonly offset: number } {
  const end = cursor.lastIndexOf("-");
  return { key: cursor.slice(0, end), offset: Number(cursor.slice(end + 1)) };
}

interface Wanted {
  readonly filter: AuditFilter;
  readonly limit: number;
  readonly tests: readonly Needle[];
}

async function searchFile(
  { path, key }: SearchedFile,
  offset: number | undefined,
  { filter, limit, tests }: Wanted,
  progress: Progress,
): Promise<void> {
  const file = await openForReading(path).catch(() => undefined);
  // It was deleted to make room for newer ones.
  if (file === undefined) return;
  try {
    const { size } = await file.stat();
    const end = offset ?? (filter.toMs === undefined ? size : await offsetOfTime(file, size, filter.toMs));
    if (!Number.isSafeInteger(end) || end > size) return;
    const wanted = { filter, limit, tests, expander: expanderOf(file) };
    for await (const batch of readBackwards(file, end)) {
      await takeMatching(batch, key, wanted, progress);
      if (progress.isDone) return;
      if (filter.fromMs !== undefined && Date.parse(progress.scannedTo ?? "") < filter.fromMs) progress.isDone = true;
      else if (progress.scannedBytes >= progress.bytesMax || performance.now() > progress.deadlineMs) {
        stop(progress, key, batch.beginsAt, undefined);
      }
      if (progress.isDone) return;
    }
  } finally {
    await file.close();
  }
}

/** Until the page is full. */
async function takeMatching(
  { lines, beginsAt }: BackwardBatch,
  key: string,
  { filter, limit, tests, expander }: Wanted & { readonly expander: RecordExpander },
  progress: Progress,
): Promise<void> {
  let at = beginsAt + lines.reduce((sum, line) => sum + line.length + 1, 0);
  for (const line of lines) {
    at -= line.length + 1;
    progress.scannedBytes += line.length + 1;
    // What a record in short has in common with others stands elsewhere.
    const read = isInShort(line) || tests.every((test) => test(line)) ? expander.read(line) : undefined;
    const record = read instanceof Promise ? await read : read;
    if (record === undefined || !isMatch(record, filter)) continue;
    progress.records.push(withHash(record));
    if (progress.records.length < limit) continue;
    stop(progress, key, at, timeIn(line));
    return;
  }
  progress.scannedTo = timeIn(lines.at(-1) ?? "") ?? progress.scannedTo;
}

function stop(progress: Progress, key: string, at: number, scannedTo: string | undefined): void {
  progress.isDone = true;
  progress.cursor = `${key}-${at}`;
  progress.scannedTo = scannedTo ?? progress.scannedTo;
}

/** Behind the last record that was written before the time; records lie in the order of their times. */
async function offsetOfTime(file: FileHandle, size: number, timeMs: number): Promise<number> {
  const { high } = await placeByHalving(file, size, (head) => Date.parse(timeIn(head) ?? "") < timeMs);
  // What is left is read: its records are compared one by one.
  return (await nextLineAt(file, high, size)) ?? size;
}

/** A record begins with its number and its time. */
const TIME_WITHIN = 80;
const TIME_KEY = '"time":"';

function timeIn(line: string): string | undefined {
  const at = line.indexOf(TIME_KEY);
  if (at < 0 || at > TIME_WITHIN) return undefined;
  const end = line.indexOf('"', at + TIME_KEY.length);
  return end < 0 ? undefined : line.slice(at + TIME_KEY.length, end);
}

type Needle = (line: string) => boolean;

/** What a matching line must hold somewhere: far cheaper than to parse each, and never more than it must. */
function needlesOf(filter: AuditFilter): Needle[] {
  const needles: Needle[] = [];
  for (const value of [filter.user, filter.sessionId, filter.decision, filter.decisionId, filter.outcome]) {
    if (value === undefined) continue;
    const needle = escaped(value);
    needles.push((line) => line.includes(needle));
  }
  if (filter.ordinal !== undefined) {
    const needle = `"ordinal":${filter.ordinal},`;
    needles.push((line) => line.includes(needle));
  }
  const { types, rule, clientAddress, table } = filter;
  if (types !== undefined) {
    const wanted = types.map((type) => `"type":"${escaped(type)}"`);
    needles.push((line) => wanted.some((type) => line.includes(type)));
  }
  for (const value of [rule?.endsWith("*") === true ? rule.slice(0, -1) : rule, clientAddress, table]) {
    if (value !== undefined) needles.push((line) => line.includes(escaped(value)));
  }
  return needles;
}

/** As it stands inside a record's line. */
function escaped(value: string): string {
  let text = "";
  for (const unit of JSON.stringify(value).slice(1, -1).split("")) {
    const code = unit.charCodeAt(0);
    text += code < 0x7f ? unit : `\\u${code.toString(16).padStart(4, "0")}`;
  }
  return text;
}

/** Everything the log tells of one decision. */
export interface DecisionRecords {
  /** The statement: its intent, its block, or its hold, the newest first. */
  readonly records: readonly ReadRecord[];
  readonly outcome: ReadRecord | undefined;
  readonly approval: ReadRecord | undefined;
  /** False where the search ended before it had looked everywhere. */
  readonly isComplete: boolean;
}

/** The first part of a decision's id names the process's life. */
const DECISION_PAGES_MAX = 8;

/** `id` as a client was told: `1f3a9c02-17`. */
export async function findDecision(activePath: string, id: string): Promise<DecisionRecords> {
  const runPrefix = id.slice(0, id.lastIndexOf("-"));
  const first = await collect(activePath, { filter: { decisionId: id }, limit: 10, runPrefix });
  const statement = first.records[0];
  if (statement === undefined) {
    return { records: [], outcome: undefined, approval: undefined, isComplete: first.isComplete };
  }
  const session = (statement["session"] ?? {}) as ReadRecord;
  const fromMs = timeOf(first.records.at(-1));
  const filter = {
    sessionId: String(session["id"]),
    ordinal: Number(statement["ordinal"]),
    types: ["statement-outcome", "approval"],
    fromMs,
  };
  const later = await collect(activePath, { filter, limit: 10, runPrefix });
  return {
    records: first.records,
    outcome: later.records.find(({ type }) => type === "statement-outcome"),
    approval: later.records.find(({ type }) => type === "approval"),
    isComplete: first.isComplete && later.isComplete,
  };
}

async function collect(
  activePath: string,
  options: SearchOptions,
): Promise<{ readonly records: readonly ReadRecord[]; readonly isComplete: boolean }> {
  const records: ReadRecord[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < DECISION_PAGES_MAX; page++) {
    const found = await searchAudit(activePath, { ...options, cursor, limit: options.limit - records.length });
    records.push(...found.records);
    cursor = found.cursor;
    if (cursor === undefined || records.length >= options.limit) return { records, isComplete: true };
    // By its number it is alone: what is older is not asked for.
    if (options.filter.decisionId !== undefined && records.some(({ type }) => type !== "hold")) {
      return { records, isComplete: true };
    }
  }
  return { records, isComplete: cursor === undefined };
}
