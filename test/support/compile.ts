/** Small C programs that tests want, compiled once per machine. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { runChecked } from "./child.ts";
import { SERVERS_CACHE } from "./debian-root.ts";
import { requireTool } from "./install.ts";

export interface Program {
  /** The C source. */
  readonly source: string;
  /** Of the folder it is kept in, before a hash of the source. */
  readonly name: string;
  readonly outputFile: string;
  readonly flags?: readonly string[];
  /** Behind the source, where the linker looks for what it has not found before. */
  readonly libraries?: readonly string[];
}

/** Compiles the source unless this very one has been compiled before; returns the path of the output. */
export async function compileOnce({ source, name, outputFile, flags = [], libraries = [] }: Program): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(SERVERS_CACHE, `${name}-${hash}`);
  const file = join(folder, outputFile);
  if (existsSync(file)) return file;
  await requireTool("gcc");
  mkdirSync(folder, { recursive: true });
  const draft = `${file}.${process.pid}`;
  await runChecked("gcc", [...flags, "-O2", "-Wall", "-o", draft, source, ...libraries]);
  renameSync(draft, file);
  return file;
}
