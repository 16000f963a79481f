/** A session as those see it who count, watch and end sessions, and where they get one: whatever its protocol. */
import type { CloseReason } from "../base/errors.ts";
import type { Transport } from "../net/transport.ts";
import type { SessionServices } from "./session-services.ts";
import type { SessionView } from "./session-view.ts";

export interface LiveSession {
  readonly id: number;
  /** The id in audit records: unique over restarts. */
  readonly label: string;
  readonly clientAddress: string;
  readonly user: string | undefined;
  /** The connection id by which this client's protocol names a session in a statement; undefined where it has none. */
  readonly greetedConnectionId: number | undefined;
  readonly backendConnectionId: number | undefined;
  /** host:port: connection ids mean something among the sessions of one backend only. */
  readonly backendAddress: string;
  /** True until the login is through. */
  readonly isLoggingIn: boolean;
  /** True until the login is through, save while its client's silence keeps nobody else waiting. */
  readonly holdsLoginPlace: boolean;
  /** Since when its client is awaited to go on with its login; undefined when it is not, or has logged in. */
  readonly awaitedSinceMs: number | undefined;
  readonly isIdle: boolean;
  /** True between two commands outside a transaction: nothing is lost when it ends here. */
  readonly isAtRest: boolean;
  /** Milliseconds of silence after which an idle session ends; 0 for never. */
  readonly idleLimitMs: number;
  readonly lastActivityMs: number;
  readonly bytesToClient: number;
  readonly bytesToBackend: number;
  view(): SessionView;
  /** Ends the wait of a statement for its approval, where one waits. */
  cancelHold(): void;
  /** Ends the session when its client has begun something too long ago and not finished it. */
  endLatePacket(nowMs: number): void;
  /** As an operator wants it, whose key is named `by`. */
  kill(by: string): void;
  /** Ends the session now, whatever it is doing. */
  close(reason: CloseReason): void;
  /** Runs to the end and never rejects. */
  run(): Promise<void>;
}

/** What a listener is handed of the protocol that it speaks. */
export interface SessionWing {
  open(id: number, transport: Transport, services: SessionServices): LiveSession;
  /** Resolves when the backend has gone through what a session begins with, TLS where it is wanted. Logs nobody in. */
  probe(services: SessionServices, signal: AbortSignal): Promise<void>;
  /** The bytes that tell a client, in place of a greeting, that it is not let in. `text` is for people. */
  turnAway(text: string): Uint8Array;
}
