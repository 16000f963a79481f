/** The closed sets behind the labels of metrics, each taken from the table that makes its words. */
import { CLOSE_REASONS } from "../base/errors.ts";
import { type LabelSets, type Metrics, newMetrics } from "../base/metrics.ts";
import { COMMANDS } from "../mysql/command.ts";
import { RULE_IDS } from "../policy/rules/rules.ts";
import { NOT_UNDERSTOOD_REASONS } from "../sql/facts.ts";
import { TOKEN_FAILURES } from "../token/token.ts";

/** The methods querycop knows how to carry; any other counts as "other". */
const AUTH_PLUGINS = [
  "mysql_native_password",
  "caching_sha2_password",
  "sha256_password",
  "mysql_clear_password",
  "client_ed25519",
  "parsec",
];

/** Label values that come from the build, the configuration or the admin API's table of routes. */
export interface OwnLabels {
  readonly version: string;
  readonly commit: string;
  readonly listeners: readonly { readonly name: string; readonly backend: { readonly role?: string } }[];
  readonly adminRoutes: readonly string[];
}

const NONE: OwnLabels = { version: "", commit: "", listeners: [], adminRoutes: [] };

/** The metrics of a proxy. Without labels of its own: for sessions whose numbers nobody reads. */
export function newProxyMetrics(own: OwnLabels = NONE): Metrics {
  return newMetrics(metricLabels(own));
}

export function metricLabels(own: OwnLabels = NONE): LabelSets {
  return {
    version: [own.version],
    commit: [own.commit],
    listeners: own.listeners.map(({ name }) => name),
    roles: ["", ...own.listeners.flatMap(({ backend }) => backend.role ?? [])],
    adminRoutes: own.adminRoutes,
    closeReasons: CLOSE_REASONS,
    authPlugins: AUTH_PLUGINS,
    commands: [...COMMANDS.flatMap((row) => (row === undefined ? [] : [row.name])), "unknown"],
    rules: ["none", ...RULE_IDS],
    notUnderstood: NOT_UNDERSTOOD_REASONS,
    tokenFailures: TOKEN_FAILURES,
  };
}
