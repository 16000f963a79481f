/** One PostgreSQL client's connection from start to end: owns both legs, says why it ended, and leaves one disconnect record. */
import type { AuditEvent, AuditSession } from "../../audit/audit-event.ts";
import { recordBestEffort } from "../../audit/best-effort.ts";
import { UNIX_SOCKET } from "../../base/address.ts";
import { SYSTEM_CLOCK } from "../../base/clock.ts";
import { type CloseReason, QuerycopError, toQuerycopError } from "../../base/errors.ts";
import { Leg } from "../../net/leg.ts";
import type { Transport } from "../../net/transport.ts";
import type { BackendKeyData } from "../../postgres/backend-message.ts";
import type { StartupMessage } from "../../postgres/startup.ts";
import { knownName } from "../accounts/client-names.ts";
import type { LiveSession } from "../live-session.ts";
import { lingerAndClose, logEnd } from "../session-end.ts";
import { SessionMemory } from "../session-memory.ts";
import type { SessionServices } from "../session-services.ts";
import type { SessionView } from "../session-view.ts";
import { cancelOnBackend } from "./backend-connection.ts";
import type { CancelKeys } from "./cancel-keys.ts";
import { ClientLeg, encodeFatal, farewellFor } from "./client-leg.ts";
import { AnswerDeadline, failLateClient, whenStill } from "./deadlines.ts";
import { type DsqlServing, DsqlWatch, tooOld } from "./dsql/dsql-watch.ts";
import type { PostgresJudge } from "./judging/judge.ts";
import { PostgresRefusal } from "./login/backend-login.ts";
import { checkStartup, readStartup } from "./login/client-startup.ts";
import { type EstablishedSession, greet, runConnectionPhase } from "./login/connection-phase.ts";
import { BackendRelay } from "./relay/backend-relay.ts";
import { FrontendRelay } from "./relay/frontend-relay.ts";
import { RelayContext } from "./relay/relay-context.ts";
import { auditSessionOf, keptAuditSession, subjectOf, viewOf } from "./session-account.ts";
import { SessionFacts } from "./session-facts.ts";
import { HoldGate } from "./statements/hold-gate.ts";
import { StatementLog } from "./statements/statement-log.ts";

const NO_PACKETS = 0;

export interface PostgresServices {
  readonly session: SessionServices;
  readonly judge: PostgresJudge;
  readonly cancelKeys: CancelKeys;
  /** Where the backend is Aurora DSQL. */
  readonly dsql?: DsqlServing | undefined;
}

export class PostgresSession implements LiveSession {
  readonly id: number;
  readonly clientAddress: string;
  readonly #services: SessionServices;
  readonly #judge: PostgresJudge;
  readonly #cancelKeys: CancelKeys;
  readonly #dsql: DsqlServing | undefined;
  readonly #client: ClientLeg;
  readonly #memory: SessionMemory;
  readonly #abort = new AbortController();
  readonly #startedMs = SYSTEM_CLOCK.monotonicMs();
  #phase: "login" | "commands" | "ended" = "login";
  /** With the name that policy and audit know the client by. */
  #message: StartupMessage | undefined;
  #userSent: string | undefined;
  #relay: RelayContext | undefined;
  #toClient: BackendRelay | undefined;
  #answerDeadline: AnswerDeadline | undefined;
  #gate: HoldGate | undefined;
  #closeReason: CloseReason | undefined;
  #backendKey: BackendKeyData | undefined;
  #ownKey: BackendKeyData | undefined;
  #slotUser: string | undefined;
  #kill: { readonly by: string; readonly error: QuerycopError } | undefined;
  #isCancelRequest = false;
  /** What the client is told where the session is ended for its age. */
  #ending: QuerycopError | undefined;
  #isLeaving = false;

  constructor(id: number, transport: Transport, { session, judge, cancelKeys, dsql }: PostgresServices) {
    this.id = id;
    this.#services = session;
    this.#judge = judge;
    this.#cancelKeys = cancelKeys;
    this.#dsql = dsql;
    this.clientAddress = transport.remoteAddress ?? UNIX_SOCKET;
    const leg = new Leg("client", transport, NO_PACKETS);
    this.#client = new ClientLeg(leg, transport.remoteAddress === undefined, session.options.handshakeTimeoutMs);
    this.#memory = new SessionMemory(session.memory, this.#client, (error) => this.#evict(error));
    leg.onDead(() => this.#clientDied());
    leg.onEnd(() => {
      if (this.#phase === "login") this.#abort.abort();
      // Its last messages may stand behind an answer that does not come: they are not read until then.
      else if (this.#relay !== undefined) this.#afterGoodbye(this.#relay);
    });
  }

  /** No KILL of SQL names a session here. */
  readonly greetedConnectionId: undefined = undefined;

  get backendConnectionId(): number | undefined {
    return this.#backendKey?.processId;
  }

  get user(): string | undefined {
    return this.#message?.user;
  }

  /** Milliseconds of silence after which an idle session ends; 0 for never. */
  get idleLimitMs(): number {
    return this.#services.options.idleTimeoutMs;
  }

  get lastActivityMs(): number {
    return this.#relay?.lastActivityMs ?? this.#startedMs;
  }

  get isLoggingIn(): boolean {
    return this.#phase === "login";
  }

  /** True until the login is through, save while its client's silence keeps nobody else waiting. */
  get holdsLoginPlace(): boolean {
    return this.isLoggingIn && !this.#client.isAwaitedAtNoCost;
  }

  get awaitedSinceMs(): number | undefined {
    return this.#phase === "login" ? this.#client.budget.spendingSinceMs : undefined;
  }

  get isIdle(): boolean {
    return this.#phase === "commands" && this.#relay?.isIdle === true;
  }

  /** True between two commands outside a transaction: nothing is lost when it ends here. */
  get isAtRest(): boolean {
    return this.isIdle && this.#relay?.facts.isInTransaction === false;
  }

  get bytesToClient(): number {
    return this.#client.leg.bytesWritten;
  }

  get bytesToBackend(): number {
    return this.#relay?.backend.bytesWritten ?? 0;
  }

  get backendAddress(): string {
    const { host, port } = this.#services.options.backend;
    return `${host}:${port}`;
  }

  /** The id in audit records: unique over restarts. */
  get label(): string {
    return `${this.#services.audit.run}-${this.id}`;
  }

  view(): SessionView {
    return viewOf({
      audit: this.#auditSession(),
      relay: this.#relay,
      isInCommands: this.#phase === "commands",
      isHolding: this.#gate?.isHolding === true,
      startedMs: this.#startedMs,
      bytesToClient: this.bytesToClient,
    });
  }

  /** Of a statement that waits for an approval. */
  cancelHold(): void {
    this.#gate?.cancel("killed");
  }

  /** Late may be the rest of a message, the backend's answer, and, at an age, the end of a connection to Aurora DSQL. */
  endLatePacket(nowMs: number): void {
    if (this.#phase !== "commands") return;
    failLateClient(this.#client, this.#services.options, nowMs);
    this.#answerDeadline?.look(nowMs);
    const due = this.#relay?.dsql?.due(nowMs, this.isAtRest);
    if (due === undefined) return;
    if (due !== "end") {
      this.#toClient?.say(due.notice);
      return;
    }
    this.#ending = tooOld();
    this.close("timeout");
  }

  /** Others need the room that it holds. */
  #evict(error: QuerycopError): void {
    if (this.#client.isRestAwaited) {
      this.#client.fail(error);
      return;
    }
    this.#closeReason ??= error.closeReason;
    this.#services.logger.warn("session ended to free memory", { session: this.id, user: this.user });
    this.#client.leg.destroy();
  }

  /** As an operator wants it, whose key is named `by`: what runs is stopped, and the client is told where that can be done. */
  kill(by: string): void {
    if (this.#kill !== undefined || this.#phase === "ended") return;
    const text = `This session was ended by an operator (${by}) [session ${this.label}]`;
    this.#kill = { by, error: new QuerycopError("QC_KILLED", text) };
    this.#services.logger.info("session killed", {
      session: this.label,
      user: this.user,
      client: this.clientAddress,
      by,
    });
    if (this.#relay?.queue.isIdle === false) this.#cancel().catch(() => undefined);
    this.close("killed");
  }

  /** Ends the session now, whatever it is doing. */
  close(reason: CloseReason): void {
    this.#closeReason ??= reason;
    if (this.#phase === "commands" && this.#closeReason !== "client-closed") {
      this.#sayFarewell(this.#kill?.error ?? this.#ending ?? farewellFor(this.#closeReason));
    }
    this.#abort.abort();
    this.#gate?.cancel("session-ended");
    this.#client.leg.end();
    this.#relay?.backend.destroy();
    if (this.#phase === "login") this.#client.leg.destroy();
  }

  /** Runs to the end and never rejects. */
  async run(): Promise<void> {
    let failure: QuerycopError | undefined;
    try {
      // SAFETY: who cannot be recorded is not let in.
      const recorded = this.#services.audit.append({ type: "connect", session: this.#auditSession() });
      if (recorded instanceof Promise) recorded.catch(() => undefined);
      const established = await this.#logIn();
      if (established !== undefined) await this.#serve(established);
    } catch (thrown) {
      failure = this.#failureOf(thrown);
    }
    await this.#finish(failure);
  }

  /** Undefined where the client only came to cancel. */
  async #logIn(): Promise<EstablishedSession | undefined> {
    const { options, userSlots } = this.#services;
    const begun = await readStartup(this.#client, options);
    if (begun.kind === "CancelRequest") {
      this.#isCancelRequest = true;
      await this.#cancelKeys.cancel(begun);
      return undefined;
    }
    this.#message = begun;
    this.#userSent = begun.user;
    checkStartup(this.#client, options, begun);
    const message = { ...begun, user: knownName(options, begun.user) };
    this.#message = message;
    userSlots.requireRoom(message.user);
    return await runConnectionPhase(
      {
        services: this.#services,
        client: this.#client,
        judge: this.#judge,
        subject: subjectOf(this.#services.options, this.#client, this.clientAddress),
        clientAddress: this.clientAddress,
        signal: this.#abort.signal,
        onLoggedIn: () => {
          userSlots.take(message.user);
          this.#slotUser = message.user;
        },
      },
      message,
    );
  }

  async #serve(established: EstablishedSession): Promise<void> {
    const { backend, loggedIn, method, tokenUsed, minor } = established;
    const { options, audit, metrics } = this.#services;
    this.#backendKey = loggedIn.key;
    this.#memory.countBackend(backend);
    const { user = "", database = "" } = this.#message ?? {};
    const facts = new SessionFacts(user, database, loggedIn.parameters, loggedIn.status);
    facts.isWalled = established.isWalled;
    const session = keptAuditSession(facts, () => this.#auditSession());
    const log = new StatementLog({ services: this.#services, session });
    const relay = new RelayContext({
      services: this.#services,
      judge: this.#judge,
      subject: subjectOf(this.#services.options, this.#client, this.clientAddress),
      client: this.#client,
      backend,
      facts,
      log,
      memory: this.#memory,
      signal: this.#abort.signal,
      dsql: this.#dsql && new DsqlWatch({ dsql: this.#dsql, services: this.#services, user }),
      cancelRunning: () => void this.#cancel().catch(() => undefined),
    });
    this.#relay = relay;
    try {
      metrics.handshakeDuration.of(method).observe(this.#ageUs() / 1e6);
      const clientAuth = options.clientAuth;
      await audit.append({
        type: "login",
        session: this.#auditSession(),
        clientAuth,
        authPlugin: method,
        tokenUsed,
        durationUs: this.#ageUs(),
      });
      if (this.#client.leg.isDead) throw new QuerycopError("QC_CLIENT_CLOSED", "The client left during its login");
      this.#ownKey =
        loggedIn.key === undefined ? undefined : this.#cancelKeys.issue(minor, () => this.#cancelByClient());
      this.#client.messages.lengthMax = options.packetBytesMax;
      greet(this.#client, established, this.#ownKey);
      this.#phase = "commands";
      await this.#relayBoth(relay);
    } finally {
      backend.destroy();
    }
  }

  async #relayBoth(relay: RelayContext): Promise<void> {
    const toClient = new BackendRelay(relay);
    this.#toClient = toClient;
    this.#answerDeadline = new AnswerDeadline(relay, toClient);
    const gate = new HoldGate({
      relay,
      services: this.#services,
      session: () => this.#auditSession(),
      say: (wire) => toClient.say(wire),
    });
    this.#gate = gate;
    const toBackend = new FrontendRelay(relay, gate);
    // Either end of the conversation ends the other: a client that left has its last answers still coming.
    const answers = toClient.run();
    const forward = toBackend.run().then(() => this.#afterGoodbye(relay));
    const backward = this.#untilGone(answers, forward);
    await Promise.race([backward, forward.then(() => backward)]);
    const isAsked = this.#isLeaving || this.#client.leg.isEnded || this.#closeReason !== undefined;
    if (!toClient.hasSaidFarewell && !isAsked) {
      throw new QuerycopError("QC_BACKEND_CLOSED", "The backend closed the connection");
    }
  }

  /** What was held by then is on record as not sent before the session is on record as over. */
  async #untilGone(answers: Promise<void>, forward: Promise<void>): Promise<void> {
    const over = forward.catch(() => undefined);
    try {
      await answers;
    } finally {
      this.#relay?.end();
      if (this.#gate?.cancel("backend-closed") === true || this.#relay?.isWaiting === true) await over;
    }
  }

  /** The server ends the connection behind the goodbye. What it does not end in time is cut. */
  #afterGoodbye(relay: RelayContext): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    const { leg } = this.#client;
    const progress = (): number | undefined => (this.#phase === "ended" ? undefined : leg.bytesWritten);
    whenStill(this.#services.options.leftTimeoutMs, progress, () => {
      if (!relay.queue.isIdle) this.#cancel().catch(() => undefined);
      relay.backend.destroy();
    });
  }

  /** A client that is gone needs no more answers: what runs for it is stopped. */
  #clientDied(): void {
    const relay = this.#relay;
    this.#abort.abort();
    this.#gate?.cancel("client-closed");
    if (relay === undefined) return;
    if (this.#phase === "commands" && !relay.queue.isIdle) this.#cancel().catch(() => undefined);
    relay.backend.destroy();
  }

  /** A statement that waits for an approval is not at the backend yet. */
  async #cancelByClient(): Promise<void> {
    if (this.#gate?.cancel("killed") === true) return;
    await this.#cancel();
  }

  async #cancel(): Promise<void> {
    if (this.#backendKey !== undefined) await cancelOnBackend(this.#services, this.#backendKey);
  }

  /** What goes wrong on the way out of a login whose client has left is no fault of the backend's. */
  #failureOf(thrown: unknown): QuerycopError {
    const failure = toQuerycopError(thrown);
    const hasLeft = this.#phase === "login" && this.#abort.signal.aborted && this.#closeReason === undefined;
    if (!hasLeft || failure.origin === "client" || failure.code === "QC_INTERNAL") return failure;
    return new QuerycopError("QC_CLIENT_CLOSED", "The client closed the connection during its login");
  }

  async #finish(failure: QuerycopError | undefined): Promise<void> {
    const { userSlots, metrics } = this.#services;
    this.#memory.close();
    if (this.#slotUser !== undefined) userSlots.release(this.#slotUser);
    if (this.#ownKey !== undefined) this.#cancelKeys.giveUp(this.#ownKey.processId);
    if (failure?.code === "QC_TOO_MANY_USER_CONNECTIONS") metrics.connectionsRefused.of("user").value++;
    const wasLogin = this.#phase === "login";
    const hasOwnReason = failure?.code === "QC_INTERNAL" || failure?.code === "QC_CLIENT_TLS";
    const clientVanished = this.#client.leg.isDead && !hasOwnReason;
    const reason = this.#closeReason ?? (clientVanished ? "client-closed" : (failure?.closeReason ?? "client-closed"));
    if (failure !== undefined && this.#closeReason === undefined) this.#tellClient(failure);
    this.#phase = "ended";
    this.#relay?.log.close(this.#client.leg.isDead ? "client-gone" : "unknown");
    this.#relay?.backend.destroy();
    const fields = { session: this.id, user: this.user, client: this.clientAddress, reason };
    logEnd(this.#services.logger, fields, this.#kill === undefined ? failure : undefined);
    metrics.sessionsClosed.of(reason).value++;
    const errorCode = this.#kill?.error.code ?? failure?.code;
    if (wasLogin && errorCode !== undefined) {
      this.#record({ type: "refuse", session: this.#auditSession(), reason, errorCode });
    }
    this.#record({
      type: "disconnect",
      session: this.#auditSession(),
      reason,
      errorCode,
      by: this.#kill?.by,
      commands: this.#relay?.facts.ordinal ?? 0,
      bytesToClient: this.bytesToClient,
      bytesToBackend: this.bytesToBackend,
      durationUs: this.#ageUs(),
    });
    await lingerAndClose(this.#client.leg);
  }

  /** Inside a response nothing can be told, and the loss of a backend is told by the end of the connection. */
  #tellClient(failure: QuerycopError): void {
    const { leg } = this.#client;
    if (leg.isDead || this.#isCancelRequest) return;
    if (this.#phase === "login") {
      if (!this.#client.mayBeTold) return;
      this.#client.send(failure instanceof PostgresRefusal ? failure.wire : encodeFatal(failure));
      return;
    }
    if (failure.isLoss || failure.code === "QC_BACKEND_PROTOCOL") return;
    this.#sayFarewell(failure);
  }

  #sayFarewell(error: QuerycopError): void {
    if (this.#client.leg.isDead || this.#toClient?.isBetweenMessages === false) return;
    this.#client.send(encodeFatal(error));
  }

  #record(event: AuditEvent): void {
    recordBestEffort(() => this.#services.audit.append(event));
  }

  #ageUs(): number {
    return Math.round((SYSTEM_CLOCK.monotonicMs() - this.#startedMs) * 1000);
  }

  #auditSession(): AuditSession {
    return auditSessionOf({
      id: this.label,
      options: this.#services.options,
      clientAddress: this.clientAddress,
      tls: this.#client.tls,
      message: this.#message,
      userSent: this.#userSent,
      backendConnectionId: this.backendConnectionId,
      facts: this.#relay?.facts,
      isDsql: this.#dsql !== undefined,
    });
  }
}
