/**
 * Passwords as SCRAM hashes them: SASLprep (RFC 4013) over their UTF-8, or their very bytes where that does not apply, as
 * pg_saslprep() and its callers have it.
 */

import { decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import * as tables from "./saslprep-tables.ts";

type Ranges = readonly (readonly [first: number, last: number])[];

function rangesOf(table: string): Ranges {
  return table
    .trim()
    .split(/\s/)
    .map((range) => {
      const [first = "", last = first] = range.split("-");
      return [Number.parseInt(first, 16), Number.parseInt(last, 16)];
    });
}

interface Tables {
  readonly unassigned: Ranges;
  readonly nothing: Ranges;
  readonly blanks: Ranges;
  readonly prohibited: Ranges;
  readonly rightToLeft: Ranges;
  readonly leftToRight: Ranges;
}

let loaded: Tables | undefined;

/** Read with the first password that needs them, which most never do. */
function loadTables(): Tables {
  loaded ??= {
    unassigned: rangesOf(tables.UNASSIGNED),
    nothing: rangesOf(tables.NOTHING),
    blanks: rangesOf(tables.BLANKS),
    prohibited: rangesOf(tables.PROHIBITED),
    rightToLeft: rangesOf(tables.RIGHT_TO_LEFT),
    leftToRight: rangesOf(tables.LEFT_TO_RIGHT),
  };
  return loaded;
}

function isIn(ranges: Ranges, character: string): boolean {
  const point = character.codePointAt(0) ?? 0;
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const [first, last] = ranges[middle] as readonly [number, number];
    if (point < first) high = middle - 1;
    else if (point > last) low = middle + 1;
    else return true;
  }
  return false;
}

/** The bytes of a password that SCRAM goes on with. ASCII is what it is. */
export function preparePassword(password: Uint8Array): Uint8Array {
  if (password.every((byte) => byte < 0x80)) return password;
  const text = decodeUtf8(password);
  const prepared = text === undefined ? undefined : saslprep(text);
  return prepared === undefined ? password : encodeUtf8(prepared);
}

/** Undefined for what RFC 4013 prohibits, code points that Unicode 3.2 does not know, and for nothing at all. */
export function saslprep(text: string): string | undefined {
  const { unassigned, nothing, blanks, prohibited, rightToLeft, leftToRight } = loadTables();
  let mapped = "";
  for (const character of text) {
    if (isIn(blanks, character)) mapped += " ";
    else if (!isIn(nothing, character)) mapped += character;
  }
  const characters = [...mapped.normalize("NFKC")];
  if (characters.length === 0) return undefined;
  if (characters.some((character) => isIn(prohibited, character) || isIn(unassigned, character))) return undefined;
  if (characters.some((character) => isIn(rightToLeft, character))) {
    // RFC 3454, section 6: such a text holds nothing of the other direction and begins and ends with its own.
    const ends = [characters[0] ?? "", characters.at(-1) ?? ""];
    if (!ends.every((character) => isIn(rightToLeft, character))) return undefined;
    if (characters.some((character) => isIn(leftToRight, character))) return undefined;
  }
  return characters.join("");
}
