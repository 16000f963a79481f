/**
 * A prepared text with its values put in: what the server will carry out, in the one form that all rules read. A bound
 * value is judged as the same literal would be, so that a statement cannot do by parameter what it may not do by text.
 */

import { type BoundValue, type MysqlContext, SQL_MODE } from "../../facts.ts";
import { charsetRules } from "../lexing/character-classes.ts";
import { COUNT, type ParameterPlaces, PLAIN, WEIGHTY } from "./parameter-places.ts";

/** Of a value in a row statement only the beginning decides anything. */
const ROW_VALUE_BYTES_MAX = 256;
export const VALUE_BYTES_MAX = 65_536;
/** All values together; those after it stay parameters. */
const VALUES_BYTES_MAX = 1_048_576;

/**
 * The text with the values that a rule may depend on as literals; `isEvery` also puts in those that only a rule naming
 * values asks for. A value that is not known, or too long to matter as a whole, stays a parameter.
 */
export function bindValues(
  sql: Uint8Array,
  places: ParameterPlaces,
  values: readonly BoundValue[],
  context: MysqlContext,
  isEvery: boolean,
): Uint8Array {
  const quote = quotingFor(context);
  const parts: Uint8Array[] = [];
  let from = 0;
  let bytesLeft = VALUES_BYTES_MAX;
  places.offsets.forEach((offset, index) => {
    const role = places.roles[index] as number;
    if (role === PLAIN && !isEvery) return;
    const literal = role === COUNT ? renderCount(values[index]) : renderLiteral(values[index], role, places, quote);
    if (literal === undefined || literal.length > bytesLeft) return;
    bytesLeft -= literal.length;
    parts.push(sql.subarray(from, offset), SPACE, literal, SPACE);
    from = offset + 1;
  });
  parts.push(sql.subarray(from));
  return Buffer.concat(parts);
}

/**
 * The text with all values as literals, so that a server plans it as it would the execution; undefined where a value or
 * the way to write it is not certain.
 */
export function bindExactly(
  sql: Uint8Array,
  { offsets, roles }: ParameterPlaces,
  values: readonly BoundValue[],
  context: MysqlContext,
): Uint8Array | undefined {
  const { sqlMode, charset } = context;
  if (sqlMode === "unknown" || charset === "unknown" || charsetRules(charset).multiByte !== "none") return undefined;
  const quote = quotingFor(context);
  const parts: Uint8Array[] = [];
  let from = 0;
  let bytesLeft = VALUES_BYTES_MAX;
  for (const [index, offset] of offsets.entries()) {
    const value = values[index];
    const literal = roles[index] === COUNT ? renderCount(value) : renderLiteral(value, PLAIN, WHOLE, quote);
    if (literal === undefined || literal.length > bytesLeft) return undefined;
    bytesLeft -= literal.length;
    parts.push(sql.subarray(from, offset), SPACE, literal, SPACE);
    from = offset + 1;
  }
  parts.push(sql.subarray(from));
  return Buffer.concat(parts);
}

/** Nothing may be cut. */
const WHOLE = { areRows: false };

/** So that a literal cannot grow together with the tokens beside it. */
const SPACE = Uint8Array.of(0x20);
const COUNT_DIGITS_MAX = 20;

/** Servers take a number, or text that is one. */
function renderCount(value: BoundValue): Uint8Array | undefined {
  if (value === null || value === undefined) return undefined;
  const text = typeof value === "object" ? Buffer.from(value.subarray(0, 64)).toString("latin1") : String(value);
  const isCount = text.length <= COUNT_DIGITS_MAX && text !== "" && [...text].every((c) => c >= "0" && c <= "9");
  return isCount ? Buffer.from(text, "latin1") : undefined;
}

export type Quoting = (bytes: Uint8Array) => Uint8Array;

function renderLiteral(
  value: BoundValue,
  role: number,
  { areRows }: Pick<ParameterPlaces, "areRows">,
  quote: Quoting,
): Uint8Array | undefined {
  if (value === undefined) return undefined;
  if (value === null) return NULL_TEXT;
  if (typeof value === "number") return Number.isFinite(value) ? Buffer.from(String(value), "latin1") : undefined;
  if (typeof value === "bigint") return Buffer.from(String(value), "latin1");
  const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  if (bytes.length <= (areRows ? ROW_VALUE_BYTES_MAX : VALUE_BYTES_MAX)) return quote(bytes);
  return areRows && role === WEIGHTY ? quote(bytes.subarray(0, ROW_VALUE_BYTES_MAX)) : undefined;
}

const NULL_TEXT = Buffer.from("NULL", "latin1");
const SINGLE_QUOTE = 0x27;
const BACKSLASH = 0x5c;
/** Stands for a byte that would be read in two ways. No sensible value holds it. */
const NEUTRAL = 0x01;

/** How text is written so that every reading under the context takes it for one literal. */
export function quotingFor({ sqlMode, charset }: MysqlContext): Quoting {
  const isModeKnown = sqlMode !== "unknown";
  const escapesBackslash = isModeKnown && (sqlMode & SQL_MODE.NO_BACKSLASH_ESCAPES) === 0;
  const isCharsetPlain = charset !== "unknown" && charsetRules(charset).multiByte === "none";
  return (bytes) => {
    const quoted = new Uint8Array(bytes.length * 2 + 2);
    let length = 0;
    quoted[length++] = SINGLE_QUOTE;
    for (const byte of bytes) {
      const isDoubtful = (byte === BACKSLASH && !isModeKnown) || (byte >= 0x80 && !isCharsetPlain);
      if (byte === SINGLE_QUOTE || (byte === BACKSLASH && escapesBackslash)) quoted[length++] = byte;
      quoted[length++] = isDoubtful ? NEUTRAL : byte;
    }
    quoted[length++] = SINGLE_QUOTE;
    return quoted.subarray(0, length);
  };
}
