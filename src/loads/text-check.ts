/** Looks at every byte of a text on its way to the server: what it is not may not be loaded as if it were. */
import { isUtf8 } from "node:buffer";
import { LoadFailure } from "./load-failure.ts";

export interface TextCheckOptions {
  /** Whether it must be UTF-8. */
  readonly isUtf8: boolean;
  /** As the sample says and nobody has set; undefined where somebody has. */
  readonly sampledLineEnd: string | undefined;
  /** Whether fields may be enclosed, and then have line ends of their own. */
  readonly mayEnclose: boolean;
  readonly bytesMax: number;
}

const CR = 0x0d;
const LF = 0x0a;

export class TextCheck {
  readonly #options: TextCheckOptions;
  /** The beginning of a character whose end has not come. */
  #carry: Uint8Array = new Uint8Array(0);
  #lastByte = 0;
  bytes = 0;

  constructor(options: TextCheckOptions) {
    this.#options = options;
  }

  /** Throws LoadFailure, with where it stands. */
  feed(chunk: Uint8Array): void {
    const { isUtf8: mustBeUtf8, bytesMax } = this.#options;
    if (this.bytes + chunk.length > bytesMax)
      throw new LoadFailure(`unpacked it has more than ${bytesMax} bytes, the most that may be loaded (max_bytes)`);
    if (mustBeUtf8) this.#checkUtf8(chunk);
    this.#checkLineEnds(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    this.#lastByte = chunk.at(-1) ?? this.#lastByte;
    this.bytes += chunk.length;
  }

  end(): void {
    if (this.#carry.length > 0) this.#notUtf8(this.bytes - this.#carry.length, this.bytes);
  }

  #checkUtf8(chunk: Uint8Array): void {
    const from = this.bytes - this.#carry.length;
    const joined = this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]);
    const whole = wholeCharacters(joined);
    if (!isUtf8(joined.subarray(0, whole))) this.#notUtf8(from, from + whole);
    this.#carry = joined.slice(whole);
  }

  #notUtf8(from: number, to: number): never {
    throw new LoadFailure(`it is not UTF-8, somewhere in bytes ${from} to ${to}: set --charset to what it is`);
  }

  #checkLineEnds(chunk: Buffer): void {
    const { sampledLineEnd, mayEnclose } = this.#options;
    if (sampledLineEnd === "\n") {
      const at = this.#lastByte === CR && chunk[0] === LF ? 0 : chunk.indexOf("\r\n");
      if (at >= 0) this.#mixed(at);
    } else if (sampledLineEnd === "\r\n" && !mayEnclose) {
      for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
        if ((at === 0 ? this.#lastByte : chunk[at - 1]) !== CR) this.#mixed(at);
      }
    }
  }

  #mixed(at: number): never {
    const text = "some of its lines end with CR LF and some with LF alone";
    throw new LoadFailure(`${text}, as near byte ${this.bytes + at}: set --lines-terminated to what ends a row`);
  }
}

/** How many bytes from the start are whole characters, as far as can be told at the end alone. */
function wholeCharacters(bytes: Uint8Array): number {
  const size = bytes.length;
  for (let back = 1; back <= 3 && back <= size; back++) {
    const byte = bytes[size - back] as number;
    if (byte < 0x80) return size;
    if (byte >= 0xc0) {
      const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return wanted > back ? size - back : size;
    }
  }
  return size;
}
