/**
 * Profiles that match by schema hold for the tables of that schema too, whichever the session has chosen: each statement
 * is decided under the profiles of every schema that it names, besides under those of its session, and the strictest
 * decision holds. What such a profile makes milder, it makes milder for its own sessions only.
 */

import type { Analysis, StatementFacts } from "../sql/facts.ts";
import type { Decision } from "./decide.ts";
import { togetherWith } from "./impact.ts";
import { type DataLimits, LIMIT_ACTIONS, LIMIT_KEYS } from "./limits.ts";
import { matchesProfile, type Policy, type Profile, type Subject, strictestAction } from "./policy.ts";
import { tablesOf } from "./rules/policy-tests.ts";

/** The profiles by schema under which the text is decided besides, by their names; each list once. */
export function schemaProfilesOf(
  { readings }: Analysis,
  subject: Subject,
  policy: Policy,
  wallMs: number,
): readonly (readonly string[])[] {
  if (policy.profiles.length === 0) return NO_PROFILES;
  const bySchema = policy.profiles.filter(({ match }) => match.schemas.length > 0);
  if (bySchema.length === 0) return NO_PROFILES;
  const candidates = bySchema.filter(({ name, match }) =>
    matchesProfile({ name, match }, { ...subject, schemaProfiles: [name] }, wallMs),
  );
  if (candidates.length === 0) return [];
  const schemas = new Set<string | undefined>();
  for (const { statements } of readings) {
    for (const statement of statements) for (const schema of schemasOf(statement)) schemas.add(schema);
  }
  const own = namesOf(candidates.filter((profile) => matchesProfile(profile, subject, wallMs)));
  const found = new Map<string, readonly string[]>();
  for (const schema of schemas) {
    for (const names of profilesOf(schema, candidates)) {
      const key = JSON.stringify(names);
      if (names.length > 0 && key !== JSON.stringify(own)) found.set(key, names);
    }
  }
  return [...found.values()];
}

const NO_PROFILES: readonly (readonly string[])[] = [];

const namesOf = (profiles: readonly Profile[]): string[] => profiles.map(({ name }) => name);

/** SAFETY: a schema that is not known may be that of any of them. */
function profilesOf(schema: string | undefined, candidates: readonly Profile[]): readonly (readonly string[])[] {
  if (schema === undefined) return candidates.map(({ name }) => [name]);
  return [namesOf(candidates.filter(({ match }) => match.schemas.some((matcher) => matcher.mayMatch(schema))))];
}

function* schemasOf(statement: StatementFacts): Generator<string | undefined> {
  for (const { schema } of tablesOf(statement)) yield schema;
  for (const { type, name, schema } of statement.objects) {
    if (type === "schema") yield name;
    else if (schema !== undefined) yield schema;
  }
  for (const { schema } of statement.functions) if (schema !== undefined) yield schema;
}

/** The stricter of both, with whatever either of them asks of the session. */
export function strictestOf(left: Decision, right: Decision): Decision {
  const isRight = isStricter(right, left);
  const stricter = isRight ? right : left;
  return {
    ...stricter,
    isReadOnly: left.isReadOnly || right.isReadOnly,
    impact: togetherWith(left.impact, [right.impact]),
    limits: stricterLimits(left.limits, right.limits),
    isCacheable: left.isCacheable && right.isCacheable,
  };
}

function isStricter(one: Decision, other: Decision): boolean {
  if (one.action !== other.action) return strictestAction(one.action, other.action) === one.action;
  if (one.enforcedAction === other.enforcedAction) return one.score > other.score;
  return strictestAction(one.enforcedAction, other.enforcedAction) === one.enforcedAction;
}

/** What only one of them sets holds; where both do, the lower number. 0 is no limit. */
function stricterLimits(left: Decision["limits"], right: Decision["limits"]): Decision["limits"] {
  if (left === undefined || right === undefined) return left ?? right;
  const numbers = LIMIT_KEYS.flatMap(({ name }) => {
    const set = [left[name], right[name]].filter((value) => value !== undefined);
    if (set.length === 0) return [];
    return [[name, Math.min(...set.filter((value) => value > 0), Number.MAX_SAFE_INTEGER)] as const];
  });
  const actions = [left.limitAction, right.limitAction].filter((action) => action !== undefined);
  const limitAction = LIMIT_ACTIONS.findLast((action) => actions.includes(action));
  return {
    ...(Object.fromEntries(numbers) as Partial<DataLimits>),
    ...(limitAction === undefined ? {} : { limitAction }),
  };
}
