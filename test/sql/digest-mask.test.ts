import assert from "node:assert/strict";
import { test } from "node:test";
import { maskDigest } from "../../src/sql/mysql/digest/digest-mask.ts";

test("maskDigest() hides names behind the words that announce a password, in statements that have one", () => {
  for (const [digest, expected] of [
    ["ALTER SYSTEM_USER `a` IDENTIFIED BY `pw`", "ALTER SYSTEM_USER `a` IDENTIFIED BY ?"],
    ["SET PASSWORD = `pw`", "SET PASSWORD = ?"],
    ["SET PASSWORD FOR `a` = PASSWORD ( `pw` )", "SET PASSWORD FOR `a` = PASSWORD ( ? )"],
    ["IDENTIFIED BY `a``b c` REPLACE `old`", "IDENTIFIED BY ? REPLACE ?"],
    ["IDENTIFIED BY `never closed", "IDENTIFIED BY ?"],
  ] as const) {
    assert.equal(maskDigest(digest, ["alter-user"], false), expected);
    assert.equal(maskDigest(digest, ["select"], false), digest, "other statements are left alone");
  }
});

test("maskDigest() hides every name of a text that may be read in several ways", () => {
  assert.equal(
    maskDigest("SELECT `a` . `b c` FROM `t``u` WHERE `x` = ?", ["select"], true),
    "SELECT ? . ? FROM ? WHERE ? = ?",
  );
});
