/**
 * The server's normalised text of a statement (STATEMENT_DIGEST_TEXT): literals become `?`, lists and rows collapse,
 * synonyms take one name. Made from tokens, so it is right exactly when the lexer is.
 */
import { createHash } from "node:crypto";
import { KEYWORD_COUNT, keywordPrinted, kindSet } from "./keyword-table.ts";
import * as K from "./keywords.ts";
import { FLAG_ESCAPED, type Lexer } from "./lexer.ts";
import * as T from "./token-kinds.ts";

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

// What consume() does with a token of some kind
const ROLE_PLAIN = 0;
const ROLE_NUMBER = 1;
const ROLE_VALUE = 2;
const ROLE_NULL = 3;
const ROLE_CLOSE = 4;
const ROLE_BY = 5;

const ROLES = new Uint8Array(ALL_KINDS);
for (const kind of [T.INTEGER_NUMBER, T.DECIMAL_NUMBER, T.FLOAT_NUMBER, T.HEX_LITERAL, T.BIT_LITERAL]) {
  ROLES[kind] = ROLE_NUMBER;
}
for (const kind of [T.STRING, T.NATIONAL_STRING, T.PARAMETER, T.HOSTNAME, T.NULL_ESCAPE]) ROLES[kind] = ROLE_VALUE;
ROLES[K.NULL] = ROLE_NULL;
ROLES[T.RIGHT_PAREN] = ROLE_CLOSE;
ROLES[K.BY] = ROLE_BY;

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

/** Printed names of all kinds in one array, each with the blank that follows it. */
const SPELLING_OFFSETS = new Int32Array(ALL_KINDS + 1);
const SPELLING_BYTES = buildSpellings();

function buildSpellings(): Uint8Array {
  const collapsed = ["?", "?, ...", "(?)", "(?) /* , ... */", "(...)", "(...) /* , ... */", "IN (...)"];
  let text = "";
  for (let kind = 0; kind < ALL_KINDS; kind++) {
    SPELLING_OFFSETS[kind] = text.length;
    const spelling =
      kind >= KIND_END
        ? collapsed[kind - KIND_END]
        : kind >= K.KEYWORD_FIRST
          ? keywordPrinted(kind)
          : T.SPELLINGS.get(kind);
    if (spelling === undefined) continue;
    text += kind === T.AT || kind === T.AT_AT ? spelling : `${spelling} `;
  }
  SPELLING_OFFSETS[ALL_KINDS] = text.length;
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
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

/** Collapses tokens as they come and prints what is left. Reusable: start() forgets the text before. */
export class Digest {
  /** The collapsed sequence: kinds, and the token each begins at. */
  #kinds = new Uint16Array(256);
  #tokens = new Int32Array(256);
  #depth = 0;
  /** Parentheses open since GROUP BY, ORDER BY or PARTITION BY; -1 outside of such lists. */
  #listDepth = -1;
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** Set by text(): a name was too long to be printed, so that two different texts may have this digest. */
  hasHiddenName = false;

  start(): void {
    this.#depth = 0;
    this.#listDepth = -1;
    this.#length = 0;
    this.hasHiddenName = false;
  }

  /** Takes tokens [from, to) of the lexer; every token once, in order. */
  consume(lexer: Lexer, from: number, to: number): void {
    const kinds = lexer.kinds;
    for (let i = from; i < to; i++) {
      const kind = kinds[i] as number;
      if (this.#listDepth >= 0 && this.#inList(lexer, kind, i)) continue;
      const role = ROLES[kind] as number;
      if (role === ROLE_PLAIN) this.#push(kind, i);
      else if (role === ROLE_CLOSE) this.#close(i);
      else if (role === ROLE_NULL) this.#null(i);
      else if (role === ROLE_BY) this.#by(i);
      else this.#value(role === ROLE_NUMBER, i);
    }
  }

  /** The digest text. Names come out as they stand in the text, without conversion of their charset. */
  text(lexer: Lexer): string {
    this.#render(lexer);
    return decode(this.#bytes, this.#length);
  }

  #by(token: number) {
    const before = this.#depth > 0 ? this.#kinds[this.#depth - 1] : 0;
    this.#push(K.BY, token);
    if (before === K.ORDER || before === K.GROUP || before === K.PARTITION) this.#listDepth = 0;
  }

  /** Inside GROUP BY and the like; true when the token was a position and is done with. */
  #inList(lexer: Lexer, kind: number, token: number): boolean {
    if (this.#listDepth === 0) {
      if (kind === T.INTEGER_NUMBER) return this.#position(lexer, token);
      if (LIST_ENDS[kind] === 1) {
        this.#listDepth = -1;
        return false;
      }
    }
    if (kind === T.LEFT_PAREN) this.#listDepth++;
    else if (kind === T.RIGHT_PAREN) this.#listDepth--;
    // A list inside a list: the outer one is looked at again after it.
    else if (kind === K.BY && this.#listDepth > 0) {
      this.#push(kind, token);
      return true;
    }
    return false;
  }

  #position(lexer: Lexer, token: number): boolean {
    const before = this.#kinds[this.#depth - 1];
    const after = token + 1 < lexer.count ? (lexer.kinds[token + 1] as number) : 0;
    if ((before !== K.BY && before !== T.COMMA) || POSITION_ENDS[after] !== 1) return false;
    if (firstDigit(lexer, token) === lexer.ends[token]) return false;
    this.#push(POSITION, token);
    return true;
  }

  /**
   * The digest and `extra` bytes as one string of bytes, for use as a key; `undefined` when that is longer than
   * `bytesMax` or a name was left out.
   */
  keyText(lexer: Lexer, extra: Uint8Array, extraLength: number, bytesMax: number): string | undefined {
    this.#render(lexer);
    const digestLength = this.#length;
    if (this.hasHiddenName || digestLength + extraLength + 1 > bytesMax) return undefined;
    if (digestLength + extraLength + 1 > this.#bytes.length) this.#growBytes(extraLength + 1);
    this.#bytes[digestLength] = 0;
    for (let i = 0; i < extraLength; i++) this.#bytes[digestLength + 1 + i] = extra[i] as number;
    const { buffer, byteOffset } = this.#bytes;
    return Buffer.from(buffer, byteOffset, digestLength + extraLength + 1).toString("latin1");
  }

  #push(kind: number, token: number) {
    const depth = this.#depth;
    if (depth === this.#kinds.length) this.#grow();
    this.#kinds[depth] = kind;
    this.#tokens[depth] = token;
    this.#depth = depth + 1;
  }

  #grow() {
    const kinds = new Uint16Array(this.#kinds.length * 2);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
    const tokens = new Int32Array(this.#tokens.length * 2);
    tokens.set(this.#tokens);
    this.#tokens = tokens;
  }

  #value(isNumber: boolean, token: number) {
    const kinds = this.#kinds;
    let depth = this.#depth;
    if (isNumber) {
      // A sign belongs to the number where an expression can begin: `= -1`, but not `b - 1`.
      while (
        depth > 1 &&
        (kinds[depth - 1] === T.MINUS || kinds[depth - 1] === T.PLUS) &&
        SIGNS[kinds[depth - 2] as number] === 1
      ) {
        depth--;
      }
      this.#depth = depth;
    }
    if (depth > 1 && kinds[depth - 1] === T.COMMA) {
      const before = kinds[depth - 2] as number;
      if (before === VALUE || before === VALUE_LIST) {
        kinds[depth - 2] = VALUE_LIST;
        this.#depth = depth - 1;
        return;
      }
    }
    this.#push(VALUE, token);
  }

  /** NULL is a literal where an expression can begin; otherwise part of IS NULL, NOT NULL or SET NULL. */
  #null(token: number) {
    const depth = this.#depth;
    let before = depth > 0 ? (this.#kinds[depth - 1] as number) : 0;
    if (before === K.NOT) before = depth > 1 ? (this.#kinds[depth - 2] as number) : 0;
    const isEngine = before === T.EQUAL && depth > 1 && this.#kinds[depth - 2] === K.SECONDARY_ENGINE;
    if (NULL_LITERALS[before] === 1 && !isEngine) return this.#value(false, token);
    this.#push(K.NULL, token);
  }

  #close(token: number) {
    const kinds = this.#kinds;
    const depth = this.#depth;
    const last = depth > 1 ? (kinds[depth - 1] as number) : 0;
    if ((last !== VALUE && last !== VALUE_LIST) || kinds[depth - 2] !== T.LEFT_PAREN) {
      return this.#push(T.RIGHT_PAREN, token);
    }
    const row = last === VALUE ? ROW_ONE : ROW_MANY;
    const before = depth > 2 ? (kinds[depth - 3] as number) : 0;
    if (before === K.IN) {
      kinds[depth - 3] = IN_LIST;
      this.#depth = depth - 2;
      return;
    }
    if (before === T.COMMA && depth > 3) {
      const rows = kinds[depth - 4] as number;
      if (rows === row || rows === row + 1) {
        kinds[depth - 4] = row + 1;
        this.#depth = depth - 3;
        return;
      }
    }
    kinds[depth - 2] = row;
    this.#depth = depth - 1;
  }

  #render(lexer: Lexer) {
    const kinds = this.#kinds;
    this.#length = 0;
    let depth = this.#depth;
    if (depth > 0 && kinds[depth - 1] === T.SEMICOLON) depth--;
    for (let i = 0; i < depth; i++) {
      const kind = kinds[i] as number;
      if (kind === T.IDENTIFIER || kind === T.QUOTED_IDENTIFIER) {
        this.#name(lexer, this.#tokens[i] as number, kind);
        continue;
      }
      const from = SPELLING_OFFSETS[kind] as number;
      const to = SPELLING_OFFSETS[kind + 1] as number;
      if (this.#length + to - from > this.#bytes.length) this.#growBytes(to - from);
      const bytes = this.#bytes;
      let length = this.#length;
      for (let p = from; p < to; p++) bytes[length++] = SPELLING_BYTES[p] as number;
      this.#length = length;
      if (from === to) this.#odd(lexer, this.#tokens[i] as number, kind);
    }
    if (this.#length > 0 && this.#bytes[this.#length - 1] === BLANK) this.#length--;
  }

  #name(lexer: Lexer, token: number, kind: number) {
    const quoted = kind === T.QUOTED_IDENTIFIER ? 1 : 0;
    const start = (lexer.starts[token] as number) + quoted;
    const end = (lexer.ends[token] as number) - quoted;
    if (start >= end) return;
    if (end - start > NAME_BYTES_MAX && this.#nameLength(lexer, token) > NAME_BYTES_MAX) {
      this.hasHiddenName = true;
      return this.#ellipsis();
    }
    if (this.#length + end - start + 3 > this.#bytes.length) this.#growBytes(end - start + 3);
    const sql = lexer.sql;
    const bytes = this.#bytes;
    let length = this.#length;
    bytes[length++] = BACKTICK;
    if (((lexer.flags[token] as number) & FLAG_ESCAPED) === 0) {
      for (let p = start; p < end; p++) bytes[length++] = sql[p] as number;
    } else {
      const quote = sql[start - 1];
      for (let p = start; p < end; p++) {
        bytes[length++] = sql[p] as number;
        if (sql[p] === quote) p++;
      }
    }
    bytes[length++] = BACKTICK;
    bytes[length++] = BLANK;
    this.#length = length;
  }

  #nameLength(lexer: Lexer, token: number): number {
    const start = (lexer.starts[token] as number) + 1;
    const end = (lexer.ends[token] as number) - 1;
    if (((lexer.flags[token] as number) & FLAG_ESCAPED) === 0) return NAME_BYTES_MAX + 1;
    let length = 0;
    const quote = lexer.sql[start - 1];
    for (let p = start; p < end; p++) {
      length++;
      if (lexer.sql[p] === quote) p++;
    }
    return length;
  }

  /** What the server prints for names longer than it keeps, with no blank after it. */
  #ellipsis() {
    if (this.#length + 3 > this.#bytes.length) this.#growBytes(3);
    for (let i = 0; i < 3; i++) this.#put(46);
  }

  /** Kinds that print something of their own: words of hints, positions, and what is no token at all. */
  #odd(lexer: Lexer, token: number, kind: number) {
    const start = kind === POSITION ? firstDigit(lexer, token) : lexer.starts[token];
    const text = lexer.sql.subarray(start, lexer.ends[token]);
    if (this.#length + text.length * 2 + 8 > this.#bytes.length) this.#growBytes(text.length * 2 + 8);
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

  #growBytes(more: number) {
    const bytes = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
  }
}

/** Where a number's first digit other than 0 stands. */
function firstDigit(lexer: Lexer, token: number): number {
  let at = lexer.starts[token] as number;
  while (at < (lexer.ends[token] as number) && lexer.sql[at] === 48) at++;
  return at;
}

const utf8 = new TextDecoder();

function decode(bytes: Uint8Array, length: number): string {
  return utf8.decode(bytes.subarray(0, length));
}
