import assert from "node:assert/strict";
import { test } from "node:test";
import type { MysqlContext } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";
import { analyzeDigest, isPerhapsCut } from "../../src/sql/mysql/digest-text.ts";

const CONTEXT: MysqlContext = {
  engine: "mysql",
  dialect: "mysql",
  serverVersion: 80400,
  sqlMode: 0,
  charset: "utf8mb4",
  schema: undefined,
  multiStatements: true,
};

const factsOf = (sql: string) => analyze(new TextEncoder().encode(sql), CONTEXT);

for (const sql of [
  "SELECT COUNT(*), `a``b`, 'x' FROM `s`.`t` WHERE id IN (1,2) AND (a, b) IN ((1, 2), (3, 4)) LIMIT 0, 5",
  "INSERT INTO t (a, b) VALUES (1, 2), (3, 4)",
  "INSERT INTO t VALUES (1), (2)",
  "SET @a = 1, @@session.sql_mode = ''",
  "SELECT @@version_comment, _utf8mb4'x', SUBSTRING(a, 1) FROM t ORDER BY 1",
  "CREATE USER 'a'@'b' IDENTIFIED BY 'c'",
  "CREATE TABLE t (a TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP(), b DATE DEFAULT (CURRENT_DATE))",
  "KILL 7",
  "SELECT /*+ MAX_EXECUTION_TIME(1000) */ 1",
]) {
  test(`analyzeDigest() finds in the digest what is in ${sql}`, () => {
    const facts = factsOf(sql);
    const read = analyzeDigest(facts.digest, CONTEXT);
    assert.equal(read?.digest, facts.digest);
    const tell = ({ statements }: typeof facts) =>
      statements.map(({ kind, tablesRead, tablesWritten }) => [
        kind,
        tablesRead.map(({ table }) => table),
        tablesWritten.map(({ table }) => table),
      ]);
    assert.deepEqual(tell(read ?? facts), tell(facts));
  });
}

for (const cut of ["", "SELECT `a` , ...", "SELECT `a` FROM `t", "SELECT (unknown)"]) {
  test(`analyzeDigest() does not know what ${JSON.stringify(cut)} does`, () => {
    const read = analyzeDigest(cut, CONTEXT);
    assert.ok(read === undefined || read.statements.every(({ kind }) => kind === "empty"));
  });
}

test("isPerhapsCut() goes by the room that the server has for tokens", () => {
  assert.equal(isPerhapsCut("SELECT `id` FROM `t` LIMIT ?, ...", 1024), false);
  assert.equal(isPerhapsCut("SELECT `id` FROM `t` ...", 1024), true);
  const long = `SELECT ${Array.from({ length: 500 }, () => "?").join(" + ")}`;
  assert.equal(isPerhapsCut(long, 1024), true);
  assert.equal(isPerhapsCut(long, 65536), false);
});
