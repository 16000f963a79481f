/** The statements that were seen, added up by digest: so many of them, and the least used make room for new ones. */
import type { AuditEventOf } from "../../audit/audit-event.ts";
import { sha256Hex } from "../../sql/mysql/digest/digest.ts";
import type { StatementEvent } from "./activity-book.ts";
import { LatencyBuckets } from "./latency-buckets.ts";
import { SlottedCounts } from "./slotted-counts.ts";
import type { Verdict } from "./usage-table.ts";

const DIGESTS_MAX = 2_000;
const TEXT_CHARACTERS_MAX = 4 * 1024 * 1024;
/** A longer text is shown, and told from others, by its beginning. */
const TEXT_MAX = 16 * 1024;
/** Where there are too many: the share that stays. */
const KEPT_SHARE = 0.75;
const USERS_MAX = 16;
/** The last hour in six parts. */
const RECENT = { slotMs: 10 * 60_000, slots: 6 };

export const DIGEST_ORDERS = ["time", "rows", "bytes", "blocked", "count", "errors", "new"] as const;
export type DigestOrder = (typeof DIGEST_ORDERS)[number];

interface Entry {
  /** Undefined where only the kind of the statement is known. */
  readonly text: string | undefined;
  readonly isCut: boolean;
  readonly kind: string;
  readonly firstMs: number;
  lastMs: number;
  readonly verdicts: Record<Verdict, number>;
  count: number;
  errors: number;
  rows: number;
  affectedRows: number;
  bytes: number;
  totalUs: number;
  maxUs: number;
  scoreMax: number;
  lastDecisionId: string | undefined;
  tables: readonly string[];
  rules: readonly string[];
  readonly latency: LatencyBuckets;
  readonly users: Map<string, number>;
  readonly recent: SlottedCounts<"statements" | "us">;
  hash: string | undefined;
}

export interface DigestView {
  /** SHA-256 of the digest, as policies and the audit search name it; of the kind where there is no digest. */
  readonly digest: string;
  readonly text: string | undefined;
  readonly isCut: boolean;
  readonly kind: string;
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly count: number;
  readonly allowed: number;
  readonly warned: number;
  readonly blocked: number;
  readonly held: number;
  readonly errors: number;
  readonly rows: number;
  readonly affectedRows: number;
  readonly bytes: number;
  readonly totalUs: number;
  readonly maxUs: number;
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  readonly scoreMax: number;
  readonly lastDecisionId: string | undefined;
  readonly tables: readonly string[];
  readonly rules: readonly string[];
  readonly users: readonly { readonly user: string; readonly count: number }[];
  /** Statements and microseconds of the last hour, ten minutes each, oldest first. */
  readonly recentCounts: readonly number[];
  readonly recentUs: readonly number[];
}

export interface DigestQuery {
  readonly order: DigestOrder;
  readonly offset: number;
  readonly limit: number;
  readonly user?: string | undefined;
  readonly table?: string | undefined;
  /** Part of the text, in any case. */
  readonly search?: string | undefined;
}

export class StatementDigests {
  readonly #entries = new Map<string, Entry>();
  #textCharacters = 0;
  /** Statements whose digest made room for others, so that sums are not taken for complete. */
  dropped = 0;

  get size(): number {
    return this.#entries.size;
  }

  count(event: StatementEvent, user: string, verdict: Verdict, nowMs: number): void {
    const entry = this.#entryOf(event, nowMs);
    entry.lastMs = nowMs;
    // What was held comes again once it is decided.
    if (verdict !== "held") entry.count++;
    entry.verdicts[verdict]++;
    entry.scoreMax = Math.max(entry.scoreMax, event.score ?? 0);
    if (event.tables !== undefined) entry.tables = event.tables;
    if (event.rules !== undefined && event.rules.length > 0) entry.rules = event.rules;
    entry.lastDecisionId = event.decisionId;
    const users = entry.users.get(user);
    if (users !== undefined || entry.users.size < USERS_MAX) entry.users.set(user, (users ?? 0) + 1);
    entry.recent.add("statements", nowMs);
  }

  finish(event: StatementEvent, outcome: AuditEventOf<"statement-outcome">, nowMs: number): void {
    const entry = this.#entries.get(keyOf(event));
    if (entry === undefined) return;
    const { durationUs = 0, rows = 0, affectedRows = 0, bytes = 0 } = outcome;
    if (outcome.outcome !== "ok") entry.errors++;
    entry.rows += rows;
    entry.affectedRows += affectedRows;
    entry.bytes += bytes;
    entry.totalUs += durationUs;
    entry.maxUs = Math.max(entry.maxUs, durationUs);
    entry.latency.add(durationUs);
    entry.recent.add("us", nowMs, Math.round(durationUs));
  }

  /** `total` is how many fit. */
  list(query: DigestQuery, nowMs: number): { readonly total: number; readonly digests: readonly DigestView[] } {
    const search = query.search?.toLowerCase();
    const fitting = [...this.#entries.values()].filter(
      ({ text, kind, users, tables }) =>
        (query.user === undefined || users.has(query.user)) &&
        (query.table === undefined || tables.includes(query.table)) &&
        (search === undefined || (text ?? kind).toLowerCase().includes(search)),
    );
    const measure = MEASURES[query.order];
    fitting.sort((one, other) => measure(other) - measure(one) || other.count - one.count);
    const page = fitting.slice(query.offset, query.offset + query.limit);
    return { total: fitting.length, digests: page.map((entry) => viewOf(entry, nowMs)) };
  }

  find(digest: string, nowMs: number): DigestView | undefined {
    for (const entry of this.#entries.values()) if (hashOf(entry) === digest) return viewOf(entry, nowMs);
    return undefined;
  }

  /** How many were first seen since then. */
  newSince(timeMs: number): number {
    let count = 0;
    for (const { firstMs } of this.#entries.values()) if (firstMs >= timeMs) count++;
    return count;
  }

  #entryOf(event: StatementEvent, nowMs: number): Entry {
    const key = keyOf(event);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const text = event.textForm === "digest" ? event.text : undefined;
    const entry: Entry = {
      text: text?.slice(0, TEXT_MAX),
      isCut: (text?.length ?? 0) > TEXT_MAX,
      kind: event.statementKind ?? event.command,
      firstMs: nowMs,
      lastMs: nowMs,
      verdicts: { allowed: 0, warned: 0, blocked: 0, held: 0 },
      count: 0,
      errors: 0,
      rows: 0,
      affectedRows: 0,
      bytes: 0,
      totalUs: 0,
      maxUs: 0,
      scoreMax: 0,
      lastDecisionId: undefined,
      tables: [],
      rules: [],
      latency: new LatencyBuckets(),
      users: new Map(),
      recent: new SlottedCounts(["statements", "us"], RECENT, nowMs),
      hash: undefined,
    };
    this.#entries.set(key, entry);
    this.#textCharacters += key.length;
    if (this.#entries.size > DIGESTS_MAX || this.#textCharacters > TEXT_CHARACTERS_MAX) this.#makeRoom(key);
    return entry;
  }

  /** Those go that took least time and were seen least, all but the one that just came. */
  #makeRoom(newest: string): void {
    const weight = ({ totalUs, count, verdicts }: Entry): number => totalUs + 1000 * (count + 100 * verdicts.blocked);
    const ordered = [...this.#entries].sort(([, one], [, other]) => weight(one) - weight(other));
    const charactersKept = TEXT_CHARACTERS_MAX * KEPT_SHARE;
    for (const [key, entry] of ordered) {
      if (this.#entries.size <= DIGESTS_MAX * KEPT_SHARE && this.#textCharacters <= charactersKept) return;
      if (key === newest) continue;
      this.#entries.delete(key);
      this.#textCharacters -= key.length;
      this.dropped += entry.count;
    }
  }
}

const MEASURES: Readonly<Record<DigestOrder, (entry: Entry) => number>> = {
  time: ({ totalUs }) => totalUs,
  rows: ({ rows, affectedRows }) => rows + affectedRows,
  bytes: ({ bytes }) => bytes,
  blocked: ({ verdicts }) => verdicts.blocked + verdicts.held,
  count: ({ count }) => count,
  errors: ({ errors }) => errors,
  new: ({ firstMs }) => firstMs,
};

function keyOf({ textForm, text, statementKind, command }: StatementEvent): string {
  if (textForm !== "digest" || text === undefined) return `${statementKind ?? command}\n`;
  return text.length <= TEXT_MAX ? text : text.slice(0, TEXT_MAX);
}

function hashOf(entry: Entry): string {
  entry.hash ??= sha256Hex(entry.text ?? `${entry.kind}\n`);
  return entry.hash;
}

function viewOf(entry: Entry, nowMs: number): DigestView {
  const { verdicts, latency, recent } = entry;
  return {
    digest: hashOf(entry),
    text: entry.text,
    isCut: entry.isCut,
    kind: entry.kind,
    firstSeen: new Date(entry.firstMs).toISOString(),
    lastSeen: new Date(entry.lastMs).toISOString(),
    count: entry.count,
    ...verdicts,
    errors: entry.errors,
    rows: entry.rows,
    affectedRows: entry.affectedRows,
    bytes: entry.bytes,
    totalUs: Math.round(entry.totalUs),
    maxUs: Math.round(entry.maxUs),
    p50Us: latency.quantileUs(0.5),
    p99Us: latency.quantileUs(0.99),
    scoreMax: entry.scoreMax,
    lastDecisionId: entry.lastDecisionId,
    tables: entry.tables,
    rules: entry.rules,
    users: [...entry.users].map(([user, count]) => ({ user, count })).sort((one, other) => other.count - one.count),
    recentCounts: recent.valuesOf("statements", nowMs),
    recentUs: recent.valuesOf("us", nowMs),
  };
}
