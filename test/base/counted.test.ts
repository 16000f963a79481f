import assert from "node:assert/strict";
import { test } from "node:test";
import { counted, timeSpan } from "../../src/base/counted.ts";

test("counted() puts the noun in the number's form", () => {
  assert.deepEqual(
    [counted(0, "session"), counted(1, "session"), counted(2, "session")],
    ["0 sessions", "1 session", "2 sessions"],
  );
  assert.deepEqual([counted(1, "query", "queries"), counted(3, "query", "queries")], ["1 query", "3 queries"]);
});

test("timeSpan() names the two largest units of a time", () => {
  const spans = [0, 59, 60, 75, 3600, 3661, 86_400, 90_061];
  assert.deepEqual(spans.map(timeSpan), ["0 s", "59 s", "1 min", "1 min 15 s", "1 h", "1 h 1 min", "1 d", "1 d 1 h"]);
});
