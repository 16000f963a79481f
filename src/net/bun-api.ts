/** The part of Bun's socket API in use here, declared by hand: the sources must type-check without Bun's types. */

export interface BunSocket<Data> {
  data: Data;
  /** Negative once it is closed. */
  readonly fd: number;
  readonly remoteAddress: string | undefined;
  /** Bytes taken, or a negative number when the socket is closed. */
  write(bytes: Uint8Array): number;
  /** Half-close; the peer may still send. */
  shutdown(): void;
  /** Closes; over TLS with a close_notify. */
  end(): void;
  /** Resets the connection. */
  terminate(): void;
  pause(): void;
  resume(): void;
  /** Replaces the handlers: of one socket when it was dialled, of the listener when it was accepted. */
  reload(options: { readonly socket: Partial<BunSocketHandlers<Data>> }): void;
  setNoDelay(enable: boolean): void;
  setKeepAlive(enable: boolean, initialDelayMs: number): void;
  /** The old socket, which from now on shows the ciphertext, and the new one. Undefined when the socket is closed. */
  upgradeTLS(options: BunUpgradeOptions<Data>): readonly [raw: BunSocket<Data>, secure: BunTlsSocket<Data>] | undefined;
}

export interface BunTlsSocket<Data> extends BunSocket<Data> {
  getPeerCertificate(): unknown;
  getCipher(): { readonly name: string | null } | undefined;
  getTLSVersion(): string | undefined;
  readonly alpnProtocol: string | false | null;
}

export interface BunUpgradeOptions<Data> {
  readonly isServer: boolean;
  readonly data: Data;
  readonly initialData?: Uint8Array;
  readonly tls: {
    /** `createSecureContext(…).context` of node:tls. */
    readonly secureContext: unknown;
    readonly serverName?: string;
    readonly requestCert: boolean;
    readonly rejectUnauthorized: boolean;
    /** As on the wire: names behind their lengths. A string is taken for such bytes, and fails every handshake. */
    readonly ALPNProtocols?: Uint8Array;
  };
  readonly socket: BunSocketHandlers<Data>;
}

export interface BunSocketHandlers<Data> {
  open?(socket: BunSocket<Data>): void;
  data(socket: BunSocket<Data>, chunk: Uint8Array): void;
  drain(socket: BunSocket<Data>): void;
  end(socket: BunSocket<Data>): void;
  close(socket: BunSocket<Data>, error?: Error): void;
  /** Also called with what a handler throws. */
  error(socket: BunSocket<Data>, error: Error): void;
  /** `verifyError` can be set although `success` is true. */
  handshake?(socket: BunTlsSocket<Data>, success: boolean, verifyError: Error | null | undefined): void;
  connectError?(socket: BunSocket<Data>, error: Error): void;
}

export interface BunListener {
  readonly port: number | undefined;
  readonly fd: number;
  /** Without `true`, open connections go on. */
  stop(closeActiveConnections?: boolean): void;
}

interface BunTcpOptions<Data> {
  readonly hostname: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  readonly socket: BunSocketHandlers<Data>;
  readonly data?: Data;
}

export type BunListenOptions<Data> = Omit<BunTcpOptions<Data>, "hostname" | "port"> &
  ({ readonly hostname: string; readonly port: number } | { readonly unix: string } | { readonly fd: number });

export interface BunApi {
  listen<Data>(options: BunListenOptions<Data>): BunListener;
  connect<Data>(options: BunTcpOptions<Data>): Promise<BunSocket<Data>>;
}

/** Bun's API, or undefined on another runtime. */
export function bunApi(): BunApi | undefined {
  return (globalThis as { Bun?: BunApi }).Bun;
}
