/** An object as a stream: part by part, the next one asked for while one is used. */
import { createHash } from "node:crypto";
import type { ObjectStore, S3Object } from "./s3-store.ts";

/** Two of them are held at a time. */
const PART_BYTES = 4 * 1024 * 1024;

export class ObjectBytes implements AsyncIterable<Uint8Array> {
  readonly #store: ObjectStore;
  readonly #object: S3Object;
  readonly #signal: AbortSignal;
  readonly #partBytes: number;
  readonly #hash = createHash("sha256");
  /** Handed out so far. */
  bytes = 0;

  constructor(store: ObjectStore, object: S3Object, signal: AbortSignal, partBytes = PART_BYTES) {
    this.#store = store;
    this.#object = object;
    this.#signal = signal;
    this.#partBytes = partBytes;
  }

  /** Of the whole object, in hexadecimal: ask once, at its end. */
  sha256(): string {
    return this.#hash.digest("hex");
  }

  /** Ends only behind the last byte; rejects with LoadFailure before it. */
  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const { size } = this.#object;
    let next = this.#ask(0);
    while (next !== undefined) {
      const part = await next;
      next = this.#ask(this.bytes + part.length);
      this.#hash.update(part);
      this.bytes += part.length;
      yield part;
    }
    if (this.bytes !== size) throw new Error("parts that do not add up");
  }

  #ask(from: number): Promise<Uint8Array> | undefined {
    const { size } = this.#object;
    if (from >= size) return undefined;
    const part = this.#store.part(this.#object, from, Math.min(from + this.#partBytes, size), this.#signal);
    // Whoever reads gets the error when it comes to it, or has gone.
    part.catch(() => undefined);
    return part;
  }
}
