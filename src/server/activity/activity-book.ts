/**
 * What has been done since the start, added up from what the audit records: by statement (its digest), by rule, by user,
 * and which user used which table. Everything in it is bounded; what is dropped to stay so is counted.
 *
 * SAFETY: the only texts it keeps are digests, in which every literal is a `?`. Statements that the audit keeps in another
 * form are added up by their kind.
 */
import type { AuditEvent, AuditEventOf, AuditSession } from "../../audit/audit-event.ts";
import { StatementDigests } from "./statement-digests.ts";
import { type UsageCounts, UsageTable } from "./usage-table.ts";

export type StatementEvent = AuditEventOf<"statement-intent" | "statement-blocked" | "hold">;

/** Statements under way in one session that wait for their outcome: a pipeline has several. */
const PENDING_PER_SESSION_MAX = 32;
const PENDING_SESSIONS_MAX = 100_000;

interface Pending {
  readonly ordinal: number;
  readonly event: StatementEvent;
}

export class ActivityBook {
  readonly digests = new StatementDigests();
  readonly usage = new UsageTable();
  readonly sinceMs: number;
  readonly #pending = new Map<string, Pending[]>();

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  /** In the order in which they are recorded. Never throws. */
  observe(event: AuditEvent, nowMs: number): void {
    switch (event.type) {
      case "statement-intent":
        this.#remember(event);
        this.#count(event, event.decision === "warn" ? "warned" : "allowed", nowMs);
        return;
      case "statement-blocked":
        this.#count(event, "blocked", nowMs);
        return;
      case "hold":
        this.#count(event, "held", nowMs);
        return;
      case "statement-outcome":
        this.#finish(event, nowMs);
        return;
      case "disconnect":
        this.#pending.delete(event.session.id);
        return;
      default:
    }
  }

  #count(event: StatementEvent, verdict: keyof UsageCounts, nowMs: number): void {
    this.digests.count(event, userOf(event.session), verdict, nowMs);
    this.usage.count(event, userOf(event.session), verdict, nowMs);
  }

  #remember(event: StatementEvent): void {
    const { id } = event.session;
    const list = this.#pending.get(id);
    if (list === undefined) {
      if (this.#pending.size < PENDING_SESSIONS_MAX) this.#pending.set(id, [{ ordinal: event.ordinal, event }]);
      return;
    }
    if (list.length === PENDING_PER_SESSION_MAX) list.shift();
    list.push({ ordinal: event.ordinal, event });
  }

  #finish(outcome: AuditEventOf<"statement-outcome">, nowMs: number): void {
    const list = this.#pending.get(outcome.session.id);
    const at = list?.findIndex(({ ordinal }) => ordinal === outcome.ordinal) ?? -1;
    const begun = list?.[at]?.event;
    if (list === undefined || begun === undefined) return;
    list.splice(at, 1);
    this.digests.finish(begun, outcome, nowMs);
    this.usage.finish(userOf(begun.session), outcome);
  }
}

function userOf({ user, userSent }: AuditSession): string {
  return user ?? userSent ?? "";
}
