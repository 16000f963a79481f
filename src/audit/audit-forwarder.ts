/**
 * Sends the log to another place. It follows the file from a stored place, so that nothing is lost when that other place
 * or querycop is away, and nobody waits for it: however slow it is, it only falls behind.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { pause } from "../base/pause.ts";
import { AuditFollower, type AuditPlace, type FollowedLines } from "./audit-follower.ts";
import { wholeLine } from "./record-expander.ts";

/** Resolves when the lines have arrived; rejects when they must be sent again. */
export interface AuditDestination {
  readonly name: "webhook" | "otlp" | "syslog";
  deliver(lines: readonly string[], signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface AuditForwarderOptions {
  readonly activePath: string;
  /** The run of the log this process writes: where a forwarder without a stored place begins. */
  readonly run: string;
  readonly destination: AuditDestination;
  /** Told when sending begins to fail, when it works again, and when segments were deleted before they were sent. */
  readonly onStateChange: (state: ForwardState, detail: string) => void;
}

export type ForwardState = "ok" | "failing" | "lost";

const POLL_MS = 250;
const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 30_000;
const STORE_MS = 1000;

interface StoredPlace {
  /** Who wrote it: of two processes on one log, the newer one keeps the place. */
  readonly owner: string;
  readonly place: AuditPlace;
}

export class AuditForwarder {
  readonly #options: AuditForwarderOptions;
  readonly #cursorPath: string;
  readonly #follower: AuditFollower;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  #place: AuditPlace;
  #storedAtMs = 0;
  #isFailing = false;
  #isClosing = false;
  #oldestUnsentMs: number | undefined;

  constructor(options: AuditForwarderOptions) {
    this.#options = options;
    this.#cursorPath = `${options.activePath}.${options.destination.name}.cursor`;
    this.#place = this.#load() ?? { run: options.run, segment: 1, offset: 0 };
    this.#store(true);
    this.#follower = new AuditFollower(options.activePath, this.#place);
    this.#running = this.#run();
  }

  get name(): string {
    return this.#options.destination.name;
  }

  /** Age in milliseconds of the oldest record that is known not to have arrived; 0 when all have. */
  lagMs(nowMs: number): number {
    return this.#oldestUnsentMs === undefined ? 0 : Math.max(0, nowMs - this.#oldestUnsentMs);
  }

  /** Sends what is there, for at most `timeoutMs`; the next start goes on behind what was sent. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosing = true;
    const timer = setTimeout(() => this.#abort.abort(), timeoutMs);
    await this.#running;
    clearTimeout(timer);
    this.#options.destination.close();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#abort.signal.aborted) {
        const read = await this.#read();
        if (read !== undefined) await this.#deliver(read);
        else if (this.#isClosing) break;
        else await pause(POLL_MS, this.#abort.signal);
      }
    } finally {
      this.#store(true);
      await this.#follower.close();
    }
  }

  /** A log that cannot be read now is looked at again later. */
  async #read(): Promise<FollowedLines | undefined> {
    try {
      return await this.#follower.read();
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  async #deliver({ lines: inShort, expander, place, isAfterLoss }: FollowedLines): Promise<void> {
    if (isAfterLoss) this.#options.onStateChange("lost", "segments were deleted before they had been sent");
    this.#oldestUnsentMs = timeOf(inShort[0]);
    const lines: string[] = [];
    for (const line of inShort) lines.push(wholeLine(await expander.read(line), line));
    for (
      let backoffMs = BACKOFF_MS_MIN;
      !this.#abort.signal.aborted;
      backoffMs = Math.min(2 * backoffMs, BACKOFF_MS_MAX)
    ) {
      try {
        await this.#options.destination.deliver(lines, this.#abort.signal);
        this.#place = place;
        this.#oldestUnsentMs = undefined;
        if (this.#isFailing) this.#options.onStateChange("ok", "");
        this.#isFailing = false;
        this.#store(false);
        return;
      } catch (error) {
        this.#failed(error);
      }
      // Half of it by chance, so that many processes do not come back at the same moment.
      await pause(backoffMs / 2 + (Math.random() * backoffMs) / 2, this.#abort.signal);
    }
  }

  #failed(error: unknown): void {
    if (!this.#isFailing)
      this.#options.onStateChange("failing", error instanceof Error ? error.message : String(error));
    this.#isFailing = true;
  }

  #load(): AuditPlace | undefined {
    return readStored(this.#cursorPath)?.place;
  }

  /** Killed between two times, the next start sends again what came after the last one. */
  #store(isForced: boolean): void {
    const nowMs = performance.now();
    if (!isForced && nowMs - this.#storedAtMs < STORE_MS) return;
    const { run } = this.#options;
    const isFirst = this.#storedAtMs === 0;
    this.#storedAtMs = nowMs;
    if (!isFirst && readStored(this.#cursorPath)?.owner !== run) return;
    const stored: StoredPlace = { owner: run, place: this.#place };
    try {
      writeFileSync(`${this.#cursorPath}.new`, `${JSON.stringify(stored)}\n`, { mode: 0o600 });
      renameSync(`${this.#cursorPath}.new`, this.#cursorPath);
    } catch {
      // A full disk, which the log itself tells of. The next time stores more.
    }
  }
}

function readStored(path: string): StoredPlace | undefined {
  try {
    const { owner, place } = JSON.parse(readFileSync(path, "utf8")) as Partial<StoredPlace>;
    const isPlace =
      typeof place?.run === "string" && Number.isSafeInteger(place.segment) && Number.isSafeInteger(place.offset);
    return typeof owner === "string" && isPlace ? { owner, place } : undefined;
  } catch {
    return undefined;
  }
}

function timeOf(line: string | undefined): number | undefined {
  // {"seq":7,"time":"2026-11-21T12:00:00.000Z",…
  const at = line?.indexOf('"time":"') ?? -1;
  const timeMs = at < 0 ? Number.NaN : Date.parse(line?.slice(at + 8, at + 32) ?? "");
  return Number.isNaN(timeMs) ? undefined : timeMs;
}
