/** A whole proxy listener in this process, in front of any backend port, with its audit events and log in memory. */

import type { AuditEvent, AuditEventType } from "../../src/audit/audit-event.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import type { Logger } from "../../src/base/log.ts";
import { BackendTls } from "../../src/net/tls.ts";
import { AllowAllJudge } from "../../src/server/allow-all-judge.ts";
import { ApprovalDesk } from "../../src/server/approval-desk.ts";
import { newProcessServices, newSessionServices } from "../../src/server/listener-services.ts";
import { newProxyMetrics } from "../../src/server/metric-labels.ts";
import { OpenFiles } from "../../src/server/open-files.ts";
import { ProxyServer } from "../../src/server/proxy-server.ts";
import { killTargets, SessionRegistry } from "../../src/server/session-registry.ts";
import type { DataGuardLimits } from "../../src/session/limits/data-guard.ts";
import type { BackendOptions, ListenerOptions } from "../../src/session/listener-options.ts";
import { MYSQL_WING } from "../../src/session/mysql/mysql-wing.ts";
import type { AuditTrail, SessionServices } from "../../src/session/session-services.ts";

export interface ProxyHarness {
  readonly port: number;
  readonly events: AuditEvent[];
  readonly log: { readonly level: string; readonly event: string; readonly fields: Record<string, unknown> }[];
  readonly registry: SessionRegistry;
  readonly approvals: ApprovalDesk;
  readonly metrics: SessionServices["metrics"];
  readonly services: SessionServices;
  /** Events of these types cannot be recorded. */
  readonly failing: Set<AuditEventType>;
  /** Resolves with the first event that fits, past or future. */
  untilEvent(fits: (event: AuditEvent) => boolean): Promise<AuditEvent>;
  close(): Promise<void>;
}

export interface HarnessOptions {
  readonly backendPort: number;
  readonly listener?: Partial<ListenerOptions>;
  readonly backend?: Partial<BackendOptions>;
  readonly services?: Partial<SessionServices>;
  readonly approvalsOpenMax?: number;
  readonly connectionsMax?: number;
  readonly connectionsPerAddressMax?: number;
}

function plaintextBackendTls(): BackendTls {
  return new BackendTls({ mode: "disable", serverName: "localhost", minVersion: "TLSv1.2" });
}

export async function startProxy(options: HarnessOptions): Promise<ProxyHarness> {
  const events: AuditEvent[] = [];
  const failing = new Set<AuditEventType>();
  const waiters: { fits: (event: AuditEvent) => boolean; resolve: (event: AuditEvent) => void }[] = [];
  const audit: AuditTrail = {
    run: "test",
    isKept: true,
    append(event) {
      if (failing.has(event.type))
        throw new QuerycopError("QC_AUDIT_FAILED", `Cannot record: ${event.type} is failing`);
      events.push(event);
      for (const waiter of waiters) if (waiter.fits(event)) waiter.resolve(event);
    },
    appendSoon: (event) => audit.append(event),
    hashText: () => "hash",
    hashLongText: async () => "hash",
  };
  const log: ProxyHarness["log"] = [];
  const registry = new SessionRegistry({
    connectionsMax: options.connectionsMax ?? 1000,
    connectionsPerAddressMax: options.connectionsPerAddressMax ?? 1000,
  });
  const logger = memoryLogger(log);
  const approvals = new ApprovalDesk({ audit, logger, openMax: options.approvalsOpenMax ?? 50 });
  const metrics = newProxyMetrics();
  const usual = newSessionServices(newProcessServices({ audit, metrics, judge: new AllowAllJudge(), approvals }), {
    options: listenerOptions(options),
    tokens: undefined,
    logger,
    ...killTargets(registry, { host: "127.0.0.1", port: options.backendPort }),
  });
  const services: SessionServices = { ...usual, ...options.services };
  const server = new ProxyServer(MYSQL_WING, services, registry, new OpenFiles());
  const port = await server.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
  return {
    port,
    metrics,
    services,
    events,
    log,
    registry,
    approvals,
    failing,
    untilEvent: (fits) =>
      new Promise((resolve) => {
        const found = events.find(fits);
        if (found === undefined) waiters.push({ fits, resolve });
        else resolve(found);
      }),
    close: async () => {
      server.close();
      for (const session of registry) session.close("shutdown");
      await registry.whenEmpty();
    },
  };
}

export const NO_DATA_LIMITS: DataGuardLimits = {
  responseBytesMax: 0,
  responseRowsMax: 0,
  windowBytesMax: 0,
  userWindowBytesMax: 0,
  userWindowRowsMax: 0,
  limitAction: "cut",
  discardTimeoutMs: 5_000,
  discardBytesMax: 1e9,
};

export function listenerOptions(options: HarnessOptions): ListenerOptions {
  return {
    name: "test",
    clientTls: undefined,
    clientTlsMode: "off",
    clientAuth: "relay",
    users: undefined,
    certificateUsers: undefined,
    handshakeTimeoutMs: 5_000,
    idleTimeoutMs: 0,
    writeTimeoutMs: 5_000,
    leftTimeoutMs: 5_000,
    packetTimeoutMs: 0,
    packetBytesMax: 64 * 1024 * 1024,
    preparedStatementsMax: 4096,
    allowsLocalInfile: true,
    localInfileBytesMax: 0,
    dataGuard: NO_DATA_LIMITS,
    ...options.listener,
    backend: {
      host: "127.0.0.1",
      port: options.backendPort,
      token: { host: "127.0.0.1", port: 3306 },
      family: "auto",
      tls: plaintextBackendTls(),
      connectTimeoutMs: 2_000,
      loginTimeoutMs: 2_000,
      writeTimeoutMs: 5_000,
      responseTimeoutMs: 0,
      progressTimeoutMs: 60_000,
      region: undefined,
      failoverWaitMs: 0,
      role: undefined,
      pooler: undefined,
      isAurora: false,
      tracksSessions: true,
      checksSyntax: false,
      publicKey: undefined,
      ...options.backend,
    },
  };
}

export function memoryLogger(log: ProxyHarness["log"]): Logger {
  const add =
    (level: string) =>
    (event: string, fields: Record<string, unknown> = {}): void => {
      log.push({ level, event, fields });
    };
  const logger: Logger = {
    debug: add("debug"),
    info: add("info"),
    warn: add("warn"),
    error: add("error"),
    child: () => logger,
  };
  return logger;
}
