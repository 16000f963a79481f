/** The settings of a policy file, key by key: how each is written and what it turns into. */

import { compileAddressRange } from "../address.ts";
import { compileGlob, type NameMatcher } from "../glob.ts";
import { compileAllowedKind, compileDeniedKind } from "../kinds.ts";
import {
  type ApprovalSettings,
  compileColumnPattern,
  compileTablePattern,
  type DecisionAction,
  type DenyEntry,
  type PolicyException,
  type PolicyMode,
  RULE_CATEGORIES,
  type RuleCategory,
  type RuleOverride,
  type SettingsFragment,
  type TablePattern,
  type TenantRule,
  type Thresholds,
} from "../policy.ts";
import { RULE_IDS } from "../rules/rules.ts";
import { readImpact } from "./impact-settings.ts";
import { readLimits } from "./limits-settings.ts";
import type { YamlReader, YamlValue } from "./yaml-reader.ts";

const ACTIONS: readonly DecisionAction[] = ["allow", "warn", "require-approval", "block"];
const REFUSALS: readonly DecisionAction[] = ["warn", "require-approval", "block"];
const MODES: readonly PolicyMode[] = ["off", "observe", "enforce"];

type SettingReader = (reader: YamlReader, value: YamlValue) => SettingsFragment;

const SETTING_READERS: Readonly<Record<string, SettingReader>> = {
  mode: (reader, value) => defined("mode", reader.word(value, MODES)),
  rule_sets: (reader, value) => ({ categoryModes: readRuleSets(reader, value) }),
  thresholds: (reader, value) => ({ thresholds: readThresholds(reader, value) }),
  rules: (reader, value) => ({ overrides: readOverrides(reader, value) }),
  read_only: (reader, value) => defined("isReadOnly", reader.boolean(value)),
  multi_statements: (reader, value) => defined("allowsMultiStatements", reader.boolean(value)),
  not_understood: (reader, value) => defined("notUnderstood", reader.word(value, ACTIONS)),
  require_where: (reader, value) => ({ requireWhere: readRequireWhere(reader, value) }),
  tenants: (reader, value) => ({ tenants: readTenants(reader, value) }),
  canary_tables: (reader, value) => ({ canaryTables: readTables(reader, value) }),
  sensitive: readSensitive,
  schemas: (reader, value) => ({ schemas: readNames(reader, value) }),
  deny: readDeny,
  allow: readAllow,
  new_digest: (reader, value) => defined("newDigest", readNewDigest(reader, value)),
  housekeeping: (reader, value) => defined("hasHousekeeping", reader.boolean(value)),
  exceptions: (reader, value) => ({ exceptions: readExceptions(reader, value) }),
  limits: (reader, value) => ({ limits: readLimits(reader, value) }),
  approval: (reader, value) => ({ approval: readApproval(reader, value) }),
  impact: (reader, value) => ({ impact: readImpact(reader, value) }),
};

export const SETTING_KEYS: readonly string[] = Object.keys(SETTING_READERS);

/** Reads one setting; problems go to the reader and leave the setting out. */
export function readSetting(reader: YamlReader, key: string, value: YamlValue): SettingsFragment {
  return SETTING_READERS[key]?.(reader, value) ?? {};
}

function defined<Key extends keyof SettingsFragment>(key: Key, value: SettingsFragment[Key]): SettingsFragment {
  return value === undefined ? {} : { [key]: value };
}

function compileList<Compiled>(reader: YamlReader, value: YamlValue, compiler: (text: string) => Compiled): Compiled[] {
  return reader
    .items(value)
    .map((item) => reader.compile(item, compiler))
    .filter((compiled) => compiled !== undefined);
}

const readNames = (reader: YamlReader, value: YamlValue): NameMatcher[] =>
  compileList(reader, value, (text) => compileGlob(text));

const readTables = (reader: YamlReader, value: YamlValue): TablePattern[] =>
  compileList(reader, value, compileTablePattern);

function readRuleSets(reader: YamlReader, value: YamlValue): Map<RuleCategory, PolicyMode> {
  const modes = new Map<RuleCategory, PolicyMode>();
  for (const [key, entry] of reader.entries(value, RULE_CATEGORIES)) {
    const mode = reader.word(entry, MODES);
    if (mode !== undefined) modes.set(key as RuleCategory, mode);
  }
  return modes;
}

const THRESHOLD_KEYS: readonly [key: string, name: keyof Thresholds][] = [
  ["warn", "warn"],
  ["require_approval", "requireApproval"],
  ["block", "block"],
];

/** What is not written keeps its value; `off` switches a threshold off. */
function readThresholds(reader: YamlReader, value: YamlValue): Partial<Thresholds> {
  const keys = THRESHOLD_KEYS.map(([key]) => key);
  const entries = reader.entries(value, keys);
  const thresholds: Partial<Record<keyof Thresholds, number | undefined>> = {};
  for (const [key, name] of THRESHOLD_KEYS) {
    const entry = entries.get(key);
    if (entry !== undefined)
      thresholds[name] = reader.text(entry) === "off" ? undefined : reader.integer(entry, 1, 100);
  }
  return thresholds;
}

function readOverrides(reader: YamlReader, value: YamlValue): RuleOverride[] {
  const overrides: RuleOverride[] = [];
  for (const [pattern, entry] of reader.anyEntries(value)) {
    const rule = reader.attempt(entry, () => compileGlob(pattern));
    if (rule === undefined) continue;
    if (!RULE_IDS.some((id) => rule.matches(id))) {
      reader.report(entry, `no rule has the id "${pattern}", see docs/rules.md`);
      continue;
    }
    overrides.push({ rule, ...readOverride(reader, entry) });
  }
  return overrides;
}

function readOverride(reader: YamlReader, entry: YamlValue): Omit<RuleOverride, "rule"> {
  if (!reader.isMapping(entry)) {
    const word = reader.word(entry, ["off", ...ACTIONS]);
    return word === undefined || word === "off" ? { isOff: word === "off" } : { isOff: false, action: word };
  }
  const fields = reader.entries(entry, ["points", "action"]);
  const pointsValue = fields.get("points");
  const actionValue = fields.get("action");
  const points = pointsValue === undefined ? undefined : reader.integer(pointsValue, 0, 100);
  const action = actionValue === undefined ? undefined : reader.word(actionValue, ACTIONS);
  return { isOff: false, ...(points === undefined ? {} : { points }), ...(action === undefined ? {} : { action }) };
}

/** `true` means every table. */
function readRequireWhere(reader: YamlReader, value: YamlValue): TablePattern[] {
  const text = reader.isScalar(value) ? reader.text(value) : undefined;
  if (text === "true") return [compileTablePattern("*")];
  if (text === "false") return [];
  return readTables(reader, value);
}

function readTenants(reader: YamlReader, value: YamlValue): TenantRule[] {
  const rules: TenantRule[] = [];
  for (const item of reader.items(value)) {
    const fields = reader.entries(item, ["tables", "column", "value"]);
    const tables = fields.get("tables");
    const column = fields.get("column");
    const wanted = fields.get("value");
    const columnName = column === undefined ? undefined : reader.text(column);
    if (tables === undefined) reader.report(item, "tables: missing");
    if (columnName === undefined) reader.report(item, "column: missing");
    if (tables === undefined || columnName === undefined) continue;
    rules.push({
      tables: readTables(reader, tables),
      column: columnName.toLowerCase(),
      value: wanted === undefined ? undefined : reader.text(wanted),
      isText: wanted !== undefined && reader.isText(wanted),
    });
  }
  return rules;
}

function readSensitive(reader: YamlReader, value: YamlValue): SettingsFragment {
  const fields = reader.entries(value, ["tables", "columns"]);
  const tables = fields.get("tables");
  const columns = fields.get("columns");
  return {
    ...(tables === undefined ? {} : { sensitiveTables: readTables(reader, tables) }),
    ...(columns === undefined ? {} : { sensitiveColumns: compileList(reader, columns, compileColumnPattern) }),
  };
}

/** Deny entries are a pattern, or a mapping of match, action and reason. */
function readDenyList<Compiled>(
  reader: YamlReader,
  value: YamlValue | undefined,
  compiler: (text: string) => Compiled,
): { compiled: Compiled; action: DecisionAction; reason?: string }[] {
  if (value === undefined) return [];
  const entries: { compiled: Compiled; action: DecisionAction; reason?: string }[] = [];
  for (const item of reader.items(value)) {
    if (!reader.isMapping(item)) {
      const compiled = reader.compile(item, compiler);
      if (compiled !== undefined) entries.push({ compiled, action: "block" });
      continue;
    }
    const fields = reader.entries(item, ["match", "action", "reason"]);
    const match = fields.get("match");
    const action = fields.get("action");
    const reason = fields.get("reason");
    if (match === undefined) reader.report(item, "match: missing");
    const compiled = match === undefined ? undefined : reader.compile(match, compiler);
    if (compiled === undefined) continue;
    const chosen = action === undefined ? "block" : (reader.word(action, REFUSALS) ?? "block");
    const reasonText = reason === undefined ? undefined : reader.text(reason);
    entries.push({ compiled, action: chosen, ...(reasonText === undefined ? {} : { reason: reasonText }) });
  }
  return entries;
}

function readDeny(reader: YamlReader, value: YamlValue): SettingsFragment {
  const fields = reader.entries(value, ["statements", "tables", "columns", "functions", "digests"]);
  const named = (key: string, compiler: (text: string) => NameMatcher): DenyEntry[] =>
    readDenyList(reader, fields.get(key), compiler).map(({ compiled, ...rest }) => ({ matcher: compiled, ...rest }));
  const digests = fields.get("digests");
  return {
    denyStatements: named("statements", compileDeniedKind),
    denyFunctions: named("functions", (text) => compileGlob(text)),
    denyTables: readDenyList(reader, fields.get("tables"), compileTablePattern).map(({ compiled, ...rest }) => ({
      table: compiled,
      ...rest,
    })),
    denyColumns: readDenyList(reader, fields.get("columns"), compileColumnPattern).map(({ compiled, ...rest }) => ({
      column: compiled,
      ...rest,
    })),
    ...(digests === undefined ? {} : { denyDigests: readDigests(reader, digests) }),
  };
}

function readAllow(reader: YamlReader, value: YamlValue): SettingsFragment {
  const fields = reader.entries(value, ["statements", "tables", "functions", "routines", "digests"]);
  const statements = fields.get("statements");
  const tables = fields.get("tables");
  const functions = fields.get("functions");
  const routines = fields.get("routines");
  const digests = fields.get("digests");
  return {
    ...(statements === undefined ? {} : { allowStatements: compileList(reader, statements, compileAllowedKind) }),
    ...(tables === undefined ? {} : { allowTables: readTables(reader, tables) }),
    ...(functions === undefined ? {} : { allowFunctions: readNames(reader, functions) }),
    ...(routines === undefined ? {} : { allowRoutines: readNames(reader, routines) }),
    ...(digests === undefined ? {} : { knownDigests: readDigests(reader, digests) }),
  };
}

const DIGEST_SHAPE = /^[0-9a-f]{64}$/;

function readDigests(reader: YamlReader, value: YamlValue): Set<string> {
  const digests = compileList(reader, value, (text) => {
    if (DIGEST_SHAPE.test(text)) return text;
    throw new RangeError("expected the 64 hex digits that querycop explain prints as digest");
  });
  return new Set(digests);
}

function readNewDigest(reader: YamlReader, value: YamlValue): DecisionAction | number | undefined {
  const text = reader.text(value);
  if (text === undefined) return undefined;
  if (/^[0-9]{1,3}$/.test(text)) return reader.integer(value, 1, 100);
  return reader.word(value, ACTIONS);
}

function readExceptions(reader: YamlReader, value: YamlValue): PolicyException[] {
  const exceptions: PolicyException[] = [];
  for (const item of reader.items(value)) {
    const fields = reader.entries(item, EXCEPTION_KEYS);
    const required = (key: string): string => {
      const field = fields.get(key);
      if (field === undefined) reader.report(item, `${key}: missing, every exception needs id, reason, expires, rules`);
      return field === undefined ? "" : (reader.text(field) ?? "");
    };
    const list = <Compiled>(key: string, compiler: (text: string) => Compiled): Compiled[] => {
      const field = fields.get(key);
      return field === undefined ? [] : compileList(reader, field, compiler);
    };
    const digests = fields.get("digests");
    const expires = fields.get("expires");
    if (fields.get("rules") === undefined) required("rules");
    exceptions.push({
      id: required("id"),
      line: item.line,
      reason: required("reason"),
      expiresAtMs: expires === undefined ? Number(required("expires")) : (reader.compile(expires, parseMoment) ?? 0),
      rules: list("rules", compileRuleGlob),
      users: list("users", (text) => compileGlob(text, { caseSensitive: true })),
      schemas: list("schemas", (text) => compileGlob(text)),
      tables: list("tables", compileTablePattern),
      addresses: list("addresses", compileAddressRange),
      digests: digests === undefined ? new Set() : readDigests(reader, digests),
    });
  }
  return exceptions;
}

function readApproval(reader: YamlReader, value: YamlValue): Partial<ApprovalSettings> {
  const fields = reader.entries(value, APPROVAL_KEYS);
  const given = <Value>(key: string, read: (field: YamlValue) => Value | undefined): Value | undefined => {
    const field = fields.get(key);
    return field === undefined ? undefined : read(field);
  };
  const read = {
    mode: given("mode", (field) => reader.word(field, ["hold", "immediate"] as const)),
    timeoutMs: given("timeout", (field) => reader.compile(field, parseDuration)),
    validForMs: given("valid_for", (field) => reader.compile(field, parseDuration)),
    inTransaction: given("in_transaction", (field) => reader.word(field, ["block", "hold"] as const)),
    transactionTimeoutMs: given("transaction_timeout", (field) => reader.compile(field, parseDuration)),
    openPerUserMax: given("open_per_user", (field) => reader.integer(field, 1, 1000)),
  };
  return Object.fromEntries(Object.entries(read).filter(([, setting]) => setting !== undefined));
}

const APPROVAL_KEYS = ["mode", "timeout", "valid_for", "in_transaction", "transaction_timeout", "open_per_user"];

const DURATION_SHAPE = /^([1-9][0-9]{0,6})(ms|s|m|h)$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Timers cannot wait longer than 24.8 days. */
const DURATION_MS_MAX = 7 * 24 * 3_600_000;

/** "30s", "5m", "1h". Throws RangeError. */
function parseDuration(text: string): number {
  const found = DURATION_SHAPE.exec(text);
  const durationMs = Number(found?.[1]) * (UNIT_MS[found?.[2] ?? ""] ?? Number.NaN);
  if (durationMs <= DURATION_MS_MAX) return durationMs;
  throw new RangeError(`Cannot read "${text}" as a time: write 30s, 5m or 1h, at most 168h`);
}

const EXCEPTION_KEYS = ["id", "reason", "expires", "rules", "users", "schemas", "tables", "addresses", "digests"];

/** SAFETY: the read-only rule cannot be excepted, whatever glob is written. */
function compileRuleGlob(text: string): NameMatcher {
  const matcher = compileGlob(text);
  if (text === "pol.readonly") throw new RangeError("pol.readonly cannot be excepted: change the profile instead");
  if (RULE_IDS.some((id) => matcher.matches(id))) return matcher;
  throw new RangeError(`no rule has the id "${text}", see docs/rules.md`);
}

const DATE_SHAPE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z)?$/;

/** "2027-01-31" (its first moment, UTC) or "2027-01-31T12:00:00Z". Throws RangeError. */
function parseMoment(text: string): number {
  const moment = DATE_SHAPE.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(moment)) throw new RangeError(`Cannot read "${text}" as a date: write 2027-01-31`);
  return moment;
}
