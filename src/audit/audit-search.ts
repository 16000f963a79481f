/**
 * Finds records of an audit log a page at a time, the newest first, with bounded work: a page ends when it is full, and
 * also when so many bytes were read for it or so much time has passed. What comes back says where to go on.
 *
 *   files by the time in their names ─► a place in the file by halving ─► lines backwards ─► a look at the text ─► JSON
 */
import type { FileHandle } from "node:fs/promises";
import { type AuditFilter, isMatch } from "./audit-read.ts";
import { isInShort, SHORT_NAMES, STATEMENT_TYPES } from "./compact-record.ts";
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
  /** Tells it from others whatever its name is by then: run and number, or the inode where its first record cannot be read. */
  readonly key: string;
  readonly inodeKey: string;
  /** NaN where its first record cannot be read. */
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
  const files = (await searchedFiles(activePath)).filter(
    ({ key, inodeKey }) => key === inodeKey || key.startsWith(runPrefix),
  );
  const place = cursor === undefined ? undefined : placeOf(cursor);
  const start = place === undefined ? 0 : files.findIndex(({ key, inodeKey }) => [key, inodeKey].includes(place.key));
  const progress: Progress = {
    records: [],
    deadlineMs: performance.now() + (options.timeMsMax ?? TIME_MS_MAX),
    bytesMax: options.bytesMax ?? BYTES_MAX,
    scannedBytes: 0,
    scannedTo: undefined,
    cursor: undefined,
    isDone: false,
  };
  const needles = needlesOf(filter);
  for (const [index, file] of start < 0 ? [] : files.slice(start).entries()) {
    if (filter.fromMs !== undefined && file.endedMs < filter.fromMs) break;
    if (filter.toMs !== undefined && file.beganMs >= filter.toMs) continue;
    await searchFile(
      file,
      index === 0 ? place?.offset : undefined,
      { filter, limit: options.limit, needles },
      progress,
    );
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
  for (const { path, inode } of [...(await filesOf(activePath))].reverse()) {
    const named = segments.get(path) ?? (await activeName(path));
    const inodeKey = `inode${inode}-0`;
    const key = named === undefined ? inodeKey : `${named.run}-${named.segment}`;
    found.push({ path, key, inodeKey, beganMs: named?.beganMs ?? Number.NaN, endedMs });
    endedMs = named?.beganMs ?? endedMs;
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
  readonly needles: Needles;
}

async function searchFile(
  { path, key }: SearchedFile,
  offset: number | undefined,
  { filter, limit, needles }: Wanted,
  progress: Progress,
): Promise<void> {
  const file = await openForReading(path).catch(() => undefined);
  // It was deleted to make room for newer ones.
  if (file === undefined) return;
  try {
    const { size } = await file.stat();
    const end = offset ?? (filter.toMs === undefined ? size : await offsetOfTime(file, size, filter.toMs));
    if (!Number.isSafeInteger(end) || end > size) return;
    const wanted = { filter, limit, needles, expander: expanderOf(file) };
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
  { filter, limit, needles, expander }: Wanted & { readonly expander: RecordExpander },
  progress: Progress,
): Promise<void> {
  let at = beginsAt + lines.reduce((sum, line) => sum + line.length + 1, 0);
  for (const line of lines) {
    at -= line.length + 1;
    progress.scannedBytes += line.length + 1;
    const tests = isInShort(line) ? needles.inShort : needles.whole;
    const read = tests.every((test) => test(line)) ? expander.read(line) : undefined;
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
interface Needles {
  readonly whole: readonly Needle[];
  /** Of a record in short: what it has in common with others stands elsewhere. */
  readonly inShort: readonly Needle[];
}

function needlesOf(filter: AuditFilter): Needles {
  const { types, user, sessionId, ordinal, clientAddress, decision, decisionId, approvalId, rule, outcome, table } =
    filter;
  const own = [decisionId, approvalId].flatMap(needleOf);
  const beginning = rule?.endsWith("*") === true ? rule.slice(0, -1) : rule;
  const whole = [user, sessionId, decision, outcome, beginning, clientAddress, table].flatMap(needleOf);
  if (types !== undefined) {
    const wanted = types.map((type) => `"type":"${escaped(type)}"`);
    whole.push((line) => wanted.some((type) => line.includes(type)));
  }
  const isEverInShort = types === undefined || types.some((type) => STATEMENT_TYPES.has(type));
  return {
    whole: [...own, ...whole, ...numberNeedle("ordinal", ordinal)],
    inShort: isEverInShort ? [...own, ...numberNeedle(SHORT_NAMES.ordinal, ordinal)] : [() => false],
  };
}

function needleOf(value: string | undefined): Needle[] {
  if (value === undefined) return [];
  const needle = escaped(value);
  return [(line) => line.includes(needle)];
}

function numberNeedle(name: string, value: number | undefined): Needle[] {
  if (value === undefined) return [];
  const needle = `"${name}":${value}`;
  return [(line) => line.includes(`${needle},`) || line.includes(`${needle}}`)];
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
