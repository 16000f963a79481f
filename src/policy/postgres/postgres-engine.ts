/** PostgreSQL's SQL, as the judge asks for it. */

import type { Analysis, PostgresqlContext } from "../../sql/facts.ts";
import { analyze } from "../../sql/postgres/analyze.ts";
import { contextAfter, TRANSACTION_ENDS } from "../../sql/postgres/certainty.ts";
import { keyOf } from "../../sql/postgres/digest.ts";
import { keysWritten } from "../keys-written.ts";
import type { SessionEffect } from "../session-effect.ts";
import type { SqlEngine } from "../sql-engine.ts";
import { PostgresPreparedText } from "./prepared-text.ts";

/** Before its parser is loaded (loadParser()) no text is understood. */
export const POSTGRES_ENGINE: SqlEngine<PostgresqlContext> = {
  analyze,
  keyOf,
  readingKeyOf,
  takesOpinions: false,
  sessionEffectOf,
  keysWrittenBy: keysWritten,
  // No digest of this engine holds a literal, and no secret can stand anywhere else.
  maskDigest: (digest) => digest,
  prepare: (sql, context, parameters) => new PostgresPreparedText(sql, context, parameters),
};

/** Sessions hand in the same object until a setting changes. */
const readingKeys = new WeakMap<PostgresqlContext, string>();

function readingKeyOf(context: PostgresqlContext): string {
  let key = readingKeys.get(context);
  if (key === undefined) {
    const { engine, schema, serverVersion, isDsql, clientEncoding, standardConformingStrings, searchPath } = context;
    const parts = [engine, schema, serverVersion, isDsql, clientEncoding, standardConformingStrings, searchPath];
    key = JSON.stringify(parts);
    readingKeys.set(context, key);
  }
  return key;
}

/** What the server reports of its settings it reports by itself; what it does not report may be otherwise. */
function sessionEffectOf({ readings, context }: Analysis): SessionEffect {
  if (context.engine !== "postgresql") return "opaque";
  const isKept = readings.every(({ understood, statements }) => {
    // The end of a transaction takes back what was set in it, which was no longer known since then.
    const staying = statements.filter(({ kind }) => !TRANSACTION_ENDS.has(kind));
    return understood && contextAfter(context, staying) === context;
  });
  return isKept ? "none" : "opaque";
}
