import assert from "node:assert/strict";
import { constants, createPublicKey, generateKeyPairSync, privateDecrypt, publicEncrypt } from "node:crypto";
import { describe, it } from "node:test";
import { encodeUtf8, MalformedPacketError } from "../../src/base/bytes.ts";
import { decryptPassword, encryptPassword } from "../../src/mysql/rsa-password.ts";
import { hex, join, toHex } from "../support/hex.ts";

const NONCE = hex("0102030405060708090a0b0c0d0e0f1011121314");
const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" };

describe("encryptPassword() and decryptPassword()", () => {
  it("are each other's inverse, the nonce repeating over long passwords", () => {
    for (const length of [1, 19, 20, 21, 100, 213]) {
      const password = join(encodeUtf8("p".repeat(length)), hex("00"));
      const encrypted = encryptPassword(publicKey, password, NONCE);
      assert.equal(encrypted.length, 256);
      assert.equal(toHex(decryptPassword(privateKey, encrypted, NONCE)), toHex(password));
    }
  });

  it("encrypt the password and its NUL, XORed with the nonce", () => {
    const encrypted = encryptPassword(publicKey, hex("616263 00"), join(NONCE, hex("00")));
    const scrambled = privateDecrypt({ key: privateKey, ...OAEP }, encrypted);
    assert.equal(toHex(scrambled), "60606004");
  });

  it("read what was made by hand", () => {
    const encrypted = publicEncrypt({ key: publicKey, ...OAEP }, hex("60606004"));
    assert.equal(toHex(decryptPassword(privateKey, encrypted, NONCE)), "61626300");
  });

  it("work with a key that came as PEM", () => {
    const pem = publicKey.export({ type: "spki", format: "pem" });
    const encrypted = encryptPassword(createPublicKey(pem), hex("4100"), NONCE);
    assert.equal(toHex(decryptPassword(privateKey, encrypted, NONCE)), "4100");
  });

  it("refuse bytes that were not made for this key, nonce or format", () => {
    const right = encryptPassword(publicKey, hex("616200"), NONCE);
    const wrong = [hex(""), right.subarray(1), right.map((byte) => byte ^ 1), new Uint8Array(256).fill(0xff)];
    for (const encrypted of wrong) {
      assert.throws(
        () => decryptPassword(privateKey, encrypted, NONCE),
        (thrown) => {
          assert.ok(thrown instanceof MalformedPacketError);
          assert.match(thrown.message, /not encrypted for this key/);
          assert.equal(thrown.cause, undefined);
          return true;
        },
      );
    }
    const otherNonce = NONCE.map((byte) => byte ^ 0x40);
    assert.throws(() => decryptPassword(privateKey, right, otherNonce), /does not end with a NUL/);
    assert.throws(() => encryptPassword(publicKey, hex("00"), hex("01")), MalformedPacketError);
    const withoutNul = publicEncrypt({ key: publicKey, ...OAEP }, hex("60"));
    assert.throws(() => decryptPassword(privateKey, withoutNul, NONCE), /does not end with a NUL/);
    const empty = publicEncrypt({ key: publicKey, ...OAEP }, hex(""));
    assert.throws(() => decryptPassword(privateKey, empty, NONCE), /does not end with a NUL/);
  });
});
