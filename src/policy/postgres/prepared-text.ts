/** A statement that a PostgreSQL session has parsed, as the policy keeps it. */

import type { BoundValue, PostgresqlContext, SqlContext } from "../../sql/facts.ts";
import { bindValues, findParameters, type ParameterPlace } from "../../sql/postgres/bound-text.ts";
import { keyOf } from "../../sql/postgres/digest.ts";
import type { PreparedText, ValuePlaces } from "../sql-engine.ts";

interface Places extends ValuePlaces {
  readonly parameters: readonly ParameterPlace[];
}

export class PostgresPreparedText implements PreparedText<PostgresqlContext> {
  readonly sql: Uint8Array;
  readonly context: PostgresqlContext;
  readonly parameters: number | undefined;
  #places: Places | "unplaced" | undefined;
  #onOtherPath: PostgresPreparedText | undefined;
  #key: { readonly key: string | undefined } | undefined;

  constructor(sql: Uint8Array, context: PostgresqlContext, parameters: number | undefined) {
    this.sql = sql;
    this.context = context;
    this.parameters = parameters;
  }

  get places(): Places | "unplaced" {
    this.#places ??= this.#findPlaces();
    return this.#places;
  }

  get key(): string | undefined {
    this.#key ??= { key: keyOf(this.sql, this.context) };
    return this.#key.key;
  }

  /** The server reads no text again; but the names in it are looked up anew where search_path has changed. */
  inSession(now: SqlContext): PostgresPreparedText {
    if (now.engine !== "postgresql")
      throw new TypeError(`Cannot read a PostgreSQL statement in a session of ${now.engine}`);
    const { searchPath } = this.context;
    if (searchPath === now.searchPath || JSON.stringify(searchPath) === JSON.stringify(now.searchPath)) return this;
    this.#onOtherPath ??= new PostgresPreparedText(
      this.sql,
      { ...this.context, searchPath: "unknown" },
      this.parameters,
    );
    return this.#onOtherPath;
  }

  bind(values: readonly BoundValue[]): Uint8Array {
    const { places } = this;
    if (places === "unplaced") throw new TypeError("Cannot bind values to places that are not certain");
    return bindValues(this.sql, places.parameters, values);
  }

  #findPlaces(): Places | "unplaced" {
    const parameters = findParameters(this.sql, this.context);
    if (parameters === undefined) return "unplaced";
    const highest = parameters.reduce((last, { number }) => Math.max(last, number), 0);
    if (this.parameters !== undefined && highest > this.parameters) return "unplaced";
    return { parameters, offsets: parameters.map(({ start }) => start), areWeighty: false };
  }
}
