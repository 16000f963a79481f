/** Parts of a condition, by the tokens that they are made of. */
import { UNKNOWN_TEXT } from "../../../base/characters.ts";
import * as K from "../lexing/keywords.ts";
import * as T from "../lexing/token-kinds.ts";
import type { Walker } from "./walker.ts";

/** For every row, for no row, or for some. */
export type RowTruth = "always" | "never" | "some";

/** Tokens [from, to). */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** The parts of a range between tokens of these kinds at its own level, where AND of BETWEEN does not count. */
export function splitAt(w: Walker, { from, to }: Range, isSplit: (kind: number) => boolean): Range[] {
  const parts: Range[] = [];
  let start = from;
  let depth = 0;
  let betweens = 0;
  for (let at = from; at < to; at++) {
    const kind = w.kind(at);
    if (kind === T.LEFT_PAREN || kind === K.CASE) depth++;
    else if (kind === T.RIGHT_PAREN || kind === K.END) depth--;
    else if (depth > 0) continue;
    else if (kind === K.BETWEEN) betweens++;
    else if (kind === K.AND && betweens > 0) betweens--;
    else if (isSplit(kind)) {
      parts.push({ from: start, to: at });
      start = at + 1;
    }
  }
  parts.push({ from: start, to });
  return parts;
}

/** Whether a name among the tokens could not be read in full. */
export function hasUnknownName(w: Walker, { from, to }: Range): boolean {
  for (let at = from; at < to; at++) {
    const isName = w.isName(at) || w.kind(at) === T.QUOTED_IDENTIFIER;
    if (isName && w.text.name(at).includes(UNKNOWN_TEXT)) return true;
  }
  return false;
}
