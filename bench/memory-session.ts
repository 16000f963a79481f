/** What both wings' sessions need to run in memory, for the cost of querycop alone: two ends without a system, and services. */
import type { Logger } from "../src/base/log.ts";
import type { TlsPeer, Transport, TransportListener } from "../src/net/transport.ts";
import { newProxyMetrics } from "../src/server/metric-labels.ts";
import { UserWindows } from "../src/session/limits/user-windows.ts";

export const NOTHING = (): void => {};

const EMPTY = new Uint8Array(0);

/** A socket without a system behind it: what is written calls for an answer. */
export class MemoryTransport implements Transport {
  readonly remoteAddress = "127.0.0.1";
  readonly needsDrain = false;
  readonly unsentBytes = 0;
  readonly #answer: (said: Uint8Array) => Uint8Array | undefined;
  #listener: TransportListener | undefined;
  writes = 0;

  /** Undefined closes it. */
  constructor(answer: (said: Uint8Array) => Uint8Array | undefined) {
    this.#answer = answer;
  }

  attach(listener: TransportListener): void {
    this.#listener = listener;
  }

  write(said: Uint8Array): boolean {
    this.writes++;
    queueMicrotask(() => this.speak(said));
    return true;
  }

  /** What a runtime hands over is a buffer of its own each time. */
  speak(said: Uint8Array = EMPTY): void {
    const answer = this.#answer(said);
    if (answer === undefined) this.#listener?.receiveEnd();
    else this.#listener?.receive(answer.slice());
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
  startTls(): Promise<TlsPeer> {
    throw new Error("no TLS in memory");
  }
}

const QUIET: Logger = { debug: NOTHING, info: NOTHING, warn: NOTHING, error: NOTHING, child: () => QUIET };

const NO_LIMITS = {
  responseBytesMax: 0,
  responseRowsMax: 0,
  windowBytesMax: 0,
  userWindowBytesMax: 0,
  userWindowRowsMax: 0,
};

const OPTIONS = {
  name: "bench",
  preparedStatementsMax: 100,
  writeTimeoutMs: 5000,
  leftTimeoutMs: 5000,
  dataGuard: { ...NO_LIMITS, limitAction: "cut", discardTimeoutMs: 0, discardBytesMax: 0 },
  backend: { responseTimeoutMs: 0, progressTimeoutMs: 3_600_000, writeTimeoutMs: 5000 },
};

/** Without an audit log and without limits. */
export const benchServices = () => ({
  options: OPTIONS,
  audit: { run: "bench", isKept: false, append: NOTHING, appendSoon: NOTHING, hashText: () => "" },
  logger: QUIET,
  metrics: newProxyMetrics(),
  userWindows: new UserWindows(),
});
