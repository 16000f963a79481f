/** Finds the keyword in a word of the text without making a string of it. */
import { KEYWORD_FIRST, KEYWORD_ROWS } from "./keywords.ts";

const RESERVED = 1;
const FUNCTION_ONLY = 2;
const SLOTS = 8192;

/** No keyword is longer: longer words are not looked up. */
export const KEYWORD_BYTES_MAX = 48;

/** Folds ASCII case, so that two spellings of a word fold to equal bytes and no other word byte folds onto them. */
export const FOLD = 0xdf;

interface KeywordTable {
  /** Slot → keyword kind, 0 when free. */
  readonly slots: Uint16Array;
  /** Kind - KEYWORD_FIRST → where its folded bytes begin; one more entry for the end. */
  readonly offsets: Int32Array;
  readonly bytes: Uint8Array;
  readonly words: readonly string[];
  /** The name that the server's digest prints: several words may share one token. */
  readonly printed: readonly string[];
  readonly flags: Uint8Array;
  readonly since: Int32Array;
}

function build(): KeywordTable {
  const rows = KEYWORD_ROWS.map((row) => row.split(" "));
  const words = rows.map(([word = ""]) => word);
  const table: KeywordTable = {
    slots: new Uint16Array(SLOTS),
    offsets: new Int32Array(words.length + 1),
    bytes: new Uint8Array(words.reduce((total, word) => total + word.length, 0)),
    words,
    printed: rows.map(([word = "", , printed = ""]) => (printed === "" ? word : printed)),
    flags: Uint8Array.from(rows, ([, flags]) => Number(flags)),
    since: Int32Array.from(rows, ([, , , since]) => Number(since ?? 0)),
  };
  let offset = 0;
  words.forEach((word, index) => {
    table.offsets[index] = offset;
    let hash = 0;
    for (let i = 0; i < word.length; i++) {
      const folded = word.charCodeAt(i) & FOLD;
      table.bytes[offset++] = folded;
      hash = (Math.imul(hash, 31) + folded) | 0;
    }
    let slot = hash & (SLOTS - 1);
    while (table.slots[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
    table.slots[slot] = index + KEYWORD_FIRST;
  });
  table.offsets[words.length] = offset;
  return table;
}

const TABLE = build();
const SLOT_KINDS = TABLE.slots;
const OFFSETS = TABLE.offsets;
const BYTES = TABLE.bytes;

/**
 * The keyword kind of sql[start, end), or 0. `hash` is Σ folded byte × 31^position, as the scan of the word made it.
 * Also finds words that are keywords only before a parenthesis: see isFunctionKeyword().
 */
export function findKeyword(sql: Uint8Array, start: number, end: number, hash: number): number {
  const length = end - start;
  let slot = hash & (SLOTS - 1);
  for (;;) {
    const kind = SLOT_KINDS[slot] as number;
    if (kind === 0) return 0;
    const offset = OFFSETS[kind - KEYWORD_FIRST] as number;
    if ((OFFSETS[kind - KEYWORD_FIRST + 1] as number) - offset === length) {
      let i = 0;
      while (i < length && ((sql[start + i] as number) & FOLD) === BYTES[offset + i]) i++;
      if (i === length) return kind;
    }
    slot = (slot + 1) & (SLOTS - 1);
  }
}

/** Whether the word is a keyword only directly before "(", as COUNT is and CONCAT (an ordinary name) is not. */
export function isFunctionKeyword(kind: number): boolean {
  return ((TABLE.flags[kind - KEYWORD_FIRST] as number) & FUNCTION_ONLY) !== 0;
}

/** Whether a server of this version (as in SqlContext, `undefined`: the newest) refuses the word as a bare name. */
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
