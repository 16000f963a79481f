/** Which form of a statement's text the audit may keep. Making the form (literals to `?`) is the SQL side's part. */
import type { AuditEventOf } from "./audit-event.ts";

export type TextForm = AuditEventOf<"statement-intent">["textForm"];

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
export const SECRET_FUNCTIONS: ReadonlySet<string> = new Set([
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

/** What is known of a text when its form is chosen. */
export interface TextFacts {
  /** Kinds of all its statements, nested ones as well. */
  readonly statementKinds: readonly string[];
  /** Names of the functions it calls. */
  readonly functions: readonly string[];
  /** False when the analysis cannot vouch for what it found. */
  readonly isUnderstood: boolean;
  /** False when not even the tokens are certain, such as a string that does not end: no digest can be trusted then. */
  readonly isLexed: boolean;
}

/**
 * The form to keep: the configured one, `digest` where that could give away a secret, `none` where even the digest could.
 */
export function chooseTextForm(configured: Exclude<TextForm, "none">, facts: TextFacts): TextForm {
  if (!facts.isLexed) return "none";
  if (configured === "digest") return "digest";
  const mayHoldSecret =
    !facts.isUnderstood ||
    facts.statementKinds.some((kind) => SECRET_STATEMENT_KINDS.has(kind)) ||
    facts.functions.some((name) => SECRET_FUNCTIONS.has(name.toLowerCase()));
  return mayHoldSecret ? "digest" : configured;
}

const CUT_MARK = "[cut]";

/** At most `charsMax` characters; a text that was cut says so. The whole of it stays known by its hash and length. */
export function cutText(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  // A surrogate pair is not taken apart.
  const end = isHighSurrogate(text.charCodeAt(charsMax - 1)) ? charsMax - 1 : charsMax;
  return text.slice(0, end) + CUT_MARK;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
