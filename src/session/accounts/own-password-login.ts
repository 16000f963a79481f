/** Logs in with passwords that querycop holds, until the server takes one or there is none left to try. */
import { setTimeout as pause } from "node:timers/promises";
import { SYSTEM_CLOCK } from "../../base/clock.ts";
import type { HeldPassword, PasswordSource } from "../../token/password.ts";

const FIRST_PAUSE_MS = 500;
/** A source that has a new password each time it is asked shall not keep the server busy. */
const ATTEMPTS_MAX = 8;

export interface RetryLimits {
  /** From the first refusal on: so long a new password is waited for. */
  readonly withinMs: number;
  readonly signal: AbortSignal;
  /** Whether this is the server's no to the password: only then may another help. */
  readonly isRefusal: (thrown: unknown) => boolean;
}

/**
 * While a password is being replaced, the server and the place where it is kept do not change in the same moment: a login
 * in between is refused with either. SAFETY: no password is tried twice, for servers lock accounts by counting refusals.
 */
export async function withHeldPassword<T>(
  source: PasswordSource,
  { withinMs, signal, isRefusal }: RetryLimits,
  attempt: (password: HeldPassword) => Promise<T>,
): Promise<T> {
  const refused = new Set<string>();
  let password: HeldPassword | undefined = await source.current(signal);
  let refusedMs: number | undefined;
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    try {
      const result = await attempt(password);
      source.accepted(password);
      password.wipe();
      return result;
    } catch (thrown) {
      password.wipe();
      if (!isRefusal(thrown)) throw thrown;
      refused.add(password.version);
      refusedMs ??= SYSTEM_CLOCK.monotonicMs();
      if (refused.size >= ATTEMPTS_MAX) throw thrown;
      password = await source.otherThan(refused, signal);
      while (password === undefined) {
        const leftMs = refusedMs + withinMs - SYSTEM_CLOCK.monotonicMs();
        if (leftMs <= 0) throw thrown;
        await pause(Math.min(pauseMs, leftMs), undefined, { signal });
        pauseMs *= 2;
        password = await source.otherThan(refused, signal);
      }
    }
  }
}
