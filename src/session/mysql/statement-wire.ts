/** MySQL's part in a statement's life: how it is judged, sent, answered, and what it does to the session. */
import type { QuerycopError } from "../../base/errors.ts";
import { SEND_UNIT_RESULTS } from "../../mysql/bulk-rows.ts";
import { type CommandName, encodeQuery } from "../../mysql/command.ts";
import { encodePacket, type Packet, type Wire } from "../../mysql/packet.ts";
import type { ResponseEnd, ResponseShape, ResponseTracker } from "../../mysql/response.ts";
import { MysqlPreparedText } from "../../policy/mysql/prepared-text.ts";
import type { Permit } from "../backend-gate.ts";
import { seekApproval } from "../statement/approval-hold.ts";
import type { Clearance } from "../statement/statement-approvals.ts";
import type { Judgement } from "../statement/statement-judge.ts";
import type { Estimate, RunningStatement, StatementWire } from "../statement/statement-wire.ts";
import type { CommandContext } from "./command-context.ts";
import { heedReadOnly } from "./demotion.ts";
import { trackerFor } from "./forwarded-command.ts";
import { heldStatement } from "./held-statement.ts";
import { sqlContextOf } from "./judging/sql-context.ts";
import { sendErr } from "./local-answer.ts";
import { relayLocalInfile, withheldFile } from "./local-infile.ts";
import { relayResponse } from "./relay.ts";
import { isServerWanted, mayReadDiagnostics, probeSession } from "./session-probe.ts";
import { beginGuarded, endGuarded, type Guard, type GuardedEnd, guardOf } from "./statements/guarded-statement.ts";
import { mayNotPrepare } from "./statements/prepare-limits.ts";
import { type Binding, PreparedStatement } from "./statements/prepared-statements.ts";
import { doubtWall, holdWall } from "./statements/read-only-wall.ts";
import { estimateRows } from "./statements/row-estimates.ts";
import { isSyntaxInDoubt, tellSyntaxError } from "./statements/syntax-check.ts";

export interface StatementRun extends RunningStatement {
  /** The command as it came. */
  readonly packet: Packet;
  readonly command: CommandName;
  readonly shape: ResponseShape;
  /** What a COM_STMT_EXECUTE runs. */
  readonly prepared?: PreparedStatement;
  readonly binding?: Binding;
  /** The connection id a KILL names, as its client knows it. */
  readonly kills?: number;
  /** A text of ours to send instead of the client's packet. */
  readonly rewritten?: Uint8Array;
}

/** Runs a statement once the session is known as far as its judgement asks. Throws only what ends the session. */
export function runStatement(context: CommandContext, run: StatementRun): Promise<void> | undefined {
  const { needsProbe, isSchemaKnown } = context.state;
  const { readsSql } = context.services.judge;
  if (!readsSql || !(needsProbe || isServerWanted(context))) return prepareAndRun(context, run);
  // A question of ours clears the server's diagnostics, which a client may want to see behind a CALL.
  if (!isSchemaKnown && mayReadDiagnostics(run.sql)) return prepareAndRun(context, run);
  return probeSession(context).then(() => prepareAndRun(context, run));
}

function prepareAndRun(context: CommandContext, run: StatementRun): Promise<void> | undefined {
  if (run.isPreparing) {
    // What is pipelined behind a statement that is not prepared must not run the one before.
    context.state.prepared.forgetLast();
    if (mayNotPrepare(context, run.sql.length)) return undefined;
  }
  return context.stages.run(run);
}

export class MysqlStatementWire implements StatementWire<StatementRun, ResponseTracker> {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  judge(run: StatementRun, estimatedRows: Estimate | undefined): Judgement | Promise<Judgement> {
    const { services, state, subject, signal } = this.#context;
    const { command, sql, prepared, binding } = run;
    const request = { command, sql, state, session: subject, estimatedRows, signal };
    if (prepared === undefined || binding === undefined) return services.judge.judge(request);
    return services.judge.judge({ ...request, execution: { ...binding, text: prepared.text } });
  }

  estimate(run: StatementRun, judgement: Judgement): Promise<Estimate> {
    return estimateRows(this.#context, textThatRuns(this.#context, run), judgement);
  }

  lostPeer(): QuerycopError | undefined {
    return this.#context.lostPeer();
  }

  isInDoubt(run: StatementRun, judgement: Judgement): boolean {
    return isSyntaxInDoubt(this.#context, run, judgement);
  }

  tellInstead(run: StatementRun, judgement: Judgement): Promise<boolean> {
    return tellSyntaxError(this.#context, run, judgement);
  }

  objection(judgement: Judgement): ReturnType<typeof withheldFile> {
    return withheldFile(this.#context, judgement);
  }

  seekApproval(
    run: StatementRun,
    judgement: Judgement,
    recordHold: (approvalId: string, expiresInMs: number) => void | Promise<void>,
  ): Promise<Clearance> {
    return seekApproval(this.#context, {
      run,
      held: heldStatement(this.#context, run, judgement),
      judgement,
      recordHold,
    });
  }

  refuse(_run: StatementRun, told: Parameters<CommandContext["client"]["sendErr"]>[0]): void {
    this.#context.client.sendErr(told);
  }

  refuseUnrecorded(_run: StatementRun, error: QuerycopError): void {
    sendErr(this.#context, error);
  }

  meterFor({ shape, rewritten, packet }: StatementRun): ResponseTracker {
    return trackerFor(this.#context, shape, rewritten === undefined ? packet.lastSequenceId : 0);
  }

  async forward(
    run: StatementRun,
    judgement: Judgement,
    permit: Permit,
    tracker: ResponseTracker,
  ): Promise<GuardedEnd> {
    const context = this.#context;
    const guard = run.isPreparing ? undefined : guardOf(context, judgement);
    const wire = wireOf(context, run, guard);
    const wall = holdWall(context, judgement);
    if (wall !== undefined) await wall;
    if (guard !== undefined) await beginGuarded(context, guard);
    if (!context.backend.send(permit, wire)) {
      await context.backend.drainedWithin(context.services.options.backend.writeTimeoutMs);
    }
    let end: GuardedEnd =
      guard === undefined
        ? await relayResponse(context, tracker, judgement)
        : await endGuarded(context, tracker, judgement, guard);
    if (end.outcome === "local-infile") end = await relayFiles(context, tracker, judgement, end);
    context.isInsideResponse = false;
    afterStatement(context, run, judgement, end);
    const heeding = heedReadOnly(context, end);
    if (heeding !== undefined) await heeding;
    return end;
  }
}

/** With the values of an execution as literals; undefined where they cannot be written for certain, or are several. */
function textThatRuns({ state }: CommandContext, { sql, command, prepared, binding }: StatementRun) {
  if (prepared === undefined || prepared.parameters === 0) return sql;
  if ((binding?.rows?.count ?? 1) > 1) return undefined;
  return binding && prepared.text.boundIn(sqlContextOf(state, command), binding.values);
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

function wireOf({ state }: CommandContext, run: StatementRun, guard: Guard | undefined): Wire {
  const { rewritten, packet, command } = run;
  if (rewritten !== undefined) return encodePacket(encodeQuery(rewritten, state.capabilities.flags), 0);
  if (guard === undefined || command !== "COM_STMT_BULK_EXECUTE") return packet.wire;
  // Results by unit tell no count of rows changed, which the guard goes by. Servers may leave them out.
  const payload = packet.payload.slice();
  payload[BULK_FLAGS_AT] = (payload[BULK_FLAGS_AT] as number) & ~SEND_UNIT_RESULTS;
  return encodePacket(payload, packet.sequenceId);
}

/** Behind the command and the statement's id. */
const BULK_FLAGS_AT = 5;

function afterStatement(context: CommandContext, run: StatementRun, judgement: Judgement, end: ResponseEnd): void {
  const { state } = context;
  if (!run.isPreparing) doubtWall(context, judgement);
  if (judgement.dynamicEffect !== undefined) state.dynamicSql.after(judgement.dynamicEffect, end);
  if (run.binding !== undefined) run.prepared?.afterExecution(run.binding, end.outcome !== "err");
  if (end.prepared !== undefined) {
    const { statementId, parameters } = end.prepared;
    // The packet's bytes belong to a socket buffer many times their size: keep a copy of the text alone.
    const text = new MysqlPreparedText(run.sql.slice(), sqlContextOf(state, run.command), parameters);
    state.prepared.add(new PreparedStatement(statementId, text, parameters));
  }
  if (judgement.usesSchema !== undefined && end.outcome === "ok" && !run.isPreparing) {
    state.setSchema(judgement.usesSchema);
  }
  const effect = run.isPreparing ? "none" : judgement.afterwards;
  if (run.prepared !== undefined) run.prepared.fetchEffect = effect;
  state.afterStatement(end, effect);
  state.afterKinds(judgement.statementKind, end.outcome !== "err");
  // The server has nothing to kill where a statement waits here, and has said that this client may kill it.
  if (run.kills !== undefined && end.outcome !== "err") context.services.cancelHold(run.kills);
  if (run.prepared !== undefined) run.prepared.executedAs = state.ordinal;
}
