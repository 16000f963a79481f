/**
 * The connections to the admin API: so many, and so many of one address. One more ends another that has shown no right
 * key, so that nobody keeps others out by just holding connections.
 */
import type { Socket } from "node:net";

/** Each holds a descriptor that a client of the database could have. */
const CONNECTIONS_MAX = 64;
/** So that one caller cannot keep health checks from elsewhere out. */
const CONNECTIONS_PER_ADDRESS_MAX = 48;

/** `silent`: nothing asked yet, or answered without a right key. `identified` is for the connection's life. */
type Standing = "silent" | "asking" | "identified";

export class ConnectionLimits {
  /** In order of arrival. */
  readonly #standings = new Map<Socket, Standing>();

  /** Takes the connection in, or ends it where all others are of callers with a right key. */
  add(socket: Socket): void {
    const { remoteAddress } = socket;
    const sameAddress = [...this.#standings.keys()].filter((other) => other.remoteAddress === remoteAddress);
    const isCrowded = sameAddress.length >= CONNECTIONS_PER_ADDRESS_MAX;
    if (isCrowded || this.#standings.size >= CONNECTIONS_MAX) {
      const leaving = this.#firstToLeave(isCrowded ? sameAddress : [...this.#standings.keys()]);
      (leaving ?? socket).destroy();
      if (leaving === undefined) return;
      this.#standings.delete(leaving);
    }
    this.#standings.set(socket, "silent");
    socket.on("close", () => this.#standings.delete(socket));
  }

  /** A request has come, whose caller is not known yet. */
  asked(socket: Socket): void {
    if (this.#standings.get(socket) === "silent") this.#standings.set(socket, "asking");
  }

  answered(socket: Socket, isIdentified: boolean): void {
    const standing = this.#standings.get(socket);
    if (standing === undefined || standing === "identified") return;
    this.#standings.set(socket, isIdentified ? "identified" : "silent");
  }

  destroyAll(): void {
    for (const socket of this.#standings.keys()) socket.destroy();
  }

  /** The oldest that asks nothing, else the oldest whose caller is not known. */
  #firstToLeave(sockets: readonly Socket[]): Socket | undefined {
    const oldest = (standing: Standing): Socket | undefined =>
      sockets.find((socket) => this.#standings.get(socket) === standing);
    return oldest("silent") ?? oldest("asking");
  }
}
