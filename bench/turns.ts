/**
 * Loaded in front of a program (`bun --preload`): writes a JSON line for every turn of its main thread that took more
 * than a few milliseconds of processor time. What others use of the machine meanwhile does not count.
 */
import { openSync, readSync } from "node:fs";

const TOLD_MS = 2;

const schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
const buffer = Buffer.alloc(64);

/** Of the main thread: the first number of its schedstat, in nanoseconds (sched-stats.rst of the Linux kernel). */
function processorMs(): number {
  const length = readSync(schedstat, buffer, 0, buffer.length, 0);
  return Number.parseInt(buffer.toString("latin1", 0, length), 10) / 1e6;
}

let before = processorMs();
const timer = setInterval(() => {
  const now = processorMs();
  if (now - before > TOLD_MS) process.stderr.write(`${JSON.stringify({ event: "turn", cpuMs: now - before })}\n`);
  before = now;
}, 1);
timer.unref();
