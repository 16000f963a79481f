/**
 * How much one response, and one connection in a rolling minute, may carry to a client.
 *
 *   under 80 % ──► warned once ──► cut off: the response gets an ERR_Packet behind its last whole packet
 *                             └──► window used up: further statements are refused until it has moved on
 */
import type { Clock } from "../base/clock.ts";
import { QuerycopError } from "../base/errors.ts";
import { PACKET_HEADER_BYTES, PACKET_PAYLOAD_MAX } from "../mysql/constants.ts";
import type { ResponseTracker } from "../mysql/response.ts";

export interface DataGuardLimits {
  /** Bytes of one response, packet headers included; 0 for no limit. */
  readonly responseBytesMax: number;
  /** Bytes one connection may get in 60 seconds; 0 for no limit. */
  readonly windowBytesMax: number;
  /** Milliseconds and bytes the rest of a response that was cut off may take before the connection is given up. */
  readonly discardTimeoutMs: number;
  readonly discardBytesMax: number;
}

/** What happened on one listener since it was started. */
export interface DataGuardCounts {
  warnings: number;
  responsesCutOff: number;
  statementsRefused: number;
  connectionsEnded: number;
  killFailures: number;
}

export function newDataGuardCounts(): DataGuardCounts {
  return { warnings: 0, responsesCutOff: 0, statementsRefused: 0, connectionsEnded: 0, killFailures: 0 };
}

/** The configuration key of a limit, which is also how audit records name it. */
export type DataLimit = "max_response_mb" | "max_window_mb";

/** What the client had got of a response when it was cut off. */
export interface CutOff {
  readonly limit: DataLimit;
  readonly rows: number;
  readonly resultSets: number;
  readonly bytes: number;
}

/** What may be done with a chunk of a response. */
export interface Admission {
  /** Bytes of the chunk that the tracker has been fed; the rest is to be discarded. */
  readonly fedBytes: number;
  /** Bytes of the chunk that may go to the client. */
  readonly forwardBytes: number;
  /** True when what lies behind must wait: the rest of a packet header may show that its packet does not fit. */
  readonly isHeldBack: boolean;
  readonly cut: DataLimit | undefined;
  /** False when the client has already got a part of a packet that does not fit: then no error can be put in. */
  readonly hasBoundary: boolean;
}

const WARN_SHARE = 0.8;
const BUCKET_MS = 1_000;
const WINDOW_BUCKETS = 60;
/** With less than this left no statement is begun: its OK_Packet might not fit, and it would have run in secret. */
const WINDOW_RESERVE_BYTES = 16 * 1024;
/** Farther away from the limit than the largest fragment and its header nothing needs to be held back. */
const HOLD_BACK_BYTES = PACKET_PAYLOAD_MAX + 2 * PACKET_HEADER_BYTES;

/** Bytes of the last 60 seconds, by the second: a byte counts for 60 to 61 seconds. */
class ByteWindow {
  readonly #buckets = new Float64Array(WINDOW_BUCKETS + 1);
  #second = -1;
  #bytes = 0;

  bytesAt(nowMs: number): number {
    const second = Math.floor(nowMs / BUCKET_MS);
    if (second === this.#second) return this.#bytes;
    const size = this.#buckets.length;
    const from = Math.max(this.#second + 1, second - size + 1);
    for (let passed = from; passed <= second; passed++) {
      this.#bytes -= this.#buckets[passed % size] as number;
      this.#buckets[passed % size] = 0;
    }
    this.#second = second;
    return this.#bytes;
  }

  add(bytes: number, nowMs: number): void {
    this.bytesAt(nowMs);
    const at = this.#second % this.#buckets.length;
    this.#buckets[at] = (this.#buckets[at] as number) + bytes;
    this.#bytes += bytes;
  }

  /** Whole seconds until at most `bytes` are in the window. */
  secondsUntil(bytes: number, nowMs: number): number {
    let left = this.bytesAt(nowMs);
    const size = this.#buckets.length;
    for (let ahead = 1; ahead <= size; ahead++) {
      left -= this.#buckets[(this.#second + ahead) % size] as number;
      if (left <= bytes) return ahead;
    }
    return size;
  }
}

export class DataGuard {
  readonly limits: DataGuardLimits;
  readonly #clock: Clock;
  readonly #warn: (limit: DataLimit, bytes: number) => void;
  readonly #window = new ByteWindow();
  #isResponseWarned = false;
  #isWindowWarned = false;
  #responseBytes = 0;
  /** Set when the response under way, or the one just over, was cut off. */
  cutOff: CutOff | undefined;

  constructor(limits: DataGuardLimits, clock: Clock, warn: (limit: DataLimit, bytes: number) => void) {
    this.limits = limits;
    this.#clock = clock;
    this.#warn = warn;
  }

  beginResponse(): void {
    this.cutOff = undefined;
    this.#isResponseWarned = false;
    this.#responseBytes = 0;
  }

  /** The error a statement is refused with while the window is used up. */
  refusal(): QuerycopError | undefined {
    const { windowBytesMax } = this.limits;
    if (windowBytesMax === 0) return undefined;
    const used = this.#window.bytesAt(this.#clock.monotonicMs());
    return windowBytesMax - used < WINDOW_RESERVE_BYTES ? this.errorFor("max_window_mb") : undefined;
  }

  errorFor(limit: DataLimit): QuerycopError {
    const { responseBytesMax, windowBytesMax } = this.limits;
    if (limit === "max_response_mb") {
      const text =
        `response exceeds ${megabytes(responseBytesMax)} (GATEKEEPER_MAX_RESPONSE_MB): ` +
        "select less or in parts with LIMIT, or have the limit raised";
      return new QuerycopError("QC_DATA_GUARD", `querycop: data guard: ${text}`);
    }
    const seconds = this.#window.secondsUntil(windowBytesMax - WINDOW_RESERVE_BYTES, this.#clock.monotonicMs());
    const text =
      `connection exceeds ${megabytes(windowBytesMax)} in 60 s (GATEKEEPER_MAX_WINDOW_MB): ` +
      `try again in ${seconds} s, select less, or have the limit raised`;
    return new QuerycopError("QC_DATA_GUARD", `querycop: data guard: ${text}`);
  }

  /** Feeds the tracker as much of the chunk as the limits leave room for, and says what of it the client may have. */
  admit(tracker: ResponseTracker, chunk: Uint8Array): Admission {
    const { left, limit } = this.#room(tracker.bytes);
    const head = chunk.length > left ? chunk.subarray(0, left) : chunk;
    const fedBytes = tracker.feed(head);
    if (tracker.end !== undefined) return whole(fedBytes);
    const isCut = head.length < chunk.length || tracker.packetBytesLeft > left - head.length;
    const isHeldBack = !isCut && tracker.isInHeader && left - head.length < HOLD_BACK_BYTES;
    if (!isCut && !isHeldBack) return whole(fedBytes);
    const boundary = tracker.packetBoundary;
    const cut = isCut ? limit : undefined;
    return { fedBytes, forwardBytes: boundary ?? 0, isHeldBack, cut, hasBoundary: boundary !== undefined };
  }

  /** Counts what goes to the client, and warns on the way to a limit. */
  forwarded(bytes: number): void {
    const { responseBytesMax, windowBytesMax } = this.limits;
    this.#responseBytes += bytes;
    if (!this.#isResponseWarned && responseBytesMax > 0 && this.#responseBytes >= responseBytesMax * WARN_SHARE) {
      this.#isResponseWarned = true;
      this.#warn("max_response_mb", this.#responseBytes);
    }
    if (windowBytesMax === 0) return;
    const nowMs = this.#clock.monotonicMs();
    this.#window.add(bytes, nowMs);
    const used = this.#window.bytesAt(nowMs);
    const isNear = used >= windowBytesMax * WARN_SHARE;
    if (isNear && !this.#isWindowWarned) this.#warn("max_window_mb", used);
    this.#isWindowWarned = isNear;
  }

  /** Notes that the response ends here. What was refused of the window counts as used, so that it stays shut a while. */
  cut(limit: DataLimit, tracker: ResponseTracker): void {
    this.cutOff = { limit, rows: tracker.rows, resultSets: tracker.resultSets, bytes: this.#responseBytes };
    if (limit !== "max_window_mb") return;
    const nowMs = this.#clock.monotonicMs();
    this.#window.add(Math.max(0, this.limits.windowBytesMax - this.#window.bytesAt(nowMs)), nowMs);
  }

  #room(responseBytes: number): { readonly left: number; readonly limit: DataLimit } {
    const { responseBytesMax, windowBytesMax } = this.limits;
    const ofResponse = responseBytesMax === 0 ? Number.POSITIVE_INFINITY : responseBytesMax - responseBytes;
    const held = responseBytes - this.#responseBytes;
    const ofWindow =
      windowBytesMax === 0
        ? Number.POSITIVE_INFINITY
        : windowBytesMax - this.#window.bytesAt(this.#clock.monotonicMs()) - held;
    const limit = ofResponse <= ofWindow ? "max_response_mb" : "max_window_mb";
    return { left: Math.max(0, Math.min(ofResponse, ofWindow)), limit };
  }
}

function whole(bytes: number): Admission {
  return { fedBytes: bytes, forwardBytes: bytes, isHeldBack: false, cut: undefined, hasBoundary: true };
}

function megabytes(bytes: number): string {
  return `${bytes / 1_000_000} MB`;
}
