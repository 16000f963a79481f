/** Whether a client's certificate names the user that it logs in as. */
import type { TlsIdentity } from "../../net/tls.ts";

/**
 * Why it does not, in words for the log; undefined where it does. `users` maps names of certificates to users, which are the
 * names themselves without it. SAFETY: the subjectAltName must be equal, not contained: names like "app,DNS:admin" have been
 * used to pass for another. The common name is not looked at, it is not meant for this.
 */
export function certificateObjection(
  tls: Pick<TlsIdentity, "alternativeNames"> | undefined,
  user: string,
  users: ReadonlyMap<string, string> | undefined,
): string | undefined {
  const names = tls?.alternativeNames ?? [];
  const named = users === undefined ? names : names.map((name) => users.get(name));
  if (named.includes(user)) return undefined;
  return tls === undefined
    ? `User "${user}" came without TLS, GATEKEEPER_CLIENT_AUTH is certificate`
    : `The client certificate (${names.join(", ") || "no subjectAltName"}) does not name user "${user}"`;
}
