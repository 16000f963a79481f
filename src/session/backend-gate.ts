/**
 * The only way to a backend. Nothing in querycop writes to a backend socket except `send`, and `send` takes a permit:
 * what was decided, by whom. An undecided byte cannot be sent because it has no permit to be sent with.
 */

import { QuerycopError } from "../base/errors.ts";
import type { Holding } from "../base/memory-budget.ts";
import { COM_QUIT, ERR_HEADER } from "../mysql/constants.ts";
import type { Packet, Wire } from "../mysql/packet.ts";
import { encodePacket } from "../mysql/packet.ts";
import type { Leg } from "../net/leg.ts";
import type { BackendTls, TlsIdentity } from "../net/tls.ts";
import type { ClientPeer } from "./mysql/login/client-peer.ts";
import { TimeBudget } from "./time-budget.ts";

/** Why bytes may go to the backend. */
export type Permit =
  /** querycop's own part of the login: written by us from a decoded structure, never the client's raw bytes. */
  | {
      readonly kind: "login";
      readonly packet: "SSLRequest" | "HandshakeResponse41" | "authentication" | "COM_CHANGE_USER";
    }
  /** A statement the policy let through. */
  | { readonly kind: "decision"; readonly decisionId: string; readonly action: "allow" | "warn" | "require-approval" }
  /** A command without statement text which the command table forwards. */
  | { readonly kind: "command"; readonly name: string }
  /** File content that answers a LOCAL INFILE request of the statement decided before. */
  | { readonly kind: "local-infile"; readonly decisionId: string }
  /** A statement of querycop's own: session probe, KILL QUERY. */
  | { readonly kind: "own"; readonly purpose: string };

export class BackendGate {
  readonly #leg: Leg;
  #lost: (() => void) | undefined;
  #deadListener: (() => void) | undefined;
  #unaskedListener: (() => void) | undefined;
  #budget: TimeBudget;

  /** `loginTimeoutMs` bounds the backend's own part of the login, greeting and TLS included. */
  constructor(leg: Leg, loginTimeoutMs: number) {
    this.#leg = leg;
    this.#budget = new TimeBudget(loginTimeoutMs);
    leg.onDead(() => {
      this.#lost?.();
      this.#deadListener?.();
    });
    leg.onUnasked(() => {
      if (leg.isEnded) this.#lost?.();
      this.#unaskedListener?.();
    });
  }

  /**
   * Waits for something of the client's, one wait at a time. Rejects with QC_BACKEND_CLOSED when the backend goes away
   * first: who waits for a client reads nothing from the backend and would not notice.
   */
  async whileAlive<T>(awaiting: string, work: Promise<T>): Promise<T> {
    const lost = new Promise<never>((_resolve, reject) => {
      this.#lost = () =>
        reject(new QuerycopError("QC_BACKEND_CLOSED", `The backend closed the connection while ${awaiting}`));
    });
    if (this.#leg.isEnded || this.#leg.isDead) this.#lost?.();
    try {
      return await Promise.race([work, lost]);
    } finally {
      this.#lost = undefined;
    }
  }

  /** Sends bytes under a permit. False means: await `drainedWithin()` before sending more. */
  send(_permit: Permit, wire: Wire): boolean {
    if (wire instanceof Uint8Array) return this.#leg.write(wire);
    let isTaken = true;
    for (const part of wire) isTaken = this.#leg.write(part);
    return isTaken;
  }

  /** Frames a payload of ours with the next sequence id and sends it. */
  sendPayload(permit: Permit, payload: Uint8Array): boolean {
    const wire = encodePacket(payload, this.#leg.nextSequenceId);
    this.#leg.nextSequenceId = ((wire[3] ?? 0) + 1 + Math.floor(payload.length / 0xffffff)) & 0xff;
    return this.send(permit, wire);
  }

  /** Resolves when the socket has room again; a backend that takes nothing for so long is given up: its leg is then dead. */
  async drainedWithin(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.#leg.destroy(), timeoutMs);
    await this.#leg.drained();
    clearTimeout(timer);
  }

  /** A later login on this connection (COM_CHANGE_USER) has a time budget of its own. */
  renewBudget(loginTimeoutMs: number): void {
    this.#budget = new TimeBudget(loginTimeoutMs);
  }

  /** The next packet of the login, which must continue the conversation. An error may come out of turn. */
  async expectLoginPacket(awaiting: string, signal?: AbortSignal): Promise<Packet> {
    const wanted = this.#leg.nextSequenceId;
    const packet = await this.#budget.spend((timeoutMs) => this.#leg.expectPacket(awaiting, timeoutMs, signal));
    if (packet.sequenceId === wanted || packet.payload[0] === ERR_HEADER) return packet;
    const text = `Packets out of order while ${awaiting}: expected sequence id ${wanted}, got ${packet.sequenceId}`;
    throw new QuerycopError("QC_BACKEND_PROTOCOL", text);
  }

  /** Resolves when this side or the client has something to read or has closed. Throws when the time of either runs out. */
  async eitherSpeaks(client: ClientPeer, awaiting: string): Promise<void> {
    const spoken = await this.#budget.spend((ownMs) =>
      client.budget.spend(async (clientMs) => {
        const timeoutMs = Math.min(ownMs, clientMs);
        let timer: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<false>((resolve) => {
          timer = setTimeout(() => resolve(false), timeoutMs);
        });
        const either = Promise.race([client.leg.waitReadable(), this.#leg.waitReadable()]).then(() => true);
        return await Promise.race([either, late]).finally(() => clearTimeout(timer));
      }),
    );
    if (!spoken) throw new QuerycopError("QC_BACKEND_TIMEOUT", `Neither side went on in time while ${awaiting}`);
  }

  expectPacket(awaiting: string, timeoutMs: number, signal?: AbortSignal): Promise<Packet> {
    return this.#leg.expectPacket(awaiting, timeoutMs, signal);
  }

  takeChunk(): Uint8Array | undefined {
    return this.#leg.takeChunk();
  }

  nextEvent(): Promise<void> {
    return this.#leg.nextEvent();
  }

  /** As `nextEvent()`; false when nothing has come for so long, and the leg is then dead. */
  async nextEventWithin(timeoutMs: number): Promise<boolean> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#leg.destroy();
    }, timeoutMs);
    await this.#leg.nextEvent();
    clearTimeout(timer);
    return !isLate;
  }

  get isFinished(): boolean {
    return this.#leg.isFinished;
  }

  /** An abort of `signal` destroys the leg: there is no other way out of a TLS handshake. */
  async upgrade(tls: BackendTls, signal?: AbortSignal): Promise<TlsIdentity> {
    const giveUp = (): void => this.#leg.destroy();
    signal?.addEventListener("abort", giveUp);
    try {
      return await this.#budget.spend((timeoutMs) => tls.upgrade(this.#leg, timeoutMs));
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  onDead(listener: () => void): void {
    this.#deadListener = listener;
    if (this.#leg.isDead) listener();
  }

  onUnasked(listener: () => void): void {
    this.#unaskedListener = listener;
  }

  resetSequence(): void {
    this.#leg.nextSequenceId = 0;
  }

  countIn(holding: Holding): void {
    this.#leg.countIn(holding);
  }

  set payloadBytesMax(bytes: number) {
    this.#leg.payloadBytesMax = bytes;
  }

  get hasUnread(): boolean {
    return this.#leg.hasUnread;
  }

  get isDead(): boolean {
    return this.#leg.isDead;
  }

  get isEnded(): boolean {
    return this.#leg.isEnded;
  }

  get remoteAddress(): string {
    return this.#leg.remoteAddress ?? "";
  }

  get bytesWritten(): number {
    return this.#leg.bytesWritten;
  }

  end(): void {
    this.#leg.end();
  }

  /** Leaves as a client does: a connection that is only cut counts as aborted on the server. */
  quit(): void {
    this.send({ kind: "command", name: "COM_QUIT" }, encodePacket(Uint8Array.of(COM_QUIT), 0));
    this.end();
  }

  destroy(): void {
    this.#leg.destroy();
  }
}
