/** One TLS handshake with a PostgreSQL, by the dialler of its sessions. */
import type { BackendTls, TlsIdentity } from "../../net/tls.ts";
import { openBackend } from "../../session/postgres/backend-connection.ts";
import type { SessionServices } from "../../session/session-services.ts";

/** Upgrades as `tls` says, and leaves: a server logs nothing of that. Throws as openBackend(), and where no TLS came about. */
export async function upgradePostgresOnce(
  { options, metrics }: SessionServices,
  tls: BackendTls,
  signal: AbortSignal,
): Promise<TlsIdentity> {
  const connection = await openBackend(
    { options: { ...options, backend: { ...options.backend, tls } }, metrics },
    signal,
  );
  connection.destroy();
  if (connection.tls === undefined) throw new Error("The server offered TLS a moment ago, and does not now");
  return connection.tls;
}
