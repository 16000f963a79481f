/** The rules that a policy states itself: lists, read-only, tenants, canaries. Each looks at one statement. */

import type { ObjectReference, StatementFacts, TableReference } from "../../sql/facts.ts";
import { lowerAscii } from "../../sql/mysql/names/names.ts";
import { matchesAny } from "../glob.ts";
import { alsoNeeds, countsAs, matchesKind } from "../kinds.ts";
import {
  type DecisionAction,
  mayMatchTable,
  surelyIsSchema,
  surelyMatchesRoutine,
  surelyMatchesSchema,
  surelyMatchesTable,
  type TablePattern,
} from "../policy.ts";
import { effectOf, isExecuted } from "./effects.ts";
import { handedOver, isAllPermitted, mayBeHandedOver } from "./handed-over.ts";
import type { Evidence, RuleInput } from "./rule.ts";
import { findShownValues } from "./value-catalogs.ts";

export interface Place {
  readonly start: number;
  readonly end: number;
}

/** Points that agree with the action, so that a warning is not turned into a block by its own score. */
const ACTION_POINTS: Readonly<Record<DecisionAction, number>> = {
  allow: 0,
  warn: 50,
  "require-approval": 50,
  block: 100,
};

export const refusal = (place: Place, reason?: string, action: DecisionAction = "block"): Evidence => ({
  points: ACTION_POINTS[action],
  start: place.start,
  end: place.end,
  action,
  ...(reason === undefined ? {} : { reason }),
});

export const because = (text: string, reason: string | undefined): string =>
  reason === undefined ? text : `${text}: ${reason}`;

export function* tablesOf(statement: StatementFacts): Generator<TableReference> {
  yield* statement.tablesRead;
  yield* statement.tablesWritten;
}

export const tableText = (table: TableReference): string =>
  table.schema === undefined ? table.table : `${table.schema}.${table.table}`;

const mayBe = (patterns: readonly TablePattern[], table: TableReference): boolean =>
  patterns.some((pattern) => mayMatchTable(pattern, table.schema, table.table));

export function isRoutineAllowed(
  statement: StatementFacts,
  { settings, subject, analysis }: Pick<RuleInput, "settings" | "subject" | "analysis">,
): boolean {
  const { engine } = analysis.context;
  const routines = statement.objects.filter(({ type }) => type === "procedure");
  return (
    routines.length > 0 &&
    routines.every((routine) => surelyMatchesRoutine(settings.allowRoutines, routine, { subject, engine }))
  );
}

const objectText = (object: ObjectReference): string =>
  object.schema === undefined ? object.name : `${object.schema}.${object.name}`;

export function findDenyStatement(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  for (const { matcher, action, reason } of settings.denyStatements) {
    const denied = matchesKind(matcher, statement);
    if (denied === undefined) continue;
    const named = denied === statement.kind ? denied : `${denied}, which this ${statement.kind} is too`;
    return refusal(statement, because(`the policy denies ${named}`, reason), action);
  }
  return undefined;
}

/** Kinds that every driver sends on its own; an allow list that names only select must not break the login. */
const PREAMBLE_EFFECTS: ReadonlySet<string> = new Set(["none", "session"]);
const PREAMBLE_KINDS: ReadonlySet<string> = new Set(["show", "describe"]);

export function findAllowStatement(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  const allowed = settings.allowStatements;
  if (allowed === undefined || !isExecuted(statement)) return undefined;
  if (matchesAny(allowed, statement.kind)) {
    const also = alsoNeeds(statement);
    if (also === undefined || matchesAny(allowed, also)) return undefined;
    return refusal(statement, `the policy does not list ${also}, which this ${statement.kind} is too`);
  }
  if (PREAMBLE_EFFECTS.has(effectOf(statement.kind)) || PREAMBLE_KINDS.has(statement.kind)) return undefined;
  return refusal(statement, `the policy does not list ${statement.kind}`);
}

/** The schema that goes with all its tables, whichever those are. */
export function lostSchema(statement: StatementFacts): ObjectReference | undefined {
  const isLost = statement.kind === "drop-schema" || countsAs(statement).includes("drop-schema");
  return isLost ? statement.objects.find(({ type }) => type === "schema") : undefined;
}

export const mayBeIn = ({ schema }: TablePattern, lost: ObjectReference): boolean =>
  schema === undefined || schema.mayMatch(lost.name);

export function findDenyTable(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const { denyTables } = input.settings;
  if (denyTables.length === 0) return undefined;
  const wholesale = findWholesale(statement, input);
  if (wholesale !== undefined) return wholesale;
  for (const reference of tablesOf(statement)) {
    for (const { table, action, reason } of denyTables) {
      if (mayMatchTable(table, reference.schema, reference.table)) {
        return refusal(reference, because(`the policy denies the table ${tableText(reference)}`, reason), action);
      }
    }
  }
  for (const { table, action, reason } of denyTables) {
    const shown = findShownValues(statement, input, (name) => table.table.mayMatch(name), false);
    if (shown === undefined) continue;
    return refusal(shown, because(`it may show values of ${table.text}, which the policy denies`, reason), action);
  }
  return undefined;
}

/** A denied table among those that go with their schema, or on which privileges are handed over. */
function findWholesale(statement: StatementFacts, { settings, subject }: RuleInput): Evidence | undefined {
  const lost = lostSchema(statement);
  const opened = handedOver(statement, subject);
  if (lost === undefined && opened === undefined) return undefined;
  for (const { table, action, reason } of settings.denyTables) {
    if (lost !== undefined && mayBeIn(table, lost)) {
      const text = `${lost.name} may hold the table ${table.text}, which the policy denies`;
      return refusal(lost, because(text, reason), action);
    }
    if (opened !== undefined && mayBeHandedOver(table, opened)) {
      const text = `it may hand over privileges on the table ${table.text}, which the policy denies`;
      return refusal(opened, because(text, reason), action);
    }
  }
  return undefined;
}

export function findAllowTable(statement: StatementFacts, { settings, subject }: RuleInput): Evidence | undefined {
  const allowed = settings.allowTables;
  if (allowed === undefined) return undefined;
  const lost = lostSchema(statement);
  if (lost !== undefined && !allowed.some((pattern) => surelyMatchesSchema(pattern, lost.name, subject))) {
    return refusal(lost, `the policy does not list every table of ${lost.name}`);
  }
  const opened = handedOver(statement, subject);
  if (opened !== undefined && !isAllPermitted(allowed, opened, subject)) {
    return refusal(opened, "the policy does not list every table that it may hand over privileges on");
  }
  for (const reference of tablesOf(statement)) {
    if (!allowed.some((pattern) => surelyMatchesTable(pattern, reference, subject))) {
      return refusal(reference, `the policy does not list the table ${tableText(reference)}`);
    }
  }
  return undefined;
}

export function findDenyFunction(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  for (const { matcher, action, reason } of settings.denyFunctions) {
    const call =
      statement.functions.find(
        ({ name, schema }) => matcher.mayMatch(name) || (schema !== undefined && matcher.mayMatch(`${schema}.${name}`)),
      ) ??
      statement.objects.find(
        (object) =>
          (object.type === "procedure" || object.type === "function") &&
          (matcher.mayMatch(object.name) || matcher.mayMatch(objectText(object))),
      );
    if (call !== undefined) return refusal(call, because(`the policy denies ${call.name}`, reason), action);
  }
  return undefined;
}

/** Every account may read its own view of the catalog, and drivers do so at login. */
const OPEN_SCHEMAS: ReadonlySet<string> = new Set(["information_schema"]);

export function findSchema(statement: StatementFacts, { settings, subject }: RuleInput): Evidence | undefined {
  const allowed = settings.schemas;
  if (allowed === undefined) return undefined;
  const isOpen = (schema: string): boolean =>
    OPEN_SCHEMAS.has(lowerAscii(schema)) || allowed.some((matcher) => surelyIsSchema(matcher, schema, subject));
  for (const reference of tablesOf(statement)) {
    if (reference.schema !== undefined && !isOpen(reference.schema)) {
      return refusal(reference, `the policy does not list the schema ${reference.schema}`);
    }
  }
  for (const object of statement.objects) {
    const schema = object.type === "schema" ? object.name : object.schema;
    if (schema !== undefined && !isOpen(schema))
      return refusal(object, `the policy does not list the schema ${schema}`);
  }
  return undefined;
}

export function findCanary(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  if (settings.canaryTables.length === 0) return undefined;
  const lost = lostSchema(statement);
  const canary = lost && settings.canaryTables.find((pattern) => mayBeIn(pattern, lost));
  if (lost !== undefined && canary !== undefined) {
    return refusal(lost, `nobody has a reason to touch ${canary.text}, which may be in ${lost.name}`);
  }
  for (const reference of tablesOf(statement)) {
    if (mayBe(settings.canaryTables, reference)) {
      return refusal(reference, `nobody has a reason to touch ${tableText(reference)}`);
    }
  }
  return undefined;
}

const RESTRICTED_KINDS: ReadonlySet<string> = new Set(["update", "update-multi", "delete", "delete-multi"]);

export function findRequireWhere(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  if (settings.requireWhere.length === 0 || !isExecuted(statement)) return undefined;
  const leavesOut = statement.where === "present" || statement.where === "never";
  const isUnrestricted = RESTRICTED_KINDS.has(statement.kind) && !leavesOut;
  if (!isUnrestricted && !statement.modifiers.includes("all-rows")) return undefined;
  const table = statement.tablesWritten.find((reference) => mayBe(settings.requireWhere, reference));
  if (table === undefined) return undefined;
  const reason = `${statement.kind} on ${tableText(table)} needs a WHERE that restricts`;
  return { ...refusal(table, reason), points: 80 };
}
