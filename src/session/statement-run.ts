/** One statement: judged, recorded, sent, its response relayed and recorded. The only place that does this. */
import { QuerycopError } from "../base/errors.ts";
import { COMMANDS, type CommandName, encodeQuery } from "../mysql/command.ts";
import { CLIENT_QUERY_ATTRIBUTES } from "../mysql/constants.ts";
import { encodePacket, type Packet } from "../mysql/packet.ts";
import { type ResponseEnd, type ResponseShape, ResponseTracker } from "../mysql/response.ts";
import type { Permit } from "./backend-gate.ts";
import type { CommandContext } from "./command-context.ts";
import { sendErr } from "./local-answer.ts";
import { relayLocalInfile, requireJudgedFile } from "./local-infile.ts";
import { drainBackend, type RelayLegs, relayResponse } from "./relay.ts";
import { PREPARED_STATEMENTS_MAX } from "./session-state.ts";
import type { Judgement } from "./statement-judge.ts";

export interface StatementRun {
  readonly command: CommandName;
  /** What is judged and recorded. */
  readonly sql: Uint8Array;
  readonly shape: ResponseShape;
  readonly statementId?: number;
  /** A text of ours to send instead of the client's packet. */
  readonly rewritten?: { readonly sql: Uint8Array; readonly hasAttributes: boolean };
}

/** Judges the statement and, if it may run, runs it. Throws only what ends the session. */
export async function runStatement(context: CommandContext, packet: Packet, run: StatementRun): Promise<void> {
  if (run.shape === "prepare" && context.state.prepared.size >= PREPARED_STATEMENTS_MAX) {
    const text = `Cannot prepare more than ${PREPARED_STATEMENTS_MAX} statements on one connection: close some`;
    sendErr(context, new QuerycopError("QC_CLIENT_TOO_MANY_STATEMENTS", text));
    return;
  }
  const judgement = context.services.judge.judge({
    command: run.command,
    sql: run.sql,
    state: context.state,
    session: context.subject,
  });
  if (judgement.action === "block" || judgement.action === "require-approval") {
    await refuseStatement(context, run, judgement);
    return;
  }
  if (!(await recordIntent(context, run, judgement))) return;
  const permit: Permit = { kind: "decision", decisionId: judgement.decisionId, action: judgement.action };
  const wire = run.rewritten === undefined ? packet.wire : rewrittenWire(run.rewritten);
  const beganMs = context.clock.monotonicMs();
  const tracker = trackerFor(context, run.shape, run.rewritten === undefined ? packet.lastSequenceId : 0);
  try {
    if (!context.backend.send(permit, wire)) {
      await drainBackend(context.backend, context.services.options.writeTimeoutMs);
    }
    const end = await relayToEnd(context, tracker, judgement);
    afterStatement(context, run, judgement, end);
    await recordOutcome(context, tracker, end, beganMs);
  } catch (thrown) {
    await recordOutcome(context, tracker, undefined, beganMs);
    throw thrown;
  }
}

/** Sends a command that carries no statement and relays what comes back. */
export async function forwardCommand(context: CommandContext, packet: Packet, name: CommandName): Promise<void> {
  const row = COMMANDS.find((candidate) => candidate?.name === name);
  const shape = row?.response;
  if (shape === undefined || shape === "none" || shape === "login") throw new Error(`${name} cannot be forwarded`);
  context.backend.send({ kind: "command", name }, packet.wire);
  const tracker = trackerFor(context, shape, packet.lastSequenceId);
  context.state.afterResponse(await relayToEnd(context, tracker, undefined));
}

function trackerFor(context: CommandContext, shape: ResponseShape, lastSequenceId: number): ResponseTracker {
  const sequenceId = (lastSequenceId + 1) & 0xff;
  return new ResponseTracker({ shape, capabilities: context.state.capabilities, sequenceId });
}

async function relayToEnd(
  context: CommandContext,
  tracker: ResponseTracker,
  judgement: Judgement | undefined,
): Promise<ResponseEnd> {
  const legs: RelayLegs = {
    client: context.client.leg,
    backend: context.backend,
    writeTimeoutMs: context.services.options.writeTimeoutMs,
    onFirstByte: () => {
      context.isInsideResponse = true;
    },
    onLocalInfile: (end) => requireJudgedFile(end, judgement),
  };
  let end = await relayResponse(legs, tracker);
  while (end.outcome === "local-infile") {
    const lastSequenceId = await relayLocalInfile(context, end, judgement);
    tracker.resumeAfterLocalInfile(lastSequenceId);
    end = await relayResponse(legs, tracker);
  }
  context.isInsideResponse = false;
  return end;
}

function rewrittenWire(rewritten: { readonly sql: Uint8Array; readonly hasAttributes: boolean }): Uint8Array {
  return encodePacket(encodeQuery(rewritten.sql, rewritten.hasAttributes ? CLIENT_QUERY_ATTRIBUTES : 0), 0);
}

function afterStatement(context: CommandContext, run: StatementRun, judgement: Judgement, end: ResponseEnd): void {
  const { state } = context;
  if (judgement.obscuresSession) state.variables.sqlMode = "unknown";
  state.afterResponse(end);
  if (run.shape !== "prepare") return;
  state.lastPreparedId = end.prepared?.statementId;
  if (end.prepared === undefined) return;
  const { statementId, parameters } = end.prepared;
  // The packet's bytes belong to a socket buffer many times their size: keep a copy of the text alone.
  state.prepared.set(statementId, { statementId, parameters, sql: run.sql.slice() });
}

function statementFields(context: CommandContext, run: StatementRun, judgement: Judgement) {
  return {
    session: context.auditSession(),
    ordinal: context.state.ordinal,
    command: run.command,
    statementId: run.statementId,
    text: judgement.text,
    textForm: judgement.textForm,
    textBytes: run.sql.length,
    textHash: context.services.audit.hashText(run.sql),
    statementKind: judgement.statementKind,
    decision: judgement.action,
    decisionId: judgement.decisionId,
    score: judgement.score,
    level: judgement.level,
    rules: judgement.rules.length > 0 ? judgement.rules : undefined,
    policyVersion: judgement.policyVersion,
  } as const;
}

async function refuseStatement(context: CommandContext, run: StatementRun, judgement: Judgement): Promise<void> {
  const message = judgement.clientMessage ?? `querycop: blocked [decision ${judgement.decisionId}]`;
  const failure = new QuerycopError("QC_POLICY_BLOCKED", message);
  try {
    await context.record({
      type: "statement-blocked",
      ...statementFields(context, run, judgement),
      errorNumber: failure.errorNumber,
    });
  } catch {
    // Nothing was sent and nothing will be: a block stands whether or not it could be recorded.
  }
  sendErr(context, failure);
}

/** SAFETY: no record, no statement. False when it could not be recorded and the client has been told so. */
async function recordIntent(context: CommandContext, run: StatementRun, judgement: Judgement): Promise<boolean> {
  try {
    const pending = context.record({ type: "statement-intent", ...statementFields(context, run, judgement) });
    if (pending instanceof Promise) await pending;
    return true;
  } catch (thrown) {
    if (!(thrown instanceof QuerycopError)) throw thrown;
    const text = "querycop: the audit log cannot record this statement, so it was not sent; see querycop doctor";
    sendErr(context, new QuerycopError("QC_AUDIT_FAILED", thrown.message, { clientMessage: text, cause: thrown }));
    return false;
  }
}

async function recordOutcome(
  context: CommandContext,
  tracker: ResponseTracker,
  end: ResponseEnd | undefined,
  beganMs: number,
): Promise<void> {
  const isGone = context.client.leg.isDead;
  const ended = end === undefined ? "unknown" : end.outcome === "err" ? "error" : "ok";
  try {
    const pending = context.record({
      type: "statement-outcome",
      session: context.auditSession(),
      ordinal: context.state.ordinal,
      outcome: isGone && end === undefined ? "client-gone" : ended,
      errorNumber: end?.errorNumber,
      sqlState: end?.sqlState,
      rows: tracker.rows,
      affectedRows: end === undefined ? undefined : Number(end.affectedRows),
      resultSets: tracker.resultSets,
      warnings: end?.warnings,
      bytes: tracker.bytes,
      durationUs: Math.round((context.clock.monotonicMs() - beganMs) * 1000),
    });
    if (pending instanceof Promise) await pending;
  } catch {
    // The statement has run. Its intent is on record, and the log itself notes that an outcome is missing.
  }
}
