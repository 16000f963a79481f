/** Transports on node:net and node:tls: for every runtime. */
import { connect, createServer, isIP, type Socket } from "node:net";
import {
  checkServerIdentity,
  connect as connectTls,
  createServer as createTlsServer,
  type PeerCertificate,
  TLSSocket,
  type TlsOptions,
} from "node:tls";
import { plainAddress } from "../base/address.ts";
import { handshakeTimedOut, peerClosed, tlsError } from "./tls-errors.ts";
import {
  ACCEPT_QUEUE_LENGTH,
  KEEP_ALIVE_MS,
  type Listener,
  type ListenTarget,
  type Network,
  type TlsClientUpgrade,
  type TlsPeer,
  type TlsServerUpgrade,
  type TlsUpgrade,
  type Transport,
  type TransportListener,
} from "./transport.ts";

const SOCKET_EVENTS = ["data", "end", "error", "close", "drain"] as const;

class NodeTransport implements Transport {
  /** The TLS socket once there is one; it reads and writes through the first. */
  #socket: Socket | TLSSocket;
  readonly #tcpSocket: Socket;
  readonly remoteAddress: string | undefined;
  #listener: TransportListener | undefined;
  #error: Error | undefined;
  #isDestroyed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#tcpSocket = socket;
    this.remoteAddress = socket.remoteAddress === undefined ? undefined : plainAddress(socket.remoteAddress);
    // An error without a listener would end the process.
    socket.on("error", (error: Error) => {
      this.#error ??= error;
    });
  }

  get needsDrain(): boolean {
    return this.#socket.writableNeedDrain;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  attach(listener: TransportListener): void {
    this.#listener = listener;
    this.#listen();
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.destroyed || this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#isDestroyed = true;
    this.#socket.destroy();
    // A TLS socket that failed leaves the one beneath it open.
    this.#tcpSocket.destroy();
  }

  async startTls(upgrade: TlsUpgrade): Promise<TlsPeer> {
    const raw = this.#tcpSocket;
    raw.pause();
    for (const event of SOCKET_EVENTS) raw.removeAllListeners(event);
    raw.on("error", () => {});
    try {
      const secure = await handshake(raw, upgrade);
      this.#socket = secure;
      const peer = peerOf(secure);
      if (upgrade.role === "server" && upgrade.requestsCertificate) requireCertificate(secure, peer);
      if (this.#isDestroyed) throw peerClosed();
      this.#listen();
      return peer;
    } catch (thrown) {
      this.destroy();
      throw thrown;
    }
  }

  #listen(): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    const socket = this.#socket;
    let error = this.#error;
    socket.on("data", (chunk: Uint8Array) => listener.receive(chunk));
    socket.on("end", () => listener.receiveEnd());
    socket.on("drain", () => listener.receiveDrain());
    socket.on("error", (reason: Error) => {
      error ??= reason;
      // Of a TLS socket that failed no close may follow before the one beneath it is closed.
      this.#tcpSocket.destroy();
    });
    socket.on("close", () => listener.receiveClose(error));
    if (socket.destroyed) listener.receiveClose(error);
    else socket.resume();
  }
}

/** Resolves with the TLS socket. Nothing times out by itself in an upgrade: the deadline is ours. */
function handshake(raw: Socket, upgrade: TlsUpgrade): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    const succeed = (secure: TLSSocket): void => {
      clearTimeout(timer);
      resolve(secure);
    };
    const vanish = (): void => fail(peerClosed());
    const timer = setTimeout(() => fail(handshakeTimedOut(upgrade.timeoutMs)), upgrade.timeoutMs);
    raw.once("close", vanish);
    raw.once("end", vanish);
    if (upgrade.role === "server" && upgrade.requestsCertificate) {
      startAsVerifyingServer(raw, upgrade, succeed, fail);
      return;
    }
    const secure = upgrade.role === "client" ? startAsClient(raw, upgrade) : startAsServer(raw, upgrade);
    // These stay: a late alert must not become an uncaught exception.
    secure.on("error", fail);
    secure.once("end", vanish);
    secure.once("close", vanish);
    secure.once(upgrade.role === "client" ? "secureConnect" : "secure", () => succeed(secure));
  });
}

function startAsClient(raw: Socket, upgrade: TlsClientUpgrade): TLSSocket {
  const { context, serverName, verifies } = upgrade;
  return connectTls({
    socket: raw,
    secureContext: context,
    rejectUnauthorized: verifies !== "nothing",
    ...(isIP(serverName) === 0 ? { servername: serverName } : { host: serverName }),
    // Returning the error is what fails the handshake: throwing would leave the socket hanging.
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      verifies === "chain-and-name" ? checkServerIdentity(serverName, certificate) : undefined,
  });
}

function startAsServer(raw: Socket, upgrade: TlsServerUpgrade): TLSSocket {
  if (upgrade.initialData.length > 0) raw.unshift(upgrade.initialData);
  return new TLSSocket(raw, { isServer: true, secureContext: upgrade.context, ...protocolsOf(upgrade) });
}

function protocolsOf({ applicationProtocol }: TlsServerUpgrade): { readonly ALPNProtocols?: string[] } {
  return applicationProtocol === undefined ? {} : { ALPNProtocols: [applicationProtocol] };
}

/**
 * A server of its own for one connection, which never listens.
 *
 * SAFETY: Node and Deno judge the certificate of a client only where a tls.Server received it; a bare TLSSocket finishes
 * the handshake with any.
 */
function startAsVerifyingServer(
  raw: Socket,
  upgrade: TlsServerUpgrade,
  succeed: (secure: TLSSocket) => void,
  fail: (error: Error) => void,
): void {
  const options: TlsOptions & { readonly allowHalfOpen: boolean } = {
    ...upgrade.contextOptions,
    ...protocolsOf(upgrade),
    requestCert: true,
    rejectUnauthorized: true,
    allowHalfOpen: true,
  };
  const server = createTlsServer(options);
  server.once("secureConnection", succeed);
  server.on("tlsClientError", (error, secure) => {
    secure.on("error", () => {});
    fail(error);
  });
  if (upgrade.initialData.length > 0) raw.unshift(upgrade.initialData);
  server.emit("connection", raw);
}

/** SAFETY: Deno calls a client without any certificate authorized. Both must hold. */
function requireCertificate(socket: TLSSocket, peer: TlsPeer): void {
  if (peer.certificate === undefined) {
    throw tlsError("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "the peer showed no certificate");
  }
  if (!socket.authorized) {
    const reason: unknown = socket.authorizationError;
    throw tlsError(reason instanceof Error ? reason.message : String(reason), "the certificate is not trusted");
  }
}

function peerOf(secure: TLSSocket): TlsPeer {
  const certificate = secure.getPeerCertificate() as Partial<PeerCertificate> | null;
  return {
    protocol: secure.getProtocol() ?? "unknown",
    cipher: secure.getCipher()?.name ?? "unknown",
    certificate: certificate?.raw === undefined ? undefined : (certificate as PeerCertificate),
    applicationProtocol: secure.alpnProtocol || undefined,
  };
}

export class NodeNetwork implements Network {
  readonly name = "node";
  readonly abandonedConnects = 0;

  listen(target: ListenTarget, onConnection: (transport: Transport) => void): Promise<Listener> {
    // allowHalfOpen: a client that sends a query and its FIN still gets the answer, as from a server.
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    server.on("connection", (socket) => onConnection(new NodeTransport(socket)));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(listenOptions(target), () => {
        server.off("error", reject);
        // What fails later fails one connection; the listener goes on.
        server.on("error", () => {});
        const address = server.address();
        const port = typeof address === "object" && address !== null ? (address.port ?? 0) : 0;
        resolve({ port, close: () => server.close() });
      });
    });
  }

  connect(address: string, port: number, signal: AbortSignal): Promise<Transport> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(new Error("aborted"));
        return;
      }
      const socket = connect({
        host: address,
        port,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
        allowHalfOpen: true,
      });
      const abort = (): void => {
        socket.destroy();
        reject(new Error("aborted"));
      };
      signal.addEventListener("abort", abort, { once: true });
      socket.once("error", (error) => {
        signal.removeEventListener("abort", abort);
        reject(error);
      });
      socket.once("connect", () => {
        signal.removeEventListener("abort", abort);
        socket.removeAllListeners("error");
        resolve(new NodeTransport(socket));
      });
    });
  }
}

function listenOptions(target: ListenTarget): object {
  if (target.kind === "fd") return { fd: target.fd };
  if (target.kind === "unix") return { path: target.path, backlog: ACCEPT_QUEUE_LENGTH };
  return { host: target.host, port: target.port, backlog: ACCEPT_QUEUE_LENGTH };
}
