import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MysqlContext } from "../../src/sql/facts.ts";
import { lexForCache } from "../../src/sql/mysql/analyze.ts";

const CONTEXT: MysqlContext = {
  engine: "mysql",
  dialect: "mysql",
  serverVersion: 90704,
  sqlMode: 0,
  charset: "utf8mb4",
  schema: "app",
  multiStatements: true,
};

const keyOf = (sql: string, changes: Partial<MysqlContext> = {}): string | undefined =>
  lexForCache(Buffer.from(sql), { ...CONTEXT, ...changes }).key;

/** Rows of texts with the same key; no two rows share one. */
const SHAPES: readonly (readonly string[])[] = [
  // The size of a number
  ["SELECT a FROM t LIMIT 0", "SELECT a FROM t LIMIT 00"],
  ["SELECT a FROM t LIMIT 1"],
  ["SELECT a FROM t LIMIT 2", "SELECT a FROM t LIMIT 1000", "select a from t limit 999"],
  ["SELECT a FROM t LIMIT 1001", "SELECT a FROM t LIMIT 10000"],
  ["SELECT a FROM t LIMIT 10001", "SELECT a FROM t LIMIT 999999999", "SELECT a FROM t LIMIT 1000000000"],
  ["SELECT a FROM t LIMIT ?"],
  // What a string begins with
  ["SELECT a FROM t WHERE b LIKE ''"],
  ["SELECT a FROM t WHERE b LIKE 'x'", "SELECT a FROM t WHERE b LIKE 'x%'", 'SELECT a FROM t WHERE b LIKE "yz"'],
  ["SELECT a FROM t WHERE b LIKE '%x'", "SELECT a FROM t WHERE b LIKE '_'", "SELECT a FROM t WHERE b LIKE '%_%'"],
  ["SELECT a FROM t WHERE b LIKE '%'", "SELECT a FROM t WHERE b LIKE '%%%'"],
  ["SELECT a FROM t WHERE b LIKE 1.5", "SELECT a FROM t WHERE b LIKE 1e5"],
  ["SELECT a FROM t WHERE b LIKE NULL"],
  ["SELECT a FROM t WHERE b LIKE 5"],
  // Literals that are compared with each other
  ["SELECT a FROM t WHERE 'a' = 'a'", "SELECT a FROM t WHERE 'bc' = 'bc'"],
  ["SELECT a FROM t WHERE 'a' = 'b'", "SELECT a FROM t WHERE 'a' = 'bc'", "SELECT a FROM t WHERE 'ab' = 'ac'"],
  // Lists
  ["SELECT a FROM t WHERE b IN (5, 6)", "SELECT a FROM t WHERE b IN (7, 8, 9, 10)"],
  ["SELECT a FROM t WHERE b IN (5, 'x')", "SELECT a FROM t WHERE b IN (6, 'y', 7)"],
  ["SELECT a FROM t WHERE b IN (5, 0)", "SELECT a FROM t WHERE b IN (5, 0, 0)"],
  [`SELECT a FROM t WHERE b IN (5${", 6".repeat(1000)})`, `SELECT a FROM t WHERE b IN (5${", 6".repeat(1100)})`],
  ["INSERT INTO t (a, b) VALUES (5, 'x')"],
  ["INSERT INTO t (a, b) VALUES (5, 'x'), (6, 'y')", "INSERT INTO t (a, b) VALUES (5, 'x'), (6, 'y'), (7, 'z')"],
  // Names that the digest does not show, and the case of words that may be names
  ["SELECT a FROM t WHERE b = @x"],
  ["SELECT a FROM t WHERE b = @y"],
  ["SELECT a FROM t WHERE b = _utf8mb4'x'", "SELECT a FROM t WHERE b = _utf8mb4'y'"],
  ["SELECT a FROM t WHERE b = _latin1'x'"],
  ["SELECT status FROM t WHERE b = 5"],
  ["SELECT STATUS FROM t WHERE b = 5"],
  ["SELECT Status FROM t WHERE b = 5"],
  ["SELECT sTatus FROM t WHERE b = 5"],
  // Comments around the statement
  ["SELECT 5 FROM t", "SELECT 7 FROM t ;", "SELECT  6\nFROM t"],
  ["/* a */ SELECT 5 FROM t", "SELECT 5 FROM t /* b */"],
  ["/* a */ SELECT 5 FROM t /* b */"],
  // Everything else by its whole text
  ["SHOW TABLES"],
  ["show tables"],
  ["BEGIN"],
];

const NO_KEY: readonly (readonly [sql: string, changes?: Partial<MysqlContext>])[] = [
  [""],
  ["SELECT a FROM t WHERE b = 'it''s'"],
  ["SELECT a FROM t WHERE b = 'a\\nb'"],
  ["SELECT a FROM t WHERE b = 0x41"],
  ["SELECT a FROM t WHERE b = b'01'"],
  ["SELECT a FROM t WHERE b = N'x'"],
  ["SELECT a /* b */ FROM t"],
  ["SELECT a FROM t -- b"],
  ["SELECT a FROM t # b"],
  ["SELECT a FROM t /*!50000 WHERE b = 1 */"],
  ["SELECT 1; SELECT 2"],
  ["SELECT 1; x"],
  ["SELECT 1;;"],
  ["SELECT 'a"],
  ["SELECT 1.union SELECT 2"],
  [`SHOW TABLES LIKE '${"x".repeat(512)}'`],
  [`SELECT a FROM t WHERE b = '${"x".repeat(65_536)}'`],
  [`SELECT ${"a1234567, ".repeat(1_000)}b FROM t`],
  ["SELECT 1", { sqlMode: "unknown" }],
  ["SELECT 1", { charset: "unknown" }],
  ["SELECT 1", { dialect: "unknown" }],
  ["SELECT 1", { dialect: "vitess" }],
];

describe("lexForCache()", () => {
  const seen = new Map<string, string>();
  for (const row of SHAPES) {
    it(`gives one key to ${row.map((sql) => sql.slice(0, 70)).join(" and to ")}`, () => {
      const keys = new Set(row.map((sql) => keyOf(sql)));
      assert.equal(keys.size, 1);
      const [key] = keys;
      assert.ok(key !== undefined);
      assert.equal(seen.get(key), undefined);
      seen.set(key, row[0] ?? "");
    });
  }

  for (const [sql, changes] of NO_KEY) {
    const shown = `${JSON.stringify(sql.slice(0, 60))}${changes === undefined ? "" : ` with ${JSON.stringify(changes)}`}`;
    it(`gives no key to ${shown}`, () => assert.equal(keyOf(sql, changes), undefined));
  }

  it("gives a key to whole texts of 512 bytes and to long statements", () => {
    assert.ok(keyOf(`SHOW TABLES LIKE '${"x".repeat(512 - 19)}'`) !== undefined);
    assert.ok(keyOf(`SELECT a FROM t WHERE b = '${"x".repeat(65_000)}'`) !== undefined);
    assert.ok(keyOf(`SELECT ${"a1234567, ".repeat(300)}b FROM t`) !== undefined);
  });

  it("tells more than a hundred comments around a statement apart from fewer only up to there", () => {
    assert.notEqual(keyOf(`${"/**/".repeat(98)}SELECT 5`), keyOf(`${"/**/".repeat(99)}SELECT 5`));
    assert.equal(keyOf(`${"/**/".repeat(100)}SELECT 5`), keyOf(`${"/**/".repeat(150)}SELECT 5`));
  });
});
