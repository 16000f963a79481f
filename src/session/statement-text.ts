/** SQL for commands that carry their statement in another form, and the one statement that is rewritten. */
import { encodeUtf8 } from "../base/bytes.ts";

const quoteIdentifier = (name: string): string => `\`${name.replaceAll("`", "``")}\``;

export function initDbSql(schema: string): Uint8Array {
  return encodeUtf8(`USE ${quoteIdentifier(schema)}`);
}

export function fieldListSql(table: string): Uint8Array {
  return encodeUtf8(`SHOW COLUMNS FROM ${quoteIdentifier(table)}`);
}

export function processKillSql(connectionId: number): Uint8Array {
  return encodeUtf8(`KILL ${connectionId}`);
}

export const PROCESS_INFO_SQL: Uint8Array = encodeUtf8("SHOW PROCESSLIST");

/** `KILL QUERY 4294967295` and a semicolon, with room for blanks. */
const KILL_BYTES_MAX = 48;

export interface Kill {
  readonly scope: "CONNECTION" | "QUERY";
  readonly connectionId: number;
}

/**
 * What a `KILL [CONNECTION | QUERY] <id>` names, or undefined when the text is anything else. Clients write exactly this
 * when the user presses Ctrl-C.
 */
export function readKill(sql: Uint8Array): Kill | undefined {
  if (sql.length > KILL_BYTES_MAX || ((sql[0] ?? 0) | 0x20) !== 0x6b) return undefined;
  const text = Buffer.from(sql.buffer, sql.byteOffset, sql.byteLength).toString("latin1");
  const words = (text.endsWith(";") ? text.slice(0, -1) : text).split(" ").filter((word) => word !== "");
  const verb = words[0]?.toUpperCase();
  const scope = words.length === 3 ? words[1]?.toUpperCase() : "CONNECTION";
  const id = Number(words[words.length - 1]);
  if (verb !== "KILL" || words.length < 2 || words.length > 3 || !Number.isInteger(id)) return undefined;
  if (scope !== "CONNECTION" && scope !== "QUERY") return undefined;
  return { scope, connectionId: id };
}

export function killSql({ scope, connectionId }: Kill): Uint8Array {
  return encodeUtf8(`KILL ${scope} ${connectionId}`);
}
