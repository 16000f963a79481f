/**
 * Who takes part in bench/greed.ts, each in a process of its own: the crowd with its backend, and the small sessions with
 * theirs, so that neither waits for the other anywhere but in what is measured.
 */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { availableParallelism, setPriority } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { encodePacket } from "../src/mysql/packet.ts";
import { keepTrack, runChecked } from "../test/support/child.ts";
import { startCrowdBackend } from "../test/support/crowd.ts";
import { logIn, type PacketPeer, queryPayload } from "../test/support/fake-peers.ts";
import { crowdOfGreed } from "../test/support/greed.ts";

export interface Waits {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

type Order =
  | { readonly kind: "crowd"; readonly port: number; readonly count: number; readonly kinds?: readonly string[] }
  | { readonly kind: "small"; readonly port: number; readonly sessions: number; readonly thinkMs: number }
  /** The waits since the one before. */
  | { readonly kind: "mark" }
  | { readonly kind: "end" };

/** Above all others where they share a processor: what its sessions wait for is not each other. */
const SMALL_PRIORITY = -15;
export const CROWD_PRIORITY = 5;
const MOST_URGENT = -20;
/** It leaves with its process. */
const NEVER = new AbortController().signal;

/** A process that has a backend, and does what it is told. */
export class Role {
  readonly #child: ChildProcess;
  readonly backendPort: number;

  private constructor(child: ChildProcess, backendPort: number) {
    this.#child = child;
    this.backendPort = backendPort;
  }

  static async start(name: "crowd" | "small", processor: number | undefined): Promise<Role> {
    const child = fork(import.meta.filename, [name]);
    keepTrack(child);
    if (processor !== undefined) await pin(child.pid ?? 0, processor);
    const port = await answerOf<number>(child);
    return new Role(child, port);
  }

  /** Resolves with the answer; rejects when the process ends without one. */
  do<Answer>(order: Order): Promise<Answer> {
    const answer = answerOf<Answer>(this.#child);
    this.#child.send(order);
    return answer;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }
}

function answerOf<Answer>(child: ChildProcess): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (): void =>
      reject(new Error(`${child.spawnargs.at(-1)} has ended: what it was connected to may have, too`));
    child.once("exit", fail);
    child.once("message", (answer) => {
      child.off("exit", fail);
      resolve(answer as Answer);
    });
  });
}

/** Has the process and all its threads run on that processor alone. */
export async function pin(pid: number, processor: number): Promise<void> {
  await runChecked("taskset", ["-acp", String(processor), String(pid)]);
}

/**
 * Has its first thread, which serves, run on that processor alone, and those that compile, collect and judge where there is
 * room: they inherit what that one was told before they were made, so that this is to be called again.
 */
export async function pinFirst(pid: number, processor: number): Promise<void> {
  const others = readdirSync(`/proc/${pid}/task`).filter((thread) => Number(thread) !== pid);
  // One that has ended in the meantime is none the worse for it.
  const spread = others.map((thread) => `taskset -cp 0-${availableParallelism() - 1} ${thread};`).join(" ");
  await runChecked("sh", ["-c", `{ :; ${spread} } >/dev/null 2>&1; taskset -cp ${processor} ${pid}`]);
}

/** Has all its threads go before every other program of their processor, in real time: sched(7). For one that does little. */
export async function goFirst(pid: number): Promise<void> {
  await runChecked("chrt", ["-a", "-r", "-p", "1", String(pid)]);
}

/** A group of the cpu controller that weighs as much as one may, of version 1 or 2. */
class UrgentGroup {
  readonly #folder: string;

  constructor() {
    const isFirst = existsSync("/sys/fs/cgroup/cpu/cpu.shares");
    this.#folder = join(isFirst ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup", `querycop-urgent-${process.pid}`);
    mkdirSync(this.#folder);
    const [file, most] = isFirst ? ["cpu.shares", "262144"] : ["cpu.weight", "10000"];
    writeFileSync(join(this.#folder, file), most);
    process.once("exit", () => this.#remove());
  }

  /** What was killed leaves it a moment later. */
  #remove(): void {
    for (let tries = 0; tries < 50; tries++) {
      try {
        rmdirSync(this.#folder);
        return;
      } catch {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
    }
  }

  add(pid: number): void {
    writeFileSync(join(this.#folder, "cgroup.procs"), String(pid));
  }
}

let urgent: UrgentGroup | undefined;

/**
 * Lets the process go before all that is not measured here, its first thread before the others: in real time, sched(7), those
 * that compile and collect would keep it waiting for slices of a tenth of a second. Among those that hurry the priority counts.
 */
export function hurry(pid: number, priority = MOST_URGENT): void {
  urgent ??= new UrgentGroup();
  urgent.add(pid);
  setPriority(pid, priority);
}

function summaryOf(waits: readonly number[]): Waits {
  const sorted = [...waits].sort((left, right) => left - right);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? Number.NaN };
}

function onOrder(act: (order: Order) => Promise<unknown>): void {
  process.on("message", (order) => {
    act(order as Order).then(
      (answer) => process.send?.(answer ?? "done"),
      (thrown: unknown) => {
        console.error(String(thrown));
        process.exit(1);
      },
    );
  });
}

function beCrowd(): void {
  setPriority(CROWD_PRIORITY);
  onOrder(async (order) => {
    if (order.kind === "crowd") void crowdOfGreed(order.port, order, NEVER);
  });
}

const QUESTION = encodePacket(queryPayload("DO 1"), 0);

function beSmall(): void {
  setPriority(SMALL_PRIORITY);
  let waits: number[] = [];
  let isOver = false;
  let all: Promise<unknown> = Promise.resolve();
  const ask = async (peer: PacketPeer, thinkMs: number): Promise<void> => {
    while (!isOver) {
      const beganMs = performance.now();
      peer.socket.write(QUESTION);
      if ((await peer.expect()).payload[0] !== 0) throw new Error("a small statement was refused");
      waits.push(performance.now() - beganMs);
      peer.received.length = 0;
      await delay(thinkMs * (0.5 + Math.random()));
    }
    peer.socket.destroy();
  };
  const fail = (thrown: unknown): void => {
    console.error(`small sessions: ${thrown}`);
    process.exit(1);
  };
  onOrder(async (order) => {
    if (order.kind === "small") {
      isOver = false;
      const peers: PacketPeer[] = [];
      for (let index = 0; index < order.sessions; index++) peers.push(await logIn(order.port));
      all = Promise.all(peers.map((peer) => ask(peer, order.thinkMs))).catch(fail);
    } else if (order.kind === "end") {
      isOver = true;
      await all;
    }
    const summary = summaryOf(waits);
    waits = [];
    return summary;
  });
}

if (import.meta.main) {
  if (process.argv[2] === "small") beSmall();
  else beCrowd();
  const { port } = await startCrowdBackend();
  process.send?.(port);
}
