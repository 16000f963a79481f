/** Rules that depend on who asks and on what stands behind the proxy. */

import { isLoopbackAddress } from "../base/address.ts";
import type { ColumnReference, QueryBlock, StatementFacts } from "../sql/facts.ts";
import { effectOf, isChange, isExecuted } from "./effects.ts";
import { mayMatchTable } from "./policy.ts";
import { findColumn, tablesOf, tableText } from "./policy-tests.ts";
import type { Evidence, RuleInput } from "./rule.ts";

const SYSTEM_SCHEMAS: ReadonlySet<string> = new Set(["information_schema", "performance_schema", "sys", "mysql"]);

export function findForeignSchema(statement: StatementFacts, { settings, subject }: RuleInput): Evidence | undefined {
  const current = subject.schema?.toLowerCase();
  if (current === undefined || settings.schemas !== undefined) return undefined;
  for (const table of tablesOf(statement)) {
    const schema = table.schema?.toLowerCase();
    if (!table.isQualified || schema === undefined || schema === current || SYSTEM_SCHEMAS.has(schema)) continue;
    return {
      points: 15,
      start: table.start,
      end: table.end,
      reason: `${tableText(table)} is not in ${subject.schema}`,
    };
  }
  return undefined;
}

const SENSITIVE_POINTS = 10;
const SENSITIVE_POINTS_MAX = 25;

export function findSensitive(statement: StatementFacts, { settings }: RuleInput): Evidence | undefined {
  let points = 0;
  let place: { start: number; end: number } | undefined;
  const names: string[] = [];
  for (const pattern of settings.sensitiveColumns) {
    const found = findColumn(statement, pattern);
    if (found === undefined) continue;
    points += SENSITIVE_POINTS;
    place ??= found;
    names.push(pattern.text);
  }
  if (settings.sensitiveTables.length > 0) {
    for (const table of tablesOf(statement)) {
      if (!settings.sensitiveTables.some((pattern) => mayMatchTable(pattern, table.schema, table.table))) continue;
      points += statement.columns.some(({ name }) => name === "*") ? 15 : SENSITIVE_POINTS;
      place ??= table;
      names.push(tableText(table));
    }
  }
  if (place === undefined) return undefined;
  const reason = `sensitive: ${names.slice(0, 5).join(", ")}`;
  return { points: Math.min(points, SENSITIVE_POINTS_MAX), start: place.start, end: place.end, reason };
}

/** Column names that hold credentials almost everywhere. Personal data differs by application: tag it in the policy. */
const CREDENTIAL_NAMES: ReadonlySet<string> = new Set([
  "password",
  "passwd",
  "passwort",
  "pwd",
  "pass",
  "password_hash",
  "passwordhash",
  "hashed_password",
  "encrypted_password",
  "user_pass",
  "user_password",
  "secret",
  "client_secret",
  "api_key",
  "apikey",
  "private_key",
  "access_token",
  "refresh_token",
  "auth_token",
  "authentication_string",
  "card_number",
  "cardnumber",
  "cvv",
  "ssn",
]);

const INNER_ROLES: ReadonlySet<string> = new Set(["union-branch", "subquery"]);

/** Functions that cut a text up or look into it. Of a password, applications know the whole or its hash. */
const PIECE_FUNCTIONS: ReadonlySet<string> = new Set(
  "ASCII ORD SUBSTR SUBSTRING MID LEFT RIGHT HEX LOCATE INSTR POSITION REGEXP_INSTR REGEXP_LIKE REGEXP_SUBSTR FIELD ELT STRCMP LPAD RPAD SUBSTRING_INDEX".split(
    " ",
  ),
);
/** Functions that glue several values into one, which then fits where one value is shown. */
const GLUE_FUNCTIONS: ReadonlySet<string> = new Set(
  "CONCAT CONCAT_WS GROUP_CONCAT JSON_ARRAYAGG JSON_OBJECTAGG JSON_OBJECT JSON_ARRAY".split(" "),
);
const PIECE_OPERATORS: ReadonlySet<string> = new Set(["like", "not-like", "regexp", "between"]);

export function findCredentialColumn(statement: StatementFacts): Evidence | undefined {
  let worst: Evidence | undefined;
  for (const column of statement.columns) {
    if (!CREDENTIAL_NAMES.has(column.name.toLowerCase())) continue;
    const points = credentialPoints(statement, column);
    if (points > (worst?.points ?? 0)) worst = { points, start: column.start, end: column.end };
  }
  return worst;
}

/** A UNION branch selects a credential, and the query before it does not. */
function isAddedCredential({ blocks, columns }: StatementFacts, role: QueryBlock["role"] | undefined): boolean {
  if (role !== "union-branch") return false;
  return !columns.some(
    ({ name, clause, block }) =>
      clause === "select" && blocks[block]?.role === "main" && CREDENTIAL_NAMES.has(name.toLowerCase()),
  );
}

/** Reading a credential in another query than the main one, or piece by piece. */
function credentialPoints(statement: StatementFacts, column: ColumnReference): number {
  const role = statement.blocks[column.block]?.role;
  const isInner = role !== undefined && INNER_ROLES.has(role);
  const isSelected = column.clause === "select";
  if (isSelected && !isInner) return 0;
  const isWithin = (names: ReadonlySet<string>): boolean =>
    statement.functions.some(
      ({ name, start, end, block }) =>
        names.has(name) && start <= column.start && end >= column.end && block === column.block,
    );
  if (isWithin(PIECE_FUNCTIONS)) return 25;
  if (isSelected) return isWithin(GLUE_FUNCTIONS) || isAddedCredential(statement, role) ? 25 : 12;
  const isPieced = statement.predicates.some(
    ({ operator, start, end }) => PIECE_OPERATORS.has(operator) && start <= column.start && end >= column.end,
  );
  if (!isPieced) return 0;
  return isInner ? 25 : 15;
}

export function findReaderWrite(statement: StatementFacts, { subject }: RuleInput): Evidence | undefined {
  if (subject.backendRole !== "reader" || !isExecuted(statement) || !isChange(statement)) return undefined;
  if (statement.modifiers.includes("temporary")) return undefined;
  return { points: 30, start: statement.start, end: statement.end };
}

export function findImplicitCommit(statement: StatementFacts, { subject }: RuleInput): Evidence | undefined {
  if (!subject.isInTransaction || statement.parent !== undefined) return undefined;
  const effect = effectOf(statement.kind);
  if (effect !== "definition" && effect !== "account") return undefined;
  if (statement.modifiers.includes("temporary")) return undefined;
  return { points: 10, start: statement.start, end: statement.end };
}

const SECRET_KINDS: ReadonlySet<string> = new Set([
  "create-user",
  "alter-user",
  "set-password",
  "grant",
  "create-server",
  "change-replication-source",
]);

export function findPlaintextSecret(statement: StatementFacts, { subject }: RuleInput): Evidence | undefined {
  const { isTls, clientAddress } = subject;
  if (isTls || !SECRET_KINDS.has(statement.kind)) return undefined;
  if (clientAddress === "unix" || isLoopbackAddress(clientAddress)) return undefined;
  return { points: 15, start: statement.start, end: statement.end };
}

/** What vtgate and PlanetScale refuse whatever the privileges. */
const VITESS_REFUSES: ReadonlySet<string> = new Set([
  "load-data",
  "load-xml",
  "create-schema",
  "drop-schema",
  "create-procedure",
  "create-function",
  "create-loadable-function",
  "create-trigger",
  "create-event",
  "alter-procedure",
  "alter-function",
  "alter-event",
  "create-user",
  "alter-user",
  "drop-user",
  "rename-user",
  "create-role",
  "drop-role",
  "grant",
  "grant-role",
  "revoke",
  "revoke-role",
  "set-password",
  "install-plugin",
  "install-component",
  "create-server",
  "handler-open",
  "xa-begin",
]);

export function findVitessUnsupported(
  statement: StatementFacts,
  { analysis, subject }: RuleInput,
): Evidence | undefined {
  if (subject.backendPooler !== "vitess" && analysis.context.dialect !== "vitess") return undefined;
  const call = statement.functions.find(({ name }) => name === "JSON_TABLE");
  if (call !== undefined) return { points: 20, start: call.start, end: call.end, reason: "Vitess has no JSON_TABLE" };
  if (!VITESS_REFUSES.has(statement.kind)) return undefined;
  return { points: 20, start: statement.start, end: statement.end, reason: `Vitess refuses ${statement.kind}` };
}
