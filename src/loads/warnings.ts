/** The warnings of a load: how many count against it, and which rows they name. Values in them are not passed on. */
import type { LoadClient, LoadCounts } from "./load-client.ts";
import { LoadFailure } from "./load-failure.ts";
import type { StatementShape } from "./load-statement.ts";

/** Of MySQL and MariaDB: max_error_count takes no more. */
export const WARNINGS_KEPT_MAX = 65_535;
const ROWS_NAMED_MAX = 10;
/** ER_DUP_ENTRY, and ER_DUP_ENTRY_WITH_KEY_NAME. */
const DUPLICATE: ReadonlySet<string> = new Set(["1062", "1586"]);

/** Throws LoadFailure where there are more than `warningsMax`. Ask before any other statement. */
export async function refuseWarnings(
  client: LoadClient,
  counts: LoadCounts,
  { duplicates }: Pick<StatementShape, "duplicates">,
  warningsMax: number,
): Promise<void> {
  const isQuiet = counts.warnings === 0 && (counts.skipped === 0 || duplicates === "ignore");
  if (isQuiet) return;
  const rows = await client.query("SHOW WARNINGS", "asking for the warnings");
  const counted = rows.filter(([, code = ""]) => duplicates !== "ignore" || !DUPLICATE.has(code));
  // What the server does not keep any more may have been anything.
  const unseen = Math.max(counts.warnings, rows.length) - rows.length;
  const skipped = duplicates === "ignore" ? 0 : counts.skipped;
  const total = Math.max(counted.length + unseen, skipped);
  if (total <= warningsMax) return;
  const named = counted.slice(0, ROWS_NAMED_MAX).map(([, code = "", text = ""]) => rowText(code, text));
  const list = named.length === 0 ? "" : `: ${named.join("; ")}${total > named.length ? "; …" : ""}`;
  throw new LoadFailure(
    `the server has ${total} warnings and skipped ${counts.skipped} rows, where --warnings-max allows ${warningsMax}${list}`,
  );
}

/** `row 3, column qty: 1366`: the text itself quotes the value. */
function rowText(code: string, text: string): string {
  const [, row] = /at row (\d{1,19})\b/i.exec(text) ?? /\bRow (\d{1,19})\b/i.exec(text) ?? [];
  const [, column] = /column '?([^'\s]{1,64})'? at row/i.exec(text) ?? [];
  const where = [row === undefined ? "" : `row ${row}`, column === undefined ? "" : `column ${bareName(column)}`];
  return [...where.filter((word) => word !== ""), `error ${code}`].join(", ");
}

/** MariaDB tells schema and table with it. */
function bareName(column: string): string {
  return (column.split(".").at(-1) ?? column).replaceAll("`", "");
}
