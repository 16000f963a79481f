/** Names and globs: `*` (any run) and `?` (one character). No regular expressions, so no pattern can stall the proxy. */
import { UNKNOWN_TEXT } from "../base/characters.ts";
import { matchesWildcards } from "../base/wildcards.ts";
import { foldName, lowerAscii, mayMatchName } from "../sql/mysql/names/names.ts";

/** Longest pattern accepted; a match costs at most pattern length times name length steps. */
export const GLOB_LENGTH_MAX = 256;

export interface NameMatcher {
  /** The pattern as written. */
  readonly pattern: string;
  /** True when the name is surely meant; the case of ASCII letters is ignored unless compiled case sensitive. */
  readonly matches: (name: string) => boolean;
  /** The same where the case of letters counts. SAFETY: what permits tables and schemas asks this of servers that have not said otherwise. */
  readonly matchesAsWritten: (name: string) => boolean;
  /** True when some server might take the name for one that is meant. SAFETY: what denies asks this. */
  readonly mayMatch: (name: string) => boolean;
}

interface GlobOptions {
  readonly caseSensitive?: boolean;
}

/**
 * Compiles one pattern. `*` also matches nothing and crosses dots.
 * Throws RangeError when the pattern is empty, longer than GLOB_LENGTH_MAX or holds a control character.
 */
export function compileGlob(pattern: string, options: GlobOptions = {}): NameMatcher {
  if (pattern.length === 0) throw new RangeError("Cannot use an empty pattern");
  if (pattern.length > GLOB_LENGTH_MAX) {
    throw new RangeError(`Cannot use a pattern of ${pattern.length} characters: the limit is ${GLOB_LENGTH_MAX}`);
  }
  for (let index = 0; index < pattern.length; index++) {
    if (pattern.charCodeAt(index) < 0x20) throw new RangeError("Cannot use a pattern with a control character");
  }
  if (pattern === "*") return { pattern, matches: ALWAYS, matchesAsWritten: ALWAYS, mayMatch: ALWAYS };
  const folded = foldName(pattern);
  const matchesAsWritten = literally(pattern);
  return {
    pattern,
    matches: options.caseSensitive === true ? matchesAsWritten : inLowerCase(pattern),
    matchesAsWritten,
    mayMatch: (name) => name === pattern || mayMatchName(folded, name),
  };
}

const ALWAYS = (): boolean => true;

function hasWildcards(pattern: string): boolean {
  return pattern.includes("*") || pattern.includes("?");
}

/** SAFETY: a name that could not be read in full is surely nothing but `*`. */
function literally(pattern: string): (name: string) => boolean {
  if (!hasWildcards(pattern)) return (name) => name === pattern;
  return (name) => matchesWildcards(pattern, name, "?") && !name.includes(UNKNOWN_TEXT);
}

function inLowerCase(pattern: string): (name: string) => boolean {
  const lower = lowerAscii(pattern);
  if (!hasWildcards(pattern)) return (name) => name.length === lower.length && lowerAscii(name) === lower;
  const matches = literally(lower);
  return (name) => matches(name) || matches(lowerAscii(name));
}

/** True when any of the matchers matches. An empty list matches nothing. */
export function matchesAny(matchers: readonly NameMatcher[], name: string): boolean {
  for (const matcher of matchers) if (matcher.matches(name)) return true;
  return false;
}
