/**
 * Every metric there is, with the text that explains it: /metrics and docs/metrics.md are printed from here.
 *
 * Names follow Prometheus' naming page: base units, `_total` for counters. A label's values are either listed here or a
 * set with a name, which server/metric-labels.ts fills from the table it comes from.
 */

export interface MetricRow {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Label → its values, or the name of the set they are in. At most two labels. */
  readonly labels?: Readonly<Record<string, readonly string[] | string>>;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

const WAITS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const OWN_WORK = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1];
const DECISION_ACTIONS = ["allow", "warn", "block", "require-approval"] as const;

export const METRICS = {
  buildInfo: {
    name: "querycop_build_info",
    type: "gauge",
    help: "Always 1; says which version runs",
    labels: { version: "version", commit: "commit" },
  },
  listenerInfo: {
    name: "querycop_listener_info",
    type: "gauge",
    help: "Always 1, one for each listener; says what its backend is, in the words of the configuration",
    labels: { listener: "listeners", role: "roles" },
  },
  ready: {
    name: "querycop_ready",
    type: "gauge",
    help: "1 while /readyz answers 200",
  },
  clientConnections: {
    name: "querycop_client_connections",
    type: "gauge",
    help: "Client connections open now",
  },
  clientConnectionsMax: {
    name: "querycop_client_connections_max",
    type: "gauge",
    help: "Client connections that may be open at a time",
  },
  clientConnectionsTotal: {
    name: "querycop_client_connections_total",
    type: "counter",
    help: "Client connections accepted",
  },
  connectionsRefused: {
    name: "querycop_connections_refused_total",
    type: "counter",
    help: "Client connections refused with error 1040, at shutdown or for their PROXY header, by what they ran into",
    labels: { limit: ["connections", "address", "user", "descriptors", "proxy-header", "shutdown"] },
  },
  loginsEnded: {
    name: "querycop_silent_logins_ended_total",
    type: "counter",
    help: "Client connections ended to make room for others because they did not go on with their login",
  },
  sessionsClosed: {
    name: "querycop_session_closed_total",
    type: "counter",
    help: "Sessions that ended, by why they ended",
    labels: { reason: "closeReasons" },
  },
  handshakeDuration: {
    name: "querycop_handshake_duration_seconds",
    type: "histogram",
    help: "From accepting a client to its login at the backend, by the method the backend asked for",
    labels: { auth_plugin: "authPlugins" },
    buckets: WAITS,
  },
  backendConnectDuration: {
    name: "querycop_backend_connect_duration_seconds",
    type: "histogram",
    help: "From dialling the backend to its greeting: name lookup, TCP connect, first packet",
    buckets: WAITS,
  },
  backendConnectFailures: {
    name: "querycop_backend_connect_failures_total",
    type: "counter",
    help: "Attempts to reach the backend that brought no greeting",
  },
  writerChecks: {
    name: "querycop_backend_role_checks_total",
    type: "counter",
    help: "Servers asked whether they take writes, by what they said; for listeners with role: writer",
    labels: { role: ["writer", "reader", "unknown"] },
  },
  backendDemotions: {
    name: "querycop_backend_demotions_total",
    type: "counter",
    help: "Addresses found to be readers that were not known to be, on listeners with role: writer",
  },
  passwordChecks: {
    name: "querycop_password_checks_total",
    type: "counter",
    help: "Whole passwords of clients checked by querycop itself, by the outcome; refused: too many waited",
    labels: { result: ["right", "wrong", "refused"] },
  },
  commands: {
    name: "querycop_commands_total",
    type: "counter",
    help: "Commands received from clients",
    labels: { command: "commands" },
  },
  decisions: {
    name: "querycop_decisions_total",
    type: "counter",
    help: "Statements judged, by what was decided and the rule that decided; none where no rule spoke",
    labels: { action: DECISION_ACTIONS, rule: "rules" },
  },
  notUnderstood: {
    name: "querycop_analysis_not_understood_total",
    type: "counter",
    help: "Statement texts the analysis could not vouch for",
    labels: { reason: "notUnderstood" },
  },
  proxyOverhead: {
    name: "querycop_proxy_overhead_seconds",
    type: "histogram",
    help: "What querycop itself takes before a statement is sent: judging it, recording it",
    labels: { stage: ["judge", "record"] },
    buckets: OWN_WORK,
  },
  responseDuration: {
    name: "querycop_response_duration_seconds",
    type: "histogram",
    help: "From sending a statement to the end of its response",
    buckets: WAITS,
  },
  relayedBytes: {
    name: "querycop_relayed_bytes_total",
    type: "counter",
    help: "Bytes written to clients and to backends",
    labels: { direction: ["to_client", "to_backend"] },
  },
  responseRows: {
    name: "querycop_response_rows_total",
    type: "counter",
    help: "Rows in responses to statements",
  },
  dataGuard: {
    name: "querycop_data_guard_total",
    type: "counter",
    help: "What the data guard did",
    labels: { event: ["warning", "response-cut-off", "statement-refused", "connection-ended", "kill-failed"] },
  },
  impactGuard: {
    name: "querycop_impact_guard_total",
    type: "counter",
    help: "What the impact guard did: estimates made or not to be had, guarded statements committed, kept in their transaction, or rolled back",
    labels: { event: ["estimated", "estimate-kept", "no-estimate", "committed", "kept", "rolled-back"] },
  },
  verdictCacheLookups: {
    name: "querycop_verdict_cache_lookups_total",
    type: "counter",
    help: "Statements looked up among the remembered verdicts",
    labels: { result: ["hit", "miss"] },
  },
  verdictCacheEntries: {
    name: "querycop_verdict_cache_entries",
    type: "gauge",
    help: "Verdicts remembered now",
  },
  secondOpinions: {
    name: "querycop_second_opinions_total",
    type: "counter",
    help: "Statement shapes the second parser was asked about, by what it said; timeout: it was killed, busy: not asked",
    labels: { outcome: ["agrees", "disagrees", "refused", "skipped", "timeout", "busy"] },
  },
  approvalsPending: {
    name: "querycop_approvals_pending",
    type: "gauge",
    help: "Requests for approval that are open: waiting, or approved and not used yet",
  },
  approvals: {
    name: "querycop_approvals_total",
    type: "counter",
    help: "Answers to requests for approval, and how others ended",
    labels: { outcome: ["approved", "denied", "expired", "cancelled"] },
  },
  approvalDeliveries: {
    name: "querycop_approval_webhook_deliveries_total",
    type: "counter",
    help: "What approvals.webhook_url was told of requests for approval; failed: given up after the last attempt",
    labels: { outcome: ["delivered", "failed"] },
  },
  tokenMintDuration: {
    name: "querycop_token_mint_duration_seconds",
    type: "histogram",
    help: "Time to make a login token, whether one came out or not",
    buckets: WAITS,
  },
  tokenMintFailures: {
    name: "querycop_token_mint_failures_total",
    type: "counter",
    help: "Tokens that could not be made",
    labels: { reason: "tokenFailures" },
  },
  dsqlConflicts: {
    name: "querycop_dsql_conflicts_total",
    type: "counter",
    help: "Transactions that Aurora DSQL refused because another one changed the same rows (OC000) or the schema (OC001)",
    labels: { code: ["OC000", "OC001"] },
  },
  tokenLogins: {
    name: "querycop_token_logins_total",
    type: "counter",
    help: "Logins that wanted a token, by where it came from or why there was none",
    labels: { result: ["minted", "reused", "joined", "failed", "failed-from-cache", "busy", "refused"] },
  },
  auditRecords: {
    name: "querycop_audit_records_total",
    type: "counter",
    help: "Audit records written",
  },
  auditFailures: {
    name: "querycop_audit_failures_total",
    type: "counter",
    help: "Audit records that could not be written",
  },
  auditOk: {
    name: "querycop_audit_ok",
    type: "gauge",
    help: "1 while the audit log records, or none is configured; 0 while it cannot or its disk is full",
  },
  auditForwardLag: {
    name: "querycop_audit_forward_lag_seconds",
    type: "gauge",
    help: "Age of the oldest audit record that a configured receiver has not taken, which for syslog means not handed to the network; 0 when it has all or none is configured",
    labels: { to: ["webhook", "otlp", "syslog"] },
  },
  certificateNotAfter: {
    name: "querycop_tls_certificate_not_after_timestamp_seconds",
    type: "gauge",
    help: "When the certificate in use ends: shown to clients, or the first of backend.tls_ca_file to end; 0 without one",
    labels: { leg: ["client", "backend_ca"] },
  },
  reloadSuccessful: {
    name: "querycop_config_last_reload_successful",
    type: "gauge",
    help: "0 while a changed policy, users file, certificate or CA bundle is refused and the one before stays in force",
  },
  reloadSuccessTime: {
    name: "querycop_config_last_reload_success_timestamp_seconds",
    type: "gauge",
    help: "When policy, users and certificates were last read without a problem",
  },
  adminRequests: {
    name: "querycop_admin_requests_total",
    type: "counter",
    help: "Requests to the admin API",
    labels: { route: "adminRoutes", status: ["2xx", "3xx", "4xx", "5xx"] },
  },
  memoryBudget: {
    name: "querycop_memory_budget_bytes",
    type: "gauge",
    help: "Bytes that all sessions together may hold for their peers",
  },
  memoryHeld: {
    name: "querycop_memory_held_bytes",
    type: "gauge",
    help: "Bytes that sessions hold now: unfinished packets, statements under way, rows not taken, prepared texts",
  },
  memoryWaiting: {
    name: "querycop_memory_waiting",
    type: "gauge",
    help: "Large packets that wait for memory now",
  },
  memoryEvents: {
    name: "querycop_memory_events_total",
    type: "counter",
    help: "Large packets that had to wait for memory, those refused for want of it, and slow sessions ended for it",
    labels: { event: ["waited", "refused", "evicted"] },
  },
  processStartTime: {
    name: "process_start_time_seconds",
    type: "gauge",
    help: "When the process began",
  },
  processCpu: {
    name: "process_cpu_seconds_total",
    type: "counter",
    help: "Processor time used, user and system",
  },
  processMemory: {
    name: "process_resident_memory_bytes",
    type: "gauge",
    help: "Resident memory",
  },
  processDescriptors: {
    name: "process_open_fds",
    type: "gauge",
    help: "File descriptors open now",
  },
  processDescriptorsMax: {
    name: "process_max_fds",
    type: "gauge",
    help: "File descriptors that may be open",
  },
} as const satisfies Readonly<Record<string, MetricRow>>;

export type MetricTable = typeof METRICS;
