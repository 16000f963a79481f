/**
 * Which values of a statement's parameters are the same to every rule. A value that is compared with a column, or stored in
 * one, as a whole matters to rules that name values only: it is one of theirs, or of no more account than any other that
 * is written alike. All other values are of a class of their own.
 */
import type { BoundValue } from "../../sql/facts.ts";
import { type ParameterPlaces, PLAIN } from "../../sql/mysql/dynamic/parameter-places.ts";

/** Longer ones are not looked into: what is bound to places may be cut, or left out. */
const CLASSED_BYTES_MAX = 200;
const CLASSED_PARAMETERS_MAX = 256;

/**
 * Two executions of one class have one verdict; undefined where that cannot be said of any other. `named` are the values
 * that rules name, in the spelling of the policy.
 */
export function classOfValues(
  { roles }: ParameterPlaces,
  values: readonly BoundValue[],
  named: ReadonlySet<string>,
): string | undefined {
  if (values.length > CLASSED_PARAMETERS_MAX) return undefined;
  let all = "";
  for (let index = 0; index < values.length; index++) {
    if (roles[index] !== PLAIN) return undefined;
    const one = classOf(values[index], named);
    if (one === undefined) return undefined;
    all += one;
  }
  return all;
}

function classOf(value: BoundValue, named: ReadonlySet<string>): string | undefined {
  if (value === undefined) return "?";
  if (value === null) return "0";
  if (typeof value === "number" || typeof value === "bigint") return classOfNumber(value, named);
  const text = typeof value === "string" ? value : textOf(value);
  if (text === undefined || !isPlainText(text)) return undefined;
  return named.has(text) ? `=${text};` : "s";
}

/** Whole numbers alone: what others are written like is not asked here. */
function classOfNumber(value: number | bigint, named: ReadonlySet<string>): string | undefined {
  if (typeof value === "number" && !Number.isSafeInteger(value)) return undefined;
  // 1 and 0 are like no other, other rules know them as conditions.
  if (value < 2 && value > -2) return undefined;
  const isNegative = value < 0;
  const digits = String(isNegative ? -value : value);
  if (named.has(digits) || named.has(`-${digits}`)) return `${isNegative ? "-" : "+"}${digits};`;
  return isNegative ? "-" : "+";
}

function textOf(bytes: Uint8Array): string | undefined {
  return bytes.length > CLASSED_BYTES_MAX ? undefined : Buffer.from(bytes).toString("latin1");
}

/**
 * Letters, digits and the marks of dates and addresses, which are the same in all character sets: nothing that is quoted or
 * lexed apart, and no semicolon, which ends a class.
 */
function isPlainText(text: string): boolean {
  if (text.length === 0 || text.length > CLASSED_BYTES_MAX) return false;
  for (let at = 0; at < text.length; at++) if (PLAIN_CHARACTERS[text.charCodeAt(at)] !== 1) return false;
  return true;
}

const PLAIN_CHARACTERS = new Uint8Array(0x10000);
for (const character of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.,:@+/") {
  PLAIN_CHARACTERS[character.charCodeAt(0)] = 1;
}
