/** The alerts and the panels ask for metrics, labels and values that there are, and for nothing that can never be true. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse as parseYaml } from "yaml";
import { METRICS, type MetricRow } from "../../src/base/metric-table.ts";
import { metricLabels } from "../../src/server/metric-labels.ts";
import { ALERT_RULES } from "../../tools/alert-rules.ts";
import { PANELS } from "../../tools/grafana-dashboard.ts";
import { PROJECT } from "../support/document-commands.ts";

const ROWS = new Map<string, MetricRow>(Object.values<MetricRow>(METRICS).map((row) => [row.name, row]));
const FUNCTIONS = new Set(["absent", "rate", "increase", "sum", "histogram_quantile", "time"]);
const WORDS = new Set(["by", "and", "on"]);
/** Labels that Prometheus gives every series. */
const OF_TARGETS = ["instance", "job"];
const SETS = metricLabels();

type Token = readonly [kind: "name" | "number" | "text" | "range" | "sign", text: string];

/** Throws for what PromQL has no token for. */
function tokensOf(expression: string): Token[] {
  const tokens: Token[] = [];
  const token = /\s*(?:([a-z_][a-z0-9_]*)|([0-9.]+)|"([^"\\]*)"|\[([^\]]+)\]|(!=|=~|==|[-+*/<>(){},=]))/gy;
  while (token.lastIndex < expression.trimEnd().length) {
    const at = token.lastIndex;
    const found = token.exec(expression);
    assert.ok(found, `${expression}: no token at ${at}`);
    const kinds = ["name", "number", "text", "range", "sign"] as const;
    const index = kinds.findIndex((_, group) => found[group + 1] !== undefined);
    tokens.push([kinds[index] ?? "sign", found[index + 1] ?? ""]);
  }
  return tokens;
}

function rowOf(name: string): MetricRow | undefined {
  const base = name.replace(/_bucket$/, "");
  const row = ROWS.get(base);
  return row !== undefined && (row.type === "histogram") === (base !== name) ? row : undefined;
}

/** What stands in braces or parentheses from `at` on, which is behind the opening one. */
function until(tokens: readonly Token[], at: number, end: string): Token[] {
  const inside = tokens.slice(at);
  const length = inside.findIndex(([kind, text]) => kind === "sign" && text === end);
  assert.ok(length >= 0, `no ${end}`);
  return inside.slice(0, length);
}

function checkSelector(row: MetricRow, tokens: readonly Token[]): void {
  for (const [index, [kind, label]] of tokens.entries()) {
    if (kind !== "name") continue;
    const [, value = ""] = tokens[index + 2] ?? [];
    if (OF_TARGETS.includes(label)) continue;
    const source = row.labels?.[label];
    assert.ok(source !== undefined, `${row.name} has a label ${label}`);
    const values = typeof source === "string" ? SETS[source] : source;
    assert.ok(values?.includes(value), `${row.name}: ${label} may be ${value}`);
  }
}

function checkQuery(expression: string): void {
  const tokens = tokensOf(expression);
  const open: string[] = [];
  const metrics: MetricRow[] = [];
  const grouped: string[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const [kind, text] = tokens[at] as Token;
    const [, next] = tokens[at + 1] ?? [];
    if (kind === "sign" && "({".includes(text)) open.push(text);
    if (text === ")") assert.equal(open.pop(), "(", expression);
    if (text === "}") assert.equal(open.pop(), "{", expression);
    if (kind !== "name" || FUNCTIONS.has(text)) continue;
    if (WORDS.has(text)) {
      if (next !== "(") continue;
      const labels = until(tokens, at + 2, ")");
      grouped.push(...labels.filter(([of]) => of === "name").map(([, label]) => label));
      at += labels.length + 2;
      continue;
    }
    const row = rowOf(text);
    assert.ok(row, `${expression}: there is a metric ${text}`);
    metrics.push(row);
    const selector = next === "{" ? until(tokens, at + 2, "}") : [];
    checkSelector(row, selector);
    if (next === "{") at += selector.length + 2;
    const isRange = tokens[at + 1]?.[0] === "range";
    assert.equal(isRange, row.type !== "gauge", `${expression}: a rate of ${text}, which is a ${row.type}`);
  }
  assert.deepEqual(open, [], expression);
  assert.ok(metrics.length > 0, expression);
  for (const label of grouped) {
    const isKnown =
      [...OF_TARGETS, "le"].includes(label) || metrics.some(({ labels }) => labels?.[label] !== undefined);
    assert.ok(isKnown, `${expression}: by ${label}`);
  }
}

test("every alert asks for metrics, labels and values that there are", () => {
  for (const { expression } of ALERT_RULES) checkQuery(expression);
});

test("every panel asks for metrics, labels and values that there are", () => {
  for (const { queries } of PANELS) for (const [expression] of queries) checkQuery(expression);
});

test("a query for what there is not is found", () => {
  for (const wrong of [
    "querycop_redy == 0",
    "rate(querycop_ready[5m])",
    "querycop_commands_total > 0",
    'rate(querycop_approvals_total{outcome="late"}[5m])',
    'rate(querycop_approvals_total{how="expired"}[5m])',
    "sum by (user) (rate(querycop_commands_total[5m]))",
    "(querycop_ready == 0",
    "rate(querycop_response_duration_seconds[5m])",
    "querycop_ready ; 1",
  ]) {
    assert.throws(() => checkQuery(wrong), wrong);
  }
});

test("the packaged files are what Prometheus and Grafana read", () => {
  const rules = parseYaml(readFileSync(join(PROJECT, "packaging/prometheus-rules.yaml"), "utf8"));
  const [group] = rules.groups;
  assert.deepEqual(
    group.rules.map(({ alert, expr }: { alert: string; expr: string }) => [alert, expr]),
    ALERT_RULES.map(({ name, expression }) => [name, expression]),
  );
  assert.equal(new Set(ALERT_RULES.map(({ name }) => name)).size, ALERT_RULES.length);
  const dashboard = JSON.parse(readFileSync(join(PROJECT, "packaging/grafana-dashboard.json"), "utf8"));
  assert.equal(dashboard.panels.length, PANELS.length);
  const places = dashboard.panels.map(({ gridPos: { x, y } }: { gridPos: { x: number; y: number } }) => `${x} ${y}`);
  assert.equal(new Set(places).size, PANELS.length, "no panel lies on another");
});
