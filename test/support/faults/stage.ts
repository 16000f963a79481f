/**
 * A client, querycop and a server with a wire on each leg that can be broken, alone in a network namespace. Started anew
 * for each fault, but for the server and the wire.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { adminUrlOf, metricIn, metricsOf } from "../admin-url.ts";
import { auditRecordsIn } from "../audit-records.ts";
import type { CertificateSet } from "../certificates.ts";
import { CLUSTER_HOST } from "../certificates.ts";
import { eventually } from "../eventually.ts";
import { type AuditLine, type Querycop, type Settings, startQuerycop } from "../querycop.ts";
import { RawClient } from "../raw-client.ts";
import { startServer, type TestServer } from "../servers.ts";
import type { SmallDisk } from "../small-disk.ts";
import { dialAddress, type LossyWire, listenAddress } from "./lossy-wire.ts";
import type { NameServer } from "./name-server.ts";

export const CLIENT_LEG = 1;
export const BACKEND_LEG = 2;
const SERVER_PORT = 3306;
const KEY = "the-key-of-the-faults-0123456789";
const ADMIN = { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" };
const AUDIT_NAME = "audit.ndjson";

/** One after the other they come to less than what a session is given to be over. */
const BOUNDS: Settings = {
  GATEKEEPER_BACKEND_CONNECT_TIMEOUT: "8s",
  GATEKEEPER_BACKEND_LOGIN_TIMEOUT: "8s",
  GATEKEEPER_BACKEND_RESPONSE_TIMEOUT: "8s",
  GATEKEEPER_BACKEND_PROGRESS_TIMEOUT: "8s",
  GATEKEEPER_BACKEND_WRITE_TIMEOUT: "8s",
  GATEKEEPER_HANDSHAKE_TIMEOUT: "8s",
  GATEKEEPER_CLIENT_IDLE_TIMEOUT: "30s",
  GATEKEEPER_CLIENT_WRITE_TIMEOUT: "8s",
  GATEKEEPER_CLIENT_PACKET_TIMEOUT: "8s",
  GATEKEEPER_CLIENT_LEFT_TIMEOUT: "3s",
};
export const OVER_MS = 90_000;

export interface Fixed {
  readonly kind: "mysql" | "mariadb";
  readonly wire: LossyWire;
  readonly names: NameServer;
  readonly disk: SmallDisk;
  readonly certificates: CertificateSet;
  readonly policyFile: string;
}

export function startFaultyServer({ kind, certificates }: Fixed): Promise<TestServer> {
  return startServer({
    kind,
    certificate: { ...certificates.leaves.goodEc, clientCaFile: certificates.caFile },
    options: ["--bind-address=0.0.0.0", `--port=${SERVER_PORT}`],
  });
}

export class Stage {
  readonly wire: LossyWire;
  readonly names: NameServer;
  readonly disk: SmallDisk;
  readonly #fixed: Fixed;
  readonly #settings: Settings;
  server: TestServer;
  querycop: Querycop;
  /** Names the fault among the rows of the server and the files of the audit log. */
  readonly rowId: number;
  readonly auditFile: string;
  #adminUrl = "";
  /** Clients that the fault finds. */
  readonly clients: RawClient[] = [];
  /** The statement whose rows are fetched. */
  cursor: Uint8Array = new Uint8Array(4);
  leaving: "reset" | "end" | undefined;
  isServerGone = false;
  isQuerycopGone = false;

  private constructor(fixed: Fixed, server: TestServer, rowId: number, querycop: Querycop, settings: Settings) {
    this.#fixed = fixed;
    this.wire = fixed.wire;
    this.names = fixed.names;
    this.disk = fixed.disk;
    this.server = server;
    this.rowId = rowId;
    this.querycop = querycop;
    this.#settings = settings;
    this.auditFile = String(settings["GATEKEEPER_AUDIT_FILE"]);
  }

  static async open(fixed: Fixed, server: TestServer, rowId: number): Promise<Stage> {
    const { certFile, keyFile } = fixed.certificates.leaves.goodEc;
    const settings = {
      ...BOUNDS,
      GATEKEEPER_LISTEN_HOST: listenAddress(CLIENT_LEG),
      // Looked up anew for each connection.
      GATEKEEPER_BACKEND_HOST: CLUSTER_HOST,
      GATEKEEPER_BACKEND_PORT: String(SERVER_PORT),
      GATEKEEPER_BACKEND_TLS_MODE: "verify-full",
      GATEKEEPER_BACKEND_TLS_CA_FILE: fixed.certificates.caFile,
      GATEKEEPER_PROXY_TLS_MODE: "require",
      GATEKEEPER_PROXY_TLS_CERT: certFile,
      GATEKEEPER_PROXY_TLS_KEY: keyFile,
      GATEKEEPER_POLICY_FILE: fixed.policyFile,
      GATEKEEPER_LOCAL_INFILE: "true",
      GATEKEEPER_LOG_LEVEL: "info",
      GATEKEEPER_AUDIT_FILE: join(fixed.disk.folder, `fault-${rowId}`, AUDIT_NAME),
      ADMIN_API_KEY: KEY,
    };
    const querycop = await startQuerycop(settings);
    const stage = new Stage(fixed, server, rowId, querycop, settings);
    stage.#adminUrl = await adminUrlOf(querycop);
    return stage;
  }

  async connect(): Promise<RawClient> {
    const client = await RawClient.connect(dialAddress(CLIENT_LEG), this.querycop.port);
    this.clients.push(client);
    return client;
  }

  /** Sessions open at querycop now. */
  async sessions(): Promise<number> {
    return metricIn(await metricsOf(this.#adminUrl, KEY), "querycop_client_connections");
  }

  /** The records so far. */
  audit(): AuditLine[] {
    return auditRecordsIn(readFileSync(this.auditFile, "latin1")) as unknown as AuditLine[];
  }

  /** Approves what is held, if anything still is. */
  async approveAll(): Promise<void> {
    const response = await fetch(`${this.#adminUrl}/approvals`, { headers: ADMIN });
    const { approvals } = (await response.json()) as { readonly approvals: readonly { readonly id: string }[] };
    const body = JSON.stringify({ as: "alice", reason: "a test" });
    for (const { id } of approvals) {
      await (await fetch(`${this.#adminUrl}/approvals/${id}/approve`, { method: "POST", headers: ADMIN, body })).text();
    }
  }

  async killServer(): Promise<void> {
    this.isServerGone = true;
    await this.server.stop();
  }

  async killConnections(): Promise<void> {
    for (const id of await this.threads()) await this.server.rootQuery(`KILL ${id}`).catch(() => undefined);
  }

  async killQuerycop(): Promise<void> {
    this.isQuerycopGone = true;
    this.querycop.signal("SIGKILL");
    await this.querycop.exited;
  }

  leave(how: "reset" | "end"): void {
    this.leaving = how;
    for (const client of this.clients) client[how]();
  }

  /** The server's connections that are not root's. */
  async threads(): Promise<number[]> {
    const rows = await this.server.rootQuery("SELECT id FROM information_schema.processlist WHERE user = 'admin'");
    return rows.map(([id]) => Number(id));
  }

  /** Makes the wire and the names whole again. */
  async healNetwork(): Promise<void> {
    for (const leg of [CLIENT_LEG, BACKEND_LEG]) {
      for (const direction of ["forward", "back"] as const) await this.wire.set(leg, direction, {});
    }
    this.names.turn("answers");
  }

  /** Has a server and a querycop again where one was killed. */
  async revive(): Promise<void> {
    this.leaving = undefined;
    if (this.isServerGone) this.server = await startFaultyServer(this.#fixed);
    if (!this.isQuerycopGone) return;
    await this.querycop.stop();
    this.querycop = await startQuerycop(this.#settings);
    this.#adminUrl = await adminUrlOf(this.querycop);
  }

  /** Ends querycop in order. */
  async close(): Promise<void> {
    for (const client of this.clients) client.reset();
    await eventually("no session is left", async () => (await this.sessions()) === 0, OVER_MS);
    this.querycop.signal("SIGTERM");
    await this.querycop.exited;
    await this.querycop.stop();
  }
}
