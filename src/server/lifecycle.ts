/** The life of the process: start listeners, run, drain on SIGTERM, end with an exit code. */

import { readFileSync } from "node:fs";
import type { AuditEvent } from "../audit/audit-event.ts";
import type { AuditLog } from "../audit/audit-log.ts";
import { recordBestEffort } from "../audit/best-effort.ts";
import type { Logger } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { Slots } from "../base/slots.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import type { ListenTarget } from "../net/transport.ts";
import { asksForEstimates } from "../policy/impact.ts";
import type { DataGuardCounts } from "../session/data-guard.ts";
import { PolicyJudge } from "../session/policy-judge.ts";
import type { AuditTrail, ProcessServices, SessionServices } from "../session/session-services.ts";
import type { TokenManager } from "../token/token-manager.ts";
import { ApprovalDesk } from "./approval-desk.ts";
import { configHash, type OpenAudit, openAudit } from "./audit-setup.ts";
import { drainSessions, endAllSessions, endIdleSessions } from "./drain.ts";
import { EventFeed } from "./event-feed.ts";
import { newProcessServices, newSessionServices } from "./listener-services.ts";
import { listenerOptions, tokenManager } from "./listener-setup.ts";
import { type LiveFiles, liveAdminTlsOf, liveFilesOf, liveKeysOf } from "./live-files.ts";
import { LivePolicy } from "./live-policy.ts";
import { LiveSettings, type RereadSettings } from "./live-settings.ts";
import { newProxyMetrics } from "./metric-labels.ts";
import { connectionsAllowedByDescriptors } from "./open-files.ts";
import type { AdminServer, SettingView, StartAdmin } from "./operations.ts";
import { connectMetrics } from "./process-metrics.ts";
import { adminOptionsOf, ProcessOperations } from "./process-operations.ts";
import { ProxyServer } from "./proxy-server.ts";
import { BackendReadiness } from "./readiness.ts";
import { Reloader } from "./reloader.ts";
import { ServiceManager } from "./service-manager.ts";
import { killTargets, SessionRegistry } from "./session-registry.ts";
import { assignSockets, takeInheritedSockets } from "./socket-activation.ts";

export interface ServeOptions {
  readonly logger: Logger;
  readonly version: { readonly version: string; readonly commit: string };
  /** What `querycop config` would show. */
  readonly settings?: readonly SettingView[];
  /** Reads the configuration again and takes over what can change while the process runs. */
  readonly reread?: RereadSettings;
  /** Opens the admin API; without it there is none. */
  readonly startAdmin?: StartAdmin;
  /** Every route the admin API has, for its metrics. */
  readonly adminRoutes?: readonly string[];
}

/** How often idle sessions are looked over. */
const SWEEP_MS = 1_000;
const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;
/** Logins that may wait for a place to mint; further ones are told to try again. */
const WAITING_MINTS_MAX = 256;

/** Runs until a signal ends it; resolves with the exit code. A listener that cannot be opened ends it with 1. */
export async function serve(config: Config, options: ServeOptions): Promise<number> {
  const { logger } = options;
  const audit = openAudit(config.audit, logger);
  const feed = new EventFeed(audit.trail);
  const record = recorder(feed);
  record({ type: "start", version: options.version.version, pid: process.pid, configHash: configHash(config) });
  record({ type: "config-load", configHash: configHash(config), file: config.file, outcome: "ok" });
  let process_: ProxyProcess;
  try {
    process_ = new ProxyProcess(config, options, feed, audit);
  } catch (thrown) {
    logger.error("cannot start", { error: thrown instanceof Error ? thrown.message : String(thrown) });
    await audit.close();
    return 2;
  }
  try {
    await process_.listen();
  } catch (thrown) {
    logger.error("cannot start", { error: thrown instanceof Error ? thrown.message : String(thrown) });
    process_.stopListening();
    await process_.closeAdmin();
    await audit.close();
    return 1;
  }
  const reason = await process_.untilStopped(config.drainTimeoutMs);
  await process_.closeAdmin();
  record({ type: "stop", reason, openSessions: process_.openSessions });
  await audit.close();
  await process_.serviceManagerTold();
  logger.info("querycop stopped", { reason });
  return 0;
}

function recorder(trail: AuditTrail): (event: AuditEvent) => void {
  return (event) => recordBestEffort(() => trail.append(event));
}

function addressText(target: ListenTarget, port: number): string {
  if (target.kind === "fd") return `handed over as descriptor ${target.fd}`;
  return target.kind === "unix" ? target.path : `${target.host}:${port}`;
}

class ProxyProcess {
  readonly #config: Config;
  readonly #logger: Logger;
  readonly #audit: EventFeed;
  readonly #auditLog: AuditLog | undefined;
  readonly #manager: ServiceManager;
  /** Descriptors of sockets handed over, by listener. */
  readonly #inherited: ReadonlyMap<string, readonly number[]>;
  readonly #registry: SessionRegistry;
  readonly #policy: LivePolicy;
  readonly #approvals: ApprovalDesk;
  readonly #servers: ProxyServer[] = [];
  readonly #tokens: TokenManager[] = [];
  readonly #dataGuardCounts: DataGuardCounts[] = [];
  readonly #metrics: Metrics;
  readonly #backends: BackendReadiness[] = [];
  readonly #liveFiles: LiveFiles[] = [];
  readonly #reloader: Reloader;
  readonly #operations: ProcessOperations;
  readonly #startAdmin: StartAdmin | undefined;
  #admin: AdminServer | undefined;
  /** One cap on token commands for the whole process, however many listeners there are. */
  readonly #mintSlots: Slots;
  readonly #services: ProcessServices;

  constructor(config: Config, options: ServeOptions, audit: EventFeed, { log: auditLog, forwarders }: OpenAudit) {
    const { logger, version } = options;
    this.#config = config;
    this.#startAdmin = options.startAdmin;
    this.#logger = logger;
    // Before anything that might start a program: both take their variables out of the environment.
    this.#manager = new ServiceManager(process.env, logger);
    const listenerNames = config.listeners.map(({ name }) => name);
    this.#inherited = assignSockets(takeInheritedSockets(process.env, process.pid), listenerNames);
    this.#mintSlots = new Slots(config.token.childrenMax, WAITING_MINTS_MAX);
    this.#audit = audit;
    this.#auditLog = auditLog;
    const record = recorder(audit);
    this.#policy = new LivePolicy({
      file: config.policy.file,
      idPrefix: audit.run.slice(0, 4),
      logger,
      onChange: (change) => record({ type: "policy-change", ...change }),
    });
    this.#approvals = new ApprovalDesk({
      audit,
      logger,
      openMax: config.approvals.openMax,
      hasApprovers: config.adminApiKey !== undefined || config.approvers.length > 0,
    });
    const descriptorsAllow = connectionsAllowedByDescriptors();
    if (descriptorsAllow < config.maxConnections) {
      logger.warn("fewer connections than configured", {
        allowed: descriptorsAllow,
        configured: config.maxConnections,
        fix: "raise the open files limit: LimitNOFILE in the systemd unit, ulimit -n in a shell",
      });
    }
    this.#registry = new SessionRegistry({
      connectionsMax: Math.min(config.maxConnections, descriptorsAllow),
      connectionsPerAddressMax: config.connectionsPerAddressMax || Number.MAX_SAFE_INTEGER,
    });
    const adminRoutes = options.adminRoutes ?? [];
    this.#metrics = newProxyMetrics({ ...version, listeners: config.listeners, adminRoutes });
    this.#services = newProcessServices(
      {
        audit,
        metrics: this.#metrics,
        judge: new PolicyJudge(this.#policy.judge, this.#policy.thread),
        approvals: this.#approvals,
      },
      config.connectionsPerUserMax,
    );
    connectMetrics(this.#metrics, {
      config,
      version,
      registry: this.#registry,
      judge: this.#policy.judge,
      tokens: this.#tokens,
      dataGuardCounts: this.#dataGuardCounts,
      approvals: this.#approvals,
      audit: auditLog,
      auditForwarders: forwarders,
    });
    const { metrics, policy, registry } = { metrics: this.#metrics, policy: this.#policy, registry: this.#registry };
    const settings = new LiveSettings(config.file, options.settings ?? [], options.reread, logger);
    this.#reloader = new Reloader({ config, policy, files: this.#liveFiles, settings, metrics, logger, record });
    this.#operations = new ProcessOperations({
      version,
      logger,
      metrics,
      settings,
      auditFile: config.audit.file,
      audit: auditLog,
      events: audit,
      approvals: this.#approvals,
      registry,
      policy,
      reloader: this.#reloader,
      backends: this.#backends,
      record,
    });
  }

  get openSessions(): number {
    return this.#registry.size;
  }

  #tellReady(): void {
    this.#manager.ready(`serving ${this.#config.listeners.map(({ name }) => name).join(", ")}`);
  }

  async serviceManagerTold(): Promise<void> {
    await this.#manager.sent();
  }

  async listen(): Promise<void> {
    for (const listener of this.#config.listeners) await this.#openListener(listener);
    await this.#openAdmin();
    this.#reloader.begin();
  }

  async #openAdmin(): Promise<void> {
    if (this.#startAdmin === undefined) return;
    const options = adminOptionsOf(this.#config, (path) => readFileSync(path, "latin1"));
    const { listen } = options;
    try {
      this.#admin = await this.#startAdmin(options, this.#operations);
    } catch (thrown) {
      const where =
        listen.kind === "unix"
          ? `${listen.path}, see GATEKEEPER_API_SOCKET`
          : `${listen.host}:${listen.port}, see GATEKEEPER_API_PORT`;
      throw new Error(
        `the admin API cannot listen on ${where}: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      );
    }
    const keys = liveKeysOf(this.#config, this.#admin);
    if (keys !== undefined) this.#liveFiles.push(keys);
    const certificate = liveAdminTlsOf(this.#config, this.#admin, this.#logger);
    if (certificate !== undefined) this.#liveFiles.push(certificate);
    const address = listen.kind === "unix" ? listen.path : `${listen.host}:${this.#admin.port}`;
    this.#logger.info("admin API listening", {
      address,
      tls: options.tls !== undefined,
      key: options.adminKey !== undefined,
    });
  }

  async closeAdmin(): Promise<void> {
    await this.#admin?.close();
  }

  async #openListener(listener: ListenerConfig): Promise<void> {
    const logger = this.#logger.child({ listener: listener.name });
    const services = this.#servicesFor(listener, logger);
    const server = new ProxyServer(services, this.#registry);
    this.#backends.push(new BackendReadiness(services));
    this.#servers.push(server);
    const addresses: string[] = [];
    for (const target of this.#targetsOf(listener)) addresses.push(addressText(target, await server.listen(target)));
    const { backend } = listener;
    if (services.tokens === undefined && asksForEstimates(this.#policy.judge.policy)) {
      logger.warn("impact guard cannot estimate", {
        why: "estimates need a login of their own, and this listener has no token source",
        effect: "no_estimate of the profile applies",
      });
    }
    logger.info("querycop listening", {
      address: addresses.join(", "),
      backend: `${backend.host}:${backend.port}`,
      backendTls: backend.tlsMode,
      clientTls: listener.proxy.tlsMode,
      clientAuth: listener.clientAuth,
      tokenSource: backend.tokenSource,
      role: backend.role,
      pooler: backend.pooler,
    });
  }

  #targetsOf({ name, listen }: ListenerConfig): readonly ListenTarget[] {
    const inherited = this.#inherited.get(name);
    if (inherited !== undefined) return inherited.map((fd) => ({ kind: "fd", fd }));
    if (listen.socket !== undefined) return [{ kind: "unix", path: listen.socket }];
    return [{ kind: "tcp", host: listen.host, port: listen.port }];
  }

  #servicesFor(listener: ListenerConfig, logger: Logger): SessionServices {
    const record = recorder(this.#audit);
    const tokens = tokenManager(listener, this.#config.token, this.#mintSlots, logger, (report) => {
      this.#metrics.tokenMintDuration.observe(report.durationUs / 1e6);
      if (report.failure !== undefined) this.#metrics.tokenMintFailures.of(report.failure).value++;
      record({
        type: "token-mint",
        host: report.target.host,
        port: report.target.port,
        region: report.target.region,
        user: report.target.user,
        source: report.source,
        outcome: report.failure === undefined ? "ok" : "error",
        reason: report.failure,
        forced: report.forced,
        durationUs: report.durationUs,
      });
    });
    if (tokens !== undefined) this.#tokens.push(tokens);
    const options = listenerOptions(listener);
    this.#liveFiles.push(...liveFilesOf(listener, options));
    const kills = killTargets(this.#registry, listener.backend);
    const services = newSessionServices(this.#services, { options, tokens, logger, ...kills });
    this.#dataGuardCounts.push(services.dataGuardCounts);
    return services;
  }

  stopListening(): void {
    for (const server of this.#servers) server.close();
  }

  /**
   * Resolves with the reason once everything has ended. The first SIGTERM or SIGINT drains, the second one ends everything
   * now.
   */
  async untilStopped(drainTimeoutMs: number): Promise<string> {
    const sweep = setInterval(() => endIdleSessions(this.#registry), SWEEP_MS);
    process.on("SIGHUP", () => this.#reload());
    // A peer that closes its end of a pipe or socket is an error on that stream, not the end of the process.
    process.on("SIGPIPE", () => {});
    const stopped = this.#stopSignal();
    this.#tellReady();
    const signal = await stopped;
    this.#logger.info("draining", { signal, sessions: this.#registry.size, timeoutMs: drainTimeoutMs });
    this.#manager.stopping(`draining ${this.#registry.size} sessions`);
    this.#operations.isDraining = true;
    this.stopListening();
    this.#approvals.close();
    await drainSessions(this.#registry, drainTimeoutMs);
    clearInterval(sweep);
    for (const tokens of this.#tokens) tokens.close();
    this.#policy.close();
    this.#reloader.end();
    for (const backend of this.#backends) backend.close();
    for (const name of [...STOP_SIGNALS, "SIGHUP"]) process.removeAllListeners(name);
    return signal;
  }

  #stopSignal(): Promise<string> {
    return new Promise((resolve) => {
      let isStopping = false;
      const onSignal = (signal: string): void => {
        if (isStopping) endAllSessions(this.#registry);
        isStopping = true;
        resolve(signal);
      };
      for (const name of STOP_SIGNALS) process.on(name, () => onSignal(name));
    });
  }

  #reload(): void {
    this.#manager.reloading();
    this.#auditLog?.reopen();
    void this.#reloader.reload("signal").then(() => this.#tellReady());
  }
}
