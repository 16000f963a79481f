/** How often one address may call, and how often it may be wrong about a key. Bounded, however many addresses there are. */
import type { Clock } from "../base/clock.ts";
import { Pace } from "../base/pace.ts";

/** A page or a command makes a few calls at once. */
const CALLS = { perSecond: 10, burst: 20, waitMsMax: 0 };
const ADDRESSES_MAX = 4096;
/** Wrong keys before an address has to wait. */
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

  /** Counts a call; false when there were too many. */
  take(address: string): boolean {
    return this.#stateOf(address).calls.reserve(this.#clock.monotonicMs()) !== undefined;
  }

  /** Seconds this address has to wait before a key of it is looked at; 0 for none. */
  lockedSeconds(address: string): number {
    return Math.ceil(Math.max(0, this.#stateOf(address).lockedUntilMs - this.#clock.monotonicMs()) / 1000);
  }

  failed(address: string): void {
    const state = this.#stateOf(address);
    state.failures++;
    if (state.failures < FAILURES_MAX) return;
    state.failures = 0;
    state.lockedUntilMs = this.#clock.monotonicMs() + LOCKED_MS;
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
