/**
 * Which session a CancelRequest means. The keys are ours, never the backend's: whoever has seen those of another pooler
 * or of the server reaches nobody here.
 */
import { randomBytes, randomInt, timingSafeEqual } from "node:crypto";
import { Pace } from "../../base/pace.ts";
import type { BackendKeyData } from "../../postgres/backend-message.ts";

/** What the key of protocol 3.2 has, as a server's own. */
const KEY_BYTES = 32;
/** All that protocol 3.0 has room for. */
const SHORT_KEY_BYTES = 4;
const PROCESS_ID_MAX = 2 ** 31 - 1;
/** Cancels come without a login: so many a second are carried out, and at one time. */
const CANCELS_PER_SECOND = 50;
const CANCELS_AT_ONCE = 50;
const UNDER_WAY_MAX = 32;

interface Keyed {
  readonly secretKey: Uint8Array;
  readonly cancel: () => Promise<void>;
}

/** Of all listeners: a client may send its cancel to another address of this process. */
export class CancelKeys {
  readonly #keyed = new Map<number, Keyed>();
  readonly #pace = new Pace({ perSecond: CANCELS_PER_SECOND, burst: CANCELS_AT_ONCE, waitMsMax: 0 });
  #underWay = 0;

  get size(): number {
    return this.#keyed.size;
  }

  /** A key for a session, to be given up with it. */
  issue(minor: number, cancel: () => Promise<void>): BackendKeyData {
    let processId = randomInt(1, PROCESS_ID_MAX);
    while (this.#keyed.has(processId)) processId = randomInt(1, PROCESS_ID_MAX);
    const secretKey = randomBytes(minor >= 2 ? KEY_BYTES : SHORT_KEY_BYTES);
    this.#keyed.set(processId, { secretKey, cancel });
    return { processId, secretKey };
  }

  giveUp(processId: number): void {
    this.#keyed.delete(processId);
  }

  /** Carries the cancel out, or nothing at all where the key is nobody's: nobody is told which. Never rejects. */
  async cancel({ processId, secretKey }: BackendKeyData, nowMs = performance.now()): Promise<boolean> {
    const keyed = this.#keyed.get(processId);
    if (keyed === undefined || keyed.secretKey.length !== secretKey.length) return false;
    if (!timingSafeEqual(keyed.secretKey, secretKey)) return false;
    if (this.#underWay >= UNDER_WAY_MAX || this.#pace.reserve(nowMs) === undefined) return false;
    this.#underWay++;
    try {
      await keyed.cancel();
      return true;
    } catch {
      return false;
    } finally {
      this.#underWay--;
    }
  }
}
