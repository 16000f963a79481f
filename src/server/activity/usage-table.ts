/** Who did how much: per user, per rule, and which user used which table. Beyond the bounds everything counts as "(others)". */
import type { AuditEventOf } from "../../audit/audit-event.ts";
import type { StatementEvent } from "./activity-book.ts";
import { SlottedCounts } from "./slotted-counts.ts";

export const VERDICTS = ["allowed", "warned", "blocked", "held"] as const;
export type Verdict = (typeof VERDICTS)[number];
export type UsageCounts = Record<Verdict, number>;

const USERS_MAX = 500;
const RULES_MAX = 500;
const CELLS_MAX = 5_000;
/** Under this name whatever is beyond a bound; no user can be called so. */
export const OTHERS = "(others)";
/** A day in parts of half an hour. */
const HISTORY = { slotMs: 30 * 60_000, slots: 48 };

interface UserEntry extends UsageCounts {
  rows: number;
  affectedRows: number;
  bytes: number;
  totalUs: number;
  readonly history: SlottedCounts<"warned" | "blocked" | "held">;
}

interface RuleEntry extends UsageCounts {
  readonly history: SlottedCounts<"warned" | "blocked" | "held">;
}

interface Histories {
  /** Of the last 24 hours, half an hour each, oldest first. */
  readonly warnedHistory: readonly number[];
  readonly blockedHistory: readonly number[];
  readonly heldHistory: readonly number[];
}

export interface UserUsage extends Readonly<UsageCounts>, Histories {
  readonly user: string;
  readonly rows: number;
  readonly affectedRows: number;
  readonly bytes: number;
  readonly totalUs: number;
}

export interface RuleUsage extends Readonly<UsageCounts>, Histories {
  readonly rule: string;
}

export interface TableUsage {
  readonly user: string;
  readonly table: string;
  readonly count: number;
}

export class UsageTable {
  readonly #users = new Map<string, UserEntry>();
  readonly #rules = new Map<string, RuleEntry>();
  readonly #cells = new Map<string, Map<string, number>>();
  #cellCount = 0;

  count(event: StatementEvent, user: string, verdict: Verdict, nowMs: number): void {
    const entry = bounded(this.#users, user, USERS_MAX, () => newUser(nowMs));
    entry[verdict]++;
    if (verdict !== "allowed") {
      entry.history.add(verdict, nowMs);
      for (const rule of event.rules ?? []) {
        const ofRule = bounded(this.#rules, rule, RULES_MAX, () => ({ ...zeros(), history: newHistory(nowMs) }));
        ofRule[verdict]++;
        ofRule.history.add(verdict, nowMs);
      }
    }
    for (const table of event.tables ?? []) this.#addCell(user, table);
  }

  finish(user: string, outcome: AuditEventOf<"statement-outcome">): void {
    const entry = this.#users.get(user) ?? this.#users.get(OTHERS);
    if (entry === undefined) return;
    entry.rows += outcome.rows ?? 0;
    entry.affectedRows += outcome.affectedRows ?? 0;
    entry.bytes += outcome.bytes ?? 0;
    entry.totalUs += outcome.durationUs ?? 0;
  }

  /** Those that took most bytes first. */
  users(nowMs: number): UserUsage[] {
    const users = [...this.#users].map(([user, { history, ...counts }]) => ({
      user,
      ...counts,
      totalUs: Math.round(counts.totalUs),
      ...historiesOf(history, nowMs),
    }));
    return users.sort((one, other) => other.bytes - one.bytes);
  }

  /** Those that blocked and held most first. */
  rules(nowMs: number): RuleUsage[] {
    const rules = [...this.#rules].map(([rule, { history, ...counts }]) => ({
      rule,
      ...counts,
      ...historiesOf(history, nowMs),
    }));
    const weight = ({ blocked, held, warned }: RuleUsage): number => 1000 * (blocked + held) + warned;
    return rules.sort((one, other) => weight(other) - weight(one));
  }

  tables(): TableUsage[] {
    const cells = [...this.#cells].flatMap(([user, tables]) =>
      [...tables].map(([table, count]) => ({ user, table, count })),
    );
    return cells.sort((one, other) => other.count - one.count);
  }

  #addCell(user: string, table: string): void {
    const row = this.#cells.get(user);
    const known = row?.get(table);
    if (known !== undefined) row?.set(table, known + 1);
    else if (this.#cellCount < CELLS_MAX) {
      this.#cellCount++;
      if (row === undefined) this.#cells.set(user, new Map([[table, 1]]));
      else row.set(table, 1);
    } else if (user !== OTHERS || table !== OTHERS) this.#addOther();
  }

  #addOther(): void {
    const row = this.#cells.get(OTHERS) ?? new Map<string, number>();
    this.#cells.set(OTHERS, row.set(OTHERS, (row.get(OTHERS) ?? 0) + 1));
  }
}

function bounded<Value>(map: Map<string, Value>, key: string, max: number, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const name = map.size < max ? key : OTHERS;
  const value = map.get(name) ?? make();
  map.set(name, value);
  return value;
}

const zeros = (): UsageCounts => ({ allowed: 0, warned: 0, blocked: 0, held: 0 });

const newHistory = (nowMs: number): RuleEntry["history"] =>
  new SlottedCounts(["warned", "blocked", "held"], HISTORY, nowMs);

function newUser(nowMs: number): UserEntry {
  return { ...zeros(), rows: 0, affectedRows: 0, bytes: 0, totalUs: 0, history: newHistory(nowMs) };
}

function historiesOf(history: RuleEntry["history"], nowMs: number): Histories {
  return {
    warnedHistory: history.valuesOf("warned", nowMs),
    blockedHistory: history.valuesOf("blocked", nowMs),
    heldHistory: history.valuesOf("held", nowMs),
  };
}
