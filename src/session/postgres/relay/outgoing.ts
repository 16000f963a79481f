/** Bytes on their way to one leg: what follows each other in one buffer goes out as one. */
import { Span } from "../../../postgres/message.ts";

export class Outgoing {
  readonly #write: (bytes: Uint8Array) => boolean;
  /** Complete, in front of the last. */
  #parts: Uint8Array[] = [];
  /** The last part, which grows while what is added follows it. */
  #bytes: Uint8Array | undefined;
  #start = 0;
  #end = 0;

  /** `write` gives false when its peer should be waited for. */
  constructor(write: (bytes: Uint8Array) => boolean) {
    this.#write = write;
  }

  get isEmpty(): boolean {
    return this.#bytes === undefined;
  }

  add(what: Uint8Array | Span): void {
    if (what instanceof Span) this.#add(what.bytes, what.start, what.end);
    else this.#add(what, 0, what.length);
  }

  #add(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    if (bytes === this.#bytes && start === this.#end) {
      this.#end = end;
      return;
    }
    if (this.#bytes !== undefined) this.#parts.push(this.#last(this.#bytes));
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  #last(bytes: Uint8Array): Uint8Array {
    return this.#start === 0 && this.#end === bytes.length ? bytes : bytes.subarray(this.#start, this.#end);
  }

  /** Hands all of it over in one write. False means: wait for the drain before adding more. */
  flush(): boolean {
    if (this.#bytes === undefined) return true;
    const last = this.#last(this.#bytes);
    this.#bytes = undefined;
    if (this.#parts.length === 0) return this.#write(last);
    const parts = [...this.#parts, last];
    this.#parts = [];
    return this.#write(Buffer.concat(parts));
  }
}
