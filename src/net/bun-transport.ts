/** Transports on Bun's own sockets: about half the processor time per query of node:net on the same runtime. */
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { plainAddress } from "../base/address.ts";
import { concatBytes, encodeUtf8, freeBytes } from "../base/bytes.ts";
import type { BunSocket, BunSocketHandlers, BunTlsSocket } from "./bun-api.ts";
import { setUserTimeout } from "./socket-options.ts";
import { handshakeTimedOut, peerClosed, tlsError, tlsErrorCode } from "./tls-errors.ts";
import {
  KEEP_ALIVE_MS,
  type TlsPeer,
  type TlsUpgrade,
  type Transport,
  type TransportListener,
  UNACKNOWLEDGED_MS,
  UNHEARD_BYTES_MAX,
} from "./transport.ts";

/** Told how an attempt to connect ended. */
export interface PendingConnect {
  succeed(transport: BunTransport): void;
  fail(error: Error): void;
}

interface PendingHandshake {
  readonly upgrade: TlsUpgrade;
  readonly timer: ReturnType<typeof setTimeout>;
  succeed(peer: TlsPeer): void;
  fail(error: Error): void;
}

/** What is left of something that was written; `given` is the whole of it, where it is to be freed in the end. */
interface Unsent {
  readonly rest: Uint8Array;
  readonly given: Uint8Array | undefined;
}

export class BunTransport implements Transport {
  /**
   * One object for all sockets; which one is meant stands in `socket.data`. A socket that TLS has taken over goes on
   * reporting, with ciphertext: everything that is not from the socket in use is ignored.
   */
  static readonly handlers: BunSocketHandlers<BunTransport> = {
    open(socket) {
      socket.data.#opened(socket);
    },
    connectError(socket, error) {
      socket.data.#connecting?.fail(error);
    },
    data(socket, chunk) {
      const transport = socket.data;
      if (socket !== transport.#socket) return;
      if (transport.#unheardBytes > UNHEARD_BYTES_MAX) setUserTimeout(socket.fd, UNACKNOWLEDGED_MS);
      transport.#unheardBytes = 0;
      if (transport.#listener === undefined) transport.#early.push(chunk);
      else transport.#listener.receive(chunk);
    },
    drain(socket) {
      const transport = socket.data;
      if (socket === transport.#socket && transport.#unsent.length > 0) transport.#flush();
    },
    end(socket) {
      const transport = socket.data;
      if (socket === transport.#socket) transport.#receiveEnd();
    },
    close(socket, error) {
      const transport = socket.data;
      if (socket === transport.#socket) transport.#closed(error);
    },
    error(socket, error) {
      const transport = socket.data;
      if (socket === transport.#socket) transport.#broken(error);
    },
    handshake(socket, success, verifyError) {
      const transport = socket.data;
      if (socket === transport.#socket) transport.#handshakeDone(socket, success, verifyError ?? undefined);
    },
  };

  /** For a socket that TLS has taken over. Without a data handler Bun does not copy the ciphertext for it. */
  static readonly #deafHandlers: Omit<BunSocketHandlers<BunTransport>, "data"> = {
    drain: () => {},
    end: () => {},
    close: () => {},
    error: () => {},
  };

  #socket: BunSocket<BunTransport> | undefined;
  #listener: TransportListener | undefined;
  #connecting: PendingConnect | undefined;
  #handshake: PendingHandshake | undefined;
  /** What came before a listener was attached. */
  #early: Uint8Array[] = [];
  /** What the system has not taken yet. */
  #unsent: Unsent[] = [];
  /** Sent since the peer has last said something. */
  #unheardBytes = 0;
  #endWanted = false;
  #isShut = false;
  #peerEnded = false;
  #isClosed = false;
  #error: Error | undefined;

  constructor(connecting?: PendingConnect) {
    this.#connecting = connecting;
  }

  /** The transport of a socket that was accepted. */
  static accepted(socket: BunSocket<BunTransport>): BunTransport {
    const transport = new BunTransport();
    socket.data = transport;
    transport.#opened(socket);
    return transport;
  }

  get remoteAddress(): string | undefined {
    const address = this.#socket?.remoteAddress;
    return address === undefined ? undefined : plainAddress(address);
  }

  get needsDrain(): boolean {
    return this.#unsent.length > 0;
  }

  get unsentBytes(): number {
    let bytes = 0;
    for (const { rest } of this.#unsent) bytes += rest.length;
    return bytes;
  }

  attach(listener: TransportListener): void {
    this.#listener = listener;
    const early = this.#early;
    this.#early = [];
    for (const chunk of early) listener.receive(chunk);
    if (this.#peerEnded) listener.receiveEnd();
    if (this.#isClosed) listener.receiveClose(this.#error);
  }

  write(bytes: Uint8Array, isGiven = false): boolean {
    if (this.#isClosed || this.#endWanted || this.#socket === undefined) return true;
    const isHeard = this.#unheardBytes <= UNHEARD_BYTES_MAX;
    this.#unheardBytes += bytes.length;
    if (isHeard && this.#unheardBytes > UNHEARD_BYTES_MAX) setUserTimeout(this.#socket.fd, 0);
    const taken = this.#unsent.length === 0 ? this.#socket.write(bytes) : 0;
    if (taken < 0) this.#broken(peerClosed());
    const isAllTaken = taken === bytes.length;
    if (isAllTaken && isGiven) freeBytes(bytes);
    if (taken < 0 || isAllTaken) return true;
    this.#unsent.push({ rest: taken === 0 ? bytes : bytes.subarray(taken), given: isGiven ? bytes : undefined });
    return false;
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  end(): void {
    if (this.#endWanted || this.#isClosed) return;
    this.#endWanted = true;
    if (this.#unsent.length === 0) this.#shut();
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#release();
    this.#handshake?.fail(peerClosed());
  }

  startTls(upgrade: TlsUpgrade): Promise<TlsPeer> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => pending.fail(handshakeTimedOut(upgrade.timeoutMs)), upgrade.timeoutMs);
      const pending: PendingHandshake = {
        upgrade,
        timer,
        succeed: (peer) => {
          this.#handshake = undefined;
          clearTimeout(timer);
          resolve(peer);
        },
        fail: (error) => {
          this.#handshake = undefined;
          clearTimeout(timer);
          this.destroy();
          reject(error);
        },
      };
      this.#handshake = pending;
      this.#upgrade(pending);
    });
  }

  #upgrade(pending: PendingHandshake): void {
    const { upgrade } = pending;
    if (this.#isClosed || this.#socket === undefined) {
      pending.fail(peerClosed());
      return;
    }
    const isServer = upgrade.role === "server";
    try {
      const pair = this.#socket.upgradeTLS({
        isServer,
        data: this,
        ...(isServer && upgrade.initialData.length > 0 ? { initialData: upgrade.initialData } : {}),
        tls: {
          secureContext: upgrade.context.context,
          // Without a name the certificate is checked against the connected address, and the outcome not used.
          ...(isServer || isIP(upgrade.serverName) !== 0 ? {} : { serverName: upgrade.serverName }),
          requestCert: isServer ? upgrade.requestsCertificate : true,
          // SAFETY: as a client the verdict is ours, in `handshakeProblem`: Bun knows no way to check only the chain.
          rejectUnauthorized: isServer && upgrade.requestsCertificate,
          ...(isServer && upgrade.applicationProtocol !== undefined
            ? { ALPNProtocols: protocolList(upgrade.applicationProtocol) }
            : {}),
        },
        socket: BunTransport.handlers,
      });
      if (pair === undefined) {
        pending.fail(peerClosed());
        return;
      }
      this.#socket = pair[1];
      // Of an accepted socket this would replace the handlers of its listener, for all connections.
      if (!isServer) pair[0].reload({ socket: BunTransport.#deafHandlers });
    } catch (thrown) {
      pending.fail(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  #opened(socket: BunSocket<BunTransport>): void {
    this.#socket = socket;
    if (socket.remoteAddress !== undefined) {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      setUserTimeout(socket.fd, UNACKNOWLEDGED_MS);
    }
    this.#connecting?.succeed(this);
  }

  #flush(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#isClosed) return;
    for (let head = this.#unsent[0]; head !== undefined; head = this.#unsent[0]) {
      const { rest, given } = head;
      const taken = socket.write(rest);
      if (taken < 0) {
        this.#broken(peerClosed());
        return;
      }
      if (taken < rest.length) {
        this.#unsent[0] = { rest: rest.subarray(taken), given };
        return;
      }
      this.#unsent.shift();
      if (given !== undefined) freeBytes(given);
    }
    if (this.#endWanted) this.#shut();
    else this.#listener?.receiveDrain();
  }

  #shut(): void {
    this.#isShut = true;
    this.#socket?.shutdown();
    this.#closeWhenBothEnded();
  }

  #receiveEnd(): void {
    if (this.#peerEnded || this.#isClosed) return;
    this.#peerEnded = true;
    if (this.#handshake !== undefined) {
      this.#handshake.fail(peerClosed());
      return;
    }
    this.#listener?.receiveEnd();
    this.#closeWhenBothEnded();
  }

  #closeWhenBothEnded(): void {
    if (!this.#isShut || !this.#peerEnded || this.#isClosed) return;
    this.#closed(undefined);
    this.#release();
  }

  /** The socket is useless: reset, or refused by TLS. */
  #broken(error: Error): void {
    if (this.#isClosed) return;
    this.#closed(error);
    this.#release();
  }

  #closed(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#error = error;
    this.#forgetUnsent();
    if (this.#handshake === undefined) this.#listener?.receiveClose(error);
    else this.#handshake.fail(error ?? peerClosed());
  }

  #forgetUnsent(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    for (const { given } of unsent) if (given !== undefined) freeBytes(given);
  }

  #release(): void {
    this.#forgetUnsent();
    this.#socket?.end();
  }

  #handshakeDone(socket: BunTlsSocket<BunTransport>, success: boolean, verifyError: Error | undefined): void {
    const pending = this.#handshake;
    if (pending === undefined) return;
    const certificate = presentCertificate(socket.getPeerCertificate());
    const problem = handshakeProblem(pending.upgrade, success, verifyError, certificate);
    if (problem !== undefined) {
      pending.fail(problem);
      return;
    }
    pending.succeed({
      protocol: socket.getTLSVersion() ?? "unknown",
      cipher: socket.getCipher()?.name ?? "unknown",
      certificate,
      applicationProtocol: socket.alpnProtocol || undefined,
    });
  }
}

/** ProtocolNameList with one name. */
function protocolList(name: string): Uint8Array {
  const bytes = encodeUtf8(name);
  return concatBytes([Uint8Array.of(bytes.length), bytes]);
}

function presentCertificate(certificate: unknown): PeerCertificate | undefined {
  const candidate = certificate as PeerCertificate | null | undefined;
  return candidate?.raw === undefined ? undefined : candidate;
}

const WRONG_NAME = "ERR_TLS_CERT_ALTNAME_INVALID";

/**
 * Why the peer is not to be talked to, or undefined.
 *
 * `success` says nothing by itself: it is true for a certificate of an unknown CA and false for one of another name. The
 * error is what counts; an error of the chain takes precedence over one of the name.
 */
function handshakeProblem(
  upgrade: TlsUpgrade,
  success: boolean,
  error: Error | undefined,
  certificate: PeerCertificate | undefined,
): Error | undefined {
  const code = tlsErrorCode(error ?? {});
  if (code === "EPROTO" || code === "ECONNRESET" || code.startsWith("ERR_SSL_")) return error;
  if (error === undefined && !success) return tlsError("EPROTO", "the handshake failed");
  if (upgrade.role === "server") {
    if (!upgrade.requestsCertificate) return undefined;
    return error ?? (certificate === undefined ? missingCertificate() : undefined);
  }
  if (upgrade.verifies === "nothing") return undefined;
  if (certificate === undefined) return error ?? missingCertificate();
  if (error !== undefined && code !== WRONG_NAME) return error;
  if (upgrade.verifies === "chain") return undefined;
  // An address is not sent as a name, so Bun has not looked for it.
  if (error !== undefined && isIP(upgrade.serverName) === 0) return error;
  return checkServerIdentity(upgrade.serverName, certificate);
}

function missingCertificate(): Error {
  return tlsError("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "the peer showed no certificate");
}
