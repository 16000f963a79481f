/** What became of sessions in each state when something went wrong around them. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { keepTrack } from "../child.ts";
import { installServerRoot } from "../install.ts";
import { namespaceArguments } from "../namespaces.ts";
import { querycopBinary } from "../querycop.ts";
import { buildLossyWire } from "./lossy-wire.ts";

export interface FaultRun {
  readonly kind: "mysql" | "mariadb";
  /** Names of faults and states; all where absent. */
  readonly faults?: readonly string[];
  readonly states?: readonly string[];
  readonly seed: number;
}

export interface FaultCell {
  readonly fault: string;
  readonly state: string;
  /** What the client was told from the fault on, and how long after it. */
  readonly client: string;
  readonly clientMs: number;
  /** What the server had of the connection when querycop had let it go, before the fault was over. */
  readonly server: string;
  /** The outcome of the last statement and the end of the session, as the audit has them. */
  readonly record: string;
  /** When all sessions of the fault were over; undefined where they were not. */
  readonly freedMs: number | undefined;
  readonly problems: readonly string[];
}

const PROGRAM = fileURLToPath(new URL("./run.ts", import.meta.url));

/** Needs root or user namespaces, and /dev/net/tun. `onCell` is told as they come. */
export async function faultTable(run: FaultRun, onCell: (cell: FaultCell) => void): Promise<void> {
  // There is no network to fetch anything from inside.
  await installServerRoot(run.kind);
  await buildLossyWire();
  await querycopBinary();
  const command = [...namespaceArguments("net", "mount"), process.execPath, PROGRAM, JSON.stringify(run)];
  const child = spawn("unshare", command, { stdio: ["ignore", "pipe", "pipe"] });
  keepTrack(child);
  let said = "";
  child.stderr.on("data", (text: Buffer) => {
    said = (said + text.toString()).slice(-4000);
  });
  const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("{")) onCell(JSON.parse(line) as FaultCell);
  }
  const code = await ended;
  if (code !== 0) throw new Error(`The faults of ${run.kind} ended with exit code ${code}: ${said}`);
}
