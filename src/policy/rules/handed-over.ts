/**
 * Statements about accounts that hand over more than the tables that they name: privileges on whole schemas, and accounts
 * and roles of which nobody knows what they may. What protects a table or column protects it from these.
 */

import { matchesWildcards } from "../../base/wildcards.ts";
import type { StatementFacts } from "../../sql/facts.ts";
import { foldName } from "../../sql/mysql/names/names.ts";
import type { NameMatcher } from "../glob.ts";
import { type Subject, surelyMatchesSchema, type TablePattern } from "../policy.ts";

interface HandedOver {
  readonly start: number;
  readonly end: number;
  /** As GRANT has it, where `%` and `_` stand for others; undefined for all there is, and for what is not known. */
  readonly schema: string | undefined;
}

/** Undefined where the statement hands over no more than it names, or changes the subject's own account. */
export function handedOver(statement: StatementFacts, { user }: Subject): HandedOver | undefined {
  const { start, end, kind, accounts, modifiers, objects, privileges } = statement;
  const everything = { start, end, schema: undefined };
  const isOfOthers = accounts.some((account) => account.user !== "CURRENT_USER" && account.user !== user);
  switch (kind) {
    case "grant": {
      if (modifiers.includes("on-everything") || privileges.includes("PROXY")) return everything;
      const schema = objects.find(({ type }) => type === "schema");
      return schema && { start: schema.start, end: schema.end, schema: schema.name };
    }
    case "grant-role":
    case "rename-user":
    case "set-default-role":
      return everything;
    case "create-user":
      return modifiers.includes("default-role") ? everything : undefined;
    case "alter-user":
      return isOfOthers || modifiers.includes("default-role") ? everything : undefined;
    case "set-password":
      return isOfOthers ? everything : undefined;
    default:
      return undefined;
  }
}

/** Whether the table may be among what is handed over. */
export function mayBeHandedOver({ schema: ofTable }: TablePattern, { schema }: HandedOver): boolean {
  if (schema === undefined || ofTable === undefined) return true;
  return ofTable.mayMatch(schema) || mayStandFor(schema, ofTable);
}

/** SAFETY: where both are patterns there may be a name that fits them. */
function mayStandFor(granted: string, { pattern }: NameMatcher): boolean {
  if (!/[%_]/.test(granted)) return false;
  if (/[*?]/.test(pattern)) return true;
  return matchesWildcards(foldName(granted).replaceAll("%", "*").replaceAll("_", "?"), foldName(pattern), "?");
}

/** Whether a list permits all of what is handed over. */
export function isAllPermitted(allowed: readonly TablePattern[], { schema }: HandedOver, subject: Subject): boolean {
  if (schema === undefined) return allowed.some(({ text }) => text === "*" || text === "*.*");
  return allowed.some((pattern) => surelyMatchesSchema(pattern, schema, subject));
}
