/** One MySQL client's connection from start to end: owns both legs, says why it ended, and leaves exactly one disconnect record. */

import type { AuditEvent, AuditSession } from "../../audit/audit-event.ts";
import { recordBestEffort } from "../../audit/best-effort.ts";
import { UNIX_SOCKET } from "../../base/address.ts";
import { SYSTEM_CLOCK } from "../../base/clock.ts";
import { type CloseReason, QuerycopError, toQuerycopError } from "../../base/errors.ts";
import type { ErrPacket } from "../../mysql/generic-response.ts";
import { attributeText } from "../../mysql/handshake.ts";
import { Leg } from "../../net/leg.ts";
import type { Transport } from "../../net/transport.ts";
import { logsInAlone } from "../accounts/login-tokens.ts";
import type { LiveSession } from "../live-session.ts";
import { malformedFrom } from "../malformed.ts";
import { LINGER_MS, lingerAndClose, logEnd } from "../session-end.ts";
import { SessionMemory } from "../session-memory.ts";
import type { SessionServices } from "../session-services.ts";
import { type SessionView, sessionView } from "../session-view.ts";
import { CommandContext } from "./command-context.ts";
import { serveCommands } from "./command-phase.ts";
import { stopStatement } from "./discarded-response.ts";
import { errPacketOf } from "./local-answer.ts";
import { BackendRefusal } from "./login/authentication.ts";
import { LOGIN_PACKET_BYTES_MAX } from "./login/backend-login.ts";
import { ClientPeer } from "./login/client-peer.ts";
import { type ClientLogin, type EstablishedSession, runConnectionPhase } from "./login/connection-phase.ts";

/** Milliseconds a response may still run to its end, for the record, after its client has gone. */
const ORPHANED_RESPONSE_MS = 5_000;

/** The client's own signal is aborted by then. */
const NOBODY = new AbortController().signal;

export class MysqlSession implements LiveSession {
  readonly id: number;
  readonly clientAddress: string;
  readonly #services: SessionServices;
  readonly #client: ClientPeer;
  readonly #memory: SessionMemory;
  readonly #abort = new AbortController();
  readonly #startedMs = SYSTEM_CLOCK.monotonicMs();
  #phase: "login" | "commands" | "ended" = "login";
  #login: ClientLogin | undefined;
  #commands: CommandContext | undefined;
  #closeReason: CloseReason | undefined;
  #backendConnectionId: number | undefined;
  #slotUser: string | undefined;
  #partWriter: (() => void) | undefined;
  #halfClosed: ReturnType<typeof setInterval> | undefined;
  /** Present once an operator has ended it: whose key, and what its client is told. */
  #kill: { readonly by: string; readonly error: QuerycopError } | undefined;

  constructor(id: number, transport: Transport, services: SessionServices) {
    this.id = id;
    this.#services = services;
    this.clientAddress = transport.remoteAddress ?? UNIX_SOCKET;
    const leg = new Leg("client", transport, LOGIN_PACKET_BYTES_MAX);
    this.#client = new ClientPeer(leg, transport.remoteAddress === undefined, services.options.handshakeTimeoutMs);
    this.#memory = new SessionMemory(services.memory, leg, (error) => this.#evict(error));
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

  /** True until the login is through. */
  get isLoggingIn(): boolean {
    return this.#phase === "login";
  }

  /** True until the login is through, save while its client's silence keeps nobody else waiting. */
  get holdsLoginPlace(): boolean {
    return this.isLoggingIn && !this.#client.isAwaitedAtNoCost;
  }

  /** Since when its client is awaited to go on with its login; undefined when it is not, or has logged in. */
  get awaitedSinceMs(): number | undefined {
    return this.#phase === "login" ? this.#client.awaitedSinceMs : undefined;
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
    return sessionView({
      audit: this.#auditSession(),
      context: this.#commands,
      isInCommands: this.#phase === "commands",
      startedMs: this.#startedMs,
      lastActivityMs: this.lastActivityMs,
      bytesToClient: this.bytesToClient,
      bytesToBackend: this.bytesToBackend,
    });
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
   * As an operator wants it, whose key is named `by`: the client is told where that can be done between two answers or in
   * place of one. A statement that runs is stopped first, where there is a token to do that with, for a server goes on
   * with it until it notices that the connection is gone.
   */
  kill(by: string): void {
    const context = this.#commands;
    if (this.#kill !== undefined || this.#phase === "ended") return;
    const text = `This session was ended by an operator (${by}) [session ${this.label}]`;
    this.#kill = { by, error: new QuerycopError("QC_KILLED", text) };
    this.#services.logger.info("session killed", {
      session: this.label,
      user: this.user,
      client: this.clientAddress,
      by,
    });
    this.#closeReason ??= "killed";
    if (context === undefined) {
      this.close("killed");
      return;
    }
    // No statement comes behind the one that runs: the kill cannot meet another.
    context.hasQuit = true;
    // Its statement is answered, or was never there; then the loop ends.
    setTimeout(() => this.#cut(), LINGER_MS).unref();
    if (context.cancelHold !== undefined) context.cancelHold("killed");
    else if (this.isIdle) this.#client.leg.goOn();
    else if (!logsInAlone(this.#services)) this.#cut();
    else stopStatement(context).catch(() => this.#cut());
  }

  /** Ends a killed session whose statement has not ended by itself. */
  #cut(): void {
    const context = this.#commands;
    if (this.#phase !== "commands" || context === undefined || this.#kill === undefined) return;
    const { leg } = this.#client;
    if (!context.isInsideResponse && !context.isUnanswerable && !leg.isDead) {
      this.#client.sendErr(errPacketOf(this.#kill.error));
      context.isUnanswerable = true;
    }
    this.close("killed");
  }

  /** Its client is slow. It can be told so where it sends, not where it does not take what was sent. */
  #evict(error: QuerycopError): void {
    const { leg } = this.#client;
    if (leg.partialSinceMs !== undefined) {
      leg.fail(error);
      return;
    }
    if (this.#commands !== undefined) this.#commands.endReason ??= error.closeReason;
    this.#services.logger.warn("session ended to free memory", { session: this.id, user: this.user });
    leg.destroy();
  }

  /** Ends the session when its client has begun a packet too long ago. */
  endLatePacket(nowMs: number): void {
    const { leg } = this.#client;
    const { packetTimeoutMs } = this.#services.options;
    if (this.#phase !== "commands" || leg.partialSinceMs === undefined) return;
    if (packetTimeoutMs === 0 || nowMs - leg.partialSinceMs <= packetTimeoutMs) return;
    const text = `The client did not finish a packet within ${packetTimeoutMs} ms (GATEKEEPER_CLIENT_PACKET_TIMEOUT)`;
    leg.fail(new QuerycopError("QC_CLIENT_TIMEOUT", text, { clientMessage: `querycop: ${text}` }));
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
    this.#memory.countBackend(established.backend);
    const context = new CommandContext({
      services: this.#services,
      memory: this.#memory,
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
    const { remoteAddress } = established.backend;
    this.#services.writers?.join(remoteAddress, context);
    this.#partWriter = () => this.#services.writers?.part(remoteAddress, context);
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
      backendUser: established.backendUser === this.user ? undefined : established.backendUser,
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
   * silent gives nothing to write. Most clients that close are gone; servers, too, end some waits of theirs (SLEEP(),
   * locks) within five seconds of a FIN.
   */
  #watchHalfClosed(): void {
    const { leg } = this.#client;
    let { bytesWritten } = leg;
    const timer = setInterval(() => {
      if (this.#phase === "commands" && !leg.isDead && leg.bytesWritten !== bytesWritten) {
        bytesWritten = leg.bytesWritten;
        return;
      }
      clearInterval(timer);
      if (this.#phase === "commands") leg.destroy();
    }, this.#services.options.leftTimeoutMs);
    timer.unref();
    this.#halfClosed = timer;
  }

  /**
   * A client that is gone needs no more answers; what the backend still says is kept for the record for a while. Then the
   * statement is stopped, where there is a token to do that with: a server goes on with it else.
   */
  #clientDied(): void {
    const context = this.#commands;
    const isHeld = context?.cancelHold !== undefined;
    const isInResponse = this.#phase === "commands" && !this.isIdle && !isHeld;
    this.#abort.abort();
    context?.cancelHold?.("client-closed");
    if (context === undefined) return;
    const end = (): void => context.backend.destroy();
    if (!isInResponse) {
      end();
      return;
    }
    const timer = setTimeout(() => {
      if (!logsInAlone(this.#services) || this.#phase !== "commands") {
        end();
        return;
      }
      // No statement comes behind the one that runs: the kill cannot meet another.
      context.hasQuit = true;
      const endSoon = (): void => void setTimeout(end, LINGER_MS).unref();
      stopStatement(context, NOBODY).then(endSoon, endSoon);
    }, ORPHANED_RESPONSE_MS);
    timer.unref();
  }

  async #finish(failure: QuerycopError | undefined): Promise<void> {
    this.#memory.close();
    if (this.#slotUser !== undefined) this.#services.userSlots.release(this.#slotUser);
    if (failure?.code === "QC_TOO_MANY_USER_CONNECTIONS") this.#services.metrics.connectionsRefused.of("user").value++;
    clearInterval(this.#halfClosed);
    this.#partWriter?.();
    const wasLogin = this.#phase === "login";
    this.#phase = "ended";
    // A handshake that failed leaves a dead leg too, and says more than that.
    const hasOwnReason = failure?.code === "QC_INTERNAL" || failure?.code === "QC_CLIENT_TLS";
    const clientVanished = this.#client.leg.isDead && !hasOwnReason;
    const reason =
      this.#closeReason ??
      this.#commands?.endReason ??
      (clientVanished ? "client-closed" : (failure?.closeReason ?? "client-closed"));
    if (failure === undefined && this.#kill !== undefined) this.#sayFarewell(this.#kill.error);
    const told =
      failure !== undefined && !this.#client.leg.isDead ? this.#tellClient(this.#kill?.error ?? failure) : undefined;
    this.#commands?.close();
    const { id: session, user, clientAddress: client } = this;
    logEnd(this.#services.logger, { session, user, client, reason }, this.#kill === undefined ? failure : undefined);
    this.#services.metrics.sessionsClosed.of(reason).value++;
    if (wasLogin && failure !== undefined) {
      this.#record({
        type: "refuse",
        session: this.#auditSession(),
        reason,
        errorCode: this.#kill?.error.code ?? failure.code,
        errorNumber: told?.errorNumber,
      });
    }
    this.#record({
      type: "disconnect",
      session: this.#auditSession(),
      reason,
      errorCode: this.#kill?.error.code ?? failure?.code,
      by: this.#kill?.by,
      commands: this.#commands?.state.ordinal ?? 0,
      bytesToClient: this.#client.leg.bytesWritten,
      durationUs: this.#ageUs(),
    });
    await lingerAndClose(this.#client.leg);
  }

  /**
   * Tells the client why, as an answer to what it last sent. Inside a response nothing can be told: the error would be
   * read as a part of it, so the connection just ends. So it does where the backend is lost, or broke the protocol of its
   * answers: docs/decisions/0009-lost-backends.md.
   */
  #tellClient(failure: QuerycopError): ErrPacket | undefined {
    if (this.#commands?.isInsideResponse === true || this.#commands?.isUnanswerable === true) return undefined;
    if (failure.isLoss || (this.#commands !== undefined && failure.code === "QC_BACKEND_PROTOCOL")) return undefined;
    const isBeforeGreeting = this.#client.leg.nextSequenceId === 0 && this.#commands === undefined;
    const err = failure instanceof BackendRefusal ? failure.errPacket : errPacketOf(failure);
    // Before the greeting no SQLSTATE is understood: the client's capabilities are not known yet.
    const { errorNumber, message, sqlState = "HY000" } = err;
    const told: ErrPacket = isBeforeGreeting ? { errorNumber, message } : { errorNumber, message, sqlState };
    this.#client.sendErr(told);
    return told;
  }

  /** Between two commands, as servers do it: an error with the sequence id 0, which nobody has asked for. */
  #sayFarewell(error: QuerycopError): void {
    const { leg } = this.#client;
    if (leg.isDead || this.#commands?.isUnanswerable === true) return;
    leg.nextSequenceId = 0;
    this.#client.sendErr(errPacketOf(error));
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
      program: attributeText(login?.response, "program_name"),
    };
    return this.#cachedAuditSession;
  }
}
