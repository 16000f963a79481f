/**
 * A PostgreSQL that answers by chance: it reads message by message as PostgresMain() and CopyGetData() do, and knows of
 * each answer which message it is for. The response queue must come to the same without knowing any of that.
 */
import assert from "node:assert/strict";
import { typeByte } from "../../src/postgres/message.ts";
import { type QueuedName, ResponseQueue } from "../../src/postgres/response-queue.ts";
import { below, chosen, type Random } from "./damage.ts";

export interface ModelMessage {
  readonly name: QueuedName | "Flush" | "CopyData";
  readonly target?: "statement" | "portal";
  readonly isPoisoned: boolean;
  readonly id: number;
}

export interface ModelAnswer {
  readonly type: string;
  /** The message that it answers, or undefined for what comes at any moment. */
  readonly to: number | undefined;
}

/** What a statement that runs does next. */
type Run = "rows" | "empty" | "suspend" | "copy-in" | "copy-out" | "error";

interface Copy {
  readonly message: ModelMessage;
  failsAfter: number;
  readonly runsLeft: number;
}

export class BackendModel {
  readonly #random: Random;
  #isSkipping = false;
  #hasRun = false;
  /** The message whose COPY FROM STDIN is being read, and how much data it reads before it fails. */
  #copy: Copy | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  get isCopyIn(): boolean {
    return this.#copy !== undefined;
  }

  /** Reads one message. */
  read(message: ModelMessage): ModelAnswer[] {
    if (this.#copy !== undefined) return this.#readCopy(message, this.#copy);
    if (message.name === "Sync") {
      // What fails to commit here is what has run without an error.
      const failure = this.#hasRun && !this.#isSkipping && this.#isLikely(0.2) ? this.#say(message, "E") : [];
      this.#isSkipping = false;
      this.#hasRun = false;
      return [...failure, ...this.#say(message, "Z")];
    }
    if (this.#isSkipping || message.name === "Flush") return [];
    this.#hasRun ||= !message.name.startsWith("Copy");
    switch (message.name) {
      case "CopyData":
      case "CopyDone":
      case "CopyFail":
        return [];
      case "Query":
        return this.#readQuery(message, 1 + below(this.#random, 3));
      case "FunctionCall":
        return this.#say(message, message.isPoisoned || this.#isLikely(0.3) ? "E" : "V", "Z");
      case "Execute":
        return this.#readExecute(message);
      case "Describe":
        if (this.#isLikely(0.1)) return this.#fail(message);
        return this.#say(message, ...(message.target === "statement" ? ["t"] : []), chosen(this.#random, ["T", "n"]));
      default:
        if (message.isPoisoned || this.#isLikely(0.1)) return this.#fail(message);
        return this.#say(message, message.name === "Parse" ? "1" : message.name === "Bind" ? "2" : "3");
    }
  }

  #isLikely(probability: number): boolean {
    return this.#random() < probability;
  }

  /** The answers with now and then something in front that answers nothing. */
  #say(message: ModelMessage, ...types: readonly string[]): ModelAnswer[] {
    return types.flatMap((type) => {
      const answer = { type, to: message.id };
      return this.#isLikely(0.05) ? [{ type: chosen(this.#random, ["N", "S", "A"]), to: undefined }, answer] : [answer];
    });
  }

  #fail(message: ModelMessage): ModelAnswer[] {
    this.#isSkipping = message.name !== "Query" && message.name !== "FunctionCall";
    return this.#say(message, ...(this.#isSkipping ? ["E"] : ["E", "Z"]));
  }

  #chooseRun(isQuery: boolean): Run {
    const kinds: Run[] = ["rows", "rows", "rows", "empty", "copy-in", "copy-out", "error"];
    return chosen(this.#random, isQuery ? kinds : [...kinds, "suspend"]);
  }

  #readQuery(message: ModelMessage, runs: number): ModelAnswer[] {
    if (message.isPoisoned) return this.#fail(message);
    if (runs === 0) return this.#say(message, "Z");
    const run = this.#chooseRun(true);
    if (run === "error") return [...this.#say(message, "T"), ...this.#fail(message)];
    if (run === "copy-in") return this.#beginCopy(message, runs - 1);
    const answers = this.#answersOf(message, run === "rows" ? ["T", "D", "D", "C"] : run === "empty" ? ["I"] : []);
    return [...answers, ...this.#readQuery(message, runs - 1)];
  }

  #answersOf(message: ModelMessage, types: readonly string[]): ModelAnswer[] {
    return this.#say(message, ...(types.length === 0 ? ["H", "d", "d", "c", "C"] : types));
  }

  #readExecute(message: ModelMessage): ModelAnswer[] {
    if (message.isPoisoned) return this.#fail(message);
    const run = this.#chooseRun(false);
    if (run === "error") return [...this.#say(message, "D"), ...this.#fail(message)];
    if (run === "copy-in") return this.#beginCopy(message, 0);
    const answers = { rows: ["D", "D", "C"], empty: ["I"], suspend: ["D", "s"], "copy-out": [] } as const;
    return this.#answersOf(message, answers[run]);
  }

  #beginCopy(message: ModelMessage, runsLeft: number): ModelAnswer[] {
    const begun = this.#say(message, "G");
    // A COPY into a view fails behind its CopyInResponse and before it reads.
    if (this.#isLikely(0.2)) return [...begun, ...this.#fail(message)];
    const failsAfter = this.#isLikely(0.3) ? 1 + below(this.#random, 3) : Number.POSITIVE_INFINITY;
    this.#copy = { message, failsAfter, runsLeft };
    return begun;
  }

  #readCopy({ name }: ModelMessage, copy: Copy): ModelAnswer[] {
    if (name === "Sync" || name === "Flush") return [];
    if (name === "CopyData") {
      copy.failsAfter -= 1;
      if (copy.failsAfter > 0) return [];
      this.#copy = undefined;
      return this.#fail(copy.message);
    }
    assert.ok(name === "CopyDone" || name === "CopyFail", "a stream of the test broke the rules of COPY");
    this.#copy = undefined;
    if (name === "CopyFail" || this.#isLikely(0.1)) return this.#fail(copy.message);
    const done = this.#say(copy.message, "C");
    return copy.message.name === "Query" ? [...done, ...this.#readQuery(copy.message, copy.runsLeft)] : done;
  }
}

const WEIGHTED: readonly ModelMessage["name"][] = [
  ...(["Query", "Query", "Parse", "Parse", "Bind", "Bind", "Bind", "Describe", "Describe"] as const),
  ...(["Execute", "Execute", "Execute", "Close", "Flush", "Sync", "Sync", "Sync", "FunctionCall", "CopyData"] as const),
];

/** What a client may send next, one message at a time; copies are fed by runModel(). */
export function randomStream(random: Random): (id: number, isInCopy: boolean) => ModelMessage {
  return (id, isInCopy) => {
    const inCopy = ["CopyData", "CopyData", "CopyData", "Sync", "Flush", "CopyDone", "CopyDone", "CopyFail"] as const;
    const name = chosen(random, isInCopy ? inCopy : WEIGHTED);
    const isRefusable = ["Query", "Parse", "Bind", "Execute", "FunctionCall"].includes(name);
    const target = chosen(random, ["statement", "portal"] as const);
    return { name, isPoisoned: isRefusable && random() < 0.15, id, ...(name === "Describe" ? { target } : {}) };
  };
}

export interface ModelCounts {
  answers: number;
  /** Answers that could be for more than one message. */
  open: number;
  refusals: number;
  /** Streams that ended so. */
  uncertain: number;
}

const MESSAGES = 60;
const AHEAD_MAX = 12;

/**
 * A client that is some messages ahead of the backend, whose answers are some behind. While the backend reads a COPY the
 * client sends what belongs into one; what it had sent ahead and would end the connection there does not happen: clients
 * wait with such messages, and so must whoever forwards them.
 */
export function runModel(
  model: BackendModel,
  next: (id: number, isInCopy: boolean) => ModelMessage,
  random: Random,
  counts: ModelCounts,
  what: string,
): void {
  const queue = new ResponseQueue<ModelMessage>();
  const toBackend: ModelMessage[] = [];
  const toClient: ModelAnswer[] = [];
  let id = 0;
  const isOpenInCopy = (): boolean => {
    // A message that may begin a COPY, and everything that could be in the way of it.
    const isAllowed = ({ name }: ModelMessage): boolean => ["Sync", "Flush"].includes(name) || name.startsWith("Copy");
    return model.isCopyIn || !toBackend.every(isAllowed);
  };
  const readOne = (): void => {
    const message = toBackend.shift();
    if (message !== undefined) toClient.push(...model.read(message));
  };
  const answerOne = (): void => {
    const answer = toClient.shift();
    if (answer === undefined) return;
    const { to, isRefusal } = queue.answer(typeByte(answer.type));
    counts.answers += 1;
    const truth = answer.to;
    if (truth !== undefined && to === undefined) counts.open += 1;
    if (to !== undefined) assert.equal(to.tag.id, truth, `${what}: ${answer.type}`);
    if (isRefusal) counts.refusals += 1;
    if (to?.isPoisoned === true && answer.type === "E") assert.equal(isRefusal, true, what);
  };
  const send = (message: ModelMessage): void => {
    queue.push(message, message, message.isPoisoned);
    toBackend.push(message);
  };
  while (id < MESSAGES) {
    const step = below(random, 3);
    if (step === 0 && toBackend.length < AHEAD_MAX) {
      // Behind what may begin a COPY only what a COPY takes is sent ahead, until the backend has read it.
      const mayBeginCopy = model.isCopyIn || toBackend.some(({ name }) => name === "Query" || name === "Execute");
      send(next(id++, mayBeginCopy && isOpenInCopy()));
    } else if (step === 1) readOne();
    else answerOne();
  }
  while (toBackend.length > 0) readOne();
  if (model.isCopyIn) {
    send({ name: "CopyFail", isPoisoned: false, id: id++ });
    readOne();
  }
  send({ name: "Sync", isPoisoned: false, id: id++ });
  readOne();
  send({ name: "Query", isPoisoned: true, id: id++ });
  readOne();
  while (toClient.length > 0) answerOne();
  // What is certain must be right; what is open must have the truth among it, or an answer had been refused.
  if (queue.isCertain) assert.equal(queue.isIdle, true, what);
  else counts.uncertain += 1;
}
