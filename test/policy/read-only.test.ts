import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MysqlContext } from "../../src/sql/facts.ts";
import { decideText } from "./policy-fixture.ts";

type Context = Partial<MysqlContext>;

const MYSQL: Context = { dialect: "mysql", serverVersion: 90704 };
const MYSQL_57: Context = { dialect: "mysql", serverVersion: 50744 };
const MARIADB: Context = { dialect: "mariadb", serverVersion: 101119 };
const UNKNOWN: Context = { dialect: "unknown", serverVersion: undefined };
const IGNORING_SPACE: Context = { ...MYSQL, sqlMode: 8 };

const REFUSED: readonly (readonly [sql: string, ...contexts: Context[]])[] = [
  // Stored functions: built-ins of the other server, of another version, and words of the grammar in quotes or with a blank
  ["SELECT nvl(1, 2)", MYSQL, UNKNOWN],
  ["SELECT to_char(NOW())", MYSQL],
  ["SELECT any_value(1)", MARIADB, UNKNOWN],
  ["SELECT uuid_to_bin(UUID())", MARIADB, MYSQL_57],
  ["SELECT md5('x')", MYSQL, UNKNOWN],
  ["SELECT des_encrypt('x')", MYSQL],
  ["SELECT kdf('a', 'b', 'hkdf')", MARIADB],
  ["SELECT count (*) FROM t", MYSQL, MARIADB, { ...MYSQL, sqlMode: "unknown" }],
  ["SELECT now/**/()", MYSQL, MARIADB],
  ["SELECT `count`(1) FROM t", MYSQL, MARIADB, IGNORING_SPACE],
  ["SELECT `if`(1, 2, 3)", MYSQL, MARIADB],
  ["SELECT json_table('[]', 1)", MARIADB],
  ["SELECT qc.abs(1)", MYSQL, MARIADB],
  ["DO `date`('x')", MYSQL, MARIADB],
  // Sequences
  ["SELECT s.nextval", MARIADB],
  ["SELECT qc.s.NextVal FROM dual", MARIADB],
  ["SELECT NEXT VALUE FOR s", MARIADB],
  ["SELECT NEXTVAL(s)", MARIADB],
  ["SELECT SETVAL(s, 5)", MARIADB],
  ["SELECT * FROM t WHERE id < (SELECT NEXTVAL(s))", MARIADB],
  // Locks and waits
  ["SELECT * FROM t FOR UPDATE", MYSQL, MARIADB],
  ["(SELECT * FROM t) FOR UPDATE", MYSQL],
  ["SELECT * FROM t FOR SHARE OF t SKIP LOCKED", MYSQL],
  ["SELECT * FROM t LOCK IN SHARE MODE", MYSQL, MARIADB],
  ["SELECT 1 FROM (SELECT * FROM t FOR UPDATE) x", MYSQL],
  ["SELECT 1 UNION (SELECT a FROM t FOR UPDATE)", MYSQL],
  ["WITH c AS (SELECT * FROM t FOR SHARE) SELECT * FROM c", MYSQL],
  ["TABLE t FOR SHARE", MYSQL],
  ["PREPARE p FROM 'SELECT * FROM t FOR UPDATE'", MYSQL, MARIADB],
  ["SELECT GET_LOCK('a', 1)", MYSQL, MARIADB],
  ["SELECT id FROM t WHERE SLEEP(100)", MYSQL, MARIADB],
  ["DO BENCHMARK(1000000, SHA2('x', 512))", MYSQL, MARIADB],
  ["LOCK TABLES t READ", MYSQL, MARIADB],
  // What would let a transaction write, or write unseen
  ["SET TRANSACTION READ WRITE", MYSQL, MARIADB],
  ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE", MYSQL, MARIADB],
  ["START TRANSACTION READ WRITE", MYSQL, MARIADB],
  ["START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE", MYSQL, MARIADB],
  ["SET transaction_read_only = 0", MYSQL],
  ["SET SESSION transaction_read_only = OFF", MYSQL],
  ["SET @x = 1, @@session.`transaction_read_only` = @x", MYSQL],
  ["SET LOCAL tx_read_only := DEFAULT", MARIADB],
  ["SET STATEMENT tx_read_only = 0 FOR SELECT 1", MARIADB],
  ["SET SESSION TRANSACTION READ WRITE; SELECT 1", MYSQL, MARIADB],
  ["PREPARE p FROM 'SET SESSION TRANSACTION READ WRITE'", MYSQL, MARIADB],
  ["EXECUTE IMMEDIATE 'START TRANSACTION READ WRITE'", MARIADB],
  ["BEGIN NOT ATOMIC SET SESSION TRANSACTION READ WRITE; END", MARIADB],
  ["SET sql_log_bin = 0", MYSQL, MARIADB],
  ["SET NAMES utf8mb4, SESSION sql_log_bin = 0", MYSQL],
  ["SET gtid_next = 'AUTOMATIC'", MYSQL],
  ["SELECT /*+ SET_VAR(sql_log_bin = 0) */ 1", MYSQL, MARIADB],
  ["SELECT /*+ BKA(t) SET_VAR(`Insert_ID`=7) */ a FROM t", MYSQL],
  ["SELECT 1; SELECT (SELECT /*+ SET_VAR(transaction_read_only=OFF) */ 1)", MYSQL],
  ["SET STATEMENT sql_log_bin = 0 FOR SELECT 1", MARIADB],
];

const ALLOWED: readonly (readonly [sql: string, ...contexts: Context[]])[] = [
  ["SELECT nvl(1, 2), to_char(NOW())", MARIADB],
  ["SELECT any_value(1), uuid_to_bin(UUID())", MYSQL],
  ["SELECT md5('x'), sha1('x')", MARIADB, MYSQL_57, { dialect: "mysql", serverVersion: 80036 }],
  ["SELECT count(*), now(), `abs`(1), abs (1) FROM t", MYSQL, MARIADB],
  ["SELECT count (*), now () FROM t", IGNORING_SPACE],
  ["SELECT if (1, 2, 3), left ('a', 1)", MYSQL, MARIADB],
  ["SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$')) x", MYSQL, MARIADB],
  ["SELECT LASTVAL(s), CURRENT_DATE, LAST_INSERT_ID(7)", MARIADB],
  ["SELECT t.nextval FROM t", MYSQL],
  ["SET SESSION TRANSACTION READ WRITE", MYSQL, MARIADB],
  ["SET SESSION TRANSACTION READ ONLY", MYSQL, MARIADB],
  ["SET SESSION transaction_read_only = ON", MYSQL],
  ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", MYSQL, MARIADB],
  ["START TRANSACTION READ ONLY", MYSQL, MARIADB],
  ["START TRANSACTION WITH CONSISTENT SNAPSHOT", MYSQL, MARIADB],
  ["SET @a := 5", MYSQL, MARIADB],
  ["SELECT /*+ SET_VAR(sort_buffer_size = 262144) MAX_EXECUTION_TIME(1000) */ 1", MYSQL],
  ["EXPLAIN SELECT * FROM t FOR UPDATE", MYSQL, MARIADB],
];

const POLICY = "read_only: true\nmulti_statements: true";

describe("a read-only profile", () => {
  for (const [sql, ...contexts] of REFUSED) {
    for (const context of contexts) {
      it(`refuses ${sql} on ${context.dialect} ${context.serverVersion} (${context.sqlMode})`, () => {
        const decision = decideText(sql, { policy: POLICY, context: { multiStatements: true, ...context } });
        assert.deepEqual([decision.enforcedAction, decision.ruleId], ["block", "pol.readonly"]);
      });
    }
  }
  for (const [sql, ...contexts] of ALLOWED) {
    for (const context of contexts) {
      it(`allows ${sql} on ${context.dialect} ${context.serverVersion}`, () => {
        const decision = decideText(sql, { policy: POLICY, context });
        assert.equal(decision.enforcedAction, "allow", decision.reason);
      });
    }
  }

  it("lets functions and routines run that the policy names", () => {
    const policy = `${POLICY}\nallow: { functions: [nvl, sleep, qc.total] }`;
    for (const sql of ["SELECT nvl(1, 2)", "DO SLEEP(1)", "SELECT qc.total(1)"]) {
      assert.notEqual(decideText(sql, { policy, context: MYSQL }).ruleId, "pol.readonly", sql);
    }
    // One name of the current schema's, whose dot is a part of it.
    assert.equal(decideText("SELECT `qc.total`(1)", { policy, context: MYSQL }).ruleId, "pol.readonly");
  });
});
