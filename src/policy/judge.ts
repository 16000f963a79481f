/** The hot path: SQL bytes and a subject in, a decision out, through the verdict cache where that is safe. */

import type { Clock } from "../base/clock.ts";
import { type Advice, adviceWithout } from "../sql/advice.ts";
import { analyze, lexForCache } from "../sql/analyze.ts";
import type { Analysis, SqlContext } from "../sql/facts.ts";
import { primarySerial } from "../sql/readings.ts";
import { type DecideOptions, type Decision, decide, decideWithAdvice, isOpinionWanted } from "./decide.ts";
import { type Advisor, type OpinionReport, Opinions } from "./opinions.ts";
import type { Policy, Subject } from "./policy.ts";
import { resolveSettings } from "./settings.ts";
import { VerdictCache, type VerdictCacheCounts } from "./verdict-cache.ts";

/** What the audit wants to know about the text, without its facts. */
export interface TextSummary {
  readonly digest: string;
  readonly kinds: readonly string[];
  readonly tablesRead: readonly string[];
  readonly tablesWritten: readonly string[];
}

export interface Judgement {
  readonly decision: Decision;
  readonly summary: TextSummary;
  /** Present when the text was analysed now; byte ranges of a remembered decision belong to an earlier text. */
  readonly analysis: Analysis | undefined;
  readonly isFromCache: boolean;
}

interface Verdict {
  readonly decision: Decision;
  readonly summary: TextSummary;
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

  judge(sql: Uint8Array, context: SqlContext, subject: Subject): Judgement {
    const wallMs = this.#clock.wallMs();
    const key = this.#isCaching ? this.#keyOf(sql, context, subject, wallMs) : undefined;
    if (key !== undefined) {
      const known = this.#cache.lookUp(key);
      if (known !== undefined && wallMs < known.validUntilMs) return this.#remember(known);
    }
    const analysis = analyze(sql, context);
    const options = { wallMs, decisionId: this.#nextId() };
    const advice = this.#adviceOn(analysis, subject, key, options);
    const decision =
      advice === undefined
        ? decide(analysis, subject, this.#policy, options)
        : decideWithAdvice(analysis, advice, subject, this.#policy, options);
    const summary = summarize(analysis);
    if (key !== undefined && decision.isCacheable) {
      const validUntilMs = this.#validUntil(subject, wallMs, advice === undefined);
      this.#cache.offer(key, { decision, summary, validUntilMs });
    }
    return { decision, summary, analysis, isFromCache: false };
  }

  #adviceOn(
    analysis: Analysis,
    subject: Subject,
    key: string | undefined,
    { wallMs, decisionId }: DecideOptions,
  ): Advice | undefined {
    if (this.#opinions === undefined || !isOpinionWanted(this.#policy, subject, wallMs)) return NO_ADVICE;
    return this.#opinions.adviceOn(analysis, key, decisionId);
  }

  #remember({ decision, summary }: Verdict): Judgement {
    const decisionId = this.#nextId();
    const reason = decision.reason.replace(decision.decisionId, decisionId);
    return { decision: { ...decision, decisionId, reason }, summary, analysis: undefined, isFromCache: true };
  }

  /** Everything a decision depends on that the text's own key does not hold. */
  #keyOf(sql: Uint8Array, context: SqlContext, subject: Subject, wallMs: number): string | undefined {
    const { key } = lexForCache(sql, context);
    if (key === undefined) return undefined;
    const { serial } = resolveSettings(this.#policy, subject, wallMs);
    const flags =
      (subject.isInTransaction ? 1 : 0) |
      (subject.isTls ? 2 : 0) |
      (subject.backendRole === "reader" ? 4 : 0) |
      (subject.isAurora === true ? 8 : 0) |
      (subject.backendPooler === "vitess" ? 16 : 0);
    // SAFETY: one text and one digest mean different things under another sql_mode, charset, version or dialect.
    const rules = primarySerial(context);
    return `${serial}\n${flags}\n${rules}\n${subject.schema ?? ""}\n${this.#exceptionKey(subject)}\n${key}`;
  }

  /** Exceptions name users and addresses; without exceptions verdicts are shared by all users of a profile. */
  #exceptionKey(subject: Subject): string {
    return this.#hasExceptions()
      ? `${subject.user}\n${subject.clientAddress}`
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

/** The names an audit record holds: every reading's statements, tables without duplicates, at most 64 of each. */
function summarize(analysis: Analysis): TextSummary {
  const kinds: string[] = [];
  const read = new Set<string>();
  const written = new Set<string>();
  for (const statement of analysis.statements) {
    if (statement.parent === undefined && kinds.length < NAME_COUNT_MAX) kinds.push(statement.kind);
    for (const { schema, table } of statement.tablesRead) addName(read, schema, table);
    for (const { schema, table } of statement.tablesWritten) addName(written, schema, table);
  }
  return { digest: analysis.digest, kinds, tablesRead: [...read], tablesWritten: [...written] };
}

const NAME_COUNT_MAX = 64;

function addName(names: Set<string>, schema: string | undefined, table: string): void {
  if (names.size < NAME_COUNT_MAX) names.add(schema === undefined ? table : `${schema}.${table}`);
}
