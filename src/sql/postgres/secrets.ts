/** Which statements may carry passwords, keys or connection strings. */
import type { StatementKind } from "../facts.ts";

/** SAFETY: a list of those that carry none but in a function's argument, so that whatever is new or not known may. */
const OPEN_KINDS: ReadonlySet<string> = new Set<StatementKind>([
  "empty",
  "select",
  "table",
  "values",
  "show",
  "explain",
  "insert",
  "insert-select",
  "update",
  "update-multi",
  "delete",
  "delete-multi",
  "merge",
  "truncate",
  "copy-in",
  "copy-out",
  "declare-cursor",
  "fetch",
  "move",
  "close-cursor",
  "begin",
  "commit",
  "rollback",
  "savepoint",
  "rollback-to-savepoint",
  "release-savepoint",
  "set-transaction",
  "lock-tables",
  "create-index",
  "drop-table",
  "drop-index",
  "drop-view",
]);

/**
 * In small letters, parts of names of functions whose arguments are secrets (pgcrypto, digests, dblink, http, those of
 * managed services) or that run or set something, and of columns that are called so.
 */
const SECRET_WORDS: readonly string[] = (
  "crypt pgp_ hmac digest md5 sha1 sha2 sha3 sha5 gen_salt armor scram passw secret set_config dblink http invoke aws_ azure_ " +
  "s3 schedule pgsodium vault _to_xml ts_stat crosstab connectby xpath_table"
).split(" ");

/**
 * Whether a text as sent may hold a secret, as far as its kinds (those of SQL in its literals too) and the names in its digest
 * tell: such a text is not kept, not even sealed.
 */
export function mayHoldSecret(digest: string, kinds: readonly string[], isUnderstood: boolean): boolean {
  if (!isUnderstood || kinds.length === 0 || kinds.some((kind) => !OPEN_KINDS.has(kind))) return true;
  const folded = digest.toLowerCase();
  return SECRET_WORDS.some((word) => folded.includes(word));
}
