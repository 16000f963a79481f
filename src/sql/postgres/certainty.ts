/** What a statement does to the way in which its session reads the statements behind it. */
import type { FunctionCall, PostgresqlContext, StatementFacts, VariableAssignment } from "../facts.ts";
import { HARMLESS_FUNCTIONS } from "./walk/built-in-functions.ts";
import { isCatalogFirst } from "./walk/names.ts";
import { pathOf } from "./walk/settings.ts";

const CATALOG = "pg_catalog";

/** A function of the server's own that changes nothing outside of its own statement and keeps nobody waiting. */
export function isHarmlessCall(
  { name, schema, spelling, firstLiteral }: FunctionCall,
  context: PostgresqlContext,
): boolean {
  if (spelling === "attribute") return true;
  if (spelling !== "plain") return false;
  if (schema !== CATALOG && !(schema === undefined && isCatalogFirst(context))) return false;
  // Its assignment is judged as one of SET.
  if (name === "SET_CONFIG") return firstLiteral !== undefined;
  return HARMLESS_FUNCTIONS.has(name);
}

/** Statements that may do anything, as far as their text tells. */
const OPAQUE_KINDS: ReadonlySet<string> = new Set(["unknown", "call", "do-block", "execute", "load-library", "fetch"]);

/** Whether the statement may have changed anything of its session. */
function isOpaque(statement: StatementFacts, context: PostgresqlContext): boolean {
  const { kind, dynamic, functions, tablesWritten } = statement;
  if (OPAQUE_KINDS.has(kind) || (dynamic !== undefined && dynamic.source === "expression")) return true;
  // An UPDATE of this view is a SET.
  if (tablesWritten.some(({ table }) => table === "pg_settings")) return true;
  return functions.some((call) => !isHarmlessCall(call, context) && !KNOWN_TO_KEEP.has(call.name));
}

/** They wait, write or signal, and leave the session's settings alone. */
const KNOWN_TO_KEEP: ReadonlySet<string> = new Set(
  "NEXTVAL CURRVAL LASTVAL SETVAL PG_SLEEP PG_SLEEP_FOR PG_SLEEP_UNTIL PG_NOTIFY PG_ADVISORY_LOCK PG_ADVISORY_UNLOCK PG_TRY_ADVISORY_LOCK PG_ADVISORY_XACT_LOCK PG_TRY_ADVISORY_XACT_LOCK PG_CANCEL_BACKEND PG_TERMINATE_BACKEND".split(
    " ",
  ),
);

/** Kinds after which a transaction, and with it a setting of its own, may have ended. */
export const TRANSACTION_ENDS: ReadonlySet<string> = new Set([
  "rollback",
  "rollback-to-savepoint",
  "commit",
  "prepare-transaction",
]);

/** The session behind the statements, which have run in that order or failed. SAFETY: whichever of both, nothing is taken for granted. */
export function contextAfter(before: PostgresqlContext, statements: readonly StatementFacts[]): PostgresqlContext {
  let context = before;
  for (const statement of statements) {
    if (isOpaque(statement, context))
      return { ...context, searchPath: "unknown", standardConformingStrings: "unknown", clientEncoding: "unknown" };
    if (TRANSACTION_ENDS.has(statement.kind)) context = { ...context, searchPath: "unknown" };
    for (const variable of statement.variables) context = afterSetting(context, variable);
  }
  return context;
}

/** The same for what follows in the same text, before the server has told of its settings again. */
export function contextWithin(before: PostgresqlContext, statements: readonly StatementFacts[]): PostgresqlContext {
  const context = contextAfter(before, statements);
  // SAFETY: what is written may be a view of settings, or have a trigger that sets one.
  const mayRunMore =
    context.searchPath !== "unknown" && statements.some(({ tablesWritten }) => tablesWritten.length > 0);
  return mayRunMore ? { ...context, searchPath: "unknown" } : context;
}

function afterSetting(context: PostgresqlContext, { name, value }: VariableAssignment): PostgresqlContext {
  const text = value.type === "string" ? value.text : undefined;
  switch (name) {
    case "search_path":
      return { ...context, searchPath: text === undefined ? "unknown" : pathOf([text]) };
    case "standard_conforming_strings":
      return { ...context, standardConformingStrings: "unknown" };
    case "client_encoding":
      return { ...context, clientEncoding: text ?? "unknown" };
    case "role":
    case "session_authorization":
      return { ...context, searchPath: "unknown" };
    case "*":
      return { ...context, searchPath: "unknown", standardConformingStrings: "unknown", clientEncoding: "unknown" };
    default:
      return context;
  }
}
