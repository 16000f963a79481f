/** The policy as sessions see it: what the session knows goes in, what the wire and the record need comes out. */
import { type Decision, tellDecision } from "../../../policy/decide.ts";
import { togetherWith } from "../../../policy/impact.ts";
import type { Judge, Judgement as PolicyJudgement } from "../../../policy/judge.ts";
import { type Subject, strictestAction } from "../../../policy/policy.ts";
import { eitherEffect, type SessionEffect } from "../../../policy/session-effect.ts";
import type { MysqlContext, StatementKind } from "../../../sql/facts.ts";
import { analyze, type MysqlAnalysis } from "../../../sql/mysql/analyze.ts";
import { quotingFor } from "../../../sql/mysql/dynamic/bound-text.ts";
import { behindNames, summariesOf, together } from "../../statement/behind-names.ts";
import {
  type LongText,
  type LongTextJudge,
  type LongVerdict,
  localFilesOf,
  soleStatementOf,
} from "../../statement/long-text.ts";
import type { Execution, Judgement, StatementJudge, StatementRequest } from "../../statement/statement-judge.ts";
import { briefOf, tablesOf, toldOf } from "../../statement/verdict-words.ts";
import { judgeRows } from "./bulk-judgement.ts";
import {
  type DynamicEffect,
  describeResolved,
  effectOn,
  missingStatement,
  type Prepared,
  type Resolved,
  resolveDynamicSql,
  type SessionDynamicSql,
} from "./dynamic-sql.ts";
import { concernsNames, followPacket, type RunByName } from "./packet-dynamic.ts";
import { sqlContextOf } from "./sql-context.ts";

const LOAD_KINDS: ReadonlySet<string> = new Set<StatementKind>(["load-data", "load-xml"]);

/** Longer texts are judged where they keep no other session waiting. Up to here that takes a few milliseconds at worst. */
export const LONG_TEXT_BYTES = 16 * 1024;
/** Prepared statements of that length are remembered, and judged again and again. */
const LONG_EXECUTION_BYTES = 64 * 1024;

/** What is known of the text as it stands, before what it runs by name is looked at. */
interface Outer extends LongVerdict {
  readonly analyzed: () => MysqlAnalysis;
}

export class PolicyJudge implements StatementJudge {
  readonly readsSql = true;
  readonly #judge: Judge;
  readonly #longTexts: LongTextJudge | undefined;

  /** Without a judge for long texts all are judged at once. */
  constructor(judge: Judge, longTexts?: LongTextJudge) {
    this.#judge = judge;
    this.#longTexts = longTexts;
  }

  get asksTableCase(): boolean {
    return this.#judge.permitsByTable;
  }

  judge(request: StatementRequest): Judgement | Promise<Judgement> {
    const { execution } = request;
    if (execution?.rows === undefined || !this.#dependsOnValues(request, execution)) return this.#judgeOne(request);
    const text = execution.text.inSession(sqlContextOf(request.state, request.command));
    return judgeRows(request, execution.rows, {
      judge: (values) => this.#judgeOne({ ...request, execution: { ...execution, values } }),
      classOf: (values) => this.#judge.classOf(text, values),
    });
  }

  #dependsOnValues(request: StatementRequest, { text }: Execution<MysqlContext>): boolean {
    if (request.sql.length > LONG_EXECUTION_BYTES) return true;
    const now = sqlContextOf(request.state, request.command);
    return this.#judge.dependsOnValues(text.inSession(now), subjectOf(request));
  }

  #judgeOne(request: StatementRequest): Judgement | Promise<Judgement> {
    const { sql } = request;
    const context = sqlContextOf(request.state, request.command);
    const longBytes = request.execution === undefined ? LONG_TEXT_BYTES : LONG_EXECUTION_BYTES;
    if (sql.length > longBytes && this.#longTexts !== undefined) {
      return this.#judgeLong(request, context, this.#longTexts);
    }
    // A statement prepared under other settings is what it was then, not what its text would be now.
    const readAs = request.execution?.text.inSession(context).context ?? context;
    return this.#judgementOf(request, context, outerOf(this.#judged(request, context), sql, readAs));
  }

  #judgeLong(request: StatementRequest, now: MysqlContext, longTexts: LongTextJudge): Judgement | Promise<Judgement> {
    const text = longTextOf(request, now);
    const { sql, context, subject, execution } = text;
    const known = execution === undefined ? this.#judge.recall(sql, context, subject) : undefined;
    if (known !== undefined) return this.#judgementOf(request, now, outerOf(known, sql, context));
    const owner = { client: `${text.subject.user}@${text.subject.clientAddress}`, signal: request.signal };
    return longTexts.judge(text, owner).then((verdict) => {
      if (execution === undefined) this.#judge.retain(text, verdict);
      return this.#judgementOf(request, now, { ...verdict, analyzed: () => soleStatementOf(verdict, text) });
    });
  }

  #judgementOf(request: StatementRequest, context: MysqlContext, outer: Outer): Judgement {
    const { decision, summary, kindsRun, resolved, sessionEffect, known } = this.#withInner(outer, request, context);
    const { decisionId } = outer;
    const { action } = decision;
    const told = refusalOf(decision, outer, request);
    return {
      action,
      decisionId,
      clientMessage: action === "allow" ? undefined : (told?.clientMessage ?? tellDecision(decision, decisionId)),
      errorNumber: told?.errorNumber ?? decision.errorNumber,
      sqlState: told?.sqlState ?? decision.sqlState,
      score: decision.score,
      level: decision.level,
      rules: decision.rules.length === 0 ? NO_RULES : decision.rules.map((hit) => hit.id),
      ruleId: decision.ruleId,
      notUnderstood: outer.notUnderstood,
      isUnderstood: summary.isUnderstood,
      mayBeTypingError: decision.mayBeTypingError,
      policyVersion: decision.policyVersion,
      text: toldOf(summary),
      textForm: "digest",
      digestHashes: summary.digestHashes,
      innerKinds: summary.innerKinds.length === 0 ? undefined : summary.innerKinds,
      tables: summary.innerKinds.length === 0 ? undefined : tablesOf(summary),
      statementKind: summary.kinds.length === 1 ? summary.kinds[0] : summary.kinds.join(","),
      localFiles: outer.localFiles,
      limits: decision.limits,
      approval:
        action === "require-approval"
          ? briefOf({ decision, summary }, resolved && describeResolved(resolved))
          : undefined,
      impact: decision.impact,
      isReadOnly: decision.isReadOnly,
      estimatedRows: typeof request.estimatedRows === "number" ? request.estimatedRows : undefined,
      usesSchema: isUse(outer) ? usedSchemaOf(outer.analyzed()) : undefined,
      afterwards: sessionEffect,
      dynamicEffect: request.command === "COM_STMT_PREPARE" ? undefined : effectOf(request, outer, kindsRun, known),
    };
  }

  /** SQL run by a name that the session knows is judged as that SQL, besides as what runs it. */
  #withInner(outer: Outer, request: StatementRequest, context: MysqlContext): WithInner {
    const { dynamicSql } = request.state;
    const { decision, summary } = outer;
    const { kinds, sessionEffect } = summary;
    const asItStands = { decision, summary, kindsRun: kinds, sessionEffect };
    if (concernsNames(kinds, request.sql, dynamicSql)) return this.#withPacket(outer, request, context) ?? asItStands;
    if (dynamicSql.isEmpty) return asItStands;
    const resolved = resolveDynamicSql(dynamicSql, kinds, outer.analyzed, quotingFor(context));
    if (resolved === undefined) return asItStands;
    const subject = subjectOf(request);
    if (resolved.kind === "texts") {
      const literals = resolved.sqls.map((sql) => this.#judge.judge(sql, context, subject));
      return {
        ...asItStands,
        decision: literals.map((one) => one.decision).reduce(stricter),
        summary: { ...summary, ...together(literals.map((one) => one.summary)) },
        resolved,
      };
    }
    // What a long text names stays unknown: to judge the text once more would keep other sessions waiting.
    if (request.sql.length > LONG_TEXT_BYTES) return asItStands;
    const inner = this.#judgeExecution(resolved, context, subject);
    const named = this.#judge.judge(request.sql, context, { ...subject, knowsNamed: true });
    const run = runByName(inner);
    return {
      decision: decisionOf(decision, [named], inner),
      summary: { ...summary, ...behindNames([summary], summariesOf(inner)) },
      kindsRun: run.kinds,
      sessionEffect: run.sessionEffect,
      resolved,
    };
  }

  /** A packet that prepares and runs by names, where what stands behind all of them is known. */
  #withPacket(outer: Outer, request: StatementRequest, context: MysqlContext): WithInner | undefined {
    if (request.sql.length > LONG_TEXT_BYTES) return undefined;
    const { decision, summary } = outer;
    const subject = subjectOf(request);
    const inner: PolicyJudgement[] = [];
    const followed = followPacket(request.state.dynamicSql, {
      analysis: outer.analyzed(),
      schema: schemaOf(request),
      bytesMax: LONG_TEXT_BYTES,
      look: (execution, now) => {
        const judged = this.#judgeExecution(execution, now, subject);
        inner.push(...judged);
        return runByName(judged);
      },
    });
    if (followed === undefined) return undefined;
    const { sqls, executions, known } = followed;
    const asItStands = { decision, summary, kindsRun: summary.kinds, sessionEffect: summary.sessionEffect, known };
    const isWritten = sqls.length === 1 && sqls[0] === request.sql;
    if (isWritten && executions.length === 0) return asItStands;
    const named = sqls.map((sql) => this.#judge.judge(sql, context, { ...subject, knowsNamed: true }));
    return {
      ...asItStands,
      decision: decisionOf(decision, named, inner),
      summary: { ...summary, ...behindNames(summariesOf(named), summariesOf(inner)) },
      resolved: { kind: "several", sqls: isWritten ? [] : sqls, executions },
    };
  }

  #judgeExecution({ texts, values }: Prepared, now: MysqlContext, subject: Subject): PolicyJudgement[] {
    return texts.map((text) => this.#judge.judgeExecution(text.inSession(now), values, subject));
  }

  #judged(request: StatementRequest, context: MysqlContext): PolicyJudgement {
    const { execution } = request;
    if (execution === undefined) return this.#judge.judge(request.sql, context, subjectOf(request));
    return this.#judge.judgeExecution(execution.text.inSession(context), execution.values, subjectOf(request));
  }
}

const UNKNOWN_STATEMENT_RULES: ReadonlySet<string> = new Set(["dyn.opaque", "pol.readonly"]);

/**
 * EXECUTE of a name under which nothing is prepared is refused as the server would refuse it. SAFETY: here, not there: if
 * something stood behind the name after all, it does not run.
 */
function refusalOf({ action, ruleId = "" }: Decision, outer: Outer, request: StatementRequest) {
  if (action !== "block" || !UNKNOWN_STATEMENT_RULES.has(ruleId)) return undefined;
  const name = missingStatement(request.state.dynamicSql, outer.summary.kinds, outer.analyzed);
  if (name === undefined) return undefined;
  const clientMessage = `Unknown prepared statement handler (${name}) given to EXECUTE`;
  return { errorNumber: ER_UNKNOWN_STMT_HANDLER, sqlState: "HY000", clientMessage };
}

const ER_UNKNOWN_STMT_HANDLER = 1243;

interface WithInner extends Pick<Outer, "decision" | "summary"> {
  /** Of the statements that run: those behind a name that is known, else those of the text. */
  readonly kindsRun: readonly string[];
  readonly sessionEffect: SessionEffect;
  readonly resolved?: Resolved;
  /** What the session knows when a whole packet has run. */
  readonly known?: SessionDynamicSql;
}

/** Statements that run behind a name. A lone USE tells what it sets, but not where it runs so. */
function runByName(inner: readonly PolicyJudgement[]): RunByName {
  const summaries = summariesOf(inner);
  const kinds = summaries.flatMap((summary) => (summary.kinds.length === 1 ? summary.kinds : ["unknown"]));
  const sessionEffect = kinds.includes("use") ? "opaque" : eitherEffect(summaries.map((one) => one.sessionEffect));
  return { kinds, sessionEffect };
}

/** Of what the text may be, judged with what stands behind its names. */
function decisionOf(
  { impact }: Decision,
  named: readonly PolicyJudgement[],
  inner: readonly PolicyJudgement[],
): Decision {
  const all = [...named, ...inner].map(({ decision }) => decision);
  return {
    ...all.reduce(stricter),
    impact: togetherWith(
      impact,
      all.map((one) => one.impact),
    ),
  };
}

function stricter(outer: Decision, inner: Decision): Decision {
  if (outer.enforcedAction === inner.enforcedAction) return outer.score > inner.score ? outer : inner;
  return strictestAction(outer.enforcedAction, inner.enforcedAction) === outer.enforcedAction ? outer : inner;
}

function effectOf(
  request: StatementRequest,
  outer: Outer,
  kindsRun: readonly string[],
  followed: SessionDynamicSql | undefined,
): DynamicEffect {
  if (followed !== undefined) return { kind: "become", known: followed };
  const { state, sql } = request;
  const schema = schemaOf(request);
  const { kinds } = outer.summary;
  return effectOn({ known: state.dynamicSql, sql, kinds, kindsRun, schema, analyzed: outer.analyzed });
}

/** What DATABASE() gives. A prepared statement runs in the schema in which it was prepared. */
function schemaOf({ state, execution }: StatementRequest): string | undefined {
  const { variables, isSchemaKnown } = state;
  return isSchemaKnown && execution === undefined && variables.schema !== "" ? variables.schema : undefined;
}

function outerOf(judged: PolicyJudgement, sql: Uint8Array, context: MysqlContext): Outer {
  const { decision, decisionId, summary } = judged;
  // The judge was asked about a text of MySQL's.
  const analyzed = (): MysqlAnalysis => (judged.analysis as MysqlAnalysis | undefined) ?? analyze(sql, context);
  const localFiles = summary.kinds.some((kind) => LOAD_KINDS.has(kind)) ? localFilesOf(analyzed()) : NO_FILES;
  const notUnderstood = judged.analysis?.notUnderstood?.reason;
  return { decision, decisionId, summary, notUnderstood, localFiles, soleStatement: undefined, analyzed };
}

function longTextOf(request: StatementRequest, now: MysqlContext): LongText<MysqlContext> {
  const { sql, execution } = request;
  const subject = subjectOf(request);
  if (execution === undefined) return { sql, context: now, subject };
  const { context, parameters } = execution.text.inSession(now);
  return { sql, context, subject, execution: { parameters, values: execution.values } };
}

function subjectOf({ state, session, command, estimatedRows, execution }: StatementRequest): Subject {
  // Field by field: to spread objects costs more than all the rest of a remembered verdict.
  return {
    clientAddress: session.clientAddress,
    isTls: session.isTls,
    listener: session.listener,
    backendRole: session.backendRole,
    backendPooler: session.backendPooler,
    isAurora: session.isAurora,
    loads: session.loads,
    saysAurora: state.aurora === "yes",
    user: state.user,
    isInTransaction: state.isInTransaction,
    command: command.startsWith("COM_STMT_") ? "prepare" : "text",
    schema: state.variables.schema,
    canTakeBack: state.canTakeBack,
    ignoresTableCase: state.tableCase === "ignored",
    estimatedRows,
    boundRows: execution?.rows?.count,
  };
}

function isUse({ summary }: Outer): boolean {
  return summary.kinds.length === 1 && summary.kinds[0] === "use" && summary.sessionEffect === "none";
}

function usedSchemaOf({ statements }: MysqlAnalysis): string | undefined {
  return statements[0]?.objects.find(({ type }) => type === "schema")?.name;
}

const NO_FILES: readonly string[] = [];
const NO_RULES: readonly string[] = [];
