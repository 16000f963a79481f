/**
 * What an expression of literals comes to, where that is the same on every server and in every sql_mode: integers, texts of
 * digits, TRUE, FALSE and NULL with logic, comparisons, IN, BETWEEN, IS, + - and *. Anything else has no value here.
 */
import { kindSet } from "../lexing/keyword-table.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import type { Tokens } from "../lexing/tokens.ts";
import { COMPARISONS } from "../lexing/word-sets.ts";

/** A text is one of digits. */
type Value = number | string | null;

/** Longer ones are no constants that people or libraries write. Also bounds the recursion. */
const TOKENS_MAX = 64;
const DIGITS_MAX = 15;

/** Whether tokens [from, to) are a condition that is false or NULL, whatever the row; undefined where that is not certain. */
export function isNeverTrue(tokens: ConstantTokens, from: number, to: number): boolean | undefined {
  if (to <= from || to - from > TOKENS_MAX || BEGINS_VALUE[tokens.kinds[from] as number] !== 1) return undefined;
  const reader = new ConstantReader(tokens, from, to);
  const value = reader.any();
  return value === undefined || !reader.isAtEnd ? undefined : truth(value) !== true;
}

/** Whatever has a value here begins with one of these; nearly all conditions begin with a column. */
const BEGINS_VALUE = kindSet(
  [T.MINUS, T.PLUS, T.BANG, T.INTEGER_NUMBER, T.DECIMAL_NUMBER, T.STRING, T.LEFT_PAREN],
  "NOT TRUE FALSE NULL",
);

export type ConstantTokens = Pick<Tokens, "sql" | "kinds" | "starts" | "ends">;

/** One method for each level of the grammar, the loosest first. All are undefined where something has no value here. */
class ConstantReader {
  readonly #tokens: ConstantTokens;
  readonly #to: number;
  #at: number;

  constructor(tokens: ConstantTokens, from: number, to: number) {
    this.#tokens = tokens;
    this.#at = from;
    this.#to = to;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#to;
  }

  /** `||` joins texts in some modes: it is none of the operators. */
  any(): Value | undefined {
    return this.#joined(
      (kind) => kind === K.OR,
      () => this.#exclusive(),
      (a, b) => (a === true || b === true ? true : a === undefined || b === undefined ? undefined : false),
    );
  }

  #exclusive(): Value | undefined {
    return this.#joined(
      (kind) => kind === K.XOR,
      () => this.#all(),
      (a, b) => (a === undefined || b === undefined ? undefined : a !== b),
    );
  }

  #all(): Value | undefined {
    return this.#joined(
      (kind) => kind === K.AND || kind === T.AND_AND,
      () => this.#negation(),
      (a, b) => (a === false || b === false ? false : a === undefined || b === undefined ? undefined : true),
    );
  }

  #joined(
    isOperator: (kind: number) => boolean,
    operand: () => Value | undefined,
    join: (a: boolean | undefined, b: boolean | undefined) => boolean | undefined,
  ): Value | undefined {
    let left = operand();
    while (left !== undefined && isOperator(this.#kind)) {
      this.#at++;
      const right = operand();
      if (right === undefined) return undefined;
      left = asValue(join(truth(left), truth(right)));
    }
    return left;
  }

  /** SAFETY: NOT binds looser or tighter by sql_mode, so that only an operand by itself is negated for certain. */
  #negation(): Value | undefined {
    if (this.#kind !== K.NOT) return this.#comparison();
    this.#at++;
    const operand = this.#primary();
    if (operand === undefined) return undefined;
    const isWhole = this.isAtEnd || ENDS_OPERAND.has(this.#kind);
    return isWhole ? negated(operand) : undefined;
  }

  #comparison(): Value | undefined {
    let left = this.#predicate();
    while (left !== undefined) {
      const operator = this.#kind;
      if (operator === K.IS) {
        this.#at++;
        left = this.#is(left);
      } else if (COMPARISONS[operator] === 1) {
        this.#at++;
        const right = this.#predicate();
        left = right === undefined ? undefined : compared(operator, left, right);
      } else return left;
    }
    return undefined;
  }

  #is(left: Value): Value | undefined {
    const isNegated = this.#takes(K.NOT);
    const asked = this.#kind;
    this.#at++;
    const known = truth(left);
    let holds: boolean;
    if (asked === K.NULL || asked === K.UNKNOWN) holds = left === null;
    else if (asked === K.TRUE) holds = known === true;
    else if (asked === K.FALSE) holds = known === false;
    else return undefined;
    return asValue(holds !== isNegated);
  }

  #predicate(): Value | undefined {
    const left = this.#sum();
    if (left === undefined) return undefined;
    const isNegated = this.#kind === K.NOT;
    const operator = isNegated ? this.#kindBehind : this.#kind;
    if (operator !== K.IN && operator !== K.BETWEEN) return isNegated ? undefined : left;
    this.#at += isNegated ? 2 : 1;
    const value = operator === K.IN ? this.#among(left) : this.#between(left);
    return value === undefined || !isNegated ? value : negated(value);
  }

  #among(left: Value): Value | undefined {
    if (!this.#takes(T.LEFT_PAREN)) return undefined;
    let found: Value | undefined = 0;
    do {
      const item = this.any();
      const isEqual = item === undefined ? undefined : compared(T.EQUAL, left, item);
      if (isEqual === undefined) return undefined;
      if (truth(isEqual) === true) found = 1;
      else if (isEqual === null && found === 0) found = null;
    } while (this.#takes(T.COMMA));
    return this.#takes(T.RIGHT_PAREN) ? found : undefined;
  }

  #between(left: Value): Value | undefined {
    const low = this.#sum();
    if (low === undefined || !this.#takes(K.AND)) return undefined;
    const high = this.#sum();
    if (high === undefined) return undefined;
    const isAbove = compared(T.GREATER_OR_EQUAL, left, low);
    const isBelow = compared(T.LESS_OR_EQUAL, left, high);
    if (isAbove === undefined || isBelow === undefined) return undefined;
    if (truth(isAbove) === false || truth(isBelow) === false) return 0;
    return isAbove === null || isBelow === null ? null : 1;
  }

  #sum(): Value | undefined {
    let left = this.#product();
    while (left !== undefined && (this.#kind === T.PLUS || this.#kind === T.MINUS)) {
      const isPlus = this.#kind === T.PLUS;
      this.#at++;
      const right = this.#product();
      left = right === undefined ? undefined : calculated(left, right, (a, b) => (isPlus ? a + b : a - b));
    }
    return left;
  }

  #product(): Value | undefined {
    let left = this.#signed();
    while (left !== undefined && this.#kind === T.STAR) {
      this.#at++;
      const right = this.#signed();
      left = right === undefined ? undefined : calculated(left, right, (a, b) => a * b);
    }
    return left;
  }

  #signed(): Value | undefined {
    const sign = this.#kind;
    if (sign !== T.MINUS && sign !== T.PLUS && sign !== T.BANG) return this.#primary();
    this.#at++;
    const operand = this.#primary();
    if (operand === undefined || sign === T.PLUS) return operand;
    return sign === T.BANG ? negated(operand) : calculated(0, operand, (_zero, number) => -number);
  }

  #primary(): Value | undefined {
    const token = this.#at++;
    switch (token < this.#to ? this.#tokens.kinds[token] : 0) {
      case K.TRUE:
        return 1;
      case K.FALSE:
        return 0;
      case K.NULL:
        return null;
      case T.INTEGER_NUMBER:
        return numberOf(this.#text(token, 0));
      case T.DECIMAL_NUMBER:
        // Whether 0.4 is true has changed from version to version.
        return Number(this.#text(token, 0)) === 0 ? 0 : undefined;
      case T.STRING: {
        const text = this.#text(token, 1);
        return numberOf(text) === undefined ? undefined : text;
      }
      case T.LEFT_PAREN: {
        const value = this.any();
        return this.#takes(T.RIGHT_PAREN) ? value : undefined;
      }
      default:
        return undefined;
    }
  }

  get #kind(): number {
    return this.#at < this.#to ? (this.#tokens.kinds[this.#at] as number) : 0;
  }

  get #kindBehind(): number {
    return this.#at + 1 < this.#to ? (this.#tokens.kinds[this.#at + 1] as number) : 0;
  }

  #takes(kind: number): boolean {
    if (this.#kind !== kind) return false;
    this.#at++;
    return true;
  }

  /** The token without `quotes` bytes at both ends; empty where it is longer than any number here. */
  #text(token: number, quotes: number): string {
    const { sql, starts, ends } = this.#tokens;
    const bytes = sql.subarray((starts[token] as number) + quotes, (ends[token] as number) - quotes);
    return bytes.length > DIGITS_MAX ? "" : String.fromCharCode(...bytes);
  }
}

const ENDS_OPERAND: ReadonlySet<number> = new Set([K.AND, T.AND_AND, K.OR, K.XOR, T.RIGHT_PAREN, T.COMMA]);

function numberOf(text: string): number | undefined {
  if (text === "") return undefined;
  for (const character of text) if (character < "0" || character > "9") return undefined;
  return Number(text);
}

/** undefined for NULL. */
function truth(value: Value): boolean | undefined {
  return value === null ? undefined : Number(value) !== 0;
}

function asValue(isTrue: boolean | undefined): Value {
  return isTrue === undefined ? null : isTrue ? 1 : 0;
}

function negated(value: Value): Value {
  const isTrue = truth(value);
  return asValue(isTrue === undefined ? undefined : !isTrue);
}

function calculated(a: Value, b: Value, operation: (a: number, b: number) => number): Value | undefined {
  if (a === null || b === null) return null;
  if (typeof a === "string" || typeof b === "string") return undefined;
  const result = operation(a, b);
  return Number.isSafeInteger(result) ? result : undefined;
}

/** Texts are equal or not; their order is a collation's. */
function compared(operator: number, a: Value, b: Value): Value | undefined {
  if (operator === T.NULL_SAFE_EQUAL && (a === null || b === null)) return asValue(a === b);
  if (a === null || b === null) return null;
  const areTexts = typeof a === "string" && typeof b === "string";
  const [left, right] = areTexts ? [a, b] : [Number(a), Number(b)];
  if (operator === T.EQUAL || operator === T.NULL_SAFE_EQUAL) return asValue(left === right);
  if (operator === T.NOT_EQUAL) return asValue(left !== right);
  if (areTexts) return undefined;
  if (operator === T.LESS) return asValue(left < right);
  if (operator === T.LESS_OR_EQUAL) return asValue(left <= right);
  if (operator === T.GREATER) return asValue(left > right);
  return operator === T.GREATER_OR_EQUAL ? asValue(left >= right) : undefined;
}
