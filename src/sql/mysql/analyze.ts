/** SQL bytes in, facts out. Never throws: what cannot be understood is a value, and the policy says what that means. */

import type {
  Ambiguity,
  Analysis,
  CommentFacts,
  Finding,
  MysqlContext,
  NotUnderstood,
  Reading,
  StatementFacts,
} from "../facts.ts";
import { scanConditions } from "./conditions/scan.ts";
import { Digest } from "./digest/digest.ts";
import {
  type Certainty,
  certaintyAfter,
  certaintyOf,
  isPreparedAsWritten,
  isReadAsBefore,
} from "./dynamic/certainty.ts";
import {
  Lexer,
  type LexRules,
  MARK_ERROR,
  MARK_OVER_BUDGET,
  MARK_UNTERMINATED_COMMENT,
  MARK_UNTERMINATED_STRING,
} from "./lexing/lexer.ts";
import { dependsOnSession, planReadings, primaryRules, READINGS_MAX, type ReadingPlan } from "./lexing/readings.ts";
import type { Tokens } from "./lexing/tokens.ts";
import { lexText } from "./queries/literal-rows.ts";
import type { StatementBuilder } from "./queries/statement-builder.ts";
import { type InnerText, Walker } from "./queries/walker.ts";
import { noteOutsideCalls } from "./statements/outside-calls.ts";
import { walkStatements } from "./statements/stored-code.ts";
import { textFindings } from "./text-findings.ts";

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

export type MysqlAnalysis = Analysis<MysqlContext>;

/** All that can be told about the text without a schema. The bytes must not change while the analysis is in use. */
export function analyze(sql: Uint8Array, context: MysqlContext): MysqlAnalysis {
  const job = new Job(sql);
  readOn(job, 0, certaintyOf(context), undefined);
  lexer.shrink();
  innerLexer.shrink();
  const { readings, ambiguities } = job;
  noteDifferences(readings, job, sql.length);
  return { ...(readings[0] as Reading), sql, context, readings, ambiguities };
}

/** More is not read again behind statements that change how the rest of the packet is read. */
const REREAD_FACTOR = 4;
const REREAD_BYTES_FREE = 262_144;

/** The readings of one text as they are found. */
class Job {
  readonly sql: Uint8Array;
  readonly readings: Reading[] = [];
  readonly ambiguities: Ambiguity[] = [];
  isUncertain = false;
  #bytesLeft: number;

  constructor(sql: Uint8Array) {
    this.sql = sql;
    this.#bytesLeft = sql.length * REREAD_FACTOR + REREAD_BYTES_FREE;
  }

  note(plan: ReadingPlan): void {
    for (const ambiguity of plan.ambiguities) {
      if (!this.ambiguities.includes(ambiguity)) this.ambiguities.push(ambiguity);
    }
    this.isUncertain ||= plan.isUncertain;
  }

  /** Whether so much may be read once more. Where not, what is read stays as it is and counts as not understood. */
  mayRead(bytes: number): boolean {
    this.#bytesLeft -= bytes;
    if (this.#bytesLeft >= 0 && this.readings.length < READINGS_MAX) return true;
    this.note(TOO_MANY);
    return false;
  }
}

const TOO_MANY: ReadingPlan = { rules: [], ambiguities: ["too-many-readings"], isUncertain: true };

/** Reads the text from a byte on in every way that is possible there, behind the statements that were read before it. */
function readOn(job: Job, from: number, certainty: Certainty, before: Reading | undefined): void {
  const { sql } = job;
  const { context } = certainty;
  const primary = primaryRules(context);
  lexText(lexer, sql, primary, TOKENS_MAX, from);
  const plan = planReadings(from === 0 ? sql : sql.subarray(from), context, primary, lexer);
  job.note(plan);
  for (let index = 0; index < plan.rules.length; index++) {
    const rules = plan.rules[index] as LexRules;
    if (index > 0) lexText(lexer, sql, rules, TOKENS_MAX, from);
    const { reading, tops } = read(lexer, rules, context, before);
    const change = tops.length > 1 ? firstChange(job, certainty, reading, tops) : undefined;
    if (change === undefined) {
      job.readings.push(reading);
    } else if (job.mayRead(sql.length - from)) {
      lexText(lexer, sql, rules, TOKENS_MAX, from, change.at);
      readOn(job, change.at, change.certainty, read(lexer, rules, context, before).reading);
    } else {
      const notUnderstood = { reason: "budget-exceeded", start: change.at, end: sql.length } as const;
      job.readings.push({ ...reading, understood: false, notUnderstood });
    }
  }
}

interface Change {
  /** Where the next statement begins. */
  readonly at: number;
  readonly certainty: Certainty;
}

/** The first statement of the packet, but the last, that changes how the rest of it is read. */
function firstChange(job: Job, before: Certainty, reading: Reading, tops: readonly Top[]): Change | undefined {
  let certainty = before;
  const byIndex = Map.groupBy(reading.statements, ({ packetIndex }) => packetIndex);
  for (let index = 0; index + 1 < tops.length; index++) {
    const { packetIndex, end } = tops[index] as Top;
    // A label stands before the statement that it belongs to.
    if (tops[index + 1]?.packetIndex === packetIndex) continue;
    const after = certaintyAfter(certainty, byIndex.get(packetIndex) ?? [], job.sql);
    if (after.context !== certainty.context) return { at: end, certainty: after };
    certainty = after;
  }
  return undefined;
}

/** A statement of the packet: where the next one may begin, behind its semicolon. */
interface Top {
  readonly packetIndex: number;
  readonly end: number;
}

/** The facts of the part that the lexer holds, behind those of the part before it. */
function read(
  from: Lexer,
  rules: LexRules,
  context: MysqlContext,
  before: Reading | undefined,
): { readonly reading: Reading; readonly tops: readonly Top[] } {
  digest.start();
  digest.consume(from, 0, from.count);
  const text = digest.text();
  const statements: StatementFacts[] = before === undefined ? [] : [...before.statements];
  const findings: Finding[] = before === undefined ? [] : [...before.findings];
  const walker = new Walker(tokensOf(from), rules, {
    serverVersion: context.serverVersion,
    schema: context.schema,
    statementOffset: statements.length,
    range: undefined,
    packetIndex: before === undefined ? 0 : lastPacketIndex(before) + 1,
  });
  walkStatements(walker, "packet", undefined);
  if (walker.statements.length === 0 && before === undefined) emptyStatement(walker, from.end);
  const comments = textFindings(walker, from);
  const tops = topsOf(walker);
  finishWalk(walker, statements, findings);
  let notUnderstood = lexicalReason(from) ?? walker.notUnderstood;
  const innerDigests: string[] = [];
  let { steps } = walker;
  if (walker.inner.length > 0) {
    const inner = { rules, context, statements, findings, digests: innerDigests, steps };
    notUnderstood = readInner(walker.inner, inner) ?? notUnderstood;
    steps = inner.steps;
  }
  const own: Reading = {
    digest: text,
    understood: notUnderstood === undefined,
    innerDigests,
    statements,
    findings,
    comments,
    tokenCount: from.count,
    steps,
    notUnderstood,
  };
  return { reading: before === undefined ? own : behind(before, own), tops };
}

function lastPacketIndex({ statements }: Reading): number {
  return statements.reduce((last, { packetIndex }) => Math.max(last, packetIndex), 0);
}

function topsOf(walker: Walker): readonly Top[] {
  const { tops } = walker;
  if (tops.length < 2) return NO_TOPS;
  return tops.map(({ statement }, index) => {
    const next = tops[index + 1];
    const packetIndex = walker.statements[statement - walker.statementOffset]?.packetIndex ?? 0;
    // The token before the next statement is the semicolon; comments behind it are read with what follows.
    return { packetIndex, end: next === undefined ? walker.tokens.sql.length : walker.endBefore(next.first) };
  });
}

const NO_TOPS: readonly Top[] = [];

function behind(before: Reading, part: Reading): Reading {
  const { comments } = part;
  const notUnderstood = before.notUnderstood ?? part.notUnderstood;
  const add = (name: keyof CommentFacts): number => before.comments[name] + comments[name];
  return {
    ...part,
    digest: part.digest === "" ? before.digest : `${before.digest} ; ${part.digest}`,
    comments: {
      count: add("count"),
      executable: add("executable"),
      hints: add("hints"),
      betweenTokens: add("betweenTokens"),
      nested: add("nested"),
    },
    innerDigests: [...before.innerDigests, ...part.innerDigests],
    tokenCount: before.tokenCount + part.tokenCount,
    steps: before.steps + part.steps,
    understood: notUnderstood === undefined,
    notUnderstood,
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

/** What the facts of literals that are SQL go to. */
interface InnerFacts {
  readonly rules: LexRules;
  readonly context: MysqlContext;
  readonly statements: StatementFacts[];
  readonly findings: Finding[];
  readonly digests: string[];
  /** Of all texts together. */
  steps: number;
}

/** Literals that are SQL themselves. All of their facts point to the literal. */
function readInner(texts: readonly InnerText[], facts: InnerFacts): NotUnderstood | undefined {
  const { rules, context, statements, findings, digests } = facts;
  const queue = [...texts];
  let reason: NotUnderstood | undefined;
  for (let i = 0; i < queue.length; i++) {
    const text = queue[i] as InnerText;
    const range = { start: text.start, end: text.end };
    if (i >= INNER_TEXTS_MAX) return { reason: "budget-exceeded", ...range };
    const packetIndex = statements[text.parent]?.packetIndex ?? 0;
    const how = howInnerIsRead(text, rules, context, statements, packetIndex);
    lexText(innerLexer, text.sql, how.rules, TOKENS_MAX);
    digest.start();
    digest.consume(innerLexer, 0, innerLexer.count);
    digests.push(digest.text());
    const walker = new Walker(tokensOf(innerLexer), how.rules, {
      serverVersion: context.serverVersion,
      schema: how.schema,
      statementOffset: statements.length,
      range,
      packetIndex,
    });
    walkStatements(walker, text.within, text.parent);
    textFindings(walker, innerLexer);
    finishWalk(walker, statements, findings);
    facts.steps += walker.steps;
    if (lexicalReason(innerLexer) !== undefined) reason = { reason: "lexical-error", ...range };
    else if (walker.notUnderstood !== undefined) reason = { ...walker.notUnderstood, ...range };
    else if (!how.isCertain) reason = { reason: "text-in-doubt", ...range };
    for (const inner of walker.inner) queue.push(inner);
  }
  return reason;
}

interface InnerReading {
  readonly rules: LexRules;
  readonly schema: string | undefined;
  readonly isCertain: boolean;
}

/** What a text is read by when the server comes to it. */
function howInnerIsRead(
  { sql, schema, within }: InnerText,
  rules: LexRules,
  context: MysqlContext,
  statements: readonly StatementFacts[],
  packetIndex: number,
): InnerReading {
  const isWritten = isPreparedAsWritten(sql, context);
  // Routines read what they prepare by the settings that they were created with; those of sys in the schema sys.
  if (within === "executor-argument") {
    const ofRoutine = primaryRules({ ...context, sqlMode: 0, charset: "utf8mb4" });
    return { rules: ofRoutine, schema: undefined, isCertain: isWritten };
  }
  if (isReadAsBefore(statements.filter((statement) => statement.packetIndex === packetIndex))) {
    return { rules, schema, isCertain: isWritten };
  }
  const isSameInAny = !dependsOnSession(sql) && isPreparedAsWritten(sql, { ...context, connectionCharset: "unknown" });
  return { rules, schema: undefined, isCertain: isSameInAny };
}

/** When something about the session is unknown and the text depends on it, every reading says so. */
function noteDifferences(
  readings: readonly Reading[],
  plan: Pick<ReadingPlan, "ambiguities" | "isUncertain">,
  end: number,
) {
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
export { lexForCache } from "./digest/cache-key.ts";
