/** Which statements carry passwords, keys or connection strings, and where in them. */

import type { StatementKind } from "../../facts.ts";
import { foldName } from "../names/names.ts";

/**
 * What may be a secret in a statement of the kind.
 * - name: a literal, or what is read as a name, for a password may be written without quotes, or in other ones
 * - literal: a literal, or code in which one may stand
 */
type SecretPlace = "name" | "literal";

/** What MySQL itself rewrites before it logs a statement (sql/sql_rewrite.cc), and what else takes a secret. */
const SECRET_PLACES = {
  unknown: "name",
  "create-user": "name",
  "alter-user": "name",
  grant: "name",
  "grant-role": "name",
  "set-password": "name",
  "change-replication-source": "name",
  "start-replica": "name",
  "start-group-replication": "name",
  clone: "name",
  "create-server": "name",
  "alter-server": "name",
  "set-role": "literal",
  set: "literal",
  "create-table": "literal",
  "alter-table": "literal",
  "create-procedure": "literal",
  "create-function": "literal",
  "create-package": "literal",
  "create-library": "literal",
  "create-trigger": "literal",
  "create-event": "literal",
  "alter-event": "literal",
  "alter-instance": "literal",
  compound: "literal",
  declare: "literal",
  call: "literal",
  prepare: "literal",
  "execute-immediate": "literal",
  "install-component": "literal",
} as const satisfies Partial<Record<StatementKind, SecretPlace>>;

/** By kind. The literals of these are never kept, whatever the configuration says. */
export const SECRET_STATEMENTS: ReadonlyMap<string, SecretPlace> = new Map(Object.entries(SECRET_PLACES));

/** Whether a name in one of these statements may be a password. */
export function mayNameSecret(kinds: readonly StatementKind[]): boolean {
  return kinds.some((kind) => SECRET_STATEMENTS.get(kind) === "name");
}

/** Functions whose arguments are secrets. In lower case. */
const SECRET_FUNCTIONS: ReadonlySet<string> = new Set([
  "aes_encrypt",
  "aes_decrypt",
  "des_encrypt",
  "des_decrypt",
  "encode",
  "decode",
  "encrypt",
  "password",
  "old_password",
  "md5",
  "sha",
  "sha1",
  "sha2",
  "kdf",
  "random_bytes",
  "create_asymmetric_priv_key",
  "create_asymmetric_pub_key",
  "asymmetric_encrypt",
  "asymmetric_decrypt",
  "asymmetric_sign",
  "keyring_key_store",
  "statement_digest",
  "statement_digest_text",
]);

/**
 * Whether a text as sent may hold a secret, as far as its kinds and the functions in its digest tell: such a text is not
 * kept, not even sealed.
 */
export function mayHoldSecret(digest: string, kinds: readonly string[], isUnderstood: boolean): boolean {
  if (!isUnderstood || kinds.some((kind) => SECRET_STATEMENTS.has(kind))) return true;
  const folded = foldName(digest);
  for (const name of SECRET_FUNCTIONS) if (folded.includes(name)) return true;
  return false;
}
