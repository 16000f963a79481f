/** The policy as sessions see it: what the session knows goes in, what the wire and the record need comes out. */
import type { Decision } from "../policy/decide.ts";
import type { Judge, Judgement as PolicyJudgement } from "../policy/judge.ts";
import { type Subject, strictestAction } from "../policy/policy.ts";
import type { SessionEffect } from "../policy/session-effect.ts";
import { analyze } from "../sql/analyze.ts";
import { quotingFor } from "../sql/bound-text.ts";
import type { SqlContext, StatementKind } from "../sql/facts.ts";
import { type DynamicEffect, effectOn, resolveDynamicSql } from "./dynamic-sql.ts";
import type { SessionState } from "./session-state.ts";
import { sqlContextOf } from "./sql-context.ts";
import type { ApprovalBrief, Judgement, StatementJudge, StatementRequest } from "./statement-judge.ts";

const LOAD_KINDS: ReadonlySet<string> = new Set<StatementKind>(["load-data", "load-xml"]);

export class PolicyJudge implements StatementJudge {
  readonly readsSql = true;
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  judge(request: StatementRequest): Judgement {
    const context = sqlContextOf(request.state, request.command);
    const outer = this.#judged(request, context);
    const { judged, kindsRun } = this.#withInner(outer, request, context);
    const { decision, summary } = judged;
    return {
      action: decision.action,
      decisionId: decision.decisionId,
      clientMessage: decision.reason,
      errorNumber: decision.errorNumber,
      sqlState: decision.sqlState,
      score: decision.score,
      level: decision.level,
      rules: decision.rules.map((hit) => hit.id),
      ruleId: decision.ruleId,
      notUnderstood: judged.analysis?.notUnderstood?.reason,
      policyVersion: decision.policyVersion,
      text: summary.digest,
      textForm: "digest",
      statementKind: summary.kinds.length === 1 ? summary.kinds[0] : summary.kinds.join(","),
      localFiles: localFiles(request, context, judged),
      limits: decision.limits,
      approval: decision.action === "require-approval" ? briefOf(judged) : undefined,
      impact: decision.impact,
      ...(typeof request.estimatedRows === "number" ? { estimatedRows: request.estimatedRows } : {}),
      afterwards: consequence(request.state, outer.summary.sessionEffect),
      ...(request.command === "COM_STMT_PREPARE" ? {} : { dynamicEffect: effectOf(request, context, outer, kindsRun) }),
    };
  }

  /** SQL run by a name that the session knows is judged as that SQL, besides as what runs it. */
  #withInner(outer: PolicyJudgement, request: StatementRequest, context: SqlContext): WithInner {
    const { dynamicSql } = request.state;
    const { kinds, digest } = outer.summary;
    if (dynamicSql.isEmpty) return { judged: outer, kindsRun: kinds };
    const analyzed = () => outer.analysis ?? analyze(request.sql, context);
    const resolved = resolveDynamicSql(dynamicSql, kinds, analyzed, quotingFor(context));
    if (resolved === undefined) return { judged: outer, kindsRun: kinds };
    if (resolved.kind === "text") {
      const { decision } = this.#judge.judge(resolved.sql, context, subjectOf(request));
      return { judged: { ...outer, decision }, kindsRun: kinds };
    }
    const inner = this.#judge.judgeExecution(resolved.text.inSession(context), resolved.values, subjectOf(request));
    const summary = { ...inner.summary, kinds, digest: `${digest} /* ${inner.summary.digest} */` };
    const judged = { ...outer, summary, decision: stricter(outer.decision, inner.decision) };
    return { judged, kindsRun: inner.summary.kinds };
  }

  #judged(request: StatementRequest, context: SqlContext): PolicyJudgement {
    const { execution } = request;
    if (execution === undefined) return this.#judge.judge(request.sql, context, subjectOf(request));
    return this.#judge.judgeExecution(execution.text.inSession(context), execution.values, subjectOf(request));
  }
}

interface WithInner {
  readonly judged: PolicyJudgement;
  /** Of the statements that run: those behind a name that is known, else those of the text. */
  readonly kindsRun: readonly string[];
}

function stricter(outer: Decision, inner: Decision): Decision {
  if (outer.enforcedAction === inner.enforcedAction) return outer.score > inner.score ? outer : inner;
  return strictestAction(outer.enforcedAction, inner.enforcedAction) === outer.enforcedAction ? outer : inner;
}

function effectOf(
  { state, sql }: StatementRequest,
  context: SqlContext,
  outer: PolicyJudgement,
  kindsRun: readonly string[],
): DynamicEffect {
  const { kinds } = outer.summary;
  return effectOn(state.dynamicSql, sql, { kinds, kindsRun }, () => outer.analysis ?? analyze(sql, context));
}

function briefOf({ decision, summary }: PolicyJudgement): ApprovalBrief {
  return {
    settings: decision.approval,
    digest: summary.digest,
    isUnderstood: decision.understood,
    kinds: summary.kinds,
    tablesRead: summary.tablesRead,
    tablesWritten: summary.tablesWritten,
    reasons: decision.rules.map(({ id, points, reason }) => `${id} (${points}): ${reason}`),
  };
}

function subjectOf({ state, session, command, estimatedRows }: StatementRequest): Subject {
  const { schema } = state.variables;
  return {
    ...session.fixed,
    user: state.user,
    isInTransaction: state.isInTransaction,
    command: command === "COM_STMT_PREPARE" || command === "COM_STMT_EXECUTE" ? "prepare" : "text",
    ...(schema === undefined ? {} : { schema }),
    ...(estimatedRows === undefined ? {} : { estimatedRows }),
  };
}

function localFiles(request: StatementRequest, context: SqlContext, judged: PolicyJudgement): readonly string[] {
  if (!judged.summary.kinds.some((kind) => LOAD_KINDS.has(kind))) return NO_FILES;
  const analysis = judged.analysis ?? analyze(request.sql, context);
  const files: string[] = [];
  for (const statement of analysis.statements) {
    for (const { type, target } of statement.reach) {
      if ((type === "load-data-local" || type === "load-xml-local") && target !== undefined) files.push(target);
    }
  }
  return files;
}

const NO_FILES: readonly string[] = [];

/** What the statement leaves to find out, where the server does not report it by itself. */
function consequence({ isTracked }: SessionState, effect: SessionEffect): Judgement["afterwards"] {
  if (effect === "opaque") return "unknown";
  return effect === "replaces-tracking" || (effect === "sets" && !isTracked) ? "ask" : "nothing";
}
