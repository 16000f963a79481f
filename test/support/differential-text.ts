/**
 * SQL as the session differential writes it: strings whose characters are bytes, so that a text can hold the bytes of
 * any charset. `bytesOf()` makes the bytes.
 */
import type { ServerKind } from "./accounts.ts";
import type { Dice } from "./digest-oracle.ts";

/** What a list of statements is made for. */
export interface Scene {
  readonly dice: Dice;
  readonly kind: ServerKind;
  /** The user is read-only; else it may write, its own tenant's rows too. */
  readonly isReadOnly: boolean;
  /** Holds what is denied: the table `secret`, the column `member.password`, the orders of other tenants than 7. */
  readonly guarded: string;
  /** Holds tables of the same names that are nobody's secret, and stored code. */
  readonly free: string;
  /** Holds the table `c`, which nobody may touch. */
  readonly canary: string;
  /** The charset that a list comes back to. */
  readonly charset: Charset;
}

export interface Charset {
  readonly name: string;
  /** Bytes that begin a character whose second byte may be a backslash or a backtick, or that the charset cannot read. */
  readonly leads: readonly string[];
  /** Bytes that the charset takes for a blank, or nearly. */
  readonly blanks: readonly string[];
}

export interface Piece {
  readonly text: string;
  /** What it is made of, outermost first: findings of the same tags are of one kind. */
  readonly tags: readonly string[];
}

export const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

/** The UTF-8 bytes of a text, as such a string. */
export const utf8 = (text: string): string => Buffer.from(text).toString("latin1");

export const isMariadb = ({ kind }: Pick<Scene, "kind">): boolean => kind !== "mysql";

/** True once in `times`. */
export const once = (dice: Dice, times: number): boolean => dice.below(times) === 0;

/** A literal that holds the text, as a session without NO_BACKSLASH_ESCAPES or with it would write it. */
export function literalOf(dice: Dice, text: string): string {
  const withBackslashes = once(dice, 4) ? text : text.replaceAll("\\", "\\\\");
  const quoted = once(dice, 4) ? withBackslashes.replaceAll("'", "\\'") : withBackslashes.replaceAll("'", "''");
  return `'${quoted}'`;
}
