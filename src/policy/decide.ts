/** One analysed text, one subject, one policy: what happens, and why, in words the client can act on. */

import { isUnprintable } from "../base/visible-text.ts";
import { type Advice, addsFacts, withAdvice } from "../sql/advice.ts";
import { sha256Hex } from "../sql/digest.ts";
import type { Analysis, Reading } from "../sql/facts.ts";
import { effectOf } from "./effects.ts";
import { matchesAny } from "./glob.ts";
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
  surelyMatchesTable,
} from "./policy.ts";
import { tablesOf } from "./policy-tests.ts";
import type { RuleHit, RuleInput } from "./rule.ts";
import { ruleOf } from "./rules.ts";
import { addUp, collectHits, levelOf, type RiskLevel } from "./score.ts";
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
  /** How a block is told: a text that is not understood is a syntax error to the client. */
  readonly errorNumber: number;
  readonly sqlState: string;
  /** What the profiles set instead of the listener's limits on data. */
  readonly limits: Partial<DataLimits> | undefined;
  /** How the statement gets its approval, when the action asks for one. */
  readonly approval: ApprovalSettings;
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
}

/** Decides. Never throws for any analysis; the worst of all readings wins. */
export function decide(analysis: Analysis, subject: Subject, policy: Policy, options: DecideOptions): Decision {
  const resolved = resolveSettings(policy, subject, options.wallMs);
  let worst: ReadingVerdict | undefined;
  let isUnderstood = true;
  const isJudged = resolved.settings.mode !== "off" && !isProbe(analysis.sql);
  for (const input of inputsOf(analysis, options.bound, resolved.settings, subject)) {
    if (!input.reading.understood) isUnderstood = false;
    if (!isJudged) continue;
    const verdict = judgeReading(input, resolved, options.wallMs);
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
    errorNumber: isSyntax ? ER_PARSE_ERROR : ER_NOT_ALLOWED_COMMAND,
    sqlState: SQLSTATE_SYNTAX_OR_ACCESS,
    limits: resolved.limits,
    approval: resolved.settings.approval,
    impact: planImpact(whole, resolved.settings),
    isCacheable:
      options.bound !== "unplaced" && !isImpactOf(whole, resolved.settings) && isCacheable(whole, resolved.settings),
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
  bound: DecideOptions["bound"],
  settings: Settings,
  subject: Subject,
): readonly ReadingInput[] {
  const inputs = analysis.readings.map((reading) => ({ analysis, reading, settings, subject }));
  if (bound === undefined) return inputs;
  if (bound === "unplaced") return inputs.map((input) => ({ ...input, hasValues: true, isUnplaced: true }));
  return bound.readings.map((reading, index) => {
    const prepared = inputs[index] ?? (inputs[0] as RuleInput);
    return { analysis: bound, reading, settings, subject, hasValues: true, prepared };
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
  readonly exceptions: readonly string[];
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

function judgeReading(input: ReadingInput, resolved: ResolvedSettings, wallMs: number): ReadingVerdict {
  const found = hitsOf(input, resolved);
  const digestHits = judgeDigest(input, found, resolved);
  const { hits, exceptions } = applyExceptions(digestHits, input, wallMs);
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
  for (const hit of deciding.hits) {
    if (hit.action === undefined || hit.action === action) continue;
    if (strictestAction(hit.action, action) !== hit.action) continue;
    action = hit.action;
    decidedBy = hit;
  }
  if (decidedBy !== undefined && decidedBy.action !== action) {
    decidedBy = deciding.hits.find((hit) => hit.action === action) ?? decidedBy;
  }
  return { action, score: scored.score, hits: scored.hits, decidedBy, exceptions };
}

/**
 * A rule of the policy's own that asks for an approval or a warning: its points are in the score, but they do not carry
 * the statement over a threshold. Who writes require-approval means that, unless other rules alone come to block.
 */
function saysLessThanBlock({ category, action }: RuleHit): boolean {
  return category === "policy" && (action === "require-approval" || action === "warn");
}

function actionOfScore(score: number, { thresholds }: Settings): DecisionAction {
  const { warn, requireApproval, block } = thresholds;
  if (block !== undefined && score >= block) return "block";
  if (requireApproval !== undefined && score >= requireApproval) return "require-approval";
  return warn !== undefined && score >= warn ? "warn" : "allow";
}

/** What stays when a digest is known: everything that may differ between two texts of one digest, and the policy's word. */
const KEPT_FOR_KNOWN_DIGESTS: ReadonlySet<RuleCategory> = new Set([
  "injection",
  "obfuscation",
  "file",
  "cloud",
  "access",
  "context",
  "policy",
]);

const HARMLESS_EFFECTS: ReadonlySet<string> = new Set(["none", "session"]);

function judgeDigest(input: ReadingInput, hits: readonly RuleHit[], resolved: ResolvedSettings): readonly RuleHit[] {
  const { settings } = input;
  const { reading } = input.prepared ?? input;
  const { knownDigests, denyDigests, newDigest } = settings;
  if (knownDigests.size === 0 && denyDigests.size === 0 && newDigest === undefined) return hits;
  const hash = sha256Hex(reading.digest);
  if (denyDigests.has(hash)) return [...hits, ...wholeTextHit(input, "pol.deny.digest", 100, "block", resolved)];
  if (knownDigests.has(hash)) {
    return reading.understood ? hits.filter(({ category }) => KEPT_FOR_KNOWN_DIGESTS.has(category)) : hits;
  }
  if (newDigest === undefined) return hits;
  const isPreamble =
    hits.length === 0 &&
    reading.statements.length <= 1 &&
    reading.statements.every(({ kind }) => HARMLESS_EFFECTS.has(effectOf(kind)));
  if (isPreamble) return hits;
  const points = typeof newDigest === "number" ? newDigest : newDigest === "block" ? 100 : 0;
  const action = typeof newDigest === "number" ? undefined : newDigest;
  return [...hits, ...wholeTextHit(input, "pol.newdigest", points, action, resolved)];
}

function wholeTextHit(
  input: RuleInput,
  id: string,
  points: number,
  action: DecisionAction | undefined,
  resolved: ResolvedSettings,
): RuleHit[] {
  const state = resolved.ruleStates.get(id);
  if (state?.isOff === true) return [];
  const chosen = state?.action ?? action;
  const { category, title } = ruleOf(id);
  return [
    {
      id,
      category,
      points: state?.points ?? points,
      statement: undefined,
      start: 0,
      end: input.analysis.sql.length,
      reason: title,
      ...(chosen === undefined ? {} : { action: chosen }),
    },
  ];
}

function applyExceptions(
  hits: readonly RuleHit[],
  input: ReadingInput,
  wallMs: number,
): { hits: readonly RuleHit[]; exceptions: readonly string[] } {
  const { exceptions } = input.settings;
  if (exceptions.length === 0 || hits.length === 0) return { hits, exceptions: [] };
  let left = hits;
  const used: string[] = [];
  for (const exception of exceptions) {
    if (wallMs >= exception.expiresAtMs || !matchesException(exception, input)) continue;
    const kept = left.filter(({ id }) => UNBYPASSABLE_RULES.has(id) || !matchesAny(exception.rules, id));
    if (kept.length < left.length) used.push(exception.id);
    left = kept;
  }
  return { hits: left, exceptions: used };
}

/** SAFETY: with `tables`, every table of the text must be named, so that an exception cannot be borrowed by a join. */
function matchesException(exception: PolicyException, input: ReadingInput): boolean {
  const { subject, reading } = input.prepared ?? input;
  if (exception.users.length > 0 && !matchesAny(exception.users, subject.user)) return false;
  if (
    exception.schemas.length > 0 &&
    !(subject.schema !== undefined && matchesAny(exception.schemas, subject.schema))
  ) {
    return false;
  }
  if (exception.addresses.length > 0 && !exception.addresses.some((range) => range.contains(subject.clientAddress))) {
    return false;
  }
  if (exception.digests.size > 0 && !exception.digests.has(sha256Hex(reading.digest))) return false;
  if (exception.tables.length === 0) return true;
  const tables = reading.statements.flatMap((statement) => [...tablesOf(statement)]);
  return (
    tables.length > 0 &&
    tables.every((table) => exception.tables.some((pattern) => surelyMatchesTable(pattern, table.schema, table.table)))
  );
}

/** A tenant's value is literal text, which the cache key does not hold. */
function isCacheable(analysis: Analysis, settings: Settings): boolean {
  const valued = settings.tenants.filter(({ value }) => value !== undefined);
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

/** "querycop: blocked by rule dml.nowhere (risk 60): UPDATE without WHERE. Add a WHERE … [decision 3f9a-12]" */
function renderReason({ action, score, decidedBy }: ReadingVerdict): string {
  if (decidedBy === undefined) return `querycop: ${ACTION_WORDS[action]} (risk ${score})`;
  const { rewrite } = ruleOf(decidedBy.id);
  return `querycop: ${ACTION_WORDS[action]} by rule ${decidedBy.id} (risk ${score}): ${decidedBy.reason}. ${rewrite}`;
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
