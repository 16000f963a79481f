/** What the limit on open files leaves for sessions. */
import { readFileSync } from "node:fs";

/** The limit now in force; undefined where the system does not say. */
export function openFilesLimit(): number | undefined {
  try {
    const line = readFileSync("/proc/self/limits", "latin1")
      .split("\n")
      .find((text) => text.startsWith("Max open files"));
    const soft = Number(line?.split(" ").filter((word) => word !== "")[3]);
    return Number.isFinite(soft) ? soft : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The limit on open files less what comes and goes besides sessions: attempts to connect, connections being left or turned
 * away, token commands, files. Past the limit Bun would spin on accept without serving anybody.
 */
export const DESCRIPTORS_FOR_SESSIONS = descriptorsForSessions(openFilesLimit());

function descriptorsForSessions(limit: number | undefined): number {
  return limit === undefined ? Number.MAX_SAFE_INTEGER : limit - 64 - Math.floor(limit / 16);
}

/** How many sessions the limit on open files allows: each takes two descriptors. */
export function connectionsAllowedByDescriptors(): number {
  return Math.max(1, Math.floor(DESCRIPTORS_FOR_SESSIONS / 2));
}
