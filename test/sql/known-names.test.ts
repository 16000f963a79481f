import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeCharacters } from "../../src/base/characters.ts";
import { nameText } from "../../src/sql/mysql/names/known-names.ts";

test("nameText() says the same as decoding does, whatever was asked for before", () => {
  const holds = (names: Uint8Array[]): void => {
    const sql = Buffer.concat(names);
    for (let pass = 0; pass < 2; pass++) {
      let start = 0;
      for (const name of names) {
        const end = start + name.length;
        assert.equal(nameText(sql, start, end, "utf8mb4"), Buffer.from(name).toString("utf8"));
        assert.equal(nameText(sql, start, end, "latin5"), decodeCharacters(name, "latin5"));
        start = end;
      }
    }
  };
  // Few different bytes, so that many names share a place or differ in one byte.
  const byte = fc.constantFrom(0x61, 0x62, 0x80, 0xc3, 0xa9, 0);
  const name = fc.array(byte, { maxLength: 40 }).map((some) => Uint8Array.from(some));
  fc.assert(fc.property(fc.array(name, { maxLength: 60 }), holds), { numRuns: 300 });
});

test("nameText() parts names that share a place", () => {
  const names = Array.from({ length: 5000 }, (_, index) => `name_${index}`);
  for (const name of [...names, ...names.reverse()]) {
    assert.equal(nameText(Buffer.from(name), 0, name.length, "utf8mb4"), name);
  }
});
