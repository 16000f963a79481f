/** SQL bytes of a PostgreSQL session in, facts out. Never throws: what cannot be understood is a value. */
import { decodeUtf8 } from "../../base/bytes.ts";
import type {
  Ambiguity,
  CommentFacts,
  Finding,
  NotUnderstood,
  PostgresqlContext,
  Reading,
  StatementFacts,
} from "../facts.ts";
import { contextWithin, isHarmlessCall } from "./certainty.ts";
import { digestOf } from "./digest.ts";
import { parseWithAsync } from "./dsql/rule-set.ts";
import { dsqlStatement } from "./dsql-syntax.ts";
import { encodingClassOf, isUtf8 } from "./lexing/encodings.ts";
import { Lexer, MARK, type StringReading, TOKEN } from "./lexing/lexer.ts";
import { type ParsedStatement, parseText } from "./parser/parser.ts";
import { nodeOf } from "./parser/tree.ts";
import { readBody } from "./statements/bodies.ts";
import { HANDLERS } from "./statements/statements.ts";
import type { Draft } from "./walk/draft.ts";
import { classOf } from "./walk/function-classes.ts";
import { fixedSource, TokenSource } from "./walk/source.ts";
import { type InnerText, Walk } from "./walk/walk.ts";

export interface PostgresAnalysis extends Reading {
  /** The analysed bytes themselves, not a copy. */
  readonly sql: Uint8Array;
  readonly context: PostgresqlContext;
  readonly readings: readonly Reading[];
  readonly ambiguities: readonly Ambiguity[];
}

/** SQL inside SQL inside SQL: how many texts of one packet are followed. */
const INNER_TEXTS_MAX = 64;

const lexer = new Lexer();
const innerLexer = new Lexer();

/** loadParser() must have been called: before that no text is understood. */
export function analyze(sql: Uint8Array, context: PostgresqlContext): PostgresAnalysis {
  const readings = stringReadings(sql, context).map((strings) => readAs(sql, context, strings));
  const ambiguities: Ambiguity[] = readings.length > 1 ? ["no-backslash-escapes"] : [];
  const [first] = readings;
  if (readings.length > 1 && readings.some(({ digest }) => digest !== first?.digest)) {
    const differ: Finding = {
      what: "readings-differ",
      statement: undefined,
      start: 0,
      end: sql.length,
      count: 2,
      detail: "no-backslash-escapes",
    };
    for (const reading of readings) (reading.findings as Finding[]).push(differ);
  }
  return { ...(first as Reading), sql, context, readings, ambiguities };
}

function stringReadings(
  sql: Uint8Array,
  { standardConformingStrings: known }: PostgresqlContext,
): readonly StringReading[] {
  if (known !== "unknown") return [known === "on" ? "standard" : "escape"];
  lexer.run(sql, "standard");
  return (lexer.marks & MARK.PLAIN_BACKSLASH) === 0 ? ["standard"] : ["standard", "escape"];
}

/** The facts of a reading while they are gathered. */
interface Job {
  readonly statements: Draft[];
  readonly findings: Finding[];
  readonly innerDigests: string[];
  notUnderstood: NotUnderstood | undefined;
  steps: number;
}

function readAs(sql: Uint8Array, context: PostgresqlContext, strings: StringReading): Reading {
  lexer.run(sql, strings);
  const job: Job = { statements: [], findings: [], innerDigests: [], notUnderstood: undefined, steps: 0 };
  const digest = digestOf(lexer);
  const comments = textFindings(job.findings);
  const tokenCount = lexer.count;
  job.notUnderstood = lexicalReason(sql, context);
  if (job.notUnderstood === undefined) parseAndWalk(job, sql, context, strings);
  if (job.statements.length === 0) emptyStatement(job, context, sql.length);
  return {
    digest,
    innerDigests: job.innerDigests,
    understood: job.notUnderstood === undefined,
    notUnderstood: job.notUnderstood,
    statements: job.statements,
    findings: job.findings,
    comments,
    tokenCount,
    steps: job.steps + tokenCount,
  };
}

function emptyStatement(job: Job, context: PostgresqlContext, end: number): void {
  const walk = new Walk(fixedSource({ start: 0, end }), context, HANDLERS, job.statements, job.findings);
  const { draft } = walk.begin("packet", undefined, 0, { start: 0, end });
  draft.kind = job.notUnderstood === undefined ? "empty" : "unknown";
}

/** Why the text is not even given to the parser. */
function lexicalReason(sql: Uint8Array, { clientEncoding }: PostgresqlContext): NotUnderstood | undefined {
  const { marks } = lexer;
  const start = Math.max(0, lexer.errorAt);
  const range = { start, end: Math.min(start + 1, sql.length) };
  if ((marks & MARK.OVER_LIMIT) !== 0) return { reason: "budget-exceeded", ...range };
  if ((marks & (MARK.NUL | MARK.UNTERMINATED | MARK.ERROR)) !== 0) return { reason: "lexical-error", ...range };
  if ((marks & MARK.HIGH) === 0) return undefined;
  // SAFETY: where half of a character may be a quote, nobody knows where a string ends.
  if (encodingClassOf(clientEncoding) !== "safe") return { reason: "text-in-doubt", start: 0, end: sql.length };
  return isUtf8(clientEncoding) && decodeUtf8(sql) === undefined
    ? { reason: "lexical-error", start: 0, end: sql.length }
    : undefined;
}

function parseAndWalk(job: Job, sql: Uint8Array, context: PostgresqlContext, strings: StringReading): void {
  const { text, added } = strings === "standard" ? { text: sql, added: [] } : asEscapeStrings(sql);
  const answer = context.isDsql && text === sql ? parseWithAsync(lexer).answer : parseText(text);
  if (answer.kind === "tree") {
    walkSafely(job, answer.statements, context, added);
    return;
  }
  const own = answer.kind === "syntax-error" && context.isDsql ? dsqlStatement(lexer) : undefined;
  if (own !== undefined) {
    const walk = new Walk(new TokenSource(lexer, added), context, HANDLERS, job.statements, job.findings);
    own(walk);
    return;
  }
  const at = answer.kind === "syntax-error" ? Math.min(answer.at, sql.length) : 0;
  const reason = answer.kind === "syntax-error" ? "unexpected-token" : "budget-exceeded";
  job.notUnderstood = { reason, start: at, end: Math.min(at + 1, sql.length) };
}

/** The parser knows plain strings as the standard has them: an E before each makes them what an old server reads. */
function asEscapeStrings(sql: Uint8Array): { readonly text: Uint8Array; readonly added: readonly number[] } {
  const added: number[] = [];
  const parts: Uint8Array[] = [];
  let from = 0;
  for (let token = 0; token < lexer.count; token++) {
    if (lexer.kinds[token] !== TOKEN.STRING) continue;
    const start = lexer.starts[token] as number;
    parts.push(sql.subarray(from, start), ESCAPE);
    added.push(start + added.length, start + added.length + 1);
    from = start;
  }
  parts.push(sql.subarray(from));
  return { text: Buffer.concat(parts), added };
}

/** With a blank: a word before it is no part of it. */
const ESCAPE = new Uint8Array([32, 69]);

function walkSafely(
  job: Job,
  parsed: readonly ParsedStatement[],
  context: PostgresqlContext,
  added: readonly number[],
): void {
  try {
    walkAll(job, parsed, context, added);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    // SAFETY: the tree is deeper than the stack.
    job.notUnderstood = { reason: "budget-exceeded", start: 0, end: lexer.sql.length };
  }
}

function walkAll(
  job: Job,
  parsed: readonly ParsedStatement[],
  context: PostgresqlContext,
  added: readonly number[],
): void {
  const source = new TokenSource(lexer, added);
  const inner: InnerText[] = [];
  let certain = context;
  parsed.forEach(({ stmt, stmt_location = 0, stmt_len }, packetIndex) => {
    const walk = new Walk(source, certain, HANDLERS, job.statements, job.findings);
    const first = job.statements.length;
    const range = source.statementAt(stmt_location, stmt_len);
    const place = walk.begin("packet", undefined, packetIndex, range);
    const node = nodeOf(stmt);
    if (node === undefined) walk.fail("unknown-statement", range);
    else walk.node(node, place);
    if (packetIndex > 0) walk.find("stacked-statement", place, range);
    finish(job, walk, first);
    inner.push(...walk.inner);
    readInner(job, walk.inner.splice(0), certain);
    certain = contextWithin(certain, job.statements.slice(first));
  });
}

/** SAFETY: a kind that nobody has set is one that nobody knows. */
function finish(job: Job, walk: Walk, first: number): void {
  job.steps += walk.steps;
  for (const statement of job.statements.slice(first)) {
    if (statement.kind === "unknown") walk.fail("unknown-statement", statement.range);
    noteOutsideCalls(walk, statement, job.statements.indexOf(statement, first));
  }
  job.notUnderstood ??= walk.notUnderstood;
}

/** Calls of functions that are not the server's own. */
function noteOutsideCalls(walk: Walk, statement: Draft, index: number): void {
  for (const call of statement.functions) {
    if (call.spelling !== "plain" && call.spelling !== "quoted") continue;
    if (isServersOwn(walk.context, call)) continue;
    walk.find("unknown-routine", { index }, call, 1, call.name);
  }
}

function isServersOwn(context: PostgresqlContext, call: StatementFacts["functions"][number]): boolean {
  return isHarmlessCall(call, context) || classOf(call.name.toLowerCase()) !== undefined || OTHER_OWN.has(call.name);
}

/** They write or wait, and everybody knows what. */
const OTHER_OWN: ReadonlySet<string> = new Set(
  "NEXTVAL SETVAL PG_SLEEP PG_SLEEP_FOR PG_SLEEP_UNTIL SET_CONFIG QUERY_TO_XML TS_STAT TS_REWRITE".split(" "),
);

/** Literals that are SQL themselves, and bodies of functions. All of their facts point to the literal. */
function readInner(job: Job, texts: readonly InnerText[], context: PostgresqlContext): void {
  const queue = [...texts];
  for (let index = 0; index < queue.length; index++) {
    const text = queue[index] as InnerText;
    if (index >= INNER_TEXTS_MAX) {
      job.notUnderstood ??= { reason: "budget-exceeded", ...text.range };
      return;
    }
    readOne(job, text, context, queue);
  }
}

function readOne(job: Job, text: InnerText, context: PostgresqlContext, queue: InnerText[]): void {
  const parts = text.language === "sql" ? [text.sql] : readBody(text.sql);
  if (parts === undefined) {
    const walk = new Walk(fixedSource(text.range), context, HANDLERS, job.statements, job.findings);
    walk.find("prepare-variable", { index: text.parent }, text.range, 1, text.language);
    return;
  }
  for (const part of parts) {
    const bytes = Buffer.from(part);
    innerLexer.run(bytes, context.standardConformingStrings === "off" ? "escape" : "standard");
    job.innerDigests.push(digestOf(innerLexer));
    const hasFault = (innerLexer.marks & (MARK.NUL | MARK.UNTERMINATED | MARK.ERROR | MARK.OVER_LIMIT)) !== 0;
    const isDoubtful = context.standardConformingStrings !== "on" && (innerLexer.marks & MARK.PLAIN_BACKSLASH) !== 0;
    const answer = hasFault || isDoubtful ? undefined : parseText(bytes);
    if (answer?.kind !== "tree") {
      job.notUnderstood ??= { reason: "text-in-doubt", ...text.range };
      continue;
    }
    // SAFETY: when and with which path a text runs is not known here.
    const walk = new Walk(
      fixedSource(text.range),
      { ...context, searchPath: "unknown" },
      HANDLERS,
      job.statements,
      job.findings,
    );
    const first = job.statements.length;
    const packetIndex = job.statements[text.parent]?.packetIndex ?? 0;
    for (const { stmt } of answer.statements) {
      const node = nodeOf(stmt);
      if (node !== undefined) walk.node(node, walk.begin(text.within, text.parent, packetIndex, text.range));
    }
    finish(job, walk, first);
    queue.push(...walk.inner);
  }
}

const NO_COMMENTS: CommentFacts = { count: 0, executable: 0, hints: 0, betweenTokens: 0, nested: 0 };

function textFindings(findings: Finding[]): CommentFacts {
  const { marks, commentCount, commentsBetween, trailingComment, count, sql } = lexer;
  const put = (what: Finding["what"], start: number, times = 1): void => {
    findings.push({ what, statement: undefined, start, end: sql.length, count: times, detail: undefined });
  };
  const at = Math.max(0, lexer.errorAt);
  if ((marks & MARK.NUL) !== 0) put("nul-byte", at);
  if ((marks & MARK.UNTERMINATED_COMMENT) !== 0) put("comment-unterminated", at);
  else if ((marks & MARK.UNTERMINATED) !== 0) put("unterminated-string", at);
  if ((marks & MARK.OVER_LIMIT) !== 0) put("budget-exceeded", at);
  if (commentCount === 0) return NO_COMMENTS;
  if (trailingComment >= 0 && count > 0) {
    const cut = sql.subarray(trailingComment + 2);
    const isCut = cut.some((byte) => byte === 39 || byte === 34 || byte === 41);
    if (!isLineBefore(sql, trailingComment))
      put(isCut ? "trailing-comment-cuts-quote" : "trailing-comment", trailingComment);
  }
  const isDisguise = commentsBetween >= 3 && commentsBetween * 3 >= count;
  if (isDisguise) put("comment-between-tokens", 0, commentsBetween);
  const nested = (marks & MARK.NESTED_COMMENT) === 0 ? 0 : 1;
  if (nested > 0) put("comment-nested", 0);
  return { count: commentCount, executable: 0, hints: 0, betweenTokens: commentsBetween, nested };
}

/** A comment on a line of its own cuts nothing off. */
function isLineBefore(sql: Uint8Array, at: number): boolean {
  for (let before = at - 1; before >= 0; before--) {
    const byte = sql[before];
    if (byte === 10 || byte === 13) return true;
    if (byte !== 32 && byte !== 9) return false;
  }
  return true;
}
