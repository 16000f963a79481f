/** What one listener needs to know: plain values made from the configuration, so that sessions never see `Config`. */
import type { KeyObject } from "node:crypto";
import type { ConnectionLoads } from "../base/load-rule.ts";
import type { AddressFamily } from "../net/dial.ts";
import type { BackendTls, ClientTls } from "../net/tls.ts";
import type { UserDirectory } from "./accounts/user-directory.ts";
import type { DataGuardLimits } from "./limits/data-guard.ts";

export interface BackendOptions {
  readonly host: string;
  readonly port: number;
  /** What tokens are signed for: the RDS endpoint behind a CNAME or a tunnel. */
  readonly token: { readonly host: string; readonly port: number };
  readonly family: AddressFamily;
  readonly tls: BackendTls;
  readonly connectTimeoutMs: number;
  readonly loginTimeoutMs: number;
  /** Milliseconds the backend may take to accept bytes we have for it. */
  readonly writeTimeoutMs: number;
  /** Milliseconds the backend may take to begin an answer; 0 leaves that to the backend's own limits. */
  readonly responseTimeoutMs: number;
  /** Milliseconds an answer that has begun, or a file on its way to the backend, may stand still. */
  readonly progressTimeoutMs: number;
  /** AWS region tokens are minted for. */
  readonly region: string | undefined;
  /** Milliseconds a login looks for a server that takes writes; 0 where any server will do. */
  readonly failoverWaitMs: number;
  /** Advisory labels: logged, audited and given to the policy, with no effect on the wire. */
  readonly role: string | undefined;
  readonly pooler: string | undefined;
  /** Whether sessions are told to report their settings. Poolers pin the connection of a session that sets variables. */
  readonly tracksSessions: boolean;
  /** Whether the server's parser is asked about texts that are not understood. */
  readonly checksSyntax: boolean;
  /** Aurora adds SQL functions that reach outside the database. */
  readonly isAurora: boolean;
  /**
   * The backend's RSA public key, pinned by the operator; without it no password is ever encrypted for the backend.
   * Replaced when its file changes, for logins from then on.
   */
  publicKey: KeyObject | undefined;
}

/**
 * How a client proves who it is.
 * `relay`: to the backend, with its own password. `trust`: not at all, the address is enough. `password`: to querycop, by
 * the users file. `certificate`: to querycop, by a TLS client certificate.
 */
export type ClientAuthMode = "relay" | "trust" | "password" | "certificate";

/** Whether querycop finds out by itself who a client is, before any backend hears of it. */
export function verifiesClients({ clientAuth }: Pick<ListenerOptions, "clientAuth">): boolean {
  return clientAuth === "password" || clientAuth === "certificate";
}

export interface ListenerOptions {
  readonly name: string;
  readonly backend: BackendOptions;
  /** Tells the peers whose connections begin with a PROXY header; undefined where none does. */
  readonly isProxy?: ((address: string | undefined) => boolean) | undefined;
  readonly clientTls: ClientTls | undefined;
  readonly clientTlsMode: "off" | "allow" | "require";
  readonly clientAuth: ClientAuthMode;
  readonly users: UserDirectory | undefined;
  /**
   * The names that clients may give, and the user each of them is to policy and audit; undefined where a client's name is
   * its own.
   */
  readonly clientNames?: ReadonlyMap<string, string> | undefined;
  /** subjectAltName → user for `certificate`; without it the name is the user. */
  readonly certificateUsers: ReadonlyMap<string, string> | undefined;
  /** Milliseconds a client may take for its part of the login, all its packets together. */
  readonly handshakeTimeoutMs: number;
  /** Milliseconds a logged-in client may stay silent; 0 means for ever (the backend's wait_timeout rules). */
  readonly idleTimeoutMs: number;
  /** Milliseconds the client may take to accept bytes we have for it. */
  readonly writeTimeoutMs: number;
  /** Milliseconds that a client which has closed its side waits for the next byte of its answer. */
  readonly leftTimeoutMs: number;
  /** Milliseconds a logged-in client may take for a packet that it has begun; 0 means for ever. */
  readonly packetTimeoutMs: number;
  readonly packetBytesMax: number;
  readonly preparedStatementsMax: number;
  readonly allowsLocalInfile: boolean;
  /** What the named connection lists of S3; undefined where nobody has written a list. */
  readonly loads?: ConnectionLoads | undefined;
  /** Of one LOAD DATA LOCAL; 0 for no limit. */
  readonly localInfileBytesMax: number;
  readonly dataGuard: DataGuardLimits;
}
