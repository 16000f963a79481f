import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeUtf8, MalformedPacketError } from "../../src/base/bytes.ts";
import { createAuthPluginData, nonceOf } from "../../src/mysql/auth-plugin-data.ts";
import {
  encodeNativePasswordScramble,
  hashNativePassword,
  verifyNativePassword,
} from "../../src/mysql/native-password.ts";
import { hex, join, toHex } from "../support/hex.ts";

const NONCE = hex("0102030405060708090a0b0c0d0e0f1011121314");

describe("hashNativePassword()", () => {
  it("makes what PASSWORD() makes", () => {
    // SELECT PASSWORD('x'), PASSWORD('secret password') on MariaDB 10.11.
    assert.equal(hashNativePassword(encodeUtf8("x")), "*B69027D44F6E5EDC07F1AEAD1477967B16F28227");
    assert.equal(hashNativePassword(encodeUtf8("secret password")), "*10B28DADAD5D11A61C037B0DB76121DE8451D3BF");
    assert.equal(hashNativePassword(hex("")), "");
  });
});

describe("verifyNativePassword()", () => {
  it("accepts the scramble of the right password and no other", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        fc.uint8Array({ maxLength: 40 }),
        (password, other) => {
          const scramble = encodeNativePasswordScramble(password, NONCE);
          assert.equal(scramble.length, 20);
          assert.ok(verifyNativePassword(hashNativePassword(password), scramble, NONCE));
          assert.ok(verifyNativePassword(hashNativePassword(password).toLowerCase(), scramble, NONCE));
          const isSame = toHex(other) === toHex(password);
          assert.equal(verifyNativePassword(hashNativePassword(other), scramble, NONCE), isSame);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("accepts nothing else", () => {
    const hash = hashNativePassword(encodeUtf8("x"));
    const scramble = encodeNativePasswordScramble(encodeUtf8("x"), NONCE);
    assert.ok(
      !verifyNativePassword(
        hash,
        scramble.map((byte) => byte ^ 1),
        NONCE,
      ),
    );
    assert.ok(!verifyNativePassword(hash, scramble, hex("ff02030405060708090a0b0c0d0e0f1011121314")));
    for (const wrong of [hex(""), scramble.subarray(1), join(scramble, hex("00"))]) {
      assert.ok(!verifyNativePassword(hash, wrong, NONCE));
    }
    for (const wrong of ["*", "x", hash.slice(1), `${hash}0`, `*${"zz".repeat(20)}`, `#${hash.slice(1)}`]) {
      assert.ok(!verifyNativePassword(wrong, scramble, NONCE), wrong);
    }
  });

  it("takes an empty hash for an empty password", () => {
    assert.ok(verifyNativePassword("", encodeNativePasswordScramble(hex(""), NONCE), NONCE));
    assert.ok(!verifyNativePassword("", encodeNativePasswordScramble(encodeUtf8("x"), NONCE), NONCE));
  });

  it("uses 20 bytes of authPluginData, with or without their NUL", () => {
    const scramble = encodeNativePasswordScramble(encodeUtf8("x"), join(NONCE, hex("00")));
    assert.equal(toHex(scramble), toHex(encodeNativePasswordScramble(encodeUtf8("x"), NONCE)));
    assert.throws(() => encodeNativePasswordScramble(encodeUtf8("x"), NONCE.subarray(1)), MalformedPacketError);
  });
});

describe("authPluginData", () => {
  it("is fresh, 20 bytes, and of bytes that no old client trips over", () => {
    const seen = new Set<string>();
    for (let run = 0; run < 500; run++) {
      const data = createAuthPluginData();
      assert.equal(data.length, 20);
      for (const byte of data) assert.ok(byte > 0 && byte < 128 && byte !== 0x24, `byte ${byte}`);
      seen.add(toHex(data));
    }
    assert.equal(seen.size, 500);
  });

  it("is cut to its 20 bytes, and refused below", () => {
    assert.equal(toHex(nonceOf(join(NONCE, hex("00")))), toHex(NONCE));
    assert.throws(() => nonceOf(hex("00")), /1 bytes: expected 20/);
  });
});
