/** Waiting for what another process will do: a condition with a deadline, never a fixed pause. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 20;

/** Resolves with the first truthy value of `look`; fails with `what` when there is none before the deadline. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`Waited ${timeoutMs} ms, but not so: ${what}.`);
    await delay(POLL_MS);
  }
}
