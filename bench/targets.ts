/** What benchmarks put beside querycop: programs on free ports, each with the same server behind it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSupervised } from "../test/support/child.ts";
import type { DebianRoot } from "../test/support/debian-root.ts";
import { eventually } from "../test/support/eventually.ts";
import { startHaproxy } from "../test/support/haproxy.ts";

export interface Target {
  readonly name: string;
  readonly port: number;
  /** Processor time per query says more than a rate on a machine that does other things as well. */
  readonly pid?: number;
}

/** Processor time a process has used so far, in microseconds. Linux counts it in hundredths of a second. */
export function processorUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return (user + system) * 10_000;
}

export const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

export interface BenchProgram {
  readonly name: string;
  readonly port: number;
  readonly root: DebianRoot;
  readonly program: string;
  readonly args: readonly string[];
  readonly launcher?: readonly string[];
}

/** A folder and the programs that run in it, which end with it. */
export class BenchStage {
  readonly folder: string = mkdtempSync(join(tmpdir(), "querycop-bench-"));
  readonly #stops: (() => unknown)[] = [];

  /** Called in the end, the last one first. */
  onEnd(stop: () => unknown): void {
    this.#stops.push(stop);
  }

  async end(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The path of a file of the stage with this content. */
  file(name: string, lines: readonly string[]): string {
    const path = join(this.folder, name);
    writeFileSync(path, `${lines.join("\n")}\n`);
    return path;
  }

  /** A program on a port of its own, once it listens there. `launcher` is what it is started with. */
  async start({ name, port, root, program, args, launcher = [] }: BenchProgram): Promise<Target> {
    const { command, args: own } = root.command(program, args);
    const [first = command, ...rest] = [...launcher, command, ...own];
    const pidFile = join(this.folder, `${port}.pid`);
    const child = spawnSupervised(first, rest, { cwd: this.folder, pidFile });
    child.stderr?.on("data", (text: Buffer) => process.env["BENCH_DEBUG"] && process.stderr.write(text));
    this.onEnd(() => child.stdin?.end());
    await untilOpen(name, port);
    return { name, port, pid: Number(readFileSync(pidFile, "utf8")) };
  }

  /** HAProxy in TCP mode with one thread. */
  async haproxy(name: string, backendPort: number): Promise<Target> {
    const { ports, pid, stop } = await startHaproxy([backendPort]);
    this.onEnd(stop);
    return { name, port: ports[0] ?? 0, pid: pid() };
  }
}

async function untilOpen(name: string, port: number): Promise<void> {
  await eventually(`${name} listens`, async () => {
    const socket = connect({ host: "127.0.0.1", port });
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    return isOpen;
  });
}
