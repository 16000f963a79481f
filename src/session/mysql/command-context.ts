/** What the commands of one session share, and the few events that reach it from its legs. */
import type { AuditEvent, AuditSession } from "../../audit/audit-event.ts";
import { SYSTEM_CLOCK } from "../../base/clock.ts";
import { type CloseReason, QuerycopError } from "../../base/errors.ts";
import { CLIENT_MULTI_STATEMENTS, PACKET_HEADER_BYTES, PACKET_PAYLOAD_MAX } from "../../mysql/constants.ts";
import { decodeErrPacket, encodeErrPacket } from "../../mysql/generic-response.ts";
import type { HandshakeV10 } from "../../mysql/handshake.ts";
import { encodePacket, PacketReader } from "../../mysql/packet.ts";
import type { ResponseTracker } from "../../mysql/response.ts";
import type { CancelReason } from "../../policy/approvals.ts";
import { mayHoldSecret } from "../../sql/mysql/digest/secrets.ts";
import type { BackendGate } from "../backend-gate.ts";
import { DataGuard } from "../limits/data-guard.ts";
import { tellLimit } from "../limits/data-guard-record.ts";
import type { SessionMemory } from "../session-memory.ts";
import type { SessionServices } from "../session-services.ts";
import type { JudgedStatement } from "../session-view.ts";
import type { Judgement, SessionSubject } from "../statement/statement-judge.ts";
import type { Fetching } from "../statement/statement-session.ts";
import { type StagedSession, StatementStages } from "../statement/statement-stages.ts";
import { dialectOf, sessionSubject } from "./judging/sql-context.ts";
import type { ClientPeer } from "./login/client-peer.ts";
import type { ClientLogin, EstablishedSession } from "./login/connection-phase.ts";
import { SessionState } from "./session-state.ts";
import { MysqlStatementWire, type StatementRun } from "./statement-wire.ts";

export interface CommandContextOptions {
  readonly services: SessionServices;
  readonly client: ClientPeer;
  readonly memory: SessionMemory;
  readonly established: EstablishedSession;
  readonly sessionLabel: string;
  readonly clientAddress: string;
  readonly signal: AbortSignal;
  /** Throws QC_TOO_MANY_USER_CONNECTIONS when the user may not have one more. */
  readonly becomeUser: (user: string) => void;
  readonly auditSession: () => AuditSession;
  readonly record: (event: AuditEvent) => void | Promise<void>;
}

export class CommandContext implements StagedSession {
  readonly clock = SYSTEM_CLOCK;
  readonly dataGuard: DataGuard;
  readonly services: SessionServices;
  /** What a statement goes through. */
  readonly stages: StatementStages<StatementRun, ResponseTracker> = new StatementStages(
    this,
    new MysqlStatementWire(this),
  );
  readonly client: ClientPeer;
  readonly backend: BackendGate;
  readonly memory: SessionMemory;
  readonly state = new SessionState();
  readonly subject: SessionSubject;
  readonly sessionLabel: string;
  readonly clientAddress: string;
  readonly signal: AbortSignal;
  readonly becomeUser: (user: string) => void;
  readonly auditSession: () => AuditSession;
  readonly record: (event: AuditEvent) => void | Promise<void>;
  /** The login in force: of the handshake, or of the last COM_CHANGE_USER. */
  login: ClientLogin;
  readonly backendGreeting: HandshakeV10;
  readonly backendIsSecure: boolean;
  readonly backendFlags: number;
  isIdle = false;
  hasQuit = false;
  /** True once its server has become a reader where only the writer will do: the session ends at the next rest. */
  isLeaving = false;
  /** True from the first byte of a response to its last: nothing of ours may be written then. */
  isInsideResponse = false;
  /** True when the command at hand has no response: an error would be read as the answer to the next one. */
  isUnanswerable = false;
  /** Present while a statement of this session waits for an approval. */
  cancelHold: ((reason: CancelReason) => void) | undefined;
  lastActivityMs: number = SYSTEM_CLOCK.monotonicMs();
  /** The statement judged last, with the number of its command and since when. */
  judged: JudgedStatement | undefined;
  /** The cursor whose rows the command under way fetches. */
  fetching: Fetching | undefined;
  /** Why the session ends where no error says so. */
  endReason: CloseReason | undefined;

  constructor(options: CommandContextOptions) {
    const { established, services } = options;
    this.services = services;
    const clock = services.clock ?? SYSTEM_CLOCK;
    this.dataGuard = new DataGuard({
      limits: services.options.dataGuard,
      users: services.userWindows,
      user: () => this.state.user,
      clock,
      holdBackBytes: PACKET_PAYLOAD_MAX + 2 * PACKET_HEADER_BYTES,
      notify: (notice) => tellLimit(this, notice),
    });
    this.client = options.client;
    this.memory = options.memory;
    this.state.prepared.onKept = (bytes) => this.memory.keep(bytes);
    this.backend = established.backend;
    this.sessionLabel = options.sessionLabel;
    this.clientAddress = options.clientAddress;
    this.signal = options.signal;
    this.becomeUser = options.becomeUser;
    this.auditSession = options.auditSession;
    this.record = options.record;
    this.login = established.login;
    this.backendGreeting = established.backendGreeting;
    this.backendIsSecure = established.backendIsSecure;
    this.backendFlags = established.backendFlags;
    const { clientAddress, client } = options;
    this.subject = sessionSubject(services.options, { clientAddress, isTls: client.tls !== undefined });
    this.state.capabilities = established.login.capabilities;
    this.state.allowsMultiStatements = (established.login.capabilities.flags & CLIENT_MULTI_STATEMENTS) !== 0;
    const { dialect, version } = dialectOf(established.backendGreeting.serverVersion);
    this.state.dialect = dialect;
    this.state.serverVersionNumber = version;
    this.loggedIn(established.login, established.ok.statusFlags, established.ok.sessionState?.schema);
  }

  #brief: AuditSession | undefined;
  #briefOf: AuditSession | undefined;

  /** For records that belong to one that has all of it: enough to find them by, a third of the bytes. */
  briefAuditSession(): AuditSession {
    const session = this.auditSession();
    if (this.#brief !== undefined && this.#briefOf === session) return this.#brief;
    const { id, clientAddress, user, backendConnectionId } = session;
    this.#briefOf = session;
    this.#brief = { id, clientAddress, user, backendConnectionId };
    return this.#brief;
  }

  get ordinal(): number {
    return this.state.ordinal;
  }

  get user(): string {
    return this.state.user;
  }

  get isInTransaction(): boolean {
    return this.state.isInTransaction;
  }

  get isHeld(): boolean {
    return this.cancelHold !== undefined;
  }

  get isClientGone(): boolean {
    return this.client.leg.isDead;
  }

  mayHoldSecret({ text, statementKind, isUnderstood }: Judgement): boolean {
    return mayHoldSecret(text, statementKind?.split(",") ?? ["unknown"], isUnderstood === true);
  }

  /** Whom a line of the log is about. */
  logFields(): Record<string, unknown> {
    return { session: this.sessionLabel, user: this.state.user, client: this.clientAddress };
  }

  /** Takes over a login: the handshake's or COM_CHANGE_USER's. */
  loggedIn(login: ClientLogin, statusFlags: number, schema: string | undefined): void {
    this.login = login;
    this.state.reset();
    this.state.user = login.response.user;
    this.state.statusFlags = statusFlags;
    this.state.variables.schema = schema ?? login.response.schema;
  }

  /** The backend is gone. A client that waits for nothing is told by the end of its connection, as by a server. */
  backendDied(): void {
    this.cancelHold?.("backend-closed");
    if (!this.isIdle || this.client.leg.isDead) return;
    this.endReason ??= "backend-closed";
    this.client.leg.destroy();
  }

  /**
   * The backend spoke though nothing was asked. Servers do that once: an error (4031, 1927) before they close an idle
   * connection. That is passed on; anything else would become the answer to a question not yet put.
   */
  backendSpokeUnasked(): void {
    this.cancelHold?.("backend-closed");
    if (!this.isIdle) return;
    const chunk = this.backend.takeChunk();
    const farewell = chunk === undefined ? undefined : readFarewell(chunk);
    this.endReason ??= chunk === undefined || farewell !== undefined ? "backend-closed" : "backend-protocol";
    if (farewell !== undefined) this.client.leg.write(encodePacket(encodeErrPacket(farewell), 0));
    else if (chunk !== undefined) {
      this.services.logger.warn("backend spoke out of turn", { client: this.clientAddress, bytes: chunk.length });
    }
    this.backend.destroy();
    this.client.leg.end();
  }

  /** Its server is not the one that is wanted: the session ends as soon as nothing is lost by that. */
  leave(): void {
    this.isLeaving = true;
    if (this.isIdle && !this.isInTransaction) this.client.leg.goOn();
  }

  /** Why a statement must not be sent any more that was looked at for a while; undefined when it may. */
  lostPeer(): QuerycopError | undefined {
    if (this.hasQuit || this.signal.aborted || this.client.leg.isDead) {
      return new QuerycopError("QC_CLIENT_CLOSED", "The client left while its statement was judged");
    }
    // SAFETY: what the backend says before it is asked must not become the answer.
    if (!this.backend.isDead && !this.backend.isEnded && !this.backend.hasUnread) return undefined;
    const text = "The backend closed the connection while a statement was judged; it has not run";
    return new QuerycopError("QC_BACKEND_CLOSED", text);
  }

  close(): void {
    this.backend.destroy();
  }
}

function readFarewell(chunk: Uint8Array): ReturnType<typeof decodeErrPacket> | undefined {
  try {
    const reader = new PacketReader({ sender: "backend", payloadBytesMax: 64 * 1024 });
    reader.push(chunk);
    const packet = reader.next();
    return packet?.payload[0] === 0xff && packet.sequenceId === 0 ? decodeErrPacket(packet.payload) : undefined;
  } catch {
    return undefined;
  }
}
