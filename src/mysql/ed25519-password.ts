/**
 * The answer of MariaDB's client_ed25519 (plugin/auth_ed25519/ref10/sign.c): Ed25519 as RFC 8032 has it, but for the secret
 * scalar, which is made from SHA-512 of a password of any length where node:crypto wants a seed of 32 bytes.
 */
import { createHash } from "node:crypto";
import { MalformedPacketError } from "../base/bytes.ts";

const NONCE_BYTES = 32;

const P = 2n ** 255n - 19n;
/** Order of the base point. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const D2 = 2n * 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
const BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202n;
const BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960n;

/** Extended coordinates (X : Y : Z : T) with T = XY/Z: RFC 8032, 5.1.4. */
type Point = readonly [bigint, bigint, bigint, bigint];
const BASE: Point = [BASE_X, BASE_Y, 1n, mod(BASE_X * BASE_Y)];
const NEUTRAL: Point = [0n, 1n, 1n, 0n];

/**
 * The 64 bytes of signature over the server's nonce. Throws MalformedPacketError for a nonce of another length. Takes some
 * milliseconds; how many depends on the secret a little, which is far less than what a network adds.
 */
export function signWithEd25519Password(password: Uint8Array, authPluginData: Uint8Array): Uint8Array {
  if (authPluginData.length < NONCE_BYTES) {
    throw new MalformedPacketError(`Cannot sign a nonce of ${authPluginData.length} bytes: expected ${NONCE_BYTES}`);
  }
  const nonce = authPluginData.subarray(0, NONCE_BYTES);
  const expanded = sha512(password);
  expanded[0] = (expanded[0] as number) & 248;
  expanded[31] = ((expanded[31] as number) & 63) | 64;
  const scalar = numberOf(expanded.subarray(0, 32));
  const publicKey = encodePoint(times(scalar));
  const once = numberOf(sha512(expanded.subarray(32), nonce)) % L;
  const commitment = encodePoint(times(once));
  const challenge = numberOf(sha512(commitment, publicKey, nonce)) % L;
  expanded.fill(0);
  return Buffer.concat([commitment, encodeNumber((once + challenge * scalar) % L)]);
}

function times(scalar: bigint): Point {
  let sum = NEUTRAL;
  let doubled = BASE;
  for (let rest = scalar; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) sum = add(sum, doubled);
    doubled = add(doubled, doubled);
  }
  return sum;
}

/** Complete: it doubles as well. */
function add([x1, y1, z1, t1]: Point, [x2, y2, z2, t2]: Point): Point {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(t1 * mod(D2 * t2));
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function encodePoint([x, y, z]: Point): Uint8Array {
  const inverse = power(z, P - 2n);
  const bytes = encodeNumber(mod(y * inverse));
  if ((mod(x * inverse) & 1n) === 1n) bytes[31] = (bytes[31] as number) | 0x80;
  return bytes;
}

function mod(value: bigint): bigint {
  const rest = value % P;
  return rest < 0n ? rest + P : rest;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
}

/** Little-endian. */
function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}

function encodeNumber(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();
}

function sha512(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha512");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
