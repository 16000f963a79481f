/** Every cut of every packing is noticed, in whatever pieces it comes; and what is whole comes out whole. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { freeBytes } from "../../src/base/bytes.ts";
import { decompressed } from "../../src/loads/decompress.ts";
import { LoadFailure } from "../../src/loads/load-failure.ts";
import { ZstdFrames } from "../../src/loads/zstd-frames.ts";

async function* piecesOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(bytes: Uint8Array, pieceBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  const unpacked = await decompressed(piecesOf(bytes, pieceBytes), undefined);
  for await (const part of unpacked.bytes) parts.push(part);
  return Buffer.concat(parts).toString("latin1");
}

const text = (word: string): string => Array.from({ length: 40 }, (_, index) => `${index}\t${word}\n`).join("");
const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
const zstd = (word: string): Uint8Array => zstdCompressSync(Buffer.from(text(word)));

/** Content, and where in it a cut is a whole file of its own. */
const FILES: Readonly<Record<string, readonly [parts: readonly Uint8Array[], content: readonly string[]]>> = {
  gzip: [
    [gzipSync(text("one")), gzipSync(text("two"))],
    [text("one"), text("two")],
  ],
  zstd: [
    [zstd("one"), skippable, zstd("two"), zstdCompressSync(Buffer.from("a".repeat(300_000)))],
    [text("one"), "", text("two"), "a".repeat(300_000)],
  ],
};

test("decompressed() gives the content of all members and frames, in pieces of any size", async () => {
  for (const [name, [parts, content]] of Object.entries(FILES)) {
    for (const size of [1, 7, 64, 1 << 20]) {
      assert.equal(await unpack(Buffer.concat(parts), size), content.join(""), `${name} in pieces of ${size}`);
    }
  }
});

test("decompressed() refuses every file that is cut anywhere but behind a member or frame", async () => {
  for (const [name, [parts, content]] of Object.entries(FILES)) {
    const whole = Buffer.concat(parts);
    const ends = new Map(parts.map((_, index) => [Buffer.concat(parts.slice(0, index + 1)).length, index]));
    for (let size = 12; size < whole.length; size++) {
      const end = ends.get(size);
      const cut = unpack(whole.subarray(0, size), 50);
      if (end !== undefined) assert.equal(await cut, content.slice(0, end + 1).join(""), `${name} ${size}`);
      else await assert.rejects(cut, LoadFailure, `${name} cut to ${size} of ${whole.length} bytes`);
    }
  }
});

test("decompressed() refuses what stands behind the last member or frame, and packings it does not know", async () => {
  for (const [name, [parts]] of Object.entries(FILES)) {
    const file = Buffer.concat([...parts, Buffer.from("1\tmore rows\n")]);
    await assert.rejects(unpack(file, 100), LoadFailure, name);
  }
  const foreign = ["PK\u0003\u0004", "PAR1", "ORC", "BZh91AY&SY", "\u00fd7zXZ\0", "\u0004\u0022\u004d\u0018"];
  for (const begin of foreign) {
    await assert.rejects(unpack(Buffer.from(`${begin}rest of it`, "latin1"), 100), /--decompress/, begin);
  }
  assert.equal(await unpack(Buffer.from("BZh,1\n"), 2), "BZh,1\n", "text that begins like a packing");
  assert.equal(await unpack(new Uint8Array(0), 1), "");
});

test("ZstdFrames finds the end of a frame without a checksum, with raw and repeated blocks", () => {
  const raw = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 0x19, 0, 0, 1, 2, 3]);
  const repeated = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 200, 0x43, 6, 0, 7]);
  for (const frame of [raw, repeated]) {
    const frames = new ZstdFrames();
    assert.equal(frames.take(Buffer.concat([frame, Buffer.from([0x28])])), frame.length);
    assert.equal(frames.isBetween, true);
    for (const byte of frame.subarray(0, -1)) frames.take(Uint8Array.of(byte));
    assert.equal(frames.isBetween, false);
  }
  assert.throws(() => new ZstdFrames().take(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 0x1f, 0, 0])), LoadFailure);
});

test("what has been read of a large object may be freed, and what follows is as it was", async () => {
  const content = randomBytes(3 * 1024 * 1024 + 7);
  for (const packed of [gzipSync(content, { level: 1 }), zstdCompressSync(content)]) {
    const hash = createHash("sha256");
    for await (const chunk of (await decompressed(piecesOf(packed, 100_000), undefined)).bytes) {
      hash.update(chunk);
      freeBytes(chunk);
    }
    assert.equal(hash.digest("hex"), createHash("sha256").update(content).digest("hex"));
  }
});
