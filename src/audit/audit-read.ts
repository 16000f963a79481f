/** Finds records in an audit log: the last ones, all that match, and new ones as they come. Checks no hashes on the way. */
import type { FileHandle } from "node:fs/promises";
import { stat } from "node:fs/promises";
import { pause } from "./pause.ts";
import { listAuditFiles, openForReading, readLines, readLinesBackwards } from "./segment-reader.ts";

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

/** Matching records written from now on, over rotations, until `signal` aborts. */
export async function* followAudit(
  activePath: string,
  filter: AuditFilter,
  signal: AbortSignal,
): AsyncGenerator<ReadRecord> {
  let follower: Follower | undefined = await Follower.open(activePath, "end");
  try {
    while (!signal.aborted) {
      if (follower !== undefined) {
        for (const line of await follower.readNew()) {
          const record = parseRecord(line);
          if (record !== undefined && isMatch(record, filter)) yield record;
        }
      }
      if (follower === undefined || (await follower.isLeft())) {
        const next = await Follower.openAfter(activePath, follower);
        if (next !== undefined) {
          await follower?.close();
          follower = next;
          continue;
        }
      }
      await pause(FOLLOW_MS, signal);
    }
  } finally {
    await follower?.close();
  }
}

/** One file that is being written. */
class Follower {
  readonly #file: FileHandle;
  readonly #activePath: string;
  readonly inode: number;
  #position: number;
  #rest = "";

  private constructor(file: FileHandle, activePath: string, inode: number, position: number) {
    this.#file = file;
    this.#activePath = activePath;
    this.inode = inode;
    this.#position = position;
  }

  static async open(path: string, from: "start" | "end", activePath = path): Promise<Follower | undefined> {
    let file: FileHandle;
    try {
      file = await openForReading(path);
    } catch (error) {
      if ((error as { code?: unknown }).code === "ENOENT") return undefined;
      throw error;
    }
    const { ino, size } = await file.stat();
    return new Follower(file, activePath, ino, from === "end" ? size : 0);
  }

  /** The file that comes after `before`: a finished segment, if several were begun since, or the active one. */
  static async openAfter(activePath: string, before: Follower | undefined): Promise<Follower | undefined> {
    const paths = await listAuditFiles(activePath);
    let next = paths.at(-1);
    if (before !== undefined) {
      for (let i = paths.length - 1; i > 0; i--) {
        const { ino } = await stat(paths[i - 1] ?? "");
        if (ino === before.inode) next = paths[i];
      }
    }
    return next === undefined ? undefined : Follower.open(next, "start", activePath);
  }

  async readNew(): Promise<string[]> {
    const buffer = new Uint8Array(1 << 16);
    let text = this.#rest;
    for (;;) {
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) break;
      this.#position += bytesRead;
      text += new TextDecoder("latin1").decode(buffer.subarray(0, bytesRead));
      if (text.length >= 1 << 21) break;
    }
    const lines = text.split("\n");
    this.#rest = lines.pop() ?? "";
    return lines;
  }

  /** Whether another file has the active path, and everything in this one was read. */
  async isLeft(): Promise<boolean> {
    try {
      if ((await stat(this.#activePath)).ino === this.inode) return false;
    } catch {
      return false;
    }
    return (await this.#file.stat()).size <= this.#position;
  }

  close(): Promise<void> {
    return this.#file.close();
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
