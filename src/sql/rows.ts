/** The values of INSERT rows, by column. */
import { readOperand } from "./operands.ts";
import type { Frame, Walker } from "./walker.ts";

const ROWS_LISTED_MAX = 100;

/** Notes the values of one row of VALUES. */
export function endRow(w: Walker, frame: Frame, token: number) {
  const { statement } = w;
  statement.valuesRows++;
  noteRowItem(w, frame, token);
}

/** A comma of a row, or its end: the item before it is complete. */
export function noteRowItem(w: Walker, frame: Frame, token: number): void {
  const { statement } = w;
  const column = w.insertColumns[frame.items - 1];
  const start = frame.itemStart;
  frame.itemStart = token + 1;
  if (column === undefined || start >= token) return;
  if (statement.valuesRows > ROWS_LISTED_MAX) {
    statement.assignmentsTruncated = true;
    return;
  }
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
