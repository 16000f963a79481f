/** Facts in, points out: which rules apply to a reading and what they add up to. */

import { type Finding, findingText, type StatementFacts, type StatementKind } from "../sql/facts.ts";
import { countsAs, isKind } from "./kinds.ts";
import type { DecisionAction, RuleCategory } from "./policy.ts";
import { isExecuted } from "./rules/effects.ts";
import type { Evidence, PointsOf, Rule, RuleHit, RuleInput } from "./rules/rule.ts";
import { type EngineRules, RULES_BY_ENGINE, ruleOf, TESTING_RULE_COUNT } from "./rules/rules.ts";
import type { ResolvedSettings } from "./settings.ts";

export type RiskLevel = "low" | "medium" | "high" | "critical";

/** Lowest score of each level. */
export const LEVEL_SCORES = { low: 0, medium: 25, high: 50, critical: 80 } as const;

export function levelOf(score: number): RiskLevel {
  if (score >= LEVEL_SCORES.critical) return "critical";
  if (score >= LEVEL_SCORES.high) return "high";
  return score >= LEVEL_SCORES.medium ? "medium" : "low";
}

/** What one category can add to a statement. Habits alone never make a statement more than low. */
export const CATEGORY_POINTS_MAX: { readonly [Category in RuleCategory]?: number } = {
  hygiene: 15,
  recon: 45,
  obfuscation: 60,
};

export interface ScoredReading {
  readonly score: number;
  /** The hits that make up the score, and those that decide by themselves; heaviest first. */
  readonly hits: readonly RuleHit[];
}

/** Categories that matter even when the statement is only planned: parts of it may be evaluated while planning. */
const PLANNED_CATEGORIES: ReadonlySet<RuleCategory> = new Set([
  "injection",
  "obfuscation",
  "recon",
  "file",
  "cloud",
  "access",
  "policy",
]);

/** Every rule that applies to the reading, before caps and exceptions, one hit per rule and statement. */
export function collectHits(input: RuleInput, resolved: ResolvedSettings): RuleHit[] {
  const collector = new HitCollector(input, resolved);
  for (const finding of input.reading.findings) collector.addFinding(finding);
  const { statements } = input.reading;
  for (let index = 0; index < statements.length && !input.steps.isOut; index++) {
    const statement = statements[index];
    if (statement !== undefined) collector.addStatement(statement, index);
  }
  if (!input.reading.understood) collector.addNotUnderstood();
  if (input.steps.isOut) collector.addOutOfSteps();
  return collector.hits;
}

class HitCollector {
  readonly hits: RuleHit[] = [];
  /** Where the hit of a rule and a statement is; few hits are searched instead. */
  #places: Map<string, number> | undefined = undefined;
  readonly #input: RuleInput;
  readonly #resolved: ResolvedSettings;
  readonly #rules: EngineRules;

  constructor(input: RuleInput, resolved: ResolvedSettings) {
    this.#input = input;
    this.#resolved = resolved;
    this.#rules = RULES_BY_ENGINE[input.analysis.context.engine];
  }

  addFinding(finding: Finding): void {
    const rules = this.#rules.byFinding.get(finding.what);
    if (rules === undefined) return;
    for (const rule of rules) {
      const points = pointsOf<Finding>(rule.findings?.[finding.what], finding, this.#input);
      if (points === 0) continue;
      const text = findingText(finding.what);
      const reason = finding.detail === undefined ? text : `${text} (${finding.detail})`;
      this.#add(rule, finding.statement, { points, start: finding.start, end: finding.end, reason });
    }
  }

  addStatement(statement: StatementFacts, index: number): void {
    this.#addKinds(statement, index);
    this.#input.steps.spend(TESTING_RULE_COUNT);
    for (const rule of this.#resolved.testing[this.#input.analysis.context.engine]) {
      const evidence = rule.test(statement, this.#input);
      if (evidence !== undefined) this.#add(rule, index, evidence);
    }
  }

  /** A statement that counts as several kinds has the points of the heaviest: what it drops is the drop's weight. */
  #addKinds(statement: StatementFacts, index: number): void {
    let { kind } = statement;
    const others = countsAs(statement);
    if (others.length > 0) {
      let heaviest = this.#kindPoints(kind, statement);
      for (const other of others) {
        if (!isKind(other)) continue;
        const points = this.#kindPoints(other, statement);
        if (points > heaviest) [kind, heaviest] = [other, points];
      }
    }
    const reason = kind === statement.kind ? undefined : `${statement.kind} counts as ${kind}`;
    for (const rule of this.#rules.byKind.get(kind) ?? NO_RULES) {
      const points = pointsOf<StatementFacts>(rule.kinds?.[kind], statement, this.#input);
      if (points === 0) continue;
      const { start, end } = statement;
      const evidence = { points, start, end };
      this.#add(rule, index, reason === undefined ? evidence : { ...evidence, reason: `${rule.title}: ${reason}` });
    }
  }

  #kindPoints(kind: StatementKind, statement: StatementFacts): number {
    let sum = 0;
    for (const rule of this.#rules.byKind.get(kind) ?? NO_RULES) {
      if (this.#resolved.ruleStates.get(rule.id)?.isOff === true) continue;
      sum += pointsOf<StatementFacts>(rule.kinds?.[kind], statement, this.#input);
    }
    return sum;
  }

  addNotUnderstood(): void {
    const { notUnderstood } = this.#input.reading;
    const { start, end } = notUnderstood ?? { start: 0, end: this.#input.analysis.sql.length };
    const reason = `the statement is not understood (${notUnderstood?.reason ?? "unknown-statement"})`;
    const action = this.#input.settings.notUnderstood;
    // What does not lex has its own points from obf.lex.
    const points = notUnderstood?.reason === "lexical-error" ? 0 : 40;
    this.#add(ruleOf("dyn.unknown"), undefined, { points, start, end, reason, action });
  }

  /** SAFETY: what was not looked at to its end may be anything. */
  addOutOfSteps(): void {
    this.#add(ruleOf("pol.budget"), undefined, {
      points: 100,
      start: 0,
      end: this.#input.analysis.sql.length,
      action: "block",
    });
  }

  #add(rule: Rule, statement: number | undefined, evidence: Evidence): void {
    const state = this.#resolved.ruleStates.get(rule.id);
    if (state?.isOff === true) return;
    const of = statement === undefined ? undefined : this.#input.reading.statements[statement];
    if (of !== undefined && !isExecuted(of) && !PLANNED_CATEGORIES.has(rule.category)) return;
    const action: DecisionAction | undefined = state?.action ?? evidence.action;
    const points = action === "allow" ? 0 : (state?.points ?? evidence.points);
    const { id, category, title } = rule;
    const { start, end, reason = title } = evidence;
    const hit: RuleHit = { id, category, points, statement, start, end, reason };
    this.#keepBest(rule, action === undefined ? hit : { ...hit, action }, state?.points === undefined);
  }

  /** One hit per rule and statement: the heaviest, or the sum where the rule adds up. */
  #keepBest(rule: Rule, hit: RuleHit, mayAddUp: boolean): void {
    const index = this.#placeOf(hit);
    const known = this.hits[index];
    if (known === undefined) {
      this.#places?.set(placeKey(hit), index);
      this.hits.push(hit);
    } else if (rule.sumMax !== undefined && mayAddUp && known.reason !== hit.reason) {
      const heavier = hit.points > known.points ? hit : known;
      this.hits[index] = { ...heavier, points: Math.min(rule.sumMax, known.points + hit.points) };
    } else if (hit.points > known.points) {
      this.hits[index] = hit;
    }
  }

  /** The place of the hit that this one competes with, or behind all hits. */
  #placeOf(hit: RuleHit): number {
    const { hits } = this;
    if (hits.length > HITS_SEARCHED_MAX) {
      this.#places ??= new Map(hits.map((known, index) => [placeKey(known), index]));
      return this.#places.get(placeKey(hit)) ?? hits.length;
    }
    for (let index = 0; index < hits.length; index++) {
      const known = hits[index] as RuleHit;
      if (known.statement === hit.statement && known.id === hit.id) return index;
    }
    return hits.length;
  }
}

const NO_RULES: readonly Rule[] = [];
const HITS_SEARCHED_MAX = 16;

function placeKey({ id, statement }: RuleHit): string {
  return `${id} ${statement}`;
}

function pointsOf<Fact>(points: PointsOf<Fact> | undefined, fact: Fact, input: RuleInput): number {
  if (points === undefined) return 0;
  return typeof points === "number" ? points : points(fact, input);
}

/**
 * Adds up: within a statement every rule once, under the caps; a statement that carries another one counts with it,
 * except stored code, which counts as much as its worst statement; the packet counts as its worst statement.
 */
export function addUp(hits: readonly RuleHit[], statements: readonly StatementFacts[]): ScoredReading {
  if (hits.length === 0) return { score: 0, hits };
  if (isAlone(statements)) return { score: scoreAlone(hits), hits: heaviestFirst(hits) };
  const byStatement = groupHits(hits);
  const own = statements.map((_, index) => sumWithCaps(byStatement.get(index) ?? NO_HITS, index));
  const totals = foldNested(own, statements);
  let worst = -1;
  for (let index = 0; index < statements.length; index++) {
    if (statements[index]?.parent !== undefined) continue;
    if (worst < 0 || (totals[index] ?? 0) > (totals[worst] ?? 0)) worst = index;
  }
  const packetIndex = statements[worst]?.packetIndex;
  const score = Math.min(100, (totals[worst] ?? 0) + sumWithCaps(byStatement.get(undefined) ?? NO_HITS, undefined));
  const counted = hits.filter(
    (hit) =>
      hit.action !== undefined || hit.statement === undefined || statements[hit.statement]?.packetIndex === packetIndex,
  );
  return { score, hits: counted.sort((left, right) => right.points - left.points) };
}

/** The score that addUp() would find without one of the hits. */
export function scoreWithout(hits: readonly RuleHit[], one: RuleHit, statements: readonly StatementFacts[]): number {
  if (isAlone(statements)) return scoreAlone(hits, one);
  const others = hits.filter((hit) => hit !== one);
  return addUp(others, statements).score;
}

const NO_HITS: readonly RuleHit[] = [];

/** As nearly every text is. */
function isAlone(statements: readonly StatementFacts[]): boolean {
  return statements.length === 1 && statements[0]?.parent === undefined;
}

function scoreAlone(hits: readonly RuleHit[], except?: RuleHit): number {
  const own = sumWithCaps(hits, 0, except);
  return Math.min(100, Math.max(own, 0) + sumWithCaps(hits, undefined, except));
}

/** More are left to the engine's own sort. */
const INSERTED_MAX = 16;

/** In a copy, those of one weight in the order that they had. */
function heaviestFirst(hits: readonly RuleHit[]): readonly RuleHit[] {
  if (hits.length === 1) return hits;
  if (hits.length > INSERTED_MAX) return hits.toSorted((left, right) => right.points - left.points);
  const sorted = hits.slice();
  for (let index = 1; index < sorted.length; index++) {
    const hit = sorted[index] as RuleHit;
    let at = index;
    for (; at > 0 && (sorted[at - 1] as RuleHit).points < hit.points; at--) sorted[at] = sorted[at - 1] as RuleHit;
    sorted[at] = hit;
  }
  return sorted;
}

function groupHits(hits: readonly RuleHit[]): ReadonlyMap<number | undefined, readonly RuleHit[]> {
  const groups = new Map<number | undefined, RuleHit[]>();
  for (const hit of hits) {
    const group = groups.get(hit.statement);
    if (group === undefined) groups.set(hit.statement, [hit]);
    else group.push(hit);
  }
  return groups;
}

/** Of those hits that concern the statement, or for undefined the text as a whole. */
function sumWithCaps(hits: readonly RuleHit[], statement: number | undefined, except?: RuleHit): number {
  let sum = 0;
  let capped: Partial<Record<RuleCategory, number>> | undefined;
  for (const hit of hits) {
    if (hit.statement !== statement || hit === except) continue;
    const max = CATEGORY_POINTS_MAX[hit.category];
    if (max === undefined) {
      sum += hit.points;
      continue;
    }
    capped ??= {};
    const before = capped[hit.category] ?? 0;
    const after = Math.min(max, before + hit.points);
    capped[hit.category] = after;
    sum += after - before;
  }
  return sum;
}

const BODY_ORIGINS: ReadonlySet<StatementFacts["within"]> = new Set(["body", "event-body", "trigger-body"]);

/** Children come after their parents, so one pass from the end folds every depth. */
function foldNested(own: readonly number[], statements: readonly StatementFacts[]): number[] {
  const added = new Array<number>(own.length).fill(0);
  const body = new Array<number>(own.length).fill(0);
  const totals = new Array<number>(own.length).fill(0);
  for (let index = own.length - 1; index >= 0; index--) {
    const total = Math.max((own[index] ?? 0) + (added[index] ?? 0), body[index] ?? 0);
    totals[index] = total;
    const statement = statements[index];
    if (statement?.parent === undefined) continue;
    const into = BODY_ORIGINS.has(statement.within) ? body : added;
    into[statement.parent] = Math.max(into[statement.parent] ?? 0, total);
  }
  return totals;
}
