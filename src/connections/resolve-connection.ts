/** A connection as configured and what its secret says → where it leads. What is written wins, the secret fills the rest. */
import { regionOfHost } from "../config/region.ts";
import type { ConnectionConfig, ListenerConfig } from "../config/schema.ts";
import type { SecretReading } from "./secret-reader.ts";

export interface ResolvedConnection {
  readonly listener: ListenerConfig;
  readonly database: string | undefined;
  /** What an operator should know. */
  readonly remarks: readonly string[];
}

/** Throws Error where neither says which host. */
export function resolveConnection(
  { name, hostFromSecret, portFromSecret, database, listener }: ConnectionConfig,
  reading: SecretReading | undefined,
): ResolvedConnection {
  const remarks = [...(reading?.remarks ?? [])];
  const chosen = database ?? reading?.database;
  const { backend } = listener;
  if (!hostFromSecret) {
    if (reading?.host !== undefined && reading.host !== backend.host) {
      remarks.push(
        `the secret names the host ${reading.host}, the connection ${backend.host}: the connection's is used`,
      );
    }
    return { listener, database: chosen, remarks };
  }
  const host = reading?.host;
  if (host === undefined) throw new Error(`neither connection ${name} nor its secret names a host: set host`);
  const region = backend.region ?? regionOfHost(host);
  return {
    database: chosen,
    remarks,
    listener: {
      ...listener,
      backend: {
        ...backend,
        host,
        port: portFromSecret ? (reading?.port ?? backend.port) : backend.port,
        tlsServerName: backend.tlsServerName === backend.host ? host : backend.tlsServerName,
        ...(region === undefined ? {} : { region }),
      },
    },
  };
}
