/**
 * Whether a condition tells rows apart at all: conditions that hold for every row of a table, however they are written.
 * Looks at the tokens of the condition itself, and takes what it does not see through for one that tells rows apart.
 */
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { COMPARISONS } from "../lexing/word-sets.ts";
import { foldName, type NameSet } from "../names/names.ts";
import { holdsForAll } from "./column-arithmetic.ts";
import { constantTruth } from "./conditions.ts";
import type { BlockBuilder, TableDraft } from "./statement-builder.ts";
import { hasUnknownName, type Range, type RowTruth, splitAt } from "./token-ranges.ts";
import { holds, isTrueCase, truthOfTruths } from "./truth-values.ts";
import { TRUTH_FALSE, type Walker } from "./walker.ts";

/** Deeper than people write. SAFETY: beyond it the whole condition counts as one that holds for every row. */
const NESTING_MAX = 24;
/** Looks at each token of a condition that it may take, on average; SAFETY: a dearer one counts as nested too deep does. */
const LOOKS_PER_TOKEN_MAX = 64;
/** Longer expressions are not compared with each other. */
const EXPRESSION_TOKENS_MAX = 64;

/** Calls within each other that are looked through. */
const CALLS_MAX = 8;
/** Functions that give back their first argument, where the others are literals and at most fill in for NULL or add nothing. */
const HANDING_BACK: ReadonlySet<string> = new Set(
  "CONCAT COALESCE IFNULL CAST CONVERT LOWER LCASE UPPER UCASE TRIM LTRIM RTRIM ANY_VALUE".split(" "),
);

/** What the tables around the condition are. */
export interface RowSource {
  readonly block: BlockBuilder;
  readonly blockIndex: number;
  /** Tables whose columns are NULL in every row: outer joins on a condition that never holds. */
  readonly nulls: ReadonlySet<TableDraft>;
  /** Names of the tables that are written. */
  readonly written: NameSet;
}

export function rowTruth(w: Walker, source: RowSource, range: Range): RowTruth {
  return clearRowTruth(w, source, range) ?? "always";
}

/** undefined where the condition is nested too deep or too dear to be seen through: it may be any of the three. */
export function clearRowTruth(w: Walker, source: RowSource, range: Range): RowTruth | undefined {
  const condition = new RowCondition(w, source, range);
  const truth = condition.truth(range, 0);
  return condition.isSpent ? undefined : truth;
}

const isOr = (kind: number): boolean => kind === K.OR || kind === T.OR_OR;
const isXor = (kind: number): boolean => kind === K.XOR;
const isAnd = (kind: number): boolean => kind === K.AND || kind === T.AND_AND;

/** Words and signs that ask something of what stands before them. */
const QUESTIONS: ReadonlySet<number> = new Set([K.IN, K.LIKE, K.BETWEEN, K.IS, K.REGEXP, K.RLIKE]);

interface Question {
  readonly left: Range;
  readonly right: Range;
  readonly operator: number;
  readonly isNegated: boolean;
}

/** SAFETY: whether it finds rows is then the same for all rows outside, and not said here. */
const isOfNoRow = ({ where }: BlockBuilder): boolean => where === "constant" || where === "never";

class RowCondition {
  readonly #w: Walker;
  readonly #source: RowSource;

  readonly #hasUnknownNames: boolean;
  #looksLeft: number;
  #isTooDeep = false;

  /** What was said of the whole is then no more than a guess: a NOT around the part that was given up turns it round. */
  get isSpent(): boolean {
    return this.#isTooDeep || this.#looksLeft < 0;
  }

  constructor(w: Walker, source: RowSource, range: Range) {
    this.#w = w;
    this.#source = source;
    this.#hasUnknownNames = hasUnknownName(w, range);
    this.#looksLeft = 1_000 + (range.to - range.from) * LOOKS_PER_TOKEN_MAX;
  }

  truth(whole: Range, nesting: number): RowTruth {
    this.#looksLeft -= 8 * (whole.to - whole.from);
    this.#isTooDeep ||= nesting > NESTING_MAX;
    if (this.isSpent) return "always";
    const range = this.#unwrapped(whole);
    const alternatives = splitAt(this.#w, range, isOr);
    if (alternatives.length > 1) return this.#anyOf(alternatives, nesting);
    const exclusive = splitAt(this.#w, range, isXor);
    if (exclusive.length > 1) return this.#oneOf(exclusive, nesting);
    const terms = splitAt(this.#w, range, isAnd);
    if (terms.length > 1) return this.#allOf(terms, nesting);
    const kind = this.#w.kind(range.from);
    const compared = this.#isUnclear(range)
      ? undefined
      : truthOfTruths(this.#w, range, (left) => this.truth(left, nesting + 1));
    if (compared !== undefined && (compared === "always" || kind !== K.NOT)) return compared;
    if (kind === K.NOT || kind === T.BANG) {
      const inner = this.truth({ from: range.from + 1, to: range.to }, nesting + 1);
      // Whether a query that knows nothing of the row finds something is the same for all rows, and NOT of it too.
      const isEither = this.#w.kind(range.from + 1) === K.EXISTS || this.#isUnclear(range);
      return isEither ? inner : opposite(inner);
    }
    return this.#term(range);
  }

  #anyOf(parts: readonly Range[], nesting: number): RowTruth {
    const truths = parts.map((part) => this.truth(part, nesting + 1));
    if (truths.includes("always") || this.#hasOpposites(parts)) return "always";
    return truths.every((truth) => truth === "never") ? "never" : "some";
  }

  #oneOf(parts: readonly Range[], nesting: number): RowTruth {
    const truths = parts.map((part) => this.truth(part, nesting + 1));
    if (parts.some((part) => this.#isUnclear(part))) return "always";
    if (parts.length === 2 && this.#hasOpposites(parts)) return "always";
    if (truths.includes("some")) return "some";
    return truths.filter((truth) => truth === "always").length % 2 === 1 ? "always" : "never";
  }

  #allOf(parts: readonly Range[], nesting: number): RowTruth {
    const truths = parts.map((part) => this.truth(part, nesting + 1));
    if (truths.includes("never")) return "never";
    if (truths.every((truth) => truth === "always")) return "always";
    // x = 1 AND x <> 1 holds for no row, so that NOT of it holds for all.
    return !parts.some((part) => this.#isUnclear(part)) && this.#hasOpposites(parts) ? "never" : "some";
  }

  /** `x IS NULL OR x IS NOT NULL`, `x = 1 OR x <> 1`, `p OR NOT p`. */
  #hasOpposites(parts: readonly Range[]): boolean {
    const signs = new Map<string, boolean>();
    if (parts.some((part) => this.#isUnclear(part))) return true;
    for (const part of parts) {
      const { text, isNegated } = this.#signed(part);
      if (text === undefined) continue;
      const other = signs.get(text);
      if (other !== undefined && other !== isNegated) return true;
      signs.set(text, isNegated);
    }
    return false;
  }

  /** The question without its negation. */
  #signed(part: Range): { readonly text: string | undefined; readonly isNegated: boolean } {
    const range = this.#unwrapped(part);
    const kind = this.#w.kind(range.from);
    if (kind === K.NOT || kind === T.BANG) {
      const inner = this.#signed({ from: range.from + 1, to: range.to });
      return { ...inner, isNegated: !inner.isNegated };
    }
    const question = this.#question(range);
    if (question === undefined) return { text: this.#text(range), isNegated: false };
    const { left, right, operator, isNegated } = question;
    const opposed = OPPOSED.get(operator);
    const [first, second] = [this.#text(left), this.#text(right)];
    if (first === undefined || second === undefined) return { text: undefined, isNegated: false };
    return { text: `${first} ${opposed ?? operator} ${second}`, isNegated: isNegated !== (opposed !== undefined) };
  }

  /** SAFETY: a name that could not be read may be any column's, so what is asked of it may hold always, or never. */
  #isUnclear(range: Range): boolean {
    return this.#hasUnknownNames && hasUnknownName(this.#w, range);
  }

  #term(range: Range): RowTruth {
    if (this.#isUnclear(range)) return "always";
    if (this.#w.kind(range.from) === K.EXISTS) return this.#isWholeQuery(range) ? "always" : "some";
    if (!this.#depends(range)) {
      return constantTruth(this.#w, range.from, range.to) === TRUTH_FALSE ? "never" : "always";
    }
    const question = this.#question(range);
    if (question === undefined) {
      if (isTrueCase(this.#w, range)) return "always";
      const isTrue = this.#holdsWhateverTried([range], ([result]) => result !== 0);
      return isTrue || this.#isConstantQuery(range) ? "always" : "some";
    }
    if (question.operator === K.IN && this.#blocksIn(question.right).some(isOfNoRow)) return "always";
    const truth = this.#answer(question);
    return question.isNegated ? opposite(truth) : truth;
  }

  #question({ from, to }: Range): Question | undefined {
    const w = this.#w;
    let depth = 0;
    for (let at = from; at < to; at++) {
      const kind = w.kind(at);
      if (kind === T.LEFT_PAREN || kind === K.CASE) depth++;
      else if (kind === T.RIGHT_PAREN || kind === K.END) depth--;
      if (depth > 0 || (COMPARISONS[kind] !== 1 && !QUESTIONS.has(kind))) continue;
      const isNotBefore = w.kind(at - 1) === K.NOT;
      const isNotBehind = kind === K.IS && w.kind(at + 1) === K.NOT;
      return {
        left: { from, to: isNotBefore ? at - 1 : at },
        right: { from: isNotBehind ? at + 2 : at + 1, to },
        operator: kind,
        isNegated: isNotBefore || isNotBehind,
      };
    }
    return undefined;
  }

  #answer(question: Question): RowTruth {
    const { left, right, operator } = question;
    switch (operator) {
      case T.EQUAL:
        return this.#isAnyOf(question) ? "always" : this.#compared(question);
      case K.IN:
        return this.#isAmong(left, right) ? "always" : "some";
      case K.BETWEEN:
        return this.#isBetween(left, right) ? "always" : "some";
      case K.LIKE:
        return this.#isSame(left, right) || this.#matchesAll(right, "%") ? "always" : "some";
      case K.REGEXP:
      case K.RLIKE:
        return this.#isSame(left, right) || this.#matchesAll(right, "^.*?$|()") ? "always" : "some";
      case K.IS:
        return this.#isNullAlways(left) && this.#w.kind(right.from) === K.NULL ? "always" : "some";
      default:
        return this.#compared(question);
    }
  }

  #isBetween(left: Range, right: Range): boolean {
    const [low, high] = splitAt(this.#w, right, isAnd);
    if (low === undefined || high === undefined) return false;
    const isHeld = ([value = 0, least = 0, most = 0]: readonly number[]): boolean => least <= value && value <= most;
    const isBoth = this.#isSame(left, low) && this.#isSame(left, high);
    return isBoth || this.#holdsWhateverTried([left, low, high], isHeld);
  }

  #compared(question: Question): RowTruth {
    const { left, right, operator } = question;
    const isEven = operator === T.EQUAL || operator === T.NULL_SAFE_EQUAL;
    const isOrEven = isEven || operator === T.LESS_OR_EQUAL || operator === T.GREATER_OR_EQUAL;
    if (this.#isSame(left, right)) return isOrEven ? "always" : this.#isSameAlias(left, right) ? "never" : "some";
    if (operator === T.NULL_SAFE_EQUAL && this.#isNullAlways(left) && this.#w.kind(right.from) === K.NULL)
      return "always";
    if (isOrEven && this.#isArithmeticOfOne(left, right)) return "always";
    const isHeld = ([one = 0, other = 0]: readonly number[]): boolean => holds(operator, one, other) === true;
    if (this.#holdsWhateverTried([left, right], isHeld)) return "always";
    const isFloor = operator === T.GREATER_OR_EQUAL && this.#integer(right) === 0;
    return isFloor && this.#isNeverNegative(left) ? "always" : "some";
  }

  /** Arithmetic of one column, or of one and numbers, that comes out right for every value of it. */
  #holdsWhateverTried(ranges: readonly Range[], isTrue: (results: readonly number[]) => boolean): boolean {
    this.#looksLeft -= 8 * ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    return holdsForAll(this.#w, ranges, (first, last) => this.#columnText(first, last), isTrue);
  }

  /** `x = ANY (SELECT x FROM the same table)`. */
  #isAnyOf({ left, right }: Question): boolean {
    const kind = this.#w.kind(right.from);
    return (kind === K.ANY || kind === K.SOME) && this.#isAmong(left, { from: right.from + 1, to: right.to });
  }

  /** `x IN (…, x, …)`; `x IN (SELECT x FROM the same table)`. */
  #isAmong(left: Range, right: Range): boolean {
    const inner = this.#unwrapped(right);
    if (this.#holdsQuery(inner)) {
      return this.#isWholeQuery(right) && this.#blocksIn(right).some((block) => this.#readsWritten(block));
    }
    // One row in the list has its parentheses within those of the list: (a, b) IN ((a, b)).
    return this.#isSame(left, inner) || this.#items(inner).some((item) => this.#isSame(left, item));
  }

  #readsWritten(block: BlockBuilder): boolean {
    return block.tables.some(({ table }) => this.#source.written.mayHave(table));
  }

  /** Blocks of subqueries inside the range, none of which leaves rows out. */
  #isWholeQuery(range: Range): boolean {
    const blocks = this.#blocksIn(range);
    const isWhole = blocks.every(
      ({ where, linkedJoins, limit }) => where !== "present" && linkedJoins === 0 && limit?.rows !== 0,
    );
    return isWhole && blocks.length > 0;
  }

  /** A scalar subquery that reads nothing: (SELECT 1). */
  #isConstantQuery(range: Range): boolean {
    const inner = this.#unwrapped(range);
    return this.#holdsQuery(inner) && this.#blocksIn(range).every(({ hasFrom }) => !hasFrom);
  }

  #blocksIn({ from, to }: Range): readonly BlockBuilder[] {
    const { blocks } = this.#w.statement;
    this.#looksLeft -= blocks.length;
    if (this.#looksLeft < 0) return [];
    return blocks.filter(({ firstToken }) => firstToken >= from && firstToken < to);
  }

  #holdsQuery({ from }: Range): boolean {
    const kind = this.#w.kind(from);
    return kind === K.SELECT || kind === K.WITH || kind === K.TABLE || kind === K.VALUES;
  }

  /** Whether anything in the range may be another value in another row or another execution. */
  #depends({ from, to }: Range): boolean {
    const w = this.#w;
    for (let at = from; at < to; at++) {
      const kind = w.kind(at);
      if (kind === K.SELECT || kind === T.PARAMETER || kind === T.AT || kind === T.AT_AT) return true;
      if (w.isName(at) || kind === T.QUOTED_IDENTIFIER) return true;
    }
    return false;
  }

  /** Parentheses around all of it taken off, but not a subquery's. */
  #unwrapped(range: Range): Range {
    let { from, to } = range;
    while (
      this.#w.kind(from) === T.LEFT_PAREN &&
      this.#w.kind(to - 1) === T.RIGHT_PAREN &&
      this.#isPair(from, to - 1)
    ) {
      from++;
      to--;
    }
    return { from, to };
  }

  #isPair(open: number, close: number): boolean {
    let depth = 0;
    for (let at = open; at < close; at++) {
      const kind = this.#w.kind(at);
      if (kind === T.LEFT_PAREN) depth++;
      else if (kind === T.RIGHT_PAREN && --depth === 0) return false;
    }
    return true;
  }

  #items(range: Range): readonly Range[] {
    return splitAt(this.#w, range, (kind) => kind === T.COMMA);
  }

  #isSame(left: Range, right: Range): boolean {
    if (this.isSpent) return false;
    const text = this.#text(this.#handedBack(left));
    return text !== undefined && text === this.#text(this.#handedBack(right));
  }

  /** The argument, for a call that gives it back as it is, or as one that compares equal to it: CONCAT(x), LOWER(x). */
  #handedBack(whole: Range): Range {
    const w = this.#w;
    // A list asks for its left side with each of its items: what is spent here ends it for all of them.
    this.#looksLeft -= whole.to - whole.from;
    if (this.isSpent) return whole;
    let range = this.#unwrapped(whole);
    for (let calls = 0; calls < CALLS_MAX; calls++) {
      const { from, to } = range;
      const isCall = w.kind(from + 1) === T.LEFT_PAREN && w.kind(to - 1) === T.RIGHT_PAREN && to - from > 3;
      if (!isCall || !HANDING_BACK.has(w.text.upper(from)) || !this.#isPair(from + 1, to - 1)) return range;
      const [first, ...others] = this.#items({ from: from + 2, to: to - 1 });
      if (first === undefined || others.some((other) => this.#depends(other))) return range;
      range = this.#unwrapped({ from: first.from, to: this.#endOfOperand(first) });
    }
    return range;
  }

  /** Before AS and USING of CAST(x AS CHAR) and CONVERT(x USING utf8mb4). */
  #endOfOperand({ from, to }: Range): number {
    for (let at = from; at < to; at++) if (this.#w.kind(at) === K.AS || this.#w.kind(at) === K.USING) return at;
    return to;
  }

  #isSameAlias(left: Range, right: Range): boolean {
    return this.#text(left, true) === this.#text(right, true);
  }

  /** The expression with every column as its table's, or its alias's; undefined where it is long, or holds a query. */
  #text(range: Range, isByAlias = false): string | undefined {
    const { from, to } = this.#unwrapped(range);
    if (to <= from || to - from > EXPRESSION_TOKENS_MAX || this.#holdsQuery({ from, to })) return undefined;
    const w = this.#w;
    const words: string[] = [];
    for (let at = from; at < to; at++) {
      if (w.isName(at) || w.kind(at) === T.QUOTED_IDENTIFIER) {
        const last = Math.min(w.chainEnd(at), to - 1);
        words.push(this.#columnText(at, last, isByAlias));
        at = last;
      } else words.push(w.text.upper(at));
    }
    return words.join(" ");
  }

  #columnText(first: number, last: number, isByAlias = false): string {
    const w = this.#w;
    const name = foldName(w.text.name(last));
    const table = w.resolve(last > first ? w.text.name(last - 2) : undefined, this.#source.blockIndex);
    const isOnly = this.#source.block.sources.length <= 1;
    if (isOnly || table === undefined) return name;
    // Aliases that differ in case alone are two where both are there: resolve() has told them apart.
    return isByAlias ? `${table.start}.${name}` : `${foldName(table.schema ?? "")}.${foldName(table.table)}.${name}`;
  }

  /** Both sides are made of one column, numbers and arithmetic: id = id + 0. */
  #isArithmeticOfOne(left: Range, right: Range): boolean {
    const column = this.#onlyColumn(left);
    return column !== undefined && column === this.#onlyColumn(right);
  }

  #onlyColumn({ from, to }: Range): string | undefined {
    const w = this.#w;
    let column: string | undefined;
    for (let at = from; at < to; at++) {
      if (w.isName(at) || w.kind(at) === T.QUOTED_IDENTIFIER) {
        const last = Math.min(w.chainEnd(at), to - 1);
        const text = this.#columnText(at, last);
        if (w.kind(last + 1) === T.LEFT_PAREN || (column !== undefined && column !== text)) return undefined;
        column = text;
        at = last;
      } else if (!ARITHMETIC.has(w.kind(at))) return undefined;
    }
    return column;
  }

  /** Every column in it is of a table that has no row here. */
  #isNullAlways({ from, to }: Range): boolean {
    const w = this.#w;
    if (to - from < 3 || w.kind(from + 1) !== T.DOT || w.chainEnd(from) !== to - 1) return false;
    const table = w.resolve(w.text.name(to - 3), this.#source.blockIndex);
    return table !== undefined && this.#source.nulls.has(table);
  }

  #matchesAll({ from, to }: Range, harmless: string): boolean {
    if (to - from !== 1 || this.#w.kind(from) !== T.STRING) return false;
    const pattern = this.#w.text.string(from);
    if (harmless === "%") return pattern !== "" && isMadeOf(pattern, harmless);
    return isMadeOf(pattern, harmless) && everyDotIsOptional(pattern);
  }

  #integer({ from, to }: Range): number | undefined {
    return to - from === 1 ? this.#w.text.integer(from) : undefined;
  }

  #isNeverNegative({ from }: Range): boolean {
    const w = this.#w;
    return w.kind(from + 1) === T.LEFT_PAREN && NEVER_NEGATIVE.has(w.text.upper(from));
  }
}

function opposite(truth: RowTruth): RowTruth {
  if (truth === "some") return "some";
  return truth === "always" ? "never" : "always";
}

function isMadeOf(text: string, characters: string): boolean {
  for (const character of text) if (!characters.includes(character)) return false;
  return true;
}

function everyDotIsOptional(pattern: string): boolean {
  for (let at = pattern.indexOf("."); at >= 0; at = pattern.indexOf(".", at + 1)) {
    if (pattern[at + 1] !== "*" && pattern[at + 1] !== "?") return false;
  }
  return true;
}

/** Comparisons as the negation of another one. */
const OPPOSED: ReadonlyMap<number, number> = new Map([
  [T.NOT_EQUAL, T.EQUAL],
  [T.GREATER_OR_EQUAL, T.LESS],
  [T.LESS_OR_EQUAL, T.GREATER],
]);

const ARITHMETIC: ReadonlySet<number> = new Set([
  T.LEFT_PAREN,
  T.RIGHT_PAREN,
  T.INTEGER_NUMBER,
  T.DECIMAL_NUMBER,
  T.FLOAT_NUMBER,
  T.PLUS,
  T.MINUS,
  T.STAR,
  T.SLASH,
  T.PERCENT,
  K.DIV,
  K.MOD,
]);

const NEVER_NEGATIVE: ReadonlySet<string> = new Set(
  "ABS LENGTH CHAR_LENGTH CHARACTER_LENGTH OCTET_LENGTH BIT_LENGTH CRC32 BIT_COUNT LOCATE INSTR FIELD".split(" "),
);
