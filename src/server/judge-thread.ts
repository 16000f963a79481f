/** The thread that judges long texts, one at a time, and the queue before it. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Judge } from "../policy/judge.ts";
import { BUILT_IN_VERSION, type Policy } from "../policy/policy.ts";
import { judgeLongText, type LongText, type LongTextJudge, type LongVerdict } from "../session/long-text.ts";
import { type BoundValue, VALUE_BYTES_MAX } from "../sql/bound-text.ts";
import type { JudgeAnswer, JudgeQuestion, PolicyMessage } from "./judge-worker.ts";

export interface JudgeThreadOptions {
  readonly judge: Judge;
  readonly clock: Clock;
  readonly idPrefix: string;
  readonly logger: Logger;
}

/** Copied at a time: what a memory does in a fraction of a millisecond. */
const COPY_BYTES = 1 << 20;

interface Waiting {
  readonly text: LongText;
  readonly resolve: (verdict: LongVerdict) => void;
  readonly reject: (thrown: unknown) => void;
}

/**
 * Every session waits for at most one answer, so the queue is as long as there are sessions. The thread is started with
 * the first text. SAFETY: where it fails, the text is judged here after all: late for others, but judged.
 */
export class JudgeThread implements LongTextJudge {
  readonly #options: JudgeThreadOptions;
  readonly #queue: Waiting[] = [];
  #worker: Worker | undefined = undefined;
  #workerCount = 0;
  #policyCount = 0;
  /** What the worker judges by. */
  #sentPolicy: Policy | undefined = undefined;
  #nextId = 0;
  /** The question in the worker. */
  #asked: { readonly id: number; readonly settle: (verdict: LongVerdict | undefined) => void } | undefined = undefined;
  #isBusy = false;
  #isClosed = false;

  constructor(options: JudgeThreadOptions) {
    this.#options = options;
  }

  judge(text: LongText): Promise<LongVerdict> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ text, resolve, reject });
      if (!this.#isBusy) void this.#serve();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#lose(this.#worker);
    await this.#worker?.terminate();
  }

  /** One text after the other until none waits. Never rejects. */
  async #serve(): Promise<void> {
    this.#isBusy = true;
    for (let waiting = this.#queue.shift(); waiting !== undefined; waiting = this.#queue.shift()) {
      try {
        waiting.resolve((await this.#ask(waiting.text)) ?? judgeLongText(this.#options.judge, waiting.text));
      } catch (thrown) {
        waiting.reject(thrown);
      }
    }
    this.#isBusy = false;
  }

  /** The worker's verdict; undefined where it has none. */
  async #ask({ sql, context, subject, execution }: LongText): Promise<LongVerdict | undefined> {
    const copy = await copyOf(sql);
    const { policy } = this.#options.judge;
    const isKnown = policy.source !== undefined || policy.version === BUILT_IN_VERSION;
    if (this.#isClosed || !isKnown) return undefined;
    const worker = this.#worker ?? this.#spawn();
    this.#sendPolicy(worker, policy);
    const id = this.#nextId++;
    const question: JudgeQuestion = {
      type: "question",
      id,
      sql: copy,
      context,
      subject,
      ...(execution === undefined ? {} : { execution: { ...execution, values: execution.values.map(shortened) } }),
      wallMs: this.#options.clock.wallMs(),
    };
    const verdict = await new Promise<LongVerdict | undefined>((settle) => {
      this.#asked = { id, settle };
      worker.ref();
      worker.postMessage(question, [copy.buffer]);
    });
    return verdict?.decision.policyVersion === policy.version ? verdict : undefined;
  }

  #sendPolicy(worker: Worker, policy: Policy): void {
    if (this.#sentPolicy === policy) return;
    this.#sentPolicy = policy;
    const idPrefix = `${this.#options.idPrefix}-${this.#workerCount}.${this.#policyCount++}`;
    worker.postMessage({ type: "policy", source: policy.source, idPrefix } satisfies PolicyMessage);
  }

  #spawn(): Worker {
    const worker = new Worker(workerUrl());
    worker.on("message", ({ id, verdict }: JudgeAnswer) => {
      if (id === this.#asked?.id) this.#settle(verdict);
    });
    worker.on("error", (thrown) => {
      this.#options.logger.error("judge thread failed", { error: thrown instanceof Error ? thrown.message : "" });
      this.#lose(worker);
    });
    worker.on("exit", () => this.#lose(worker));
    this.#worker = worker;
    this.#workerCount++;
    return worker;
  }

  /** The worker is gone, and with it the answer; the next text gets another one. */
  #lose(worker: Worker | undefined): void {
    if (worker !== this.#worker) return;
    if (!this.#isClosed) this.#worker = undefined;
    this.#sentPolicy = undefined;
    this.#settle(undefined);
  }

  #settle(verdict: LongVerdict | undefined): void {
    const asked = this.#asked;
    this.#asked = undefined;
    // It keeps the process running only while somebody waits for it.
    this.#worker?.unref();
    asked?.settle(verdict);
  }
}

/** A copy to give away: the text itself is still to be sent to the backend. */
async function copyOf(sql: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  // Not zeroed: for many megabytes that alone keeps others waiting.
  const copy = new Uint8Array(Buffer.allocUnsafeSlow(sql.length).buffer);
  for (let at = 0; at < sql.length; at += COPY_BYTES) {
    if (at > 0) await nextTurn();
    copy.set(sql.subarray(at, at + COPY_BYTES), at);
  }
  return copy;
}

/** A longer value decides nothing as a whole. A copy, because a view would take all that it is a part of along. */
function shortened(value: BoundValue): BoundValue {
  return value instanceof Uint8Array ? new Uint8Array(value.subarray(0, VALUE_BYTES_MAX + 1)) : value;
}

/** Beside this file, or, in the executable, below the one file that all sources have become. */
function workerUrl(): URL {
  const isSource = import.meta.url.endsWith("/server/judge-thread.ts");
  return new URL(isSource ? "./judge-worker.ts" : "./server/judge-worker.ts", import.meta.url);
}
