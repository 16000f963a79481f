/** The running process as an operator's API sees it. */
import type { AuditEvent } from "../audit/audit-event.ts";
import type { AuditLog } from "../audit/audit-log.ts";
import type { Logger } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Config } from "../config/schema.ts";
import type { Policy } from "../policy/policy.ts";
import type { SessionView } from "../session/session-view.ts";
import type { Activity } from "./activity/activity.ts";
import type { EventFeed } from "./event-feed.ts";
import type { LivePolicy } from "./live-policy.ts";
import type { LiveSettings } from "./live-settings.ts";
import type {
  AdminOptions,
  ApprovalOperations,
  Operations,
  PolicyView,
  ReloadOutcome,
  RunDoctor,
  SettingView,
} from "./operations.ts";
import { type BackendReadiness, type Readiness, type ReadinessCheck, readinessOf } from "./readiness.ts";
import type { Reloader } from "./reloader.ts";
import type { SessionRegistry } from "./session-registry.ts";

export interface ProcessParts {
  readonly version: { readonly version: string; readonly commit: string };
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly settings: LiveSettings;
  readonly auditFile: string | undefined;
  readonly audit: AuditLog | undefined;
  readonly events: EventFeed;
  readonly approvals: ApprovalOperations;
  readonly approvalInbox: Operations["approvalInbox"];
  readonly activity: Activity;
  readonly doctor: RunDoctor | undefined;
  readonly registry: SessionRegistry;
  readonly policy: LivePolicy;
  readonly reloader: Reloader;
  readonly backends: readonly BackendReadiness[];
  readonly record: (event: AuditEvent) => void;
}

export class ProcessOperations implements Operations {
  readonly version: Operations["version"];
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly auditFile: string | undefined;
  readonly events: EventFeed;
  readonly approvals: ApprovalOperations;
  readonly approvalInbox: Operations["approvalInbox"];
  readonly activity: Activity;
  readonly doctor: RunDoctor | undefined;
  readonly startedMs = performance.now();
  isDraining = false;
  readonly #parts: ProcessParts;

  constructor(parts: ProcessParts) {
    this.#parts = parts;
    this.version = { version: parts.version.version, commit: parts.version.commit };
    this.logger = parts.logger;
    this.metrics = parts.metrics;
    this.auditFile = parts.auditFile;
    this.events = parts.events;
    this.approvals = parts.approvals;
    this.approvalInbox = parts.approvalInbox;
    this.activity = parts.activity;
    this.doctor = parts.doctor;
  }

  get settings(): readonly SettingView[] {
    return this.#parts.settings.current;
  }

  get sessionsMax(): number {
    return this.#parts.registry.connectionsMax;
  }

  get livePolicy(): Policy {
    return this.#parts.policy.judge.policy;
  }

  async readiness(): Promise<Readiness> {
    const { audit, backends, policy, metrics } = this.#parts;
    const checks: ReadinessCheck[] = [
      { name: "drain", ok: !this.isDraining, detail: this.isDraining ? "shutting down" : "accepting clients" },
      audit === undefined
        ? { name: "audit", ok: true, detail: "no audit log is kept" }
        : { name: "audit", ok: audit.state === "ok", detail: AUDIT_WORDS[audit.state] },
      // What was before a refused change serves on: worth an alarm, not a reason to send clients away.
      { name: "reload", ok: true, detail: reloadWords(metrics, policy) },
    ];
    // A process that is about to end has nothing to ask of its backends.
    if (!this.isDraining) checks.push(...(await Promise.all(backends.map((backend) => backend.check()))));
    const readiness = readinessOf(checks);
    metrics.ready.value = readiness.isReady ? 1 : 0;
    return readiness;
  }

  sessions(): readonly SessionView[] {
    return [...this.#parts.registry].map((session) => session.view());
  }

  session(id: string): SessionView | undefined {
    return this.#parts.registry.findByLabel(id)?.view();
  }

  killSession(id: string, by: string): boolean {
    const session = this.#parts.registry.findByLabel(id);
    session?.kill(by);
    return session !== undefined;
  }

  policy(): PolicyView {
    return this.#parts.policy.view;
  }

  reload(by: string): Promise<readonly ReloadOutcome[]> {
    return this.#parts.reloader.reload(by);
  }

  record(event: AuditEvent): void {
    this.#parts.record(event);
  }
}

const AUDIT_WORDS = {
  ok: "recording",
  low: "the audit log's disk is full",
  failed: "the audit log cannot be written",
} as const;

function reloadWords(metrics: Metrics, { isFileRefused }: LivePolicy): string {
  if (isFileRefused) return "a changed policy is refused, the one before serves";
  return metrics.reloadSuccessful.value === 1 ? "nothing refused" : "a changed file is refused, the one before serves";
}

/** What the configuration says of the admin API. Files are read by `read`. */
export function adminOptionsOf(config: Config, read: (path: string) => string): AdminOptions {
  const { api } = config;
  const { tlsCert, tlsKey } = api;
  return {
    listen:
      api.socket === undefined ? { kind: "tcp", host: api.host, port: api.port } : { kind: "unix", path: api.socket },
    tls: tlsCert === undefined || tlsKey === undefined ? undefined : { cert: read(tlsCert), key: read(tlsKey) },
    adminKey: config.adminApiKey,
    namedKeys: config.approvers,
    hasPublicMetrics: api.publicMetrics,
    hasDashboard: api.dashboard,
    basePath: api.basePath ?? "",
  };
}
