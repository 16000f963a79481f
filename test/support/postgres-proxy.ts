/** A listener that speaks PostgreSQL in this process, in front of any backend port, with its audit events and log in memory. */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { AuditEvent, AuditEventType } from "../../src/audit/audit-event.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { network } from "../../src/net/network.ts";
import type { ApprovalMode } from "../../src/policy/approvals.ts";
import { AllowAllJudge } from "../../src/server/allow-all-judge.ts";
import { ApprovalDesk } from "../../src/server/approval-desk.ts";
import { newProcessServices, newSessionServices } from "../../src/server/listener-services.ts";
import { newProxyMetrics } from "../../src/server/metric-labels.ts";
import { CancelKeys } from "../../src/session/postgres/cancel-keys.ts";
import type { DsqlServing } from "../../src/session/postgres/dsql/dsql-watch.ts";
import type { PostgresJudge } from "../../src/session/postgres/judging/judge.ts";
import { PostgresSession } from "../../src/session/postgres/session.ts";
import type { AuditTrail, SessionServices } from "../../src/session/session-services.ts";
import type { ApprovalBrief, Judgement } from "../../src/session/statement/statement-judge.ts";
import { type HarnessOptions, listenerOptions, memoryLogger } from "./session-harness.ts";

export interface PostgresProxy {
  readonly port: number;
  readonly events: AuditEvent[];
  readonly log: { readonly level: string; readonly event: string; readonly fields: Record<string, unknown> }[];
  readonly sessions: ReadonlySet<PostgresSession>;
  readonly cancelKeys: CancelKeys;
  readonly approvals: ApprovalDesk;
  readonly metrics: SessionServices["metrics"];
  /** Events of these types cannot be recorded. */
  readonly failing: Set<AuditEventType>;
  of<T extends AuditEventType>(type: T): Extract<AuditEvent, { type: T }>[];
  close(): Promise<void>;
}

export interface PostgresProxyOptions extends HarnessOptions {
  readonly judge?: PostgresJudge;
  /** Where the backend is to be taken for Aurora DSQL. */
  readonly dsql?: DsqlServing;
  /** What is recorded of statements is recorded a turn of the loop later. */
  readonly recordsLater?: boolean;
}

let lastDecision = 0;

/** A judgement as a judge gives it. */
export function judged(action: Judgement["action"], more: Partial<Judgement> = {}): Judgement {
  return {
    action,
    decisionId: `d${String(++lastDecision).padStart(6, "0")}`,
    clientMessage: action === "allow" ? undefined : "querycop: test rule",
    errorNumber: 1148,
    sqlState: "42000",
    score: undefined,
    level: undefined,
    rules: [],
    ruleId: undefined,
    notUnderstood: undefined,
    policyVersion: undefined,
    text: "",
    textForm: "none",
    statementKind: undefined,
    localFiles: [],
    approval: undefined,
    afterwards: "none",
    ...more,
  };
}

export const BRIEF: ApprovalBrief = {
  settings: {
    mode: "hold",
    timeoutMs: 60_000,
    validForMs: 60_000,
    inTransaction: "block",
    transactionTimeoutMs: 5_000,
    openPerUserMax: 5,
  },
  digest: "a digest",
  isUnderstood: true,
  kinds: [],
  tablesRead: [],
  tablesWritten: [],
  reasons: [],
  behind: undefined,
};

/** Refuses texts that hold the word `secret`, warns of `careful`, holds `approve` and asks to send `permit` again. */
export const WORD_JUDGE: PostgresJudge = {
  judge({ sql }) {
    const text = Buffer.from(sql).toString("utf8");
    const mode: ApprovalMode | undefined = text.includes("approve")
      ? "hold"
      : text.includes("permit")
        ? "immediate"
        : undefined;
    const open = mode === undefined ? "allow" : "require-approval";
    const action = text.includes("secret") ? "block" : text.includes("careful") ? "warn" : open;
    const approval = mode === undefined ? undefined : { ...BRIEF, settings: { ...BRIEF.settings, mode } };
    return judged(action, { text, textForm: "raw", sqlState: "42501", approval });
  },
};

export async function startPostgresProxy(options: PostgresProxyOptions): Promise<PostgresProxy> {
  const events: AuditEvent[] = [];
  const failing = new Set<AuditEventType>();
  const record = (event: AuditEvent): void => {
    if (failing.has(event.type)) {
      throw new QuerycopError("QC_AUDIT_FAILED", `Cannot record: ${event.type} is failing`);
    }
    events.push(event);
  };
  const audit: AuditTrail = {
    run: "test",
    isKept: true,
    append(event) {
      const isLater = options.recordsLater === true && /^(?:statement-|hold)/.test(event.type);
      return isLater ? nextTurn().then(() => record(event)) : record(event);
    },
    appendSoon: record,
    hashText: () => "hash",
    hashLongText: async () => "hash of a long text",
  };
  const log: PostgresProxy["log"] = [];
  const logger = memoryLogger(log);
  const approvals = new ApprovalDesk({ audit, logger, openMax: options.approvalsOpenMax ?? 50 });
  const metrics = newProxyMetrics();
  const usual = newSessionServices(newProcessServices({ audit, metrics, judge: new AllowAllJudge(), approvals }), {
    options: listenerOptions(options),
    tokens: undefined,
    logger,
    backendConnectionId: () => undefined,
    cancelHold: () => {},
  });
  const session: SessionServices = { ...usual, ...options.services };
  const cancelKeys = new CancelKeys();
  const services = { session, judge: options.judge ?? WORD_JUDGE, cancelKeys, dsql: options.dsql };
  const sessions = new Set<PostgresSession>();
  const running = new Set<Promise<void>>();
  let nextId = 1;
  const listener = await network.listen({ kind: "tcp", host: "127.0.0.1", port: 0 }, (transport) => {
    const accepted = new PostgresSession(nextId++, transport, services);
    sessions.add(accepted);
    const run = accepted.run().finally(() => {
      sessions.delete(accepted);
      running.delete(run);
    });
    running.add(run);
  });
  return {
    port: listener.port,
    events,
    log,
    sessions,
    cancelKeys,
    approvals,
    metrics,
    failing,
    of: <T extends AuditEventType>(type: T) =>
      events.filter((event): event is Extract<AuditEvent, { type: T }> => event.type === type),
    close: async () => {
      listener.close();
      for (const open of sessions) open.close("shutdown");
      await Promise.all(running);
    },
  };
}
