/** What the checks of one listener hand on to each other, and the connection that outlives a check. */
import type { X509Certificate } from "node:crypto";
import type { HandshakeV10 } from "../mysql/handshake.ts";
import type { ResolvedAddress } from "./check.ts";
import type { ServerQueries } from "./server-queries.ts";

export class BackendProbe {
  addresses: readonly ResolvedAddress[] = [];
  greeting: HandshakeV10 | undefined;
  /** The certificate the server shows, verified or not. */
  certificate: X509Certificate | undefined;
  /** Open after a login that went well. */
  queries: ServerQueries | undefined;

  close(): void {
    this.queries?.close();
    this.queries = undefined;
  }
}
