/** Listening and dialling with Bun's own sockets. */
import type { BunApi, BunListenOptions, BunSocketHandlers } from "./bun-api.ts";
import { BunTransport } from "./bun-transport.ts";
import { widenAcceptQueue } from "./socket-options.ts";
import type { Listener, ListenTarget, Network, Transport } from "./transport.ts";

/** An attempt without an answer for so long makes the next ones to its address go another way. Shorter than the 250 ms
 * after which the next address of a name is tried and this attempt may be given up. */
const SUSPICION_MS = 200;
/** Addresses remembered. A backend has a few; its name may come to mean others in time. */
const SILENT_ADDRESSES_MAX = 256;

export class BunNetwork implements Network {
  readonly name = "bun";
  readonly #bun: BunApi;
  readonly #fallback: Network;
  /**
   * Addresses that let an attempt wait, until one succeeds. Bun cannot abort an attempt: given up, it holds its descriptor
   * until the system gives up too, two minutes later. So these are dialled with node:net, which can.
   */
  readonly #silentAddresses = new Set<string>();
  #abandoned = 0;

  constructor(bun: BunApi, fallback: Network) {
    this.#bun = bun;
    this.#fallback = fallback;
  }

  get abandonedConnects(): number {
    return this.#abandoned;
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

  async connect(address: string, port: number, signal: AbortSignal): Promise<Transport> {
    const key = `${address} ${port}`;
    const transport = this.#silentAddresses.has(key)
      ? await this.#fallback.connect(address, port, signal)
      : await this.#connect(address, port, signal);
    this.#silentAddresses.delete(key);
    return transport;
  }

  #suspect(address: string, port: number): void {
    if (this.#silentAddresses.size >= SILENT_ADDRESSES_MAX) this.#silentAddresses.clear();
    this.#silentAddresses.add(`${address} ${port}`);
  }

  #connect(address: string, port: number, signal: AbortSignal): Promise<Transport> {
    return new Promise((resolve, reject) => {
      let isSettled = false;
      let isAbandoned = false;
      const suspicion = setTimeout(() => this.#suspect(address, port), SUSPICION_MS);
      const settle = (): void => {
        isSettled = true;
        clearTimeout(suspicion);
        signal.removeEventListener("abort", abandon);
        if (isAbandoned) this.#abandoned--;
      };
      const abandon = (): void => {
        isAbandoned = true;
        this.#abandoned++;
        clearTimeout(suspicion);
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
        clearTimeout(suspicion);
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
