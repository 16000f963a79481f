/** How each byte begins a token, by dialect and client charset. */
import type { Dialect } from "../../facts.ts";

export const CLASS_SPACE = 1;
export const CLASS_WORD = 2;
export const CLASS_DIGIT = 3;
export const CLASS_SINGLE_QUOTE = 4;
export const CLASS_DOUBLE_QUOTE = 5;
export const CLASS_BACKTICK = 6;
/** One byte, one token: its kind is in SINGLE_KINDS. */
export const CLASS_SINGLE = 7;
export const CLASS_DOT = 8;
export const CLASS_SLASH = 9;
export const CLASS_DASH = 10;
export const CLASS_HASH = 11;
export const CLASS_AT = 12;
/** `<`, `>`, `=`, `!`, `&`, `|`, `:`, `*`: may be the first of several bytes. */
export const CLASS_OPERATOR = 13;
export const CLASS_DOLLAR = 14;
export const CLASS_BACKSLASH = 15;

/** How lead bytes of a multi-byte client charset swallow bytes that would be quotes, backslashes or backticks alone. */
export type MultiByte = "none" | "gbk" | "gb18030" | "big5" | "sjis";

/** What the lexer must know of a client charset. Bytes are hexadecimal, single or as ranges: "80-a0 ff". */
export interface CharsetRules {
  readonly multiByte: MultiByte;
  /** The one byte ≥ 0x80 that the charset's ctype table calls a blank, or -1: 0xa0 is a blank for a latin1 client. */
  readonly highSpace: number;
  /** SAFETY: control characters ≥ 0x80. Like those below they make a comment of two dashes before them. */
  readonly controls?: string;
  /** Bytes ≥ 0x80 at which the name of a user variable or the host of an account ends, to begin another word. */
  readonly hostEnds?: string;
  /** Bytes ≥ 0x80 that count as hexadecimal digits. */
  readonly hexDigits?: string;
  /** Bytes below 0x80 that are letters, although they look like something else. */
  readonly letters?: string;
  /** More such bytes, which are letters only where `hostEnds` matters. */
  readonly hostLetters?: string;
}

const plain = (highSpace = -1, more: Partial<CharsetRules> = {}): CharsetRules => ({
  multiByte: "none",
  highSpace,
  ...more,
});

const PLAIN = plain();

/** Measured on MySQL 9.7, byte by byte, for every charset that it accepts from a client; others are PLAIN. */
const CHARSETS: ReadonlyMap<string, CharsetRules> = new Map([
  ["armscii8", plain(0xa0)],
  ["cp1250", plain(0xa0, { controls: "80-81 83 88 90 98" })],
  ["dec8", plain(0xa0)],
  ["geostd8", plain(0xa0)],
  ["greek", plain(0xa0)],
  ["hebrew", plain(0xa0, { controls: "fd-fe" })],
  ["hp8", plain(-1, { controls: "80-a0 b1-b2 f2-f5 ff" })],
  ["latin1", plain(0xa0)],
  ["latin2", plain(0xa0)],
  ["latin5", plain(0xa0)],
  ["latin7", plain(0xa0, { controls: "81 83 88 8a 8c 90 98 9a 9c 9f a1 a5" })],
  ["cp850", plain(-1, { controls: "ff" })],
  ["cp852", plain(0xff)],
  ["cp866", plain(0xff)],
  ["keybcs2", plain(0xff, { hexDigits: "82 88-89 90" })],
  ["macroman", plain(-1, { controls: "80 cb e5" })],
  ["swe7", plain(-1, { letters: "5b-5e 7b 7d-7e", hostLetters: "40 60 7c" })],
  ["euckr", plain(-1, { hostEnds: "80-ff" })],
  ["eucjpms", plain(-1, { hostEnds: "80-ff" })],
  ["ujis", plain(-1, { hostEnds: "80-ff" })],
  ["gb2312", plain(-1, { hostEnds: "80-a0 ff" })],
  ["gbk", { multiByte: "gbk", highSpace: -1, hostEnds: "80-a0 ff" }],
  ["gb18030", { multiByte: "gb18030", highSpace: -1, hostEnds: "ff" }],
  ["big5", { multiByte: "big5", highSpace: -1, hostEnds: "80-a0 fa-ff" }],
  ["sjis", { multiByte: "sjis", highSpace: -1, hostEnds: "80-ff" }],
  ["cp932", { multiByte: "sjis", highSpace: -1, hostEnds: "80-ff" }],
]);

/** For a text whose charset nobody knows: the reading in which any byte above 0x7f ends the dashes of a comment. */
export const ALL_CONTROLS: CharsetRules = plain(-1, { controls: "80-ff" });

export function charsetRules(charset: string): CharsetRules {
  return CHARSETS.get(charset) ?? PLAIN;
}

/** Names that make `_name` a charset introducer. */
export const CHARSET_NAMES: ReadonlySet<string> = new Set(
  (
    "armscii8 ascii big5 binary cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 cp932 dec8 eucjpms euckr gb18030 gb2312 " +
    "gbk geostd8 greek hebrew hp8 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce macroman sjis swe7 tis620 " +
    "ucs2 ujis utf16 utf16le utf32 utf8 utf8mb3 utf8mb4"
  ).split(" "),
);

/** What each byte may be, in one dialect and charset; 256 entries each. Shared: do not write to them. */
export interface ByteTables {
  /** The class of the token that the byte begins. */
  readonly classes: Uint8Array;
  /** 1 for bytes that a bare word may hold. */
  readonly words: Uint8Array;
  /** The same for bytes below 0x80. */
  readonly asciiWords: Uint8Array;
  /** 1 for bytes that the name of a user variable or the host of an account may hold, except the dot. */
  readonly hosts: Uint8Array;
  /** 1 for bytes that make two dashes before them a comment: blanks and control characters. */
  readonly dashEnds: Uint8Array;
  readonly hexDigits: Uint8Array;
}

const tables = new Map<Dialect, WeakMap<CharsetRules, ByteTables>>();

export function byteTables(dialect: Dialect, charset: CharsetRules): ByteTables {
  let ofDialect = tables.get(dialect);
  if (ofDialect === undefined) {
    ofDialect = new WeakMap();
    tables.set(dialect, ofDialect);
  }
  let found = ofDialect.get(charset);
  if (found === undefined) {
    found = buildTables(dialect, charset);
    ofDialect.set(charset, found);
  }
  return found;
}

function buildTables(dialect: Dialect, charset: CharsetRules): ByteTables {
  const classes = buildClasses(dialect, charset.highSpace);
  for (const byte of bytesOf(charset.letters)) classes[byte] = CLASS_WORD;
  const words = classes.map((c) => (c === CLASS_WORD || c === CLASS_DIGIT || c === CLASS_DOLLAR ? 1 : 0));
  const hosts = words.slice();
  for (const byte of bytesOf(charset.hostEnds)) hosts[byte] = 0;
  for (const byte of bytesOf(charset.hostLetters)) hosts[byte] = 1;
  const dashEnds = classes.map((c, byte) => (c === CLASS_SPACE || byte <= 0x20 || byte === 0x7f ? 1 : 0));
  for (const byte of bytesOf(charset.controls)) dashEnds[byte] = 1;
  const hexDigits = classes.map((_, byte) => (/[0-9A-Fa-f]/.test(String.fromCharCode(byte)) ? 1 : 0));
  for (const byte of bytesOf(charset.hexDigits)) hexDigits[byte] = 1;
  const asciiWords = words.map((word, byte) => (byte < 0x80 ? word : 0));
  return { classes, words, asciiWords, hosts, dashEnds, hexDigits };
}

/** "80-82 ff" → 128, 129, 130, 255. */
function bytesOf(ranges: string | undefined): number[] {
  const bytes: number[] = [];
  for (const range of ranges?.split(" ") ?? []) {
    const [first = "", last = first] = range.split("-");
    for (let byte = Number.parseInt(first, 16); byte <= Number.parseInt(last, 16); byte++) bytes.push(byte);
  }
  return bytes;
}

function buildClasses(dialect: Dialect, highSpace: number): Uint8Array {
  const classes = new Uint8Array(256);
  const set = (bytes: string, value: number): void => {
    for (let i = 0; i < bytes.length; i++) classes[bytes.charCodeAt(i)] = value;
  };
  // Vitess's tokenizer knows only these four blanks; vertical tab and form feed are errors to it.
  set(dialect === "vitess" ? " \t\r\n" : " \t\r\n\v\f", CLASS_SPACE);
  for (let c = 0x80; c <= 0xff; c++) classes[c] = CLASS_WORD;
  set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", CLASS_WORD);
  set("0123456789", CLASS_DIGIT);
  set("'", CLASS_SINGLE_QUOTE);
  set('"', CLASS_DOUBLE_QUOTE);
  set("`", CLASS_BACKTICK);
  set("(),;+%^~{}?", CLASS_SINGLE);
  set("<>=!&|:*", CLASS_OPERATOR);
  set(".", CLASS_DOT);
  set("/", CLASS_SLASH);
  set("-", CLASS_DASH);
  set("#", CLASS_HASH);
  set("@", CLASS_AT);
  set("$", CLASS_DOLLAR);
  set("\\", CLASS_BACKSLASH);
  if (highSpace >= 0) classes[highSpace] = CLASS_SPACE;
  return classes;
}
