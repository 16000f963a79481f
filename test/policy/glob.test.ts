import assert from "node:assert/strict";
import { test } from "node:test";
import { compileGlob, GLOB_LENGTH_MAX } from "../../src/policy/glob.ts";

const CASES: readonly [glob: string, name: string, matches: boolean][] = [
  ["orders", "orders", true],
  ["orders", "ORDERS", true],
  ["orders", "orders2", false],
  ["order?", "orders", true],
  ["order?", "order", false],
  ["*", "", true],
  ["*_log", "access_log", true],
  ["*_log", "access_log2", false],
  ["a*b*c", "a--b--c", true],
  ["a*b*c", "a--c--b", false],
  ["ddl.*", "ddl.drop", true],
  ["ddl.*", "dml.drop", false],
  ["**", "anything", true],
];

for (const [glob, name, matches] of CASES) {
  test(`compileGlob() says ${matches} for "${glob}" on "${name}"`, () => {
    assert.equal(compileGlob(glob).matches(name), matches);
  });
}

test("compileGlob() respects case when asked to", () => {
  assert.equal(compileGlob("App*", { caseSensitive: true }).matches("app1"), false);
  assert.equal(compileGlob("App*", { caseSensitive: true }).matches("App1"), true);
});

for (const pattern of ["", "a\nb", "x".repeat(GLOB_LENGTH_MAX + 1)]) {
  test(`compileGlob() refuses ${JSON.stringify(pattern.slice(0, 12))} of ${pattern.length} characters`, () => {
    assert.throws(() => compileGlob(pattern), RangeError);
  });
}
