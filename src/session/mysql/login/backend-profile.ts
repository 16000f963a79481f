/**
 * The last greeting of a backend: version, capabilities, character set. Clients that are greeted before their backend is
 * dialled are greeted with it: a greeting that is not the backend's own would be noticed by drivers.
 */
import type { HandshakeV10 } from "../../../mysql/handshake.ts";
import { type BackendConnection, takeLeave } from "./backend-login.ts";

export class BackendProfile {
  #greeting: HandshakeV10 | undefined;
  #pending: Promise<HandshakeV10> | undefined;

  /** Undefined until the backend has been reached. */
  get kept(): HandshakeV10 | undefined {
    return this.#greeting;
  }

  remember(greeting: HandshakeV10): void {
    this.#greeting = greeting;
  }

  /**
   * The remembered greeting, or the one a probe brings. However many clients wait, there is one probe at a time: an
   * unauthenticated flood must not become a flood of dials.
   */
  current(open: () => Promise<BackendConnection>): Promise<HandshakeV10> {
    if (this.#greeting !== undefined) return Promise.resolve(this.#greeting);
    this.#pending ??= this.#probe(open).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #probe(open: () => Promise<BackendConnection>): Promise<HandshakeV10> {
    const connection = await open();
    void takeLeave(connection);
    this.#greeting = connection.greeting;
    return connection.greeting;
  }
}
