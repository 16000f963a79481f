/** The LOAD DATA statement of one object (manual 13.2.9). */

import { literal, quotedName, quotedTable, type TableName } from "./sql-words.ts";
import type { TextFormat } from "./text-format.ts";

export const DUPLICATES = ["error", "ignore", "replace"] as const;

export interface StatementShape {
  readonly format: TextFormat;
  readonly charset: string;
  readonly duplicates: (typeof DUPLICATES)[number];
  readonly partitions: readonly string[];
  /** What of a row goes where: names, and `@variables` for --set. */
  readonly columns: readonly string[];
  /** What stands in the file for NULL. */
  readonly nullText: string | undefined;
  /** Assignments in SQL, of the operator's own. */
  readonly assignments: string | undefined;
}

/** `source` is what stands behind LOAD DATA: a file of the client's, or an object in S3. */
export function loadStatement(
  source: string,
  target: TableName,
  shape: StatementShape,
  linesTerminated: string,
): string {
  const { format, charset, duplicates, partitions } = shape;
  const { targets, assignments } = rowTargets(shape);
  const clauses = [
    `LOAD DATA ${source}`,
    duplicates === "error" ? "" : duplicates.toUpperCase(),
    `INTO TABLE ${quotedTable(target)}`,
    partitions.length === 0 ? "" : `PARTITION (${partitions.map(quotedName).join(", ")})`,
    `CHARACTER SET ${charset}`,
    `FIELDS TERMINATED BY ${literal(format.fieldsTerminated)}`,
    format.enclosed === "" ? "" : `OPTIONALLY ENCLOSED BY ${literal(format.enclosed)}`,
    `ESCAPED BY ${literal(format.escaped)}`,
    `LINES TERMINATED BY ${literal(linesTerminated)}`,
    format.headerLines === 0 ? "" : `IGNORE ${format.headerLines} LINES`,
    `(${targets.join(", ")})`,
    assignments.length === 0 ? "" : `SET ${assignments.join(", ")}`,
  ];
  return clauses.filter((clause) => clause !== "").join(" ");
}

function rowTargets({ columns, nullText, assignments }: StatementShape) {
  const targets: string[] = [];
  const sets: string[] = [];
  for (const [index, column] of columns.entries()) {
    if (column.startsWith("@")) {
      targets.push(`@${quotedName(column.slice(1))}`);
    } else if (nullText === undefined) {
      targets.push(quotedName(column));
    } else {
      targets.push(`@querycop_${index}`);
      sets.push(`${quotedName(column)} = NULLIF(@querycop_${index}, ${literal(nullText)})`);
    }
  }
  if (assignments !== undefined) sets.push(assignments);
  return { targets, assignments: sets };
}
