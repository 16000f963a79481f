import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, pbkdf2Sync, verify } from "node:crypto";
import { describe, it } from "node:test";
import { MalformedPacketError } from "../../src/base/bytes.ts";
import { answerParsec } from "../../src/mysql/parsec-password.ts";
import { hex } from "../support/hex.ts";

const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const SCRAMBLE = new Uint8Array(32).fill(9);
/** As a MariaDB 11.8 sent it. */
const SALT = hex("50001d95b3dcc6f21a70f253bd3726849ed7ab4f");
const PASSWORD = Buffer.from("secret password");

describe("answerParsec()", () => {
  it("signs the server's scramble and its own with the key of the stretched password", async () => {
    const answer = await answerParsec(PASSWORD, SCRAMBLE, SALT);
    assert.equal(answer.length, 96);
    const seed = pbkdf2Sync(PASSWORD, SALT.subarray(2), 1024, 32, "sha512");
    const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
    const signed = Buffer.concat([SCRAMBLE, answer.subarray(0, 32)]);
    assert.ok(verify(null, signed, createPublicKey(key), answer.subarray(32)));
    const other = await answerParsec(PASSWORD, SCRAMBLE, SALT);
    assert.notDeepEqual(other.subarray(0, 32), answer.subarray(0, 32), "its own scramble is new each time");
  });

  it("refuses what the server cannot mean, and more work than it may ask for", async () => {
    const refused = [hex(""), hex("50"), hex("5000"), hex("51001d95"), hex("50091d95"), hex(`5000${"00".repeat(65)}`)];
    for (const salt of refused) await assert.rejects(answerParsec(PASSWORD, SCRAMBLE, salt), MalformedPacketError);
    await assert.rejects(answerParsec(PASSWORD, SCRAMBLE.subarray(1), SALT), MalformedPacketError);
  });
});
