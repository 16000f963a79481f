/** The hot path: SQL bytes and a subject in, a decision out, through the verdict cache where that is safe. */

import type { Clock } from "../base/clock.ts";
import { type Advice, adviceWithout } from "../sql/advice.ts";
import { analyze, lexForCache } from "../sql/analyze.ts";
import { type BoundValue, bindValues } from "../sql/bound-text.ts";
import { maskDigest } from "../sql/digest-mask.ts";
import type { Analysis, SqlContext } from "../sql/facts.ts";
import { primarySerial } from "../sql/readings.ts";
import { type DecideOptions, type Decision, decide, decideWithAdvice, isOpinionWanted } from "./decide.ts";
import { type Advisor, type OpinionReport, Opinions } from "./opinions.ts";
import type { Policy, Settings, Subject } from "./policy.ts";
import type { PreparedText } from "./prepared-text.ts";
import { type SessionEffect, sessionEffectOf } from "./session-effect.ts";
import { keyPart, resolveSettings } from "./settings.ts";
import { VerdictCache, type VerdictCacheCounts } from "./verdict-cache.ts";

/** What the audit wants to know about the text, without its facts. */
export interface TextSummary {
  /** Without names that may be passwords: for records and people, not for comparisons. */
  readonly digest: string;
  readonly isUnderstood: boolean;
  readonly kinds: readonly string[];
  readonly tablesRead: readonly string[];
  readonly tablesWritten: readonly string[];
  readonly sessionEffect: SessionEffect;
}

export interface Judgement {
  readonly decision: Decision;
  /** Of this one statement: decisions are shared by all statements that they hold for. */
  readonly decisionId: string;
  readonly summary: TextSummary;
  /** Present when the text was analysed now; byte ranges of a remembered decision belong to an earlier text. */
  readonly analysis: Analysis | undefined;
  readonly isFromCache: boolean;
}

export interface RetainedVerdict {
  readonly decision: Decision;
  readonly summary: TextSummary;
}

interface Verdict extends RetainedVerdict {
  /** The verdict is asked again from then on, because an exception ends. */
  readonly validUntilMs: number;
}

export interface JudgeOptions {
  readonly policy: Policy;
  readonly clock: Clock;
  /** Unique per process, in front of every decision id. */
  readonly idPrefix: string;
  /** Memory for remembered verdicts; 0 judges every text anew. */
  readonly cacheBytesMax: number;
  /** Gives second opinions; without one the judge relies on its own walk alone. */
  readonly advisor?: Advisor;
  readonly onDisagreement?: (report: OpinionReport) => void;
}

const NO_COUNTS: ReadonlyMap<Advice["outcome"], number> = new Map();
const NO_ADVICE = adviceWithout("skipped");
/** A verdict without an opinion, although one is wanted, is asked again after that: the advisor may have been busy. */
const PROVISIONAL_MS = 60_000;

/** Judges texts under the current policy. One per process: verdicts are shared by all sessions. */
export class Judge {
  readonly #clock: Clock;
  readonly #cache: VerdictCache<Verdict>;
  readonly #isCaching: boolean;
  readonly #idPrefix: string;
  readonly #opinions: Opinions | undefined;
  #policy: Policy;
  #decisionCount = 0;

  constructor(options: JudgeOptions) {
    this.#policy = options.policy;
    this.#clock = options.clock;
    this.#idPrefix = options.idPrefix;
    this.#isCaching = options.cacheBytesMax > 0;
    this.#cache = new VerdictCache({ bytesMax: options.cacheBytesMax });
    const { advisor, onDisagreement = () => {} } = options;
    const onStale = (key: string): void => this.#cache.forget(key);
    this.#opinions = advisor === undefined ? undefined : new Opinions({ advisor, onDisagreement, onStale });
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** Takes effect with the next statement; statements already decided keep their decision. */
  replacePolicy(policy: Policy): void {
    this.#policy = policy;
    this.#cache.clear();
  }

  cacheCounts(): VerdictCacheCounts {
    return this.#cache.counts();
  }

  /** The verdict if it is known; undefined where the text would have to be analysed. */
  recall(sql: Uint8Array, context: SqlContext, subject: Subject): Judgement | undefined {
    const wallMs = this.#clock.wallMs();
    const textKey = this.#isCaching ? lexForCache(sql, context).key : undefined;
    return textKey === undefined ? undefined : this.#known(this.#keyOf(textKey, context, subject, wallMs), wallMs);
  }

  /** Takes a verdict that another judge reached by the same policy into this one's memory. */
  retain(text: { sql: Uint8Array; context: SqlContext; subject: Subject }, verdict: RetainedVerdict): void {
    const { sql, context, subject } = text;
    const { decision, summary } = verdict;
    if (!this.#isCaching || !decision.isCacheable || decision.policyVersion !== this.#policy.version) return;
    const textKey = lexForCache(sql, context).key;
    if (textKey === undefined) return;
    const wallMs = this.#clock.wallMs();
    const key = this.#keyOf(textKey, context, subject, wallMs);
    this.#cache.offer(key, { decision, summary, validUntilMs: this.#validUntil(subject, wallMs, false) });
  }

  #known(key: string, wallMs: number): Judgement | undefined {
    const known = this.#cache.lookUp(key);
    return known !== undefined && wallMs < known.validUntilMs ? this.#remember(known) : undefined;
  }

  /** Answers of the advisor so far, by outcome. */
  opinionCounts(): ReadonlyMap<Advice["outcome"], number> {
    return this.#opinions?.counts ?? NO_COUNTS;
  }

  judge(sql: Uint8Array, context: SqlContext, subject: Subject): Judgement {
    const textKey = this.#isCaching ? lexForCache(sql, context).key : undefined;
    return this.#judge({ sql, context, textKey, bound: undefined }, subject);
  }

  /**
   * Judges a prepared statement as it runs, under the policy of now. Only values that a rule may depend on are put into
   * the text: the others leave the verdict that the text alone has.
   */
  judgeExecution(prepared: PreparedText, values: readonly BoundValue[], subject: Subject): Judgement {
    const { sql, context, places } = prepared;
    const textKey = this.#isCaching ? keyInSchema(prepared, subject) : undefined;
    if (places === "unplaced") return this.#judge({ sql, context, textKey: undefined, bound: "unplaced" }, subject);
    const { settings } = resolveSettings(this.#policy, subject, this.#clock.wallMs());
    const isEvery = namesValues(settings);
    if (places.offsets.length === 0 || !(isEvery || places.areWeighty)) {
      return this.#judge({ sql, context, textKey, bound: undefined }, subject);
    }
    const bound = bindValues(sql, places, values, context, isEvery);
    return this.#judge({ sql, context, textKey: boundKey(textKey, bound, context), bound }, subject);
  }

  #judge({ sql, context, textKey, bound }: JudgedText, subject: Subject): Judgement {
    const wallMs = this.#clock.wallMs();
    const key = textKey === undefined ? undefined : this.#keyOf(textKey, context, subject, wallMs);
    if (key !== undefined) {
      const known = this.#known(key, wallMs);
      if (known !== undefined) return known;
    }
    const analysis = analyze(sql, context);
    const boundAnalysis = bound instanceof Uint8Array ? analyze(bound, context) : bound;
    const decisionId = this.#nextId();
    const options: DecideOptions = { wallMs, ...(boundAnalysis === undefined ? {} : { bound: boundAnalysis }) };
    const advice = this.#isOpinionWanted(subject, wallMs)
      ? this.#opinions?.adviceOn(analysis, key, decisionId)
      : NO_ADVICE;
    const decision =
      advice === undefined
        ? decide(analysis, subject, this.#policy, options)
        : decideWithAdvice(analysis, advice, subject, this.#policy, options);
    const summary = summarize(analysis);
    if (key !== undefined && decision.isCacheable) {
      const validUntilMs = this.#validUntil(subject, wallMs, advice === undefined);
      this.#cache.offer(key, { decision, summary, validUntilMs });
    }
    return { decision, decisionId, summary, analysis, isFromCache: false };
  }

  #isOpinionWanted(subject: Subject, wallMs: number): boolean {
    return this.#opinions !== undefined && isOpinionWanted(this.#policy, subject, wallMs);
  }

  #remember({ decision, summary }: Verdict): Judgement {
    return { decision, decisionId: this.#nextId(), summary, analysis: undefined, isFromCache: true };
  }

  /** Everything a decision depends on that the text's own key does not hold. */
  #keyOf(textKey: string, context: SqlContext, subject: Subject, wallMs: number): string {
    const { serial } = resolveSettings(this.#policy, subject, wallMs);
    const flags =
      (subject.isInTransaction ? 1 : 0) |
      (subject.isTls ? 2 : 0) |
      (subject.backendRole === "reader" ? 4 : 0) |
      (subject.isAurora === true ? 8 : 0) |
      (subject.backendPooler === "vitess" ? 16 : 0);
    // SAFETY: one text and one digest mean different things under another sql_mode, charset, version or dialect.
    const rules = primarySerial(context);
    return `${serial}\n${flags}\n${rules}\n${keyPart(subject.schema ?? "")}${this.#exceptionKey(subject)}\n${textKey}`;
  }

  /** Exceptions name users and addresses; without exceptions verdicts are shared by all users of a profile. */
  #exceptionKey(subject: Subject): string {
    return this.#hasExceptions()
      ? `${keyPart(subject.user)}${subject.clientAddress}`
      : subject.isTls
        ? ""
        : subject.clientAddress;
  }

  #hasExceptions(): boolean {
    const { base, profiles } = this.#policy;
    return base.exceptions.length > 0 || profiles.some(({ settings }) => (settings.exceptions?.length ?? 0) > 0);
  }

  #validUntil(subject: Subject, wallMs: number, isProvisional: boolean): number {
    const { settings } = resolveSettings(this.#policy, subject, wallMs);
    const ends = settings.exceptions.map(({ expiresAtMs }) => expiresAtMs).filter((end) => end > wallMs);
    return Math.min(isProvisional ? wallMs + PROVISIONAL_MS : Number.MAX_SAFE_INTEGER, ...ends);
  }

  #nextId(): string {
    this.#decisionCount++;
    return `${this.#idPrefix}-${this.#decisionCount.toString(36)}`;
  }
}

interface JudgedText {
  readonly sql: Uint8Array;
  readonly context: SqlContext;
  readonly textKey: string | undefined;
  /** The text with values as literals, or "unplaced". */
  readonly bound: Uint8Array | "unplaced" | undefined;
}

/** No other key begins so: those of whole texts begin with \u0001. */
const BOUND_MARK = "\u0002";

function boundKey(textKey: string | undefined, bound: Uint8Array, context: SqlContext): string | undefined {
  const key = textKey === undefined ? undefined : lexForCache(bound, context).key;
  return textKey === undefined || key === undefined ? undefined : `${BOUND_MARK}${keyPart(textKey)}${key}`;
}

/** The subject's schema is in every key; that of the text counts where another was chosen since it was prepared. */
function keyInSchema({ key, context }: PreparedText, subject: Subject): string | undefined {
  if (key === undefined || context.schema === subject.schema) return key;
  return `${SCHEMA_MARK}${keyPart(context.schema ?? "")}${key}`;
}

const SCHEMA_MARK = "\u0003";

/** Rules that compare a value with one of the policy's own. */
function namesValues({ tenants }: Settings): boolean {
  return tenants.some(({ value }) => value !== undefined);
}

/** The names an audit record holds: every reading's statements, tables without duplicates, at most 64 of each. */
function summarize(analysis: Analysis): TextSummary {
  const kinds: string[] = [];
  const allKinds = analysis.statements.map(({ kind }) => kind);
  const read = new Set<string>();
  const written = new Set<string>();
  for (const statement of analysis.statements) {
    if (statement.parent === undefined && kinds.length < NAME_COUNT_MAX) kinds.push(statement.kind);
    for (const { schema, table } of statement.tablesRead) addName(read, schema, table);
    for (const { schema, table } of statement.tablesWritten) addName(written, schema, table);
  }
  const sessionEffect = sessionEffectOf(analysis.readings);
  const isUncertain = analysis.readings.some(({ findings }) => findings.some(({ what }) => UNCERTAIN.has(what)));
  const digest = maskDigest(analysis.digest, allKinds, isUncertain);
  return {
    digest,
    isUnderstood: analysis.understood,
    kinds,
    tablesRead: [...read],
    tablesWritten: [...written],
    sessionEffect,
  };
}

/** What is a name in one reading may be a string in another. */
const UNCERTAIN: ReadonlySet<string> = new Set(["readings-differ", "budget-exceeded"]);

const NAME_COUNT_MAX = 64;

function addName(names: Set<string>, schema: string | undefined, table: string): void {
  if (names.size < NAME_COUNT_MAX) names.add(schema === undefined ? table : `${schema}.${table}`);
}
