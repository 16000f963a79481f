/** How the sessions of a process come to their end: silent ones by and by, all of them when it stops. */
import type { LiveSession } from "../session/live-session.ts";
import type { SessionRegistry } from "./session-registry.ts";

/** How often sessions at rest are looked for, and how long one must have been silent in the first half of a drain. */
const SWEEP_MS = 100;
const QUIET_MS = 100;

/** Sessions looked at in one step: ten thousand silent ones are to cost next to nothing. */
const SESSIONS_PER_STEP = 2000;

/** Ends sessions that have been silent, or have left a packet unfinished, for longer than their listener allows. */
export class IdleSweep {
  readonly #registry: SessionRegistry;
  #round: Iterator<LiveSession> | undefined;

  constructor(registry: SessionRegistry) {
    this.#registry = registry;
  }

  /** Looks at the next ones, from the first again behind the last. Sessions may come and go in between. */
  step(nowMs = performance.now()): void {
    this.#round ??= this.#registry[Symbol.iterator]();
    for (let looked = 0; looked < SESSIONS_PER_STEP; looked++) {
      const { value: session, done } = this.#round.next();
      if (done === true) {
        this.#round = undefined;
        return;
      }
      session.endLatePacket(nowMs);
      const { idleLimitMs, isIdle, lastActivityMs } = session;
      if (isIdle && idleLimitMs > 0 && nowMs - lastActivityMs > idleLimitMs) session.close("timeout");
    }
  }
}

/**
 * Resolves when no session is left. Sessions at rest end, busy ones may finish until the deadline. One that has just been
 * served is left a moment, for its next command may be on the way and would be lost.
 */
export async function drainSessions(registry: SessionRegistry, timeoutMs: number): Promise<void> {
  const beganMs = performance.now();
  const endAtRest = (): void => {
    const nowMs = performance.now();
    const quietMs = nowMs - beganMs < timeoutMs / 2 ? QUIET_MS : 0;
    for (const session of registry) {
      if (session.isAtRest && nowMs - session.lastActivityMs >= quietMs) session.close("shutdown");
    }
  };
  endAtRest();
  const sweep = setInterval(endAtRest, SWEEP_MS);
  const deadline = setTimeout(() => endAllSessions(registry), timeoutMs);
  await registry.whenEmpty();
  clearInterval(sweep);
  clearTimeout(deadline);
}

export function endAllSessions(registry: SessionRegistry): void {
  for (const session of registry) session.close("shutdown");
}
