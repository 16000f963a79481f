/** A lock between processes: a folder holding the owner's process id. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const RETRY_MS = 200;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Undefined when nobody owns the lock or its owner has not written its id yet. */
function ownerOf(folder: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function tryLock(folder: string): boolean {
  // The folder is made complete beside its place and moved there: nobody ever sees a lock without an owner.
  const draft = `${folder}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  mkdirSync(draft, { recursive: true });
  writeFileSync(join(draft, "pid"), String(process.pid));
  try {
    renameSync(draft, folder);
    return true;
  } catch {
    rmSync(draft, { recursive: true, force: true });
    return false;
  }
}

/** Moves the lock aside before looking again, so that of two waiters only one removes it, and never a newer one. */
function removeStale(folder: string, deadOwner: number): void {
  const aside = `${folder}.stale.${process.pid}.${Math.random().toString(36).slice(2)}`;
  try {
    renameSync(folder, aside);
  } catch {
    return;
  }
  if (ownerOf(aside) === deadOwner) rmSync(aside, { recursive: true, force: true });
  else renameSync(aside, folder);
}

/**
 * Runs `work` while holding the lock `folder`, waiting for others at most `timeoutMs`.
 * A lock whose owner is no longer alive is taken over.
 */
export async function withLock<T>(folder: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  while (!tryLock(folder)) {
    const owner = ownerOf(folder);
    if (owner !== undefined && !isAlive(owner)) {
      removeStale(folder, owner);
      continue;
    }
    if (Date.now() > deadline) {
      throw new Error(
        `Waiting for ${folder}: process ${owner} holds it for more than ${timeoutMs} ms. Remove the folder if that process is not an installation.`,
      );
    }
    await delay(RETRY_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
