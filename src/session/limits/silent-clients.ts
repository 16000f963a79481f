/**
 * Addresses whose clients connect and then say nothing. The next ones from there cost the backend no connection until they
 * have spoken.
 */

import { crowdOf } from "../../base/address.ts";

/** A client that is at work on its login answers its greeting sooner. */
const SILENT_MS = 400;
/** So many silent ones make an address suspect, for so long behind the last of them. */
const SILENT_MAX = 8;
const SUSPECT_MS = 10_000;
/** Addresses remembered; more have each of them done little. */
const ADDRESSES_MAX = 1024;

interface Silence {
  clients: number;
  lastMs: number;
}

export class SilentClients {
  readonly #silences = new Map<string, Silence>();

  isSuspect(address: string, nowMs = performance.now()): boolean {
    return this.#isSuspect(crowdOf(address), nowMs);
  }

  #isSuspect(crowd: string, nowMs: number): boolean {
    const silence = this.#silences.get(crowd);
    if (silence === undefined) return false;
    if (nowMs - silence.lastMs < SUSPECT_MS) return silence.clients >= SILENT_MAX;
    this.#silences.delete(crowd);
    return false;
  }

  /** Waits for the answer to a greeting. One that comes late is an answer all the same. */
  async watch<T>(address: string, answer: Promise<T>): Promise<T> {
    let silence: Silence | undefined;
    const timer = setTimeout(() => {
      silence = this.#count(crowdOf(address));
    }, SILENT_MS);
    try {
      const answered = await answer;
      if (silence !== undefined) silence.clients--;
      return answered;
    } finally {
      clearTimeout(timer);
    }
  }

  #count(crowd: string): Silence {
    const nowMs = performance.now();
    // Forgets what is long ago.
    this.#isSuspect(crowd, nowMs);
    const silence = this.#silences.get(crowd) ?? { clients: 0, lastMs: 0 };
    silence.clients++;
    silence.lastMs = nowMs;
    if (this.#silences.size >= ADDRESSES_MAX) this.#silences.clear();
    this.#silences.set(crowd, silence);
    return silence;
  }
}
