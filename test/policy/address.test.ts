import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileAddressRange, parseAddress } from "../../src/policy/address.ts";

const CASES: readonly [range: string, address: string, contains: boolean][] = [
  ["10.0.0.0/8", "10.255.1.2", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["10.1.2.3", "10.1.2.3", true],
  ["10.1.2.3", "10.1.2.4", false],
  ["10.1.2.128/25", "10.1.2.200", true],
  ["10.1.2.128/25", "10.1.2.100", false],
  ["0.0.0.0/0", "203.0.113.9", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["10.0.0.0/8", "::ffff:10.9.8.7", true],
  ["2001:db8::/32", "2001:db8:1::1", true],
  ["2001:db8::/32", "2001:db9::1", false],
  ["::1", "0:0:0:0:0:0:0:1", true],
  ["fe80::/10", "fe80::1%eth0", true],
  ["::/0", "10.0.0.1", true],
  ["unix", "unix", true],
  ["unix", "127.0.0.1", false],
  ["127.0.0.0/8", "unix", false],
  ["127.0.0.0/8", "not an address", false],
];

for (const [range, address, contains] of CASES) {
  test(`compileAddressRange() says ${contains} for ${range} and ${address}`, () => {
    assert.equal(compileAddressRange(range).contains(address), contains);
  });
}

for (const [name, bits, text] of [
  ["IPv4", 32, (bytes: readonly number[]) => bytes.join(".")],
  [
    "IPv6",
    128,
    (bytes: readonly number[]) =>
      Array.from({ length: 8 }, (_, at) => (((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0)).toString(16)).join(
        ":",
      ),
  ],
] as const) {
  test(`compileAddressRange() of ${name} holds what differs behind the prefix, bit by bit`, () => {
    const flipped = (bit: number): number[] =>
      Array.from({ length: bits / 8 }, (_, at) => (at === bit >> 3 ? 0x80 >> (bit & 7) : 0));
    for (let prefix = 0; prefix <= bits; prefix++) {
      const range = compileAddressRange(`${text(flipped(-1))}/${prefix}`);
      assert.ok(range.contains(text(flipped(-1))));
      for (let bit = 0; bit < bits; bit++) {
        assert.equal(range.contains(text(flipped(bit))), bit >= prefix, `/${prefix} and bit ${bit}`);
      }
    }
  });

  test(`compileAddressRange() of ${name} refuses bits behind the prefix`, () => {
    for (let prefix = 0; prefix < bits; prefix++) {
      const bytes = Array.from({ length: bits / 8 }, (_, at) => (at === prefix >> 3 ? 0x80 >> (prefix & 7) : 0));
      assert.throws(() => compileAddressRange(`${text(bytes)}/${prefix}`), /bits after the prefix/);
      compileAddressRange(`${text(bytes)}/${prefix + 1}`);
    }
  });
}

const BAD_RANGES = [
  "",
  "10.0.0",
  "10.0.0.0/33",
  "10.0.0.1/8",
  "10.0.0.0/",
  "010.0.0.1",
  "1.2.3.4.5",
  ":::",
  "2001:db8::/129",
  "1::2::3",
  "localhost",
];

for (const text of BAD_RANGES) {
  test(`compileAddressRange() refuses "${text}"`, () => {
    assert.throws(() => compileAddressRange(text), RangeError);
  });
}

test("parseAddress() reads every IPv6 address in full and in short form alike", () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      assert.equal(parseAddress(text)?.length, 16);
    }),
  );
});

test("parseAddress() reads every IPv4 address", () => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      assert.equal(parseAddress(text)?.slice(12).join("."), text);
    }),
  );
});
