/** The policy as sessions see it: what the session knows goes in, what the wire and the record need comes out. */
import { type Decision, tellDecision } from "../policy/decide.ts";
import type { Judge, Judgement as PolicyJudgement, TextSummary } from "../policy/judge.ts";
import { type Subject, strictestAction } from "../policy/policy.ts";
import type { SessionEffect } from "../policy/session-effect.ts";
import { analyze } from "../sql/analyze.ts";
import { quotingFor } from "../sql/bound-text.ts";
import type { Analysis, SqlContext, StatementKind } from "../sql/facts.ts";
import { type DynamicEffect, describeResolved, effectOn, type Resolved, resolveDynamicSql } from "./dynamic-sql.ts";
import { type LongText, type LongTextJudge, type LongVerdict, localFilesOf, soleStatementOf } from "./long-text.ts";
import type { SessionState } from "./session-state.ts";
import { sqlContextOf } from "./sql-context.ts";
import type { ApprovalBrief, Judgement, StatementJudge, StatementRequest } from "./statement-judge.ts";

const LOAD_KINDS: ReadonlySet<string> = new Set<StatementKind>(["load-data", "load-xml"]);

/** Longer texts are judged where they keep no other session waiting. Up to here that takes a few milliseconds at worst. */
export const LONG_TEXT_BYTES = 16 * 1024;
/** Prepared statements of that length are remembered, and judged again and again. */
const LONG_EXECUTION_BYTES = 64 * 1024;

/** What is known of the text as it stands, before what it runs by name is looked at. */
interface Outer extends LongVerdict {
  readonly analyzed: () => Analysis;
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

  judge(request: StatementRequest): Judgement | Promise<Judgement> {
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

  #judgeLong(request: StatementRequest, now: SqlContext, longTexts: LongTextJudge): Judgement | Promise<Judgement> {
    const text = longTextOf(request, now);
    const { sql, context, subject, execution } = text;
    const known = execution === undefined ? this.#judge.recall(sql, context, subject) : undefined;
    if (known !== undefined) return this.#judgementOf(request, now, outerOf(known, sql, context));
    return longTexts.judge(text).then((verdict) => {
      if (execution === undefined) this.#judge.retain(text, verdict);
      return this.#judgementOf(request, now, { ...verdict, analyzed: () => soleStatementOf(verdict, text) });
    });
  }

  #judgementOf(request: StatementRequest, context: SqlContext, outer: Outer): Judgement {
    const { decision, summary, kindsRun, resolved } = this.#withInner(outer, request, context);
    const { decisionId } = outer;
    const { action } = decision;
    return {
      action,
      decisionId,
      clientMessage: action === "allow" ? undefined : tellDecision(decision, decisionId),
      errorNumber: decision.errorNumber,
      sqlState: decision.sqlState,
      score: decision.score,
      level: decision.level,
      rules: decision.rules.length === 0 ? NO_RULES : decision.rules.map((hit) => hit.id),
      ruleId: decision.ruleId,
      notUnderstood: outer.notUnderstood,
      isUnderstood: summary.isUnderstood,
      policyVersion: decision.policyVersion,
      text: summary.digest,
      textForm: "digest",
      statementKind: summary.kinds.length === 1 ? summary.kinds[0] : summary.kinds.join(","),
      localFiles: outer.localFiles,
      limits: decision.limits,
      approval: action === "require-approval" ? briefOf({ decision, summary }, resolved) : undefined,
      impact: decision.impact,
      estimatedRows: typeof request.estimatedRows === "number" ? request.estimatedRows : undefined,
      usesSchema: isUse(outer) ? usedSchemaOf(outer.analyzed()) : undefined,
      afterwards: consequence(request.state, outer.summary.sessionEffect),
      dynamicEffect: request.command === "COM_STMT_PREPARE" ? undefined : effectOf(request, outer, kindsRun),
    };
  }

  /** SQL run by a name that the session knows is judged as that SQL, besides as what runs it. */
  #withInner(outer: Outer, request: StatementRequest, context: SqlContext): WithInner {
    const { dynamicSql } = request.state;
    const { decision, summary } = outer;
    const { kinds, digest } = summary;
    if (dynamicSql.isEmpty) return { decision, summary, kindsRun: kinds };
    const resolved = resolveDynamicSql(dynamicSql, kinds, outer.analyzed, quotingFor(context));
    if (resolved === undefined) return { decision, summary, kindsRun: kinds };
    const subject = subjectOf(request);
    if (resolved.kind === "texts") {
      const literals = resolved.sqls.map((sql) => this.#judge.judge(sql, context, subject).decision);
      return { decision: literals.reduce(stricter), summary, kindsRun: kinds, resolved };
    }
    const inner = resolved.texts.map((text) =>
      this.#judge.judgeExecution(text.inSession(context), resolved.values, subject),
    );
    return {
      decision: inner.map((one) => one.decision).reduce(stricter, decision),
      summary: { ...summary, ...together(inner.map((one) => one.summary)), digest: `${digest} ${digestsOf(inner)}` },
      kindsRun: inner.flatMap((one) => (one.summary.kinds.length === 1 ? one.summary.kinds : ["unknown"])),
      resolved,
    };
  }

  #judged(request: StatementRequest, context: SqlContext): PolicyJudgement {
    const { execution } = request;
    if (execution === undefined) return this.#judge.judge(request.sql, context, subjectOf(request));
    return this.#judge.judgeExecution(execution.text.inSession(context), execution.values, subjectOf(request));
  }
}

interface WithInner extends Pick<Outer, "decision" | "summary"> {
  /** Of the statements that run: those behind a name that is known, else those of the text. */
  readonly kindsRun: readonly string[];
  readonly resolved?: Resolved;
}

function stricter(outer: Decision, inner: Decision): Decision {
  if (outer.enforcedAction === inner.enforcedAction) return outer.score > inner.score ? outer : inner;
  return strictestAction(outer.enforcedAction, inner.enforcedAction) === outer.enforcedAction ? outer : inner;
}

/** Of statements of which one runs. */
function together(summaries: readonly TextSummary[]): Omit<TextSummary, "kinds" | "digest" | "sessionEffect"> {
  return {
    isUnderstood: summaries.every(({ isUnderstood }) => isUnderstood),
    tablesRead: [...new Set(summaries.flatMap(({ tablesRead }) => tablesRead))],
    tablesWritten: [...new Set(summaries.flatMap(({ tablesWritten }) => tablesWritten))],
  };
}

function digestsOf(inner: readonly PolicyJudgement[]): string {
  return `/* ${inner.map(({ summary }) => summary.digest).join(" | ")} */`;
}

function effectOf(
  { state, sql, execution }: StatementRequest,
  outer: Outer,
  kindsRun: readonly string[],
): DynamicEffect {
  const { dynamicSql: known, variables, isSchemaKnown } = state;
  // A prepared statement runs in the schema in which it was prepared.
  const isCertain = isSchemaKnown && execution === undefined && variables.schema !== "";
  const schema = isCertain ? variables.schema : undefined;
  return effectOn({ known, sql, kinds: outer.summary.kinds, kindsRun, schema, analyzed: outer.analyzed });
}

function outerOf(judged: PolicyJudgement, sql: Uint8Array, context: SqlContext): Outer {
  const { decision, decisionId, summary } = judged;
  const analyzed = (): Analysis => judged.analysis ?? analyze(sql, context);
  const localFiles = summary.kinds.some((kind) => LOAD_KINDS.has(kind)) ? localFilesOf(analyzed()) : NO_FILES;
  const notUnderstood = judged.analysis?.notUnderstood?.reason;
  return { decision, decisionId, summary, notUnderstood, localFiles, soleStatement: undefined, analyzed };
}

function longTextOf(request: StatementRequest, now: SqlContext): LongText {
  const { sql, execution } = request;
  const subject = subjectOf(request);
  if (execution === undefined) return { sql, context: now, subject };
  const { context, parameters } = execution.text.inSession(now);
  return { sql, context, subject, execution: { parameters, values: execution.values } };
}

function briefOf(
  { decision, summary }: Pick<Outer, "decision" | "summary">,
  resolved: Resolved | undefined,
): ApprovalBrief {
  return {
    settings: decision.approval,
    digest: summary.digest,
    isUnderstood: decision.understood,
    kinds: summary.kinds,
    tablesRead: summary.tablesRead,
    tablesWritten: summary.tablesWritten,
    reasons: decision.rules.map(({ id, points, reason }) => `${id} (${points}): ${reason}`),
    behind: resolved && describeResolved(resolved),
  };
}

function subjectOf({ state, session, command, estimatedRows }: StatementRequest): Subject {
  // Field by field: to spread objects costs more than all the rest of a remembered verdict.
  return {
    clientAddress: session.clientAddress,
    isTls: session.isTls,
    listener: session.listener,
    backendRole: session.backendRole,
    backendPooler: session.backendPooler,
    isAurora: session.isAurora,
    user: state.user,
    isInTransaction: state.isInTransaction,
    command: command === "COM_STMT_PREPARE" || command === "COM_STMT_EXECUTE" ? "prepare" : "text",
    schema: state.variables.schema,
    estimatedRows,
  };
}

function isUse({ summary }: Outer): boolean {
  return summary.kinds.length === 1 && summary.kinds[0] === "use" && summary.sessionEffect === "none";
}

function usedSchemaOf({ statements }: Analysis): string | undefined {
  return statements[0]?.objects.find(({ type }) => type === "schema")?.name;
}

const NO_FILES: readonly string[] = [];
const NO_RULES: readonly string[] = [];

/** What the statement leaves to find out, where the server does not report it by itself. */
function consequence({ isTracked }: SessionState, effect: SessionEffect): Judgement["afterwards"] {
  if (effect === "opaque") return "unknown";
  return effect === "replaces-tracking" || (effect === "sets" && !isTracked) ? "ask" : "nothing";
}
