/**
 * The tokens of a schema file in MySQL's SQL, as mysqldump and people write it. For the reading of files offline: what decides
 * about statements of clients is read by src/sql/mysql.
 */

export interface DdlToken {
  /** `word`: without quotes; `name`: in backticks; `text`: in quotes, decoded; `number`; `mark`: one character of any other kind. */
  readonly kind: "word" | "name" | "text" | "number" | "mark";
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", b: "\b", "0": "\0", Z: "\x1a" };

const WORD = /[A-Za-z0-9_$@\u0080-\uffff]/;
const NUMBER = /^\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i;

/** Statements as lists of tokens. DELIMITER of the mysql program is followed. Linear in the text. */
export function* ddlStatements(text: string): Generator<readonly DdlToken[]> {
  let tokens: DdlToken[] = [];
  let delimiter = ";";
  let at = 0;
  while (at < text.length) {
    const skipped = skipBlank(text, at);
    if (skipped > at) {
      at = skipped;
      continue;
    }
    const command = tokens.length === 0 ? delimiterAt(text, at) : undefined;
    if (command !== undefined) {
      delimiter = command.delimiter;
      at = command.end;
      continue;
    }
    if (text.startsWith(delimiter, at)) {
      if (tokens.length > 0) yield tokens;
      tokens = [];
      at += delimiter.length;
      continue;
    }
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.end;
  }
  if (tokens.length > 0) yield tokens;
}

/** Behind blanks and comments. Of an executable comment only its marks are skipped: what is in it is read. */
function skipBlank(text: string, at: number): number {
  const character = text[at] as string;
  if (/\s/.test(character)) return at + 1;
  if (character === "#" || /^--(?:\s|$)/.test(text.slice(at, at + 3))) return lineEnd(text, at);
  if (text.startsWith("*/", at)) return at + 2;
  if (!text.startsWith("/*", at)) return at;
  if (text[at + 2] === "!" || text.startsWith("/*M!", at)) {
    let end = at + (text[at + 2] === "!" ? 3 : 4);
    while (/\d/.test(text[end] ?? "")) end++;
    return end;
  }
  const end = text.indexOf("*/", at + 2);
  return end < 0 ? text.length : end + 2;
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end + 1;
}

function delimiterAt(text: string, at: number): { readonly delimiter: string; readonly end: number } | undefined {
  if (!/^delimiter\s/i.test(text.slice(at, at + 10))) return undefined;
  const end = lineEnd(text, at);
  const delimiter = text.slice(at + 9, end).trim();
  return { delimiter: delimiter === "" ? ";" : delimiter, end };
}

function tokenAt(text: string, start: number): DdlToken {
  const first = text[start] as string;
  if (first === "`" || first === "'" || first === '"') return quotedAt(text, start, first);
  let end = start;
  while (end < text.length && WORD.test(text[end] as string)) end++;
  if (end === start) return { kind: "mark", text: first, start, end: start + 1 };
  if (/^\d+$/.test(text.slice(start, end)) && text[end] === "." && /\d/.test(text[end + 1] ?? "")) {
    end++;
    while (/[\dEe]/.test(text[end] ?? "")) end++;
  }
  const word = text.slice(start, end);
  return { kind: NUMBER.test(word) ? "number" : "word", text: word, start, end };
}

function quotedAt(text: string, start: number, quote: string): DdlToken {
  const kind = quote === "`" ? "name" : "text";
  let value = "";
  let at = start + 1;
  while (at < text.length) {
    const character = text[at] as string;
    if (character === "\\" && kind === "text") {
      const next = text[at + 1] ?? "";
      value += ESCAPES[next] ?? next;
      at += 2;
    } else if (character !== quote) {
      value += character;
      at++;
    } else if (text[at + 1] === quote) {
      value += quote;
      at += 2;
    } else {
      return { kind, text: value, start, end: at + 1 };
    }
  }
  return { kind, text: value, start, end: text.length };
}
