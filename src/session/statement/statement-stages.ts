/**
 * One statement's life, whatever the wire: the only place that does this, each stage once and in this order.
 *
 *   judge ─► hold ─► record ─► send ─► relay ─► outcome
 *     │ ▲
 *     │ └─ estimate: how much it would touch, where the policy asks for that
 *     └─ blocked: on record and answered here, the backend never sees it
 */
import { QuerycopError } from "../../base/errors.ts";
import type { Permit } from "../backend-gate.ts";
import type { ResponseMeter } from "../limits/data-guard.ts";
import type { SessionServices } from "../session-services.ts";
import type { JudgedStatement } from "../session-view.ts";
import { approvalLost } from "./approval-hold.ts";
import type { GrantedClearance } from "./statement-approvals.ts";
import type { Judgement } from "./statement-judge.ts";
import { recordOutcome } from "./statement-outcome.ts";
import { recordBlocked, statementFields, timedIntent } from "./statement-record.ts";
import type { StatementSession } from "./statement-session.ts";
import type { Estimate, RunningStatement, StatementWire } from "./statement-wire.ts";

/** A session that statements run in. */
export interface StagedSession extends StatementSession {
  readonly services: StatementSession["services"] & Pick<SessionServices, "approvals">;
  judged: JudgedStatement | undefined;
}

/** Since when a statement is judged, and what is known of it from before. */
interface SeenBefore {
  readonly beganMs: number;
  readonly granted: GrantedClearance | undefined;
  readonly estimatedRows: Estimate | undefined;
}

export class StatementStages<Run extends RunningStatement, Meter extends ResponseMeter> {
  readonly #session: StagedSession;
  readonly #wire: StatementWire<Run, Meter>;

  constructor(session: StagedSession, wire: StatementWire<Run, Meter>) {
    this.#session = session;
    this.#wire = wire;
  }

  /**
   * Judges the statement and, if it may run, runs it. Throws only what ends the session. `granted` is the approval under
   * which the statement comes here for the second time.
   */
  run(run: Run, granted?: GrantedClearance, estimatedRows?: Estimate): Promise<void> | undefined {
    const seen = { beganMs: this.#session.clock.monotonicMs(), granted, estimatedRows };
    const judged = this.#wire.judge(run, estimatedRows);
    if (judged instanceof Promise) return this.#onceJudged(run, judged, seen);
    return this.#judged(run, judged, seen);
  }

  /** Waits for the verdict on a long text. The session does nothing else meanwhile, so no later command overtakes it. */
  async #onceJudged(run: Run, judging: Promise<Judgement>, seen: SeenBefore): Promise<void> {
    const judged = await judging;
    const { audit } = this.#session.services;
    const hashed = audit.isKept ? { ...run, textHash: await audit.hashLongText(run.sql) } : run;
    const lost = this.#wire.lostPeer();
    if (lost === undefined) return await this.#judged(hashed, judged, seen);
    await recordBlocked(this.#session, hashed, { ...judged, action: "block", errorNumber: lost.errorNumber });
    throw lost;
  }

  #judged(run: Run, judged: Judgement, { beganMs, granted, estimatedRows }: SeenBefore): Promise<void> | undefined {
    const session = this.#session;
    const { metrics } = session.services;
    const judgedMs = session.clock.monotonicMs();
    session.judged = { ordinal: session.ordinal, command: run.command, judgement: judged, beganMs };
    metrics.proxyOverhead.of("judge").observe((judgedMs - beganMs) / 1000);
    if (estimatedRows === undefined && isEstimateWanted(run, judged)) return this.#estimated(run, judged, granted);
    const isInDoubt = this.#wire.isInDoubt(run, judged);
    if (granted === undefined && !isInDoubt) this.#countDecision(judged);
    if (judged.notUnderstood !== undefined) metrics.notUnderstood.of(judged.notUnderstood).value++;
    const judgement = granted === undefined ? judged : { ...judged, ...approvalFields(granted) };
    // SAFETY: the policy of this moment has the last word, whatever was approved under an earlier one.
    if (judgement.action === "block") {
      return isInDoubt ? this.#refuseUnlessTold(run, judgement) : this.#refuse(run, judgement);
    }
    if (judgement.action === "require-approval" && granted === undefined && !run.isPreparing) {
      return this.#held(run, judgement);
    }
    const permit: Permit = { kind: "decision", decisionId: judgement.decisionId, action: judgement.action };
    return this.#passed(run, judgement, permit, { granted, judgedMs });
  }

  /** Asks the server how much the statement would touch, then judges it anew with the answer. */
  async #estimated(run: Run, judged: Judgement, granted: GrantedClearance | undefined): Promise<void> {
    const rows = await this.#wire.estimate(run, judged);
    if (this.#session.isClientGone) {
      throw new QuerycopError("QC_CLIENT_CLOSED", "The client closed before its statement");
    }
    await this.run(run, granted, rows);
  }

  /** Waits for an approval, then runs the statement as the policy of that later moment says. */
  async #held(run: Run, judgement: Judgement): Promise<void> {
    const session = this.#session;
    const { approvals, decisionLog } = session.services;
    const clearance = await this.#wire.seekApproval(run, judgement, (approvalId, expiresInMs) => {
      decisionLog.tell("statement held", session, judgement);
      return session.record({
        type: "hold",
        ...statementFields(session, run, { ...judgement, approvalId }),
        expiresInMs,
        mode: judgement.approval?.settings.mode,
      });
    });
    if (clearance.kind === "granted") {
      await this.run(run, clearance);
      // Of a statement that waited; one that is to be sent again may still come.
      if (judgement.approval?.settings.mode === "hold") approvals.cancel(clearance.approvalId, "not-sent");
      return;
    }
    if (clearance.kind === "refused") {
      const { kind: _kind, ...told } = clearance;
      return await this.#refuse(run, { ...judgement, ...told });
    }
    const { approvalId, failure } = clearance;
    await recordBlocked(session, run, { ...judgement, approvalId, errorNumber: failure.errorNumber });
    throw failure;
  }

  /** The policy lets it pass: the listener's own limits are asked, then it is recorded and sent. */
  #passed(
    run: Run,
    judgement: Judgement,
    permit: Permit,
    { granted, judgedMs }: { readonly granted: GrantedClearance | undefined; readonly judgedMs: number },
  ): Promise<void> | undefined {
    const session = this.#session;
    const { audit, approvals, decisionLog } = session.services;
    const objection = this.#wire.objection(judgement);
    if (objection !== undefined) return this.#refuse(run, { ...judgement, ...objection });
    session.dataGuard.apply(judgement.limits);
    const overLimit = session.dataGuard.refusal();
    if (overLimit !== undefined) return this.#refuseOverLimit(run, judgement, overLimit);
    if (granted !== undefined && !approvals.use(granted.approvalId)) {
      return this.#refuse(run, { ...judgement, ...approvalLost(granted) });
    }
    if (judgement.action === "warn" && !run.isPreparing) decisionLog.tell("statement warned", session, judgement);
    if (!audit.isKept) return this.#send(run, judgement, permit, judgedMs);
    const refuse = (error: QuerycopError): void => this.#wire.refuseUnrecorded(run, error);
    const recorded = timedIntent(session, run, judgement, judgedMs, refuse);
    if (recorded === false) return undefined;
    return typeof recorded === "number"
      ? this.#send(run, judgement, permit, recorded)
      : recorded.then((recordedMs) =>
          recordedMs === false ? undefined : this.#send(run, judgement, permit, recordedMs),
        );
  }

  async #send(run: Run, judgement: Judgement, permit: Permit, beganMs: number): Promise<void> {
    const session = this.#session;
    const { metrics } = session.services;
    const meter = this.#wire.meterFor(run);
    session.dataGuard.beginResponse();
    try {
      const end = await this.#wire.forward(run, judgement, permit, meter);
      const durationMs = session.clock.monotonicMs() - beganMs;
      metrics.responseRows.value += meter.rows;
      metrics.responseDuration.observe(durationMs / 1000);
      recordOutcome(session, meter, end, durationMs);
    } catch (thrown) {
      recordOutcome(session, meter, undefined, session.clock.monotonicMs() - beganMs, thrown);
      throw thrown;
    }
  }

  #countDecision({ action, ruleId }: Judgement): void {
    this.#session.services.metrics.decisions.of(action, ruleId ?? "none").value++;
  }

  /** What the server cannot parse is its error and no block: neither counted nor told as one. */
  async #refuseUnlessTold(run: Run, judgement: Judgement): Promise<void> {
    if (await this.#wire.tellInstead(run, judgement)) return;
    this.#countDecision(judgement);
    await this.#refuse(run, judgement);
  }

  /** Recorded as blocked: the policy would have let the statement pass. */
  #refuseOverLimit(run: Run, judgement: Judgement, failure: QuerycopError): Promise<void> {
    this.#session.services.dataGuardCounts.statementsRefused++;
    const { errorNumber, sqlState, clientMessage } = failure;
    return this.#refuse(run, { ...judgement, action: "block", errorNumber, sqlState, clientMessage });
  }

  async #refuse(run: Run, judgement: Judgement): Promise<void> {
    const message = judgement.clientMessage ?? `querycop: blocked [decision ${judgement.decisionId}]`;
    await recordBlocked(this.#session, run, judgement);
    this.#wire.refuse(run, { errorNumber: judgement.errorNumber, sqlState: judgement.sqlState, message });
  }
}

/** To prepare touches nothing, and what is refused anyway needs no estimate. */
function isEstimateWanted({ isPreparing }: RunningStatement, { impact, action }: Judgement): boolean {
  return impact?.needsEstimate === true && !isPreparing && action !== "block";
}

function approvalFields({ approvalId, approver }: GrantedClearance) {
  return { approvalId, approver };
}
