import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClientMessageError, sqlStateOf } from "../../src/postgres/error-states.ts";
import {
  decodePasswordMessage,
  decodeSaslInitialResponse,
  encodePasswordMessage,
  encodeSaslInitialResponse,
  encodeSaslResponse,
} from "../../src/postgres/login-message.ts";
import { ascii, hex } from "../support/hex.ts";

const body = (wire: Uint8Array): Uint8Array => wire.subarray(5);

function refused(work: () => unknown): void {
  assert.throws(work, (error) => error instanceof ClientMessageError && sqlStateOf(error) === "08P01");
}

describe("login messages", () => {
  it("come back from their bytes as they were, a token of two kilobytes too", () => {
    for (const password of [ascii("secret"), ascii(""), ascii("t".repeat(2200))]) {
      assert.deepEqual(decodePasswordMessage(body(encodePasswordMessage(password))), password);
    }
    for (const data of [ascii("n,,n=,r=x"), ascii(""), undefined]) {
      const response = { mechanism: "SCRAM-SHA-256", data };
      assert.deepEqual(decodeSaslInitialResponse(body(encodeSaslInitialResponse(response))), response);
    }
    assert.deepEqual(body(encodeSaslResponse(ascii("c=biws"))), ascii("c=biws"));
  });

  it("are refused where a server refuses them: a NUL too few or too many, lengths that do not fit", () => {
    refused(() => decodePasswordMessage(ascii("secret")));
    refused(() => decodePasswordMessage(ascii("se\0cret\0")));
    refused(() => decodePasswordMessage(ascii("secret\0\0")));
    refused(() => decodePasswordMessage(ascii("")));
    for (const bytes of ["78", "78 00", "78 00 00000002 61", "78 00 fffffffe", "78 00 00000001 61 62"]) {
      refused(() => decodeSaslInitialResponse(hex(bytes)));
    }
    refused(() => decodeSaslInitialResponse(ascii(`${"x".repeat(65)}\0\xff\xff\xff\xff`)));
    assert.throws(() => encodePasswordMessage(ascii("a\0b")), RangeError);
  });
});
