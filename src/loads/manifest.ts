/** A list of objects in the form that Aurora reads (Aurora user guide, "Using a manifest to specify data files to load"). */
import { decodeUtf8 } from "../base/bytes.ts";
import { parseS3Address, type S3Address, s3Text } from "../base/s3-uri.ts";
import { LoadFailure } from "./load-failure.ts";
import type { ObjectStore } from "./s3-store.ts";

const MANIFEST_BYTES_MAX = 1024 * 1024;
const KEYS: ReadonlySet<string> = new Set(["url", "mandatory"]);

/**
 * Every object of it, in its order; `mandatory` counts for nothing, as a load is of all its objects. Rejects with LoadFailure
 * where it is none, or names what is no address.
 */
export async function readManifest(
  address: S3Address,
  store: ObjectStore,
  signal: AbortSignal,
): Promise<readonly S3Address[]> {
  const what = s3Text(address);
  const object = await store.find(address, signal);
  if (object === undefined) throw new LoadFailure(`${what}: there is no such manifest`, "missing");
  if (object.size > MANIFEST_BYTES_MAX)
    throw new LoadFailure(`${what}: a manifest has at most ${MANIFEST_BYTES_MAX} bytes, this has ${object.size}`);
  const bytes = object.size === 0 ? new Uint8Array(0) : await store.part(object, 0, object.size, signal);
  const entries = entriesOf(bytes);
  if (entries === undefined) throw new LoadFailure(`${what}: expected JSON as {"entries": [{"url": "s3://…"}]}`);
  return entries.map((entry, index) => {
    const found = addressOf(entry, address);
    if (found !== undefined) return found;
    throw new LoadFailure(`${what}: entry ${index + 1} is not {"url": "s3://bucket/key", "mandatory": true or false}`);
  });
}

function entriesOf(bytes: Uint8Array): readonly unknown[] | undefined {
  try {
    const { entries } = JSON.parse(decodeUtf8(bytes) ?? "") as { readonly entries?: unknown };
    return Array.isArray(entries) && entries.length > 0 ? entries : undefined;
  } catch {
    return undefined;
  }
}

function addressOf(entry: unknown, { region }: S3Address): S3Address | undefined {
  if (typeof entry !== "object" || entry === null || Object.keys(entry).some((key) => !KEYS.has(key))) return undefined;
  const { url } = entry as { readonly url?: unknown };
  const found = typeof url === "string" ? parseS3Address(url) : undefined;
  return found === undefined ? undefined : { ...found, region: found.region ?? region };
}
