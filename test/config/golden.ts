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
