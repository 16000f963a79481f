/** One statement: judged, recorded, sent, its response relayed and recorded. The only place that does this. */
import { type ErrorOrigin, QuerycopError } from "../base/errors.ts";
import { COMMANDS, type CommandName, encodeQuery } from "../mysql/command.ts";
import { encodePacket, type Packet } from "../mysql/packet.ts";
import { type ResponseEnd, type ResponseShape, ResponseTracker } from "../mysql/response.ts";
import { PreparedText } from "../policy/prepared-text.ts";
import { dependsOnSession } from "../sql/readings.ts";
import { mayHoldSecret } from "../sql/secrets.ts";
import { type Clearance, seekApproval } from "./approval-hold.ts";
import type { Permit } from "./backend-gate.ts";
import type { CommandContext } from "./command-context.ts";
import { mayComputeVariable } from "./dynamic-sql.ts";
import { beginGuarded, endGuarded, type GuardedEnd, guardedRows } from "./guarded-statement.ts";
import { sendErr } from "./local-answer.ts";
import { relayLocalInfile } from "./local-infile.ts";
import { type Binding, PreparedStatement } from "./prepared-statements.ts";
import { relayResponse } from "./relay.ts";
import { type Estimate, estimateRows } from "./row-estimates.ts";
import { probeSession } from "./session-probe.ts";
import { sqlContextOf } from "./sql-context.ts";
import type { Judgement } from "./statement-judge.ts";

export interface StatementRun {
  readonly command: CommandName;
  /** What is judged and recorded. */
  readonly sql: Uint8Array;
  readonly shape: ResponseShape;
  /** What a COM_STMT_EXECUTE runs. */
  readonly prepared?: PreparedStatement;
  readonly binding?: Binding;
  /** The connection id a KILL names, as its client knows it. */
  readonly kills?: number;
  /** A text of ours to send instead of the client's packet. */
  readonly rewritten?: Uint8Array;
  /** The record's hash of the text, where it is known already. */
  readonly textHash?: string;
}

/** Since when a statement is judged, and what is known of it from before. */
interface SeenBefore {
  readonly beganMs: number;
  readonly granted: GrantedClearance | undefined;
  readonly estimatedRows: Estimate | undefined;
}

type GrantedClearance = Extract<Clearance, { readonly kind: "granted" }>;

/** Judges the statement and, if it may run, runs it. Throws only what ends the session. */
export function runStatement(context: CommandContext, packet: Packet, run: StatementRun): Promise<void> | undefined {
  const { needsProbe, canProbeWait } = context.state;
  if (!needsProbe || !context.services.judge.readsSql) return judgeAndRun(context, packet, run);
  // A question of ours clears the server's diagnostics, which a client may want to see behind a CALL.
  if (canProbeWait && !dependsOnSession(run.sql) && !mayComputeVariable(run.sql))
    return judgeAndRun(context, packet, run);
  return probeSession(context).then(() => judgeAndRun(context, packet, run));
}

/** `granted` is the approval under which the statement comes here for the second time. */
function judgeAndRun(
  context: CommandContext,
  packet: Packet,
  run: StatementRun,
  granted?: GrantedClearance,
  estimatedRows?: Estimate,
): Promise<void> | undefined {
  if (run.shape === "prepare") {
    // What is pipelined behind a statement that is not prepared must not run the one before.
    context.state.prepared.forgetLast();
    if (isFull(context)) return undefined;
  }
  const seen = { beganMs: context.clock.monotonicMs(), granted, estimatedRows };
  const judged = context.services.judge.judge({
    command: run.command,
    sql: run.sql,
    state: context.state,
    session: context.subject,
    estimatedRows,
    ...(run.prepared === undefined || run.binding === undefined
      ? {}
      : { execution: { text: run.prepared.text, values: run.binding.values } }),
  });
  if (judged instanceof Promise) return runOnceJudged(context, packet, run, judged, seen);
  return runJudged(context, packet, run, judged, seen);
}

/** Waits for the verdict on a long text. The session does nothing else meanwhile, so no later command overtakes it. */
async function runOnceJudged(
  context: CommandContext,
  packet: Packet,
  run: StatementRun,
  judging: Promise<Judgement>,
  seen: SeenBefore,
): Promise<void> {
  const judged = await judging;
  const { audit } = context.services;
  const hashed = audit.isKept ? { ...run, textHash: await audit.hashLongText(run.sql) } : run;
  const lost = context.lostPeer();
  if (lost === undefined) return await runJudged(context, packet, hashed, judged, seen);
  await recordBlocked(context, hashed, { ...judged, action: "block", errorNumber: lost.errorNumber });
  throw lost;
}

function runJudged(
  context: CommandContext,
  packet: Packet,
  run: StatementRun,
  judged: Judgement,
  { beganMs, granted, estimatedRows }: SeenBefore,
): Promise<void> | undefined {
  const { metrics } = context.services;
  const judgedMs = context.clock.monotonicMs();
  metrics.proxyOverhead.of("judge").observe((judgedMs - beganMs) / 1000);
  if (estimatedRows === undefined && isEstimateWanted(run, judged)) {
    return estimateAndRun(context, packet, run, judged, granted);
  }
  if (granted === undefined) metrics.decisions.of(judged.action, judged.ruleId ?? "none").value++;
  if (judged.notUnderstood !== undefined) metrics.notUnderstood.of(judged.notUnderstood).value++;
  const judgement = granted === undefined ? judged : { ...judged, ...approvalFields(granted) };
  // SAFETY: the policy of this moment has the last word, whatever was approved under an earlier one.
  if (judgement.action === "block") return refuseStatement(context, run, judgement);
  // Preparing a statement does nothing yet; its EXECUTE is held.
  if (judgement.action === "require-approval" && granted === undefined && run.shape !== "prepare") {
    return runOnceApproved(context, packet, run, judgement);
  }
  context.dataGuard.apply(judgement.limits);
  const overLimit = context.dataGuard.refusal();
  if (overLimit !== undefined) return refuseOverLimit(context, run, judgement, overLimit);
  if (granted !== undefined && !context.services.approvals.use(granted.approvalId)) {
    return refuseStatement(context, run, { ...judgement, ...approvalLost(granted) });
  }
  const permit: Permit = { kind: "decision", decisionId: judgement.decisionId, action: judgement.action };
  const send = (beganMs: number) => sendAndRelay(context, packet, run, judgement, permit, beganMs);
  if (!context.services.audit.isKept) return send(judgedMs);
  const recorded = timedIntent(context, run, judgement, judgedMs);
  if (recorded === false) return undefined;
  return typeof recorded === "number"
    ? send(recorded)
    : recorded.then((recordedMs) => (recordedMs === false ? undefined : send(recordedMs)));
}

/** To prepare touches nothing, and what is refused anyway needs no estimate. */
function isEstimateWanted(run: StatementRun, { impact, action }: Judgement): boolean {
  return impact?.needsEstimate === true && run.shape !== "prepare" && action !== "block";
}

/** Asks the server how much the statement would touch, then judges it anew with the answer. */
async function estimateAndRun(
  context: CommandContext,
  packet: Packet,
  run: StatementRun,
  judged: Judgement,
  granted: GrantedClearance | undefined,
): Promise<void> {
  const rows = await estimateRows(context, textThatRuns(context, run), judged);
  if (context.client.leg.isDead) throw new QuerycopError("QC_CLIENT_CLOSED", "The client closed before its statement");
  await judgeAndRun(context, packet, run, granted, rows);
}

/** With the values of an execution as literals; undefined where they cannot be written for certain. */
function textThatRuns({ state }: CommandContext, { sql, command, prepared, binding }: StatementRun) {
  if (prepared === undefined || prepared.parameters === 0) return sql;
  return binding && prepared.text.boundIn(sqlContextOf(state, command), binding.values);
}

/** Waits for an approval, then runs the statement as the policy of that later moment says. */
async function runOnceApproved(
  context: CommandContext,
  packet: Packet,
  run: StatementRun,
  judgement: Judgement,
): Promise<void> {
  const clearance = await seekApproval(context, {
    packet,
    run,
    judgement,
    recordHold: (approvalId, expiresInMs) =>
      context.record({
        type: "hold",
        ...statementFields(context, run, { ...judgement, approvalId }),
        expiresInMs,
        mode: judgement.approval?.settings.mode,
      }),
  });
  if (clearance.kind === "granted") {
    await judgeAndRun(context, packet, run, clearance);
    // Of a statement that waited; one that is to be sent again may still come.
    if (judgement.approval?.settings.mode === "hold") {
      context.services.approvals.cancel(clearance.approvalId, "not-sent");
    }
    return;
  }
  if (clearance.kind === "refused") {
    const { kind: _kind, ...told } = clearance;
    return await refuseStatement(context, run, { ...judgement, ...told });
  }
  const { approvalId, failure } = clearance;
  await recordBlocked(context, run, { ...judgement, approvalId, errorNumber: failure.errorNumber });
  throw failure;
}

function approvalFields({ approvalId, approver }: GrantedClearance) {
  return { approvalId, approver };
}

/** It was taken back, or ran out, between the answer and now. */
function approvalLost({ approvalId }: GrantedClearance) {
  return { clientMessage: `querycop: the approval does not hold any more, send it again [request ${approvalId}]` };
}

function isFull(context: CommandContext): boolean {
  const { preparedStatementsMax } = context.services.options;
  if (context.state.prepared.size < preparedStatementsMax) return false;
  const text =
    `Cannot prepare another statement: this connection has ${preparedStatementsMax} of them; ` +
    "close some, or raise GATEKEEPER_PREPARED_STATEMENTS_MAX";
  sendErr(context, new QuerycopError("QC_CLIENT_TOO_MANY_STATEMENTS", text));
  return true;
}

async function sendAndRelay(
  context: CommandContext,
  packet: Packet,
  run: StatementRun,
  judgement: Judgement,
  permit: Permit,
  beganMs: number,
): Promise<void> {
  const wire = run.rewritten === undefined ? packet.wire : rewrittenWire(context, run.rewritten);
  const tracker = trackerFor(context, run.shape, run.rewritten === undefined ? packet.lastSequenceId : 0);
  context.dataGuard.beginResponse();
  const rowsMax = run.shape === "prepare" ? undefined : guardedRows(context, judgement);
  try {
    if (rowsMax !== undefined) await beginGuarded(context);
    if (!context.backend.send(permit, wire)) {
      await context.backend.drainedWithin(context.services.options.backend.writeTimeoutMs);
    }
    let end: GuardedEnd =
      rowsMax === undefined
        ? await relayResponse(context, tracker, judgement)
        : await endGuarded(context, tracker, judgement, rowsMax);
    if (end.outcome === "local-infile") end = await relayFiles(context, tracker, judgement, end);
    context.isInsideResponse = false;
    afterStatement(context, run, judgement, end);
    const durationMs = context.clock.monotonicMs() - beganMs;
    countResponse(context, tracker, durationMs);
    recordOutcome(context, tracker, end, durationMs);
  } catch (thrown) {
    recordOutcome(context, tracker, undefined, context.clock.monotonicMs() - beganMs, thrown);
    throw thrown;
  }
}

function countResponse({ services }: CommandContext, { rows }: ResponseTracker, durationMs: number): void {
  services.metrics.responseRows.value += rows;
  services.metrics.responseDuration.observe(durationMs / 1000);
}

/** Sends a command that carries no statement and relays what comes back. */
export async function forwardCommand(context: CommandContext, packet: Packet, name: CommandName): Promise<ResponseEnd> {
  const shape = COMMANDS[packet.payload[0] ?? 0]?.response;
  if (shape === undefined || shape === "none" || shape === "login") throw new Error(`${name} cannot be forwarded`);
  context.dataGuard.beginResponse();
  if (RECORDED_COMMANDS.has(name)) await recordForwarded(context, name);
  context.backend.send({ kind: "command", name }, packet.wire);
  const end = await relayResponse(context, trackerFor(context, shape, packet.lastSequenceId), undefined);
  context.isInsideResponse = false;
  if (name === "COM_RESET_CONNECTION" && end.outcome === "ok") context.state.reset();
  context.state.afterResponse(end);
  return end;
}

/** Commands without a statement that change how later statements are read or what they find. */
const RECORDED_COMMANDS: ReadonlySet<CommandName> = new Set<CommandName>(["COM_SET_OPTION", "COM_RESET_CONNECTION"]);

async function recordForwarded(context: CommandContext, command: CommandName): Promise<void> {
  await context.record({
    type: "command",
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    command,
    action: "forwarded",
  });
}

function trackerFor(context: CommandContext, shape: ResponseShape, lastSequenceId: number): ResponseTracker {
  const sequenceId = (lastSequenceId + 1) & 0xff;
  return new ResponseTracker({ shape, capabilities: context.state.capabilities, sequenceId });
}

/** A text of several statements may ask for several files. */
async function relayFiles(
  context: CommandContext,
  tracker: ResponseTracker,
  judgement: Judgement,
  request: ResponseEnd,
): Promise<ResponseEnd> {
  let end = request;
  while (end.outcome === "local-infile") {
    tracker.resumeAfterLocalInfile(await relayLocalInfile(context, end, judgement));
    end = await relayResponse(context, tracker, judgement);
  }
  return end;
}

function rewrittenWire(context: CommandContext, sql: Uint8Array): Uint8Array {
  return encodePacket(encodeQuery(sql, context.state.capabilities.flags), 0);
}

function afterStatement(context: CommandContext, run: StatementRun, judgement: Judgement, end: ResponseEnd): void {
  const { state } = context;
  if (judgement.afterwards !== "nothing") state.doubt(judgement.afterwards === "unknown");
  if (judgement.dynamicEffect !== undefined) state.dynamicSql.after(judgement.dynamicEffect, end);
  if (run.binding !== undefined) run.prepared?.afterExecution(run.binding, end.outcome !== "err");
  if (end.prepared !== undefined) {
    const { statementId, parameters } = end.prepared;
    // The packet's bytes belong to a socket buffer many times their size: keep a copy of the text alone.
    const text = new PreparedText(run.sql.slice(), sqlContextOf(state, run.command), parameters);
    state.prepared.add(new PreparedStatement(statementId, text, parameters));
  }
  if (judgement.usesSchema !== undefined && end.outcome === "ok" && run.shape !== "prepare") {
    state.setSchema(judgement.usesSchema);
  }
  state.afterResponse(end);
  state.afterKinds(judgement.statementKind, end.outcome !== "err");
  // The server has nothing to kill where a statement waits here, and has said that this client may kill it.
  if (run.kills !== undefined && end.outcome !== "err") context.services.cancelHold(run.kills);
  if (run.prepared !== undefined) run.prepared.executedAs = state.ordinal;
}

function statementFields(context: CommandContext, run: StatementRun, judgement: Judgement) {
  return {
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    command: run.command,
    statementId: run.prepared?.statementId,
    text: judgement.text,
    textForm: judgement.textForm,
    sealedText: sealedText(context, run, judgement),
    textBytes: run.sql.length,
    textHash: run.textHash ?? context.services.audit.hashText(run.sql),
    statementKind: judgement.statementKind,
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
function sealedText({ services }: CommandContext, run: StatementRun, judgement: Judgement): string | undefined {
  const seal = services.audit.sealText;
  if (seal === undefined) return undefined;
  const kinds = judgement.statementKind?.split(",") ?? ["unknown"];
  return mayHoldSecret(judgement.text, kinds, judgement.isUnderstood === true) ? undefined : seal(run.sql);
}

/** Recorded as blocked: the policy would have let the statement pass. */
function refuseOverLimit(
  context: CommandContext,
  run: StatementRun,
  judgement: Judgement,
  failure: QuerycopError,
): Promise<void> {
  context.services.dataGuardCounts.statementsRefused++;
  const { errorNumber, sqlState, clientMessage } = failure;
  return refuseStatement(context, run, { ...judgement, action: "block", errorNumber, sqlState, clientMessage });
}

async function refuseStatement(context: CommandContext, run: StatementRun, judgement: Judgement): Promise<void> {
  const message = judgement.clientMessage ?? `querycop: blocked [decision ${judgement.decisionId}]`;
  await recordBlocked(context, run, judgement);
  context.client.sendErr({ errorNumber: judgement.errorNumber, sqlState: judgement.sqlState, message });
}

async function recordBlocked(context: CommandContext, run: StatementRun, judgement: Judgement): Promise<void> {
  try {
    await context.record({
      type: "statement-blocked",
      ...statementFields(context, run, judgement),
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
function recordIntent(context: CommandContext, run: StatementRun, judgement: Judgement): boolean | Promise<boolean> {
  try {
    const pending = context.record({ type: "statement-intent", ...statementFields(context, run, judgement) });
    if (!(pending instanceof Promise)) return true;
    return pending.then(
      () => true,
      (thrown: unknown) => refuseUnrecorded(context, thrown),
    );
  } catch (thrown) {
    return refuseUnrecorded(context, thrown);
  }
}

function refuseUnrecorded(context: CommandContext, thrown: unknown): false {
  if (!(thrown instanceof QuerycopError)) throw thrown;
  const text = "querycop: the audit log cannot record this statement, so it was not sent; see querycop doctor";
  sendErr(context, new QuerycopError("QC_AUDIT_FAILED", thrown.message, { clientMessage: text, cause: thrown }));
  return false;
}

/** When the intent stood in the log; false when it could not be recorded and the client has been told so. */
function timedIntent(
  context: CommandContext,
  run: StatementRun,
  judgement: Judgement,
  beganMs: number,
): number | false | Promise<number | false> {
  const observe = (isRecorded: boolean): number | false => {
    const recordedMs = context.clock.monotonicMs();
    context.services.metrics.proxyOverhead.of("record").observe((recordedMs - beganMs) / 1000);
    return isRecorded && recordedMs;
  };
  const recorded = recordIntent(context, run, judgement);
  return recorded instanceof Promise ? recorded.then(observe) : observe(recorded);
}

function isFailureOf(failure: unknown, origin: ErrorOrigin): boolean {
  return failure instanceof QuerycopError && failure.origin === origin;
}

/** The statement has run, whether or not this can be recorded: its intent is on record. Nothing waits for it. */
function recordOutcome(
  context: CommandContext,
  tracker: ResponseTracker,
  end: GuardedEnd | undefined,
  durationMs: number,
  failure?: unknown,
): void {
  if (!context.services.audit.isKept) return;
  const { cutOff } = context.dataGuard;
  const isGone = isFailureOf(failure, "client") || context.client.leg.isDead;
  const howFailed = end?.isRolledBack === true ? "rolled-back" : "error";
  const isUnsent = failure instanceof QuerycopError && failure.code === "QC_IMPACT_GUARD";
  const howEnded = isUnsent ? "not-sent" : end === undefined ? "unknown" : end.outcome === "err" ? howFailed : "ok";
  const ended = isGone && end === undefined ? "client-gone" : howEnded;
  context.services.audit.appendSoon({
    type: "statement-outcome",
    session: context.briefAuditSession(),
    ordinal: context.state.ordinal,
    outcome: cutOff === undefined ? ended : "cut-off",
    errorNumber: end?.errorNumber,
    sqlState: end?.sqlState,
    rows: cutOff?.rows ?? tracker.rows,
    affectedRows: end === undefined ? undefined : Number(end.affectedRows),
    resultSets: cutOff?.resultSets ?? tracker.resultSets,
    warnings: end?.warnings,
    bytes: cutOff?.bytes ?? tracker.bytes,
    limit: cutOff?.limit,
    durationUs: Math.round(durationMs * 1000),
  });
}
