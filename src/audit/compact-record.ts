/**
 * Records of statements in short, as files keep them:
 *
 *   {"seq":7,"time":"…Z","s":{<session>},"e":{<shared>},"n":3,"tb":35,"th":"…","d":"1f3a9c02-1"}
 *   {"seq":9,"time":"…Z","s":7,"e":7,"n":4,"tb":36,"th":"…","d":"1f3a9c02-2","hash":"…"}
 *
 * `s` is the session and `e` what the statement has in common with others of its shape, its type, text, tables and decision
 * among it: the first time in a file as an object, later as the `seq` of the record in the same file that has it. All
 * other fields are the record's own, where both have one the own counts. docs/decisions/0019-compact-records.md says why.
 */
import type { AuditEvent, AuditEventOf, AuditSession } from "./audit-event.ts";
import { asciiJson, RECORD_BYTES_MAX, recordHead } from "./audit-record.ts";

/** Names of fields that each record of a statement has. */
export const SHORT_NAMES = {
  session: "s",
  shared: "e",
  ordinal: "n",
  textBytes: "tb",
  textHash: "th",
  decisionId: "d",
  bytes: "b",
  durationUs: "us",
} as const;

/** So many records with parts may be referred to, and so long they are together: then all parts are written anew. */
const PARTS_MAX = 16_384;
const PART_CHARACTERS_MAX = 8 << 20;
/** What a reader keeps of a file, so that it always has what may be referred to. */
export const KEPT_PARTS_MAX = PARTS_MAX + 1;
export const KEPT_CHARACTERS_MAX = PART_CHARACTERS_MAX + RECORD_BYTES_MAX;

/** Ways in which the same text is recorded: others of the session's state, another policy. */
const WAYS_MAX = 8;

type IntentEvent = AuditEventOf<"statement-intent">;
type OutcomeEvent = AuditEventOf<"statement-outcome">;
export type StatementEvent = IntentEvent | OutcomeEvent;

/** Records of these types may stand in short. */
export const STATEMENT_TYPES: ReadonlySet<string> = new Set(["statement-intent", "statement-outcome"]);

/** Those that are written for each statement. */
export function isStatementEvent(event: AuditEvent): event is StatementEvent {
  return event.type === "statement-intent" || event.type === "statement-outcome";
}

/** No longer than the head of a record. */
const HEAD_CHARACTERS_MAX = 72;
const SESSION_KEY = `,"${SHORT_NAMES.session}":`;

/** Whether a line of a file is a record in short. */
export function isInShort(line: string): boolean {
  const at = line.indexOf(SESSION_KEY);
  return at > 0 && at < HEAD_CHARACTERS_MAX;
}

type SharedFields = Omit<
  IntentEvent,
  | "session"
  | "ordinal"
  | "textBytes"
  | "textHash"
  | "decisionId"
  | "statementId"
  | "boundRows"
  | "sealedText"
  | "estimatedRows"
  | "approvalId"
  | "approver"
>;

interface KnownShape {
  readonly shared: SharedFields;
  readonly seq: number;
}

/** Of one file: what was written there already. */
export class CompactEncoder {
  #sessions = new WeakMap<AuditSession, number>();
  readonly #sessionTexts = new Map<string, number>();
  readonly #shapes = new Map<string, KnownShape[]>();
  readonly #ends = new Map<string, number>();
  #parts = 0;
  #characters = 0;

  /** What follows refers to nothing before. */
  forget(): void {
    this.#sessions = new WeakMap();
    this.#sessionTexts.clear();
    this.#shapes.clear();
    this.#ends.clear();
    this.#parts = 0;
    this.#characters = 0;
  }

  /** The line without its closing brace; undefined where it would be too long for one. */
  encode(event: StatementEvent, seq: number, timeMs: number): string | undefined {
    const parts = this.#parts;
    const session = this.#session(event.session, seq);
    const own = event.type === "statement-intent" ? this.#intent(event, seq) : this.#outcome(event, seq);
    const line = `${recordHead(seq, timeMs)}"s":${session},${own}`;
    if (this.#parts === parts) return line;
    this.#characters += line.length;
    const isTooLong = line.length > RECORD_BYTES_MAX / 2;
    // SAFETY: whoever reads the file keeps so much of it and no more.
    if (isTooLong || this.#parts > PARTS_MAX || this.#characters > PART_CHARACTERS_MAX) this.forget();
    return isTooLong ? undefined : line;
  }

  #session(session: AuditSession, seq: number): string | number {
    const known = this.#sessions.get(session);
    if (known !== undefined) return known;
    const text = asciiJson(JSON.stringify(session));
    const alike = this.#sessionTexts.get(text);
    this.#sessions.set(session, alike ?? seq);
    if (alike !== undefined) return alike;
    this.#sessionTexts.set(text, seq);
    this.#parts++;
    return text;
  }

  #intent(event: IntentEvent, seq: number): string {
    const { textBytes, textHash, decisionId, statementId, boundRows } = event;
    let text = `"e":${this.#shape(event, seq)},"n":${event.ordinal}`;
    if (statementId !== undefined) text += `,"statementId":${statementId}`;
    if (boundRows !== undefined) text += `,"boundRows":${boundRows}`;
    if (textBytes !== undefined) text += `,"tb":${textBytes}`;
    // Both are words of ours, of ASCII.
    if (textHash !== undefined) text += `,"th":${JSON.stringify(textHash)}`;
    if (decisionId !== undefined) text += `,"d":${JSON.stringify(decisionId)}`;
    const { sealedText, estimatedRows, approvalId, approver } = event;
    if ((sealedText ?? estimatedRows ?? approvalId ?? approver) === undefined) return text;
    const rare = asciiJson(JSON.stringify({ sealedText, estimatedRows, approvalId, approver }));
    return `${text},${rare.slice(1, -1)}`;
  }

  #shape(event: IntentEvent, seq: number): string | number {
    const { text = "" } = event;
    const ways = this.#shapes.get(text);
    for (const known of ways ?? []) if (isAlike(known.shared, event)) return known.seq;
    const shared = sharedOf(event);
    if (ways === undefined) this.#shapes.set(text, [{ shared, seq }]);
    else {
      if (ways.length === WAYS_MAX) ways.shift();
      ways.push({ shared, seq });
    }
    this.#parts++;
    return asciiJson(JSON.stringify(shared));
  }

  #outcome(event: OutcomeEvent, seq: number): string {
    const { outcome, errorNumber, sqlState, resultSets, warnings, limit, rows, affectedRows, jobId } = event;
    // Few values come again and again; one that is large is the record's own.
    const few = { rows: fewOf(rows), affectedRows: fewOf(affectedRows), resultSets: fewOf(resultSets) };
    const told = fewOf(warnings);
    const key = `${outcome} ${errorNumber} ${sqlState} ${limit} ${told} ${few.rows} ${few.affectedRows} ${few.resultSets}`;
    let end: string | number | undefined = this.#ends.get(key);
    if (end === undefined) {
      this.#ends.set(key, seq);
      this.#parts++;
      const shared = { type: event.type, outcome, errorNumber, sqlState, ...few, warnings: told, limit };
      end = asciiJson(JSON.stringify(shared));
    }
    let text = `"e":${end},"n":${event.ordinal}`;
    if (rows !== few.rows) text += `,"rows":${rows}`;
    if (affectedRows !== few.affectedRows) text += `,"affectedRows":${affectedRows}`;
    if (resultSets !== few.resultSets) text += `,"resultSets":${resultSets}`;
    if (warnings !== told) text += `,"warnings":${warnings}`;
    if (jobId !== undefined) text += `,"jobId":${asciiJson(JSON.stringify(jobId))}`;
    if (event.bytes !== undefined) text += `,"b":${event.bytes}`;
    if (event.durationUs !== undefined) text += `,"us":${event.durationUs}`;
    return text;
  }
}

const FEW = 2;

function fewOf(count: number | undefined): number | undefined {
  return count === undefined || count > FEW ? undefined : count;
}

function sharedOf(event: IntentEvent): SharedFields {
  const { type, command, text, textForm, digestHashes, statementKind, innerKinds, tables } = event;
  const { decision, score, level, rules, policyVersion } = event;
  return {
    type,
    command,
    text,
    textForm,
    digestHashes,
    statementKind,
    innerKinds,
    tables,
    decision,
    score,
    level,
    rules,
    policyVersion,
  };
}

function isAlike(shared: SharedFields, event: IntentEvent): boolean {
  return (
    shared.text === event.text &&
    shared.command === event.command &&
    shared.textForm === event.textForm &&
    shared.statementKind === event.statementKind &&
    shared.decision === event.decision &&
    shared.score === event.score &&
    shared.level === event.level &&
    shared.policyVersion === event.policyVersion &&
    isSameList(shared.tables, event.tables) &&
    isSameList(shared.rules, event.rules) &&
    isSameList(shared.innerKinds, event.innerKinds) &&
    isSameList(shared.digestHashes, event.digestHashes)
  );
}

function isSameList(one: readonly string[] | undefined, other: readonly string[] | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined || one.length !== other.length) return false;
  return one.every((text, index) => text === other[index]);
}
