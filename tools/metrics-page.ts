/** docs/metrics.md: every metric, its labels and their values, printed from the table that makes them. */
import { METRICS, type MetricRow } from "../src/base/metric-table.ts";
import { metricLabels } from "../src/server/metric-labels.ts";
import { renderAlertRows } from "./alert-rules.ts";

const HEAD = `<!-- Generated from src/base/metric-table.ts by npm run docs -->

# Metrics

\`GET /metrics\` of the admin API, in the text format of Prometheus (0.0.4).

<!-- not run: needs a running querycop -->

    curl -H "Authorization: Bearer $ADMIN_API_KEY" http://127.0.0.1:8080/metrics

The values of every label are a closed list, and what is not in the list counts as \`other\`. No user, schema, statement or
address becomes a label, so the number of series does not grow with what clients do. Counters begin at 0 with each start.

## What to alert on

| when | it means |
| --- | --- |
${renderAlertRows()}
[packaging/prometheus-rules.yaml](../packaging/prometheus-rules.yaml) has these as alerts, with how long each must hold, for \`rule_files\` of
Prometheus; [packaging/grafana-dashboard.json](../packaging/grafana-dashboard.json) is a dashboard to import into Grafana: sessions,
statements by verdict and rule, latency split into judging, recording and server, approvals, audit, memory, guards, tokens, backend
and certificates. How full the audit log's disk is no metric tells: the dashboard's page Now and \`GET /overview\` do.

## All metrics

| name | type | meaning | labels |
| --- | --- | --- | --- |
`;

/** Lists longer than this are described where they come from. */
const VALUES_MAX = 20;

const LONG_SETS: Readonly<Record<string, string>> = {
  commands: "a command of [protocol-coverage.md](protocol-coverage.md), or unknown",
  rules: "a rule of [rules.md](rules.md), or none",
  adminRoutes: "a route of the [admin API](admin-api.md)",
  version: "the version",
  commit: "the commit it was built from",
  listeners: "a name of a listener",
  roles: "its backend.role",
};

export function renderMetricsPage(): string {
  const sets = metricLabels();
  const lines = Object.values<MetricRow>(METRICS).map(({ name, type, help, labels }) => {
    const told = Object.entries(labels ?? {}).map(([label, source]) => {
      if (typeof source === "string" && LONG_SETS[source] !== undefined) return `\`${label}\`: ${LONG_SETS[source]}`;
      const values = typeof source === "string" ? (sets[source] ?? []) : source;
      if (values.length > VALUES_MAX) throw new Error(`Describe the values of ${label} of ${name} in LONG_SETS`);
      return `\`${label}\`: ${values.join(", ")}`;
    });
    return `| \`${name}\` | ${type} | ${help} | ${told.join("; ") || "-"} |\n`;
  });
  return `${HEAD}${lines.join("")}`;
}
