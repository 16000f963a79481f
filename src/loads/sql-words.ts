/** Names and texts as they stand in a statement of ours, whatever the session's sql_mode makes of quotes and backslashes. */
import { LoadFailure } from "./load-failure.ts";

export interface TableName {
  readonly schema: string;
  readonly table: string;
}

const NAME_CHARACTERS_MAX = 64;

export function quotedName(name: string): string {
  const hasControl = [...name].some((character) => (character.codePointAt(0) ?? 0) < 0x20);
  if (name === "" || name.length > NAME_CHARACTERS_MAX || hasControl || !name.isWellFormed())
    throw new LoadFailure(`${JSON.stringify(name.slice(0, 80))} is no name that a table or column can have`);
  return `\`${name.replaceAll("`", "``")}\``;
}

export function quotedTable({ schema, table }: TableName): string {
  return `${quotedName(schema)}.${quotedName(table)}`;
}

/** Printable text in quotes, and whatever could end or change a literal by its bytes. */
export function literal(text: string): string {
  if (/^[ -~]*$/.test(text) && !/['\\]/.test(text)) return `'${text}'`;
  return `0x${Buffer.from(text).toString("hex").toUpperCase()}`;
}

/** `schema.table` of the command line: everything behind the first dot is the table. */
export function parseTableName(text: string): TableName | undefined {
  const dot = text.indexOf(".");
  if (dot <= 0 || dot === text.length - 1) return undefined;
  return { schema: text.slice(0, dot), table: text.slice(dot + 1) };
}
