import assert from "node:assert/strict";
import { test } from "node:test";
import { decideText } from "./policy-fixture.ts";

const POLICY = "tenants: [{ tables: [invoice, item], column: tenant_id }]";
const VALUED = "tenants: [{ tables: [invoice, item], column: tenant_id, value: 7 }]";

const KEPT = [
  "SELECT id FROM invoice WHERE tenant_id = 7",
  "SELECT id FROM invoice WHERE tenant_id = ? AND total > 5",
  "SELECT id FROM invoice WHERE total > 5 AND (tenant_id = 7) AND (a = 1 OR b = 2)",
  "SELECT i.id FROM invoice i WHERE i.tenant_id = 7",
  "SELECT i.id FROM invoice i JOIN item t ON t.tenant_id = i.tenant_id AND t.invoice = i.id WHERE i.tenant_id = 7",
  "SELECT id FROM book WHERE id = 1",
  "UPDATE invoice SET total = 5 WHERE tenant_id = 7 AND id = 3",
  "DELETE FROM invoice WHERE tenant_id = '7' AND id = 3",
  "INSERT INTO invoice (id, tenant_id) VALUES (1, 7)",
  "INSERT INTO invoice SET id = 1, tenant_id = 7",
  "ALTER TABLE invoice ADD COLUMN note TEXT",
];

const REFUSED = [
  "SELECT id FROM invoice",
  "SELECT id FROM invoice WHERE total > 5",
  "SELECT id FROM invoice WHERE tenant_id = 7 OR 1 = 1",
  "SELECT id FROM invoice WHERE tenant_id = tenant_id",
  "SELECT id FROM invoice WHERE tenant_id > 7",
  "SELECT id FROM invoice WHERE NOT (tenant_id = 7)",
  "SELECT id FROM invoice WHERE tenant_id = @x",
  "SELECT id FROM invoice WHERE (tenant_id = 7) = 0",
  "SELECT i.id FROM invoice i JOIN item t ON t.invoice = i.id WHERE i.tenant_id = 7",
  "SELECT i.id FROM invoice i LEFT JOIN item t ON t.tenant_id = 7 WHERE t.id = 1",
  "SELECT id FROM invoice WHERE tenant_id = 7 UNION SELECT id FROM invoice",
  "SELECT id FROM book WHERE id IN (SELECT book FROM invoice)",
  "SELECT (SELECT MAX(total) FROM invoice) FROM book WHERE id = 1",
  "WITH x AS (SELECT * FROM invoice) SELECT * FROM x WHERE tenant_id = 7",
  "TABLE invoice",
  "UPDATE invoice SET total = 5 WHERE id = 3",
  "UPDATE invoice SET tenant_id = 8 WHERE tenant_id = 7",
  "DELETE FROM invoice WHERE id = 3",
  "INSERT INTO invoice VALUES (1, 7)",
  "INSERT INTO invoice (id) VALUES (1)",
  "INSERT INTO invoice (id, tenant_id) VALUES (1, 7) ON DUPLICATE KEY UPDATE tenant_id = 8",
  "TRUNCATE invoice",
  "CREATE TABLE copy AS SELECT * FROM invoice",
];

for (const sql of KEPT) {
  test(`the tenant rule lets through: ${sql}`, () => {
    const decision = decideText(sql, { policy: POLICY, subject: { schema: "shop" } });
    assert.notEqual(decision.enforcedAction, "block", JSON.stringify(decision.rules));
  });
}

for (const sql of REFUSED) {
  test(`the tenant rule refuses: ${sql}`, () => {
    const decision = decideText(sql, { policy: POLICY, subject: { schema: "shop" } });
    assert.equal(decision.enforcedAction, "block");
    assert.ok(decision.rules.some(({ id }) => id === "acc.tenant"));
  });
}

for (const [sql, action] of [
  ["SELECT id FROM invoice WHERE tenant_id = 7", "allow"],
  ["SELECT id FROM invoice WHERE tenant_id = '7'", "allow"],
  ["SELECT id FROM invoice WHERE tenant_id = 8", "block"],
  ["SELECT id FROM invoice WHERE tenant_id = '7x'", "block"],
  ["SELECT id FROM invoice WHERE tenant_id = 0x37", "block"],
  ["SELECT id FROM invoice WHERE tenant_id = ?", "allow"],
] as const) {
  test(`the tenant rule with a value says ${action}: ${sql}`, () => {
    const decision = decideText(sql, { policy: VALUED });
    assert.equal(decision.enforcedAction, action);
    assert.equal(decision.isCacheable, false);
  });
}

for (const [values, action] of [
  [["7"], "allow"],
  [["8"], "block"],
  [[null], "block"],
  [[], "block"],
] as const) {
  test(`the tenant rule says ${action} when ${JSON.stringify(values)} is bound`, () => {
    const sql = "SELECT id FROM invoice WHERE tenant_id = ?";
    assert.equal(decideText(sql, { policy: VALUED, values }).enforcedAction, action);
  });
}

const rows = (count: number, row: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => row(index)).join(", ");

for (const [sql, action] of [
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7)", "allow"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, '7'), (2, 7), (3, 7)", "allow"],
  ["INSERT INTO invoice (tenant_id, id) VALUES ROW(7, 1), ROW(7, 2)", "allow"],
  ["INSERT INTO invoice SET id = 1, invoice.tenant_id = 7", "allow"],
  ["INSERT INTO invoice (id, shop.invoice.TENANT_ID) VALUES (1, ?)", "allow"],
  ["REPLACE INTO invoice (id, tenant_id) VALUES (1, 7)", "allow"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7) ON DUPLICATE KEY UPDATE total = VALUES(total)", "allow"],
  [
    "INSERT INTO invoice (id, tenant_id) VALUES (1, 7) AS n ON DUPLICATE KEY UPDATE id = IF(invoice.tenant_id = n.tenant_id, 2, 1)",
    "allow",
  ],
  [`INSERT INTO invoice (id, tenant_id) VALUES ${rows(400, (id) => `(${id}, 7)`)}`, "allow"],
  [`INSERT INTO invoice (id, tenant_id) VALUES ${rows(120_000, (id) => `(${id}, 7)`)}`, "allow"],
  [
    `INSERT INTO invoice (id, tenant_id) VALUES ${rows(120_000, (id) => `(${id}, ${id === 100_000 ? 8 : 7})`)}`,
    "block",
  ],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 8)", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7), (2, 8)", "block"],
  ["INSERT INTO invoice (tenant_id, id) VALUES ROW(7, 1), ROW(8, 2)", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (7, 1)", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7 + 1)", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, '7' '8')", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 0x37)", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, @t)", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, DEFAULT)", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, (SELECT 8))", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7), (2)", "block"],
  ["INSERT INTO invoice (id) VALUES (1)", "block"],
  ["INSERT INTO invoice VALUES (1, 7)", "block"],
  ["INSERT INTO invoice () VALUES ()", "block"],
  ["INSERT INTO invoice SET id = 1, tenant_id = 8", "block"],
  ["INSERT INTO invoice SET id = 1", "block"],
  ["REPLACE INTO invoice (id, tenant_id) VALUES (1, 8)", "block"],
  ["REPLACE invoice SET id = 1, tenant_id = 8", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7) ON DUPLICATE KEY UPDATE tenant_id = 7", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7) ON DUPLICATE KEY UPDATE id = 1, invoice.tenant_id = 8", "block"],
  ["INSERT INTO invoice (id, tenant_id) SELECT id, 8 FROM book", "block"],
  ["INSERT INTO invoice (id, tenant_id) TABLE book", "block"],
  ["INSERT INTO invoice (tenant_id, id) VALUES ROW(7, 1) UNION SELECT 8, 2", "block"],
  ["INSERT INTO invoice (tenant_id, id) (VALUES ROW(8, 1))", "block"],
  [`INSERT INTO invoice (id, tenant_id) VALUES ${rows(400, (id) => `(${id}, ${id === 399 ? 8 : 7})`)}`, "block"],
  [`INSERT INTO invoice (id, tenant_id) VALUES ${rows(101, (id) => `(${id}, ${id === 100 ? "7+1" : 7})`)}`, "block"],
] as const) {
  test(`the tenant rule with a value says ${action}: ${sql.slice(0, 120)}${sql.length > 120 ? " …" : ""}`, () => {
    const decision = decideText(sql, { policy: VALUED, subject: { schema: "shop" } });
    assert.equal(decision.enforcedAction, action, decision.reason);
    assert.equal(decision.isCacheable, false);
  });
}

test("the tenant rule knows that \\_ in a string is two characters", () => {
  const policy = "tenants: [{ tables: [invoice], column: tenant_id, value: a_b }]";
  const actionOf = (value: string): string =>
    decideText(`SELECT id FROM invoice WHERE tenant_id = ${value}`, { policy, subject: { schema: "shop" } })
      .enforcedAction;
  assert.equal(actionOf("'a_b'"), "allow");
  assert.equal(actionOf("'a\\_b'"), "block");
});
