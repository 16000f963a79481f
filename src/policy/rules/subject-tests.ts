/** Rules that depend on who asks and on what stands behind the proxy. */

import { isLoopbackAddress } from "../../base/address.ts";
import type { ColumnReference, SqlContext, StatementFacts } from "../../sql/facts.ts";
import { isSameName, lowerAscii, possibleName } from "../../sql/mysql/names/names.ts";
import { mayMatchTable } from "../policy.ts";
import { findColumn } from "./column-tests.ts";
import { effectOf, isChange, isExecuted } from "./effects.ts";
import { tablesOf, tableText } from "./policy-tests.ts";
import type { Evidence, RuleInput } from "./rule.ts";

const SYSTEM_SCHEMAS: ReadonlySet<string> = new Set(["information_schema", "performance_schema", "sys", "mysql"]);

export function findForeignSchema(statement: StatementFacts, { settings, subject }: RuleInput): Evidence | undefined {
  const current = subject.schema;
  if (current === undefined || settings.schemas !== undefined) return undefined;
  // Who defines a table says where it stands: migration tools qualify every name.
  const tables = effectOf(statement.kind) === "definition" ? statement.tablesRead : tablesOf(statement);
  for (const table of tables) {
    const { schema } = table;
    if (!table.isQualified || schema === undefined || isSameName(schema, current)) continue;
    if (SYSTEM_SCHEMAS.has(lowerAscii(schema))) continue;
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

export function findSensitive(statement: StatementFacts, input: RuleInput): Evidence | undefined {
  const { settings } = input;
  let points = 0;
  let place: { start: number; end: number } | undefined;
  const names: string[] = [];
  for (const pattern of settings.sensitiveColumns) {
    const found = findColumn(statement, pattern, input);
    if (found === undefined) continue;
    points += SENSITIVE_POINTS;
    place ??= found;
    names.push(pattern.text);
  }
  if (settings.sensitiveTables.length > 0) {
    const isWhole = input.steps.spend(statement.columns.length) && statement.columns.some(({ name }) => name === "*");
    for (const table of tablesOf(statement)) {
      if (!settings.sensitiveTables.some((pattern) => mayMatchTable(pattern, table.schema, table.table))) continue;
      points += isWhole ? 15 : SENSITIVE_POINTS;
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

const isCredential = ({ name }: ColumnReference): boolean => possibleName(CREDENTIAL_NAMES, name) !== undefined;

export function findCredentialColumn(statement: StatementFacts, { steps }: RuleInput): Evidence | undefined {
  const { columns } = statement;
  if (!steps.spend(columns.length)) return undefined;
  // Nearly no statement has one, and none of the others needs a list for them.
  if (!columns.some(isCredential)) return undefined;
  const credentials = columns.filter(isCredential);
  if (!steps.spend(credentials.length + statement.functions.length + statement.predicates.length)) return undefined;
  const around = new Surroundings(statement, credentials);
  let worst: Evidence | undefined;
  for (const column of credentials) {
    const points = credentialPoints(statement, column, around);
    if (points > (worst?.points ?? 0)) worst = { points, start: column.start, end: column.end };
  }
  return worst;
}

/** What may stand around a column of credentials, gathered once for all of them. */
class Surroundings {
  readonly pieces = new Spans();
  readonly glues = new Spans();
  readonly comparisons = new Spans();
  /** The main query selects a credential itself. */
  readonly isOfMain: boolean;

  constructor({ functions, predicates, blocks }: StatementFacts, credentials: readonly ColumnReference[]) {
    for (const { name, start, end, block } of functions) {
      if (PIECE_FUNCTIONS.has(name)) this.pieces.add(block, start, end);
      else if (GLUE_FUNCTIONS.has(name)) this.glues.add(block, start, end);
    }
    for (const { operator, start, end } of predicates) {
      if (PIECE_OPERATORS.has(operator)) this.comparisons.add(ANY_BLOCK, start, end);
    }
    this.isOfMain = credentials.some(({ clause, block }) => clause === "select" && blocks[block]?.role === "main");
  }
}

const ANY_BLOCK = -1;

/** Ranges of the text in the order of their starts, by block. */
class Spans {
  readonly #byBlock = new Map<number, { readonly starts: number[]; readonly ends: number[] }>();

  add(block: number, start: number, end: number): void {
    let spans = this.#byBlock.get(block);
    if (spans === undefined) {
      spans = { starts: [], ends: [] };
      this.#byBlock.set(block, spans);
    }
    // The furthest end of all up to here: whether any of them covers a place is then one comparison.
    spans.ends.push(Math.max(end, spans.ends.at(-1) ?? 0));
    spans.starts.push(start);
  }

  cover(block: number, { start, end }: ColumnReference): boolean {
    const spans = this.#byBlock.get(block);
    if (spans === undefined) return false;
    let low = 0;
    let high = spans.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((spans.starts[middle] as number) <= start) low = middle + 1;
      else high = middle;
    }
    return low > 0 && (spans.ends[low - 1] as number) >= end;
  }
}

/** Reading a credential in another query than the main one, or piece by piece. */
function credentialPoints({ blocks }: StatementFacts, column: ColumnReference, around: Surroundings): number {
  const role = blocks[column.block]?.role;
  const isInner = role !== undefined && INNER_ROLES.has(role);
  const isSelected = column.clause === "select";
  if (isSelected && !isInner) return 0;
  if (around.pieces.cover(column.block, column)) return 25;
  // A UNION branch that selects a credential, which the query before it does not, has been added.
  const isAdded = role === "union-branch" && !around.isOfMain;
  if (isSelected) return isAdded || around.glues.cover(column.block, column) ? 25 : 12;
  if (!around.comparisons.cover(ANY_BLOCK, column)) return 0;
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

const isVitess = (context: SqlContext): boolean => context.engine === "mysql" && context.dialect === "vitess";

export function findVitessUnsupported(
  statement: StatementFacts,
  { analysis, subject }: RuleInput,
): Evidence | undefined {
  if (subject.backendPooler !== "vitess" && !isVitess(analysis.context)) return undefined;
  const call = statement.functions.find(({ name }) => name === "JSON_TABLE");
  if (call !== undefined) return { points: 20, start: call.start, end: call.end, reason: "Vitess has no JSON_TABLE" };
  if (!VITESS_REFUSES.has(statement.kind)) return undefined;
  return { points: 20, start: statement.start, end: statement.end, reason: `Vitess refuses ${statement.kind}` };
}
