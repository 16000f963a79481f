/** docs/known-attacks.md is complete, and every number in it is in the name of a test of the files it links to. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const PAGE = new URL("../../docs/known-attacks.md", import.meta.url);

interface Row {
  readonly id: string;
  readonly files: readonly string[];
}

const rows: Row[] = readFileSync(PAGE, "utf8")
  .split("\n")
  .filter((line) => /^\| [PR]?\d+ \|/.test(line))
  .map((line) => ({
    id: line.split("|")[1]?.trim() ?? "",
    files: [...line.matchAll(/\]\(([^)]+\.test\.ts)\)/g)].map(([, file]) => file ?? ""),
  }));

const upTo = (count: number, before: string): string[] =>
  Array.from({ length: count }, (_, index) => `${before}${index + 1}`);

test("docs/known-attacks.md has a row for P1 to P16, R1 to R6 and the regressions 1 to 53", () => {
  assert.deepEqual(
    rows.map(({ id }) => id),
    [...upTo(16, "P"), ...upTo(6, "R"), ...upTo(53, "")],
  );
});

test("every number of docs/known-attacks.md is in the name of a test of each file it links to", () => {
  for (const { id, files } of rows) {
    assert.ok(files.length > 0, `${id} links to no test`);
    const number = /^\d/.test(id) ? `regression ${id}` : id;
    // A name is a string that begins behind the parenthesis of describe(, it(, test( or e2e(, perhaps on the next line.
    const named = new RegExp(`(describe|it|test|e2e|testOverEach)\\(\\s*["\x60][^"\x60\\n]*\\b${number}\\b`);
    for (const file of files) assert.match(readFileSync(new URL(file, PAGE), "utf8"), named, `${id} in ${file}`);
  }
});
