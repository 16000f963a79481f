/** Reads the files a configuration names, with the checks their content's power calls for. */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { GROUP_OR_WORLD_WRITABLE, othersMay, WORLD_READABLE } from "../base/file-mode.ts";

export type FileRead = { readonly bytes: Buffer; readonly mode: number } | { readonly problem: string };

/** Why a file cannot be used, in words; never the runtime's own text, which names the system call. */
function describeFailure(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  const known: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EPERM: "permission denied",
    EISDIR: "it is a directory",
    ENOTDIR: "a part of the path is not a directory",
    ELOOP: "too many symbolic links",
    ENAMETOOLONG: "the path is too long",
  };
  return known[code] ?? code;
}

/**
 * Reads a regular file of at most `bytesMax`. Size and mode are those of the very file that was opened, so that
 * nobody can swap it between check and use.
 */
export function readBoundedFile(path: string, bytesMax: number): FileRead {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (error) {
    return { problem: `cannot read ${path}: ${describeFailure(error)}` };
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return { problem: `cannot read ${path}: it is not a regular file` };
    if (stat.size > bytesMax)
      return { problem: `cannot read ${path}: ${stat.size} bytes, at most ${bytesMax} are allowed` };
    const bytes = Buffer.alloc(stat.size);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(descriptor, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return { bytes: bytes.subarray(0, length), mode: stat.mode };
  } catch (error) {
    return { problem: `cannot read ${path}: ${describeFailure(error)}` };
  } finally {
    closeSync(descriptor);
  }
}

/** A problem when others than the owner may change the file: they could then run commands or log in as us. */
export function writableByOthers(path: string, mode: number): string | undefined {
  if (!othersMay(mode, GROUP_OR_WORLD_WRITABLE)) return undefined;
  const octal = (mode & 0o777).toString(8).padStart(3, "0");
  return `${path} is writable by group or others (mode ${octal}): run chmod go-w ${path}`;
}

export function isReadableByAll(mode: number): boolean {
  return othersMay(mode, WORLD_READABLE);
}

export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

export function fileExists(path: string): boolean {
  return existsSync(path);
}
