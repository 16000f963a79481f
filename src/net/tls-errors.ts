/** The words for what goes wrong in TLS: the same for the same fault, whichever library found it. */

import { QuerycopError } from "../base/errors.ts";

export interface CodedError extends Error {
  readonly code?: string;
}

export function tlsError(code: string, message: string): CodedError {
  return Object.assign(new Error(message), { code });
}

/** What a handshake ends with when the peer just goes away. */
export function peerClosed(): CodedError {
  return tlsError("ECONNRESET", "the peer closed the connection");
}

export function handshakeTimedOut(timeoutMs: number): CodedError {
  return tlsError("ETIMEDOUT", `no answer within ${Math.round(timeoutMs)} ms`);
}

/** True where the handshake has got no answer in time, or the system has given up waiting for one. */
export function isTimeout(error: unknown): boolean {
  return tlsErrorCode(error) === "ETIMEDOUT";
}

/**
 * The code of an error, spelled as node:tls spells it. Bun's sockets report OpenSSL's errors as EPROTO with the reason
 * at the end of the message: `error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER`.
 */
export function tlsErrorCode(error: unknown): string {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  if (code !== "EPROTO" || !message.startsWith("error:")) return code;
  const reason = message.slice(message.lastIndexOf(":") + 1);
  return reason === "" ? code : `ERR_SSL_${reason.trim().toUpperCase().replaceAll(" ", "_")}`;
}

const CA_REMEDY = "the certificate is not signed by a CA in GATEKEEPER_BACKEND_TLS_CA_FILE";
const NO_TLS_REMEDY = "the backend did not answer with TLS";
const VERSION_REMEDY = "the backend speaks only TLS versions below GATEKEEPER_BACKEND_TLS_MIN_VERSION";
const CLIENT_CERTIFICATE_REMEDY = "the backend wants a client certificate, set GATEKEEPER_BACKEND_TLS_CLIENT_CERT";

const REFUSED_CERTIFICATE_REMEDY =
  "the backend does not accept the certificate in GATEKEEPER_BACKEND_TLS_CLIENT_CERT: it must be valid now, for client use, and signed by a CA in the backend's ssl_ca";

/** What to tell the operator about the backend leg. The codes of OpenSSL (Node) and BoringSSL (Bun) differ in places. */
const BACKEND_REMEDIES: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CA_REMEDY,
  UNABLE_TO_GET_ISSUER_CERT: CA_REMEDY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CA_REMEDY,
  SELF_SIGNED_CERT_IN_CHAIN: CA_REMEDY,
  CERT_SIGNATURE_FAILURE: CA_REMEDY,
  DEPTH_ZERO_SELF_SIGNED_CERT: `${CA_REMEDY}: it is self-signed`,
  CERT_HAS_EXPIRED: "the certificate has expired",
  CERT_NOT_YET_VALID: "the certificate is not yet valid, check the clock of this host",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "the certificate is for another name; set GATEKEEPER_BACKEND_TLS_SERVER_NAME if the host is an alias (CNAME)",
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS_REMEDY,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS_REMEDY,
  EPROTO: NO_TLS_REMEDY,
  ECONNRESET: "the backend closed the connection",
  EPIPE: "the backend closed the connection",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: VERSION_REMEDY,
  ERR_SSL_UNSUPPORTED_PROTOCOL: VERSION_REMEDY,
  ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED: CLIENT_CERTIFICATE_REMEDY,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: CLIENT_CERTIFICATE_REMEDY,
};

const CERTIFICATE_ALERTS = ["CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED"];

/** True for the alerts by which a server refuses our certificate. In TLS 1.3 they come after the handshake. */
export function refusesOurCertificate(error: unknown): boolean {
  const code = tlsErrorCode(error);
  return code.includes("ALERT_") && CERTIFICATE_ALERTS.some((word) => code.includes(word));
}

export function certificateRefused(text: string, cause?: unknown): QuerycopError {
  return new QuerycopError("QC_BACKEND_CLIENT_CERT", text, {
    clientMessage:
      "querycop: the backend refused the proxy's client certificate (GATEKEEPER_BACKEND_TLS_CLIENT_CERT), run querycop doctor on the proxy host",
    cause,
  });
}

/** What went wrong on the backend leg, with what to do about it where that is known. */
export function explainBackendError(error: unknown): string {
  const code = tlsErrorCode(error);
  const remedy = BACKEND_REMEDIES[code] ?? (refusesOurCertificate(error) ? REFUSED_CERTIFICATE_REMEDY : undefined);
  return remedy === undefined ? explainError(error) : `${remedy} (${code})`;
}

/** An error in words without the file names and line numbers OpenSSL puts into its messages. */
export function explainError(error: unknown): string {
  const code = tlsErrorCode(error);
  if (code.startsWith("ERR_SSL_"))
    return `${code.slice("ERR_SSL_".length).toLowerCase().replaceAll("_", " ")} (${code})`;
  const text = error instanceof Error ? error.message : String(error);
  return code === "" || text.includes(code) ? text : `${text} (${code})`;
}

const UNTRUSTED_CLIENT = "the client certificate is missing or not signed by GATEKEEPER_PROXY_TLS_CLIENT_CA";

const CLIENT_REMEDIES: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: UNTRUSTED_CLIENT,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED_CLIENT,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED_CLIENT,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED_CLIENT,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED_CLIENT,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED_CLIENT,
  CERT_SIGNATURE_FAILURE: UNTRUSTED_CLIENT,
  CERT_HAS_EXPIRED: "the client certificate has expired",
  CERT_NOT_YET_VALID: "the client certificate is not yet valid",
  ERR_SSL_WRONG_VERSION_NUMBER: "the client did not go on with TLS",
  ERR_SSL_HTTP_REQUEST: "the client did not go on with TLS",
  EPROTO: "the client did not go on with TLS",
  ECONNRESET: "the client closed the connection",
  EPIPE: "the client closed the connection",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the client speaks only TLS versions below 1.2",
};

/** As `explainBackendError` for the client leg. */
export function explainClientError(error: unknown): string {
  const code = tlsErrorCode(error);
  const remedy = CLIENT_REMEDIES[code];
  return remedy === undefined ? explainError(error) : `${remedy} (${code})`;
}
