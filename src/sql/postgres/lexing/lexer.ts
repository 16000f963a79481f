/**
 * PostgreSQL's tokens: bytes in, kinds and byte ranges out, in one pass and without recursion. It follows the server's own
 * scanner (scan.l of PostgreSQL 18); test/sql/postgres/lexer.test.ts holds it against that scanner token for token.
 * What older servers read otherwise (1_000, 0x1F, a number that runs into a word) they refuse.
 */

export const TOKEN = {
  /** A word without quotes: a name or a keyword. */
  WORD: 1,
  /** "…" */
  QUOTED_NAME: 2,
  /** U&"…" */
  UNICODE_NAME: 3,
  /** '…', with all that continues it on further lines. */
  STRING: 4,
  /** E'…' */
  ESCAPE_STRING: 5,
  /** U&'…' */
  UNICODE_STRING: 6,
  /** B'…' */
  BIT_STRING: 7,
  /** X'…' */
  HEX_STRING: 8,
  /** $tag$…$tag$ */
  DOLLAR_STRING: 9,
  INTEGER: 10,
  DECIMAL: 11,
  /** $1 */
  PARAMETER: 12,
  /** One or more operator characters, :: := .. and =>. */
  OPERATOR: 13,
  /** One character that stands for itself: , ( ) [ ] . ; : */
  PUNCTUATION: 14,
  /** A byte that starts no token: no statement has one. */
  OTHER: 15,
} as const;

/** How plain strings are read: `escape` where standard_conforming_strings is off. */
export type StringReading = "standard" | "escape";

/** What the lexer met; bits of `marks`. */
export const MARK = {
  /** A string, name or comment without end. */
  UNTERMINATED: 1,
  /** A number that runs into a word, or a name without a character. */
  ERROR: 2,
  /** A limit of LIMITS. */
  OVER_LIMIT: 4,
  /** A plain string with a backslash: its end depends on standard_conforming_strings. */
  PLAIN_BACKSLASH: 8,
  NUL: 16,
  /** A byte above 0x7f. */
  HIGH: 32,
  NESTED_COMMENT: 64,
  UNTERMINATED_COMMENT: 128,
} as const;

/**
 * What is not given to the parser, whose time or stack is not linear in these. The server takes names of 63 bytes and some
 * 4,000 operators in a row.
 */
export const LIMITS = {
  commentDepth: 32,
  operatorBytes: 64,
  parenthesisDepth: 1_000,
  /** Tokens without a comma or semicolon between them, on one level of parentheses. */
  chain: 8_000,
  tokens: 400_000,
} as const;

const SPACE = 1;
const NAME_START = 2;
const NAME_PART = 4;
const OPERATOR_CHARACTER = 8;
const SELF = 16;
const DIGIT = 32;
const HEX = 64;
/** An operator may end in + or - only where one of these is in it. */
const KEEPS_SIGN = 128;

const CLASSES = new Uint8Array(256);
function mark(characters: string, bits: number): void {
  for (const character of characters) CLASSES[character.charCodeAt(0)] = (CLASSES[character.charCodeAt(0)] ?? 0) | bits;
}
mark(" \t\n\r\f\v", SPACE);
mark("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", NAME_START | NAME_PART);
mark("0123456789", NAME_PART | DIGIT | HEX);
mark("abcdefABCDEF", HEX);
mark("$", NAME_PART);
mark("~!@#^&|`?+-*/%<>=", OPERATOR_CHARACTER);
mark("~!@#^&|`?%", KEEPS_SIGN);
mark(",()[].;:", SELF);
for (let byte = 0x80; byte < 0x100; byte++) CLASSES[byte] = NAME_START | NAME_PART;

const NEWLINE = 10;
const RETURN = 13;
const QUOTE = 39;
const DOUBLE_QUOTE = 34;
const BACKSLASH = 92;
const DOLLAR = 36;
const AMPERSAND = 38;
const LEFT = 40;
const RIGHT = 41;
const STAR = 42;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const SLASH = 47;
const COLON = 58;
const SEMICOLON = 59;
const EQUALS = 61;
const LEFT_BRACKET = 91;
const RIGHT_BRACKET = 93;
const UNDERSCORE = 95;

/** Room that a lexer begins with. */
const TOKENS_FIRST = 256;

/** Reused by every text: nothing of it may be kept. */
const decoder = new TextDecoder();
/** A character for each byte, so that places stay the same: comments may hold what is no ASCII. */
const byteDecoder = new TextDecoder("latin1");

/** run() sets whatever is not set here. */
export class Lexer {
  sql: Uint8Array = new Uint8Array(0);
  count!: number;
  kinds: Uint8Array = new Uint8Array(TOKENS_FIRST);
  starts: Uint32Array = new Uint32Array(TOKENS_FIRST);
  ends: Uint32Array = new Uint32Array(TOKENS_FIRST);
  marks!: number;
  /** Byte of the first error; -1 where there is none. */
  errorAt!: number;
  commentCount!: number;
  /** Comments with tokens on both sides. */
  commentsBetween!: number;
  /** Start of the last comment of `--` behind the last token; -1 where there is none. */
  trailingComment!: number;
  #ascii: string | undefined;
  #pendingComments!: number;
  #reading: StringReading = "standard";
  #at!: number;
  #depth!: number;
  #chain!: number;
  /** The chains of the levels around. */
  #chains = new Uint32Array(LIMITS.parenthesisDepth + 1);

  /** Reads all of the text, or up to the first limit. */
  run(sql: Uint8Array, reading: StringReading): void {
    this.sql = sql;
    this.#reading = reading;
    this.#at = 0;
    this.#depth = 0;
    this.#chain = 0;
    this.count = 0;
    this.marks = 0;
    this.errorAt = -1;
    this.commentCount = 0;
    this.commentsBetween = 0;
    this.trailingComment = -1;
    this.#ascii = undefined;
    this.#pendingComments = 0;
    while (this.#at < sql.length && (this.marks & MARK.OVER_LIMIT) === 0) this.#next();
  }

  /** Of a token. Most texts are ASCII: those are decoded once, not token for token. */
  textAt(token: number): string {
    return this.textBetween(this.starts[token] as number, this.ends[token] as number);
  }

  textBetween(start: number, end: number): string {
    if ((this.marks & MARK.HIGH) !== 0) return decoder.decode(this.sql.subarray(start, end));
    this.#ascii ??= byteDecoder.decode(this.sql);
    return this.#ascii.slice(start, end);
  }

  #next(): void {
    const start = this.#at;
    const byte = this.sql[start] as number;
    const bits = CLASSES[byte] as number;
    if ((bits & SPACE) !== 0) this.#at++;
    else if ((bits & NAME_START) !== 0) this.#word(start, byte);
    else if ((bits & DIGIT) !== 0) this.#number(start);
    else if ((bits & OPERATOR_CHARACTER) !== 0) this.#operator(start);
    else if ((bits & SELF) !== 0) this.#punctuation(start, byte);
    else if (byte === QUOTE) this.#string(start, start + 1, TOKEN.STRING);
    else if (byte === DOUBLE_QUOTE) this.#quotedName(start, start + 1, TOKEN.QUOTED_NAME);
    else if (byte === DOLLAR) this.#dollar(start);
    else {
      if (byte === 0) this.marks |= MARK.NUL;
      this.#put(TOKEN.OTHER, start, start + 1);
    }
  }

  #put(kind: number, start: number, end: number): void {
    const { count } = this;
    if (count === this.kinds.length) this.#grow();
    this.kinds[count] = kind;
    this.starts[count] = start;
    this.ends[count] = end;
    this.count = count + 1;
    this.#at = end;
    this.trailingComment = -1;
    this.commentsBetween += this.#pendingComments;
    this.#pendingComments = 0;
    if (++this.#chain > LIMITS.chain || count >= LIMITS.tokens) this.#over(start);
  }

  #grow(): void {
    const size = this.kinds.length * 4;
    const kinds = new Uint8Array(size);
    const starts = new Uint32Array(size);
    const ends = new Uint32Array(size);
    kinds.set(this.kinds);
    starts.set(this.starts);
    ends.set(this.ends);
    [this.kinds, this.starts, this.ends] = [kinds, starts, ends];
  }

  #fail(at: number): void {
    this.marks |= MARK.ERROR;
    if (this.errorAt < 0) this.errorAt = at;
  }

  #over(at: number): void {
    this.marks |= MARK.OVER_LIMIT;
    if (this.errorAt < 0) this.errorAt = at;
  }

  #unterminated(at: number): void {
    this.marks |= MARK.UNTERMINATED;
    if (this.errorAt < 0) this.errorAt = at;
  }

  #word(start: number, first: number): void {
    const next = this.sql[start + 1];
    if (next === QUOTE) {
      const kind = STRING_PREFIXES[first] ?? 0;
      if (kind !== 0) {
        this.#string(start, start + 2, kind);
        return;
      }
    }
    if (next === AMPERSAND && (first | 32) === 117) {
      const quote = this.sql[start + 2];
      if (quote === QUOTE) {
        this.#string(start, start + 3, TOKEN.UNICODE_STRING);
        return;
      }
      if (quote === DOUBLE_QUOTE) {
        this.#quotedName(start, start + 3, TOKEN.UNICODE_NAME);
        return;
      }
    }
    this.#put(TOKEN.WORD, start, this.#nameEnd(start + 1, first));
  }

  #nameEnd(from: number, first: number): number {
    const { sql } = this;
    let at = from;
    let any = first;
    while (at < sql.length && ((CLASSES[sql[at] as number] as number) & NAME_PART) !== 0) any |= sql[at++] as number;
    if (any >= 0x80) this.marks |= MARK.HIGH;
    return at;
  }

  /** `from` is behind the opening quote. */
  #string(start: number, from: number, kind: number): void {
    const { sql } = this;
    const doubles = kind !== TOKEN.BIT_STRING && kind !== TOKEN.HEX_STRING;
    let at = from;
    for (;;) {
      at = this.#stringPart(at, kind);
      if (at >= sql.length) {
        this.#unterminated(start);
        this.#put(kind, start, sql.length);
        return;
      }
      if (doubles && sql[at + 1] === QUOTE) at += 2;
      else {
        const continued = this.#continuation(at + 1);
        if (continued < 0) break;
        at = continued;
      }
    }
    this.#put(kind, start, at + 1);
  }

  /** The next quote that no backslash takes its meaning. */
  #stringPart(from: number, kind: number): number {
    const { sql } = this;
    const isPlain = kind === TOKEN.STRING;
    const escapes = kind === TOKEN.ESCAPE_STRING || (isPlain && this.#reading === "escape");
    let at = from;
    while (at < sql.length && sql[at] !== QUOTE) {
      const byte = sql[at] as number;
      if (byte === BACKSLASH) {
        if (isPlain) this.marks |= MARK.PLAIN_BACKSLASH;
        if (escapes) at++;
      } else if (byte >= 0x80) this.marks |= MARK.HIGH;
      else if (byte === 0) this.marks |= MARK.NUL;
      at++;
    }
    return at;
  }

  /** Behind the quote that goes on with the string on a later line; -1 where the string has ended. */
  #continuation(from: number): number {
    const { sql } = this;
    let at = from;
    let hasNewline = false;
    for (;;) {
      const byte = sql[at];
      if (byte === undefined) return -1;
      if (byte === NEWLINE || byte === RETURN) hasNewline = true;
      else if (byte === MINUS && sql[at + 1] === MINUS) {
        at = this.#lineEnd(at + 2);
        // A comment without the end of its line does not belong to it.
        if (at >= sql.length) return -1;
        continue;
      } else if (byte === QUOTE) return hasNewline ? at + 1 : -1;
      else if (((CLASSES[byte] as number) & SPACE) === 0) return -1;
      at++;
    }
  }

  #lineEnd(from: number): number {
    const { sql } = this;
    let at = from;
    while (at < sql.length && sql[at] !== NEWLINE && sql[at] !== RETURN) at++;
    return at;
  }

  #quotedName(start: number, from: number, kind: number): void {
    const { sql } = this;
    let at = from;
    for (;;) {
      const byte = sql[at];
      if (byte === undefined) {
        this.#unterminated(start);
        this.#put(kind, start, sql.length);
        return;
      }
      if (byte === DOUBLE_QUOTE) {
        if (sql[at + 1] !== DOUBLE_QUOTE) break;
        at++;
      } else if (byte >= 0x80) this.marks |= MARK.HIGH;
      else if (byte === 0) this.marks |= MARK.NUL;
      at++;
    }
    // The server refuses a name without a character.
    if (at === from) this.#fail(start);
    this.#put(kind, start, at + 1);
  }

  /** A parameter, a dollar quote, or a lone $. */
  #dollar(start: number): void {
    const { sql } = this;
    const next = sql[start + 1] ?? 0;
    if (((CLASSES[next] as number) & DIGIT) !== 0) {
      let end = start + 2;
      while (((CLASSES[sql[end] ?? 0] as number) & DIGIT) !== 0) end++;
      // Servers from 15 on refuse a word right behind it; older ones, and the parser, do not.
      this.#put(TOKEN.PARAMETER, start, end);
      return;
    }
    let tagEnd = start + 1;
    if (((CLASSES[next] as number) & NAME_START) !== 0) {
      tagEnd++;
      while (((CLASSES[sql[tagEnd] ?? 0] as number) & NAME_PART) !== 0 && sql[tagEnd] !== DOLLAR) tagEnd++;
    }
    if (sql[tagEnd] !== DOLLAR) {
      this.#put(TOKEN.OTHER, start, start + 1);
      return;
    }
    this.#dollarString(start, tagEnd + 1);
  }

  /** `from` is behind the opening tag, which ends it too. */
  #dollarString(start: number, from: number): void {
    const { sql } = this;
    const size = from - start;
    let at = from;
    while (at < sql.length) {
      const byte = sql[at] as number;
      if (byte >= 0x80) this.marks |= MARK.HIGH;
      else if (byte === 0) this.marks |= MARK.NUL;
      else if (byte === DOLLAR) {
        let same = 1;
        while (same < size && sql[at + same] === sql[start + same]) same++;
        if (same === size) {
          this.#put(TOKEN.DOLLAR_STRING, start, at + size);
          return;
        }
        // No $ is among the bytes that were the same but for the first one.
        at += same;
        continue;
      }
      at++;
    }
    this.#unterminated(start);
    this.#put(TOKEN.DOLLAR_STRING, start, sql.length);
  }

  #number(start: number): void {
    const { sql } = this;
    const radix = sql[start] === 48 ? RADIX_BITS[(sql[start + 1] ?? 0) | 32] : undefined;
    if (radix !== undefined) {
      const end = this.#digits(start + 2, radix);
      // `0x` without a digit is refused, as is a digit that is none of this radix.
      if (end === start + 2 || ((CLASSES[sql[end] ?? 0] as number) & NAME_PART) !== 0) this.#fail(start);
      this.#put(TOKEN.INTEGER, start, end);
      return;
    }
    this.#fraction(start, this.#digits(start + 1, isDecimal));
  }

  #fraction(start: number, whole: number): void {
    const { sql } = this;
    let kind: number = TOKEN.INTEGER;
    let at = whole;
    if (sql[at] === DOT && sql[at + 1] !== DOT) {
      kind = TOKEN.DECIMAL;
      at++;
      if (isDecimal(sql[at] ?? 0)) at = this.#digits(at + 1, isDecimal);
    }
    if (((sql[at] ?? 0) | 32) === 101) {
      const sign = sql[at + 1];
      const digits = sign === PLUS || sign === MINUS ? at + 2 : at + 1;
      if (isDecimal(sql[digits] ?? 0)) {
        kind = TOKEN.DECIMAL;
        at = this.#digits(digits + 1, isDecimal);
      }
    }
    this.#endNumber(kind, start, at);
  }

  /** The end of digits with single underscores between them. */
  #digits(from: number, isDigit: (byte: number) => boolean): number {
    const { sql } = this;
    let at = from;
    for (;;) {
      if (isDigit(sql[at] ?? 0)) at++;
      else if (sql[at] === UNDERSCORE && isDigit(sql[at + 1] ?? 0)) at += 2;
      else return at;
    }
  }

  #endNumber(kind: number, start: number, end: number): void {
    const { sql } = this;
    const after = CLASSES[sql[end] ?? 0] as number;
    // Of 1e5$1 the scanner takes 1 and the word e5$1, because that is longer.
    if ((after & NAME_START) !== 0 || ((after & NAME_PART) !== 0 && this.#hasLetter(start, end))) this.#fail(start);
    this.#put(kind, start, end);
  }

  /** Behind the last point or sign of the number. */
  #hasLetter(start: number, end: number): boolean {
    for (let at = end - 1; at >= start; at--) {
      const bits = CLASSES[this.sql[at] as number] as number;
      if ((bits & NAME_START) !== 0) return true;
      if ((bits & NAME_PART) === 0) return false;
    }
    return false;
  }

  #punctuation(start: number, byte: number): void {
    const { sql } = this;
    const next = sql[start + 1] ?? 0;
    if (byte === DOT && isDecimal(next)) {
      this.#fraction(start, start);
      return;
    }
    const isPair = (byte === COLON && (next === COLON || next === EQUALS)) || (byte === DOT && next === DOT);
    if (isPair) {
      this.#put(TOKEN.OPERATOR, start, start + 2);
      return;
    }
    this.#put(TOKEN.PUNCTUATION, start, start + 1);
    switch (byte) {
      case LEFT:
      case LEFT_BRACKET:
        if (this.#depth >= LIMITS.parenthesisDepth) this.#over(start);
        else this.#chains[this.#depth++] = this.#chain;
        this.#chain = 0;
        break;
      case RIGHT:
      case RIGHT_BRACKET:
        if (this.#depth > 0) this.#chain = this.#chains[--this.#depth] as number;
        break;
      case COMMA:
      case SEMICOLON:
        this.#chain = 0;
        break;
      default:
        break;
    }
  }

  #operator(start: number): void {
    const { sql } = this;
    const byte = sql[start] as number;
    const next = sql[start + 1];
    if (byte === MINUS && next === MINUS) {
      this.#lineComment(start);
      return;
    }
    if (byte === SLASH && next === STAR) {
      this.#blockComment(start);
      return;
    }
    let end = start + 1;
    while (((CLASSES[sql[end] ?? 0] as number) & OPERATOR_CHARACTER) !== 0) {
      const follows = sql[end + 1];
      if ((sql[end] === MINUS && follows === MINUS) || (sql[end] === SLASH && follows === STAR)) break;
      end++;
    }
    if (end - start > LIMITS.operatorBytes) this.#over(start);
    this.#put(TOKEN.OPERATOR, start, this.#withoutSign(start, end));
  }

  /** SQL wants `1*-1` to be three tokens. */
  #withoutSign(start: number, end: number): number {
    const { sql } = this;
    const last = sql[end - 1];
    if (end - start < 2 || (last !== PLUS && last !== MINUS)) return end;
    for (let at = start; at < end - 1; at++)
      if (((CLASSES[sql[at] as number] as number) & KEEPS_SIGN) !== 0) return end;
    let short = end;
    while (short - start > 1 && (sql[short - 1] === PLUS || sql[short - 1] === MINUS)) short--;
    return short;
  }

  #lineComment(start: number): void {
    const end = this.#lineEnd(start + 2);
    this.#noteComment(start, end);
    this.trailingComment = start;
    this.#at = end;
  }

  #blockComment(start: number): void {
    const { sql } = this;
    let depth = 1;
    let at = start + 2;
    while (depth > 0) {
      const byte = sql[at];
      if (byte === undefined) {
        this.marks |= MARK.UNTERMINATED_COMMENT;
        this.#unterminated(start);
        break;
      }
      if (byte === SLASH && sql[at + 1] === STAR) {
        this.marks |= MARK.NESTED_COMMENT;
        if (++depth > LIMITS.commentDepth) this.#over(start);
        at += 2;
      } else if (byte === STAR && sql[at + 1] === SLASH) {
        depth--;
        at += 2;
      } else at++;
    }
    this.#noteComment(start, at);
    this.#at = at;
  }

  #noteComment(start: number, end: number): void {
    this.commentCount++;
    if (this.count > 0) this.#pendingComments++;
    for (let at = start; at < end; at++) {
      const byte = this.sql[at] as number;
      if (byte >= 0x80) this.marks |= MARK.HIGH;
      else if (byte === 0) this.marks |= MARK.NUL;
    }
  }
}

/** Which letter before a quote makes which string. N'…' is a word and a plain string. */
const STRING_PREFIXES: Readonly<Record<number, number>> = {
  69: TOKEN.ESCAPE_STRING,
  101: TOKEN.ESCAPE_STRING,
  66: TOKEN.BIT_STRING,
  98: TOKEN.BIT_STRING,
  88: TOKEN.HEX_STRING,
  120: TOKEN.HEX_STRING,
};

const isDecimal = (byte: number): boolean => ((CLASSES[byte] as number) & DIGIT) !== 0;

/** By the small letter behind a 0. */
const RADIX_BITS: Readonly<Record<number, (byte: number) => boolean>> = {
  120: (byte) => ((CLASSES[byte] as number) & HEX) !== 0,
  111: (byte) => byte >= 48 && byte <= 55,
  98: (byte) => byte === 48 || byte === 49,
};
