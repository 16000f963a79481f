/** Has Bun look for garbage now: by itself it lets tens of megabytes of buffers that nobody holds lie for seconds. */
import process from "node:process";

/** What there is of bun:jsc in use here. */
interface JavaScriptCore {
  edenGC?(): void;
}

/** `isThorough`: before this returns, which takes milliseconds; else beside what goes on. Elsewhere than on Bun nothing. */
export function collectGarbage(isThorough: boolean): void {
  (globalThis as { Bun?: { gc?: (isThorough: boolean) => void } }).Bun?.gc?.(isThorough);
}

/**
 * Collects what was made since the last time and let go. That takes a millisecond or two, where all that the process holds,
 * policy and sessions and prepared statements, takes a tenth of a second to look through, beside what goes on or not.
 */
export function collectYoungGarbage(): void {
  (process.getBuiltinModule("bun:jsc") as JavaScriptCore | undefined)?.edenGC?.();
}
