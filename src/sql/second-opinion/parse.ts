/**
 * node-sql-parser behind a queue. It hangs on a hundred bytes, so it runs in a worker that is killed when an answer takes too
 * long, and started again with the next question.
 */
import { Worker } from "node:worker_threads";
import type { ParsedText, ParseReply, ParseRequest } from "./parse-worker.ts";

/** `refused`: the parser does not take the text. `timeout`, `busy`: no answer in time, or not asked at all. */
export type ParseAnswer =
  | ({ readonly outcome: "parsed" } & ParsedText)
  | { readonly outcome: "refused" | "timeout" | "busy" };

export interface ParserOptions {
  /** For one answer, from the moment the worker has the question. */
  readonly deadlineMs?: number;
  /** Questions that may wait. */
  readonly queueMax?: number;
  /** Worker deaths per minute, after which nobody is asked for the rest of it. */
  readonly killsPerMinuteMax?: number;
  /** Keeps the process running while the worker lives. */
  readonly holdsProcess?: boolean;
}

const DEADLINE_MS = 50;
const BOOT_DEADLINE_MS = 5000;
const QUEUE_MAX = 64;
const KILLS_PER_MINUTE_MAX = 6;
const MINUTE_MS = 60_000;

interface Waiting {
  readonly request: ParseRequest;
  readonly resolve: (answer: ParseAnswer) => void;
}

/** One worker and the queue before it. */
export class Parser {
  readonly #deadlineMs: number;
  readonly #queueMax: number;
  readonly #killsPerMinuteMax: number;
  readonly #holdsProcess: boolean;
  readonly #queue: Waiting[] = [];
  #worker: Worker | undefined = undefined;
  #isReady = false;
  #asked: Waiting | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #nextId = 0;
  #isClosed = false;
  /** When the worker died in the last minute, by performance.now(). */
  #deaths: number[] = [];
  /** How often the worker was killed or died. */
  killCount = 0;

  constructor(options: ParserOptions = {}) {
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#queueMax = options.queueMax ?? QUEUE_MAX;
    this.#killsPerMinuteMax = options.killsPerMinuteMax ?? KILLS_PER_MINUTE_MAX;
    this.#holdsProcess = options.holdsProcess ?? false;
  }

  parse(sql: string): Promise<ParseAnswer> {
    const isFull = this.#queue.length >= this.#queueMax;
    if (isFull || this.#isClosed || this.#isPaused()) return Promise.resolve({ outcome: "busy" });
    return new Promise((resolve) => {
      this.#queue.push({ request: { id: this.#nextId++, sql }, resolve });
      this.#askNext();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const waiting of [this.#asked, ...this.#queue]) waiting?.resolve({ outcome: "busy" });
    this.#asked = undefined;
    this.#queue.length = 0;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  /** SAFETY: texts that hang the parser cost a bounded share of one processor, however many of them are sent. */
  #isPaused(): boolean {
    const fromMs = performance.now() - MINUTE_MS;
    this.#deaths = this.#deaths.filter((diedMs) => diedMs > fromMs);
    return this.#deaths.length >= this.#killsPerMinuteMax;
  }

  #askNext() {
    if (this.#asked !== undefined || this.#isClosed) return;
    if (this.#worker === undefined) this.#spawn();
    if (!this.#isReady) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#asked = next;
    this.#startTimer(this.#deadlineMs);
    this.#worker?.postMessage(next.request);
  }

  #startTimer(afterMs: number) {
    clearTimeout(this.#timer);
    // After a stall of this thread the answer may be here already, behind the timer.
    const worker = this.#worker;
    const end = (): unknown => setImmediate(() => this.#killLate(worker, asked));
    const asked = this.#asked;
    this.#timer = setTimeout(end, afterMs);
    if (!this.#holdsProcess) this.#timer.unref();
  }

  #spawn() {
    this.#isReady = false;
    const worker = new Worker(workerUrl());
    worker.on("message", (reply: ParseReply) => this.#receive(worker, reply));
    worker.on("error", () => this.#kill("refused", worker));
    if (!this.#holdsProcess) worker.unref();
    this.#worker = worker;
    this.#startTimer(BOOT_DEADLINE_MS);
  }

  #receive(worker: Worker, reply: ParseReply) {
    if (worker !== this.#worker) return;
    clearTimeout(this.#timer);
    if (reply.outcome === "ready") {
      this.#isReady = true;
    } else if (this.#asked?.request.id === reply.id) {
      const { resolve } = this.#asked;
      this.#asked = undefined;
      resolve(reply);
    }
    this.#askNext();
  }

  #killLate(worker: Worker | undefined, asked: Waiting | undefined) {
    if (worker === this.#worker && asked === this.#asked && (asked !== undefined || !this.#isReady)) {
      this.#kill("timeout");
    }
  }

  /** The worker hangs or has died: the question in it is lost, the others go to a new one. */
  #kill(outcome: "timeout" | "refused", worker = this.#worker) {
    if (worker === undefined || worker !== this.#worker) return;
    clearTimeout(this.#timer);
    this.killCount++;
    this.#deaths.push(performance.now());
    this.#worker = undefined;
    const isBoot = !this.#isReady;
    this.#isReady = false;
    worker.terminate().catch(() => {});
    this.#asked?.resolve({ outcome });
    this.#asked = undefined;
    // A worker that does not even start is not tried for those who wait now, nor is one that dies again and again.
    if (isBoot || this.#isPaused()) for (const waiting of this.#queue.splice(0)) waiting.resolve({ outcome: "busy" });
    if (this.#queue.length > 0) this.#askNext();
  }
}

/** Beside this file, or, in the executable, below the one file that all sources have become. */
function workerUrl(): URL {
  const isSource = import.meta.url.endsWith("/second-opinion/parse.ts");
  return new URL(isSource ? "./parse-worker.ts" : "./sql/second-opinion/parse-worker.ts", import.meta.url);
}
