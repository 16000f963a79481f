import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type DiffLine, lineDiff } from "../../src/policy/tools/line-diff.ts";

const shown = (lines: readonly DiffLine[]): string[] =>
  lines.map(({ kind, text }) => `${{ same: " ", removed: "-", added: "+" }[kind]}${text}`);

test("lineDiff() shows what was taken away and what was put in, among what stayed", () => {
  assert.deepEqual(shown(lineDiff("a\nb\nc\n", "a\nx\nc\nd\n")), [" a", "-b", "+x", " c", "+d"]);
  assert.deepEqual(lineDiff("", "a\n"), [{ kind: "added", text: "a" }]);
  assert.deepEqual(lineDiff("a\n", "a\n"), [{ kind: "same", text: "a" }]);
});

test("lineDiff() gives both texts back, whatever they are", () => {
  const lines = fc.array(fc.constantFrom("a", "b", "", "c d"), { maxLength: 30 });
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const ended = (list: readonly string[]): string => list.map((line) => `${line}\n`).join("");
      const diff = lineDiff(ended(before), ended(after));
      const of = (kind: DiffLine["kind"]): string[] =>
        diff.filter((line) => line.kind === "same" || line.kind === kind).map(({ text }) => text);
      assert.deepEqual(of("removed"), before);
      assert.deepEqual(of("added"), after);
    }),
  );
});

test("lineDiff() shows texts with very many different lines as replaced", () => {
  const many = (word: string): string => Array.from({ length: 2_000 }, (_, i) => `${word}${i}\n`).join("");
  const diff = lineDiff(many("a"), many("b"));
  assert.deepEqual([diff.length, diff[0]?.kind, diff.at(-1)?.kind], [4_000, "removed", "added"]);
});
