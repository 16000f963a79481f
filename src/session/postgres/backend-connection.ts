/**
 * The connection to a PostgreSQL: dialled, with TLS where that is wanted, and read message by message during the login. It is the
 * only way to a backend: nothing else has its leg, and `send` takes a permit. What nobody decided cannot be sent.
 */
import { SYSTEM_CLOCK } from "../../base/clock.ts";
import { QuerycopError } from "../../base/errors.ts";
import type { Holding } from "../../base/memory-budget.ts";
import { dialBackend } from "../../net/dial.ts";
import { Leg } from "../../net/leg.ts";
import type { TlsIdentity } from "../../net/tls.ts";
import type { BackendKeyData } from "../../postgres/backend-message.ts";
import { type BackendPiece, BackendWalker } from "../../postgres/backend-walker.ts";
import type { Span } from "../../postgres/message.ts";
import { decodeSslAnswer, encodeCancelRequest, encodeSslRequest } from "../../postgres/startup.ts";
import type { BackendOptions } from "../listener-options.ts";
import type { SessionServices } from "../session-services.ts";
import { TimeBudget } from "../time-budget.ts";
import type { BackendPermit } from "./backend-permit.ts";
import { drainedWithin, nextChunk } from "./leg-wait.ts";
import { Outgoing } from "./relay/outgoing.ts";

/** Nothing is read by packets of MySQL here. */
const NO_PACKETS = 0;

export class BackendConnection {
  readonly #leg: Leg;
  readonly #outgoing: Outgoing;
  readonly walker: BackendWalker = new BackendWalker();
  readonly #budget: TimeBudget;
  tls: TlsIdentity | undefined;
  /** Why it was given up. */
  failure: QuerycopError | undefined;

  constructor(leg: Leg, loginTimeoutMs: number) {
    this.#leg = leg;
    this.#outgoing = new Outgoing((bytes) => leg.write(bytes));
    this.#budget = new TimeBudget(loginTimeoutMs);
  }

  countIn(holding: Holding): void {
    this.#leg.countIn(holding);
  }

  /** Gone with the next `flush()`, behind what was sent before. */
  send(_permit: BackendPermit, wire: Uint8Array | Span): void {
    this.#outgoing.add(wire);
  }

  /** False means: await `drainedWithin()` before sending more. */
  flush(): boolean {
    return this.#outgoing.flush();
  }

  sendNow(permit: BackendPermit, wire: Uint8Array): void {
    this.send(permit, wire);
    this.flush();
  }

  /** Resolves when the socket has room again; a backend that takes nothing for so long is given up. */
  drainedWithin(timeoutMs: number): Promise<void> {
    return drainedWithin(this.#leg, timeoutMs);
  }

  takeChunk(): Uint8Array | undefined {
    return this.#leg.takeChunk();
  }

  nextEvent(): Promise<void> {
    return this.#leg.nextEvent();
  }

  get isFinished(): boolean {
    return this.#leg.isFinished;
  }

  get isDead(): boolean {
    return this.#leg.isDead;
  }

  get isEnded(): boolean {
    return this.#leg.isEnded;
  }

  get bytesWritten(): number {
    return this.#leg.bytesWritten;
  }

  get bytesRead(): number {
    return this.#leg.bytesRead;
  }

  /** Ends the connection: whoever reads on gets this error. */
  fail(error: QuerycopError): void {
    this.failure ??= error;
    this.#leg.destroy();
  }

  destroy(): void {
    this.#leg.destroy();
  }

  nextChunk(awaiting: string, signal?: AbortSignal): Promise<Uint8Array> {
    return nextChunk(this.#leg, this.#budget, awaiting, signal);
  }

  async nextPiece(awaiting: string, signal?: AbortSignal): Promise<BackendPiece> {
    for (;;) {
      const piece = this.walker.next();
      if (piece !== undefined) return piece;
      this.walker.push(await this.nextChunk(awaiting, signal));
    }
  }

  /** An abort of `signal` destroys the leg: there is no other way out of a TLS handshake. */
  async startTls(options: BackendOptions, signal: AbortSignal): Promise<void> {
    const giveUp = (): void => this.#leg.destroy();
    signal.addEventListener("abort", giveUp);
    try {
      this.tls = await this.#budget.spend((timeoutMs) => options.tls.upgrade(this.#leg, timeoutMs));
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }
}

type Services = Pick<SessionServices, "options" | "metrics">;

/** Connects, and begins TLS as the mode wants it. Throws QC_BACKEND_DNS, _UNREACHABLE, _TIMEOUT, _TLS, _TLS_NOT_OFFERED. */
export async function openBackend({ options, metrics }: Services, signal: AbortSignal): Promise<BackendConnection> {
  const beganMs = SYSTEM_CLOCK.monotonicMs();
  try {
    const connection = await connect(options.backend, signal);
    metrics.backendConnectDuration.observe((SYSTEM_CLOCK.monotonicMs() - beganMs) / 1000);
    return connection;
  } catch (thrown) {
    // A client that left in the meantime says nothing about the backend.
    if (!signal.aborted) metrics.backendConnectFailures.value++;
    throw thrown;
  }
}

async function connect(options: BackendOptions, signal: AbortSignal): Promise<BackendConnection> {
  const { host, port, family, connectTimeoutMs: timeoutMs } = options;
  const socket = await dialBackend({ host, port, family, timeoutMs, signal });
  const connection = new BackendConnection(new Leg("backend", socket, NO_PACKETS), options.loginTimeoutMs);
  try {
    if (options.tls.mode !== "disable") await askForTls(connection, options, signal);
    return connection;
  } catch (thrown) {
    connection.destroy();
    throw thrown;
  }
}

async function askForTls(connection: BackendConnection, options: BackendOptions, signal: AbortSignal): Promise<void> {
  connection.sendNow({ kind: "login", message: "SSLRequest" }, encodeSslRequest());
  const answer = await connection.nextChunk("waiting for its answer to an SSLRequest", signal);
  if (decodeSslAnswer(answer)) {
    await connection.startTls(options, signal);
    return;
  }
  if (options.tls.mode === "prefer") return;
  throw new QuerycopError(
    "QC_BACKEND_TLS_NOT_OFFERED",
    `The backend offers no TLS and GATEKEEPER_BACKEND_TLS_MODE is ${options.tls.mode}`,
    { clientMessage: "querycop: the database offers no TLS, which is required here (GATEKEEPER_BACKEND_TLS_MODE)" },
  );
}

/** Milliseconds a server may take to close the connection of a cancel, which is all that it answers. */
const CANCEL_TIMEOUT_MS = 10_000;

/** Sends a CancelRequest on a connection of its own, under the TLS rules of all others. Resolves when the server has read it. */
export async function cancelOnBackend(
  services: Services & Pick<SessionServices, "sideSlots">,
  key: BackendKeyData,
): Promise<void> {
  const { sideSlots } = services;
  const signal = AbortSignal.timeout(CANCEL_TIMEOUT_MS);
  if (!(await sideSlots.enter(signal))) {
    throw new QuerycopError("QC_BACKEND_TIMEOUT", "No place for the connection of a cancel became free in time");
  }
  try {
    await sendCancel(await openBackend(services, signal), key);
  } finally {
    sideSlots.leave();
  }
}

async function sendCancel(connection: BackendConnection, key: BackendKeyData): Promise<void> {
  const timer = setTimeout(() => connection.destroy(), CANCEL_TIMEOUT_MS);
  try {
    connection.sendNow({ kind: "own", message: "CancelRequest" }, encodeCancelRequest(key));
    while (!connection.isFinished) if (connection.takeChunk() === undefined) await connection.nextEvent();
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
}
