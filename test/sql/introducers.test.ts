import assert from "node:assert/strict";
import { test } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { CHARSET_NAMES } from "../../src/sql/mysql/lexing/character-classes.ts";

/** What is no character in one charset or another: lone leads, lone trails, quotes and backslashes behind leads, cut ends. */
const INVALID: readonly number[][] = [
  [0xff],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0xbf, 0x5c],
  [0x81],
  [0x81, 0x27],
  [0x8e, 0xa1, 0xa1],
  [0xfe, 0xfe, 0x5c, 0x27],
  [0xe3, 0x81],
  [0x00, 0x27, 0x00],
];

test("regression 45: no charset introducer before bytes that are invalid in it keeps the analysis from ending", () => {
  let texts = 0;
  for (const name of [...CHARSET_NAMES, "nosuch", ""]) {
    for (const bytes of INVALID) {
      for (const repeated of [1, 1_000]) {
        const body = Buffer.from(Array.from({ length: repeated }, () => bytes).flat());
        for (const [before, after] of [
          ["'", "'"],
          ['"', '"'],
          ["'", ""],
          ["x'", "'"],
          ["", ""],
        ]) {
          const sql = Buffer.concat([
            Buffer.from(`SELECT _${name}${before}`),
            body,
            Buffer.from(`${after}; DROP TABLE t`),
          ]);
          const { readings } = analyze(sql, { ...contextFor({}), multiStatements: true });
          assert.ok(readings.length > 0);
          texts++;
        }
      }
    }
  }
  assert.ok(texts > 4_000, `${texts}`);
});
