/** What is said of a server's settings whatever it speaks. */
import type { ListenerContext } from "./check.ts";

export interface ServerSide {
  readonly connections: number;
  readonly used: number | undefined;
  readonly isReadOnly: boolean;
  /** Seconds since 1970, by the server's clock. */
  readonly clockS: number | undefined;
}

/** Apart by more, one of the two is not kept right. */
const SKEW_WARN_S = 60;

/** Connections, the clock and the role, each against what is set or seen here. */
export function remarksOnServer(server: ServerSide, { listener, config, host }: ListenerContext): string[] {
  const remarks: string[] = [];
  const free = server.connections - (server.used ?? 0);
  if (free < config.maxConnections) {
    const inUse =
      server.used === undefined ? "" : `, of which ${server.used} are in use, by a querycop that runs as well`;
    remarks.push(
      `max_connections is ${config.maxConnections} here and ${server.connections} at the server${inUse}: ${free} are free`,
    );
  }
  const skewS = server.clockS === undefined ? 0 : Math.round(host.nowMs() / 1000 - server.clockS);
  if (Math.abs(skewS) > SKEW_WARN_S) {
    const side = skewS > 0 ? "ahead of" : "behind";
    remarks.push(`this clock is ${Math.abs(skewS)} s ${side} the server's: see host.clock`);
  }
  const role = (listener.backend.role ?? "").toLowerCase();
  if (server.isReadOnly && ["writer", "primary"].includes(role)) {
    remarks.push(`backend.role is ${role}, but the server is read-only`);
  }
  if (!server.isReadOnly && ["reader", "replica"].includes(role)) {
    remarks.push(`backend.role is ${role}, but the server takes writes`);
  }
  return remarks;
}
