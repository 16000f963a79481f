/** Objects of S3: found, and read in parts. The library is loaded with the first question, so that nobody else pays for it. */
import { addAbortSignal, type Readable } from "node:stream";
import type { S3Client } from "@aws-sdk/client-s3";
import { pause } from "../base/pause.ts";
import { redactSecrets } from "../base/redact.ts";
import { type S3Address, type S3Pattern, s3Text } from "../base/s3-uri.ts";
import { credentialChain, METADATA_ADVICE } from "../token/aws-credentials.ts";
import { LoadFailure } from "./load-failure.ts";

/** One version of an object. */
export interface S3Object extends S3Address {
  readonly etag: string;
  readonly size: number;
  readonly version: string | undefined;
}

export interface ObjectStore {
  /** Undefined where there is no such object. Rejects with LoadFailure. */
  find(address: S3Address, signal: AbortSignal): Promise<S3Object | undefined>;
  /** In the order of their keys. Rejects with LoadFailure, also for more than OBJECTS_MAX. */
  list(prefix: S3Pattern, signal: AbortSignal): Promise<readonly S3Address[]>;
  /** Bytes `from` up to and without `to`, all of them. Rejects with LoadFailure for another version of the object. */
  part(object: S3Object, from: number, to: number, signal: AbortSignal): Promise<Uint8Array>;
  close(): void;
}

/** In one load. */
export const OBJECTS_MAX = 1000;
const ATTEMPTS_MAX = 7;
const PAUSE_MS = 200;
const PAUSE_MS_MAX = 5000;
/** Of one request with its answer: a part comes within it or is asked for anew. */
const REQUEST_MS_MAX = 60_000;

type Client = { readonly client: S3Client; readonly library: typeof import("@aws-sdk/client-s3") };

export class S3Store implements ObjectStore {
  readonly #region: string | undefined;
  readonly #clients = new Map<string, Promise<Client>>();
  /** Parts that had to be asked for again. */
  retries = 0;

  /** `region` is for addresses that name none; unset: that of the AWS environment. */
  constructor(region: string | undefined) {
    this.#region = region;
  }

  async find(address: S3Address, signal: AbortSignal): Promise<S3Object | undefined> {
    const { client, library } = await this.#client(address);
    try {
      const { bucket: Bucket, key: Key } = address;
      const found = await client.send(new library.HeadObjectCommand({ Bucket, Key }), bounded(signal));
      const { ETag: etag, ContentLength: size, VersionId: version } = found;
      if (etag === undefined || size === undefined) throw new Error("S3 tells neither ETag nor length");
      return { ...address, etag, size, version: version === "null" ? undefined : version };
    } catch (thrown) {
      if (statusOf(thrown) === 404) return undefined;
      throw failure(address, thrown);
    }
  }

  async list(prefix: S3Pattern, signal: AbortSignal): Promise<readonly S3Address[]> {
    const { client, library } = await this.#client(prefix);
    const keys: string[] = [];
    let token: string | undefined;
    do {
      try {
        const page = await client.send(
          new library.ListObjectsV2Command({ Bucket: prefix.bucket, Prefix: prefix.key, ContinuationToken: token }),
          bounded(signal),
        );
        for (const { Key } of page.Contents ?? []) if (Key !== undefined && !Key.endsWith("/")) keys.push(Key);
        token = page.NextContinuationToken;
      } catch (thrown) {
        throw failure(prefix, thrown);
      }
      if (keys.length > OBJECTS_MAX)
        throw new LoadFailure(`${s3Text(prefix)} begins more than ${OBJECTS_MAX} objects: load them in parts`);
    } while (token !== undefined);
    const { bucket, region } = prefix;
    return keys.map((key) => ({ bucket, key, region }));
  }

  async part(object: S3Object, from: number, to: number, signal: AbortSignal): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      try {
        const bytes = await this.#ask(object, from, to, bounded(signal).abortSignal);
        if (bytes.length === to - from) return bytes;
        throw new Error(`S3 sent ${bytes.length} of ${to - from} bytes`);
      } catch (thrown) {
        if (signal.aborted) throw new LoadFailure("it was stopped");
        if (attempt === ATTEMPTS_MAX || !isPassing(thrown)) throw failure(object, thrown);
        this.retries++;
        await pause(Math.min(PAUSE_MS * 2 ** (attempt - 1), PAUSE_MS_MAX), signal);
      }
    }
  }

  close(): void {
    for (const client of this.#clients.values()) {
      client.then(
        ({ client: each }) => each.destroy(),
        () => undefined,
      );
    }
  }

  async #ask(object: S3Object, from: number, to: number, abortSignal: AbortSignal): Promise<Uint8Array> {
    const { client, library } = await this.#client(object);
    const { bucket: Bucket, key: Key, etag: IfMatch, version: VersionId } = object;
    const Range = `bytes=${from}-${to - 1}`;
    const answer = await client.send(new library.GetObjectCommand({ Bucket, Key, IfMatch, VersionId, Range }), {
      abortSignal,
    });
    // SAFETY: not every server that speaks S3 knows If-Match.
    if (answer.ETag !== object.etag) throw new LoadFailure(CHANGED);
    const isWhole = from === 0 && to === object.size;
    if (!isWhole && answer.ContentRange !== `bytes ${from}-${to - 1}/${object.size}`) throw new LoadFailure(CHANGED);
    if (answer.Body === undefined) return new Uint8Array(0);
    return await filled(new Uint8Array(to - from), addAbortSignal(abortSignal, answer.Body as Readable));
  }

  #client({ region = this.#region }: S3Address): Promise<Client> {
    const found = this.#clients.get(region ?? "");
    if (found !== undefined) return found;
    const made = clientFor(region);
    this.#clients.set(region ?? "", made);
    return made;
  }
}

/** Into memory of the right size at once: to put the pieces together later would take it twice. */
async function filled(bytes: Uint8Array, body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  let size = 0;
  for await (const piece of body) {
    if (size + piece.length > bytes.length) throw new Error(`S3 sent more than ${bytes.length} bytes`);
    bytes.set(piece, size);
    size += piece.length;
  }
  return bytes.subarray(0, size);
}

async function clientFor(region: string | undefined): Promise<Client> {
  const library = await import("@aws-sdk/client-s3");
  const client = new library.S3Client({
    credentials: await credentialChain(),
    followRegionRedirects: true,
    // What is read in ranges has no checksum to compare.
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(region === undefined ? {} : { region }),
  });
  return { client, library };
}

const CHANGED = "it is not the object any more that was found at first";

function bounded(signal: AbortSignal): { readonly abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS_MAX)]) };
}

function statusOf(thrown: unknown): number | undefined {
  const { $metadata } = thrown as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode;
}

/** Connections break, services are busy; what S3 says of the object itself it will say again. */
function isPassing(thrown: unknown): boolean {
  if (thrown instanceof LoadFailure) return false;
  const status = statusOf(thrown);
  return status === undefined || status < 400 || status >= 500 || status === 408 || status === 429;
}

function failure(address: Pick<S3Address, "bucket" | "key">, thrown: unknown): LoadFailure {
  const what = s3Text(address);
  if (thrown instanceof LoadFailure) return new LoadFailure(`${what}: ${thrown.message}`, thrown.end);
  const { name, message } = thrown instanceof Error ? thrown : { name: "Error", message: String(thrown) };
  const status = statusOf(thrown);
  if (status === 412) return new LoadFailure(`${what}: ${CHANGED}`);
  if (status === 403)
    return new LoadFailure(
      `${what}: S3 denies it; where s3:ListBucket is not allowed, so it does for what is not there`,
    );
  if (status === 404) return new LoadFailure(`${what}: there is no such object or bucket`, "missing");
  if (name === "CredentialsProviderError" || name === "TokenProviderError")
    return new LoadFailure(`${what}: no AWS credentials are found in the standard places. ${METADATA_ADVICE}`);
  if (message.includes("Region is missing"))
    return new LoadFailure(`${what}: the AWS region is not known, write s3-REGION:// or set AWS_REGION`);
  if (name === "TimeoutError" || name === "AbortError")
    return new LoadFailure(`${what}: S3 took longer than ${REQUEST_MS_MAX / 1000} s, or it was stopped`);
  return new LoadFailure(`${what}: ${redactSecrets(`${name}: ${message}`.slice(0, 300))}`);
}
