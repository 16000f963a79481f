/** Where the frames of a Zstandard file end (RFC 8878, 3.1): node:zlib takes a file that was cut for a whole one. */
import { LoadFailure } from "./load-failure.ts";

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

type Wanted = "magic" | "descriptor" | "header" | "skippable-size" | "block-header" | "content" | "checksum";

export class ZstdFrames {
  #wanted: Wanted = "magic";
  /** Little-endian number of the bytes of a field, as far as they have come. */
  #value = 0;
  #taken = 0;
  #left = 4;
  #hasChecksum = false;
  #isLastBlock = false;
  #isSkippable = false;

  /** Between two frames, or behind the last. */
  get isBetween(): boolean {
    return this.#wanted === "magic" && this.#taken === 0;
  }

  /** How many bytes of the chunk belong to the frame under way. Throws LoadFailure for what is no frame. */
  take(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#wanted === "content" || this.#wanted === "header") {
        const step = Math.min(this.#left, chunk.length - at);
        this.#left -= step;
        at += step;
      } else {
        this.#value += (chunk[at++] as number) * 2 ** (8 * this.#taken++);
        this.#left--;
      }
      while (this.#left === 0) if (this.#step()) return at;
    }
    return at;
  }

  /** A field is whole; true at the end of a frame. */
  #step(): boolean {
    const value = this.#value;
    switch (this.#wanted) {
      case "magic":
        return this.#magic(value);
      case "skippable-size":
        return value === 0 ? this.#end() : this.#want("content", value);
      case "descriptor":
        return this.#descriptor(value);
      case "header":
        return this.#want("block-header", BLOCK_HEADER_BYTES);
      case "block-header":
        return this.#block(value);
      case "content":
        if (this.#isSkippable) return this.#end();
        return this.#afterBlock();
      case "checksum":
        return this.#end();
    }
  }

  #magic(value: number): boolean {
    this.#isSkippable = value >= SKIPPABLE_MAGIC && value < SKIPPABLE_MAGIC + 16;
    if (this.#isSkippable) return this.#want("skippable-size", 4);
    if (value !== MAGIC) throw new LoadFailure("behind a Zstandard frame stands something else");
    return this.#want("descriptor", 1);
  }

  #descriptor(value: number): boolean {
    const isSingleSegment = (value & 0x20) !== 0;
    this.#hasChecksum = (value & 0x04) !== 0;
    const sizeFlag = value >>> 6;
    const contentSize = sizeFlag === 0 && isSingleSegment ? 1 : (CONTENT_SIZE_BYTES[sizeFlag] ?? 0);
    const header = (isSingleSegment ? 0 : 1) + (DICTIONARY_ID_BYTES[value & 0x03] ?? 0) + contentSize;
    return this.#want("header", header);
  }

  #block(value: number): boolean {
    this.#isLastBlock = (value & 1) !== 0;
    const type = (value >>> 1) & 0x03;
    if (type === RESERVED_BLOCK) throw new LoadFailure("it is no Zstandard: a block has the reserved type");
    const size = type === RLE_BLOCK ? 1 : value >>> 3;
    return size === 0 ? this.#afterBlock() : this.#want("content", size);
  }

  #afterBlock(): boolean {
    if (!this.#isLastBlock) return this.#want("block-header", BLOCK_HEADER_BYTES);
    return this.#hasChecksum ? this.#want("checksum", CHECKSUM_BYTES) : this.#end();
  }

  #want(wanted: Wanted, bytes: number): false {
    this.#wanted = wanted;
    this.#left = bytes;
    this.#value = 0;
    this.#taken = 0;
    return false;
  }

  #end(): true {
    this.#want("magic", 4);
    return true;
  }
}
