/** The accounts querycop verifies by itself in CLIENT_AUTH=password and =certificate. Holds hashes only. */

export interface UserEntry {
  /** `$A$005$…`: the authentication_string of caching_sha2_password, salt bytes as latin1. */
  readonly cachingSha2?: string;
  /** `*` and 40 hex digits: the authentication_string of mysql_native_password. */
  readonly native?: string;
}

const FAST_ENTRIES_MAX = 10_000;

export class UserDirectory {
  #entries: ReadonlyMap<string, UserEntry>;
  /** user → SHA256(SHA256(password)), learned from a full caching_sha2 exchange, as the server's own cache does. */
  readonly #fast = new Map<string, Uint8Array>();

  constructor(entries: ReadonlyMap<string, UserEntry>) {
    this.#entries = entries;
  }

  find(user: string): UserEntry | undefined {
    return this.#entries.get(user);
  }

  /** Replaces all accounts; what was learned from the old ones is forgotten. */
  reload(entries: ReadonlyMap<string, UserEntry>): void {
    this.#entries = entries;
    this.#fast.clear();
  }

  fastHash(user: string): Uint8Array | undefined {
    return this.#fast.get(user);
  }

  rememberFastHash(user: string, doubleSha256: Uint8Array): void {
    if (this.#fast.size >= FAST_ENTRIES_MAX) this.#fast.clear();
    this.#fast.set(user, doubleSha256);
  }
}
