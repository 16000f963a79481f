/** The accounts querycop verifies by itself in CLIENT_AUTH=password and =certificate. Holds hashes only. */

export interface UserEntry {
  /** `$A$005$…`: the authentication_string of caching_sha2_password, salt bytes as latin1. */
  readonly cachingSha2?: string;
  /** `*` and 40 hex digits: the authentication_string of mysql_native_password. */
  readonly native?: string;
  /** `SCRAM-SHA-256$…`: what PostgreSQL keeps of a password. */
  readonly scram?: string;
}

const FAST_ENTRIES_MAX = 10_000;

interface Learned {
  /** The account's hash at the time. */
  readonly cachingSha2: string;
  readonly doubleHash: Uint8Array;
}

export class UserDirectory {
  #entries: ReadonlyMap<string, UserEntry>;
  #isNative: boolean;
  /** user → SHA256(SHA256(password)), learned from a full caching_sha2 exchange, as the server's own cache does. */
  readonly #fast = new Map<string, Learned>();

  constructor(entries: ReadonlyMap<string, UserEntry>) {
    this.#entries = entries;
    this.#isNative = everyHashIsNative(entries);
  }

  /**
   * The plugin that a greeting names, before it is known who comes. MariaDB's clients verify a certificate by the
   * password only where they are asked for mysql_native_password from the beginning.
   */
  get commonPlugin(): "mysql_native_password" | "caching_sha2_password" {
    return this.#isNative ? "mysql_native_password" : "caching_sha2_password";
  }

  find(user: string): UserEntry | undefined {
    return this.#entries.get(user);
  }

  /** Whether the account is what it was when `entry` was found: a check may take longer than the account lives. */
  isStill(user: string, entry: UserEntry): boolean {
    const now = this.#entries.get(user);
    return (
      now !== undefined &&
      now.cachingSha2 === entry.cachingSha2 &&
      now.native === entry.native &&
      now.scram === entry.scram
    );
  }

  /** Replaces all accounts; what was learned from the old ones is forgotten. */
  reload(entries: ReadonlyMap<string, UserEntry>): void {
    this.#entries = entries;
    this.#isNative = everyHashIsNative(entries);
    this.#fast.clear();
  }

  /** SAFETY: of the account as it is now, or undefined: what is learned late must not outlive a reload in between. */
  fastHash(user: string): Uint8Array | undefined {
    const learned = this.#fast.get(user);
    return learned !== undefined && learned.cachingSha2 === this.find(user)?.cachingSha2
      ? learned.doubleHash
      : undefined;
  }

  /** `cachingSha2` is the hash that the password was found to fit. */
  rememberFastHash(user: string, cachingSha2: string, doubleHash: Uint8Array): void {
    if (cachingSha2 !== this.find(user)?.cachingSha2) return;
    if (this.#fast.size >= FAST_ENTRIES_MAX) this.#fast.clear();
    this.#fast.set(user, { cachingSha2, doubleHash });
  }
}

function everyHashIsNative(entries: ReadonlyMap<string, UserEntry>): boolean {
  for (const { native } of entries.values()) if (native === undefined) return false;
  return true;
}
