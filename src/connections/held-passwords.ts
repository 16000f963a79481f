/**
 * The password of a named connection, kept for some minutes. One look into its place at a time, shared by all who wait; a
 * kept password that has grown old serves on while it is read again.
 */
import { type Clock, SYSTEM_CLOCK } from "../base/clock.ts";
import { QuerycopError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { abortable } from "../token/abortable.ts";
import { HeldPassword, type PasswordSource } from "../token/password.ts";
import { SecretError, type SecretReader, type SecretReading, type SecretStage } from "./secret-reader.ts";

const KEEP_MS = 5 * 60_000;
/** Looks of logins that were refused are no closer than this. */
const LOOK_MS = 200;
/** A failure is answered so long without another look. */
const FAILURE_MS = 2000;

export interface HeldPasswordsOptions {
  /** The connection's name. */
  readonly connection: string;
  readonly reader: SecretReader;
  /** As the configuration has it; outranks the one of the secret. */
  readonly user: string | undefined;
  readonly logger: Logger;
  readonly clock?: Clock;
}

interface Kept {
  readonly reading: SecretReading;
  readonly readMs: number;
}

interface Look {
  readonly promise: Promise<SecretReading | undefined>;
  /** Undefined while it is under way. */
  endedMs: number | undefined;
}

export class HeldPasswords implements PasswordSource {
  readonly #options: HeldPasswordsOptions;
  readonly #clock: Clock;
  /** Ends no look: the next login wants what it finds. */
  readonly #life = new AbortController();
  readonly #looks = new Map<SecretStage, Look>();
  #kept: Kept | undefined;
  #pending: SecretReading | undefined;
  #failure: { readonly error: QuerycopError; readonly untilMs: number } | undefined;

  constructor(options: HeldPasswordsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
  }

  async current(signal: AbortSignal): Promise<HeldPassword> {
    return this.#handOut(await this.reading(signal));
  }

  /** All that the place says. The bytes of its password are the cache's own: neither change nor keep them. */
  async reading(signal: AbortSignal): Promise<SecretReading> {
    const kept = this.#kept;
    if (kept !== undefined) {
      if (this.#clock.monotonicMs() - kept.readMs > KEEP_MS) this.#look("current").catch(() => undefined);
      return kept.reading;
    }
    return await this.#lookNow("current", signal).then(must);
  }

  async otherThan(refused: ReadonlySet<string>, signal: AbortSignal): Promise<HeldPassword | undefined> {
    const kept = this.#kept?.reading;
    if (kept !== undefined && !refused.has(kept.version)) return this.#handOut(kept);
    const current = must(await this.#lookNow("current", signal));
    if (!refused.has(current.version)) return this.#handOut(current);
    const pending = await this.#lookNow("pending", signal);
    if (pending === undefined || refused.has(pending.version)) return undefined;
    this.#pending = pending;
    return this.#handOut(pending);
  }

  accepted({ version }: HeldPassword): void {
    const pending = this.#pending;
    if (pending?.version !== version || this.#kept?.reading.version === version) return;
    this.#kept = { reading: pending, readMs: this.#clock.monotonicMs() };
  }

  close(): void {
    this.#life.abort();
    for (const reading of [this.#kept?.reading, this.#pending]) reading?.password.fill(0);
    this.#kept = undefined;
    this.#pending = undefined;
  }

  #handOut({ user, version, password }: SecretReading): HeldPassword {
    const name = this.#options.user ?? user;
    if (name === undefined) throw this.#error("it names no user: set the connection's user");
    return new HeldPassword(name, version, Uint8Array.from(password));
  }

  async #lookNow(stage: SecretStage, signal: AbortSignal): Promise<SecretReading | undefined> {
    const failure = this.#failure;
    if (failure !== undefined && this.#clock.monotonicMs() < failure.untilMs) throw failure.error;
    return await abortable(this.#look(stage), signal);
  }

  #look(stage: SecretStage): Promise<SecretReading | undefined> {
    const before = this.#looks.get(stage);
    const isFresh = before?.endedMs === undefined || this.#clock.monotonicMs() - before.endedMs < LOOK_MS;
    if (before !== undefined && isFresh) return before.promise;
    const look: Look = { promise: this.#read(stage), endedMs: undefined };
    this.#looks.set(stage, look);
    const end = (): void => {
      look.endedMs = this.#clock.monotonicMs();
    };
    look.promise.then(end, end);
    return look.promise;
  }

  async #read(stage: SecretStage): Promise<SecretReading | undefined> {
    const { reader, connection, logger } = this.#options;
    try {
      const reading = await reader.read(stage, this.#life.signal);
      this.#failure = undefined;
      // SAFETY: what is taken out of the cache is not wiped: a login may be about to copy it.
      if (reading !== undefined && stage === "current") {
        this.#kept = { reading, readMs: this.#clock.monotonicMs() };
      }
      return reading;
    } catch (thrown) {
      const why = thrown instanceof SecretError ? thrown.message : "the source failed";
      const error = this.#error(why);
      logger.warn("password of a connection cannot be read", { connection, from: reader.name, why });
      this.#failure = { error, untilMs: this.#clock.monotonicMs() + FAILURE_MS };
      throw error;
    }
  }

  #error(why: string): QuerycopError {
    const { connection, reader } = this.#options;
    return new QuerycopError(
      "QC_SECRET_FAILED",
      `Cannot get the password of connection ${connection} from ${reader.name}: ${why}`,
      {
        clientMessage: `querycop: cannot get the password of this connection, run "querycop connections check ${connection}" on its host`,
      },
    );
  }
}

function must(reading: SecretReading | undefined): SecretReading {
  if (reading === undefined) throw new Error("a reader without a current password");
  return reading;
}
