/** Whether an UPDATE or DELETE changes every row of a table that it writes: nothing in WHERE or a join leaves a row out. */
import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import { COMPARISONS } from "../lexing/word-sets.ts";
import { lowerAscii, NameSet } from "../names/names.ts";
import { clearRowTruth, type RowSource, rowTruth } from "./row-conditions.ts";
import type { BlockBuilder, StatementBuilder, TableDraft } from "./statement-builder.ts";
import { hasUnknownName, type Range, type RowTruth, splitAt } from "./token-ranges.ts";
import type { Walker } from "./walker.ts";

/** Tables beyond so many are not looked at one by one: nobody writes such joins by hand. */
const FACTORS_MAX = 64;

/** A table of the statement, and how it is joined to those before it. */
interface Factor {
  readonly range: Range;
  readonly join: "first" | "inner" | "left" | "right";
  /** What the join asks of a pair of rows; undefined where it asks nothing. */
  readonly on: Range | undefined;
  /** USING or NATURAL: equal columns. */
  readonly isByName: boolean;
}

/** The clauses at the statement's own level. */
interface Clauses {
  readonly tables: Range;
  readonly where: Range | undefined;
}

export function writesWholeTable(w: Walker, statement: StatementBuilder, main: BlockBuilder): boolean {
  const clauses = clausesOf(w, statement.kind, main);
  if (clauses === undefined) return false;
  if (main.sources.length === 1 && isPlainlyRestricted(w, clauses)) return false;
  const factors = factorsOf(w, clauses.tables);
  if (factors.length > FACTORS_MAX) return false;
  return new WholeWrite(w, statement, main, factors).isWhole(clauses.where);
}

/**
 * What nearly every statement is: one table, and a WHERE without OR that begins with `column = literal` or
 * `column IN (literals)`. Such a term tells rows apart, and so does the whole.
 */
function isPlainlyRestricted(w: Walker, { tables, where }: Clauses): boolean {
  // SAFETY: a name that could not be read in full may be any column's.
  if (where === undefined || hasUnknownName(w, where)) return false;
  for (let at = tables.from; at < tables.to; at++) if (MORE_THAN_A_TABLE[w.kind(at)] === 1) return false;
  const operator = columnEnd(w, where.from);
  const end = operator < 0 ? -1 : literalsEnd(w, operator);
  if (end < 0 || end > where.to) return false;
  if (end < where.to && w.kind(end) !== K.AND && w.kind(end) !== T.AND_AND) return false;
  for (let at = end; at < where.to; at++) if (ALTERNATIVES[w.kind(at)] === 1) return false;
  return true;
}

/** Behind the column that begins here; -1 where none does. A quoted name that may look like a literal is none here. */
function columnEnd(w: Walker, token: number): number {
  for (let at = token; ; at += 2) {
    const isColumn = w.kind(at) === T.QUOTED_IDENTIFIER ? beginsWithLetter(w.text.name(at)) : w.isName(at);
    if (!isColumn) return -1;
    if (w.kind(at + 1) !== T.DOT) return at + 1;
  }
}

function beginsWithLetter(name: string): boolean {
  const first = lowerAscii(name.charAt(0));
  return first === "_" || (first >= "a" && first <= "z");
}

/** Behind the literal or list of literals that the column is compared with; -1 where it is something else. */
function literalsEnd(w: Walker, operator: number): number {
  if (COMPARISONS[w.kind(operator)] === 1) return LITERALS[w.kind(operator + 1)] === 1 ? operator + 2 : -1;
  if (w.kind(operator) !== K.IN || w.kind(operator + 1) !== T.LEFT_PAREN) return -1;
  for (let at = operator + 2; LITERALS[w.kind(at)] === 1; at += 2) {
    if (w.kind(at + 1) === T.RIGHT_PAREN) return at + 2;
    if (w.kind(at + 1) !== T.COMMA) return -1;
  }
  return -1;
}

const LITERALS = kindSet([T.INTEGER_NUMBER, T.DECIMAL_NUMBER, T.FLOAT_NUMBER, T.STRING, T.PARAMETER], "");
const ALTERNATIVES = kindSet([K.OR, T.OR_OR, K.XOR], "");
const MORE_THAN_A_TABLE = kindSet([T.COMMA, T.LEFT_PAREN, K.JOIN, K.STRAIGHT_JOIN, K.ON, K.USING, K.CASE], "");

function clausesOf(w: Walker, kind: string, main: BlockBuilder): Clauses | undefined {
  const isUpdate = kind.startsWith("update");
  const first = behindHint(w, main.firstToken + 1);
  let tables = isUpdate ? first : -1;
  let tablesEnd = w.at;
  let where = -1;
  let whereEnd = w.at;
  let depth = 0;
  for (let at = first; at < w.at; at++) {
    const word = w.kind(at);
    const step = levelStep(word);
    depth += step;
    if (step !== 0 || depth !== 0) continue;
    if (AFTER_WHERE[word] === 1) {
      whereEnd = at;
      break;
    }
    if (where >= 0) continue;
    if (word === K.WHERE) where = at + 1;
    else if (isUpdate && word === K.SET) tablesEnd = Math.min(tablesEnd, at);
    else if (!isUpdate && beginsTables(w, at, tables)) tables = at + 1;
  }
  if (tables < 0) return undefined;
  tablesEnd = Math.min(tablesEnd, whereEnd, where < 0 ? whereEnd : where - 1);
  return { tables: { from: tables, to: tablesEnd }, where: where < 0 ? undefined : { from: where, to: whereEnd } };
}

/** A hint may hold any number of parentheses: the server leaves out what it does not understand of it. */
function behindHint(w: Walker, token: number): number {
  let at = token;
  if (w.kind(at) === T.HINT_START) while (at < w.at && w.kind(at - 1) !== T.HINT_END) at++;
  return at;
}

function levelStep(kind: number): number {
  if (kind === T.LEFT_PAREN || kind === K.CASE) return 1;
  return kind === T.RIGHT_PAREN || kind === K.END ? -1 : 0;
}

/** FROM, or the USING behind the tables of DELETE FROM a, b; not the USING (a, b) of a join. */
function beginsTables(w: Walker, token: number, tables: number): boolean {
  if (w.kind(token) === K.FROM) return tables < 0;
  return w.kind(token) === K.USING && w.kind(token + 1) !== T.LEFT_PAREN && tables >= 0;
}

const AFTER_WHERE = kindSet([K.ORDER, K.LIMIT, K.RETURNING], "");

function factorsOf(w: Walker, { from, to }: Range): Factor[] {
  const factors: Factor[] = [];
  let join: Factor["join"] = "first";
  let isNatural = false;
  let start = from;
  let depth = 0;
  const close = (end: number): void => {
    if (end > start) factors.push(factorOf(w, { from: start, to: end }, join, isNatural));
  };
  for (let at = from; at < to; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN || kind === K.CASE) depth++;
    else if (kind === T.RIGHT_PAREN || kind === K.END) depth--;
    if (depth > 0) continue;
    const side = sideAt(w, at);
    if (side === undefined) continue;
    close(at);
    join = side.join;
    isNatural = side.isNatural;
    at = side.end - 1;
    start = side.end;
  }
  close(to);
  return factors;
}

/** The join words at the token, or a comma. */
function sideAt(
  w: Walker,
  token: number,
): { readonly join: Factor["join"]; readonly isNatural: boolean; readonly end: number } | undefined {
  if (w.kind(token) === T.COMMA) return { join: "inner", isNatural: false, end: token + 1 };
  let at = token;
  let join: Factor["join"] = "inner";
  const isNatural = w.kind(at) === K.NATURAL;
  if (isNatural) at++;
  if (w.kind(at) === K.LEFT || w.kind(at) === K.RIGHT) {
    join = w.kind(at) === K.LEFT ? "left" : "right";
    at++;
    if (w.kind(at) === K.OUTER) at++;
  } else if (w.kind(at) === K.INNER || w.kind(at) === K.CROSS) at++;
  const isJoin = w.kind(at) === K.JOIN || w.kind(at) === K.STRAIGHT_JOIN;
  return isJoin ? { join, isNatural, end: at + 1 } : undefined;
}

function factorOf(w: Walker, { from, to }: Range, join: Factor["join"], isNatural: boolean): Factor {
  let depth = 0;
  for (let at = from; at < to; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN) depth++;
    else if (kind === T.RIGHT_PAREN) depth--;
    if (depth > 0) continue;
    if (kind === K.ON) return { range: { from, to: at }, join, on: { from: at + 1, to }, isByName: false };
    if (kind === K.USING) return { range: { from, to: at }, join, on: undefined, isByName: true };
  }
  return { range: { from, to }, join, on: undefined, isByName: isNatural };
}

/** undefined for what is no table of its own. */
type Asked = ReadonlySet<TableDraft | undefined>;

class WholeWrite {
  readonly #w: Walker;
  readonly #statement: StatementBuilder;
  readonly #main: BlockBuilder;
  readonly #factors: readonly Factor[];
  readonly #source: RowSource;
  /** What each join asks. */
  readonly #joins: readonly RowTruth[];
  #asks: Asked | "any" | undefined = undefined;
  /** SAFETY: an outer join on what could not be read or seen through may find a row for each, or for none. */
  #isOuterUnclear = false;

  constructor(w: Walker, statement: StatementBuilder, main: BlockBuilder, factors: readonly Factor[]) {
    this.#w = w;
    this.#statement = statement;
    this.#main = main;
    this.#factors = factors;
    const written = new NameSet();
    for (const { table } of statement.tablesWritten) written.add(table);
    const blockIndex = statement.blocks.indexOf(main);
    const source = { block: main, blockIndex, nulls: new Set<TableDraft>(), written };
    this.#joins = factors.map((factor) => this.#asked(factor, source));
    const nulls = factors.flatMap((factor, index) => {
      const isEmpty = factor.join === "left" && this.#joins[index] === "never";
      return isEmpty ? this.#tablesIn(factor) : [];
    });
    this.#source = { ...source, nulls: new Set(nulls) };
  }

  isWhole(where: Range | undefined): boolean {
    if (this.#isOuterUnclear) return true;
    const truth = where === undefined ? "always" : rowTruth(this.#w, this.#source, where);
    if (truth === "never") return false;
    const writes = this.#factors.map((factor) => this.#isWritten(factor));
    // A table that is not found among them is somewhere inside parentheses.
    if (!writes.includes(true)) return truth === "always" && this.#factors.length <= 1;
    return this.#factors.some((_, index) => writes[index] === true && this.#isLeftWhole(index, where, truth));
  }

  #isLeftWhole(index: number, where: Range | undefined, truth: RowTruth): boolean {
    for (const [other, { join }] of this.#factors.entries()) {
      if (this.#joins[other] !== "some") continue;
      const isPreserved = (join === "left" && index < other) || (join === "right" && index === other);
      if (!isPreserved && (other === index || index < other)) return false;
    }
    return truth === "always" || (where !== undefined && !this.#isAskedAbout(index, where));
  }

  /** Whether a term that tells rows apart is about the table, or about one that is joined to it by a condition. */
  #isAskedAbout(index: number, where: Range): boolean {
    if (this.#factors.length === 1 || this.#isLinked(index)) return true;
    this.#asks ??= this.#askedTables(where);
    const asks = this.#asks;
    return asks === "any" || this.#tablesIn(this.#factors[index] as Factor).some((table) => asks.has(table));
  }

  /** The tables whose columns are in terms that tell rows apart; "any" where a name or a query may be any table's. */
  #askedTables(where: Range): Asked | "any" {
    const w = this.#w;
    const tables = new Set<TableDraft | undefined>();
    for (const term of splitAt(w, where, (kind) => kind === K.AND || kind === T.AND_AND)) {
      if (rowTruth(w, this.#source, term) !== "some") continue;
      for (let at = term.from; at < term.to; at++) {
        if (w.kind(at) === K.SELECT) return "any";
        if (!w.isName(at) && w.kind(at) !== T.QUOTED_IDENTIFIER) continue;
        const last = w.chainEnd(at);
        if (w.kind(last + 1) === T.LEFT_PAREN) continue;
        if (last === at) return "any";
        tables.add(w.resolve(w.text.name(last - 2), this.#source.blockIndex));
        at = last;
      }
    }
    return tables;
  }

  /** Joined to another table by a condition that tells rows apart, on either side of an outer join. */
  #isLinked(index: number): boolean {
    return this.#joins.some((asked, other) => asked === "some" && (other === index || index < other));
  }

  #asked({ on, isByName, range, join }: Factor, source: RowSource): RowTruth {
    if (on !== undefined) {
      const truth = hasUnknownName(this.#w, on) ? undefined : clearRowTruth(this.#w, source, on);
      this.#isOuterUnclear ||= join === "left" && truth === undefined;
      return truth ?? "always";
    }
    if (!isByName) return "always";
    // Rows of a table joined with itself by equal columns find themselves.
    const joined = new NameSet();
    for (const { table } of this.#tablesIn({ range })) joined.add(table);
    const isItself = this.#main.tables.filter(({ table }) => joined.mayHave(table)).length > 1;
    return isItself ? "always" : "some";
  }

  #tablesIn({ range }: Pick<Factor, "range">) {
    const start = this.#w.start(range.from);
    const end = this.#w.endBefore(range.to);
    return this.#main.tables.filter((table) => table.start >= start && table.end <= end);
  }

  #isWritten(factor: Factor): boolean {
    const tables = this.#tablesIn(factor);
    return this.#statement.tablesWritten.some((written) => tables.includes(written));
  }
}
