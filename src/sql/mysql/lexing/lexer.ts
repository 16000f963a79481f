/**
 * Splits SQL bytes into tokens as the server's own lexer does: linear, in slices, without an object per token.
 * The rules were checked against MySQL 9.7's STATEMENT_DIGEST_TEXT(); the manual's page "Lexical Structure" has most of them.
 */

import type { Dialect } from "../../facts.ts";
import { upperAscii } from "../names/names.ts";
import {
  type ByteTables,
  byteTables,
  CHARSET_NAMES,
  type CharsetRules,
  CLASS_AT,
  CLASS_BACKSLASH,
  CLASS_BACKTICK,
  CLASS_DASH,
  CLASS_DIGIT,
  CLASS_DOLLAR,
  CLASS_DOT,
  CLASS_DOUBLE_QUOTE,
  CLASS_HASH,
  CLASS_OPERATOR,
  CLASS_SINGLE,
  CLASS_SINGLE_QUOTE,
  CLASS_SLASH,
  CLASS_SPACE,
  CLASS_WORD,
} from "./character-classes.ts";
import { findKeyword, isFunctionKeyword, KEYWORD_BYTES_MAX, keywordSince, kindSet } from "./keyword-table.ts";
import { multiByteLength } from "./multi-byte.ts";
import {
  aloneEnd,
  beginsWord,
  DIGITS,
  dotEnd,
  fractionEnd,
  isDashBeforeCode,
  quotedEnd,
  runEnd,
  SHORT_LITERAL,
  wordKind,
} from "./plain-tokens.ts";
import * as T from "./token-kinds.ts";

/** Everything that changes how bytes become tokens: one reading of the text. */
export interface LexRules {
  readonly dialect: Dialect;
  readonly ansiQuotes: boolean;
  readonly backslashEscapes: boolean;
  readonly ignoreSpace: boolean;
  /** Does not change tokens, only what `||` means. */
  readonly pipesAsConcat: boolean;
  /** Whether NOT may bind as `!` does. */
  readonly highNot: boolean;
  readonly charset: CharsetRules;
  /** Of the client, for the characters of names and literals; "unknown" where nobody knows it. Does not change tokens. */
  readonly characterSet: string;
  /** Executable comments of this version or lower are code, the others are comments. */
  readonly versionMax: number;
  /** Whether six digits before a blank are one version, as MySQL 8.4 and later has it. */
  readonly sixDigitVersions: boolean;
  /** Whether `$tag$ … $tag$` is one string, as from MySQL 8.1. */
  readonly dollarQuotes: boolean;
  /** Vitess only: whether `//` starts a comment, and whether `--` does so before anything at all. */
  readonly slashComments: boolean;
  readonly anyDashComments: boolean;
  /** Keywords younger than this are names. */
  readonly keywordVersion: number;
}

// Token flags
/** A comment stands between this token and the one before it. */
const FLAG_AFTER_COMMENT = 1;
/** A word directly after a number: `1.union`. */
export const FLAG_GLUED = 2;
/** The token is code only because an executable comment is read as code. */
export const FLAG_EXECUTABLE = 4;
/** The literal or quoted name holds doubled quotes or backslashes: its text is not its bytes. */
export const FLAG_ESCAPED = 8;
/** The name follows a dot, so that it cannot be a keyword. */
const FLAG_AFTER_DOT = 16;
/** A bare name with bytes above 0x7f. */
export const FLAG_HIGH = 32;

// Kinds of gaps, in `comments`
export const COMMENT_HASH = 0;
export const COMMENT_DASH = 1;
export const COMMENT_BLOCK = 2;
/** The opening mark of an executable comment read as code, digits included; its closing mark. */
export const COMMENT_OPEN = 3;
export const COMMENT_CLOSE = 4;
/** An executable comment that is skipped. */
export const COMMENT_SKIPPED = 5;
export const COMMENT_SLASHES = 6;
/** Not a comment: a number such as `1.e` that the server swallows without a token. */
export const COMMENT_SWALLOWED = 7;

// What went wrong, or was odd, as bits of `marks`
export const MARK_UNTERMINATED_STRING = 1;
export const MARK_UNTERMINATED_COMMENT = 2;
export const MARK_ERROR = 4;
export const MARK_NUL = 8;
export const MARK_NESTED_COMMENT = 16;
const MARK_SWALLOWED = 32;
export const MARK_ODD_SPACE = 64;
export const MARK_GLUED = 128;
export const MARK_VERSION = 256;
export const MARK_MARIADB_COMMENT = 512;
export const MARK_SIX_DIGITS = 1024;
export const MARK_SLASHES = 2048;
export const MARK_DASH_NOT_COMMENT = 4096;
export const MARK_OVER_BUDGET = 8192;
export const MARK_HIGH = 16384;
export const MARK_HINT = 32768;
const MARK_HIGH_SPACE = 65536;
/** A word that not every server has as a keyword. */
export const MARK_YOUNG_WORD = 131072;

/** The hints of the manual's page "Optimizer Hints", and the words that are keywords inside them. */
const HINT_NAMES: ReadonlySet<string> = new Set(
  (
    "BKA NO_BKA BNL NO_BNL DERIVED_CONDITION_PUSHDOWN NO_DERIVED_CONDITION_PUSHDOWN HASH_JOIN NO_HASH_JOIN MERGE NO_MERGE " +
    "GROUP_INDEX NO_GROUP_INDEX INDEX NO_INDEX INDEX_MERGE NO_INDEX_MERGE JOIN_INDEX NO_JOIN_INDEX MRR NO_MRR NO_ICP " +
    "NO_RANGE_OPTIMIZATION ORDER_INDEX NO_ORDER_INDEX SKIP_SCAN NO_SKIP_SCAN JOIN_FIXED_ORDER JOIN_ORDER JOIN_PREFIX " +
    "JOIN_SUFFIX MAX_EXECUTION_TIME QB_NAME RESOURCE_GROUP SEMIJOIN NO_SEMIJOIN SUBQUERY SET_VAR DUPSWEEDOUT FIRSTMATCH " +
    "INTOEXISTS LOOSESCAN MATERIALIZATION"
  ).split(" "),
);

const VERSIONS_MAX = 8;
const FIRST_CAPACITY = 1024;

const NUL = 0;
const NEWLINE = 10;
const VERTICAL_TAB = 11;
const FORM_FEED = 12;
const SPACE = 32;
const BANG = 33;
const DOUBLE_QUOTE = 34;
const DOLLAR = 36;
const AMPERSAND = 38;
const SINGLE_QUOTE = 39;
const OPEN_PAREN = 40;
const STAR = 42;
const PLUS = 43;
const DASH = 45;
const DOT = 46;
const SLASH = 47;
const ZERO = 48;
const NINE = 57;
const COLON = 58;
const LESS = 60;
const EQUAL = 61;
const GREATER = 62;
const QUESTION = 63;
const AT = 64;
const UPPER_M = 77;
const BACKSLASH = 92;
const UNDERSCORE = 95;
const BACKTICK = 96;
const LOWER_B = 98;
const LOWER_E = 101;
const LOWER_N = 110;
const LOWER_X = 120;
const PIPE = 124;
const HIGH = 127;

/** Kinds of CLASS_SINGLE bytes, and of operator bytes that stand alone. */
const SINGLE_KINDS = new Uint8Array(256);
for (const [kind, spelling] of T.SPELLINGS) {
  if (spelling.length === 1) SINGLE_KINDS[spelling.charCodeAt(0)] = kind;
}
SINGLE_KINDS[QUESTION] = T.PARAMETER;

/** The kinds of tokens by their first byte, if they need no care; those of words come from elsewhere. */
const PLAIN_KINDS = SINGLE_KINDS.slice();
PLAIN_KINDS.fill(T.INTEGER_NUMBER, ZERO, NINE + 1);
PLAIN_KINDS[AT] = 0;
PLAIN_KINDS[SINGLE_QUOTE] = T.STRING;
PLAIN_KINDS[DOUBLE_QUOTE] = T.STRING;
PLAIN_KINDS[BACKTICK] = T.QUOTED_IDENTIFIER;
const ANSI_KINDS = PLAIN_KINDS.slice();
ANSI_KINDS[DOUBLE_QUOTE] = T.QUOTED_IDENTIFIER;
/** Where what looks like a quote may be half a character. */
const MULTI_BYTE_KINDS = PLAIN_KINDS.slice();
for (const quote of [SINGLE_QUOTE, DOUBLE_QUOTE, BACKTICK]) MULTI_BYTE_KINDS[quote] = 0;

function plainKinds({ ansiQuotes, charset }: LexRules): Uint8Array {
  if (charset.multiByte !== "none") return MULTI_BYTE_KINDS;
  return ansiQuotes ? ANSI_KINDS : PLAIN_KINDS;
}

const ALL_BYTES = new Uint8Array(256).fill(1);

/** What a blank says about who wrote the text. */
const BLANK_MARKS = new Int32Array(256);
BLANK_MARKS[VERTICAL_TAB] = MARK_ODD_SPACE;
BLANK_MARKS[FORM_FEED] = MARK_ODD_SPACE;
BLANK_MARKS.fill(MARK_HIGH_SPACE, HIGH + 1);

const HINTED_VERBS = kindSet([], "SELECT INSERT UPDATE DELETE REPLACE");

const isDigit = (c: number | undefined): boolean => c !== undefined && c >= ZERO && c <= NINE;

/**
 * One text under one reading. Reusable: start() forgets the text before. Tokens are columns: kinds[i] begins at
 * starts[i] and ends before ends[i]; between tokens lie only blanks and the gaps listed in `comments`. What is not set
 * here is set by start().
 */
export class Lexer {
  kinds = new Uint16Array(FIRST_CAPACITY);
  starts = new Int32Array(FIRST_CAPACITY);
  ends = new Int32Array(FIRST_CAPACITY);
  flags = new Uint8Array(FIRST_CAPACITY);
  count!: number;
  /** Triples of start, end and kind of gap. */
  comments = new Int32Array(48);
  commentCount!: number;
  marks!: number;
  /** Where the first MARK_ERROR, MARK_NUL or unterminated thing was seen. */
  errorAt!: number;
  /** Versions of executable comments, in order of appearance, the first few different ones. */
  readonly versions: number[] = [];
  versionsDropped!: boolean;
  /** As in Tokens: filled by who calls drop(). */
  readonly forgottenRows = new Map<number, number>();

  sql: Uint8Array = new Uint8Array(0);
  end!: number;
  pos!: number;
  #rules: LexRules = DEFAULT_RULES;
  #tokensMax!: number;
  #tables: ByteTables = byteTables(DEFAULT_RULES.dialect, DEFAULT_RULES.charset);
  #classes: Uint8Array = this.#tables.classes;
  #words: Uint8Array = this.#tables.words;
  #plainKinds: Uint8Array = PLAIN_KINDS;
  #dashEnds: Uint8Array = this.#tables.dashEnds;
  #inExecutable!: boolean;
  #pendingFlags!: number;
  #numberEnd!: number;
  /** How many MARK_ERROR stand for. */
  #errorCount!: number;

  /**
   * Begins another text, or the part of one between two bytes. `tokensMax` bounds memory: lexing stops there and marks
   * MARK_OVER_BUDGET.
   */
  start(sql: Uint8Array, rules: LexRules, tokensMax: number, from = 0, end = sql.length): void {
    this.sql = sql;
    this.end = end;
    this.pos = from;
    this.count = 0;
    this.commentCount = 0;
    this.marks = 0;
    this.errorAt = -1;
    this.versions.length = 0;
    this.versionsDropped = false;
    // To clear an empty map costs as much as to read a short text.
    if (this.forgottenRows.size > 0) this.forgottenRows.clear();
    this.#inExecutable = false;
    this.#pendingFlags = 0;
    this.#numberEnd = -1;
    this.#errorCount = 0;
    this.#tokensMax = tokensMax;
    if (this.#rules !== rules) {
      this.#rules = rules;
      this.#tables = byteTables(rules.dialect, rules.charset);
      this.#classes = this.#tables.classes;
      this.#words = this.#tables.words;
      this.#plainKinds = plainKinds(rules);
      this.#dashEnds = rules.anyDashComments ? ALL_BYTES : this.#tables.dashEnds;
    }
  }

  /** Lexes at least up to byte `until`; true when the text is done. A token is never cut: one long literal is one step. */
  run(until: number): boolean {
    const limit = Math.min(until, this.end);
    while (this.pos < limit) {
      if (!this.#isGlued()) this.#plainTokens(limit);
      if (this.pos < limit) this.#otherTokens(limit);
    }
    if (this.pos < this.end) return false;
    this.#finish();
    return true;
  }

  /** Whether a word comes that stands directly behind a number. */
  #isGlued(): boolean {
    return this.pos === this.#numberEnd && this.#words[this.sql[this.pos] as number] === 1;
  }

  /**
   * Tokens as they nearly always are, up to the first that takes more care. State is in local variables and nothing is
   * called that could write to a field, so that no array has to be looked up for every byte: that halves the time.
   */
  #plainTokens(limit: number) {
    const { sql, end, kinds, starts, ends, flags } = this;
    const { classes, words, asciiWords } = this.#tables;
    const plainKinds = this.#plainKinds;
    const dashEnds = this.#dashEnds;
    const laterFlags = this.#inExecutable ? FLAG_EXECUTABLE : 0;
    const room = Math.min(this.#tokensMax, kinds.length);
    let pending = this.#pendingFlags;
    let marks = 0;
    let count = this.count;
    let pos = this.pos;
    while (pos < limit && count < room) {
      const c = sql[pos] as number;
      let nextFlags = laterFlags;
      let kind = plainKinds[c] as number;
      let p = pos + 1;
      switch (classes[c]) {
        case CLASS_SPACE:
          marks |= BLANK_MARKS[c] as number;
          pos = p;
          continue;
        case CLASS_WORD:
          p = runEnd(sql, pos, end, asciiWords);
          kind = wordKind(sql, pos, p, end, (pending & FLAG_AFTER_DOT) !== 0);
          break;
        case CLASS_DIGIT: {
          const point = runEnd(sql, p, end, DIGITS);
          p = fractionEnd(sql, point, end, words);
          if (p > point) kind = T.DECIMAL_NUMBER;
          break;
        }
        case CLASS_SINGLE_QUOTE:
        case CLASS_DOUBLE_QUOTE:
        case CLASS_BACKTICK:
          p = quotedEnd(sql, p, end, c);
          break;
        case CLASS_OPERATOR:
        case CLASS_SLASH:
          p = aloneEnd(sql, p, end, classes);
          break;
        case CLASS_DASH:
          if (isDashBeforeCode(sql, p, end, dashEnds)) marks |= MARK_DASH_NOT_COMMENT;
          else p = aloneEnd(sql, p, end, classes);
          break;
        case CLASS_DOT:
          if (beginsWord(sql, p, end, classes)) nextFlags |= FLAG_AFTER_DOT;
          p = dotEnd(sql, p, end, classes);
          break;
      }
      if (kind === 0 || p === 0) break;
      kinds[count] = kind;
      starts[count] = pos;
      ends[count] = p;
      flags[count] = pending;
      pending = nextFlags;
      count++;
      // Behind most tokens is one blank.
      pos = p < end && sql[p] === SPACE ? p + 1 : p;
    }
    this.marks |= marks;
    this.#pendingFlags = pending;
    this.count = count;
    this.pos = pos;
  }

  /** A token that takes care, and those behind it that begin as only such do. */
  #otherTokens(limit: number) {
    const { sql } = this;
    const classes = this.#classes;
    do {
      if (this.count >= this.#tokensMax) {
        this.marks |= MARK_OVER_BUDGET;
        this.pos = this.end;
        return;
      }
      const c = sql[this.pos] as number;
      this.#other(classes[c] as number, c);
      if (this.pos < limit && sql[this.pos] === SPACE) this.pos++;
    } while (this.pos < limit && (classes[sql[this.pos] as number] as number) > CLASS_SINGLE);
  }

  /** Removes tokens [from, to). What followed the last token still does. */
  drop(from: number, to: number): void {
    this.kinds.copyWithin(from, to, this.count);
    this.starts.copyWithin(from, to, this.count);
    this.ends.copyWithin(from, to, this.count);
    this.flags.copyWithin(from, to, this.count);
    this.count -= to - from;
  }

  #finish() {
    if (this.#inExecutable) {
      this.#inExecutable = false;
      this.#fault(MARK_UNTERMINATED_COMMENT, this.end);
    }
    // The server strips NULs at the end of a text; we let them pass as blanks there.
    let last = this.count - 1;
    let at = this.end - 1;
    while (last >= 0 && this.kinds[last] === T.ERROR && this.starts[last] === at && this.sql[at] === NUL) {
      last--;
      at--;
      while (at >= 0 && this.#classes[this.sql[at] as number] === CLASS_SPACE) at--;
    }
    const dropped = this.count - 1 - last;
    this.count = last + 1;
    if (dropped === 0 || dropped !== this.#errorCount) return;
    this.marks &= ~(MARK_ERROR | MARK_NUL);
    if ((this.marks & (MARK_UNTERMINATED_COMMENT | MARK_UNTERMINATED_STRING)) === 0) this.errorAt = -1;
  }

  #other(characterClass: number, c: number) {
    switch (characterClass) {
      case CLASS_SPACE:
        this.marks |= BLANK_MARKS[c] as number;
        this.pos++;
        return;
      case CLASS_WORD:
        return this.#word(this.pos);
      case CLASS_SINGLE:
        return this.#pushOperator(SINGLE_KINDS[c] as number, 1);
      case CLASS_DIGIT:
        return this.#number(this.pos);
      case CLASS_SINGLE_QUOTE:
        return this.#string(this.pos, this.pos + 1, SINGLE_QUOTE, T.STRING);
      case CLASS_DOUBLE_QUOTE:
        if (this.#rules.ansiQuotes) return this.#quotedName(DOUBLE_QUOTE);
        return this.#string(this.pos, this.pos + 1, DOUBLE_QUOTE, T.STRING);
      case CLASS_BACKTICK:
        return this.#quotedName(BACKTICK);
      case CLASS_OPERATOR:
        return this.#operator(c);
      case CLASS_DOT:
        return this.#dot();
      case CLASS_DASH:
        return this.#dash();
      case CLASS_SLASH:
        return this.#slash();
      case CLASS_HASH:
        return this.#lineComment(this.pos, COMMENT_HASH);
      case CLASS_AT:
        return this.#at();
      case CLASS_DOLLAR:
        return this.#dollar();
      case CLASS_BACKSLASH:
        return this.#backslash();
      default:
        if (c === NUL) this.marks |= MARK_NUL;
        return this.#error(this.pos, this.pos + 1);
    }
  }

  #push(kind: number, start: number, end: number) {
    const at = this.count;
    if (at === this.kinds.length) this.#grow();
    this.kinds[at] = kind;
    this.starts[at] = start;
    this.ends[at] = end;
    this.flags[at] = this.#pendingFlags;
    this.#pendingFlags = this.#inExecutable ? FLAG_EXECUTABLE : 0;
    this.count = at + 1;
  }

  #grow() {
    const capacity = this.kinds.length * 2;
    this.kinds = grown(this.kinds, new Uint16Array(capacity));
    this.starts = grown(this.starts, new Int32Array(capacity));
    this.ends = grown(this.ends, new Int32Array(capacity));
    this.flags = grown(this.flags, new Uint8Array(capacity));
  }

  /** Gives back the memory of an unusually long text. */
  shrink(): void {
    if (this.kinds.length <= 65536) return;
    this.kinds = new Uint16Array(FIRST_CAPACITY);
    this.starts = new Int32Array(FIRST_CAPACITY);
    this.ends = new Int32Array(FIRST_CAPACITY);
    this.flags = new Uint8Array(FIRST_CAPACITY);
    this.comments = new Int32Array(48);
    this.count = 0;
    this.commentCount = 0;
  }

  #gap(start: number, end: number, kind: number) {
    const at = this.commentCount * 3;
    if (at === this.comments.length) this.comments = grown(this.comments, new Int32Array(at * 2));
    this.comments[at] = start;
    this.comments[at + 1] = end;
    this.comments[at + 2] = kind;
    this.commentCount++;
    this.#pendingFlags |= FLAG_AFTER_COMMENT;
    this.pos = end;
    // A text of nothing but comments must not outgrow the budget either.
    if (this.commentCount >= this.#tokensMax) {
      this.marks |= MARK_OVER_BUDGET;
      this.pos = this.end;
    }
  }

  #fault(mark: number, at: number) {
    this.marks |= mark;
    if (this.errorAt < 0) this.errorAt = at;
  }

  #error(start: number, end: number) {
    this.#errorCount++;
    this.#fault(MARK_ERROR, start);
    this.#push(T.ERROR, start, end);
    this.pos = end;
  }

  /** A bare word: keyword or name, or the letter before a quoted literal. */
  #word(start: number) {
    if (this.#pendingFlags & FLAG_AFTER_DOT) return this.#part(start);
    const sql = this.sql;
    const words = this.#words;
    const end = this.end;
    const p = this.#bareEnd(start);
    const next = p < end ? (sql[p] as number) : NUL;
    if (p === start + 1 && next === SINGLE_QUOTE && this.#letterLiteral(start)) return;
    if (start === this.#numberEnd) {
      this.marks |= MARK_GLUED;
      this.#pendingFlags |= FLAG_GLUED;
    }
    this.pos = p;
    if (next === DOT && p + 1 < end && words[sql[p + 1] as number] === 1) {
      this.#push(T.IDENTIFIER, start, p);
      this.#dotted();
      return;
    }
    this.#push(this.#keyword(start, p), start, p);
  }

  /** Where a bare word ends; takes note of bytes above 0x7f. */
  #bareEnd(start: number): number {
    const p = runEnd(this.sql, start, this.end, this.#words);
    if (runEnd(this.sql, start, p, this.#tables.asciiWords) === p) return p;
    this.marks |= MARK_HIGH;
    this.#pendingFlags |= FLAG_HIGH;
    return this.#rules.charset.multiByte === "none" ? p : this.#wordEnd(start);
  }

  #keyword(start: number, end: number): number {
    const kind = findKeyword(this.sql, start, end);
    if (kind === 0) {
      const isIntroducer = this.sql[start] === UNDERSCORE && CHARSET_NAMES.has(this.#lower(start + 1, end));
      return isIntroducer ? T.CHARSET_INTRODUCER : T.IDENTIFIER;
    }
    if (isFunctionKeyword(kind) && !this.#isBeforeParen(end)) return T.IDENTIFIER;
    const since = keywordSince(kind);
    if (since === 0) return kind;
    this.marks |= MARK_YOUNG_WORD;
    return since > this.#rules.keywordVersion ? T.IDENTIFIER : kind;
  }

  #lower(start: number, end: number): string {
    let text = "";
    for (let i = start; i < end && i < start + 9; i++) {
      const c = this.sql[i] as number;
      text += String.fromCharCode(c >= 65 && c <= 90 ? c | SPACE : c);
    }
    return end - start > 8 ? "" : text;
  }

  #isBeforeParen(end: number): boolean {
    let p = end;
    if (this.#rules.ignoreSpace) {
      while (p < this.end && this.#classes[this.sql[p] as number] === CLASS_SPACE) p++;
    }
    return p < this.end && this.sql[p] === OPEN_PAREN;
  }

  /** Where a bare word ends when lead bytes swallow the bytes after them. */
  #wordEnd(start: number): number {
    let p = start;
    while (p < this.end && this.#words[this.sql[p] as number] === 1) {
      p += multiByteLength(this.#rules.charset.multiByte, this.sql, p, this.end);
    }
    return p;
  }

  /** The part from a dot on that is directly followed by a word byte: nothing there is a keyword or a number. */
  #dotted() {
    const { sql } = this;
    const words = this.#words;
    while (this.pos + 1 < this.end && sql[this.pos] === DOT && words[sql[this.pos + 1] as number] === 1) {
      this.#push(T.DOT, this.pos, this.pos + 1);
      this.#pendingFlags |= FLAG_AFTER_DOT;
      this.#part(this.pos + 1);
    }
  }

  /** A name behind the dot of a dotted name. */
  #part(start: number) {
    const p = this.#bareEnd(start);
    this.#push(T.IDENTIFIER, start, p);
    this.pos = p;
  }

  /** `x'41'`, `b'01'`, `n'text'`: false when the letter is an ordinary word. */
  #letterLiteral(start: number): boolean {
    const letter = (this.sql[start] as number) | SPACE;
    if (letter === LOWER_N) {
      this.#string(start, start + 2, SINGLE_QUOTE, T.NATIONAL_STRING);
      return true;
    }
    if (letter !== LOWER_X && letter !== LOWER_B) return false;
    const isHex = letter === LOWER_X;
    const digits = this.#tables.hexDigits;
    let p = start + 2;
    while (p < this.end && (isHex ? digits[this.sql[p] as number] === 1 : ((this.sql[p] as number) | 1) === 49)) p++;
    const isWhole = this.sql[p] === SINGLE_QUOTE && p < this.end && (!isHex || (p - start) % 2 === 0);
    if (!isWhole) {
      this.#error(start, Math.min(p + 1, this.end));
      return true;
    }
    this.#push(isHex ? T.HEX_LITERAL : T.BIT_LITERAL, start, p + 1);
    this.pos = p + 1;
    this.#numberEnd = p + 1;
    return true;
  }

  #number(start: number) {
    const sql = this.sql;
    let p = start;
    if (sql[p] === ZERO && this.#radixLiteral(start)) return;
    while (p < this.end && isDigit(sql[p])) p++;
    const c = p < this.end ? (sql[p] as number) : NUL;
    if (this.#words[c] === 0) {
      if (c === DOT) return this.#fraction(start, p + 1);
      return this.#pushNumber(T.INTEGER_NUMBER, start, p);
    }
    if ((c | SPACE) === LOWER_E) {
      const exponent = sql[p + 1] === PLUS || sql[p + 1] === DASH ? p + 2 : p + 1;
      if (exponent < this.end && isDigit(sql[exponent])) {
        return this.#pushNumber(T.FLOAT_NUMBER, start, this.#digitsEnd(exponent));
      }
    }
    // The server takes the byte after the digits alone, even where it leads a character of several bytes.
    this.#nameWithDigit(start, p + 1);
  }

  #pushNumber(kind: number, start: number, end: number) {
    this.#push(kind, start, end);
    this.pos = end;
    this.#numberEnd = end;
  }

  #digitsEnd(from: number): number {
    let p = from;
    while (p < this.end && isDigit(this.sql[p])) p++;
    return p;
  }

  /** A name that begins with digits. */
  #nameWithDigit(start: number, from: number) {
    const p = this.#wordEnd(from);
    if (start === this.#numberEnd) {
      this.marks |= MARK_GLUED;
      this.#pendingFlags |= FLAG_GLUED;
    }
    this.#push(T.IDENTIFIER, start, p);
    this.pos = p;
    this.#dotted();
  }

  /** `0x41` and `0b01`, lower-case letter only; a word byte after the digits makes it a name. */
  #radixLiteral(start: number): boolean {
    const letter = this.sql[start + 1];
    if (start + 1 >= this.end || (letter !== LOWER_X && letter !== LOWER_B)) return false;
    const digits = this.#tables.hexDigits;
    let p = start + 2;
    while (
      p < this.end &&
      (letter === LOWER_X ? digits[this.sql[p] as number] === 1 : ((this.sql[p] as number) | 1) === 49)
    )
      p++;
    if (p > start + 2 && (p >= this.end || this.#words[this.sql[p] as number] === 0)) {
      this.#pushNumber(letter === LOWER_X ? T.HEX_LITERAL : T.BIT_LITERAL, start, p);
    } else {
      this.#nameWithDigit(start, p);
    }
    return true;
  }

  /** What follows the point of a number. */
  #fraction(start: number, from: number) {
    let p = this.#digitsEnd(from);
    const c = p < this.end ? (this.sql[p] as number) : NUL;
    if ((c | SPACE) !== LOWER_E) return this.#pushNumber(T.DECIMAL_NUMBER, start, p);
    p++;
    if (this.sql[p] === PLUS || this.sql[p] === DASH) p++;
    if (p < this.end && isDigit(this.sql[p])) return this.#pushNumber(T.FLOAT_NUMBER, start, this.#digitsEnd(p));
    // SAFETY: the server forgets `1.e` without a token and goes on with the byte after it, so that
    // `information_schema 1.e.tables` names a table.
    this.marks |= MARK_SWALLOWED;
    this.#gap(start, p, COMMENT_SWALLOWED);
    // Elsewhere when that gap was one too many.
    if (this.pos === p) this.#lone(p);
  }

  /** One byte as a token, whatever it could begin elsewhere. */
  #lone(at: number) {
    if (at >= this.end) {
      this.#fault(MARK_ERROR, at);
      return;
    }
    const c = this.sql[at] as number;
    if (c === DASH) return this.#dash();
    const kind = SINGLE_KINDS[c] as number;
    // Comparison operators come from the keyword table: as lone characters no rule accepts them.
    const isComparison = c === LESS || c === EQUAL || c === GREATER;
    if (kind === 0 || isComparison) return this.#error(at, at + 1);
    this.#push(kind, at, at + 1);
    this.pos = at + 1;
  }

  /** A quoted literal whose opening quote lies before `from`. */
  #string(start: number, from: number, quote: number, kind: number) {
    if (this.#rules.charset.multiByte !== "none") return this.#multiByteString(start, from, quote, kind);
    const sql = this.sql;
    const end = this.end;
    const escapes = this.#rules.backslashEscapes;
    let p = from;
    let escaped = false;
    const near = Math.min(end, from + SHORT_LITERAL);
    for (;;) {
      while (p < near && sql[p] !== quote && sql[p] !== BACKSLASH) p++;
      if (p >= near) p = this.#farQuote(p, quote);
      if (p >= end) break;
      if (sql[p] === BACKSLASH) {
        escaped = true;
        p += escapes ? 2 : 1;
      } else if (p + 1 < end && sql[p + 1] === quote) {
        escaped = true;
        p += 2;
      } else {
        return this.#pushString(kind, start, p + 1, escaped);
      }
    }
    this.#fault(MARK_UNTERMINATED_STRING, start);
    this.#pushString(kind, start, end, escaped);
  }

  #pushString(kind: number, start: number, end: number, escaped: boolean) {
    if (escaped) this.#pendingFlags |= FLAG_ESCAPED;
    this.#push(kind, start, end);
    this.pos = end;
  }

  // The next quote and backslash at or after some byte of a long literal: each is searched once, so that a literal
  // full of either stays linear.
  #quoteAhead!: number;
  #backslashAhead!: number;
  #aheadOf: Uint8Array | undefined = undefined;
  #aheadQuote!: number;

  #farQuote(from: number, quote: number): number {
    if (this.#aheadOf !== this.sql || this.#aheadQuote !== quote) {
      this.#aheadOf = this.sql;
      this.#aheadQuote = quote;
      this.#quoteAhead = -1;
      this.#backslashAhead = -1;
    }
    if (this.#quoteAhead < from) this.#quoteAhead = indexOrEnd(this.sql, quote, from);
    if (this.#backslashAhead < from) this.#backslashAhead = indexOrEnd(this.sql, BACKSLASH, from);
    return Math.min(this.#quoteAhead, this.#backslashAhead);
  }

  #multiByteString(start: number, from: number, quote: number, kind: number) {
    const sql = this.sql;
    let p = from;
    let escaped = false;
    while (p < this.end) {
      const c = sql[p] as number;
      if (c > HIGH) {
        p += multiByteLength(this.#rules.charset.multiByte, sql, p, this.end);
      } else if (c === BACKSLASH) {
        escaped = true;
        p += this.#rules.backslashEscapes ? 2 : 1;
      } else if (c !== quote) {
        p++;
      } else if (p + 1 < this.end && sql[p + 1] === quote) {
        escaped = true;
        p += 2;
      } else {
        return this.#pushString(kind, start, p + 1, escaped);
      }
    }
    this.#fault(MARK_UNTERMINATED_STRING, start);
    this.#pushString(kind, start, this.end, escaped);
  }

  #quotedName(quote: number) {
    const sql = this.sql;
    const multiByte = this.#rules.charset.multiByte;
    const start = this.pos;
    let p = start + 1;
    let escaped = false;
    while (p < this.end) {
      const c = sql[p] as number;
      if (c === quote) {
        if (p + 1 >= this.end || sql[p + 1] !== quote) {
          return this.#pushString(T.QUOTED_IDENTIFIER, start, p + 1, escaped);
        }
        escaped = true;
        p += 2;
      } else if (c === NUL) {
        break;
      } else {
        p += c > HIGH && multiByte !== "none" ? multiByteLength(multiByte, sql, p, this.end) : 1;
      }
    }
    this.#fault(MARK_UNTERMINATED_STRING, start);
    this.#pushString(T.QUOTED_IDENTIFIER, start, Math.min(p, this.end), escaped);
  }

  #operator(c: number) {
    const at = this.pos;
    const next = at + 1 < this.end ? (this.sql[at + 1] as number) : NUL;
    if (c === STAR) {
      if (next === SLASH && this.#inExecutable) {
        this.#inExecutable = false;
        this.#pendingFlags &= ~FLAG_EXECUTABLE;
        return this.#gap(at, at + 2, COMMENT_CLOSE);
      }
      return this.#pushOperator(T.STAR, 1);
    }
    if (c === AMPERSAND) return next === c ? this.#pushOperator(T.AND_AND, 2) : this.#pushOperator(T.AMPERSAND, 1);
    if (c === PIPE) return next === c ? this.#pushOperator(T.OR_OR, 2) : this.#pushOperator(T.PIPE, 1);
    if (c === COLON) return next === EQUAL ? this.#pushOperator(T.ASSIGN, 2) : this.#pushOperator(T.COLON, 1);
    return this.#comparison(c, next);
  }

  #pushOperator(kind: number, length: number) {
    this.#push(kind, this.pos, this.pos + length);
    this.pos += length;
  }

  /** Comparison operators are taken greedily; a run that is no operator is a lone first byte that swallowed the rest. */
  #comparison(c: number, next: number) {
    const at = this.pos;
    if (!isComparisonByte(next)) return this.#pushOperator(SINGLE_KINDS[c] as number, 1);
    let length = 2;
    let bytes = (c << 8) | next;
    if (c === LESS && at + 2 < this.end) {
      const third = this.sql[at + 2] as number;
      if (third !== LESS && isComparisonByte(third)) {
        length = 3;
        bytes = (bytes << 8) | third;
      }
    }
    const kind = COMPARISONS.get(bytes);
    if (kind !== undefined) return this.#pushOperator(kind, length);
    // The server returns only the first byte of `!!`, `!<` and `!>`, so that they act as one NOT.
    if (c === BANG) return this.#pushOperator(T.BANG, length);
    this.#error(at, at + length);
  }

  #dot() {
    const at = this.pos;
    const next = at + 1 < this.end ? (this.sql[at + 1] as number) : NUL;
    const last = this.count - 1;
    const isBehindName = last >= 0 && this.kinds[last] === T.IDENTIFIER && this.ends[last] === at;
    if (isDigit(next) && !isBehindName) return this.#fraction(at, at + 1);
    if (this.#words[next] === 1) return this.#dotted();
    this.#push(T.DOT, at, at + 1);
    this.pos = at + 1;
  }

  #dash() {
    const at = this.pos;
    const next = at + 1 < this.end ? (this.sql[at + 1] as number) : NUL;
    if (next === DASH) {
      if (
        this.#rules.anyDashComments ||
        at + 2 >= this.end ||
        this.#tables.dashEnds[this.sql[at + 2] as number] === 1
      ) {
        return this.#lineComment(at, COMMENT_DASH);
      }
      this.marks |= MARK_DASH_NOT_COMMENT;
    }
    if (next !== GREATER) return this.#pushOperator(T.MINUS, 1);
    if (at + 2 < this.end && this.sql[at + 2] === GREATER) return this.#pushOperator(T.ARROW_UNQUOTE, 3);
    this.#pushOperator(T.ARROW, 2);
  }

  /** To the next line feed or NUL; a carriage return does not end it. */
  #lineComment(start: number, kind: number) {
    const newline = indexOrEnd(this.sql, NEWLINE, start);
    let end = newline;
    for (let p = start; p < end && p < start + SHORT_LITERAL; p++) if (this.sql[p] === NUL) end = p;
    if (end - start >= SHORT_LITERAL) {
      const nul = this.sql.subarray(start, newline).indexOf(NUL);
      if (nul >= 0) end = start + nul;
    }
    this.#gap(start, end, kind);
  }

  #slash() {
    const at = this.pos;
    const next = at + 1 < this.end ? (this.sql[at + 1] as number) : NUL;
    if (next === SLASH) {
      this.marks |= MARK_SLASHES;
      if (this.#rules.slashComments) return this.#lineComment(at, COMMENT_SLASHES);
    }
    if (next !== STAR) return this.#pushOperator(T.SLASH, 1);
    const third = at + 2 < this.end ? (this.sql[at + 2] as number) : NUL;
    if (third === PLUS && this.#isBehindVerb()) return this.#hint(at);
    if (third === BANG) return this.#executableComment(at, at + 3, false);
    if (third === UPPER_M && at + 3 < this.end && this.sql[at + 3] === BANG) {
      this.marks |= MARK_MARIADB_COMMENT;
      if (this.#rules.dialect === "mariadb") return this.#executableComment(at, at + 4, true);
    }
    this.#blockComment(at, at + 2, COMMENT_BLOCK, false);
  }

  #blockComment(start: number, from: number, kind: number, allowsNested: boolean) {
    const end = allowsNested ? this.#nestedCommentEnd(from) : this.#commentEnd(from);
    if (end < 0) {
      this.#fault(MARK_UNTERMINATED_COMMENT, start);
      return this.#gap(start, this.end, kind);
    }
    if (!allowsNested) this.#noteNested(from, end - 2);
    this.#gap(start, end, kind);
  }

  /** Past the end of a skipped executable comment, which may hold whole comments one level deep; or -1. */
  #nestedCommentEnd(from: number): number {
    let p = from;
    for (;;) {
      const star = indexOrEnd(this.sql, STAR, p);
      if (star >= this.end) return -1;
      if (star > p && this.sql[star - 1] === SLASH) {
        this.marks |= MARK_NESTED_COMMENT;
        p = this.#commentEnd(star + 1);
        if (p < 0) return -1;
      } else if (this.sql[star + 1] === SLASH) {
        return star + 2;
      } else {
        p = star + 1;
      }
    }
  }

  /** Past the next comment end, or -1. */
  #commentEnd(from: number): number {
    for (let p = from; ; ) {
      p = indexOrEnd(this.sql, STAR, p);
      // A run of stars is stepped over here: to search for each of them costs ten times as much.
      do p++;
      while (p < this.end && this.sql[p] === STAR);
      if (p >= this.end) return -1;
      if (this.sql[p] === SLASH) return p + 1;
    }
  }

  /** A comment opened inside a comment does not nest for the server; that somebody wrote one is worth knowing. */
  #noteNested(from: number, to: number) {
    for (let p = from; p < to && p < from + 4096; p++) {
      if (this.sql[p] === SLASH && this.sql[p + 1] === STAR) {
        this.marks |= MARK_NESTED_COMMENT;
        return;
      }
    }
  }

  /** Code or comment, by the version in it. `from` is the byte after the exclamation mark. */
  #executableComment(start: number, from: number, isMariadb: boolean) {
    const digits = this.#versionDigits(from);
    if (digits > 0) {
      this.marks |= MARK_VERSION;
      let version = 0;
      for (let i = 0; i < digits; i++) version = version * 10 + (this.sql[from + i] as number) - ZERO;
      this.#noteVersion(version);
      if (!this.#runsVersion(version, isMariadb))
        return this.#blockComment(start, from + digits, COMMENT_SKIPPED, true);
    }
    this.#gap(start, from + digits, COMMENT_OPEN);
    this.#inExecutable = true;
    this.#pendingFlags |= FLAG_EXECUTABLE;
  }

  #runsVersion(version: number, isMariadb: boolean): boolean {
    if (version > this.#rules.versionMax) return false;
    // MariaDB skips what only MySQL 5.7 and later is meant to run.
    return this.#rules.dialect !== "mariadb" || isMariadb || version < 50700 || version > 99999;
  }

  #versionDigits(from: number): number {
    let digits = 0;
    while (digits < 7 && from + digits < this.end && isDigit(this.sql[from + digits])) digits++;
    if (digits < 5) return 0;
    if (digits === 5) return 5;
    if (this.#rules.dialect === "mariadb") return 6;
    this.marks |= MARK_SIX_DIGITS;
    const isBlankAfter =
      digits === 6 && from + 6 < this.end && this.#classes[this.sql[from + 6] as number] === CLASS_SPACE;
    return this.#rules.sixDigitVersions && isBlankAfter ? 6 : 5;
  }

  #noteVersion(version: number) {
    if (this.versions.includes(version)) return;
    if (this.versions.length < VERSIONS_MAX) this.versions.push(version);
    else this.versionsDropped = true;
  }

  /** Whether the last token is a verb that hints may follow, without a comment since. */
  #isBehindVerb(): boolean {
    const last = this.count - 1;
    if (last < 0 || (this.#pendingFlags & FLAG_AFTER_COMMENT) !== 0) return false;
    const isVariable = last > 0 && this.kinds[last - 1] === T.AT_AT && this.ends[last - 1] === this.starts[last];
    return HINTED_VERBS[this.kinds[last] as number] === 1 && !isVariable;
  }

  /** `/*+ … *\/` directly after a verb: its words are tokens between HINT_START and HINT_END. */
  #hint(at: number) {
    this.marks |= MARK_HINT;
    const close = this.#commentEnd(at + 3);
    const end = close < 0 ? this.end : close - 2;
    if (this.#isBlank(at + 3, end)) return this.#gap(at, close < 0 ? end : close, COMMENT_BLOCK);
    this.#push(T.HINT_START, at, at + 3);
    this.pos = at + 3;
    while (this.pos < end && this.count < this.#tokensMax) this.#hintToken(end);
    if (close < 0) return this.#fault(MARK_UNTERMINATED_COMMENT, at);
    this.#push(T.HINT_END, end, close);
    this.pos = close;
  }

  #isBlank(from: number, to: number): boolean {
    let p = from;
    while (p < to && this.#classes[this.sql[p] as number] === CLASS_SPACE) p++;
    return p >= to;
  }

  #hintToken(end: number) {
    const at = this.pos;
    const c = this.sql[at] as number;
    if (this.#words[c] === 1) return this.#hintWord(at, end);
    this.pos = at + 1;
    if (this.#classes[c] === CLASS_SPACE) return;
    if (c !== BACKTICK && c !== SINGLE_QUOTE && c !== DOUBLE_QUOTE) {
      const kind = SINGLE_KINDS[c] as number;
      return this.#push(kind === 0 ? T.ERROR : kind, at, at + 1);
    }
    const close = this.sql.indexOf(c, at + 1);
    this.pos = close < 0 || close >= end ? end : close + 1;
    const isName = c === BACKTICK || (c === DOUBLE_QUOTE && this.#rules.ansiQuotes);
    this.#push(isName ? T.QUOTED_IDENTIFIER : T.STRING, at, this.pos);
  }

  #hintWord(start: number, limit: number) {
    let end = this.#hintWordEnd(start, limit);
    let kind = T.IDENTIFIER;
    if (this.#digitsEnd(start) >= end) kind = T.INTEGER_NUMBER;
    else if (end < limit && this.sql[end] === AT) {
      kind = T.HINT_TABLE;
      end = this.#hintWordEnd(end + 1, limit);
    } else {
      const text = String.fromCharCode(...this.sql.subarray(start, Math.min(end, start + KEYWORD_BYTES_MAX)));
      if (HINT_NAMES.has(upperAscii(text))) kind = T.HINT_NAME;
    }
    this.#push(kind, start, end);
    this.pos = end;
  }

  #hintWordEnd(from: number, limit: number): number {
    let p = from;
    while (p < limit && (this.#words[this.sql[p] as number] === 1 || this.sql[p] === BACKTICK)) p++;
    return p;
  }

  /** User variables, system variables and the host part of an account. */
  #at() {
    const at = this.pos;
    const next = at + 1 < this.end ? (this.sql[at + 1] as number) : NUL;
    if (next === AT) return this.#systemVariable(at);
    this.#push(T.AT, at, at + 1);
    this.pos = at + 1;
    if (next === SINGLE_QUOTE || next === DOUBLE_QUOTE || next === BACKTICK) return;
    // Byte by byte, also where a character takes two: the server does not look further here.
    const hosts = this.#tables.hosts;
    let p = at + 1;
    while (p < this.end && (hosts[this.sql[p] as number] === 1 || this.sql[p] === DOT)) p++;
    this.#push(T.HOSTNAME, at + 1, p);
    this.pos = p;
  }

  #systemVariable(at: number) {
    this.#push(T.AT_AT, at, at + 2);
    this.pos = at + 2;
    const start = at + 2;
    if (start < this.end && this.sql[start] === BACKTICK) return;
    const end = this.#wordEnd(start);
    if (end === start) return this.#fault(MARK_ERROR, at);
    const kind = findKeyword(this.sql, start, end);
    const isName = kind === 0 || isFunctionKeyword(kind) || keywordSince(kind) > this.#rules.keywordVersion;
    this.#push(isName ? T.IDENTIFIER : kind, start, end);
    this.pos = end;
    this.#dotted();
  }

  /** `$tag$ text $tag$`; otherwise `$` is a word byte. */
  #dollar() {
    const start = this.pos;
    if (this.#rules.dollarQuotes) {
      let p = start + 1;
      while (p < this.end && this.sql[p] !== DOLLAR && this.#words[this.sql[p] as number] === 1) p++;
      if (p < this.end && this.sql[p] === DOLLAR) return this.#dollarString(start, p + 1);
    }
    this.#word(start);
  }

  #dollarString(start: number, from: number) {
    const tag = this.sql.subarray(start, from);
    for (let p = indexOrEnd(this.sql, DOLLAR, from); p < this.end; p = indexOrEnd(this.sql, DOLLAR, p + 1)) {
      let i = 1;
      while (i < tag.length && this.sql[p + i] === tag[i]) i++;
      if (i === tag.length) {
        this.#push(T.DOLLAR_STRING, start, p + i);
        this.pos = p + i;
        return;
      }
    }
    this.#fault(MARK_UNTERMINATED_STRING, start);
    this.#push(T.DOLLAR_STRING, start, this.end);
    this.pos = this.end;
  }

  #backslash() {
    const at = this.pos;
    if (this.#rules.dialect === "mariadb" && at + 1 < this.end && this.sql[at + 1] === 78) {
      return this.#pushOperator(T.NULL_ESCAPE, 2);
    }
    this.#error(at, at + 1);
  }
}

function grown<A extends Uint16Array | Int32Array | Uint8Array>(from: A, to: A): A {
  to.set(from);
  return to;
}

function indexOrEnd(sql: Uint8Array, byte: number, from: number): number {
  const at = sql.indexOf(byte, from);
  return at < 0 ? sql.length : at;
}

function isComparisonByte(c: number): boolean {
  return (c >= LESS && c <= GREATER) || c === BANG;
}

/** Comparison operators of several bytes by their bytes, first byte highest. */
const COMPARISONS: ReadonlyMap<number, number> = new Map([
  [0x3c3d, T.LESS_OR_EQUAL],
  [0x3e3d, T.GREATER_OR_EQUAL],
  [0x213d, T.NOT_EQUAL],
  [0x3c3e, T.NOT_EQUAL],
  [0x3c3c, T.SHIFT_LEFT],
  [0x3e3e, T.SHIFT_RIGHT],
  [0x3c3d3e, T.NULL_SAFE_EQUAL],
]);

/** MySQL 9.7 in its default modes with a utf8mb4 client. */
export const DEFAULT_RULES: LexRules = {
  dialect: "mysql",
  ansiQuotes: false,
  backslashEscapes: true,
  ignoreSpace: false,
  pipesAsConcat: false,
  highNot: false,
  charset: { multiByte: "none", highSpace: -1 },
  characterSet: "utf8mb4",
  versionMax: 90704,
  sixDigitVersions: true,
  dollarQuotes: true,
  slashComments: false,
  anyDashComments: false,
  keywordVersion: 999999,
};
