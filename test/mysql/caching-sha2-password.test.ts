import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../../src/base/bytes.ts";
import {
  cachingSha2DoubleHash,
  encodeCachingSha2Scramble,
  hashCachingSha2Password,
  isCachingSha2Hash,
  verifyCachingSha2Password,
  verifyCachingSha2Scramble,
} from "../../src/mysql/caching-sha2-password.ts";
import { hex, join, toHex } from "../support/hex.ts";

const NONCE = hex("0102030405060708090a0b0c0d0e0f1011121314");

/** SELECT HEX(authentication_string) of accounts that MySQL 9.7 made with CREATE USER … IDENTIFIED BY. */
const FROM_MYSQL: readonly (readonly [password: string, hash: string])[] = [
  [
    "x",
    "24412430304124393E1F73630133464563282577642F724E6966785971566F67796F4535314471655842795275587344386233315566546D555346434C6453466E4B31783939",
  ],
  [
    "secret password",
    "24412430304124657344465D217B2B2F7E775B0F1E16365B4C70157A737A7472437147463261463643554D42624A4A507833656C783653754B7864703632774943614B716F38",
  ],
  [
    "p".repeat(32),
    "244124303041245F6926497118797120725150525A0E6C2236742831674E4C4B366A6547466170704A7A506E4E575A3441505679773532534573426B62774C4C63726356552F",
  ],
  [
    "q".repeat(33),
    "244124303041244376274B675C48605A7F765246642E58685A6B0B77494D4B363836363755426A524E32646E4C5938456D452F674176447A5854345139522E666F754441622E",
  ],
  [
    "z".repeat(64),
    "24412430304124430105D46724F6B27437173483E25303E455E380943385679355448366E656B6873426C4C4A755739595945527161345258667836564275754E5A6254316C36".replace(
      "24412430304124430105D",
      "2441243030412430105D",
    ),
  ],
  [
    "w".repeat(100),
    "24412430304124743A0E05690960723109357D6937711358577B55497A72447536504A396A4A496D35626933617A30323830446F7542525133775A386C724F6E696A5A424531",
  ],
];

const textOf = (hexHash: string): string => Buffer.from(hexHash, "hex").toString("latin1");

describe("verifyCachingSha2Password()", () => {
  it("fits the accounts of a real MySQL", () => {
    for (const [password, hash] of FROM_MYSQL) {
      assert.ok(isCachingSha2Hash(textOf(hash)), `${password.length} bytes`);
      assert.ok(verifyCachingSha2Password(textOf(hash), encodeUtf8(password)), `${password.length} bytes`);
      assert.ok(!verifyCachingSha2Password(textOf(hash), encodeUtf8(`${password}x`)));
    }
  });

  it("fits the hashes it makes, of MySQL's form", () => {
    for (const password of ["a", "longer than thirty-two bytes, as sentences are", "ÄÖÜ€", "\0nul"]) {
      const hash = hashCachingSha2Password(encodeUtf8(password));
      assert.equal(hash.length, 70);
      assert.ok(hash.startsWith("$A$005$"));
      assert.ok(verifyCachingSha2Password(hash, encodeUtf8(password)));
      assert.ok(!verifyCachingSha2Password(hash, encodeUtf8(password.slice(1))));
      assert.notEqual(hash, hashCachingSha2Password(encodeUtf8(password)));
    }
  });

  it("reads a salt that looks like the delimiter", () => {
    const salt = encodeUtf8("$rounds=9$$A$005$ab$");
    const hash = hashCachingSha2Password(encodeUtf8("x"), salt);
    assert.ok(verifyCachingSha2Password(hash, encodeUtf8("x")));
    assert.ok(!verifyCachingSha2Password(hash, encodeUtf8("y")));
  });

  it("takes an empty hash for an empty password", () => {
    assert.equal(hashCachingSha2Password(hex("")), "");
    assert.ok(verifyCachingSha2Password("", hex("")));
    assert.ok(!verifyCachingSha2Password("", encodeUtf8("x")));
    assert.ok(!isCachingSha2Hash(""));
  });

  it("does not accept other shapes of hashes", () => {
    const good = textOf(FROM_MYSQL[0]?.[1] ?? "");
    const wrong = [
      good.slice(1),
      `${good}x`,
      good.replace("$A$", "$5$"),
      good.replace("$A$00A$", "$A$00A#"),
      good.replace("$A$00A$", "$A$000$"),
      good.replace("$A$00A$", "$A$FFF$"),
      good.replace("$A$00A$", "$A$015$"),
      good.replace("$A$00A$", "$A$-0A$"),
      good.replace("$A$00A$", "$A$0xA$"),
    ];
    for (const hash of wrong) {
      assert.ok(!isCachingSha2Hash(hash), hash.slice(0, 8));
      assert.ok(!verifyCachingSha2Password(hash, encodeUtf8("x")));
    }
  });

  it("does not spend time on passwords no server takes", () => {
    const hash = hashCachingSha2Password(encodeUtf8("x".repeat(256)));
    assert.ok(verifyCachingSha2Password(hash, encodeUtf8("x".repeat(256))));
    assert.ok(!verifyCachingSha2Password(hash, new Uint8Array(1 << 20)));
    assert.throws(() => hashCachingSha2Password(new Uint8Array(257)), /at most 256/);
  });
});

describe("verifyCachingSha2Scramble()", () => {
  it("accepts the scramble of the right password and no other", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 60 }),
        fc.uint8Array({ maxLength: 60 }),
        (password, other) => {
          const scramble = encodeCachingSha2Scramble(password, join(NONCE, hex("00")));
          assert.equal(scramble.length, 32);
          assert.ok(verifyCachingSha2Scramble(cachingSha2DoubleHash(password), scramble, NONCE));
          const isSame = toHex(other) === toHex(password);
          assert.equal(verifyCachingSha2Scramble(cachingSha2DoubleHash(other), scramble, NONCE), isSame);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("accepts nothing of another length or for another nonce", () => {
    const doubleHash = cachingSha2DoubleHash(encodeUtf8("x"));
    const scramble = encodeCachingSha2Scramble(encodeUtf8("x"), NONCE);
    assert.ok(!verifyCachingSha2Scramble(doubleHash, scramble.subarray(1), NONCE));
    assert.ok(!verifyCachingSha2Scramble(doubleHash, join(scramble, hex("00")), NONCE));
    assert.ok(!verifyCachingSha2Scramble(doubleHash, hex(""), NONCE));
    assert.ok(!verifyCachingSha2Scramble(hex(""), scramble, NONCE));
    assert.ok(!verifyCachingSha2Scramble(doubleHash, scramble, hex("ff02030405060708090a0b0c0d0e0f1011121314")));
    assert.equal(encodeCachingSha2Scramble(hex(""), NONCE).length, 0);
  });
});
