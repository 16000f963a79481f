/** What a token is, where tokens come from, and what a token's own text says about its end. */
import { Buffer } from "node:buffer";

/** What a token is good for: one user on one server. */
export interface TokenTarget {
  readonly host: string;
  readonly port: number;
  readonly region: string | undefined;
  readonly user: string;
}

/** Why no token came out. A closed list: log field, metric label, audit field and a word in the client's error. */
export const TOKEN_FAILURES = [
  "not-found",
  "not-executable",
  "exit-status",
  "killed",
  "timeout",
  "empty",
  "too-long",
  "bad-shape",
  "not-started",
  "no-credentials",
  "no-region",
  "signer",
  "stopped",
] as const;

export type TokenFailure = (typeof TOKEN_FAILURES)[number];

/** A failed mint. `message` and `detail` are fit for the operational log: neither holds a token. */
export class TokenMintError extends Error {
  readonly reason: TokenFailure;
  /** What the command wrote to stderr, shortened and redacted. Never for the client. */
  readonly detail: string;

  constructor(reason: TokenFailure, message: string, detail = "") {
    super(message);
    this.name = "TokenMintError";
    this.reason = reason;
    this.detail = detail;
  }
}

export interface MintedToken {
  readonly value: Uint8Array;
  /** When the credentials behind the token end, where the source knows: the token ends then as well. */
  readonly credentialsExpireAtMs: number | undefined;
}

export interface TokenSource {
  /** The configured word: `command`, `rds-signer` or `dsql-signer`. */
  readonly name: string;
  /** What a token is bound to: one serves all targets of the same key. Without it, each target has its own. */
  readonly keyOf?: (target: TokenTarget) => string;
  /** Rejects with TokenMintError, also when `signal` aborts. Bounded in time by itself. */
  /** `isForced`: the server has refused an earlier token, so that nothing behind that one may be taken from memory. */
  mint(target: TokenTarget, signal: AbortSignal, isForced?: boolean): Promise<MintedToken>;
}

export interface TokenFacts {
  /** Number of the mint it comes from: equal for copies of one token. */
  readonly mintId: number;
  /** Whether it was minted for an earlier login: only then can a refused login be cured by a fresh one. */
  readonly reused: boolean;
  /** By the wall clock; undefined when neither the token nor its source says. */
  readonly expiresAtMs: number | undefined;
}

/** The caller's own copy of a token. Printing it in any way shows its length only. */
export class Token {
  readonly mintId: number;
  readonly reused: boolean;
  readonly expiresAtMs: number | undefined;
  readonly #value: Uint8Array;

  constructor(value: Uint8Array, facts: TokenFacts) {
    this.#value = value;
    this.mintId = facts.mintId;
    this.reused = facts.reused;
    this.expiresAtMs = facts.expiresAtMs;
  }

  /** Printable ASCII without spaces, 20 to 8192 bytes, no terminator. */
  get value(): Uint8Array {
    return this.#value;
  }

  /** Zeroes the bytes. Call it once the token is sent. */
  wipe(): void {
    this.#value.fill(0);
  }

  toString(): string {
    return `<token of ${this.#value.length} bytes>`;
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

/** AWS signs for a week at most. */
const EXPIRES_SECONDS_MAX = 604_800;

/**
 * When a token ends by its own text: the presigned URL's X-Amz-Date plus X-Amz-Expires, or a JSON Web Token's `exp`.
 * Undefined when the text says nothing that can be relied on. Linear in the length of the text.
 */
export function tokenExpiryMs(value: Uint8Array): number | undefined {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1");
  return presignedExpiryMs(text) ?? webTokenExpiryMs(text);
}

function presignedExpiryMs(text: string): number | undefined {
  const beganMs = parseAmzDate(queryValue(text, "X-Amz-Date"));
  const seconds = queryValue(text, "X-Amz-Expires");
  if (beganMs === undefined || seconds === undefined || !isDigits(seconds) || seconds.length > 6) return undefined;
  const lifeSeconds = Number(seconds);
  return lifeSeconds > 0 && lifeSeconds <= EXPIRES_SECONDS_MAX ? beganMs + lifeSeconds * 1000 : undefined;
}

/** The value of a query parameter; undefined when it is absent or there twice. */
function queryValue(text: string, name: string): string | undefined {
  const query = text.indexOf("?");
  if (query < 0) return undefined;
  let found: string | undefined;
  for (const pair of text.slice(query + 1).split("&")) {
    if (!pair.startsWith(`${name}=`)) continue;
    if (found !== undefined) return undefined;
    found = pair.slice(name.length + 1);
  }
  return found;
}

/** `20261121T052301Z` */
function parseAmzDate(text: string | undefined): number | undefined {
  if (text?.length !== 16 || text[8] !== "T" || text[15] !== "Z") return undefined;
  const digits = text.slice(0, 8) + text.slice(9, 15);
  if (!isDigits(digits)) return undefined;
  const day = `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6, 8)}`;
  const timeMs = Date.parse(`${day}T${digits.slice(8, 10)}:${digits.slice(10, 12)}:${digits.slice(12, 14)}Z`);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

function isDigits(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x30 || unit > 0x39) return false;
  }
  return text.length > 0;
}

function webTokenExpiryMs(text: string): number | undefined {
  const parts = text.split(".", 4);
  if (parts.length !== 3 || parts[0]?.startsWith("eyJ") !== true || parts[1] === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1], "base64url").toString("utf8"));
    const expiry = typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : undefined;
    return typeof expiry === "number" && Number.isFinite(expiry) && expiry > 0 ? expiry * 1000 : undefined;
  } catch {
    return undefined;
  }
}
