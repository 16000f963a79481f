/** What the audit log is told of the statements of one session: each before it is sent, and how it ended. */
import type { AuditEvent, AuditSession } from "../../../audit/audit-event.ts";
import { recordBestEffort } from "../../../audit/best-effort.ts";
import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import type { QuerycopError } from "../../../base/errors.ts";
import type { DataLimit } from "../../../policy/limits.ts";
import { mayHoldSecret as mayTextHoldSecret } from "../../../sql/postgres/secrets.ts";
import type { SessionServices } from "../../session-services.ts";
import type { Judgement } from "../../statement/statement-judge.ts";
import { statementFields } from "../../statement/statement-record.ts";
import type { RecordedStatement } from "../../statement/statement-session.ts";
import type { JobRow } from "../dsql/job-id.ts";
import type { PostgresStatement } from "../judging/judge.ts";

/** A statement as its records have it, with its number in the session. */
export type LoggedStatement = RecordedStatement & {
  readonly command: PostgresStatement["command"];
  readonly ordinal: number;
  /** Its judgement may be that of another text. */
  readonly isAmbiguous: boolean;
};

/** A statement on its way: a Query, a Parse, or a portal from its Bind to the end of what Execute brings of it. */
export interface StatementRecord {
  readonly ordinal: number;
  readonly unit: number;
  readonly isPortal: boolean;
  readonly beganMs: number;
  /** The server has begun to answer it. */
  isBegun: boolean;
  isOver: boolean;
  rows: number;
  affectedRows: number;
  resultSets: number;
  bytes: number;
  sqlState: string | undefined;
  /** Where the backend may answer with the id of a job. */
  job: JobRow | undefined;
  /** The limit on data at which its response was cut off, and what its client is told. */
  cut: { readonly limit: DataLimit; readonly error: QuerycopError } | undefined;
}

type GuardAction = Extract<AuditEvent, { type: "data-guard" }>["action"];
type Outcome = Extract<AuditEvent, { type: "statement-outcome" }>["outcome"];

export interface StatementLogOptions {
  readonly services: Pick<SessionServices, "audit" | "metrics" | "decisionLog">;
  readonly session: () => AuditSession;
}

export class StatementLog {
  readonly #options: StatementLogOptions;
  /** Sent and not over, in order. */
  readonly #open = new Set<StatementRecord>();
  /** False where nothing is kept: then no record is made. */
  readonly isKept: boolean;

  constructor(options: StatementLogOptions) {
    this.#options = options;
    this.isKept = options.services.audit.isKept;
  }

  /** Statements sent and not over. */
  get openCount(): number {
    return this.#open.size;
  }

  /**
   * Records that it is about to be sent. SAFETY: no record, no statement: rejects or throws QC_AUDIT_FAILED where it could
   * not be recorded.
   */
  intent(statement: LoggedStatement, judgement: Judgement, unit: number): StatementRecord | Promise<StatementRecord> {
    const record: StatementRecord = {
      ordinal: statement.ordinal,
      unit,
      isPortal: statement.command === "Bind",
      beganMs: SYSTEM_CLOCK.monotonicMs(),
      isBegun: false,
      isOver: false,
      rows: 0,
      affectedRows: 0,
      resultSets: 0,
      bytes: 0,
      sqlState: undefined,
      job: undefined,
      cut: undefined,
    };
    const { audit } = this.#options.services;
    if (!this.isKept) return this.#opened(record);
    const recorded = audit.append({ type: "statement-intent", ...this.#fields(statement, judgement) });
    return recorded instanceof Promise ? recorded.then(() => this.#opened(record)) : this.#opened(record);
  }

  /** In slices, between which other sessions go on. */
  hashLongText(sql: Uint8Array): Promise<string> {
    return this.#options.services.audit.hashLongText(sql);
  }

  #opened(record: StatementRecord): StatementRecord {
    this.#open.add(record);
    return record;
  }

  /** It waits for an approval. Throws or rejects when that cannot be recorded. */
  hold(statement: LoggedStatement, judgement: Judgement, expiresInMs: number): void | Promise<void> {
    const mode = judgement.approval?.settings.mode;
    const { audit } = this.#options.services;
    return audit.append({ type: "hold", ...this.#fields(statement, judgement), expiresInMs, mode });
  }

  /** Nothing of it was sent, so a block stands whether or not it can be recorded. */
  async blocked(statement: LoggedStatement, judgement: Judgement): Promise<void> {
    try {
      const { audit } = this.#options.services;
      await audit.append({ type: "statement-blocked", ...this.#fields(statement, judgement) });
    } catch {
      // Said above.
    }
  }

  #fields(statement: LoggedStatement, judgement: Judgement) {
    const { services, session: auditSession } = this.#options;
    const { ordinal, isAmbiguous } = statement;
    const recording = { services, auditSession, ordinal, mayHoldSecret: isAmbiguous ? () => true : mayHoldSecret };
    return statementFields(recording, statement, judgement);
  }

  /** The statement has run or not, whether or not this can be recorded: its intent is on record. */
  finish(record: StatementRecord, outcome: Outcome): void {
    if (record.isOver) return;
    record.isOver = true;
    this.#open.delete(record);
    const durationMs = SYSTEM_CLOCK.monotonicMs() - record.beganMs;
    const { audit, metrics } = this.#options.services;
    metrics.responseRows.value += record.rows;
    metrics.responseDuration.observe(durationMs / 1000);
    if (!this.isKept) return;
    const { ordinal, rows, affectedRows, resultSets, bytes, sqlState, job, cut } = record;
    audit.appendSoon({
      type: "statement-outcome",
      session: this.#options.session(),
      ordinal,
      outcome: cut === undefined ? outcome : "cut-off",
      limit: cut?.limit,
      sqlState,
      jobId: job?.id,
      rows,
      affectedRows,
      resultSets,
      bytes,
      durationUs: Math.round(durationMs * 1000),
    });
  }

  /** The limit is near, was passed, or has cut the response off. */
  limitReached(ordinal: number, action: GuardAction, limit: DataLimit, record?: StatementRecord): void {
    const { audit } = this.#options.services;
    const { rows, bytes } = record ?? {};
    const session = this.#options.session();
    recordBestEffort(() => audit.append({ type: "data-guard", session, ordinal, action, limit, rows, bytes }));
  }

  /** The server is through with this unit: what it has not answered of it, it has discarded. */
  endUnit(unit: number, isInTransaction: boolean): void {
    for (const record of this.#open) {
      if (record.unit > unit) return;
      // A portal lives as long as its transaction, and more of it may be asked for.
      if (record.isPortal && record.isBegun && isInTransaction) continue;
      this.finish(record, record.isBegun ? "ok" : "skipped");
    }
  }

  /** The session ends. */
  close(outcome: "unknown" | "client-gone"): void {
    for (const record of this.#open) this.finish(record, outcome);
  }
}

function mayHoldSecret({ text, statementKind = "unknown", innerKinds = [], isUnderstood }: Judgement): boolean {
  return mayTextHoldSecret(text, [...statementKind.split(","), ...innerKinds], isUnderstood === true);
}
