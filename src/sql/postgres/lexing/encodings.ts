/** client_encoding: whether the bytes of a text can be told apart without knowing which characters they are. */

/**
 * `safe`: a byte below 0x80 is that ASCII character; `hiding`: it may be the second half of another character, such as the
 * backslash of Shift JIS; anything else is not known.
 */
export type EncodingClass = "safe" | "hiding" | "unknown";

const HIDING: ReadonlySet<string> = new Set([
  "sjis",
  "shiftjis",
  "mskanji",
  "win932",
  "windows932",
  "shiftjis2004",
  "big5",
  "win950",
  "windows950",
  "gbk",
  "win936",
  "windows936",
  "gb18030",
  "uhc",
  "win949",
  "windows949",
  "johab",
]);

const SAFE: ReadonlySet<string> = new Set(
  [
    "utf8",
    "unicode",
    "sqlascii",
    "koi8",
    "koi8r",
    "koi8u",
    "alt",
    "win",
    "abc",
    "tcvn",
    "tcvn5712",
    "vscii",
    "euccn",
    "eucjp",
    "euckr",
    "euctw",
    "eucjis2004",
    "muleinternal",
  ].concat(
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"].map((part) => `latin${part}`),
    ["866", "874", "1250", "1251", "1252", "1253", "1254", "1255", "1256", "1257", "1258"].flatMap((page) => [
      `win${page}`,
      `windows${page}`,
    ]),
    Array.from({ length: 16 }, (_, part) => `iso8859${part + 1}`),
  ),
);

/** By the server's own comparison of names: without case, and letters and digits alone count. */
export function encodingClassOf(name: string): EncodingClass {
  const folded = name.toLowerCase().replace(/[^a-z0-9]/g, "");
  if (SAFE.has(folded)) return "safe";
  return HIDING.has(folded) ? "hiding" : "unknown";
}

/** Whether bytes above 0x7f have to be UTF-8. */
export const isUtf8 = (name: string): boolean => /^(?:utf-?8|unicode)$/i.test(name.replace(/[^a-z0-9-]/gi, ""));
