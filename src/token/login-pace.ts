/**
 * Keeps the number of token logins in any one second below what the server takes: RDS asks for fewer than 200 new IAM
 * connections a second and answers more with a plain "access denied".
 */
export interface LoginPaceOptions {
  readonly perSecond: number;
  /** Logins that may come at once. perSecond + burst is the most in any one second. */
  readonly burst: number;
  readonly waitMsMax: number;
}

export class LoginPace {
  readonly #options: LoginPaceOptions;
  readonly #gapMs: number;
  /** When the next login would be due if all came evenly spread. */
  #dueMs = 0;

  constructor(options: LoginPaceOptions) {
    this.#options = options;
    this.#gapMs = 1000 / options.perSecond;
  }

  /** Reserves the next place: how long to wait for it, or undefined when that would be too long. */
  reserve(nowMs: number): number | undefined {
    const dueMs = Math.max(this.#dueMs, nowMs);
    const waitMs = Math.max(0, dueMs - nowMs - (this.#options.burst - 1) * this.#gapMs);
    if (waitMs > this.#options.waitMsMax) return undefined;
    this.#dueMs = dueMs + this.#gapMs;
    return waitMs;
  }
}
