import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { characterSetName, isClientCharacterSet } from "../../src/mysql/character-set.ts";

describe("characterSetName()", () => {
  it("knows the defaults of the usual character sets", () => {
    // Seen in information_schema of MySQL 9.7 and MariaDB 11.
    const known: Readonly<Record<number, string>> = {
      1: "big5",
      8: "latin1",
      11: "ascii",
      13: "sjis",
      28: "gbk",
      33: "utf8mb3",
      35: "ucs2",
      45: "utf8mb4",
      54: "utf16",
      56: "utf16le",
      60: "utf32",
      63: "binary",
      83: "utf8mb3",
      95: "cp932",
      192: "utf8mb3",
      224: "utf8mb4",
      248: "gb18030",
      255: "utf8mb4",
      309: "utf8mb4",
      323: "utf8mb4",
      1069: "utf8mb4",
      2304: "utf8mb4",
      2560: "ucs2",
    };
    for (const [id, name] of Object.entries(known)) assert.equal(characterSetName(Number(id)), name, id);
  });

  it("knows no others", () => {
    for (const id of [0, 17, 100, 324, 500, 65535]) assert.equal(characterSetName(id), undefined, String(id));
  });
});

describe("isClientCharacterSet()", () => {
  it("refuses every collation whose characters do not have ASCII's width", () => {
    const refused = [35, 90, 128, 151, 159, 54, 55, 101, 124, 56, 62, 60, 61, 160, 183, 2560, 2900, 3100];
    for (const id of refused) assert.ok(!isClientCharacterSet(id), String(id));
  });

  it("allows the others that servers have", () => {
    for (const id of [
      1, 84, 13, 88, 28, 87, 95, 96, 248, 250, 10, 82, 1025, 1052, 2, 8, 11, 33, 45, 46, 47, 48, 63, 83, 91, 97, 192,
      224, 246, 255, 1069, 2304,
    ]) {
      assert.ok(isClientCharacterSet(id), String(id));
    }
    assert.ok(isClientCharacterSet(0), "the server's default");
  });

  it("refuses ids nobody knows, and decides every id of a handshake", () => {
    for (const id of [17, 100, 324, 4096, 65535]) assert.ok(!isClientCharacterSet(id), String(id));
    let allowed = 0;
    for (let id = 0; id < 256; id++) if (isClientCharacterSet(id)) allowed++;
    assert.equal(allowed, 145);
  });
});
