/**
 * How often one caller may call, and how often an address may be wrong about a key. Bounded, however many there are.
 * SAFETY: who has shown a right key is counted by its name, never by the address it shares with those who guess.
 */
import type { Clock } from "../base/clock.ts";
import { Pace } from "../base/pace.ts";

/** A page or a command makes a few calls at once. */
const CALLS = { perSecond: 10, burst: 20, waitMsMax: 0 };
const ADDRESSES_MAX = 4096;
/** Wrong keys before an address is told so no more, but to wait. */
const FAILURES_MAX = 5;
const LOCKED_MS = 60_000;

interface AddressState {
  readonly calls: Pace;
  failures: number;
  lockedUntilMs: number;
}

export class AddressLimits {
  readonly #clock: Clock;
  /** In order of last use. */
  readonly #states = new Map<string, AddressState>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a call of an address, or of whoever has shown a key; false when there were too many. */
  take(caller: string): boolean {
    return this.#stateOf(caller).calls.reserve(this.#clock.monotonicMs()) !== undefined;
  }

  /** Counts a wrong key. The seconds for which this address was told to wait before; 0 for none. */
  failed(address: string): number {
    const state = this.#stateOf(address);
    const nowMs = this.#clock.monotonicMs();
    if (state.lockedUntilMs > nowMs) return Math.ceil((state.lockedUntilMs - nowMs) / 1000);
    state.failures++;
    if (state.failures < FAILURES_MAX) return 0;
    state.failures = 0;
    state.lockedUntilMs = nowMs + LOCKED_MS;
    return 0;
  }

  succeeded(address: string): void {
    this.#stateOf(address).failures = 0;
  }

  #stateOf(address: string): AddressState {
    const state = this.#states.get(address) ?? this.#newState();
    this.#states.delete(address);
    this.#states.set(address, state);
    return state;
  }

  #newState(): AddressState {
    if (this.#states.size >= ADDRESSES_MAX) this.#dropOne(this.#clock.monotonicMs());
    return { calls: new Pace(CALLS), failures: 0, lockedUntilMs: 0 };
  }

  /** The least recently used one that is not locked, for a crowd of addresses must not open a lock. */
  #dropOne(nowMs: number): void {
    let first: string | undefined;
    for (const [address, state] of this.#states) {
      first ??= address;
      if (state.lockedUntilMs > nowMs) continue;
      this.#states.delete(address);
      return;
    }
    if (first !== undefined) this.#states.delete(first);
  }
}
