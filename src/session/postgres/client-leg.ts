/** The client's side of a PostgreSQL session: its leg, how safe that is, and the time its login may still take. */
import { type CloseReason, QuerycopError } from "../../base/errors.ts";
import type { Holding } from "../../base/memory-budget.ts";
import type { Leg } from "../../net/leg.ts";
import type { ClientTlsIdentity } from "../../net/tls.ts";
import { encodeErrorResponse, type OwnError } from "../../postgres/backend-message.ts";
import { ClientMessageError, sqlStateOf } from "../../postgres/error-states.ts";
import { type Message, typeByte } from "../../postgres/message.ts";
import { MessageReader } from "../../postgres/message-reader.ts";
import { TimeBudget } from "../time-budget.ts";
import { nextChunk } from "./leg-wait.ts";

/** PG_MAX_AUTH_TOKEN_LENGTH, which the largest answer of a login has. */
const LOGIN_LENGTH_MAX = 65_535;
const AUTHENTICATION_RESPONSE = typeByte("p");

export class ClientLeg {
  readonly leg: Leg;
  readonly isUnixSocket: boolean;
  readonly messages: MessageReader = new MessageReader({ lengthMax: LOGIN_LENGTH_MAX });
  readonly budget: TimeBudget;
  tls: ClientTlsIdentity | undefined;
  /** When the message was begun of which the rest is awaited, on the clock of `performance`. */
  partialSinceMs = 0;
  /** Nothing but the client keeps that message from being whole. */
  isRestAwaited = false;
  /** What it is to be told in place of being read any further. */
  failure: QuerycopError | undefined;
  /** True while no backend is held for it: its silence keeps nobody else waiting. */
  isAwaitedAtNoCost = true;
  /** Whoever is there speaks PostgreSQL and may be told why it is turned away. */
  mayBeTold = false;

  /** `handshakeTimeoutMs` bounds the client's own part of the login, all its messages together. */
  constructor(leg: Leg, isUnixSocket: boolean, handshakeTimeoutMs: number) {
    this.leg = leg;
    this.isUnixSocket = isUnixSocket;
    this.budget = new TimeBudget(handshakeTimeoutMs);
  }

  /** Whether a password may cross this leg in clear. */
  get isSecure(): boolean {
    return this.tls !== undefined || this.isUnixSocket;
  }

  /** As `progress` of its leg, which knows nothing of messages. */
  get progress(): number | undefined {
    return this.leg.progress ?? (this.isRestAwaited ? this.leg.bytesRead : undefined);
  }

  countIn(holding: Holding): void {
    this.leg.countIn(holding);
  }

  goOn(): void {
    this.leg.goOn();
  }

  fail(error: QuerycopError): void {
    this.failure ??= error;
    this.leg.goOn();
  }

  nextChunk(awaiting: string, signal?: AbortSignal): Promise<Uint8Array> {
    return nextChunk(this.leg, this.budget, awaiting, signal);
  }

  /** The body of the client's answer to an Authentication… message; it may answer with nothing else. */
  async nextLoginAnswer(awaiting: string, signal?: AbortSignal): Promise<Uint8Array> {
    for (;;) {
      const message: Message | undefined = this.messages.next();
      if (message === undefined) {
        this.messages.push(await this.nextChunk(awaiting, signal));
        continue;
      }
      if (message.type === AUTHENTICATION_RESPONSE) return message.body;
      if (message.type === typeByte("X")) {
        throw new QuerycopError("QC_CLIENT_CLOSED", `The client said goodbye while ${awaiting}`);
      }
      const text = `Expected a password message while ${awaiting}, got a message of type ${message.type}`;
      throw new ClientMessageError("QC_CLIENT_PROTOCOL", "08P01", text);
    }
  }

  /** False means: await `drainedWithin()` before sending more. */
  send(wire: Uint8Array): boolean {
    return this.leg.write(wire);
  }
}

/** How a failure of ours is told. The product's name comes first, so that nobody blames the server. */
export function ownErrorOf(failure: QuerycopError, severity: OwnError["severity"]): OwnError {
  const text = failure.clientMessage;
  const message = text.startsWith("querycop") ? text : `querycop: ${text}`;
  return { severity, code: sqlStateOf(failure), message };
}

export function encodeFatal(failure: QuerycopError): Uint8Array {
  return encodeErrorResponse(ownErrorOf(failure, "FATAL"));
}

/** What a client hears of an end that it has not brought about. */
export function farewellFor(reason: CloseReason): QuerycopError {
  if (reason === "timeout") {
    return new QuerycopError(
      "QC_CLIENT_TIMEOUT",
      "The session was silent for too long (GATEKEEPER_CLIENT_IDLE_TIMEOUT)",
    );
  }
  return new QuerycopError("QC_SHUTDOWN", "querycop: the connection is ended", {
    clientMessage: "querycop: terminating the connection, please reconnect",
  });
}
