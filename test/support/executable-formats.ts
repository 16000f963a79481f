/** What the headers of an executable say, for each of the systems we build for. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";

/** The processor and the dynamic loader that a 64-bit ELF file asks for. */
export function elfFacts(file: Buffer): readonly [machine: number, loader: string] {
  assert.equal(file.toString("latin1", 0, 6), "\x7fELF\x02\x01");
  const headers = Number(file.readBigUInt64LE(32));
  const headerBytes = file.readUInt16LE(54);
  for (let index = 0; index < file.readUInt16LE(56); index++) {
    const header = file.subarray(headers + index * headerBytes);
    if (header.readUInt32LE(0) !== 3) continue;
    const offset = Number(header.readBigUInt64LE(8));
    const length = Number(header.readBigUInt64LE(32));
    return [file.readUInt16LE(18), file.toString("latin1", offset, offset + length - 1)];
  }
  throw new Error("The file names no loader.");
}

interface MachOFacts {
  readonly cpuType: number;
  readonly segments: readonly string[];
  /** Where the code signature lies, whose hashes are of everything in front of it. */
  readonly signature: { readonly offset: number; readonly bytes: number } | undefined;
}

const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;

/** Of a 64-bit Mach-O file: its header and load commands, as <mach-o/loader.h> has them. */
export function machOFacts(file: Buffer): MachOFacts {
  assert.equal(file.readUInt32LE(0), 0xfeed_facf);
  const segments: string[] = [];
  let signature: MachOFacts["signature"];
  let at = 32;
  for (let left = file.readUInt32LE(16); left > 0; left--) {
    const command = file.readUInt32LE(at);
    if (command === LC_SEGMENT_64) segments.push(file.toString("latin1", at + 8, at + 24).replace(/\0+$/, ""));
    if (command === LC_CODE_SIGNATURE) {
      signature = { offset: file.readUInt32LE(at + 8), bytes: file.readUInt32LE(at + 12) };
    }
    at += file.readUInt32LE(at + 4);
  }
  return { cpuType: file.readUInt32LE(4), segments, signature };
}

const CODE_DIRECTORY = 0xfade_0c02;
const HASH_SHA256 = 2;

/**
 * Fails unless each page's hash in the code signature is that of the page: macOS on arm64 ends a program with a wrong one.
 * The layout is that of `CS_CodeDirectory` in xnu's cs_blobs.h; all numbers are big-endian.
 */
export function assertPageHashes(file: Buffer): void {
  const { signature } = machOFacts(file);
  assert.ok(signature, "the file has a code signature");
  const blob = file.subarray(signature.offset, signature.offset + signature.bytes);
  assert.equal(blob.readUInt32BE(0), 0xfade_0cc0);
  const directory = blob.subarray(blob.readUInt32BE(16));
  assert.equal(directory.readUInt32BE(0), CODE_DIRECTORY);
  const [hashOffset, pages, limit] = [16, 28, 32].map((at) => directory.readUInt32BE(at)) as [number, number, number];
  assert.deepEqual([directory[36], directory[37]], [32, HASH_SHA256]);
  assert.equal(limit, signature.offset, "all in front of the signature is signed");
  const pageBytes = 1 << (directory[39] ?? 0);
  assert.equal(pages, Math.ceil(limit / pageBytes));
  for (let page = 0; page < pages; page++) {
    const bytes = file.subarray(page * pageBytes, Math.min(limit, (page + 1) * pageBytes));
    const wanted = directory.subarray(hashOffset + 32 * page, hashOffset + 32 * (page + 1));
    assert.ok(createHash("sha256").update(bytes).digest().equals(wanted), `page ${page} of ${pages}`);
  }
}

/** The processor of a PE file, and the names of its sections. */
export function peFacts(file: Buffer): readonly [machine: number, sections: readonly string[]] {
  assert.equal(file.toString("latin1", 0, 2), "MZ");
  const header = file.readUInt32LE(0x3c);
  assert.equal(file.toString("latin1", header, header + 4), "PE\0\0");
  const first = header + 24 + file.readUInt16LE(header + 20);
  const sections = Array.from({ length: file.readUInt16LE(header + 6) }, (_, index) => {
    const at = first + 40 * index;
    return file.toString("latin1", at, at + 8).replace(/\0+$/, "");
  });
  return [file.readUInt16LE(header + 4), sections];
}
