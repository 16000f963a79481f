/** The policy as PostgreSQL's sessions see it: what the session knows goes in, what the wire and the record need comes out. */
import { type Decision, tellDecision } from "../../../policy/decide.ts";
import type { Judge, Judgement as PolicyJudgement, RetainedVerdict, TextSummary } from "../../../policy/judge.ts";
import type { Subject } from "../../../policy/policy.ts";
import { strictestOf } from "../../../policy/schema-profiles.ts";
import type { PreparedText } from "../../../policy/sql-engine.ts";
import type { Analysis, BoundValue, PostgresqlContext, StatementKind } from "../../../sql/facts.ts";
import { analyze } from "../../../sql/postgres/analyze.ts";
import type { DsqlRuleSet } from "../../../sql/postgres/dsql/rule-set.ts";
import { parseSearchPath } from "../../../sql/postgres/walk/search-path.ts";
import { behindNames, summariesOf } from "../../statement/behind-names.ts";
import type { LongTextJudge } from "../../statement/long-text.ts";
import type { Judgement } from "../../statement/statement-judge.ts";
import { briefOf, tablesOf, toldOf } from "../../statement/verdict-words.ts";
import type { SessionFacts } from "../session-facts.ts";
import type { NamedText, PostgresJudge, PostgresStatement } from "./judge.ts";
import { mayChangeNames, mayRunNames } from "./text-signs.ts";

/** Longer texts are judged where they keep no other session waiting. */
const LONG_TEXT_BYTES = 16 * 1024;

/** More meanings of the names in one text are not judged one by one: it is judged as it stands. */
const NAMED_TEXTS_MAX = 16;
const UNKNOWN_VALUES: readonly BoundValue[] = [];
/** Statements that may prepare others without saying so. What a DO block runs is read; where it cannot be, that is found. */
const RUNS_UNSEEN: ReadonlySet<string> = new Set<StatementKind>(["call", "unknown"]);

interface Verdict {
  readonly decision: Decision;
  readonly decisionId: string;
  readonly summary: TextSummary;
  readonly notUnderstood: string | undefined;
}

/** What a session's texts are read by, as long as the server reports nothing else. */
interface KnownContext {
  readonly revision: number;
  readonly isUnsettled: boolean;
  readonly isPathUnsettled: boolean;
  readonly context: PostgresqlContext;
}

export interface PostgresPolicyJudgeOptions {
  readonly judge: Judge;
  /** Without one all texts are judged at once. */
  readonly longTexts?: LongTextJudge;
  readonly isDsql: boolean;
  /** Where texts that Aurora DSQL is known to refuse are not sent. */
  readonly earlyRules?: DsqlRuleSet | undefined;
}

export class PostgresPolicyJudge implements PostgresJudge {
  readonly #options: PostgresPolicyJudgeOptions;
  /** By the very bytes that a session keeps of a prepared statement. */
  readonly #prepared = new WeakMap<Uint8Array, PreparedText>();
  readonly #contexts = new WeakMap<SessionFacts, KnownContext>();

  constructor(options: PostgresPolicyJudgeOptions) {
    this.#options = options;
  }

  judge(statement: PostgresStatement): Judgement | Promise<Judgement> {
    const { judge, longTexts } = this.#options;
    const { sql, values } = statement;
    const context = this.#contextOf(statement);
    const subject = subjectOf(statement);
    if (sql.length > LONG_TEXT_BYTES && longTexts !== undefined) {
      const execution = values === undefined ? {} : { execution: { parameters: undefined, values } };
      const owner = { client: `${subject.user}@${subject.clientAddress}`, signal: statement.signal };
      return longTexts.judge({ sql, context, subject, ...execution }, owner).then(judgementOf);
    }
    const judged =
      values === undefined
        ? judge.judge(sql, context, subject)
        : judge.judgeExecution(this.#preparedOf(sql, context), values, subject);
    const { decisionId, analysis } = judged;
    const { decision, summary } = mayRunNames(sql) ? this.#withNamed(judged, statement, subject) : judged;
    const judgement = judgementOf({ decision, decisionId, summary, notUnderstood: analysis?.notUnderstood?.reason });
    return this.#knownBy(judgement, statement);
  }

  /**
   * The verdict with those on all that EXECUTE may run in it. SAFETY: the values are not looked at, so that the text is
   * judged by the worst of them; where it is not certain what a name stands for, the text is also judged as it stands.
   */
  #withNamed(judged: PolicyJudgement, statement: PostgresStatement, subject: Subject): RetainedVerdict {
    const { sql, facts, preparedTexts } = statement;
    const { judge } = this.#options;
    const context = this.#contextOf(statement);
    const names = namesRunBy(judged.analysis ?? analyze(sql, context));
    const texts = names.map((name) => (name === undefined ? [] : preparedTexts(name)));
    const count = texts.flat().length;
    if (count === 0 || count > NAMED_TEXTS_MAX) return judged;
    const isCertain = !facts.areNamesDoubtful && !mayChangeNames(sql) && texts.every(({ length }) => length > 0);
    const outer = isCertain ? judge.judge(sql, context, { ...subject, knowsNamed: true }) : judged;
    const inner = texts
      .flat()
      .map((text) => judge.judgeExecution(this.#preparedOf(text, context), UNKNOWN_VALUES, subject));
    return {
      decision: inner.map(({ decision }) => decision).reduce(strictestOf, outer.decision),
      summary: { ...outer.summary, ...behindNames([outer.summary], summariesOf(inner)) },
    };
  }

  namesGivenBy(sql: Uint8Array, facts: SessionFacts): readonly NamedText[] | undefined {
    if (sql.length > LONG_TEXT_BYTES) return undefined;
    const { readings, understood } = analyze(sql, this.#contextIn(facts));
    const [reading] = readings;
    if (!understood || readings.length > 1 || reading === undefined) return undefined;
    if (reading.findings.some(({ what }) => what === "prepare-variable")) return undefined;
    const given: NamedText[] = [];
    for (const { kind, dynamic, within } of reading.statements) {
      if (RUNS_UNSEEN.has(kind)) return undefined;
      if (dynamic?.type !== "prepare") continue;
      // That of a function's body comes about whenever it is called.
      if (dynamic.name === undefined || within !== "packet") return undefined;
      given.push({ name: dynamic.name, sql: sql.slice(dynamic.start, dynamic.end) });
    }
    return given;
  }

  /** As Aurora DSQL will judge it: in a transaction its own refusal does the same. */
  #knownBy(judgement: Judgement, { sql, command, facts }: PostgresStatement): Judgement {
    const { earlyRules } = this.#options;
    const isSent = judgement.action === "allow" || judgement.action === "warn";
    if (earlyRules === undefined || !isSent || command !== "Query" || facts.isInTransaction) return judgement;
    const rule = earlyRules.refusesAlone(sql);
    if (rule === undefined) return judgement;
    const clientMessage = `querycop: Aurora DSQL refuses this (${rule.id}): ${rule.title}\n${rule.instead}`;
    return { ...judgement, action: "block", clientMessage, sqlState: rule.sqlState };
  }

  #preparedOf(sql: Uint8Array, context: PostgresqlContext): PreparedText {
    let text = this.#prepared.get(sql);
    if (text === undefined) {
      text = this.#options.judge.prepare(sql, context, undefined);
      this.#prepared.set(sql, text);
    }
    return text.inSession(context);
  }

  #contextOf({ facts, command }: PostgresStatement): PostgresqlContext {
    const { isDsql } = this.#options;
    // What stands in a startup message is set as it stands there: the text that is judged for it is ours.
    if (command === "StartupMessage") {
      return { ...UNKNOWN, isDsql, clientEncoding: "UTF8", standardConformingStrings: "on" };
    }
    return this.#contextIn(facts);
  }

  #contextIn(facts: SessionFacts): PostgresqlContext {
    const { revision, isUnsettled, isPathUnsettled } = facts;
    const known = this.#contexts.get(facts);
    const isSame = known?.isUnsettled === isUnsettled && known.isPathUnsettled === isPathUnsettled;
    if (isSame && known.revision === revision) return known.context;
    const context = this.#readContext(facts);
    this.#contexts.set(facts, { revision, isUnsettled, isPathUnsettled, context });
    return context;
  }

  #readContext(facts: SessionFacts): PostgresqlContext {
    const { isDsql } = this.#options;
    const serverVersion = serverVersionOf(facts.parameter("server_version"));
    // Settings may have changed that the server tells of at its next ReadyForQuery only.
    if (facts.isUnsettled) return { ...UNKNOWN, isDsql, serverVersion };
    const conforming = facts.parameter("standard_conforming_strings");
    return {
      ...UNKNOWN,
      isDsql,
      serverVersion,
      clientEncoding: facts.parameter("client_encoding") ?? "unknown",
      standardConformingStrings: conforming === "on" || conforming === "off" ? conforming : "unknown",
      searchPath: facts.isPathUnsettled ? "unknown" : searchPathOf(facts),
    };
  }
}

const UNKNOWN: PostgresqlContext = {
  engine: "postgresql",
  schema: undefined,
  serverVersion: undefined,
  isDsql: false,
  clientEncoding: "unknown",
  standardConformingStrings: "unknown",
  searchPath: "unknown",
};

/** `15.20 (Debian 15.20-0+deb12u1)` → 150020. */
export function serverVersionOf(text: string | undefined): number | undefined {
  const match = /^([0-9]{2,3})\.([0-9]{1,4})(?![0-9.])/.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) * 10_000 + Number(match[2]);
}

/** As servers report it from 18 on; not known before, for roles and databases have defaults of their own. */
function searchPathOf(facts: SessionFacts): readonly string[] | "unknown" {
  const text = facts.parameter("search_path");
  if (text === undefined) return "unknown";
  // SAFETY: $user stays as it is, for it is the role of the moment, which no server reports.
  return parseSearchPath(text) ?? "unknown";
}

/** Of every EXECUTE in the text, in whatever reading; undefined for a name that is not known. */
function namesRunBy({ readings }: Analysis): readonly (string | undefined)[] {
  const run = readings.flatMap(({ statements }) => statements.filter(({ dynamic }) => dynamic?.type === "execute"));
  return [...new Set(run.map(({ dynamic }) => dynamic?.name))];
}

function subjectOf({ facts, subject, command }: PostgresStatement): Subject {
  // Field by field: to spread objects costs more than all the rest of a remembered verdict.
  return {
    clientAddress: subject.clientAddress,
    isTls: subject.isTls,
    listener: subject.listener,
    backendRole: subject.backendRole,
    backendPooler: subject.backendPooler,
    isAurora: subject.isAurora,
    user: facts.user,
    isInTransaction: facts.isInTransaction,
    command: command === "Parse" || command === "Bind" ? "prepare" : "text",
    schema: undefined,
    // SAFETY: nobody asks the server yet: what has to be estimated is judged as what could not be.
    estimatedRows: "unknown",
  };
}

/** What a refused statement is told by, whatever the rule: drivers know it as "insufficient privilege". */
const REFUSED = "42501";
/** A text that is refused because it cannot be read, which may be for a typing error. */
const SYNTAX_ERROR = "42601";

/** SAFETY: a limit that is set and could not be kept. */
const UNKEPT =
  "querycop: impact.max_changed_rows cannot be kept on a listener that speaks PostgreSQL: take it out of the profile that holds here";

const NO_RULES: readonly string[] = [];

function judgementOf({ decision, decisionId, summary, notUnderstood }: Verdict): Judgement {
  const isUnkept = decision.impact?.changedRowsMax !== undefined;
  const action = isUnkept ? "block" : decision.action;
  const told = isUnkept ? { reason: UNKEPT } : decision;
  return {
    action,
    decisionId,
    clientMessage: action === "allow" ? undefined : tellDecision(told, decisionId),
    errorNumber: decision.errorNumber,
    sqlState: decision.mayBeTypingError ? SYNTAX_ERROR : REFUSED,
    score: decision.score,
    level: decision.level,
    rules: decision.rules.length === 0 ? NO_RULES : decision.rules.map((hit) => hit.id),
    ruleId: decision.ruleId,
    notUnderstood,
    isUnderstood: summary.isUnderstood,
    policyVersion: decision.policyVersion,
    text: toldOf(summary),
    textForm: "digest",
    digestHashes: summary.digestHashes,
    innerKinds: summary.innerKinds.length === 0 ? undefined : summary.innerKinds,
    tables: summary.innerKinds.length === 0 ? undefined : tablesOf(summary),
    tablesWritten: summary.tablesWritten,
    keysWritten: summary.keysWritten,
    statementKind: summary.kinds.length === 1 ? summary.kinds[0] : summary.kinds.join(","),
    localFiles: [],
    limits: decision.limits,
    approval: action === "require-approval" ? briefOf({ decision, summary }, undefined) : undefined,
    isReadOnly: decision.isReadOnly,
    afterwards: summary.sessionEffect,
  };
}
