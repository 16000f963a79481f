/** Appends checkpoints to a second file, which may be slow or away: nothing waits for it. */
import { appendFile } from "node:fs/promises";

/** Checkpoints that wait for a file that is away; of more, the oldest are dropped: a later one proves as much. */
const WAITING_MAX = 100;
const RETRY_MS = 5000;

export class CheckpointCopy {
  readonly #path: string;
  readonly #onFailure: (error: string) => void;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #hasFailed = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  /** `onFailure` is told once until it works again. */
  constructor(path: string, onFailure: (error: string) => void) {
    this.#path = path;
    this.#onFailure = onFailure;
  }

  add(line: string): void {
    this.#waiting.push(line);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    if (this.#retry === undefined) this.#start();
  }

  /** Settles when everything has been tried once more. */
  async written(): Promise<void> {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#start();
    await this.#writing;
    clearTimeout(this.#retry);
  }

  #start(): void {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await appendFile(this.#path, lines.join(""), { mode: 0o600 });
        this.#hasFailed = false;
      } catch (error) {
        this.#waiting = [...lines, ...this.#waiting].slice(-WAITING_MAX);
        if (!this.#hasFailed) this.#onFailure(error instanceof Error ? error.message : String(error));
        this.#hasFailed = true;
        this.#retry = setTimeout(() => {
          this.#retry = undefined;
          this.#start();
        }, RETRY_MS);
        this.#retry.unref();
        return;
      }
    }
  }
}
