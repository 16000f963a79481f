/** docs/metrics.md: every metric, its labels and their values, printed from the table that makes them. */
import { METRICS, type MetricRow } from "../src/base/metric-table.ts";
import { metricLabels } from "../src/server/metric-labels.ts";

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
| \`querycop_ready == 0\` | clients cannot be served; \`/readyz?verbose\` says why |
| \`querycop_config_last_reload_successful == 0\` | a changed policy, users file or certificate is refused, the one before serves on |
| \`querycop_audit_ok == 0\` | the audit log cannot record, so statements are refused |
| \`rate(querycop_token_mint_failures_total[5m]) > 0\` | logins fail for want of a token |
| \`querycop_client_connections > 0.9 * querycop_client_connections_max\` | clients will soon be refused with error 1040 |
| \`querycop_tls_certificate_not_after_timestamp_seconds - time() < 14 * 86400\` (where \`> 0\`) | a certificate ends within two weeks |

## All metrics

| name | type | meaning | labels |
| --- | --- | --- | --- |
`;

/** Lists longer than this are described where they come from. */
const VALUES_MAX = 16;

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
