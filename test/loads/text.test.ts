/** What a text says of itself at its beginning, and what is looked for in all of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TextCheck, type TextCheckOptions } from "../../src/loads/text-check.ts";
import { formatOfKey, sampleText, TEXT_FORMATS } from "../../src/loads/text-format.ts";

const sample = (text: string | Uint8Array, format: keyof typeof TEXT_FORMATS = "csv") =>
  sampleText(Buffer.from(text as string), TEXT_FORMATS[format], true);

test("sampleText() finds mark, line ends and header", () => {
  assert.deepEqual(sample('\ufeffid,"a name"\r\n1,2\r\n'), {
    markBytes: 3,
    linesTerminated: "\r\n",
    header: ["id", "a name"],
  });
  assert.deepEqual(sample("id\tname\n", "tsv"), { markBytes: 0, linesTerminated: "\n", header: undefined });
  assert.deepEqual(sample(""), { markBytes: 0, linesTerminated: "\n", header: undefined });
  assert.throws(() => sample("a\rb\r"), /CR alone/);
  assert.throws(() => sample(Buffer.from("\ufeffid\n", "utf16le")), /UTF-16/);
});

test("formatOfKey() goes by the ending in front of the packing's", () => {
  assert.equal(formatOfKey("a/b.csv"), "csv");
  assert.equal(formatOfKey("a/b.TSV.gz"), "tsv");
  assert.equal(formatOfKey("a/b.csv.zst"), "csv");
  assert.equal(formatOfKey("a.csv/b"), undefined);
});

const OPTIONS: TextCheckOptions = { isUtf8: true, sampledLineEnd: "\n", mayEnclose: false, bytesMax: 1000 };

function check(text: Uint8Array | string, pieceBytes: number, options: Partial<TextCheckOptions> = {}): void {
  const bytes = Buffer.from(text as string);
  const checking = new TextCheck({ ...OPTIONS, ...options });
  for (let at = 0; at < bytes.length; at += pieceBytes) checking.feed(bytes.subarray(at, at + pieceBytes));
  checking.end();
  assert.equal(checking.bytes, bytes.length);
}

test("TextCheck takes UTF-8 in pieces of any size and refuses every other byte", () => {
  const good = "aé日💾\n".repeat(5);
  for (const size of [1, 2, 3, 5, 64]) {
    check(good, size);
    for (const bad of [
      [0xe9],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf5, 0x80, 0x80, 0x80],
      [0x80],
      [0xf0, 0x9f, 0x92],
    ]) {
      const mixed = Buffer.concat([Buffer.from(good), Buffer.from(bad)]);
      assert.throws(() => check(mixed, size), /not UTF-8/, `${bad} in pieces of ${size}`);
      const inside = Buffer.concat([mixed, Buffer.from(good)]);
      assert.throws(() => check(inside, size), /not UTF-8/, `${bad} inside, in pieces of ${size}`);
    }
  }
  check(Buffer.from([0xe9, 0x0a]), 1, { isUtf8: false });
});

test("TextCheck refuses mixed line ends where nobody has set one and fields cannot hold them", () => {
  for (const size of [1, 2, 64]) {
    assert.throws(() => check("a\nb\r\n", size), /near byte [34]/);
    assert.throws(() => check("a\r\nb\n", size, { sampledLineEnd: "\r\n" }), /near byte 4/);
    check("a\r\nb\r\n", size, { sampledLineEnd: "\r\n" });
    check('a\r\n"b\nc"\r\n', size, { sampledLineEnd: "\r\n", mayEnclose: true });
    check("a\nb\r\n", size, { sampledLineEnd: undefined });
  }
  assert.throws(() => check("x".repeat(1001), 100), /more than 1000 bytes/);
});
