/** The client's side of a session during login: its leg, how safe that leg is, and the time it may still take. */

import { QuerycopError } from "../../../base/errors.ts";
import type { ErrPacket } from "../../../mysql/generic-response.ts";
import { encodeErrPacket } from "../../../mysql/generic-response.ts";
import { encodePacket, type Packet } from "../../../mysql/packet.ts";
import type { Leg } from "../../../net/leg.ts";
import type { ClientTlsIdentity } from "../../../net/tls.ts";
import { TimeBudget } from "../../time-budget.ts";

export class ClientPeer {
  readonly leg: Leg;
  readonly isUnixSocket: boolean;
  tls: ClientTlsIdentity | undefined;
  budget: TimeBudget;
  /** True while it is awaited to name its user and no backend is held for it: its silence keeps nobody else waiting. */
  isAwaitedAtNoCost = false;

  /** `handshakeTimeoutMs` bounds the client's own part of the login, all its packets together. */
  constructor(leg: Leg, isUnixSocket: boolean, handshakeTimeoutMs: number) {
    this.leg = leg;
    this.isUnixSocket = isUnixSocket;
    this.budget = new TimeBudget(handshakeTimeoutMs);
  }

  /** Whether a password may cross this leg in clear: TLS or a unix socket, as MySQL clients define it. */
  get isSecure(): boolean {
    return this.tls !== undefined || this.isUnixSocket;
  }

  /** True when the client has closed its side and asked for nothing before: whatever the login brings, it is for nobody. */
  get hasLeft(): boolean {
    return this.leg.isEnded && !this.leg.hasUnread;
  }

  /** Since when the client is awaited to go on with its login; undefined while it is not. */
  get awaitedSinceMs(): number | undefined {
    return this.budget.spendingSinceMs;
  }

  /** A later login on this connection (COM_CHANGE_USER) has a time budget of its own. */
  renewBudget(handshakeTimeoutMs: number): void {
    this.budget = new TimeBudget(handshakeTimeoutMs);
  }

  /** The client's next login packet, which must continue the conversation. */
  async expectLoginPacket(awaiting: string): Promise<Packet> {
    const wanted = this.leg.nextSequenceId;
    const packet = await this.budget.spend((timeoutMs) => this.leg.expectPacket(awaiting, timeoutMs));
    if (this.hasLeft)
      throw new QuerycopError("QC_CLIENT_CLOSED", `The client closed behind its answer while ${awaiting}`);
    if (packet.sequenceId !== wanted) {
      throw new QuerycopError(
        "QC_CLIENT_SEQUENCE",
        `Packets out of order while ${awaiting}: expected sequence id ${wanted}, got ${packet.sequenceId}`,
      );
    }
    return packet;
  }

  sendPayload(payload: Uint8Array): void {
    const wire = encodePacket(payload, this.leg.nextSequenceId);
    this.leg.nextSequenceId = (this.leg.nextSequenceId + 1) & 0xff;
    this.leg.write(wire);
  }

  sendErr(error: ErrPacket): void {
    this.sendPayload(encodeErrPacket(error));
  }
}
