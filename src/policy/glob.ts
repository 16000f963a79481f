/** Names and globs: `*` (any run) and `?` (one character). No regular expressions, so no pattern can stall the proxy. */
import { matchesWildcards } from "../base/wildcards.ts";

/** Longest pattern accepted; a match costs at most pattern length times name length steps. */
export const GLOB_LENGTH_MAX = 256;

export interface NameMatcher {
  /** The pattern as written. */
  readonly pattern: string;
  /** True when the name matches. Case is ignored unless the matcher was compiled case sensitive. */
  readonly matches: (name: string) => boolean;
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
  const folded = options.caseSensitive === true ? pattern : pattern.toLowerCase();
  const fold = options.caseSensitive === true ? (name: string) => name : (name: string) => name.toLowerCase();
  if (folded === "*") return { pattern, matches: () => true };
  if (!folded.includes("*") && !folded.includes("?")) {
    return { pattern, matches: (name) => name === folded || fold(name) === folded };
  }
  return { pattern, matches: (name) => matchesWildcards(folded, fold(name), "?") };
}

/** True when any of the matchers matches. An empty list matches nothing. */
export function matchesAny(matchers: readonly NameMatcher[], name: string): boolean {
  for (const matcher of matchers) if (matcher.matches(name)) return true;
  return false;
}
