/** The TLS leg to the backend, made with the very objects a session uses; and what the certificate says besides. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { counted } from "../base/counted.ts";
import { QuerycopError } from "../base/errors.ts";
import { isDsqlHost, regionOfHost } from "../config/region.ts";
import { isLoopbackHost } from "../config/rules.ts";
import type { BackendConfig } from "../config/schema.ts";
import { CLIENT_LONG_PASSWORD, CLIENT_SSL } from "../mysql/constants.ts";
import { canonicalHandshakeResponse, encodeSslRequest } from "../mysql/handshake.ts";
import type { Leg } from "../net/leg.ts";
import { BackendTls, type TlsIdentity } from "../net/tls.ts";
import { tlsErrorCode } from "../net/tls-errors.ts";
import {
  type BackendConnection,
  LOGIN_PACKET_BYTES_MAX,
  openBackend,
  takeLeave,
} from "../session/mysql/login/backend-login.ts";
import {
  alternativeNames,
  daysLeft,
  describeTime,
  LEAF_DAYS_MIN,
  namesOf,
  oneLine,
  parseCertificates,
} from "./certificates.ts";
import {
  type Finding,
  fail,
  type ListenerCheck,
  type ListenerContext,
  ok,
  type Remedy,
  remedy,
  skip,
  warn,
} from "./check.ts";
import { messageOf } from "./messages.ts";
import { upgradePostgresOnce } from "./postgres/tls-probe.ts";
import { isHostName } from "./shell-words.ts";

const RDS_BUNDLE_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem";
const SLACK_MS = 2_500;

const timeoutMs = ({ listener }: ListenerContext): number =>
  2 * (listener.backend.connectTimeoutMs + 2 * listener.backend.loginTimeoutMs + SLACK_MS);

export const backendTls: ListenerCheck = {
  id: "backend.tls",
  scope: "listener",
  onPostgres: "same",
  title: "TLS with the backend holds",
  about: `Upgrades a connection as a login does, in the configured \`backend.tls_mode\`, and names protocol, cipher, the names in the certificate, its issuer and its days left (warns below ${LEAF_DAYS_MIN}). When it fails, the remedy depends on why: unknown CA, expired, other name, no TLS, TLS version. Warns when the mode verifies nothing.`,
  needs: ["backend.greeting"],
  timeoutMs,
  run: async (context, signal) => {
    const { tlsMode, host } = context.listener.backend;
    if (tlsMode === "disable") {
      if (isLoopbackHost(host)) return ok("backend.tls_mode is disable, and the backend is on this host");
      return warn("backend.tls_mode is disable: everything is sent in plaintext", VERIFY);
    }
    if (!context.probe.offersTls) return notOffered(context.listener.backend);
    context.probe.certificate = await inspectCertificate(context, signal);
    try {
      const identity = await upgradeOnce(context, context.services.options.backend.tls, signal);
      return judgeIdentity(context, identity);
    } catch (error) {
      return explainTlsFailure(context, error);
    }
  },
};

const VERIFY: Remedy = remedy("backend.tls", "Set backend.tls_mode to verify-full and backend.tls_ca_file.");

function notOffered({ engine, tlsMode: mode }: BackendConfig): Finding {
  if (mode === "prefer") return warn("the server offers no TLS, so everything is sent in plaintext", VERIFY);
  const detail = `the server offers no TLS and backend.tls_mode is ${mode}`;
  if (engine !== "mysql") {
    const text = "Give the server a certificate and key (ssl_cert_file, ssl_key_file), and set ssl to on there.";
    return fail(detail, remedy("backend.tls", text, "psql -c 'SHOW ssl'"));
  }
  return fail(
    detail,
    remedy(
      "backend.tls",
      "Give the server a certificate and key (ssl_cert, ssl_key).",
      "mysql -e \"SHOW VARIABLES LIKE '%ssl%'\"",
    ),
  );
}

/** Takes any certificate, and keeps it. */
class InspectingTls extends BackendTls {
  readonly #backend: BackendConfig;
  certificate: X509Certificate | undefined;

  constructor(backend: BackendConfig) {
    super({ mode: "require", serverName: backend.tlsServerName, minVersion: backend.tlsMinVersion });
    this.#backend = backend;
  }

  override async upgrade(leg: Leg, timeoutMs: number): Promise<TlsIdentity> {
    const { tlsMinVersion, tlsClientCert, tlsClientKey, tlsServerName } = this.#backend;
    const context = createSecureContext({
      minVersion: tlsMinVersion,
      ...(tlsClientCert === undefined || tlsClientKey === undefined
        ? {}
        : { cert: readFileSync(tlsClientCert), key: readFileSync(tlsClientKey) }),
    });
    const upgrade = { role: "client", context, serverName: tlsServerName, verifies: "nothing", timeoutMs } as const;
    const { protocol, cipher, certificate } = await leg.startTls(upgrade);
    if (certificate !== undefined) this.certificate = new X509Certificate(certificate.raw);
    return { protocol, cipher, alternativeNames: [] };
  }
}

/** What the server shows, verified or not; undefined where there is no TLS at all. */
async function inspectCertificate(context: ListenerContext, signal: AbortSignal): Promise<X509Certificate | undefined> {
  const inspecting = new InspectingTls(context.listener.backend);
  await upgradeOnce(context, inspecting, signal).catch(() => undefined);
  return inspecting.certificate;
}

function isInItsTime(certificate: X509Certificate, nowMs: number): boolean {
  return daysLeft(certificate, nowMs) >= 0 && Date.parse(certificate.validFrom) <= nowMs;
}

/** One connection that is greeted, upgraded and left again. */
async function upgradeOnce(context: ListenerContext, tls: BackendTls, signal: AbortSignal): Promise<TlsIdentity> {
  if (context.listener.backend.engine !== "mysql") return await upgradePostgresOnce(context.services, tls, signal);
  const { connection, identity } = await openUpgraded(context, tls, signal);
  await takeLeave(connection);
  return identity;
}

/** One connection that is greeted by MySQL and upgraded. */
export async function openUpgraded(
  context: ListenerContext,
  tls: BackendTls,
  signal: AbortSignal,
): Promise<{ readonly connection: BackendConnection; readonly identity: TlsIdentity }> {
  const connection = await openBackend(context.services, signal);
  const { gate, greeting } = connection;
  try {
    const head = canonicalHandshakeResponse({
      capabilities: { flags: (greeting.capabilities.flags & CLIENT_LONG_PASSWORD) | CLIENT_SSL, mariadb: 0 },
      maxPacketSize: LOGIN_PACKET_BYTES_MAX,
      characterSet: greeting.characterSet,
      user: "",
      authResponse: new Uint8Array(0),
      authPluginName: "",
    });
    gate.sendPayload({ kind: "login", packet: "SSLRequest" }, encodeSslRequest(head));
    return { connection, identity: await gate.upgrade(tls) };
  } catch (thrown) {
    gate.destroy();
    throw thrown;
  }
}

function judgeIdentity({ listener, probe, host }: ListenerContext, { protocol, cipher }: TlsIdentity): Finding {
  const { certificate } = probe;
  const { tlsMode } = listener.backend;
  const parts = [`${protocol} ${cipher}`];
  if (certificate === undefined) return ok(parts.join(", "));
  const days = daysLeft(certificate, host.nowMs());
  parts.push(
    `certificate ${namesOf(certificate)}`,
    `issued by ${oneLine(certificate.issuer)}`,
    describeTime(certificate, host.nowMs()),
  );
  const detail = parts.join(", ");
  if (days < LEAF_DAYS_MIN) return warn(detail, RENEW);
  if (tlsMode === "verify-ca") {
    return warn(`${detail}: verify-ca takes any name`, remedy("backend.tls", "Set backend.tls_mode to verify-full."));
  }
  const gains = listener.backend.tokenSource === "none" ? "" : ", so whoever sits in between gets the login token";
  if (tlsMode !== "verify-full") return warn(`${detail}: ${tlsMode} verifies nothing of it${gains}`, VERIFY);
  return ok(detail);
}

const RENEW = remedy(
  "backend.tls",
  "Renew the server's certificate; RDS does it with a new CA identifier.",
  "aws rds modify-db-instance --db-instance-identifier INSTANCE --ca-certificate-identifier rds-ca-rsa2048-g1",
);

const VERSION_CODES = new Set(["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "ERR_SSL_UNSUPPORTED_PROTOCOL"]);

function explainTlsFailure(context: ListenerContext, error: unknown): Finding {
  const code = error instanceof QuerycopError ? tlsErrorCode(error.cause) : "";
  const { certificate } = context.probe;
  const shown =
    certificate === undefined
      ? ""
      : `\nthe server shows a certificate ${namesOf(certificate)}, issued by ${oneLine(certificate.issuer)}, ${describeTime(certificate, context.host.nowMs())}`;
  return fail(`${messageOf(error)}${shown}${bundleShown(context, code)}`, remedyFor(code, context));
}

/** What the bundle holds, where that may be why: not where the certificate itself is out of its time, whatever the error says. */
function bundleShown({ listener, host, probe: { certificate } }: ListenerContext, code: string): string {
  const { tlsCaFile } = listener.backend;
  const isInTime = certificate === undefined || isInItsTime(certificate, host.nowMs());
  if (tlsCaFile === undefined || !isInTime || !isAboutIssuer(code)) return "";
  try {
    return `\n${tlsCaFile}: ${describeBundle(readFileSync(tlsCaFile, "latin1"), host.nowMs()).text}`;
  } catch {
    return "";
  }
}

function isAboutIssuer(code: string): boolean {
  return ["ISSUER", "SELF_SIGNED", "VERIFY", "SIGNATURE"].some((word) => code.includes(word));
}

function remedyFor(code: string, context: ListenerContext): Remedy {
  const { certificate } = context.probe;
  const look = lookCommand(context.listener.backend);
  const nowMs = context.host.nowMs();
  // The certificate itself says more than the error: Deno's names an untrusted issuer for all of these.
  if (certificate !== undefined && daysLeft(certificate, nowMs) < 0) return RENEW;
  if (certificate !== undefined && !isInItsTime(certificate, nowMs))
    return remedy("backend.tls", "Set the clock of this host.", "timedatectl status");
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const name = certificate === undefined ? undefined : alternativeNames(certificate)[0];
    return remedy(
      "backend.tls",
      "Connect by a name in the certificate, or say which of them to expect: only if that server is yours.",
      `export GATEKEEPER_BACKEND_TLS_SERVER_NAME=${isHostName(name) ? name : "NAME"}`,
    );
  }
  if (VERSION_CODES.has(code)) {
    return remedy("backend.tls", "Update the server; until then lower backend.tls_min_version.", look);
  }
  if (isAboutIssuer(code)) return caRemedy(context, "backend.tls");
  return remedy("backend.tls", "See what the server answers to a TLS client.", look);
}

const STARTTLS = { mysql: "mysql", postgresql: "postgres", dsql: "postgres" } as const;

function lookCommand({ engine, host, port }: BackendConfig): string {
  return `openssl s_client -starttls ${STARTTLS[engine]} -connect ${host}:${port} -showcerts </dev/null`;
}

/** mydb.proxy-abcdefghijkl.… and the endpoints made besides, myapp.endpoint.proxy-abcdefghijkl.… */
function isProxyEndpoint(name: string): boolean {
  return regionOfHost(name) !== undefined && name.split(".").some((label) => label.startsWith("proxy-"));
}

function caRemedy({ listener }: ListenerContext, id = "backend.ca-bundle"): Remedy {
  const { host, tlsServerName } = listener.backend;
  const name = regionOfHost(host) === undefined ? tlsServerName : host;
  if (isProxyEndpoint(name)) {
    return remedy(
      id,
      "RDS Proxy has a certificate of AWS Certificate Manager, whose roots every system trusts: name the system's bundle in backend.tls_ca_file.",
      "export GATEKEEPER_BACKEND_TLS_CA_FILE=system",
    );
  }
  if (isDsqlHost(name)) {
    return remedy(
      id,
      "Aurora DSQL has a certificate of Amazon Trust Services, whose roots every system trusts: leave backend.tls_ca_file unset, or name the system's bundle.",
      "export GATEKEEPER_BACKEND_TLS_CA_FILE=system",
    );
  }
  if (regionOfHost(name) !== undefined) {
    return remedy(
      id,
      "Put Amazon's bundle in place and name it in backend.tls_ca_file.",
      `curl -fsSo /etc/ssl/certs/rds-global-bundle.pem ${RDS_BUNDLE_URL}`,
    );
  }
  const text = "Name the PEM file of the CA that signed the server's certificate in backend.tls_ca_file.";
  return remedy(id, text, lookCommand(listener.backend));
}

export const backendCaBundle: ListenerCheck = {
  id: "backend.ca-bundle",
  scope: "listener",
  onPostgres: "same",
  title: "The CA bundle covers the backend's certificate",
  about:
    "Counts the certificates of `backend.tls_ca_file`, how many have expired and which of the others ends first, and verifies the chain the server sends against it where `backend.tls_mode` does not, and then warns when the bundle does not cover it; where it does, `backend.tls` has failed and says so. Warns when it will all have expired soon.",
  needs: ["config.files", "backend.tls"],
  timeoutMs,
  run: async (context, signal) => {
    const { tlsCaFile } = context.listener.backend;
    if (tlsCaFile === undefined) return skip("no backend.tls_ca_file");
    const pem = readFileSync(tlsCaFile, "latin1");
    const bundle = describeBundle(pem, context.host.nowMs());
    if (!context.probe.offersTls) return skip(`${bundle.text}; the server offers no TLS`);
    const { tlsServerName: serverName, tlsMinVersion: minVersion } = context.listener.backend;
    const { tlsClientCert, tlsClientKey } = context.listener.backend;
    const client =
      tlsClientCert === undefined || tlsClientKey === undefined
        ? {}
        : { cert: readFileSync(tlsClientCert, "latin1"), key: readFileSync(tlsClientKey, "latin1") };
    const tls = new BackendTls({ mode: "verify-ca", ca: pem, serverName, minVersion, ...client });
    try {
      await upgradeOnce(context, tls, signal);
    } catch (error) {
      return await explainUncovered(context, bundle.text, error, signal);
    }
    if (bundle.daysLeftMax >= LEAF_DAYS_MIN) return ok(`${bundle.text}; it covers the server`);
    return warn(`${bundle.text}; it covers the server`, caRemedy(context));
  },
};

/** Nothing depends on the bundle in a mode that verifies nothing. A certificate out of its time is backend.tls's matter. */
async function explainUncovered(
  context: ListenerContext,
  bundle: string,
  error: unknown,
  signal: AbortSignal,
): Promise<Finding> {
  const certificate = await inspectCertificate(context, signal);
  if (certificate === undefined) return skip(`${bundle}; no TLS with the server, see backend.tls`);
  if (!isInItsTime(certificate, context.host.nowMs())) {
    return skip(`${bundle}; the server's certificate is not valid now, see backend.tls`);
  }
  const detail = `${bundle}; it does not cover the server's certificate, issued by ${oneLine(certificate.issuer)} (${messageOf(error)})`;
  return warn(detail, caRemedy(context));
}

interface BundleFacts {
  readonly text: string;
  /** Of the certificate that lasts longest. */
  readonly daysLeftMax: number;
}

function describeBundle(pem: string, nowMs: number): BundleFacts {
  const certificates = parseCertificates(pem);
  const days = certificates.map((certificate) => daysLeft(certificate, nowMs));
  const expired = days.filter((left) => left < 0).length;
  const valid = certificates.filter((_, index) => (days[index] ?? 0) >= 0);
  const first = valid.sort((left, right) => daysLeft(left, nowMs) - daysLeft(right, nowMs))[0];
  const count = counted(certificates.length, "certificate");
  const end =
    first === undefined ? "none valid" : `the first to end is ${oneLine(first.subject)}, ${describeTime(first, nowMs)}`;
  return { text: `${count}, ${expired} expired, ${end}`, daysLeftMax: Math.max(0, ...days) };
}
