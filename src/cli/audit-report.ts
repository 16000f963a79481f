/**
 * `querycop audit report`: what happened in a period, added up from the log in one pass and in bounded memory. What is
 * before the period is read only for the digests that were known by then.
 */
import { createHash } from "node:crypto";
import type { AuditEvent, AuditEventOf } from "../audit/audit-event.ts";
import { AuditFollower } from "../audit/audit-follower.ts";
import { isInShort } from "../audit/compact-record.ts";
import type { ReadRecord } from "../audit/record-expander.ts";
import { ActivityBook } from "../server/activity/activity-book.ts";
import type { DigestView } from "../server/activity/statement-digests.ts";
import { BoundedSums } from "./bounded-sums.ts";

export interface Period {
  readonly fromMs: number;
  readonly toMs: number;
}

const DIGESTS_KNOWN_MAX = 500_000;
const LISTED_MAX = 200;

const VERDICT_KINDS = ["statements", "allowed", "warned", "blocked", "held"] as const;
const VERDICT_OF: Readonly<Record<string, (typeof VERDICT_KINDS)[number]>> = {
  "statement-blocked": "blocked",
  hold: "held",
};

/** A place where the log is not continuous, as it says itself or as its numbers say. */
export interface ReportedGap {
  readonly time: string;
  readonly reason: string;
  /** Events that were refused, or records whose numbers are missing. */
  readonly lost: number;
}

export interface ReportedPolicy {
  readonly time: string;
  readonly version: string;
  readonly outcome: string;
  readonly by: string;
}

/** Adds up lines in the order in which they stand in the log. */
export class AuditReport {
  readonly period: Period;
  readonly book: ActivityBook;
  readonly verdicts = new BoundedSums(1, VERDICT_KINDS);
  readonly listeners = new BoundedSums(200, VERDICT_KINDS);
  /** `[rule, user]`. */
  readonly ruleUsers = new BoundedSums(2_000, ["warned", "blocked", "held"]);
  readonly outcomes = new BoundedSums(20, ["statements"]);
  readonly refusals = new BoundedSums(100, ["connections"]);
  readonly guards = new BoundedSums(100, ["times"]);
  /** `[approver, verdict]`; nobody's where a request ran out or its client went. */
  readonly approvers = new BoundedSums(500, ["requests", "waitedMs"]);
  readonly mints = new BoundedSums(4, ["tokens"]);
  readonly policies: ReportedPolicy[] = [];
  readonly gaps: ReportedGap[] = [];
  /** Gaps and changes of policy that are not listed. */
  unlisted = 0;
  sessions = 0;
  logins = 0;
  starts = 0;
  records = 0;
  unreadable = 0;
  /** Of the first record that was read, in the period or before. */
  beginsAt: string | undefined;
  newDigests = 0;
  /** More digests than can be remembered: some that are told as new may not be. */
  isKnownFull = false;
  readonly #known = new Set<number>();
  readonly #fresh = new Set<number>();
  #run: unknown;
  #lastSeq: number | undefined;

  constructor(period: Period) {
    this.period = period;
    this.book = new ActivityBook(period.fromMs);
  }

  /** Whether a line has to be expanded at all. */
  wants(line: string): boolean {
    return !isInShort(line) || line.includes('":{') || timeIn(line) >= this.period.fromMs;
  }

  /** A line that was not wanted. */
  pass(line: string): void {
    this.#number(Number.parseInt(line.slice(SEQ_AT), 10), timeIn(line));
  }

  take(record: ReadRecord | undefined): void {
    if (record === undefined) {
      this.unreadable++;
      return;
    }
    const timeMs = Date.parse(String(record["time"]));
    this.beginsAt ??= String(record["time"]);
    if (record["type"] === "segment-start") this.#begin(record);
    this.#number(Number(record["seq"]), timeMs);
    if (timeMs >= this.period.toMs) return;
    const isWithin = timeMs >= this.period.fromMs;
    this.#learn(record, isWithin);
    if (!isWithin) return;
    this.records++;
    // Written by querycop, as the same event; what is not is counted as nothing.
    const event = record as unknown as AuditEvent;
    this.book.observe(event, timeMs);
    this.#count(event, String(record["time"]));
  }

  /** Whether the digest was first seen in the period, as far as the log reaches back. */
  isNew({ digest, text, isCut }: DigestView): boolean {
    return text !== undefined && !isCut && this.#fresh.has(numberOf(digest));
  }

  /** Each run counts from 1; a file's first line says whose numbers follow. */
  #begin({ run }: ReadRecord): void {
    if (run !== this.#run) this.#lastSeq = undefined;
    this.#run = run;
  }

  #number(seq: number, timeMs: number): void {
    const expected = this.#lastSeq === undefined ? seq : this.#lastSeq + 1;
    this.#lastSeq = seq;
    if (seq === expected || timeMs < this.period.fromMs || timeMs >= this.period.toMs) return;
    const time = Number.isNaN(timeMs) ? "" : new Date(timeMs).toISOString();
    this.#list(this.gaps, { time, reason: "missing-numbers", lost: Math.max(0, seq - expected) });
  }

  #learn({ type, text, textForm }: ReadRecord, isWithin: boolean): void {
    if (textForm !== "digest" || typeof text !== "string" || type === "statement-outcome") return;
    const digest = numberOf(createHash("sha256").update(text).digest("hex"));
    if (this.#known.has(digest)) return;
    if (this.#known.size >= DIGESTS_KNOWN_MAX) {
      this.isKnownFull = true;
      return;
    }
    this.#known.add(digest);
    if (!isWithin) return;
    this.newDigests++;
    this.#fresh.add(digest);
  }

  #count(event: AuditEvent, time: string): void {
    switch (event.type) {
      case "statement-intent":
      case "statement-blocked":
      case "hold":
        this.#countStatement(event);
        break;
      case "statement-outcome":
        this.outcomes.add([event.outcome], { statements: 1 });
        break;
      case "approval":
        this.approvers.add([event.approver ?? "", event.verdict], { requests: 1, waitedMs: event.waitedMs ?? 0 });
        break;
      case "refuse":
        this.refusals.add([event.errorCode], { connections: 1 });
        break;
      case "data-guard":
        this.guards.add([event.limit, event.action], { times: 1 });
        break;
      case "token-mint":
        this.mints.add([event.outcome], { tokens: 1 });
        break;
      case "audit-gap":
        this.#list(this.gaps, { time, reason: event.reason, lost: event.lost });
        break;
      case "policy-change":
        this.#list(this.policies, { time, version: event.toVersion, outcome: event.outcome, by: event.by });
        break;
      default:
        this.#countSimple(event.type);
    }
  }

  #countSimple(type: AuditEvent["type"]): void {
    if (type === "connect") this.sessions++;
    if (type === "login") this.logins++;
    if (type === "start") this.starts++;
  }

  #countStatement(event: AuditEventOf<"statement-intent" | "statement-blocked" | "hold">): void {
    const { type, decision, session, rules = [] } = event;
    const verdict = VERDICT_OF[type] ?? (decision === "warn" ? "warned" : "allowed");
    // What was held comes again once it is decided.
    const counts = { statements: verdict === "held" ? 0 : 1, [verdict]: 1 };
    this.verdicts.add([""], counts);
    this.listeners.add([session.listener ?? ""], counts);
    if (verdict === "allowed") return;
    for (const rule of rules) this.ruleUsers.add([rule, session.user ?? session.userSent ?? ""], { [verdict]: 1 });
  }

  #list<Item>(list: Item[], item: Item): void {
    if (list.length < LISTED_MAX) list.push(item);
    else this.unlisted++;
  }
}

/** Reads all files of a log, oldest first, and what is written to them meanwhile. */
export async function addUp(activePath: string, period: Period, signal: AbortSignal | undefined): Promise<AuditReport> {
  const report = new AuditReport(period);
  const follower = new AuditFollower(activePath, "begin");
  try {
    for (let read = await follower.read(); read !== undefined; read = await follower.read()) {
      if (signal?.aborted === true) break;
      for (const line of read.lines) {
        if (report.wants(line)) report.take(await read.expander.read(line));
        else report.pass(line);
      }
      if (timeIn(read.lines.at(-1) ?? "") >= period.toMs) break;
    }
  } finally {
    await follower.close();
  }
  return report;
}

const SEQ_AT = '{"seq":'.length;
const TIME_KEY = '"time":"';
const TIME_CHARACTERS = "2026-11-21T12:00:00.000Z".length;
const HEAD_CHARACTERS = 80;

/** A record begins with its number and its time; NaN for what is none. */
function timeIn(line: string): number {
  const at = line.indexOf(TIME_KEY);
  if (at < 0 || at > HEAD_CHARACTERS) return Number.NaN;
  return Date.parse(line.slice(at + TIME_KEY.length, at + TIME_KEY.length + TIME_CHARACTERS));
}

/** Enough of a digest's hash to tell some hundred thousand of them apart, in a number that a set holds cheaply. */
function numberOf(digest: string): number {
  return Number.parseInt(digest.slice(0, 13), 16);
}
