/** The hot path: SQL bytes and a subject in, a decision out, through the verdict cache where that is safe. */

import type { Clock } from "../base/clock.ts";
import type {
  Analysis,
  BoundValue,
  Reading,
  SqlContext,
  SqlEngineName,
  StatementKind,
  StatementOrigin,
  TableReference,
} from "../sql/facts.ts";
import { type Advice, adviceWithout } from "../sql/second-opinion/advice.ts";
import { type DecideOptions, type Decision, decide, decideWithAdvice, isOpinionWanted } from "./decide.ts";
import { digestHashesOf, runsUnknownText } from "./digest-hashes.ts";
import { type Advisor, type OpinionReport, Opinions } from "./opinions.ts";
import { type Policy, type Profile, permitsByTable, type SettingsFragment, type Subject } from "./policy.ts";
import { SerialIds } from "./serial-ids.ts";
import type { SessionEffect } from "./session-effect.ts";
import { keyPart, resolveSettings } from "./settings.ts";
import type { PreparedText, SqlEngine, SqlEngines, ValuePlaces } from "./sql-engine.ts";
import { VerdictCache, type VerdictCacheCounts } from "./verdict-cache.ts";

/** What the audit wants to know about the text, without its facts. */
export interface TextSummary {
  /** Without names that may be passwords: for records and people, not for comparisons. */
  readonly digest: string;
  readonly isUnderstood: boolean;
  readonly kinds: readonly string[];
  /** Of the SQL that it prepares or runs out of a string: digests as above, and the kinds of the statements. */
  readonly innerDigests: readonly string[];
  readonly innerKinds: readonly string[];
  /**
   * Hashes of all digests that a policy has to list to know what runs. Undefined where `digest` alone gives the hash;
   * empty where no list can know it, or where the hash would be that of a password.
   */
  readonly digestHashes: readonly string[] | undefined;
  readonly tablesRead: readonly string[];
  readonly tablesWritten: readonly string[];
  /** Of PostgreSQL's UPDATE or DELETE whose WHERE pins columns down: `orders (customer = number)`. */
  readonly keysWritten: readonly string[];
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
  readonly engines: SqlEngines;
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
  readonly #engines: SqlEngines;
  readonly #clock: Clock;
  readonly #cache: VerdictCache<Verdict>;
  readonly #isCaching: boolean;
  readonly #opinions: Opinions | undefined;
  #policy: Policy;
  #permitsByTable: boolean;
  #namedValues: ReadonlySet<string> | undefined;
  readonly #decisionIds: SerialIds;
  #keyHead: KeyHead | undefined;

  constructor(options: JudgeOptions) {
    this.#engines = options.engines;
    this.#policy = options.policy;
    this.#permitsByTable = permitsByTable(options.policy);
    this.#clock = options.clock;
    this.#decisionIds = new SerialIds(options.idPrefix);
    this.#isCaching = options.cacheBytesMax > 0;
    this.#cache = new VerdictCache({ bytesMax: options.cacheBytesMax });
    const { advisor, onDisagreement = () => {} } = options;
    const onStale = (key: string): void => this.#cache.forget(key);
    this.#opinions = advisor === undefined ? undefined : new Opinions({ advisor, onDisagreement, onStale });
  }

  /** Of the policy in force. */
  get permitsByTable(): boolean {
    return this.#permitsByTable;
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** Takes effect with the next statement; statements already decided keep their decision. */
  replacePolicy(policy: Policy): void {
    this.#policy = policy;
    this.#permitsByTable = permitsByTable(policy);
    this.#namedValues = undefined;
    this.#cache.clear();
  }

  /** Whether it has an engine for such texts. */
  reads(engine: SqlEngineName): boolean {
    return this.#engines[engine] !== undefined;
  }

  cacheCounts(): VerdictCacheCounts {
    return this.#cache.counts();
  }

  #engineOf({ engine }: SqlContext): SqlEngine {
    const found = this.#engines[engine];
    if (found === undefined) throw new TypeError(`Cannot read SQL of ${engine}: this judge has no engine for it`);
    return found;
  }

  /** A statement for `judgeExecution()`. */
  prepare(sql: Uint8Array, context: SqlContext, parameters: number | undefined): PreparedText {
    return this.#engineOf(context).prepare(sql, context, parameters);
  }

  /** The verdict if it is known; undefined where the text would have to be analysed. */
  recall(sql: Uint8Array, context: SqlContext, subject: Subject): Judgement | undefined {
    const wallMs = this.#clock.wallMs();
    const textKey = this.#isCaching ? this.#engineOf(context).keyOf(sql, context) : undefined;
    return textKey === undefined ? undefined : this.#known(this.#keyOf(textKey, context, subject, wallMs), wallMs);
  }

  /** Takes a verdict that another judge reached by the same policy into this one's memory. */
  retain(text: { sql: Uint8Array; context: SqlContext; subject: Subject }, verdict: RetainedVerdict): void {
    const { sql, context, subject } = text;
    const { decision, summary } = verdict;
    if (!this.#isCaching || !decision.isCacheable || decision.policyVersion !== this.#policy.version) return;
    const textKey = this.#engineOf(context).keyOf(sql, context);
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
    const textKey = this.#isCaching ? this.#engineOf(context).keyOf(sql, context) : undefined;
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
    const weighed = this.#weighedValues(places, subject);
    if (weighed === "none") return this.#judge({ sql, context, textKey, bound: undefined }, subject);
    const bound = prepared.bind(values, weighed === "all");
    const ofBound = textKey === undefined ? undefined : this.#engineOf(context).keyOf(bound, context);
    return this.#judge({ sql, context, textKey: boundKey(textKey, ofBound), bound }, subject);
  }

  /** Whether two executions that differ in their values alone may have different verdicts. */
  dependsOnValues({ places }: PreparedText, subject: Subject): boolean {
    return places !== "unplaced" && this.#weighedValues(places, subject) !== "none";
  }

  /** Executions of the statement of one class have one verdict; undefined where that is not certain of any other. */
  classOf(prepared: PreparedText, values: readonly BoundValue[]): string | undefined {
    if (prepared.places === "unplaced") return undefined;
    this.#namedValues ??= namedValuesOf(this.#policy);
    return prepared.classOf?.(values, this.#namedValues);
  }

  /** Which values a rule may depend on; "weighty" are those that rules look at which name no value. */
  #weighedValues({ offsets, areWeighty }: ValuePlaces, subject: Subject): "none" | "weighty" | "all" {
    if (offsets.length === 0) return "none";
    const { settings } = resolveSettings(this.#policy, subject, this.#clock.wallMs());
    if (namesValues(settings) || this.#policy.profiles.some(namesValuesBySchema)) return "all";
    return areWeighty ? "weighty" : "none";
  }

  #judge({ sql, context, textKey, bound }: JudgedText, subject: Subject): Judgement {
    const wallMs = this.#clock.wallMs();
    const key = textKey === undefined ? undefined : this.#keyOf(textKey, context, subject, wallMs);
    if (key !== undefined) {
      const known = this.#known(key, wallMs);
      if (known !== undefined) return known;
    }
    const engine = this.#engineOf(context);
    const analysis = engine.analyze(sql, context);
    const boundAnalysis = bound instanceof Uint8Array ? engine.analyze(bound, context) : bound;
    const decisionId = this.#decisionIds.next();
    const options: DecideOptions = boundAnalysis === undefined ? { wallMs } : { wallMs, bound: boundAnalysis };
    const advice =
      engine.takesOpinions && this.#isOpinionWanted(subject, wallMs)
        ? this.#opinions?.adviceOn(analysis, { reading: engine.readingKeyOf(context), cacheKey: key, decisionId })
        : NO_ADVICE;
    const decision =
      advice === undefined
        ? decide(analysis, subject, this.#policy, options)
        : decideWithAdvice(analysis, advice, subject, this.#policy, options);
    const summary = summarize(analysis, engine);
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
    return { decision, decisionId: this.#decisionIds.next(), summary, analysis: undefined, isFromCache: true };
  }

  /** Everything a decision depends on that the text's own key does not hold. */
  #keyOf(textKey: string, context: SqlContext, subject: Subject, wallMs: number): string {
    const { serial } = resolveSettings(this.#policy, subject, wallMs);
    const flags =
      (subject.isInTransaction ? 1 : 0) |
      (subject.isTls ? 2 : 0) |
      (subject.backendRole === "reader" ? 4 : 0) |
      (subject.isAurora === true ? 8 : 0) |
      (subject.backendPooler === "vitess" ? 16 : 0) |
      (subject.knowsNamed === true ? 32 : 0) |
      (subject.ignoresTableCase === true ? 64 : 0);
    const { engine } = context;
    // SAFETY: one text and one digest mean different things under another sql_mode, charset, version or dialect.
    const reading = this.#engineOf(context).readingKeyOf(context);
    const schema = subject.schema ?? "";
    const whom = this.#exceptionKey(subject);
    const last = this.#keyHead;
    const isSame =
      last?.serial === serial &&
      last.flags === flags &&
      last.engine === engine &&
      last.reading === reading &&
      last.schema === schema &&
      last.whom === whom;
    if (isSame) return last.text + textKey;
    // Joined it is one flat string. One put together piece by piece would be read in pieces by every look into the cache.
    const text = [serial, flags, engine, reading, `${keyPart(schema)}${whom}`, ""].join("\n");
    this.#keyHead = { serial, flags, engine, reading, schema, whom, text };
    return text + textKey;
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
}

/** Of a key, what stands before the text's own. From one statement to the next it is nearly always the same. */
interface KeyHead {
  readonly serial: number;
  readonly flags: number;
  readonly engine: SqlEngineName;
  readonly reading: string;
  readonly schema: string;
  /** See `#exceptionKey`. */
  readonly whom: string;
  readonly text: string;
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

function boundKey(textKey: string | undefined, key: string | undefined): string | undefined {
  return textKey === undefined || key === undefined ? undefined : `${BOUND_MARK}${keyPart(textKey)}${key}`;
}

/** The subject's schema is in every key; that of the text counts where another was chosen since it was prepared. */
function keyInSchema({ key, context }: PreparedText, subject: Subject): string | undefined {
  if (key === undefined || context.schema === subject.schema) return key;
  return `${SCHEMA_MARK}${keyPart(context.schema ?? "")}${key}`;
}

const SCHEMA_MARK = "\u0003";

/** All values that rules of the policy name, of whatever profile. */
function namedValuesOf({ base, profiles }: Policy): ReadonlySet<string> {
  const settings: readonly SettingsFragment[] = [base, ...profiles.map((profile) => profile.settings)];
  return new Set(settings.flatMap(({ tenants = [] }) => tenants.flatMap(({ value }) => value ?? [])));
}

/** Rules that compare a value with one of the policy's own. */
function namesValues({ tenants = [] }: SettingsFragment): boolean {
  return tenants.some(({ value }) => value !== undefined);
}

/** A profile that may hold for the tables of a statement, whatever the session's own are. */
const namesValuesBySchema = ({ match, settings }: Profile): boolean =>
  match.schemas.length > 0 && namesValues(settings);

/** The names an audit record holds: every reading's statements, tables without duplicates, at most 64 of each. */
function summarize(analysis: Analysis, engine: SqlEngine): TextSummary {
  const kinds: StatementKind[] = [];
  const allKinds = analysis.statements.map(({ kind }) => kind);
  const read = new TableNames();
  const written = new TableNames();
  for (const statement of analysis.statements) {
    if (statement.parent === undefined && kinds.length < NAME_COUNT_MAX) kinds.push(statement.kind);
    for (const table of statement.tablesRead) read.add(table);
    for (const table of statement.tablesWritten) written.add(table);
  }
  const sessionEffect = engine.sessionEffectOf(analysis);
  const isUncertain = analysis.readings.some(isUncertainReading);
  const masked = (text: string): string => engine.maskDigest(text, allKinds, isUncertain);
  const digest = masked(analysis.digest);
  return {
    digest,
    innerDigests: analysis.innerDigests.length === 0 ? NO_TEXTS : analysis.innerDigests.map(masked),
    innerKinds: analysis.innerDigests.length === 0 ? NO_TEXTS : innerKindsOf(analysis),
    digestHashes: hashesToTell(analysis, masked, digest),
    isUnderstood: analysis.understood,
    kinds,
    tablesRead: read.names,
    tablesWritten: written.names,
    keysWritten: engine.keysWrittenBy(analysis),
    sessionEffect,
  };
}

const INNER_ORIGINS: ReadonlySet<StatementOrigin> = new Set(["prepared-literal", "executor-argument"]);

function innerKindsOf({ statements }: Analysis): string[] {
  return statements.filter(({ within }) => INNER_ORIGINS.has(within)).map(({ kind }) => kind);
}

/** A record that cuts longer digests can still tell the hash. */
const DIGEST_TOLD_CHARACTERS = 64 * 1024;

function hashesToTell(
  analysis: Analysis,
  masked: (text: string) => string,
  maskedDigest: string,
): readonly string[] | undefined {
  const { readings, innerDigests, digest } = analysis;
  if (readings.some(runsUnknownText)) return NO_TEXTS;
  if (readings.length === 1 && innerDigests.length === 0 && digest.length <= DIGEST_TOLD_CHARACTERS) {
    return maskedDigest === digest ? undefined : NO_TEXTS;
  }
  const digests = new Set(readings.flatMap((reading) => [reading.digest, ...reading.innerDigests]));
  for (const text of digests) if (masked(text) !== text) return NO_TEXTS;
  if (digests.size === 1 && analysis.digest.length <= DIGEST_TOLD_CHARACTERS) return undefined;
  return [...new Set(readings.flatMap(digestHashesOf))];
}

const NO_TEXTS: readonly string[] = [];

/** What is a name in one reading may be a string in another. */
const UNCERTAIN: ReadonlySet<string> = new Set(["readings-differ", "budget-exceeded"]);

const isUncertainReading = ({ findings }: Reading): boolean => findings.some(({ what }) => UNCERTAIN.has(what));

const NAME_COUNT_MAX = 64;

/** Each name once, in the order of the text. So few are searched sooner than hashed. */
class TableNames {
  names: readonly string[] = NO_TEXTS;

  add({ schema, table }: TableReference): void {
    const name = schema === undefined ? table : `${schema}.${table}`;
    if (this.names.length === 0) this.names = [name];
    else if (this.names.length < NAME_COUNT_MAX && !this.names.includes(name)) (this.names as string[]).push(name);
  }
}
