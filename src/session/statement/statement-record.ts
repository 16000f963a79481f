/** What the audit log is told of a statement: that it is about to statement, or that it was refused. */
import { QuerycopError } from "../../base/errors.ts";
import type { Judgement } from "./statement-judge.ts";
import type { RecordedStatement, StatementSession } from "./statement-session.ts";

/** What a record asks of the session whose statement it is about. */
export type RecordingSession = Pick<StatementSession, "ordinal" | "auditSession" | "mayHoldSecret"> & {
  readonly services: Pick<StatementSession["services"], "audit">;
};

export function statementFields(session: RecordingSession, statement: RecordedStatement, judgement: Judgement) {
  return {
    session: session.auditSession(),
    ordinal: session.ordinal,
    command: statement.command,
    statementId: statement.statementId,
    boundRows: statement.boundRows,
    text: judgement.text,
    textForm: judgement.textForm,
    sealedText: sealedText(session, statement, judgement),
    textBytes: statement.sql.length,
    textHash: statement.textHash ?? session.services.audit.hashText(statement.sql),
    digestHashes: judgement.digestHashes,
    statementKind: judgement.statementKind,
    innerKinds: judgement.innerKinds,
    tables: judgement.tables,
    decision: judgement.action,
    decisionId: judgement.decisionId,
    score: judgement.score,
    level: judgement.level,
    rules: judgement.rules.length > 0 ? judgement.rules : undefined,
    policyVersion: judgement.policyVersion,
    estimatedRows: judgement.estimatedRows,
    approvalId: judgement.approvalId,
    approver: judgement.approver,
  } as const;
}

/** SAFETY: a text that may hold a password is not kept even sealed: whoever reads the log need not be its owner. */
function sealedText(session: RecordingSession, statement: RecordedStatement, judgement: Judgement): string | undefined {
  const seal = session.services.audit.sealText;
  if (seal === undefined || session.mayHoldSecret(judgement)) return undefined;
  return seal(statement.sql);
}

export async function recordBlocked(
  session: StatementSession,
  statement: RecordedStatement,
  judgement: Judgement,
): Promise<void> {
  session.services.decisionLog.tell("statement blocked", session, judgement);
  try {
    await session.record({
      type: "statement-blocked",
      ...statementFields(session, statement, judgement),
      errorNumber: judgement.errorNumber,
    });
  } catch {
    // Nothing was sent and nothing will be: a block stands whether or not it could be recorded.
  }
}

/**
 * SAFETY: no record, no statement. False when it could not be recorded and the client has been told so; a promise where
 * the log waits for the disk.
 */
function recordIntent(
  session: StatementSession,
  statement: RecordedStatement,
  judgement: Judgement,
  refuse: (error: QuerycopError) => void,
): boolean | Promise<boolean> {
  try {
    const pending = session.record({ type: "statement-intent", ...statementFields(session, statement, judgement) });
    if (!(pending instanceof Promise)) return true;
    return pending.then(
      () => true,
      (thrown: unknown) => refuseUnrecorded(refuse, thrown),
    );
  } catch (thrown) {
    return refuseUnrecorded(refuse, thrown);
  }
}

function refuseUnrecorded(refuse: (error: QuerycopError) => void, thrown: unknown): false {
  if (!(thrown instanceof QuerycopError)) throw thrown;
  const text = "querycop: the audit log cannot record this statement, so it was not sent; see querycop doctor";
  refuse(new QuerycopError("QC_AUDIT_FAILED", thrown.message, { clientMessage: text, cause: thrown }));
  return false;
}

/** When the intent stood in the log; false when it could not be recorded and `refuse` has told the client so. */
export function timedIntent(
  session: StatementSession,
  statement: RecordedStatement,
  judgement: Judgement,
  beganMs: number,
  refuse: (error: QuerycopError) => void,
): number | false | Promise<number | false> {
  const observe = (isRecorded: boolean): number | false => {
    const recordedMs = session.clock.monotonicMs();
    session.services.metrics.proxyOverhead.of("record").observe((recordedMs - beganMs) / 1000);
    return isRecorded && recordedMs;
  };
  const recorded = recordIntent(session, statement, judgement, refuse);
  return recorded instanceof Promise ? recorded.then(observe) : observe(recorded);
}
