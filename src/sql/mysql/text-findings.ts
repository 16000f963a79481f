/** Findings about the text rather than its statements: comments, odd bytes, hints, what the lexer could not read. */

import type { CommentFacts, FindingName, StatementKind } from "../facts.ts";
import {
  COMMENT_BLOCK,
  COMMENT_CLOSE,
  COMMENT_DASH,
  COMMENT_HASH,
  COMMENT_OPEN,
  COMMENT_SKIPPED,
  COMMENT_SLASHES,
  COMMENT_SWALLOWED,
  FLAG_EXECUTABLE,
  FLAG_GLUED,
  FLAG_HIGH,
  type Lexer,
  MARK_ERROR,
  MARK_GLUED,
  MARK_HIGH,
  MARK_HINT,
  MARK_NESTED_COMMENT,
  MARK_NUL,
  MARK_ODD_SPACE,
  MARK_OVER_BUDGET,
  MARK_UNTERMINATED_COMMENT,
  MARK_UNTERMINATED_STRING,
} from "./lexing/lexer.ts";
import * as T from "./lexing/token-kinds.ts";
import { foldName } from "./names/names.ts";
import type { Walker } from "./queries/walker.ts";

const NEWLINE = 10;
const TAIL_SCANNED_MAX = 4096;

/** Words that dump tools and drivers hide from old servers inside a statement. */
const OPTION_WORDS: ReadonlySet<string> = new Set(["SQL_NO_CACHE", "SQL_CACHE", "STRAIGHT_JOIN", "LOCAL", "IGNORE"]);
const OPTION_TOKENS_MAX = 2;

/** Statements in which an executable comment is how dump tools write options. */
const OPTION_STATEMENTS = /^(?:create|alter|drop|lock|set|show|unlock|insert|begin)/;

/** Adds the findings and answers the facts about comments. */
export function textFindings(w: Walker, lexer: Lexer): CommentFacts {
  if (lexer.marks !== 0) markFindings(w, lexer);
  const facts = { count: 0, executable: 0, hints: 0, betweenTokens: 0, nested: 0 };
  if ((lexer.marks & MARK_NESTED_COMMENT) !== 0) facts.nested = 1;
  if (lexer.commentCount > 0) commentFindings(w, lexer, facts);
  if ((lexer.marks & MARK_HINT) !== 0) facts.hints = hintFindings(w);
  return facts;
}

function markFindings(w: Walker, lexer: Lexer) {
  const { marks } = lexer;
  const at = Math.max(lexer.errorAt, 0);
  const end = lexer.end;
  if ((marks & MARK_UNTERMINATED_STRING) !== 0) w.findIn(undefined, "unterminated-string", at, end, 1, undefined);
  if ((marks & MARK_UNTERMINATED_COMMENT) !== 0) w.findIn(undefined, "comment-unterminated", at, end, 1, undefined);
  if ((marks & MARK_ERROR) !== 0) w.findIn(undefined, "unknown-character", at, Math.min(at + 1, end), 1, undefined);
  if ((marks & MARK_NUL) !== 0) nulFinding(w, lexer);
  if ((marks & MARK_ODD_SPACE) !== 0) w.findIn(undefined, "odd-whitespace", 0, end, 1, undefined);
  if ((marks & MARK_OVER_BUDGET) !== 0) w.findIn(undefined, "budget-exceeded", 0, end, lexer.count, undefined);
  if ((marks & (MARK_GLUED | MARK_HIGH)) !== 0) flagFindings(w, lexer);
}

/** NULs at the very end have been dropped as the server drops them. */
function nulFinding(w: Walker, lexer: Lexer) {
  for (let i = 0; i < lexer.count; i++) {
    const start = lexer.starts[i] as number;
    if (lexer.kinds[i] === T.ERROR && lexer.sql[start] === 0) {
      w.findIn(undefined, "nul-byte", start, start + 1, 1, undefined);
      return;
    }
  }
}

function flagFindings(w: Walker, lexer: Lexer) {
  for (let i = 0; i < lexer.count; i++) {
    const flags = lexer.flags[i] as number;
    if ((flags & (FLAG_GLUED | FLAG_HIGH)) === 0) continue;
    if ((flags & FLAG_GLUED) !== 0) findAt(w, "number-glued-to-word", i - 1, i);
    if ((flags & FLAG_HIGH) !== 0) findAt(w, "identifier-not-ascii", i, i);
  }
}

interface Counts {
  count: number;
  executable: number;
  betweenTokens: number;
  nested: number;
}

/** One gap between tokens: `next` is the token after it. */
interface Gap {
  readonly start: number;
  readonly end: number;
  readonly kind: number;
  readonly next: number;
}

function commentFindings(w: Walker, lexer: Lexer, facts: Counts) {
  let next = 0;
  let first: Gap | undefined;
  for (let i = 0; i < lexer.commentCount; i++) {
    const start = lexer.comments[i * 3] as number;
    while (next < lexer.count && (lexer.starts[next] as number) < start) next++;
    const gap = { start, end: lexer.comments[i * 3 + 1] as number, kind: lexer.comments[i * 3 + 2] as number, next };
    if (gapFinding(w, lexer, facts, gap)) first ??= gap;
  }
  if (first !== undefined) {
    w.findIn(undefined, "comment-between-tokens", first.start, first.end, facts.betweenTokens, undefined);
  }
  if (facts.nested > 0) w.findIn(undefined, "comment-nested", 0, lexer.end, 1, undefined);
}

/** True for a plain comment between two tokens of a statement. */
function gapFinding(w: Walker, lexer: Lexer, facts: Counts, gap: Gap): boolean {
  const { start, end, kind, next } = gap;
  const isBetween = isInside(lexer, next);
  switch (kind) {
    case COMMENT_OPEN:
    case COMMENT_SKIPPED:
      facts.executable++;
      if (isBetween || kind === COMMENT_OPEN) executableFinding(w, lexer, next, start, end, kind);
      return false;
    case COMMENT_SWALLOWED:
      w.findIn(undefined, "number-swallowed", start, end, 1, undefined);
      return false;
    case COMMENT_CLOSE:
      return false;
    default:
      facts.count++;
      if (next >= lexer.count && kind !== COMMENT_BLOCK) trailingFinding(w, lexer, start, end, kind);
      if (isBetween) facts.betweenTokens++;
      return isBetween;
  }
}

/** Whether a gap before token `next` has code of the same statement on both sides. */
function isInside(lexer: Lexer, next: number): boolean {
  if (next === 0 || next >= lexer.count) return false;
  return lexer.kinds[next - 1] !== T.SEMICOLON && lexer.kinds[next] !== T.SEMICOLON;
}

function executableFinding(w: Walker, lexer: Lexer, next: number, start: number, end: number, kind: number) {
  const statement = statementAt(w, start);
  const what = executableKind(w, lexer, next, kind, statement?.kind);
  w.findIn(statement?.index, what, start, end, 1, undefined);
}

function executableKind(w: Walker, lexer: Lexer, next: number, kind: number, statement: StatementKind | undefined) {
  if (kind === COMMENT_OPEN) {
    if (isWhole(lexer, next)) return "executable-comment-whole";
    if (isOption(w, lexer, next)) return "executable-comment-option";
  }
  return statement !== undefined && OPTION_STATEMENTS.test(statement)
    ? "executable-comment-option"
    : "executable-comment";
}

/** All tokens of the statement that token `next` begins are code of executable comments. */
function isWhole(lexer: Lexer, next: number): boolean {
  if (next > 0 && lexer.kinds[next - 1] !== T.SEMICOLON) return false;
  for (let i = next; i < lexer.count && lexer.kinds[i] !== T.SEMICOLON; i++) {
    if (((lexer.flags[i] as number) & FLAG_EXECUTABLE) === 0) return false;
  }
  return true;
}

function isOption(w: Walker, lexer: Lexer, next: number): boolean {
  let at = next;
  while (at < lexer.count && ((lexer.flags[at] as number) & FLAG_EXECUTABLE) !== 0) {
    if (at - next >= OPTION_TOKENS_MAX || !OPTION_WORDS.has(w.text.upper(at))) return false;
    at++;
  }
  return at > next;
}

/** A finding of the statement in which the tokens stand: the walk has come to the last one. */
function findAt(w: Walker, what: FindingName, first: number, last: number, detail?: string): void {
  const start = w.start(first);
  w.findIn(statementAt(w, start)?.index, what, start, w.endBefore(last + 1), 1, detail);
}

function statementAt(w: Walker, at: number): { kind: StatementKind; index: number } | undefined {
  let found: { kind: StatementKind; index: number } | undefined;
  w.statements.forEach((statement, index) => {
    if (found === undefined && at <= statement.end) found = { kind: statement.kind, index: w.statementOffset + index };
  });
  return found;
}

/** A comment that ends the text: what it cut off may have been the rest of the statement. */
function trailingFinding(w: Walker, lexer: Lexer, start: number, end: number, kind: number) {
  if (kind !== COMMENT_DASH && kind !== COMMENT_HASH && kind !== COMMENT_SLASHES) return;
  if (lexer.count === 0) return;
  const statement = w.statementIndex();
  w.findIn(statement, "trailing-comment", start, end, 1, isOwnLine(lexer, start) ? "own-line" : undefined);
  if (cutsQuote(lexer.sql, start, end)) w.findIn(statement, "trailing-comment-cuts-quote", start, end, 1, undefined);
}

function isOwnLine(lexer: Lexer, start: number): boolean {
  let at = start - 1;
  while (at >= 0 && (lexer.sql[at] === 32 || lexer.sql[at] === 9)) at--;
  return at < 0 || lexer.sql[at] === NEWLINE;
}

/** Whether the comment holds an odd number of quotes, or closes parentheses that it does not open. */
function cutsQuote(sql: Uint8Array, start: number, end: number): boolean {
  let single = 0;
  let double = 0;
  let back = 0;
  let parens = 0;
  for (let p = start; p < end && p < start + TAIL_SCANNED_MAX; p++) {
    const c = sql[p];
    if (c === 39) single++;
    else if (c === 34) double++;
    else if (c === 96) back++;
    else if (c === 40) parens++;
    else if (c === 41) parens--;
  }
  return single % 2 === 1 || double % 2 === 1 || back % 2 === 1 || parens < 0;
}

/** SET_VAR(name = value) sets a variable for the statement. Answers how many hints there are. */
function hintFindings(w: Walker): number {
  let hints = 0;
  for (let i = 0; i < w.count; i++) {
    const kind = w.kind(i);
    if (kind === T.HINT_START) hints++;
    if (kind === T.HINT_NAME && w.text.isWord(i, "SET_VAR") && w.kind(i + 1) === T.LEFT_PAREN) {
      findAt(w, "hint-set-var", i, i + 4, foldName(w.text.name(i + 2)));
    }
  }
  return hints;
}
