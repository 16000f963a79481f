/** `querycop policy lint`: a policy that loads may still not protect what its author thinks. */

import type { Policy, Profile, SettingsFragment } from "./policy.ts";

export interface LintFinding {
  readonly line: number;
  readonly text: string;
  /** `--strict` fails on these; the others fail always. */
  readonly isStrictOnly: boolean;
}

const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

/** Everything suspicious in a policy that parsed. */
export function lintPolicy(policy: Policy, wallMs: number): LintFinding[] {
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
  for (const { column, value } of settings.tenants ?? []) {
    if (value === undefined)
      report(line, `tenants: ${column} without value accepts any tenant, not only the user's own`);
  }
  if (settings.allowsMultiStatements === true) {
    report(line, "multi_statements: true gives stacked statements away as a sign of injection");
  }
  if (settings.newDigest !== undefined && settings.knownDigests === undefined) {
    report(line, "new_digest: no digest is listed under allow.digests here");
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
