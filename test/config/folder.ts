/** A temporary folder of files with chosen permissions, removed when the test process ends. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LoadResult, loadConfig } from "../../src/config/load.ts";

const folder = mkdtempSync(join(tmpdir(), "querycop-config-"));
// Several test files of one process share the folder, so no file's own end may remove it.
const remove = (): void => rmSync(folder, { recursive: true, force: true });
process.on("exit", remove);
// Deno's test runner ends a file with this event instead.
(globalThis as { addEventListener?: (type: string, listener: () => void) => void }).addEventListener?.(
  "unload",
  remove,
);

export function inFolder(name: string): string {
  return join(folder, name);
}

export function writeFile(name: string, content: string | Uint8Array, mode = 0o600): string {
  const path = inFolder(name);
  writeFileSync(path, content);
  // The creation mode is subject to the umask; this is not.
  chmodSync(path, mode);
  return path;
}

export function makeDirectory(name: string): string {
  mkdirSync(inFolder(name), { recursive: true });
  return inFolder(name);
}

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string>>;
  /** Content of the configuration file. */
  readonly yaml?: string;
}

/** Loads from exactly what is given; the surroundings of the test process have no say. */
export function load({ env = {}, flags = {}, yaml }: Given): Promise<LoadResult> {
  const file = yaml === undefined ? {} : { file: writeFile("querycop.yaml", yaml) };
  return loadConfig({ env, flags: new Map(Object.entries(flags)), ...file });
}

/** The text with the folder's random name taken out. */
export function withoutFolder(text: string): string {
  return text.replaceAll(folder, "<folder>");
}
