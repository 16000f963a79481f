/**
 * The digest of a text and the key of its verdict. Both are ours: the parser's library has a fingerprint that is the same for
 * different statements, and a normalised text in which literals are left.
 */
import type { PostgresqlContext } from "../facts.ts";
import { KEYWORDS } from "./lexing/keywords.ts";
import { Lexer, MARK, TOKEN } from "./lexing/lexer.ts";
import { classOf, NAMED_ARGUMENTS, REWRITES_BY_QUERY, SQL_ARGUMENTS } from "./walk/function-classes.ts";
import { quoteName } from "./walk/names.ts";

/** The server cuts names there. */
const NAME_BYTES = 63;

const isString = (kind: number): boolean => kind >= TOKEN.STRING && kind <= TOKEN.DOLLAR_STRING;
const isNumber = (kind: number): boolean => kind === TOKEN.INTEGER || kind === TOKEN.DECIMAL;
const isLiteral = (kind: number): boolean => isString(kind) || isNumber(kind);

/** Behind these words a name may be a password that somebody forgot to quote: the server refuses it, and logs remember. */
const BEFORE_SECRETS: ReadonlySet<string> = new Set(["password", "connection"]);

/**
 * The tokens with a blank between each two, words in small letters, literals as `?`, lists of them as `...`, without
 * comments. SAFETY: no literal is in it, whatever the text is.
 */
export function digestOf(lexer: Lexer): string {
  const parts: string[] = [];
  let before = "";
  for (let token = 0; token < lexer.count; token++) {
    const text =
      BEFORE_SECRETS.has(before) && lexer.kinds[token] === TOKEN.WORD && !AFTER_SECRETS.has(wordAt(lexer, token))
        ? "?"
        : printed(lexer, token);
    before = text;
    // A semicolon at the end is no part of the statement.
    if (text === ";" && token === lexer.count - 1) break;
    parts.push(text);
    collapse(parts);
  }
  return parts.join(" ");
}

/** Words that follow PASSWORD or CONNECTION by the grammar. */
const AFTER_SECRETS: ReadonlySet<string> = new Set([
  "null",
  "limit",
  "from",
  "to",
  "is",
  "and",
  "or",
  "in",
  "like",
  "as",
  "text",
  "varchar",
  "not",
  "set",
  "where",
]);

function printed(lexer: Lexer, token: number): string {
  const kind = lexer.kinds[token] as number;
  if (isLiteral(kind)) return "?";
  if (kind === TOKEN.WORD) return wordAt(lexer, token);
  const text = lexer.textAt(token);
  if (kind !== TOKEN.QUOTED_NAME) return kind === TOKEN.OTHER ? "?" : text;
  const name = quotedNameAt(lexer, token);
  // Without quotes it would be the keyword, in a statement that does something else.
  return KEYWORDS.has(name) ? `"${name}"` : quoteName(name);
}

/** Decoded, and cut as the server does it. */
function quotedNameAt(lexer: Lexer, token: number): string {
  const text = lexer.textAt(token);
  return cutName(text.slice(1, text.endsWith('"') && text.length > 1 ? -1 : undefined).replaceAll('""', '"'));
}

/** Folded and cut as the server does it. */
function wordAt(lexer: Lexer, token: number): string {
  const text = lexer.textAt(token);
  const isAscii = (lexer.marks & MARK.HIGH) === 0;
  return cutName(isAscii ? text.toLowerCase() : text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
}

function cutName(name: string): string {
  if (name.length <= NAME_BYTES / 3) return name;
  const bytes = Buffer.from(name);
  if (bytes.length <= NAME_BYTES) return name;
  let end = NAME_BYTES;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

/** `? , ?` becomes `...`, and so does `( ... ) , ( ... )`. */
function collapse(parts: string[]): void {
  const { length } = parts;
  const last = parts[length - 1];
  if (last === "?" && parts[length - 2] === "," && isListEnd(parts[length - 3])) parts.splice(length - 3, 3, "...");
  else if (
    last === ")" &&
    isRow(parts, length - 3) &&
    parts[length - 4] === "," &&
    parts[length - 5] === ")" &&
    isRow(parts, length - 7)
  ) {
    parts.splice(length - 7, 7, "(", "...", ")");
  }
}

const isListEnd = (text: string | undefined): boolean => text === "?" || text === "...";

const isRow = (parts: readonly string[], at: number): boolean => parts[at] === "(" && isListEnd(parts[at + 1]);

const KEY_BYTES_MAX = 8_192;
const TEXT_BYTES_MAX = 65_536;
/** Texts whose literals matter are remembered as a whole, up to that length. */
const WHOLE_BYTES_MAX = 512;

const keyLexer = new Lexer();

/** Words that make conditions of which the values count, and statements whose literals do. */
const VALUE_WORDS: ReadonlySet<string> = new Set(
  "or not between similar case set reset show copy do create alter grant revoke comment security notify listen uescape xmltable interval like ilike regexp".split(
    " ",
  ),
);
const ROW_WORDS: ReadonlySet<string> = new Set(["select", "insert", "update", "delete", "with"]);

/**
 * A key under which a verdict may be remembered: equal keys promise equal facts but for byte ranges and the texts of
 * literals. Undefined where the text must be analysed each time.
 */
export function keyOf(sql: Uint8Array, context: PostgresqlContext): string | undefined {
  if (sql.length > TEXT_BYTES_MAX || context.standardConformingStrings === "unknown") return undefined;
  keyLexer.run(sql, context.standardConformingStrings === "on" ? "standard" : "escape");
  const { marks, count, commentCount, kinds } = keyLexer;
  if (count === 0 || (marks & ~(MARK.HIGH | MARK.PLAIN_BACKSLASH)) !== 0) return undefined;
  if ((marks & MARK.HIGH) !== 0 && context.clientEncoding === "unknown") return undefined;
  if (commentCount > 0 || !ROW_WORDS.has(kinds[0] === TOKEN.WORD ? wordAt(keyLexer, 0) : "")) return whole(sql);
  let key = "";
  for (let token = 0; token < count; token++) {
    const part = keyPartOf(token);
    if (part === undefined) return whole(sql);
    key += `${part} `;
    if (key.length > KEY_BYTES_MAX) return undefined;
  }
  return key;
}

/** No other key begins so. */
const WHOLE_MARK = "\u0001";

const whole = (sql: Uint8Array): string | undefined =>
  sql.length > WHOLE_BYTES_MAX
    ? undefined
    : `${WHOLE_MARK}${Buffer.from(sql.buffer, sql.byteOffset, sql.length).toString("latin1")}`;

function keyPartOf(token: number): string | undefined {
  const kind = keyLexer.kinds[token] as number;
  if (kind === TOKEN.WORD) return keyPartOfWord(token);
  if (!isLiteral(kind)) {
    if (kind === TOKEN.QUOTED_NAME) return keyPartOfQuoted(token);
    const text = printed(keyLexer, token);
    return kind === TOKEN.UNICODE_NAME || (text === ";" && token < keyLexer.count - 1) ? undefined : text;
  }
  if (!isPlainPlace(token)) return undefined;
  if (isNumber(kind)) return numberClass(token);
  return kind === TOKEN.STRING ? stringClass(token) : undefined;
}

const WORD_PARTS_MAX = 4_096;
/** Of words as they are written, which hardly change: to fold one and look it up everywhere costs more than all its letters. */
const wordParts = new Map<string, string>();

/** Undefined for a word whose statement depends on its literals. */
function keyPartOfWord(token: number): string | undefined {
  const isLong = (keyLexer.ends[token] as number) - (keyLexer.starts[token] as number) > NAME_BYTES;
  if (isLong || (keyLexer.marks & MARK.HIGH) !== 0) return keyPartOfName(wordAt(keyLexer, token));
  const written = keyLexer.textAt(token);
  const known = wordParts.get(written);
  if (known !== undefined) return known;
  // A copy: what is cut out of a text keeps all of it.
  const copy = Buffer.from(written, "latin1").toString("latin1");
  const part = keyPartOfName(copy.toLowerCase());
  if (part === undefined) return undefined;
  if (wordParts.size >= WORD_PARTS_MAX) wordParts.clear();
  wordParts.set(copy, part);
  return part;
}

/** SAFETY: a word in quotes is never a keyword: FROM "only" t reads another table than FROM only t. */
function keyPartOfQuoted(token: number): string | undefined {
  const name = quotedNameAt(keyLexer, token);
  return asksForValues(name) ? undefined : `"${name.replaceAll('"', '""')}"`;
}

const keyPartOfName = (name: string): string | undefined =>
  VALUE_WORDS.has(name) || asksForValues(name) ? undefined : name;

/** Behind these a literal is a value of its own, whose class says enough. */
const BEFORE_VALUES: ReadonlySet<string> = new Set(
  "limit offset then else select in values fetch first next by distinct all returning".split(" "),
);
const CONSTANT_WORDS: ReadonlySet<string> = new Set(["true", "false", "null", "default"]);

/**
 * Whether a literal stands where only its class counts: compared with a column, in a list, or an argument. SAFETY: a
 * comparison of literals, which parentheses may hide, comes to something that their classes do not tell.
 */
function isPlainPlace(token: number): boolean {
  if (token === 0) return false;
  const { kinds } = keyLexer;
  const before = kinds[token - 1] as number;
  const beyond = token > 1 ? (kinds[token - 2] as number) : 0;
  if (before === TOKEN.WORD) return BEFORE_VALUES.has(wordAt(keyLexer, token - 1));
  if (before === TOKEN.OPERATOR) {
    return beyond === TOKEN.QUOTED_NAME || (beyond === TOKEN.WORD && !CONSTANT_WORDS.has(wordAt(keyLexer, token - 2)));
  }
  if (before !== TOKEN.PUNCTUATION) return false;
  switch (keyLexer.sql[keyLexer.starts[token - 1] as number]) {
    case COMMA:
      return true;
    case LEFT_PARENTHESIS:
      // An argument, IN or VALUES, or another row; anything else may be a condition in parentheses.
      return beyond === TOKEN.WORD ? !CONDITION_WORDS.has(wordAt(keyLexer, token - 2)) : isComma(token - 2);
    default:
      return false;
  }
}

const COMMA = 44;
const LEFT_PARENTHESIS = 40;
const CONDITION_WORDS: ReadonlySet<string> = new Set("where and on having when filter if case then else".split(" "));

const isComma = (token: number): boolean =>
  token >= 0 && keyLexer.kinds[token] === TOKEN.PUNCTUATION && keyLexer.sql[keyLexer.starts[token] as number] === COMMA;

const asksForValues = (word: string): boolean =>
  classOf(word) !== undefined ||
  SQL_ARGUMENTS.has(word) ||
  NAMED_ARGUMENTS.has(word) ||
  word === REWRITES_BY_QUERY ||
  word === "set_config" ||
  word.startsWith("pg_sleep") ||
  word.endsWith("val");

const LEVELS: readonly number[] = [0, 1, 20, 1_000, 10_000];

function numberClass(token: number): string {
  const value = Number(keyLexer.textAt(token));
  const level = LEVELS.findIndex((limit) => value <= limit);
  return `?${Number.isFinite(value) && Number.isInteger(value) ? level : "d"}`;
}

/** Strings that are a pattern or a truth are told apart; the server reads short ones as booleans. */
function stringClass(token: number): string | undefined {
  const start = (keyLexer.starts[token] as number) + 1;
  const end = (keyLexer.ends[token] as number) - 1;
  const first = keyLexer.sql[start];
  // The server takes 'false   ' for a truth too.
  const isBlank = (byte: number | undefined): boolean => byte !== undefined && byte <= 32;
  if (isBlank(first) || isBlank(keyLexer.sql[end - 1])) return undefined;
  if (end - start < 6) return `'${keyLexer.textBetween(start, end)}'`;
  return first === 37 || first === 95 || first === 46 || first === 94 ? undefined : "?s";
}
