import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { equalBytes } from "../../src/base/bytes.ts";
import { QuerycopError } from "../../src/base/errors.ts";
import { encodePacket, nextSequenceId, type Packet, PacketReader } from "../../src/mysql/packet.ts";
import { assertGrowth } from "../support/growth.ts";
import { ascii, hex, join, toHex } from "../support/hex.ts";

const FULL = 0xffffff;
const MEGABYTE = 1 << 20;

function readerOf(payloadBytesMax = 1 << 30): PacketReader {
  return new PacketReader({ sender: "client", payloadBytesMax });
}

function drain(reader: PacketReader): Packet[] {
  const packets: Packet[] = [];
  for (let packet = reader.next(); packet !== undefined; packet = reader.next()) packets.push(packet);
  return packets;
}

/** What was received, in one piece. */
function wireOf(packet: Packet | undefined): Uint8Array {
  const wire = packet?.wire ?? [];
  return wire instanceof Uint8Array ? wire : join(...wire);
}

/** Every packet as it would look to someone who has the whole stream at once. */
function summary(packets: readonly Packet[]): string {
  return packets
    .map((packet) => `${packet.sequenceId}-${packet.lastSequenceId} ${toHex(packet.payload)} ${toHex(wireOf(packet))}`)
    .join("\n");
}

function hasCode(code: string): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof QuerycopError && thrown.code === code;
}

/** A large payload whose every part differs from the others. */
function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index += 4093) bytes[index] = (index / 4093) & 0xff;
  if (length > 0) bytes[length - 1] = 0xee;
  return bytes;
}

describe("encodePacket()", () => {
  it("puts length and sequence id in front", () => {
    assert.equal(toHex(encodePacket(ascii("\u000e"), 0)), "010000000e");
    assert.equal(toHex(encodePacket(hex(""), 7)), "00000007");
    assert.equal(toHex(encodePacket(hex("00"), 256)), "0100000000");
  });

  it("splits at 16 MiB - 1 and ends a full fragment with an empty one", () => {
    const sizes: [number, string[]][] = [
      [FULL - 1, ["feffff03"]],
      [FULL, ["ffffff03", "00000004"]],
      [FULL + 1, ["ffffff03", "01000004"]],
      [2 * FULL, ["ffffff03", "ffffff04", "00000005"]],
      [2 * FULL + 5, ["ffffff03", "ffffff04", "05000005"]],
    ];
    for (const [size, headers] of sizes) {
      const wire = encodePacket(pattern(size), 3);
      assert.equal(wire.length, size + 4 * headers.length);
      headers.forEach((header, index) => {
        const at = index * (FULL + 4);
        assert.equal(toHex(wire.subarray(at, at + 4)), header);
      });
    }
  });

  it("wraps the sequence id inside a packet", () => {
    const wire = encodePacket(pattern(FULL), 255);
    assert.equal(toHex(wire.subarray(FULL + 4)), "00000000");
  });
});

describe("nextSequenceId()", () => {
  it("wraps at 255", () => {
    assert.equal(nextSequenceId(0), 1);
    assert.equal(nextSequenceId(255), 0);
  });
});

describe("PacketReader", () => {
  it("hands out a packet that fills its chunk without a copy", () => {
    const reader = readerOf();
    const chunk = encodePacket(ascii("hello"), 2);
    reader.push(chunk);
    const packet = reader.next();
    assert.equal(packet?.wire, chunk);
    assert.equal(packet?.payload.buffer, chunk.buffer);
    assert.equal(toHex(packet?.payload ?? hex("")), toHex(ascii("hello")));
    assert.equal(packet?.sequenceId, 2);
    assert.equal(packet?.lastSequenceId, 2);
    assert.equal(reader.bufferedBytes, 0);
    assert.equal(reader.next(), undefined);
  });

  it("hands out several packets of one chunk as views of it", () => {
    const reader = readerOf();
    const chunk = join(encodePacket(ascii("a"), 0), encodePacket(hex(""), 0), encodePacket(ascii("bc"), 0));
    reader.push(chunk);
    assert.equal(reader.bufferedBytes, chunk.length);
    const packets = drain(reader);
    assert.deepEqual(
      packets.map((packet) => toHex(packet.payload)),
      ["61", "", "6263"],
    );
    assert.ok(packets.every((packet) => wireOf(packet).buffer === chunk.buffer));
  });

  it("gives the same packets at every cut and at every chunk size", () => {
    const stream = join(
      encodePacket(ascii("select 1"), 0),
      encodePacket(hex(""), 1),
      encodePacket(ascii("x".repeat(40)), 254),
      encodePacket(ascii("y"), 255),
    );
    const whole = readerOf();
    whole.push(stream);
    const expected = summary(drain(whole));
    for (let cut = 0; cut <= stream.length; cut++) {
      const reader = readerOf();
      reader.push(stream.subarray(0, cut));
      const packets = drain(reader);
      reader.push(stream.subarray(cut));
      assert.equal(summary([...packets, ...drain(reader)]), expected, `cut at ${cut}`);
    }
    for (let size = 1; size <= stream.length; size++) {
      const eager = readerOf();
      const lazy = readerOf();
      const packets: Packet[] = [];
      for (let at = 0; at < stream.length; at += size) {
        eager.push(stream.subarray(at, at + size));
        packets.push(...drain(eager));
        lazy.push(stream.subarray(at, at + size));
      }
      assert.equal(summary(packets), expected, `chunks of ${size}`);
      assert.equal(summary(drain(lazy)), expected, `chunks of ${size}, read at the end`);
      assert.equal(eager.bufferedBytes, 0);
    }
  });

  it("keeps earlier packets intact while later bytes arrive in the same block", () => {
    const reader = readerOf();
    const packets: Packet[] = [];
    const stream = join(...Array.from({ length: 50 }, (_, n) => encodePacket(ascii(`packet ${n}`), n)));
    for (let at = 0; at < stream.length; at += 3) {
      reader.push(stream.slice(at, at + 3));
      packets.push(...drain(reader));
    }
    assert.deepEqual(
      packets.map((packet) => Buffer.from(packet.payload).toString()),
      Array.from({ length: 50 }, (_, n) => `packet ${n}`),
    );
  });

  it("joins fragments of every awkward size, in one chunk and in many", () => {
    for (const size of [MEGABYTE - 5, MEGABYTE, MEGABYTE + 1, FULL - 1, FULL, FULL + 1, 2 * FULL]) {
      const payload = pattern(size);
      const stream = join(encodePacket(payload, 254), encodePacket(ascii("next"), 9));
      for (const chunkBytes of [stream.length, 65536, 1_000_003]) {
        const reader = readerOf();
        const packets: Packet[] = [];
        for (let at = 0; at < stream.length; at += chunkBytes) {
          reader.push(stream.subarray(at, at + chunkBytes));
          packets.push(...drain(reader));
        }
        assert.equal(packets.length, 2);
        assert.equal(packets[0]?.sequenceId, 254);
        assert.equal(packets[0]?.lastSequenceId, (254 + Math.floor(size / FULL)) & 0xff);
        assert.ok(equalBytes(packets[0]?.payload ?? hex(""), payload), `${size} in chunks of ${chunkBytes}`);
        assert.ok(equalBytes(wireOf(packets[0]), stream.subarray(0, stream.length - 8)));
        assert.equal(packets[1]?.sequenceId, 9);
      }
    }
  });

  it("makes more room for a packet that is larger than what is reserved at first", () => {
    const stream = encodePacket(pattern(5 * FULL + 7), 254);
    const reader = readerOf();
    for (let at = 0; at < stream.length; at += 1_000_003) {
      assert.equal(reader.next(), undefined);
      reader.push(stream.subarray(at, at + 1_000_003));
    }
    const packet = reader.next();
    const parts = packet?.wire instanceof Uint8Array ? [] : (packet?.wire ?? []);
    let at = 0;
    for (const part of parts) {
      assert.ok(equalBytes(part, stream.subarray(at, at + part.length)), `the part at ${at}`);
      at += part.length;
    }
    assert.deepEqual([at, packet?.payload.length, packet?.lastSequenceId], [stream.length, 5 * FULL + 7, 3]);
  });

  it("gives a large packet and what follows it to whoever takes over, at any point", () => {
    const stream = join(encodePacket(pattern(FULL + 100), 7), encodePacket(ascii("next"), 9));
    for (const cut of [MEGABYTE, MEGABYTE + 1, FULL + 3, FULL + 4, FULL + 6, FULL + 8, FULL + 50, stream.length - 8]) {
      const reader = readerOf();
      for (let at = 0; at < cut; at += 700_001) {
        reader.push(stream.subarray(at, Math.min(cut, at + 700_001)));
        if (cut < stream.length - 8) assert.equal(reader.next(), undefined);
      }
      assert.equal(reader.bufferedBytes, cut);
      assert.equal(toHex(reader.peek(6)), toHex(stream.subarray(0, 6)));
      assert.ok(equalBytes(reader.takeRest(), stream.subarray(0, cut)), `cut at ${cut}`);
      assert.equal(reader.bufferedBytes, 0);
      reader.push(encodePacket(ascii("after"), 0));
      assert.equal(reader.next()?.payload.length, 5);
    }
  });

  it("throws away what it has of a packet, large or small, and begins anew", () => {
    for (const cut of [3, 100, 70_000, MEGABYTE, MEGABYTE + 5]) {
      const reader = readerOf();
      reader.push(encodePacket(pattern(3 * MEGABYTE), 7).subarray(0, cut));
      assert.equal(reader.next(), undefined);
      reader.drop();
      assert.deepEqual([reader.bufferedBytes, reader.looseBytes, reader.isLarge], [0, 0, false], `cut at ${cut}`);
      reader.push(encodePacket(ascii("after"), 0));
      assert.equal(reader.next()?.payload.length, 5);
    }
  });

  it("keeps an earlier large packet intact while the next one comes", () => {
    const [first, second] = [pattern(3 * MEGABYTE), pattern(3 * MEGABYTE).map((byte) => byte ^ 0xff)];
    const stream = join(encodePacket(first, 0), encodePacket(second, 0));
    const reader = readerOf();
    const packets: Packet[] = [];
    for (let at = 0; at < stream.length; at += 65_536) {
      reader.push(stream.subarray(at, at + 65_536));
      packets.push(...drain(reader));
    }
    assert.deepEqual(
      packets.map(({ payload }, index) => equalBytes(payload, index === 0 ? first : second)),
      [true, true],
    );
  });

  it("refuses what a later fragment of a large packet announces, at its header", () => {
    for (const [payloadBytesMax, header, code] of [
      [FULL + 10, "0b000001", "QC_CLIENT_PACKET_TOO_LARGE"],
      [1 << 30, "0b000002", "QC_CLIENT_SEQUENCE"],
    ] as const) {
      const reader = readerOf(payloadBytesMax);
      const stream = join(hex("ffffff00"), pattern(FULL), hex(header));
      assert.throws(() => {
        for (let at = 0; at < stream.length; at += 65_536) {
          reader.push(stream.subarray(at, at + 65_536));
          assert.equal(reader.next(), undefined);
        }
      }, hasCode(code));
    }
  });

  it("takes no more of a large packet than there is room for, and goes on when there is", () => {
    let room = 0;
    const asked: number[] = [];
    const admit = (bytes: number): boolean => {
      asked.push(bytes);
      if (bytes > room) return false;
      room -= bytes;
      return true;
    };
    const payload = Uint8Array.from({ length: 3_000_000 }, (_, index) => index % 251);
    const wire = encodePacket(payload, 0);
    const reader = new PacketReader({ payloadBytesMax: 1 << 30, admit });
    reader.push(wire.subarray(0, 1000));
    assert.equal(reader.next(), undefined);
    assert.deepEqual([asked, reader.isBlocked, reader.looseBytes], [[], false, 1000], "a header asks for nothing");
    reader.push(wire.subarray(1000, 500_000));
    assert.equal(reader.next(), undefined);
    assert.equal(reader.isBlocked, true);
    reader.push(wire.subarray(500_000));
    assert.equal(reader.next(), undefined);
    room = 1 << 20;
    assert.equal(reader.next(), undefined);
    assert.equal(reader.isBlocked, true);
    room = 1 << 22;
    assert.ok(Buffer.from(reader.next()?.payload ?? []).equals(payload));
    assert.equal(reader.isBlocked, false);
    const given = asked.filter((bytes, index) => asked[index + 1] !== bytes);
    assert.equal(
      given.reduce((sum, bytes) => sum + bytes),
      payload.length,
      "no byte is asked for twice",
    );
  });

  it("finds fragment headers that are cut", () => {
    const payload = pattern(FULL + 2);
    const stream = encodePacket(payload, 0);
    for (const cut of [FULL + 3, FULL + 4, FULL + 5, FULL + 6, FULL + 7, FULL + 8, FULL + 9]) {
      const reader = readerOf();
      reader.push(stream.subarray(0, cut));
      assert.equal(reader.next(), undefined);
      reader.push(stream.subarray(cut));
      assert.ok(equalBytes(reader.next()?.payload ?? hex(""), payload), `cut at ${cut}`);
    }
  });

  it("refuses a packet as soon as its header announces too much", () => {
    const reader = readerOf(100);
    reader.push(hex("650000 00"));
    assert.throws(() => reader.next(), hasCode("QC_CLIENT_PACKET_TOO_LARGE"));
    const atLimit = readerOf(100);
    atLimit.push(encodePacket(pattern(100), 0));
    assert.equal(atLimit.next()?.payload.length, 100);
    const behind = readerOf(100);
    behind.push(join(encodePacket(ascii("a"), 0), hex("650000 00")));
    assert.equal(behind.next()?.payload.length, 1);
    assert.throws(() => behind.next(), hasCode("QC_CLIENT_PACKET_TOO_LARGE"));
  });

  it("refuses an endless chain of full fragments at its first header", () => {
    const reader = readerOf(128 * 1024);
    reader.push(hex("ffffff00"));
    assert.throws(() => reader.next(), hasCode("QC_CLIENT_PACKET_TOO_LARGE"));
  });

  it("counts all fragments of a packet against the limit", () => {
    const reader = readerOf(FULL + 10);
    reader.push(encodePacket(pattern(FULL + 10), 0));
    assert.equal(reader.next()?.payload.length, FULL + 10);
    reader.push(join(hex("ffffff00"), pattern(FULL), hex("0b000001")));
    assert.throws(() => reader.next(), hasCode("QC_CLIENT_PACKET_TOO_LARGE"));
  });

  it("takes a new limit between packets", () => {
    const reader = readerOf(4);
    reader.push(encodePacket(ascii("four"), 0));
    assert.ok(reader.next());
    reader.payloadBytesMax = 5;
    reader.push(encodePacket(ascii("fiver"), 0));
    assert.ok(reader.next());
  });

  it("blames a backend with another code", () => {
    const reader = new PacketReader({ sender: "backend", payloadBytesMax: 10 });
    reader.push(hex("0b000000"));
    assert.throws(() => reader.next(), hasCode("QC_BACKEND_PROTOCOL"));
  });

  it("refuses fragments whose sequence ids do not continue", () => {
    for (const [sender, code] of [
      ["client", "QC_CLIENT_SEQUENCE"],
      ["backend", "QC_BACKEND_PROTOCOL"],
    ] as const) {
      const reader = new PacketReader({ sender, payloadBytesMax: 1 << 30 });
      reader.push(join(hex("ffffff00"), pattern(FULL), hex("00000002")));
      assert.throws(() => reader.next(), hasCode(code));
    }
  });

  it("gives the rest to whoever takes over", () => {
    const reader = readerOf();
    reader.push(join(encodePacket(ascii("ssl"), 1), hex("160301")));
    assert.ok(reader.next());
    assert.equal(toHex(reader.takeRest()), "160301");
    assert.equal(reader.bufferedBytes, 0);
    reader.push(hex("16"));
    reader.push(hex("03"));
    assert.equal(reader.next(), undefined);
    assert.equal(toHex(reader.takeRest()), "1603");
    assert.equal(reader.takeRest().length, 0);
    reader.push(encodePacket(ascii("after"), 0));
    assert.equal(reader.next()?.payload.length, 5);
  });

  it("keeps no buffer per byte of a peer that dribbles", () => {
    assertGrowth("a byte at a time", { from: 12_500, to: 100_000, most: 20 }, (size) => {
      const reader = readerOf();
      const stream = encodePacket(pattern(size), 0);
      for (let at = 0; at < stream.length; at++) {
        // A chunk of its own each time: a view would share one buffer and prove nothing.
        reader.push(stream.slice(at, at + 1));
        if (at < stream.length - 1) assert.equal(reader.next(), undefined);
      }
      assert.ok(equalBytes(wireOf(reader.next()), stream));
    });
  });

  it("round-trips any packets through any chunks", () => {
    const packets = fc.array(fc.tuple(fc.uint8Array({ maxLength: 60 }), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(packets, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sent, sizes) => {
        const stream = join(...sent.map(([payload, sequenceId]) => encodePacket(payload, sequenceId)));
        const reader = readerOf();
        const received: Packet[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = sizes[turn % sizes.length] ?? 1;
          reader.push(stream.slice(at, at + size));
          at += size;
          if (turn % 2 === 0) received.push(...drain(reader));
        }
        received.push(...drain(reader));
        assert.equal(received.length, sent.length);
        received.forEach((packet, index) => {
          assert.ok(equalBytes(packet.payload, sent[index]?.[0] ?? hex("")));
          assert.equal(packet.sequenceId, sent[index]?.[1]);
        });
        assert.equal(reader.bufferedBytes, 0);
      }),
      { numRuns: 500 },
    );
  });

  it("answers arbitrary bytes with packets, a wait or a QuerycopError", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 10 }), (chunks) => {
        const reader = readerOf(1000);
        try {
          for (const chunk of chunks) {
            reader.push(chunk);
            drain(reader);
          }
        } catch (thrown) {
          assert.ok(thrown instanceof QuerycopError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
