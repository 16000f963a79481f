/** SQL for commands that carry their statement in another form, and the one statement that is rewritten. */
import { encodeUtf8 } from "../../../base/bytes.ts";

const BACKTICK = 0x60;

/**
 * The name in backticks, as bytes of the client's character set. A backtick behind a byte beyond ASCII may be half of that
 * character and stays; were it none, the text that is judged would have a rest that nobody understands.
 */
function withQuotedName(words: string, name: Uint8Array): Uint8Array {
  const bytes = [...encodeUtf8(words), BACKTICK];
  name.forEach((byte, at) => {
    bytes.push(byte);
    if (byte === BACKTICK && (name[at - 1] ?? 0) < 0x80) bytes.push(BACKTICK);
  });
  return Uint8Array.from([...bytes, BACKTICK]);
}

export function initDbSql(schema: Uint8Array): Uint8Array {
  return withQuotedName("USE ", schema);
}

export function fieldListSql(table: Uint8Array): Uint8Array {
  return withQuotedName("SHOW COLUMNS FROM ", table);
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
