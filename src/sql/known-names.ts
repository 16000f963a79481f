/**
 * Names as strings without making the same string again and again: to find one here costs a sixth of decoding it.
 * Bounded: a name takes the place of an earlier one. Literals do not come here, so that no value stays behind.
 */

/** A power of two. */
const NAMES_MAX = 1024;
/** Longer names are decoded each time. */
const NAME_BYTES_MAX = 32;

const texts: string[] = new Array(NAMES_MAX).fill("");
const lengths = new Uint8Array(NAMES_MAX);
const bytes = new Uint8Array(NAMES_MAX * NAME_BYTES_MAX);

/** The bytes [start, end) as a string. Bytes that are not UTF-8 become U+FFFD. */
export function nameText(sql: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length > NAME_BYTES_MAX || length <= 0) return sql.toString("utf8", start, end);
  const place = placeOf(sql, start, end);
  if (lengths[place] === length && isHere(sql, start, end, place)) return texts[place] as string;
  const text = sql.toString("utf8", start, end);
  lengths[place] = length;
  bytes.set(sql.subarray(start, end), place * NAME_BYTES_MAX);
  texts[place] = text;
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
