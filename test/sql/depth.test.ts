/** Texts with more levels than are followed: the walk must come to an end whatever opens them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { DEPTH_MAX } from "../../src/sql/mysql/queries/walker.ts";

const HEADS = [
  "SELECT ",
  "SELECT a FROM t WHERE ",
  "SELECT * FROM ",
  "INSERT INTO t SELECT ",
  "INSERT INTO t VALUES ",
  "UPDATE t SET a = ",
  "SET @a = ",
  "DO ",
  "CALL p",
  "CREATE TABLE t AS ",
  "CREATE VIEW v AS ",
  "CREATE PROCEDURE p() SELECT ",
  "CREATE PROCEDURE p() BEGIN IF ",
  "ALTER TABLE t ADD c INT DEFAULT ",
  "SHOW TABLES WHERE ",
  "WITH c AS ",
  "EXPLAIN ",
  "KILL ",
  "SIGNAL SQLSTATE '1' SET MESSAGE_TEXT = ",
  "FROBNICATE ",
  "",
];

const LEVELS = [
  ["(", ")"],
  ["(SELECT ", ")"],
  ["(SELECT * FROM ", ") x"],
  ["f(", ")"],
  ["EXISTS (SELECT ", ")"],
  ["a IN (SELECT ", ")"],
  ["(VALUES ROW(", "))"],
  ["(WITH c AS (SELECT ", ") SELECT 1)"],
  ["t JOIN (", ")"],
  ["JSON_TABLE(", ", '$' COLUMNS (a INT PATH '$')) j"],
] as const;

for (const dialect of ["mysql", "mariadb"] as const) {
  test(`analyze() ends, also on ${dialect} texts of too many levels, and reads the statement behind them`, () => {
    const context = { ...contextFor({}), dialect, serverVersion: dialect === "mysql" ? 90704 : 110800 };
    for (const head of HEADS) {
      for (const [open, close] of LEVELS) {
        const nested = `${head}${open.repeat(DEPTH_MAX + 3)}1`;
        for (const text of [nested, `${nested}${close.repeat(DEPTH_MAX + 3)}; DROP TABLE t`]) {
          const { understood, statements } = analyze(Buffer.from(text), { ...context, multiStatements: true });
          const what = `${head}${open}`;
          if (head === "SELECT ") assert.equal(understood, false, what);
          if (text !== nested && head !== "CREATE PROCEDURE p() BEGIN IF ") {
            assert.equal(statements.at(-1)?.kind, "drop-table", what);
          }
        }
      }
    }
  });
}
