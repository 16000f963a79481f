/** All rules, in the order of the documentation, and the indexes the scorer walks. */

import type { FindingName, StatementKind } from "../../sql/facts.ts";
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

function indexBy<Key extends string>(keysOf: (rule: Rule) => readonly Key[]): ReadonlyMap<Key, readonly Rule[]> {
  const index = new Map<Key, Rule[]>();
  for (const rule of RULES) {
    for (const key of keysOf(rule)) {
      const rules = index.get(key);
      if (rules === undefined) index.set(key, [rule]);
      else rules.push(rule);
    }
  }
  return index;
}

export const RULES_BY_FINDING = indexBy((rule) => Object.keys(rule.findings ?? {}) as FindingName[]);
export const RULES_BY_KIND = indexBy((rule) => Object.keys(rule.kinds ?? {}) as StatementKind[]);
export const RULES_WITH_TEST: readonly Rule[] = RULES.filter((rule) => rule.test !== undefined);
