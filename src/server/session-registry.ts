/** All live sessions: who is connected, how many from where, and which backend thread a client's connection id means. */
import { Tally } from "../base/tally.ts";
import type { Session } from "../session/session.ts";
import type { SessionServices } from "../session/session-services.ts";

export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
}

/** Why a connection cannot be taken: the limit as a metric's label names it, and the words for the client. */
export interface Refusal {
  readonly limit: "connections" | "address" | "user" | "descriptors" | "shutdown";
  readonly text: string;
}

/** What a KILL of a client of this backend is about. */
export function killTargets(
  registry: SessionRegistry,
  { host, port }: { readonly host: string; readonly port: number },
): Pick<SessionServices, "backendConnectionId" | "cancelHold"> {
  const named = (connectionId: number): Session | undefined => registry.greetedAs(connectionId, `${host}:${port}`);
  return {
    backendConnectionId: (connectionId) => named(connectionId)?.backendConnectionId,
    cancelHold: (connectionId) => named(connectionId)?.cancelHold(),
  };
}

export class SessionRegistry {
  readonly #sessions = new Map<number, Session>();
  readonly #perAddress = new Tally();
  readonly #limits: ConnectionLimits;
  readonly #endedBytes = { toClient: 0, toBackend: 0 };
  #nextId = 1;
  #idleListener: (() => void) | undefined;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get connectionsMax(): number {
    return this.#limits.connectionsMax;
  }

  /** Bytes written to both sides by all sessions there ever were. */
  relayedBytes(): { readonly toClient: number; readonly toBackend: number } {
    let { toClient, toBackend } = this.#endedBytes;
    for (const session of this.#sessions.values()) {
      toClient += session.bytesToClient;
      toBackend += session.bytesToBackend;
    }
    return { toClient, toBackend };
  }

  nextSessionId(): number {
    return this.#nextId++;
  }

  /** Why a connection from this address cannot be taken now, or undefined. */
  refusalFor(address: string): Refusal | undefined {
    const { connectionsMax, connectionsPerAddressMax } = this.#limits;
    if (this.#sessions.size >= connectionsMax) {
      return { limit: "connections", text: `${connectionsMax} connections are open, see GATEKEEPER_MAX_CONNECTIONS` };
    }
    const fromAddress = this.#perAddress.countOf(address);
    if (fromAddress < connectionsPerAddressMax) return undefined;
    const text = `${fromAddress} connections from this address are open, see GATEKEEPER_CONNECTIONS_PER_ADDRESS`;
    return { limit: "address", text };
  }

  add(session: Session): void {
    this.#sessions.set(session.id, session);
    this.#perAddress.add(session.clientAddress);
  }

  remove(session: Session): void {
    if (!this.#sessions.delete(session.id)) return;
    this.#endedBytes.toClient += session.bytesToClient;
    this.#endedBytes.toBackend += session.bytesToBackend;
    this.#perAddress.remove(session.clientAddress);
    if (this.#sessions.size === 0) this.#idleListener?.();
  }

  *[Symbol.iterator](): IterableIterator<Session> {
    yield* this.#sessions.values();
  }

  /** By the id of the audit log, which names the process's life as well. */
  findByLabel(label: string): Session | undefined {
    for (const session of this.#sessions.values()) if (session.label === label) return session;
    return undefined;
  }

  find(id: number): Session | undefined {
    return this.#sessions.get(id);
  }

  /**
   * Whom a client of this backend means by a connection id: the session whose client was greeted with it. The backend's
   * own id is another one after a login that had to be repeated, and where querycop greets before it dials.
   */
  greetedAs(connectionId: number, backendAddress: string): Session | undefined {
    for (const session of this.#sessions.values()) {
      if (session.greetedConnectionId === connectionId && session.backendAddress === backendAddress) return session;
    }
    return undefined;
  }

  /** Resolves when no session is left. */
  whenEmpty(): Promise<void> {
    if (this.#sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idleListener = resolve;
    });
  }
}
