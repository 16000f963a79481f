/**
 * How far the log has come, kept beside the key: whoever can change the log's files need not reach it there. Written once a
 * second where something was recorded, and when the log is closed.
 */
import { closeSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import type { RecordHead } from "./audit-record.ts";
import { listSegments, openFile, readEnds } from "./segment-files.ts";

export interface AuditHead extends RecordHead {
  readonly run: string;
}

const WRITE_MS = 1000;
const HEAD_CHARACTERS_MAX = 1000;

/** Beside the key's file. */
export function headPath(keyFile: string): string {
  return `${keyFile}.head`;
}

/** What a process said last; undefined where there is nothing that can be read. */
export function readAuditHead(path: string): AuditHead | undefined {
  try {
    const text = readFileSync(path, "latin1");
    if (text.length > HEAD_CHARACTERS_MAX) return undefined;
    const { run, seq, hash } = JSON.parse(text) as Partial<Record<string, unknown>>;
    if (typeof run !== "string" || typeof seq !== "number" || typeof hash !== "string") return undefined;
    return { run, seq, hash };
  } catch {
    return undefined;
  }
}

/** How far the run of that head goes in the files that are there; 0 where none of them is of that run. */
export function lastSeqOf(activePath: string, { run }: AuditHead): number {
  let last = 0;
  const segments = listSegments(activePath).filter((segment) => segment.run === run);
  for (const path of [activePath, ...segments.slice(-1).map((segment) => segment.path)]) {
    let fd: number;
    try {
      fd = openFile(path);
    } catch {
      continue;
    }
    try {
      const ends = readEnds(fd);
      if (ends.first?.fields["run"] === run) last = Math.max(last, ends.last?.seq ?? 0);
    } finally {
      closeSync(fd);
    }
  }
  return last;
}

export class AuditHeadFile {
  readonly #path: string;
  readonly #head: () => AuditHead;
  readonly #onFailure: (error: string) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #writtenSeq = -1;
  #hasFailed = false;
  #isWriting = false;
  #isClosed = false;

  /** `onFailure` is told once until it works again. */
  constructor(path: string, head: () => AuditHead, onFailure: (error: string) => void) {
    this.#path = path;
    this.#head = head;
    this.#onFailure = onFailure;
    this.#timer = setInterval(() => void this.#writeBeside(), WRITE_MS);
    this.#timer.unref();
    this.#write();
  }

  /** Nobody waits meanwhile: on a busy disk a file put in the place of another takes tenths of a second. */
  async #writeBeside(): Promise<void> {
    const { text, seq } = this.#next();
    if (this.#isWriting || seq === this.#writtenSeq) return;
    this.#isWriting = true;
    try {
      const path = `${this.#path}.next`;
      await writeFile(path, text, { mode: 0o600 });
      // What was written at the end goes further.
      if (!this.#isClosed) await rename(path, this.#path);
      this.#written(seq);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isWriting = false;
    }
  }

  #write(): void {
    const { text, seq } = this.#next();
    if (seq === this.#writtenSeq) return;
    try {
      writeFileSync(`${this.#path}.new`, text, { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
      this.#written(seq);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** To be put in the place of what is there, whole or not at all, whenever the process ends. */
  #next(): { readonly text: string; readonly seq: number } {
    const { run, seq, hash } = this.#head();
    return { text: `${JSON.stringify({ run, seq, hash })}\n`, seq };
  }

  #written(seq: number): void {
    this.#writtenSeq = seq;
    this.#hasFailed = false;
  }

  #failed(error: unknown): void {
    if (!this.#hasFailed) this.#onFailure(error instanceof Error ? error.message : String(error));
    this.#hasFailed = true;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#write();
  }
}
