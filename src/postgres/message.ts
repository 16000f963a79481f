/** The frame of every message after the startup: `Byte1 type, Int32 length (itself included), body`. */

import { type ByteReader, ByteWriter, encodeUtf8 } from "../base/bytes.ts";

/** The type and the length. */
export const MESSAGE_HEADER_BYTES = 5;
/** A length counts itself. */
export const LENGTH_BYTES = 4;

/**
 * Bytes from `start` to `end` of a buffer, without a view of them: to make one costs more than all else that is done with
 * most messages. What lies in the buffer must not change any more.
 */
export class Span {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  get length(): number {
    return this.end - this.start;
  }

  /** A view of them, made anew each time. */
  get wire(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }
}

/** One whole message: type, length and body as received. */
export class Message extends Span {
  /** The character that says what it is, as a byte. */
  get type(): number {
    return this.bytes[this.start] as number;
  }

  /** Behind the length: a view, made anew each time. */
  get body(): Uint8Array {
    return this.bytes.subarray(this.start + MESSAGE_HEADER_BYTES, this.end);
  }
}

/** The byte of a type that a table or the manual writes as a character. */
export function typeByte(type: string): number {
  return type.charCodeAt(0);
}

/** A message of this type whose body `write` appends. */
export function encodeMessage(
  type: string,
  write: (body: ByteWriter) => void = () => {},
  bytesExpected = 64,
): Uint8Array {
  const writer = new ByteWriter(bytesExpected).uint8(typeByte(type)).zeros(LENGTH_BYTES);
  write(writer);
  const wire = writer.finish();
  const length = wire.length - 1;
  for (let index = 0; index < LENGTH_BYTES; index++) wire[1 + index] = length >>> (24 - 8 * index);
  return wire;
}

/** Appends a String of the manual: its UTF-8 and a NUL. RangeError for a text that holds one. */
export function writeString(body: ByteWriter, text: string): ByteWriter {
  return body.nulTerminatedBytes(encodeUtf8(text));
}

/** As many of something as an Int16 in front of them says; the server reads it as unsigned. */
export function readCounted<Item>(reader: ByteReader, readOne: (reader: ByteReader) => Item): Item[] {
  const count = reader.uint16BE();
  const items: Item[] = [];
  // A count alone reserves nothing: each item takes bytes that must be there.
  for (let index = 0; index < count; index++) items.push(readOne(reader));
  return items;
}

/** Bytes behind their Int32 length; null for the length -1, which is NULL. No other negative length is one. */
export function readValue(reader: ByteReader): Uint8Array | null {
  const length = reader.int32BE();
  if (length === -1) return null;
  if (length < 0) reader.fail(`the length of a value is ${length}`);
  return reader.bytes(length);
}

export function writeValue(body: ByteWriter, value: Uint8Array | null): void {
  if (value === null) body.int32BE(-1);
  else body.int32BE(value.length).bytes(value);
}
