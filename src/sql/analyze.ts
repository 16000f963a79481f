/** SQL bytes in, facts out. Never throws: what cannot be understood is a value, and the policy says what that means. */
import { scanConditions } from "./condition-scan.ts";
import { Digest } from "./digest.ts";
import type { Analysis, Finding, NotUnderstood, Reading, SqlContext, StatementFacts } from "./facts.ts";
import {
  Lexer,
  type LexRules,
  MARK_ERROR,
  MARK_OVER_BUDGET,
  MARK_UNTERMINATED_COMMENT,
  MARK_UNTERMINATED_STRING,
} from "./lexer.ts";
import { lexText } from "./literal-rows.ts";
import { noteOutsideCalls } from "./outside-calls.ts";
import { planReadings, primaryRules, type ReadingPlan } from "./readings.ts";
import type { StatementBuilder } from "./statement-builder.ts";
import { walkStatements } from "./stored-code.ts";
import { textFindings } from "./text-findings.ts";
import type { Tokens } from "./tokens.ts";
import { type InnerText, Walker } from "./walker.ts";

/** More tokens than that, less the rows that say nothing new, are not kept: the text counts as over budget. */
const TOKENS_MAX = 200_000;

/** SQL inside SQL inside SQL: how many texts of one packet are followed. */
const INNER_TEXTS_MAX = 16;

/** Memory of the analysis, reused by every text. Nothing of it is in the facts. */
const lexer = new Lexer();
const innerLexer = new Lexer();
const digest = new Digest();
let roles = new Uint8Array(1024);
let clauses = new Uint8Array(1024);

/** All that can be told about the text without a schema. The bytes must not change while the analysis is in use. */
export function analyze(sql: Uint8Array, context: SqlContext): Analysis {
  const primary = primaryRules(context);
  lexText(lexer, sql, primary, TOKENS_MAX);
  const plan = planReadings(sql, context, primary, lexer);
  const first = read(lexer, primary, context);
  const readings: Reading[] = [first];
  for (let i = 1; i < plan.rules.length; i++) {
    const rules = plan.rules[i] as LexRules;
    lexText(lexer, sql, rules, TOKENS_MAX);
    readings.push(read(lexer, rules, context));
  }
  lexer.shrink();
  innerLexer.shrink();
  noteDifferences(readings, plan, sql.length);
  return { ...first, sql, context, readings, ambiguities: plan.ambiguities };
}

/** The facts of the text that the lexer holds. */
function read(from: Lexer, rules: LexRules, context: SqlContext): Reading {
  digest.start();
  digest.consume(from, 0, from.count);
  const text = digest.text();
  const statements: StatementFacts[] = [];
  const findings: Finding[] = [];
  const walker = new Walker(tokensOf(from), rules, {
    serverVersion: context.serverVersion,
    schema: context.schema,
    statementOffset: 0,
    range: undefined,
    packetIndex: 0,
  });
  walkStatements(walker, "packet", undefined);
  if (walker.statements.length === 0) emptyStatement(walker, from.end);
  const comments = textFindings(walker, from);
  finishWalk(walker, statements, findings);
  let notUnderstood = lexicalReason(from) ?? walker.notUnderstood;
  notUnderstood = readInner(walker.inner, rules, context, statements, findings) ?? notUnderstood;
  return {
    digest: text,
    understood: notUnderstood === undefined,
    notUnderstood,
    statements,
    findings,
    comments,
    tokenCount: from.count,
  };
}

function tokensOf(from: Lexer): Tokens {
  const { count } = from;
  if (roles.length < count) {
    roles = new Uint8Array(from.kinds.length);
    clauses = new Uint8Array(from.kinds.length);
  } else {
    roles.fill(0, 0, count);
    clauses.fill(0, 0, count);
  }
  const { sql, kinds, starts, ends, flags, forgottenRows } = from;
  return { sql, kinds, starts, ends, flags, roles, clauses, count, forgottenRows };
}

function emptyStatement(walker: Walker, end: number) {
  const statement = walker.beginStatement(0, "packet", undefined);
  statement.kind = "empty";
  statement.start = 0;
  statement.end = end;
}

/** Scans conditions, then hands the walk's facts over. */
function finishWalk(walker: Walker, statements: StatementFacts[], findings: Finding[]) {
  walker.tops.forEach(({ first, statement }, index) => {
    if (isPlainDefinition(walker.statements[statement - statements.length])) return;
    const to = walker.tops[index + 1]?.first ?? walker.count;
    scanConditions(
      walker.tokens,
      first,
      to,
      (what, firstToken, lastToken, count, detail) =>
        walker.findIn(statement, what, walker.start(firstToken), walker.endBefore(lastToken + 1), count, detail),
      walker.rules.pipesAsConcat,
    );
  });
  for (const statement of walker.statements) {
    if (statement.packetIndex > 0 && statement.parent === undefined) {
      walker.findIn(statements.length, "stacked-statement", statement.start, statement.end, 1, undefined);
    }
    noteOutsideCalls(walker, statement, statements.length);
    statements.push(statement.facts());
  }
  if (walker.notUnderstood?.reason === "unbalanced-parentheses") {
    const { start, end } = walker.notUnderstood;
    walker.findIn(undefined, "unbalanced-parentheses", start, end, 1, undefined);
  } else if (walker.notUnderstood?.reason === "budget-exceeded") {
    const { start, end } = walker.notUnderstood;
    walker.findIn(undefined, "budget-exceeded", start, end, walker.depth, undefined);
  }
  for (const finding of walker.findings) findings.push(finding);
}

/** Options of tables and partitions (COMMENT = 'x') look like comparisons, and a definition without a query has none. */
function isPlainDefinition(statement: StatementBuilder | undefined): boolean {
  if (statement?.kind !== "create-table" && statement?.kind !== "alter-table") return false;
  return statement.blocks.length === 0;
}

function lexicalReason(from: Lexer): NotUnderstood | undefined {
  if ((from.marks & MARK_OVER_BUDGET) !== 0) return { reason: "budget-exceeded", start: 0, end: from.end };
  const isFaulty = (from.marks & (MARK_ERROR | MARK_UNTERMINATED_COMMENT | MARK_UNTERMINATED_STRING)) !== 0;
  // Bytes that only stood at the end, as NULs may, left no token behind.
  if (!isFaulty) return undefined;
  const start = Math.max(from.errorAt, 0);
  return { reason: "lexical-error", start, end: Math.min(start + 1, from.end) };
}

/** Literals that are SQL themselves. All of their facts point to the literal. */
function readInner(
  texts: readonly InnerText[],
  rules: LexRules,
  context: SqlContext,
  statements: StatementFacts[],
  findings: Finding[],
): NotUnderstood | undefined {
  const queue = [...texts];
  let reason: NotUnderstood | undefined;
  for (let i = 0; i < queue.length; i++) {
    const text = queue[i] as InnerText;
    const range = { start: text.start, end: text.end };
    if (i >= INNER_TEXTS_MAX) return { reason: "budget-exceeded", ...range };
    lexText(innerLexer, text.sql, rules, TOKENS_MAX);
    const walker = new Walker(tokensOf(innerLexer), rules, {
      serverVersion: context.serverVersion,
      schema: text.schema,
      statementOffset: statements.length,
      range,
      packetIndex: statements[text.parent]?.packetIndex ?? 0,
    });
    walkStatements(walker, text.within, text.parent);
    textFindings(walker, innerLexer);
    finishWalk(walker, statements, findings);
    if (lexicalReason(innerLexer) !== undefined) reason = { reason: "lexical-error", ...range };
    else if (walker.notUnderstood !== undefined) reason = { ...walker.notUnderstood, ...range };
    queue.push(...walker.inner);
  }
  return reason;
}

/** When something about the session is unknown and the text depends on it, every reading says so. */
function noteDifferences(readings: readonly Reading[], plan: ReadingPlan, end: number) {
  if (!plan.isUncertain) return;
  const first = readings[0];
  if (first === undefined) return;
  const isSame = readings.every(
    (reading) => reading.digest === first.digest && !plan.ambiguities.includes("too-many-readings"),
  );
  if (isSame) return;
  const finding: Finding = {
    what: plan.ambiguities.includes("too-many-readings") ? "budget-exceeded" : "readings-differ",
    statement: undefined,
    start: 0,
    end,
    count: readings.length,
    detail: plan.ambiguities.join(","),
  };
  for (const reading of readings) (reading.findings as Finding[]).push(finding);
}

/** What the verdict cache asks: see cache-key.ts. */
export { lexForCache } from "./cache-key.ts";
