/** What the judge asks of the engine whose SQL a text is. */

import type { Analysis, BoundValue, SqlContext, SqlEngineName, StatementKind } from "../sql/facts.ts";
import type { SessionEffect } from "./session-effect.ts";

/** A prepared statement as the policy keeps it: its text, how the server read it, and where values go. */
export interface PreparedText<Context extends SqlContext = SqlContext> {
  readonly sql: Uint8Array;
  readonly context: Context;
  /** As many as the server counted; undefined where nobody has told. */
  readonly parameters: number | undefined;
  /** "unplaced" where it is not certain where the parameters stand: what is bound to them then counts as unknown. */
  readonly places: ValuePlaces | "unplaced";
  /** The text's own part of a cache key, found once for all executions; undefined where it must be analysed each time. */
  readonly key: string | undefined;
  /** The statement in a session that reads SQL otherwise by now: what differs counts as unknown. */
  inSession(now: SqlContext): PreparedText<Context>;
  /**
   * The text with the values that a rule may depend on as literals; `isEvery` also puts in those that only a rule naming
   * values asks for. A value that is not known stays a parameter. For texts that are not unplaced.
   */
  bind(values: readonly BoundValue[], isEvery: boolean): Uint8Array;
  /**
   * Executions of one class have one verdict, where rules name these values and no others; undefined where nothing of the
   * kind is certain. For texts that are not unplaced.
   */
  classOf?(values: readonly BoundValue[], named: ReadonlySet<string>): string | undefined;
}

export interface ValuePlaces {
  /** Where the parameters stand, in order. */
  readonly offsets: readonly number[];
  /** True when rules that name no value may still depend on one. */
  readonly areWeighty: boolean;
}

export interface SqlEngine<Context extends SqlContext = SqlContext> {
  analyze(sql: Uint8Array, context: Context): Analysis;
  /** A key that promises equal facts where `readingKeyOf` is equal too; undefined where a text must be analysed each time. */
  keyOf(sql: Uint8Array, context: Context): string | undefined;
  /** Everything in the context, but for the schema, that the meaning of a text depends on. */
  readingKeyOf(context: Context): string;
  /** Whether the advisor can read its texts. */
  readonly takesOpinions: boolean;
  /** What a text does to how its session reads later ones. */
  sessionEffectOf(analysis: Analysis): SessionEffect;
  /** Which rows an UPDATE or DELETE is about, by columns; none where no session of the engine asks for it. */
  keysWrittenBy(analysis: Analysis): readonly string[];
  /** The digest without names that may be secrets; `isUncertain` where a name may be a string in another reading. */
  maskDigest(digest: string, kinds: readonly StatementKind[], isUncertain: boolean): string;
  prepare(sql: Uint8Array, context: Context, parameters: number | undefined): PreparedText;
}

/** Those that a process serves. */
export type SqlEngines = { readonly [Name in SqlEngineName]?: SqlEngine };
