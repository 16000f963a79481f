/** All rules, in the order of the documentation, and the indexes the scorer walks. */

import type { FindingName, SqlEngineName, StatementKind } from "../../sql/facts.ts";
import type { Settings } from "../policy.ts";
import type { Rule } from "./rule.ts";
import { ACCESS_RULES } from "./rules-access.ts";
import { EFFECT_RULES } from "./rules-effects.ts";
import { INJECTION_RULES } from "./rules-injection.ts";
import { POSTGRES_RULES } from "./rules-postgres.ts";

export const RULES: readonly Rule[] = [...INJECTION_RULES, ...EFFECT_RULES, ...ACCESS_RULES, ...POSTGRES_RULES];

export const RULE_IDS: readonly string[] = RULES.map((rule) => rule.id);

const RULES_BY_ID: ReadonlyMap<string, Rule> = new Map(RULES.map((rule) => [rule.id, rule]));

/** The rule of that id. Throws when there is none: ids come from the table, never from input. */
export function ruleOf(id: string): Rule {
  const rule = RULES_BY_ID.get(id);
  if (rule === undefined) throw new Error(`No rule has the id "${id}"`);
  return rule;
}

function indexBy<Key extends string>(
  rules: readonly Rule[],
  keysOf: (rule: Rule) => readonly Key[],
): ReadonlyMap<Key, readonly Rule[]> {
  const index = new Map<Key, Rule[]>();
  for (const rule of rules) {
    for (const key of keysOf(rule)) {
      const found = index.get(key);
      if (found === undefined) index.set(key, [rule]);
      else found.push(rule);
    }
  }
  return index;
}

/** A rule that looks at every statement. */
export type TestingRule = Rule & Required<Pick<Rule, "test">>;

const looksAtStatements = (rule: Rule): rule is TestingRule => rule.test !== undefined;

/** How many rules of any engine look at every statement. */
export const TESTING_RULE_COUNT = RULES.filter(looksAtStatements).length;

/** The rules that read SQL of one engine. */
export interface EngineRules {
  readonly byFinding: ReadonlyMap<FindingName, readonly Rule[]>;
  readonly byKind: ReadonlyMap<StatementKind, readonly Rule[]>;
  readonly testing: readonly TestingRule[];
}

function rulesFor(engine: SqlEngineName): EngineRules {
  const rules = RULES.filter(({ engines }) => engines === undefined || engines.includes(engine));
  return {
    byFinding: indexBy(rules, (rule) => Object.keys(rule.findings ?? {}) as FindingName[]),
    byKind: indexBy(rules, (rule) => Object.keys(rule.kinds ?? {}) as StatementKind[]),
    testing: rules.filter(looksAtStatements),
  };
}

export const RULES_BY_ENGINE: Readonly<Record<SqlEngineName, EngineRules>> = {
  mysql: rulesFor("mysql"),
  postgresql: rulesFor("postgresql"),
};

/** The rules that look at every statement of an engine and may find something under such settings. */
export function testingRules(engine: SqlEngineName, settings: Settings): readonly TestingRule[] {
  return RULES_BY_ENGINE[engine].testing.filter(({ needs }) => needs === undefined || needs(settings));
}
