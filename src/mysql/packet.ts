/** Frames and unframes MySQL packets: `int<3> payload_length, int<1> sequence_id, payload`. */

import { concatBytes } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import { PACKET_HEADER_BYTES, PACKET_PAYLOAD_MAX } from "./constants.ts";

/** One logical packet: the payload of all its fragments and the very bytes that carried them. */
export interface Packet {
  /** Of the first fragment. */
  readonly sequenceId: number;
  /** Of the last fragment: an answer continues with the next one. */
  readonly lastSequenceId: number;
  /** Fragments joined. A view of the chunk it came in where the packet is not fragmented. */
  readonly payload: Uint8Array;
  /** Headers and payload as received. */
  readonly wire: Uint8Array;
}

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
}

// Chunks smaller than this that arrive behind an incomplete packet are copied into blocks, so that a peer who
// sends single bytes cannot make us keep one buffer for each.
const COALESCE_CHUNK_BYTES_MAX = 8 * 1024;
const COALESCE_BLOCK_BYTES = 32 * 1024;

/**
 * Takes chunks as the socket delivers them and gives back whole logical packets.
 * Chunks are kept by reference while their packets are incomplete and handed out as views: do not reuse them.
 */
export class PacketReader {
  /** May be changed between packets, for example when authentication is over. */
  payloadBytesMax: number;
  readonly #sender: "client" | "backend";
  #chunks: Uint8Array[] = [];
  /** Offset of the first unread byte in the first chunk. */
  #offset = 0;
  #bufferedBytes = 0;
  /** Spare room behind the last chunk, when that chunk is a block of our own. */
  #block: Uint8Array | undefined;
  #blockUsed = 0;
  // Progress through the fragments of the packet at the front.
  /** Distance from the packet's start to the next fragment header. */
  #scanned = 0;
  #fragmentCount = 0;
  #sequenceId = 0;
  /** Buffered bytes below which another look at the packet is useless. */
  #bytesNeeded = PACKET_HEADER_BYTES;

  constructor(options: PacketReaderOptions) {
    this.#sender = options.sender ?? "client";
    this.payloadBytesMax = options.payloadBytesMax;
  }

  /** Bytes received that no packet has been made of yet. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** A copy of the first buffered bytes, at most `count`. */
  peek(count: number): Uint8Array {
    return this.#peek(0, Math.min(count, this.#bufferedBytes));
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
    if (this.#bufferedBytes < this.#bytesNeeded) return undefined;
    const chunk = this.#chunks[0];
    if (chunk === undefined) return undefined;
    const start = this.#offset;
    if (this.#fragmentCount === 0 && chunk.length - start >= PACKET_HEADER_BYTES) {
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
    return this.#nextFragmented();
  }

  /** Everything not yet made into packets, for whoever takes over the connection (TLS). Empties the reader. */
  takeRest(): Uint8Array {
    const rest = this.#take(this.#bufferedBytes);
    this.#resetPacket();
    return rest;
  }

  #nextFragmented(): Packet | undefined {
    while (this.#bufferedBytes >= this.#scanned + PACKET_HEADER_BYTES) {
      const header = this.#peek(this.#scanned, PACKET_HEADER_BYTES);
      const length = payloadLengthAt(header, 0);
      this.#checkSequence(header[3] as number);
      this.#checkSize(this.#scanned - this.#fragmentCount * PACKET_HEADER_BYTES + length);
      this.#bytesNeeded = this.#scanned + PACKET_HEADER_BYTES + length;
      if (length < PACKET_PAYLOAD_MAX) {
        if (this.#bufferedBytes < this.#bytesNeeded) return undefined;
        return this.#finish();
      }
      this.#scanned = this.#bytesNeeded;
      this.#bytesNeeded += PACKET_HEADER_BYTES;
      this.#fragmentCount++;
    }
    return undefined;
  }

  #finish(): Packet {
    const wire = this.#take(this.#bytesNeeded);
    const sequenceId = wire[3] as number;
    const lastSequenceId = (sequenceId + this.#fragmentCount) & 0xff;
    const payload = this.#fragmentCount === 0 ? wire.subarray(PACKET_HEADER_BYTES) : joinFragments(wire);
    this.#resetPacket();
    return { sequenceId, lastSequenceId, payload, wire };
  }

  #resetPacket(): void {
    this.#scanned = 0;
    this.#fragmentCount = 0;
    this.#bytesNeeded = PACKET_HEADER_BYTES;
  }

  #checkSize(payloadBytes: number): void {
    if (payloadBytes <= this.payloadBytesMax) return;
    throw new QuerycopError(
      this.#sender === "client" ? "QC_CLIENT_PACKET_TOO_LARGE" : "QC_BACKEND_PROTOCOL",
      `Cannot accept a packet of ${payloadBytes} bytes or more from the ${this.#sender}: the limit here is ${this.payloadBytesMax}`,
    );
  }

  #checkSequence(sequenceId: number): void {
    if (this.#fragmentCount === 0) {
      this.#sequenceId = sequenceId;
      return;
    }
    const expected = (this.#sequenceId + this.#fragmentCount) & 0xff;
    if (sequenceId === expected) return;
    throw new QuerycopError(
      this.#sender === "client" ? "QC_CLIENT_SEQUENCE" : "QC_BACKEND_PROTOCOL",
      `Cannot join the fragments of a packet from the ${this.#sender}: expected sequence id ${expected}, got ${sequenceId}`,
    );
  }

  /** A copy of a few bytes at a distance from the packet's start; the caller knows that they are buffered. */
  #peek(distance: number, byteCount: number): Uint8Array {
    const bytes = new Uint8Array(byteCount);
    let filled = 0;
    let skip = this.#offset + distance;
    for (const chunk of this.#chunks) {
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      const part = chunk.subarray(skip, skip + byteCount - filled);
      bytes.set(part, filled);
      filled += part.length;
      skip = 0;
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

function payloadLengthAt(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8) | ((bytes[offset + 2] as number) << 16);
}

function joinFragments(wire: Uint8Array): Uint8Array {
  const fragments: Uint8Array[] = [];
  for (let offset = 0; offset < wire.length; ) {
    const start = offset + PACKET_HEADER_BYTES;
    offset = start + payloadLengthAt(wire, offset);
    fragments.push(wire.subarray(start, offset));
  }
  return concatBytes(fragments);
}
