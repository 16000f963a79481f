/** One object into one table, by one LOAD DATA statement. */
import { createHash } from "node:crypto";
import { freeBytes } from "../base/bytes.ts";
import { s3Text } from "../base/s3-uri.ts";
import { collectGarbage } from "../net/bun-garbage.ts";
import { decompressed, withFirst } from "./decompress.ts";
import type { LoadClient, LoadCounts } from "./load-client.ts";
import { LoadFailure } from "./load-failure.ts";
import type { AllowedObject } from "./load-objects.ts";
import type { LoadPlan } from "./load-plan.ts";
import { addCounts, type ObjectReport } from "./load-report.ts";
import { loadStatement } from "./load-statement.ts";
import { ObjectBytes } from "./object-bytes.ts";
import type { ObjectStore, S3Object } from "./s3-store.ts";
import type { TableName } from "./sql-words.ts";
import { TextCheck } from "./text-check.ts";
import { SAMPLE_BYTES, type Sampled, sampleText } from "./text-format.ts";

export interface ObjectLoad {
  readonly plan: LoadPlan;
  readonly store: ObjectStore;
  readonly client: LoadClient;
  readonly into: TableName;
  /** Of the table: those that a file has values for. */
  readonly columns: readonly string[];
  readonly signal: AbortSignal;
  /** Told the packed bytes read so far. */
  readonly onBytes: (bytes: number) => void;
}

/** What has been sent is garbage, of which the runtime would let hundreds of megabytes gather. */
const COLLECTED_BYTES = 16 * 1024 * 1024;

const UTF8: ReadonlySet<string> = new Set(["utf8mb4", "utf8mb3", "utf8"]);

/**
 * Resolves with the server's counts, and fills the report. Rejects where the object is not what it was, is cut off, damaged
 * or no text of its charset: the server has taken nothing of it then, and the connection is closed.
 */
export async function loadObject(load: ObjectLoad, allowed: AllowedObject, report: ObjectReport): Promise<LoadCounts> {
  const beganMs = performance.now();
  const { object, bytesMax } = allowed;
  const { plan, client, into } = load;
  const purpose = s3Text(object);
  try {
    const packed = new ObjectBytes(load.store, object, load.signal);
    const unpacked = await decompressed(packed, plan.decompressCommand);
    report.codec = unpacked.codec;
    const isUtf8 = UTF8.has(plan.shape.charset);
    const { first, bytes } = await withFirst(unpacked.bytes, SAMPLE_BYTES);
    const { format } = plan.shape;
    const sampled = sampleText(first, format, isUtf8);
    const check = new TextCheck({
      isUtf8,
      sampledLineEnd: format.linesTerminated === undefined ? sampled.linesTerminated : undefined,
      mayEnclose: format.enclosed !== "",
      bytesMax,
    });
    async function* checked(): AsyncGenerator<Uint8Array> {
      let markLeft = sampled.markBytes;
      let uncollected = 0;
      for await (const chunk of bytes) {
        const text = markLeft === 0 ? chunk : chunk.subarray(Math.min(markLeft, chunk.length));
        markLeft -= chunk.length - text.length;
        check.feed(text);
        load.onBytes(packed.bytes);
        uncollected += text.length;
        yield text;
        // It has been copied into packets. A part as it came may be somebody else's as well.
        if (unpacked.codec === "gzip" || unpacked.codec === "zstd") freeBytes(chunk);
        if (uncollected < COLLECTED_BYTES) continue;
        uncollected = 0;
        collectGarbage(true);
      }
      check.end();
      if (packed.bytes !== object.size) throw new LoadFailure("what unpacks it has not taken all of it");
    }
    const columns = columnsOf(load, sampled);
    const name = fileName(object);
    const sql = loadStatement(`LOCAL INFILE '${name}'`, into, { ...plan.shape, columns }, sampled.linesTerminated);
    const counts = await client.loadFile(sql, name, checked(), purpose);
    report.bytesLoaded = check.bytes;
    report.sha256 = packed.sha256();
    addCounts(report, counts);
    return counts;
  } catch (thrown) {
    report.outcome = "failed";
    if (!(thrown instanceof LoadFailure) || thrown.message.startsWith(purpose)) throw thrown;
    throw new LoadFailure(`${purpose}: ${thrown.message}`, thrown.end);
  } finally {
    report.durationMs = Math.round(performance.now() - beganMs);
  }
}

export function columnsOf({ plan, columns }: ObjectLoad, { header }: Sampled): readonly string[] {
  if (plan.shape.columns === undefined) return columns;
  if (plan.shape.columns !== "header") return plan.shape.columns;
  if (header === undefined) throw new LoadFailure("it has no header to take the names of columns from");
  const unknown = header.find((name) => !columns.some((column) => column.toLowerCase() === name.toLowerCase()));
  if (unknown === undefined) return header;
  throw new LoadFailure(`its header names ${JSON.stringify(unknown.slice(0, 64))}, which is no column of the table`);
}

/**
 * What stands in the statement for the file, and with it in the audit log: which version of the object it is about.
 * Whoever approves the statement approves this one.
 */
export function fileName(object: S3Object): string {
  const { etag, version } = object;
  const tag = etag.replaceAll('"', "");
  const safeTag = /^[A-Za-z0-9-]{1,128}$/.test(tag) ? tag : createHash("sha256").update(etag).digest("hex");
  const safeVersion = version !== undefined && /^[\w.-]{1,1024}$/.test(version) ? `&version=${version}` : "";
  return `${s3Text(object)}?etag=${safeTag}${safeVersion}`;
}
