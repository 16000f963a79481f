/** The computations of caching_sha2_password (sql/auth/sha2_password.cc, mysys/crypt_genhash_impl.cc). */

import { createHash, hash as hashOnce, timingSafeEqual } from "node:crypto";
import { createAuthPluginData, nonceOf } from "./auth-plugin-data.ts";

/** What the peers say to each other in one byte (page_caching_sha2_authentication_exchanges). */
export const CACHING_SHA2_KEY_REQUEST = 0x02;
export const CACHING_SHA2_FAST_OK = 0x03;
export const CACHING_SHA2_FULL = 0x04;

const SHA256_BYTES = 32;
/** MAX_PLAINTEXT_LENGTH: servers refuse longer passwords, and the cost of a hash grows with the square of the length. */
const PASSWORD_BYTES_MAX = 256;

/**
 * What a client answers: SHA256(password) XOR SHA256(SHA256(SHA256(password)), authPluginData).
 * Nothing for an empty password.
 */
export function encodeCachingSha2Scramble(password: Uint8Array, authPluginData: Uint8Array): Uint8Array {
  if (password.length === 0) return new Uint8Array(0);
  const stage1 = sha256(password);
  return xor(stage1, sha256(sha256(stage1), nonceOf(authPluginData)));
}

/** SHA256(SHA256(password)): what a server remembers after a full authentication to allow the fast one. */
export function cachingSha2DoubleHash(password: Uint8Array): Uint8Array {
  return sha256(sha256(password));
}

/** The fast authentication: true when the scramble was made from the password with this double hash. */
export function verifyCachingSha2Scramble(
  doubleHash: Uint8Array,
  scramble: Uint8Array,
  authPluginData: Uint8Array,
): boolean {
  if (doubleHash.length !== SHA256_BYTES || scramble.length !== SHA256_BYTES) return false;
  const stage1 = xor(scramble, sha256(doubleHash, nonceOf(authPluginData)));
  return timingSafeEqual(sha256(stage1), doubleHash);
}

// authentication_string: "$A$" rounds "$" salt digest. Rounds are three hex digits of thousands; the salt is 20 bytes
// of any value below 128, so nothing in it may be searched for.
const HASH_PREFIX = "$A$";
const ROUNDS_AT = 3;
const SALT_AT = 7;
const SALT_CHARACTERS = 20;
const DIGEST_CHARACTERS = 43;
const HASH_CHARACTERS = SALT_AT + SALT_CHARACTERS + DIGEST_CHARACTERS;
const ROUNDS_UNIT = 1000;
const ROUNDS_DEFAULT_UNITS = 5;
/** SAFETY: a login costs this many rounds of SHA-256. Servers allow 4095, we do not wait that long. */
const ROUNDS_UNITS_MAX = 20;

interface ParsedHash {
  readonly rounds: number;
  readonly salt: Buffer;
  readonly digest: Buffer;
}

/**
 * What mysql.user has in authentication_string for a caching_sha2_password account, with each byte as one character.
 * Undefined for text of another shape and for more than 20 000 rounds.
 */
function parseHash(hash: string): ParsedHash | undefined {
  if (hash.length !== HASH_CHARACTERS || !hash.startsWith(HASH_PREFIX) || hash[SALT_AT - 1] !== "$") return undefined;
  const units = hash.slice(ROUNDS_AT, SALT_AT - 1);
  if (!/^[0-9A-Fa-f]{3}$/.test(units)) return undefined;
  const thousands = Number.parseInt(units, 16);
  if (thousands < 1 || thousands > ROUNDS_UNITS_MAX) return undefined;
  return {
    rounds: thousands * ROUNDS_UNIT,
    salt: Buffer.from(hash.slice(SALT_AT, SALT_AT + SALT_CHARACTERS), "latin1"),
    digest: Buffer.from(hash.slice(SALT_AT + SALT_CHARACTERS), "latin1"),
  };
}

export function isCachingSha2Hash(hash: string): boolean {
  return parseHash(hash) !== undefined;
}

/** True when the password fits the hash. An empty hash stands for an empty password; another shape fits nothing. */
export function verifyCachingSha2Password(hash: string, password: Uint8Array): boolean {
  return atOnce(checkCachingSha2Password(hash, password));
}

/** The same in steps of a fraction of a millisecond, between which others can be served. */
export function* checkCachingSha2Password(hash: string, password: Uint8Array): Generator<void, boolean, void> {
  if (hash === "") return password.length === 0;
  const parsed = parseHash(hash);
  if (parsed === undefined || password.length > PASSWORD_BYTES_MAX) return false;
  return timingSafeEqual(yield* sha256Crypt(password, parsed.salt, parsed.rounds), parsed.digest);
}

function atOnce<Value>(steps: Generator<void, Value, void>): Value {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** A new hash in the form of authentication_string, with a salt of its own. Throws RangeError above 256 bytes. */
export function hashCachingSha2Password(password: Uint8Array, salt: Uint8Array = createAuthPluginData()): string {
  if (password.length > PASSWORD_BYTES_MAX) {
    throw new RangeError(
      `Cannot hash a password of ${password.length} bytes: at most ${PASSWORD_BYTES_MAX} are allowed`,
    );
  }
  if (password.length === 0) return "";
  const units = ROUNDS_DEFAULT_UNITS.toString(16).padStart(3, "0").toUpperCase();
  const digest = atOnce(sha256Crypt(password, salt, ROUNDS_DEFAULT_UNITS * ROUNDS_UNIT));
  return `${HASH_PREFIX}${units}$${Buffer.from(salt).toString("latin1")}${digest.toString("latin1")}`;
}

const CRYPT_ALPHABET = Buffer.from("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "latin1");
/** Which digest bytes make up each group of four characters, highest first (SHA-crypt, step 22). */
const CRYPT_ORDER = [
  [0, 10, 20],
  [21, 1, 11],
  [12, 22, 2],
  [3, 13, 23],
  [24, 4, 14],
  [15, 25, 5],
  [6, 16, 26],
  [27, 7, 17],
  [18, 28, 8],
  [9, 19, 29],
] as const;

const ROUNDS_PER_STEP = 256;

/**
 * SHA-256-crypt after Ulrich Drepper's specification, with the salt of 20 bytes that MySQL allows instead of 16.
 * The 43 characters of the digest alone.
 */
function* sha256Crypt(password: Uint8Array, salt: Uint8Array, rounds: number): Generator<void, Buffer, void> {
  const alternate = sha256(password, salt, password);
  const intermediate = createHash("sha256").update(password).update(salt).update(repeat(alternate, password.length));
  for (let bits = password.length; bits > 0; bits >>>= 1) {
    intermediate.update((bits & 1) === 1 ? alternate : password);
  }
  let digest: Buffer = intermediate.digest();
  const passwordSequence = repeat(sha256(repeat(password, password.length * password.length)), password.length);
  const saltSequence = repeat(sha256(repeat(salt, salt.length * (16 + (digest[0] as number)))), salt.length);
  const joined = Buffer.alloc(SHA256_BYTES + salt.length + 2 * password.length);
  for (let round = 0; round < rounds; round++) {
    if (round % ROUNDS_PER_STEP === 0) yield;
    const isOdd = (round & 1) === 1;
    let end = append(joined, 0, isOdd ? passwordSequence : digest);
    if (round % 3 !== 0) end = append(joined, end, saltSequence);
    if (round % 7 !== 0) end = append(joined, end, passwordSequence);
    end = append(joined, end, isOdd ? digest : passwordSequence);
    digest = hashOnce("sha256", joined.subarray(0, end), "buffer");
  }
  joined.fill(0);
  passwordSequence.fill(0);
  return encodeCryptDigest(digest);
}

function append(joined: Buffer, at: number, bytes: Buffer): number {
  joined.set(bytes, at);
  return at + bytes.length;
}

function encodeCryptDigest(digest: Buffer): Buffer {
  const characters: number[] = [];
  const put = (value: number, count: number): void => {
    for (let index = 0; index < count; index++)
      characters.push(CRYPT_ALPHABET[(value >>> (6 * index)) & 0x3f] as number);
  };
  const at = (index: number): number => digest[index] as number;
  for (const [high, middle, low] of CRYPT_ORDER) put((at(high) << 16) | (at(middle) << 8) | at(low), 4);
  put((at(31) << 8) | at(30), 3);
  return Buffer.from(characters);
}

/** The first `length` bytes of endless copies of `bytes`. */
function repeat(bytes: Uint8Array, length: number): Buffer {
  return bytes.length === 0 ? Buffer.alloc(0) : Buffer.alloc(length, bytes);
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return Uint8Array.from(a, (byte, index) => byte ^ (b[index] as number));
}
