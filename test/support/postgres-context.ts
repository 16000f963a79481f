/** A PostgreSQL session of which everything is known. */
import type { PostgresqlContext } from "../../src/sql/facts.ts";
import { loadParser } from "../../src/sql/postgres/parser/parser.ts";

export const POSTGRES_CONTEXT: PostgresqlContext = {
  engine: "postgresql",
  schema: undefined,
  serverVersion: 150018,
  isDsql: false,
  clientEncoding: "UTF8",
  standardConformingStrings: "on",
  searchPath: ["$user", "public"],
};

/** Before the first text. */
export const readyToParse = (): Promise<void> => loadParser();
