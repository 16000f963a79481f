/** All live sessions: who is connected, how many from where, and which backend thread a client's connection id means. */
import { crowdOf, UNIX_SOCKET } from "../base/address.ts";
import { Tally } from "../base/tally.ts";
import type { LiveSession } from "../session/live-session.ts";
import type { SessionServices } from "../session/session-services.ts";

export interface ConnectionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** Connections that have not logged in, beyond which those end that keep us waiting; any number where it is not said. */
  readonly loginsMax?: number;
}

/** A client that is at work on its login answers sooner, of a crowded machine too. */
const AWAITED_MS = 2_000;
/** Ended for others and not gone yet: each may still hold its backend for a moment, and a descriptor. */
const LEAVING_MAX = 64;

/** Why a connection cannot be taken: the limit as a metric's label names it, and the words for the client. */
export interface Refusal {
  readonly limit: "connections" | "address" | "user" | "descriptors" | "proxy-header" | "shutdown";
  readonly text: string;
}

/** Newcomers of one address: how many, and the one that has kept us waiting longest. */
interface Waiting {
  count: number;
  sinceMs: number;
  session: LiveSession;
}

/** What a KILL of a client of this backend is about. */
export function killTargets(
  registry: SessionRegistry,
  { host, port }: { readonly host: string; readonly port: number },
): Pick<SessionServices, "backendConnectionId" | "cancelHold"> {
  const named = (connectionId: number): LiveSession | undefined => registry.greetedAs(connectionId, `${host}:${port}`);
  return {
    backendConnectionId: (connectionId) => named(connectionId)?.backendConnectionId,
    cancelHold: (connectionId) => named(connectionId)?.cancelHold(),
  };
}

export class SessionRegistry {
  readonly #sessions = new Map<number, LiveSession>();
  readonly #perAddress = new Tally();
  readonly #limits: ConnectionLimits;
  readonly #endedBytes = { toClient: 0, toBackend: 0 };
  /** All that have not logged in, and some that have in the meantime. */
  readonly #newcomers = new Set<LiveSession>();
  /** Ended to make room, and not gone yet. */
  readonly #leaving = new Set<LiveSession>();
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
    if (this.#sessions.size - this.#leaving.size >= connectionsMax) {
      return { limit: "connections", text: `${connectionsMax} connections are open, see GATEKEEPER_MAX_CONNECTIONS` };
    }
    const crowd = crowdOf(address);
    const fromAddress = this.#perAddress.countOf(crowd);
    if (address === UNIX_SOCKET || fromAddress < connectionsPerAddressMax) return undefined;
    const whence = crowd === address ? "this address" : crowd;
    const text = `${fromAddress} connections from ${whence} are open, see GATEKEEPER_CONNECTIONS_PER_ADDRESS`;
    return { limit: "address", text };
  }

  /**
   * Makes room for a connection from this address where there is none, by ending the one that has kept us waiting for its
   * login longest: of this address where that has too many, else of the one of which most wait. Returns why there is none.
   */
  makeRoom(address: string): Refusal | undefined {
    const refusal = this.refusalFor(address);
    if (refusal === undefined || this.#leaving.size >= LEAVING_MAX) return refusal;
    const leaving = this.#dispensable(refusal.limit === "address" ? crowdOf(address) : undefined);
    if (leaving === undefined) return refusal;
    this.#leaving.add(leaving);
    this.#perAddress.remove(crowdOf(leaving.clientAddress));
    leaving.close("limit");
    return this.refusalFor(address);
  }

  /** Ends connections that keep us waiting for their login when there are too many; returns how many. */
  endSilentLogins(nowMs: number): number {
    let places = 0;
    for (const session of this.#newcomers) {
      if (!session.isLoggingIn) this.#newcomers.delete(session);
      else if (session.holdsLoginPlace) places++;
    }
    const { loginsMax = Number.POSITIVE_INFINITY } = this.#limits;
    if (places < loginsMax) return 0;
    const leaving = this.#awaitedLogins(AWAITED_MS, nowMs).filter(({ holdsLoginPlace }) => holdsLoginPlace);
    for (const session of leaving) session.close("limit");
    return leaving.length;
  }

  /**
   * The newcomer that has kept us waiting longest, of this address or else of the one with most of them. Those not greeted yet
   * come last: it is not their turn. One pass, without a list: in a full house it is made for every client that comes.
   */
  #dispensable(ofCrowd: string | undefined): LiveSession | undefined {
    const waiting = new Map<string, Waiting>();
    let most: Waiting | undefined;
    for (const session of this.#newcomers) {
      const { awaitedSinceMs = Number.POSITIVE_INFINITY } = session;
      const crowd = crowdOf(session.clientAddress);
      const isUngreeted = session.isLoggingIn && session.bytesToClient === 0;
      if (ofCrowd !== undefined && crowd !== ofCrowd) continue;
      if ((awaitedSinceMs === Number.POSITIVE_INFINITY && !isUngreeted) || this.#leaving.has(session)) continue;
      let found = waiting.get(crowd);
      if (found === undefined) {
        found = { count: 0, sinceMs: awaitedSinceMs, session };
        waiting.set(crowd, found);
      }
      found.count++;
      if (awaitedSinceMs < found.sinceMs) {
        found.sinceMs = awaitedSinceMs;
        found.session = session;
      }
      if (most === undefined || found.count > most.count) most = found;
    }
    return most?.session;
  }

  /** The one that waits longest first. */
  #awaitedLogins(sinceMs: number, nowMs = performance.now()): LiveSession[] {
    const awaitedMs = ({ awaitedSinceMs }: LiveSession): number =>
      awaitedSinceMs === undefined ? Number.NEGATIVE_INFINITY : nowMs - awaitedSinceMs;
    const awaited = [...this.#newcomers].filter(
      (session) => !this.#leaving.has(session) && awaitedMs(session) >= sinceMs,
    );
    return awaited.sort((one, other) => awaitedMs(other) - awaitedMs(one));
  }

  add(session: LiveSession): void {
    this.#sessions.set(session.id, session);
    this.#newcomers.add(session);
    this.#perAddress.add(crowdOf(session.clientAddress));
  }

  remove(session: LiveSession): void {
    if (!this.#sessions.delete(session.id)) return;
    this.#newcomers.delete(session);
    this.#endedBytes.toClient += session.bytesToClient;
    this.#endedBytes.toBackend += session.bytesToBackend;
    if (!this.#leaving.delete(session)) this.#perAddress.remove(crowdOf(session.clientAddress));
    if (this.#sessions.size === 0) this.#idleListener?.();
  }

  *[Symbol.iterator](): IterableIterator<LiveSession> {
    yield* this.#sessions.values();
  }

  /** By the id of the audit log, which names the process's life as well. */
  findByLabel(label: string): LiveSession | undefined {
    for (const session of this.#sessions.values()) if (session.label === label) return session;
    return undefined;
  }

  find(id: number): LiveSession | undefined {
    return this.#sessions.get(id);
  }

  /**
   * Whom a client of this backend means by a connection id: the session whose client was greeted with it. The backend's
   * own id is another one after a login that had to be repeated, and where querycop greets before it dials.
   */
  greetedAs(connectionId: number, backendAddress: string): LiveSession | undefined {
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
