/**
 * Names as strings without making the same string again and again: to find one here costs a sixth of decoding it.
 * Bounded: a name takes the place of an earlier one. Literals do not come here, so that no value stays behind.
 */
import { decodeRange } from "../../../base/characters.ts";

/** A power of two. */
const NAMES_MAX = 1024;
/** Longer names are decoded each time. */
const NAME_BYTES_MAX = 32;

const texts: string[] = new Array(NAMES_MAX).fill("");
const characterSets: string[] = new Array(NAMES_MAX).fill("");
const lengths = new Uint8Array(NAMES_MAX);
const bytes = new Uint8Array(NAMES_MAX * NAME_BYTES_MAX);

/** The bytes [start, end) in that character set, as decodeRange() reads them. */
export function nameText(sql: Buffer, start: number, end: number, characterSet: string): string {
  const length = end - start;
  if (length > NAME_BYTES_MAX || length <= 0) return decodeRange(sql, start, end, characterSet);
  const place = placeOf(sql, start, end);
  if (lengths[place] === length && characterSets[place] === characterSet && isHere(sql, start, end, place)) {
    return texts[place] as string;
  }
  const text = decodeRange(sql, start, end, characterSet);
  lengths[place] = length;
  let at = place * NAME_BYTES_MAX;
  for (let p = start; p < end; p++) bytes[at++] = sql[p] as number;
  texts[place] = text;
  characterSets[place] = characterSet;
  return text;
}

function placeOf(sql: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let p = start; p < end; p++) hash = (Math.imul(hash, 31) + (sql[p] as number)) | 0;
  return (hash ^ (hash >>> 10)) & (NAMES_MAX - 1);
}

function isHere(sql: Uint8Array, start: number, end: number, place: number): boolean {
  let at = place * NAME_BYTES_MAX;
  for (let p = start; p < end; p++) if (sql[p] !== bytes[at++]) return false;
  return true;
}
