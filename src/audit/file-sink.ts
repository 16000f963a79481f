/**
 * Audit records in a file that is only ever appended to.
 *
 * The file may be renamed under us (log rotation by others), deleted, replaced, cut, or the disk may fill up; none of
 * that may lose a record that was reported as recorded while this process lives.
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { type Clock, SYSTEM_CLOCK } from "../base/clock.ts";
import { RECORD_BYTES_MAX } from "./audit-record.ts";
import type { AuditSink, SinkStart, SinkTurn } from "./audit-sink.ts";
import {
  checkFolder,
  copyOpenFile,
  createFile,
  cutTornTail,
  deleteOldSegments,
  listSegments,
  openFile,
  type Retention,
  readEnds,
  type SegmentEnds,
  segmentPath,
} from "./segment-files.ts";
import { type ChainName, chainNameOf, describeStranger, isInFolder, isNewerChain, putAside } from "./stranger.ts";

export interface FileSinkOptions {
  /** The active file. Finished segments lie beside it. */
  readonly path: string;
  readonly segmentBytesMax?: number;
  readonly segmentAgeMsMax?: number;
  /** Finished segments beyond these limits are deleted, oldest first. Default: kept for ever. */
  readonly retention?: Retention;
  /** Disk space kept back for the records that end something when the disk is full. */
  readonly reserveBytes?: number;
  /** How often to look whether the path still names our file. */
  readonly inspectMs?: number;
  /**
   * For a process of short life beside one that has the name, or may have it soon: its files carry their final names from
   * the beginning, and it keeps nothing back on the disk.
   */
  readonly isGuest?: boolean;
  readonly clock?: Clock;
}

const RESERVE_RETRY_MS = 1000;

export class FileSink implements AuditSink {
  readonly #options: FileSinkOptions;
  readonly #clock: Clock;
  readonly #reservePath: string;
  readonly #reserveBytes: number;
  readonly #buffer: Buffer = Buffer.allocUnsafe(RECORD_BYTES_MAX);
  /** Syncs of segments already left, which a sync() must wait for. */
  readonly #leaving: Set<Promise<void>> = new Set();
  /** Where our file is, unless another process took the name over. */
  #path: string;
  #superseded = false;
  #run = "";
  #segment = 0;
  #fd = -1;
  #bytes = 0;
  #beganWallMs = 0;
  #beganMs = 0;
  #inspectAtMs = 0;
  /** The inode of what had the name when it was looked at last. */
  #strangerSeen: number | undefined;
  #folder: Stats | undefined;
  #torn = false;
  #suspect = false;
  /** A new file's name is in the folder, and the folder's own pages are not synced yet. */
  #isFolderUnsynced = true;
  #hasReserve = false;
  #reserveRetryAtMs = 0;

  constructor(options: FileSinkOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#path = options.path;
    this.#reserveBytes = options.isGuest === true ? 0 : (options.reserveBytes ?? 4 << 20);
    this.#reservePath = `${options.path}.reserve`;
  }

  open(run: string): SinkStart {
    this.#run = run;
    checkFolder(this.#path);
    if (this.#options.isGuest === true) return this.#openBeside();
    // Another process that starts at the same moment may take the name first: then its file is the one to continue.
    for (let attempt = 1; ; attempt++) {
      const start = this.#leavePreviousFile();
      try {
        this.#begin(createFile(this.#path));
      } catch (error) {
        if (codeOf(error) !== "EEXIST" || attempt === 3) throw error;
        continue;
      }
      this.#fillReserve();
      this.#deleteOld();
      return start;
    }
  }

  /** The chain goes on from wherever its writer is now. */
  #openBeside(): SinkStart {
    const isThere = lstatSync(this.#path, { throwIfNoEntry: false })?.isFile() === true;
    const active = isThere ? endOfFile(this.#path) : undefined;
    const start = active?.previous === undefined ? this.#endOfNewestSegment() : active;
    this.#superseded = true;
    this.#path = segmentPath(this.#options.path, { beganMs: this.#clock.wallMs(), run: this.#run, segment: 1 });
    this.#begin(createFile(this.#path));
    return start;
  }

  write(lines: string): void {
    const bytes = lines.length <= this.#buffer.length ? this.#buffer : Buffer.allocUnsafe(lines.length);
    const length = bytes.write(lines, 0, "latin1");
    try {
      this.#writeAll(bytes, length);
    } catch (error) {
      if (!isFull(error) || !this.#hasReserve) throw error;
      this.#releaseReserve();
      this.#writeAll(bytes, length);
    }
    this.#bytes += length;
  }

  sync(): Promise<void> {
    const folder = this.#isFolderUnsynced ? [syncFolder(this.#options.path)] : [];
    return Promise.all([...this.#leaving, ...folder, syncFile(this.#fd)]).then(
      () => {
        if (folder.length > 0) this.#isFolderUnsynced = false;
      },
      (error: unknown) => {
        // After a failed sync the kernel may have dropped the pages and report success next time: leave this file.
        this.#suspect = true;
        throw error;
      },
    );
  }

  turn(): SinkTurn | undefined {
    const nowMs = this.#clock.monotonicMs();
    const isDue = this.#bytes >= (this.#options.segmentBytesMax ?? 64 << 20) || this.#suspect;
    if (!isDue && nowMs < this.#inspectAtMs) return undefined;
    const isLate = nowMs >= this.#inspectAtMs;
    this.#inspectAtMs = nowMs + (this.#options.inspectMs ?? 100);
    if (!this.#hasReserve && nowMs >= this.#reserveRetryAtMs) this.#fillReserve();
    const turn = isLate ? this.#inspect() : undefined;
    if (turn !== undefined) return turn;
    const isOld = nowMs - this.#beganMs >= (this.#options.segmentAgeMsMax ?? 86_400_000);
    return isDue || isOld ? this.#rotate() : undefined;
  }

  lookSoon(): void {
    this.#inspectAtMs = 0;
  }

  isLow(): boolean {
    return !this.#hasReserve && this.#reserveBytes > 0;
  }

  close(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
    if (this.#hasReserve && !this.#superseded) this.#releaseReserve();
  }

  #writeAll(bytes: Buffer, length: number): void {
    if (this.#torn) this.#undoTornWrite();
    let done = 0;
    try {
      while (done < length) done += writeSync(this.#fd, bytes, done, length - done);
    } catch (error) {
      // Some of the line may be in the file, whatever `done` says: one runtime repeats short writes by itself.
      this.#torn = true;
      this.#undoTornWrite();
      throw error;
    }
  }

  #undoTornWrite(): void {
    if (fstatSync(this.#fd).size > this.#bytes) ftruncateSync(this.#fd, this.#bytes);
    this.#torn = false;
  }

  /** Finds the end of the chain, and moves a file that is at our path to its final name. */
  #leavePreviousFile(): SinkStart {
    const stat = lstatSync(this.#path, { throwIfNoEntry: false });
    if (stat === undefined) return this.#endOfNewestSegment();
    if (!stat.isFile()) throw new Error(`audit file "${this.#path}" is not a regular file`);
    if (stat.size === 0) {
      unlinkSync(this.#path);
      return this.#endOfNewestSegment();
    }
    const fd = openFile(this.#path);
    try {
      let ends = readEnds(fd);
      if (ends.bytes > ends.wholeBytes) {
        // Its writer may be alive and in the middle of a write: look again before calling it torn.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
        ends = readEnds(fd);
      }
      const path = segmentPath(this.#path, nameOf(ends, stat));
      const tornBytes = ends.bytes - ends.wholeBytes;
      if (ends.wholeBytes === 0) {
        // Its writer was killed within the first record: the chain ends in the file before.
        renameSync(this.#path, `${path}.torn`);
        return { ...this.#endOfNewestSegment(), tornBytes };
      }
      if (tornBytes > 0) cutTornTail(fd, path, ends);
      renameSync(this.#path, path);
      return { ...chainEndOf(ends), tornBytes };
    } finally {
      closeSync(fd);
    }
  }

  #endOfNewestSegment(): SinkStart {
    const newest = listSegments(this.#path).at(-1);
    return newest === undefined ? { previous: undefined, tornBytes: 0 } : endOfFile(newest.path);
  }

  #begin(fd: number): void {
    this.#fd = fd;
    this.#segment++;
    this.#bytes = fstatSync(fd).size;
    this.#beganWallMs = this.#clock.wallMs();
    this.#beganMs = this.#clock.monotonicMs();
    this.#inspectAtMs = this.#beganMs + (this.#options.inspectMs ?? 100);
    this.#torn = false;
    this.#suspect = false;
    this.#isFolderUnsynced = true;
    this.#strangerSeen = undefined;
    this.#folder = statSync(dirname(this.#options.path));
  }

  /** Goes on to `fd`; the file left behind is synced and closed in the background. */
  #goOnTo(fd: number): void {
    const left = this.#fd;
    const leaving: Promise<void> = syncFile(left).finally(() => {
      this.#leaving.delete(leaving);
      closeSync(left);
    });
    leaving.catch(() => undefined);
    this.#leaving.add(leaving);
    this.#begin(fd);
    this.#deleteOld();
  }

  /** Our segment's final name. */
  #finalPath(): string {
    return segmentPath(this.#options.path, { beganMs: this.#beganWallMs, run: this.#run, segment: this.#segment });
  }

  #rotate(): SinkTurn | undefined {
    if (this.#superseded) {
      // The name belongs to another process: our files carry their final names from the beginning.
      const next = { beganMs: this.#clock.wallMs(), run: this.#run, segment: this.#segment + 1 };
      this.#path = segmentPath(this.#options.path, next);
      this.#goOnTo(createFile(this.#path));
      return { why: "rotated" };
    }
    const finalPath = this.#finalPath();
    renameSync(this.#path, finalPath);
    let fd: number;
    try {
      fd = createFile(this.#path);
    } catch {
      // No room for another file: go on in this one, its size is only a wish.
      renameSync(finalPath, this.#path);
      return undefined;
    }
    this.#goOnTo(fd);
    return { why: "rotated" };
  }

  /** Compares the path with the open file. */
  #inspect(): SinkTurn | undefined {
    const own = fstatSync(this.#fd);
    const isDeleted = own.nlink === 0;
    if (!isDeleted && own.size !== this.#bytes && !this.#torn) return this.#leaveChangedFile(own);
    const named = lstatSync(this.#path, { throwIfNoEntry: false });
    if (isDeleted) return this.#recover(own, named, "deleted");
    if (named !== undefined && named.ino === own.ino && named.dev === own.dev) return undefined;
    // A file system was mounted over the folder, or taken away again: this file is not in the folder that has the name.
    if (this.#isFolderReplaced()) return this.#recover(own, named, "folder-replaced");
    if (this.#superseded) return undefined;
    if (named !== undefined) return this.#meetStranger(own, named);
    this.#goOnTo(createFile(this.#path));
    return { why: "reopened" };
  }

  #isFolderReplaced(): boolean {
    const folder = statSync(dirname(this.#options.path), { throwIfNoEntry: false });
    return folder !== undefined && (folder.ino !== this.#folder?.ino || folder.dev !== this.#folder.dev);
  }

  /** The name has something else. A newer process continues the chain there, and this one goes on in the file it has. */
  #meetStranger(own: Stats, named: Stats): SinkTurn | undefined {
    if (isNewerChain(this.#path, named, this.#chainName())) {
      this.#superseded = true;
      return undefined;
    }
    // A process that begins writes its first record at once: what has none the next time is not a newer process's.
    if (this.#strangerSeen !== named.ino) {
      this.#strangerSeen = named.ino;
      return undefined;
    }
    // Log rotation made an empty file for us.
    if (named.isFile() && named.size === 0) {
      unlinkSync(this.#path);
      this.#goOnTo(createFile(this.#path));
      return { why: "reopened" };
    }
    return this.#recover(own, named, "replaced");
  }

  #chainName(): ChainName | undefined {
    return chainNameOf(readEnds(this.#fd));
  }

  /** The file has lost its name or its folder, but its content lives as long as the descriptor. */
  #recover(own: Stats, named: Stats | undefined, reason: string): SinkTurn {
    const path = this.#finalPath();
    const details: string[] = [];
    if (!isInFolder(this.#options.path, own)) {
      copyOpenFile(this.#fd, path);
      details.push(`${own.size} bytes recovered to ${path}`);
    }
    if (named !== undefined && !this.#superseded) details.push(this.#takeNameBack(named));
    const next = { beganMs: this.#clock.wallMs(), run: this.#run, segment: this.#segment + 1 };
    if (this.#superseded) this.#path = segmentPath(this.#options.path, next);
    this.#goOnTo(createFile(this.#path));
    return { why: "recovered", gap: { reason, detail: details.filter((detail) => detail !== "").join(", ") } };
  }

  /** Says what had the name and where it is. Where it cannot be moved, files have their final names from the beginning. */
  #takeNameBack(named: Stats): string {
    const own = this.#chainName();
    if (isNewerChain(this.#path, named, own)) {
      this.#superseded = true;
      return "another process has the name";
    }
    try {
      const aside = putAside(this.#path, named, own, this.#clock.wallMs());
      return aside === undefined ? "" : `${describeStranger(named)} had the name, now ${aside}`;
    } catch (error) {
      this.#superseded = true;
      return `${describeStranger(named)} has the name and cannot be moved: ${codeOf(error)}`;
    }
  }

  #leaveChangedFile(own: Stats): SinkTurn {
    const detail = `${own.size} bytes found, ${this.#bytes} written`;
    const reason = own.size < this.#bytes ? "truncated" : "foreign-bytes";
    this.#bytes = own.size;
    const turn = this.#rotate();
    if (turn === undefined) throw new Error(`the audit file was changed by others: ${detail}`);
    return { why: turn.why, gap: { reason, detail } };
  }

  #fillReserve(): void {
    if (this.#reserveBytes === 0) return;
    this.#reserveRetryAtMs = this.#clock.monotonicMs() + RESERVE_RETRY_MS;
    try {
      if (lstatSync(this.#reservePath, { throwIfNoEntry: false }) !== undefined) unlinkSync(this.#reservePath);
      const fd = createFile(this.#reservePath);
      try {
        // Random bytes, so that a file system that compresses really sets the space aside.
        const bytes = randomBytes(this.#reserveBytes);
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
        this.#hasReserve = true;
      } finally {
        closeSync(fd);
      }
    } catch {
      this.#releaseReserve();
    }
  }

  #releaseReserve(): void {
    this.#hasReserve = false;
    this.#reserveRetryAtMs = this.#clock.monotonicMs() + RESERVE_RETRY_MS;
    try {
      unlinkSync(this.#reservePath);
    } catch {
      // Nothing to release then; writing decides.
    }
  }

  #deleteOld(): void {
    const { retention, path } = this.#options;
    if (retention === undefined) return;
    try {
      deleteOldSegments(path, retention, this.#clock.wallMs());
    } catch {
      // Deleting is housekeeping: that it failed shows on the disk, and must not stop the recording.
    }
  }
}

function syncFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error ? reject(error) : resolve()));
  });
}

/** Makes names durable: without it a power loss may take a synced file's name away. */
function syncFolder(path: string): Promise<void> {
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return new Promise((resolve, reject) => {
    fsync(folder, (error) => {
      closeSync(folder);
      if (error) reject(error);
      else resolve();
    });
  });
}

function endOfFile(path: string): SinkStart {
  const fd = openFile(path);
  try {
    return { ...chainEndOf(readEnds(fd)), tornBytes: 0 };
  } finally {
    closeSync(fd);
  }
}

function chainEndOf(ends: SegmentEnds): Pick<SinkStart, "previous" | "problem"> {
  const { first, last } = ends;
  if (last === undefined) return { previous: undefined, problem: "previous-file-unreadable" };
  const run = first?.fields["run"];
  return { previous: { seq: last.seq, hash: last.hash, run: typeof run === "string" ? run : "unknown" } };
}

function nameOf(ends: SegmentEnds, stat: Stats): { beganMs: number; run: string; segment: number } {
  const { run, segment } = ends.first?.fields ?? {};
  const beganMs = Date.parse(ends.first?.time ?? "");
  if (typeof run === "string" && isPlainWord(run) && typeof segment === "number" && !Number.isNaN(beganMs)) {
    return { beganMs, run, segment };
  }
  return { beganMs: Math.trunc(stat.mtimeMs), run: `unknown${randomBytes(4).toString("hex")}`, segment: 0 };
}

/** A run id as we make them, and nothing that could leave the folder. */
function isPlainWord(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

function isFull(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" ? code : undefined;
}
