/** A connection that begins with a PROXY header: read here, so that all others see the client's address and bytes alone. */
import { concatBytes } from "../base/bytes.ts";
import { decodeProxyHeader } from "./proxy-header.ts";
import type { TlsPeer, TlsUpgrade, Transport, TransportListener } from "./transport.ts";

export interface ProxyHeaderEnd {
  /** The connection, as it is behind its header. */
  readonly transport: Transport;
  /** Why it is not to be served. What else it sends is dropped then. */
  readonly refused: string | undefined;
}

/** Resolves when the header is there, or will not come any more. Nothing is written meanwhile. An abort ends the wait. */
export function readProxyHeader(transport: Transport, timeoutMs: number, signal: AbortSignal): Promise<ProxyHeaderEnd> {
  return new Promise((resolve) => {
    const reader = new ProxiedTransport(transport, (end) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abandon);
      resolve(end);
    });
    const abandon = (): void => reader.giveUp("querycop is shutting down");
    const timer = setTimeout(() => reader.giveUp(`no PROXY header came within ${timeoutMs} ms`), timeoutMs);
    signal.addEventListener("abort", abandon);
    transport.attach(reader);
  });
}

class ProxiedTransport implements Transport, TransportListener {
  readonly #inner: Transport;
  /** Told once how the header ended; undefined afterwards. */
  #settle: ((end: ProxyHeaderEnd) => void) | undefined;
  #isRefused = false;
  #client: string | undefined;
  #listener: TransportListener | undefined;
  /** Of the header, and then what came right behind it. */
  #held: Uint8Array = new Uint8Array(0);
  #isEnded = false;
  #closed: { readonly error: Error | undefined } | undefined;

  constructor(inner: Transport, settle: (end: ProxyHeaderEnd) => void) {
    this.#inner = inner;
    this.#settle = settle;
  }

  giveUp(refused: string): void {
    if (this.#settle === undefined) return;
    this.#isRefused = true;
    this.#held = new Uint8Array(0);
    this.#end(refused);
  }

  #end(refused: string | undefined): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.({ transport: this, refused });
  }

  get remoteAddress(): string | undefined {
    return this.#client ?? this.#inner.remoteAddress;
  }

  get needsDrain(): boolean {
    return this.#inner.needsDrain;
  }

  get unsentBytes(): number {
    return this.#inner.unsentBytes;
  }

  attach(listener: TransportListener): void {
    this.#listener = listener;
    const held = this.#held;
    this.#held = new Uint8Array(0);
    if (held.length > 0) listener.receive(held);
    if (this.#isEnded) listener.receiveEnd();
    if (this.#closed !== undefined) listener.receiveClose(this.#closed.error);
  }

  receive(chunk: Uint8Array): void {
    if (this.#listener !== undefined) {
      this.#listener.receive(chunk);
      return;
    }
    if (this.#isRefused) return;
    this.#held = concatBytes([this.#held, chunk]);
    if (this.#settle !== undefined) this.#read();
  }

  #read(): void {
    const header = decodeProxyHeader(this.#held);
    if (header.kind === "more") return;
    if (header.kind === "broken") {
      this.giveUp(`its PROXY header is broken: ${header.why}`);
      return;
    }
    this.#client = header.client;
    this.#held = this.#held.slice(header.bytes);
    this.#end(undefined);
  }

  receiveEnd(): void {
    this.#isEnded = true;
    if (this.#listener !== undefined) this.#listener.receiveEnd();
    else this.giveUp("it ended before its PROXY header");
  }

  receiveDrain(): void {
    this.#listener?.receiveDrain();
  }

  receiveClose(error: Error | undefined): void {
    this.#closed = { error };
    if (this.#listener !== undefined) this.#listener.receiveClose(error);
    else this.giveUp("it closed before its PROXY header");
  }

  write(bytes: Uint8Array, isGiven?: boolean): boolean {
    return this.#inner.write(bytes, isGiven);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(): void {
    this.#inner.destroy();
  }

  startTls(upgrade: TlsUpgrade): Promise<TlsPeer> {
    return this.#inner.startTls(upgrade);
  }
}
