/** A minted token in the cache, and for how long it may be handed out. */
import type { Clock } from "../base/clock.ts";
import { type MintedToken, tokenExpiryMs } from "./token.ts";

export interface KeptToken {
  readonly mintId: number;
  readonly value: Uint8Array;
  readonly expiresAtMs: number | undefined;
  readonly mintedAtMs: number;
  readonly mintedWallMs: number;
  /** Monotonic moment after which it is not handed out again; undefined: good for one login. */
  readonly reusableUntilMs: number | undefined;
  /** Monotonic moment after which a successor is minted in the background. */
  readonly refreshAtMs: number;
  taken: boolean;
}

export interface KeepLimits {
  readonly maxAgeMs: number;
  readonly expiryMarginMs: number;
  readonly refreshAheadMs: number;
}

export function keepToken(minted: MintedToken, mintId: number, limits: KeepLimits, clock: Clock): KeptToken {
  const mintedAtMs = clock.monotonicMs();
  const mintedWallMs = clock.wallMs();
  const expiresAtMs = earlier(tokenExpiryMs(minted.value), minted.credentialsExpireAtMs);
  const lifeMs =
    expiresAtMs === undefined ? 0 : Math.min(limits.maxAgeMs, expiresAtMs - mintedWallMs - limits.expiryMarginMs);
  return {
    mintId,
    value: minted.value,
    expiresAtMs,
    mintedAtMs,
    mintedWallMs,
    reusableUntilMs: lifeMs > 0 ? mintedAtMs + lifeMs : undefined,
    // Spread, so that targets minted together are not all renewed in the same moment.
    refreshAtMs: mintedAtMs + lifeMs - limits.refreshAheadMs * (0.5 + Math.random() / 2),
    taken: false,
  };
}

/** By both clocks: setting the machine's time may shorten a token's use, and cannot stretch it. */
export function isReusable(kept: KeptToken, expiryMarginMs: number, clock: Clock): boolean {
  if (kept.reusableUntilMs === undefined || clock.monotonicMs() >= kept.reusableUntilMs) return false;
  // A clock set back means that the token carries a date from the future, which the server refuses.
  if (clock.wallMs() < kept.mintedWallMs - expiryMarginMs) return false;
  return kept.expiresAtMs === undefined || clock.wallMs() < kept.expiresAtMs - expiryMarginMs;
}

/** Zeroes the bytes once the code that was just about to copy them has run. */
export function wipeSoon(kept: KeptToken | undefined): void {
  if (kept !== undefined) setImmediate(() => kept.value.fill(0));
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
