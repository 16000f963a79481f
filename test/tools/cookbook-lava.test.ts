/** docs/cookbook-lava.md has a row for every field of a lava connection, and each row links to tests that use what it says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const PAGE = new URL("../../docs/cookbook-lava.md", import.meta.url);

interface Row {
  readonly lava: string;
  readonly querycop: string;
  readonly files: readonly string[];
}

const rows: Row[] = readFileSync(PAGE, "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (?:lava|---) \|/.test(line))
  .map((line) => {
    const cells = line.split("|").map((cell) => cell.trim());
    assert.equal(cells.length, 6, line);
    const files = [...(cells[4] ?? "").matchAll(/\]\(([^)]+\.test\.ts)\)/g)].map(([, file]) => file ?? "");
    return { lava: cells[1] ?? "", querycop: cells[2] ?? "", files };
  });

/** Of lava's documentation of its connector, and of its job. */
const FIELDS =
  "ca_cert conn_id description database enabled host password port preserve_case secret_id ssl type user " +
  "bucket key db_conn_id schema table mode columns args min_size skip_missing s3_conn_id";

test("every field of a lava connection and of its job has a row in docs/cookbook-lava.md", () => {
  for (const field of FIELDS.split(" "))
    assert.ok(
      rows.some(({ lava }) => lava.includes(`\`${field}`)),
      field,
    );
});

test("every row of docs/cookbook-lava.md links to tests, in which its options and modes are used", () => {
  assert.ok(rows.length > 30);
  for (const { lava, querycop, files } of rows) {
    assert.ok(files.length > 0, `${lava} links to no test`);
    const texts = files.map((file) => readFileSync(new URL(file, PAGE), "utf8"));
    const options = [...querycop.matchAll(/--[a-z][a-z-]+/g)].map(([option]) => option);
    const modes = [...querycop.matchAll(/--mode ([a-z]+)/g)].map(([, mode]) => `"${mode}"`);
    for (const word of [...options, ...modes])
      assert.ok(
        texts.some((text) => text.includes(word)),
        `${lava}: ${word} is in none of ${files.join(", ")}`,
      );
  }
});
