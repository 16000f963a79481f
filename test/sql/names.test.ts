import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UNKNOWN_TEXT } from "../../src/base/characters.ts";
import {
  foldName,
  isSameName,
  lowerAscii,
  mayBeSameName,
  mayMatchName,
  possibleName,
  upperAscii,
} from "../../src/sql/mysql/names/names.ts";
import { assertGrowth } from "../support/growth.ts";

test("mayBeSameName() holds what some server takes for one name", () => {
  const pairs = [
    ["sql_lög_bin", "SQL_LOG_BIN"],
    ["autocommit  ", "AutoCommit"],
    ["execute_prepäred_stmt", "execute_prepared_stmt"],
    ["İban", "iban"],
    ["ſchemata", "SCHEMATA"],
    ["\u212aey", "key"],
    ["ΣΊΣΥΦΟΣ", "σισυφος"],
    ["😀", "?"],
  ] as const;
  for (const [left, right] of pairs) assert.ok(mayBeSameName(left, right), `${left} ${right}`);
});

test("mayBeSameName() parts what no server takes for one name", () => {
  const pairs = [
    ["größe", "grosse"],
    ["æ", "ae"],
    [" autocommit", "autocommit"],
    ["auto\u200bcommit", "autocommit"],
    ["ａutocommit", "autocommit"],
    ["o", "ø"],
  ] as const;
  for (const [left, right] of pairs) assert.ok(!mayBeSameName(left, right), `${left} ${right}`);
});

test("isSameName() differs from letter by letter in the case of ASCII letters alone", () => {
  assert.ok(isSameName("Tenant_Id", "tenant_id"));
  assert.ok(!isSameName("tenant_İd", "tenant_id"));
  assert.ok(!isSameName("é", "É"));
  assert.ok(!isSameName(`a${UNKNOWN_TEXT}`, `a${UNKNOWN_TEXT}`));
});

test("foldName() takes off the blanks at the end, of a name of blanks all", () => {
  assert.equal(foldName("Ab  "), "ab");
  assert.equal(foldName(" A b "), " a b");
  assert.equal(foldName("   "), "");
  assert.equal(foldName(" "), "");
});

const anyText = fc
  .array(fc.integer({ min: 0x20, max: 0x10ffff }), { maxLength: 30 })
  .map((codes) => codes.map((code) => String.fromCodePoint(code)).join(""));

test("foldName() changes nothing that it has folded", () => {
  const same = (name: string): void => assert.equal(foldName(foldName(name)), foldName(name));
  fc.assert(fc.property(anyText, same), { numRuns: 1000 });
});

test("what differs by case is the same name, whatever the letters", () => {
  const fold = (name: string): void => {
    assert.ok(mayBeSameName(lowerAscii(name), upperAscii(name)));
    assert.ok(isSameName(lowerAscii(name), upperAscii(name)) !== name.includes(UNKNOWN_TEXT));
  };
  fc.assert(fc.property(anyText, fold), { numRuns: 1000 });
});

test("text that could not be read may be any name with the rest of it", () => {
  const name = `se${UNKNOWN_TEXT}t`;
  assert.ok(mayBeSameName(name, "Secret"));
  assert.ok(mayBeSameName(name, "set"));
  assert.ok(!mayBeSameName(name, "member"));
  assert.ok(mayBeSameName(name, `${UNKNOWN_TEXT}cret`));
  assert.equal(possibleName(new Set(["member", "secret"]), name), "secret");
  assert.equal(possibleName(new Set(["member"]), name), undefined);
});

test("mayMatchName() takes pattern and unread text together", () => {
  assert.ok(mayMatchName("s*cr?t", "sécrèt"));
  assert.ok(mayMatchName("a?c*", `a${UNKNOWN_TEXT}`));
  assert.ok(mayMatchName("a?c*", `${UNKNOWN_TEXT}x`));
  assert.ok(!mayMatchName("a?c*", `b${UNKNOWN_TEXT}`));
  assert.ok(mayMatchName("*", ""));
});

test("mayMatchName() takes time in proportion to a name, where it and the pattern are all wildcards", () => {
  assertGrowth("all wildcards", { from: 500, to: 5_000, most: 25 }, (length) => {
    assert.ok(mayMatchName("*?".repeat(128), UNKNOWN_TEXT.repeat(length)));
  });
});
