/**
 * The server's normalised text of a statement (STATEMENT_DIGEST_TEXT): literals become `?`, lists and rows collapse,
 * synonyms take one name. Made from tokens, so it is right exactly when the lexer is.
 */
import { createHash } from "node:crypto";
import { KEYWORD_COUNT, keywordPrinted, kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import { FLAG_ESCAPED, type Lexer } from "../lexing/lexer.ts";
import * as T from "../lexing/token-kinds.ts";

// Kinds that only the digest knows: what literals collapse to.
const KIND_END = K.KEYWORD_FIRST + KEYWORD_COUNT;
const VALUE = KIND_END;
const VALUE_LIST = KIND_END + 1;
/** Rows, each kind followed by the kind of a list of such rows. */
const ROW_ONE = KIND_END + 2;
const ROW_MANY = KIND_END + 4;
const IN_LIST = KIND_END + 6;
/** A position in GROUP BY or ORDER BY, which stays in the text. */
const POSITION = KIND_END + 7;
const ALL_KINDS = KIND_END + 8;
/** No kind: the token adds nothing to the list before it. */
const NOTHING = 0;

// What consume() does with a token of some kind
const ROLE_PLAIN = 0;
const ROLE_NUMBER = 1;
const ROLE_VALUE = 2;
const ROLE_NULL = 3;
const ROLE_CLOSE = 4;
const ROLE_BY = 5;
const ROLE_NAME = 6;
/** Only in lists after BY: what may end the list, and what may be a column's position. */
const ROLE_IN_LIST = 7;

const ROLES = new Uint8Array(ALL_KINDS);
for (const kind of [T.INTEGER_NUMBER, T.DECIMAL_NUMBER, T.FLOAT_NUMBER, T.HEX_LITERAL, T.BIT_LITERAL]) {
  ROLES[kind] = ROLE_NUMBER;
}
for (const kind of [T.STRING, T.NATIONAL_STRING, T.PARAMETER, T.HOSTNAME, T.NULL_ESCAPE]) ROLES[kind] = ROLE_VALUE;
ROLES[K.NULL] = ROLE_NULL;
ROLES[T.RIGHT_PAREN] = ROLE_CLOSE;
ROLES[K.BY] = ROLE_BY;
ROLES[T.IDENTIFIER] = ROLE_NAME;
ROLES[T.QUOTED_IDENTIFIER] = ROLE_NAME;

const OPERATOR_WORDS =
  "AND OR XOR NOT DIV MOD LIKE REGEXP RLIKE BETWEEN CASE WHEN THEN ELSE INTERVAL SELECT RETURN IF ELSEIF WHILE UNTIL EVERY " +
  "AT STARTS ENDS DEFAULT";

const OPERATORS = [
  T.COMMA,
  T.LEFT_PAREN,
  T.STAR,
  T.PLUS,
  T.MINUS,
  T.SLASH,
  T.PERCENT,
  T.CARET,
  T.AMPERSAND,
  T.PIPE,
  T.SHIFT_LEFT,
  T.SHIFT_RIGHT,
  T.AND_AND,
  T.OR_OR,
  T.EQUAL,
  T.NULL_SAFE_EQUAL,
  T.NOT_EQUAL,
  T.LESS,
  T.LESS_OR_EQUAL,
  T.GREATER,
  T.GREATER_OR_EQUAL,
];

/** After these a sign belongs to the number that follows it. Others, such as WHERE, leave it a token: so does the server. */
const SIGNS = kindSet(OPERATORS, OPERATOR_WORDS, ALL_KINDS);

/** After these NULL is a literal. */
const NULL_LITERALS = kindSet(
  [...OPERATORS, T.TILDE, T.BANG, T.ASSIGN, T.HINT_END],
  `${OPERATOR_WORDS} ALL BY DISTINCT DISTINCTROW DO ESCAPE FROM FOR BOTH LEADING TRAILING HAVING HIGH_PRIORITY ON ` +
    "SQL_BIG_RESULT SQL_BUFFER_RESULT SQL_CALC_FOUND_ROWS SQL_NO_CACHE SQL_SMALL_RESULT STRAIGHT_JOIN WHERE",
  ALL_KINDS,
);

const LIST_END_WORDS =
  "LIMIT HAVING FOR LOCK UNION EXCEPT INTERSECT INTO WINDOW ROWS RANGE GROUPS SEPARATOR PROCEDURE QUALIFY ON ORDER WITH " +
  "SELECT DO THEN";

/** At the depth of a GROUP BY, ORDER BY or PARTITION BY list these end it. */
const LIST_ENDS = kindSet([T.RIGHT_PAREN, T.SEMICOLON], LIST_END_WORDS, ALL_KINDS);

/** A lone number in such a list is a column's position only when one of these follows. */
const POSITION_ENDS = kindSet([0, T.RIGHT_PAREN, T.SEMICOLON, T.COMMA], `${LIST_END_WORDS} ASC DESC`, ALL_KINDS);

/** Roles inside such a list. */
const LIST_ROLES = ROLES.slice();
for (const kind of [T.INTEGER_NUMBER, T.LEFT_PAREN, T.RIGHT_PAREN, K.BY]) LIST_ROLES[kind] = ROLE_IN_LIST;
for (let kind = 0; kind < ALL_KINDS; kind++) if (LIST_ENDS[kind] === 1) LIST_ROLES[kind] = ROLE_IN_LIST;

/**
 * How all kinds are printed, each with the blank that follows it. Eight bytes are one number, so that they are copied
 * at once: no eight ASCII characters make a NaN, which would not keep its bits.
 */
const SPELLING_STEP = 8;
const SPELLING_OFFSETS = new Int32Array(ALL_KINDS);
const SPELLING_LENGTHS = new Uint8Array(ALL_KINDS);
const SPELLINGS = buildSpellings();

function buildSpellings(): Float64Array {
  let text = "";
  for (let kind = 0; kind < ALL_KINDS; kind++) {
    const spelling = spellingOf(kind);
    SPELLING_OFFSETS[kind] = text.length / SPELLING_STEP;
    SPELLING_LENGTHS[kind] = spelling.length;
    text += spelling.padEnd(Math.ceil(spelling.length / SPELLING_STEP) * SPELLING_STEP);
  }
  return new Float64Array(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer);
}

function spellingOf(kind: number): string {
  const collapsed = ["?", "?, ...", "(?)", "(?) /* , ... */", "(...)", "(...) /* , ... */", "IN (...)"];
  if (kind >= KIND_END) return kind === POSITION ? "" : `${collapsed[kind - KIND_END]} `;
  if (kind >= K.KEYWORD_FIRST) return `${keywordPrinted(kind)} `;
  const spelling = T.SPELLINGS.get(kind);
  if (spelling === undefined) return "";
  return kind === T.AT || kind === T.AT_AT ? spelling : `${spelling} `;
}

/** Longer names are printed as `...`. */
const NAME_BYTES_MAX = 64;

/** The hash under which a policy lists a digest text. Not the server's DIGEST, which depends on its token numbers. */
export function sha256Hex(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

const BACKTICK = 96;
const BLANK = 32;
const AT_SIGN = 64;
const NO_BYTE = -1;

const FIRST_CAPACITY = 512;
/** So many tokens are taken between two looks at the room that is left. */
const CHUNK_TOKENS = 256;
/** No token prints more, but for the kinds without a spelling. */
const PRINTED_BYTES_MAX = 72;

/**
 * Collapses tokens as they come and prints them at once: what a later token takes back is overwritten. Reusable: start()
 * forgets the text before.
 */
export class Digest {
  /** The collapsed sequence: kinds, and where each begins in `#bytes`; one more place for the next. */
  #kinds = new Uint16Array(FIRST_CAPACITY);
  #places = new Int32Array(FIRST_CAPACITY + 1);
  #depth = 0;
  /** Parentheses open since GROUP BY, ORDER BY or PARTITION BY; -1 outside of such lists. */
  #listDepth = -1;
  #bytes = Buffer.alloc(1024);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  #length = 0;
  /** The kind without a spelling that #take() stopped at. */
  #oddKind = 0;

  /** A name taken so far was too long to be printed, so that two different texts may have this digest. */
  hasHiddenName = false;

  start(): void {
    this.#depth = 0;
    this.#listDepth = -1;
    this.#length = 0;
    this.hasHiddenName = false;
  }

  /** Takes tokens [from, to) of the lexer; every token once, in order. */
  consume(lexer: Lexer, from: number, to: number): void {
    let token = from;
    while (token < to) {
      const end = Math.min(token + CHUNK_TOKENS, to);
      this.#makeRoom(end - token, (end - token) * PRINTED_BYTES_MAX);
      token = this.#take(lexer, token, end);
      if (token < end) this.#odd(lexer, token++, this.#oddKind);
    }
  }

  /** Stops at a kind without a spelling. State is in local variables, which costs half of what fields do. */
  #take(lexer: Lexer, from: number, to: number): number {
    const { kinds, starts, ends, flags, sql } = lexer;
    const sequence = this.#kinds;
    const places = this.#places;
    const bytes = this.#bytes;
    const view = this.#view;
    let roles = this.#listDepth < 0 ? ROLES : LIST_ROLES;
    let depth = this.#depth;
    let length = this.#length;
    let token = from;
    for (; token < to; token++) {
      let kind = kinds[token] as number;
      const role = roles[kind] as number;
      places[depth] = length;
      if (role === ROLE_NAME) {
        sequence[depth++] = kind;
        const quote = kind === T.QUOTED_IDENTIFIER ? 1 : 0;
        const start = (starts[token] as number) + quote;
        const end = (ends[token] as number) - quote;
        const isEscaped = ((flags[token] as number) & FLAG_ESCAPED) !== 0;
        if (isPlainName(start, end, isEscaped)) length = printName(bytes, length, sql, start, end);
        else length = this.#oddName(sql, start, end, isEscaped, length);
        continue;
      }
      if (role !== ROLE_PLAIN) {
        this.#depth = depth;
        kind = this.#collapsed(lexer, token, kind, role);
        depth = this.#depth;
        length = places[depth] as number;
        roles = this.#listDepth < 0 ? ROLES : LIST_ROLES;
        if (kind === NOTHING) continue;
      }
      const size = SPELLING_LENGTHS[kind] as number;
      if (size === 0) {
        this.#oddKind = kind;
        break;
      }
      sequence[depth++] = kind;
      printSpelling(view, length, SPELLING_OFFSETS[kind] as number, size);
      length += size;
    }
    this.#depth = depth;
    this.#length = length;
    return token;
  }

  /** What to print for a token that is more than its spelling, once `#depth` stands where that goes; or NOTHING. */
  #collapsed(lexer: Lexer, token: number, kind: number, role: number): number {
    switch (role) {
      case ROLE_VALUE:
        return this.#value();
      case ROLE_NUMBER:
        return this.#number();
      case ROLE_CLOSE:
        return this.#close();
      case ROLE_NULL:
        return this.#null();
      case ROLE_BY:
        return this.#by();
      default:
        return this.#inList(lexer, token, kind);
    }
  }

  #by(): number {
    const before = this.#depth > 0 ? this.#kinds[this.#depth - 1] : 0;
    if (before === K.ORDER || before === K.GROUP || before === K.PARTITION) this.#listDepth = 0;
    return K.BY;
  }

  /** Inside GROUP BY and the like. */
  #inList(lexer: Lexer, token: number, kind: number): number {
    if (this.#listDepth === 0) {
      if (kind === T.INTEGER_NUMBER && this.#isPosition(lexer, token)) return POSITION;
      if (LIST_ENDS[kind] === 1) this.#listDepth = -1;
    }
    if (this.#listDepth >= 0) {
      if (kind === T.LEFT_PAREN) this.#listDepth++;
      else if (kind === T.RIGHT_PAREN) this.#listDepth--;
      // A list inside a list: the outer one is looked at again after it.
      else if (kind === K.BY && this.#listDepth > 0) return kind;
    }
    const role = ROLES[kind] as number;
    return role === ROLE_PLAIN ? kind : this.#collapsed(lexer, token, kind, role);
  }

  #isPosition(lexer: Lexer, token: number): boolean {
    const before = this.#kinds[this.#depth - 1];
    const after = token + 1 < lexer.count ? (lexer.kinds[token + 1] as number) : 0;
    if ((before !== K.BY && before !== T.COMMA) || POSITION_ENDS[after] !== 1) return false;
    return firstDigit(lexer, token) !== lexer.ends[token];
  }

  #number(): number {
    const kinds = this.#kinds;
    let depth = this.#depth;
    // A sign belongs to the number where an expression can begin: `= -1`, but not `b - 1`.
    while (
      depth > 1 &&
      (kinds[depth - 1] === T.MINUS || kinds[depth - 1] === T.PLUS) &&
      SIGNS[kinds[depth - 2] as number] === 1
    ) {
      depth--;
    }
    this.#depth = depth;
    return this.#value();
  }

  #value(): number {
    const kinds = this.#kinds;
    const depth = this.#depth;
    if (depth < 2 || kinds[depth - 1] !== T.COMMA) return VALUE;
    const before = kinds[depth - 2] as number;
    if (before === VALUE) {
      this.#depth = depth - 2;
      return VALUE_LIST;
    }
    if (before !== VALUE_LIST) return VALUE;
    this.#depth = depth - 1;
    return NOTHING;
  }

  /** NULL is a literal where an expression can begin; otherwise part of IS NULL, NOT NULL or SET NULL. */
  #null(): number {
    const depth = this.#depth;
    let before = depth > 0 ? (this.#kinds[depth - 1] as number) : 0;
    if (before === K.NOT) before = depth > 1 ? (this.#kinds[depth - 2] as number) : 0;
    const isEngine = before === T.EQUAL && depth > 1 && this.#kinds[depth - 2] === K.SECONDARY_ENGINE;
    return NULL_LITERALS[before] === 1 && !isEngine ? this.#value() : K.NULL;
  }

  #close(): number {
    const kinds = this.#kinds;
    const depth = this.#depth;
    const last = depth > 1 ? (kinds[depth - 1] as number) : 0;
    if ((last !== VALUE && last !== VALUE_LIST) || kinds[depth - 2] !== T.LEFT_PAREN) return T.RIGHT_PAREN;
    const row = last === VALUE ? ROW_ONE : ROW_MANY;
    const before = depth > 2 ? (kinds[depth - 3] as number) : 0;
    if (before === K.IN) {
      this.#depth = depth - 3;
      return IN_LIST;
    }
    if (before === T.COMMA && depth > 3) {
      const rows = kinds[depth - 4] as number;
      if (rows === row || rows === row + 1) {
        this.#depth = depth - 4;
        return row + 1;
      }
    }
    this.#depth = depth - 2;
    return row;
  }

  /** The digest text. Names come out as they stand in the text, without conversion of their charset. */
  text(): string {
    return this.#bytes.toString("utf8", 0, this.#textLength());
  }

  /** A last semicolon is not printed, nor is the last blank. */
  #textLength(): number {
    const last = this.#depth - 1;
    const length = (last >= 0 && this.#kinds[last] === T.SEMICOLON ? this.#places[last] : this.#length) as number;
    return length > 0 && this.#bytes[length - 1] === BLANK ? length - 1 : length;
  }

  /**
   * The digest and `extra` bytes as one string of bytes, for use as a key; `undefined` when that is longer than
   * `bytesMax` or a name was left out.
   */
  keyText(extra: Uint8Array, extraLength: number, bytesMax: number): string | undefined {
    const digestLength = this.#textLength();
    if (this.hasHiddenName || digestLength + extraLength + 1 > bytesMax) return undefined;
    this.#makeRoom(0, extraLength + 1);
    this.#bytes[digestLength] = 0;
    for (let i = 0; i < extraLength; i++) this.#bytes[digestLength + 1 + i] = extra[i] as number;
    return this.#bytes.toString("latin1", 0, digestLength + extraLength + 1);
  }

  #makeRoom(tokens: number, bytes: number) {
    if (this.#depth + tokens > this.#kinds.length) {
      const capacity = this.#kinds.length * 2;
      this.#kinds = grown(this.#kinds, new Uint16Array(capacity));
      this.#places = grown(this.#places, new Int32Array(capacity + 1));
    }
    const wanted = this.#length + bytes + SPELLING_STEP;
    if (wanted <= this.#bytes.length) return;
    const longer = Buffer.alloc(Math.max(this.#bytes.length * 2, wanted));
    longer.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = longer;
    this.#view = new DataView(longer.buffer, longer.byteOffset, longer.length);
  }

  /** A name that is empty, long or has doubled quotes in it. */
  #oddName(sql: Uint8Array, start: number, end: number, isEscaped: boolean, at: number): number {
    const quote = isEscaped ? (sql[start - 1] as number) : NO_BYTE;
    if (start >= end) return at;
    if (isLongName(sql, start, end, quote)) {
      this.hasHiddenName = true;
      // What the server prints for names longer than it keeps, with no blank after it.
      return at + this.#bytes.write("...", at, "latin1");
    }
    let length = at;
    this.#bytes[length++] = BACKTICK;
    for (let p = start; p < end; p++) {
      this.#bytes[length++] = sql[p] as number;
      if (sql[p] === quote) p++;
    }
    this.#bytes[length++] = BACKTICK;
    this.#bytes[length++] = BLANK;
    return length;
  }

  /** Kinds that print something of their own: words of hints, positions, and what is no token at all. */
  #odd(lexer: Lexer, token: number, kind: number) {
    this.#kinds[this.#depth++] = kind;
    const start = kind === POSITION ? firstDigit(lexer, token) : lexer.starts[token];
    const text = lexer.sql.subarray(start, lexer.ends[token]);
    this.#makeRoom(0, text.length * 2 + 8);
    if (kind === T.HINT_TABLE) this.#hintTable(text);
    else for (const c of text) this.#put(kind === T.HINT_NAME && c >= 97 && c <= 122 ? c - BLANK : c);
    this.#put(BLANK);
  }

  #hintTable(text: Uint8Array) {
    this.#put(BACKTICK);
    for (const c of text) {
      if (c === AT_SIGN) this.#put(BACKTICK);
      if (c !== BACKTICK) this.#put(c);
      if (c === AT_SIGN) this.#put(BACKTICK);
    }
    this.#put(BACKTICK);
  }

  #put(byte: number) {
    this.#bytes[this.#length++] = byte;
  }
}

/** Where a number's first digit other than 0 stands. */
function firstDigit(lexer: Lexer, token: number): number {
  let at = lexer.starts[token] as number;
  while (at < (lexer.ends[token] as number) && lexer.sql[at] === 48) at++;
  return at;
}

function isPlainName(start: number, end: number, isEscaped: boolean): boolean {
  return !isEscaped && start < end && end - start <= NAME_BYTES_MAX;
}

/** Prints a name and the blank behind it at `at`; returns where they end. */
function printName(bytes: Uint8Array, at: number, sql: Uint8Array, start: number, end: number): number {
  let length = at;
  bytes[length++] = BACKTICK;
  for (let p = start; p < end; p++) bytes[length++] = sql[p] as number;
  bytes[length++] = BACKTICK;
  bytes[length++] = BLANK;
  return length;
}

/** Prints eight bytes at a time: what is too much lies where the next token will be printed. */
function printSpelling(view: DataView, at: number, from: number, size: number) {
  view.setFloat64(at, SPELLINGS[from] as number, true);
  for (let p = SPELLING_STEP; p < size; p += SPELLING_STEP) {
    view.setFloat64(at + p, SPELLINGS[from + p / SPELLING_STEP] as number, true);
  }
}

/** Whether a name is longer than the server prints, doubled quotes counted once. */
function isLongName(sql: Uint8Array, start: number, end: number, quote: number): boolean {
  let length = 0;
  for (let p = start; p < end && length <= NAME_BYTES_MAX; p++) {
    length++;
    if (sql[p] === quote) p++;
  }
  return length > NAME_BYTES_MAX;
}

function grown<A extends Uint16Array | Int32Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
