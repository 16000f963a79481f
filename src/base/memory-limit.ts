/** How much memory this process may use, and how much of that the sessions may hold. */
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";

export interface MemoryLimit {
  readonly bytes: number;
  readonly from: "cgroup" | "machine";
}

const MIB = 1024 * 1024;
/** The runtime, the policy, the threads that judge, what is remembered. */
export const PROCESS_BYTES = 96 * MIB;
const BUDGET_BYTES_MIN = 16 * MIB;
const CGROUP_FOLDER = "/sys/fs/cgroup";

/** What of a limit the sessions get where no setting says so. What is let go takes room for a while, too. */
export function defaultMemoryBudget({ bytes, from }: MemoryLimit): number {
  const share = from === "cgroup" ? (bytes - PROCESS_BYTES) / 3 : bytes / 4;
  return Math.max(BUDGET_BYTES_MIN, Math.floor(share));
}

/** The least of the machine's memory and the limits of this process's control groups, of either version. */
export function memoryLimit(read: (path: string) => string = readText): MemoryLimit {
  const machine = totalmem();
  const limits = limitFiles(read("/proc/self/cgroup")).map((path) => Number(read(path).trim() || "none"));
  // A group without a limit says "max", or in version 1 more than there is.
  const bytes = Math.min(...limits.filter((limit) => limit > 0 && limit < machine));
  return Number.isFinite(bytes) ? { bytes, from: "cgroup" } : { bytes: machine, from: "machine" };
}

/** Of the group and all above it; in a container the root is the group. Lines are `0::/path` and `4:memory:/path`. */
function limitFiles(groups: string): readonly string[] {
  const files: string[] = [];
  for (const line of groups.split("\n")) {
    const [, controllers, ...rest] = line.split(":");
    const path = rest.join(":");
    if (controllers === undefined || !path.startsWith("/")) continue;
    const isUnified = controllers === "";
    if (!isUnified && !controllers.split(",").includes("memory")) continue;
    const folders = isUnified ? [CGROUP_FOLDER, join(CGROUP_FOLDER, "unified")] : [join(CGROUP_FOLDER, "memory")];
    const name = isUnified ? "memory.max" : "memory.limit_in_bytes";
    for (let at = path; ; at = dirname(at)) {
      files.push(...folders.map((folder) => join(folder, at, name)));
      if (at === "/") break;
    }
  }
  return files;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
