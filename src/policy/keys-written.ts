/** Which rows an UPDATE or DELETE is about, by columns and classes of values: no value of anybody's is in it. */
import type { Operand, Reading, StatementFacts, TableReference } from "../sql/facts.ts";

const KEYS_MAX = 16;
const COLUMNS_MAX = 8;
const NAME_CHARS_MAX = 128;
export const NO_KEYS: readonly string[] = [];

const CLASSES: Partial<Record<Operand["type"], string>> = {
  number: "number",
  string: "string",
  hex: "string",
  bit: "string",
  parameter: "parameter",
};

/** `orders (customer = number, id = parameter)` of every table that is changed by columns that the WHERE pins down. */
export function keysWritten({ statements }: Pick<Reading, "statements">): readonly string[] {
  let keys: Set<string> | undefined;
  for (const statement of statements) {
    if (statement.kind !== "update" && statement.kind !== "delete") continue;
    for (const table of statement.tablesWritten) {
      const columns = columnsOf(statement, table);
      if (columns.length === 0 || (keys?.size ?? 0) >= KEYS_MAX) continue;
      keys ??= new Set();
      keys.add(`${table.table} (${columns.join(", ")})`.slice(0, NAME_CHARS_MAX));
    }
  }
  return keys === undefined ? NO_KEYS : [...keys];
}

function columnsOf({ predicates }: StatementFacts, table: TableReference): string[] {
  const columns = new Set<string>();
  for (const { operator, isConjunct, clause, ofColumn, operand } of predicates) {
    if (operator !== "=" || !isConjunct || clause !== "where" || ofColumn?.table !== table) continue;
    const valueClass = CLASSES[operand.type];
    if (valueClass !== undefined && columns.size < COLUMNS_MAX) columns.add(`${ofColumn.column} = ${valueClass}`);
  }
  return [...columns].sort();
}
