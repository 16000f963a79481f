/** Files of expected output. QUERYCOP_UPDATE_GOLDEN=1 rewrites them: read the difference before committing it. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = new URL("../golden/", import.meta.url);

export function assertGolden(name: string, actual: string): void {
  const file = fileURLToPath(new URL(name, FOLDER));
  if (process.env["QUERYCOP_UPDATE_GOLDEN"] === "1") {
    mkdirSync(fileURLToPath(FOLDER), { recursive: true });
    writeFileSync(file, actual);
  }
  const expected = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (actual === expected) return;
  const lines = actual.split("\n");
  const expectedLines = expected.split("\n");
  const index = lines.findIndex((line, row) => line !== expectedLines[row]);
  const row = index === -1 ? lines.length : index;
  assert.fail(
    `test/golden/${name}:${row + 1}: expected ${expectedLines[row] ?? "the end"}\ngot ${lines[row] ?? "the end"}`,
  );
}

/**
 * The same for a part of such a file: a line "# title", the lines, and an empty one. A part that is new is put at the end.
 */
export function assertGoldenPart(name: string, title: string, actual: readonly string[]): void {
  const file = fileURLToPath(new URL(name, FOLDER));
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const head = `# ${title}\n`;
  const at = text.startsWith(head) ? 0 : text.indexOf(`\n${head}`) + 1;
  const isThere = at > 0 || text.startsWith(head);
  const from = isThere ? at + head.length : text.length;
  const end = isThere ? text.indexOf("\n\n", from - 1) + 1 : text.length;
  const expected = text.slice(from, end).split("\n").slice(0, -1);
  const row = Array.from({ length: Math.max(actual.length, expected.length) }).findIndex(
    (_, index) => actual[index] !== expected[index],
  );
  if (row < 0) return;
  if (process.env["QUERYCOP_UPDATE_GOLDEN"] === "1") {
    const part = `${isThere ? "" : head}${actual.map((line) => `${line}\n`).join("")}${isThere ? "" : "\n"}`;
    writeFileSync(file, text.slice(0, from) + part + text.slice(end));
    return;
  }
  assert.fail(
    `test/golden/${name}, ${title}, line ${row + 1}: expected ${expected[row] ?? "the end"}\ngot ${actual[row] ?? "the end"}`,
  );
}
