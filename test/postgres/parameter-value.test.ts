import assert from "node:assert/strict";
import { test } from "node:test";
import { textOfBinary } from "../../src/postgres/parameter-value.ts";
import { hex } from "../support/hex.ts";

const told = (typeOid: number, bytes: string): string | undefined => {
  const text = textOfBinary(typeOid, hex(bytes));
  return text === undefined ? undefined : Buffer.from(text).toString();
};

// As servers send them: SELECT 7::int4 and so on, with a binary result.
test("textOfBinary() says what a value in binary says", () => {
  assert.equal(told(21, "fff9"), "-7");
  assert.equal(told(23, "00000007"), "7");
  assert.equal(told(23, "80000000"), "-2147483648");
  assert.equal(told(20, "0000000000000007"), "7");
  assert.equal(told(20, "8000000000000000"), "-9223372036854775808");
  assert.equal(told(26, "ffffffff"), "4294967295");
  assert.equal(told(16, "01"), "true");
  assert.equal(told(16, "00"), "false");
  assert.equal(told(2950, "00112233445566778899aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff");
  for (const textual of [19, 25, 114, 705, 1042, 1043]) assert.equal(told(textual, "6772c3bcc39f65"), "grüße");
});

test("textOfBinary() reads no value of another length than its type has", () => {
  for (const [typeOid, bytes] of [
    [21, "00000007"],
    [23, "0007"],
    [23, "0000000000000007"],
    [20, "00000007"],
    [26, ""],
    [16, ""],
    [16, "0101"],
    [2950, "00"],
  ] as const) {
    assert.equal(told(typeOid, bytes), undefined, `${typeOid} ${bytes}`);
  }
});

test("textOfBinary() reads no type that it does not know: of 0 the server says later what it is", () => {
  for (const typeOid of [0, 17, 700, 701, 1700, 1082, 1114, 1184, 3802, 4294967295]) {
    assert.equal(told(typeOid, "00000007"), undefined);
  }
});
