/**
 * A key under which a verdict may be remembered. Equal keys promise equal facts, except for byte ranges and for the texts
 * of literals: a verdict that looked at those must not be remembered. What follows is therefore in the key: the digest,
 * the class of every literal that the digest turned into `?`, and what stands in comments' places.
 */

import type { MysqlContext } from "../../facts.ts";
import { isReserved, KEYWORD_COUNT, keywordPrinted, keywordText } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import {
  COMMENT_BLOCK,
  FLAG_ESCAPED,
  Lexer,
  MARK_DASH_NOT_COMMENT,
  MARK_HIGH,
  MARK_YOUNG_WORD,
} from "../lexing/lexer.ts";
import { primaryRules } from "../lexing/readings.ts";
import * as T from "../lexing/token-kinds.ts";
import { COMPARISONS } from "../lexing/word-sets.ts";
import { Digest } from "./digest.ts";

export interface CacheKey {
  /** `undefined`: the text must be analysed each time. */
  readonly key: string | undefined;
}

const SQL_BYTES_MAX = 65_536;
const KEY_BYTES_MAX = 8192;
/** Statements without rows are remembered by their whole text up to this length. */
const WHOLE_TEXT_BYTES_MAX = 512;
const TOKENS_MAX = 20_000;
const LIST_LONG = 1000;
const SMALL = 1000;
const MIDDLE = 10_000;

const PERCENT = 37;
const UNDERSCORE = 95;

const NONE: CacheKey = { key: undefined };

/** Marks that change nothing about the facts of the one reading. */
const HARMLESS_MARKS = MARK_HIGH | MARK_DASH_NOT_COMMENT | MARK_YOUNG_WORD;

const lexer = new Lexer();
const digest = new Digest();
let classes = new Uint8Array(512);
let length = 0;

/** One lexer pass and no walk. Texts that are rare, odd or ambiguous get no key. */
export function lexForCache(sql: Uint8Array, context: MysqlContext): CacheKey {
  if (sql.length > SQL_BYTES_MAX || context.sqlMode === "unknown" || context.charset === "unknown") return NONE;
  if (context.dialect === "unknown" || context.dialect === "vitess") return NONE;
  lexer.start(sql, primaryRules(context), TOKENS_MAX);
  lexer.run(sql.length);
  if ((lexer.marks & ~HARMLESS_MARKS) !== 0 || lexer.count === 0) return NONE;
  if (!isRows(lexer.kinds[0] as number)) return wholeText(sql);
  length = 0;
  if (!putComments() || !putLiterals()) return NONE;
  digest.start();
  digest.consume(lexer, 0, lexer.count);
  const text = digest.keyText(classes, length, KEY_BYTES_MAX);
  return text === undefined ? NONE : { key: text };
}

function isRows(kind: number): boolean {
  return (
    kind === K.SELECT ||
    kind === K.INSERT ||
    kind === K.UPDATE ||
    kind === K.DELETE ||
    kind === K.REPLACE ||
    kind === K.WITH ||
    kind === T.LEFT_PAREN
  );
}

/** The first byte tells such keys from those of digests. */
function wholeText(sql: Uint8Array): CacheKey {
  if (sql.length > WHOLE_TEXT_BYTES_MAX) return NONE;
  return { key: `\u0001${Buffer.from(sql.buffer, sql.byteOffset, sql.length).toString("latin1")}` };
}

function put(byte: number) {
  if (length === classes.length) {
    const longer = new Uint8Array(length * 2);
    longer.set(classes);
    classes = longer;
  }
  classes[length++] = byte;
}

/** Block comments before the first token and after the last one count only by their number; others make no key. */
function putComments(): boolean {
  const first = lexer.starts[0] as number;
  const last = lexer.starts[lexer.count - 1] as number;
  for (let i = 0; i < lexer.commentCount; i++) {
    const start = lexer.comments[i * 3] as number;
    if (lexer.comments[i * 3 + 2] !== COMMENT_BLOCK) return false;
    if (start > first && start < last) return false;
  }
  put(Math.min(lexer.commentCount, 100));
  return true;
}

// Whether the next literal continues a list: where the walk stands since the last literal.
const AFTER_NOTHING = 0;
const AFTER_LITERAL = 1;
const AFTER_COMMA = 2;
const AFTER_ROW = 3;

/** The literals of one list: each class is put once. */
let listSeen = 0;
let listItems = 0;

/** The class of every literal, once per list; false when a literal's text matters more than its class. */
function putLiterals(): boolean {
  const { kinds } = lexer;
  let state = AFTER_NOTHING;
  for (let i = 0; i < lexer.count; i++) {
    const kind = kinds[i] as number;
    if (isLiteral(kind)) {
      if (!putLiteral(i, kind, state === AFTER_COMMA)) return false;
      state = AFTER_LITERAL;
    } else {
      if (kind === T.SEMICOLON && i < lexer.count - 1) return false;
      if (kind >= K.KEYWORD_FIRST && SPELLING_MATTERS[kind] === 1) putSpelling(i);
      state = nextState(state, kind);
    }
  }
  return true;
}

function putLiteral(token: number, kind: number, isContinued: boolean): boolean {
  const literalClass = classOf(token, kind);
  if (literalClass < 0) return false;
  if (!isContinued) {
    listSeen = 0;
    listItems = 0;
  }
  if (++listItems === LIST_LONG + 1) put(62);
  const bit = 1 << (literalClass & 31);
  if ((listSeen & bit) === 0) {
    listSeen |= bit;
    put(literalClass);
  }
  if (isCompared(token)) put(isSameLiteral(token) ? 61 : 33);
  return true;
}

/** Keywords that may be names, whose case then counts, and those that the digest prints as another word. */
const SPELLING_MATTERS = new Uint8Array(K.KEYWORD_FIRST + KEYWORD_COUNT);
for (let kind = K.KEYWORD_FIRST; kind < SPELLING_MATTERS.length; kind++) {
  if (!isReserved(kind, undefined) || keywordPrinted(kind) !== keywordText(kind)) SPELLING_MATTERS[kind] = 1;
}

/** The word's kind and, unless it is all upper or all lower case, the word itself. */
function putSpelling(token: number) {
  const start = lexer.starts[token] as number;
  const end = lexer.ends[token] as number;
  const kind = lexer.kinds[token] as number;
  put(kind & 255);
  put(kind >> 8);
  let all = 32;
  let any = 0;
  for (let p = start; p < end; p++) {
    const c = lexer.sql[p] as number;
    if (c < 65 || c > 122 || c === UNDERSCORE) continue;
    all &= c;
    any |= c & 32;
  }
  if (any === 0) put(85);
  else if (all !== 0) put(108);
  else putBytes(token);
}

function isLiteral(kind: number): boolean {
  return (
    (kind >= T.INTEGER_NUMBER && kind <= T.DOLLAR_STRING) ||
    kind === K.NULL ||
    kind === T.HOSTNAME ||
    kind === T.CHARSET_INTRODUCER
  );
}

function nextState(state: number, kind: number): number {
  switch (kind) {
    case T.COMMA:
      return state === AFTER_LITERAL || state === AFTER_ROW ? AFTER_COMMA : AFTER_NOTHING;
    case T.RIGHT_PAREN:
      return state === AFTER_LITERAL ? AFTER_ROW : AFTER_NOTHING;
    case T.LEFT_PAREN:
    case T.MINUS:
    case T.PLUS:
      return state === AFTER_COMMA ? AFTER_COMMA : AFTER_NOTHING;
    default:
      return AFTER_NOTHING;
  }
}

/** A letter per class; below 0 when no class is enough. */
function classOf(token: number, kind: number): number {
  switch (kind) {
    case T.INTEGER_NUMBER:
      return integerClass(token);
    case T.DECIMAL_NUMBER:
    case T.FLOAT_NUMBER:
      return 100;
    case T.STRING:
      return stringClass(token);
    case T.PARAMETER:
      return 112;
    case K.NULL:
    case T.NULL_ESCAPE:
      return 117;
    case T.HOSTNAME:
    case T.CHARSET_INTRODUCER:
      // Names that the digest does not show.
      return putBytes(token);
    default:
      // Hex, bit, national and dollar literals: rare, and what they spell matters.
      return -1;
  }
}

function putBytes(token: number): number {
  const start = lexer.starts[token] as number;
  const end = lexer.ends[token] as number;
  put(64);
  for (let p = start; p < end; p++) put(lexer.sql[p] as number);
  return 64;
}

function integerClass(token: number): number {
  const start = lexer.starts[token] as number;
  const end = lexer.ends[token] as number;
  if (end - start > 9) return 77;
  let value = 0;
  for (let p = start; p < end; p++) value = value * 10 + (lexer.sql[p] as number) - 48;
  if (value === 0) return 122;
  if (value === 1) return 111;
  if (value <= SMALL) return 110;
  return value <= MIDDLE ? 109 : 77;
}

function stringClass(token: number): number {
  if (((lexer.flags[token] as number) & FLAG_ESCAPED) !== 0) return -1;
  const start = (lexer.starts[token] as number) + 1;
  const end = (lexer.ends[token] as number) - 1;
  if (start >= end) return 101;
  const first = lexer.sql[start] as number;
  if (first !== PERCENT && first !== UNDERSCORE) return 115;
  for (let p = start; p < end; p++) if (lexer.sql[p] !== PERCENT) return 119;
  return 87;
}

/** Whether the literal stands right of a comparison whose left side is a literal too. */
function isCompared(token: number): boolean {
  return (
    token > 1 && COMPARISONS[lexer.kinds[token - 1] as number] === 1 && isLiteral(lexer.kinds[token - 2] as number)
  );
}

function isSameLiteral(token: number): boolean {
  const a = lexer.starts[token - 2] as number;
  const b = lexer.starts[token] as number;
  const size = (lexer.ends[token] as number) - b;
  if ((lexer.ends[token - 2] as number) - a !== size) return false;
  for (let i = 0; i < size; i++) if (lexer.sql[a + i] !== lexer.sql[b + i]) return false;
  return true;
}
