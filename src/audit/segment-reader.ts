/** Reads audit files line by line in bounded memory, forwards and backwards. */
import { Buffer } from "node:buffer";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type AuditRecord, decodeRecord, RECORD_BYTES_MAX } from "./audit-record.ts";
import { listSegments } from "./segment-files.ts";

const CHUNK_BYTES = 1 << 18;
const NEWLINE = 0x0a;

/** Some lines of a file, without their newlines. */
export interface LineBatch {
  readonly lines: readonly string[];
  /** Set with the last batch when the file does not end in a newline: the bytes behind the last one. */
  readonly tornBytes: number;
}

/** Opens for reading; a link of that name is refused. */
export function openForReading(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
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

/** The whole lines from the last to the first. What lies behind the last newline is left out. */
export async function* readLinesBackwards(path: string): AsyncGenerator<readonly string[]> {
  const file = await openForReading(path);
  try {
    let position = (await file.stat()).size;
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
      if (lines.length > 0) yield lines.reverse();
    }
  } finally {
    await file.close();
  }
}

/** The first record of a file, if its first line is one. */
export async function readFirstRecord(path: string): Promise<AuditRecord | undefined> {
  for await (const { lines } of readLines(path)) {
    const decoded = lines[0] === undefined ? undefined : decodeRecord(lines[0]);
    return decoded?.ok === true ? decoded.record : undefined;
  }
  return undefined;
}

/** Every file of the log, oldest first and the active one last, where there is one. */
export async function listAuditFiles(activePath: string): Promise<string[]> {
  const paths = listSegments(activePath).map((segment) => segment.path);
  try {
    await (await openForReading(activePath)).close();
    paths.push(activePath);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ENOENT") throw error;
  }
  return paths;
}
