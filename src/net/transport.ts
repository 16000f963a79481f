/**
 * What a leg needs of a socket, and nothing else: bytes in both directions, half-close, and TLS started in
 * mid-connection. Two implementations exist, one on Bun's own sockets and one on node:net; network.ts picks one.
 */
import type { PeerCertificate, SecureContext, SecureContextOptions } from "node:tls";

/** Told what happens on a transport. Exactly one, from `attach` on; what arrives earlier is kept for it. */
export interface TransportListener {
  /** Bytes as they came. The buffer is the receiver's to keep. */
  receive(chunk: Uint8Array): void;
  /** The peer sent its FIN: nothing more will come, but it may still read. */
  receiveEnd(): void;
  /** Everything written has been handed to the system after `write` had returned false. */
  receiveDrain(): void;
  /** Gone for good, by whichever side. Not called for a `destroy` of ours. */
  receiveClose(error: Error | undefined): void;
}

export interface Transport {
  /** The peer's IP address, never an IPv4 one mapped into IPv6; undefined for a unix socket. */
  readonly remoteAddress: string | undefined;
  /** True between a `write` that returned false and the drain that follows. */
  readonly needsDrain: boolean;
  /** Bytes taken by `write` that the system has not taken yet. */
  readonly unsentBytes: number;
  attach(listener: TransportListener): void;
  /**
   * Takes all bytes. False means: the system took only some of them, wait for the drain before producing more. `isGiven`:
   * nobody else has use for them, they may be freed when they are sent.
   */
  write(bytes: Uint8Array, isGiven?: boolean): boolean;
  /** Stops reading. A FIN or reset of the peer may then stay unseen. */
  pause(): void;
  resume(): void;
  /** FIN after everything written. */
  end(): void;
  /** Closes at once; bytes the system has not taken are lost. Idempotent. */
  destroy(): void;
  /**
   * Starts TLS on the connection. Resolves when the handshake is done and what was asked to be verified is verified;
   * rejects with an error that has a `code`, after which the transport is destroyed. Call it once, with nothing unsent.
   */
  startTls(upgrade: TlsUpgrade): Promise<TlsPeer>;
}

export type TlsUpgrade = TlsClientUpgrade | TlsServerUpgrade;

export interface TlsClientUpgrade {
  readonly role: "client";
  readonly context: SecureContext;
  /** Sent as SNI unless it is an IP address, and looked for in the certificate when the name is verified. */
  readonly serverName: string;
  readonly verifies: "nothing" | "chain" | "chain-and-name";
  readonly timeoutMs: number;
}

export interface TlsServerUpgrade {
  readonly role: "server";
  readonly context: SecureContext;
  /** What the context was made of. */
  readonly contextOptions: SecureContextOptions;
  /** A peer without a certificate that chains to the context's CA is refused. */
  readonly requestsCertificate: boolean;
  /** What was read behind the SSLRequest: the first bytes of the ClientHello, or empty. */
  readonly initialData: Uint8Array;
  /** Chosen where the client offers protocols by ALPN; one that offers others alone fails. RFC 7301. */
  readonly applicationProtocol?: string | undefined;
  readonly timeoutMs: number;
}

/** What is known of the peer once the handshake is done. */
export interface TlsPeer {
  readonly protocol: string;
  readonly cipher: string;
  readonly certificate: PeerCertificate | undefined;
  /** What was chosen by ALPN. */
  readonly applicationProtocol: string | undefined;
}

export type ListenTarget =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  /** A listening socket inherited from the service manager. */
  | { readonly kind: "fd"; readonly fd: number };

export interface Listener {
  /** 0 for a unix socket. */
  readonly port: number;
  /** Stops accepting; connections that were accepted go on. */
  close(): void;
}

/** Makes transports: of connections accepted and of connections opened. */
export interface Network {
  readonly name: "bun" | "node";
  /** Attempts to connect that were given up and still hold a descriptor. */
  readonly abandonedConnects: number;
  /** Rejects with the system's error when the address cannot be had. */
  listen(target: ListenTarget, onConnection: (transport: Transport) => void): Promise<Listener>;
  /** Connects to an IP address. An abort ends the attempt and rejects. Rejects with the system's error and its `code`. */
  connect(address: string, port: number, signal: AbortSignal): Promise<Transport>;
}

/** Of every TCP connection: statements and answers are small, and a peer that vanished must be noticed. */
export const KEEP_ALIVE_MS = 30_000;
/**
 * What was sent and is not acknowledged for so long goes nowhere, as keep-alive finds of a silent connection: ten probes, a
 * second apart.
 */
export const UNACKNOWLEDGED_MS = KEEP_ALIVE_MS + 10_000;
/**
 * A peer that has been sent more than this since it spoke last may just not be reading. The system gives such a one up for
 * UNACKNOWLEDGED_MS too, though it acknowledges, so that there only the write timeouts count.
 */
export const UNHEARD_BYTES_MAX = 16 * 1024;
/** Connections the system holds until they are accepted. It takes the smaller of this and net.core.somaxconn. */
export const ACCEPT_QUEUE_LENGTH = 4096;
