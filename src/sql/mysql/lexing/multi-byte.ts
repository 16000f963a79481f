/** Multi-byte client charsets in which a byte of a character can look like a quote, a backslash or a backtick. */
import type { MultiByte } from "./character-classes.ts";

/** How many bytes the character at sql[at] takes: 1 unless the charset and the bytes make it more. */
export function multiByteLength(charset: MultiByte, sql: Uint8Array, at: number, end: number): number {
  if (at + 1 >= end) return 1;
  const lead = sql[at] as number;
  const trail = sql[at + 1] as number;
  switch (charset) {
    case "none":
      return 1;
    case "gbk":
      return lead >= 0x81 && lead <= 0xfe && isGbkTrail(trail) ? 2 : 1;
    case "big5":
      return lead >= 0xa1 && lead <= 0xf9 && isBig5Trail(trail) ? 2 : 1;
    case "sjis":
      return isSjisLead(lead) && isSjisTrail(trail) ? 2 : 1;
    case "gb18030":
      return gb18030Length(sql, at, end);
  }
}

function gb18030Length(sql: Uint8Array, at: number, end: number): number {
  const lead = sql[at] as number;
  const second = sql[at + 1] as number;
  if (lead < 0x81 || lead > 0xfe) return 1;
  if (isGbkTrail(second)) return 2;
  if (second < 0x30 || second > 0x39 || at + 3 >= end) return 1;
  const third = sql[at + 2] as number;
  const fourth = sql[at + 3] as number;
  return third >= 0x81 && third <= 0xfe && fourth >= 0x30 && fourth <= 0x39 ? 4 : 1;
}

const isGbkTrail = (c: number): boolean => c >= 0x40 && c <= 0xfe && c !== 0x7f;
const isBig5Trail = (c: number): boolean => (c >= 0x40 && c <= 0x7e) || (c >= 0xa1 && c <= 0xfe);
const isSjisLead = (c: number): boolean => (c >= 0x81 && c <= 0x9f) || (c >= 0xe0 && c <= 0xfc);
const isSjisTrail = (c: number): boolean => c >= 0x40 && c <= 0xfc && c !== 0x7f;
