/** What a rule is. Rules are data: an id, points, words for people, and what in the facts raises them. */

import type {
  Analysis,
  Finding,
  FindingName,
  MysqlContext,
  Reading,
  SqlEngineName,
  StatementFacts,
  StatementKind,
} from "../../sql/facts.ts";
import type { Disagreement } from "../../sql/second-opinion/advice.ts";
import type { DecisionAction, RuleCategory, Settings, Subject } from "../policy.ts";
import type { Steps } from "./steps.ts";

/** Everything a rule may look at. */
export interface RuleInput {
  readonly analysis: Analysis;
  readonly reading: Reading;
  readonly settings: Settings;
  readonly subject: Subject;
  /** Shared by all rules for one reading; see Steps. */
  readonly steps: Steps;
  /** True when the statement runs with values: a parameter that is left in the text has one that is not known. */
  readonly hasValues?: boolean;
}

/** Why a rule applies to a statement, how heavily, and where in the text. */
export interface Evidence {
  readonly points: number;
  readonly start: number;
  readonly end: number;
  /** Names the object concerned; never quotes a literal of the statement. */
  readonly reason?: string;
  /** Decides by itself, whatever the score. */
  readonly action?: DecisionAction;
}

export type PointsOf<Fact> = number | ((fact: Fact, input: RuleInput) => number);

export interface RuleExample {
  readonly sql: string;
  /** Whose SQL it is; without it MySQL's. */
  readonly engine?: SqlEngineName;
  /** Policy file lines that the rule needs, without `version`. */
  readonly policy?: string;
  readonly subject?: Partial<Subject>;
  /** What is known of the session. */
  readonly context?: Partial<MysqlContext>;
  /** Instead of the steps that the length of the text allows. */
  readonly stepsMax?: number;
  /** What the second parser sees besides. */
  readonly disagreements?: readonly Disagreement[];
}

export interface Rule {
  /** Stable: audit records, metrics and policies name it. */
  readonly id: string;
  readonly category: RuleCategory;
  /** The points as documentation shows them: "30" or "25-45". */
  readonly points: string;
  readonly title: string;
  /** What to do instead. */
  readonly rewrite: string;
  readonly example: RuleExample;
  /** Whose SQL it reads; without them any. */
  readonly engines?: readonly SqlEngineName[];
  /** Findings that raise the rule. Points of 0 mean not raised. */
  readonly findings?: { readonly [Name in FindingName]?: PointsOf<Finding> };
  /** Statement kinds that raise the rule. */
  readonly kinds?: { readonly [Kind in StatementKind]?: PointsOf<StatementFacts> };
  /** False for settings under which `test` finds nothing in any statement: it is not asked then. */
  readonly needs?: (settings: Settings) => boolean;
  /** Anything else. Runs for every statement, so it leaves early. */
  readonly test?: (statement: StatementFacts, input: RuleInput) => Evidence | undefined;
  /** The distinct findings add up to this many points; without it only the heaviest counts. */
  readonly sumMax?: number;
}

/** A rule that applied. */
export interface RuleHit {
  readonly id: string;
  readonly category: RuleCategory;
  readonly points: number;
  /** Index into the reading's statements; undefined for what concerns the text as a whole. */
  readonly statement: number | undefined;
  readonly start: number;
  readonly end: number;
  readonly reason: string;
  readonly action?: DecisionAction;
}
