/** What stands in the audit file's place when it is not the file that this process writes. */
import { closeSync, lstatSync, readdirSync, renameSync, type Stats, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { openFile, readEnds, type SegmentEnds, segmentPath } from "./segment-files.ts";

/** The run and the key that a file's first record names. */
export interface ChainName {
  readonly run: string;
  readonly keyId: string;
}

/** Undefined for a file that does not begin with a segment-start record. */
export function chainNameOf({ first }: SegmentEnds): ChainName | undefined {
  const { run, keyId } = first?.type === "segment-start" ? first.fields : {};
  return typeof run === "string" && typeof keyId === "string" ? { run, keyId } : undefined;
}

/**
 * Whether another querycop has taken the name over: a regular file of another run that signs with the same key. Nothing
 * else may have the name: neither a folder, a link or a pipe, nor a file of others, nor an older file of this run.
 */
export function isNewerChain(path: string, named: Stats, own: ChainName | undefined): boolean {
  const chain = chainAt(path, named);
  return chain !== undefined && own !== undefined && chain.keyId === own.keyId && chain.run !== own.run;
}

function chainAt(path: string, named: Stats): ChainName | undefined {
  if (!named.isFile() || named.size === 0) return undefined;
  const fd = openFile(path);
  try {
    return chainNameOf(readEnds(fd));
  } finally {
    closeSync(fd);
  }
}

/**
 * Frees the name and says where what had it lies now: an older file of this run under its final name, anything else beside
 * it. Something empty is just removed. Throws where the name cannot be had, such as that of a mount point.
 */
export function putAside(path: string, named: Stats, own: ChainName | undefined, nowMs: number): string | undefined {
  if (named.isFile() && named.size === 0) {
    unlinkSync(path);
    return undefined;
  }
  const aside =
    ownSegmentName(path, named, own) ?? `${path}.foreign-${new Date(nowMs).toISOString().replaceAll(":", "")}`;
  renameSync(path, aside);
  return aside;
}

function ownSegmentName(path: string, named: Stats, own: ChainName | undefined): string | undefined {
  if (!named.isFile() || own === undefined) return undefined;
  const fd = openFile(path);
  try {
    const { first } = readEnds(fd);
    const { run, segment } = first?.fields ?? {};
    const beganMs = Date.parse(first?.time ?? "");
    if (run !== own.run || typeof segment !== "number" || Number.isNaN(beganMs)) return undefined;
    const name = segmentPath(path, { beganMs, run: own.run, segment });
    return lstatSync(name, { throwIfNoEntry: false }) === undefined ? name : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Whether the folder of the path holds that very file, under any name. */
export function isInFolder(path: string, { dev, ino }: Stats): boolean {
  const folder = dirname(path);
  return readdirSync(folder).some((name) => {
    const stat = lstatSync(join(folder, name), { throwIfNoEntry: false });
    return stat?.dev === dev && stat.ino === ino;
  });
}

export function describeStranger(named: Stats): string {
  if (named.isDirectory()) return "a folder";
  if (named.isSymbolicLink()) return "a link";
  if (named.isFile()) return named.size === 0 ? "an empty file" : "a file of others";
  return "no regular file";
}
