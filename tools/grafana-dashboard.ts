/** packaging/grafana-dashboard.json: what an operator looks at first, from the metric table. */
import { METRICS as M } from "../src/base/metric-table.ts";

interface Panel {
  readonly title: string;
  readonly unit: string;
  /** PromQL and how its series are called. */
  readonly queries: readonly (readonly [expression: string, legend: string])[];
}

/** The instances chosen at the top of the page. */
const CHOSEN = 'instance=~"$instance"';
const RANGE = "[$__rate_interval]";

const gauge = (name: string): string => `${name}{${CHOSEN}}`;
const rate = (name: string, by: string, more = ""): string =>
  `sum by (${by}) (rate(${name}{${CHOSEN}${more}}${RANGE}))`;
const total = (name: string): string => `sum(rate(${name}{${CHOSEN}}${RANGE}))`;
const quantile = (share: number, name: string, more = ""): string =>
  `histogram_quantile(${share}, sum by (le) (rate(${name}_bucket{${CHOSEN}${more}}${RANGE})))`;

export const PANELS: readonly Panel[] = [
  {
    title: "Ready, recording, and the last reload",
    unit: "none",
    queries: [
      [gauge(M.ready.name), "ready {{instance}}"],
      [gauge(M.auditOk.name), "audit {{instance}}"],
      [gauge(M.reloadSuccessful.name), "reload {{instance}}"],
    ],
  },
  {
    title: "Sessions",
    unit: "short",
    queries: [
      [gauge(M.clientConnections.name), "open {{instance}}"],
      [gauge(M.clientConnectionsMax.name), "limit {{instance}}"],
    ],
  },
  { title: "Statements by verdict", unit: "ops", queries: [[rate(M.decisions.name, "action"), "{{action}}"]] },
  {
    title: "Blocked, held and warned of, by rule",
    unit: "ops",
    queries: [[rate(M.decisions.name, "action, rule", ', action!="allow"'), "{{action}} {{rule}}"]],
  },
  {
    title: "Latency: judging, recording, server (p99)",
    unit: "s",
    queries: [
      [quantile(0.99, M.proxyOverhead.name, ', stage="judge"'), "judging"],
      [quantile(0.99, M.proxyOverhead.name, ', stage="record"'), "recording"],
      [quantile(0.99, M.responseDuration.name), "server"],
    ],
  },
  {
    title: "Latency: judging, recording, server (median)",
    unit: "s",
    queries: [
      [quantile(0.5, M.proxyOverhead.name, ', stage="judge"'), "judging"],
      [quantile(0.5, M.proxyOverhead.name, ', stage="record"'), "recording"],
      [quantile(0.5, M.responseDuration.name), "server"],
    ],
  },
  {
    title: "Bytes relayed",
    unit: "Bps",
    queries: [[rate(M.relayedBytes.name, "direction"), "{{direction}}"]],
  },
  { title: "Rows to clients", unit: "ops", queries: [[total(M.responseRows.name), "rows"]] },
  {
    title: "Approvals",
    unit: "short",
    queries: [
      [gauge(M.approvalsPending.name), "open {{instance}}"],
      [`sum by (outcome) (increase(${M.approvals.name}{${CHOSEN}}${RANGE}))`, "{{outcome}}"],
    ],
  },
  {
    title: "Audit: records, failures",
    unit: "ops",
    queries: [
      [total(M.auditRecords.name), "records"],
      [total(M.auditFailures.name), "failures"],
    ],
  },
  {
    title: "Audit: how far receivers are behind",
    unit: "s",
    queries: [[gauge(M.auditForwardLag.name), "{{to}} {{instance}}"]],
  },
  {
    title: "Memory: held and budget",
    unit: "bytes",
    queries: [
      [gauge(M.memoryHeld.name), "held {{instance}}"],
      [gauge(M.memoryBudget.name), "budget {{instance}}"],
      [`${gauge(M.processMemory.name)} and on (instance, job) ${M.ready.name}`, "resident {{instance}}"],
    ],
  },
  {
    title: "Guards: data and impact",
    unit: "ops",
    queries: [
      [rate(M.dataGuard.name, "event"), "data {{event}}"],
      [rate(M.impactGuard.name, "event"), "impact {{event}}"],
    ],
  },
  {
    title: "Tokens: logins by source, failures",
    unit: "ops",
    queries: [
      [rate(M.tokenLogins.name, "result"), "{{result}}"],
      [rate(M.tokenMintFailures.name, "reason"), "not made: {{reason}}"],
    ],
  },
  {
    title: "Backend: time to connect, and to log in (p99)",
    unit: "s",
    queries: [
      [quantile(0.99, M.backendConnectDuration.name), "connect"],
      [quantile(0.99, M.handshakeDuration.name), "connect and login"],
    ],
  },
  {
    title: "Backend: attempts that brought no greeting",
    unit: "ops",
    queries: [[total(M.backendConnectFailures.name), "failed"]],
  },
  {
    title: "Sessions ended, and connections refused",
    unit: "ops",
    queries: [
      [rate(M.sessionsClosed.name, "reason"), "{{reason}}"],
      [rate(M.connectionsRefused.name, "limit"), "refused: {{limit}}"],
    ],
  },
  {
    title: "Days until a certificate ends",
    unit: "d",
    queries: [[`((${gauge(M.certificateNotAfter.name)} > 0) - time()) / 86400`, "{{leg}} {{instance}}"]],
  },
  {
    title: "Processor",
    unit: "percentunit",
    queries: [[`rate(${gauge(M.processCpu.name)}${RANGE}) and on (instance, job) ${M.ready.name}`, "{{instance}}"]],
  },
];

const WIDTH = 12;
const HEIGHT = 8;
const DATA_SOURCE = { type: "prometheus", uid: "$" + "{datasource}" };

export function renderGrafanaDashboard(): string {
  const panels = PANELS.map(({ title, unit, queries }, index) => ({
    id: index + 1,
    type: "timeseries",
    title,
    datasource: DATA_SOURCE,
    gridPos: { x: (index % 2) * WIDTH, y: Math.floor(index / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 10 } }, overrides: [] },
    options: { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
    targets: queries.map(([expr, legendFormat], at) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + at),
      expr,
      legendFormat,
      datasource: DATA_SOURCE,
    })),
  }));
  const instances = `label_values(${M.ready.name}, instance)`;
  const variables = [
    { name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
    {
      ...{ name: "instance", label: "Instance", type: "query", datasource: DATA_SOURCE, definition: instances },
      ...{ query: { query: instances, refId: "instance" }, refresh: 2, multi: true, includeAll: true, allValue: ".*" },
      current: { text: "All", value: "$__all" },
    },
  ];
  const dashboard = {
    ...{ uid: "querycop", title: "querycop", tags: ["querycop"], schemaVersion: 39, editable: true },
    ...{ time: { from: "now-6h", to: "now" }, refresh: "30s", templating: { list: variables }, panels },
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
