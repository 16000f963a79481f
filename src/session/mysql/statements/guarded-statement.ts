/**
 * A statement that may change so many rows and no more. In autocommit mode it runs inside a transaction of querycop's own:
 *
 *   START TRANSACTION ─► the client's statement ─┬─ ERR ────────────────► ROLLBACK ─► its ERR
 *                                                ├─ OK, too many rows ──► ROLLBACK ─► an ERR of ours
 *                                                └─ OK ─► COMMIT ─┬─ OK ─► its OK, with the flags of the COMMIT
 *                                                                 └─ ERR ─► the COMMIT's ERR
 *
 * and in a transaction of the client's behind a savepoint, which stays: nothing of ours runs behind what is kept.
 *
 *   SAVEPOINT ─► the client's statement ─┬─ OK, too many rows ─► ROLLBACK TO SAVEPOINT ─► an ERR of ours
 *                                        └─ OK or ERR ─► its own answer
 */
import { concatBytes } from "../../../base/bytes.ts";
import { QuerycopError } from "../../../base/errors.ts";
import {
  PACKET_HEADER_BYTES,
  SERVER_STATUS_IN_TRANS,
  SERVER_STATUS_IN_TRANS_READONLY,
} from "../../../mysql/constants.ts";
import {
  decodeOkPacket,
  type ErrPacket,
  encodeErrPacket,
  encodeOkPacket,
  type SessionState as ReportedState,
} from "../../../mysql/generic-response.ts";
import { encodePacket } from "../../../mysql/packet.ts";
import type { ResponseEnd, ResponseTracker } from "../../../mysql/response.ts";
import { decodingFrom } from "../../malformed.ts";
import type { Judgement } from "../../statement/statement-judge.ts";
import type { CommandContext } from "../command-context.ts";
import { errPacketOf } from "../local-answer.ts";
import { readAnswer, runOwn } from "./own-statement.ts";

/** How a statement ended that was taken back. */
export interface GuardedEnd extends ResponseEnd {
  readonly isRolledBack?: boolean;
}

/** A later one of the same name takes its place, so that a transaction has one at most. */
const SAVEPOINT = "querycop_impact_guard";
/** completion_type may chain transactions or end the connection: not ours. */
const COMMIT = "COMMIT AND NO CHAIN NO RELEASE";
const ROLLBACK = "ROLLBACK AND NO CHAIN NO RELEASE";
const ROLLBACK_TO_SAVEPOINT = `ROLLBACK TO SAVEPOINT ${SAVEPOINT}`;

/** How many rows the statement may change, and what it is taken back by. */
export interface Guard {
  readonly rowsMax: number;
  readonly by: "transaction" | "savepoint";
}

/** Undefined where the statement is not to be guarded, or cannot be: the policy has then said what becomes of it. */
export function guardOf({ state }: CommandContext, { impact }: Judgement): Guard | undefined {
  const rowsMax = impact?.changedRowsMax;
  if (rowsMax === undefined || !state.canTakeBack) return undefined;
  return { rowsMax, by: state.isAutocommitted ? "transaction" : "savepoint" };
}

/** Throws, which ends the session, where the server begins no transaction: the statement is then not sent. */
export async function beginGuarded(context: CommandContext, { by }: Guard): Promise<void> {
  const isOwn = by === "transaction";
  const [purpose, sql] = isOwn ? ["guard-begin", "START TRANSACTION"] : ["guard-savepoint", `SAVEPOINT ${SAVEPOINT}`];
  const { outcome, errorNumber } = await runOwn(context, purpose, sql);
  if (outcome === "ok") return;
  const what = isOwn ? "transaction" : "savepoint";
  throw new QuerycopError("QC_IMPACT_GUARD", `The backend refused to begin a ${what}: error ${errorNumber}`, {
    clientMessage: `querycop: impact guard: the server began no ${what}, so the statement was not sent`,
  });
}

/** Reads the answer to the guarded statement, ends the transaction, and answers the client. */
export async function endGuarded(
  context: CommandContext,
  tracker: ResponseTracker,
  judgement: Judgement,
  { rowsMax, by }: Guard,
): Promise<GuardedEnd> {
  const chunks: Uint8Array[] = [];
  const end = await readAnswer(context, tracker, (chunk) => chunks.push(chunk));
  const wire = concatBytes(chunks);
  if (by === "savepoint" && (end.outcome !== "ok" || end.affectedRows <= rowsMax)) {
    if (end.outcome === "ok") context.services.metrics.impactGuard.of("kept").value++;
    answer(context, wire);
    return end;
  }
  if (end.outcome !== "ok") {
    const { statusFlags } = await runOwn(context, "guard-rollback", ROLLBACK);
    answer(context, wire);
    return { ...end, statusFlags };
  }
  if (end.affectedRows > rowsMax) return await takeBack(context, end, judgement, { rowsMax, by });
  const committed = await runOwn(context, "guard-commit", COMMIT);
  if (committed.outcome === "err") {
    answerErr(context, end, {
      errorNumber: committed.errorNumber ?? 0,
      sqlState: committed.sqlState ?? "HY000",
      message: committed.errorMessage ?? "",
    });
    return { ...committed, lastSequenceId: end.lastSequenceId };
  }
  context.services.metrics.impactGuard.of("committed").value++;
  return committedOk(context, wire, end, committed);
}

async function takeBack(
  context: CommandContext,
  end: ResponseEnd,
  judgement: Judgement,
  { rowsMax, by }: Guard,
): Promise<GuardedEnd> {
  const rolledBack = await runOwn(context, "guard-rollback", by === "transaction" ? ROLLBACK : ROLLBACK_TO_SAVEPOINT);
  if (by === "savepoint" && rolledBack.outcome !== "ok") throw notTakenBack(rolledBack);
  context.services.metrics.impactGuard.of("rolled-back").value++;
  const isWhole = rolledBack.outcome === "ok" && rolledBack.warnings === 0;
  const what = isWhole ? "rolled back" : "but the server could not take back all of it (tables without transactions)";
  const error = new QuerycopError(
    "QC_IMPACT_GUARD",
    `querycop: impact guard: ${end.affectedRows} rows changed, max_changed_rows is ${rowsMax}: ${what}. ` +
      `Narrow the statement down, or work in parts [decision ${judgement.decisionId}]`,
  );
  context.services.logger.warn("impact guard rolled a statement back", {
    ...context.logFields(),
    rows: Number(end.affectedRows),
    rowsMax,
    isWhole,
  });
  answerErr(context, end, errPacketOf(error));
  const { errorNumber, sqlState, clientMessage: errorMessage } = error;
  const told = { outcome: "err", errorNumber, sqlState, errorMessage } as const;
  return { ...end, ...told, statusFlags: rolledBack.statusFlags, isRolledBack: isWhole };
}

/** With the session its transaction ends, and with that the change. */
function notTakenBack({ errorNumber }: ResponseEnd): QuerycopError {
  return new QuerycopError("QC_IMPACT_GUARD", `The backend refused to go back to a savepoint: error ${errorNumber}`, {
    clientMessage: "querycop: impact guard: too many rows changed, and the server did not go back to the savepoint",
  });
}

/**
 * The statement's own OK_Packet, but with the flags and the session state after the COMMIT: its own say that a
 * transaction is open, which the client has not begun.
 */
function committedOk(context: CommandContext, wire: Uint8Array, end: ResponseEnd, committed: ResponseEnd): GuardedEnd {
  const { flags } = context.state.capabilities;
  const ok = decodingFrom("backend", () => decodeOkPacket(wire.subarray(PACKET_HEADER_BYTES), flags));
  const inTransaction = SERVER_STATUS_IN_TRANS | SERVER_STATUS_IN_TRANS_READONLY;
  const ofStatement = ok.statusFlags & ~inTransaction;
  const sessionState = mergeStates(ok.sessionState, committed.sessionState);
  const statusFlags = ofStatement | ((committed.statusFlags ?? 0) & inTransaction);
  if (committed.sessionState === undefined) {
    answer(context, withStatusFlags(wire, statusFlags));
  } else {
    const payload = encodeOkPacket(
      { ...ok, statusFlags, ...(sessionState === undefined ? {} : { sessionState }) },
      flags,
    );
    answer(context, encodePacket(payload, wire[PACKET_HEADER_BYTES - 1] as number));
  }
  return { ...end, statusFlags, sessionState };
}

/** The flags stand behind two lengths: page_protocol_basic_ok_packet. Every other byte stays the server's. */
function withStatusFlags(wire: Uint8Array, statusFlags: number): Uint8Array {
  const changed = wire.slice();
  let at = PACKET_HEADER_BYTES + 1;
  for (let field = 0; field < 2; field++) at += lenencBytes(changed[at] as number);
  changed[at] = statusFlags & 0xff;
  changed[at + 1] = statusFlags >>> 8;
  return changed;
}

function lenencBytes(first: number): number {
  if (first < 0xfb) return 1;
  return first === 0xfc ? 3 : first === 0xfd ? 4 : 9;
}

function mergeStates(earlier: ReportedState | undefined, later: ReportedState | undefined): ReportedState | undefined {
  if (earlier === undefined || later === undefined) return later ?? earlier;
  const systemVariables = new Map([...earlier.systemVariables, ...later.systemVariables]);
  return { ...earlier, ...later, systemVariables };
}

function answerErr(context: CommandContext, end: ResponseEnd, err: ErrPacket): void {
  answer(context, encodePacket(encodeErrPacket(err), end.lastSequenceId));
}

function answer(context: CommandContext, wire: Uint8Array): void {
  context.dataGuard.forwarded(wire.length, 0);
  context.client.leg.write(wire);
}
