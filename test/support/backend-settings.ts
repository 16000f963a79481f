/** How querycop is told of a test's backend. */
import { CLUSTER_HOST } from "./certificates.ts";
import type { Settings } from "./querycop.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

export function plaintextBackend({ host, port }: Address) {
  return {
    GATEKEEPER_BACKEND_HOST: host,
    GATEKEEPER_BACKEND_PORT: String(port),
    GATEKEEPER_BACKEND_TLS_MODE: "disable",
  } satisfies Settings;
}

/** The address stands in for DNS, as through a CNAME or a tunnel; the name is what is verified and what tokens are for. */
export function clusterBackend({ host, port }: Address, { caFile }: { readonly caFile: string }) {
  return {
    GATEKEEPER_BACKEND_HOST: host,
    GATEKEEPER_BACKEND_PORT: String(port),
    GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
    GATEKEEPER_BACKEND_TLS_CA_FILE: caFile,
    GATEKEEPER_BACKEND_TLS_SERVER_NAME: CLUSTER_HOST,
  } satisfies Settings;
}

/** A PostgreSQL that is verified, as clusterBackend(). */
export function clusterPostgres(server: Address, certificates: { readonly caFile: string }) {
  return { GATEKEEPER_BACKEND_ENGINE: "postgresql", ...clusterBackend(server, certificates) } satisfies Settings;
}

/** A PostgreSQL without TLS on either leg. */
export function plaintextPostgres(server: Address) {
  return {
    GATEKEEPER_BACKEND_ENGINE: "postgresql",
    ...plaintextBackend(server),
    GATEKEEPER_PROXY_TLS_MODE: "off",
  } satisfies Settings;
}
