/**
 * The audit log: numbers, times and chains events, and returns only when an event is recorded.
 *
 *   append ─► turn (new file due?) ─► segment-start ─► audit-gap (after a failure) ─► deferred ─► record ─► checkpoint
 *
 * What ends a statement need not wait for the file, nor the file for it: appendSoon() keeps it for the next write, so
 * that a statement costs one write. Sequence number and hash move on only after the sink has taken all of a write, so a
 * failed one leaves no hole.
 */
import { randomBytes } from "node:crypto";
import { type Clock, SYSTEM_CLOCK } from "../base/clock.ts";
import { QuerycopError } from "../base/errors.ts";
import type { AuditEvent, AuditEventOf, AuditEventType } from "./audit-event.ts";
import type { AuditKey } from "./audit-key.ts";
import { CHAIN_START, COMPACT_RECORD_FORMAT, encodeRecord, RECORD_FORMAT, type RecordHead } from "./audit-record.ts";
import type { AuditSink, ChainEnd, SinkTurn } from "./audit-sink.ts";
import { RecordChain, type TimedEvent } from "./record-chain.ts";

export interface AuditLogOptions {
  readonly sink: AuditSink;
  readonly key: AuditKey;
  /** `kernel`: recorded = the write() is complete. `durable`: recorded = fdatasync returned; grouped. */
  readonly mode: "kernel" | "durable";
  /** Writes the records of statements in short: for readers that have the file they stand in. */
  readonly isCompact?: boolean;
  readonly clock?: Clock;
  readonly checkpointRecords?: number;
  readonly checkpointMs?: number;
  /** Encrypts texts for the holder of the reading key. */
  readonly sealText?: (text: Uint8Array) => string;
  /** Gets each checkpoint line, to be kept where the log's own disk cannot be reached from. */
  readonly copyCheckpoint?: (line: string) => void;
  /** Told what others did to the file. */
  readonly onGap?: (reason: string, detail: string) => void;
  /** Told when recording begins to fail and when it works again; for the operational log and metrics. */
  readonly onStateChange?: (state: AuditState, detail: string) => void;
}

/** `low`: the disk is full and only the reserve is left. `failed`: nothing can be recorded. */
export type AuditState = "ok" | "low" | "failed";

export interface AuditCounters {
  readonly records: number;
  readonly failures: number;
  readonly checkpoints: number;
  readonly segments: number;
}

/** Still recorded when the disk is full and the reserve is in use: they end or explain what was begun before. */
const ENDING_EVENTS: ReadonlySet<AuditEventType> = new Set<AuditEventType>([
  "statement-outcome",
  "statement-blocked",
  "disconnect",
  "refuse",
  "approval",
  "admin-call",
  "audit-gap",
  "stop",
]);

/** Outcomes are kept for so long at most, and so many of them. */
const DEFER_MS = 10;
const DEFERRED_MAX = 64;
/** While nothing can be written: how often it is tried, and how many outcomes are kept for better times. */
const RETRY_MS = 500;
const KEPT_MAX = 256;

interface Gap {
  readonly reason: string;
  readonly sinceMs: number;
  lost: number;
}

interface SyncWaiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class AuditLog {
  readonly run: string = randomBytes(8).toString("hex");
  readonly isKept: boolean = true;
  readonly #options: AuditLogOptions;
  readonly #sink: AuditSink;
  readonly #clock: Clock;
  readonly #chain: RecordChain;
  readonly #checkpointRecords: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #head: RecordHead = { seq: 0, hash: CHAIN_START };
  #segment = 0;
  #pendingTurn: SinkTurn | undefined;
  #gap: Gap | undefined;
  #state: AuditState = "ok";
  #sinceCheckpoint = 0;
  #deferred: TimedEvent[] = [];
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  #waiters: SyncWaiter[] = [];
  #syncing = false;
  #closed = false;
  #counters = { records: 0, failures: 0, checkpoints: 0, segments: 0 };

  /** Opens the sink and records the segment-start; throws QC_AUDIT_FAILED when that is not possible. */
  constructor(options: AuditLogOptions) {
    this.#options = options;
    this.#sink = options.sink;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#chain = new RecordChain(options.isCompact === true);
    this.#checkpointRecords = options.checkpointRecords ?? 1000;
    this.#begin();
    this.#timer = setInterval(() => this.#checkpointIfAny(), options.checkpointMs ?? 60_000);
    this.#timer.unref();
  }

  get state(): AuditState {
    return this.#state;
  }

  get counters(): AuditCounters {
    return this.#counters;
  }

  /** Sequence number and hash of the last record. */
  get head(): RecordHead {
    return this.#head;
  }

  get sealText(): ((text: Uint8Array) => string) | undefined {
    return this.#options.sealText;
  }

  /** Keyed hash for the `textHash` field: tells equal statements apart from unequal ones and nothing else. */
  hashText(text: Uint8Array): string {
    return this.#options.key.hashText(text);
  }

  /** The same for a text of many megabytes. */
  hashLongText(text: Uint8Array): Promise<string> {
    return this.#options.key.hashLongText(text);
  }

  /**
   * Records one event. In mode `kernel` it is recorded when this returns; in mode `durable` when the promise settles.
   * Throws (or rejects with) QC_AUDIT_FAILED when it is not recorded; the caller decides what may then go on.
   */
  append(event: AuditEvent): void | Promise<void> {
    if (this.#closed) throw new QuerycopError("QC_AUDIT_FAILED", "Cannot record: the audit log is closed");
    try {
      this.#record(event);
    } catch (cause) {
      throw this.#failed(cause, 1);
    }
    if (this.#options.mode === "durable") return this.#untilSynced();
  }

  /**
   * Records how a statement ended: with the next event, or within 10 ms. Killed before that, the log says that the
   * outcome is unknown, as it does of every statement under way at that moment.
   */
  appendSoon(event: AuditEventOf<"statement-outcome">): void {
    if (this.#deferred.length >= KEPT_MAX || this.#closed) {
      if (this.#gap !== undefined) this.#gap.lost++;
      return;
    }
    this.#deferred.push({ event, timeMs: this.#clock.wallMs() });
    if (this.#deferred.length === DEFERRED_MAX && this.#gap === undefined) this.flush();
    else this.#flushTimer ??= setTimeout(() => this.#flushDue(), DEFER_MS);
  }

  /** Writes what appendSoon() keeps. Never throws: what cannot be written stays for the next time. */
  flush(): void {
    if (this.#deferred.length === 0 || this.#closed) return;
    try {
      this.#record(undefined);
    } catch (cause) {
      this.#failed(cause, 0);
    }
  }

  #flushDue(): void {
    this.#flushTimer = undefined;
    this.flush();
    if (this.#deferred.length > 0) this.#flushTimer = setTimeout(() => this.#flushDue(), RETRY_MS);
  }

  /** Goes on to a new file now if the old one was renamed: for log rotation, which may compress the old one at once. */
  reopen(): void {
    this.#sink.lookSoon();
    try {
      this.#record(undefined);
    } catch (cause) {
      this.#failed(cause, 0);
    }
  }

  /** Signs the end of the chain and closes the sink. Later appends are refused. */
  async close(): Promise<void> {
    if (this.#closed) return;
    clearInterval(this.#timer);
    clearTimeout(this.#flushTimer);
    this.flush();
    this.#checkpointIfAny();
    this.#closed = true;
    try {
      await this.#sink.sync();
    } finally {
      this.#sink.close();
    }
  }

  #begin(): void {
    let start: ReturnType<AuditSink["open"]>;
    try {
      start = this.#sink.open(this.run);
      if (start.previous !== undefined) this.#head = { seq: 0, hash: start.previous.hash };
      this.#writeSegmentStart("start", start.previous, start.tornBytes);
      if (start.problem !== undefined) this.#writeAlone({ type: "audit-gap", reason: start.problem, lost: 0 });
    } catch (cause) {
      throw new QuerycopError("QC_AUDIT_FAILED", `Cannot open the audit log: ${describe(cause)}`, { cause });
    }
  }

  #record(event: AuditEvent | undefined): void {
    // A turn that was taken but whose first record failed is kept, so that no file is without its segment-start.
    this.#pendingTurn ??= this.#sink.turn();
    if (this.#pendingTurn !== undefined) this.#startSegment(this.#pendingTurn);
    if (event !== undefined && this.#sink.isLow() && !ENDING_EVENTS.has(event.type)) {
      throw new Error("no space left on the device, the reserve is kept for records that end something");
    }
    if (this.#gap !== undefined && this.#gap.lost > 0) this.#writeGap(this.#gap);
    this.#gap = undefined;
    this.#write(event);
    this.#setState(this.#sink.isLow() ? "low" : "ok", "");
    if (this.#sinceCheckpoint >= this.#checkpointRecords) this.#checkpointIfAny();
  }

  /** Writes the deferred events and then this one, all or none of them. */
  #write(event: AuditEvent | undefined): void {
    const events = event === undefined ? this.#deferred : [...this.#deferred, { event, timeMs: this.#clock.wallMs() }];
    if (events.length === 0) return;
    const { text, ...head } = this.#chain.encode(events, this.#head);
    try {
      this.#sink.write(text);
    } catch (thrown) {
      this.#chain.forget();
      throw thrown;
    }
    const count = head.seq - this.#head.seq;
    this.#head = head;
    this.#counters.records += count;
    this.#sinceCheckpoint += count;
    if (this.#deferred.length > 0) this.#deferred = [];
  }

  /** Writes one event ahead of the deferred ones. */
  #writeAlone(event: AuditEvent): void {
    const record = encodeRecord(event, this.#head, this.#clock.wallMs());
    this.#sink.write(record.line);
    this.#head = record;
    this.#counters.records++;
    this.#sinceCheckpoint++;
  }

  #startSegment(turn: SinkTurn): void {
    this.#writeSegmentStart(turn.why, undefined, 0);
    this.#pendingTurn = undefined;
    if (turn.gap !== undefined) {
      this.#options.onGap?.(turn.gap.reason, turn.gap.detail ?? "");
      this.#writeAlone({ type: "audit-gap", reason: turn.gap.reason, lost: 0, detail: turn.gap.detail });
    }
  }

  #writeSegmentStart(why: SinkTurn["why"] | "start", previous: ChainEnd | undefined, tornBytes: number): void {
    this.#chain.forget();
    this.#writeAlone({
      type: "segment-start",
      format: this.#options.isCompact === true ? COMPACT_RECORD_FORMAT : RECORD_FORMAT,
      run: this.run,
      segment: this.#segment + 1,
      why,
      continues: previous?.run,
      continuesSeq: previous?.seq,
      tornBytes: tornBytes > 0 ? tornBytes : undefined,
      keyId: this.#options.key.keyId,
      publicKey: this.#options.key.publicKey,
    });
    this.#segment++;
    this.#counters.segments++;
  }

  #writeGap(gap: Gap): void {
    this.#writeAlone({
      type: "audit-gap",
      reason: gap.reason,
      lost: gap.lost,
      since: new Date(gap.sinceMs).toISOString(),
    });
    this.#gap = undefined;
  }

  /** A checkpoint that cannot be written is no failure of its own: the next append finds out. */
  #checkpointIfAny(): void {
    if (this.#sinceCheckpoint === 0 || this.#closed) return;
    const { key } = this.#options;
    const timeMs = this.#clock.wallMs();
    const facts = {
      run: this.run,
      seq: this.#head.seq + 1,
      time: new Date(timeMs).toISOString(),
      head: this.#head.hash,
    };
    const record = encodeRecord(
      { type: "checkpoint", run: this.run, head: facts.head, keyId: key.keyId, signature: key.signCheckpoint(facts) },
      this.#head,
      timeMs,
    );
    try {
      this.#sink.write(record.line);
    } catch {
      return;
    }
    this.#head = record;
    this.#sinceCheckpoint = 0;
    this.#counters.records++;
    this.#counters.checkpoints++;
    this.#options.copyCheckpoint?.(record.line);
  }

  /** `lost`: how many events were refused by it. */
  #failed(cause: unknown, lost: number): QuerycopError {
    const detail = describe(cause);
    this.#counters.failures++;
    this.#gap ??= { reason: reasonOf(cause), sinceMs: this.#clock.wallMs(), lost: 0 };
    this.#gap.lost += lost;
    this.#setState(this.#sink.isLow() ? "low" : "failed", detail);
    return new QuerycopError("QC_AUDIT_FAILED", `Cannot record to the audit log: ${detail}`, {
      clientMessage: "querycop: the audit log cannot be written, so nothing may run that must be recorded",
      cause,
    });
  }

  #setState(state: AuditState, detail: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onStateChange?.(state, detail);
  }

  /** Group commit: whoever comes while a sync runs shares the next one. */
  #untilSynced(): Promise<void> {
    const synced = new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
    if (!this.#syncing) void this.#syncAll();
    return synced;
  }

  async #syncAll(): Promise<void> {
    this.#syncing = true;
    while (this.#waiters.length > 0) {
      const group = this.#waiters;
      this.#waiters = [];
      try {
        await this.#sink.sync();
        for (const waiter of group) waiter.resolve();
      } catch (cause) {
        const error = this.#failed(cause, 1);
        for (const waiter of group) waiter.reject(error);
      }
    }
    this.#syncing = false;
  }
}

function reasonOf(cause: unknown): string {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : "no-space";
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
