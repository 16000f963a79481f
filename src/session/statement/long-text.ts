/** Long texts and their verdicts, as they go to the thread that judges them and come back. Plain data without the facts. */
import { RECORD_BYTES_MAX } from "../../audit/audit-record.ts";
import type { Decision } from "../../policy/decide.ts";
import type { Judge, TextSummary } from "../../policy/judge.ts";
import type { Subject } from "../../policy/policy.ts";
import type { Analysis, BoundValue, SqlContext, StatementFacts } from "../../sql/facts.ts";

export interface LongText<Context extends SqlContext = SqlContext> {
  readonly sql: Uint8Array;
  readonly context: Context;
  readonly subject: Subject;
  /** When the text is that of a prepared statement which runs. */
  readonly execution?: { readonly parameters: number | undefined; readonly values: readonly BoundValue[] };
}

export interface LongVerdict {
  readonly decision: Decision;
  readonly decisionId: string;
  readonly summary: TextSummary;
  readonly notUnderstood: string | undefined;
  readonly localFiles: readonly string[];
  /** The facts of a text of one statement, where they are few; more of them count as not known. */
  readonly soleStatement: StatementFacts | undefined;
}

/** Whose text it is: clients take turns, and what nobody waits for any more need not be judged. */
export interface TextOwner {
  readonly client: string;
  /** Aborted when the client has left. */
  readonly signal: AbortSignal | undefined;
}

/** Judges long texts beside the sessions. What it cannot judge it refuses. */
export interface LongTextJudge {
  judge(text: LongText, owner: TextOwner): Promise<LongVerdict>;
}

/** Of a statement that is handed on. */
const FACTS_MAX = 256;
/** Of a text of which more is asked than its verdict. */
const ASKED_BYTES_MAX = 256 * 1024;

/** What any judge for long texts has to answer. */
export function judgeLongText(judge: Judge, { sql, context, subject, execution }: LongText): LongVerdict {
  const { decision, decisionId, summary, analysis } =
    execution === undefined
      ? judge.judge(sql, context, subject)
      : judge.judgeExecution(judge.prepare(sql, context, execution.parameters), execution.values, subject);
  return {
    decision,
    decisionId,
    summary: withShortDigest(summary),
    notUnderstood: analysis?.notUnderstood?.reason,
    localFiles: analysis === undefined ? [] : localFilesOf(analysis),
    soleStatement: analysis === undefined ? undefined : soleFacts(analysis),
  };
}

/**
 * Still too long for a record or an approver, which cut it or refuse it as they would the whole. Tens of megabytes would
 * keep the sessions waiting while they are handed over.
 */
function withShortDigest(summary: TextSummary): TextSummary {
  const short = (digest: string): string => digest.slice(0, RECORD_BYTES_MAX);
  return { ...summary, digest: short(summary.digest), innerDigests: summary.innerDigests.map(short) };
}

function soleFacts({ understood, readings, statements, sql }: Analysis): StatementFacts | undefined {
  const [statement, ...others] = statements;
  if (!understood || readings.length !== 1 || statement === undefined || sql.length > ASKED_BYTES_MAX) return undefined;
  // SAFETY: what comes behind it may set what is believed of variables.
  if (others.some(({ within }) => within === "packet")) return undefined;
  let count = 0;
  for (const value of Object.values(statement)) if (Array.isArray(value)) count += value.length;
  return count > FACTS_MAX ? undefined : statement;
}

/** An analysis that knows the one statement, or that nothing is understood. */
export function soleStatementOf<Context extends SqlContext>(
  { soleStatement, summary }: LongVerdict,
  { sql, context }: LongText<Context>,
): Analysis<Context> {
  const reading = {
    digest: summary.digest,
    innerDigests: [],
    understood: soleStatement !== undefined,
    notUnderstood: undefined,
    statements: soleStatement === undefined ? [] : [soleStatement],
    findings: [],
    comments: { count: 0, executable: 0, hints: 0, betweenTokens: 0, nested: 0 },
    tokenCount: 0,
    steps: 0,
  };
  return { ...reading, sql, context, readings: [reading], ambiguities: [] };
}

/** The files of the client that the text asks for. */
export function localFilesOf(analysis: Analysis): readonly string[] {
  const files: string[] = [];
  for (const statement of analysis.statements) {
    for (const { type, target } of statement.reach) {
      if ((type === "load-data-local" || type === "load-xml-local") && target !== undefined) files.push(target);
    }
  }
  return files;
}
