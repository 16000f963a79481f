/** The life of the process: start listeners, run, drain on SIGTERM, end with an exit code. */

import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { AuditEvent } from "../audit/audit-event.ts";
import type { AuditLog } from "../audit/audit-log.ts";
import { recordBestEffort } from "../audit/best-effort.ts";
import { counted } from "../base/counted.ts";
import type { Logger } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { Slots } from "../base/slots.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import type { HeldPasswords } from "../connections/held-passwords.ts";
import type { ListenTarget } from "../net/transport.ts";
import { asksForEstimates } from "../policy/impact.ts";
import { logsInAlone } from "../session/accounts/login-tokens.ts";
import type { DataGuardCounts } from "../session/limits/data-guard.ts";
import { PolicyJudge } from "../session/mysql/judging/policy-judge.ts";
import type { AuditTrail, ProcessServices, SessionServices } from "../session/session-services.ts";
import { loadParser } from "../sql/postgres/parser/parser.ts";
import type { TokenManager } from "../token/token-manager.ts";
import { Activity } from "./activity/activity.ts";
import { ChangeHistory } from "./activity/change-history.ts";
import { type OpenApprovals, openApprovals } from "./approval-setup.ts";
import { configHash, type OpenAudit, openAudit, RUN_PREFIX_CHARS } from "./audit-setup.ts";
import { drainSessions, endAllSessions, IdleSweep } from "./drain.ts";
import { EventFeed } from "./event-feed.ts";
import { newProcessServices, newSessionServices } from "./listener-services.ts";
import { heldPasswords, listenerOptions, tokenManager } from "./listener-setup.ts";
import { type LiveFiles, liveAdminTlsOf, liveFilesOf, liveKeysOf } from "./live-files.ts";
import { LivePolicy } from "./live-policy.ts";
import { LiveSettings, type RereadSettings } from "./live-settings.ts";
import { memoryBudget } from "./memory-setup.ts";
import { newProxyMetrics } from "./metric-labels.ts";
import { connectionsAllowedByDescriptors, OpenFiles } from "./open-files.ts";
import type { AdminServer, RunDoctor, SettingView, StartAdmin } from "./operations.ts";
import { connectMetrics } from "./process-metrics.ts";
import { adminOptionsOf, ProcessOperations } from "./process-operations.ts";
import { ProxyServer } from "./proxy-server.ts";
import { BackendReadiness } from "./readiness.ts";
import { Reloader } from "./reloader.ts";
import { ServiceManager } from "./service-manager.ts";
import { killTargets, SessionRegistry } from "./session-registry.ts";
import { SessionWings } from "./session-wings.ts";
import { assignSockets, takeInheritedSockets } from "./socket-activation.ts";

export interface ServeOptions {
  readonly logger: Logger;
  readonly version: { readonly version: string; readonly commit: string };
  /** What `querycop config` would show. */
  readonly settings?: readonly SettingView[];
  /** Reads the configuration again and takes over what can change while the process runs. */
  readonly reread?: RereadSettings;
  /** Runs doctor on the configuration, where the admin API is asked to. */
  readonly doctor?: RunDoctor;
  /** Opens the admin API; without it there is none. */
  readonly startAdmin?: StartAdmin;
  /** Every route the admin API has, for its metrics. */
  readonly adminRoutes?: readonly string[];
}

/** Of all connections, what one address may have unless that is set. */
const ONE_ADDRESS_SHARE = 0.75;
/** How often idle sessions are looked over. */
const SWEEP_MS = 500;
const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;
/** Logins that may wait for a place to mint; further ones are told to try again. */
const WAITING_MINTS_MAX = 256;

/** Runs until a signal ends it; resolves with the exit code. A listener that cannot be opened ends it with 1. */
export async function serve(config: Config, options: ServeOptions): Promise<number> {
  const { logger } = options;
  const audit = tryOpenAudit(config, logger);
  if (audit === undefined) return 2;
  if (audit.log === undefined) {
    logger.warn("nothing is recorded", { fix: "set audit.file; decisions are in this log alone" });
  }
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
  const reason = await process_.untilStopped(config);
  await process_.closeAdmin();
  record({ type: "stop", reason, openSessions: process_.openSessions });
  await audit.close();
  await process_.serviceManagerTold();
  logger.info("querycop stopped", { reason });
  return 0;
}

function tryOpenAudit({ audit }: Config, logger: Logger): OpenAudit | undefined {
  try {
    return openAudit(audit, logger);
  } catch (thrown) {
    logger.error("cannot start", { error: thrown instanceof Error ? thrown.message : String(thrown) });
    return undefined;
  }
}

function recorder(trail: AuditTrail): (event: AuditEvent) => void {
  return (event) => recordBestEffort(() => trail.append(event));
}

function addressText(target: ListenTarget, port: number): string {
  if (target.kind === "fd") return `handed over as descriptor ${target.fd}`;
  return target.kind === "unix" ? target.path : `${target.host}:${port}`;
}

function newRegistry(config: Config, logger: Logger): SessionRegistry {
  const descriptorsAllow = connectionsAllowedByDescriptors();
  if (descriptorsAllow < config.maxConnections) {
    logger.warn("fewer connections than configured", {
      allowed: descriptorsAllow,
      configured: config.maxConnections,
      fix: "raise the open files limit: LimitNOFILE in the systemd unit, ulimit -n in a shell",
    });
  }
  const connectionsMax = Math.min(config.maxConnections, descriptorsAllow);
  const perAddressMax = config.connectionsPerAddressMax ?? Math.ceil(connectionsMax * ONE_ADDRESS_SHARE);
  return new SessionRegistry({
    connectionsMax,
    connectionsPerAddressMax: perAddressMax || Number.MAX_SAFE_INTEGER,
    loginsMax: config.loginConnectionsMax,
  });
}

function openPolicy(config: Config, audit: EventFeed, logger: Logger, changes: ChangeHistory): LivePolicy {
  const record = recorder(audit);
  return new LivePolicy({
    file: config.policy.file,
    idPrefix: audit.run.slice(0, RUN_PREFIX_CHARS),
    logger,
    judgeTimeoutMs: config.policy.judgeTimeoutMs,
    onChange: (change) => {
      changes.addPolicy(change, Date.now());
      record({ type: "policy-change", ...change });
    },
  });
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
  readonly #idleSweep: IdleSweep;
  readonly #openFiles = new OpenFiles();
  /** Resolves with the first signal to stop. */
  #stopped: Promise<string> = Promise.resolve("");
  /** Aborts with the second signal to stop. */
  readonly #hurry = new AbortController();
  readonly #policy: LivePolicy;
  readonly #wings: SessionWings;
  readonly #approvals: OpenApprovals;
  readonly #servers: ProxyServer[] = [];
  readonly #tokens: TokenManager[] = [];
  readonly #passwords: HeldPasswords[] = [];
  readonly #dataGuardCounts: DataGuardCounts[] = [];
  readonly #metrics: Metrics;
  readonly #backends: BackendReadiness[] = [];
  readonly #liveFiles: LiveFiles[] = [];
  readonly #reloader: Reloader;
  readonly #operations: ProcessOperations;
  readonly #activity: Activity;
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
    const changes = new ChangeHistory();
    this.#policy = openPolicy(config, audit, logger, changes);
    this.#wings = new SessionWings(this.#policy, config.dsql);
    // Who may log in to the admin API.
    const hasReaders = config.adminApiKey !== undefined || config.approvers.length > 0;
    this.#registry = newRegistry(config, logger);
    this.#idleSweep = new IdleSweep(this.#registry);
    const adminRoutes = options.adminRoutes ?? [];
    this.#metrics = newProxyMetrics({ ...version, listeners: config.listeners, adminRoutes });
    this.#approvals = openApprovals(config.approvals, { audit, logger, metrics: this.#metrics, hasReaders });
    this.#services = newProcessServices(
      {
        audit,
        metrics: this.#metrics,
        judge: new PolicyJudge(this.#policy.judge, this.#policy.longTexts),
        approvals: this.#approvals.desk,
        memory: memoryBudget(config),
        loginSlots: new Slots(config.loginConnectionsMax, config.maxConnections),
      },
      config.connectionsPerUserMax,
    );
    connectMetrics(this.#metrics, {
      config,
      version,
      registry: this.#registry,
      memory: this.#services.memory,
      judge: this.#policy.judge,
      tokens: this.#tokens,
      dataGuardCounts: this.#dataGuardCounts,
      approvals: this.#approvals.desk,
      audit: auditLog,
      auditForwarders: forwarders,
    });
    const { metrics, policy, registry } = { metrics: this.#metrics, policy: this.#policy, registry: this.#registry };
    const settings = new LiveSettings(config.file, options.settings ?? [], options.reread, logger);
    const files = this.#liveFiles;
    this.#reloader = new Reloader({ config, policy, files, settings, metrics, changes, logger, record });
    this.#activity = new Activity({ feed: audit, metrics, log: config.audit, changes, hasReaders });
    this.#operations = new ProcessOperations({
      version,
      logger,
      metrics,
      settings,
      auditFile: config.audit.file,
      audit: auditLog,
      events: audit,
      approvals: this.#approvals.desk,
      approvalInbox: this.#approvals.inbox,
      activity: this.#activity,
      doctor: options.doctor,
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
    // Before anybody can see that it runs: what is not listened for ends the process.
    process.on("SIGHUP", () => this.#reload());
    // A peer that closes its end of a pipe or socket is an error on that stream, not the end of the process.
    process.on("SIGPIPE", () => {});
    this.#stopped = this.#stopSignal();
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
    // SAFETY: without its parser no text of PostgreSQL is understood.
    if (listener.backend.engine !== "mysql") await loadParser();
    const logger = this.#logger.child({ listener: listener.name });
    const services = this.#servicesFor(listener, logger);
    const wing = await this.#wings.of(listener.backend.engine);
    const server = new ProxyServer(wing, services, this.#registry, this.#openFiles);
    this.#backends.push(new BackendReadiness(wing, services));
    this.#servers.push(server);
    const addresses: string[] = [];
    for (const target of this.#targetsOf(listener)) addresses.push(addressText(target, await server.listen(target)));
    const { backend } = listener;
    if (!logsInAlone(services) && asksForEstimates(this.#policy.judge.policy)) {
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
    const passwords = heldPasswords(listener, logger);
    if (passwords !== undefined) this.#passwords.push(passwords);
    const services = newSessionServices(this.#services, { options, tokens, passwords, logger, ...kills });
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
  async untilStopped({ drainDelayMs, drainTimeoutMs }: Config): Promise<string> {
    const sweep = setInterval(() => this.#endIdle(), SWEEP_MS);
    this.#tellReady();
    const signal = await this.#stopped;
    this.#operations.isDraining = true;
    if (drainDelayMs > 0) {
      this.#logger.info("going away", { signal, sessions: this.#registry.size, delayMs: drainDelayMs });
      this.#manager.stopping(`taking clients for ${drainDelayMs} ms more`);
      await delay(drainDelayMs, undefined, { signal: this.#hurry.signal }).catch(() => undefined);
    }
    this.#logger.info("draining", { signal, sessions: this.#registry.size, timeoutMs: drainTimeoutMs });
    this.#manager.stopping(`draining ${counted(this.#registry.size, "session")}`);
    this.stopListening();
    this.#approvals.desk.close();
    await drainSessions(this.#registry, drainTimeoutMs);
    await this.#approvals.webhook?.close();
    clearInterval(sweep);
    for (const secrets of [...this.#tokens, ...this.#passwords]) secrets.close();
    this.#policy.close();
    this.#reloader.end();
    this.#activity.close();
    for (const backend of this.#backends) backend.close();
    for (const name of [...STOP_SIGNALS, "SIGHUP"]) process.removeAllListeners(name);
    return signal;
  }

  #endIdle(): void {
    this.#idleSweep.step();
    this.#metrics.loginsEnded.value += this.#registry.endSilentLogins(performance.now());
  }

  #stopSignal(): Promise<string> {
    return new Promise((resolve) => {
      let isStopping = false;
      const onSignal = (signal: string): void => {
        if (isStopping) {
          endAllSessions(this.#registry);
          this.#hurry.abort();
        }
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
