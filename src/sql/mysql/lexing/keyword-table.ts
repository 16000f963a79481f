/** Finds the keyword in a word of the text without making a string of it. */
import { KEYWORD_FIRST, KEYWORD_ROWS } from "./keywords.ts";

const RESERVED = 1;
const FUNCTION_ONLY = 2;
const SLOTS = 8192;
const SLOT_MASK = SLOTS - 1;

/** No keyword is longer. */
export const KEYWORD_BYTES_MAX = 48;

/** Folds ASCII case, so that two spellings of a word fold to equal bytes and no other word byte folds onto them. */
const FOLD = 0xdf;

interface KeywordTable {
  /** Slot → keyword kind, 0 when free. */
  readonly slots: Uint16Array;
  /** Kind → where its folded bytes begin. Behind each word is a zero, which no word byte folds to. */
  readonly offsets: Int32Array;
  readonly bytes: Uint8Array;
  readonly words: readonly string[];
  /** The name that the server's digest prints: several words may share one token. */
  readonly printed: readonly string[];
  readonly flags: Uint8Array;
  readonly since: Int32Array;
}

/** By the length and three letters, whose low five bits are the same in both cases: more would not part words better. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const first = (bytes[start] as number) & 31;
  const middle = (bytes[start + (length >> 1)] as number) & 31;
  const last = (bytes[end - 1] as number) & 31;
  return (first * 331 + middle * 2053 + last * 1021 + length * 71) & SLOT_MASK;
}

function build(): KeywordTable {
  const rows = KEYWORD_ROWS.map((row) => row.split(" "));
  const words = rows.map(([word = ""]) => word);
  const table: KeywordTable = {
    slots: new Uint16Array(SLOTS),
    offsets: new Int32Array(KEYWORD_FIRST + words.length),
    bytes: new Uint8Array(words.reduce((total, word) => total + word.length + 1, 0)),
    words,
    printed: rows.map(([word = "", , printed = ""]) => (printed === "" ? word : printed)),
    flags: Uint8Array.from(rows, ([, flags]) => Number(flags)),
    since: Int32Array.from(rows, ([, , , since]) => Number(since ?? 0)),
  };
  let offset = 0;
  words.forEach((word, index) => {
    table.offsets[index + KEYWORD_FIRST] = offset;
    const start = offset;
    for (let i = 0; i < word.length; i++) table.bytes[offset++] = word.charCodeAt(i) & FOLD;
    let slot = slotOf(table.bytes, start, offset++);
    while (table.slots[slot] !== 0) slot = (slot + 1) & SLOT_MASK;
    table.slots[slot] = index + KEYWORD_FIRST;
  });
  return table;
}

const TABLE = build();
const SLOT_KINDS = TABLE.slots;
const OFFSETS = TABLE.offsets;
const BYTES = TABLE.bytes;

// What has to stand behind a word: a byte, or one of these
const ANYWHERE = 0;
const NOWHERE = 255;
const OPEN_PAREN = 40;
const DOT = 46;
const WANTED = new Uint8Array(KEYWORD_FIRST + TABLE.words.length);
TABLE.words.forEach((_, index) => {
  const isFunction = ((TABLE.flags[index] as number) & FUNCTION_ONLY) !== 0;
  WANTED[index + KEYWORD_FIRST] = TABLE.since[index] !== 0 ? NOWHERE : isFunction ? OPEN_PAREN : ANYWHERE;
});

/**
 * The keyword kind of sql[start, end), or 0.
 * Also finds words that are keywords only before a parenthesis: see isFunctionKeyword().
 */
export function findKeyword(sql: Uint8Array, start: number, end: number): number {
  for (let slot = slotOf(sql, start, end); ; slot = (slot + 1) & SLOT_MASK) {
    const kind = SLOT_KINDS[slot] as number;
    if (kind === 0 || isSpelled(kind, sql, start, end)) return kind;
  }
}

function isSpelled(kind: number, sql: Uint8Array, start: number, end: number): boolean {
  const ahead = (OFFSETS[kind] as number) - start;
  for (let p = start; ; p++) {
    const byte = BYTES[p + ahead];
    if (p === end) return byte === 0;
    if (((sql[p] as number) & FOLD) !== byte) return false;
  }
}

/** Whether the word is a keyword only directly before "(", as COUNT is and CONCAT (an ordinary name) is not. */
export function isFunctionKeyword(kind: number): boolean {
  return ((TABLE.flags[kind - KEYWORD_FIRST] as number) & FUNCTION_ONLY) !== 0;
}

/** Whether the word is a keyword on every server when `next` stands behind it; others may still be keywords. */
export function isKeywordBefore(kind: number, next: number): boolean {
  const wanted = WANTED[kind] as number;
  return wanted === next || (wanted === ANYWHERE && next !== DOT);
}

/** Whether a server of this version (as in MysqlContext, `undefined`: the newest) refuses the word as a bare name. */
export function isReserved(kind: number, serverVersion: number | undefined): boolean {
  if (((TABLE.flags[kind - KEYWORD_FIRST] as number) & RESERVED) === 0) return false;
  return serverVersion === undefined || serverVersion >= (TABLE.since[kind - KEYWORD_FIRST] as number);
}

/** The first version in which the word is a keyword; 0 for those as old as every supported server. */
export function keywordSince(kind: number): number {
  return TABLE.since[kind - KEYWORD_FIRST] as number;
}

/** The keyword in upper case as it is written in SQL. */
export function keywordText(kind: number): string {
  return TABLE.words[kind - KEYWORD_FIRST] ?? "";
}

/** The name under which the server's digest prints the keyword's token. */
export function keywordPrinted(kind: number): string {
  return TABLE.printed[kind - KEYWORD_FIRST] ?? "";
}

const KINDS_BY_WORD = new Map(TABLE.words.map((word, index) => [word, index + KEYWORD_FIRST]));

/** A byte table over all kinds below `size`, with 1 for the given kinds and for the keywords in `words`. */
export function kindSet(
  kinds: readonly number[],
  words: string,
  size = KEYWORD_FIRST + TABLE.words.length,
): Uint8Array {
  const set = new Uint8Array(size);
  for (const kind of kinds) set[kind] = 1;
  for (const word of words.split(" ").filter((text) => text !== "")) {
    const kind = KINDS_BY_WORD.get(word);
    if (kind === undefined) throw new Error(`No keyword ${word}`);
    set[kind] = 1;
  }
  return set;
}

export const KEYWORD_COUNT = TABLE.words.length;
