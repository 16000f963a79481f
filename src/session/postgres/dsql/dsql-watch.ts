/** One session with Aurora DSQL: hints for the server's errors, notices before its limits, conflicts counted, jobs named. */
import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import { QuerycopError } from "../../../base/errors.ts";
import { type ErrorFields, encodeNoticeResponse } from "../../../postgres/backend-message.ts";
import { withHint } from "../../../postgres/error-hint.ts";
import type { DsqlRuleSet } from "../../../sql/postgres/dsql/rule-set.ts";
import type { SessionServices } from "../../session-services.ts";
import type { Conflicts } from "./conflicts.ts";
import { ConnectionAge } from "./connection-age.ts";
import { TransactionWatch } from "./transaction-watch.ts";

/** What all sessions of a process with Aurora DSQL share. */
export interface DsqlServing {
  readonly rules: DsqlRuleSet;
  /** By table, and by the columns that pin the rows of a transaction down. */
  readonly conflicts: Conflicts;
  readonly hotKeys: Conflicts;
  /** 0 for no limit. */
  readonly connectionLimitMs: number;
  /** Whether a text that Aurora DSQL is known to refuse is not sent. */
  readonly refusesEarly: boolean;
}

export interface DsqlWatchOptions {
  readonly dsql: DsqlServing;
  readonly services: Pick<SessionServices, "metrics" | "logger">;
  readonly user: string;
}

/** Of one transaction. */
const TABLES_MAX = 16;
const KEYS_MAX = 16;

const AGE_NOTICE =
  "Aurora DSQL ends this connection soon, an hour after it began: it will be ended between two transactions, please reconnect";

export class DsqlWatch {
  readonly #options: DsqlWatchOptions;
  readonly #transaction = new TransactionWatch();
  readonly #age: ConnectionAge;
  readonly #beganMs = SYSTEM_CLOCK.monotonicMs();
  readonly #tables = new Set<string>();
  readonly #keys = new Set<string>();

  constructor(options: DsqlWatchOptions) {
    this.#options = options;
    this.#age = new ConnectionAge(options.dsql.connectionLimitMs);
  }

  /** A statement is sent that writes these tables, and rows that these columns pin down. */
  sent(tablesWritten: readonly string[], keysWritten: readonly string[]): void {
    for (const table of tablesWritten) if (this.#tables.size < TABLES_MAX) this.#tables.add(table);
    for (const key of keysWritten) if (this.#keys.size < KEYS_MAX) this.#keys.add(key);
  }

  /** The ErrorResponse as the client gets it. */
  errorFor(wire: Uint8Array, { code, message, fields }: ErrorFields): Uint8Array {
    const rule = this.#options.dsql.rules.ofError(code, message);
    if (rule === undefined) return wire;
    if (rule.scope === "conflict") this.#conflict(rule.id, message);
    return fields.has("H") ? wire : withHint(wire, rule.instead);
  }

  #conflict(rule: string, message: string): void {
    const { dsql, services, user } = this.#options;
    const code = message.includes("OC001") || rule === "schema-conflict" ? "OC001" : "OC000";
    services.metrics.dsqlConflicts.of(code).value++;
    const advice = "retry the whole transaction; spread writes that meet";
    for (const { name, conflicts } of dsql.conflicts.count([...this.#tables])) {
      services.logger.warn("conflict on Aurora DSQL", { table: name, conflicts, code, user, advice });
    }
    if (this.#keys.size === 0) return;
    for (const { name, conflicts } of dsql.hotKeys.count([...this.#keys])) {
      services.logger.warn("rows that conflict on Aurora DSQL", { key: name, conflicts, code, user, advice });
    }
  }

  /** A statement is over: notices to put behind its CommandComplete. */
  completed(tag: string, rows: number, bytesSent: number): readonly Uint8Array[] {
    const texts = this.#transaction.completed({ tag, rows, nowMs: SYSTEM_CLOCK.monotonicMs(), bytesSent });
    return texts.map((message) => encodeNoticeResponse({ severity: "NOTICE", code: "00000", message }));
  }

  ready(isInTransaction: boolean): void {
    if (isInTransaction) return;
    this.#transaction.ended();
    this.#tables.clear();
    this.#keys.clear();
  }

  /** What is due at the age of the connection. */
  due(nowMs: number, isAtRest: boolean): { readonly notice: Uint8Array } | "end" | undefined {
    const due = this.#age.due(nowMs - this.#beganMs, isAtRest);
    if (due !== "notice") return due;
    return { notice: encodeNoticeResponse({ severity: "WARNING", code: "01000", message: AGE_NOTICE }) };
  }
}

/** What a client is told at the end of what Aurora DSQL gives a connection. */
export function tooOld(): QuerycopError {
  return new QuerycopError("QC_SHUTDOWN", "The connection is as old as Aurora DSQL lets it become", {
    clientMessage: "querycop: the connection is as old as Aurora DSQL lets it become, please reconnect",
  });
}
