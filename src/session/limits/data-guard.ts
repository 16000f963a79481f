/**
 * How much one response, one connection and one user in a rolling minute may get.
 *
 *   under 80 % ──► told once ──► cut off: the response gets an ERR_Packet behind its last whole packet
 *                           ├──► terminate: the same, and the connection ends
 *                           ├──► warn: told once more, and goes on
 *                           └──► window used up: further statements are refused until it has moved on
 */
import type { Clock } from "../../base/clock.ts";
import { QuerycopError } from "../../base/errors.ts";
import { type DataLimit, type DataLimits, LIMIT_KEYS, type LimitKey, MEGABYTE } from "../../policy/limits.ts";
import { RollingWindow } from "./rolling-window.ts";
import type { UserWindow, UserWindows } from "./user-windows.ts";

export interface DataGuardLimits extends DataLimits {
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

/** What the client had got of a response when it was cut off. */
export interface CutOff {
  readonly limit: DataLimit;
  readonly rows: number;
  readonly resultSets: number;
  readonly bytes: number;
}

/** A limit that is near (`warned`), or passed where it is only told (`exceeded`). */
export interface GuardNotice {
  readonly action: "warned" | "exceeded";
  readonly limit: DataLimit;
  /** In the limit's own unit. */
  readonly used: number;
}

/** Follows one response of a wire and counts it. */
export interface ResponseMeter {
  readonly rows: number;
  readonly resultSets: number;
  readonly bytes: number;
  /** No row behind this many is read: feed() stops in front of it and says so in `isRowTooMany`. */
  rowsMax: number;
  readonly isRowTooMany: boolean;
  /** Set once the response is over, or waits for the client. */
  readonly end: unknown;
  /** Bytes that are still to come of the packet that has begun. */
  readonly packetBytesLeft: number;
  /** Whether what was fed last ends inside the header of a packet. */
  readonly isInHeader: boolean;
  /**
   * Offset in the chunk fed last behind which a whole packet ended, so that another packet may be put there. Undefined when
   * no packet ends in that chunk and its first byte belongs to an earlier one.
   */
  readonly packetBoundary: number | undefined;
  /** Returns how many bytes belong to the response. */
  feed(chunk: Uint8Array): number;
}

/** What may be done with a chunk of a response. */
export interface Admission {
  /** Bytes of the chunk that the meter has been fed; the rest is to be discarded. */
  readonly fedBytes: number;
  /** Bytes of the chunk that may go to the client. */
  readonly forwardBytes: number;
  /** True when what lies behind must wait: the rest of a packet header may show that its packet does not fit. */
  readonly isHeldBack: boolean;
  readonly cut: DataLimit | undefined;
  /** False when the client has already got a part of a packet that does not fit: then no error can be put in. */
  readonly hasBoundary: boolean;
}

export interface DataGuardOptions {
  readonly limits: DataGuardLimits;
  readonly users: UserWindows;
  readonly user: () => string;
  readonly clock: Clock;
  readonly notify: (notice: GuardNotice) => void;
  /** Farther away from the limit than the wire's largest packet and the header behind it nothing needs to be held back. */
  readonly holdBackBytes: number;
}

const WARN_SHARE = 0.8;
/** With less than this left no statement is begun: its OK_Packet might not fit, and it would have run in secret. */
const WINDOW_RESERVE_BYTES = 16 * 1024;
const NO_LIMIT = Number.POSITIVE_INFINITY;

export class DataGuard {
  /** The limits in force: the listener's, and over them those of the profile that judged the last statement. */
  limits: DataGuardLimits;
  readonly #options: DataGuardOptions;
  readonly #window = new RollingWindow();
  /** How far each limit has been told: 0.8 or 1 of it. */
  readonly #told = new Map<DataLimit, number>();
  #override: Partial<DataLimits> | undefined;
  #responseBytes = 0;
  #responseRows = 0;
  #isHolding = false;
  /** When the chunk at hand was looked at. */
  #chunkMs = 0;
  /** Set when the response under way, or the one just over, was cut off. */
  cutOff: CutOff | undefined;

  constructor(options: DataGuardOptions) {
    this.#options = options;
    this.limits = options.limits;
  }

  /** Puts a profile's limits over the listener's. */
  apply(override: Partial<DataLimits> | undefined): void {
    if (override === this.#override) return;
    this.#override = override;
    this.limits = { ...this.#options.limits, ...override };
  }

  beginResponse(): void {
    this.cutOff = undefined;
    this.#responseBytes = 0;
    this.#responseRows = 0;
    this.#isHolding = false;
    this.#told.delete("max_response_mb");
    this.#told.delete("max_response_rows");
  }

  /** The error a statement is refused with while a window is used up. */
  refusal(): QuerycopError | undefined {
    const limit = this.usedUp();
    return limit === undefined ? undefined : this.errorFor(limit);
  }

  /** The window that leaves no room for another statement. */
  usedUp(): DataLimit | undefined {
    const { windowBytesMax, userWindowBytesMax, userWindowRowsMax, limitAction } = this.limits;
    if (limitAction === "warn") return undefined;
    const nowMs = this.#nowMs();
    if (windowBytesMax > 0 && windowBytesMax - this.#window.amountAt(nowMs) < WINDOW_RESERVE_BYTES) {
      return "max_window_mb";
    }
    if (userWindowBytesMax === 0 && userWindowRowsMax === 0) return undefined;
    const { bytes, rows } = this.#userWindow(nowMs);
    if (userWindowBytesMax > 0 && userWindowBytesMax - bytes.amountAt(nowMs) < WINDOW_RESERVE_BYTES) {
      return "max_user_window_mb";
    }
    return userWindowRowsMax > 0 && rows.amountAt(nowMs) >= userWindowRowsMax ? "max_user_window_rows" : undefined;
  }

  errorFor(limit: DataLimit): QuerycopError {
    const { name, unit } = LIMIT_KEYS.find((key) => key.limit === limit) as LimitKey;
    const max = this.limits[name];
    const amount = unit === MEGABYTE ? `${max / MEGABYTE} MB` : `${max} rows`;
    const setting =
      this.#override?.[name] === undefined ? `GATEKEEPER_${limit.toUpperCase()}` : `${limit} of the policy`;
    const text = limit.startsWith("max_response")
      ? `response exceeds ${amount} (${setting}): select less or in parts with LIMIT, or have the limit raised`
      : `${limit === "max_window_mb" ? "connection" : "user"} exceeds ${amount} in 60 s (${setting}): ` +
        `try again in ${this.#secondsLeft(limit, max)} s, select less, or have the limit raised`;
    const end = this.limits.limitAction === "terminate" && this.cutOff !== undefined ? " (reconnect to continue)" : "";
    return new QuerycopError("QC_DATA_GUARD", `querycop: data guard: ${text}${end}`);
  }

  /** Feeds the meter as much of the chunk as the limits leave room for, and says what of it the client may have. */
  admit(meter: ResponseMeter, chunk: Uint8Array): Admission {
    this.#chunkMs = this.#nowMs();
    if (this.limits.limitAction === "warn") return whole(meter.feed(chunk));
    const { left, limit, rowsMax, rowLimit } = this.#room(meter);
    meter.rowsMax = rowsMax;
    const head = chunk.length > left ? chunk.subarray(0, left) : chunk;
    const fedBytes = meter.feed(head);
    if (meter.end !== undefined) return whole(fedBytes);
    const isRowTooMany = meter.isRowTooMany;
    const isCut = isRowTooMany || head.length < chunk.length || meter.packetBytesLeft > left - head.length;
    const isNear = left - head.length < this.#options.holdBackBytes || meter.rows >= rowsMax;
    const boundary = meter.packetBoundary;
    // What is held must begin where a packet begins, for that is where an error can be put.
    this.#isHolding = !isCut && meter.isInHeader && isNear && (boundary !== undefined || this.#isHolding);
    if (!isCut && !this.#isHolding) return whole(fedBytes);
    const cut = isRowTooMany ? rowLimit : isCut ? limit : undefined;
    const hasBoundary = boundary !== undefined;
    return { fedBytes, forwardBytes: boundary ?? 0, isHeldBack: this.#isHolding, cut, hasBoundary };
  }

  /**
   * The limit that so much more of the response would pass: for a wire whose messages can be left out. To be asked before
   * `forwarded()`.
   */
  limitPassedBy(bytes: number, rows: number): DataLimit | undefined {
    const { limits } = this;
    const nowMs = this.#nowMs();
    this.#chunkMs = nowMs;
    if (limits.limitAction === "warn") return undefined;
    const isOver = (max: number, used: number): boolean => max > 0 && used > max;
    if (isOver(limits.responseBytesMax, this.#responseBytes + bytes)) return "max_response_mb";
    if (isOver(limits.responseRowsMax, this.#responseRows + rows)) return "max_response_rows";
    if (isOver(limits.windowBytesMax, this.#window.amountAt(nowMs) + bytes)) return "max_window_mb";
    if (limits.userWindowBytesMax === 0 && limits.userWindowRowsMax === 0) return undefined;
    const user = this.#userWindow(nowMs);
    if (isOver(limits.userWindowBytesMax, user.bytes.amountAt(nowMs) + bytes)) return "max_user_window_mb";
    return isOver(limits.userWindowRowsMax, user.rows.amountAt(nowMs) + rows) ? "max_user_window_rows" : undefined;
  }

  /**
   * Counts what of the chunk admitted last goes to the client, and tells of limits on the way. `rows` are those of the
   * response so far.
   */
  forwarded(bytes: number, rows: number): void {
    const { limits } = this;
    const nowMs = this.#chunkMs;
    const newRows = rows - this.#responseRows;
    this.#responseBytes += bytes;
    this.#responseRows = rows;
    this.#tell("max_response_mb", this.#responseBytes, limits.responseBytesMax);
    this.#tell("max_response_rows", rows, limits.responseRowsMax);
    if (limits.windowBytesMax > 0) {
      this.#window.add(bytes, nowMs);
      this.#tell("max_window_mb", this.#window.amountAt(nowMs), limits.windowBytesMax);
    }
    if (limits.userWindowBytesMax === 0 && limits.userWindowRowsMax === 0) return;
    const user = this.#userWindow(nowMs);
    user.bytes.add(bytes, nowMs);
    user.rows.add(newRows, nowMs);
    this.#tell("max_user_window_mb", user.bytes.amountAt(nowMs), limits.userWindowBytesMax);
    this.#tell("max_user_window_rows", user.rows.amountAt(nowMs), limits.userWindowRowsMax);
  }

  /** Notes that the response ends here. What was refused of a window counts as used, so that it stays shut a while. */
  cut(limit: DataLimit, meter: Pick<ResponseMeter, "rows" | "resultSets">): void {
    this.cutOff = { limit, rows: meter.rows, resultSets: meter.resultSets, bytes: this.#responseBytes };
    const window = this.#windowOf(limit);
    if (window === undefined) return;
    const nowMs = this.#nowMs();
    const { name } = LIMIT_KEYS.find((key) => key.limit === limit) as LimitKey;
    window.add(Math.max(0, this.limits[name] - window.amountAt(nowMs)), nowMs);
  }

  #tell(limit: DataLimit, used: number, max: number): void {
    if (max === 0) return;
    const told = this.#told.get(limit) ?? 0;
    const isPassed = this.limits.limitAction === "warn" && used > max;
    const share = isPassed ? 1 : used >= max * WARN_SHARE ? WARN_SHARE : 0;
    if (share === told) return;
    // A window that has moved on is told again when it fills up again.
    this.#told.set(limit, share);
    if (share > told) this.#options.notify({ action: isPassed ? "exceeded" : "warned", limit, used });
  }

  #room(meter: ResponseMeter): {
    readonly left: number;
    readonly limit: DataLimit;
    readonly rowsMax: number;
    readonly rowLimit: DataLimit;
  } {
    const { limits } = this;
    const nowMs = this.#chunkMs;
    let left = limits.responseBytesMax === 0 ? NO_LIMIT : limits.responseBytesMax - meter.bytes;
    let limit: DataLimit = "max_response_mb";
    const held = meter.bytes - this.#responseBytes;
    if (limits.windowBytesMax > 0) {
      const ofWindow = limits.windowBytesMax - this.#window.amountAt(nowMs) - held;
      if (ofWindow < left) [left, limit] = [ofWindow, "max_window_mb"];
    }
    let rowsMax = limits.responseRowsMax === 0 ? NO_LIMIT : limits.responseRowsMax;
    let rowLimit: DataLimit = "max_response_rows";
    if (limits.userWindowBytesMax > 0 || limits.userWindowRowsMax > 0) {
      const user = this.#userWindow(nowMs);
      // Another connection may have used it up meanwhile: a packet that has begun to go out may still end.
      const ofUser = Math.max(limits.userWindowBytesMax - user.bytes.amountAt(nowMs) - held, meter.packetBytesLeft);
      if (limits.userWindowBytesMax > 0 && ofUser < left) [left, limit] = [ofUser, "max_user_window_mb"];
      const rowsOfUser = this.#responseRows + limits.userWindowRowsMax - user.rows.amountAt(nowMs);
      if (limits.userWindowRowsMax > 0 && rowsOfUser < rowsMax) {
        [rowsMax, rowLimit] = [rowsOfUser, "max_user_window_rows"];
      }
    }
    return { left: Math.max(0, left), limit, rowsMax, rowLimit };
  }

  #secondsLeft(limit: DataLimit, max: number): number {
    const reserve = limit.endsWith("rows") ? 1 : WINDOW_RESERVE_BYTES;
    return this.#windowOf(limit)?.secondsUntil(max - reserve, this.#nowMs()) ?? 0;
  }

  #windowOf(limit: DataLimit): RollingWindow | undefined {
    switch (limit) {
      case "max_window_mb":
        return this.#window;
      case "max_user_window_mb":
        return this.#userWindow(this.#nowMs()).bytes;
      case "max_user_window_rows":
        return this.#userWindow(this.#nowMs()).rows;
      default:
        return undefined;
    }
  }

  #userWindow(nowMs: number): UserWindow {
    return this.#options.users.windowOf(this.#options.user(), nowMs);
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}

function whole(bytes: number): Admission {
  return { fedBytes: bytes, forwardBytes: bytes, isHeldBack: false, cut: undefined, hasBoundary: true };
}
