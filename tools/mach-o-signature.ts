/**
 * Signs a Mach-O executable ad hoc: with hashes of its pages and no identity, which is what macOS asks of a program that was
 * made elsewhere. Layouts: <mach-o/loader.h>, and `CS_SuperBlob` and `CS_CodeDirectory` in xnu's cs_blobs.h.
 */
import { createHash } from "node:crypto";

const MAGIC_64 = 0xfeed_facf;
const HEADER_BYTES = 32;
const LC_SEGMENT_64 = 0x19;
const LC_CODE_SIGNATURE = 0x1d;

const SUPER_BLOB = 0xfade_0cc0;
const SUPER_BLOB_BYTES = 20;
const CODE_DIRECTORY = 0xfade_0c02;
/** The version with the place of the executable segment, and the length of its header. */
const VERSION = 0x2_0400;
const DIRECTORY_BYTES = 88;
const FLAG_AD_HOC = 2;
const HASH_SHA256 = 2;
const HASH_BYTES = 32;
const PAGE_BITS = 12;
const PAGE_BYTES = 1 << PAGE_BITS;
const MAIN_BINARY = 1n;

/** Where the commands that say something of the signature lie in the file. */
interface Commands {
  readonly signature: number;
  readonly linkEdit: number;
  readonly text: number;
}

function findCommands(file: Buffer): Commands {
  if (file.readUInt32LE(0) !== MAGIC_64) throw new Error("Cannot sign: this is no 64-bit Mach-O file");
  const found = new Map<string, number>();
  let at = HEADER_BYTES;
  for (let left = file.readUInt32LE(16); left > 0; left--) {
    const kind = file.readUInt32LE(at);
    if (kind === LC_CODE_SIGNATURE) found.set("signature", at);
    if (kind === LC_SEGMENT_64) found.set(file.toString("latin1", at + 8, at + 24).replace(/\0+$/, ""), at);
    at += file.readUInt32LE(at + 4);
  }
  const [signature, linkEdit, text] = ["signature", "__LINKEDIT", "__TEXT"].map((name) => found.get(name));
  if (signature === undefined || linkEdit === undefined || text === undefined) {
    throw new Error("Cannot sign: the file has no room for a signature");
  }
  return { signature, linkEdit, text };
}

/** The file with a new signature in place of the old one, which must be the last that is in it. */
export function signAdHoc(file: Buffer, identifier: string): Buffer {
  const commands = findCommands(file);
  const limit = file.readUInt32LE(commands.signature + 8);
  const name = Buffer.from(`${identifier}\0`);
  const pages = Math.ceil(limit / PAGE_BYTES);
  const directoryBytes = DIRECTORY_BYTES + name.length + pages * HASH_BYTES;
  const signed = Buffer.alloc(limit + SUPER_BLOB_BYTES + directoryBytes);
  file.copy(signed, 0, 0, limit);

  // First the commands: they are hashed as well.
  const linkEditBytes = BigInt(signed.length) - signed.readBigUInt64LE(commands.linkEdit + 40);
  signed.writeUInt32LE(signed.length - limit, commands.signature + 12);
  signed.writeBigUInt64LE(linkEditBytes, commands.linkEdit + 48);
  signed.writeBigUInt64LE(roundUp(linkEditBytes), commands.linkEdit + 32);

  const blob = signed.subarray(limit);
  for (const [index, word] of [SUPER_BLOB, blob.length, 1, 0, SUPER_BLOB_BYTES].entries()) {
    blob.writeUInt32BE(word, 4 * index);
  }
  const directory = blob.subarray(SUPER_BLOB_BYTES);
  const hashOffset = DIRECTORY_BYTES + name.length;
  const words = [CODE_DIRECTORY, directoryBytes, VERSION, FLAG_AD_HOC, hashOffset, DIRECTORY_BYTES, 0, pages, limit];
  for (const [index, word] of words.entries()) directory.writeUInt32BE(word, 4 * index);
  directory.set([HASH_BYTES, HASH_SHA256, 0, PAGE_BITS], 36);
  directory.writeBigUInt64BE(signed.readBigUInt64LE(commands.text + 40), 64);
  directory.writeBigUInt64BE(signed.readBigUInt64LE(commands.text + 48), 72);
  directory.writeBigUInt64BE(MAIN_BINARY, 80);
  name.copy(directory, DIRECTORY_BYTES);
  for (let page = 0; page < pages; page++) {
    const bytes = signed.subarray(page * PAGE_BYTES, Math.min(limit, (page + 1) * PAGE_BYTES));
    directory.set(createHash("sha256").update(bytes).digest(), hashOffset + page * HASH_BYTES);
  }
  return signed;
}

function roundUp(bytes: bigint): bigint {
  const page = BigInt(PAGE_BYTES);
  return ((bytes + page - 1n) / page) * page;
}
