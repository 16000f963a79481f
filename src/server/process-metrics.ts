/** Numbers that live elsewhere, brought into the metrics whenever somebody reads them. */
import { readdirSync } from "node:fs";
import type { AuditForwarder } from "../audit/audit-forwarder.ts";
import type { AuditLog } from "../audit/audit-log.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Config } from "../config/schema.ts";
import type { Judge } from "../policy/judge.ts";
import type { DataGuardCounts } from "../session/limits/data-guard.ts";
import type { TokenManager } from "../token/token-manager.ts";
import type { ApprovalDesk } from "./approval-desk.ts";
import { openFilesLimit } from "./open-files.ts";
import type { SessionRegistry } from "./session-registry.ts";

export interface MetricSources {
  readonly config: Config;
  readonly version: { readonly version: string; readonly commit: string };
  readonly registry: SessionRegistry;
  readonly memory: MemoryBudget;
  readonly judge: Judge;
  readonly tokens: readonly TokenManager[];
  readonly dataGuardCounts: readonly DataGuardCounts[];
  readonly approvals: ApprovalDesk;
  readonly audit: AuditLog | undefined;
  readonly auditForwarders: readonly AuditForwarder[];
}

/** The arrays may grow afterwards: each reading takes what they then hold. */
export function connectMetrics(metrics: Metrics, sources: MetricSources): void {
  metrics.buildInfo.of(sources.version.version, sources.version.commit).value = 1;
  for (const { name, backend } of sources.config.listeners) {
    metrics.listenerInfo.of(name, backend.role ?? "").value = 1;
  }
  metrics.processStartTime.value = Math.round((Date.now() - process.uptime() * 1000) / 1000);
  metrics.onScrape(() => {
    readSessions(metrics, sources);
    readCounts(metrics, sources);
    readMemory(metrics, sources);
    readProcess(metrics);
  });
}

function readSessions(metrics: Metrics, { registry }: MetricSources): void {
  metrics.clientConnections.value = registry.size;
  metrics.clientConnectionsMax.value = registry.connectionsMax;
  const { toClient, toBackend } = registry.relayedBytes();
  metrics.relayedBytes.of("to_client").value = toClient;
  metrics.relayedBytes.of("to_backend").value = toBackend;
}

function readCounts(metrics: Metrics, sources: MetricSources): void {
  const { judge, tokens, dataGuardCounts, approvals, audit } = sources;
  const cache = judge.cacheCounts();
  metrics.verdictCacheLookups.of("hit").value = cache.hits;
  metrics.verdictCacheLookups.of("miss").value = cache.misses;
  metrics.verdictCacheEntries.value = cache.entries;
  for (const [outcome, count] of judge.opinionCounts()) metrics.secondOpinions.of(outcome).value = count;
  const sum = <T>(all: readonly T[], of: (one: T) => number): number => all.reduce((total, one) => total + of(one), 0);
  const login = metrics.tokenLogins;
  login.of("minted").value = sum(tokens, ({ counters }) => counters.mints);
  login.of("reused").value = sum(tokens, ({ counters }) => counters.reused);
  login.of("joined").value = sum(tokens, ({ counters }) => counters.joined);
  login.of("failed").value = sum(tokens, ({ counters }) => counters.failures);
  login.of("failed-from-cache").value = sum(tokens, ({ counters }) => counters.failedFromCache);
  login.of("busy").value = sum(tokens, ({ counters }) => counters.busy);
  login.of("refused").value = sum(tokens, ({ counters }) => counters.refused);
  const guard = metrics.dataGuard;
  guard.of("warning").value = sum(dataGuardCounts, ({ warnings }) => warnings);
  guard.of("response-cut-off").value = sum(dataGuardCounts, ({ responsesCutOff }) => responsesCutOff);
  guard.of("statement-refused").value = sum(dataGuardCounts, ({ statementsRefused }) => statementsRefused);
  guard.of("connection-ended").value = sum(dataGuardCounts, ({ connectionsEnded }) => connectionsEnded);
  guard.of("kill-failed").value = sum(dataGuardCounts, ({ killFailures }) => killFailures);
  metrics.approvalsPending.value = approvals.openCount;
  for (const [outcome, count] of Object.entries(approvals.counts)) metrics.approvals.of(outcome).value = count;
  metrics.auditRecords.value = audit?.counters.records ?? 0;
  metrics.auditFailures.value = audit?.counters.failures ?? 0;
  for (const forwarder of sources.auditForwarders) {
    metrics.auditForwardLag.of(forwarder.name).value = forwarder.lagMs(Date.now()) / 1000;
  }
  metrics.auditOk.value = audit === undefined || audit.state === "ok" ? 1 : 0;
}

function readMemory(metrics: Metrics, { memory }: MetricSources): void {
  metrics.memoryBudget.value = memory.bytesMax;
  metrics.memoryHeld.value = memory.used;
  metrics.memoryWaiting.value = memory.waiting;
  for (const [event, count] of Object.entries(memory.counts)) metrics.memoryEvents.of(event).value = count;
}

function readProcess(metrics: Metrics): void {
  const { user, system } = process.cpuUsage();
  metrics.processCpu.value = (user + system) / 1e6;
  metrics.processMemory.value = process.memoryUsage.rss();
  metrics.processDescriptorsMax.value = openFilesLimit() ?? 0;
  try {
    metrics.processDescriptors.value = readdirSync("/proc/self/fd").length;
  } catch {
    // Not on this system.
  }
}
