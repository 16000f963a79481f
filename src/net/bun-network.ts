/** Listening and dialling with Bun's own sockets. */
import { widenAcceptQueue } from "./accept-queue.ts";
import type { BunApi, BunListenOptions, BunSocketHandlers } from "./bun-api.ts";
import { BunTransport } from "./bun-transport.ts";
import type { Listener, ListenTarget, Network, Transport } from "./transport.ts";

/**
 * Attempts to connect that were given up and that Bun cannot abort: each holds a descriptor until the system gives up
 * too, after two minutes. Past this many the attempts are made with node:net, which can.
 */
const ABANDONED_CONNECTS_MAX = 16;

export class BunNetwork implements Network {
  readonly name = "bun";
  readonly #bun: BunApi;
  readonly #fallback: Network;
  #abandoned = 0;

  constructor(bun: BunApi, fallback: Network) {
    this.#bun = bun;
    this.#fallback = fallback;
  }

  async listen(target: ListenTarget, onConnection: (transport: Transport) => void): Promise<Listener> {
    const socket: BunSocketHandlers<BunTransport> = {
      ...BunTransport.handlers,
      open: (accepted) => onConnection(BunTransport.accepted(accepted)),
    };
    const listener = this.#bun.listen(listenOptions(target, socket));
    widenAcceptQueue(listener.fd);
    return { port: listener.port ?? 0, close: () => listener.stop() };
  }

  connect(address: string, port: number, signal: AbortSignal): Promise<Transport> {
    if (this.#abandoned >= ABANDONED_CONNECTS_MAX) return this.#fallback.connect(address, port, signal);
    return new Promise((resolve, reject) => {
      let isSettled = false;
      let isAbandoned = false;
      const settle = (): void => {
        isSettled = true;
        signal.removeEventListener("abort", abandon);
        if (isAbandoned) this.#abandoned--;
      };
      const abandon = (): void => {
        isAbandoned = true;
        this.#abandoned++;
        reject(new Error("aborted"));
      };
      const fail = (error: Error): void => {
        if (isSettled) return;
        settle();
        reject(error);
      };
      const succeed = (transport: BunTransport): void => {
        settle();
        if (isAbandoned) transport.destroy();
        else resolve(transport);
      };
      if (signal.aborted) {
        reject(new Error("aborted"));
        return;
      }
      signal.addEventListener("abort", abandon, { once: true });
      const data = new BunTransport({ succeed, fail });
      this.#bun
        .connect({ hostname: address, port, allowHalfOpen: true, socket: BunTransport.handlers, data })
        .catch(fail);
    });
  }
}

function listenOptions(target: ListenTarget, socket: BunSocketHandlers<BunTransport>): BunListenOptions<BunTransport> {
  const common = { allowHalfOpen: true, socket };
  if (target.kind === "tcp") return { ...common, hostname: target.host, port: target.port };
  if (target.kind === "unix") return { ...common, unix: target.path };
  return { ...common, fd: target.fd };
}
