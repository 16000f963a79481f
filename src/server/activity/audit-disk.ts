/** How fast the audit log grows, and how long its disk will take it. */
import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { listSegments } from "../../audit/segment-files.ts";

export interface AuditDiskView {
  /** Free for us on the log's file system. */
  readonly freeBytes: number;
  /** All files of the log. */
  readonly logBytes: number;
  readonly files: number;
  /** At the pace since the start, or of the last day; undefined until a minute has passed. */
  readonly bytesPerDay: number | undefined;
  /** Until the disk is full at that pace; undefined where it never will be, since old files are deleted before. */
  readonly daysUntilFull: number | undefined;
  /** What `audit.keep_size` bounds the finished files to; undefined for no bound. */
  readonly keepBytes: number | undefined;
}

const DAY_MS = 86_400_000;
const MEASURED_MS_MIN = 60_000;

export class AuditDisk {
  readonly #file: string;
  readonly #keepBytes: number | undefined;
  #written = 0;
  #lastSize: number | undefined;
  #since: { readonly atMs: number; readonly written: number };

  constructor(file: string, keepBytes: number | undefined, nowMs: number) {
    this.#file = file;
    this.#keepBytes = keepBytes;
    this.#since = { atMs: nowMs, written: 0 };
  }

  /** Bytes written since the start, as far as they were seen. */
  measure(): number {
    const size = statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
    // A smaller file is another one: the log has begun a new segment.
    if (this.#lastSize !== undefined) this.#written += size < this.#lastSize ? size : size - this.#lastSize;
    this.#lastSize = size;
    return this.#written;
  }

  view(nowMs: number): AuditDiskView | undefined {
    try {
      return this.#view(nowMs);
    } catch {
      // The folder is not there just now; readiness says so.
      return undefined;
    }
  }

  #view(nowMs: number): AuditDiskView {
    const written = this.measure();
    const { bavail, bsize } = statfsSync(dirname(this.#file));
    const segments = listSegments(this.#file);
    const logBytes = segments.reduce((sum, { bytes }) => sum + bytes, this.#lastSize ?? 0);
    const freeBytes = bavail * bsize;
    const spanMs = nowMs - this.#since.atMs;
    const bytesPerDay = spanMs < MEASURED_MS_MIN ? undefined : ((written - this.#since.written) / spanMs) * DAY_MS;
    if (spanMs > DAY_MS) this.#since = { atMs: nowMs - DAY_MS / 2, written: written - (bytesPerDay ?? 0) / 2 };
    const room = this.#keepBytes === undefined ? undefined : Math.max(0, this.#keepBytes - logBytes);
    const isBounded = room !== undefined && room < freeBytes;
    const isGrowing = bytesPerDay !== undefined && bytesPerDay > 0;
    return {
      freeBytes,
      logBytes,
      files: segments.length + 1,
      bytesPerDay,
      daysUntilFull: isGrowing && !isBounded ? freeBytes / bytesPerDay : undefined,
      keepBytes: this.#keepBytes,
    };
  }
}
