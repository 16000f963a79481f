import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../../../src/base/bytes.ts";
import { newGrammar } from "../../../../src/sql/postgres/parser/library.ts";

const MIB = 1024 * 1024;

test("newGrammar() asks for little more memory than the library's stack, and for more when a text needs it", async () => {
  const grammar = await newGrammar();
  assert.ok(grammar.memoryBytes < 40 * MIB, `${grammar.memoryBytes} bytes`);
  assert.equal(grammar.parse(encodeUtf8("SELECT 1")).kind, "parsed");
  assert.ok(grammar.memoryBytes < 40 * MIB, `${grammar.memoryBytes} bytes after a short text`);
  const rows = Array.from({ length: 50_000 }, (_, index) => `(${index}, 'row ${index}')`);
  const long = grammar.parse(encodeUtf8(`INSERT INTO t VALUES ${rows.join(",")}`));
  assert.equal(long.kind === "parsed" && long.json.includes("row 49999"), true);
  assert.ok(grammar.memoryBytes > 40 * MIB, `${grammar.memoryBytes} bytes after a long one`);
});
