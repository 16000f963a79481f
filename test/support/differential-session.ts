/** One session of the session differential: sends a list's commands and looks at what comes back. */
import { type BoundValue, packetsOf, type SessionList, type Step } from "./differential-lists.ts";
import { bytesOf } from "./differential-text.ts";
import { CAPABILITY, type RawClient, type WirePacket } from "./raw-client.ts";

/** In cells that no answer may hold. */
export const MARKS = ["QCSECRETDATA", "QCPASSWORD", "QCOTHERTENANT"];

/** Also where character_set_results has two bytes for a letter. */
const MARK_BYTES = MARKS.flatMap((mark) => [Buffer.from(mark), Buffer.from(mark, "utf16le").swap16()]);

export const PASSWORD = "Passw0rd:differential";
const COM = {
  initDb: 0x02,
  query: 0x03,
  prepare: 0x16,
  execute: 0x17,
  longData: 0x18,
  close: 0x19,
  option: 0x1b,
  reset: 0x1f,
} as const;
const LONGLONG = 8;
const VAR_STRING = 253;
const ER_UNKNOWN_CHARACTER_SET = 1115;
const ER_READ_ONLY_TRANSACTION = 1792;

export interface Outcome {
  /** What was denied and happened all the same; or the session ended before its list. */
  readonly effect: "none" | "read" | "changed" | "lost";
  /** The step whose answer held what is denied. */
  readonly at?: Step;
  readonly commands: number;
  /** What querycop refused. */
  readonly refused: readonly Step[];
  /** Refused by the server. */
  readonly errors: number;
  /** Changes that the server alone refused, because querycop made the session's transactions read-only. */
  readonly held: number;
  readonly isLoginRefused: boolean;
}

export const NO_LOGIN: Outcome = { effect: "none", commands: 0, refused: [], errors: 0, held: 0, isLoginRefused: true };

function longlong(value: string): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(Number.parseInt(value, 10)));
  return bytes;
}

type TextStep = Extract<Step, { readonly do: "query" | "binary" }>;

/** The queries that follow each other from here. */
function queriesAt(steps: readonly Step[], from: number): TextStep[] {
  const queries: TextStep[] = [];
  for (const step of steps.slice(from)) {
    if (step.do !== "query") break;
    queries.push(step);
  }
  return queries;
}

/** One session of a user, and what came back. */
export class ListSession {
  readonly #client: RawClient;
  readonly #user: string;
  #commands = 0;
  readonly #refused: Step[] = [];
  #errors = 0;
  #held = 0;
  #isLost = false;
  #leak: Step | undefined;

  constructor(client: RawClient, user: string) {
    this.#client = client;
    this.#user = user;
  }

  async logIn({ characterSet, schema, tracksSession }: SessionList): Promise<boolean> {
    const moreCapabilities = CAPABILITY.MULTI_STATEMENTS | (tracksSession ? CAPABILITY.SESSION_TRACK : 0);
    const login = { user: this.#user, password: PASSWORD, characterSet, moreCapabilities };
    try {
      await this.#client.login(schema === "" ? login : { ...login, database: schema });
      return true;
    } catch (error) {
      const { errorNumber } = error as { errorNumber?: number };
      if (errorNumber === ER_UNKNOWN_CHARACTER_SET) return false;
      throw new Error(`Logging in with charset ${characterSet} to schema ${schema}`, { cause: error });
    }
  }

  async runAll(list: SessionList): Promise<void> {
    const steps = packetsOf(list);
    try {
      for (let at = 0; at < steps.length; ) {
        const queries = list.isPipelined ? queriesAt(steps, at) : [];
        if (queries.length > 1) await this.#sendTogether(queries);
        else {
          const step = steps[at] as Step;
          this.#note(await this.#send(step), step);
        }
        at += Math.max(1, queries.length);
      }
    } catch (error) {
      if (!this.#client.isAtEnd) throw error;
      this.#isLost = true;
    }
  }

  async #sendTogether(steps: readonly TextStep[]): Promise<void> {
    for (const { text } of steps) this.#client.writeCommand(COM.query, bytesOf(text));
    for (const step of steps) this.#note(await this.#client.readAnswer(), step);
  }

  async #send(step: Step): Promise<readonly WirePacket[]> {
    const client = this.#client;
    switch (step.do) {
      case "query":
        return await client.ask(COM.query, bytesOf(step.text));
      case "binary":
        return await this.#sendBinary(bytesOf(step.text));
      case "bound":
        return await this.#sendBound(step.text, step.values);
      case "schema":
        return await client.ask(COM.initDb, bytesOf(step.schema));
      case "reset":
        return await client.ask(COM.reset);
      case "option": {
        client.writeCommand(COM.option, Buffer.from([1 - step.value, 0]));
        return [await client.readPacket()];
      }
      case "change user": {
        const { characterSet, schema, hasPassword } = step;
        const login = { user: this.#user, password: hasPassword ? PASSWORD : "wrong", characterSet, database: schema };
        // Refused: the session goes on as it was, or the next command finds it ended.
        await client.changeUser(login).catch((error: unknown) => {
          if ((error as { errorNumber?: number }).errorNumber === undefined) throw error;
        });
        return [];
      }
    }
  }

  async #sendBinary(sql: Uint8Array): Promise<readonly WirePacket[]> {
    const client = this.#client;
    const prepared = await client.prepare(sql);
    const head = prepared[0]?.payload;
    if (head === undefined || head[0] === 0xff) return prepared;
    const id = head.subarray(1, 5);
    if (head.readUInt16LE(7) > 0) return prepared;
    const answer = await client.ask(COM.execute, Buffer.concat([id, Buffer.from([0, 1, 0, 0, 0])]));
    client.writeCommand(COM.close, id);
    return [...prepared, ...answer];
  }

  async #sendBound(text: string, values: readonly BoundValue[]): Promise<readonly WirePacket[]> {
    const client = this.#client;
    const packets = await client.prepare(bytesOf(text));
    const head = packets[0]?.payload;
    if (head === undefined || head[0] === 0xff) return packets;
    const id = head.subarray(1, 5);
    let type = VAR_STRING;
    for (const [index, { value, as }] of values.entries()) {
      if (as === "long data") {
        client.writeCommand(COM.longData, Buffer.concat([id, Buffer.from([0, 0]), bytesOf(value)]));
        type = VAR_STRING;
      } else if (as === "number") type = LONGLONG;
      else if (as === "string") type = VAR_STRING;
      const data =
        as === "long data" ? [] : type === LONGLONG ? [longlong(value)] : [Buffer.from([value.length]), bytesOf(value)];
      const types = as === "without type" && index > 0 ? [0] : [1, type, 0];
      const body = Buffer.concat([id, Buffer.from([0, 1, 0, 0, 0, 0, ...types]), ...data]);
      packets.push(...(await client.ask(COM.execute, body)));
    }
    client.writeCommand(COM.close, id);
    return packets;
  }

  #note(packets: readonly WirePacket[], step: Step): void {
    this.#commands += step.do === "query" ? step.text.split("; ").length : 1;
    for (const { payload } of packets) {
      if (payload[0] === 0xff) {
        if (payload.includes("querycop")) this.#refused.push(step);
        else this.#errors += 1;
        if (payload.readUInt16LE(1) === ER_READ_ONLY_TRANSACTION) this.#held += 1;
      }
      if (MARK_BYTES.some((mark) => payload.includes(mark))) this.#leak ??= step;
    }
  }

  outcome(isChanged: boolean): Outcome {
    const leak = this.#leak;
    return {
      effect: leak !== undefined ? "read" : isChanged ? "changed" : this.#isLost ? "lost" : "none",
      ...(leak === undefined ? {} : { at: leak }),
      commands: this.#commands,
      refused: this.#refused,
      errors: this.#errors,
      held: this.#held,
      isLoginRefused: false,
    };
  }
}
