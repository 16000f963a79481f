/**
 * Runs checks: each as soon as what it needs has come out well, independent ones at the same time, each in bounded time.
 *
 *   needs failed ──► skip      threw ──► fail, a bug in doctor      took too long ──► fail
 */
import { redactSecrets } from "../base/redact.ts";
import { matchesWildcards } from "../base/wildcards.ts";
import type { BackendEngine } from "../config/schema.ts";
import {
  type Check,
  docsOf,
  type Finding,
  fail,
  type ListenerCheck,
  type ListenerContext,
  type ProcessContext,
  skip,
} from "./check.ts";
import type { CheckResult } from "./report.ts";

export interface RunOptions {
  readonly checks: readonly Check[];
  readonly process: ProcessContext;
  readonly listeners: readonly ListenerContext[];
  /** Glob over ids; undefined for all. What a chosen check needs is run as well and shown when it fails. */
  readonly only?: string | undefined;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
const DETAIL_CHARS_MAX = 4000;

interface Outcome {
  readonly finding: Finding;
  /** The first check that failed on the way here, itself included. */
  readonly failed: string | undefined;
}

/** In the order of `checks`: those of the process first, then listener by listener. */
export async function runChecks(options: RunOptions): Promise<CheckResult[]> {
  const groups = [undefined, ...options.listeners].map((listener) => new CheckGroup(options, listener));
  const [first, ...rest] = groups;
  for (const group of rest) group.parent = first;
  try {
    for (const group of groups) group.start();
    const results = await Promise.all(groups.map((group) => group.results()));
    return results.flat();
  } finally {
    for (const { probe } of options.listeners) probe.close();
  }
}

/** The checks of the process, or of one listener. */
class CheckGroup {
  readonly #options: RunOptions;
  readonly #listener: ListenerContext | undefined;
  readonly #outcomes: Map<string, Promise<Outcome>> = new Map();
  parent: CheckGroup | undefined;

  constructor(options: RunOptions, listener: ListenerContext | undefined) {
    this.#options = options;
    this.#listener = listener;
  }

  start(): void {
    for (const check of this.#own) if (this.#isChosen(check)) void this.outcome(check.id);
  }

  /** Call it when all groups have been started. */
  async results(): Promise<CheckResult[]> {
    const results: CheckResult[] = [];
    for (const check of this.#own) {
      const outcome = await this.#outcomes.get(check.id);
      if (outcome === undefined || (!this.#isChosen(check) && outcome.finding.status !== "fail")) continue;
      const { id, title } = check;
      const listener = this.#listener?.listener.name;
      results.push({ id, title, ...(listener === undefined ? {} : { listener }), ...outcome.finding });
    }
    return results;
  }

  /** The outcome of a check of this group or of the process; each is run once. */
  outcome(id: string): Promise<Outcome> {
    const check = this.#options.checks.find((candidate) => candidate.id === id);
    if (check === undefined) throw new Error(`no check ${id}`);
    if (!this.#owns(check)) return this.parent?.outcome(id) ?? Promise.reject(new Error(`no group for ${id}`));
    const known = this.#outcomes.get(id);
    if (known !== undefined) return known;
    const outcome = this.#run(check);
    this.#outcomes.set(id, outcome);
    return outcome;
  }

  get #own(): readonly Check[] {
    return this.#options.checks.filter((check) => this.#owns(check));
  }

  #isChosen({ id }: Check): boolean {
    const { only } = this.#options;
    return only === undefined || matchesWildcards(only, id);
  }

  #owns(check: Check): boolean {
    return (check.scope === "listener") === (this.#listener !== undefined);
  }

  async #run(check: Check): Promise<Outcome> {
    const needed = await Promise.all(check.needs.map((id) => this.outcome(id)));
    const failed = needed.find((outcome) => outcome.failed !== undefined)?.failed;
    if (failed !== undefined) return { finding: skip(`needs ${failed}`), failed };
    const finding = presentable(await this.#runBounded(check));
    return { finding, failed: finding.status === "fail" ? check.id : undefined };
  }

  async #runBounded(check: Check): Promise<Finding> {
    const timeoutMs = this.#timeoutOf(check);
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<Finding>((resolve) => {
      timer = setTimeout(() => {
        resolve(fail(`no result within ${timeoutMs} ms`));
        stop.abort();
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.#start(check, stop.signal), late]);
    } catch (thrown) {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      return fail(`this is a bug in doctor: ${text}`, {
        text: "Report it with the output of querycop version.",
        commands: ["querycop version --json"],
        docs: docsOf(check.id),
      });
    } finally {
      clearTimeout(timer);
    }
  }

  #timeoutOf(check: Check): number {
    const own = check.scope === "listener" && this.#listener !== undefined ? check.timeoutMs?.(this.#listener) : 0;
    return Math.max(own ?? 0, this.#options.timeoutMs ?? TIMEOUT_MS);
  }

  async #start(check: Check, signal: AbortSignal): Promise<Finding> {
    if (check.scope === "process") return await check.run(this.#options.process, signal);
    if (this.#listener === undefined) throw new Error(`${check.id} is a check of a listener`);
    const run = runFor(check, this.#listener.listener.backend.engine);
    return "skip" in run ? skip(run.skip) : await run(this.#listener, signal);
  }
}

/** No check speaks a protocol that the backend does not. */
function runFor({ run, onPostgres }: ListenerCheck, engine: BackendEngine): Exclude<typeof onPostgres, "same"> {
  return engine === "mysql" || onPostgres === "same" ? run : onPostgres;
}

/** Details quote servers, resolvers and commands: nothing in them may steer a terminal or be a secret. */
function presentable(finding: Finding): Finding {
  return { ...finding, detail: printable(redactSecrets(finding.detail)).slice(0, DETAIL_CHARS_MAX) };
}

/** Every control character but the line feed, and what reverses the direction of text, becomes a question mark. */
function printable(text: string): string {
  let shown = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const isControl = (code < 0x20 && code !== 0x0a) || (code >= 0x7f && code < 0xa0);
    const isDirection = (code >= 0x200e && code <= 0x200f) || (code >= 0x202a && code <= 0x202e);
    const isIsolate = (code >= 0x2066 && code <= 0x2069) || code === 0x2028 || code === 0x2029;
    shown += isControl || isDirection || isIsolate ? "?" : character;
  }
  return shown;
}
