/** Reads the tables of CONTRIBUTING.md, which tests hold the sources to. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const FILE = new URL("../../CONTRIBUTING.md", import.meta.url);

/** The rows of the table whose first head cell is `head`. */
export function tableOf(head: string): string[][] {
  const lines = readFileSync(FILE, "utf8").split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`));
  assert.notEqual(start, -1, `CONTRIBUTING.md has no table headed "${head}"`);
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
