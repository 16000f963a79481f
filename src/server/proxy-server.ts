/** One listener: accepts connections, applies the limits, and runs a session for each. */
import { chmodSync, lstatSync, readFileSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { ERROR_CODES } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { encodeErrPacket } from "../mysql/generic-response.ts";
import { encodePacket } from "../mysql/packet.ts";
import { Session } from "../session/session.ts";
import type { SessionServices } from "../session/session-services.ts";
import type { SessionRegistry } from "./session-registry.ts";

export type ListenTarget =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "fd"; readonly fd: number };

export class ProxyServer {
  readonly #server: Server;
  readonly #services: SessionServices;
  readonly #registry: SessionRegistry;
  readonly #logger: Logger;
  #isClosing = false;

  constructor(services: SessionServices, registry: SessionRegistry) {
    this.#services = services;
    this.#registry = registry;
    this.#logger = services.logger;
    // allowHalfOpen: a client that sends a query and its FIN still gets the answer, as from a server.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
    this.#server.on("connection", (socket) => this.#accept(socket));
    this.#server.on("error", (error) => this.#logger.error("listener failed", { error: error.message }));
  }

  /** Resolves with the port in use (0 for a unix socket). Rejects with the system's error when the address is taken. */
  listen(target: ListenTarget): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      const done = (): void => {
        this.#server.off("error", reject);
        if (target.kind === "unix") chmodSync(target.path, 0o660);
        const address = this.#server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      };
      if (target.kind === "fd") this.#server.listen({ fd: target.fd }, done);
      else if (target.kind === "tcp")
        this.#server.listen({ host: target.host, port: target.port, backlog: 4096 }, done);
      else {
        removeStaleSocket(target.path);
        this.#server.listen(target.path, done);
      }
    });
  }

  /** Stops accepting; running sessions go on. */
  close(): void {
    this.#isClosing = true;
    this.#server.close();
  }

  #accept(socket: Socket): void {
    const address = socket.remoteAddress ?? "unix";
    const refusal = this.#isClosing ? "querycop is shutting down" : this.#registry.refusalFor(address);
    if (refusal !== undefined) {
      this.#turnAway(socket, address, refusal);
      return;
    }
    const session = new Session(this.#registry.nextSessionId(), socket, this.#services);
    this.#registry.add(session);
    session.run().then(
      () => this.#registry.remove(session),
      (thrown: unknown) => {
        this.#registry.remove(session);
        this.#logger.error("session crashed", { session: session.id, error: String(thrown) });
        socket.destroy();
      },
    );
  }

  /** As a full server does: an error in place of the greeting, without SQLSTATE, then FIN. */
  #turnAway(socket: Socket, address: string, refusal: string): void {
    this.#logger.warn("connection refused", { client: address, error: refusal });
    const { errorNumber } = ERROR_CODES.QC_TOO_MANY_CONNECTIONS;
    socket.on("error", () => socket.destroy());
    socket.end(
      encodePacket(encodeErrPacket({ errorNumber, message: `querycop: too many connections: ${refusal}` }), 0),
    );
    socket.resume();
    setTimeout(() => socket.destroy(), 1_000).unref();
  }
}

/** SAFETY: only a socket is ever removed; a configured path that names a file of yours is left alone and listen fails. */
function removeStaleSocket(path: string): void {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  if (existing?.isSocket() === true) unlinkSync(path);
}

/** Sessions take two descriptors each; past the limit Bun would spin on accept without serving anybody. */
export function connectionsAllowedByDescriptors(): number {
  const RESERVE = 64;
  try {
    const line = readFileSync("/proc/self/limits", "latin1")
      .split("\n")
      .find((text) => text.startsWith("Max open files"));
    const soft = Number(line?.split(" ").filter((word) => word !== "")[3]);
    return Number.isFinite(soft) ? Math.max(1, Math.floor((soft - RESERVE) / 2)) : Number.MAX_SAFE_INTEGER;
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}
