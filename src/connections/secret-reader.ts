/** One look into the place where a connection's password is kept. */

export interface SecretReading {
  readonly user?: string;
  readonly password: Uint8Array;
  /** Tells one password from the next, and nothing about either. */
  readonly version: string;
  readonly host?: string;
  readonly port?: number;
  readonly database?: string;
  readonly remarks?: readonly string[];
}

/** `pending`: the password that a rotation is about to put in force. */
export type SecretStage = "current" | "pending";

export interface SecretReader {
  /** In words for log and command line: `secret prod/reporting`. */
  readonly name: string;
  /** Undefined where there is no pending one. Rejects with SecretError; bounded in time by itself. */
  read(stage: SecretStage, signal: AbortSignal): Promise<SecretReading | undefined>;
}

/** What went wrong, in words that are fit for the log: they hold no secret. */
export class SecretError extends Error {
  override readonly name = "SecretError";
}
