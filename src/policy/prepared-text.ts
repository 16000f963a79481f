/** A prepared statement as the policy keeps it: its text, how the server read it, and where values go. */

import { lexForCache } from "../sql/analyze.ts";

import { type BoundValue, bindExactly } from "../sql/bound-text.ts";
import type { SqlContext } from "../sql/facts.ts";
import { findParameterPlaces, type ParameterPlaces } from "../sql/parameter-places.ts";
import { dependsOnSession } from "../sql/readings.ts";

export class PreparedText {
  readonly sql: Uint8Array;
  readonly context: SqlContext;
  /** As many as the server counted; undefined where nobody has told. */
  readonly parameters: number | undefined;
  #places: ParameterPlaces | "unplaced" | undefined;
  #key: { readonly key: string | undefined } | undefined;
  /** As a session that has changed reads it: the last one asked for. */
  #changed: PreparedText | undefined;

  constructor(sql: Uint8Array, context: SqlContext, parameters: number | undefined) {
    this.sql = sql;
    this.context = context;
    this.parameters = parameters;
  }

  /** "unplaced" where the readings of the text, or the server's count, do not agree on the parameters. */
  get places(): ParameterPlaces | "unplaced" {
    this.#places ??= this.#findPlaces();
    return this.#places;
  }

  /** The text's own part of a cache key, found once for all executions. */
  get key(): string | undefined {
    this.#key ??= lexForCache(this.sql, this.context);
    return this.#key.key;
  }

  /**
   * The statement in a session that reads SQL otherwise by now. Servers read a text anew when a table has changed, so
   * that what differs counts as unknown. Names stay in the schema that was chosen when the text was prepared.
   */
  inSession(now: SqlContext): PreparedText {
    const { sqlMode, charset } = this.context;
    if (sqlMode === now.sqlMode && charset === now.charset) return this;
    if (!dependsOnSession(this.sql)) return this;
    const doubtful: SqlContext = {
      ...this.context,
      sqlMode: sqlMode === now.sqlMode ? sqlMode : "unknown",
      charset: charset === now.charset ? charset : "unknown",
    };
    const known = this.#changed?.context;
    if (this.#changed !== undefined && known?.sqlMode === doubtful.sqlMode && known.charset === doubtful.charset) {
      return this.#changed;
    }
    this.#changed = new PreparedText(this.sql, doubtful, this.parameters);
    return this.#changed;
  }

  /**
   * What runs, as one text for the session; undefined where that is not certain.
   * SAFETY: the text is sent to a server in the session's settings of now, so the values are quoted for those.
   */
  boundIn(now: SqlContext, values: readonly BoundValue[]): Uint8Array | undefined {
    const { context, places } = this.inSession(now);
    if (places === "unplaced" || context.schema !== now.schema) return undefined;
    return bindExactly(this.sql, places, values, now);
  }

  #findPlaces(): ParameterPlaces | "unplaced" {
    if (this.parameters === 0) return NO_PLACES;
    const places = findParameterPlaces(this.sql, this.context);
    if (places === undefined) return "unplaced";
    const isCounted = this.parameters === undefined || this.parameters === places.offsets.length;
    return isCounted ? places : "unplaced";
  }
}

const NO_PLACES: ParameterPlaces = { offsets: [], roles: [], areWeighty: false, areRows: true };
