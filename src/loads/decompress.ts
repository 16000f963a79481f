/** What an object is packed with, told by its first bytes, and its content. An end that is missing is an error, always. */
import { spawn } from "node:child_process";
import { pipeline, type Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { LoadFailure } from "./load-failure.ts";
import { ZstdFrames } from "./zstd-frames.ts";

type Bytes = AsyncIterable<Uint8Array>;

const OUTPUT_BYTES = 256 * 1024;

/** Those it cannot unpack by itself: named, so that nobody loads their bytes as text. */
const FOREIGN: readonly (readonly [name: string, firstBytes: readonly number[]])[] = [
  ["bzip2", [0x42, 0x5a, 0x68, -1, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
  ["zip", [0x50, 0x4b, 0x03, 0x04]],
  ["Parquet", [0x50, 0x41, 0x52, 0x31]],
  ["ORC", [0x4f, 0x52, 0x43]],
  ["Avro", [0x4f, 0x62, 0x6a, 0x01]],
];
const FIRST_BYTES_MAX = 10;

export interface Unpacked {
  readonly codec: "none" | "gzip" | "zstd" | "command";
  readonly bytes: Bytes;
}

/** `command` is a shell line that unpacks standard input; without one gzip and Zstandard are unpacked here. */
export async function decompressed(source: Bytes, command: string | undefined): Promise<Unpacked> {
  if (command !== undefined) return { codec: "command", bytes: throughCommand(source, command) };
  const { first, bytes } = await withFirst(source, FIRST_BYTES_MAX);
  if (begins(first, [0x1f, 0x8b])) return { codec: "gzip", bytes: gunzipped(bytes) };
  const isZstd =
    begins(first, [0x28, 0xb5, 0x2f, 0xfd]) || (begins(first, [-1, 0x2a, 0x4d, 0x18]) && isSkippable(first));
  if (isZstd) return { codec: "zstd", bytes: unzstd(bytes) };
  const foreign = FOREIGN.find(([, wanted]) => begins(first, wanted));
  if (foreign !== undefined)
    throw new LoadFailure(`it is ${foreign[0]}, which is not unpacked here: --decompress 'COMMAND' may`);
  return { codec: "none", bytes };
}

function begins(bytes: Uint8Array, wanted: readonly number[]): boolean {
  return bytes.length >= wanted.length && wanted.every((byte, index) => byte < 0 || bytes[index] === byte);
}

const isSkippable = (first: Uint8Array): boolean => ((first[0] ?? 0) & 0xf0) === 0x50;

/** The first bytes, and all of them again. */
export async function withFirst(
  source: Bytes,
  bytesMax: number,
): Promise<{ readonly first: Uint8Array; readonly bytes: Bytes }> {
  const rest = source[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  for (let size = 0; size < bytesMax; ) {
    const { done, value } = await rest.next();
    if (done === true) break;
    held.push(value);
    size += value.length;
  }
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield* held.splice(0);
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  }
  const [only] = held;
  const first = held.length === 1 && only !== undefined ? only : Buffer.concat(held);
  return { first: first.subarray(0, bytesMax), bytes: bytes() };
}

/** Notices a cut and a wrong sum by itself, in every member. */
async function* gunzipped(source: Bytes): AsyncGenerator<Uint8Array> {
  yield* through(source, createGunzip({ chunkSize: OUTPUT_BYTES }), "gzip");
}

/** A decoder for each frame: not every one goes on behind the first, and none of node:zlib notices that its frame was cut. */
async function* unzstd(source: Bytes): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  const frames = new ZstdFrames();
  let rest: Uint8Array | undefined;
  const refill = async (): Promise<Uint8Array | undefined> => {
    while (rest === undefined || rest.length === 0) {
      const next = await chunks.next();
      if (next.done === true) return undefined;
      rest = next.value;
    }
    return rest;
  };
  async function* frame(): AsyncGenerator<Uint8Array> {
    do {
      const chunk = await refill();
      if (chunk === undefined) throw new LoadFailure("it is cut off inside a Zstandard frame");
      const size = frames.take(chunk);
      rest = chunk.subarray(size);
      yield chunk.subarray(0, size);
    } while (!frames.isBetween);
  }
  while ((await refill()) !== undefined) {
    yield* through(frame(), createZstdDecompress({ chunkSize: OUTPUT_BYTES }), "Zstandard");
  }
}

async function* through(
  source: Bytes,
  engine: NodeJS.ReadWriteStream & Readable,
  codec: string,
): AsyncGenerator<Uint8Array> {
  let failed: unknown;
  pipeline(source, engine, (error) => {
    failed ??= error ?? undefined;
  });
  try {
    for await (const chunk of engine) yield chunk as Uint8Array;
  } catch (thrown) {
    const cause = failed ?? thrown;
    if (cause instanceof LoadFailure) throw cause;
    const { code = "" } = cause as { code?: string };
    throw new LoadFailure(
      code === "Z_BUF_ERROR" ? `it is cut off: ${codec} has no end` : `it is damaged: ${codec} cannot be unpacked`,
    );
  }
}

/** Success is exit code 0 after all of the input. */
async function* throughCommand(source: Bytes, command: string): AsyncGenerator<Uint8Array> {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code === 0 ? undefined : `ended with ${signal ?? code}`));
  });
  let failed: unknown;
  pipeline(source, child.stdin, (error) => {
    failed ??= error ?? undefined;
    if (error !== null && error !== undefined) child.kill("SIGKILL");
  });
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array;
    const why = await ended;
    if (failed instanceof LoadFailure) throw failed;
    if (why !== undefined) throw new LoadFailure(`the command of --decompress ${why}`);
    if (failed !== undefined) throw new LoadFailure("the command of --decompress did not take all of the object");
  } finally {
    if (child.exitCode === null) child.kill("SIGKILL");
  }
}
