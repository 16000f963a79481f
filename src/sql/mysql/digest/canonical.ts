/** The text of a statement as our lexer understood it, for a parser that would lex it otherwise. */

import * as K from "../lexing/keywords.ts";
import type { Lexer } from "../lexing/lexer.ts";
import * as T from "../lexing/token-kinds.ts";
import { TokenText } from "../lexing/token-text.ts";
import { foldName } from "../names/names.ts";

/** Nesting beyond this takes node-sql-parser seconds to years: measured per construct. */
const PARENS_MAX = 60;
const CASTS_MAX = 2;
const TRIMS_MAX = 6;
const SUBQUERIES_MAX = 6;

export interface CanonicalText {
  readonly sql: string;
  /** Every name in the text, as foldName() makes it: whatever else the parser takes for a name is a word of the language. */
  readonly names: ReadonlySet<string>;
}

/**
 * Comments gone, code of executable comments in the open, names in backticks, literals without content. `undefined` when
 * the text is longer than `bytesMax` then, or nested so that the parser might hang.
 */
export function canonicalText(lexer: Lexer, bytesMax: number): CanonicalText | undefined {
  if (!isShallow(lexer)) return undefined;
  const text = new TokenText({ ...lexer, roles: NO_ROLES, clauses: NO_ROLES }, TEXT_RULES);
  const words: string[] = [];
  const names = new Set<string>();
  let length = 0;
  for (let i = 0; i < lexer.count; i++) {
    const word = canonicalWord(lexer, text, i);
    if (word === undefined) return undefined;
    if (word === "") continue;
    length += word.length + 1;
    if (length > bytesMax) return undefined;
    words.push(word);
    if (isName(lexer.kinds[i] as number)) names.add(foldName(text.name(i)));
  }
  return { sql: words.join(" "), names };
}

function isName(kind: number): boolean {
  return kind === T.IDENTIFIER || kind === T.QUOTED_IDENTIFIER;
}

/** Another parser reads the text as UTF-8. */
const TEXT_RULES = { backslashEscapes: true, characterSet: "utf8mb4" } as const;

const NO_ROLES = new Uint8Array(0);

/** Counts how deep the constructs nest that the parser cannot take. */
function isShallow(lexer: Lexer): boolean {
  const open: number[] = [];
  const counts = { casts: 0, trims: 0, queries: 0 };
  const count = (kind: number, by: 1 | -1) => {
    if (kind === K.CAST || kind === K.CONVERT) counts.casts += by;
    else if (kind === K.TRIM) counts.trims += by;
    else if (kind === K.SELECT) counts.queries += by;
  };
  for (let i = 0; i < lexer.count; i++) {
    const kind = lexer.kinds[i];
    if (kind === T.LEFT_PAREN) {
      const before = lexer.kinds[i - 1] ?? 0;
      const after = lexer.kinds[i + 1] === K.SELECT ? K.SELECT : before;
      open.push(after);
      count(after, 1);
    } else if (kind === T.RIGHT_PAREN) count(open.pop() ?? 0, -1);
    if (open.length > PARENS_MAX || counts.casts > CASTS_MAX) return false;
    if (counts.trims > TRIMS_MAX || counts.queries > SUBQUERIES_MAX) return false;
  }
  return true;
}

function canonicalWord(lexer: Lexer, text: TokenText, token: number): string | undefined {
  const kind = lexer.kinds[token] as number;
  const before = token > 0 ? lexer.kinds[token - 1] : 0;
  switch (kind) {
    case T.ERROR:
    case T.DOLLAR_STRING:
    case T.HINT_START:
      return undefined;
    case T.IDENTIFIER:
    case T.QUOTED_IDENTIFIER:
      return canonicalName(lexer, text, token);
    case T.STRING:
    case T.NATIONAL_STRING:
      return before === T.STRING || before === T.NATIONAL_STRING ? "" : "'x'";
    case T.HEX_LITERAL:
    case T.BIT_LITERAL:
      return "0";
    case T.INTEGER_NUMBER:
    case T.DECIMAL_NUMBER:
      return text.raw(token);
    case T.FLOAT_NUMBER:
      return "1.5";
    case T.CHARSET_INTRODUCER:
    case T.HOSTNAME:
      return "";
    case T.AT:
    case T.AT_AT:
      return "@v";
    default:
      return kind >= K.KEYWORD_FIRST
        ? text.upper(token)
        : (T.SPELLINGS.get(kind) ?? (kind === T.PARAMETER ? "?" : undefined));
  }
}

function canonicalName(lexer: Lexer, text: TokenText, token: number): string | undefined {
  // The name of a variable has been printed with its at sign.
  if (lexer.kinds[token - 1] === T.AT || lexer.kinds[token - 1] === T.AT_AT) return "";
  const name = text.name(token);
  if (name.includes("`") || name === "") return undefined;
  const isCall = lexer.kinds[token + 1] === T.LEFT_PAREN && lexer.kinds[token] === T.IDENTIFIER;
  return isCall ? name : `\`${name}\``;
}
