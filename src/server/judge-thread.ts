/** One thread that judges long texts, one at a time, and can be ended in the middle of any. */
import { Worker } from "node:worker_threads";
import type { Policy } from "../policy/policy.ts";
import type { LongVerdict } from "../session/statement/long-text.ts";
import type { JudgeAnswer, JudgeQuestion, PolicyMessage } from "./judge-worker.ts";

/** `failed`: it has no verdict, or has ended over the text. `ended`: it was ended. */
export type ThreadAnswer = LongVerdict | "failed" | "ended";

export interface JudgeThreadOptions {
  /** In front of every decision id; another one for every thread. */
  readonly idPrefix: string;
  /** Told once, when it has ended by itself. */
  readonly onFailure: (error: string) => void;
  readonly url: URL;
}

export class JudgeThread {
  readonly #options: JudgeThreadOptions;
  readonly #worker: Worker;
  /** What the worker judges by. */
  #policy: Policy | undefined = undefined;
  #policyCount = 0;
  #nextId = 0;
  #asked: { readonly id: number; readonly settle: (answer: ThreadAnswer) => void } | undefined = undefined;
  #isGone = false;

  constructor(options: JudgeThreadOptions) {
    this.#options = options;
    this.#worker = new Worker(options.url);
    this.#worker.on("message", ({ id, verdict }: JudgeAnswer) => {
      if (id === this.#asked?.id) this.#settle(verdict ?? "failed");
    });
    this.#worker.on("error", (thrown) => this.#fail(thrown instanceof Error ? thrown.message : ""));
    this.#worker.on("exit", () => this.#fail("it has exited"));
  }

  /** Takes the bytes of the text along, unless they are in memory that threads share. One question at a time. */
  ask(question: Omit<JudgeQuestion, "type" | "id">, policy: Policy): Promise<ThreadAnswer> {
    if (this.#isGone) return Promise.resolve("ended");
    this.#sendPolicy(policy);
    const id = this.#nextId++;
    return new Promise((settle) => {
      this.#asked = { id, settle };
      // It keeps the process running only while somebody waits for it.
      this.#worker.ref();
      const { buffer } = question.sql;
      const taken = buffer instanceof ArrayBuffer ? [buffer] : [];
      this.#worker.postMessage({ type: "question", id, ...question } satisfies JudgeQuestion, taken);
    });
  }

  /** Ends the thread, whatever it is doing; the question in it is answered with "ended". */
  async end(): Promise<void> {
    this.#isGone = true;
    this.#settle("ended");
    await this.#worker.terminate();
  }

  #sendPolicy(policy: Policy): void {
    if (this.#policy === policy) return;
    this.#policy = policy;
    const idPrefix = `${this.#options.idPrefix}.${this.#policyCount++}`;
    this.#worker.postMessage({ type: "policy", source: policy.source, idPrefix } satisfies PolicyMessage);
  }

  #fail(error: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#options.onFailure(error);
    this.#settle("failed");
  }

  #settle(answer: ThreadAnswer): void {
    const asked = this.#asked;
    this.#asked = undefined;
    this.#worker.unref();
    asked?.settle(answer);
  }
}

/** Beside this file, or, in the executable, below the one file that all sources have become. */
export function judgeWorkerUrl(): URL {
  const isSource = import.meta.url.endsWith("/server/judge-thread.ts");
  return new URL(isSource ? "./judge-worker.ts" : "./server/judge-worker.ts", import.meta.url);
}
