import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { FindingName } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { FOUND, QUIET } from "../support/condition-texts.ts";

const encoder = new TextEncoder();

function findingsIn(sql: string): readonly FindingName[] {
  return analyze(encoder.encode(sql), contextFor({})).findings.map(({ what }) => what);
}

for (const [what, sql] of FOUND) {
  test(`scanConditions() finds ${what} in: ${sql}`, () => {
    const found = findingsIn(sql);
    assert.ok(found.includes(what), found.join(", "));
  });
}

const ABOUT_ROWS = new Set<FindingName>([
  "where-first-constant",
  "order-by-number",
  "like-leading-wildcard",
  "select-unbounded",
  "select-wildcard",
]);

for (const sql of QUIET) {
  test(`scanConditions() finds nothing odd in: ${sql}`, () => {
    assert.deepEqual(
      findingsIn(sql).filter((what) => !ABOUT_ROWS.has(what)),
      [],
    );
  });
}

test("scanConditions() takes any order of words without an exception and without leaving values behind", () => {
  const word = fc.constantFrom(
    "SELECT",
    "FROM",
    "WHERE",
    "t",
    "a",
    "=",
    "OR",
    "AND",
    "NOT",
    "(",
    ")",
    ",",
    "1",
    "'x'",
    "CASE",
    "WHEN",
    "END",
    "UNION",
    "BETWEEN",
    "IN",
    "LIKE",
    "*",
    "-",
    "@a",
    "@@b",
    "IF(",
    "CONCAT(",
    "ORDER BY",
    "INTERVAL",
    "VALUES",
    ";",
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), (words) => {
      findingsIn(words.join(" "));
      assert.ok(findingsIn("SELECT a FROM t WHERE a = 'x' OR 1=1").includes("or-constant-comparison"));
    }),
    { numRuns: 300 },
  );
});
