/** Pairs the intents of statements with their outcomes. */
import type { AuditRecord } from "./audit-record.ts";

export interface IntentReport {
  readonly intents: number;
  readonly outcomes: number;
  /** Intents without an outcome: the statement may or may not have run. */
  readonly unknown: number;
  /** The first of those. */
  readonly examples: readonly OpenIntent[];
}

export interface OpenIntent {
  readonly seq: number;
  readonly session: string;
  readonly ordinal: number;
}

interface IntentProblem {
  readonly kind: "duplicate-intent" | "outcome-without-intent";
  readonly detail: string;
}

const EXAMPLES_MAX = 100;

export class IntentLedger {
  /** Session id → ordinal → the intent. */
  readonly #open: Map<string, Map<string, OpenIntent>> = new Map();
  readonly #examples: OpenIntent[] = [];
  #unknown = 0;
  #intents = 0;
  #outcomes = 0;

  /** `historyIsCut`: older files are gone, so an outcome's intent may be among them. */
  take(record: AuditRecord, historyIsCut: boolean): readonly IntentProblem[] {
    const session = sessionOf(record);
    if (session === undefined) return [];
    switch (record.type) {
      case "statement-intent":
        return this.#takeIntent(record, session);
      case "statement-outcome":
        return this.#takeOutcome(record, session, historyIsCut);
      case "disconnect":
        this.#endSession(session);
        return [];
      default:
        return [];
    }
  }

  report(): IntentReport {
    for (const session of [...this.#open.keys()]) this.#endSession(session);
    return {
      intents: this.#intents,
      outcomes: this.#outcomes,
      unknown: this.#unknown,
      examples: this.#examples,
    };
  }

  #takeIntent(record: AuditRecord, session: string): readonly IntentProblem[] {
    this.#intents++;
    const open = this.#open.get(session) ?? new Map<string, OpenIntent>();
    this.#open.set(session, open);
    const key = keyOf(record);
    const isDuplicate = open.has(key);
    open.set(key, { seq: record.seq, session, ordinal: Number(record.fields["ordinal"]) });
    return isDuplicate ? [{ kind: "duplicate-intent", detail: `statement ${key} of session ${session} again` }] : [];
  }

  #takeOutcome(record: AuditRecord, session: string, historyIsCut: boolean): readonly IntentProblem[] {
    this.#outcomes++;
    const key = keyOf(record);
    const open = this.#open.get(session);
    if (open?.delete(key) === true) {
      if (open.size === 0) this.#open.delete(session);
      return [];
    }
    if (historyIsCut) return [];
    return [{ kind: "outcome-without-intent", detail: `statement ${key} of session ${session}` }];
  }

  #endSession(session: string): void {
    for (const intent of this.#open.get(session)?.values() ?? []) {
      this.#unknown++;
      if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(intent);
    }
    this.#open.delete(session);
  }
}

function keyOf(record: AuditRecord): string {
  return String(record.fields["ordinal"]);
}

function sessionOf(record: AuditRecord): string | undefined {
  const { session } = record.fields;
  if (typeof session !== "object" || session === null || !("id" in session)) return undefined;
  return typeof session.id === "string" ? session.id : undefined;
}
