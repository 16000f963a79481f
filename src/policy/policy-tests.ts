/** The rules that a policy states itself: lists, read-only, tenants, canaries. Each looks at one statement. */

import type { ObjectReference, StatementFacts, TableReference } from "../sql/facts.ts";
import { effectOf, isChange, isExecuted } from "./effects.ts";
import { matchesAny } from "./glob.ts";
import { isHarmlessFunction } from "./harmless-functions.ts";
import {
  type ColumnPattern,
  type DecisionAction,
  mayMatchTable,
  surelyMatchesTable,
  type TablePattern,
} from "./policy.ts";
import type { Evidence, RuleInput } from "./rule.ts";

interface Place {
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

const refusal = (place: Place, reason?: string, action: DecisionAction = "block"): Evidence => ({
  points: ACTION_POINTS[action],
  start: place.start,
  end: place.end,
  action,
  ...(reason === undefined ? {} : { reason }),
});

const because = (text: string, reason: string | undefined): string =>
  reason === undefined ? text : `${text}: ${reason}`;

export function* tablesOf(statement: StatementFacts): Generator<TableReference> {
  yield* statement.tablesRead;
  yield* statement.tablesWritten;
}

export const tableText = (table: TableReference): string =>
  table.schema === undefined ? table.table : `${table.schema}.${table.table}`;

const mayBe = (patterns: readonly TablePattern[], table: TableReference): boolean =>
  patterns.some((pattern) => mayMatchTable(pattern, table.schema, table.table));

/** Words that change more than the session when assigned, even without GLOBAL. */
const GLOBAL_SCOPES: ReadonlySet<string> = new Set(["global", "persist", "persist-only"]);

/**
 * Refuses everything that is not surely a read or a matter of this session alone.
 * SAFETY: a list of what is allowed, so that a new kind, an unknown function or a text that is not understood is refused.
 */
export function findReadOnly(statement: StatementFacts, { settings, reading }: RuleInput): Evidence | undefined {
  if (!settings.isReadOnly) return undefined;
  if (!reading.understood) return refusal(statement, "the profile is read-only and the statement is not understood");
  const reach = statement.reach[0];
  if (reach !== undefined) return refusal(reach, `the profile is read-only and this is ${reach.type}`);
  const unknownFunction = statement.functions.find(
    ({ name, schema }) =>
      !(schema === undefined && isHarmlessFunction(name)) &&
      !matchesAny(settings.allowFunctions, schema === undefined ? name : `${schema}.${name}`),
  );
  if (unknownFunction !== undefined) {
    const text = `the profile is read-only and the function ${unknownFunction.name} may write; list it under allow.functions`;
    return refusal(unknownFunction, text);
  }
  if (!isExecuted(statement)) return undefined;
  if (statement.kind === "set-transaction" && statement.modifiers.includes("global")) {
    return refusal(statement, "the profile is read-only and this is not of this session");
  }
  const wide = statement.variables.find(({ scope }) => GLOBAL_SCOPES.has(scope));
  if (wide !== undefined) return refusal(wide, `the profile is read-only and ${wide.name} is not of this session`);
  const target = statement.tablesWritten[0];
  if (target !== undefined) return refusal(target, `the profile is read-only and this writes ${tableText(target)}`);
  if (isChange(statement))
    return refusal(statement, `the profile is read-only and ${statement.kind} changes something`);
  return findReadOnlyDynamic(statement, settings.allowRoutines);
}

function findReadOnlyDynamic(
  statement: StatementFacts,
  allowRoutines: RuleInput["settings"]["allowRoutines"],
): Evidence | undefined {
  if (effectOf(statement.kind) === "dynamic" && !isRoutineAllowed(statement, allowRoutines)) {
    return refusal(statement, "the profile is read-only and the routine may write; list it under allow.routines");
  }
  const dynamic = statement.dynamic;
  if (dynamic === undefined || dynamic.source === "literal" || dynamic.source === "named") return undefined;
  return refusal(dynamic, "the profile is read-only and the text to prepare is not a literal");
}

export function isRoutineAllowed(statement: StatementFacts, allow: RuleInput["settings"]["allowRoutines"]): boolean {
  const routines = statement.objects.filter(({ type }) => type === "procedure");
  return routines.length > 0 && routines.every((routine) => matchesAny(allow, objectText(routine)));
}

const objectText = (object: ObjectReference): string =>
  object.schema === undefined ? object.name : `${object.schema}.${object.name}`;

export function findDenyStatement(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  for (const { matcher, action, reason } of settings.denyStatements) {
    if (matcher.matches(statement.kind)) {
      return refusal(statement, because(`the policy denies ${statement.kind}`, reason), action);
    }
  }
  return undefined;
}

/** Kinds that every driver sends on its own; an allow list that names only select must not break the login. */
const PREAMBLE_EFFECTS: ReadonlySet<string> = new Set(["none", "session"]);
const PREAMBLE_KINDS: ReadonlySet<string> = new Set(["show", "describe"]);

export function findAllowStatement(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  const allowed = settings.allowStatements;
  if (allowed === undefined || !isExecuted(statement) || matchesAny(allowed, statement.kind)) return undefined;
  if (PREAMBLE_EFFECTS.has(effectOf(statement.kind)) || PREAMBLE_KINDS.has(statement.kind)) return undefined;
  return refusal(statement, `the policy does not list ${statement.kind}`);
}

export function findDenyTable(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  if (settings.denyTables.length === 0) return undefined;
  for (const reference of tablesOf(statement)) {
    for (const { table, action, reason } of settings.denyTables) {
      if (mayMatchTable(table, reference.schema, reference.table)) {
        return refusal(reference, because(`the policy denies the table ${tableText(reference)}`, reason), action);
      }
    }
  }
  return undefined;
}

export function findAllowTable(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  const allowed = settings.allowTables;
  if (allowed === undefined) return undefined;
  for (const reference of tablesOf(statement)) {
    if (!allowed.some((pattern) => surelyMatchesTable(pattern, reference.schema, reference.table))) {
      return refusal(reference, `the policy does not list the table ${tableText(reference)}`);
    }
  }
  return undefined;
}

/** Statements that hand out every column without naming one. */
const ALL_COLUMN_KINDS: ReadonlySet<string> = new Set(["table", "handler-read"]);

/** The first place where the statement names the column, or reads it through `*`. */
export function findColumn(statement: StatementFacts, pattern: ColumnPattern): Place | undefined {
  for (const column of statement.columns) {
    if (column.name !== "*" && !pattern.column.matches(column.name)) continue;
    if (pattern.table === undefined) {
      if (column.name !== "*") return column;
      continue;
    }
    for (const table of tablesOf(statement)) {
      if (!mayMatchTable(pattern.table, table.schema, table.table)) continue;
      if (column.table === undefined || column.table.toLowerCase() === table.table.toLowerCase()) return column;
    }
  }
  if (!ALL_COLUMN_KINDS.has(statement.kind) || pattern.table === undefined) return undefined;
  const table = pattern.table;
  return statement.tablesRead.find((reference) => mayMatchTable(table, reference.schema, reference.table));
}

export function findDenyColumn(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  for (const { column, action, reason } of settings.denyColumns) {
    const place = findColumn(statement, column);
    if (place !== undefined)
      return refusal(place, because(`the policy denies the column ${column.text}`, reason), action);
  }
  return undefined;
}

export function findDenyFunction(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  for (const { matcher, action, reason } of settings.denyFunctions) {
    const call =
      statement.functions.find(
        ({ name, schema }) => matcher.matches(name) || (schema !== undefined && matcher.matches(`${schema}.${name}`)),
      ) ??
      statement.objects.find(
        (object) =>
          (object.type === "procedure" || object.type === "function") &&
          (matcher.matches(object.name) || matcher.matches(objectText(object))),
      );
    if (call !== undefined) return refusal(call, because(`the policy denies ${call.name}`, reason), action);
  }
  return undefined;
}

/** Every account may read its own view of the catalog, and drivers do so at login. */
const OPEN_SCHEMAS: ReadonlySet<string> = new Set(["information_schema"]);

export function findSchema(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  const allowed = settings.schemas;
  if (allowed === undefined) return undefined;
  const isOpen = (schema: string): boolean => OPEN_SCHEMAS.has(schema.toLowerCase()) || matchesAny(allowed, schema);
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
  for (const reference of tablesOf(statement)) {
    if (mayBe(settings.canaryTables, reference)) {
      return refusal(reference, `nobody has a reason to touch ${tableText(reference)}`);
    }
  }
  return undefined;
}

const RESTRICTED_KINDS: ReadonlySet<string> = new Set(["update", "update-multi", "delete", "delete-multi"]);

export function findRequireWhere(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  if (settings.requireWhere.length === 0 || !RESTRICTED_KINDS.has(statement.kind) || !isExecuted(statement)) {
    return undefined;
  }
  if (statement.where === "present") return undefined;
  const table = statement.tablesWritten.find((reference) => mayBe(settings.requireWhere, reference));
  if (table === undefined) return undefined;
  const reason = `${statement.kind} on ${tableText(table)} needs a WHERE that restricts`;
  return { ...refusal(table, reason), points: 80 };
}
