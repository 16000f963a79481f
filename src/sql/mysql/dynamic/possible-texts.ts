/**
 * The texts that an expression may turn out to be, whatever its conditions say: `IF(…, 'ALTER TABLE t …', 'SELECT 1')`.
 * Only what every server makes the same of: literals of ASCII, branches between them, and their concatenation.
 */

import { encodeUtf8 } from "../../../base/bytes.ts";
import type { MysqlContext } from "../../facts.ts";
import * as K from "../lexing/keywords.ts";
import { Lexer, MARK_OVER_BUDGET } from "../lexing/lexer.ts";
import { primaryRules } from "../lexing/readings.ts";
import * as T from "../lexing/token-kinds.ts";
import { TokenText } from "../lexing/token-text.ts";
import { upperAscii } from "../names/names.ts";
import { connectionCharsetOf } from "./certainty.ts";

/** More possibilities than that, or more bytes in all of them together, count as not known. */
const TEXTS_MAX = 8;
export const TEXTS_BYTES_MAX = 65_536;

export interface PossibleTexts {
  /** At least one, and no two alike. */
  readonly texts: readonly Uint8Array[];
  readonly mayBeNull: boolean;
  /** Whether the value is a number rather than a text of digits, which compares otherwise: in all branches, or in some. */
  readonly numbers?: "all" | "some";
}

/** What is known of the session before the statement runs. */
export interface KnownValues {
  variable(name: string): PossibleTexts | undefined;
  /** What DATABASE() gives. */
  readonly schema: string | undefined;
}

type Possible = PossibleTexts | undefined;

const TOKENS_MAX = 10_000;
const DEPTH_MAX = 16;
/** Servers give NULL for more than max_allowed_packet, whose least value that is. */
const NEVER_TOO_LONG = 1024;

/** Charsets in which the bytes of ASCII text mean the same everywhere on its way through a server. */
const ASCII_CHARSETS: ReadonlySet<string> = new Set(["utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"]);

const lexer = new Lexer();
const NO_BYTES = new Uint8Array(0);

/** One statement that has one reading. */
export class ExpressionTexts {
  readonly #known: KnownValues;
  readonly #text: TokenText;
  readonly #kinds: Uint16Array;
  readonly #starts: Int32Array;
  readonly #count: number;
  readonly #isReadable: boolean;
  #at = 0;
  #depth = 0;

  constructor(sql: Uint8Array, context: MysqlContext, known: KnownValues) {
    const rules = primaryRules(context);
    lexer.start(sql, rules, TOKENS_MAX);
    lexer.run(sql.length);
    const { count } = lexer;
    this.#count = count;
    this.#kinds = lexer.kinds.slice(0, count);
    this.#starts = lexer.starts.slice(0, count);
    const lexed = { sql, kinds: this.#kinds, starts: this.#starts, ends: lexer.ends.slice(0, count), count };
    const unused = { roles: NO_BYTES, clauses: NO_BYTES, forgottenRows: lexer.forgottenRows };
    this.#text = new TokenText({ ...lexed, flags: lexer.flags.slice(0, count), ...unused }, rules);
    // Vitess computes some expressions by itself, and its DATABASE() is not the schema that a shard has.
    this.#isReadable =
      lexer.forgottenRows.size === 0 &&
      (lexer.marks & MARK_OVER_BUDGET) === 0 &&
      ASCII_CHARSETS.has(context.charset) &&
      ASCII_CHARSETS.has(connectionCharsetOf(context)) &&
      context.dialect !== "vitess";
    this.#known = known;
  }

  /** Whether `:=` stands anywhere but behind the names that the statement sets, which begin at these bytes. */
  hasAssignmentBeside(starts: readonly number[]): boolean {
    const operators = new Set(starts.map((start) => this.#starts.indexOf(start) + 2));
    return this.#kinds.some((kind, token) => kind === T.ASSIGN && !operators.has(token));
  }

  /** Whether the statement reads a user variable, given how many it sets. */
  readsVariables(set: number): boolean {
    return this.#kinds.reduce((count, kind) => (kind === T.AT ? count + 1 : count), 0) > set;
  }

  /** The value of `@name = value` at these bytes. */
  ofAssignment({ start, end }: { readonly start: number; readonly end: number }): Possible {
    const first = this.#starts.indexOf(start);
    if (!this.#isReadable || first < 0 || this.#kind(first) !== T.AT) return undefined;
    this.#at = first + 3;
    const value = this.#value();
    const next = this.#starts[this.#at];
    return next === undefined || next >= end ? value : undefined;
  }

  /** The value in the one row of `SELECT value INTO @name …`. */
  ofSelectInto(): Possible {
    if (!this.#isReadable || this.#kind(0) !== K.SELECT) return undefined;
    this.#at = 1;
    const value = this.#value();
    if (this.#kind(this.#at) !== K.INTO && this.#kind(this.#at) !== K.FROM) return undefined;
    return this.#skipQueryRest() && this.#at >= this.#count ? value : undefined;
  }

  #kind(token: number): number {
    return token < this.#count ? (this.#kinds[token] as number) : 0;
  }

  #accept(kind: number): boolean {
    if (this.#kind(this.#at) !== kind) return false;
    this.#at++;
    return true;
  }

  /** A value at the position, which is then behind it; anything may be there where the value is not known. */
  #value(): Possible {
    if (this.#depth >= DEPTH_MAX) return undefined;
    this.#depth++;
    const value = this.#operand();
    this.#depth--;
    return value;
  }

  #operand(): Possible {
    const token = this.#at++;
    switch (this.#kind(token)) {
      case T.STRING:
        return single(this.#text.stringBytes(token).slice());
      case T.INTEGER_NUMBER:
        return this.#integer(token);
      case T.AT:
        return this.#known.variable(this.#text.name(this.#at++));
      case T.LEFT_PAREN:
        return this.#kind(this.#at) === K.SELECT ? this.#subquery() : this.#closed(this.#value());
      case K.CASE:
        return this.#case();
      default:
        return this.#kind(this.#at) === T.LEFT_PAREN && isBareName(this.#kind(token)) ? this.#call(token) : undefined;
    }
  }

  #integer(token: number): Possible {
    const digits = this.#text.raw(token);
    return /^(?:0|[1-9]\d{0,17})$/.test(digits) ? bounded([encodeUtf8(digits)], false, "all") : undefined;
  }

  #closed(value: Possible): Possible {
    return this.#accept(T.RIGHT_PAREN) ? value : undefined;
  }

  #call(name: number): Possible {
    this.#at++;
    switch (upperAscii(this.#text.raw(name))) {
      case "DATABASE":
      case "SCHEMA":
        return this.#closed(this.#known.schema === undefined ? undefined : single(encodeUtf8(this.#known.schema)));
      case "IF":
        return this.#skipTo(T.COMMA) ? eitherOf(twoOf(this.#rest())) : undefined;
      case "IFNULL":
        return firstOf(twoOf(this.#rest()));
      case "COALESCE":
        return firstOf(this.#rest());
      case "CONCAT":
        return joined(this.#rest(), undefined);
      case "CONCAT_WS":
        return joinedWithSeparator(this.#rest());
      default:
        return undefined;
    }
  }

  /** Values to the closing parenthesis. */
  #rest(): Possible[] | undefined {
    const values: Possible[] = [];
    do {
      const value = this.#value();
      if (value === undefined) return undefined;
      values.push(value);
    } while (this.#accept(T.COMMA));
    return this.#accept(T.RIGHT_PAREN) ? values : undefined;
  }

  /** CASE [value] WHEN … THEN value … [ELSE value] END, behind the first word. */
  #case(): Possible {
    const branches: Possible[] = [];
    if (!this.#skipTo(K.WHEN)) return undefined;
    do {
      if (!this.#skipTo(K.THEN)) return undefined;
      branches.push(this.#value());
    } while (this.#accept(K.WHEN));
    const otherwise = this.#accept(K.ELSE) ? this.#value() : undefined;
    return this.#accept(K.END) && otherwise !== undefined ? eitherOf([...branches, otherwise]) : undefined;
  }

  /** `SELECT value)`, or with a table: then there may be no row. */
  #subquery(): Possible {
    this.#at++;
    const value = this.#value();
    if (this.#accept(T.RIGHT_PAREN)) return value;
    if (this.#kind(this.#at) !== K.FROM || !this.#skipQueryRest() || !this.#accept(T.RIGHT_PAREN)) return undefined;
    return value === undefined ? undefined : { ...value, mayBeNull: true };
  }

  /** To the end of the query. False where the rows may be those of another one, or made otherwise. */
  #skipQueryRest(): boolean {
    return this.#skip((token) => {
      const kind = this.#kind(token);
      if (kind === T.RIGHT_PAREN || kind === 0) return "found";
      if (kind === T.SEMICOLON) return token + 1 === this.#count ? "skipped" : "lost";
      return QUERY_JOINS.has(kind) || upperAscii(this.#text.raw(token)) === "MINUS" ? "lost" : "skipped";
    });
  }

  /** Goes behind the next token of that kind at this level; CASE inside a condition needs parentheses to be followed. */
  #skipTo(wanted: number): boolean {
    const isFound = this.#skip((token) => {
      const kind = this.#kind(token);
      if (kind === wanted) return "found";
      return kind === 0 || kind === T.SEMICOLON || CONDITION_ENDS.has(kind) ? "lost" : "skipped";
    });
    if (isFound) this.#at++;
    return isFound;
  }

  /** Goes on at this level of parentheses until something is found. */
  #skip(seen: (token: number) => "found" | "lost" | "skipped"): boolean {
    for (let level = 0; ; this.#at++) {
      const kind = this.#kind(this.#at);
      if (level === 0) {
        const answer = seen(this.#at);
        if (answer !== "skipped") return answer === "found";
      } else if (kind === 0) return false;
      if (kind === T.LEFT_PAREN) level++;
      else if (kind === T.RIGHT_PAREN) level--;
    }
  }
}

const QUERY_JOINS: ReadonlySet<number> = new Set([K.UNION, K.EXCEPT, K.INTERSECT, K.PROCEDURE, K.SELECT]);
const CONDITION_ENDS: ReadonlySet<number> = new Set([T.RIGHT_PAREN, K.CASE, K.WHEN, K.THEN, K.ELSE, K.END]);

function isBareName(kind: number): boolean {
  return kind === T.IDENTIFIER || kind >= K.KEYWORD_FIRST;
}

function single(text: Uint8Array): Possible {
  return bounded([text], false);
}

/** ASCII alone: other characters are converted between charsets on their way, and not always to the same. */
function bounded(all: readonly Uint8Array[], mayBeNull: boolean, numbers?: "all" | "some"): Possible {
  const texts: Uint8Array[] = [];
  let bytes = 0;
  for (const text of all) {
    if (texts.some((known) => Buffer.compare(known, text) === 0)) continue;
    bytes += text.length;
    if (texts.length === TEXTS_MAX || bytes > TEXTS_BYTES_MAX || text.some((byte) => byte > 0x7f)) return undefined;
    texts.push(text);
  }
  if (texts.length === 0) return undefined;
  return numbers === undefined ? { texts, mayBeNull } : { texts, mayBeNull, numbers };
}

/** Any of these; unknown where one of them is. */
export function eitherOf(values: readonly Possible[] | undefined): Possible {
  const known = allKnown(values);
  if (known === undefined) return undefined;
  return bounded(
    known.flatMap(({ texts }) => texts),
    known.some(({ mayBeNull }) => mayBeNull),
    numbersOf(known),
  );
}

function numbersOf(known: readonly PossibleTexts[]): "all" | "some" | undefined {
  if (known.every(({ numbers }) => numbers === undefined)) return undefined;
  return known.every(({ numbers }) => numbers === "all") ? "all" : "some";
}

/** The first that is not NULL: any of them may be that. */
function firstOf(values: readonly Possible[] | undefined): Possible {
  const known = allKnown(values);
  const either = eitherOf(known);
  return either && { ...either, mayBeNull: known?.every(({ mayBeNull }) => mayBeNull) ?? true };
}

function twoOf(values: readonly Possible[] | undefined): readonly Possible[] | undefined {
  return values?.length === 2 ? values : undefined;
}

function allKnown(values: readonly Possible[] | undefined): readonly PossibleTexts[] | undefined {
  const known = values?.filter((value) => value !== undefined);
  return known === undefined || known.length === 0 || known.length < (values?.length ?? 0) ? undefined : known;
}

/** MariaDB's sql_mode ORACLE leaves NULL out where other modes give NULL for the whole. */
function joined(values: readonly Possible[] | undefined, separator: Uint8Array | undefined): Possible {
  const known = allKnown(values);
  if (known === undefined || known.some(({ mayBeNull }) => mayBeNull)) return undefined;
  let all: Uint8Array[][] = [[]];
  let bytes = 0;
  for (const [index, { texts }] of known.entries()) {
    const between = index > 0 && separator !== undefined ? [separator] : [];
    bytes += Math.max(...texts.map(({ length }) => length)) + (separator?.length ?? 0);
    if (all.length * texts.length > TEXTS_MAX || bytes > TEXTS_BYTES_MAX) return undefined;
    const [only] = texts;
    if (texts.length === 1 && only !== undefined) for (const parts of all) parts.push(...between, only);
    else all = all.flatMap((parts) => texts.map((text) => [...parts, ...between, text]));
  }
  return bounded(
    all.map((parts) => Buffer.concat(parts)),
    bytes > NEVER_TOO_LONG,
  );
}

/** SAFETY: what is NULL is left out, and an empty text is NULL in one mode of MariaDB. */
function joinedWithSeparator(values: readonly Possible[] | undefined): Possible {
  const [first, ...rest] = allKnown(values) ?? [];
  const separator = first?.texts[0];
  if (first === undefined || separator === undefined || first.texts.length > 1 || first.mayBeNull) return undefined;
  return rest.some(({ texts }) => texts.some(({ length }) => length === 0)) ? undefined : joined(rest, separator);
}
