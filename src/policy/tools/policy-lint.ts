/** `querycop policy lint`: a policy that loads may still not protect what its author thinks. */

import { leftOut } from "../kinds.ts";
import type { Policy, Profile, SettingsFragment } from "../policy.ts";
import type { ToolEngine } from "./tool-context.ts";

export interface LintFinding {
  readonly line: number;
  readonly text: string;
  /** `--strict` fails on these; the others fail always. */
  readonly isStrictOnly: boolean;
}

const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

/** Everything suspicious in a policy that parsed, in front of such a server. */
export function lintPolicy(policy: Policy, wallMs: number, engine: ToolEngine = "mysql"): LintFinding[] {
  const findings: LintFinding[] = [];
  const report = (line: number, text: string, isStrictOnly = true): void => {
    findings.push({ line, text, isStrictOnly });
  };
  lintSettings(policy.base, 1, report);
  lintExceptions(policy.base, wallMs, report);
  for (const profile of policy.profiles) {
    lintSettings(profile.settings, profile.line, report);
    lintExceptions(profile.settings, wallMs, report);
    lintProfile(profile, policy, report);
    if (engine === "mysql") lintSchemaMatch(profile, report);
  }
  if (engine !== "mysql") {
    lintForPostgres(policy.base, 1, report);
    for (const { settings, line } of policy.profiles) lintForPostgres(settings, line, report);
  }
  return findings.sort((left, right) => left.line - right.line);
}

type Report = (line: number, text: string, isStrictOnly?: boolean) => void;

function lintSettings(settings: SettingsFragment, line: number, report: Report): void {
  if (settings.mode === "off") report(line, "mode: off judges nothing; observe judges and never blocks");
  if (settings.thresholds !== undefined && "block" in settings.thresholds && settings.thresholds.block === undefined) {
    report(line, "thresholds: without block no score is ever refused");
  }
  if (settings.notUnderstood === "allow") {
    report(line, "not_understood: allow lets through what querycop cannot judge", false);
  }
  for (const { rule, isOff } of settings.overrides ?? []) {
    if (isOff && rule.pattern.endsWith("*"))
      report(line, `rules: "${rule.pattern}: off" also switches off later rules`);
  }
  for (const { column } of settings.denyColumns ?? []) {
    if (column.table !== undefined) continue;
    report(line, `deny.columns: "${column.text}" names no table, so SELECT * gets past it; write table.${column.text}`);
  }
  lintKinds(settings, line, report);
  for (const { column, value } of settings.tenants ?? []) {
    if (value === undefined)
      report(line, `tenants: ${column} without value accepts any tenant, not only the user's own`);
  }
  if (settings.allowsMultiStatements === true) {
    report(line, "multi_statements: true gives stacked statements away as a sign of injection");
  }
  if (settings.newDigest !== undefined && !settings.knownDigests?.size) {
    report(line, "new_digest: no digest is listed under allow.digests here");
  }
}

/** What is something else in front of PostgreSQL. */
function lintForPostgres({ impact, ...settings }: SettingsFragment, line: number, report: Report): void {
  if (impact?.changedRowsMax !== undefined) {
    report(line, "impact.max_changed_rows cannot be kept in front of PostgreSQL: every change is refused", false);
  }
  const names = [
    ...(settings.allowTables ?? []).map(({ text }) => ({ key: "tables", text })),
    ...(settings.allowFunctions ?? []).map(({ pattern }) => ({ key: "functions", text: pattern })),
    ...(settings.allowRoutines ?? []).map(({ pattern }) => ({ key: "routines", text: pattern })),
  ];
  for (const { key, text } of names) {
    if (!/[A-Z]/.test(text)) continue;
    const folded = text.toLowerCase();
    report(
      line,
      `allow.${key}: "${text}" is in PostgreSQL the name in quotes alone; write ${folded} for the one without`,
    );
  }
}

/** Names that deny some of what does the same, and leave the rest. */
function lintKinds({ denyStatements = [] }: SettingsFragment, line: number, report: Report): void {
  const isDenied = (kind: string): boolean => denyStatements.some(({ matcher }) => matcher.matches(kind));
  for (const { matcher } of denyStatements) {
    for (const { family, kinds } of leftOut(matcher)) {
      const left = kinds.filter((kind) => !isDenied(kind));
      if (left.length === 0) continue;
      report(line, `deny.statements: "${matcher.pattern}" leaves ${left.join(", ")}; write ${family} for all of them`);
    }
  }
}

function lintProfile(profile: Profile, policy: Policy, report: Report): void {
  const mode = profile.settings.mode ?? policy.base.mode;
  if (profile.settings.isReadOnly === true && mode !== "enforce") {
    report(profile.line, `profile ${profile.name}: read_only does nothing in mode ${mode}`, false);
  }
  if (profile.settings.isReadOnly === false && policy.base.isReadOnly) {
    report(profile.line, `profile ${profile.name}: read_only: false has no effect, the top level is read-only`, false);
  }
  if (Object.keys(profile.settings).length === 0) {
    report(profile.line, `profile ${profile.name}: has no settings`, false);
  }
  for (const user of profile.match.users) {
    if (user.pattern === "*")
      report(profile.line, `profile ${profile.name}: users: "*" is everybody; use the top level`);
  }
}

/** What a profile can take away from its subjects, under the names of the policy file. */
const PROTECTIONS: readonly (readonly [key: keyof SettingsFragment, name: string])[] = [
  ["isReadOnly", "read_only"],
  ["requireWhere", "require_where"],
  ["tenants", "tenants"],
  ["canaryTables", "canary_tables"],
  ["sensitiveTables", "sensitive"],
  ["sensitiveColumns", "sensitive"],
  ["schemas", "schemas"],
  ["denyStatements", "deny"],
  ["denyTables", "deny"],
  ["denyColumns", "deny"],
  ["denyFunctions", "deny"],
  ["denyDigests", "deny"],
  ["allowStatements", "allow.statements"],
  ["allowTables", "allow.tables"],
  ["newDigest", "new_digest"],
  ["thresholds", "thresholds"],
  ["notUnderstood", "not_understood"],
  ["limits", "limits"],
  ["impact", "impact"],
];

/** The schema is the client's to choose: after USE other the profile holds for its tables alone, not for what names none. */
function lintSchemaMatch({ name, line, match, settings }: Profile, report: Report): void {
  if (match.schemas.length === 0) return;
  const held = PROTECTIONS.flatMap(([key, word]) => {
    const value = settings[key];
    const isEmpty = value === undefined || value === false || (Array.isArray(value) && value.length === 0);
    return isEmpty ? [] : [word];
  });
  if (held.length === 0) return;
  const words = [...new Set(held)].join(", ");
  const text = `match.schemas is left with USE, and ${words} with it but for its tables; match users, and write tables as schema.table`;
  report(line, `profile ${name}: ${text}`, false);
}

function lintExceptions(settings: SettingsFragment, wallMs: number, report: Report): void {
  for (const exception of settings.exceptions ?? []) {
    const { id, line, expiresAtMs } = exception;
    if (expiresAtMs <= wallMs) report(line, `exception ${id}: has expired`, false);
    else if (expiresAtMs > wallMs + YEAR_MS) report(line, `exception ${id}: lasts longer than a year`);
    if (exception.rules.some(({ pattern }) => pattern === "*")) {
      report(line, `exception ${id}: rules: "*" takes every rule away`);
    }
    const narrowed = [exception.users, exception.schemas, exception.tables, exception.addresses];
    if (exception.digests.size === 0 && narrowed.every((list) => list.length === 0)) {
      report(line, `exception ${id}: is for everybody; name users, tables, addresses or digests`);
    }
  }
}
