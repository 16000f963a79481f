import assert from "node:assert/strict";
import { test } from "node:test";
import { isChange, isExecuted } from "../../src/policy/rules/effects.ts";
import { contextFor } from "../../src/policy/tools/tool-context.ts";
import type { Dialect, MysqlContext, MysqlStatementKind, StatementKind } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";

type Example = string | { readonly sql: string; readonly dialect: Dialect };
const mariadb = (sql: string): Example => ({ sql, dialect: "mariadb" });
const vitess = (sql: string): Example => ({ sql, dialect: "vitess" });

/** Every kind there is; what stands only inside stored code is found there. A kind without example does not compile. */
const EXAMPLES: { readonly [Kind in MysqlStatementKind]: readonly Example[] } = {
  unknown: ["FROBNICATE t"],
  empty: ["", "/* nothing */"],
  select: [
    "SELECT 1",
    "(SELECT a FROM t)",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "SELECT id FROM t RETURNING WHERE id = 3",
    mariadb("SELECT id FROM t OFFSET 1 ROW FETCH FIRST 2 ROWS ONLY"),
    mariadb("(SELECT id FROM t) OFFSET 1 ROW FETCH FIRST 2 ROWS ONLY"),
    mariadb("SELECT id FROM t AS x WHERE id > ? OFFSET ? ROWS"),
    mariadb("WITH RECURSIVE c AS (SELECT 1 AS n UNION SELECT n+1 FROM c) CYCLE n RESTRICT SELECT n FROM c"),
    mariadb("WITH RECURSIVE c AS (SELECT 1 n, 2 m) CYCLE n, m RESTRICT, d AS (SELECT 1) SELECT n FROM c, d"),
    mariadb("SELECT * FROM window WHERE id = 3"),
    mariadb("SELECT id, RANK() OVER w FROM t window WINDOW w AS (ORDER BY id)"),
    mariadb("SELECT schema.id FROM schema JOIN option ON schema.id = option.id"),
    mariadb("SELECT id FROM t AS database WHERE id = 3"),
  ],
  table: ["TABLE t ORDER BY a LIMIT 1"],
  values: ["VALUES ROW(1, 2), ROW(3, 4)"],
  do: ["DO SLEEP(1)"],
  "handler-open": ["HANDLER t OPEN AS h"],
  "handler-read": ["HANDLER h READ NEXT"],
  "handler-close": ["HANDLER h CLOSE"],
  show: ["SHOW GLOBAL STATUS LIKE 'a%'", "SHOW FULL COLUMNS FROM t", "SHOW CREATE TABLE t", "SHOW BINARY LOG STATUS"],
  describe: ["DESCRIBE t a", "EXPLAIN t"],
  explain: ["EXPLAIN FORMAT=JSON SELECT 1", "EXPLAIN FOR CONNECTION 5"],
  help: ["HELP 'select'"],
  use: ["USE shop"],
  insert: ["INSERT INTO t (a) VALUES (1), (2)", "INSERT LOW_PRIORITY IGNORE t SET a = 1"],
  "insert-select": ["INSERT INTO t SELECT * FROM u"],
  replace: ["REPLACE INTO t VALUES (1)"],
  "replace-select": ["REPLACE t (a) SELECT b FROM u"],
  update: ["UPDATE t SET a = 1 WHERE b = 2 LIMIT 3"],
  "update-multi": ["UPDATE t JOIN u ON t.a = u.a SET t.b = 1"],
  delete: ["DELETE FROM t WHERE a = 1"],
  "delete-multi": ["DELETE t, u FROM t JOIN u ON t.a = u.a", "DELETE FROM t USING t JOIN u ON t.a = u.a"],
  "load-data": ["LOAD DATA LOCAL INFILE 'f' INTO TABLE t"],
  "load-xml": ["LOAD XML INFILE 'f' INTO TABLE t ROWS IDENTIFIED BY '<r>'"],
  "import-table": ["IMPORT TABLE FROM '/tmp/t.sdi'"],
  call: ["CALL shop.close_month(1, @out)"],
  truncate: ["TRUNCATE TABLE t"],
  "create-table": ["CREATE TEMPORARY TABLE IF NOT EXISTS t (a INT)", "CREATE TABLE t LIKE u"],
  "create-index": ["CREATE UNIQUE INDEX i ON t (a DESC)"],
  "create-view": ["CREATE OR REPLACE SQL SECURITY INVOKER VIEW v AS SELECT 1"],
  "create-schema": ["CREATE DATABASE s", "CREATE SCHEMA IF NOT EXISTS s CHARACTER SET utf8mb4"],
  "create-procedure": ["CREATE PROCEDURE p(IN a INT) SELECT a"],
  "create-function": ["CREATE FUNCTION f(a INT) RETURNS INT DETERMINISTIC RETURN a + 1"],
  "create-loadable-function": ["CREATE AGGREGATE FUNCTION f RETURNS REAL SONAME 'f.so'"],
  "create-package": [mariadb("CREATE PACKAGE p AS END")],
  "create-library": ["CREATE LIBRARY l LANGUAGE JAVASCRIPT AS $$ export function f() { return 1 } $$"],
  "create-trigger": ["CREATE TRIGGER g AFTER UPDATE ON t FOR EACH ROW INSERT INTO u VALUES (NEW.a)"],
  "create-event": ["CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t"],
  "create-server": ["CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'h')"],
  "create-sequence": [mariadb("CREATE SEQUENCE s START WITH 1")],
  "create-tablespace": ["CREATE TABLESPACE ts ADD DATAFILE 'ts.ibd'", "CREATE UNDO TABLESPACE u ADD DATAFILE 'u.ibu'"],
  "create-logfile-group": ["CREATE LOGFILE GROUP g ADD UNDOFILE 'u.dat'"],
  "create-resource-group": ["CREATE RESOURCE GROUP g TYPE = USER VCPU = 0"],
  "create-spatial-reference-system": ["CREATE SPATIAL REFERENCE SYSTEM 4120 NAME 'n' DEFINITION 'd'"],
  "create-masking-policy": ["CREATE MASKING POLICY p (a) 'x'"],
  "alter-table": ["ALTER TABLE t ADD COLUMN a INT, DROP INDEX i"],
  "alter-view": ["ALTER VIEW v AS SELECT 2"],
  "alter-schema": ["ALTER DATABASE s READ ONLY = 1"],
  "alter-procedure": ["ALTER PROCEDURE p SQL SECURITY INVOKER"],
  "alter-function": ["ALTER FUNCTION f COMMENT 'x'"],
  "alter-library": ["ALTER LIBRARY l COMMENT 'x'"],
  "alter-event": ["ALTER EVENT e DISABLE"],
  "alter-server": ["ALTER SERVER s OPTIONS (USER 'u')"],
  "alter-sequence": [mariadb("ALTER SEQUENCE s RESTART 5")],
  "alter-tablespace": ["ALTER TABLESPACE ts RENAME TO tt"],
  "alter-logfile-group": ["ALTER LOGFILE GROUP g ADD UNDOFILE 'v.dat' ENGINE = NDB"],
  "alter-resource-group": ["ALTER RESOURCE GROUP g DISABLE"],
  "alter-instance": ["ALTER INSTANCE RELOAD TLS"],
  "drop-table": ["DROP TABLE IF EXISTS t, s.u", "DROP TEMPORARY TABLE t"],
  "drop-index": ["DROP INDEX i ON t"],
  "drop-view": ["DROP VIEW v"],
  "drop-schema": ["DROP DATABASE s", "DROP SCHEMA IF EXISTS s"],
  "drop-procedure": ["DROP PROCEDURE p"],
  "drop-function": ["DROP FUNCTION IF EXISTS s.f"],
  "drop-package": [mariadb("DROP PACKAGE p")],
  "drop-library": ["DROP LIBRARY l"],
  "drop-trigger": ["DROP TRIGGER g"],
  "drop-event": ["DROP EVENT e"],
  "drop-server": ["DROP SERVER s"],
  "drop-sequence": [mariadb("DROP SEQUENCE s")],
  "drop-tablespace": ["DROP TABLESPACE ts"],
  "drop-logfile-group": ["DROP LOGFILE GROUP g ENGINE = NDB"],
  "drop-resource-group": ["DROP RESOURCE GROUP g"],
  "drop-spatial-reference-system": ["DROP SPATIAL REFERENCE SYSTEM 4120"],
  "drop-masking-policy": ["DROP MASKING POLICY p"],
  "drop-prepare": ["DEALLOCATE PREPARE s", "DROP PREPARE s"],
  "rename-table": ["RENAME TABLE a TO b, c TO d"],
  "create-user": ["CREATE USER IF NOT EXISTS 'u'@'%' IDENTIFIED BY 'p'"],
  "alter-user": ["ALTER USER u ACCOUNT LOCK"],
  "drop-user": ["DROP USER u, 'v'@'h'"],
  "rename-user": ["RENAME USER u TO v"],
  "create-role": ["CREATE ROLE r"],
  "drop-role": ["DROP ROLE r"],
  grant: ["GRANT SELECT (a), INSERT ON s.t TO u WITH GRANT OPTION", "GRANT PROXY ON a TO b"],
  "grant-role": ["GRANT r TO u WITH ADMIN OPTION"],
  revoke: ["REVOKE ALL PRIVILEGES, GRANT OPTION FROM u"],
  "revoke-role": ["REVOKE r FROM u"],
  "set-password": ["SET PASSWORD FOR u = 'p'"],
  "set-role": ["SET ROLE NONE"],
  "set-default-role": ["SET DEFAULT ROLE ALL TO u"],
  set: ["SET @a = 1, SESSION sql_mode = '', @@GLOBAL.max_connections = 5"],
  "set-names": ["SET NAMES utf8mb4 COLLATE utf8mb4_bin", "SET CHARACTER SET utf8mb4"],
  "set-transaction": ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"],
  "set-resource-group": ["SET RESOURCE GROUP g"],
  begin: ["BEGIN", "START TRANSACTION WITH CONSISTENT SNAPSHOT"],
  commit: ["COMMIT AND CHAIN"],
  rollback: ["ROLLBACK"],
  savepoint: ["SAVEPOINT s"],
  "rollback-to-savepoint": ["ROLLBACK TO s"],
  "release-savepoint": ["RELEASE SAVEPOINT s"],
  "xa-begin": ["XA BEGIN 'x'", "XA START 'x', 'b', 1"],
  "xa-end": ["XA END 'x' SUSPEND"],
  "xa-prepare": ["XA PREPARE 'x'"],
  "xa-commit": ["XA COMMIT 'x' ONE PHASE"],
  "xa-rollback": ["XA ROLLBACK 'x'"],
  "xa-recover": ["XA RECOVER CONVERT XID"],
  "lock-tables": ["LOCK TABLES t READ, u AS x WRITE"],
  "unlock-tables": ["UNLOCK TABLES"],
  "lock-instance": ["LOCK INSTANCE FOR BACKUP"],
  "unlock-instance": ["UNLOCK INSTANCE"],
  prepare: ["PREPARE s FROM @text"],
  execute: ["EXECUTE s USING @a, @b"],
  "execute-immediate": [mariadb("EXECUTE IMMEDIATE 'SELECT 1'")],
  "get-diagnostics": ["GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT"],
  signal: ["SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'"],
  resignal: ["RESIGNAL"],
  compound: [mariadb("BEGIN NOT ATOMIC SELECT 1; END")],
  "analyze-table": ["ANALYZE TABLE t UPDATE HISTOGRAM ON a WITH 4 BUCKETS"],
  "check-table": ["CHECK TABLE t QUICK"],
  "checksum-table": ["CHECKSUM TABLE t, u"],
  "optimize-table": ["OPTIMIZE TABLE t"],
  "repair-table": ["REPAIR TABLE t USE_FRM"],
  "cache-index": ["CACHE INDEX t IN hot"],
  "load-index": ["LOAD INDEX INTO CACHE t"],
  flush: ["FLUSH PRIVILEGES", "FLUSH TABLES t WITH READ LOCK"],
  reset: ["RESET QUERY CACHE"],
  "reset-persist": ["RESET PERSIST max_connections"],
  "reset-binary-logs": ["RESET MASTER", "RESET BINARY LOGS AND GTIDS"],
  "reset-replica": ["RESET REPLICA ALL", "RESET SLAVE"],
  "purge-logs": ["PURGE BINARY LOGS TO 'b.1'"],
  kill: ["KILL QUERY 5"],
  shutdown: ["SHUTDOWN"],
  restart: ["RESTART"],
  binlog: ["BINLOG 'abc='"],
  clone: ["CLONE LOCAL DATA DIRECTORY = '/d'"],
  backup: [mariadb("BACKUP STAGE START")],
  "change-replication-source": ["CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'h'"],
  "change-replication-filter": ["CHANGE REPLICATION FILTER REPLICATE_DO_DB = (s)"],
  "start-replica": ["START REPLICA", "START SLAVE IO_THREAD"],
  "stop-replica": ["STOP REPLICA"],
  "start-group-replication": ["START GROUP_REPLICATION"],
  "stop-group-replication": ["STOP GROUP_REPLICATION"],
  "install-plugin": ["INSTALL PLUGIN p SONAME 'p.so'"],
  "uninstall-plugin": ["UNINSTALL PLUGIN p"],
  "install-component": ["INSTALL COMPONENT 'file://c'"],
  "uninstall-component": ["UNINSTALL COMPONENT 'file://c'"],
  flow: ["CREATE PROCEDURE p() WHILE 1 DO SELECT 1; END WHILE"],
  declare: ["CREATE PROCEDURE p() BEGIN DECLARE a INT DEFAULT 1; END"],
  return: ["CREATE FUNCTION f() RETURNS INT RETURN 1"],
  "vitess-vexplain": [vitess("VEXPLAIN PLAN SELECT 1")],
  "vitess-migration": [vitess("ALTER VITESS_MIGRATION 'x' CANCEL"), vitess("REVERT VITESS_MIGRATION 'x'")],
};

/** Kinds that stand only inside of others. */
const INNER_KINDS: ReadonlySet<string> = new Set<StatementKind>(["flow", "declare", "return"]);

/** LIBRARY is a word of MySQL 9 only. */
const contextOf = (dialect: Dialect): MysqlContext =>
  dialect === "mysql" ? { ...contextFor({}), serverVersion: 90704 } : contextFor({ dialect });

for (const [kind, examples] of Object.entries(EXAMPLES)) {
  for (const example of examples) {
    const { sql, dialect } = typeof example === "string" ? { sql: example, dialect: "mysql" as const } : example;
    test(`analyze() classifies as ${kind}: ${sql}`, () => {
      const { statements, understood } = analyze(new TextEncoder().encode(sql), contextOf(dialect));
      const kinds = statements.map((statement) => statement.kind);
      assert.ok(INNER_KINDS.has(kind) ? kinds.includes(kind as StatementKind) : kinds[0] === kind, kinds.join());
      assert.equal(understood, kind !== "unknown");
    });
  }
}

test("CREATE LIBRARY is known for what it is before the version of the server is", () => {
  const { statements } = analyze(
    new TextEncoder().encode("CREATE LIBRARY l LANGUAGE JAVASCRIPT AS 'x'"),
    contextFor({}),
  );
  assert.equal(statements[0]?.kind, "create-library");
});

test("a kind that nobody knows counts as a change that is executed", () => {
  const [statement] = analyze(new TextEncoder().encode("FROBNICATE t"), contextFor({})).statements;
  assert.ok(statement !== undefined && isChange(statement) && isExecuted(statement));
});
