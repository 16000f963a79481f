/** `querycop explain`: everything the analysis and the policy say about one text, as data and as text. */

import type { Analysis, StatementFacts, TableReference } from "../../sql/facts.ts";
import { sha256Hex } from "../../sql/mysql/digest/digest.ts";
import { type Advice, adviceWithout } from "../../sql/second-opinion/advice.ts";
import { type Decision, decideWithAdvice, isOpinionWanted, tellDecision } from "../decide.ts";
import type { Advisor } from "../opinions.ts";
import type { Policy } from "../policy.ts";
import { tableText } from "../rules/policy-tests.ts";
import { ruleOf } from "../rules/rules.ts";
import { analyzeAs, isToolDialect, subjectFor, TOOL_DIALECTS, type ToolSession } from "./tool-context.ts";

export interface Explanation {
  readonly score: number;
  readonly level: string;
  readonly decision: string;
  /** The rule that decided, when the decision is not allow. */
  readonly rule: string | undefined;
  readonly message: string;
  readonly rules: readonly ExplainedRule[];
  readonly statements: readonly ExplainedStatement[];
  readonly findings: readonly { readonly what: string; readonly text: string }[];
  readonly understood: boolean;
  readonly notUnderstood: string | undefined;
  readonly readings: number;
  readonly ambiguities: readonly string[];
  /** Whether the second parser agrees; "refused" when it cannot read the statement, "skipped" when it was not asked. */
  readonly secondOpinion: string;
  readonly digest: string;
  readonly digestHash: string;
  readonly policyVersion: string;
  readonly profiles: readonly string[];
  readonly exceptions: readonly string[];
}

interface ExplainedRule {
  readonly id: string;
  readonly category: string;
  readonly points: number;
  readonly reason: string;
  readonly instead: string;
  /** Byte range in the text, and what stands there. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

interface ExplainedStatement {
  readonly kind: string;
  readonly within: string;
  readonly tablesRead: readonly string[];
  readonly tablesWritten: readonly string[];
  readonly columns: readonly string[];
  readonly functions: readonly string[];
  /** What leads out of the tables, with its name where it is a literal. */
  readonly reach: readonly string[];
  readonly where: string;
}

export interface ExplainOptions {
  readonly sql: string;
  readonly session: ToolSession;
  readonly policy: Policy;
  readonly wallMs: number;
  /** What a second parser said of the text; undefined when nobody was asked. */
  readonly advice?: Advice | undefined;
}

/** What a second parser says of the text, for explain() and explainLine(). Undefined where the policy wants nobody asked. */
export async function askAdvice(
  sql: string,
  session: ToolSession,
  policy: Policy,
  wallMs: number,
  advisor: Advisor,
): Promise<Advice | undefined> {
  if (!isOpinionWanted(policy, subjectFor(session), wallMs)) return undefined;
  const analysis = analyzeAs(new TextEncoder().encode(sql), session);
  return analysis.context.engine === "mysql" ? await advisor.secondOpinion(analysis) : undefined;
}

const NO_ADVICE = adviceWithout("skipped");

/** Explains one text. The decision is the one enforce mode makes, whatever the policy's mode. */
export function explain({ sql, session, policy, wallMs, advice = NO_ADVICE }: ExplainOptions): Explanation {
  const bytes = new TextEncoder().encode(sql);
  const analysis = analyzeAs(bytes, session);
  const options = { wallMs };
  const decision = decideWithAdvice(analysis, advice, subjectFor(session), policy, options);
  return {
    score: decision.score,
    level: decision.level,
    decision: decision.enforcedAction,
    rule: decision.ruleId,
    message: tellDecision(decision, "explain"),
    rules: decision.rules.map((hit) => ({
      id: hit.id,
      category: hit.category,
      points: hit.points,
      reason: hit.reason,
      instead: ruleOf(hit.id).rewrite,
      start: hit.start,
      end: hit.end,
      text: excerpt(bytes, hit.start, hit.end),
    })),
    statements: analysis.statements.map(explainStatement),
    findings: analysis.findings.map(({ what, start, end }) => ({ what, text: excerpt(bytes, start, end) })),
    understood: decision.understood,
    notUnderstood: analysis.notUnderstood?.reason,
    readings: analysis.readings.length,
    ambiguities: analysis.ambiguities,
    secondOpinion: advice.outcome,
    digest: analysis.digest,
    digestHash: sha256Hex(analysis.digest),
    policyVersion: decision.policyVersion,
    profiles: decision.profiles,
    exceptions: decision.exceptions,
  };
}

/** What `explain --batch` prints for one text: these fields and no others. */
export interface BatchResult {
  readonly score: number;
  readonly level: string;
  readonly decision: string;
  readonly rules: readonly { readonly id: string; readonly points: number }[];
  readonly statements: readonly {
    readonly kind: string;
    readonly tablesRead: readonly string[];
    readonly tablesWritten: readonly string[];
  }[];
  readonly understood: boolean;
  readonly digest: string;
}

function batchResult(analysis: Analysis, decision: Decision): BatchResult {
  return {
    score: decision.score,
    level: decision.level,
    decision: decision.enforcedAction,
    rules: decision.rules.map(({ id, points }) => ({ id, points })),
    statements: analysis.statements.map(({ kind, tablesRead, tablesWritten }) => ({
      kind,
      tablesRead: tableNames(tablesRead),
      tablesWritten: tableNames(tablesWritten),
    })),
    understood: decision.understood,
    digest: analysis.digest,
  };
}

/** What every line of a batch is explained by. */
export interface BatchOptions {
  readonly policy: Policy;
  readonly wallMs: number;
  /** Holds where a line says nothing else. */
  readonly session?: ToolSession;
}

/** One line of a batch: JSON in, JSON out. A line that cannot be read gives `{"error": …}`, so that lines stay in step. */
export function explainLine(line: string, options: BatchOptions): BatchLine {
  const input = parseLine(line, options.session);
  return typeof input === "string" ? failedLine(input) : explainInput(input, options, NO_ADVICE);
}

/** The same with a second opinion, which is waited for. */
export async function explainLineAdvised(line: string, options: BatchOptions, advisor: Advisor): Promise<BatchLine> {
  const input = parseLine(line, options.session);
  if (typeof input === "string") return failedLine(input);
  const { sql, session } = input;
  const advice = await askAdvice(sql, session, options.policy, options.wallMs, advisor);
  return explainInput(input, options, advice ?? NO_ADVICE);
}

export interface BatchLine {
  /** One line of JSON, without its end. */
  readonly text: string;
  /** Keys that were passed over: what the text says may not be about what was meant. */
  readonly problem: string | undefined;
}

function failedLine(problem: string): BatchLine {
  return { text: JSON.stringify({ error: problem }), problem: undefined };
}

function explainInput(input: BatchInput, { policy, wallMs }: BatchOptions, advice: Advice): BatchLine {
  const { sql, session, unknownKeys } = input;
  const analysis = analyzeAs(new TextEncoder().encode(sql), session);
  const decision = decideWithAdvice(analysis, advice, subjectFor(session), policy, { wallMs });
  const result = batchResult(analysis, decision);
  if (unknownKeys.length === 0) return { text: JSON.stringify(result), problem: undefined };
  const names = unknownKeys.map((key) => JSON.stringify(key)).join(", ");
  return {
    text: JSON.stringify({ ...result, unknownKeys }),
    problem: `unknown key ${names}, known are ${BATCH_KEYS.join(", ")}`,
  };
}

interface BatchInput {
  readonly sql: string;
  readonly session: ToolSession;
  readonly unknownKeys: readonly string[];
}

const TEXT_KEYS = ["user", "role", "schema", "clientAddress", "listener", "dialect", "backendRole"] as const;
/** The keys of a line, as they are documented. */
export const BATCH_KEYS: readonly string[] = ["sql", "sqlMode", ...TEXT_KEYS];

/** What is wrong with the line, where it cannot be explained. */
function parseLine(line: string, defaults: ToolSession = {}): BatchInput | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return "expected one JSON object per line";
  }
  if (typeof parsed !== "object" || parsed === null) return "expected one JSON object per line";
  const fields = parsed as Record<string, unknown>;
  const { sql, sqlMode } = fields;
  if (typeof sql !== "string") return "expected the key sql with text";
  const session: Record<string, string | number | undefined> = { ...defaults };
  for (const key of TEXT_KEYS) {
    const value = fields[key] ?? undefined;
    if (value !== undefined && typeof value !== "string") return `${key}: expected text`;
    if (value !== undefined) session[key] = value;
  }
  if (typeof sqlMode === "string" || typeof sqlMode === "number") session["sqlMode"] = sqlMode;
  else if (sqlMode !== undefined && sqlMode !== null) return "sqlMode: expected text or a number";
  const { dialect } = session as ToolSession;
  if (dialect !== undefined && !isToolDialect(dialect)) return `dialect: expected ${TOOL_DIALECTS.join(", ")}`;
  return { sql, session, unknownKeys: Object.keys(fields).filter((key) => !BATCH_KEYS.includes(key)) };
}

function tableNames(tables: readonly TableReference[]): string[] {
  return [...new Set(tables.map(tableText))];
}

function explainStatement(statement: StatementFacts): ExplainedStatement {
  return {
    kind: statement.kind,
    within: statement.within,
    tablesRead: tableNames(statement.tablesRead),
    tablesWritten: tableNames(statement.tablesWritten),
    columns: [
      ...new Set(statement.columns.map(({ table, name }) => (table === undefined ? name : `${table}.${name}`))),
    ],
    functions: [...new Set(statement.functions.map(({ name }) => name))],
    reach: statement.reach.map(({ type, target }) => (target === undefined ? type : `${type} ${target}`)),
    where: statement.where,
  };
}

const EXCERPT_BYTES_MAX = 60;

function excerpt(bytes: Uint8Array, start: number, end: number): string {
  const isCut = end - start > EXCERPT_BYTES_MAX;
  const text = new TextDecoder().decode(bytes.subarray(start, isCut ? start + EXCERPT_BYTES_MAX : end));
  return isCut ? `${text}…` : text;
}

/** Colour codes, or nothing at all. */
export interface Palette {
  readonly strong: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly faint: (text: string) => string;
}

const plain = (text: string): string => text;
export const PLAIN_PALETTE: Palette = { strong: plain, good: plain, bad: plain, faint: plain };

const ansi =
  (code: string) =>
  (text: string): string =>
    `\u001b[${code}m${text}\u001b[0m`;
export const COLOUR_PALETTE: Palette = { strong: ansi("1"), good: ansi("32"), bad: ansi("31"), faint: ansi("2") };

/** For people: the verdict first, then what makes it up, then the facts. */
export function renderExplanation(explanation: Explanation, palette: Palette): string {
  const { score, level, decision } = explanation;
  const paint = decision === "allow" ? palette.good : palette.bad;
  const by = explanation.rule === undefined ? "" : ` by ${explanation.rule}`;
  const lines = [`${paint(palette.strong(decision))}${by}  risk ${score} (${level})`, ""];
  for (const rule of explanation.rules) {
    lines.push(`  ${String(rule.points).padStart(3)}  ${palette.strong(rule.id.padEnd(16))} ${oneLine(rule.reason)}`);
    if (rule.text !== "") lines.push(palette.faint(`       ${"".padEnd(16)} at ${rule.start}: ${oneLine(rule.text)}`));
    lines.push(palette.faint(`       ${"".padEnd(16)} instead: ${rule.instead}`));
  }
  if (explanation.rules.length > 0) lines.push("");
  for (const statement of explanation.statements) lines.push(...renderStatement(statement, palette));
  if (!explanation.understood) lines.push(`not understood: ${explanation.notUnderstood ?? "in one of the readings"}`);
  if (explanation.readings > 1) lines.push(`readings: ${explanation.readings} (${explanation.ambiguities.join(", ")})`);
  if (explanation.secondOpinion !== "skipped") lines.push(`second opinion: ${explanation.secondOpinion}`);
  const profiles = explanation.profiles.length === 0 ? "" : `, profiles ${explanation.profiles.join(", ")}`;
  lines.push(
    "",
    palette.faint(oneLine(`digest ${explanation.digest}`)),
    palette.faint(`hash   ${explanation.digestHash}`),
  );
  lines.push(palette.faint(`policy ${explanation.policyVersion}${profiles}`));
  return `${lines.join("\n")}\n`;
}

function renderStatement(statement: ExplainedStatement, palette: Palette): string[] {
  const origin = statement.within === "packet" ? "" : ` (${statement.within})`;
  const lines = [`${palette.strong(statement.kind)}${origin}`];
  const facts: readonly [string, readonly string[]][] = [
    ["reads", statement.tablesRead],
    ["writes", statement.tablesWritten],
    ["columns", statement.columns],
    ["calls", statement.functions],
    ["reaches", statement.reach],
  ];
  for (const [name, values] of facts)
    if (values.length > 0) lines.push(oneLine(`  ${name.padEnd(8)}${values.join(", ")}`));
  if (statement.where !== "absent") lines.push(`  where   ${statement.where}`);
  return lines;
}

/** Control characters of the statement must not reach the terminal. */
function oneLine(text: string): string {
  let safe = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    safe += code < 0x20 || (code >= 0x7f && code < 0xa0) ? " " : character;
  }
  return safe;
}
