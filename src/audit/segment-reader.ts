/** Reads audit files line by line in bounded memory, forwards and backwards. */
import { Buffer } from "node:buffer";
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { type AuditRecord, decodeRecord, RECORD_BYTES_MAX } from "./audit-record.ts";
import { RecordExpander } from "./record-expander.ts";
import { listSegments } from "./segment-files.ts";

const CHUNK_BYTES = 1 << 18;
/** More than the first record of a segment is long. */
const FIRST_BYTES = 4096;
const NEWLINE = 0x0a;
const LOOKS_MAX = 100;
const READS_MAX = 5;

/** Some lines of a file, without their newlines. */
export interface LineBatch {
  readonly lines: readonly string[];
  /** Set with the last batch when the file does not end in a newline: the bytes behind the last one. */
  readonly tornBytes: number;
}

/** Opens for reading; a link of that name, and anything but a file, is refused. A pipe without a writer keeps nobody waiting. */
export async function openForReading(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw Object.assign(new Error(`${path} is not a regular file`), { code: "no regular file" });
}

/**
 * All lines in order, as latin1 text, so that no byte is lost or merged. A line longer than RECORD_BYTES_MAX comes out
 * cut to that length: it is no record, and no memory is spent on it.
 */
export async function* readLines(path: string): AsyncGenerator<LineBatch> {
  const file = await openForReading(path);
  try {
    let rest = "";
    for await (const chunk of readChunks(file)) {
      const lines = (rest + chunk).split("\n");
      rest = (lines.pop() ?? "").slice(0, RECORD_BYTES_MAX + 1);
      if (lines.length > 0) yield { lines, tornBytes: 0 };
    }
    if (rest !== "") yield { lines: [], tornBytes: rest.length };
  } finally {
    await file.close();
  }
}

async function* readChunks(file: FileHandle): AsyncGenerator<string> {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    yield buffer.toString("latin1", 0, bytesRead);
  }
}

/** The whole lines from the last to the first, and what tells the records they stand for. What is behind the last newline is left out. */
export async function* readLinesBackwards(
  path: string,
): AsyncGenerator<{ readonly lines: readonly string[]; readonly expander: RecordExpander }> {
  const file = await openForReading(path);
  try {
    const expander = expanderOf(file);
    for await (const { lines } of readBackwards(file, (await file.stat()).size)) yield { lines, expander };
  } finally {
    await file.close();
  }
}

/** Lines that follow each other in a file, the last one first, and the byte where the first of them in the file begins. */
export interface BackwardBatch {
  readonly lines: readonly string[];
  readonly beginsAt: number;
}

/** The same of the bytes before `end`, which is the file's end or behind a newline. */
export async function* readBackwards(file: FileHandle, end: number): AsyncGenerator<BackwardBatch> {
  let position = end;
  let isTail = true;
  // The beginning of a line whose end was in the chunk before.
  let rest: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  while (position > 0) {
    const length = Math.min(CHUNK_BYTES, position);
    position -= length;
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, position);
    const block: Buffer = rest.length > RECORD_BYTES_MAX ? buffer : Buffer.concat([buffer, rest]);
    const firstEnd = position === 0 ? -1 : block.indexOf(NEWLINE);
    if (position > 0 && firstEnd < 0) {
      rest = block;
      continue;
    }
    rest = block.subarray(0, firstEnd + 1);
    const lines = block.toString("latin1", firstEnd + 1).split("\n");
    const behindLastNewline = lines.pop();
    // Blocks after the first end where a line begins, so only the file's own tail can be torn.
    if (isTail) isTail = false;
    else if (behindLastNewline) lines.push(behindLastNewline);
    if (lines.length > 0) yield { lines: lines.reverse(), beginsAt: position + firstEnd + 1 };
  }
}

/** The first record of a file, if its first line is one. */
export async function readFirstRecord(path: string): Promise<AuditRecord | undefined> {
  const file = await openForReading(path);
  try {
    return await readFirstRecordOf(file);
  } finally {
    await file.close();
  }
}

/** The same of an open file, whose place in the file is left as it is. */
export async function readFirstRecordOf(file: FileHandle): Promise<AuditRecord | undefined> {
  let head = Buffer.alloc(0);
  while (head.length <= RECORD_BYTES_MAX) {
    const chunk = Buffer.alloc(FIRST_BYTES);
    const { bytesRead } = await file.read(chunk, 0, chunk.length, head.length);
    const end = chunk.subarray(0, bytesRead).indexOf(NEWLINE);
    head = Buffer.concat([head, chunk.subarray(0, end < 0 ? bytesRead : end)]);
    if (bytesRead === 0) return undefined;
    if (end >= 0) break;
  }
  const decoded = decodeRecord(head.toString("latin1"));
  return decoded.ok ? decoded.record : undefined;
}

const PROBE_BYTES = 16 * 1024;
/** The head of a record, with its number and its time, is no longer. */
const HEAD_CHARACTERS = 80;

/** Where a line begins, and the first characters of it. */
export interface LineHead {
  readonly at: number;
  readonly head: string;
}

/** The first line that begins behind a place, or at the beginning of the file, with its newline before `end`. */
async function nextLine(file: FileHandle, from: number, end: number): Promise<LineHead | undefined> {
  let carried = "";
  const buffer = Buffer.alloc(PROBE_BYTES);
  for (let position = from; position < end; position += PROBE_BYTES) {
    const { bytesRead } = await file.read(buffer, 0, PROBE_BYTES, position);
    carried += buffer.toString("latin1", 0, bytesRead);
    const begin = from === 0 ? 0 : carried.indexOf("\n") + 1;
    const isFound = begin > 0 || from === 0;
    if (isFound && (carried.length >= begin + HEAD_CHARACTERS || carried.indexOf("\n", begin) >= 0)) {
      return { at: from + begin, head: carried.slice(begin, begin + HEAD_CHARACTERS) };
    }
    if (bytesRead < PROBE_BYTES) return undefined;
    if (!isFound) carried = "";
  }
  return undefined;
}

/** By halving: a place at or before the first line that is not `isBefore`, near it, and one behind which all lines are not. */
export async function placeByHalving(
  file: FileHandle,
  size: number,
  isBefore: (head: string) => boolean,
): Promise<{ readonly low: number; readonly high: number }> {
  let low = 0;
  let high = size;
  while (high - low > 4 * PROBE_BYTES) {
    const middle = Math.floor((low + high) / 2);
    const found = await nextLine(file, middle, high);
    if (found !== undefined && isBefore(found.head)) low = found.at;
    else high = middle;
  }
  return { low, high };
}

/** Where the first line begins that begins behind a place. */
export async function nextLineAt(file: FileHandle, from: number, end: number): Promise<number | undefined> {
  return (await nextLine(file, from, end))?.at;
}

/** Tells the records of an open file in any order. */
export function expanderOf(file: FileHandle): RecordExpander {
  return new RecordExpander((seq) => lineOf(file, seq));
}

/** The line of the record with that number. Numbers rise from line to line. */
async function lineOf(file: FileHandle, seq: number): Promise<string | undefined> {
  const { size } = await file.stat();
  const { low } = await placeByHalving(file, size, (head) => seqIn(head) <= seq);
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let rest = "";
  for (let position = low; position < size; position += CHUNK_BYTES) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position);
    const lines = (rest + buffer.toString("latin1", 0, bytesRead)).split("\n");
    rest = (lines.pop() ?? "").slice(0, RECORD_BYTES_MAX + 1);
    for (const line of lines) {
      const found = seqIn(line);
      if (found === seq) return line;
      if (found > seq) return undefined;
    }
  }
  return undefined;
}

const SEQ_KEY = '{"seq":';

/** NaN for what is no record. */
function seqIn(line: string): number {
  if (!line.startsWith(SEQ_KEY)) return Number.NaN;
  return Number(line.slice(SEQ_KEY.length, line.indexOf(",", SEQ_KEY.length)));
}

/** Every file of the log, oldest first and the active one last, where there is one. */
async function listAuditFiles(activePath: string): Promise<string[]> {
  const paths = listSegments(activePath).map((segment) => segment.path);
  try {
    await (await openForReading(activePath)).close();
    paths.push(activePath);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ENOENT") throw error;
  }
  return paths;
}

export interface NamedFile {
  readonly path: string;
  readonly inode: number | undefined;
}

/**
 * The files of the log in order, as they were at one moment: a rotation between two looks gives a name to another file,
 * and the one that had it would be passed over. So it is looked until two looks say the same.
 */
export async function filesOf(activePath: string): Promise<readonly NamedFile[]> {
  let before = "";
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const paths = await listAuditFiles(activePath);
    const files = await Promise.all(paths.map(async (path) => ({ path, inode: await inodeOf(path) })));
    const now = files.map(({ path, inode }) => `${inode} ${path}`).join("\n");
    if (now === before) return files;
    before = now;
  }
  return [];
}

export async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch {
    return undefined;
  }
}

/**
 * What `read` makes of the log's files, which are named at one moment and read later: again where one of them got another
 * name in between, since the file that has its name by then is another one. After some tries the last answer counts.
 */
export async function readSettled<T>(activePath: string, read: (paths: string[]) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const before = await filesOf(activePath);
    const result = await read(before.map(({ path }) => path));
    const inodes = await Promise.all(before.map(({ path }) => inodeOf(path)));
    if (tries === READS_MAX || before.every(({ inode }, index) => inode === inodes[index])) return result;
  }
}
