/** Names as the tree has them: decoded, folded and cut at 63 bytes by the server's own grammar. */
import type { FunctionCall, PostgresqlContext } from "../../facts.ts";
import { CATALOG_RELATIONS } from "./built-in-names.ts";

const CATALOG = "pg_catalog";

/**
 * False where another schema stands before the server's own, so that any name may be another one's. SAFETY: servers before 18
 * do not tell their search_path, and whoever may set it may not hide the catalog where that matters: a read-only profile
 * refuses such a SET, and everything that may hold one.
 */
export function isCatalogFirst({ searchPath }: Pick<PostgresqlContext, "searchPath">): boolean {
  return searchPath === "unknown" || searchPath.indexOf(CATALOG) <= 0;
}

/**
 * The schema of a table without one, where the session leaves no doubt. SAFETY: a temporary table may hide it, but holds
 * only what the session has put there itself.
 */
export function schemaOf(table: string, context: PostgresqlContext): string | undefined {
  if (context.searchPath === "unknown" || !isCatalogFirst(context)) return undefined;
  if (CATALOG_RELATIONS.has(table)) return CATALOG;
  const schemas = context.searchPath.filter((schema) => schema !== CATALOG);
  const [only] = schemas;
  return schemas.length === 1 && only !== "$user" ? only : undefined;
}

/** Whether a table may be an application's: it is not certain to be one of the server's own. */
export const isOfApplication = ({ schema }: { readonly schema: string | undefined }): boolean =>
  schema !== CATALOG && schema !== "information_schema";

/**
 * Functions as policies know them: upper case where the server's name is lower case, so that built-in names are written as
 * MySQL's are. A name with a capital is another function, and stays as it is.
 */
export function callName(name: string): { readonly name: string; readonly isFolded: boolean } {
  const isFolded = !/[A-Z]/.test(name);
  return { name: isFolded ? name.replace(/[a-z]/g, (letter) => letter.toUpperCase()) : name, isFolded };
}

/** The function of a call as the server names it. */
export function calledName({ name, spelling }: Pick<FunctionCall, "name" | "spelling">): string {
  return spelling === "plain" ? name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : name;
}

/** Decoded text never ends in the middle of a character. */
export function quoteName(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
