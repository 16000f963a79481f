/**
 * TCP connections over a wire that loses, delays and cuts packets, within the network namespace of this process: see
 * lossy-wire/lossy_wire.c. Each leg has an address to dial and one that its listener has.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { keepTrack, runChecked } from "../child.ts";
import { compileOnce } from "../compile.ts";

const SOURCE = fileURLToPath(new URL("./lossy-wire/lossy_wire.c", import.meta.url));
const DEVICE = "wire";

export interface WireFault {
  /** Packets lost of a thousand. */
  readonly lost?: number;
  readonly delayMs?: number;
  /** Added at random, which changes the order. */
  readonly jitterMs?: number;
  /** Larger ones are lost, and nobody is told. */
  readonly largestBytes?: number;
}

export type Direction = "forward" | "back";

export interface LossyWire {
  /** Resolves when it is so. `forward` is towards who listens. */
  set(leg: number, direction: Direction, fault: WireFault): Promise<void>;
  stop(): void;
}

export const dialAddress = (leg: number): string => `10.9.${leg}.4`;
export const listenAddress = (leg: number): string => `10.9.${leg}.2`;

export function buildLossyWire(): Promise<string> {
  return compileOnce({ source: SOURCE, name: "lossy-wire", outputFile: "lossy_wire" });
}

/** For a process that is alone in its network namespace and may administer it. */
export async function startLossyWire(legs: readonly number[], seed: number): Promise<LossyWire> {
  const child = spawn(await buildLossyWire(), [DEVICE, String(seed)], { stdio: ["pipe", "pipe", "inherit"] });
  keepTrack(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const expect = async (wanted: string): Promise<void> => {
    const { value } = await lines.next();
    if (value !== wanted) throw new Error(`The wire said ${value} instead of ${wanted}`);
  };
  await expect("ready");
  await runChecked("ip", ["link", "set", DEVICE, "up"]);
  for (const leg of legs) {
    // Dialled at .4 from .1, listened to at .2 and seen from .3.
    for (const [own, other] of [
      [1, 4],
      [2, 3],
    ]) {
      await runChecked("ip", ["address", "add", `10.9.${leg}.${own}/32`, "dev", DEVICE]);
      await runChecked("ip", ["route", "add", `10.9.${leg}.${other}`, "dev", DEVICE, "src", `10.9.${leg}.${own}`]);
    }
  }
  return {
    async set(leg, direction, { lost = 0, delayMs = 0, jitterMs = 0, largestBytes = 0 }) {
      child.stdin.write(`${leg} ${direction === "forward" ? 0 : 1} ${lost} ${delayMs} ${jitterMs} ${largestBytes}\n`);
      await expect("set");
    },
    stop: () => void child.stdin.end(),
  };
}
