/** One listener: accepts connections, applies the limits, and runs a session for each. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { ERROR_CODES } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { encodeErrPacket } from "../mysql/generic-response.ts";
import { encodePacket } from "../mysql/packet.ts";
import { network } from "../net/network.ts";
import type { Listener, ListenTarget, Transport } from "../net/transport.ts";
import { Session } from "../session/session.ts";
import type { SessionServices } from "../session/session-services.ts";
import { DESCRIPTORS_FOR_SESSIONS } from "./open-files.ts";
import type { Refusal, SessionRegistry } from "./session-registry.ts";

/** How long a client that was turned away may take to read why. */
const TURN_AWAY_MS = 1_000;
/** In a crowd: just enough for the words to leave this process. */
const TURN_AWAY_HURRIED_MS = 10;
/** Clients turned away that may take their time: each holds a descriptor, and there may be none to spare. */
const TURNED_AWAY_MAX = 16;

export class ProxyServer {
  readonly #services: SessionServices;
  readonly #registry: SessionRegistry;
  readonly #logger: Logger;
  readonly #listeners: Listener[] = [];
  #isClosing = false;
  #turnedAway = 0;

  constructor(services: SessionServices, registry: SessionRegistry) {
    this.#services = services;
    this.#registry = registry;
    this.#logger = services.logger;
  }

  /**
   * Resolves with the port in use (0 for a unix socket). Rejects with the system's error when the address is taken. May be
   * called again for a further address.
   */
  async listen(target: ListenTarget): Promise<number> {
    if (target.kind === "unix") removeStaleSocket(target.path);
    const listener = await network.listen(target, (transport) => this.#accept(transport));
    if (target.kind === "unix") chmodSync(target.path, 0o660);
    this.#listeners.push(listener);
    return listener.port;
  }

  /** Stops accepting; running sessions go on. */
  close(): void {
    this.#isClosing = true;
    for (const listener of this.#listeners) listener.close();
  }

  #accept(transport: Transport): void {
    const address = transport.remoteAddress ?? "unix";
    const refusal: Refusal | undefined = this.#isClosing
      ? { limit: "shutdown", text: "querycop is shutting down" }
      : (this.#registry.refusalFor(address) ?? this.#descriptorRefusal());
    if (refusal !== undefined) {
      this.#turnAway(transport, address, refusal);
      return;
    }
    this.#services.metrics.clientConnectionsTotal.value++;
    const session = new Session(this.#registry.nextSessionId(), transport, this.#services);
    this.#registry.add(session);
    session.run().then(
      () => this.#registry.remove(session),
      (thrown: unknown) => {
        this.#registry.remove(session);
        this.#logger.error("session crashed", { session: session.id, error: String(thrown) });
        transport.destroy();
      },
    );
  }

  /** Attempts to reach a backend that does not answer hold descriptors for minutes, which no session can have. */
  #descriptorRefusal(): Refusal | undefined {
    const held = network.abandonedConnects;
    if (held === 0 || this.#registry.size * 2 + held < DESCRIPTORS_FOR_SESSIONS) return undefined;
    const text = `${held} attempts to reach the backend wait for an answer, see the limit on open files`;
    return { limit: "descriptors", text };
  }

  /** As a full server does: an error in place of the greeting, without SQLSTATE, then FIN. */
  #turnAway(transport: Transport, address: string, { limit, text }: Refusal): void {
    this.#logger.warn("connection refused", { client: address, error: text });
    this.#services.metrics.connectionsRefused.of(limit).value++;
    const { errorNumber } = ERROR_CODES.QC_TOO_MANY_CONNECTIONS;
    const err = encodeErrPacket({ errorNumber, message: `querycop: too many connections: ${text}` });
    let isOver = false;
    const leave = (): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      this.#turnedAway--;
      transport.destroy();
    };
    const timer = setTimeout(leave, this.#turnedAway < TURNED_AWAY_MAX ? TURN_AWAY_MS : TURN_AWAY_HURRIED_MS);
    timer.unref();
    this.#turnedAway++;
    transport.attach({ receive: () => {}, receiveDrain: () => {}, receiveEnd: leave, receiveClose: leave });
    transport.write(encodePacket(err, 0));
    transport.end();
  }
}

/** SAFETY: only a socket is ever removed; a configured path that names a file of yours is left alone and listen fails. */
function removeStaleSocket(path: string): void {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  if (existing?.isSocket() === true) unlinkSync(path);
}
