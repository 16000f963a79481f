/**
 * Lexing of long texts: rows of an INSERT that are nothing but literals, and literals in `IN (…)`, are forgotten once they
 * have been looked at, so that a restored dump and a list of a hundred thousand ids stay within the budget of tokens. What
 * could change a fact is kept, with the row it stands in.
 */

import { type FindingName, ROWS_LISTED_MAX } from "../../facts.ts";
import { judgeHexLiteral, judgeTextLiteral, type LiteralScan } from "../conditions/literals.ts";
import { KEYWORD_COUNT, kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import { FLAG_ESCAPED, type Lexer, type LexRules } from "../lexing/lexer.ts";
import * as T from "../lexing/token-kinds.ts";
import { FINDINGS_PER_NAME_MAX } from "./walker.ts";

const SLICE_BYTES = 64 * 1024;
/** Texts of fewer tokens are kept whole; in longer ones rows are forgotten each time as many tokens have come. */
const TOKENS_KEPT_MIN = 32_768;
/** Rows with a word in them stay rows of their own in a digest: more of them than the server itself remembers are kept. */
const WORDY_ROWS_KEPT = 512;

/** Of an IN list so many items stay whatever they are: rules that look at tokens look at a handful. */
const LIST_ITEMS_KEPT = 128;

const ITEMS_FIRST = 64;

const ALL_KINDS = K.KEYWORD_FIRST + KEYWORD_COUNT;
const NUMBERS = kindSet(
  [T.INTEGER_NUMBER, T.DECIMAL_NUMBER, T.FLOAT_NUMBER, T.HEX_LITERAL, T.BIT_LITERAL],
  "",
  ALL_KINDS,
);
/** A parameter is none of them: its place in the text is its number. */
const LITERALS = kindSet(
  [
    T.INTEGER_NUMBER,
    T.DECIMAL_NUMBER,
    T.FLOAT_NUMBER,
    T.HEX_LITERAL,
    T.BIT_LITERAL,
    T.STRING,
    T.NATIONAL_STRING,
    T.NULL_ESCAPE,
  ],
  "NULL",
  ALL_KINDS,
);
const WORDS = kindSet([], "TRUE FALSE DEFAULT", ALL_KINDS);

/** Lexes the whole text, or the part of it between two bytes, under one reading. */
export function lexText(
  lexer: Lexer,
  sql: Uint8Array,
  rules: LexRules,
  tokensMax: number,
  from = 0,
  end = sql.length,
): void {
  lexer.start(sql, rules, tokensMax, from, end);
  if (end - from <= TOKENS_KEPT_MIN) {
    lexer.run(end);
    return;
  }
  const rows = new LiteralRows(lexer);
  while (!lexer.run(lexer.pos + SLICE_BYTES)) rows.forget();
}

// What the next token is part of
const IN_STATEMENT_START = 0;
const IN_OTHER = 1;
/** Directly in an INSERT whose rows have not come yet. */
const IN_INSERT = 2;
/** At the parenthesis that opens a row. */
const IN_ROWS = 3;

/** One pass over the tokens as they come. Tokens before `#next` have been decided on and moved to where they stay. */
class LiteralRows {
  readonly #lexer: Lexer;
  #next = 0;
  #forgetAt = TOKENS_KEPT_MIN;
  #state = IN_STATEMENT_START;
  #depth = 0;
  // The rows of the current INSERT
  #rows!: number;
  /** How many rows before are alike to the digest, which prints one otherwise than two, and how many items each has. */
  #run!: number;
  #runItems!: number;
  /** Where the items of one kept row beyond those that the facts list stand; -1 when another kept row differs there. */
  #sampleStarts = new Int32Array(ITEMS_FIRST);
  #sampleEnds = new Int32Array(ITEMS_FIRST);
  #sampleLength!: number;
  /** How many are not -1. */
  #sampleLeft!: number;
  // The row being looked at: its items by their only token, -1 for those of two
  #items = new Int32Array(ITEMS_FIRST);
  #itemCount!: number;
  #isWordy!: boolean;
  #isTelling!: boolean;
  // The IN list being looked at
  #isInList = false;
  #listItems!: number;
  /** The forms its items have had so far: facts tell literals of one form apart by nothing but what `#tells`. */
  readonly #listForms: number[] = [];
  /** The last token outside of rows. */
  #before = 0;
  // All rows
  #wordyRows = 0;
  readonly #tellings = new Map<FindingName, number>();
  readonly #literals: LiteralScan;

  constructor(lexer: Lexer) {
    this.#lexer = lexer;
    this.#literals = { tokens: lexer, emit: (what) => this.#noteFinding(what) };
  }

  /** Forgets what can be forgotten of the rows that have come since the last time. */
  forget(): void {
    const lexer = this.#lexer;
    if (lexer.count < this.#forgetAt) return;
    let from = this.#next;
    let to = from;
    while (from < lexer.count) {
      const end = this.#isInList ? this.#itemEnd(from) : this.#partEnd(from);
      if (end < 0) break;
      if (end === 0) {
        this.#isInList = false;
        continue;
      }
      const keptBy = this.#keeperOf(from, end, to);
      if (keptBy < 0) to = this.#keep(from, end, to);
      else lexer.forgottenRows.set(keptBy, (lexer.forgottenRows.get(keptBy) ?? 0) + 1);
      from = end;
    }
    lexer.drop(to, from);
    this.#next = to;
    this.#forgetAt = lexer.count + TOKENS_KEPT_MIN;
  }

  /** Outside of IN lists: past the row or the token at `from`. */
  #partEnd(from: number): number {
    return this.#state === IN_ROWS ? this.#rowEnd(from) : from + 1;
  }

  /**
   * The token that keeps count of what may be forgotten, -1 for what is kept. A row or an item goes with the comma behind
   * it: the parenthesis of the row before counts rows, the comma before counts items.
   */
  #keeperOf(from: number, end: number, to: number): number {
    if (this.#isInList) return this.#isForgettable(from, end) ? to - 1 : -1;
    if (this.#state === IN_ROWS) return this.#row(from, end) ? to - 2 : -1;
    this.#token(this.#lexer.kinds[from] as number);
    return -1;
  }

  #keep(from: number, end: number, to: number): number {
    if (from === to) return end;
    const { kinds, starts, ends, flags } = this.#lexer;
    kinds.copyWithin(to, from, end);
    starts.copyWithin(to, from, end);
    ends.copyWithin(to, from, end);
    flags.copyWithin(to, from, end);
    return to + end - from;
  }

  #token(kind: number) {
    if (kind === T.SEMICOLON) {
      this.#state = IN_STATEMENT_START;
      this.#depth = 0;
    } else if (this.#state === IN_STATEMENT_START) {
      this.#state = kind === K.INSERT || kind === K.REPLACE ? IN_INSERT : IN_OTHER;
    } else if (kind === T.LEFT_PAREN) this.#depth++;
    else if (kind === T.RIGHT_PAREN) this.#depth--;
    else if (this.#state === IN_INSERT && this.#depth === 0) this.#insertToken(kind);
    if (kind === T.LEFT_PAREN && this.#before === K.IN) this.#beginList();
    this.#before = kind;
  }

  #beginList() {
    this.#isInList = true;
    this.#listItems = 0;
    this.#listForms.length = 0;
  }

  /** Past the literal at `from` and the comma behind it; 0 for anything else, -1 when not all of it has come. */
  #itemEnd(from: number): number {
    const { kinds, count } = this.#lexer;
    if (from + 2 >= count) return -1;
    const kind = kinds[from] as number;
    const isSigned = (kind === T.MINUS || kind === T.PLUS) && NUMBERS[kinds[from + 1] as number] === 1;
    if (!isSigned && LITERALS[kind] !== 1) return 0;
    const comma = isSigned ? from + 2 : from + 1;
    return kinds[comma] === T.COMMA ? comma + 1 : 0;
  }

  /** Whether the item of a list, which ends with its comma before `end`, says nothing new. */
  #isForgettable(from: number, end: number): boolean {
    const { kinds } = this.#lexer;
    const form = (kinds[end - 2] as number) * 2 + (end - from > 2 ? 1 : 0);
    const isKnownForm = this.#listForms.includes(form);
    if (!isKnownForm) this.#listForms.push(form);
    if (++this.#listItems <= LIST_ITEMS_KEPT || !isKnownForm) return false;
    return this.#hasNoFlags(from, end) && !this.#tells(from, end);
  }

  /** VALUES begins the rows, any query or SET means that none will come. */
  #insertToken(kind: number) {
    if (kind === K.SELECT || kind === K.SET || kind === K.WITH || kind === K.TABLE) this.#state = IN_OTHER;
    if (kind !== K.VALUES && kind !== K.VALUE) return;
    this.#state = IN_ROWS;
    this.#rows = 0;
    this.#run = 0;
    this.#sampleLength = 0;
    this.#sampleLeft = 0;
  }

  /** Past the row at `from` and the comma behind it, or past what is no row; -1 when not all of it has come. */
  #rowEnd(from: number): number {
    const { kinds, count } = this.#lexer;
    let depth = 0;
    for (let at = from; at < count; at++) {
      const kind = kinds[at] as number;
      if (kind === T.SEMICOLON) return at;
      if (kind === T.LEFT_PAREN) depth++;
      else if (depth === 0) return at + 1;
      else if (kind === T.RIGHT_PAREN && --depth === 0) return at + 2 < count ? at + 2 : -1;
    }
    return -1;
  }

  /** Whether the row, which ends with its comma before `end`, may be forgotten. The last row is none of these. */
  #row(from: number, end: number): boolean {
    const { kinds } = this.#lexer;
    if (kinds[from] !== T.LEFT_PAREN || kinds[end - 1] !== T.COMMA || kinds[end] !== T.LEFT_PAREN) {
      this.#state = IN_OTHER;
      this.#depth = 0;
      return false;
    }
    this.#rows++;
    const isPlain = this.#hasNoFlags(from, end) && this.#readItems(from + 1, end - 2);
    if (!isPlain || this.#itemCount !== this.#runItems) this.#run = 0;
    this.#runItems = this.#itemCount;
    if (!isPlain) return false;
    if (this.#isWordy && ++this.#wordyRows <= WORDY_ROWS_KEPT) {
      this.#run = 0;
      return false;
    }
    const isAlike = ++this.#run > 2;
    if (this.#rows <= ROWS_LISTED_MAX) return false;
    if (this.#sampleLength === 0) {
      this.#takeSample();
      return false;
    }
    return isAlike && this.#itemCount === this.#sampleLength && this.#saysNothingNew(from, end);
  }

  /** Both take note of what they see, so that both are asked. */
  #saysNothingNew(from: number, end: number): boolean {
    const isDifferent = this.#sampleLeft > 0 && this.#differs();
    const isTelling = this.#tells(from, end);
    return !isDifferent && !isTelling;
  }

  /** Comments, code of executable comments and numbers glued to words leave flags. */
  #hasNoFlags(from: number, end: number): boolean {
    const { flags } = this.#lexer;
    for (let at = from; at < end; at++) if (((flags[at] as number) & ~FLAG_ESCAPED) !== 0) return false;
    return true;
  }

  /** Whether tokens [from, to) are literals with commas between them. Notes the items. */
  #readItems(from: number, to: number): boolean {
    const { kinds } = this.#lexer;
    this.#itemCount = 0;
    this.#isWordy = false;
    let at = from;
    for (;;) {
      const last = this.#literalEnd(at);
      if (last < 0 || last >= to) return false;
      this.#noteItem(at === last ? at : -1);
      at = last + 1;
      if (at === to) return true;
      if (kinds[at] !== T.COMMA) return false;
      at++;
    }
  }

  /** The last token of the literal that begins at `token`, or -1. */
  #literalEnd(token: number): number {
    const { kinds } = this.#lexer;
    const kind = kinds[token] as number;
    if (LITERALS[kind] === 1) return token;
    const next = kinds[token + 1] as number;
    // Before anything but a number a sign stays in the digest.
    if (kind === T.MINUS || kind === T.PLUS) return NUMBERS[next] === 1 ? token + 1 : -1;
    if (kind !== T.CHARSET_INTRODUCER && WORDS[kind] !== 1) return -1;
    this.#isWordy = true;
    if (kind !== T.CHARSET_INTRODUCER) return token;
    return next === T.STRING || next === T.HEX_LITERAL || next === T.BIT_LITERAL ? token + 1 : -1;
  }

  #noteItem(token: number) {
    if (this.#itemCount === this.#items.length) {
      const items = new Int32Array(this.#items.length * 2);
      items.set(this.#items);
      this.#items = items;
    }
    this.#items[this.#itemCount++] = token;
  }

  #takeSample() {
    const { starts, ends } = this.#lexer;
    this.#sampleLength = this.#itemCount;
    if (this.#sampleStarts.length < this.#itemCount) {
      this.#sampleStarts = new Int32Array(this.#items.length);
      this.#sampleEnds = new Int32Array(this.#items.length);
    }
    for (let index = 0; index < this.#itemCount; index++) {
      const token = this.#items[index] as number;
      this.#sampleStarts[index] = token < 0 ? -1 : (starts[token] as number);
      this.#sampleEnds[index] = token < 0 ? -1 : (ends[token] as number);
      if (token >= 0) this.#sampleLeft++;
    }
  }

  /** Whether a column differs from the sample for the first time: who asks for its values has to see such a row. */
  #differs(): boolean {
    let isNew = false;
    for (let index = 0; index < this.#itemCount; index++) {
      if (this.#sampleStarts[index] === -1 || this.#isLikeSample(index)) continue;
      this.#sampleStarts[index] = -1;
      this.#sampleLeft--;
      isNew = true;
    }
    return isNew;
  }

  #isLikeSample(index: number): boolean {
    const token = this.#items[index] as number;
    if (token < 0) return false;
    const { sql, starts, ends } = this.#lexer;
    const from = this.#sampleStarts[index] as number;
    const length = (this.#sampleEnds[index] as number) - from;
    const start = starts[token] as number;
    if ((ends[token] as number) - start !== length) return false;
    for (let at = 0; at < length; at++) if (sql[from + at] !== sql[start + at]) return false;
    return true;
  }

  /** Whether a literal of the row makes a finding, of which the first few of each name are wanted. */
  #tells(from: number, end: number): boolean {
    const { kinds } = this.#lexer;
    this.#isTelling = false;
    for (let token = from; token < end; token++) {
      if (kinds[token] === T.STRING) judgeTextLiteral(this.#literals, token);
      else if (kinds[token] === T.HEX_LITERAL) judgeHexLiteral(this.#literals, token);
    }
    return this.#isTelling;
  }

  #noteFinding(what: FindingName) {
    const seen = (this.#tellings.get(what) ?? 0) + 1;
    this.#tellings.set(what, seen);
    if (seen <= FINDINGS_PER_NAME_MAX) this.#isTelling = true;
  }
}
