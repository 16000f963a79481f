import assert from "node:assert/strict";
import { test } from "node:test";
import { visibleText } from "../../src/base/visible-text.ts";

const CASES: readonly [text: string, visible: string][] = [
  ["SELECT `ä` 表 😀", "SELECT `ä` 表 😀"],
  ["a\nb\tc\u0000", "a\\u000ab\\u0009c\\u0000"],
  ["\u202eevil\u200b\ufeff", "\\u202eevil\\u200b\\ufeff"],
  ["\u{e0041}", "\\udb40\\udc41"],
  ["\ud800", "\\ud800"],
];

for (const [text, visible] of CASES) {
  test(`visibleText() writes out what ${JSON.stringify(text)} hides`, () => assert.equal(visibleText(text), visible));
}
