/** What one listener needs to know: plain values made from the configuration, so that sessions never see `Config`. */
import type { KeyObject } from "node:crypto";
import type { AddressFamily } from "../net/dial.ts";
import type { BackendTls, ClientTls } from "../net/tls.ts";
import type { DataGuardLimits } from "./data-guard.ts";
import type { UserDirectory } from "./user-directory.ts";

export interface BackendOptions {
  readonly host: string;
  readonly port: number;
  /** The host tokens are signed for: the RDS endpoint behind a CNAME. */
  readonly tokenHost: string;
  readonly family: AddressFamily;
  readonly tls: BackendTls;
  readonly connectTimeoutMs: number;
  readonly loginTimeoutMs: number;
  /** Milliseconds the backend may take to accept bytes we have for it. */
  readonly writeTimeoutMs: number;
  /** Milliseconds the backend may take to begin an answer; 0 leaves that to the backend's own limits. */
  readonly responseTimeoutMs: number;
  /** AWS region tokens are minted for. */
  readonly region: string | undefined;
  /** Advisory labels: logged, audited and given to the policy, with no effect on the wire. */
  readonly role: string | undefined;
  readonly pooler: string | undefined;
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
  readonly clientTls: ClientTls | undefined;
  readonly clientTlsMode: "off" | "allow" | "require";
  readonly clientAuth: ClientAuthMode;
  readonly users: UserDirectory | undefined;
  /** subjectAltName → user for `certificate`; without it the name is the user. */
  readonly certificateUsers: ReadonlyMap<string, string> | undefined;
  /** Milliseconds a client may take for its part of the login, all its packets together. */
  readonly handshakeTimeoutMs: number;
  /** Milliseconds a logged-in client may stay silent; 0 means for ever (the backend's wait_timeout rules). */
  readonly idleTimeoutMs: number;
  /** Milliseconds the client may take to accept bytes we have for it. */
  readonly writeTimeoutMs: number;
  readonly packetBytesMax: number;
  readonly preparedStatementsMax: number;
  readonly allowsLocalInfile: boolean;
  /** Of one LOAD DATA LOCAL; 0 for no limit. */
  readonly localInfileBytesMax: number;
  readonly dataGuard: DataGuardLimits;
}
