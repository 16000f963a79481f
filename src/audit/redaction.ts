/** What the audit may keep of a statement's text. Literals are `?` in its digest already: that is the SQL side's part. */

/**
 * Kinds of statements that carry passwords, keys or connection strings, or code in which they may stand: their literals
 * are never kept, whatever the configuration says. It is the list of what MySQL itself rewrites before it logs a
 * statement (Sql_cmd and rewriters in sql/sql_rewrite.cc), and what else takes a secret as an argument.
 */
export const SECRET_STATEMENT_KINDS: ReadonlySet<string> = new Set([
  "unknown",
  "create-user",
  "alter-user",
  "grant",
  "grant-role",
  "set-password",
  "set-role",
  "set",
  "change-replication-source",
  "start-replica",
  "start-group-replication",
  "clone",
  "create-server",
  "alter-server",
  "create-table",
  "alter-table",
  "create-procedure",
  "create-function",
  "create-package",
  "create-library",
  "create-trigger",
  "create-event",
  "alter-event",
  "alter-instance",
  "compound",
  "declare",
  "call",
  "prepare",
  "execute-immediate",
  "install-component",
]);

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
  if (!isUnderstood || kinds.some((kind) => SECRET_STATEMENT_KINDS.has(kind))) return true;
  const lower = digest.toLowerCase();
  for (const name of SECRET_FUNCTIONS) if (lower.includes(name)) return true;
  return false;
}
