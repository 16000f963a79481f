/**
 * Reads a log as it grows, from a place that can be stored: over rotations, renamed files and restarts, each line once.
 *
 * A place is a record's end inside a segment, named by what the segment's first record says of itself, not by a file
 * name: names change when files are rotated.
 */
import { Buffer } from "node:buffer";
import { readdirSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { RECORD_BYTES_MAX } from "./audit-record.ts";
import type { RecordExpander } from "./record-expander.ts";
import {
  expanderOf,
  filesOf,
  inodeOf,
  type NamedFile,
  openForReading,
  readFirstRecord,
  readFirstRecordOf,
} from "./segment-reader.ts";

export interface AuditPlace {
  readonly run: string;
  readonly segment: number;
  /** Bytes of the segment that were read: always the end of a line. */
  readonly offset: number;
}

export interface FollowedLines {
  readonly lines: readonly string[];
  /** Tells the records that they stand for. */
  readonly expander: RecordExpander;
  /** Where reading goes on behind these lines. */
  readonly place: AuditPlace;
  /** Set when the stored place is no longer there, so that lines may be missing before these. */
  readonly isAfterLoss: boolean;
}

/** `end`: what comes from now on. `begin`: all there is. */
type FollowFrom = AuditPlace | "begin" | "end";

const READ_BYTES = 1 << 16;

interface OpenSegment {
  readonly file: FileHandle;
  readonly inode: number;
  readonly run: string;
  readonly segment: number;
  readonly expander: RecordExpander;
  offset: number;
}

export class AuditFollower {
  readonly #activePath: string;
  #from: FollowFrom | undefined;
  #open: OpenSegment | undefined;
  #isAfterLoss = false;

  constructor(activePath: string, from: FollowFrom) {
    this.#activePath = activePath;
    this.#from = from;
  }

  /** The next whole lines, or undefined when there are none yet. */
  async read(): Promise<FollowedLines | undefined> {
    for (;;) {
      if (this.#open === undefined) {
        const first = await this.#first();
        if (first === "moved") continue;
        this.#open = first;
      }
      if (this.#open === undefined) return undefined;
      let lines = await readWholeLines(this.#open);
      const next = lines.length > 0 ? undefined : await this.#successor(this.#open);
      // Read once more: what was written before there was another file belongs to this one.
      if (next !== undefined) lines = await readWholeLines(this.#open);
      if (lines.length > 0) {
        const { run, segment, offset, expander } = this.#open;
        const isAfterLoss = this.#isAfterLoss;
        this.#isAfterLoss = false;
        return { lines, expander, place: { run, segment, offset }, isAfterLoss };
      }
      if (next === undefined) return undefined;
      const opened = await openSegment(next, "begin");
      if (opened === "moved") continue;
      await this.#open.file.close();
      this.#open = opened;
      if (opened === undefined) this.#from = "begin";
    }
  }

  async close(): Promise<void> {
    await this.#open?.file.close();
    this.#open = undefined;
    this.#from = "end";
  }

  /** Opens the segment to begin with. */
  async #first(): Promise<OpenSegment | "moved" | undefined> {
    const from = this.#from;
    const files = await filesOf(this.#activePath);
    if (from === "end") {
      const newest = files.at(-1);
      // Without any file yet, "from now on" is all of the first one.
      if (newest === undefined) this.#from = "begin";
      return newest === undefined ? undefined : openSegment(newest, "end");
    }
    if (typeof from === "object") {
      const file = await this.#find(from, files);
      const opened = file === undefined ? undefined : await openSegment(file, from.offset);
      if (opened === "moved") return opened;
      this.#from = "begin";
      if (opened !== undefined) return opened;
      this.#isAfterLoss = true;
    }
    return files[0] === undefined ? undefined : openSegment(files[0], "begin");
  }

  /** Looks through all files with the log's name, under whatever suffix another program has given them. */
  async #find(place: AuditPlace, files: readonly NamedFile[]): Promise<NamedFile | undefined> {
    const folder = dirname(this.#activePath);
    const stem = basename(this.#activePath, extname(this.#activePath));
    const others = readdirSync(folder)
      .filter((name) => name.startsWith(stem))
      .map((name) => join(folder, name))
      .filter((path) => !files.some((file) => file.path === path));
    for (const path of [...files.map((file) => file.path), ...others]) {
      const inode = await inodeOf(path);
      if (await isSegment(path, place)) return { path, inode };
    }
    return undefined;
  }

  /** The file that comes behind `open`, once there is one. */
  async #successor(open: OpenSegment): Promise<NamedFile | undefined> {
    if ((await inodeOf(this.#activePath)) === open.inode) return undefined;
    const files = await filesOf(this.#activePath);
    const position = files.findIndex(({ inode }) => inode === open.inode);
    if (position >= 0) return files[position + 1];
    // Renamed away by others: it was the newest then, so what comes is the first file that says it is later.
    for (const file of files) {
      if (await isSegment(file.path, { run: open.run, segment: open.segment + 1 })) return file;
    }
    return files.at(-1);
  }
}

async function isSegment(path: string, wanted: { readonly run: string; readonly segment: number }): Promise<boolean> {
  try {
    const first = await readFirstRecord(path);
    return first?.fields["run"] === wanted.run && first.fields["segment"] === wanted.segment;
  } catch {
    return false;
  }
}

/** `moved` when its name is that of another file by now; undefined when it is gone, or too short to hold the place. */
async function openSegment(
  named: NamedFile,
  from: number | "begin" | "end",
): Promise<OpenSegment | "moved" | undefined> {
  let file: FileHandle;
  try {
    file = await openForReading(named.path);
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw error;
  }
  const { size, ino } = await file.stat();
  if (ino !== named.inode) {
    await file.close();
    return "moved";
  }
  const offset = from === "begin" ? 0 : from === "end" ? size : from;
  if (offset > size) {
    await file.close();
    return undefined;
  }
  // Of the file that is open, not of the one that has its name by now.
  const first = await readFirstRecordOf(file);
  const { run, segment } = first?.fields ?? {};
  return {
    file,
    inode: ino,
    run: String(run ?? ""),
    segment: Number(segment ?? 0),
    expander: expanderOf(file),
    offset,
  };
}

/** Some lines, and moves on behind them. A line that is longer than a record can be is passed over. */
async function readWholeLines(open: OpenSegment): Promise<string[]> {
  for (let bytes = READ_BYTES; ; bytes = 2 * RECORD_BYTES_MAX) {
    const buffer = Buffer.allocUnsafe(bytes);
    const { bytesRead } = await open.file.read(buffer, 0, bytes, open.offset);
    const end = buffer.subarray(0, bytesRead).lastIndexOf(0x0a);
    if (end >= 0) {
      open.offset += end + 1;
      return buffer.toString("latin1", 0, end).split("\n");
    }
    if (bytesRead < bytes) return [];
    if (bytes > READ_BYTES) {
      open.offset += bytesRead;
      return [];
    }
  }
}
