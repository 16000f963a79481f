import assert from "node:assert/strict";
import { before, test } from "node:test";
import { keysWritten } from "../../src/policy/keys-written.ts";
import { analyze } from "../../src/sql/postgres/analyze.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../support/postgres-context.ts";

before(readyToParse);

test("rows that are changed are named by the columns that pin them down and the class of the value, never by it", () => {
  const keys = (sql: string) => keysWritten(analyze(Buffer.from(sql), POSTGRES_CONTEXT));
  assert.deepEqual(keys("UPDATE orders SET total = 0 WHERE id = 7 AND customer = $1 AND total > 5"), [
    "orders (customer = parameter, id = number)",
  ]);
  assert.deepEqual(keys("DELETE FROM shop.orders AS o WHERE o.name = 'secret'"), ["orders (name = string)"]);
  for (const sql of [
    "UPDATE orders SET total = 0",
    "UPDATE orders SET total = 0 WHERE id = 7 OR true",
    "UPDATE orders SET total = 0 WHERE id > 7",
    "UPDATE orders SET total = 0 WHERE id = customer",
    "INSERT INTO orders VALUES (7)",
    "SELECT * FROM orders WHERE id = 7",
  ]) {
    assert.deepEqual(keys(sql), [], sql);
  }
});
