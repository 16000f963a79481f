/** What the limit on open files leaves for sessions. */
import { readdirSync, readFileSync, statSync } from "node:fs";

/** The limit now in force; undefined where the system does not say. */
export function openFilesLimit(): number | undefined {
  try {
    const line = readFileSync("/proc/self/limits", "latin1")
      .split("\n")
      .find((text) => text.startsWith("Max open files"));
    const soft = Number(line?.split(" ").filter((word) => word !== "")[3]);
    return Number.isFinite(soft) ? soft : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The limit on open files less what comes and goes besides sessions: attempts to connect, connections being left or turned
 * away, side logins, the admin API, token commands, files. Past the limit Bun would spin on accept without serving anybody.
 */
const DESCRIPTORS_FOR_SESSIONS = descriptorsForSessions(openFilesLimit());

function descriptorsForSessions(limit: number | undefined): number {
  return limit === undefined ? Number.MAX_SAFE_INTEGER : limit - 64 - Math.floor(limit / 16);
}

/** How many sessions the limit on open files allows: each takes two descriptors. */
export function connectionsAllowedByDescriptors(): number {
  return Math.max(1, Math.floor(DESCRIPTORS_FOR_SESSIONS / 2));
}

/** Of so many descriptors half is kept for what is no client, and nobody is even told why it is refused. */
function reserveOf(limit: number): number {
  return Math.min(32 + limit / 32, limit / 4);
}

const SIDE_CONNECTIONS_MAX = 16;

/**
 * How many connections to a backend there may be at once that no client has come for, such as those that stop a statement
 * whose client has gone: half of what is kept for what is no client.
 */
export function sideConnectionsMax(limit = openFilesLimit()): number {
  const half = Math.floor(reserveOf(limit ?? Number.MAX_SAFE_INTEGER) / 4);
  return Math.min(SIDE_CONNECTIONS_MAX, Math.max(1, half));
}

/** How often the system may be asked: where it does not keep the number, it has to be counted. */
const COUNT_INTERVAL_MS = 20;

/**
 * How many files are open, by whomever, as clients come: half of what sessions leave is kept for what is no client. Counts
 * only when as many clients have come since the last time as could make a difference.
 */
export class OpenFiles {
  readonly limit: number;
  readonly #count: () => number;
  readonly #nowMs: () => number;
  #counted = Number.MAX_SAFE_INTEGER;
  #countedMs = Number.NEGATIVE_INFINITY;
  #since = 0;

  constructor(limit = openFilesLimit(), count = openFiles, nowMs = (): number => performance.now()) {
    this.limit = limit ?? Number.MAX_SAFE_INTEGER;
    this.#count = count;
    this.#nowMs = nowMs;
  }

  /** At most so many are open. */
  get open(): number {
    return this.#counted + this.#since;
  }

  /**
   * For each client that comes, with the descriptors it will have. "none": it is to be ended at once; "few": there are just
   * enough to tell it why it is refused.
   */
  admit(descriptors: number): "enough" | "few" | "none" {
    if (this.limit === Number.MAX_SAFE_INTEGER) return "enough";
    const reserve = reserveOf(this.limit);
    if (this.open + descriptors >= this.limit - reserve) this.#countAgain();
    if (this.open >= this.limit - reserve / 2) return "none";
    this.#since += descriptors;
    return this.open >= this.limit - reserve ? "few" : "enough";
  }

  #countAgain(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#countedMs < COUNT_INTERVAL_MS) return;
    this.#countedMs = nowMs;
    this.#counted = this.#count();
    this.#since = 0;
  }
}

/** Linux tells since 6.2; before, the entries are counted. What cannot be told is all of them. */
function openFiles(): number {
  try {
    const { size } = statSync("/proc/self/fd");
    return size > 0 ? size : readdirSync("/proc/self/fd").length;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}
