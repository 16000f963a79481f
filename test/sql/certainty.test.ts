/** What a statement of a packet does to the reading of those behind it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { Analysis, MysqlContext } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";

interface Case {
  readonly sql: string;
  readonly dialect?: "mysql" | "mariadb";
  readonly context?: Partial<MysqlContext>;
}

/** Bytes as written: latin1 spells any. */
function analyzed({ sql, dialect = "mysql", context = {} }: Case): Analysis {
  return analyze(Buffer.from(sql, "latin1"), { ...contextFor({ schema: "app", dialect }), ...context });
}

const kindsOf = ({ readings }: Analysis): string[] => [
  ...new Set(readings.flatMap(({ statements }) => statements.map(({ kind }) => kind))),
];

const DROP = "SELECT '\\'; DROP DATABASE v; -- '";

const HIDDEN: readonly Case[] = [
  { sql: `SET sql_mode='NO_BACKSLASH_ESCAPES'; ${DROP}` },
  { sql: `SET @x='\\'', sql_mode='NO_BACKSLASH_ESCAPES'; ${DROP}` },
  { sql: `SELECT 'a\\'b'; SET @@session.sql_mode=0x100000; ${DROP}` },
  { sql: `SET sql_mode=1048576; ${DROP}` },
  { sql: `SET sql_mode=(SELECT 'x'); ${DROP}` },
  { sql: `SET sql_mode=@saved; ${DROP}` },
  { sql: `/*!50000 SET sql_mode='NO_BACKSLASH_ESCAPES' */; ${DROP}` },
  { sql: `PREPARE a FROM 'SET sql_mode=1048576'; EXECUTE a; ${DROP}` },
  { sql: `CALL p(); ${DROP}` },
  { sql: `SET @s=@@sql_mode; INSERT INTO t VALUES (1); SET sql_mode=@s; ${DROP}` },
  { sql: `SET @s=@@sql_mode; SET @s=1048576; SET sql_mode=@s; ${DROP}` },
  { sql: `SET sql_mode='ANSI_QUOTES'; SET sql_mode='NO_BACKSLASH_ESCAPES'; ${DROP}` },
  { sql: `EXECUTE IMMEDIATE 'SET sql_mode=1048576'; ${DROP}`, dialect: "mariadb" },
  { sql: `EXECUTE IMMEDIATE @s; ${DROP}`, dialect: "mariadb" },
  { sql: `BEGIN NOT ATOMIC SET sql_mode=1048576; END; ${DROP}`, dialect: "mariadb" },
  { sql: `IF 1 THEN SET sql_mode=1048576; END IF; ${DROP}`, dialect: "mariadb" },
  { sql: `SET STATEMENT sql_mode='' FOR SET sql_mode=1048576; ${DROP}`, dialect: "mariadb" },
];

for (const hidden of HIDDEN) {
  test(`analyze() sees what is hidden behind ${hidden.sql}`, () => {
    assert.ok(kindsOf(analyzed(hidden)).includes("drop-schema"));
  });
}

const TABLES: readonly (readonly [table: string, ...Case[]])[] = [
  [
    "app.secret",
    { sql: "SET NAMES latin1; SELECT data AS x\xa0FROM secret" },
    { sql: "SET character_set_client='latin1'; SELECT data AS x\xa0FROM secret" },
    { sql: "SET CHARACTER SET latin1; SELECT data AS x\xa0FROM secret" },
    { sql: 'SET sql_mode=\'ANSI_QUOTES\'; SELECT "a\\" FROM secret -- "' },
    { sql: "EXECUTE IMMEDIATE 'SELECT 1'; SELECT * FROM secret", dialect: "mariadb" },
  ],
  ["qc.secret", { sql: "EXECUTE IMMEDIATE 'USE qc'; SELECT * FROM secret", dialect: "mariadb" }],
  [
    "undefined.secret",
    { sql: "EXECUTE u; SELECT * FROM secret", dialect: "mariadb" },
    { sql: "SET STATEMENT session_track_schema=OFF FOR USE qc; SELECT * FROM secret", dialect: "mariadb" },
    { sql: "CALL u(); SELECT * FROM secret" },
    { sql: "DROP DATABASE app; SELECT * FROM secret" },
    { sql: "CALL sys.execute_prepared_stmt('SELECT * FROM secret')" },
    {
      sql: "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'USE qc'; EXECUTE IMMEDIATE 'SELECT * FROM secret'; END",
      dialect: "mariadb",
    },
  ],
];

for (const [table, ...cases] of TABLES) {
  for (const one of cases) {
    test(`analyze() finds ${table} in ${JSON.stringify(one.sql)}`, () => {
      const tables = analyzed(one).readings.flatMap(({ statements }) =>
        statements.flatMap(({ tablesRead }) => tablesRead.map(({ schema, table: name }) => `${schema}.${name}`)),
      );
      assert.ok(tables.includes(table), tables.join());
    });
  }
}

const DOUBTFUL: readonly Case[] = [
  { sql: "PREPARE p FROM 'SELECT data AS x\xe0FROM secret'", context: { charset: "latin1" } },
  { sql: "PREPARE p FROM 'SELECT \xe0'", context: { charset: "utf8mb4", connectionCharset: "latin1" } },
  { sql: "PREPARE p FROM 'SELECT ''\xa0\\\\y'''", context: { charset: "euckr" } },
  { sql: "PREPARE p FROM 'SELECT ''x\\\\y'''", context: { connectionCharset: "swe7" } },
  { sql: "PREPARE p FROM 'SELECT `x`'", context: { connectionCharset: "unknown" } },
  { sql: "SET character_set_connection=swe7; PREPARE p FROM 'SELECT `x`'" },
  { sql: "SET collation_connection='sjis_japanese_ci'; PREPARE p FROM 'SELECT `x`'" },
  { sql: "BEGIN NOT ATOMIC SET sql_mode=4; EXECUTE IMMEDIATE 'SELECT \"x\"'; END", dialect: "mariadb" },
  { sql: "SET STATEMENT sql_mode=1048576 FOR EXECUTE IMMEDIATE 'SELECT ''\\\\y'''", dialect: "mariadb" },
];

for (const one of DOUBTFUL) {
  test(`analyze() does not vouch for a literal that servers may read otherwise: ${JSON.stringify(one)}`, () => {
    assert.equal(analyzed(one).notUnderstood?.reason, "text-in-doubt");
  });
}

const CERTAIN: readonly Case[] = [
  { sql: "PREPARE p FROM 'SELECT ''gr\xc3\xbc\xc3\x9fe'''" },
  { sql: "PREPARE p FROM 'SELECT ''x'', `y`, \"z\"'", context: { charset: "latin1" } },
  { sql: "PREPARE p FROM 'SELECT x'", context: { charset: "latin1", connectionCharset: "swe7" } },
  { sql: "BEGIN NOT ATOMIC SET sql_mode=4; EXECUTE IMMEDIATE 'SELECT 1'; END", dialect: "mariadb" },
  {
    sql:
      "SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO'; SET NAMES utf8; SET @c = @@character_set_client; " +
      "SET character_set_client = utf8mb4; CREATE TABLE t (a INT); SET character_set_client = @c; " +
      "/*!40101 SET SQL_MODE=@OLD_SQL_MODE */; INSERT INTO t VALUES ('it\\'s \"so\"')",
  },
];

for (const one of CERTAIN) {
  test(`analyze() is certain of ${JSON.stringify(one.sql)}`, () => {
    const { understood, readings } = analyzed(one);
    assert.deepEqual([understood, readings.length], [true, 1]);
  });
}

test("analyze() places what is read anew by the bytes of the whole text", () => {
  const sql = "SELECT 1 FROM a; SET sql_mode='ANSI_QUOTES'; SELECT 2 FROM \"b\" WHERE x = 'y'";
  const { statements, digest } = analyzed({ sql });
  assert.deepEqual(
    statements.map(({ start, end, packetIndex }) => [sql.slice(start, end), packetIndex]),
    sql.split("; ").map((text, index) => [text, index]),
  );
  const table = statements[2]?.tablesRead[0];
  assert.equal(table && sql.slice(table.start, table.end), '"b"');
  assert.equal(digest, "SELECT ? FROM `a` ; SET `sql_mode` = ? ; SELECT ? FROM `b` WHERE `x` = ?");
});

test("analyze() reads a packet that changes its settings all the time only so often", () => {
  const flips = "SET sql_mode='ANSI_QUOTES'; SELECT \"a\"; SET sql_mode=''; SELECT 'b'; ";
  const { notUnderstood, ambiguities } = analyze(Buffer.from(flips.repeat(150)), contextFor({}));
  assert.equal(notUnderstood?.reason, "budget-exceeded");
  assert.deepEqual(ambiguities, ["too-many-readings"]);
});
