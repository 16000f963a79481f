/** A control group with a limit of memory for one program, of version 1 or 2. Needs root and the memory controller. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

export interface MemoryGroup {
  readonly version: 1 | 2;
  /** The start of a command line that puts its program into the group. */
  readonly launcher: readonly string[];
  /** The most it has been charged with so far: the program's memory, and what it has of the page cache. */
  peakBytes(): number;
  /** How often the kernel has killed something of it for want of memory. */
  kills(): number;
  /** Only once its program has ended. */
  remove(): void;
}

interface Files {
  readonly version: 1 | 2;
  readonly parent: string;
  readonly limit: string;
  readonly peak: string;
  readonly events: string;
}

/** Below this process's own group, so that a limit of that stays one. */
function filesOf(groups: string): Files {
  const lines = groups.split("\n").map((line) => line.split(":"));
  const path = (controller: string): string | undefined =>
    lines
      .find(([, controllers]) => controllers?.split(",").includes(controller))
      ?.slice(2)
      .join(":");
  const first = path("memory");
  if (first !== undefined) {
    const parent = join(ROOT, "memory", first);
    const [limit, peak, events] = ["memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"];
    return { version: 1, parent, limit, peak, events };
  }
  // No process may be in a group of version 2 that hands its controllers on: the root of what is mounted here may.
  return { version: 2, parent: ROOT, limit: "memory.max", peak: "memory.peak", events: "memory.events" };
}

let made = 0;

export function makeMemoryGroup(limitBytes: number): MemoryGroup {
  const { version, parent, limit, peak, events } = filesOf(readFileSync("/proc/self/cgroup", "latin1"));
  const folder = join(parent, `querycop-${process.pid}-${++made}`);
  if (version === 2) writeFileSync(join(parent, "cgroup.subtree_control"), "+memory");
  mkdirSync(folder);
  writeFileSync(join(folder, limit), String(limitBytes));
  const read = (name: string): string => readFileSync(join(folder, name), "latin1");
  return {
    version,
    launcher: ["sh", "-c", `echo 0 >"$0/cgroup.procs" && exec "$@"`, folder],
    peakBytes: () => Number(read(peak)),
    kills: () => Number(/^oom_kill (\d+)/m.exec(read(events))?.[1] ?? 0),
    remove: () => rmdirSync(folder),
  };
}
