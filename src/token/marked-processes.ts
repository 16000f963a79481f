/** Finds processes by a mark in their environment: those that have left their process group and their parent. */
import { readdir, readFile } from "node:fs/promises";
import process from "node:process";

/** A process that forks away while it is looked for is found in another round. */
const ROUNDS_MAX = 3;

/**
 * Kills every process of this user that was started with the mark, a `NAME=value`, in its environment. Only where there is
 * /proc, and not one that has cleared its environment. Rejects where /proc cannot be read.
 */
export async function killMarked(mark: string): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    if (!(await killOnce(mark))) return;
  }
}

async function killOnce(mark: string): Promise<boolean> {
  let isFound = false;
  for (const name of await readdir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    // Of other users it cannot be read; that of one that has ended is empty.
    const environment = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
    if (!environment.split("\0").includes(mark)) continue;
    isFound = true;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
  return isFound;
}
