/** What an operator may see and do while querycop runs: the only way the admin API has into the process. */
import type { AuditEvent } from "../audit/audit-event.ts";
import type { ApiRole } from "../base/api-role.ts";
import type { Logger } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Policy } from "../policy/policy.ts";
import type { SessionView } from "../session/session-view.ts";
import type { Activity } from "./activity/activity.ts";
import type { ApprovalDesk } from "./approval-desk.ts";
import type { EventFeed } from "./event-feed.ts";
import type { Readiness } from "./readiness.ts";
import type { WebhookInbox } from "./webhook-inbox.ts";

/** One setting with where its value came from; secrets are already replaced. */
export interface SettingView {
  readonly key: string;
  readonly value?: string | undefined;
  readonly source: string;
  readonly where?: string | undefined;
}

export interface PolicyView {
  readonly version: string;
  /** The file it came from; undefined for the built-in policy. */
  readonly file: string | undefined;
  /** True while the file has a problem and the policy before it stays in force. */
  readonly isFileRefused: boolean;
}

/** What became of one thing that was read again. */
export interface ReloadOutcome {
  readonly what: string;
  readonly outcome: "unchanged" | "replaced" | "refused";
  /** Lines that name file and problem, where it was refused. */
  readonly problems?: string;
  /** Settings that have changed and are taken over at the next start, separated by commas. */
  readonly needsRestart?: string;
}

/** What one of doctor's checks has found. */
export interface DoctorFinding {
  readonly id: string;
  readonly title: string;
  readonly listener?: string;
  readonly status: "ok" | "warn" | "fail" | "skip";
  readonly detail: string;
  readonly remedy?: { readonly text: string; readonly commands: readonly string[]; readonly docs: string };
}

/** Runs doctor's checks on the running configuration; they change nothing. */
export type RunDoctor = () => Promise<readonly DoctorFinding[]>;

/** What approvers may do. */
export type ApprovalOperations = Pick<ApprovalDesk, "list" | "find" | "approve" | "deny" | "askForLoad" | "use">;

export interface Operations {
  readonly version: { readonly version: string; readonly commit: string };
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly startedMs: number;
  readonly isDraining: boolean;
  readonly settings: readonly SettingView[];
  /** The audit log's active file; undefined when none is kept. */
  readonly auditFile: string | undefined;
  readonly events: EventFeed;
  readonly approvals: ApprovalOperations;
  /** Undefined where no system may answer for approvers. */
  readonly approvalInbox: Pick<WebhookInbox, "judge" | "mayAnswer"> | undefined;
  /** Client connections that may be open at a time. */
  readonly sessionsMax: number;
  readonly activity: Pick<Activity, "book" | "series" | "changes" | "auditDisk">;
  /** Undefined where the process was started without. */
  readonly doctor: RunDoctor | undefined;
  /** The policy in force. */
  readonly livePolicy: Policy;
  readiness(): Promise<Readiness>;
  sessions(): readonly SessionView[];
  session(id: string): SessionView | undefined;
  /** `by` is who asked, which log, audit and the client are told. False when there is no such session. */
  killSession(id: string, by: string): boolean;
  policy(): PolicyView;
  /** Reads policy, users, certificates and settings again. `by` is who asked, for the record. */
  reload(by: string): Promise<readonly ReloadOutcome[]>;
  record(event: AuditEvent): void;
}

/** Where the admin API listens and who may use it. */
export interface AdminOptions {
  readonly listen:
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string };
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Without a key only public routes answer. */
  readonly adminKey: string | undefined;
  readonly namedKeys: readonly NamedKey[];
  /** Whether /metrics answers without a key. */
  readonly hasPublicMetrics: boolean;
  /** Whether the dashboard is answered, where there is a key to log in with. */
  readonly hasDashboard: boolean;
  /** Before every path, as a reverse proxy passes it on: empty, or `/querycop`. */
  readonly basePath: string;
}

/** The key of a person or program, which is not known to us: only its SHA-256. */
export interface NamedKey {
  readonly name: string;
  readonly role: ApiRole;
  readonly sha256: string;
}

export interface AdminServer {
  /** In use; 0 for a unix socket. */
  readonly port: number;
  /** From now on only these keys count. */
  replaceKeys(adminKey: string | undefined, namedKeys: readonly NamedKey[]): void;
  /**
   * New connections get this certificate; requests under way are answered. For some milliseconds the address takes no
   * connections. Rejects when it cannot be had again. Not for unix sockets.
   */
  replaceTls(tls: { readonly cert: string; readonly key: string }): Promise<void>;
  /** Ends all connections. */
  close(): Promise<void>;
}

export type StartAdmin = (options: AdminOptions, operations: Operations) => Promise<AdminServer>;
