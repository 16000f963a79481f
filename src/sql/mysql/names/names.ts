/**
 * How servers compare names: the only place that folds them. A denial asks mayBeSameName(), the widest folding of any
 * server in any kind of name; a permission asks isSameName(), which is true only where every server agrees.
 *
 * Measured on MySQL 9.7, MariaDB 10.11 and 11.8 for every character of the basic plane (bench/names.ts prints the table;
 * test/e2e/names.test.ts asks by effect for a sample of it on the first two):
 * - MySQL compares system and user variables, prepared statements and routines, with the schemas of routines, by
 *   utf8mb3_general_ci: `sql_lög_bin` is sql_log_bin, and but for routines blanks at the end do not count.
 * - MariaDB compares routines so. In other kinds its names must have the same number of bytes besides.
 * - Both compare columns by lower case: `İ` is `i`, `K` (U+212A) is `k`. MariaDB's common table expressions likewise.
 * - MySQL compares the tables of information_schema by upper case: `ſ` is `s`.
 * - Tables, schemas and aliases are as they are written where lower_case_table_names is 0, and by lower case elsewhere.
 * - Built-in functions, keywords and the names of character sets and modes differ in the case of ASCII letters only.
 * - MySQL takes every character beyond the basic plane for `?`; MariaDB refuses it.
 */
import { UNKNOWN_TEXT } from "../../../base/characters.ts";
import { matchesWildcards } from "../../../base/wildcards.ts";
import { SAME_LETTERS } from "./name-table.ts";

const SPACE = 32;
const UPPER_A = 65;
const UPPER_Z = 90;
const LOWER_A = 97;
const LOWER_Z = 122;

/**
 * The name that stands for all that some server might take for the same one. Bytes that could not be read stay as
 * UNKNOWN_TEXT in it: compare such names with mayBeSameName() or mayMatchName() only.
 */
export function foldName(name: string): string {
  let isFolded = true;
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code > 0x7f) return foldWide(name);
    if (code === SPACE || (code >= UPPER_A && code <= UPPER_Z)) isFolded = false;
  }
  return isFolded ? name : withoutBlanks(name).toLowerCase();
}

function withoutBlanks(name: string): string {
  let end = name.length;
  while (end > 0 && name.charCodeAt(end - 1) === SPACE) end--;
  return end === name.length ? name : name.slice(0, end);
}

let letters: ReadonlyMap<string, string> | undefined;

/** What stands for each letter that has others beside it. */
function lettersOf(): ReadonlyMap<string, string> {
  if (letters !== undefined) return letters;
  const table = new Map(Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (letter) => [letter, letter.toLowerCase()]));
  for (const line of SAME_LETTERS) {
    for (const [first = "", ...others] of line.split(" ")) for (const other of others) table.set(other, first);
  }
  letters = table;
  return table;
}

function foldWide(name: string): string {
  const table = lettersOf();
  let folded = "";
  for (const character of name) folded += isBeyond(character) ? "?" : (table.get(character) ?? character);
  return withoutBlanks(folded);
}

/** Whether the character is beyond the basic plane, or half of one that is. */
function isBeyond(character: string): boolean {
  return character.length > 1 || (character >= "\ud800" && character <= "\udfff");
}

/**
 * Whether some server might take the two for one name. What could not be read might be anything.
 * SAFETY: for denials. A permission asks isSameName().
 */
export function mayBeSameName(left: string, right: string): boolean {
  if (left === right) return true;
  const folded = foldName(left);
  const other = foldName(right);
  return folded === other || (isPartlyUnknown(folded, other) && mayFit(signsOf(folded), signsOf(other)));
}

/** Whether every server takes the two for one name, tables, schemas, aliases and accounts excepted: ASCII's case alone. */
export function isSameName(left: string, right: string): boolean {
  return !left.includes(UNKNOWN_TEXT) && (left === right || lowerAscii(left) === lowerAscii(right));
}

/** What may be any name. No name is empty. */
export const ANY_NAME = "";

/** Names with different keys are surely different, unless one is ANY_NAME: the key of a name that is not known in full. */
export function nameKey(name: string | undefined): string {
  const folded = name === undefined ? ANY_NAME : foldName(name);
  return folded.includes(UNKNOWN_TEXT) ? ANY_NAME : folded;
}

/** Names that may be meant by others. */
export class NameSet {
  readonly #keys = new Set<string>();

  add(name: string): void {
    this.#keys.add(nameKey(name));
  }

  mayHave(name: string): boolean {
    if (this.#keys.size === 0) return false;
    const key = nameKey(name);
    return key === ANY_NAME || this.#keys.has(key) || this.#keys.has(ANY_NAME);
  }
}

/** The one of the names, which are as foldName() makes them, that some server might mean by `name`. */
export function possibleName(
  names: ReadonlySet<string> | ReadonlyMap<string, unknown>,
  name: string,
): string | undefined {
  const folded = foldName(name);
  if (names.has(folded)) return folded;
  if (!folded.includes(UNKNOWN_TEXT)) return undefined;
  for (const candidate of names.keys()) if (mayBeSameName(candidate, folded)) return candidate;
  return undefined;
}

/**
 * Whether a pattern that foldName() has folded might mean the name, `*` being any characters and `?` any one. What folds
 * to `?` becomes that sign in the pattern, which matches it.
 */
export function mayMatchName(pattern: string, name: string): boolean {
  const folded = foldName(name);
  if (!isPartlyUnknown(pattern, folded)) return matchesWildcards(pattern, folded, "?");
  return mayFit(signsOf(pattern, true), signsOf(folded));
}

export function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** ASCII letters in lower case, all others as they are. */
export function lowerAscii(text: string): string {
  if (!hasAny(text, UPPER_A, UPPER_Z)) return text;
  return isAscii(text) ? text.toLowerCase() : text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** ASCII letters in upper case, all others as they are. */
export function upperAscii(text: string): string {
  if (!hasAny(text, LOWER_A, LOWER_Z)) return text;
  return isAscii(text) ? text.toUpperCase() : text.replace(/[a-z]/g, (letter) => letter.toUpperCase());
}

function hasAny(text: string, first: number, last: number): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= first && code <= last) return true;
  }
  return false;
}

const isPartlyUnknown = (a: string, b: string): boolean => a.includes(UNKNOWN_TEXT) || b.includes(UNKNOWN_TEXT);

/** Names that are compared sign by sign; servers refuse names of more than 64 characters, aliases of more than 256. */
const COMPARED_MAX = 512;

/** In place of a character: any run of characters, and any one. */
const RUN = -1;
const ANY = -2;

function signsOf(text: string, isPattern = false): number[] {
  return Array.from({ length: text.length }, (_, at) => {
    const sign = text[at];
    if (sign === UNKNOWN_TEXT || (isPattern && sign === "*")) return RUN;
    return isPattern && sign === "?" ? ANY : text.charCodeAt(at);
  });
}

/** Whether some text fits both. Takes time by the product of both lengths. */
function mayFit(a: readonly number[], b: readonly number[]): boolean {
  if (a.length > COMPARED_MAX || b.length > COMPARED_MAX) return true;
  // fits[j]: whether some text fits what has been seen of `a` and the first j signs of `b`.
  let fits: boolean[] = [true];
  for (let j = 0; j < b.length; j++) fits.push(fits[j] === true && b[j] === RUN);
  for (const sign of a) {
    const next: boolean[] = [fits[0] === true && sign === RUN];
    for (let j = 0; j < b.length; j++) {
      const other = b[j];
      const isRun = sign === RUN || other === RUN;
      const isOne = sign === other || sign === ANY || other === ANY;
      const fitsRun = isRun && (fits[j + 1] === true || next[j] === true);
      next.push(fitsRun || (fits[j] === true && (isOne || isRun)));
    }
    fits = next;
  }
  return fits[b.length] === true;
}
