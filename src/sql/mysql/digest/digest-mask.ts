/**
 * Digests without passwords. A digest has no literals, but a password that is written without quotes, or in quotes that the
 * server does not take for those of a string, stands in it as a name.
 */
import type { StatementKind } from "../../facts.ts";
import { mayNameSecret } from "./secrets.ts";

const BLANK = 32;
const BACKTICK = 96;

/** Behind these a name may be a password. */
const BEFORE_PASSWORD: ReadonlySet<string> = new Set(["BY", "PASSWORD", "=", "AS", "USING", "REPLACE", "?"]);

/**
 * A statement's digest without names that may be secrets. `isUncertain`: it may be read in several ways, so that what is
 * a name in one is a string in another; then no name is kept.
 */
export function maskDigest(digest: string, kinds: readonly StatementKind[], isUncertain: boolean): string {
  if (!isUncertain && !mayNameSecret(kinds)) return digest;
  let masked = "";
  let before = "";
  for (let at = 0; at < digest.length; ) {
    const end = digest.charAt(at) === "`" ? nameEnd(digest, at) : wordEnd(digest, at);
    const token = digest.slice(at, end);
    const isHidden = token.startsWith("`") && (isUncertain || BEFORE_PASSWORD.has(before));
    masked += isHidden ? "?" : token;
    if (token !== " " && token !== "(") before = isHidden ? "?" : token;
    at = end;
  }
  return masked;
}

/** Behind the closing backtick; doubled ones belong to the name. */
function nameEnd(text: string, start: number): number {
  for (let at = start + 1; ; at += 2) {
    const close = text.indexOf("`", at);
    if (close < 0) return text.length;
    if (text.charAt(close + 1) !== "`") return close + 1;
    at = close;
  }
}

/** Looks no further than the word goes: to search for what ends it would read the whole text for every word. */
function wordEnd(text: string, start: number): number {
  let at = start + 1;
  if (text.charCodeAt(start) === BLANK) return at;
  while (at < text.length && text.charCodeAt(at) !== BLANK && text.charCodeAt(at) !== BACKTICK) at++;
  return at;
}
