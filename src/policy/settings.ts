/** The settings that hold for one subject now, ready to use: profiles applied, overrides looked up once per rule. */

import type { SqlEngineName } from "../sql/facts.ts";
import type { DataLimits } from "./limits.ts";
import {
  applyFragment,
  type DecisionAction,
  matchesProfile,
  type Policy,
  type Settings,
  type Subject,
} from "./policy.ts";
import { RULES, type TestingRule, testingRules } from "./rules/rules.ts";

/** What the policy makes of one rule. */
export interface RuleState {
  readonly isOff: boolean;
  /** The rule set is in observe mode: the rule is reported and decides nothing. */
  readonly isObserved: boolean;
  readonly points: number | undefined;
  readonly action: DecisionAction | undefined;
}

export interface ResolvedSettings {
  /** Unique per resolved set within the process, so that caches can key on it. */
  readonly serial: number;
  readonly settings: Settings;
  /** Names of the profiles that apply, in order. */
  readonly profiles: readonly string[];
  readonly ruleStates: ReadonlyMap<string, RuleState>;
  readonly hasObservedRules: boolean;
  /** What rules compare every name of a text with. */
  readonly patternCount: number;
  /** The rules that look at every statement and may find something. */
  readonly testing: Readonly<Record<SqlEngineName, readonly TestingRule[]>>;
  /** Undefined where the listener's limits stand. */
  readonly limits: Partial<DataLimits> | undefined;
}

/** SAFETY: these follow the profile alone; neither override, rule set nor exception reaches them. */
export const UNBYPASSABLE_RULES: ReadonlySet<string> = new Set(["pol.readonly", "pol.budget"]);

const RESOLVED_COUNT_MAX = 2048;

interface Resolver {
  readonly bySubject: Map<string, ResolvedSettings>;
  readonly byProfiles: Map<string, ResolvedSettings>;
}

const resolvers = new WeakMap<Policy, Resolver>();
let nextSerial = 1;

/**
 * The settings for a subject at a moment. Remembered per policy, so that asking for every statement is cheap.
 * The same set of matching profiles always gives the same object.
 */
export function resolveSettings(policy: Policy, subject: Subject, wallMs: number): ResolvedSettings {
  let resolver = resolvers.get(policy);
  if (resolver === undefined) {
    resolver = { bySubject: new Map(), byProfiles: new Map() };
    resolvers.set(policy, resolver);
  }
  const key = policy.profiles.length === 0 ? "" : subjectKey(policy, subject, wallMs);
  const known = resolver.bySubject.get(key);
  if (known !== undefined) return known;
  const matching = policy.profiles.filter((profile) => matchesProfile(profile, subject, wallMs));
  const profileKey = JSON.stringify(matching.map((profile) => profile.name));
  let resolved = resolver.byProfiles.get(profileKey);
  if (resolved === undefined) {
    const settings = matching.reduce((base, profile) => applyFragment(base, profile.settings), policy.base);
    resolved = compileSettings(
      settings,
      matching.map((profile) => profile.name),
    );
    resolver.byProfiles.set(profileKey, resolved);
  }
  if (resolver.bySubject.size >= RESOLVED_COUNT_MAX) resolver.bySubject.clear();
  resolver.bySubject.set(key, resolved);
  return resolved;
}

/**
 * A part of a key that others follow. SAFETY: names and texts are the client's and may hold whatever separates them, so a
 * part says where it ends.
 */
export function keyPart(text: string): string {
  return `${text.length}:${text}\n`;
}

/** Everything a profile can match on. */
function subjectKey(policy: Policy, subject: Subject, wallMs: number): string {
  const { user, role = "", schema = "", schemaProfiles, clientAddress, listener, isTls } = subject;
  const minute = policy.dependsOnTime ? Math.floor(wallMs / 60_000) : 0;
  const profiles = schemaProfiles === undefined ? "" : keyPart(JSON.stringify(schemaProfiles));
  return `${keyPart(user)}${keyPart(role)}${keyPart(schema)}${clientAddress}\n${listener}\n${isTls}\n${minute}\n${profiles}`;
}

/** Looks up overrides and rule-set modes for every rule. */
function compileSettings(settings: Settings, profiles: readonly string[]): ResolvedSettings {
  const ruleStates = new Map<string, RuleState>();
  let hasObservedRules = false;
  for (const { id, category } of RULES) {
    const isFixed = UNBYPASSABLE_RULES.has(id);
    const mode = isFixed ? "enforce" : (settings.categoryModes.get(category) ?? "enforce");
    const override = isFixed ? undefined : settings.overrides.findLast(({ rule }) => rule.matches(id));
    const isObserved = mode === "observe";
    if (isObserved) hasObservedRules = true;
    ruleStates.set(id, {
      isOff: mode === "off" || override?.isOff === true,
      isObserved,
      points: override?.points,
      action: override?.action,
    });
  }
  return {
    serial: nextSerial++,
    settings,
    profiles,
    ruleStates,
    hasObservedRules,
    patternCount: countPatterns(settings),
    testing: { mysql: testingRules("mysql", settings), postgresql: testingRules("postgresql", settings) },
    limits: limitsOf(settings),
  };
}

function countPatterns(settings: Settings): number {
  const { tenants, denyTables, denyColumns, sensitiveColumns, sensitiveTables, canaryTables, allowTables } = settings;
  const lists = [denyTables, denyColumns, sensitiveColumns, sensitiveTables, canaryTables, allowTables ?? []];
  return (
    lists.reduce((sum, list) => sum + list.length, 0) + tenants.reduce((sum, { tables }) => sum + tables.length, 0)
  );
}

/** In observe mode nothing is ever cut off. */
function limitsOf({ mode, limits }: Settings): Partial<DataLimits> | undefined {
  if (mode === "observe") return { ...limits, limitAction: "warn" };
  return Object.keys(limits).length > 0 ? limits : undefined;
}
