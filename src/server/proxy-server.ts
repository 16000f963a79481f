/** One listener: accepts connections, applies the limits, and runs a session for each. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { UNIX_SOCKET } from "../base/address.ts";
import type { Logger } from "../base/log.ts";
import { network } from "../net/network.ts";
import { readProxyHeader } from "../net/proxied-transport.ts";
import type { Listener, ListenTarget, Transport } from "../net/transport.ts";
import type { LiveSession, SessionWing } from "../session/live-session.ts";
import type { SessionServices } from "../session/session-services.ts";
import type { OpenFiles } from "./open-files.ts";
import type { Refusal, SessionRegistry } from "./session-registry.ts";

/** Its own and the one of its backend. */
const DESCRIPTORS_OF_SESSION = 2;
/** How long a client that was turned away may take to read why. */
const TURN_AWAY_MS = 1_000;
/** In a crowd: just enough for the words to leave this process. */
const TURN_AWAY_HURRIED_MS = 10;
/** Clients turned away that may take their time: each holds a descriptor, and there may be none to spare. */
const TURNED_AWAY_MAX = 16;

/** A load balancer sends its header with the connection. */
const PROXY_HEADER_MS = 5_000;
/** Connections whose header is still to come; each has a descriptor and is counted nowhere else. */
const PROXY_HEADERS_MAX = 1024;

export class ProxyServer {
  readonly #wing: SessionWing;
  readonly #services: SessionServices;
  readonly #registry: SessionRegistry;
  readonly #logger: Logger;
  readonly #listeners: Listener[] = [];
  readonly #openFiles: OpenFiles;
  #isClosing = false;
  readonly #closing = new AbortController();
  #headersAwaited = 0;
  #turnedAway = 0;

  constructor(wing: SessionWing, services: SessionServices, registry: SessionRegistry, openFiles: OpenFiles) {
    this.#wing = wing;
    this.#services = services;
    this.#registry = registry;
    this.#openFiles = openFiles;
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
    this.#closing.abort();
    for (const listener of this.#listeners) listener.close();
  }

  #accept(transport: Transport): void {
    const { isProxy } = this.#services.options;
    if (isProxy === undefined) this.#admit(transport);
    else void this.#admitProxied(transport, isProxy(transport.remoteAddress));
  }

  /** SAFETY: who may not say who its client is could say anything, and one without a header is not the one it seems. */
  async #admitProxied(peer: Transport, isTrusted: boolean): Promise<void> {
    let why = isTrusted ? undefined : "its address is not in listen.proxy_protocol";
    if (this.#headersAwaited >= PROXY_HEADERS_MAX) why ??= `${PROXY_HEADERS_MAX} others have sent no PROXY header yet`;
    let transport = peer;
    if (why === undefined) {
      this.#headersAwaited++;
      const end = await readProxyHeader(peer, PROXY_HEADER_MS, this.#closing.signal);
      this.#headersAwaited--;
      transport = end.transport;
      why = end.refused;
    }
    if (why === undefined) {
      this.#admit(transport);
      return;
    }
    const text = `this connection is refused: ${why}, see GATEKEEPER_LISTEN_PROXY_PROTOCOL`;
    const room = this.#openFiles.admit(1);
    this.#turnAway(transport, peer.remoteAddress ?? UNIX_SOCKET, { limit: "proxy-header", text }, room === "none");
  }

  #admit(transport: Transport): void {
    const address = transport.remoteAddress ?? UNIX_SOCKET;
    const refusal: Refusal | undefined = this.#isClosing
      ? { limit: "shutdown", text: "querycop is shutting down" }
      : this.#refusalFor(address);
    const room = this.#openFiles.admit(refusal === undefined ? DESCRIPTORS_OF_SESSION : 1);
    if (refusal !== undefined || room !== "enough") {
      this.#turnAway(transport, address, refusal ?? this.#tooManyFiles(), room === "none");
      return;
    }
    this.#services.metrics.clientConnectionsTotal.value++;
    const session = this.#wing.open(this.#registry.nextSessionId(), transport, this.#services);
    this.#registry.add(session);
    const run = (): void => this.#run(session, transport);
    if (this.#services.newcomers.take(1, run)) run();
  }

  #run(session: LiveSession, transport: Transport): void {
    session.run().then(
      () => this.#registry.remove(session),
      (thrown: unknown) => {
        this.#registry.remove(session);
        this.#logger.error("session crashed", { session: session.id, error: String(thrown) });
        transport.destroy();
      },
    );
  }

  /** In a full house those leave that say nothing. */
  #refusalFor(address: string): Refusal | undefined {
    if (this.#registry.refusalFor(address) === undefined) return undefined;
    const refusal = this.#registry.makeRoom(address);
    if (refusal === undefined) this.#services.metrics.loginsEnded.value++;
    return refusal;
  }

  #tooManyFiles(): Refusal {
    const { open, limit } = this.#openFiles;
    const { abandonedConnects } = network;
    const attempts = abandonedConnects === 0 ? "" : ` (${abandonedConnects} by attempts to reach the backend)`;
    const remedy = "raise the limit: LimitNOFILE in the systemd unit, ulimit -n in a shell";
    return { limit: "descriptors", text: `${open} of ${limit} files are open${attempts}, ${remedy}` };
  }

  /** As a full server does: an error in place of the greeting, then FIN. Ends at once where no file is left. */
  #turnAway(transport: Transport, address: string, { limit, text }: Refusal, isHopeless: boolean): void {
    this.#logger.warn("connection refused", { client: address, error: text });
    this.#services.metrics.connectionsRefused.of(limit).value++;
    if (isHopeless) {
      transport.destroy();
      return;
    }
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
    transport.write(this.#wing.turnAway(text));
    transport.end();
  }
}

/** SAFETY: only a socket is ever removed; a configured path that names a file of yours is left alone and listen fails. */
function removeStaleSocket(path: string): void {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  if (existing?.isSocket() === true) unlinkSync(path);
}
