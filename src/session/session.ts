/** One client connection from start to end: owns both legs, says why it ended, and leaves exactly one disconnect record. */
import type { AuditEvent, AuditSession } from "../audit/audit-event.ts";
import { recordBestEffort } from "../audit/best-effort.ts";
import { SYSTEM_CLOCK } from "../base/clock.ts";
import { type CloseReason, QuerycopError, toQuerycopError } from "../base/errors.ts";
import type { ErrPacket } from "../mysql/generic-response.ts";
import { Leg } from "../net/leg.ts";
import type { Transport } from "../net/transport.ts";
import { BackendRefusal } from "./authentication.ts";
import { LOGIN_PACKET_BYTES_MAX } from "./backend-login.ts";
import { ClientPeer } from "./client-peer.ts";
import { CommandContext } from "./command-context.ts";
import { serveCommands } from "./command-phase.ts";
import { type ClientLogin, type EstablishedSession, runConnectionPhase } from "./connection-phase.ts";
import { stopStatement } from "./discarded-response.ts";
import { errPacketOf } from "./local-answer.ts";
import { malformedFrom } from "./malformed.ts";
import type { SessionServices } from "./session-services.ts";

/** Milliseconds a response may still run to its end, for the record, after its client has gone. */
const ORPHANED_RESPONSE_MS = 5_000;
/** Milliseconds to let a client read our last words before its socket is destroyed. */
const LINGER_MS = 2_000;

/** What an operator sees of a session. */
export interface SessionView {
  /** As in the audit log: unique over restarts. */
  readonly id: string;
  readonly listener: string;
  readonly clientAddress: string;
  readonly clientTls: string | undefined;
  readonly user: string | undefined;
  readonly backend: string;
  readonly backendConnectionId: number | undefined;
  readonly schema: string | undefined;
  readonly program: string | undefined;
  readonly state: "login" | "idle" | "busy";
  readonly isInTransaction: boolean;
  readonly commands: number;
  readonly bytesToClient: number;
  readonly bytesToBackend: number;
  readonly ageSeconds: number;
  readonly silentSeconds: number;
}

export class Session {
  readonly id: number;
  readonly clientAddress: string;
  readonly #services: SessionServices;
  readonly #client: ClientPeer;
  readonly #abort = new AbortController();
  readonly #startedMs = SYSTEM_CLOCK.monotonicMs();
  #phase: "login" | "commands" | "ended" = "login";
  #login: ClientLogin | undefined;
  #commands: CommandContext | undefined;
  #closeReason: CloseReason | undefined;
  #backendConnectionId: number | undefined;
  #slotUser: string | undefined;
  #halfClosed: ReturnType<typeof setInterval> | undefined;

  constructor(id: number, transport: Transport, services: SessionServices) {
    this.id = id;
    this.#services = services;
    this.clientAddress = transport.remoteAddress ?? "unix";
    const leg = new Leg("client", transport, LOGIN_PACKET_BYTES_MAX);
    this.#client = new ClientPeer(leg, transport.remoteAddress === undefined, services.options.handshakeTimeoutMs);
    leg.onDead(() => this.#clientDied());
    leg.onEnd(() => this.#clientEnded());
  }

  /** The connection id in the greeting this client got; what it would name in KILL QUERY. */
  get greetedConnectionId(): number | undefined {
    return this.#login?.greeting.connectionId;
  }

  get backendConnectionId(): number | undefined {
    return this.#backendConnectionId;
  }

  get user(): string | undefined {
    return this.#commands?.state.user ?? this.#login?.response.user;
  }

  /** Milliseconds of silence after which an idle session ends; 0 for never. */
  get idleLimitMs(): number {
    return this.#services.options.idleTimeoutMs;
  }

  get lastActivityMs(): number {
    return this.#commands?.lastActivityMs ?? this.#startedMs;
  }

  /** True between two commands outside a transaction: nothing is lost when it ends here. */
  get isAtRest(): boolean {
    return this.#commands?.isIdle === true && !this.#commands.state.isInTransaction;
  }

  get bytesToClient(): number {
    return this.#client.leg.bytesWritten;
  }

  get bytesToBackend(): number {
    return this.#commands?.backend.bytesWritten ?? 0;
  }

  get isIdle(): boolean {
    return this.#commands?.isIdle === true;
  }

  view(): SessionView {
    const { id, listener, clientAddress, clientTls, user, backend, backendConnectionId, schema, program } =
      this.#auditSession();
    const nowMs = SYSTEM_CLOCK.monotonicMs();
    const busyOrIdle = this.isIdle ? "idle" : "busy";
    return {
      id,
      listener: listener ?? "",
      clientAddress,
      clientTls,
      user,
      backend: backend ?? "",
      backendConnectionId,
      schema,
      program,
      state: this.#phase === "commands" ? busyOrIdle : "login",
      isInTransaction: this.#commands?.state.isInTransaction ?? false,
      commands: this.#commands?.state.ordinal ?? 0,
      bytesToClient: this.bytesToClient,
      bytesToBackend: this.bytesToBackend,
      ageSeconds: Math.floor((nowMs - this.#startedMs) / 1000),
      silentSeconds: this.isIdle ? Math.floor((nowMs - this.lastActivityMs) / 1000) : 0,
    };
  }

  /** host:port: connection ids mean something among the sessions of one backend only. */
  get backendAddress(): string {
    const { host, port } = this.#services.options.backend;
    return `${host}:${port}`;
  }

  /** A KILL for a statement that waits for an approval. */
  cancelHold(): void {
    this.#commands?.cancelHold?.("killed");
  }

  /**
   * As an operator wants it: a statement that runs is stopped first, where there is a token to do that with, for a server
   * goes on with it until it notices that the connection is gone.
   */
  kill(): void {
    const context = this.#commands;
    if (context === undefined || this.isIdle || context.cancelHold !== undefined) {
      this.close("killed");
      return;
    }
    this.#closeReason ??= "killed";
    // No statement comes behind the one that runs: the kill cannot meet another.
    context.hasQuit = true;
    const end = (): void => this.close("killed");
    stopStatement(context).then(end, end);
  }

  /** Ends the session now, whatever it is doing. */
  close(reason: CloseReason): void {
    this.#closeReason ??= reason;
    if (this.#commands !== undefined) this.#commands.hasQuit = true;
    this.#abort.abort();
    this.#commands?.cancelHold?.("session-ended");
    this.#client.leg.end();
    this.#commands?.backend.destroy();
    if (this.#phase !== "commands" || this.isIdle) this.#client.leg.destroy();
  }

  /** Runs to the end and never rejects. */
  async run(): Promise<void> {
    let failure: QuerycopError | undefined;
    try {
      // SAFETY: who cannot be recorded is not let in. In mode durable the login's record waits for the disk.
      const recorded = this.#services.audit.append({ type: "connect", session: this.#auditSession() });
      if (recorded instanceof Promise) recorded.catch(() => undefined);
      const established = await this.#logIn();
      this.#phase = "commands";
      await this.#serveCommands(established);
    } catch (thrown) {
      failure = this.#failureOf(thrown);
    }
    await this.#finish(failure);
  }

  /** Takes a place among the user's connections, and gives back the one held as somebody else. */
  #becomeUser(user: string): void {
    if (user === this.#slotUser) return;
    const { userSlots } = this.#services;
    userSlots.take(user);
    if (this.#slotUser !== undefined) userSlots.release(this.#slotUser);
    this.#slotUser = user;
  }

  async #logIn(): Promise<EstablishedSession> {
    const established = await runConnectionPhase({
      services: this.#services,
      client: this.#client,
      sessionLabel: this.label,
      clientAddress: this.clientAddress,
      signal: this.#abort.signal,
      onIdentified: (login) => {
        this.#login = login;
        this.#services.userSlots.requireRoom(login.response.user);
      },
      onLoggedIn: (login) => this.#becomeUser(login.response.user),
    });
    this.#backendConnectionId = established.backendGreeting.connectionId;
    return established;
  }

  async #serveCommands(established: EstablishedSession): Promise<void> {
    const { options } = this.#services;
    this.#client.leg.payloadBytesMax = options.packetBytesMax;
    established.backend.payloadBytesMax = options.packetBytesMax;
    const context = new CommandContext({
      services: this.#services,
      client: this.#client,
      established,
      sessionLabel: this.label,
      clientAddress: this.clientAddress,
      signal: this.#abort.signal,
      becomeUser: (user) => this.#becomeUser(user),
      auditSession: () => this.#auditSession(),
      record: (event) => this.#services.audit.append(event),
    });
    this.#commands = context;
    const method = this.#services.metrics.handshakeDuration.of(established.authPluginName);
    method.observe(this.#ageUs() / 1e6);
    established.backend.onDead(() => context.backendDied());
    established.backend.onUnasked(() => context.backendSpokeUnasked());
    await context.record({
      type: "login",
      session: this.#auditSession(),
      clientAuth: options.clientAuth,
      authPlugin: established.authPluginName,
      tokenUsed: established.tokenUsed,
      durationUs: this.#ageUs(),
    });
    if (this.#client.leg.isEnded) this.#watchHalfClosed();
    await serveCommands(context);
  }

  /** What goes wrong on the way out of a login whose client has left is no fault of the backend's. */
  #failureOf(thrown: unknown): QuerycopError {
    const failure = toQuerycopError(malformedFrom("client", thrown));
    const hasLeft = this.#phase === "login" && this.#abort.signal.aborted && this.#closeReason === undefined;
    if (!hasLeft || failure.origin === "client" || failure.code === "QC_INTERNAL") return failure;
    return new QuerycopError("QC_CLIENT_CLOSED", "The client closed the connection during its login");
  }

  /** The client has sent its FIN. It may still read: what it asked for before is carried out and answered. */
  #clientEnded(): void {
    if (this.#phase === "login") {
      if (this.#client.hasLeft) this.#abort.abort();
    } else if (this.#phase === "commands") this.#watchHalfClosed();
  }

  /**
   * A client that is only half there is told apart from one that is gone by writing to it, and a backend that stays
   * silent gives nothing to write.
   */
  #watchHalfClosed(): void {
    const { leg } = this.#client;
    const { writeTimeoutMs } = this.#services.options;
    let { bytesWritten } = leg;
    const timer = setInterval(() => {
      if (this.#phase === "commands" && !leg.isDead && leg.bytesWritten !== bytesWritten) {
        bytesWritten = leg.bytesWritten;
        return;
      }
      clearInterval(timer);
      if (this.#phase !== "commands") return;
      if (this.#commands !== undefined) this.#commands.endReason ??= "timeout";
      leg.destroy();
    }, writeTimeoutMs);
    timer.unref();
    this.#halfClosed = timer;
  }

  /** A client that is gone needs no more answers; what the backend still says is kept for the record for a while. */
  #clientDied(): void {
    const isHeld = this.#commands?.cancelHold !== undefined;
    const isInResponse = this.#phase === "commands" && !this.isIdle && !isHeld;
    this.#abort.abort();
    this.#commands?.cancelHold?.("client-closed");
    const backend = this.#commands?.backend;
    if (backend === undefined) return;
    if (!isInResponse) {
      backend.destroy();
      return;
    }
    const timer = setTimeout(() => backend.destroy(), ORPHANED_RESPONSE_MS);
    timer.unref();
  }

  async #finish(failure: QuerycopError | undefined): Promise<void> {
    if (this.#slotUser !== undefined) this.#services.userSlots.release(this.#slotUser);
    if (failure?.code === "QC_TOO_MANY_USER_CONNECTIONS") this.#services.metrics.connectionsRefused.of("user").value++;
    clearInterval(this.#halfClosed);
    const wasLogin = this.#phase === "login";
    this.#phase = "ended";
    // A handshake that failed leaves a dead leg too, and says more than that.
    const hasOwnReason = failure?.code === "QC_INTERNAL" || failure?.code === "QC_CLIENT_TLS";
    const clientVanished = this.#client.leg.isDead && !hasOwnReason;
    const reason =
      this.#closeReason ??
      this.#commands?.endReason ??
      (clientVanished ? "client-closed" : (failure?.closeReason ?? "client-closed"));
    const told = failure !== undefined && !this.#client.leg.isDead ? this.#tellClient(failure) : undefined;
    this.#commands?.close();
    this.#log(failure, reason);
    this.#services.metrics.sessionsClosed.of(reason).value++;
    if (wasLogin && failure !== undefined) {
      this.#record({
        type: "refuse",
        session: this.#auditSession(),
        reason,
        errorCode: failure.code,
        errorNumber: told?.errorNumber,
      });
    }
    this.#record({
      type: "disconnect",
      session: this.#auditSession(),
      reason,
      errorCode: failure?.code,
      commands: this.#commands?.state.ordinal ?? 0,
      bytesToClient: this.#client.leg.bytesWritten,
      durationUs: this.#ageUs(),
    });
    await this.#lingerAndClose();
  }

  /**
   * Tells the client why, as an answer to what it last sent. Inside a response nothing can be told: the error would be
   * read as a part of it, so the connection just ends.
   */
  #tellClient(failure: QuerycopError): ErrPacket | undefined {
    if (this.#commands?.isInsideResponse === true || this.#commands?.isUnanswerable === true) return undefined;
    const isBeforeGreeting = this.#client.leg.nextSequenceId === 0 && this.#commands === undefined;
    const err = failure instanceof BackendRefusal ? failure.errPacket : errPacketOf(failure);
    if (isBeforeGreeting) {
      // Before the greeting no SQLSTATE is understood: the client's capabilities are not known yet.
      const bare: ErrPacket = { errorNumber: err.errorNumber, message: err.message };
      this.#client.sendErr(bare);
      return bare;
    }
    this.#client.sendErr({ ...err, sqlState: err.sqlState ?? "HY000" });
    return err;
  }

  /** Half-closes, waits for the client to take our last bytes, then closes: destroying at once would lose them. */
  async #lingerAndClose(): Promise<void> {
    const { leg } = this.#client;
    if (leg.isDead) return;
    const timer = setTimeout(() => leg.destroy(), LINGER_MS);
    leg.end();
    while (!leg.isDead && !leg.isEnded) {
      // Not waitReadable(): after a timeout that returns at once, and this loop would never leave the processor.
      if (leg.takeChunk() === undefined) await leg.nextEvent();
    }
    clearTimeout(timer);
    leg.destroy();
  }

  #log(failure: QuerycopError | undefined, reason: CloseReason): void {
    const fields = { session: this.id, user: this.user, client: this.clientAddress, reason };
    if (failure === undefined || reason === "client-closed") {
      this.#services.logger.debug("session ended", fields);
      return;
    }
    const level = failure.code === "QC_INTERNAL" ? "error" : "warn";
    const stack = failure.code === "QC_INTERNAL" && failure.cause instanceof Error ? failure.cause.stack : undefined;
    this.#services.logger[level]("session failed", { ...fields, code: failure.code, error: failure.message, stack });
  }

  /** Connect, refuse and disconnect are recorded as well as can be; only statements wait for their record. */
  #record(event: AuditEvent): void {
    recordBestEffort(() => this.#services.audit.append(event));
  }

  /** The id in audit records: unique over restarts. */
  get label(): string {
    return `${this.#services.audit.run}-${this.id}`;
  }

  #ageUs(): number {
    return Math.round((SYSTEM_CLOCK.monotonicMs() - this.#startedMs) * 1000);
  }

  #cachedAuditSession: AuditSession | undefined;
  #cachedVersion = -1;

  #auditSession(): AuditSession {
    const state = this.#commands?.state;
    const version = state === undefined ? 0 : state.version;
    if (this.#cachedAuditSession !== undefined && this.#cachedVersion === version && version > 0) {
      return this.#cachedAuditSession;
    }
    const { options } = this.#services;
    const login = this.#login;
    this.#cachedVersion = version;
    this.#cachedAuditSession = {
      id: this.label,
      listener: options.name,
      clientAddress: this.clientAddress,
      clientTls: this.#client.tls?.protocol,
      tlsIdentity: this.#client.tls?.alternativeNames[0] ?? this.#client.tls?.commonName,
      userSent: login?.response.user,
      user: state?.user ?? login?.response.user,
      backend: `${options.backend.host}:${options.backend.port}`,
      backendConnectionId: this.#backendConnectionId,
      schema: state?.variables.schema,
      sqlMode: state?.variables.sqlMode,
      characterSet: state?.variables.characterSet,
      program: login?.response.connectAttributes?.get("program_name"),
    };
    return this.#cachedAuditSession;
  }
}
