/** The values of INSERT rows, by column. */
import { ROWS_LISTED_MAX } from "../../facts.ts";
import * as T from "../lexing/token-kinds.ts";
import { readOperand } from "./operands.ts";
import type { Frame, Walker } from "./walker.ts";

/** Notes the values of one row of VALUES. */
export function endRow(w: Walker, frame: Frame, token: number) {
  const { statement } = w;
  statement.valuesRows++;
  noteRowItem(w, frame, token);
  statement.valuesRows += w.tokens.forgottenRows.get(token) ?? 0;
}

/** A comma of a row, or its end: the item before it is complete. */
export function noteRowItem(w: Walker, frame: Frame, token: number): void {
  const { statement } = w;
  const column = w.insertColumns[frame.items - 1];
  const start = frame.itemStart;
  frame.itemStart = token + 1;
  if (column === undefined || start >= token) return;
  if (statement.valuesRows > ROWS_LISTED_MAX) {
    noteUnlisted(w, frame.items - 1, column, start, token);
    return;
  }
  w.rowSamples[frame.items - 1] = start + 1 === token ? start : -1;
  const { operand, end } = readOperand(w, start);
  statement.assignments.push({
    column,
    qualifier: undefined,
    clause: "values",
    operand: end === token ? operand : { type: "expression", text: undefined },
    start: w.start(start),
    end: w.endBefore(token),
  });
}

/** A value beyond the rows that are listed: worth telling only where it is not the very literal of the listed rows. */
function noteUnlisted(w: Walker, index: number, column: string, start: number, end: number) {
  const sample = w.rowSamples[index] ?? -1;
  if (sample < 0 || (start + 1 === end && isSameText(w, sample, start))) return;
  w.rowSamples[index] = -1;
  w.statement.unlistedColumns.push(column);
}

/** Two parameters look the same and are not. */
function isSameText(w: Walker, left: number, right: number): boolean {
  if (w.kind(left) !== w.kind(right) || w.kind(left) === T.PARAMETER) return false;
  const { sql, starts, ends } = w.tokens;
  const from = starts[left] as number;
  const length = (ends[left] as number) - from;
  const other = starts[right] as number;
  if ((ends[right] as number) - other !== length) return false;
  for (let at = 0; at < length; at++) if (sql[from + at] !== sql[other + at]) return false;
  return true;
}
