/** Puts a packet of megabytes together while it comes, so that nobody waits for a copy of the whole at its end. */
import { concatBytes } from "../base/bytes.ts";
import { PACKET_HEADER_BYTES, PACKET_PAYLOAD_MAX } from "./constants.ts";
import { payloadLengthAt } from "./packet-header.ts";

/** Room for a packet of several fragments, whose length nobody has told: taken up only as it is filled. */
const FIRST_ROOM_BYTES = 64 * 1024 * 1024;

export interface LargePacketOptions {
  /** Of the logical packet: no more room than that is reserved. */
  readonly payloadBytesMax: number;
  /**
   * Called with each header before its payload is taken: the bytes of all payload so far and of this fragment, its
   * sequence id, and the one that continues the packet. Throws what the header is refused for.
   */
  readonly check: (payloadBytes: number, sequenceId: number, expected: number) => void;
  /**
   * Asked for room before so many more bytes are taken, `isBegun` where they are of no use without more; false where there
   * is none yet. Without it there always is.
   */
  readonly admit?: ((bytes: number, isBegun: boolean) => boolean) | undefined;
}

/** So much is asked for first: what a few bytes announce may never come. */
const FIRST_ADMITTED_BYTES = 1024 * 1024;
/** From here on the bytes are in shared memory: a thread that judges them needs no copy. */
const SHARED_BYTES_MIN = 256 * 1024;

/** One logical packet: the payload of all fragments without a gap, behind the header of the first. */
export class LargePacket {
  readonly #options: LargePacketOptions;
  #bytes: Uint8Array = new Uint8Array(PACKET_HEADER_BYTES);
  #filled = 0;
  /** The header under way. That of the first fragment is kept in front of the payload, the others are kept here. */
  #header = new Uint8Array(PACKET_HEADER_BYTES);
  #headerBytes = 0;
  readonly #laterHeaders: Uint8Array[] = [];
  #fragmentLeft = 0;
  #isFull = false;
  isComplete = false;
  /** True after a `feed` that stopped for want of room. */
  isBlocked = false;
  /** `#filled` may become this much. */
  #admitted: number;
  /** Of the first fragment. */
  sequenceId = 0;

  constructor(options: LargePacketOptions) {
    this.#options = options;
    this.#admitted = options.admit === undefined ? Number.POSITIVE_INFINITY : PACKET_HEADER_BYTES;
  }

  /** Takes bytes of the chunk from `start` on, at most to the end of the packet; returns where it stopped. */
  feed(chunk: Uint8Array, start: number): number {
    let at = start;
    this.isBlocked = false;
    while (at < chunk.length && !this.isComplete && !this.isBlocked) {
      if (this.#headerBytes < PACKET_HEADER_BYTES) at = this.#feedHeader(chunk, at);
      else if (this.#filled < this.#admitted || this.#admitMore()) at = this.#feedPayload(chunk, at);
      else this.isBlocked = true;
    }
    return at;
  }

  /** Asks for the first part of a packet, and, when that has come, for the rest of the fragment. */
  #admitMore(): boolean {
    const end = this.#filled + this.#fragmentLeft;
    const wanted = this.#filled < FIRST_ADMITTED_BYTES ? Math.min(end, FIRST_ADMITTED_BYTES) : end;
    if (this.#options.admit?.(wanted - this.#filled, wanted < end) === false) return false;
    this.#admitted = wanted;
    this.#makeRoom(wanted, this.#isFull && wanted === end);
    return true;
  }

  /** Bytes of the wire taken so far. */
  get wireBytes(): number {
    const headers = this.#laterHeaders.length * PACKET_HEADER_BYTES;
    const isUnderWay = this.#headerBytes < PACKET_HEADER_BYTES;
    return this.#filled + headers + (isUnderWay ? this.#headerBytes : 0);
  }

  get lastSequenceId(): number {
    return (this.sequenceId + this.#laterHeaders.length) & 0xff;
  }

  get payload(): Uint8Array {
    return this.#bytes.subarray(PACKET_HEADER_BYTES, this.#filled);
  }

  /** What came, in as few pieces as there are without a copy. */
  wire(): Uint8Array[] {
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const [index, header] of this.#laterHeaders.entries()) {
      const end = PACKET_HEADER_BYTES + (index + 1) * PACKET_PAYLOAD_MAX;
      parts.push(this.#bytes.subarray(at, end), header);
      at = end;
    }
    if (at < this.#filled) parts.push(this.#bytes.subarray(at, this.#filled));
    const isUnderWay = this.#headerBytes < PACKET_HEADER_BYTES;
    if (isUnderWay && this.#headerBytes > 0) parts.push(this.#header.subarray(0, this.#headerBytes));
    return parts;
  }

  /** A copy of all that came. */
  takenWire(): Uint8Array {
    return concatBytes(this.wire());
  }

  #feedHeader(chunk: Uint8Array, start: number): number {
    let at = start;
    while (at < chunk.length && this.#headerBytes < PACKET_HEADER_BYTES) {
      this.#header[this.#headerBytes++] = chunk[at++] as number;
    }
    if (this.#headerBytes === PACKET_HEADER_BYTES) this.#beginFragment();
    return at;
  }

  #beginFragment(): void {
    const length = payloadLengthAt(this.#header, 0);
    const sequenceId = this.#header[3] as number;
    const isFirst = this.#filled === 0;
    if (isFirst) this.sequenceId = sequenceId;
    const before = isFirst ? 0 : this.#filled - PACKET_HEADER_BYTES;
    this.#options.check(before + length, sequenceId, isFirst ? sequenceId : (this.lastSequenceId + 1) & 0xff);
    this.#isFull = length === PACKET_PAYLOAD_MAX;
    this.#fragmentLeft = length;
    if (this.#options.admit === undefined) this.#makeRoom(PACKET_HEADER_BYTES + before + length, this.#isFull);
    if (isFirst) {
      this.#bytes.set(this.#header);
      this.#filled = PACKET_HEADER_BYTES;
    } else {
      this.#laterHeaders.push(this.#header);
      this.#header = new Uint8Array(PACKET_HEADER_BYTES);
    }
    if (length === 0) this.#endFragment();
  }

  /**
   * For what was admitted, and more only behind a full fragment. A room that stays empty costs no memory, but the runtime
   * counts it as used, and by what is used it decides when to collect garbage: announced and never sent, it would put that off.
   */
  #makeRoom(bytesNeeded: number, isMoreExpected: boolean): void {
    if (bytesNeeded <= this.#bytes.length) return;
    const most = PACKET_HEADER_BYTES + this.#options.payloadBytesMax;
    const room = isMoreExpected ? Math.max(FIRST_ROOM_BYTES, 2 * this.#bytes.length) : bytesNeeded;
    const bytes = roomFor(Math.max(bytesNeeded, Math.min(most, room)));
    bytes.set(this.#bytes.subarray(0, this.#filled));
    this.#bytes = bytes;
  }

  #feedPayload(chunk: Uint8Array, start: number): number {
    const end = Math.min(chunk.length, start + Math.min(this.#fragmentLeft, this.#admitted - this.#filled));
    this.#bytes.set(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end), this.#filled);
    this.#filled += end - start;
    this.#fragmentLeft -= end - start;
    if (this.#fragmentLeft === 0) this.#endFragment();
    return end;
  }

  #endFragment(): void {
    if (this.#isFull) this.#headerBytes = 0;
    else this.isComplete = true;
  }
}

/** Takes up memory only as it is filled: zeros are not written for bytes that come much later or never. */
function roomFor(bytes: number): Uint8Array {
  if (bytes >= SHARED_BYTES_MIN) return new Uint8Array(new SharedArrayBuffer(bytes));
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}
