/** A password that querycop holds for a database account, and where such passwords come from. */

/** The caller's own copy, for one login. Printing it in any way shows its version only. */
export class HeldPassword {
  /** The account it belongs to: secrets that rotate between two users change it. */
  readonly user: string;
  /** Tells one password from the next, and nothing about either. */
  readonly version: string;
  readonly #value: Uint8Array;

  constructor(user: string, version: string, value: Uint8Array) {
    this.user = user;
    this.version = version;
    this.#value = value;
  }

  /** No terminator; may be empty. */
  get value(): Uint8Array {
    return this.#value;
  }

  /** Zeroes the bytes. Call it when the login is over. */
  wipe(): void {
    this.#value.fill(0);
  }

  toString(): string {
    return `<password ${this.version}>`;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

export interface PasswordSource {
  /** The password to log in with. Rejects with QC_SECRET_FAILED, or with the signal's reason. */
  current(signal: AbortSignal): Promise<HeldPassword>;
  /**
   * After the server said no to passwords of these versions: reads the source again, and resolves with another one;
   * undefined where there is none at the moment.
   */
  otherThan(refused: ReadonlySet<string>, signal: AbortSignal): Promise<HeldPassword | undefined>;
  /** The server took this one: it is the one to begin with from now on. */
  accepted(password: HeldPassword): void;
}
