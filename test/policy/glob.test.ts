import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileGlob, GLOB_LENGTH_MAX, globMatches } from "../../src/policy/glob.ts";

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

/** The slow and obvious definition, as an oracle. */
function matchesSlowly(glob: string, name: string): boolean {
  if (glob === "") return name === "";
  if (glob.startsWith("*")) {
    return matchesSlowly(glob.slice(1), name) || (name !== "" && matchesSlowly(glob, name.slice(1)));
  }
  return name !== "" && (glob[0] === "?" || glob[0] === name[0]) && matchesSlowly(glob.slice(1), name.slice(1));
}

test("globMatches() agrees with the recursive definition", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
  fc.assert(
    fc.property(word, word, (glob, name) => {
      assert.equal(globMatches(glob, name), matchesSlowly(glob, name));
    }),
  );
});

test("globMatches() takes at most pattern length times name length steps", () => {
  const glob = `${"*a".repeat(100)}b`;
  const name = "a".repeat(20_000);
  const started = performance.now();
  assert.equal(globMatches(glob, name), false);
  assert.ok(performance.now() - started < 2000);
});
