import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isAddressRange, trustedAddresses } from "../../src/base/address-ranges.ts";
import { crc32c, decodeProxyHeader, PROXY_HEADER_BYTES_MAX } from "../../src/net/proxy-header.ts";

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const text = (line: string): Uint8Array => Buffer.from(line, "latin1");
const IPV4 = [192, 0, 2, 9, 127, 0, 0, 1, 0x30, 0x39, 0x0c, 0xea];
const IPV6 = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0), 9, ...Array(15).fill(0), 1, 0x30, 0x39, 0x0c, 0xea];

function binary(command: number, family: number, body: readonly number[], length = body.length): Uint8Array {
  return Uint8Array.from([...SIGNATURE, command, family, length >> 8, length & 0xff, ...body]);
}

/** With a checksum, which is right for `change` 0. */
function summed(change = 0): Uint8Array {
  const header = binary(0x21, 0x11, [...IPV4, 0x03, 0, 4, 0, 0, 0, 0]);
  new DataView(header.buffer).setUint32(header.length - 4, (crc32c(header) ^ change) >>> 0);
  return header;
}

const WHOLE: readonly (readonly [string, Uint8Array, string | undefined])[] = [
  ["TCP4", text("PROXY TCP4 192.0.2.9 127.0.0.1 12345 3306\r\n"), "192.0.2.9"],
  ["TCP6", text("PROXY TCP6 2001:DB8::9 ::1 1 65535\r\n"), "2001:db8::9"],
  ["an IPv4 address in IPv6", text("PROXY TCP6 ::ffff:192.0.2.9 ::1 1 0\r\n"), "192.0.2.9"],
  ["UNKNOWN", text("PROXY UNKNOWN\r\n"), undefined],
  ["UNKNOWN with something behind", text("PROXY UNKNOWN ffff::1 whatever\r\n"), undefined],
  ["IPv4", binary(0x21, 0x11, IPV4), "192.0.2.9"],
  ["IPv6", binary(0x21, 0x21, IPV6), "2001:db8::9"],
  [
    "an IPv4 address in binary IPv6",
    binary(0x21, 0x21, [...Array(10).fill(0), 255, 255, 192, 0, 2, 9, ...Array(20).fill(0)]),
    "192.0.2.9",
  ],
  ["LOCAL", binary(0x20, 0x00, []), undefined],
  ["LOCAL with addresses", binary(0x20, 0x11, IPV4), undefined],
  ["a unix socket", binary(0x21, 0x31, Array(216).fill(0)), undefined],
  ["an unspecified family", binary(0x21, 0x00, []), undefined],
  ["extensions", binary(0x21, 0x11, [...IPV4, 0x01, 0, 2, 0x68, 0x32, 0x04, 0, 0]), "192.0.2.9"],
  ["a checksum", summed(), "192.0.2.9"],
];

const BROKEN: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ["no header", Uint8Array.of(0x16, 3, 1), /no PROXY header/],
  ["an address of the other family", text("PROXY TCP4 ::1 127.0.0.1 1 2\r\n"), /not of TCP4/],
  ["an address with a zone", text("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), /not of TCP6/],
  ["a port too large", text("PROXY TCP4 192.0.2.9 127.0.0.1 65536 2\r\n"), /ports/],
  ["a port with a zero ahead", text("PROXY TCP4 192.0.2.9 127.0.0.1 01 2\r\n"), /ports/],
  ["one port", text("PROXY TCP4 192.0.2.9 127.0.0.1 1\r\n"), /ports/],
  ["two blanks", text("PROXY  TCP4 192.0.2.9 127.0.0.1 1 2\r\n"), /neither/],
  ["a line feed alone", text("PROXY UNKNOWN\n"), /carriage return/],
  ["a line without end", text(`PROXY UNKNOWN ${"x".repeat(200)}`), /107/],
  ["version 1 in binary", binary(0x11, 0x11, IPV4), /version 1/],
  ["an unknown command", binary(0x22, 0x11, IPV4), /command 2/],
  ["datagrams", binary(0x21, 0x12, IPV4), /0x12/],
  ["too few bytes", binary(0x21, 0x11, IPV4.slice(1)), /shorter/],
  ["too many bytes", binary(0x21, 0x11, IPV4, 0xffff), new RegExp(String(PROXY_HEADER_BYTES_MAX))],
  ["a cut extension", binary(0x21, 0x11, [...IPV4, 0x01, 0, 9, 1]), /cut off/],
  ["a wrong checksum", summed(1), /checksum/],
];

describe("decodeProxyHeader()", () => {
  for (const [name, header, client] of WHOLE) {
    it(`reads ${name}, whatever comes behind it`, () => {
      const expected = { kind: "whole", bytes: header.length, client };
      assert.deepEqual(decodeProxyHeader(header), expected);
      assert.deepEqual(decodeProxyHeader(Buffer.concat([header, text("PROXY ")])), expected);
    });

    it(`asks for more as long as a part of ${name} is missing`, () => {
      for (let length = 0; length < header.length; length++) {
        assert.deepEqual(decodeProxyHeader(header.subarray(0, length)), { kind: "more" });
      }
    });
  }

  for (const [name, header, why] of BROKEN) {
    it(`refuses ${name}`, () => {
      const read = decodeProxyHeader(header);
      assert.equal(read.kind, "broken");
      assert.match(read.kind === "broken" ? read.why : "", why);
    });
  }

  it("finds every damage to a header that has a checksum, or reads it as none", () => {
    const header = summed();
    fc.assert(
      fc.property(fc.nat(header.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = header.slice();
        damaged[at] = (damaged[at] as number) ^ change;
        const read = decodeProxyHeader(damaged);
        if (read.kind !== "whole") return true;
        // LOCAL has no checksum to look at, another type of extension is none, and a shorter header ends ahead of it.
        return read.client === undefined || at === header.length - 7 || read.bytes < header.length;
      }),
    );
  });

  it("decides on any bytes within its bound", () => {
    const start = fc.constantFrom<readonly number[]>(
      [],
      SIGNATURE,
      [...SIGNATURE, 0x21, 0x11],
      [...text("PROXY TCP4 ")],
    );
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, rest) => {
        const bytes = Uint8Array.from([...head, ...rest]);
        const read = decodeProxyHeader(bytes);
        if (read.kind === "whole") assert.ok(read.bytes <= bytes.length);
        const filled = Buffer.concat([bytes, Buffer.alloc(PROXY_HEADER_BYTES_MAX)]);
        assert.notEqual(decodeProxyHeader(filled).kind, "more");
      }),
    );
  });
});

describe("trustedAddresses()", () => {
  it("tells addresses, ranges of both families and the unix socket", () => {
    const isTrusted = trustedAddresses(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1", "unix"]);
    const told = ["10.255.0.1", "2001:db8:1::1", "127.0.0.1", undefined].map(isTrusted);
    assert.deepEqual(told, [true, true, true, true]);
    const others = ["11.0.0.1", "2001:db9::1", "127.0.0.2", "unix"].map(isTrusted);
    assert.deepEqual(others, [false, false, false, false]);
    assert.equal(trustedAddresses(["10.0.0.1"])(undefined), false);
  });

  it("takes what isAddressRange() lets pass, and that is no more than an address and a prefix", () => {
    for (const text of ["10.0.0.1", "10.0.0.0/0", "::/128", "unix"]) assert.equal(isAddressRange(text), true, text);
    for (const text of ["", "lb", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "1.1.1.1/8/8", "fe80::1%eth0"]) {
      assert.equal(isAddressRange(text), false, text);
    }
  });
});
