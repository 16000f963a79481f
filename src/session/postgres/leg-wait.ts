/** Waits for one leg: for its next bytes while a login is under way, within what is left of that side's time, and for room. */
import { type ErrorCode, QuerycopError } from "../../base/errors.ts";
import type { Leg, LegSide } from "../../net/leg.ts";
import type { TimeBudget } from "../time-budget.ts";

const CODES: Record<LegSide, { readonly closed: ErrorCode; readonly timeout: ErrorCode }> = {
  client: { closed: "QC_CLIENT_CLOSED", timeout: "QC_CLIENT_TIMEOUT" },
  backend: { closed: "QC_BACKEND_CLOSED", timeout: "QC_BACKEND_TIMEOUT" },
};

/**
 * The next chunk. Throws the side's "closed" error when it ends first or `signal` aborts, its "timeout" error when its time
 * is over; the leg stays as it is.
 */
export function nextChunk(leg: Leg, budget: TimeBudget, awaiting: string, signal?: AbortSignal): Promise<Uint8Array> {
  return budget.spend((timeoutMs) => chunkWithin(leg, timeoutMs, awaiting, signal));
}

async function chunkWithin(
  leg: Leg,
  timeoutMs: number,
  awaiting: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { closed, timeout } = CODES[leg.side];
  let isLate = false;
  const wake = (): void => leg.goOn();
  const timer = setTimeout(() => {
    isLate = true;
    wake();
  }, timeoutMs);
  signal?.addEventListener("abort", wake);
  try {
    for (;;) {
      const chunk = leg.takeChunk();
      if (chunk !== undefined) return chunk;
      if (leg.isFinished) throw new QuerycopError(closed, `The ${leg.side} closed the connection while ${awaiting}`);
      if (signal?.aborted === true) {
        throw new QuerycopError(closed, `The ${leg.side} was given up while ${awaiting}`);
      }
      if (isLate) {
        const text = `The ${leg.side} sent nothing within ${Math.round(timeoutMs)} ms while ${awaiting}`;
        throw new QuerycopError(timeout, text);
      }
      await leg.nextEvent();
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", wake);
  }
}

/** A peer that takes nothing for so long is given up: its leg is then dead. */
export async function drainedWithin(leg: Leg, timeoutMs: number): Promise<void> {
  const timer = setTimeout(() => leg.destroy(), timeoutMs);
  await leg.drained();
  clearTimeout(timer);
}
