/** Turns a listener's configuration into what its sessions use: files read, TLS contexts built, token source made. */
import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { hostname } from "node:os";
import { trustedAddresses } from "../base/address-ranges.ts";
import type { Logger } from "../base/log.ts";
import type { Slots } from "../base/slots.ts";
import { regionOfHost } from "../config/region.ts";
import type { BackendEngine, Config, ListenerConfig } from "../config/schema.ts";
import { loadUsersFile } from "../config/users-file.ts";
import { endpointOf } from "../config/values.ts";
import { accountPasswords } from "../connections/account-passwords.ts";
import type { HeldPasswords } from "../connections/held-passwords.ts";
import { makeCertificate } from "../net/self-made-certificate.ts";
import { BackendTls, type BackendTlsOptions, ClientTls, type ClientTlsOptions } from "../net/tls.ts";
import { parsePublicKey } from "../session/accounts/local-key.ts";
import { UserDirectory } from "../session/accounts/user-directory.ts";
import type { BackendOptions, ListenerOptions } from "../session/listener-options.ts";
import { CommandTokenSource } from "../token/command-token.ts";
import { DsqlTokenSource } from "../token/dsql-token.ts";
import { RdsTokenSource } from "../token/rds-token.ts";
import type { TokenSource } from "../token/token.ts";
import { type MintReport, TokenManager } from "../token/token-manager.ts";

const readPem = (path: string): string => readFileSync(path, "latin1");

/** How long "off" is for a timer that must have an end: the longest a timer can be set to, 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What a statement that was cut off may still send before its connection is given up. */
const DISCARD_TIMEOUT_MS = 10_000;
const DISCARD_BYTES_MAX = 1_000_000_000;

const orForever = (ms: number | undefined): number => (ms === undefined || ms === 0 ? TIMER_MS_MAX : ms);

/**
 * SAFETY: where nobody checks who a client is and all are logged in as one account, a name that a client claims would
 * choose the policy it is judged by.
 */
function clientNames({ account, clientAuth, backend }: ListenerConfig): ReadonlyMap<string, string> | undefined {
  if (account === undefined || clientAuth !== "trust" || backend.tokenSource !== "password") return undefined;
  const name = account.user ?? account.connection;
  return new Map([name, ""].map((each) => [each, name]));
}

/** Everything but the shared services. Throws when a file that was readable at check time no longer is. */
export function listenerOptions(config: ListenerConfig): ListenerOptions {
  const clientTls = clientTlsOptions(config);
  return {
    name: config.name,
    backend: backendOptions(config),
    isProxy: config.listen.proxyProtocol === undefined ? undefined : trustedAddresses(config.listen.proxyProtocol),
    clientTls: clientTls === undefined ? undefined : new ClientTls(clientTls),
    clientTlsMode: config.proxy.tlsMode,
    clientAuth: config.clientAuth,
    users: userDirectory(config),
    clientNames: clientNames(config),
    certificateUsers:
      config.certificateUsers === undefined ? undefined : new Map(Object.entries(config.certificateUsers)),
    handshakeTimeoutMs: config.handshakeTimeoutMs,
    idleTimeoutMs: config.clientIdleTimeoutMs,
    writeTimeoutMs: orForever(config.clientWriteTimeoutMs),
    leftTimeoutMs: orForever(config.clientLeftTimeoutMs),
    packetTimeoutMs: config.clientPacketTimeoutMs,
    packetBytesMax: config.packetBytesMax,
    preparedStatementsMax: config.preparedStatementsMax,
    allowsLocalInfile: config.localInfile,
    loads: config.account?.loads,
    localInfileBytesMax: config.localInfileBytesMax,
    dataGuard: {
      responseBytesMax: config.responseBytesMax,
      responseRowsMax: config.responseRowsMax,
      windowBytesMax: config.windowBytesMax,
      userWindowBytesMax: config.userWindowBytesMax,
      userWindowRowsMax: config.userWindowRowsMax,
      limitAction: config.limitAction,
      discardTimeoutMs: DISCARD_TIMEOUT_MS,
      discardBytesMax: DISCARD_BYTES_MAX,
    },
  };
}

function backendOptions({ backend }: ListenerConfig): BackendOptions {
  return {
    host: backend.host,
    port: backend.port,
    token: tokenEndpointOf(backend),
    family: backend.addressFamily,
    tls: new BackendTls(backendTlsOptions(backend)),
    connectTimeoutMs: backend.connectTimeoutMs,
    loginTimeoutMs: backend.loginTimeoutMs,
    writeTimeoutMs: orForever(backend.writeTimeoutMs),
    responseTimeoutMs: backend.responseTimeoutMs,
    progressTimeoutMs: orForever(backend.progressTimeoutMs),
    region: backend.region,
    failoverWaitMs: wantsWriter(backend) ? backend.failoverWaitMs : 0,
    role: backend.role,
    pooler: backend.pooler,
    tracksSessions:
      backend.sessionTracking === "on" || (backend.sessionTracking === "auto" && backend.pooler !== "rds-proxy"),
    checksSyntax: backend.syntaxCheck === "on",
    isAurora: isAuroraHost(backend.host) || isAuroraHost(backend.tlsServerName),
    publicKey: backend.publicKeyFile === undefined ? undefined : parsePublicKey(readPem(backend.publicKeyFile)),
  };
}

/** SAFETY: behind a pooler one server might answer the question and another one get the statements. */
function wantsWriter({ role, pooler, engine }: ListenerConfig["backend"]): boolean {
  return role?.toLowerCase() === "writer" && pooler === undefined && engine === "mysql";
}

/** Cluster endpoints are Aurora's (or a Multi-AZ cluster's, where the extra functions just do not exist). */
function isAuroraHost(host: string): boolean {
  return host.includes(".cluster-") && regionOfHost(host) !== undefined;
}

/** Servers refuse a token for another endpoint than their own, which a tunnel does not know. */
function tokenEndpointOf({ host, port, tlsServerName, tokenEndpoint }: ListenerConfig["backend"]) {
  if (tokenEndpoint !== undefined) return endpointOf(tokenEndpoint);
  return { host: regionOfHost(host) === undefined ? tlsServerName : host, port };
}

export function backendTlsOptions(backend: ListenerConfig["backend"]): BackendTlsOptions {
  return {
    mode: backend.tlsMode,
    serverName: backend.tlsServerName,
    minVersion: backend.tlsMinVersion,
    ...(backend.tlsCaFile === undefined ? {} : { ca: readPem(backend.tlsCaFile) }),
    ...(backend.tlsClientCert === undefined || backend.tlsClientKey === undefined
      ? {}
      : { cert: readPem(backend.tlsClientCert), key: readPem(backend.tlsClientKey) }),
  };
}

/** Undefined where the listener offers no TLS. */
export function clientTlsOptions({ proxy, listen }: ListenerConfig): ClientTlsOptions | undefined {
  if (proxy.tlsMode === "off") return undefined;
  if (proxy.tlsCert === undefined || proxy.tlsKey === undefined) {
    const names = ["localhost", hostname(), "127.0.0.1", ...(isIPv4(listen.host) ? [listen.host] : [])];
    return makeCertificate("querycop, made at start", [...new Set(names)], Date.now());
  }
  return {
    cert: readPem(proxy.tlsCert),
    key: readPem(proxy.tlsKey),
    ...(proxy.tlsClientCa === undefined ? {} : { clientCa: readPem(proxy.tlsClientCa) }),
  };
}

function userDirectory(config: ListenerConfig): UserDirectory | undefined {
  if (config.usersFile === undefined || config.clientAuth !== "password") return undefined;
  const read = loadUsersFile(config.usersFile);
  if ("problems" in read) throw new Error(read.problems.join("; "));
  return new UserDirectory(read.users);
}

/** The token manager of one listener, or undefined when its clients' own passwords go to the backend. */
export function tokenManager(
  config: ListenerConfig,
  limits: Config["token"],
  slots: Slots,
  logger: Logger,
  onMint: (report: MintReport) => void,
): TokenManager | undefined {
  const source = tokenSource(config.backend);
  if (source === undefined) return undefined;
  return new TokenManager({
    source,
    logger,
    users: config.iamUsers,
    slots,
    targetsMax: limits.cacheEntriesMax,
    expiryMarginMs: limits.expiryMarginMs,
    failureMs: limits.failureCacheMs,
    loginsPerSecond: loginsPerSecond(config.backend.engine, limits.loginsPerSecondMax),
    onMint,
  });
}

/** Where the password of the listener's named connection comes from; undefined without one, and where it takes tokens. */
export function heldPasswords({ account, backend }: ListenerConfig, logger: Logger): HeldPasswords | undefined {
  return account === undefined ? undefined : accountPasswords(account, backend, logger);
}

/** Aurora DSQL takes 100 new connections in a second: https://docs.aws.amazon.com/aurora-dsql/latest/userguide/CHAP_quotas.html */
const DSQL_LOGINS_PER_SECOND = 95;

function loginsPerSecond(engine: BackendEngine, configured: number): number {
  if (configured === 0) return Number.MAX_SAFE_INTEGER;
  return engine === "dsql" ? Math.min(configured, DSQL_LOGINS_PER_SECOND) : configured;
}

function tokenSource(backend: ListenerConfig["backend"]): TokenSource | undefined {
  if (backend.tokenSource === "rds-signer") return new RdsTokenSource({ timeoutMs: backend.tokenTimeoutMs });
  if (backend.tokenSource === "dsql-signer") return new DsqlTokenSource({ timeoutMs: backend.tokenTimeoutMs });
  if (backend.tokenSource === "none" || backend.tokenCmd === undefined) return undefined;
  return new CommandTokenSource({
    command: backend.tokenCmd,
    timeoutMs: backend.tokenTimeoutMs,
    environment: process.env,
  });
}
