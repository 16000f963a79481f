import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { matchesWildcards } from "../../src/base/wildcards.ts";

test("matchesWildcards() takes * for any text and everything else as it is", () => {
  for (const [pattern, id, expected] of [
    ["backend.*", "backend.tls", true],
    ["*.tls", "backend.tls", true],
    ["*", "backend.tls", true],
    ["b*d.t*s", "backend.tls", true],
    ["backend.tls", "backend.tls", true],
    ["backend", "backend.tls", false],
    ["backend?tls", "backend.tls", false],
    ["tls*", "backend.tls", false],
    ["backend.tls*ls", "backend.tls", false],
  ] as const) {
    assert.equal(matchesWildcards(pattern, id), expected, `${pattern} ${id}`);
  }
});

/** The slow and obvious definition, as an oracle. */
function matchesSlowly(glob: string, name: string): boolean {
  if (glob === "") return name === "";
  if (glob.startsWith("*")) {
    return matchesSlowly(glob.slice(1), name) || (name !== "" && matchesSlowly(glob, name.slice(1)));
  }
  return name !== "" && (glob[0] === "?" || glob[0] === name[0]) && matchesSlowly(glob.slice(1), name.slice(1));
}

test("matchesWildcards() agrees with the recursive definition", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
  fc.assert(
    fc.property(word, word, (glob, name) => {
      assert.equal(matchesWildcards(glob, name, "?"), matchesSlowly(glob, name));
    }),
  );
});

test("matchesWildcards() comes to an end where trying every run of characters would not", () => {
  const glob = `${"*a".repeat(100)}b`;
  const name = "a".repeat(20_000);
  assert.equal(matchesWildcards(glob, name, "?"), false);
});
