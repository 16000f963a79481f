/** What became of a load, for people and programs. */
import { s3Text } from "../base/s3-uri.ts";
import type { LoadCounts } from "./load-client.ts";
import type { S3Object } from "./s3-store.ts";

/** loaded: its rows are in the server's transaction, and with the load's end in the table. seen: the ledger has it. */
export type ObjectOutcome = "loaded" | "seen" | "missing" | "failed" | "not-loaded";

export interface ObjectReport {
  readonly uri: string;
  readonly version?: string;
  readonly etag?: string;
  readonly size?: number;
  outcome: ObjectOutcome;
  /** Sent to the server, unpacked. */
  bytesLoaded?: number;
  sha256?: string;
  codec?: string;
  records?: number;
  deleted?: number;
  skipped?: number;
  warnings?: number;
  durationMs?: number;
}

/** What its end is: the table has the new rows, or the old ones, or nobody can say from here. */
export type LoadOutcome = "committed" | "nothing-to-do" | "unchanged" | "unknown";

export interface LoadReport {
  outcome: LoadOutcome;
  /** As `schema.table`. */
  readonly target: string;
  readonly mode: string;
  readonly via: string;
  readonly objects: ObjectReport[];
  readonly remarks: string[];
  retries: number;
  why?: string;
}

export function objectReport(object: S3Object): ObjectReport {
  const { etag, size, version } = object;
  return { uri: s3Text(object), ...(version === undefined ? {} : { version }), etag, size, outcome: "not-loaded" };
}

export function addCounts(report: ObjectReport, counts: LoadCounts): void {
  Object.assign(report, counts);
}

/** A line for each object, and one for the whole. */
export function reportText({ outcome, target, mode, objects, remarks, why }: LoadReport): string {
  const lines = objects.map((object) => {
    const { uri, outcome: end, records = 0, skipped = 0, deleted = 0, warnings = 0 } = object;
    const counts = `${records} records, ${deleted} deleted, ${skipped} skipped, ${warnings} warnings`;
    return `${uri}  ${end}${end === "loaded" || records > 0 ? `  ${counts}` : ""}`;
  });
  const ends: Readonly<Record<LoadOutcome, string>> = {
    committed: `${target} has the new rows (${mode})`,
    "nothing-to-do": `${target} is unchanged: there was nothing to load`,
    unchanged: `${target} is unchanged`,
    unknown: `whether ${target} has the new rows is not known: the connection broke off at the end`,
  };
  return [
    ...remarks.map((remark) => `note: ${remark}`),
    ...lines,
    `${ends[outcome]}${why === undefined ? "" : `: ${why}`}`,
  ]
    .map((line) => `${line}\n`)
    .join("");
}
