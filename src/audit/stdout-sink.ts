/** Audit records on a stream such as stdout, for hosts that collect what a container prints. */
import { Buffer } from "node:buffer";
import { writeSync } from "node:fs";
import { RECORD_BYTES_MAX } from "./audit-record.ts";
import { FilelessSink } from "./audit-sink.ts";

export interface StdoutSinkOptions {
  readonly fd?: number;
  /** How long a reader that has stopped reading may hold up the process before a record counts as failed. */
  readonly stallMsMax?: number;
}

const RETRY_MS = 1;

/**
 * A record counts as recorded when the pipe has taken it. Each run is a chain of its own: what an earlier one wrote
 * cannot be read back.
 */
export class StdoutSink extends FilelessSink {
  readonly #fd: number;
  readonly #stallMsMax: number;
  readonly #buffer: Buffer = Buffer.allocUnsafe(RECORD_BYTES_MAX + 1);
  readonly #sleeper: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(4));
  /** A line was begun and not ended: the next one must not continue it. */
  #isTorn = false;

  constructor(options: StdoutSinkOptions = {}) {
    super();
    this.#fd = options.fd ?? 1;
    this.#stallMsMax = options.stallMsMax ?? 50;
  }

  override write(lines: string): void {
    const text = this.#isTorn ? `\n${lines}` : lines;
    const bytes = text.length <= this.#buffer.length ? this.#buffer : Buffer.allocUnsafe(text.length);
    const length = bytes.write(text, 0, "latin1");
    const deadlineMs = performance.now() + this.#stallMsMax;
    let done = 0;
    try {
      while (done < length) done += this.#writeSome(bytes, done, length, deadlineMs);
    } catch (error) {
      this.#isTorn ||= done > 0;
      throw error;
    }
    this.#isTorn = false;
  }

  /** A pipe may be set not to block; then a full one answers EAGAIN, and waiting is our part. */
  #writeSome(bytes: Buffer, done: number, length: number, deadlineMs: number): number {
    for (;;) {
      try {
        return writeSync(this.#fd, bytes, done, length - done);
      } catch (error) {
        if ((error as { code?: unknown }).code !== "EAGAIN" || performance.now() >= deadlineMs) throw error;
        Atomics.wait(this.#sleeper, 0, 0, RETRY_MS);
      }
    }
  }
}
