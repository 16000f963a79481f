import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeCharacters, UNKNOWN_TEXT } from "../../src/base/characters.ts";

const decode = (hex: string, characterSet: string): string => decodeCharacters(Buffer.from(hex, "hex"), characterSet);

test("decodeCharacters() reads one name in the bytes of many character sets", () => {
  const größe: Readonly<Record<string, string>> = {
    utf8mb4: "6772c3b6c39f65",
    utf8mb3: "6772c3b6c39f65",
    binary: "6772c3b6c39f65",
    latin1: "6772f6df65",
    latin2: "6772f6df65",
    cp850: "677294e165",
    macroman: "67729aa765",
  };
  for (const [characterSet, hex] of Object.entries(größe)) {
    assert.equal(decode(hex, characterSet), "größe", characterSet);
  }
});

test("decodeCharacters() reads characters of several bytes", () => {
  assert.equal(decode("bfcdbba7", "gbk"), "客户");
  assert.equal(decode("bfcdbba7", "gb2312"), "客户");
  assert.equal(decode("bfcdbba78130813681308130", "gb18030").slice(0, 2), "客户");
  assert.equal(decode("8cda8b71", "sjis"), "顧客");
  assert.equal(decode("8cda8b71", "cp932"), "顧客");
  assert.equal(decode("b8dcb5d2", "ujis"), "顧客");
  assert.equal(decode("b0edb0b4", "euckr"), "고객");
  assert.equal(decode("abc8a4e1", "big5"), "客戶");
});

test("decodeCharacters() knows that swe7 has letters in ASCII's places", () => {
  assert.equal(decodeCharacters(Buffer.from("sql_l|g_bin"), "swe7"), "sql_lög_bin");
});

test("decodeCharacters() leaves ASCII as it is in every other set", () => {
  for (const characterSet of ["utf8mb4", "latin1", "gbk", "sjis", "ascii", "hebrew", "cp1251"]) {
    assert.equal(decodeCharacters(Buffer.from("a|b`c"), characterSet), "a|b`c");
  }
});

test("decodeCharacters() does not guess what it cannot know", () => {
  assert.equal(decode("61f662", "utf8mb4"), `a${UNKNOWN_TEXT}b`);
  assert.equal(decode("61f6", "ascii"), `a${UNKNOWN_TEXT}`);
  // The second byte may be half of the first one's character.
  assert.equal(decode("61f66263", "unknown"), `a${UNKNOWN_TEXT}c`);
  assert.equal(decodeCharacters(Buffer.from("a|b"), "unknown"), `a${UNKNOWN_TEXT}b`);
  assert.equal(decode("61f66263", "a set of tomorrow"), `a${UNKNOWN_TEXT}c`);
});

test("decodeCharacters() does not take a character for one that servers read differently", () => {
  // MySQL and MariaDB: a backslash; the Encoding Standard: a full-width one.
  assert.equal(decode("815f", "sjis"), UNKNOWN_TEXT);
  assert.equal(decode("a145", "big5"), UNKNOWN_TEXT);
  assert.equal(decode("61b06162", "gb2312"), `a${UNKNOWN_TEXT}b`);
});
