/** What to be woken for, or told of before users notice: docs/metrics.md and packaging/prometheus-rules.yaml are printed from here. */
import { METRICS as M } from "../src/base/metric-table.ts";

interface AlertRule {
  readonly name: string;
  /** PromQL: true where there is something to tell. */
  readonly expression: string;
  /** How long it must hold. */
  readonly for: string;
  /** critical: clients are, or will soon be, refused. warning: somebody should look within the day. */
  readonly severity: "critical" | "warning";
  /** What it means, in a table of documents and in the message. */
  readonly means: string;
}

export const ALERT_RULES: readonly AlertRule[] = [
  {
    name: "QuerycopGone",
    expression: `absent(${M.buildInfo.name})`,
    for: "5m",
    severity: "critical",
    means: "no querycop is scraped: none runs, or its API is not reached",
  },
  {
    name: "QuerycopNotReady",
    expression: `${M.ready.name} == 0`,
    for: "1m",
    severity: "critical",
    means: "clients cannot be served; `/readyz?verbose` says why",
  },
  {
    name: "QuerycopAuditFails",
    expression: `${M.auditOk.name} == 0`,
    for: "1m",
    severity: "critical",
    means: "the audit log cannot record, so statements are refused",
  },
  {
    name: "QuerycopTokensFail",
    expression: `rate(${M.tokenMintFailures.name}[5m]) > 0`,
    for: "2m",
    severity: "critical",
    means: "logins fail for want of a token",
  },
  {
    name: "QuerycopBackendUnreachable",
    expression: `rate(${M.backendConnectFailures.name}[5m]) > 0`,
    for: "2m",
    severity: "critical",
    means: "attempts to reach the backend bring no greeting; `querycop doctor` says how far they come",
  },
  {
    name: "QuerycopClientsNearLimit",
    expression: `${M.clientConnections.name} > 0.9 * ${M.clientConnectionsMax.name}`,
    for: "5m",
    severity: "warning",
    means: "clients will soon be refused with error 1040",
  },
  {
    name: "QuerycopClientsRefused",
    expression: `increase(${M.connectionsRefused.name}{limit!="shutdown"}[10m]) > 0`,
    for: "0m",
    severity: "critical",
    means: "clients were refused with error 1040; the label `limit` says which limit was reached",
  },
  {
    name: "QuerycopDescriptorsNearLimit",
    expression: `${M.processDescriptors.name} > 0.9 * ${M.processDescriptorsMax.name} and on (instance, job) ${M.ready.name}`,
    for: "5m",
    severity: "warning",
    means: "clients will soon be refused for want of file descriptors; raise `LimitNOFILE`",
  },
  {
    name: "QuerycopMemoryNearBudget",
    expression: `${M.memoryHeld.name} > 0.9 * ${M.memoryBudget.name}`,
    for: "5m",
    severity: "warning",
    means: "large packets will soon wait, and slow sessions be ended, for want of memory: `memory_budget`",
  },
  {
    name: "QuerycopReloadRefused",
    expression: `${M.reloadSuccessful.name} == 0`,
    for: "5m",
    severity: "warning",
    means: "a changed policy, users file or certificate is refused, the one before serves on",
  },
  {
    name: "QuerycopCertificateEnds",
    expression: `(${M.certificateNotAfter.name} > 0) - time() < 14 * 86400`,
    for: "1h",
    severity: "warning",
    means: "a certificate ends within two weeks; the label `leg` says which",
  },
  {
    name: "QuerycopAuditReceiverLags",
    expression: `${M.auditForwardLag.name} > 300`,
    for: "10m",
    severity: "warning",
    means: "a receiver of audit records is five minutes behind, and `keep_…` may delete what it has not got",
  },
  {
    name: "QuerycopApprovalsExpire",
    expression: `increase(${M.approvals.name}{outcome="expired"}[1h]) > 0`,
    for: "0m",
    severity: "warning",
    means: "held statements were refused because nobody answered in time",
  },
  {
    name: "QuerycopJudgingSlow",
    expression: `histogram_quantile(0.99, sum by (instance, job, le) (rate(${M.proxyOverhead.name}_bucket{stage="judge"}[5m]))) > 0.01`,
    for: "10m",
    severity: "warning",
    means: "one statement of a hundred is judged for more than 10 ms: other sessions wait for it",
  },
  {
    name: "QuerycopKillFailed",
    expression: `increase(${M.dataGuard.name}{event="kill-failed"}[1h]) > 0`,
    for: "0m",
    severity: "warning",
    means: "a statement that was cut off may run on at the server, because it could not be killed",
  },
];

/** Rows of the table in docs/metrics.md. */
export function renderAlertRows(): string {
  return ALERT_RULES.map(({ expression, means }) => `| \`${expression}\` | ${means} |\n`).join("");
}

const HEAD = `# Alerts on querycop's metrics for Prometheus, as docs/metrics.md lists them.
# Printed from tools/alert-rules.ts by npm run docs. Name it under rule_files: of prometheus.yml.
groups:
  - name: querycop
    rules:
`;

/** As the formatter has it. */
function quoted(text: string): string {
  return text.includes('"') ? `'${text.replaceAll("'", "''")}'` : `"${text}"`;
}

export function renderAlertRules(): string {
  const rules = ALERT_RULES.map(
    ({ name, expression, for: lasting, severity, means }) => `      - alert: ${name}
        expr: ${quoted(expression)}
        for: ${lasting}
        labels:
          severity: ${severity}
        annotations:
          summary: ${JSON.stringify(`querycop {{ $labels.instance }}: ${means.replaceAll("`", "'")}`)}
`,
  );
  return `${HEAD}${rules.join("")}`;
}
