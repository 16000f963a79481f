/** The two TLS legs: what each mode verifies, and the upgrade of a leg in mid-connection. */
import { createHash, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { concatBytes } from "../base/bytes.ts";
import { QuerycopError } from "../base/errors.ts";
import type { Leg } from "./leg.ts";
import {
  certificateRefused,
  explainBackendError,
  explainClientError,
  isTimeout,
  refusesOurCertificate,
} from "./tls-errors.ts";
import type { TlsPeer } from "./transport.ts";

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
  /** DER of the peer's certificate. */
  readonly certificate?: Uint8Array;
}

/** A client on a leg with TLS. */
export interface ClientTlsIdentity extends TlsIdentity {
  /** SHA-256 over the DER of the certificate that the client was shown. */
  readonly ownFingerprint: Uint8Array;
  /** That DER. */
  readonly ownCertificate: Uint8Array;
  /** What was chosen by ALPN. */
  readonly applicationProtocol: string | undefined;
}

export interface ClientUpgrade {
  /** Bytes behind the SSLRequest that were read off the leg before. */
  readonly taken?: Uint8Array;
  /** See TlsServerUpgrade. */
  readonly applicationProtocol?: string;
}

/** A TLS record of type handshake starts with 0x16: the only bytes that may follow an SSLRequest in one segment. */
const TLS_HANDSHAKE_RECORD = 0x16;
const NO_BYTES = new Uint8Array(0);

/** The TLS identity the backend leg will insist on; the files behind it are replaceable while running. */
export class BackendTls {
  readonly mode: BackendTlsMode;
  readonly serverName: string;
  #context: SecureContext;

  constructor(options: BackendTlsOptions) {
    this.mode = options.mode;
    this.serverName = options.serverName;
    this.#context = backendContext(options);
  }

  /** New connections use the new material; running ones keep theirs. Throws and changes nothing if it does not load. */
  reload(options: BackendTlsOptions): void {
    this.#context = backendContext(options);
  }

  get isVerifying(): boolean {
    return this.#verifies !== "nothing";
  }

  get #verifies(): "nothing" | "chain" | "chain-and-name" {
    if (this.mode === "verify-full") return "chain-and-name";
    return this.mode === "verify-ca" ? "chain" : "nothing";
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
    try {
      const { serverName } = this;
      const upgrade = {
        role: "client",
        context: this.#context,
        serverName,
        verifies: this.#verifies,
        timeoutMs,
      } as const;
      return identityOf(await leg.startTls(upgrade));
    } catch (cause) {
      const text = `Cannot start TLS with the backend: ${explainBackendError(cause)}`;
      if (refusesOurCertificate(cause)) throw certificateRefused(text, cause);
      // A server that is too slow, or whose answer is lost, is no matter of TLS.
      if (isTimeout(cause)) throw new QuerycopError("QC_BACKEND_TIMEOUT", text, { cause });
      throw new QuerycopError("QC_BACKEND_TLS", text, {
        clientMessage: "querycop: TLS with the backend failed, run querycop doctor on the proxy host",
        cause,
      });
    }
  }
}

function backendContext(options: BackendTlsOptions): SecureContext {
  return createSecureContext({
    minVersion: options.minVersion,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.cert === undefined ? {} : { cert: options.cert, key: options.key }),
    ...legacyCiphers(options.minVersion),
  });
}

/**
 * OpenSSL's default security level refuses the signatures of TLS 1.0 and 1.1, which the operator asked for here.
 * BoringSSL knows no levels and no such word, and does not refuse them.
 */
function legacyCiphers(minVersion: TlsVersion): { ciphers?: string } {
  if (minVersion >= "TLSv1.2") return {};
  const ciphers = "DEFAULT:@SECLEVEL=0";
  try {
    createSecureContext({ ciphers });
    return { ciphers };
  } catch {
    return {};
  }
}

/** The certificate the proxy shows to its clients, replaceable while running. */
export class ClientTls {
  #contextOptions: SecureContextOptions;
  #context: SecureContext;
  #certificate: OwnCertificate;

  constructor(options: ClientTlsOptions) {
    this.#contextOptions = contextOptionsFrom(options);
    this.#context = createSecureContext(this.#contextOptions);
    this.#certificate = ownCertificateOf(options.cert);
  }

  /** New connections use the new material; running ones keep theirs. Throws and changes nothing if it does not load. */
  reload(options: ClientTlsOptions): void {
    const contextOptions = contextOptionsFrom(options);
    const certificate = ownCertificateOf(options.cert);
    this.#context = createSecureContext(contextOptions);
    this.#contextOptions = contextOptions;
    this.#certificate = certificate;
  }

  /**
   * Upgrades the leg as TLS server after an SSLRequest was read. A ClientHello in the same segment is handed to TLS;
   * any other byte there ends the connection, because it arrived unencrypted and would be taken for encrypted.
   */
  async upgrade(leg: Leg, timeoutMs: number, how: ClientUpgrade = {}): Promise<ClientTlsIdentity> {
    const { taken = NO_BYTES, applicationProtocol } = how;
    const rest = concatBytes([taken, leg.takeUnread()]);
    if (rest.length > 0 && rest[0] !== TLS_HANDSHAKE_RECORD) {
      throw new QuerycopError("QC_CLIENT_PROTOCOL", "Refused plaintext bytes behind an SSLRequest");
    }
    try {
      const upgrade = {
        role: "server",
        context: this.#context,
        contextOptions: this.#contextOptions,
        requestsCertificate: this.#contextOptions.ca !== undefined,
        initialData: rest,
        applicationProtocol,
        timeoutMs,
      } as const;
      // The certificate shown here: another may be in force when the handshake is done.
      const shown = this.#certificate;
      const peer = await leg.startTls(upgrade);
      return { ...identityOf(peer), ...shown, applicationProtocol: peer.applicationProtocol };
    } catch (cause) {
      throw new QuerycopError("QC_CLIENT_TLS", `Cannot start TLS with the client: ${explainClientError(cause)}`, {
        cause,
      });
    }
  }
}

type OwnCertificate = Pick<ClientTlsIdentity, "ownFingerprint" | "ownCertificate">;

function ownCertificateOf(pem: string): OwnCertificate {
  const { raw } = new X509Certificate(pem);
  return { ownFingerprint: createHash("sha256").update(raw).digest(), ownCertificate: raw };
}

function contextOptionsFrom(options: ClientTlsOptions): SecureContextOptions {
  return {
    cert: options.cert,
    key: options.key,
    minVersion: "TLSv1.2",
    ...(options.clientCa === undefined ? {} : { ca: options.clientCa }),
  };
}

function identityOf({ protocol, cipher, certificate }: TlsPeer): TlsIdentity {
  const commonName: unknown = certificate?.subject?.CN;
  return {
    protocol,
    cipher,
    alternativeNames: parseAlternativeNames(certificate?.subjectaltname ?? ""),
    ...(typeof commonName === "string" ? { commonName } : {}),
    ...(certificate === undefined ? {} : { certificate: certificate.raw }),
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
