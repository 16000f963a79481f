/** How each byte begins a token, by dialect and client charset. */
import type { Dialect } from "./facts.ts";

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

/** What the lexer must know of a client charset. */
export interface CharsetRules {
  readonly multiByte: MultiByte;
  /** The one byte ≥ 0x80 that the charset's ctype table calls a blank, or -1: 0xa0 is a blank for a latin1 client. */
  readonly highSpace: number;
}

const PLAIN: CharsetRules = { multiByte: "none", highSpace: -1 };
const NBSP_A0: CharsetRules = { multiByte: "none", highSpace: 0xa0 };
const NBSP_FF: CharsetRules = { multiByte: "none", highSpace: 0xff };

/** Measured on MySQL 9.7 for every charset that it accepts from a client; those not named here are PLAIN. */
const CHARSETS: ReadonlyMap<string, CharsetRules> = new Map([
  ["armscii8", NBSP_A0],
  ["cp1250", NBSP_A0],
  ["dec8", NBSP_A0],
  ["geostd8", NBSP_A0],
  ["greek", NBSP_A0],
  ["hebrew", NBSP_A0],
  ["latin1", NBSP_A0],
  ["latin2", NBSP_A0],
  ["latin5", NBSP_A0],
  ["latin7", NBSP_A0],
  ["cp852", NBSP_FF],
  ["cp866", NBSP_FF],
  ["keybcs2", NBSP_FF],
  ["gbk", { multiByte: "gbk", highSpace: -1 }],
  ["gb18030", { multiByte: "gb18030", highSpace: -1 }],
  ["big5", { multiByte: "big5", highSpace: -1 }],
  ["sjis", { multiByte: "sjis", highSpace: -1 }],
  ["cp932", { multiByte: "sjis", highSpace: -1 }],
]);

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

const cache = new Map<string, Uint8Array>();

/** 256 classes. The array is shared: do not write to it. */
export function characterClasses(dialect: Dialect, highSpace: number): Uint8Array {
  const key = `${dialect} ${highSpace}`;
  let classes = cache.get(key);
  if (classes === undefined) {
    classes = buildClasses(dialect, highSpace);
    cache.set(key, classes);
  }
  return classes;
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
