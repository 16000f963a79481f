/** What a rule about Aurora DSQL is: a piece of PostgreSQL that it refuses, since when that is known, and what to do instead. */

/** A node of the parser's tree: all that is said of it must hold. Paths are fields between dots; a list stands for each of its items. */
export interface NodePattern {
  readonly node: string;
  /** By path: one of these values, of which `*` at the end stands for any rest; or true for anything but nothing and false. */
  readonly has?: Readonly<Record<string, readonly string[] | true>>;
  /** Nothing of this may be found. */
  readonly lacks?: Readonly<Record<string, readonly string[] | true>>;
  /** More of it than that. */
  readonly moreThan?: Readonly<Record<string, number>>;
  /** Options by name, whose number must be given and allowed. */
  readonly cache?: { readonly path: string };
  /** Only without the word ASYNC, which is no node. */
  readonly unlessAsync?: true;
}

export interface DsqlRule {
  readonly id: string;
  /** `statement`: told by one statement. `transaction`: by what came before it. `conflict`: by what others did. */
  readonly scope: "statement" | "transaction" | "conflict";
  readonly title: string;
  /** The last day it was seen to hold: YYYY-MM-DD. */
  readonly seen: string;
  /** The first day it no longer held. */
  readonly until?: string;
  readonly source: string;
  readonly sqlState: string;
  /** What the server says: `*` stands for any text. */
  readonly message: string;
  /** What to do instead, as the hint of the error. */
  readonly instead: string;
  /** Any of them. None where a text alone does not tell. */
  readonly patterns?: readonly NodePattern[];
}
