/** How the sessions of a process come to their end: silent ones by and by, all of them when it stops. */
import type { SessionRegistry } from "./session-registry.ts";

/** How often sessions at rest are looked for, and how long one must have been silent in the first half of a drain. */
const SWEEP_MS = 100;
const QUIET_MS = 100;

/** Ends those that have been silent for longer than their listener allows. */
export function endIdleSessions(registry: SessionRegistry): void {
  const nowMs = performance.now();
  for (const session of registry) {
    const { idleLimitMs, isIdle, lastActivityMs } = session;
    if (isIdle && idleLimitMs > 0 && nowMs - lastActivityMs > idleLimitMs) session.close("timeout");
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
