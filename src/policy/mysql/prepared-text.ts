/** A statement that a MySQL session has prepared, as the policy keeps it. */

import type { BoundValue, MysqlContext, SqlContext } from "../../sql/facts.ts";
import { lexForCache } from "../../sql/mysql/analyze.ts";
import { bindExactly, bindValues } from "../../sql/mysql/dynamic/bound-text.ts";
import { findParameterPlaces, type ParameterPlaces } from "../../sql/mysql/dynamic/parameter-places.ts";
import { dependsOnSession } from "../../sql/mysql/lexing/readings.ts";
import type { PreparedText } from "../sql-engine.ts";
import { classOfValues } from "./value-class.ts";

export class MysqlPreparedText implements PreparedText<MysqlContext> {
  readonly sql: Uint8Array;
  readonly context: MysqlContext;
  /** As many as the server counted; undefined where nobody has told. */
  readonly parameters: number | undefined;
  #places: ParameterPlaces | "unplaced" | undefined;
  #key: { readonly key: string | undefined } | undefined;
  /** As a session that has changed reads it: the last one asked for. */
  #changed: MysqlPreparedText | undefined;

  constructor(sql: Uint8Array, context: MysqlContext, parameters: number | undefined) {
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
  inSession(now: SqlContext): MysqlPreparedText {
    const { sqlMode, charset } = this.context;
    if (now.engine !== "mysql") throw new TypeError(`Cannot read a MySQL statement in a session of ${now.engine}`);
    if (sqlMode === now.sqlMode && charset === now.charset) return this;
    if (!dependsOnSession(this.sql)) return this;
    const doubtful: MysqlContext = {
      ...this.context,
      sqlMode: sqlMode === now.sqlMode ? sqlMode : "unknown",
      charset: charset === now.charset ? charset : "unknown",
    };
    const known = this.#changed?.context;
    if (this.#changed !== undefined && known?.sqlMode === doubtful.sqlMode && known.charset === doubtful.charset) {
      return this.#changed;
    }
    this.#changed = new MysqlPreparedText(this.sql, doubtful, this.parameters);
    return this.#changed;
  }

  bind(values: readonly BoundValue[], isEvery: boolean): Uint8Array {
    const { places } = this;
    if (places === "unplaced") throw new TypeError("Cannot bind values to places that are not certain");
    return bindValues(this.sql, places, values, this.context, isEvery);
  }

  classOf(values: readonly BoundValue[], named: ReadonlySet<string>): string | undefined {
    return this.places === "unplaced" ? undefined : classOfValues(this.places, values, named);
  }

  /**
   * What runs, as one text for the session; undefined where that is not certain.
   * SAFETY: the text is sent to a server in the session's settings of now, so the values are quoted for those.
   */
  boundIn(now: MysqlContext, values: readonly BoundValue[]): Uint8Array | undefined {
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
