/**
 * Hands out tokens for logins: one mint per target at a time, shared by all who wait, reused while fresh.
 *
 *   mintToken ─► user allowed? ─► fresh in cache? ─► failed just now? ─► join or start a mint ─► login pace ─► copy
 *
 * A token stays reusable for less than its life, by the monotonic clock and by the wall clock both, so that setting the
 * machine's time can shorten its use but never stretch it. A token that does not say when it ends is used once.
 */
import { type Clock, SYSTEM_CLOCK } from "../base/clock.ts";
import { QuerycopError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { Pace } from "../base/pace.ts";
import { Slots } from "../base/slots.ts";
import { abortable, pause } from "./abortable.ts";
import { isReusable, type KeptToken, keepToken, wipeSoon } from "./kept-token.ts";
import {
  type MintedToken,
  Token,
  type TokenFailure,
  TokenMintError,
  type TokenSource,
  type TokenTarget,
} from "./token.ts";
import { checkTokenUser } from "./token-users.ts";

/** One finished mint, for metrics and the audit. Never the token. */
export interface MintReport {
  readonly target: TokenTarget;
  readonly source: string;
  readonly forced: boolean;
  readonly durationUs: number;
  /** undefined when a token came out. */
  readonly failure: TokenFailure | undefined;
}

export interface TokenManagerOptions {
  readonly source: TokenSource;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Exact names and `*` globs; undefined allows every well-formed name. */
  readonly users?: readonly string[] | undefined;
  readonly maxAgeMs?: number;
  /** How long before its end a token is no longer handed out. */
  readonly expiryMarginMs?: number;
  /** A token with less left is replaced in the background while it still serves. */
  readonly refreshAheadMs?: number;
  /** How long a failure is answered without trying again. */
  readonly failureMs?: number;
  /** A token younger than this is handed out even when a fresh one is demanded. */
  readonly forceFreshAgeMs?: number;
  /** Shared by managers that together may not run more mints than this allows; else each has its own. */
  readonly slots?: Slots;
  readonly mintsMax?: number;
  readonly waitingMintsMax?: number;
  readonly targetsMax?: number;
  readonly loginsPerSecond?: number;
  readonly loginBurst?: number;
  readonly loginWaitMsMax?: number;
  readonly onMint?: (report: MintReport) => void;
}

export interface MintOptions {
  /** Set after the backend refused a reused token: hands out one minted later, if that can be had. */
  readonly forceFresh?: boolean;
  readonly signal?: AbortSignal;
}

export interface TokenCounters {
  readonly mints: number;
  readonly failures: number;
  /** Logins served from the cache, or by a mint that was under way. */
  readonly reused: number;
  readonly joined: number;
  /** Logins answered from a failure just before. */
  readonly failedFromCache: number;
  readonly busy: number;
  readonly paced: number;
  readonly refused: number;
}

interface Flight {
  readonly promise: Promise<KeptToken>;
  readonly stop: AbortController;
  waiters: number;
  isMinting: boolean;
}

interface TargetState {
  kept: KeptToken | undefined;
  flight: Flight | undefined;
  failure: { readonly error: TokenMintError; readonly untilMs: number } | undefined;
  /** Set once a token did not say when it ends: logins then do not share a mint. */
  isSingleUse: boolean;
}

/** RDS wants fewer new IAM connections than this in a second, and answers more with a plain "access denied". */
const SERVER_LOGINS_PER_SECOND = 200;

type Limits = { readonly [K in keyof typeof DEFAULTS]: number };

const DEFAULTS = {
  maxAgeMs: 14 * 60_000,
  expiryMarginMs: 60_000,
  refreshAheadMs: 120_000,
  failureMs: 5000,
  forceFreshAgeMs: 5000,
  mintsMax: 4,
  waitingMintsMax: 256,
  targetsMax: 1000,
  loginsPerSecond: 150,
  loginBurst: 40,
  loginWaitMsMax: 5000,
} as const;

export class TokenManager {
  readonly #options: TokenManagerOptions;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #slots: Slots;
  /** In order of last use, so that the first one is the one to drop. */
  readonly #targets: Map<string, TargetState> = new Map();
  readonly #paces: Map<string, Pace> = new Map();
  readonly #stop: AbortController = new AbortController();
  readonly #flights: Set<Flight> = new Set();
  #lastMintId = 0;
  readonly #counters = {
    mints: 0,
    failures: 0,
    reused: 0,
    joined: 0,
    failedFromCache: 0,
    busy: 0,
    paced: 0,
    refused: 0,
  };

  constructor(options: TokenManagerOptions) {
    this.#options = options;
    this.#limits = limitsOf(options);
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#slots = options.slots ?? new Slots(this.#limits.mintsMax, this.#limits.waitingMintsMax);
  }

  get counters(): TokenCounters {
    return this.#counters;
  }

  /** Mints that run at this moment, and those that wait for a place. */
  get load(): { readonly minting: number; readonly waiting: number } {
    return { minting: this.#slots.used, waiting: this.#slots.waiting };
  }

  /**
   * A token for one login, as the caller's own copy; wipe it once sent. Rejects with QC_USER_NOT_ALLOWED (before anything
   * is started), QC_TOKEN_FAILED, QC_TOKEN_BUSY, QC_SHUTDOWN, or with the signal's reason.
   *
   * When the backend refuses a token that was `reused`, call once more with `forceFresh`, and try again only if `mintId`
   * differs. A mint under way goes on when its last waiter leaves, for the next login will want it.
   */
  async mintToken(target: TokenTarget, options: MintOptions = {}): Promise<Token> {
    if (this.#stop.signal.aborted) throw new QuerycopError("QC_SHUTDOWN", "Cannot mint a token: querycop is stopping");
    this.#checkUser(target);
    options.signal?.throwIfAborted();
    const state = this.#stateOf(target);
    const { kept, reused } = await this.#obtain(target, state, options);
    // Copied before the wait for a place: the cache may wipe its own meanwhile.
    const { mintId, expiresAtMs } = kept;
    const token = new Token(Uint8Array.from(kept.value), { mintId, expiresAtMs, reused });
    if (kept.reusableUntilMs === undefined) kept.value.fill(0);
    await this.#waitForPlace(target, options.signal);
    return token;
  }

  /** Stops all mints and wipes the cache. */
  close(): void {
    this.#stop.abort();
    for (const flight of this.#flights) flight.stop.abort();
    for (const state of this.#targets.values()) wipeSoon(state.kept);
    this.#targets.clear();
  }

  #checkUser(target: TokenTarget): void {
    try {
      checkTokenUser(target.user, this.#options.users);
    } catch (error) {
      this.#counters.refused++;
      throw error;
    }
  }

  #stateOf(target: TokenTarget): TargetState {
    // A space is in none of the parts, so two targets cannot share a key.
    const key =
      this.#options.source.keyOf?.(target) ?? `${target.host} ${target.port} ${target.region ?? ""} ${target.user}`;
    const state = this.#targets.get(key) ?? {
      kept: undefined,
      flight: undefined,
      failure: undefined,
      isSingleUse: false,
    };
    this.#targets.delete(key);
    this.#targets.set(key, state);
    if (this.#targets.size > this.#limits.targetsMax) this.#dropOldest();
    return state;
  }

  #dropOldest(): void {
    for (const [key, state] of this.#targets) {
      if (state.flight !== undefined) continue;
      wipeSoon(state.kept);
      this.#targets.delete(key);
      return;
    }
  }

  async #obtain(
    target: TokenTarget,
    state: TargetState,
    options: MintOptions,
  ): Promise<{ kept: KeptToken; reused: boolean }> {
    for (;;) {
      const kept = this.#usable(state, options.forceFresh === true);
      if (kept !== undefined) {
        this.#counters.reused++;
        this.#refreshAhead(target, state, kept);
        return { kept, reused: true };
      }
      this.#throwRecentFailure(state);
      const joined = state.isSingleUse ? undefined : state.flight;
      const flight = joined ?? this.#startFlight(target, state, options.forceFresh === true);
      const minted = await this.#waitForFlight(flight, options.signal);
      if (minted.reusableUntilMs === undefined && minted.taken) continue;
      minted.taken = true;
      if (joined !== undefined) this.#counters.joined++;
      return { kept: minted, reused: false };
    }
  }

  /** The kept token if it may be handed out once more. */
  #usable(state: TargetState, forceFresh: boolean): KeptToken | undefined {
    const { kept } = state;
    if (kept === undefined) return undefined;
    if (!isReusable(kept, this.#limits.expiryMarginMs, this.#clock)) {
      state.kept = undefined;
      wipeSoon(kept);
      return undefined;
    }
    const ageMs = this.#clock.monotonicMs() - kept.mintedAtMs;
    // A storm of refused logins must not become a storm of mints.
    return forceFresh && ageMs >= this.#limits.forceFreshAgeMs ? undefined : kept;
  }

  #refreshAhead(target: TokenTarget, state: TargetState, kept: KeptToken): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < kept.refreshAtMs || state.flight !== undefined || this.#slots.waiting > 0) return;
    if (state.failure !== undefined && nowMs < state.failure.untilMs) return;
    const flight = this.#startFlight(target, state, false);
    // Nobody waits for it: a failure is logged and counted like any other, and the kept token serves on.
    flight.waiters++;
    flight.promise.catch(() => undefined);
  }

  #throwRecentFailure(state: TargetState): void {
    if (state.failure === undefined) return;
    if (this.#clock.monotonicMs() < state.failure.untilMs) {
      this.#counters.failedFromCache++;
      throw clientError(state.failure.error);
    }
    state.failure = undefined;
  }

  #startFlight(target: TokenTarget, state: TargetState, forced: boolean): Flight {
    const stop = new AbortController();
    const flight: Flight = {
      promise: Promise.resolve().then(() => this.#fly(target, state, flight, forced)),
      stop,
      waiters: 0,
      isMinting: false,
    };
    this.#flights.add(flight);
    if (!state.isSingleUse) state.flight = flight;
    const land = (): void => {
      this.#flights.delete(flight);
      if (state.flight === flight) state.flight = undefined;
    };
    flight.promise.then(land, land);
    return flight;
  }

  async #fly(target: TokenTarget, state: TargetState, flight: Flight, forced: boolean): Promise<KeptToken> {
    if (!(await this.#slots.enter(flight.stop.signal))) {
      this.#counters.busy++;
      throw new QuerycopError("QC_TOKEN_BUSY", "Cannot mint a token: too many mints are waiting", {
        clientMessage: "querycop: too many logins at once, try again",
      });
    }
    flight.isMinting = true;
    const beganMs = this.#clock.monotonicMs();
    try {
      const minted = await this.#options.source.mint(target, flight.stop.signal, forced);
      this.#counters.mints++;
      this.#report(target, forced, beganMs, undefined);
      return this.#keep(state, minted);
    } catch (thrown) {
      throw this.#fail(target, state, forced, beganMs, thrown);
    } finally {
      this.#slots.leave();
    }
  }

  #keep(state: TargetState, minted: MintedToken): KeptToken {
    const kept = keepToken(minted, ++this.#lastMintId, this.#limits, this.#clock);
    state.failure = undefined;
    state.isSingleUse = kept.expiresAtMs === undefined;
    if (kept.reusableUntilMs !== undefined) {
      wipeSoon(state.kept);
      state.kept = kept;
    }
    return kept;
  }

  #fail(target: TokenTarget, state: TargetState, forced: boolean, beganMs: number, thrown: unknown): TokenMintError {
    const error =
      thrown instanceof TokenMintError ? thrown : new TokenMintError("signer", "The token source failed", "");
    this.#counters.failures++;
    this.#report(target, forced, beganMs, error.reason);
    if (error.reason !== "stopped") {
      state.failure = { error, untilMs: this.#clock.monotonicMs() + this.#limits.failureMs };
    }
    // The wording that operators of the original search their logs for.
    this.#options.logger.warn("backend token command failed", {
      reason: error.reason,
      source: this.#options.source.name,
      host: target.host,
      port: target.port,
      user: target.user,
      detail: error.message,
      stderr: error.detail === "" ? undefined : error.detail,
      durationMs: Math.round(this.#clock.monotonicMs() - beganMs),
    });
    return error;
  }

  #report(target: TokenTarget, forced: boolean, beganMs: number, failure: TokenFailure | undefined): void {
    const durationUs = Math.round((this.#clock.monotonicMs() - beganMs) * 1000);
    this.#options.onMint?.({ target, source: this.#options.source.name, forced, durationUs, failure });
  }

  /** The flight's token, or the end of this one wait. */
  async #waitForFlight(flight: Flight, signal: AbortSignal | undefined): Promise<KeptToken> {
    flight.waiters++;
    try {
      return await abortable(flight.promise, signal);
    } catch (error) {
      throw error instanceof TokenMintError ? clientError(error) : error;
    } finally {
      flight.waiters--;
      // A place in the queue is not kept for clients that have left.
      if (flight.waiters === 0 && !flight.isMinting) flight.stop.abort();
    }
  }

  async #waitForPlace(target: TokenTarget, signal: AbortSignal | undefined): Promise<void> {
    const server = `${target.host}:${target.port}`;
    const pace = this.#paces.get(server) ?? this.#newPace(server);
    const waitMs = pace.reserve(this.#clock.monotonicMs());
    if (waitMs === undefined) {
      this.#counters.busy++;
      throw new QuerycopError("QC_TOKEN_BUSY", "Cannot log in: too many token logins are waiting for this backend", {
        clientMessage: "querycop: too many logins at once, try again",
      });
    }
    if (waitMs === 0) return;
    this.#counters.paced++;
    await pause(waitMs, signal);
  }

  #newPace(server: string): Pace {
    const { loginsPerSecond, loginBurst, loginWaitMsMax } = this.#limits;
    // Whoever stays below the server's limit on average stays below it in the first second as well.
    const room =
      loginsPerSecond < SERVER_LOGINS_PER_SECOND ? SERVER_LOGINS_PER_SECOND - 1 - loginsPerSecond : loginBurst;
    const burst = Math.max(1, Math.min(loginBurst, room));
    const pace = new Pace({ perSecond: loginsPerSecond, burst, waitMsMax: loginWaitMsMax });
    this.#paces.set(server, pace);
    return pace;
  }
}

/** What a session is told. The client learns the reason word, and nothing of the command's output. */
function clientError(error: TokenMintError): QuerycopError {
  return new QuerycopError("QC_TOKEN_FAILED", `Cannot mint a token for the backend: ${error.message}`, {
    clientMessage: `querycop: cannot mint a token for the backend (${error.reason}), run "querycop doctor" on its host`,
    cause: error,
  });
}

function limitsOf(options: Partial<Limits>): Limits {
  const limits: { -readonly [K in keyof Limits]: number } = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) limits[name] = options[name] ?? DEFAULTS[name];
  return limits;
}
