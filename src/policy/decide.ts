/** One analysed text, one subject, one policy: what happens, and why, in words the client can act on. */

import { isUnprintable } from "../base/visible-text.ts";
import type { Analysis, Reading } from "../sql/facts.ts";
import { type Advice, addsFacts, withAdvice } from "../sql/second-opinion/advice.ts";
import { areDigestsKnown } from "./digest-hashes.ts";
import { acceptedHits, judgeDigest, wholeTextHit } from "./digest-rules.ts";
import { matchesAny } from "./glob.ts";
import { HOUSEKEEPING } from "./housekeeping.ts";
import { type ImpactPlan, isImpactOf, planImpact } from "./impact.ts";
import type { DataLimits } from "./limits.ts";
import {
  type ApprovalSettings,
  type DecisionAction,
  mayMatchTable,
  type Policy,
  type PolicyException,
  type RuleCategory,
  type Settings,
  type Subject,
  strictestAction,
  surelyIsSchema,
  surelyMatchesTable,
} from "./policy.ts";
import { readsBuckets } from "./rules/bucket-tests.ts";
import { runsWithValues } from "./rules/named-statements.ts";
import { tablesOf } from "./rules/policy-tests.ts";
import type { RuleHit, RuleInput } from "./rules/rule.ts";
import { ruleOf } from "./rules/rules.ts";
import { Steps, stepsAllowed } from "./rules/steps.ts";
import { readsCatalogRows } from "./rules/value-catalogs.ts";
import { schemaProfilesOf, strictestOf } from "./schema-profiles.ts";
import { addUp, collectHits, levelOf, type RiskLevel, scoreWithout } from "./score.ts";
import { type ResolvedSettings, resolveSettings, UNBYPASSABLE_RULES } from "./settings.ts";

export interface Decision {
  readonly action: DecisionAction;
  /** What enforce mode would have done; differs from `action` only in observe mode. */
  readonly enforcedAction: DecisionAction;
  readonly score: number;
  readonly level: RiskLevel;
  /** Heaviest first; they make up the score. */
  readonly rules: readonly RuleHit[];
  /** The rule that decided, when the action is not allow. */
  readonly ruleId: string | undefined;
  /** Product, rule, score, reason, what to do instead: tellDecision() makes of it what a client is told. */
  readonly reason: string;
  readonly policyVersion: string;
  readonly profiles: readonly string[];
  /** Ids of the exceptions that took a rule away. */
  readonly exceptions: readonly string[];
  readonly understood: boolean;
  /**
   * Whether little speaks against the text but that it is not understood, and what it would do if it ran. Where the server
   * does not understand it either, it is a typing error.
   */
  readonly mayBeTypingError: boolean;
  /** How a block is told: a text that is not understood is a syntax error to the client. */
  readonly errorNumber: number;
  readonly sqlState: string;
  /** What the profiles set instead of the listener's limits on data. */
  readonly limits: Partial<DataLimits> | undefined;
  /** How the statement gets its approval, when the action asks for one. */
  readonly approval: ApprovalSettings;
  /** Whether the subject's profile is read-only and in force, which the server is then told too. */
  readonly isReadOnly: boolean;
  /** What the impact guard has to do about this text. */
  readonly impact: ImpactPlan | undefined;
  /** True when the verdict holds for every text with the same cache key, subject class and policy. */
  readonly isCacheable: boolean;
}

/** MySQL cuts error messages at 512 bytes. */
export const REASON_BYTES_MAX = 480;

const ER_NOT_ALLOWED_COMMAND = 1148;
const ER_PARSE_ERROR = 1064;
const SQLSTATE_SYNTAX_OR_ACCESS = "42000";

export interface DecideOptions {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /**
   * When a prepared statement runs: the analysis of its text with the values as literals, or "unplaced" where it is
   * not certain which value goes where.
   */
  readonly bound?: Analysis | "unplaced";
  /** Of a text whose literals are lost: what its record says was found in them. Nothing else is found there. */
  readonly recordedRules?: ReadonlySet<string>;
  /** Instead of the steps that the length of the text allows: to see what happens when they run out. */
  readonly stepsMax?: number;
}

/** Decides. Never throws for any analysis; the worst of all readings and of all profiles that hold for its tables wins. */
export function decide(analysis: Analysis, subject: Subject, policy: Policy, options: DecideOptions): Decision {
  let decision = decideOnce(analysis, subject, policy, options);
  for (const schemaProfiles of schemaProfilesOf(analysis, subject, policy, options.wallMs)) {
    const other = decideOnce(analysis, { ...subject, schemaProfiles }, policy, options);
    const strictest = strictestOf(decision, other);
    // What is remembered ends with the session's own profiles and exceptions.
    const isLasting = !policy.dependsOnTime && other.exceptions.length === 0;
    decision = isLasting ? strictest : { ...strictest, isCacheable: false };
  }
  return decision;
}

function decideOnce(analysis: Analysis, subject: Subject, policy: Policy, options: DecideOptions): Decision {
  const resolved = resolveSettings(policy, subject, options.wallMs);
  let worst: ReadingVerdict | undefined;
  let isUnderstood = true;
  const isJudged = resolved.settings.mode !== "off" && !isProbe(analysis.sql);
  for (const input of inputsOf(analysis, options, resolved, subject)) {
    if (!input.reading.understood) isUnderstood = false;
    if (!isJudged) continue;
    const verdict = judgeReading(input, resolved, options);
    if (worst === undefined || isWorse(verdict, worst)) worst = verdict;
  }
  const verdict = worst ?? OFF_VERDICT;
  const isObserving = resolved.settings.mode === "observe";
  const ruleId = verdict.decidedBy?.id;
  const whole = typeof options.bound === "object" ? options.bound : analysis;
  const isSyntax = ruleId === "dyn.unknown";
  return {
    action: isObserving ? "allow" : verdict.action,
    enforcedAction: verdict.action,
    score: verdict.score,
    level: levelOf(verdict.score),
    rules: verdict.hits,
    ruleId,
    reason: renderReason(verdict),
    policyVersion: policy.version,
    profiles: resolved.profiles,
    exceptions: verdict.exceptions,
    understood: isUnderstood,
    mayBeTypingError: verdict.mayBeTypingError === true,
    errorNumber: isSyntax ? ER_PARSE_ERROR : ER_NOT_ALLOWED_COMMAND,
    sqlState: SQLSTATE_SYNTAX_OR_ACCESS,
    limits: resolved.limits,
    approval: resolved.settings.approval,
    isReadOnly: holdsReadOnly(resolved.settings),
    impact: planImpact(whole, resolved.settings, subject),
    isCacheable:
      options.bound !== "unplaced" &&
      !isImpactOf(whole, resolved.settings) &&
      !readsBuckets(whole) &&
      isCacheable(whole, resolved.settings),
  };
}

/** Observe mode refuses nothing, and so has the server refuse nothing. */
const holdsReadOnly = ({ isReadOnly, mode }: Settings): boolean => isReadOnly && mode === "enforce";

/** Why there is no verdict on a text. */
export type Unjudged = "late" | "failed";

const UNJUDGED_REASONS: Readonly<Record<Unjudged, string>> = {
  late: "querycop: blocked: judging the statement took too long. Send it in parts, or raise GATEKEEPER_POLICY_JUDGE_TIMEOUT",
  failed: "querycop: blocked: the statement could not be judged, see the querycop log. Send it in parts",
};

/** SAFETY: a text whose judging did not come to its end may do anything. */
export function decideUnjudged(subject: Subject, policy: Policy, wallMs: number, why: Unjudged): Decision {
  const { settings, profiles, limits } = resolveSettings(policy, subject, wallMs);
  const action = settings.mode === "enforce" ? "block" : "allow";
  return {
    action,
    enforcedAction: settings.mode === "off" ? "allow" : "block",
    score: 100,
    level: levelOf(100),
    rules: [],
    ruleId: undefined,
    reason: UNJUDGED_REASONS[why],
    policyVersion: policy.version,
    profiles,
    exceptions: [],
    understood: false,
    mayBeTypingError: false,
    errorNumber: ER_NOT_ALLOWED_COMMAND,
    sqlState: SQLSTATE_SYNTAX_OR_ACCESS,
    limits,
    approval: settings.approval,
    isReadOnly: holdsReadOnly(settings),
    impact: undefined,
    isCacheable: false,
  };
}

/** False where the policy switches the rule or all judging off: nobody is asked then. */
export function isOpinionWanted(policy: Policy, subject: Subject, wallMs: number): boolean {
  const { settings, ruleStates } = resolveSettings(policy, subject, wallMs);
  return settings.mode !== "off" && ruleStates.get("dyn.opinion")?.isOff !== true;
}

/** SAFETY: the second opinion only adds; where a decision with it would be milder in anything, the one without stays. */
export function decideWithAdvice(
  analysis: Analysis,
  advice: Advice,
  subject: Subject,
  policy: Policy,
  options: DecideOptions,
): Decision {
  const own = decide(analysis, subject, policy, options);
  if (!addsFacts(advice)) return own;
  const { bound } = options;
  const advisedOptions = typeof bound === "object" ? { ...options, bound: withAdvice(bound, advice) } : options;
  const advised = decide(withAdvice(analysis, advice), subject, policy, advisedOptions);
  const isMilder =
    advised.score < own.score || strictestAction(advised.enforcedAction, own.enforcedAction) !== advised.enforcedAction;
  return isMilder ? own : advised;
}

/** A reading, and for a statement with values the reading of its text as prepared. */
interface ReadingInput extends RuleInput {
  readonly prepared?: RuleInput;
  readonly isUnplaced?: boolean;
}

function inputsOf(
  analysis: Analysis,
  { bound, stepsMax }: DecideOptions,
  { settings, patternCount }: ResolvedSettings,
  subject: Subject,
): readonly ReadingInput[] {
  const stepsFor = ({ sql }: Analysis): Steps => new Steps(stepsMax ?? stepsAllowed(sql.length, patternCount));
  const inputs: ReadingInput[] = [];
  for (const reading of analysis.readings) {
    const input = { analysis, reading, settings, subject, steps: stepsFor(analysis) };
    const hasUnknownValues = subject.knowsNamed !== true && runsWithValues(reading.statements);
    inputs.push(hasUnknownValues ? { ...input, hasValues: true } : input);
  }
  if (bound === undefined) return inputs;
  if (bound === "unplaced") return inputs.map((input) => ({ ...input, hasValues: true, isUnplaced: true }));
  return bound.readings.map((reading, index) => {
    const prepared = inputs[index] ?? (inputs[0] as RuleInput);
    return { analysis: bound, reading, settings, subject, steps: stepsFor(bound), hasValues: true, prepared };
  });
}

/** The mysql client of 8.1 and later asks at login whether the server knows $$ quotes; every answer is fine with it. */
const PROBE = "select $$";

function isProbe(sql: Uint8Array): boolean {
  if (sql.length !== PROBE.length) return false;
  return sql.every((byte, index) => byte === PROBE.charCodeAt(index));
}

interface ReadingVerdict {
  readonly action: DecisionAction;
  readonly score: number;
  readonly hits: readonly RuleHit[];
  readonly decidedBy: RuleHit | undefined;
  /** Where several rules together reached the threshold: the one whose points made the difference. */
  readonly tippedBy?: RuleHit | undefined;
  readonly exceptions: readonly string[];
  readonly mayBeTypingError?: boolean;
}

const OFF_VERDICT: ReadingVerdict = { action: "allow", score: 0, hits: [], decidedBy: undefined, exceptions: [] };

function isWorse(left: ReadingVerdict, right: ReadingVerdict): boolean {
  if (left.action !== right.action) return strictestAction(left.action, right.action) === left.action;
  return left.score > right.score;
}

/** What the text says about how it was put together. Bound values never became code: they cannot raise these. */
const RULES_OF_TEXT: ReadonlySet<RuleCategory> = new Set(["injection", "obfuscation"]);

function hitsOf(input: ReadingInput, resolved: ResolvedSettings): RuleHit[] {
  const hits = collectHits(input, resolved);
  if (input.isUnplaced === true) {
    hits.push(...unplacedHit(input, resolved));
    return hits;
  }
  if (input.prepared === undefined) return hits;
  const ofText = collectHits(input.prepared, resolved).filter(({ category }) => RULES_OF_TEXT.has(category));
  return [...ofText, ...hits.filter(({ category }) => !RULES_OF_TEXT.has(category))];
}

/** SAFETY: readings that place the parameters differently would judge one value and run another. */
function unplacedHit(input: RuleInput, resolved: ResolvedSettings): RuleHit[] {
  const hits = wholeTextHit(input, "dyn.unknown", 40, input.settings.notUnderstood, resolved);
  return hits.map((hit) => ({ ...hit, reason: "it is not certain which bound value stands where" }));
}

function judgeReading(input: ReadingInput, resolved: ResolvedSettings, options: DecideOptions): ReadingVerdict {
  const { wallMs, recordedRules } = options;
  const hitsNow = hitsOf(input, resolved);
  const found =
    recordedRules === undefined
      ? hitsNow
      : hitsNow.filter(({ id, category }) => !RULES_OF_TEXT.has(category) || recordedRules.has(id));
  const verdict = verdictOf(judgeDigest(input, found, resolved), input, resolved, wallMs);
  // SAFETY: a list of digests is drafted by a tool, perhaps from an attack. It lifts no block of another rule.
  const accepted = verdict.action === "block" ? undefined : acceptedHits(input, found);
  return accepted === undefined ? verdict : verdictOf(accepted, input, resolved, wallMs);
}

function verdictOf(
  found: readonly RuleHit[],
  input: ReadingInput,
  resolved: ResolvedSettings,
  wallMs: number,
): ReadingVerdict {
  const { hits, exceptions } = applyExceptions(found, input, wallMs);
  const { statements } = input.reading;
  const scored = addUp(hits, statements);
  const deciding = resolved.hasObservedRules
    ? addUp(
        hits.filter(({ id }) => resolved.ruleStates.get(id)?.isObserved !== true),
        statements,
      )
    : scored;
  const voting = deciding.hits.some(saysLessThanBlock)
    ? addUp(
        deciding.hits.filter((hit) => !saysLessThanBlock(hit)),
        statements,
      )
    : deciding;
  let action = actionOfScore(voting.score, input.settings);
  let decidedBy = action === "allow" ? undefined : voting.hits[0];
  const scoreAction = action;
  for (const hit of deciding.hits) {
    if (hit.action === undefined || hit.action === action) continue;
    if (strictestAction(hit.action, action) !== hit.action) continue;
    action = hit.action;
    decidedBy = hit;
  }
  if (decidedBy !== undefined && decidedBy.action !== action) {
    decidedBy = deciding.hits.find((hit) => hit.action === action) ?? decidedBy;
  }
  const tippedBy =
    action === scoreAction && decidedBy !== undefined
      ? findTipping(voting.hits, decidedBy, statements, (score) => actionOfScore(score, input.settings) === action)
      : undefined;
  const verdict = { action, score: scored.score, hits: scored.hits, decidedBy, tippedBy, exceptions };
  if (input.reading.understood) return verdict;
  return { ...verdict, mayBeTypingError: isWithoutSigns(scored.hits, input) };
}

/**
 * No policy speaks against it, and no such signs of an attack that they alone would be worth a warning: those are blocks on
 * record, whether the server parses the text or not. Lighter ones are found in what was misread as well.
 */
function isWithoutSigns(hits: readonly RuleHit[], { reading, settings }: ReadingInput): boolean {
  const others = hits.filter(({ id }) => id !== "dyn.unknown" && id !== "obf.lex");
  if (others.some(({ action }) => action !== undefined)) return false;
  const signs = others.filter(({ category }) => RULES_OF_TEXT.has(category));
  return actionOfScore(addUp(signs, reading.statements).score, settings) === "allow";
}

/** Looked at for the one that made the difference. */
const TIPPING_HITS_MAX = 8;

/**
 * The lightest rule beside the heaviest one without which the score would have had a milder answer; the second heaviest
 * where no single one is that. Undefined where the heaviest one suffices.
 */
function findTipping(
  hits: readonly RuleHit[],
  heaviest: RuleHit,
  statements: Reading["statements"],
  reaches: (score: number) => boolean,
): RuleHit | undefined {
  if (reaches(heaviest.points)) return undefined;
  const others = hits.filter((hit) => hit !== heaviest && hit.points > 0).slice(0, TIPPING_HITS_MAX);
  const isNeeded = (one: RuleHit): boolean => !reaches(scoreWithout(hits, one, statements));
  return others.findLast(isNeeded) ?? others[0];
}

/**
 * A rule of the policy's own that asks for an approval or a warning: its points are in the score, but they do not carry
 * the statement over a threshold. Who writes require-approval means that, unless other rules alone come to block.
 */
function saysLessThanBlock({ category, action }: RuleHit): boolean {
  return category === "policy" && (action === "require-approval" || action === "warn");
}

/** What the thresholds make of a score, where no rule asks for more. */
export function actionOfScore(score: number, { thresholds }: Pick<Settings, "thresholds">): DecisionAction {
  const { warn, requireApproval, block } = thresholds;
  if (block !== undefined && score >= block) return "block";
  if (requireApproval !== undefined && score >= requireApproval) return "require-approval";
  return warn !== undefined && score >= warn ? "warn" : "allow";
}

function applyExceptions(
  hits: readonly RuleHit[],
  input: ReadingInput,
  wallMs: number,
): { hits: readonly RuleHit[]; exceptions: readonly string[] } {
  const { exceptions, hasHousekeeping } = input.settings;
  if (hits.length === 0 || (exceptions.length === 0 && !hasHousekeeping)) return { hits, exceptions: [] };
  let left = hits;
  const used: string[] = [];
  for (const exception of hasHousekeeping ? withHousekeeping(exceptions) : exceptions) {
    if (!left.some(({ id }) => matchesAny(exception.rules, id))) continue;
    if (wallMs >= exception.expiresAtMs || !matchesException(exception, input)) continue;
    const kept = left.filter(({ id }) => UNBYPASSABLE_RULES.has(id) || !matchesAny(exception.rules, id));
    if (kept.length < left.length) used.push(exception.id);
    left = kept;
  }
  return { hits: left, exceptions: used };
}

const HOUSEKEEPING_ALONE: readonly PolicyException[] = [HOUSEKEEPING];

function withHousekeeping(exceptions: readonly PolicyException[]): readonly PolicyException[] {
  return exceptions.length === 0 ? HOUSEKEEPING_ALONE : [HOUSEKEEPING, ...exceptions];
}

/** SAFETY: with `tables`, every table of the text must be named, so that an exception cannot be borrowed by a join. */
function matchesException(exception: PolicyException, input: ReadingInput): boolean {
  const { subject, reading } = input.prepared ?? input;
  if (exception.users.length > 0 && !matchesAny(exception.users, subject.user)) return false;
  if (
    exception.schemas.length > 0 &&
    !exception.schemas.some(
      (matcher) => subject.schema !== undefined && surelyIsSchema(matcher, subject.schema, subject),
    )
  ) {
    return false;
  }
  if (exception.addresses.length > 0 && !exception.addresses.some((range) => range.contains(subject.clientAddress))) {
    return false;
  }
  if (exception.digests.size > 0 && !areDigestsKnown(exception.digests, reading)) return false;
  if (exception.tables.length === 0) return true;
  const tables = reading.statements.flatMap((statement) => [...tablesOf(statement)]);
  return (
    tables.length > 0 &&
    tables.every((table) => exception.tables.some((pattern) => surelyMatchesTable(pattern, table, subject)))
  );
}

/** A tenant's value, and the table that a row of the catalog is about, are literal text, which the cache key does not hold. */
function isCacheable(analysis: Analysis, settings: Settings): boolean {
  const { tenants, denyColumns, denyTables } = settings;
  const isOfCatalogs = tenants.length + denyColumns.length + denyTables.length > 0;
  if (isOfCatalogs && analysis.readings.some(({ statements }) => statements.some(readsCatalogRows))) return false;
  if (tenants.length === 0) return true;
  const valued = tenants.filter(({ value }) => value !== undefined);
  if (valued.length === 0) return true;
  const touches = (reading: Reading): boolean =>
    reading.statements.some((statement) =>
      [...tablesOf(statement)].some(({ schema, table }) =>
        valued.some((rule) => rule.tables.some((pattern) => mayMatchTable(pattern, schema, table))),
      ),
    );
  return !analysis.readings.some(touches);
}

const ACTION_WORDS: Readonly<Record<DecisionAction, string>> = {
  allow: "allowed",
  warn: "warned",
  "require-approval": "held for approval",
  block: "blocked",
};

/**
 * "querycop: blocked by rule dml.nowhere (risk 60): UPDATE without WHERE. Add a WHERE … [decision 3f9a-12]". Where another
 * rule made the difference, "(risk 100, inj.stacked 40 of it)", and the advice is about that one.
 */
function renderReason({ action, score, decidedBy, tippedBy }: ReadingVerdict): string {
  if (decidedBy === undefined) return `querycop: ${ACTION_WORDS[action]} (risk ${score})`;
  const risk = tippedBy === undefined ? `risk ${score}` : `risk ${score}, ${tippedBy.id} ${tippedBy.points} of it`;
  const reasons = tippedBy === undefined ? decidedBy.reason : `${decidedBy.reason}; ${tippedBy.reason}`;
  const { rewrite } = ruleOf((tippedBy ?? decidedBy).id);
  return `querycop: ${ACTION_WORDS[action]} by rule ${decidedBy.id} (${risk}): ${reasons}. ${rewrite}`;
}

/**
 * The decision for the client, with an id that can be quoted: the same in its error, the log and the audit. At most
 * REASON_BYTES_MAX bytes.
 */
export function tellDecision({ reason }: Pick<Decision, "reason">, decisionId: string): string {
  const tail = ` [decision ${decisionId}]`;
  return printable(reason, REASON_BYTES_MAX - tail.length) + tail;
}

/** Names come from the client's text: control characters, and what turns text around, become "?". Cut at `bytesMax`. */
export function printable(text: string, bytesMax: number): string {
  let safe = "";
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (bytes > bytesMax - 3) return `${safe}...`;
    safe += isUnprintable(code) ? "?" : character;
  }
  return safe;
}
