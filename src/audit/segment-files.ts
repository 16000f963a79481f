/**
 * The files of one audit log: the active one at the configured path, and finished segments beside it named
 * `<stem>-<time begun>-<run>-<number>.ndjson`, so that sorting by name sorts by time.
 */
import { Buffer } from "node:buffer";
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { GROUP_OR_WORLD_WRITABLE, othersMay } from "../base/file-mode.ts";
import { type AuditRecord, decodeRecord, hashAtEnd, RECORD_BYTES_MAX, type RecordHead } from "./audit-record.ts";
import { isInShort } from "./compact-record.ts";
import { groupHash } from "./record-group.ts";

export interface SegmentName {
  readonly beganMs: number;
  readonly run: string;
  readonly segment: number;
}

export interface SegmentFile extends SegmentName {
  readonly path: string;
  readonly bytes: number;
}

/** First and last record of a file, as far as they can be read. */
export interface SegmentEnds {
  readonly first: AuditRecord | undefined;
  readonly last: RecordHead | undefined;
  /** Length up to the last line that ends in a hash; what lies behind is a torn record, or a torn group of them. */
  readonly wholeBytes: number;
  readonly bytes: number;
}

const NEWLINE = 0x0a;

export function segmentPath(activePath: string, name: SegmentName): string {
  const { folder, stem, extension } = split(activePath);
  // 2026-11-21T05:23:01.123Z → 20261121T052301123Z
  const stamp = new Date(name.beganMs).toISOString().replaceAll("-", "").replaceAll(":", "").replace(".", "");
  return join(folder, `${stem}-${stamp}-${name.run}-${String(name.segment).padStart(6, "0")}${extension}`);
}

/** Finished segments, oldest first. Files that only look similar are left out. */
export function listSegments(activePath: string): SegmentFile[] {
  const { folder, stem, extension } = split(activePath);
  const segments: SegmentFile[] = [];
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(`${stem}-`) || !name.endsWith(extension)) continue;
    const parsed = parseName(name.slice(stem.length + 1, name.length - extension.length));
    if (parsed === undefined) continue;
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() === true) segments.push({ path, bytes: stat.size, ...parsed });
  }
  return segments.sort((a, b) => a.beganMs - b.beganMs || a.segment - b.segment || (a.path < b.path ? -1 : 1));
}

function parseName(text: string): SegmentName | undefined {
  const [stamp, run, segment, rest] = text.split("-");
  if (stamp?.length !== 19 || run === undefined || segment === undefined || rest !== undefined) return undefined;
  const day = `${stamp.slice(0, 4)}-${stamp.slice(4, 6)}-${stamp.slice(6, 8)}`;
  const time = `${stamp.slice(9, 11)}:${stamp.slice(11, 13)}:${stamp.slice(13, 15)}.${stamp.slice(15, 18)}Z`;
  const beganMs = Date.parse(`${day}T${time}`);
  const number = Number(segment);
  return Number.isNaN(beganMs) || !Number.isSafeInteger(number) ? undefined : { beganMs, run, segment: number };
}

function split(activePath: string): { folder: string; stem: string; extension: string } {
  const extension = extname(activePath);
  return { folder: dirname(activePath), stem: basename(activePath, extension), extension };
}

/** Makes the folder (0700) when it is absent, and refuses one where others could exchange files. */
export function checkFolder(activePath: string): void {
  const folder = dirname(activePath);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  checkFolderMode(folder);
}

/** Throws for a folder where others could exchange files. */
export function checkFolderMode(folder: string): void {
  const stat = lstatSync(folder);
  if (!stat.isDirectory()) throw new Error(`audit folder "${folder}" is not a directory`);
  if (othersMay(stat.mode, GROUP_OR_WORLD_WRITABLE)) {
    throw new Error(`audit folder "${folder}" can be written by others, run: chmod 700 "${folder}"`);
  }
}

/** Reads both ends of an open file; at most three records' worth of bytes. */
export function readEnds(fd: number): SegmentEnds {
  const bytes = fstatSync(fd).size;
  const first = readAt(fd, 0, Math.min(bytes, RECORD_BYTES_MAX));
  const firstEnd = first.indexOf(NEWLINE);
  const tailStart = Math.max(0, bytes - 2 * RECORD_BYTES_MAX);
  const tail = readAt(fd, tailStart, bytes - tailStart).toString("latin1");
  const lastEnd = endOfWhole(tail);
  if (firstEnd < 0 || lastEnd < 0) return { first: undefined, last: undefined, wholeBytes: 0, bytes };
  return {
    first: decode(first.subarray(0, firstEnd)),
    last: lastOf(tail, lastEnd),
    wholeBytes: tailStart + lastEnd + 1,
    bytes,
  };
}

/** Where the newline of the last line is, but for records in short whose group has no end. */
function endOfWhole(text: string): number {
  let end = text.lastIndexOf("\n");
  while (end > 0) {
    const begin = text.lastIndexOf("\n", end - 1) + 1;
    const line = text.slice(begin, end);
    if (!isInShort(line) || hashAtEnd(line) !== undefined) return end;
    end = begin - 1;
  }
  return end;
}

/** The record that the chain goes on from, where its hash is right. `end`: of its line, without the newline. */
function lastOf(tail: string, end: number): RecordHead | undefined {
  const lineStart = tail.lastIndexOf("\n", end - 1) + 1;
  const line = tail.slice(lineStart, end);
  const hashed = isInShort(line) ? hashAtEnd(line) : undefined;
  if (hashed === undefined) {
    const decoded = decodeRecord(line);
    return decoded.ok ? decoded.record : undefined;
  }
  let groupStart = lineStart;
  let previous: string | undefined;
  while (groupStart > 0 && previous === undefined) {
    const begin = tail.lastIndexOf("\n", groupStart - 2) + 1;
    previous = hashAtEnd(tail.slice(begin, groupStart - 1))?.hash;
    if (previous === undefined) groupStart = begin;
  }
  const seq = /^\{"seq":(\d{1,15}),/.exec(line)?.[1];
  if (seq === undefined || previous === undefined) return undefined;
  const group = tail.slice(groupStart, lineStart) + hashed.body;
  if (groupHash(previous, group) !== hashed.hash) return undefined;
  return { seq: Number(seq), hash: hashed.hash };
}

function decode(line: Buffer): AuditRecord | undefined {
  const decoded = decodeRecord(line.toString("latin1"));
  return decoded.ok ? decoded.record : undefined;
}

function readAt(fd: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const count = readSync(fd, buffer, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return buffer.subarray(0, done);
}

/** Moves what lies behind the last whole line into `<path>.torn`, so that the file is whole and nothing is thrown away. */
export function cutTornTail(fd: number, path: string, ends: SegmentEnds): void {
  const torn = readAt(fd, ends.wholeBytes, ends.bytes - ends.wholeBytes);
  const copy = createFile(`${path}.torn`);
  try {
    writeSync(copy, torn);
  } finally {
    closeSync(copy);
  }
  ftruncateSync(fd, ends.wholeBytes);
}

/** Copies a file that has lost its name. The open descriptor is all that is left of it. */
export function copyOpenFile(fd: number, toPath: string): void {
  const to = createFile(toPath);
  try {
    for (let position = 0; ; ) {
      const chunk = readAt(fd, position, RECORD_BYTES_MAX);
      if (chunk.length === 0) break;
      for (let done = 0; done < chunk.length; ) done += writeSync(to, chunk, done, chunk.length - done);
      position += chunk.length;
    }
  } catch (error) {
    closeSync(to);
    unlinkSync(toPath);
    throw error;
  }
  closeSync(to);
}

/** A new file only we can read, appended to. Fails where there is one, or a link of that name. */
export function createFile(path: string): number {
  const { O_RDWR, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  return openSync(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
}

/** An existing file; a link of that name is refused. */
export function openFile(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW);
}

export interface Retention {
  readonly bytesMax?: number | undefined;
  readonly filesMax?: number | undefined;
  readonly ageMsMax?: number | undefined;
}

/** Deletes the oldest segments beyond the limits. The active file is never touched. */
export function deleteOldSegments(activePath: string, retention: Retention, nowMs: number): number {
  const { bytesMax = Number.POSITIVE_INFINITY, filesMax = Number.POSITIVE_INFINITY, ageMsMax } = retention;
  const segments = listSegments(activePath);
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  let deleted = 0;
  for (const segment of segments) {
    const tooMany = bytes > bytesMax || segments.length - deleted > filesMax;
    const tooOld = ageMsMax !== undefined && nowMs - segment.beganMs > ageMsMax;
    if (!tooMany && !tooOld) break;
    unlinkSync(segment.path);
    bytes -= segment.bytes;
    deleted++;
  }
  return deleted;
}
