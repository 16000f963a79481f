/** From the backend to the client: bytes pass as they come, and what they answer is followed. */
import { SYSTEM_CLOCK } from "../../../base/clock.ts";
import { QuerycopError } from "../../../base/errors.ts";
import type { DataLimit } from "../../../policy/limits.ts";
import {
  decodeCommandComplete,
  decodeErrorFields,
  decodeParameterDescription,
  decodeParameterStatus,
  decodeReadyForQuery,
  type ErrorFields,
  encodeErrorResponse,
} from "../../../postgres/backend-message.ts";
import type { BackendPiece, HeldMessage, PassingBytes } from "../../../postgres/backend-walker.ts";
import { MESSAGE_HEADER_BYTES, Span } from "../../../postgres/message.ts";
import { lengthAt } from "../../../postgres/message-reader.ts";
import { ownErrorOf } from "../client-leg.ts";
import { drainedWithin } from "../leg-wait.ts";
import type { StatementRecord } from "../statements/statement-log.ts";
import { Outgoing } from "./outgoing.ts";
import { type Forward, keptTypes, type RelayContext } from "./relay-context.ts";

const letterOf = (text: string): number => text.charCodeAt(0);
const ERROR = letterOf("E");
const PARAMETER_STATUS = letterOf("S");
const READY = letterOf("Z");
const COMMAND_COMPLETE = letterOf("C");
const EMPTY_QUERY = letterOf("I");
const ROW = letterOf("D");
const PORTAL_SUSPENDED = letterOf("s");
const COPY_DONE = letterOf("c");
const ROW_DESCRIPTION = letterOf("T");
const PARSE_COMPLETE = letterOf("1");
const PARAMETER_DESCRIPTION = letterOf("t");
const BIND_COMPLETE = letterOf("2");
const CLOSE_COMPLETE = letterOf("3");

const FATAL: ReadonlySet<string> = new Set(["FATAL", "PANIC"]);

export class BackendRelay {
  readonly #context: RelayContext;
  readonly #outgoing: Outgoing;
  /** Of ours, to be put in between two messages. */
  readonly #asides: Uint8Array[] = [];
  /** What the message that is passing answers. */
  #passing: Forward | undefined;
  /** The message that is passing is left out. */
  #isDropping = false;
  /** Whose response the data guard counts. */
  #counted: StatementRecord | undefined;
  /** The backend has said why it ends the connection. */
  hasSaidFarewell = false;
  /** All that it has said has been taken. */
  isAwaiting = false;

  constructor(context: RelayContext) {
    this.#context = context;
    this.#outgoing = new Outgoing((bytes) => context.client.send(bytes));
  }

  /** A message of ours to the client, as soon as none of the backend's is under way. */
  say(wire: Uint8Array): void {
    this.#asides.push(wire);
    if (this.isBetweenMessages) this.#sayAsides();
  }

  /** It has said something of the answer that is under way, or of one message of it. */
  get isInsideAnswer(): boolean {
    return !this.#context.backend.walker.isBetweenMessages || this.#context.queue.head?.tag.record?.isBegun === true;
  }

  /** Nothing of the backend's is half sent. */
  get isBetweenMessages(): boolean {
    return this.#outgoing.isEmpty && (this.#passing === undefined || this.#isDropping);
  }

  /** Runs until the backend has closed. Throws what ends the session before. */
  async run(): Promise<void> {
    const { backend, client, services } = this.#context;
    // What came behind the login's ReadyForQuery.
    this.#takePieces();
    for (;;) {
      const chunk = backend.takeChunk();
      if (chunk !== undefined) {
        backend.walker.push(chunk);
        const isTaken = this.#takePieces();
        if (client.leg.isDead) continue;
        if (!isTaken) await drainedWithin(client.leg, services.options.writeTimeoutMs);
        this.#context.progressed();
        continue;
      }
      if (backend.failure !== undefined) throw backend.failure;
      if (backend.isFinished) return;
      this.isAwaiting = true;
      await backend.nextEvent();
      this.isAwaiting = false;
    }
  }

  /** All that the chunk holds goes out in one write. False means: wait for the drain before taking more. */
  #takePieces(): boolean {
    const { walker } = this.#context.backend;
    let isTaken = true;
    try {
      for (let piece = walker.next(); piece !== undefined; piece = walker.next()) this.#take(piece);
    } finally {
      isTaken = this.#outgoing.flush();
    }
    return this.#asides.length === 0 ? isTaken : this.#sayAsides() && isTaken;
  }

  #sayAsides(): boolean {
    for (const aside of this.#asides.splice(0)) this.#outgoing.add(aside);
    return this.#outgoing.flush();
  }

  #take(piece: BackendPiece): void {
    if (piece.kind === "passing") {
      this.#pass(piece);
      return;
    }
    const { type } = piece;
    const { queue } = this.#context;
    const error = type === ERROR ? decodeErrorFields(piece.body) : undefined;
    const isFatal = error !== undefined && FATAL.has(error.severity);
    const { to, isRefusal } = queue.answer(type, isFatal);
    if (isFatal) this.hasSaidFarewell = true;
    const tag = to?.tag;
    if (tag?.notice !== undefined) this.#tell(tag);
    const cut = tag?.record?.cut;
    if (cut !== undefined && !isFatal && this.#endCut(type, cut.error)) {
      // Said in its place.
    } else if (isRefusal && tag?.refusal !== undefined) this.#outgoing.add(encodeErrorResponse(tag.refusal));
    else this.#outgoing.add(error === undefined || isFatal ? piece : this.#explained(piece, error));
    if (tag?.record !== undefined) tag.record.bytes += piece.length;
    this.#follow(piece, tag, error?.code, to?.name);
  }

  #explained(message: HeldMessage, error: ErrorFields): Uint8Array | Span {
    return this.#context.dsql?.errorFor(message.wire, error) ?? message;
  }

  #pass(piece: PassingBytes): void {
    const { type, begun, ended } = piece;
    if (begun > 0) {
      const { to, isRefusal } = this.#context.queue.answer(type);
      if (isRefusal) throw new QuerycopError("QC_BACKEND_PROTOCOL", "The backend refused with an error of over 1 MiB");
      this.#passing = to?.tag ?? NOBODY;
      if (this.#passing.notice !== undefined) this.#tell(this.#passing);
    }
    const record = this.#passing?.record;
    if (record === undefined) this.#outgoing.add(piece);
    else if (begun > 0) this.#begin(record, piece);
    else if (!this.#isDropping) this.#count(record, piece, 0);
    if (ended >= begun && ended > 0) this.#passing = undefined;
  }

  /** Lets pass what the limits leave room for. Messages that do not fit are left out whole, and the statement is stopped. */
  #begin(record: StatementRecord, piece: PassingBytes): void {
    const { type, begun, ended, bytes: chunk, start } = piece;
    const { dataGuard } = this.#context;
    record.isBegun = true;
    if (this.#counted !== record) dataGuard.beginResponse();
    this.#counted = record;
    const rowsIn = (messages: number): number => (type === ROW ? messages : 0);
    // Of one that has only begun, all that it will be.
    const bytes = ended < begun ? 1 + lengthAt(chunk, start + 1) : piece.length;
    const limit = record.cut === undefined ? dataGuard.limitPassedBy(bytes, rowsIn(begun)) : undefined;
    this.#isDropping = (limit !== undefined || record.cut !== undefined) && ended < begun;
    if (record.cut !== undefined) return;
    if (limit === undefined) {
      this.#count(record, piece, rowsIn(begun));
      return;
    }
    let at = 0;
    let fitting = 0;
    for (; fitting < ended; fitting++) {
      const end = at + 1 + lengthAt(chunk, start + at + 1);
      if (dataGuard.limitPassedBy(end, rowsIn(fitting + 1)) !== undefined) break;
      at = end;
    }
    this.#count(record, new Span(chunk, start, start + at), rowsIn(fitting));
    this.#cutOff(record, limit);
  }

  #count(record: StatementRecord, span: Span, rows: number): void {
    record.bytes += span.length;
    record.rows += rows;
    record.job?.add(span.wire);
    this.#context.dataGuard.forwarded(span.length, record.rows);
    this.#outgoing.add(span);
  }

  #cutOff(record: StatementRecord, limit: DataLimit): void {
    const { dataGuard, services, log, cancelRunning } = this.#context;
    dataGuard.cut(limit, record);
    const error = dataGuard.errorFor(limit);
    record.cut = { limit, error };
    services.dataGuardCounts.responsesCutOff++;
    const isOver = dataGuard.limits.limitAction === "terminate";
    log.limitReached(record.ordinal, isOver ? "terminated" : "cut-off", limit, record);
    cancelRunning();
    if (!isOver) return;
    // What came before it was whole.
    this.#passing = undefined;
    throw error;
  }

  /** What ends a response that was cut off: its error in place of the server's. Throws where the server had finished it. */
  #endCut(type: number, error: QuerycopError): boolean {
    if (type === COPY_DONE) return true;
    if (type === COMMAND_COMPLETE || type === PORTAL_SUSPENDED) throw error;
    if (type !== ERROR) return false;
    this.#outgoing.add(encodeErrorResponse(ownErrorOf(error, "ERROR")));
    return true;
  }

  /** A warning stands in front of what it is about. */
  #tell(tag: Forward): void {
    if (tag.notice !== undefined) this.#outgoing.add(tag.notice);
    delete tag.notice;
  }

  #follow(
    message: HeldMessage,
    tag: Forward | undefined,
    sqlState: string | undefined,
    answered: string | undefined,
  ): void {
    const { facts, statements, portals } = this.#context;
    const { type } = message;
    if (type === PARAMETER_STATUS) {
      facts.take(decodeParameterStatus(message.body));
      return;
    }
    if (type === READY) {
      this.#ready(message.body, tag, answered);
      return;
    }
    if (tag === undefined) return;
    if (type === PARSE_COMPLETE || type === BIND_COMPLETE || type === CLOSE_COMPLETE) {
      if (tag.statement !== undefined) statements.confirm(tag.statement);
      if (tag.portal !== undefined) portals.confirm(tag.portal);
    }
    if (type === PARAMETER_DESCRIPTION && tag.described !== undefined) {
      tag.described.parameterTypes = keptTypes(decodeParameterDescription(message.body), tag.described.sql);
    }
    if (tag.record !== undefined) this.#account(message, tag.record, sqlState, answered);
  }

  /** What the answer says of the statement. A Query is over with its ReadyForQuery, a Bind with what Execute brings. */
  #account(
    message: HeldMessage,
    record: StatementRecord,
    sqlState: string | undefined,
    answered: string | undefined,
  ): void {
    const { log } = this.#context;
    const { type } = message;
    record.isBegun = true;
    if (type === ERROR) {
      record.sqlState = sqlState;
      if (answered !== "Query") log.finish(record, "error");
    } else if (type === COMMAND_COMPLETE) {
      this.#completed(message, record);
      if (answered === "Execute") log.finish(record, "ok");
    } else if (type === ROW_DESCRIPTION) {
      record.resultSets++;
    } else if (type === PARSE_COMPLETE || (type === EMPTY_QUERY && answered === "Execute")) {
      log.finish(record, "ok");
    }
  }

  #completed(message: HeldMessage, record: StatementRecord): void {
    const { dsql, backend } = this.#context;
    if (dsql === undefined && isOfRowsSent(message)) return;
    const { tag, rows = 0 } = decodeCommandComplete(message.body);
    if (!isOfRowsSent(message)) record.affectedRows += rows;
    for (const notice of dsql?.completed(tag, rows, backend.bytesWritten) ?? []) this.#outgoing.add(notice);
  }

  #ready(body: Uint8Array, tag: Forward | undefined, answered: string | undefined): void {
    const context = this.#context;
    const { facts, log, queue } = context;
    facts.status = decodeReadyForQuery(body);
    context.lastActivityMs = SYSTEM_CLOCK.monotonicMs();
    context.dsql?.ready(facts.isInTransaction);
    if (tag === undefined) return;
    if (answered === "Sync") {
      context.unitEnded = tag.unit;
      context.statements.endUnit(tag.unit);
      context.portals.endUnit(tag.unit);
      log.endUnit(tag.unit, facts.isInTransaction);
    } else if (tag.record !== undefined) {
      log.finish(tag.record, tag.record.sqlState === undefined ? "ok" : "error");
    }
    if (!facts.isInTransaction) context.portals.clearSettled();
    if (queue.isIdle) {
      facts.isUnsettled = false;
      facts.isPathUnsettled = false;
    }
  }
}

const NOBODY: Forward = { unit: 0 };

const SELECT = letterOf("S");
const FETCH = letterOf("F");

/** `SELECT 3` and `FETCH 3`: the number stands in the record already. No other tag with a number begins so. */
function isOfRowsSent({ bytes, start }: HeldMessage): boolean {
  const first = bytes[start + MESSAGE_HEADER_BYTES];
  return first === SELECT || first === FETCH;
}
