/** What a command prints, all of it or a failure that is told: streams lose what is still under way when a process ends. */
import { writeSync } from "node:fs";

/** How long to wait for a reader that has not taken what a pipe holds. */
const FULL_PIPE_WAIT_MS = 5;

/** Writes to an open descriptor and returns when the system has taken everything. */
export class StandardOutput {
  readonly #fd: number;
  readonly #onFailure: () => void;
  readonly #waiting = new Int32Array(new SharedArrayBuffer(4));
  #failure: string | undefined;

  /** `onFailure` is called once, when something could not be written; nothing is written after that. */
  constructor(fd: number, onFailure: () => void = () => undefined) {
    this.#fd = fd;
    this.#onFailure = onFailure;
  }

  /** The system's word for what went wrong, such as ENOSPC, or EPIPE where the reader has gone. */
  get failure(): string | undefined {
    return this.#failure;
  }

  write(text: string): void {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length && this.#failure === undefined; ) at += this.#writeSome(bytes, at);
  }

  /** How many bytes were taken; 0 where the pipe is full. */
  #writeSome(bytes: Uint8Array, at: number): number {
    try {
      return writeSync(this.#fd, bytes, at);
    } catch (error) {
      const { code = "unknown error" } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") Atomics.wait(this.#waiting, 0, 0, FULL_PIPE_WAIT_MS);
      else if (code !== "EINTR") this.#fail(code);
      return 0;
    }
  }

  #fail(code: string): void {
    this.#failure = code;
    this.#onFailure();
  }
}
