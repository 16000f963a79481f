/** A session as the stages of a statement's life see it, whatever its wire. Each stage takes the few members it needs. */
import type { AuditEvent, AuditSession } from "../../audit/audit-event.ts";
import type { Clock } from "../../base/clock.ts";
import type { DataGuard } from "../limits/data-guard.ts";
import type { SessionServices } from "../session-services.ts";
import type { Judgement } from "./statement-judge.ts";

export interface StatementSession {
  readonly services: Pick<SessionServices, "audit" | "decisionLog" | "logger" | "metrics" | "dataGuardCounts">;
  readonly clock: Clock;
  readonly dataGuard: DataGuard;
  /** Counts the client's commands from 1; pairs an audit record of intent with its outcome. */
  readonly ordinal: number;
  readonly isClientGone: boolean;
  /** The cursor whose rows the command under way fetches. */
  readonly fetching: Fetching | undefined;
  auditSession(): AuditSession;
  /** For records that belong to one that has all of it. */
  briefAuditSession(): AuditSession;
  /** Throws, or rejects, where it cannot be recorded. */
  record(event: AuditEvent): void | Promise<void>;
  /** Whom a line of the log is about. */
  logFields(): Record<string, unknown>;
  /** Whether the text may hold a password, as far as the judgement tells. */
  mayHoldSecret(judgement: Judgement): boolean;
}

/** A fetch from a cursor is recorded with the command that opened it. */
export interface Fetching {
  readonly command: string;
  readonly statementId: number;
  readonly executedAs: number | undefined;
}

/** A statement as its records have it. */
export interface RecordedStatement {
  /** The wire's own word for what brought it. */
  readonly command: string;
  readonly sql: Uint8Array;
  readonly statementId?: number;
  /** How many times it runs, where one command binds several rows of values. */
  readonly boundRows?: number | undefined;
  /** The record's hash of the text, where it is known already. */
  readonly textHash?: string;
}
