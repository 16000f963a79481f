/** How far a load is, on standard error: one line that is written over on a terminal, or a line of JSON for each step. */
import type { LoadProgress } from "../loads/run-load.ts";
import type { CommandIo } from "./command-io.ts";

const SHOWN_EVERY_MS = 200;
const MEGABYTE = 1_000_000;

export class LoadProgressLine {
  readonly #io: CommandIo;
  readonly #form: "json" | "auto";
  #shownMs = 0;
  #beganMs = 0;
  #width = 0;

  constructor(io: CommandIo, form: "json" | "auto") {
    this.#io = io;
    this.#form = form;
  }

  show(progress: LoadProgress): void {
    const nowMs = performance.now();
    const isStep = progress.phase !== "loading";
    if (!isStep && nowMs - this.#shownMs < SHOWN_EVERY_MS) return;
    if (progress.phase === "begun") this.#beganMs = nowMs;
    this.#shownMs = nowMs;
    if (this.#form === "json") this.#io.stderr(`${JSON.stringify(progress)}\n`);
    else if (this.#io.isStderrTerminal) this.#showOver(progress.phase === "ended" ? "" : this.#text(progress, nowMs));
  }

  #text({ phase, object = 0, objects = 0, bytes, bytesTotal }: LoadProgress, nowMs: number): string {
    if (bytes === undefined || bytesTotal === undefined) return phase;
    const seconds = Math.max(nowMs - this.#beganMs, 1) / 1000;
    const rate = bytes / seconds;
    const left = rate === 0 ? "" : `, ${Math.ceil((bytesTotal - bytes) / rate)} s left`;
    const megabytes = (count: number): string => (count / MEGABYTE).toFixed(1);
    const done = `${megabytes(bytes)} of ${megabytes(bytesTotal)} MB, ${megabytes(rate)} MB/s${left}`;
    return objects > 1 ? `object ${object} of ${objects}, ${done}` : done;
  }

  #showOver(text: string): void {
    this.#io.stderr(`\r${text.padEnd(this.#width)}${text === "" ? "\r" : ""}`);
    this.#width = text.length;
  }
}
