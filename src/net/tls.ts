/** The two TLS legs: what each mode verifies, and the upgrade of a socket in mid-connection. */
import { isIP } from "node:net";
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  TLSSocket,
} from "node:tls";
import { QuerycopError } from "../base/errors.ts";
import type { Leg } from "./leg.ts";

/** The `ssl-mode` words of MySQL clients in the spelling of the environment variables. */
export type BackendTlsMode = "disable" | "prefer" | "require" | "verify-ca" | "verify-full";

export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

export interface BackendTlsOptions {
  readonly mode: BackendTlsMode;
  /** PEM text of the trusted roots; required for verify-ca and verify-full. */
  readonly ca?: string;
  /** The name to send as SNI and, for verify-full, to find in the certificate. */
  readonly serverName: string;
  readonly minVersion: TlsVersion;
  readonly cert?: string;
  readonly key?: string;
}

export interface ClientTlsOptions {
  readonly cert: string;
  readonly key: string;
  /** PEM text of the CA that client certificates must chain to; asks every client for a certificate. */
  readonly clientCa?: string;
}

/** What the peer proved about itself. */
export interface TlsIdentity {
  readonly protocol: string;
  readonly cipher: string;
  /** subjectAltName entries without their type prefix, and the subject's common name; empty without a certificate. */
  readonly alternativeNames: readonly string[];
  readonly commonName?: string;
}

/** A TLS record of type handshake starts with 0x16: the only bytes that may follow an SSLRequest in one segment. */
const TLS_HANDSHAKE_RECORD = 0x16;

/** The TLS identity the backend leg will insist on. Built once; reload means building a new one. */
export class BackendTls {
  readonly mode: BackendTlsMode;
  readonly serverName: string;
  readonly #context: SecureContext;

  constructor(options: BackendTlsOptions) {
    this.mode = options.mode;
    this.serverName = options.serverName;
    this.#context = createSecureContext({
      minVersion: options.minVersion,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(options.cert === undefined ? {} : { cert: options.cert, key: options.key }),
      // OpenSSL's default security level refuses the signatures of TLS 1.0 and 1.1; the operator asked for them.
      ...(options.minVersion < "TLSv1.2" ? { ciphers: "DEFAULT:@SECLEVEL=0" } : {}),
    });
  }

  get isVerifying(): boolean {
    return this.mode === "verify-ca" || this.mode === "verify-full";
  }

  /**
   * Upgrades the leg as TLS client after the SSLRequest was sent. Nothing may be unread: bytes that arrived before the
   * handshake were injected by somebody in the middle (CVE-2021-3935).
   */
  async upgrade(leg: Leg, timeoutMs: number): Promise<TlsIdentity> {
    if (leg.hasUnread) {
      throw new QuerycopError(
        "QC_BACKEND_TLS",
        "Cannot start TLS with the backend: it sent bytes before the handshake",
      );
    }
    const raw = leg.detach();
    const secure = connectTls({
      socket: raw,
      secureContext: this.#context,
      rejectUnauthorized: this.isVerifying,
      ...(isIP(this.serverName) === 0 ? { servername: this.serverName } : { host: this.serverName }),
      // Returning the error is what fails the handshake: throwing would leave the socket hanging.
      checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
        this.mode === "verify-full" ? checkServerIdentity(this.serverName, certificate) : undefined,
    });
    try {
      await handshakeDone(secure, "secureConnect", timeoutMs);
    } catch (cause) {
      raw.destroy();
      secure.destroy();
      throw new QuerycopError("QC_BACKEND_TLS", `Cannot start TLS with the backend: ${this.#explain(cause)}`, {
        clientMessage: "querycop: TLS with the backend failed, run querycop doctor on the proxy host",
        cause,
      });
    }
    leg.adopt(secure);
    return identityOf(secure);
  }

  #explain(cause: unknown): string {
    const code = (cause as { code?: string }).code ?? "";
    const text = cause instanceof Error ? cause.message : String(cause);
    const remedy = TLS_REMEDIES[code];
    return remedy === undefined ? `${text}${code === "" ? "" : ` (${code})`}` : `${remedy} (${code})`;
  }
}

const CA_REMEDY = "the certificate is not signed by a CA in GATEKEEPER_BACKEND_TLS_CA_FILE";

const TLS_REMEDIES: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CA_REMEDY,
  UNABLE_TO_GET_ISSUER_CERT: CA_REMEDY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CA_REMEDY,
  SELF_SIGNED_CERT_IN_CHAIN: CA_REMEDY,
  DEPTH_ZERO_SELF_SIGNED_CERT: `${CA_REMEDY}: it is self-signed`,
  CERT_HAS_EXPIRED: "the certificate has expired",
  CERT_NOT_YET_VALID: "the certificate is not yet valid, check the clock of this host",
  CERT_SIGNATURE_FAILURE: CA_REMEDY,
  ERR_TLS_CERT_ALTNAME_INVALID:
    "the certificate is for another name; set GATEKEEPER_BACKEND_TLS_SERVER_NAME if the host is an alias (CNAME)",
  ERR_SSL_WRONG_VERSION_NUMBER: "the backend did not answer with TLS",
  EPROTO: "the backend did not answer with TLS",
  ECONNRESET: "the backend closed the connection",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "the backend speaks only TLS versions below GATEKEEPER_BACKEND_TLS_MIN_VERSION",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the backend speaks only TLS versions below GATEKEEPER_BACKEND_TLS_MIN_VERSION",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    "the backend wants a client certificate, set GATEKEEPER_BACKEND_TLS_CLIENT_CERT",
};

/** The certificate the proxy shows to its clients, replaceable while running. */
export class ClientTls {
  #context: SecureContext;
  #asksForCertificate: boolean;

  constructor(options: ClientTlsOptions) {
    this.#context = createClientContext(options);
    this.#asksForCertificate = options.clientCa !== undefined;
  }

  /** New connections use the new material; running ones keep theirs. Throws and changes nothing if it does not load. */
  reload(options: ClientTlsOptions): void {
    this.#context = createClientContext(options);
    this.#asksForCertificate = options.clientCa !== undefined;
  }

  /**
   * Upgrades the leg as TLS server after an SSLRequest was read. A ClientHello in the same segment is handed to TLS;
   * any other byte there ends the connection, because it arrived unencrypted and would be taken for encrypted.
   */
  async upgrade(leg: Leg, timeoutMs: number): Promise<TlsIdentity> {
    const rest = leg.takeUnread();
    if (rest.length > 0 && rest[0] !== TLS_HANDSHAKE_RECORD) {
      throw new QuerycopError("QC_CLIENT_PROTOCOL", "Refused plaintext bytes behind an SSLRequest");
    }
    const raw = leg.detach();
    if (rest.length > 0) raw.unshift(rest);
    const secure = new TLSSocket(raw, {
      isServer: true,
      secureContext: this.#context,
      requestCert: this.#asksForCertificate,
      rejectUnauthorized: this.#asksForCertificate,
    });
    try {
      await handshakeDone(secure, "secure", timeoutMs);
      // SAFETY: Node and Deno finish the handshake of an upgraded socket even when the certificate is not trusted, and
      // Deno calls a client without any certificate authorized. Both must hold.
      if (this.#asksForCertificate && !(secure.authorized && secure.getPeerCertificate()?.raw !== undefined)) {
        throw new Error("the client certificate is missing or not signed by GATEKEEPER_PROXY_TLS_CLIENT_CA");
      }
    } catch (cause) {
      raw.destroy();
      secure.destroy();
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new QuerycopError("QC_CLIENT_TLS", `Cannot start TLS with the client: ${text}`, { cause });
    }
    leg.adopt(secure);
    return identityOf(secure);
  }
}

function createClientContext(options: ClientTlsOptions): SecureContext {
  return createSecureContext({
    cert: options.cert,
    key: options.key,
    minVersion: "TLSv1.2",
    ...(options.clientCa === undefined ? {} : { ca: options.clientCa }),
  });
}

/** Nothing times out by itself in an upgrade: the deadline is ours. */
function handshakeDone(socket: TLSSocket, event: "secure" | "secureConnect", timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.off(event, succeed);
      socket.off("error", finish);
      socket.off("close", vanish);
      // A late alert must not become an uncaught exception; the leg's own listener takes over on success.
      if (error !== undefined) socket.on("error", () => {});
      if (error === undefined) resolve();
      else reject(error);
    };
    const succeed = (): void => finish();
    const vanish = (): void =>
      finish(Object.assign(new Error("the peer closed the connection"), { code: "ECONNRESET" }));
    const timer = setTimeout(() => finish(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.once(event, succeed);
    socket.once("error", finish);
    socket.once("close", vanish);
  });
}

function identityOf(socket: TLSSocket): TlsIdentity {
  const certificate = socket.getPeerCertificate() as Partial<PeerCertificate> | null;
  const commonName = certificate?.subject?.CN;
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher()?.name ?? "unknown",
    alternativeNames: parseAlternativeNames(certificate?.subjectaltname ?? ""),
    ...(typeof commonName === "string" ? { commonName } : {}),
  };
}

/** `DNS:a, email:b, URI:c` → `["a", "b", "c"]`. Quoted entries hold characters that could forge a separator: dropped. */
function parseAlternativeNames(text: string): string[] {
  const names: string[] = [];
  for (const entry of text.split(", ")) {
    const colon = entry.indexOf(":");
    const type = entry.slice(0, colon);
    const value = entry.slice(colon + 1);
    if ((type === "DNS" || type === "email" || type === "URI") && !value.includes('"')) names.push(value);
  }
  return names;
}
