/**
 * Rules that concern more than one setting of a listener, or the files it names: what start-up refuses, and what it warns
 * about. Every text names the setting to change.
 */
import { isIP } from "node:net";
import { dirname } from "node:path";
import { isLoopbackAddress } from "../base/address.ts";
import { fileExists, isDirectory } from "./file-access.ts";
import { checkCertificatePair, problemOfCaFile, problemOfPublicKeyFile, systemCaFile } from "./pem-files.ts";
import { isDsqlHost, regionOfHost } from "./region.ts";
import type {
  AccountConfig,
  BackendEngine,
  ClientAuth,
  ClientTlsMode,
  ListenerSettings,
  TokenSource,
} from "./schema.ts";
import { loadUsersFile } from "./users-file.ts";
import { endpointOf } from "./values.ts";

/** One listener under inspection. */
export interface ListenerCheck {
  readonly settings: ListenerSettings;
  /** True when the operator gave the setting; a default does not count. */
  readonly isSet: (key: string) => boolean;
  readonly problem: (key: string, text: string) => void;
  readonly warn: (key: string, text: string) => void;
  /** SSL_CERT_FILE of the environment. */
  readonly systemCaFile: string | undefined;
  /** Of a named connection. */
  readonly account?: AccountConfig | undefined;
}

/** What follows from the settings of a listener. */
export interface DerivedSettings {
  readonly engine: BackendEngine;
  readonly port: number;
  readonly tlsMode: ListenerSettings["backend"]["tlsMode"];
  readonly tokenSource: TokenSource;
  readonly clientAuth: ClientAuth;
  readonly clientTlsMode: ClientTlsMode;
  readonly region: string | undefined;
  /** The path behind the word system. */
  readonly caFile: string | undefined;
}

/** The size of sun_path less its NUL, on Linux. */
const SOCKET_PATH_BYTES_MAX = 107;

/** Checks one listener with all rules, so that every problem comes back at once. */
export function checkListener(given: ListenerCheck): DerivedSettings {
  const engine = checkEngine(given);
  const check = engine === "dsql" ? withDsqlTls(given) : given;
  const tokenSource = usedTokenSource(check, checkTokenSource(check, engine));
  const clientTlsMode = checkClientTls(check);
  const clientAuth = checkClientAuth(check, engine, tokenSource, clientTlsMode);
  checkListen(check, clientTlsMode);
  checkBackendTlsMode(check, tokenSource);
  const caFile = checkBackendCa(check);
  checkBackendKeys(check);
  const port = engine === "mysql" || check.isSet("backend.port") ? check.settings.backend.port : POSTGRESQL_PORT;
  const region = checkRegion(check, tokenSource);
  const { tlsMode } = check.settings.backend;
  return { engine, port, tlsMode, tokenSource, clientTlsMode, clientAuth, caFile, region };
}

const POSTGRESQL_PORT = 5432;

function checkEngine(check: ListenerCheck): BackendEngine {
  const { engine: given, host, tlsServerName } = check.settings.backend;
  const dsqlHost = [host, tlsServerName].find((name) => name !== undefined && isDsqlHost(name));
  const engine = given ?? (dsqlHost === undefined ? "mysql" : "dsql");
  if (engine !== "dsql" && dsqlHost !== undefined) {
    check.problem("backend.engine", `${dsqlHost} is an endpoint of Aurora DSQL: set dsql, or leave it unset`);
  }
  return engine;
}

/** Aurora DSQL speaks TLS only, asks for its name in SNI, and has a certificate whose roots every system trusts. */
function withDsqlTls(check: ListenerCheck): ListenerCheck {
  const { settings, isSet } = check;
  const tlsMode = isSet("backend.tls_mode") ? settings.backend.tlsMode : "verify-full";
  if (tlsMode !== "verify-full") {
    check.problem(
      "backend.tls_mode",
      `${tlsMode} would not know Aurora DSQL from whoever sits in between: set verify-full, or leave it unset`,
    );
  }
  const { tlsCaFile = "system" } = settings.backend;
  return { ...check, settings: { ...settings, backend: { ...settings.backend, tlsMode, tlsCaFile } } };
}

/** True for addresses only this machine can reach. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost") return true;
  return isIP(name) !== 0 && isLoopbackAddress(name);
}

function isLocalListener(settings: ListenerSettings): boolean {
  return settings.listen.socket !== undefined || isLoopbackHost(settings.listen.host);
}

export function problemOfSocketPath(path: string): string | undefined {
  const bytes = Buffer.byteLength(path);
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    return `the path is ${bytes} bytes long, at most ${SOCKET_PATH_BYTES_MAX} are possible: choose a shorter one`;
  }
  if (isDirectory(dirname(path))) return undefined;
  return `the directory ${dirname(path)} does not exist: create it, with permissions for the clients`;
}

function checkListen(check: ListenerCheck, clientTlsMode: ClientTlsMode): void {
  const { listen } = check.settings;
  if (listen.socket !== undefined) {
    const problem = problemOfSocketPath(listen.socket);
    if (problem !== undefined) check.problem("listen.socket", problem);
    for (const key of ["listen.host", "listen.port"]) {
      if (check.isSet(key)) {
        check.problem(
          key,
          "has no effect beside listen.socket: remove one of the two, or add a second entry to listeners: for it",
        );
      }
    }
  } else if (!isLocalListener(check.settings) && clientTlsMode !== "require") {
    const state = clientTlsMode === "off" ? "is plaintext" : "allows plaintext";
    check.warn(
      "proxy.tls_mode",
      `the listener on ${listen.host} ${state}: set proxy.tls_cert, proxy.tls_key and proxy.tls_mode require`,
    );
  }
}

/** What signs for a server of this kind. */
const signerOf = (engine: BackendEngine): "rds-signer" | "dsql-signer" =>
  engine === "dsql" ? "dsql-signer" : "rds-signer";

function checkTokenSource(check: ListenerCheck, engine: BackendEngine): TokenSource {
  const { tokenSource, tokenCmd } = check.settings.backend;
  const signer = signerOf(engine);
  if (check.account !== undefined) return check.account.password.source === "iam" ? signer : "password";
  if (tokenSource === "command" && tokenCmd === undefined) {
    check.problem(
      "backend.token_source",
      `command needs backend.token_cmd: set it, or set backend.token_source to ${signer}`,
    );
  }
  if (tokenSource !== undefined && tokenSource !== "command") {
    if (tokenCmd !== undefined) {
      const text = `has no effect while backend.token_source is ${tokenSource}: remove one of the two`;
      check.problem("backend.token_cmd", text);
    }
    if (tokenSource !== signer) {
      const text = `${tokenSource} makes no tokens that a server of backend.engine ${engine} takes: set ${signer}`;
      check.problem("backend.token_source", text);
    }
  }
  if (tokenSource !== undefined) return tokenSource;
  if (tokenCmd !== undefined) return "command";
  // Nobody has a password there. A client that is relayed brings a token of its own.
  return engine === "dsql" && check.settings.clientAuth !== "relay" ? signer : "none";
}

/** Logins that are relayed need no token. */
function usedTokenSource(check: ListenerCheck, tokenSource: TokenSource): TokenSource {
  if (check.settings.clientAuth !== "relay" || tokenSource === "none") return tokenSource;
  check.warn(tokenKey(check), "has no effect with client_auth relay: the server checks the client's own password");
  return "none";
}

/** The setting that switched tokens on, for messages. */
function tokenKey(check: ListenerCheck): string {
  if (check.account !== undefined) return "connection";
  const { tokenSource, tokenCmd } = check.settings.backend;
  if (tokenSource !== undefined) return "backend.token_source";
  return tokenCmd === undefined ? "backend.engine" : "backend.token_cmd";
}

/** SAFETY: a password goes to a server that is known to be the right one, or is encrypted for a key that is. */
function keepsPassword({ tlsMode, host, publicKeyFile }: ListenerSettings["backend"]): boolean {
  if (tlsMode === "verify-ca" || tlsMode === "verify-full" || isLoopbackHost(host)) return true;
  return tlsMode === "disable" && publicKeyFile !== undefined;
}

function checkBackendTlsMode(check: ListenerCheck, tokenSource: TokenSource): void {
  const { backend } = check.settings;
  const mode = backend.tlsMode;
  if (tokenSource === "password" && !keepsPassword(backend)) {
    check.problem(
      "backend.tls_mode",
      `${mode} does not verify the server, which may ask for the password itself: set verify-full and backend.tls_ca_file`,
    );
    return;
  }
  if (tokenSource === "password" && !mode.startsWith("verify-")) return;
  if (tokenSource !== "none" && tokenSource !== "password" && (mode === "disable" || mode === "prefer")) {
    check.problem(
      "backend.tls_mode",
      `${mode} could send a login token in plaintext: ${tokenKey(check)} needs verify-full (or verify-ca, or require)`,
    );
    return;
  }
  if (mode === "prefer") {
    check.warn(
      "backend.tls_mode",
      "prefer falls back to plaintext and verifies nothing: set verify-full and backend.tls_ca_file",
    );
  } else if (mode === "require") {
    check.warn(
      "backend.tls_mode",
      tokenSource === "none"
        ? "require encrypts but does not verify the server: set verify-full and backend.tls_ca_file"
        : "require does not verify the server, so whoever sits in between gets the login token: set verify-full and backend.tls_ca_file",
    );
  } else if (mode === "disable" && !isLoopbackHost(backend.host)) {
    check.warn(
      "backend.tls_mode",
      `disable sends everything to ${backend.host} in plaintext: set verify-full and backend.tls_ca_file`,
    );
  }
  if (mode === "verify-full" && isIP(backend.host) !== 0 && backend.tlsServerName === undefined) {
    check.problem(
      "backend.host",
      `verify-full needs a name to verify, and ${backend.host} is an IP address: use the server's DNS name, or set backend.tls_server_name to the name in its certificate (the address itself, if the certificate holds it)`,
    );
  }
  if (backend.tlsMinVersion === "TLSv1" || backend.tlsMinVersion === "TLSv1.1") {
    check.warn(
      "backend.tls_min_version",
      `${backend.tlsMinVersion} is broken: use it only for a server that cannot do TLSv1.2`,
    );
  }
}

function checkBackendCa(check: ListenerCheck): string | undefined {
  const { tlsMode, tlsCaFile } = check.settings.backend;
  const verifies = tlsMode === "verify-ca" || tlsMode === "verify-full";
  if (tlsCaFile === undefined) {
    if (verifies) {
      check.problem(
        "backend.tls_ca_file",
        `${tlsMode} needs it: set the PEM bundle of the server's certificate authority, or system for the bundle of the operating system`,
      );
    }
    return undefined;
  }
  if (!verifies) {
    check.warn(
      "backend.tls_ca_file",
      `has no effect while backend.tls_mode is ${tlsMode}: set verify-full or verify-ca`,
    );
  }
  let path = tlsCaFile;
  if (tlsCaFile === "system") {
    const found = systemCaFile(check.systemCaFile);
    if ("problem" in found) {
      check.problem("backend.tls_ca_file", found.problem);
      return undefined;
    }
    path = found.path;
  }
  const problem = problemOfCaFile(path);
  if (problem !== undefined) check.problem("backend.tls_ca_file", problem);
  return path;
}

interface PairKeys {
  readonly certKey: string;
  readonly cert: string | undefined;
  readonly keyKey: string;
  readonly key: string | undefined;
}

/** A certificate and its key: both or none, readable, and made for each other. */
function checkPair(check: ListenerCheck, pair: PairKeys): void {
  if (pair.cert === undefined && pair.key === undefined) return;
  if (pair.cert === undefined) check.problem(pair.keyKey, `needs ${pair.certKey} beside it: set both or none`);
  else if (pair.key === undefined) check.problem(pair.certKey, `needs ${pair.keyKey} beside it: set both or none`);
  else {
    const found = checkCertificatePair(pair.cert, pair.key);
    if (found.certProblem !== undefined) check.problem(pair.certKey, found.certProblem);
    if (found.keyProblem !== undefined) check.problem(pair.keyKey, found.keyProblem);
    if (found.keyWarning !== undefined) check.warn(pair.keyKey, found.keyWarning);
  }
}

function checkBackendKeys(check: ListenerCheck): void {
  const { backend } = check.settings;
  checkPair(check, {
    certKey: "backend.tls_client_cert",
    cert: backend.tlsClientCert,
    keyKey: "backend.tls_client_key",
    key: backend.tlsClientKey,
  });
  if (backend.publicKeyFile !== undefined) {
    const problem = problemOfPublicKeyFile(backend.publicKeyFile);
    if (problem !== undefined) check.problem("backend.public_key_file", problem);
  }
}

function checkClientTls(check: ListenerCheck): ClientTlsMode {
  const { tlsMode, tlsCert, tlsKey, tlsClientCa } = check.settings.proxy;
  checkPair(check, { certKey: "proxy.tls_cert", cert: tlsCert, keyKey: "proxy.tls_key", key: tlsKey });
  const effective = tlsMode ?? defaultClientTlsMode(check.settings.proxy);
  // SAFETY: whoever requires TLS wants more than what anybody in the middle could make as well.
  if (tlsMode === "require" && tlsCert === undefined && tlsKey === undefined) {
    check.problem("proxy.tls_mode", "require needs a certificate: set proxy.tls_cert and proxy.tls_key");
  }
  if (tlsMode === "off" && tlsCert !== undefined) {
    check.warn("proxy.tls_mode", "off leaves proxy.tls_cert unused and clients in plaintext: set allow or require");
  }
  if (tlsClientCa !== undefined) {
    const problem = problemOfCaFile(tlsClientCa);
    if (problem !== undefined) check.problem("proxy.tls_client_ca", problem);
    if (effective !== "require") {
      check.problem(
        "proxy.tls_client_ca",
        `is passed by with plaintext while proxy.tls_mode is ${effective}: set it to require`,
      );
    }
  }
  return effective;
}

/** Without a certificate of the operator's the listener shows one it made itself. */
function defaultClientTlsMode(proxy: ListenerSettings["proxy"]): ClientTlsMode {
  return proxy.tlsCert === undefined || proxy.tlsClientCa === undefined ? "allow" : "require";
}

function checkClientAuth(
  check: ListenerCheck,
  engine: BackendEngine,
  tokenSource: TokenSource,
  clientTlsMode: ClientTlsMode,
): ClientAuth {
  const { clientAuth, listen } = check.settings;
  checkClientAuthFiles(check);
  // What a client's SCRAM proof gives away logs in to a server that keeps the same verifier.
  if (engine === "postgresql" && tokenSource === "none" && clientAuth === "password") return clientAuth;
  if (tokenSource === "none") {
    if (clientAuth === "trust")
      check.warn(
        "client_auth",
        "trust has no effect without backend.token_source: the server checks the client's password",
      );
    else if (clientAuth !== undefined && clientAuth !== "relay") {
      check.problem(
        "client_auth",
        `${clientAuth} needs backend.token_source or backend.token_cmd: querycop cannot log in to the server without a password or token of its own`,
      );
    }
    if (check.isSet("iam_users") && clientAuth !== "relay")
      check.warn("iam_users", "has no effect without backend.token_source or backend.token_cmd");
    return "relay";
  }
  const isLocal = isLocalListener(check.settings);
  if (clientAuth === undefined) {
    if (!isLocal) {
      check.problem(
        "client_auth",
        `must be chosen, because the listener on ${listen.host} can be reached from other machines and ${tokenKey(check)} logs in whoever comes: set password or certificate (or trust, if the network keeps strangers out)`,
      );
    } else {
      check.warn(
        "client_auth",
        "is not set, so every local process may log in as any user of iam_users: set password, certificate or trust",
      );
    }
    return "trust";
  }
  if (clientAuth === "trust" && !isLocal) {
    check.warn(
      "client_auth",
      `trust lets whoever reaches ${listen.host} log in as any user of iam_users: set password or certificate`,
    );
  }
  if (clientAuth === "certificate" && (check.settings.proxy.tlsClientCa === undefined || clientTlsMode !== "require")) {
    check.problem("client_auth", "certificate needs proxy.tls_client_ca, and proxy.tls_mode require");
  }
  return clientAuth;
}

function checkClientAuthFiles(check: ListenerCheck): void {
  const { clientAuth, usersFile, certificateUsers } = check.settings;
  if (clientAuth === "password" && usersFile === undefined) {
    check.problem("users_file", "client_auth password needs it: set a file made with querycop hash-password");
  }
  if (usersFile !== undefined) {
    if (clientAuth !== "password") check.warn("users_file", "has no effect unless client_auth is password");
    const loaded = loadUsersFile(usersFile);
    if ("problems" in loaded) for (const text of loaded.problems) check.problem("users_file", text);
    else for (const text of loaded.warnings) check.warn("users_file", text);
  }
  if (certificateUsers !== undefined && clientAuth !== "certificate") {
    check.warn("certificate_users", "has no effect unless client_auth is certificate");
  }
}

function checkRegion(check: ListenerCheck, tokenSource: TokenSource): string | undefined {
  const { backend } = check.settings;
  const tokenHost = backend.tokenEndpoint === undefined ? "" : endpointOf(backend.tokenEndpoint).host;
  const derived = regionOfHost(tokenHost) ?? regionOfHost(backend.host) ?? regionOfHost(backend.tlsServerName ?? "");
  if (backend.region !== undefined) {
    if (derived !== undefined && derived !== backend.region) {
      check.warn(
        "backend.region",
        `${backend.region} differs from ${derived}, the region in the server's name: tokens for another region are refused`,
      );
    }
    return backend.region;
  }
  if (derived === undefined && (tokenSource === "rds-signer" || tokenSource === "dsql-signer")) {
    const service = tokenSource === "rds-signer" ? "RDS" : "DSQL";
    const article = tokenSource === "rds-signer" ? "an" : "a";
    check.problem(
      "backend.region",
      `${tokenSource} needs it, and ${backend.host} is not ${article} ${service} host name: set the AWS region, or backend.token_endpoint to the ${service} name and port behind it`,
    );
  }
  return derived;
}

/** Checks paths of the process-wide settings. */
export function problemOfReadablePath(path: string): string | undefined {
  return fileExists(path) ? undefined : `cannot read ${path}: no such file`;
}

export function problemOfParentDirectory(path: string): string | undefined {
  return isDirectory(dirname(path))
    ? undefined
    : `the directory ${dirname(path)} does not exist: create it for querycop to write in`;
}

/** The audit log makes its own directory, with the mode it wants, but not a whole path: that is a typing error. */
export function problemOfAuditFile(path: string): string | undefined {
  const folder = dirname(path);
  if (isDirectory(folder) || isDirectory(dirname(folder))) return undefined;
  return `the directory ${dirname(folder)} does not exist: create it for querycop to write in`;
}
