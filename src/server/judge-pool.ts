/**
 * The threads that judge long texts, and the queue before them.
 *
 * One text is judged at a time. One that takes long is left alone with its thread, and the next goes to another; at the
 * deadline, or when it holds up others with every thread taken, its thread is ended. SAFETY: what is not judged to its end
 * is not sent.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { decideUnjudged, type Unjudged } from "../policy/decide.ts";
import type { Judge, TextSummary } from "../policy/judge.ts";
import { BUILT_IN_VERSION } from "../policy/policy.ts";
import {
  judgeLongText,
  type LongText,
  type LongTextJudge,
  type LongVerdict,
  type TextOwner,
} from "../session/statement/long-text.ts";
import type { BoundValue } from "../sql/facts.ts";
import { VALUE_BYTES_MAX } from "../sql/mysql/dynamic/bound-text.ts";
import { JudgeThread, judgeWorkerUrl } from "./judge-thread.ts";

export interface JudgePoolOptions {
  readonly judge: Judge;
  readonly clock: Clock;
  readonly idPrefix: string;
  readonly logger: Logger;
  /** Milliseconds for one text. */
  readonly timeoutMs: number;
  /** What the threads run; another one for tests. */
  readonly workerUrl?: URL;
}

/** Copied at a time: what a memory does in a fraction of a millisecond. */
const COPY_BYTES = 1 << 20;
/** A text that takes longer no longer keeps the next one waiting. Most are judged in a tenth of that. */
const PATIENCE_MS = 500;
/** What a text gets when it stands in the way of others; several times what the longest need on a slow machine. */
const CROWDED_MS = 5_000;
const THREADS_MAX = 4;

interface Waiting {
  readonly text: LongText;
  readonly owner: TextOwner;
  readonly resolve: (verdict: LongVerdict) => void;
  readonly reject: (thrown: unknown) => void;
}

interface Running extends Waiting {
  readonly thread: JudgeThread;
  readonly beganMs: number;
}

export class JudgePool implements LongTextJudge {
  readonly #options: JudgePoolOptions;
  /** By client, in the order of their turns. A session has one text at most, so the queue is bounded by the sessions. */
  readonly #queue = new Map<string, Waiting[]>();
  readonly #threads = new Set<JudgeThread>();
  readonly #running = new Set<Running>();
  #threadCount = 0;
  #unjudgedCount = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: JudgePoolOptions) {
    this.#options = options;
  }

  judge(text: LongText, owner: TextOwner): Promise<LongVerdict> {
    return new Promise((settle, fail) => {
      // The session's signal lives as long as the session, and would hold the text for so long.
      const leave = (): void => this.#forget(waiting);
      const resolve = (verdict: LongVerdict): void => {
        owner.signal?.removeEventListener("abort", leave);
        settle(verdict);
      };
      const reject = (thrown: unknown): void => {
        owner.signal?.removeEventListener("abort", leave);
        fail(thrown);
      };
      const waiting = { text, owner, resolve, reject };
      const ofClient = this.#queue.get(owner.client);
      if (ofClient === undefined) this.#queue.set(owner.client, [waiting]);
      else ofClient.push(waiting);
      owner.signal?.addEventListener("abort", leave, { once: true });
      this.#review();
    });
  }

  /** Nobody waits for it any more. */
  #forget(waiting: Waiting): void {
    const { client } = waiting.owner;
    const ofClient = this.#queue.get(client) ?? [];
    const index = ofClient.indexOf(waiting);
    if (index >= 0) {
      ofClient.splice(index, 1);
      if (ofClient.length === 0) this.#queue.delete(client);
      waiting.resolve(this.#unjudged(waiting.text, "late"));
    }
    this.#review();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await Promise.all([...this.#threads].map((thread) => thread.end()));
  }

  /** Ends what has had its time, begins what may begin, and says when to look again. */
  #review(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const running of this.#running) if (nowMs >= this.#endMs(running)) this.#end(running.thread);
    while (this.#queue.size > 0) {
      if (this.#running.size > 0 && [...this.#running].some((running) => nowMs < running.beganMs + PATIENCE_MS)) break;
      const thread = this.#freeThread();
      if (thread === undefined) {
        const [oldest] = this.#running;
        if (oldest !== undefined && nowMs >= oldest.beganMs + CROWDED_MS) this.#end(oldest.thread);
        break;
      }
      this.#begin(this.#next(), thread);
    }
    this.#lookAgain(nowMs);
  }

  #endMs({ beganMs, owner }: Running): number {
    const { timeoutMs } = this.#options;
    return beganMs + (owner.signal?.aborted === true ? Math.min(PATIENCE_MS, timeoutMs) : timeoutMs);
  }

  #lookAgain(nowMs: number): void {
    clearTimeout(this.#timer);
    const waits = this.#queue.size > 0 ? [PATIENCE_MS, CROWDED_MS] : [];
    const moments = [...this.#running].flatMap((running) => [
      this.#endMs(running),
      ...waits.map((waitMs) => running.beganMs + waitMs),
    ]);
    const nextMs = Math.min(...moments.filter((moment) => moment > nowMs));
    if (Number.isFinite(nextMs)) this.#timer = setTimeout(() => this.#review(), Math.ceil(nextMs - nowMs));
  }

  /** The clients take turns. */
  #next(): Waiting {
    const [[client, texts] = ["", []]] = this.#queue;
    const waiting = texts.shift() as Waiting;
    this.#queue.delete(client);
    if (texts.length > 0) this.#queue.set(client, texts);
    return waiting;
  }

  #freeThread(): JudgeThread | undefined {
    return this.#free()[0] ?? (this.#threads.size < THREADS_MAX ? this.#spawn() : undefined);
  }

  #free(): JudgeThread[] {
    const taken = new Set([...this.#running].map(({ thread }) => thread));
    return [...this.#threads].filter((thread) => !taken.has(thread));
  }

  #spawn(): JudgeThread {
    const thread: JudgeThread = new JudgeThread({
      idPrefix: `${this.#options.idPrefix}-${++this.#threadCount}`,
      onFailure: (error) => {
        this.#threads.delete(thread);
        this.#options.logger.error("judge thread failed", { error });
      },
      url: this.#options.workerUrl ?? judgeWorkerUrl(),
    });
    this.#threads.add(thread);
    return thread;
  }

  #end(thread: JudgeThread): void {
    this.#threads.delete(thread);
    thread.end().catch(() => undefined);
  }

  #begin(waiting: Waiting, thread: JudgeThread): void {
    const running = { ...waiting, thread, beganMs: this.#options.clock.monotonicMs() };
    this.#running.add(running);
    this.#verdictOn(running)
      .then(waiting.resolve, waiting.reject)
      .finally(() => {
        this.#running.delete(running);
        // One is kept for the next text.
        for (const spare of this.#free().slice(1)) this.#end(spare);
        this.#review();
      });
  }

  async #verdictOn({ text, owner, thread, beganMs }: Running): Promise<LongVerdict> {
    const { judge, clock, logger } = this.#options;
    // SAFETY: a packet in shared memory is whole, and nobody writes to it any more.
    const isShared = text.sql.buffer instanceof SharedArrayBuffer;
    const sql = isShared ? text.sql : await copyOf(text.sql);
    const { policy } = judge;
    if (policy.source === undefined && policy.version !== BUILT_IN_VERSION) return judgeLongText(judge, text);
    const answer = await thread.ask({ ...text, ...shortenedExecution(text), sql, wallMs: clock.wallMs() }, policy);
    if (typeof answer === "object") return answer;
    const isLate = answer === "ended";
    const ms = Math.round(clock.monotonicMs() - beganMs);
    if (isLate && !this.#isClosed && owner.signal?.aborted !== true) {
      logger.error("statement not judged in time", { client: owner.client, bytes: text.sql.length, ms });
    }
    return this.#unjudged(text, isLate ? "late" : "failed");
  }

  /** The verdict where there is none. */
  #unjudged({ subject }: LongText, why: Unjudged): LongVerdict {
    const { judge, clock, idPrefix } = this.#options;
    return {
      decision: decideUnjudged(subject, judge.policy, clock.wallMs(), why),
      decisionId: `${idPrefix}-u${++this.#unjudgedCount}`,
      summary: UNJUDGED_SUMMARY,
      notUnderstood: undefined,
      localFiles: [],
      soleStatement: undefined,
    };
  }
}

/** Nothing is known of the text. */
const UNJUDGED_SUMMARY: TextSummary = {
  digest: "/* not judged */",
  isUnderstood: false,
  kinds: ["unknown"],
  tablesRead: [],
  tablesWritten: [],
  keysWritten: [],
  innerDigests: [],
  innerKinds: [],
  digestHashes: [],
  sessionEffect: "opaque",
};

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

function shortenedExecution({ execution }: LongText): Pick<LongText, "execution"> {
  return execution === undefined ? {} : { execution: { ...execution, values: execution.values.map(shortened) } };
}

/** A longer value decides nothing as a whole. A copy, because a view would take all that it is a part of along. */
function shortened(value: BoundValue): BoundValue {
  return value instanceof Uint8Array ? new Uint8Array(value.subarray(0, VALUE_BYTES_MAX + 1)) : value;
}
