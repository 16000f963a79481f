/**
 * Reading and writing of wire types: MySQL's are little-endian, PostgreSQL's, whose names end in BE, big-endian. Every
 * read is bounds-checked.
 */
import { isUtf8 as isUtf8OfNode } from "node:buffer";

/**
 * Bytes from a peer that break the layout they claim to have. The codec does not know which peer sent them:
 * the session turns this into QC_CLIENT_PROTOCOL or QC_BACKEND_PROTOCOL. The message holds no payload bytes.
 */
export class MalformedPacketError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "MalformedPacketError";
  }
}

/** Whether bytes are valid UTF-8, without the text that `decodeUtf8` makes of them. */
export const isUtf8: (bytes: Uint8Array) => boolean = isUtf8OfNode;

const utf8Strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8Lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const utf8Encoder = new TextEncoder();

/** The text of UTF-8 bytes, or undefined when they are not valid UTF-8. A byte order mark is kept. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8Strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The text of bytes that should be UTF-8; invalid sequences become U+FFFD. For display, never for matching. */
export function decodeUtf8Lossy(bytes: Uint8Array): string {
  return utf8Lossy.decode(bytes);
}

export function encodeUtf8(text: string): Uint8Array {
  return utf8Encoder.encode(text);
}

/** Smaller ones are cheap to leave to whoever collects garbage. */
const FREED_BYTES_MIN = 32 * 1024;

/**
 * Frees the memory of a large chunk now: left to be collected, tens of megabytes of them lie about. Every view of it is
 * empty from then on. Does nothing for a view of a part, and for memory that is shared between threads.
 */
export function freeBytes(bytes: Uint8Array): void {
  if (bytes.length < FREED_BYTES_MIN) return;
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) buffer.transfer(0);
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    if (a[index] !== b[index]) return false;
  }
  return true;
}

/**
 * Reads one payload from front to back. Byte fields come back as views of the payload, not as copies.
 * A read past the end throws MalformedPacketError and leaves the position where it was.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  readonly #end: number;
  readonly #isStrict: boolean;
  #position: number;

  /**
   * `what` names the structure in errors. `start` and `end` bound the payload inside `bytes`.
   * A strict reader refuses length-encoded integers that are longer than they need to be: servers accept those,
   * so they are harmless in fields that are encoded anew and refused where bytes are forwarded as they came.
   */
  constructor(bytes: Uint8Array, what: string, start = 0, end = bytes.length, isStrict = false) {
    this.#bytes = bytes;
    this.#what = what;
    this.#position = start;
    this.#end = end;
    this.#isStrict = isStrict;
  }

  get remaining(): number {
    return this.#end - this.#position;
  }

  /** Offset of the next unread byte inside the underlying bytes. */
  get position(): number {
    return this.#position;
  }

  fail(problem: string): never {
    throw new MalformedPacketError(`Cannot decode ${this.#what}: ${problem}`);
  }

  #advance(byteCount: number): number {
    const start = this.#position;
    if (byteCount > this.#end - start) {
      this.fail(`expected ${byteCount} bytes at offset ${start}, ${this.#end - start} are left`);
    }
    this.#position = start + byteCount;
    return start;
  }

  // Offsets are checked by #advance before any byte is touched, so the casts below never hide an undefined.
  #at(offset: number): number {
    return this.#bytes[offset] as number;
  }

  peekUint8(): number | undefined {
    return this.#position < this.#end ? this.#at(this.#position) : undefined;
  }

  uint8(): number {
    return this.#at(this.#advance(1));
  }

  uint16(): number {
    const start = this.#advance(2);
    return this.#at(start) | (this.#at(start + 1) << 8);
  }

  uint24(): number {
    const start = this.#advance(3);
    return this.#at(start) | (this.#at(start + 1) << 8) | (this.#at(start + 2) << 16);
  }

  uint32(): number {
    const start = this.#advance(4);
    const low = this.#at(start) | (this.#at(start + 1) << 8) | (this.#at(start + 2) << 16);
    return low + this.#at(start + 3) * 0x1000000;
  }

  uint16BE(): number {
    const start = this.#advance(2);
    return (this.#at(start) << 8) | this.#at(start + 1);
  }

  int32BE(): number {
    const start = this.#advance(4);
    return (this.#at(start) << 24) | (this.#at(start + 1) << 16) | (this.#at(start + 2) << 8) | this.#at(start + 3);
  }

  uint32BE(): number {
    return this.int32BE() >>> 0;
  }

  uint64(): bigint {
    if (this.remaining < 8) this.#advance(8);
    const low = this.uint32();
    return (BigInt(this.uint32()) << 32n) | BigInt(low);
  }

  /** A view of the next `byteCount` bytes. */
  bytes(byteCount: number): Uint8Array {
    const start = this.#advance(byteCount);
    return this.#bytes.subarray(start, start + byteCount);
  }

  skip(byteCount: number): void {
    this.#advance(byteCount);
  }

  /** A view of everything that is left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** The bytes before the next NUL, which is consumed too. */
  nulTerminatedBytes(): Uint8Array {
    const start = this.#position;
    const nul = this.#bytes.indexOf(0, start);
    if (nul < 0 || nul >= this.#end) this.fail(`expected a NUL-terminated string at offset ${start}`);
    this.#position = nul + 1;
    return this.#bytes.subarray(start, nul);
  }

  /** Like nulTerminatedBytes(), but the end of the payload ends the string as well. */
  nulTerminatedOrRestBytes(): Uint8Array {
    const nul = this.#bytes.indexOf(0, this.#position);
    return nul < 0 || nul >= this.#end ? this.rest() : this.nulTerminatedBytes();
  }

  /** A length-encoded integer: a number up to 2^53 - 1, a bigint above. The NULL marker 0xFB is refused. */
  lenencInteger(): number | bigint {
    const first = this.uint8();
    if (first < 0xfb) return first;
    const start = this.#position - 1;
    if (first === 0xfc) return this.#minimal(this.uint16(), 0xfb, start);
    if (first === 0xfd) return this.#minimal(this.uint24(), 0x10000, start);
    if (first !== 0xfe) {
      this.#position = start;
      return this.fail(`0x${first.toString(16)} at offset ${start} does not begin a length-encoded integer`);
    }
    const value = this.uint64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) return value;
    return this.#minimal(Number(value), 0x1000000, start);
  }

  #minimal(value: number, min: number, start: number): number {
    if (this.#isStrict && value < min)
      this.fail(`length-encoded integer at offset ${start} is not in its shortest form`);
    return value;
  }

  /** A length-encoded integer that must not exceed `max`. `noun` names what is counted. */
  lenencCount(noun: string, max: number): number {
    const value = this.lenencInteger();
    if (value > max) this.fail(`${noun} is ${value}, at most ${max} is allowed`);
    return Number(value);
  }

  /** A view of length-encoded bytes. The length is compared with what is left before anything else happens. */
  lenencBytes(): Uint8Array {
    const length = this.lenencInteger();
    if (length > this.remaining) {
      this.fail(`length-encoded string announces ${length} bytes, ${this.remaining} are left`);
    }
    return this.bytes(Number(length));
  }

  /** Refuses bytes behind the structure. */
  expectEnd(): void {
    if (this.remaining > 0) this.fail(`${this.remaining} unexpected bytes at offset ${this.#position}`);
  }
}

/** Builds one payload. Values that do not fit their field are programmer errors and throw RangeError. */
export class ByteWriter {
  #buffer: Uint8Array;
  #length = 0;

  constructor(bytesExpected = 64) {
    this.#buffer = new Uint8Array(Math.max(16, bytesExpected));
  }

  #grow(byteCount: number): number {
    const start = this.#length;
    const needed = start + byteCount;
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    this.#length = needed;
    return start;
  }

  #uint(value: number, byteCount: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * byteCount)) {
      throw new RangeError(`Cannot write ${value} as an unsigned integer of ${byteCount} bytes`);
    }
    let rest = value;
    let offset = this.#grow(byteCount);
    for (let count = 0; count < byteCount; count++) {
      this.#buffer[offset++] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    return this;
  }

  uint8(value: number): this {
    return this.#uint(value, 1);
  }

  uint16(value: number): this {
    return this.#uint(value, 2);
  }

  uint24(value: number): this {
    return this.#uint(value, 3);
  }

  uint32(value: number): this {
    return this.#uint(value, 4);
  }

  uint16BE(value: number): this {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
      throw new RangeError(`Cannot write ${value} as an unsigned integer of 2 bytes`);
    }
    return this.uint8(value >>> 8).uint8(value & 0xff);
  }

  /** -2^31 to 2^32 - 1: a negative number and its unsigned twin are the same bytes. */
  int32BE(value: number): this {
    if (!Number.isInteger(value) || value < -0x80000000 || value > 0xffffffff) {
      throw new RangeError(`Cannot write ${value} as an integer of 4 bytes`);
    }
    const start = this.#grow(4);
    for (let index = 0; index < 4; index++) this.#buffer[start + index] = value >>> (24 - 8 * index);
    return this;
  }

  uint64(value: bigint): this {
    if (value < 0n || value >= 1n << 64n) {
      throw new RangeError(`Cannot write ${value} as an unsigned integer of 8 bytes`);
    }
    return this.#uint(Number(value & 0xffffffffn), 4).#uint(Number(value >> 32n), 4);
  }

  bytes(value: Uint8Array): this {
    const start = this.#grow(value.length);
    this.#buffer.set(value, start);
    return this;
  }

  zeros(byteCount: number): this {
    this.#grow(byteCount);
    return this;
  }

  nulTerminatedBytes(value: Uint8Array): this {
    if (value.includes(0)) throw new RangeError("Cannot write a NUL-terminated string that holds a NUL");
    return this.bytes(value).uint8(0);
  }

  /** Always the shortest form. */
  lenencInteger(value: number | bigint): this {
    if (value < 0) throw new RangeError(`Cannot write ${value} as a length-encoded integer`);
    if (value < 0xfb) return this.uint8(Number(value));
    if (value < 0x10000) return this.uint8(0xfc).uint16(Number(value));
    if (value < 0x1000000) return this.uint8(0xfd).uint24(Number(value));
    return this.uint8(0xfe).uint64(BigInt(value));
  }

  lenencBytes(value: Uint8Array): this {
    return this.lenencInteger(value.length).bytes(value);
  }

  /** The bytes written so far. The writer must not be used afterwards. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}
