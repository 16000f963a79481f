/** Who calls: keys in the Authorization header, and the sessions that POST /auth/login begins. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { ApiRole } from "../base/api-role.ts";
import type { Clock } from "../base/clock.ts";
import type { NamedKey } from "../server/operations.ts";

export interface Principal {
  readonly name: string;
  readonly role: ApiRole;
}

/** What was presented, and whose it is. */
export interface Identified {
  readonly principal: Principal;
  /** A browser sends cookies by itself, also for a page of somebody else's. */
  readonly isCookie: boolean;
}

export const SESSION_COOKIE = "querycop_session";
const SESSION_MS = 8 * 60 * 60 * 1000;
/** The oldest ends when there are more. */
const SESSIONS_MAX = 64;
const SESSION_TOKEN_BYTES = 32;

interface Session {
  readonly principal: Principal;
  readonly expiresAtMs: number;
}

interface KnownKey {
  readonly digest: Buffer;
  readonly principal: Principal;
}

const digestOf = (secret: string): Buffer => createHash("sha256").update(secret, "utf8").digest();

function knownKeys(adminKey: string | undefined, namedKeys: readonly NamedKey[]): readonly KnownKey[] {
  return [
    ...(adminKey === undefined
      ? []
      : [{ digest: digestOf(adminKey), principal: { name: "admin", role: "admin" } as const }]),
    ...namedKeys.map(({ name, role, sha256 }) => ({ digest: Buffer.from(sha256, "hex"), principal: { name, role } })),
  ];
}

export class Credentials {
  #keys: readonly KnownKey[];
  readonly #clock: Clock;
  /** By the hash of the cookie, so that a look at the memory of these gives nothing to log in with. */
  readonly #sessions = new Map<string, Session>();

  constructor(adminKey: string | undefined, namedKeys: readonly NamedKey[], clock: Clock) {
    this.#clock = clock;
    this.#keys = knownKeys(adminKey, namedKeys);
  }

  /** From now on only these keys count; sessions that were begun with others, or with these, are over. */
  replaceKeys(adminKey: string | undefined, namedKeys: readonly NamedKey[]): void {
    this.#keys = knownKeys(adminKey, namedKeys);
    this.#sessions.clear();
  }

  /** Whose keys there are; nothing of the keys. */
  get principals(): readonly Principal[] {
    return this.#keys.map(({ principal }) => principal);
  }

  /** Browsers that are logged in, as far as they have not been found to be over. */
  get sessionCount(): number {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#sessions.values()].filter(({ expiresAtMs }) => nowMs < expiresAtMs).length;
  }

  get hasKeys(): boolean {
    return this.#keys.length > 0;
  }

  /** Whose key it is. Takes the same time whichever key comes near: all are compared, as digests. */
  ofKey(key: string): Principal | undefined {
    const digest = digestOf(key);
    let found: Principal | undefined;
    for (const known of this.#keys) {
      if (timingSafeEqual(known.digest, digest)) found ??= known.principal;
    }
    return found;
  }

  ofSession(cookie: string): Principal | undefined {
    const id = digestOf(cookie).toString("hex");
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    if (this.#clock.monotonicMs() < session.expiresAtMs) return session.principal;
    this.#sessions.delete(id);
    return undefined;
  }

  /** Begins a session and returns its cookie. */
  logIn(principal: Principal): { readonly cookie: string; readonly seconds: number } {
    const cookie = randomBytes(SESSION_TOKEN_BYTES).toString("base64url");
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= SESSIONS_MAX && oldest !== undefined) this.#sessions.delete(oldest);
    const expiresAtMs = this.#clock.monotonicMs() + SESSION_MS;
    this.#sessions.set(digestOf(cookie).toString("hex"), { principal, expiresAtMs });
    return { cookie, seconds: SESSION_MS / 1000 };
  }

  logOut(cookie: string): void {
    this.#sessions.delete(digestOf(cookie).toString("hex"));
  }
}

/** The key of `Authorization: Bearer <key>`. */
export function bearerKey(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.slice(0, 7).toLowerCase() !== "bearer ") return undefined;
  const key = authorization.slice(7).trim();
  return key === "" ? undefined : key;
}

/** The session cookie among those a browser sent. */
export function sessionCookie(header: string | undefined): string | undefined {
  for (const pair of header?.split(";") ?? []) {
    const equals = pair.indexOf("=");
    if (pair.slice(0, equals).trim() === SESSION_COOKIE) return pair.slice(equals + 1).trim();
  }
  return undefined;
}
