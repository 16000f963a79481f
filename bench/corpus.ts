/** The corpora that benchmarks measure on: one JSON object per line, in files that may be compressed. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

export interface Sample {
  /** Where the statement comes from. */
  readonly src: string;
  readonly sql: string;
}

/** The samples of `<prefix>*.jsonl` and `<prefix>*.jsonl.gz` of a folder; none where there is no folder. */
export function readSamples<T extends Sample>(folder: string | undefined, ...prefixes: readonly string[]): T[] {
  if (folder === undefined || !existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /\.jsonl(?:\.gz)?$/.test(name) && prefixes.some((prefix) => name.startsWith(prefix)))
    .flatMap((name) => {
      const content = readFileSync(join(folder, name));
      return (name.endsWith(".gz") ? gunzipSync(content) : content).toString("utf8").split("\n");
    })
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
