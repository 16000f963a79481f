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
  "SELECT i.id FROM invoice i JOIN item t ON i.tenant_id = t.tenant_id WHERE i.tenant_id = 7",
  "SELECT i.id FROM invoice i JOIN item t ON i.tenant_id = t.tenant_id AND t.tenant_id = 7",
  "SELECT i.id FROM book b LEFT JOIN invoice i ON i.book = b.id AND i.tenant_id = 7",
  "SELECT i.id FROM invoice i LEFT JOIN item t ON t.tenant_id = i.tenant_id AND t.invoice = i.id WHERE i.tenant_id = 7",
  "SELECT i.id FROM invoice i LEFT JOIN (item t JOIN book b ON b.id = t.book) ON t.tenant_id = 7 WHERE i.tenant_id = 7",
  "SELECT i.id FROM item t RIGHT JOIN invoice i ON t.tenant_id = i.tenant_id WHERE i.tenant_id = 7",
  "SELECT id FROM shop.invoice JOIN other.invoice ON invoice.id = 1 WHERE shop.invoice.tenant_id = 7 AND other.invoice.tenant_id = 7",
  "SELECT id FROM shop.invoice WHERE shop.invoice.tenant_id = 7",
  "SELECT (SELECT MAX(t.price) FROM item t WHERE t.tenant_id = i.tenant_id) FROM invoice i WHERE i.tenant_id = 7",
  "SELECT i.id FROM invoice i JOIN (SELECT 7 AS tenant_id) d ON d.tenant_id = i.tenant_id WHERE i.tenant_id = 7",
  "WITH x AS (SELECT * FROM invoice WHERE tenant_id = 7) SELECT * FROM x JOIN item ON item.tenant_id = 7",
  "SELECT i.id FROM invoice i, JSON_TABLE(i.doc, '$' COLUMNS (a INT PATH '$')) AS j WHERE i.tenant_id = 7",
  "SET @x = (SELECT MAX(total) FROM invoice WHERE tenant_id = 7)",
  "EXPLAIN SELECT id FROM invoice WHERE tenant_id = 7",
  "SHOW COLUMNS FROM invoice",
  "DESCRIBE invoice",
  "CREATE TABLE IF NOT EXISTS invoice (id INT, tenant_id INT)",
  "CREATE INDEX i ON invoice (tenant_id)",
  "CREATE VIEW v AS SELECT id FROM invoice WHERE tenant_id = 7",
  "CREATE PROCEDURE p(n INT) SELECT id FROM invoice WHERE tenant_id = 7 AND id = n",
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
  // Another source may be meant.
  "SELECT A.* FROM invoice AS A JOIN (SELECT 7 AS tenant_id) AS a WHERE a.tenant_id = 7",
  "SELECT A.* FROM invoice AS A JOIN (SELECT 7 AS tenant_id) AS a WHERE A.tenant_id = 7",
  "SELECT b.* FROM invoice AS b JOIN ((SELECT 7 AS tenant_id)) AS B WHERE B.tenant_id = 7",
  "WITH a AS (SELECT 7 AS tenant_id) SELECT A.* FROM invoice AS A, a WHERE a.tenant_id = 7",
  "SELECT A.* FROM invoice AS A, JSON_TABLE('[7]', '$[*]' COLUMNS (tenant_id INT PATH '$')) AS a WHERE a.tenant_id = 7",
  "SELECT invoice.id FROM invoice JOIN other.invoice WHERE other.invoice.tenant_id = 7",
  "SELECT * FROM shop.invoice JOIN other.invoice WHERE invoice.tenant_id = 7",
  "SELECT id FROM shop.invoice WHERE other.invoice.tenant_id = 7",
  "SELECT é.* FROM invoice AS é JOIN (SELECT 7 AS tenant_id) AS e WHERE e.tenant_id = 7",
  "SELECT id FROM invoice JOIN (SELECT 1 AS x) d WHERE tenant_id = 7",
  "SELECT id FROM book b WHERE EXISTS (SELECT 1 FROM invoice B WHERE b.tenant_id = 7)",
  "SELECT id FROM item o WHERE o.tenant_id = 7 AND EXISTS (SELECT 1 FROM invoice O WHERE o.tenant_id = 7)",
  "UPDATE invoice AS A JOIN (SELECT 7 AS tenant_id) AS a SET A.total = 0 WHERE a.tenant_id = 7",
  "DELETE A FROM invoice AS A JOIN (SELECT 7 AS tenant_id) AS a WHERE a.tenant_id = 7",
  "SELECT id FROM invoice WHERE tenant_İd = 7",
  // Not a condition of every row.
  "SELECT i.id FROM invoice i LEFT JOIN item t ON i.tenant_id = 7 AND t.tenant_id = 7",
  "SELECT i.id FROM invoice i LEFT JOIN (book x JOIN book y ON x.id = y.id) ON i.tenant_id = 7",
  "SELECT i.id FROM invoice i LEFT JOIN book x JOIN book y ON x.id = y.id ON i.tenant_id = 7",
  "SELECT i.id FROM invoice i LEFT JOIN (SELECT 1 AS n FROM book x JOIN book y) d ON i.tenant_id = 7",
  "SELECT i.id FROM invoice i LEFT JOIN book b ON (i.tenant_id = 7)",
  "SELECT i.id FROM book b RIGHT JOIN invoice i ON i.tenant_id = 7",
  "SELECT i.id FROM {OJ invoice i LEFT OUTER JOIN book b ON i.tenant_id = 7}",
  "SELECT i.id FROM invoice i LEFT JOIN item t ON t.tenant_id = i.tenant_id AND t.tenant_id = 7",
  "SELECT id FROM item i JOIN invoice o LEFT JOIN book b ON i.tenant_id = 7 AND o.tenant_id = 7 ON 1 WHERE 1",
  "SELECT id FROM invoice WHERE NOT NOT tenant_id = 1",
  "SELECT id FROM invoice WHERE tenant_id IN (7, 8)",
  "SELECT id FROM invoice WHERE (tenant_id, 1) IN ((7, 1), (8, 1))",
  "SELECT id FROM invoice HAVING tenant_id = 7",
  "SELECT id FROM invoice ORDER BY tenant_id = 7",
  "SELECT id FROM invoice WHERE CASE WHEN tenant_id = 7 THEN 1 ELSE 1 END",
  "SELECT id FROM invoice WHERE x BETWEEN 0 AND tenant_id = 7",
  "SELECT id FROM invoice WHERE 1 XOR tenant_id = 7",
  // A name that hides the column.
  "CREATE PROCEDURE p() BEGIN DECLARE tenant_id INT DEFAULT 7; SELECT * FROM invoice WHERE tenant_id = 7; END",
  "CREATE PROCEDURE p(tenant_id INT) SELECT * FROM invoice WHERE tenant_id = 7",
  "CREATE PROCEDURE p(IN tenant_ıd INT) SELECT * FROM invoice WHERE tenant_id = 7",
  // Plans show values.
  "EXPLAIN FORMAT=JSON SELECT total FROM invoice WHERE id = 3",
  "EXPLAIN EXTENDED SELECT total FROM invoice WHERE id = 3",
  "EXPLAIN UPDATE invoice SET total = 0 WHERE id = 3",
  "EXPLAIN FORMAT=JSON FOR CONNECTION 5",
  "DESC SELECT total FROM invoice WHERE id = 3",
  "SELECT * FROM information_schema.optimizer_trace",
  "SELECT * FROM information_schema.COLUMN_STATISTICS WHERE table_name = 'invoice'",
  "SELECT * FROM information_schema.column_statistics WHERE table_name = 'book' OR 1",
  "SHOW ENGINE INNODB STATUS",
  "SELECT lock_data FROM performance_schema.data_locks",
  // The name or everybody's rows change.
  "ALTER TABLE invoice RENAME TO o2",
  "ALTER TABLE invoice RENAME COLUMN tenant_id TO t2",
  "ALTER TABLE invoice CHANGE tenant_id t2 INT",
  "ALTER TABLE invoice DROP COLUMN tenant_id",
  "ALTER TABLE book EXCHANGE PARTITION p0 WITH TABLE invoice",
  "ALTER IGNORE TABLE invoice ADD UNIQUE (total)",
  "RENAME TABLE invoice TO o2",
  "RENAME TABLE book TO o2, o2 TO invoice",
  "DROP TABLE invoice",
  "DROP DATABASE shop",
  "CREATE OR REPLACE TABLE invoice (id INT)",
  "CREATE TEMPORARY TABLE invoice (id INT, tenant_id VARCHAR(9))",
  "CREATE OR REPLACE VIEW invoice AS SELECT 1 AS id, 7 AS tenant_id",
  "CREATE TABLE m (id INT) ENGINE=MERGE UNION=(invoice)",
  "CREATE TRIGGER t BEFORE UPDATE ON invoice FOR EACH ROW SET @x = OLD.total",
  "ANALYZE TABLE invoice UPDATE HISTOGRAM ON total",
  "HANDLER invoice OPEN",
  "CALL sys.create_synonym_db('shop', 'x')",
  "CALL sys.diagnostics(1, 1, 'current')",
  "GRANT SELECT ON invoice TO x",
  "CHECKSUM TABLE invoice",
  // Another row's values.
  "INSERT INTO invoice (id, tenant_id) VALUES (1, 7) ON DUPLICATE KEY UPDATE total = total RETURNING *",
  "REPLACE INTO invoice (id, tenant_id) VALUES (1, 7) RETURNING *",
  "INSERT INTO invoice (id, tenant_id) VALUES (1, 7) ON DUPLICATE KEY UPDATE tenant_İd = 8",
  "UPDATE invoice SET tenant_İd = 8 WHERE tenant_id = 7",
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

const TEXT_VALUED = 'tenants: [{ tables: [invoice, item], column: tenant_id, value: "7" }]';

for (const [sql, action] of [
  ["SELECT id FROM invoice WHERE tenant_id = '7'", "allow"],
  ["SELECT id FROM invoice WHERE '7' = tenant_id", "allow"],
  ["SELECT id FROM invoice WHERE tenant_id = 7", "block"],
  ["SELECT id FROM invoice WHERE 7 = tenant_id", "block"],
  ["SELECT id FROM invoice WHERE tenant_id = '7 '", "block"],
  ["SELECT id FROM invoice WHERE tenant_id = _utf16'7'", "block"],
  ["SELECT id FROM invoice WHERE tenant_id = '7' COLLATE utf8mb4_general_ci", "block"],
  ["SELECT id FROM invoice WHERE tenant_id = 7.0", "block"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, '7')", "allow"],
  ["INSERT INTO invoice (id, tenant_id) VALUES (1, 7)", "block"],
] as const) {
  test(`the tenant rule with a string as value says ${action}: ${sql}`, () => {
    assert.equal(decideText(sql, { policy: TEXT_VALUED, subject: { schema: "shop" } }).enforcedAction, action);
  });
}

for (const [value, action] of [
  [7, "block"],
  [7n, "block"],
  ["7", "allow"],
] as const) {
  test(`the tenant rule with a string as value says ${action} when the ${typeof value} ${value} is bound`, () => {
    const values = [value];
    const sql = "SELECT id FROM invoice WHERE tenant_id = ?";
    assert.equal(decideText(sql, { policy: TEXT_VALUED, values }).enforcedAction, action);
  });
}

test("a tenant beyond ASCII is its own only where the session's charset says so", () => {
  const policy = "tenants: [{ tables: [invoice], column: tenant_id, value: müller }]";
  const actionOf = (charset: string): string =>
    decideText("SELECT id FROM invoice WHERE tenant_id = 'müller'", { policy, context: { charset } }).enforcedAction;
  assert.equal(actionOf("utf8mb4"), "allow");
  assert.equal(actionOf("latin1"), "block");
});
