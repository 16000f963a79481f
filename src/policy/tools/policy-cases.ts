/** `querycop policy test`: statements with the decision they must get, kept beside the policy. */

import { type Decision, decide } from "../decide.ts";
import { type Problem, YamlReader, type YamlValue } from "../file/yaml-reader.ts";
import type { DecisionAction, Policy } from "../policy.ts";
import { RULE_IDS } from "../rules/rules.ts";
import { analyzeAs, subjectFor, type ToolEngine, type ToolSession } from "./tool-context.ts";

export interface PolicyCase {
  readonly line: number;
  readonly name: string;
  readonly sql: string;
  readonly session: ToolSession;
  readonly expect: DecisionAction;
  /** A rule that must have applied. */
  readonly rule: string | undefined;
}

export interface CaseResult {
  readonly policyCase: PolicyCase;
  readonly decision: Decision;
  /** Why it failed; undefined = passed. */
  readonly failure: string | undefined;
}

const SESSION_KEYS = ["user", "role", "schema", "address", "listener", "dialect", "sql_mode", "backend_role"] as const;
const CASE_KEYS = ["name", "sql", "expect", "rule", ...SESSION_KEYS];
const ACTIONS = ["allow", "warn", "require-approval", "block"] as const;

/** Reads the cases file: a mapping with the list `cases`, of the engine where they name no dialect. Any problem refuses the file. */
export function parseCases(
  text: string,
  engine?: ToolEngine,
): { cases: readonly PolicyCase[]; problems: readonly Problem[] } {
  const reader = new YamlReader(text);
  const cases: PolicyCase[] = [];
  if (reader.problems.length === 0) {
    const list = reader.entries(reader.root(), ["cases"]).get("cases");
    if (list === undefined) reader.report(reader.root(), "cases: missing");
    else for (const item of reader.items(list)) readCase(reader, item, cases, engine);
  }
  return { cases: reader.problems.length === 0 ? cases : [], problems: reader.problems };
}

function readCase(reader: YamlReader, item: YamlValue, cases: PolicyCase[], engine: ToolEngine | undefined): void {
  const fields = reader.entries(item, CASE_KEYS);
  const text = (key: string): string | undefined => {
    const field = fields.get(key);
    return field === undefined ? undefined : reader.text(field);
  };
  const sql = text("sql");
  const expectValue = fields.get("expect");
  const expect = expectValue === undefined ? undefined : reader.word(expectValue, ACTIONS);
  const rule = text("rule");
  if (sql === undefined) reader.report(item, "sql: missing");
  if (expectValue === undefined) reader.report(item, `expect: missing, one of ${ACTIONS.join(", ")}`);
  if (rule !== undefined && !RULE_IDS.includes(rule)) reader.report(item, `rule: no rule has the id "${rule}"`);
  if (sql === undefined || expect === undefined) return;
  const session: ToolSession = {
    user: text("user"),
    role: text("role"),
    schema: text("schema"),
    clientAddress: text("address"),
    listener: text("listener"),
    dialect: text("dialect") ?? engine,
    sqlMode: text("sql_mode"),
    backendRole: text("backend_role"),
  };
  cases.push({ line: item.line, name: text("name") ?? sql, sql, session, expect, rule });
}

/** Runs every case under the policy, as enforce mode would decide. */
export function runCases(cases: readonly PolicyCase[], policy: Policy, wallMs: number): CaseResult[] {
  return cases.map((policyCase) => {
    const analysis = analyzeAs(new TextEncoder().encode(policyCase.sql), policyCase.session);
    const decision = decide(analysis, subjectFor(policyCase.session), policy, { wallMs });
    return { policyCase, decision, failure: failureOf(policyCase, decision) };
  });
}

function failureOf({ expect, rule }: PolicyCase, decision: Decision): string | undefined {
  const got = `${decision.enforcedAction} (risk ${decision.score}: ${decision.rules.map(({ id }) => id).join(", ")})`;
  if (decision.enforcedAction !== expect) return `expected ${expect}, got ${got}`;
  if (rule !== undefined && !decision.rules.some(({ id }) => id === rule)) return `expected rule ${rule}, got ${got}`;
  return undefined;
}
