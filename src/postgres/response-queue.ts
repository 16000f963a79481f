/**
 * Which forwarded message each of the backend's messages answers (manual, page protocol-flow; exec_simple_query(),
 * PostgresMain() and CopyGetData() in the sources). A count of Syncs is not enough: an error discards what stands behind
 * it up to the next Sync, and a COPY FROM STDIN swallows Syncs.
 */

import { QuerycopError } from "../base/errors.ts";
import { BACKEND_MESSAGES } from "./backend-message.ts";
import type { FrontendMessage, FrontendName } from "./frontend-message.ts";

/** Messages that are answered, and those that end a COPY. */
export type QueuedName = Exclude<FrontendName, "Flush" | "CopyData" | "AuthenticationResponse" | "Terminate">;

export interface Forwarded<Tag> {
  readonly name: QueuedName;
  /** A Describe of a statement is answered with its parameters first. */
  readonly isStatement: boolean;
  /** It was replaced by one that must fail: any other answer than an error ends the session. */
  readonly isPoisoned: boolean;
  readonly tag: Tag;
}

export interface Answer<Tag> {
  /** What is answered; undefined for what comes at any moment, and where a failed COPY leaves it open. */
  readonly to: Forwarded<Tag> | undefined;
  /** This error stands for a message that was refused: to be replaced by the reason. */
  readonly isRefusal: boolean;
}

// Where the backend is in what was forwarded to it. `at` is the message it answers next.
//
//   ready ──► described (a statement's parameters have come)
//     ├─────► completed (a statement of a Query: another or ReadyForQuery comes)
//     ├─────► copy-in, copy-out ──► completed
//     ├─────► failed (an error of a Query or FunctionCall, behind which ReadyForQuery comes)
//     └─────► skipping (an error of anything else: to the next Sync)
type Phase = "ready" | "described" | "completed" | "copy-in" | "copy-out" | "failed" | "skipping";

interface Place {
  readonly at: number;
  /** Where it goes on behind the message at `at`. */
  readonly resume: number;
  readonly phase: Phase;
  /** Something has run since the last Sync, so that the next one may fail to commit it. */
  readonly hasRun: boolean;
}

/** More than these are not kept: whoever forwards waits for answers first. */
export const FORWARDED_MAX = 65_536;
const TRIM_COUNT = 256;
/** More cases than these of a failed COPY are not followed: no client sends so many Syncs into one. */
const PLACES_MAX = 16;
/** They are answered without a Sync or Flush behind them. */
const DEMANDING: ReadonlySet<string> = new Set(["Query", "Sync", "FunctionCall", "CopyDone", "CopyFail"]);
const NOWHERE: readonly Place[] = [];
const UNASKED = { to: undefined, isRefusal: false } as const;

/**
 * A queue of what was forwarded. Usually there is one place where the backend can be. Where a COPY fails while Syncs stand
 * behind it, nobody but the backend knows which of them it had swallowed: then there is a place for each case, until its
 * further answers leave one.
 */
export class ResponseQueue<Tag> {
  readonly #forwarded: Forwarded<Tag>[] = [];
  /** Number of the first of them. */
  #first = 0;
  #places: readonly Place[] = [ready(0, false)];
  #isEnded = false;
  /** Number of the first message behind all that the backend answers unasked. */
  #demandedEnd = 0;

  /** Messages that may still be answered. */
  get length(): number {
    return this.#end - this.#firstAt;
  }

  get #firstAt(): number {
    const { length, 0: only } = this.#places;
    return length === 1 && only !== undefined ? only.at : Math.min(...this.#places.map(({ at }) => at));
  }

  /**
   * What is answered next is known. It is not where a COPY failed with Syncs in front of its end, which clients that wait
   * for its beginning never write: types of answers alone may leave that open for good.
   */
  get isCertain(): boolean {
    return this.#places.length === 1;
  }

  /** Nothing is in flight: the backend waits, and what is said here answers nothing of its own. */
  get isIdle(): boolean {
    return this.#places.every(({ at, phase }) => phase === "ready" && at === this.#end);
  }

  /** The backend may be reading a COPY: it swallows Sync and Flush and ends the connection at any other message. */
  get isCopyIn(): boolean {
    return this.#places.some(({ phase }) => phase === "copy-in");
  }

  /**
   * The backend owes an answer: what it has for others it keeps until a Flush or Sync, and in a COPY it reads until the
   * client has ended that.
   */
  get owesAnswer(): boolean {
    if (this.isIdle || this.#firstAt >= this.#demandedEnd) return false;
    return !this.isCopyIn || this.#forwarded.slice(this.#firstAt - this.#first).some(isCopyEnd);
  }

  /** What is forwarded next is thrown away by the backend, up to a Sync. */
  get isDiscarding(): boolean {
    return this.#places.every(({ at, phase }) => phase === "skipping" && at === this.#end);
  }

  /** To be called for every message in the order in which they go to the backend. RangeError above FORWARDED_MAX. */
  push(message: Pick<FrontendMessage, "name">, tag: Tag, isPoisoned = false): void {
    const { name } = message;
    if (name === "Flush") this.demand();
    if (name === "Flush" || name === "CopyData" || name === "AuthenticationResponse" || name === "Terminate") return;
    if (this.#forwarded.length >= FORWARDED_MAX + TRIM_COUNT) {
      throw new RangeError(`Cannot keep more than ${FORWARDED_MAX} messages without an answer`);
    }
    const isStatement = name === "Describe" && "target" in message && message.target === "statement";
    this.#forwarded.push({ name, isStatement, isPoisoned, tag });
    if (DEMANDING.has(name)) this.demand();
    const { length, 0: only } = this.#places;
    // Most often nothing is passed over: neither is anything discarded nor is this the end of a COPY.
    if (length === 1 && only?.phase === "ready" && name !== "CopyDone" && name !== "CopyFail") return;
    if (this.#places.some(({ at }) => at === this.#end - 1)) {
      this.#places = this.#places.map((place) => this.#settled(place));
      this.#trim();
    }
  }

  /** What is answered next, as far as that is known. */
  get head(): Forwarded<Tag> | undefined {
    return this.#message(this.#firstAt);
  }

  /** Answers to all that was pushed were asked for. */
  demand(): void {
    this.#demandedEnd = this.#end;
  }

  /**
   * What a message of the backend answers. Throws QC_BACKEND_PROTOCOL for one that answers nothing that was forwarded,
   * for a poisoned message that did not fail, for a CopyBothResponse, and for the error of a COPY into which 16 Syncs or
   * more were sent. An error is fatal where its severity is FATAL
   * or PANIC: it ends everything and may come at any moment.
   */
  answer(type: number, isFatal = false): Answer<Tag> {
    const row = BACKEND_MESSAGES[type];
    if (this.#isEnded) throw violation(`a message of type ${type} behind a fatal error`);
    if (row === undefined) throw violation(`a message of type ${type}`);
    if (row.isAnytime) return UNASKED;
    if (row.type === "E" && isFatal) {
      this.#isEnded = true;
      return UNASKED;
    }
    const before = this.#places;
    const [only] = before;
    let answered: Forwarded<Tag> | undefined;
    if (before.length === 1 && only !== undefined) {
      answered = this.#message(only.at);
      this.#places = this.#settledAll(this.#step(only, row.type));
    } else {
      const steps = before.map((place) => this.#step(place, row.type));
      const answering = before.filter((_, index) => (steps[index] ?? NOWHERE).length > 0);
      const named = new Set(answering.map((place) => this.#message(place.at)));
      answered = named.size === 1 ? [...named][0] : undefined;
      this.#places = distinct(steps.flat().map((place) => this.#settled(place)));
    }
    if (this.#places.length === 0) throw violation(`${row.name} where nothing that was forwarded is answered so`);
    this.#trim();
    return { to: answered, isRefusal: row.type === "E" && answered?.isPoisoned === true };
  }

  #settledAll(places: readonly Place[]): readonly Place[] {
    const [only] = places;
    if (places.length !== 1 || only === undefined) return places.map((place) => this.#settled(place));
    const settled = this.#settled(only);
    return settled === only ? places : [settled];
  }

  get #end(): number {
    return this.#first + this.#forwarded.length;
  }

  #message(at: number): Forwarded<Tag> | undefined {
    return this.#forwarded[at - this.#first];
  }

  /**
   * The place without what the backend passes over there: the ends of a COPY that does not run, and everything up to a
   * Sync behind an error. No message is looked at twice for it.
   */
  #settled(place: Place): Place {
    const isPassed = place.phase === "ready" ? isCopyEnd : place.phase === "skipping" ? isNoSync : undefined;
    if (isPassed === undefined) return place;
    let at = place.at;
    while (at < this.#end && isPassed(this.#message(at))) at++;
    return at === place.at ? place : { ...place, at, resume: at + 1 };
  }

  /** Where the backend can be behind this message of it, if it was at `place`. */
  #step(place: Place, type: string): readonly Place[] {
    const message = this.#message(place.at);
    if (message === undefined) return NOWHERE;
    if (place.phase === "skipping") return type === "Z" ? [ready(place.resume, false)] : NOWHERE;
    // SAFETY: what was refused must fail. Anything else means that something else than the poison has run.
    if (message.isPoisoned && type !== "E" && place.phase !== "failed") return NOWHERE;
    switch (message.name) {
      case "Query":
        return this.#stepQuery(place, type);
      case "Execute":
        return this.#stepExecute(place, type);
      case "FunctionCall":
        return stepFunctionCall(place, type);
      case "Sync":
        return stepSync(place, type);
      default:
        return stepPreparing(place, type, message);
    }
  }

  #stepQuery(place: Place, type: string): readonly Place[] {
    if (type === "Z")
      return place.phase === "completed" || place.phase === "failed" ? [ready(place.resume, true)] : NOWHERE;
    if (place.phase === "failed") return NOWHERE;
    if (type === "I" && isBetween(place)) return [{ ...place, phase: "completed" }];
    if (type !== "E") return this.#stepRows(place, type, ["T", "D"]);
    if (place.phase !== "copy-in") return [{ ...place, phase: "failed" }];
    return this.#swallowed(place.resume).map((resume) => ({ ...place, resume, phase: "failed" }));
  }

  #stepExecute(place: Place, type: string): readonly Place[] {
    if (type === "I" || type === "s") return place.phase === "ready" ? [ready(place.resume, true)] : NOWHERE;
    if (type === "E") {
      const from = place.phase === "copy-in" ? this.#swallowed(place.resume) : [place.resume];
      return from.map(skipping);
    }
    const next = this.#stepRows(place, type, ["D"]);
    return type === "C" ? next.map(({ resume }) => ready(resume, true)) : next;
  }

  /** What a statement that runs answers with, up to its CommandComplete, behind which a Query may have another. */
  #stepRows(place: Place, type: string, plain: readonly string[]): readonly Place[] {
    if (type === "C") {
      const resume = place.phase === "copy-in" ? this.#behindCopyEnd(place.resume) : place.resume;
      return resume === undefined ? NOWHERE : [{ ...place, resume, phase: "completed" }];
    }
    if (place.phase === "copy-out") return type === "d" || type === "c" ? [place] : NOWHERE;
    if (!isBetween(place)) return NOWHERE;
    if (type === "G") return [{ ...place, phase: "copy-in" }];
    if (type === "H") return [{ ...place, phase: "copy-out" }];
    return plain.includes(type) ? [place] : NOWHERE;
  }

  /** A COPY that succeeds has read up to its CopyDone, and swallowed every Sync on the way. */
  #behindCopyEnd(from: number): number | undefined {
    for (let at = from; at < this.#end; at++) {
      const message = this.#message(at);
      if (message?.name === "CopyDone") return at + 1;
      if (message?.name !== "Sync") return undefined;
    }
    return undefined;
  }

  /** A COPY that fails has swallowed none, one … or all of the Syncs in front of its end. */
  #swallowed(from: number): number[] {
    const places = [from];
    for (let at = from; this.#message(at)?.name === "Sync"; at++) {
      if (places.length === PLACES_MAX)
        throw violation(`an error of a COPY with ${PLACES_MAX} Syncs or more in front of its end`);
      places.push(at + 1);
    }
    return places;
  }

  #trim(): void {
    const done = this.#firstAt - this.#first;
    if (done === this.#forwarded.length) this.#forwarded.length = 0;
    else if (done < TRIM_COUNT) return;
    else this.#forwarded.splice(0, done);
    this.#first += done;
  }
}

function ready(at: number, hasRun: boolean): Place {
  return { at, resume: at + 1, phase: "ready", hasRun };
}

function skipping(at: number): Place {
  return { at, resume: at + 1, phase: "skipping", hasRun: false };
}

function isBetween({ phase }: Place): boolean {
  return phase === "ready" || phase === "completed";
}

function isCopyEnd(message: Forwarded<unknown> | undefined): boolean {
  return message?.name === "CopyDone" || message?.name === "CopyFail";
}

function isNoSync(message: Forwarded<unknown> | undefined): boolean {
  return message?.name !== "Sync";
}

function stepFunctionCall(place: Place, type: string): readonly Place[] {
  if (type === "V") return [place];
  if (type === "E") return [{ ...place, phase: "failed" }];
  return type === "Z" ? [ready(place.resume, true)] : NOWHERE;
}

/** A commit may fail here, and then nothing is skipped. */
function stepSync(place: Place, type: string): readonly Place[] {
  if (type === "E") return place.hasRun ? [{ ...place, hasRun: false }] : NOWHERE;
  return type === "Z" ? [ready(place.resume, false)] : NOWHERE;
}

/** Parse, Bind, Describe and Close: one answer each, but for a statement's description. */
function stepPreparing(place: Place, type: string, { name, isStatement }: Forwarded<unknown>): readonly Place[] {
  if (type === "E") return [skipping(place.resume)];
  if (name === "Describe") {
    const isFirstOfTwo = isStatement && place.phase === "ready";
    if (isFirstOfTwo) return type === "t" ? [{ ...place, phase: "described" }] : NOWHERE;
    return type === "T" || type === "n" ? [ready(place.resume, true)] : NOWHERE;
  }
  const wanted = name === "Parse" ? "1" : name === "Bind" ? "2" : name === "Close" ? "3" : "";
  return type === wanted ? [ready(place.resume, true)] : NOWHERE;
}

function distinct(places: readonly Place[]): Place[] {
  const seen = new Map(places.map((place) => [`${place.at} ${place.resume} ${place.phase} ${place.hasRun}`, place]));
  return [...seen.values()];
}

function violation(found: string): QuerycopError {
  return new QuerycopError("QC_BACKEND_PROTOCOL", `Cannot follow the backend's answers: it sent ${found}`);
}
