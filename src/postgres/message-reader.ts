/** Frames the client's leg: chunks as the socket delivers them become whole messages within limits. */

import { ClientMessageError } from "./error-states.ts";
import { FRONTEND_MESSAGES } from "./frontend-message.ts";
import { LENGTH_BYTES, MESSAGE_HEADER_BYTES, Message } from "./message.ts";

export interface MessageReaderOptions {
  /** Largest length of a message, itself included, on top of what the type's row allows. */
  readonly lengthMax: number;
}

const BUFFER_BYTES_MIN = 4096;
/** For the rest of a message from here on room is wanted before it is taken. */
const LARGE_MESSAGE_BYTES = 64 * 1024;
/** So much is wanted first: what a few bytes announce may never come. */
const FIRST_ROOM_BYTES = 1024 * 1024;

/**
 * Gives back whole messages. A chunk that holds them whole is handed out as spans of it, so do not reuse it; what is
 * incomplete is copied into one buffer that grows with what has come, never with what a header announces, or to the room
 * that was granted.
 */
export class MessageReader {
  /** May be changed between messages, for example when authentication is over. */
  lengthMax: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  /** The buffer is ours: there may be room behind #end. What lies in front of it is never written again. */
  #isOwn = false;
  /** The length in the first header is within limits. */
  #isChecked = false;
  /** What the header of a message announces that has not come whole; 0 while none is under way. */
  #awaitedBytes = 0;
  #roomBytes = 0;

  constructor(options: MessageReaderOptions) {
    this.lengthMax = options.lengthMax;
  }

  /** Bytes received that no message has been made of yet. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /** Of them, those that no room was granted for. */
  get looseBytes(): number {
    return Math.max(0, this.bufferedBytes - this.#roomBytes);
  }

  /** What is to be granted before more is pushed, of a large message that has begun; 0 while nothing is. */
  get roomWanted(): number {
    if (this.#awaitedBytes <= LARGE_MESSAGE_BYTES || this.bufferedBytes < this.#roomBytes) return 0;
    const isBegun = this.bufferedBytes >= FIRST_ROOM_BYTES;
    return (isBegun ? this.#awaitedBytes : Math.min(this.#awaitedBytes, FIRST_ROOM_BYTES)) - this.#roomBytes;
  }

  /** What is wanted is not all of the message. */
  get isMoreWanted(): boolean {
    return this.#roomBytes + this.roomWanted < this.#awaitedBytes;
  }

  /** There is room for so much more of the message under way. */
  grant(bytes: number): void {
    this.#roomBytes += bytes;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const kept = this.bufferedBytes;
    if (kept === 0) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#isOwn = false;
      return;
    }
    if (!this.#isOwn || this.#end + chunk.length > this.#bytes.length) {
      const needed = kept + chunk.length;
      const room = this.#roomBytes > 0 ? this.#roomBytes : Math.max(BUFFER_BYTES_MIN, 2 * needed);
      const larger = new Uint8Array(Math.max(room, needed));
      larger.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = larger;
      this.#start = 0;
      this.#end = kept;
      this.#isOwn = true;
    }
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next whole message, or undefined while it is incomplete. Throws ClientMessageError as soon as a header has a
   * type that no row knows, a length below 4 or one that is above a limit: 08P01, or 54000 where the limit is ours. The
   * reader is of no use after that.
   */
  next(): Message | undefined {
    if (this.bufferedBytes === 0) {
      if (this.#bytes.length > LARGE_MESSAGE_BYTES) this.#letGo();
      return undefined;
    }
    const type = this.#bytes[this.#start] as number;
    if (!this.#isChecked) this.#checkType(type);
    if (this.bufferedBytes < MESSAGE_HEADER_BYTES) return undefined;
    const length = lengthAt(this.#bytes, this.#start + 1);
    if (!this.#isChecked) this.#checkLength(type, length);
    this.#isChecked = true;
    const end = this.#start + 1 + length;
    if (end > this.#end) {
      this.#awaitedBytes = 1 + length;
      return undefined;
    }
    const message = new Message(this.#bytes, this.#start, end);
    this.#start = end;
    this.#isChecked = false;
    this.#awaitedBytes = 0;
    this.#roomBytes = 0;
    return message;
  }

  #letGo(): void {
    this.#bytes = new Uint8Array(0);
    this.#start = 0;
    this.#end = 0;
    this.#isOwn = false;
  }

  #checkType(type: number): void {
    if (FRONTEND_MESSAGES[type] !== undefined) return;
    throw new ClientMessageError(
      "QC_CLIENT_UNKNOWN_COMMAND",
      "08P01",
      `Cannot read a message from the client: its type is ${type}, which no message has`,
    );
  }

  #checkLength(type: number, length: number): void {
    const row = FRONTEND_MESSAGES[type];
    const rowMax = row?.lengthMax ?? 0;
    if (length < LENGTH_BYTES || length > rowMax) {
      const text = `Cannot read a ${row?.name} from the client: its length is ${length}, expected ${LENGTH_BYTES} to ${rowMax}`;
      throw new ClientMessageError("QC_CLIENT_PROTOCOL", "08P01", text);
    }
    if (length <= this.lengthMax) return;
    const text = `Cannot accept a ${row?.name} of ${length} bytes from the client: the limit here is ${this.lengthMax}`;
    throw new ClientMessageError("QC_CLIENT_PACKET_TOO_LARGE", "54000", text);
  }
}

/** The Int32 at `offset`, whose four bytes the caller knows to be there. */
export function lengthAt(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] as number) << 24) |
    ((bytes[offset + 1] as number) << 16) |
    ((bytes[offset + 2] as number) << 8) |
    (bytes[offset + 3] as number)
  );
}
