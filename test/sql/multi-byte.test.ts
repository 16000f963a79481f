import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { multiByteLength } from "../../src/sql/mysql/lexing/multi-byte.ts";

type Charset = Parameters<typeof multiByteLength>[0];
type Ranges = readonly (readonly [from: number, to: number])[];

const isIn = (ranges: Ranges, byte: number): boolean => ranges.some(([from, to]) => byte >= from && byte <= to);

/** First and second bytes of the characters of two bytes, after MySQL's strings/ctype-*.c. */
const PAIRS: readonly (readonly [charset: Charset, lead: Ranges, trail: Ranges])[] = [
  [
    "gbk",
    [[0x81, 0xfe]],
    [
      [0x40, 0x7e],
      [0x80, 0xfe],
    ],
  ],
  [
    "gb18030",
    [[0x81, 0xfe]],
    [
      [0x40, 0x7e],
      [0x80, 0xfe],
    ],
  ],
  [
    "big5",
    [[0xa1, 0xf9]],
    [
      [0x40, 0x7e],
      [0xa1, 0xfe],
    ],
  ],
  [
    "sjis",
    [
      [0x81, 0x9f],
      [0xe0, 0xfc],
    ],
    [
      [0x40, 0x7e],
      [0x80, 0xfc],
    ],
  ],
];

describe("multiByteLength()", () => {
  for (const [charset, lead, trail] of PAIRS) {
    it(`takes the pairs of ${charset}, and no others, for one character`, () => {
      for (let first = 0; first < 256; first++) {
        for (let second = 0; second < 256; second++) {
          const expected = isIn(lead, first) && isIn(trail, second) ? 2 : 1;
          assert.equal(multiByteLength(charset, Uint8Array.of(first, second), 0, 2), expected, `${first} ${second}`);
        }
      }
    });
  }

  it("takes four bytes of gb18030 for one character", () => {
    const limits: readonly (readonly [number, number])[] = [
      [0x81, 0xfe],
      [0x30, 0x39],
      [0x81, 0xfe],
      [0x30, 0x39],
    ];
    const inside = [0x90, 0x35, 0x90, 0x35];
    const lengthOf = (bytes: readonly number[], end = bytes.length): number =>
      multiByteLength("gb18030", Uint8Array.from(bytes), 0, end);
    assert.equal(lengthOf(inside), 4);
    assert.equal(lengthOf(inside, 3), 1);
    for (const [place, [from, to]] of limits.entries()) {
      assert.equal(lengthOf(inside.with(place, from)), 4);
      assert.equal(lengthOf(inside.with(place, to)), 4);
      assert.equal(lengthOf(inside.with(place, from - 1)), 1, `${place}`);
      // A second byte from 0x40 makes a pair.
      assert.equal(lengthOf(inside.with(place, to + 1)), 1, `${place}`);
    }
  });

  it("takes no byte behind the end, and none at all in charsets of single bytes", () => {
    for (const charset of ["gbk", "gb18030", "big5", "sjis", "none"] as const) {
      assert.equal(multiByteLength(charset, Uint8Array.of(0xe0, 0xa1), 0, 1), 1);
      assert.equal(multiByteLength(charset, Uint8Array.of(0xe0, 0xa1), 0, 2), charset === "none" ? 1 : 2);
    }
  });
});
