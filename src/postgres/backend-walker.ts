/** Walks the backend's leg by headers: few messages are held until they are whole, all others pass as they come. */

import { QuerycopError } from "../base/errors.ts";
import { BACKEND_MESSAGES, type BackendRow } from "./backend-message.ts";
import { LENGTH_BYTES, MESSAGE_HEADER_BYTES, Message, Span } from "./message.ts";
import { lengthAt } from "./message-reader.ts";

/** The backend's bytes in order, cut where something is to be known or changed. */
export type BackendPiece = HeldMessage | PassingBytes;

/** One whole message. */
export class HeldMessage extends Message {
  readonly kind = "message";
}

/** Bytes of one message, or of several whole ones of one type that follow each other. */
export class PassingBytes extends Span {
  readonly kind = "passing";
  readonly type: number;
  /** Messages that begin in these bytes. */
  readonly begun: number;
  /** Those that end in them. */
  readonly ended: number;

  constructor(type: number, { bytes, start, end }: Omit<Span, "wire" | "length">, begun: number, ended: number) {
    super(bytes, start, end);
    this.type = type;
    this.begun = begun;
    this.ended = ended;
  }
}

/** A server's own limit: MaxAllocSize, and the length. */
const LENGTH_MAX = 0x3fffffff + LENGTH_BYTES;
const HELD_BYTES_MIN = 64;
const NO_BYTES = new Uint8Array(0);

/**
 * Push a chunk, then take pieces until there is none; what the pieces carry, put together, is what was pushed. Holds at
 * most one incomplete message of a type that is held, within the limit of its row. Throws QC_BACKEND_PROTOCOL for types
 * and lengths that no PostgreSQL sends, and is of no use after that.
 */
export class BackendWalker {
  #chunk: Uint8Array = NO_BYTES;
  #at = 0;
  /** The incomplete header or held message that earlier chunks began. */
  #held: Uint8Array = NO_BYTES;
  #heldBytes = 0;
  /** What is still to come of a message that passes. */
  #passingType = 0;
  #passingLeft = 0;

  /** True between messages: something of our own may be written here. */
  get isBetweenMessages(): boolean {
    return this.#passingLeft === 0 && this.#heldBytes === 0 && this.#at === this.#chunk.length;
  }

  /** Not before next() has given nothing. */
  push(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.length) throw new Error("Cannot take another chunk: the last one still has pieces");
    this.#chunk = chunk;
    this.#at = 0;
  }

  next(): BackendPiece | undefined {
    if (this.#at === this.#chunk.length) return undefined;
    if (this.#passingLeft > 0) return this.#continuePassing();
    if (this.#heldBytes > 0) return this.#continueHeld();
    const left = this.#chunk.length - this.#at;
    if (left < MESSAGE_HEADER_BYTES) return this.#hold(left);
    const row = requireRow(this.#chunk[this.#at] as number);
    const bytes = 1 + requireLength(row, lengthAt(this.#chunk, this.#at + 1));
    if (isPassed(row, bytes)) return this.#pass();
    if (bytes > left) return this.#hold(left);
    const start = this.#at;
    this.#at += bytes;
    return new HeldMessage(this.#chunk, start, this.#at);
  }

  /** The hot loop: whole messages of one type that pass, one behind the other, or the part of the first that is there. */
  #pass(): BackendPiece {
    const chunk = this.#chunk;
    const start = this.#at;
    const type = chunk[start] as number;
    const row = requireRow(type);
    let at = start;
    let ended = 0;
    while (chunk.length - at >= MESSAGE_HEADER_BYTES && chunk[at] === type) {
      const bytes = 1 + requireLength(row, lengthAt(chunk, at + 1));
      if (!isPassed(row, bytes) || at + bytes > chunk.length) break;
      at += bytes;
      ended++;
    }
    if (ended > 0) {
      this.#at = at;
      return new PassingBytes(type, { bytes: chunk, start, end: at }, ended, ended);
    }
    this.#at = chunk.length;
    this.#passingType = type;
    this.#passingLeft = 1 + lengthAt(chunk, start + 1) - (chunk.length - start);
    return new PassingBytes(type, { bytes: chunk, start, end: chunk.length }, 1, 0);
  }

  #continuePassing(): BackendPiece {
    const start = this.#at;
    this.#at = Math.min(this.#chunk.length, start + this.#passingLeft);
    this.#passingLeft -= this.#at - start;
    const span = { bytes: this.#chunk, start, end: this.#at };
    return new PassingBytes(this.#passingType, span, 0, this.#passingLeft === 0 ? 1 : 0);
  }

  /** Copies into a buffer that grows with what has come: a few bytes do not keep a large chunk, nor small chunks many. */
  #hold(count: number): undefined {
    const bytes = this.#heldBytes + count;
    if (bytes > this.#held.length) {
      const larger = new Uint8Array(Math.max(HELD_BYTES_MIN, 2 * bytes));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(this.#chunk.subarray(this.#at, this.#at + count), this.#heldBytes);
    this.#heldBytes = bytes;
    this.#at += count;
    return undefined;
  }

  #continueHeld(): BackendPiece | undefined {
    if (this.#heldBytes < MESSAGE_HEADER_BYTES) {
      this.#hold(Math.min(MESSAGE_HEADER_BYTES - this.#heldBytes, this.#chunk.length - this.#at));
      if (this.#heldBytes < MESSAGE_HEADER_BYTES) return undefined;
    }
    const row = requireRow(this.#held[0] as number);
    const bytes = 1 + requireLength(row, lengthAt(this.#held, 1));
    if (isPassed(row, bytes)) {
      const held = this.#takeHeld();
      this.#passingType = held.type;
      this.#passingLeft = bytes - held.length;
      return new PassingBytes(held.type, held, 1, this.#passingLeft === 0 ? 1 : 0);
    }
    this.#hold(Math.min(bytes - this.#heldBytes, this.#chunk.length - this.#at));
    return this.#heldBytes === bytes ? this.#takeHeld() : undefined;
  }

  #takeHeld(): HeldMessage {
    const message = new HeldMessage(this.#held, 0, this.#heldBytes);
    this.#held = NO_BYTES;
    this.#heldBytes = 0;
    return message;
  }
}

function requireRow(type: number): BackendRow {
  const row = BACKEND_MESSAGES[type];
  if (row !== undefined) return row;
  throw new QuerycopError("QC_BACKEND_PROTOCOL", `Cannot read a message from the backend: its type is ${type}`);
}

function requireLength(row: BackendRow, length: number): number {
  const isTooLong = row.holding === "whole" && !row.isLongerPassed && 1 + length > row.heldBytesMax;
  if (length >= LENGTH_BYTES && length <= LENGTH_MAX && !isTooLong) return length;
  const text = `Cannot read a ${row.name} from the backend: its length is ${length}`;
  throw new QuerycopError("QC_BACKEND_PROTOCOL", text);
}

function isPassed(row: BackendRow, bytes: number): boolean {
  return row.holding === "pass" || bytes > row.heldBytesMax;
}
