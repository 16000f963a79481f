/** One way to connect to a listener, and what all of them are made from. */

export interface Snippet {
  readonly driver: string;
  readonly text: string;
}

/** What a client can make of the listener's TLS: nothing, encryption, or a server it can verify. */
export type Tls = "off" | "self-made" | "certificate";

export interface Place {
  readonly host: string;
  readonly port: number;
  readonly socket: string | undefined;
  readonly tls: Tls;
  readonly user: string;
}

export const CA_FILE = "/path/to/ca-of-querycop.pem";

/** A host with a port behind it. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
