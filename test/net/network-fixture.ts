/** Both kinds of transport, and plain node:net peers for them to talk to. */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { test as nodeTest } from "node:test";
import { bunApi } from "../../src/net/bun-api.ts";
import { BunNetwork } from "../../src/net/bun-network.ts";
import { NodeNetwork } from "../../src/net/node-transport.ts";
import type { Listener, Network, Transport, TransportListener } from "../../src/net/transport.ts";
import type { Certificate } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";

export const IS_DENO = "Deno" in globalThis;

/** Every kind of socket this runtime has. */
export const NETWORKS: readonly Network[] = networks();

function networks(): Network[] {
  const bun = bunApi();
  const node = new NodeNetwork();
  return bun === undefined ? [node] : [new BunNetwork(bun, node), node];
}

const TIMEOUT_MS = 30_000;

/** A test that is run once over each kind of socket. */
export function testOverEach(name: string, work: (network: Network) => Promise<void>): void {
  for (const network of NETWORKS) nodeTest(`${name} (${network.name})`, { timeout: TIMEOUT_MS }, () => work(network));
}

export const pem = (path: string): string => readFileSync(path, "latin1");

export const pemPair = ({ certFile, keyFile }: Certificate): { cert: string; key: string } => ({
  cert: pem(certFile),
  key: pem(keyFile),
});

/** Keeps all that a transport reports. */
export class Recorder implements TransportListener {
  readonly transport: Transport;
  readonly #hash: Hash | undefined;
  #chunks: Uint8Array[] = [];
  byteCount = 0;
  isEnded = false;
  isClosed = false;
  error: (Error & { code?: string }) | undefined;
  #drained: (() => void) | undefined;
  onChunk: (() => void) | undefined;

  constructor(transport: Transport, options: { hashOnly?: boolean } = {}) {
    this.transport = transport;
    this.#hash = options.hashOnly === true ? createHash("sha256") : undefined;
    transport.attach(this);
  }

  receive(chunk: Uint8Array): void {
    this.byteCount += chunk.length;
    if (this.#hash === undefined) this.#chunks.push(chunk);
    else this.#hash.update(chunk);
    this.onChunk?.();
  }

  receiveEnd(): void {
    this.isEnded = true;
  }

  receiveDrain(): void {
    this.#drained?.();
  }

  receiveClose(error: Error | undefined): void {
    if (this.isClosed) throw new Error("Closed twice");
    this.isClosed = true;
    this.error = error;
    this.#drained?.();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString("latin1");
  }

  get digest(): string {
    return this.#hash?.copy().digest("hex") ?? "";
  }

  untilText(text: string): Promise<unknown> {
    return eventually(`received ${text}`, () => this.text === text);
  }

  untilEnded(): Promise<unknown> {
    return eventually("the transport has ended", () => this.isEnded || this.isClosed);
  }

  untilClosed(): Promise<unknown> {
    return eventually("the transport is closed", () => this.isClosed);
  }

  drained(): Promise<void> {
    if (!this.transport.needsDrain || this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }
}

export interface Accepting {
  readonly port: number;
  readonly listener: Listener;
  /** The next connection. */
  next(): Promise<Transport>;
}

/** Listens over `network` and runs `work`; closes all afterwards. */
export async function withListener(network: Network, work: (accepting: Accepting) => Promise<void>): Promise<void> {
  const waiting: ((transport: Transport) => void)[] = [];
  const accepted: Transport[] = [];
  const all: Transport[] = [];
  const listener = await network.listen({ kind: "tcp", host: "127.0.0.1", port: 0 }, (transport) => {
    all.push(transport);
    const take = waiting.shift();
    if (take === undefined) accepted.push(transport);
    else take(transport);
  });
  const next = (): Promise<Transport> => {
    const transport = accepted.shift();
    return transport === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(transport);
  };
  try {
    await work({ port: listener.port, listener, next });
  } finally {
    listener.close();
    for (const transport of all) transport.destroy();
  }
}

/** A node:net server that hands each connection to `serve`; closes all when `work` is done. */
export async function withPeer(
  serve: (socket: Socket) => void,
  work: (port: number) => Promise<void>,
  options: { allowHalfOpen?: boolean } = {},
): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true, ...options }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  try {
    await work((server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A node:net client. */
export function peerSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/** Everything a node socket says until its FIN. */
export function readAll(socket: Socket): Promise<string> {
  const chunks: Uint8Array[] = [];
  return new Promise((resolve, reject) => {
    socket.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("end", () => resolve(Buffer.concat(chunks).toString("latin1")));
    socket.on("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
  });
}

/** Connects to the port and opens a second connection for every one that comes; the bytes of the one who connects are
 * cut into pieces by `cut`, and each piece is a write of its own. */
export async function withSplitter(
  targetPort: number,
  cut: (bytes: Uint8Array, position: number) => Uint8Array[],
  work: (port: number) => Promise<void>,
): Promise<void> {
  const targets: Socket[] = [];
  await withPeer((client) => {
    const target = connect({ host: "127.0.0.1", port: targetPort, noDelay: true, allowHalfOpen: true });
    targets.push(target);
    target.on("error", () => client.destroy());
    client.on("close", () => target.destroy());
    target.on("close", () => client.destroy());
    target.pipe(client);
    forwardInPieces(client, target, cut);
  }, work);
  for (const target of targets) target.destroy();
}

function forwardInPieces(from: Socket, to: Socket, cut: (bytes: Uint8Array, position: number) => Uint8Array[]): void {
  const pieces: Uint8Array[] = [];
  let position = 0;
  let isRunning = false;
  let isEnded = false;
  const run = (): void => {
    const piece = pieces.shift();
    if (piece !== undefined) {
      to.write(piece);
      setImmediate(run);
      return;
    }
    isRunning = false;
    if (isEnded) to.end();
  };
  from.on("data", (chunk: Uint8Array) => {
    pieces.push(...cut(chunk, position));
    position += chunk.length;
    if (isRunning) return;
    isRunning = true;
    run();
  });
  from.on("end", () => {
    isEnded = true;
    if (!isRunning) run();
  });
}

export const byteByByte = (bytes: Uint8Array): Uint8Array[] =>
  Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));

const BLOCK = randomBytes(1024 * 1024);

/** `byteCount` reproducible bytes in pieces of uneven length, and their digest. */
export function* pieces(byteCount: number): Generator<Uint8Array> {
  let left = byteCount;
  for (let step = 1; left > 0; step++) {
    const start = (step * 7919) % (BLOCK.length / 2);
    const length = Math.min(left, 1 + ((step * 104_729) % (BLOCK.length / 2)));
    yield BLOCK.subarray(start, start + length);
    left -= length;
  }
}

export function digestOfPieces(byteCount: number): string {
  const hash = createHash("sha256");
  for (const piece of pieces(byteCount)) hash.update(piece);
  return hash.digest("hex");
}

/** Sends pieces over a node stream as fast as it takes them, then its FIN. */
export async function sendPieces(socket: Socket, byteCount: number): Promise<void> {
  for (const piece of pieces(byteCount)) {
    if (socket.destroyed) return;
    if (!socket.write(piece)) await new Promise((resolve) => socket.once("drain", resolve));
  }
  socket.end();
}

/** As `sendPieces`, over a transport. */
export async function writePieces(recorder: Recorder, byteCount: number): Promise<void> {
  for (const piece of pieces(byteCount)) {
    if (!recorder.transport.write(piece)) await recorder.drained();
  }
  recorder.transport.end();
}
