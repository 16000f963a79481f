/** Frames and unframes MySQL packets: `int<3> payload_length, int<1> sequence_id, payload`. */

import { concatBytes, freeBytes } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import { PACKET_HEADER_BYTES, PACKET_PAYLOAD_MAX } from "./constants.ts";
import { LargePacket } from "./large-packet.ts";
import { payloadLengthAt } from "./packet-header.ts";

/** One logical packet: the payload of all its fragments and the very bytes that carried them. */
export interface Packet {
  /** Of the first fragment. */
  readonly sequenceId: number;
  /** Of the last fragment: an answer continues with the next one. */
  readonly lastSequenceId: number;
  /** Fragments joined. A view of the chunk it came in where the packet is not fragmented. */
  readonly payload: Uint8Array;
  /** Headers and payload as received; a packet of several fragments may come in parts. */
  readonly wire: Wire;
}

/** Bytes to be sent, or parts of them to be sent one behind the other. */
export type Wire = Uint8Array | readonly Uint8Array[];

/** Sequence ids are one byte and wrap. */
export function nextSequenceId(sequenceId: number): number {
  return (sequenceId + 1) & 0xff;
}

/**
 * The wire form of a payload. A payload of 16 MiB - 1 or more is split; when its length is a multiple of
 * 16 MiB - 1 an empty fragment ends it, otherwise the peer would wait for more.
 */
export function encodePacket(payload: Uint8Array, sequenceId: number): Uint8Array {
  const fragmentCount = Math.floor(payload.length / PACKET_PAYLOAD_MAX) + 1;
  const wire = new Uint8Array(payload.length + fragmentCount * PACKET_HEADER_BYTES);
  let from = 0;
  let to = 0;
  for (let fragment = 0; fragment < fragmentCount; fragment++) {
    const length = Math.min(PACKET_PAYLOAD_MAX, payload.length - from);
    wire[to] = length & 0xff;
    wire[to + 1] = (length >>> 8) & 0xff;
    wire[to + 2] = length >>> 16;
    wire[to + 3] = (sequenceId + fragment) & 0xff;
    to += PACKET_HEADER_BYTES;
    wire.set(from === 0 && length === payload.length ? payload : payload.subarray(from, from + length), to);
    from += length;
    to += length;
  }
  return wire;
}

export interface PacketReaderOptions {
  /** Who sends these packets (default: the client): decides which error a violation becomes. */
  readonly sender?: "client" | "backend";
  /** Largest payload of a logical packet, all fragments together. */
  readonly payloadBytesMax: number;
  /** Asked for room before so many more bytes of a large packet are taken, as in LargePacketOptions; see `isBlocked`. */
  readonly admit?: (bytes: number, isBegun: boolean) => boolean;
}

// Chunks smaller than this that arrive behind an incomplete packet are copied into blocks, so that a peer who
// sends single bytes cannot make us keep one buffer for each.
const COALESCE_CHUNK_BYTES_MAX = 8 * 1024;
const COALESCE_BLOCK_BYTES = 32 * 1024;
/** So much of a packet must have come before room is made for the rest: a header alone reserves nothing. */
const LARGE_PACKET_BYTES = 64 * 1024;

/**
 * Takes chunks as the socket delivers them and gives back whole logical packets.
 * Chunks are kept by reference while their packets are incomplete and handed out as views: do not reuse them.
 */
export class PacketReader {
  /** May be changed between packets, for example when authentication is over. */
  payloadBytesMax: number;
  readonly #sender: "client" | "backend";
  readonly #admit: ((bytes: number, isBegun: boolean) => boolean) | undefined;
  #chunks: Uint8Array[] = [];
  /** Offset of the first unread byte in the first chunk. */
  #offset = 0;
  #bufferedBytes = 0;
  /** Spare room behind the last chunk, when that chunk is a block of our own. */
  #block: Uint8Array | undefined;
  #blockUsed = 0;
  /** Buffered bytes below which another look at the packet is useless. */
  #bytesNeeded = PACKET_HEADER_BYTES;
  /** The packet at the front, when much of it has come: the chunks then hold only what lies behind. */
  #large: LargePacket | undefined;

  constructor(options: PacketReaderOptions) {
    this.#sender = options.sender ?? "client";
    this.#admit = options.admit;
    this.payloadBytesMax = options.payloadBytesMax;
  }

  /** Bytes received that no packet has been made of yet. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Of them, those that no room was asked for. */
  get looseBytes(): number {
    return this.#large === undefined ? this.#bufferedBytes : this.#bufferedBytes - this.#large.wireBytes;
  }

  /** True while chunks are copied into a large packet, and then held no more. */
  get isLarge(): boolean {
    return this.#large !== undefined;
  }

  /** True when `next()` gave nothing for want of room: to push more would be to hold more. */
  get isBlocked(): boolean {
    return this.#large?.isBlocked === true;
  }

  /** A copy of the first buffered bytes, at most `count`. */
  peek(count: number): Uint8Array {
    const large = this.#large;
    if (large === undefined) return this.#peek(Math.min(count, this.#bufferedBytes));
    // What has been taken is tens of kilobytes at least.
    return large.wire()[0]?.slice(0, Math.min(count, LARGE_PACKET_BYTES)) ?? new Uint8Array(0);
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#bufferedBytes += chunk.length;
    if (this.#chunks.length === 0) {
      this.#chunks.push(chunk);
    } else if (chunk.length > COALESCE_CHUNK_BYTES_MAX) {
      this.#chunks.push(chunk);
      this.#block = undefined;
    } else {
      this.#pushCopy(chunk);
    }
  }

  #pushCopy(chunk: Uint8Array): void {
    let block = this.#block;
    if (block === undefined || chunk.length > block.length - this.#blockUsed) {
      block = new Uint8Array(COALESCE_BLOCK_BYTES);
      this.#block = block;
      this.#blockUsed = 0;
      this.#chunks.push(block);
    }
    // Bytes already handed out lie in front of #blockUsed and are never written again.
    block.set(chunk, this.#blockUsed);
    this.#blockUsed += chunk.length;
    this.#chunks[this.#chunks.length - 1] = block.subarray(0, this.#blockUsed);
  }

  /**
   * The next whole packet, or undefined while it is incomplete. Throws QC_CLIENT_PACKET_TOO_LARGE as soon as a
   * header announces more than payloadBytesMax, and QC_CLIENT_SEQUENCE when a fragment does not continue its
   * packet (QC_BACKEND_PROTOCOL for a backend). The reader is of no use after it has thrown.
   */
  next(): Packet | undefined {
    if (this.#large !== undefined) return this.#nextLarge(this.#large);
    if (this.#bufferedBytes < this.#bytesNeeded) return undefined;
    const chunk = this.#chunks[0];
    if (chunk === undefined) return undefined;
    const start = this.#offset;
    if (chunk.length - start >= PACKET_HEADER_BYTES) {
      // The usual case: an unfragmented packet inside one chunk, often the whole of it. No copy.
      const length = payloadLengthAt(chunk, start);
      const end = start + PACKET_HEADER_BYTES + length;
      if (length < PACKET_PAYLOAD_MAX && end <= chunk.length) {
        this.#checkSize(length);
        const sequenceId = chunk[start + 3] as number;
        const wire = start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end);
        this.#discard(end - start);
        this.#bytesNeeded = PACKET_HEADER_BYTES;
        return { sequenceId, lastSequenceId: sequenceId, payload: wire.subarray(PACKET_HEADER_BYTES), wire };
      }
    }
    return this.#nextInPieces();
  }

  /** Everything not yet made into packets, for whoever takes over the connection (TLS). Empties the reader. */
  takeRest(): Uint8Array {
    const taken = this.#large?.takenWire();
    this.#large = undefined;
    if (taken !== undefined) this.#bufferedBytes -= taken.length;
    const rest = this.#take(this.#bufferedBytes);
    this.#bytesNeeded = PACKET_HEADER_BYTES;
    return taken === undefined ? rest : concatBytes([taken, rest]);
  }

  /** Throws away all that was not made into packets. Empties the reader. */
  drop(): void {
    this.#large = undefined;
    this.#discard(this.#bufferedBytes);
    this.#bytesNeeded = PACKET_HEADER_BYTES;
  }

  /** A packet that lies in several chunks, or that has several fragments. */
  #nextInPieces(): Packet | undefined {
    const header = this.#peek(PACKET_HEADER_BYTES);
    const length = payloadLengthAt(header, 0);
    this.#checkSize(length);
    const packetBytes = PACKET_HEADER_BYTES + length;
    if (length < PACKET_PAYLOAD_MAX && this.#bufferedBytes >= packetBytes) {
      const wire = this.#take(packetBytes);
      const sequenceId = wire[3] as number;
      this.#bytesNeeded = PACKET_HEADER_BYTES;
      return { sequenceId, lastSequenceId: sequenceId, payload: wire.subarray(PACKET_HEADER_BYTES), wire };
    }
    if (this.#bufferedBytes >= LARGE_PACKET_BYTES) return this.#nextLarge(this.#beginLarge());
    this.#bytesNeeded = Math.min(packetBytes, LARGE_PACKET_BYTES);
    return undefined;
  }

  #beginLarge(): LargePacket {
    this.#large = new LargePacket({
      payloadBytesMax: this.payloadBytesMax,
      admit: this.#admit,
      check: (payloadBytes, sequenceId, expected) => {
        if (sequenceId !== expected) this.#refuseSequence(sequenceId, expected);
        this.#checkSize(payloadBytes);
      },
    });
    return this.#large;
  }

  #nextLarge(large: LargePacket): Packet | undefined {
    while (!large.isComplete) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return undefined;
      // What was handed out before may lie in front.
      const isAllOurs = this.#offset === 0;
      this.#offset = large.feed(chunk, this.#offset);
      if (large.isBlocked) return undefined;
      if (this.#offset < chunk.length) break;
      this.#chunks.shift();
      if (isAllOurs) freeBytes(chunk);
      this.#offset = 0;
      if (this.#chunks.length === 0) this.#block = undefined;
    }
    this.#large = undefined;
    this.#bufferedBytes -= large.wireBytes;
    this.#bytesNeeded = PACKET_HEADER_BYTES;
    const { sequenceId, lastSequenceId, payload } = large;
    return { sequenceId, lastSequenceId, payload, wire: large.wire() };
  }

  #checkSize(payloadBytes: number): void {
    if (payloadBytes <= this.payloadBytesMax) return;
    throw new QuerycopError(
      this.#sender === "client" ? "QC_CLIENT_PACKET_TOO_LARGE" : "QC_BACKEND_PROTOCOL",
      `Cannot accept a packet of ${payloadBytes} bytes or more from the ${this.#sender}: the limit here is ${this.payloadBytesMax}`,
    );
  }

  #refuseSequence(sequenceId: number, expected: number): never {
    throw new QuerycopError(
      this.#sender === "client" ? "QC_CLIENT_SEQUENCE" : "QC_BACKEND_PROTOCOL",
      `Cannot join the fragments of a packet from the ${this.#sender}: expected sequence id ${expected}, got ${sequenceId}`,
    );
  }

  /** A copy of the first few bytes; the caller knows that they are buffered. */
  #peek(byteCount: number): Uint8Array {
    const bytes = new Uint8Array(byteCount);
    let filled = 0;
    let offset = this.#offset;
    for (const chunk of this.#chunks) {
      const part = chunk.subarray(offset, offset + byteCount - filled);
      bytes.set(part, filled);
      filled += part.length;
      offset = 0;
      if (filled === byteCount) break;
    }
    return bytes;
  }

  #take(byteCount: number): Uint8Array {
    const first = this.#chunks[0];
    if (first !== undefined && first.length - this.#offset >= byteCount) {
      const taken = first.subarray(this.#offset, this.#offset + byteCount);
      this.#discard(byteCount);
      return taken;
    }
    const parts: Uint8Array[] = [];
    let wanted = byteCount;
    let offset = this.#offset;
    for (const chunk of this.#chunks) {
      const part = chunk.subarray(offset, offset + wanted);
      parts.push(part);
      wanted -= part.length;
      offset = 0;
      if (wanted === 0) break;
    }
    this.#discard(byteCount);
    return concatBytes(parts);
  }

  #discard(byteCount: number): void {
    this.#bufferedBytes -= byteCount;
    if (this.#bufferedBytes === 0) {
      this.#chunks.length = 0;
      this.#offset = 0;
      this.#block = undefined;
      return;
    }
    let offset = this.#offset + byteCount;
    let consumed = 0;
    for (const chunk of this.#chunks) {
      if (offset < chunk.length) break;
      offset -= chunk.length;
      consumed++;
    }
    if (consumed > 0) this.#chunks.splice(0, consumed);
    this.#offset = offset;
  }
}
