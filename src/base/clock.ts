/** The two clocks of the machine. Handed in, so that tests can move them. */
export interface Clock {
  /** Milliseconds since 1970; may jump in both directions when the machine's time is set. */
  wallMs(): number;
  /** Milliseconds since some fixed moment; never goes back. For durations and deadlines. */
  monotonicMs(): number;
}

export const SYSTEM_CLOCK: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
