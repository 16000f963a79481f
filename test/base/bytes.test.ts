import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  ByteReader,
  ByteWriter,
  concatBytes,
  decodeUtf8,
  decodeUtf8Lossy,
  encodeUtf8,
  equalBytes,
  freeBytes,
  MalformedPacketError,
} from "../../src/base/bytes.ts";
import { hex, toHex } from "../support/hex.ts";

const reader = (text: string, isStrict = false): ByteReader => {
  const bytes = hex(text);
  return new ByteReader(bytes, "test", 0, bytes.length, isStrict);
};

describe("ByteReader", () => {
  it("reads little-endian integers", () => {
    const r = reader("01 0201 030201 04030201 ffffffff 0807060504030201 ffffffffffffffff");
    assert.equal(r.uint8(), 1);
    assert.equal(r.uint16(), 0x0102);
    assert.equal(r.uint24(), 0x010203);
    assert.equal(r.uint32(), 0x01020304);
    assert.equal(r.uint32(), 0xffffffff);
    assert.equal(r.uint64(), 0x0102030405060708n);
    assert.equal(r.uint64(), 0xffffffffffffffffn);
    assert.equal(r.remaining, 0);
    r.expectEnd();
  });

  it("reads big-endian integers", () => {
    const r = reader("0102 ffff 01020304 ffffffff ffffffff 80000000");
    assert.equal(r.uint16BE(), 0x0102);
    assert.equal(r.uint16BE(), 0xffff);
    assert.equal(r.int32BE(), 0x01020304);
    assert.equal(r.int32BE(), -1);
    assert.equal(r.uint32BE(), 0xffffffff);
    assert.equal(r.int32BE(), -0x80000000);
    r.expectEnd();
  });

  it("refuses every read past the end and stays where it was", () => {
    const reads: ((r: ByteReader) => unknown)[] = [
      (r) => r.uint8(),
      (r) => r.uint16(),
      (r) => r.uint24(),
      (r) => r.uint32(),
      (r) => r.uint64(),
      (r) => r.uint16BE(),
      (r) => r.int32BE(),
      (r) => r.uint32BE(),
      (r) => r.bytes(9),
      (r) => r.skip(9),
      (r) => r.lenencInteger(),
      (r) => r.lenencBytes(),
      (r) => r.nulTerminatedBytes(),
    ];
    for (const read of reads) {
      const r = new ByteReader(hex("fefefe"), "test", 3);
      assert.throws(() => read(r), MalformedPacketError);
      assert.equal(r.position, 3);
    }
    const r = reader("01020304050607");
    assert.throws(() => r.uint64(), /expected 8 bytes at offset 0, 7 are left/);
    assert.equal(r.position, 0);
  });

  it("does not read behind its own end inside larger bytes", () => {
    const r = new ByteReader(hex("4142430044"), "test", 0, 3);
    assert.throws(() => r.nulTerminatedBytes(), /NUL-terminated/);
    assert.equal(toHex(r.nulTerminatedOrRestBytes()), "414243");
    assert.equal(r.remaining, 0);
    assert.equal(r.peekUint8(), undefined);
    assert.throws(() => r.uint8(), MalformedPacketError);
  });

  it("reads length-encoded integers of every size", () => {
    const cases: [string, number | bigint][] = [
      ["00", 0],
      ["fa", 250],
      ["fcfb00", 251],
      ["fcffff", 65535],
      ["fd000001", 65536],
      ["fdffffff", 0xffffff],
      ["fe0000000100000000", 0x1000000],
      ["feffffffffffff1f00", Number.MAX_SAFE_INTEGER],
      ["fe0000000000002000", 2n ** 53n],
      ["feffffffffffffffff", 2n ** 64n - 1n],
    ];
    for (const [text, value] of cases) {
      assert.equal(reader(text).lenencInteger(), value, text);
      assert.equal(reader(text, true).lenencInteger(), value, text);
    }
  });

  it("refuses the NULL marker and 0xFF where a length-encoded integer is due", () => {
    for (const text of ["fb", "ff"]) {
      const r = reader(text);
      assert.throws(() => r.lenencInteger(), /does not begin a length-encoded integer/);
      assert.equal(r.position, 0);
    }
  });

  it("takes longer forms of an integer unless it is strict", () => {
    for (const text of ["fc0000", "fcfa00", "fdffff00", "fe0100000000000000", "feffffff0000000000"]) {
      assert.equal(typeof reader(text).lenencInteger(), "number");
      assert.throws(() => reader(text, true).lenencInteger(), /not in its shortest form/);
    }
  });

  it("compares a length with what is left before anything else", () => {
    for (const text of ["02 41", "fcff00 41", "feffffffffffffffff 41", "fe0000000000000080 41"]) {
      assert.throws(() => reader(text).lenencBytes(), /announces \d+ bytes, 1 are left/);
    }
    assert.equal(toHex(reader("02 4142 43").lenencBytes()), "4142");
  });

  it("bounds counts", () => {
    assert.equal(reader("05").lenencCount("the count", 5), 5);
    assert.throws(() => reader("06").lenencCount("the count", 5), /the count is 6, at most 5/);
    assert.throws(() => reader("feffffffffffffffff").lenencCount("the count", 5), /at most 5/);
  });

  it("gives byte fields as views", () => {
    const bytes = hex("414243");
    const view = new ByteReader(bytes, "test").bytes(2);
    bytes[0] = 0x5a;
    assert.equal(toHex(view), "5a42");
  });

  it("expectEnd() names what is left over", () => {
    assert.throws(() => reader("00").expectEnd(), /1 unexpected bytes at offset 0/);
  });

  it("never lets anything but MalformedPacketError out", () => {
    const operations = [
      (r: ByteReader) => r.uint8(),
      (r: ByteReader) => r.uint16(),
      (r: ByteReader) => r.uint32(),
      (r: ByteReader) => r.uint64(),
      (r: ByteReader) => r.lenencInteger(),
      (r: ByteReader) => r.lenencBytes(),
      (r: ByteReader) => r.nulTerminatedBytes(),
      (r: ByteReader) => r.bytes(3),
      (r: ByteReader) => r.expectEnd(),
    ];
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        fc.array(fc.nat(operations.length - 1)),
        fc.boolean(),
        (bytes, steps, strict) => {
          const r = new ByteReader(bytes, "fuzz", 0, bytes.length, strict);
          try {
            for (const step of steps) operations[step]?.(r);
          } catch (thrown) {
            assert.ok(thrown instanceof MalformedPacketError);
          }
          assert.ok(r.position <= bytes.length);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("ByteWriter", () => {
  it("writes what ByteReader reads", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.nat(0xffffffff),
        fc.uint8Array({ maxLength: 300 }),
        (wide, word, bytes) => {
          const text = bytes.filter((byte) => byte !== 0);
          const written = new ByteWriter(1)
            .lenencInteger(wide)
            .uint64(wide)
            .int32BE(word)
            .int32BE(word | 0)
            .uint16BE(word & 0xffff)
            .uint32(word)
            .uint24(word & 0xffffff)
            .uint16(word & 0xffff)
            .uint8(word & 0xff)
            .lenencBytes(bytes)
            .nulTerminatedBytes(text)
            .zeros(3)
            .bytes(bytes)
            .finish();
          const r = new ByteReader(written, "test", 0, written.length, true);
          assert.equal(BigInt(r.lenencInteger()), wide);
          assert.equal(r.uint64(), wide);
          assert.equal(r.uint32BE(), word);
          assert.equal(r.int32BE(), word | 0);
          assert.equal(r.uint16BE(), word & 0xffff);
          assert.equal(r.uint32(), word);
          assert.equal(r.uint24(), word & 0xffffff);
          assert.equal(r.uint16(), word & 0xffff);
          assert.equal(r.uint8(), word & 0xff);
          assert.ok(equalBytes(r.lenencBytes(), bytes));
          assert.ok(equalBytes(r.nulTerminatedBytes(), text));
          assert.equal(r.uint24(), 0);
          assert.ok(equalBytes(r.rest(), bytes));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("writes the shortest form at every border", () => {
    const cases: [number, string][] = [
      [250, "fa"],
      [251, "fcfb00"],
      [65535, "fcffff"],
      [65536, "fd000001"],
      [0xffffff, "fdffffff"],
      [0x1000000, "fe0000000100000000"],
    ];
    for (const [value, text] of cases) assert.equal(toHex(new ByteWriter().lenencInteger(value).finish()), text);
  });

  it("refuses values that do not fit", () => {
    for (const value of [-1, 256, 1.5, Number.NaN]) assert.throws(() => new ByteWriter().uint8(value), RangeError);
    assert.throws(() => new ByteWriter().uint16(65536), RangeError);
    for (const value of [-1, 65536, 1.5]) assert.throws(() => new ByteWriter().uint16BE(value), RangeError);
    for (const value of [-0x80000001, 0x100000000, 1.5])
      assert.throws(() => new ByteWriter().int32BE(value), RangeError);
    assert.throws(() => new ByteWriter().uint64(-1n), RangeError);
    assert.throws(() => new ByteWriter().uint64(2n ** 64n), RangeError);
    assert.throws(() => new ByteWriter().lenencInteger(-1), RangeError);
    assert.throws(() => new ByteWriter().nulTerminatedBytes(hex("410042")), /holds a NUL/);
  });

  it("starts with zeros where it skips, even in grown buffers", () => {
    const writer = new ByteWriter(1).bytes(hex("ff".repeat(100)));
    assert.equal(toHex(writer.zeros(2).finish()).slice(-6), "ff0000");
  });
});

describe("UTF-8", () => {
  it("is refused when invalid, replaced when lossy, and keeps its byte order mark", () => {
    assert.equal(decodeUtf8(hex("c3a9")), "é");
    assert.equal(decodeUtf8(hex("efbbbf41")), "\ufeffA");
    for (const text of ["e9", "c080", "eda080", "f4908080"]) assert.equal(decodeUtf8(hex(text)), undefined);
    assert.equal(decodeUtf8Lossy(hex("41e942")), "A\ufffdB");
    assert.equal(decodeUtf8Lossy(hex("efbbbf41")), "\ufeffA");
    assert.equal(toHex(encodeUtf8("é")), "c3a9");
  });
});

describe("freeBytes()", () => {
  it("empties a large chunk that nobody else can have a part of, and nothing else", () => {
    const large = 64 * 1024;
    const whole = new Uint8Array(large);
    freeBytes(whole);
    assert.equal(whole.length, 0);
    freeBytes(whole);
    const part = new Uint8Array(large + 1).subarray(0, large);
    const shared = new Uint8Array(new SharedArrayBuffer(large));
    const small = new Uint8Array(100);
    for (const kept of [part, shared, small]) {
      const { length } = kept;
      freeBytes(kept);
      assert.equal(kept.length, length);
    }
  });
});

describe("concatBytes() and equalBytes()", () => {
  it("join and compare", () => {
    assert.equal(toHex(concatBytes([hex("01"), hex(""), hex("0203")])), "010203");
    assert.equal(concatBytes([]).length, 0);
    assert.ok(equalBytes(hex("0102"), hex("0102")));
    assert.ok(!equalBytes(hex("0102"), hex("0103")));
    assert.ok(!equalBytes(hex("01"), hex("0102")));
  });
});
