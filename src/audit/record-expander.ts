/** Whole records out of the lines of a file, where those of statements stand in short. */
import { AUDIT_EVENTS } from "./audit-event.ts";
import { asciiJson, hashOf } from "./audit-record.ts";
import { isInShort, KEPT_CHARACTERS_MAX, KEPT_PARTS_MAX, SHORT_NAMES } from "./compact-record.ts";

/** A record as parsed JSON. */
export type ReadRecord = Readonly<Record<string, unknown>>;

/** The line of the same file with this `seq`. */
export type FindLine = (seq: number) => Promise<string | undefined>;

const LONG_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(SHORT_NAMES).map(([long, short]) => [short, long]),
);

interface KeptParts {
  readonly session: ReadRecord | undefined;
  readonly shared: ReadRecord | undefined;
  readonly characters: number;
}

/** Reads the lines of one file, in any order. */
export class RecordExpander {
  readonly #find: FindLine | undefined;
  /** By `seq`, those that came first at the front. */
  readonly #parts = new Map<number, KeptParts>();
  #characters = 0;

  /** Without `find` the lines are read as they were written, from the first one on: what was before is known then. */
  constructor(find?: FindLine) {
    this.#find = find;
  }

  /**
   * The record that a line stands for: a promise where another line of the file has a part of it, undefined for what is no
   * record. One that was read out of a record in short has no `hash` yet: see withHash().
   */
  read(line: string): ReadRecord | Promise<ReadRecord | undefined> | undefined {
    const parsed = parseRecord(line);
    if (parsed === undefined) return undefined;
    if ("type" in parsed) {
      if (parsed["type"] === "segment-start") this.#forget();
      return parsed;
    }
    const { seq } = parsed;
    const session = parsed[SHORT_NAMES.session];
    const shared = parsed[SHORT_NAMES.shared];
    if (typeof seq !== "number") return undefined;
    if (typeof session === "object" || typeof shared === "object") {
      this.#keep(seq, { session: objectOf(session), shared: objectOf(shared), characters: line.length });
    }
    const ownSession = objectOf(session) ?? this.#parts.get(Number(session))?.session;
    const ownShared = objectOf(shared) ?? this.#parts.get(Number(shared))?.shared;
    if (ownSession !== undefined && ownShared !== undefined) return wholeOf(parsed, ownSession, ownShared);
    return this.#find === undefined ? undefined : this.#readFound(parsed, ownSession, ownShared, this.#find);
  }

  async #readFound(
    parsed: ReadRecord,
    session: ReadRecord | undefined,
    shared: ReadRecord | undefined,
    find: FindLine,
  ): Promise<ReadRecord | undefined> {
    const sought = session ?? (await this.#partsOf(parsed[SHORT_NAMES.session], find))?.session;
    const soughtShared = shared ?? (await this.#partsOf(parsed[SHORT_NAMES.shared], find))?.shared;
    return sought && soughtShared && wholeOf(parsed, sought, soughtShared);
  }

  async #partsOf(seq: unknown, find: FindLine): Promise<KeptParts | undefined> {
    if (typeof seq !== "number") return undefined;
    const kept = this.#parts.get(seq);
    if (kept !== undefined) return kept;
    const line = await find(seq);
    const parsed = line === undefined ? undefined : parseRecord(line);
    if (line === undefined || parsed?.["seq"] !== seq || "type" in parsed) return undefined;
    const session = objectOf(parsed[SHORT_NAMES.session]);
    const shared = objectOf(parsed[SHORT_NAMES.shared]);
    const parts = { session, shared, characters: line.length };
    this.#keep(seq, parts);
    return parts;
  }

  #keep(seq: number, parts: KeptParts): void {
    if (this.#parts.has(seq)) return;
    this.#parts.set(seq, parts);
    this.#characters += parts.characters;
    // In bulk: to find the first one of a map whose first ones were deleted one by one takes as long as there were many.
    if (this.#parts.size <= 2 * KEPT_PARTS_MAX && this.#characters <= 2 * KEPT_CHARACTERS_MAX) return;
    for (const [oldest, { characters }] of this.#parts) {
      if (this.#parts.size <= KEPT_PARTS_MAX && this.#characters <= KEPT_CHARACTERS_MAX) return;
      this.#parts.delete(oldest);
      this.#characters -= characters;
    }
  }

  #forget(): void {
    this.#parts.clear();
    this.#characters = 0;
  }
}

export function parseRecord(line: string): ReadRecord | undefined {
  try {
    return objectOf(JSON.parse(line));
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): ReadRecord | undefined {
  return typeof value === "object" && value !== null ? (value as ReadRecord) : undefined;
}

/** The fields in the order of the event's table, as in a record that was written whole. */
function wholeOf(parsed: ReadRecord, session: ReadRecord, shared: ReadRecord): ReadRecord {
  const { seq, time } = parsed;
  const fields: Record<string, unknown> = { ...shared, session };
  for (const [name, value] of Object.entries(parsed)) {
    const long = LONG_NAMES.get(name) ?? name;
    if (long !== "session" && long !== "shared" && long !== "hash") fields[long] = value;
  }
  const type = String(shared["type"]);
  const ordered: Record<string, unknown> = { seq, time, type };
  for (const name of fieldNamesOf(type)) if (fields[name] !== undefined) ordered[name] = fields[name];
  return Object.assign(ordered, fields);
}

function fieldNamesOf(type: string): readonly string[] {
  return FIELD_NAMES.get(type) ?? [];
}

const FIELD_NAMES: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries(AUDIT_EVENTS).map(([type, { fields }]) => [type, Object.keys(fields)]),
);

/**
 * With a `hash` of its own, by which records can be told apart: that of the whole record's line, as `hash` always is. The
 * file has another one there, which chains several.
 */
export function withHash(record: ReadRecord): ReadRecord {
  return "hash" in record ? record : { ...record, hash: hashOf(bodyOf(record)) };
}

/** The line that the record of a line would have been, without its newline; `line` itself where it was written whole. */
export function wholeLine(record: ReadRecord | undefined, line: string): string {
  if (record === undefined || !isInShort(line)) return line;
  const body = bodyOf(record);
  return `${body},"hash":"${hashOf(body)}"}`;
}

function bodyOf(record: ReadRecord): string {
  return asciiJson(JSON.stringify(record)).slice(0, -1);
}

const SEGMENT_START = '"type":"segment-start"';

/** Whole lines for the lines of a log that are read from their beginning, such as one that is piped in. Others pass as they are. */
export async function* wholeLines(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let expander = new RecordExpander();
  let lastSeq = 0;
  for await (const line of lines) {
    if (isInShort(line)) {
      const seq = Number.parseInt(line.slice('{"seq":'.length), 10);
      // SAFETY: another run's numbers, where the line that begins it was left out, are not the ones referred to.
      if (!(seq > lastSeq)) expander = new RecordExpander();
      lastSeq = seq;
    }
    const record = isInShort(line) || line.includes(SEGMENT_START) ? expander.read(line) : undefined;
    yield wholeLine(record instanceof Promise ? undefined : record, line);
  }
}
