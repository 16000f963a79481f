/** What a policy is after loading, the built-in defaults, and how profiles combine for one subject. */

import type { ConnectionLoads } from "../base/load-rule.ts";
import type { SqlEngineName } from "../sql/facts.ts";
import { isSameName } from "../sql/mysql/names/names.ts";
import type { AddressRange } from "./address.ts";
import type { ApprovalMode } from "./approvals.ts";
import { compileGlob, matchesAny, type NameMatcher } from "./glob.ts";
import type { ImpactSettings } from "./impact.ts";
import type { DataLimits } from "./limits.ts";

/** The product's public vocabulary, the same word in policy, audit, metrics and API. */
export type DecisionAction = "allow" | "warn" | "require-approval" | "block";
export type PolicyMode = "off" | "observe" | "enforce";

/** Rule sets: every rule belongs to one; a policy can switch a whole set. */
export const RULE_CATEGORIES = [
  "injection",
  "obfuscation",
  "recon",
  "file",
  "cloud",
  "schema",
  "privilege",
  "admin",
  "dml",
  "dynamic",
  "access",
  "hygiene",
  "context",
  "policy",
] as const;
export type RuleCategory = (typeof RULE_CATEGORIES)[number];

const ACTION_RANKS: Readonly<Record<DecisionAction, number>> = { allow: 0, warn: 1, "require-approval": 2, block: 3 };

/** The stricter of two actions: block > require-approval > warn > allow. */
export function strictestAction(left: DecisionAction, right: DecisionAction): DecisionAction {
  return ACTION_RANKS[left] >= ACTION_RANKS[right] ? left : right;
}

/** Score from which an action applies; undefined = never by score. */
export interface Thresholds {
  readonly warn: number | undefined;
  readonly requireApproval: number | undefined;
  readonly block: number | undefined;
}

export interface RuleOverride {
  readonly rule: NameMatcher;
  readonly isOff: boolean;
  readonly points?: number;
  readonly action?: DecisionAction;
}

/** One line of a deny list. */
export interface DenyEntry {
  readonly matcher: NameMatcher;
  readonly action: DecisionAction;
  readonly reason?: string;
}

/** "schema.table", or "table" for any schema. An unknown schema matches every schema pattern. */
export interface TablePattern {
  readonly text: string;
  readonly schema: NameMatcher | undefined;
  readonly table: NameMatcher;
}

export interface DenyTableEntry {
  readonly table: TablePattern;
  readonly action: DecisionAction;
  readonly reason?: string;
}

/** "schema.table.column", "table.column", or "column" alone (named references only; `SELECT *` is then not matched). */
export interface ColumnPattern {
  readonly text: string;
  readonly table: TablePattern | undefined;
  readonly column: NameMatcher;
}

export interface DenyColumnEntry {
  readonly column: ColumnPattern;
  readonly action: DecisionAction;
  readonly reason?: string;
}

export interface TenantRule {
  readonly tables: readonly TablePattern[];
  readonly column: string;
  /** The literal the column must equal; undefined = any single literal or parameter. */
  readonly value: string | undefined;
  /** The value is a string in the policy file: a number is then not the same. */
  readonly isText: boolean;
}

/** How statements that need an approval get one. */
export interface ApprovalSettings {
  readonly mode: ApprovalMode;
  /** How long a request waits for an answer. */
  readonly timeoutMs: number;
  /** How long an approval may be used. */
  readonly validForMs: number;
  /** Whether a statement may wait while its transaction holds locks. */
  readonly inTransaction: "block" | "hold";
  readonly transactionTimeoutMs: number;
  readonly openPerUserMax: number;
}

export interface PolicyException {
  readonly id: string;
  /** Where it is written, for lint. */
  readonly line: number;
  readonly reason: string;
  /** Milliseconds since 1970. From then on the exception is ignored. */
  readonly expiresAtMs: number;
  readonly rules: readonly NameMatcher[];
  readonly users: readonly NameMatcher[];
  readonly schemas: readonly NameMatcher[];
  readonly tables: readonly TablePattern[];
  readonly addresses: readonly AddressRange[];
  readonly digests: ReadonlySet<string>;
}

/** A complete set of settings for one subject: the defaults with all matching profiles applied. */
export interface Settings {
  readonly mode: PolicyMode;
  readonly categoryModes: ReadonlyMap<RuleCategory, PolicyMode>;
  readonly thresholds: Thresholds;
  /** Later entries win. */
  readonly overrides: readonly RuleOverride[];
  readonly isReadOnly: boolean;
  readonly allowsMultiStatements: boolean;
  /** What happens to a statement that the analysis cannot classify. */
  readonly notUnderstood: DecisionAction;
  /** UPDATE and DELETE on these tables need a WHERE that restricts. */
  readonly requireWhere: readonly TablePattern[];
  readonly tenants: readonly TenantRule[];
  readonly canaryTables: readonly TablePattern[];
  readonly sensitiveTables: readonly TablePattern[];
  readonly sensitiveColumns: readonly ColumnPattern[];
  /** Schemas that may be named; undefined = any. */
  readonly schemas: readonly NameMatcher[] | undefined;
  readonly denyStatements: readonly DenyEntry[];
  readonly denyTables: readonly DenyTableEntry[];
  readonly denyColumns: readonly DenyColumnEntry[];
  readonly denyFunctions: readonly DenyEntry[];
  readonly denyDigests: ReadonlySet<string>;
  /** When present, everything else of that kind is refused. */
  readonly allowStatements: readonly NameMatcher[] | undefined;
  readonly allowTables: readonly TablePattern[] | undefined;
  /** Stored functions and loadable functions that are known to be harmless. */
  readonly allowFunctions: readonly NameMatcher[];
  /** Stored procedures that CALL may run without being opaque. */
  readonly allowRoutines: readonly NameMatcher[];
  /** Hashes of known digests. Empty with newDigest undefined = no learned profile. */
  readonly knownDigests: ReadonlySet<string>;
  /** Answer to a digest that is not known, or the points it adds. */
  readonly newDigest: DecisionAction | number | undefined;
  readonly exceptions: readonly PolicyException[];
  /** Whether migration tools may treat their own tables as they do, see housekeeping.ts. */
  readonly hasHousekeeping: boolean;
  /** What is set here holds instead of the listener's limits on data. */
  readonly limits: Partial<DataLimits>;
  readonly approval: ApprovalSettings;
  /** The impact guard; undefined where there is none. */
  readonly impact: ImpactSettings | undefined;
}

/** A part of the settings, as one profile writes it down. Lists are added, plain values replace. */
export type SettingsFragment = {
  readonly [Key in Exclude<keyof Settings, "thresholds" | "approval">]?: Settings[Key];
} & {
  /** Only the thresholds that are written; one that is written as off is present and undefined. */
  readonly thresholds?: Partial<Thresholds>;
  readonly approval?: Partial<ApprovalSettings>;
};

export interface ProfileMatch {
  readonly users: readonly NameMatcher[];
  readonly roles: readonly NameMatcher[];
  readonly schemas: readonly NameMatcher[];
  readonly addresses: readonly AddressRange[];
  readonly listeners: readonly NameMatcher[];
  readonly isTls: boolean | undefined;
  /** Minutes of the UTC day [from, to); from > to wraps midnight. */
  readonly hours: { readonly fromMinute: number; readonly toMinute: number } | undefined;
  /** 0 = Sunday … 6 = Saturday, in UTC; empty = every day. */
  readonly days: readonly number[];
}

export interface Profile {
  readonly name: string;
  /** Where it is written, for lint. */
  readonly line: number;
  readonly match: ProfileMatch;
  readonly settings: SettingsFragment;
}

export interface Policy {
  /** Changes when anything in the policy changes: the first 12 hex digits of SHA-256 of the source. */
  readonly version: string;
  /** The text of the file, for who has to make the same policy again; undefined for the built-in one. */
  readonly source?: string;
  readonly base: Settings;
  readonly profiles: readonly Profile[];
  /** True when a profile depends on the hour or the day, so that verdicts must not outlive the minute. */
  readonly dependsOnTime: boolean;
}

/** Who asks, from where, in which state. Everything the session knows and the statement does not say. */
export interface Subject {
  readonly user: string;
  readonly role?: string;
  readonly schema?: string | undefined;
  /** The profiles by schema that hold for the tables of a statement, in place of those of the session's schema. */
  readonly schemaProfiles?: readonly string[];
  /** An address without port, or "unix". */
  readonly clientAddress: string;
  readonly isTls: boolean;
  readonly listener: string;
  readonly isInTransaction: boolean;
  /** Where the statement will run: a reader endpoint refuses writes. */
  readonly backendRole?: "writer" | "reader" | undefined;
  readonly backendPooler?: "vitess" | "proxysql" | "rds-proxy" | undefined;
  /** Aurora adds functions that reach outside the database. */
  readonly isAurora?: boolean | undefined;
  /** Whether the server itself has said so (@@aurora_version). */
  readonly saysAurora?: boolean;
  /** What the named connection lists of S3; undefined where nobody has written a list. */
  readonly loads?: ConnectionLoads | undefined;
  /** What the server expects the text to go through, once it was asked; "unknown" where it gave no answer. */
  readonly estimatedRows?: number | "unknown" | undefined;
  /** Whether the server has said that names of tables and schemas differ in more than case (lower_case_table_names). */
  readonly ignoresTableCase?: boolean;
  /** False where the session is in no state in which a change can be taken back: after LOCK TABLES. */
  readonly canTakeBack?: boolean;
  /** How the text arrived: COM_QUERY or COM_STMT_PREPARE. */
  readonly command?: "text" | "prepare";
  /** How many times one command runs it, each time with other values: MariaDB's bulk execution. One where it is left out. */
  readonly boundRows?: number | undefined;
  /** Whether the SQL behind the name that an EXECUTE gives is judged beside it. */
  readonly knowsNamed?: boolean;
}

/** The built-in settings. docs/policy.md gives the reasons. */
export const DEFAULT_SETTINGS: Settings = {
  mode: "enforce",
  categoryModes: new Map(),
  thresholds: { warn: 50, requireApproval: undefined, block: 80 },
  overrides: [],
  isReadOnly: false,
  allowsMultiStatements: false,
  notUnderstood: "block",
  requireWhere: [],
  tenants: [],
  canaryTables: [],
  sensitiveTables: [],
  sensitiveColumns: [],
  schemas: undefined,
  denyStatements: [],
  denyTables: [],
  denyColumns: [],
  denyFunctions: [],
  denyDigests: new Set(),
  allowStatements: undefined,
  allowTables: undefined,
  allowFunctions: [],
  allowRoutines: [],
  knownDigests: new Set(),
  newDigest: undefined,
  exceptions: [],
  hasHousekeeping: true,
  limits: {},
  approval: {
    mode: "hold",
    timeoutMs: 5 * 60_000,
    validForMs: 15 * 60_000,
    inTransaction: "block",
    transactionTimeoutMs: 30_000,
    openPerUserMax: 5,
  },
  impact: undefined,
};

export const BUILT_IN_VERSION = "built-in";

/** The policy of a proxy without a policy file. */
export const DEFAULT_POLICY: Policy = {
  version: BUILT_IN_VERSION,
  base: DEFAULT_SETTINGS,
  profiles: [],
  dependsOnTime: false,
};

/**
 * Applies a fragment on top of settings: plain values replace, lists are added to.
 * SAFETY: `isReadOnly` can only be switched on; no later profile takes it away.
 */
export function applyFragment(settings: Settings, fragment: SettingsFragment): Settings {
  const merged: Record<string, unknown> = { ...settings };
  for (const [key, value] of Object.entries(fragment)) {
    if (value === undefined) continue;
    merged[key] = mergeValue(merged[key], value);
  }
  merged["thresholds"] = { ...settings.thresholds, ...fragment.thresholds };
  merged["limits"] = { ...settings.limits, ...fragment.limits };
  merged["approval"] = { ...settings.approval, ...fragment.approval };
  merged["isReadOnly"] = settings.isReadOnly || fragment.isReadOnly === true;
  return merged as unknown as Settings;
}

function mergeValue(current: unknown, added: unknown): unknown {
  if (Array.isArray(current) && Array.isArray(added)) return [...current, ...added];
  if (current instanceof Set && added instanceof Set) return new Set([...current, ...added]);
  if (current instanceof Map && added instanceof Map) return new Map([...current, ...added]);
  return added;
}

/** True when every condition that the profile states holds for the subject. */
export function matchesProfile(
  { name, match }: Pick<Profile, "name" | "match">,
  subject: Subject,
  wallMs: number,
): boolean {
  const { role } = subject;
  if (match.users.length > 0 && !matchesAny(match.users, subject.user)) return false;
  if (match.roles.length > 0 && (role === undefined || !matchesAny(match.roles, role))) return false;
  if (match.schemas.length > 0 && !matchesSchema(name, match.schemas, subject)) return false;
  if (match.listeners.length > 0 && !matchesAny(match.listeners, subject.listener)) return false;
  if (match.isTls !== undefined && match.isTls !== subject.isTls) return false;
  if (match.addresses.length > 0 && !match.addresses.some((range) => range.contains(subject.clientAddress))) {
    return false;
  }
  return matchesTime(match, wallMs);
}

function matchesSchema(name: string, schemas: readonly NameMatcher[], { schema, schemaProfiles }: Subject): boolean {
  if (schemaProfiles !== undefined) return schemaProfiles.includes(name);
  return schema !== undefined && matchesAny(schemas, schema);
}

function matchesTime(match: ProfileMatch, wallMs: number): boolean {
  if (match.hours === undefined && match.days.length === 0) return true;
  const date = new Date(wallMs);
  if (match.days.length > 0 && !match.days.includes(date.getUTCDay())) return false;
  if (match.hours === undefined) return true;
  const { fromMinute, toMinute } = match.hours;
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
  return fromMinute <= toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}

/** Compiles "schema.table" or "table". Throws RangeError when a part is not a usable pattern. */
export function compileTablePattern(text: string): TablePattern {
  const parts = text.split(".");
  if (parts.length > 2) throw new RangeError(`Cannot read "${text}" as table or schema.table`);
  const table = compileGlob(parts.at(-1) ?? "");
  return { text, table, schema: parts.length === 2 ? compileGlob(parts[0] ?? "") : undefined };
}

/** Compiles "schema.table.column", "table.column" or "column". Throws RangeError like compileTablePattern(). */
export function compileColumnPattern(text: string): ColumnPattern {
  const lastDot = text.lastIndexOf(".");
  const column = compileGlob(text.slice(lastDot + 1));
  return { text, column, table: lastDot < 0 ? undefined : compileTablePattern(text.slice(0, lastDot)) };
}

/**
 * True when the pattern may mean this table. SAFETY: a table whose schema is unknown may be any schema's,
 * so it matches every schema pattern; allow lists must use surelyMatchesTable() instead.
 */
export function mayMatchTable(pattern: TablePattern, schema: string | undefined, table: string): boolean {
  if (!pattern.table.mayMatch(table)) return false;
  return pattern.schema === undefined || schema === undefined || pattern.schema.mayMatch(schema);
}

/** True only when the pattern surely means this table of the subject's server. */
export function surelyMatchesTable(
  pattern: TablePattern,
  { schema, table }: { readonly schema: string | undefined; readonly table: string },
  subject: Subject,
): boolean {
  // Both servers compare the tables of their own catalog without case.
  const isCatalog = schema !== undefined && isSameName(schema, CATALOG);
  const isNamed =
    isCatalog || ignoresCase(subject) ? pattern.table.matches(table) : pattern.table.matchesAsWritten(table);
  if (!isNamed) return false;
  return pattern.schema === undefined || (schema !== undefined && surelyIsSchema(pattern.schema, schema, subject));
}

/** True only when the pattern means every table of the schema. */
export function surelyMatchesSchema(pattern: TablePattern, schema: string, subject: Subject): boolean {
  return (
    pattern.table.pattern === "*" && (pattern.schema === undefined || surelyIsSchema(pattern.schema, schema, subject))
  );
}

/** True only when the matcher surely means this schema of the subject's server. */
export function surelyIsSchema(matcher: NameMatcher, schema: string, subject: Subject): boolean {
  if (matcher.matchesAsWritten(schema)) return true;
  return matcher.matches(schema) && (ignoresCase(subject) || isSameName(schema, CATALOG));
}

/**
 * True only when one of the matchers surely means this routine: a name without schema is one of the default schema. MySQL's
 * servers compare routines without case, but not the schemas that they are in; to PostgreSQL `f` and `"F"` are two.
 */
export function surelyMatchesRoutine(
  matchers: readonly NameMatcher[],
  { schema, name }: { readonly schema: string | undefined; readonly name: string },
  { subject, engine }: { readonly subject: Subject; readonly engine: SqlEngineName },
): boolean {
  const isNamed = (matcher: NameMatcher, text: string): boolean =>
    engine === "postgresql" ? matcher.matchesAsWritten(text) : matcher.matches(text);
  if (schema === undefined) return matchers.some((matcher) => isNamed(matcher, name) && !isSplit(matcher, name));
  const isOfSchema = ({ pattern }: NameMatcher): boolean => {
    const [ofSchema = "*"] = pattern.split(".", 1);
    return surelyIsSchema(compileGlob(ofSchema), schema, subject);
  };
  return matchers.some((matcher) => isNamed(matcher, `${schema}.${name}`) && isOfSchema(matcher));
}

/** SAFETY: a quoted name with a dot in it is not the name of a schema's routine that a pattern gives. */
const isSplit = ({ pattern }: NameMatcher, name: string): boolean => pattern.includes(".") && name.includes(".");

const CATALOG = "information_schema";

/** SAFETY: where nobody has said so, `Orders` and `orders` are two tables. */
const ignoresCase = ({ ignoresTableCase }: Subject): boolean => ignoresTableCase === true;

/** Whether anything in the policy permits tables or schemas by name, so that their case counts. */
export function permitsByTable({ base, profiles }: Policy): boolean {
  return [base, ...profiles.map(({ settings }) => settings)].some(
    ({ allowTables, schemas, allowFunctions = [], allowRoutines = [], exceptions = [], tenants = [] }) =>
      allowTables !== undefined ||
      schemas !== undefined ||
      allowFunctions.length + allowRoutines.length + tenants.length > 0 ||
      exceptions.some((exception) => exception.tables.length + exception.schemas.length > 0),
  );
}
