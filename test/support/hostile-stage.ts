/** The executable between hostile peers: listeners without and with TLS on both legs, and what must hold of all sessions. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { CertificateSet } from "./certificates.ts";
import { startStaged } from "./e2e-stage.ts";
import { eventually } from "./eventually.ts";
import type { PacketPeer } from "./fake-peers.ts";
import type { Ending } from "./hostile-cases.ts";
import type { Querycop } from "./querycop.ts";

export interface HostileListener {
  readonly name: string;
  readonly backendPort: number;
  readonly isTls: boolean;
}

/** Long enough that a crowded machine does not end most honest logins. */
const BOUND = "1s";
/** Every bound of a session one after the other, the linger of its end, and what a crowded machine takes besides. */
const OVER_MS = 30_000;
const RSS_GROWTH_BYTES_MAX = 150_000_000;

const SHARED_YAML = [
  "backend:",
  ...["login", "response", "progress", "write"].map((name) => `  ${name}_timeout: ${BOUND}`),
  ...["handshake", "client_write", "client_left"].map((name) => `${name}_timeout: ${BOUND}`),
  "client_idle_timeout: 1s",
  "client_packet_timeout: 1s",
  "local_infile: on",
];
const SETTINGS = { GATEKEEPER_LOG_LEVEL: "info", GATEKEEPER_API_PUBLIC_METRICS: "on" };

function yamlOf({ name, backendPort, isTls }: HostileListener, certificates: CertificateSet): string[] {
  const { certFile, keyFile } = certificates.leaves.goodEc;
  const tls = [`tls_mode: verify-full`, `tls_ca_file: ${certificates.caFile}`, "tls_server_name: localhost"];
  return [
    `  - name: ${name}`,
    "    listen: { port: 0 }",
    `    backend: { host: 127.0.0.1, port: ${backendPort}, ${isTls ? tls.join(", ") : "tls_mode: disable"} }`,
    ...(isTls ? [`    proxy: { tls_cert: ${certFile}, tls_key: ${keyFile} }`] : []),
  ];
}

export class HostileStage {
  readonly querycop: Querycop;
  readonly #metricsUrl: string;
  #rssBytes = 0;
  /** Cases that came as far as their phase, and those that did not: on a crowded machine the bounds end honest logins too. */
  reached = 0;
  missed = 0;

  private constructor(querycop: Querycop, metricsUrl: string) {
    this.querycop = querycop;
    this.#metricsUrl = metricsUrl;
  }

  static async start(listeners: readonly HostileListener[], certificates: CertificateSet): Promise<HostileStage> {
    const yaml = [...SHARED_YAML, "listeners:", ...listeners.flatMap((listener) => yamlOf(listener, certificates))];
    const options = { listeners: listeners.length, configYaml: `${yaml.join("\n")}\n` };
    const querycop = await startStaged(SETTINGS, options);
    const address = await eventually("the admin API listens", () =>
      String(querycop.logs().find(({ event }) => event === "admin API listening")?.["address"] ?? ""),
    );
    return new HostileStage(querycop, `http://${address}/metrics`);
  }

  portOf(listener: HostileListener): number {
    return this.querycop.ports[listener.name] ?? assert.fail(`no listener ${listener.name}`);
  }

  count(hasReached: boolean): void {
    if (hasReached) this.reached++;
    else this.missed++;
  }

  /** What the process has now is what later growth is measured from. */
  markMemory(): void {
    this.#rssBytes = this.#residentBytes();
  }

  /** All sessions are over, none by a fault of querycop's, and the process has not grown. */
  async assertOver(seed: number): Promise<void> {
    await eventually("no session is left", async () => (await this.#clientConnections()) === 0, OVER_MS);
    const internal = this.querycop
      .logText()
      .split("\n")
      .filter((line) => /QC_INTERNAL|crashed/.test(line));
    assert.deepEqual(internal.slice(0, 3), [], `seed ${seed}`);
    assert.ok(this.reached > this.missed, `seed ${seed}: ${this.reached} reached their phase, ${this.missed} did not`);
    const growth = this.#residentBytes() - this.#rssBytes;
    assert.ok(growth < RSS_GROWTH_BYTES_MAX, `seed ${seed}: grown by ${growth} bytes`);
  }

  async #clientConnections(): Promise<number> {
    const text = await (await fetch(this.#metricsUrl)).text();
    return Number(/^querycop_client_connections (\d+)/m.exec(text)?.[1]);
  }

  #residentBytes(): number {
    const pages = readFileSync(`/proc/${this.querycop.pid()}/statm`, "utf8").split(" ")[1];
    return Number(pages) * 4096;
  }
}

/** Says the last of it, and then nothing more. */
export function leave({ socket }: PacketPeer, said: Uint8Array, ending: Ending, isTls: boolean): void {
  if (ending === "silence") socket.write(said);
  else if (ending === "FIN") socket.end(said);
  else socket.write(said, () => (isTls ? socket.destroy() : socket.resetAndDestroy()));
}

/** Fails when the work of a case takes longer than all its bounds together. */
export async function withinBounds<T>(seed: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`case ${seed}: still there after ${OVER_MS} ms`)), OVER_MS);
  });
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Runs one case for each number from `firstSeed` on, so many at a time. */
export async function inParallel(
  firstSeed: number,
  count: number,
  together: number,
  work: (seed: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(firstSeed + next++);
  };
  await Promise.all(Array.from({ length: together }, worker));
}

/** The bytes a client got behind its login: the server's own from the first on, and then an error of ours or none. */
export function assertUnforged(got: Buffer, said: Buffer, seed: number): void {
  let same = 0;
  while (same < got.length && got[same] === said[same]) same++;
  if (same === got.length) return;
  // The error may begin like what the server said.
  const detail = `case ${seed}: ${got.toString("hex")} of ${said.toString("hex")}`;
  assert.match(got.toString("latin1"), /\xff[\s\S]{2}#[0-9A-Z]{5}querycop/, detail);
}
