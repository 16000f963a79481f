/** Names and texts as the written schema has them. */
import { encodeUtf8 } from "../../base/bytes.ts";
import { ident, literal } from "../postgres/writing/safe-sql.ts";

const NAME_BYTES_MAX = 63;

/** PostgreSQL's reserved words, and those that only functions and types may have: https://www.postgresql.org/docs/16/sql-keywords-appendix.html */
const RESERVED: ReadonlySet<string> = new Set(
  (
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column " +
    "concurrently constraint create cross current_catalog current_date current_role current_schema current_time " +
    "current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from " +
    "full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit " +
    "localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references " +
    "returning right select session_user similar some symmetric system_user table tablesample then to trailing true union " +
    "unique user using variadic verbose when where window with between bigint bit boolean char character coalesce dec decimal " +
    "exists extract float greatest grouping inout int integer interval least national nchar none normalize nullif numeric out " +
    "overlay position precision real row setof smallint substring time timestamp treat trim values varchar async"
  ).split(" "),
);

/** Lower case, as PostgreSQL folds what stands without quotes; cut at 63 bytes. */
export function foldedName(name: string): string {
  let folded = name.toLowerCase();
  while (encodeUtf8(folded).length > NAME_BYTES_MAX) folded = folded.slice(0, -1);
  return folded;
}

export function nameSql(name: string): string {
  const folded = foldedName(name);
  return /^[a-z_][a-z0-9_]*$/.test(folded) && !RESERVED.has(folded) ? folded : ident(folded).toString();
}

export const textSql = (text: string): string => literal(text).toString().trimStart();

/** Names of one kind in a schema: a second of the same name gets a number. */
export class TakenNames {
  readonly #taken = new Set<string>();

  take(name: string): string {
    let free = foldedName(name);
    for (let number = 2; this.#taken.has(free); number++) free = `${foldedName(name).slice(0, 58)}_${number}`;
    this.#taken.add(free);
    return free;
  }
}
