/**
 * The word ASYNC, which PostgreSQL's grammar does not have: CREATE [UNIQUE] INDEX ASYNC and ALTER TABLE ASYNC. It is taken out
 * before the parser reads the text, and blanks take its place, so that all other places stay.
 */
import { type Lexer, TOKEN } from "../lexing/lexer.ts";

export interface AsyncText {
  readonly text: Uint8Array;
  /** Bytes at which the word stood. */
  readonly places: readonly number[];
}

/** Undefined where the text that `lexer` has just read has no such word. */
export function withoutAsync(lexer: Lexer): AsyncText | undefined {
  const { sql, starts, ends, count } = lexer;
  const places: number[] = [];
  let text: Uint8Array | undefined;
  for (let token = 0; token < count; token++) {
    if (!isAt(lexer, token, "async") || !isBehindItsWords(lexer, token)) continue;
    text ??= sql.slice();
    text.fill(BLANK, starts[token], ends[token]);
    places.push(starts[token] as number);
  }
  return text === undefined ? undefined : { text, places };
}

const BLANK = 32;
const SEMICOLON = 59;

function isBehindItsWords(lexer: Lexer, token: number): boolean {
  if (isAt(lexer, token - 1, "table")) return isAt(lexer, token - 2, "alter") && isBegin(lexer, token - 2);
  if (!isAt(lexer, token - 1, "index")) return false;
  const create = isAt(lexer, token - 2, "unique") ? token - 3 : token - 2;
  return isAt(lexer, create, "create") && isBegin(lexer, create);
}

function isBegin({ kinds, sql, starts }: Lexer, token: number): boolean {
  if (token === 0) return true;
  return kinds[token - 1] === TOKEN.PUNCTUATION && sql[starts[token - 1] as number] === SEMICOLON;
}

/** Letters of ASCII only: the words are. */
function isAt({ kinds, sql, starts, ends, count }: Lexer, token: number, word: string): boolean {
  if (token < 0 || token >= count || kinds[token] !== TOKEN.WORD) return false;
  const start = starts[token] as number;
  if ((ends[token] as number) - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (((sql[start + i] as number) | 0x20) !== word.charCodeAt(i)) return false;
  return true;
}
