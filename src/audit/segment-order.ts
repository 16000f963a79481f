/** Puts the files of an audit log in the order they were written in. */
import type { AuditRecord } from "./audit-record.ts";
import { readFirstRecord } from "./segment-reader.ts";

export interface AuditFile {
  readonly path: string;
  readonly first: AuditRecord | undefined;
}

/** By what the files say themselves: their names may have been changed. */
export async function inOrder(paths: readonly string[]): Promise<AuditFile[]> {
  const files: AuditFile[] = [];
  for (const path of paths) files.push({ path, first: await readFirstRecord(path) });
  const ranks = rankRuns(files);
  const position = ({ first }: AuditFile): readonly [number, number] => {
    const rank = ranks.get(String(first?.fields["run"]));
    // Files that do not say where they belong come last.
    return rank === undefined ? [ranks.size, 0] : [rank, Number(first?.fields["segment"])];
  };
  return files
    .map((file) => ({ file, position: position(file) }))
    .sort((a, b) => a.position[0] - b.position[0] || a.position[1] - b.position[1])
    .map(({ file }) => file);
}

/** Runs in order: each behind the one it continues, else by time. Clocks may be set back between two runs. */
function rankRuns(files: readonly AuditFile[]): Map<string, number> {
  const runs = new Map<string, { time: string; continues: string | undefined }>();
  for (const { first } of files) {
    if (first?.type !== "segment-start") continue;
    const run = String(first.fields["run"]);
    const known = runs.get(run);
    const { continues } = first.fields;
    runs.set(run, {
      time: known === undefined || first.time < known.time ? first.time : known.time,
      continues: typeof continues === "string" ? continues : known?.continues,
    });
  }
  const ranks = new Map<string, number>();
  const byTime = [...runs].sort(([, a], [, b]) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  for (const [begin] of byTime) {
    const behind: string[] = [];
    let run: string | undefined = begin;
    while (run !== undefined && runs.has(run) && !ranks.has(run) && !behind.includes(run)) {
      behind.push(run);
      run = runs.get(run)?.continues;
    }
    for (const next of behind.reverse()) ranks.set(next, ranks.size);
  }
  return ranks;
}
