import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MalformedPacketError } from "../../src/base/bytes.ts";
import { signWithEd25519Password } from "../../src/mysql/ed25519-password.ts";
import { toHex } from "../support/hex.ts";

const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

describe("signWithEd25519Password()", () => {
  it("signs as Ed25519 does where the password has the length of its seed", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (password, nonce) => {
          const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, password]), format: "der", type: "pkcs8" });
          assert.equal(toHex(signWithEd25519Password(password, nonce)), sign(null, nonce, key).toString("hex"));
        },
      ),
      { numRuns: 20 },
    );
  });

  it("takes the nonce alone out of what the server sent, and refuses one that is too short", () => {
    const nonce = new Uint8Array(33).fill(7, 0, 32);
    const password = Buffer.from("secret");
    assert.equal(
      toHex(signWithEd25519Password(password, nonce)),
      toHex(signWithEd25519Password(password, nonce.subarray(0, 32))),
    );
    assert.throws(() => signWithEd25519Password(password, new Uint8Array(31)), MalformedPacketError);
  });
});
