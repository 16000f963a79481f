/** The YAML policy file: text in, Policy or every problem with its line out. Pure, so a reload is one call. */

import { sha256Hex } from "../../sql/mysql/digest/digest.ts";
import { compileAddressRange } from "../address.ts";
import { compileGlob, type NameMatcher } from "../glob.ts";
import {
  applyFragment,
  DEFAULT_SETTINGS,
  type Policy,
  type Profile,
  type ProfileMatch,
  type Settings,
  type SettingsFragment,
} from "../policy.ts";
import { readSetting, SETTING_KEYS } from "./policy-settings.ts";
import { type Problem, YamlReader, type YamlValue } from "./yaml-reader.ts";

/** Largest policy file; a learned profile of 20,000 digests is about 2 MiB. */
export const POLICY_FILE_CHARACTERS_MAX = 16 * 1024 * 1024;

export type PolicyFileResult =
  | { readonly kind: "loaded"; readonly policy: Policy }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

/** By which records and logs name a policy: the beginning of its text's SHA-256. */
export function policyVersionOf(text: string): string {
  return sha256Hex(text).slice(0, 12);
}

/**
 * Reads a policy file. Never throws: a file with any problem is refused as a whole, and the caller keeps the policy
 * it has. `base` is what the file builds on; the default is the built-in policy.
 */
export function parsePolicy(text: string, base: Settings = DEFAULT_SETTINGS): PolicyFileResult {
  if (text.length > POLICY_FILE_CHARACTERS_MAX) {
    const problem = `the file has ${text.length} characters, the limit is ${POLICY_FILE_CHARACTERS_MAX}`;
    return { kind: "refused", problems: [{ line: 1, text: problem }] };
  }
  const reader = new YamlReader(text);
  if (reader.problems.length > 0) return { kind: "refused", problems: reader.problems };
  const policy = readPolicy(reader, text, base);
  if (reader.problems.length > 0) {
    return { kind: "refused", problems: [...reader.problems].sort((left, right) => left.line - right.line) };
  }
  return { kind: "loaded", policy };
}

/** One line per problem, as `file:line: text`, the form editors and CI systems link. */
export function renderProblems(fileName: string, problems: readonly Problem[]): string {
  return problems.map((problem) => `${fileName}:${problem.line}: ${problem.text}`).join("\n");
}

function readPolicy(reader: YamlReader, text: string, base: Settings): Policy {
  const entries = reader.entries(reader.root(), ["version", "profiles", ...SETTING_KEYS]);
  const format = entries.get("version");
  if (format === undefined) reader.report(reader.root(), "version: missing, write version: 1");
  else reader.integer(format, 1, 1);
  const settings = applyFragment(base, readSettings(reader, entries));
  checkThresholds(reader, reader.root(), settings);
  const profiles = readProfiles(reader, entries.get("profiles"), settings);
  const dependsOnTime = profiles.some(({ match }) => match.hours !== undefined || match.days.length > 0);
  const version = policyVersionOf(text);
  // On another base the text alone would not make the same policy.
  const source = base === DEFAULT_SETTINGS ? { source: text } : {};
  return { version, ...source, base: settings, profiles, dependsOnTime };
}

function readSettings(reader: YamlReader, entries: ReadonlyMap<string, YamlValue>): SettingsFragment {
  let fragment: SettingsFragment = {};
  for (const [key, value] of entries) {
    if (SETTING_KEYS.includes(key)) fragment = { ...fragment, ...readSetting(reader, key, value) };
  }
  return fragment;
}

function checkThresholds(reader: YamlReader, at: YamlValue, settings: Settings): void {
  const { warn, requireApproval, block } = settings.thresholds;
  const ordered = [warn, requireApproval, block].filter((threshold) => threshold !== undefined);
  if (ordered.some((threshold, index) => index > 0 && threshold < (ordered[index - 1] ?? 0))) {
    reader.report(at, "thresholds: expected warn <= require_approval <= block");
  }
}

function readProfiles(reader: YamlReader, value: YamlValue | undefined, base: Settings): Profile[] {
  if (value === undefined) return [];
  const profiles: Profile[] = [];
  for (const item of reader.items(value)) {
    const entries = reader.entries(item, ["name", "match", ...SETTING_KEYS]);
    const nameValue = entries.get("name");
    const matchValue = entries.get("match");
    const name = nameValue === undefined ? undefined : reader.text(nameValue);
    if (name === undefined) reader.report(item, "name: missing, every profile needs one");
    else if (profiles.some((profile) => profile.name === name)) reader.report(item, `name: "${name}" is used twice`);
    if (matchValue === undefined) {
      reader.report(item, "match: missing, say whom the profile is for (settings for everybody go to the top level)");
      continue;
    }
    const settings = readSettings(reader, entries);
    checkThresholds(reader, item, applyFragment(base, settings));
    profiles.push({ name: name ?? "", line: item.line, match: readMatch(reader, matchValue), settings });
  }
  return profiles;
}

const MATCH_KEYS = ["users", "roles", "schemas", "addresses", "listeners", "tls", "hours", "days"] as const;

function readMatch(reader: YamlReader, value: YamlValue): ProfileMatch {
  const entries = reader.entries(value, MATCH_KEYS);
  if (entries.size === 0) reader.report(value, "expected at least one condition");
  const names = (key: (typeof MATCH_KEYS)[number], caseSensitive: boolean): NameMatcher[] => {
    const list = entries.get(key);
    return list === undefined ? [] : compileAll(reader, list, (text) => compileGlob(text, { caseSensitive }));
  };
  const addresses = entries.get("addresses");
  const tls = entries.get("tls");
  const hours = entries.get("hours");
  const days = entries.get("days");
  return {
    users: names("users", true),
    roles: names("roles", true),
    schemas: names("schemas", false),
    listeners: names("listeners", true),
    addresses: addresses === undefined ? [] : compileAll(reader, addresses, compileAddressRange),
    isTls: tls === undefined ? undefined : reader.boolean(tls),
    hours: hours === undefined ? undefined : reader.compile(hours, parseHours),
    days: days === undefined ? [] : compileAll(reader, days, parseDay),
  };
}

function compileAll<Compiled>(reader: YamlReader, list: YamlValue, compiler: (text: string) => Compiled): Compiled[] {
  const items = reader.items(list);
  if (items.length === 0) reader.report(list, "expected at least one entry");
  return items.map((item) => reader.compile(item, compiler)).filter((compiled) => compiled !== undefined);
}

const HOURS_SHAPE = /^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])$/;

/** "22:00-06:00", UTC, end excluded. Throws RangeError. */
function parseHours(text: string): { fromMinute: number; toMinute: number } {
  const found = HOURS_SHAPE.exec(text);
  if (found === null) throw new RangeError(`Cannot read "${text}" as hours: write them as "08:00-18:00" (UTC)`);
  const fromMinute = Number(found[1]) * 60 + Number(found[2]);
  const toMinute = Number(found[3]) * 60 + Number(found[4]);
  if (fromMinute === toMinute) throw new RangeError(`Cannot read "${text}" as hours: the span is empty`);
  return { fromMinute, toMinute };
}

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

function parseDay(text: string): number {
  const day = DAYS.indexOf(text.toLowerCase());
  if (day < 0) throw new RangeError(`Cannot read "${text}" as a day: expected one of ${DAYS.join(", ")}`);
  return day;
}
