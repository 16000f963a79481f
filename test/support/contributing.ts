/** Reads the tables of CONTRIBUTING.md and of decisions, which tests hold the sources to. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** The rows of the table whose first head cell is `head`. */
export function tableOf(head: string, page = "CONTRIBUTING.md"): string[][] {
  const lines = readFileSync(new URL(`../../${page}`, import.meta.url), "utf8").split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`));
  assert.notEqual(start, -1, `${page} has no table headed "${head}"`);
  const rows = lines.slice(start + 2);
  const cells = (line: string): string[] =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith("|")),
    )
    .map(cells);
}
