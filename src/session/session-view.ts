/** What an operator is shown of a session while it lives. */
import type { AuditSession } from "../audit/audit-event.ts";
import { SYSTEM_CLOCK } from "../base/clock.ts";
import type { Judgement } from "./statement/statement-judge.ts";

export interface SessionView {
  /** As in the audit log: unique over restarts. */
  readonly id: string;
  readonly listener: string;
  readonly clientAddress: string;
  readonly clientTls: string | undefined;
  readonly user: string | undefined;
  readonly backend: string;
  readonly backendConnectionId: number | undefined;
  readonly schema: string | undefined;
  readonly program: string | undefined;
  /** held: its statement waits for an approval. */
  readonly state: "login" | "idle" | "busy" | "held";
  readonly isInTransaction: boolean;
  readonly commands: number;
  readonly bytesToClient: number;
  readonly bytesToBackend: number;
  readonly ageSeconds: number;
  readonly silentSeconds: number;
  /** The one under way, once it is judged. */
  readonly statement: StatementView | undefined;
}

interface StatementView {
  readonly command: string;
  readonly kind: string | undefined;
  /** As the audit log has it. */
  readonly text: string;
  readonly textForm: Judgement["textForm"];
  readonly decisionId: string;
  /** RFC 3339. */
  readonly since: string;
  readonly seconds: number;
}

/** The statement judged last, with the number of its command and since when. */
export interface JudgedStatement {
  readonly ordinal: number;
  readonly command: string;
  readonly judgement: Pick<Judgement, "statementKind" | "text" | "textForm" | "decisionId">;
  /** On the monotonic clock. */
  readonly beganMs: number;
}

interface ViewedCommands {
  readonly isIdle: boolean;
  /** Whether its statement waits for an approval. */
  readonly isHeld: boolean;
  readonly isInTransaction: boolean;
  readonly ordinal: number;
  readonly judged: JudgedStatement | undefined;
}

interface Viewed {
  readonly audit: AuditSession;
  /** Undefined until the login is through. */
  readonly context: ViewedCommands | undefined;
  readonly isInCommands: boolean;
  /** On the monotonic clock, as is the next. */
  readonly startedMs: number;
  readonly lastActivityMs: number;
  readonly bytesToClient: number;
  readonly bytesToBackend: number;
}

export function sessionView(viewed: Viewed): SessionView {
  const { audit, context, isInCommands, bytesToClient, bytesToBackend } = viewed;
  const { id, listener, clientAddress, clientTls, user, backend, backendConnectionId, schema, program } = audit;
  const nowMs = SYSTEM_CLOCK.monotonicMs();
  const isIdle = context?.isIdle === true;
  const busy = context?.isHeld === true ? "held" : "busy";
  const state = isIdle ? "idle" : busy;
  return {
    id,
    listener: listener ?? "",
    clientAddress,
    clientTls,
    user,
    backend: backend ?? "",
    backendConnectionId,
    schema,
    program,
    state: isInCommands ? state : "login",
    isInTransaction: context?.isInTransaction ?? false,
    commands: context?.ordinal ?? 0,
    bytesToClient,
    bytesToBackend,
    ageSeconds: Math.floor((nowMs - viewed.startedMs) / 1000),
    silentSeconds: isIdle ? Math.floor((nowMs - viewed.lastActivityMs) / 1000) : 0,
    statement: statementView(context, nowMs),
  };
}

function statementView(context: ViewedCommands | undefined, nowMs: number): StatementView | undefined {
  const { judged, ordinal, isIdle } = context ?? {};
  if (judged === undefined || isIdle === true || judged.ordinal !== ordinal) return undefined;
  const { statementKind: kind, text, textForm, decisionId } = judged.judgement;
  const ageMs = nowMs - judged.beganMs;
  const since = new Date(SYSTEM_CLOCK.wallMs() - ageMs).toISOString();
  return { command: judged.command, kind, text, textForm, decisionId, since, seconds: Math.floor(ageMs / 1000) };
}
