/** One object read by the server itself: Aurora's LOAD DATA FROM S3 (Aurora user guide, "Loading data into a DB cluster from text files in an S3 bucket"). */
import { type S3Address, s3Text } from "../base/s3-uri.ts";
import { decompressed } from "./decompress.ts";
import { type LoadClient, type LoadCounts, StatementRefused } from "./load-client.ts";
import { LoadFailure } from "./load-failure.ts";
import type { AllowedObject } from "./load-objects.ts";
import { addCounts, type ObjectReport } from "./load-report.ts";
import { loadStatement } from "./load-statement.ts";
import { columnsOf, type ObjectLoad } from "./object-load.ts";
import { SAMPLE_BYTES, sampleText } from "./text-format.ts";

/**
 * SAFETY: another MySQL takes the same statement for one about its own files, and reads them. Rejects with LoadFailure for
 * a server that has not said that it is an Aurora.
 */
export async function requireAurora(client: LoadClient): Promise<void> {
  try {
    const [row] = await client.query("SELECT @@aurora_version", "asking whether the server is an Aurora");
    if (row?.[0] !== undefined && row[0] !== "") return;
  } catch (thrown) {
    if (!(thrown instanceof StatementRefused)) throw thrown;
  }
  throw new LoadFailure("the server is no Aurora, and would read files of its own: --via stream loads into any");
}

/** As loadObject(), but for what only who reads the bytes can know: Aurora says neither hash nor version. */
export async function loadObjectThere(
  load: ObjectLoad,
  { object }: AllowedObject,
  report: ObjectReport,
): Promise<LoadCounts> {
  const beganMs = performance.now();
  const { plan, store, client, into, signal } = load;
  const purpose = s3Text(object);
  try {
    const sample =
      object.size === 0 ? new Uint8Array(0) : await store.part(object, 0, Math.min(object.size, SAMPLE_BYTES), signal);
    const { codec } = await decompressed(oneChunk(sample), undefined);
    if (codec !== "none")
      throw new LoadFailure(`${purpose}: it is packed with ${codec}, which Aurora does not unpack: --via stream`);
    const sampled = sampleText(sample, plan.shape.format, plan.shape.charset.startsWith("utf8"));
    if (sampled.markBytes > 0)
      throw new LoadFailure(`${purpose}: it begins with a byte order mark, which Aurora takes for text: --via stream`);
    const [mode] = await client.query("SELECT @@sql_mode", "asking for the sql_mode");
    const source = `FROM S3 ${s3Literal(object, (mode?.[0] ?? "").includes("NO_BACKSLASH_ESCAPES"))}`;
    const shape = { ...plan.shape, columns: columnsOf(load, sampled) };
    const counts = await client.loadThere(loadStatement(source, into, shape, sampled.linesTerminated), purpose);
    addCounts(report, counts);
    const now = await store.find(object, signal);
    if (now?.etag !== object.etag || now.version !== object.version)
      throw new LoadFailure(`${purpose}: it changed while Aurora read it`);
    return counts;
  } finally {
    report.durationMs = Math.round(performance.now() - beganMs);
  }
}

/** The address as Aurora takes it: with the key as it is, so that quotes and backslashes matter here. */
export function s3Literal({ bucket, key, region }: S3Address, isBackslashPlain: boolean): string {
  const scheme = region === undefined ? "s3" : `s3-${region}`;
  const escaped = isBackslashPlain ? key : key.replaceAll("\\", "\\\\");
  return `'${scheme}://${bucket}/${escaped.replaceAll("'", "''")}'`;
}

async function* oneChunk(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  yield chunk;
}
