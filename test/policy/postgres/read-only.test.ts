import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { readyToParse } from "../../support/postgres-context.ts";
import { decideText } from "../policy-fixture.ts";

before(readyToParse);

const action = (sql: string, policy = "read_only: true"): string =>
  decideText(sql, { policy, engine: "postgresql" }).action;

const READS = [
  "SELECT id, lower(name), count(*) OVER () FROM book WHERE id = $1 ORDER BY 1 LIMIT 10",
  "SELECT now(), current_user, current_setting('TimeZone'), 'a'::text || 1::int",
  "WITH x AS (SELECT * FROM a) SELECT * FROM x JOIN b USING (id) WHERE b.name ILIKE '%x%'",
  "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM book WHERE id = 1",
  "BEGIN READ ONLY",
  "COMMIT",
  "COMMIT AND CHAIN",
  "DISCARD ALL",
  "RESET ALL",
  "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
  "SHOW search_path",
  "SET search_path = app, public",
  "SET statement_timeout = '5s'",
  "DECLARE c CURSOR FOR SELECT * FROM book",
  "COPY book TO STDOUT",
  "SELECT set_config('app.tenant', '42', true)",
  "SELECT jsonb_agg(x), array_agg(y), string_agg(z, ',') FROM t GROUP BY a",
  "SELECT * FROM generate_series(1, 10) AS g(n), unnest(ARRAY[1, 2]) AS u",
  "SELECT pg_catalog.pg_get_viewdef(16411)",
];

const WRITES = [
  "INSERT INTO book VALUES (1)",
  "WITH gone AS (DELETE FROM book RETURNING *) SELECT * FROM gone",
  "EXPLAIN DELETE FROM book",
  "EXPLAIN ANALYZE INSERT INTO book SELECT 1",
  "SELECT * INTO book2 FROM book",
  "CREATE TEMP TABLE x AS SELECT 1",
  "SELECT nextval('book_id_seq')",
  "SELECT setval('book_id_seq', 1)",
  "SELECT pg_read_file('/etc/passwd')",
  "SELECT * FROM pg_ls_dir('/') AS f",
  "SELECT lo_import('/etc/passwd')",
  "SELECT lo_export(1, '/tmp/x')",
  "SELECT * FROM dblink('host=x', 'DELETE FROM book') AS t(a int)",
  "SELECT pg_terminate_backend(1)",
  "SELECT pg_advisory_lock(1)",
  "SELECT pg_notify('a', 'b')",
  "NOTIFY a",
  "SELECT query_to_xml('DELETE FROM book', true, true, '')",
  "SELECT query_to_xml('SELECT * FROM ' || $1, true, true, '')",
  "SELECT close_month()",
  'SELECT "Lower"(name) FROM book',
  "SELECT evil.lower(name) FROM book",
  "SELECT 1 OPERATOR(evil.+) 2",
  "SELECT 1 <~~> 2",
  "SELECT 'x'::evil",
  "DO $$ BEGIN DELETE FROM book; END $$",
  "DO $$ BEGIN PERFORM 1; END $$",
  "CALL p()",
  "EXECUTE s",
  "COPY book FROM STDIN",
  "COPY (SELECT 1) TO PROGRAM 'sh'",
  "COPY book TO '/tmp/x'",
  "BEGIN READ WRITE",
  "SET TRANSACTION READ WRITE",
  "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
  "SET default_transaction_read_only = off",
  "SELECT set_config('transaction_read_only', 'off', false)",
  "SELECT set_config($1, $2, false)",
  "SET search_path = evil, pg_catalog",
  "SELECT set_config('search_path', 'evil,pg_catalog', false)",
  "SET standard_conforming_strings = off",
  "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
  "BEGIN READ WRITE, READ ONLY",
  "ROLLBACK; BEGIN READ WRITE",
  "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
  "SET LOCAL transaction_read_only = off",
  "SET transaction_read_only = on, off",
  'SET "Transaction_Read_Only" = 0',
  "SET transaction_read_only TO DEFAULT",
  "RESET transaction_read_only",
  "RESET default_transaction_read_only",
  "SET default_transaction_read_only FROM CURRENT",
  "SELECT set_config('Default_Transaction_Read_Only', 'off', true)",
  "SELECT set_config(new_value => 'off', setting_name => 'transaction_read_only', is_local => false)",
  "SELECT set_config('transaction_' || 'read_only', 'off', false)",
  "SELECT set_config('transaction_read_only', NULL, false)",
  "SELECT set_config(E'transaction\\x5fread_only'::name, 'off'::text, false)",
  "SELECT pg_catalog.set_config(name, 'off', false) FROM pg_settings",
  "UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'",
  "ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
  "ALTER DATABASE shop SET default_transaction_read_only = off",
  "PREPARE p AS SELECT set_config($1, 'off', false)",
  "DECLARE c CURSOR FOR SELECT set_config('transaction_read_only', 'off', false)",
  "EXPLAIN ANALYZE SELECT set_config('transaction_read_only', 'off', false)",
  "SELECT * FROM book FOR UPDATE",
  "LOCK TABLE book",
  "VACUUM book",
  "REFRESH MATERIALIZED VIEW v",
  "COMMIT; DELETE FROM book",
  "PREPARE x AS DELETE FROM book",
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "GRANT SELECT ON book TO PUBLIC",
  "ALTER SYSTEM SET log_statement = 'none'",
  "FROBNICATE",
];

describe("a read-only profile in front of PostgreSQL", () => {
  for (const sql of READS) test(`lets ${sql} through`, () => assert.notEqual(action(sql), "block"));
  for (const sql of WRITES) test(`refuses ${sql}`, () => assert.equal(action(sql), "block"));

  test("calls a function of one's own that the policy names", () => {
    const policy = "read_only: true\nallow: { functions: [close_month] }";
    assert.notEqual(action("SELECT close_month()", policy), "block");
    assert.notEqual(action("SELECT Close_Month()", policy), "block");
  });

  test("calls no other routine whose name differs in case, or is written in quotes like one of a schema", () => {
    const policy = "read_only: true\nallow: { functions: [close_month, app.f, B.*, mood, G], routines: [p, app.p] }";
    const allowed = [
      "SELECT app.f()",
      "SELECT 'x'::mood",
      'SELECT "G"()',
      'SELECT "B".g()',
      "CALL p()",
      "CALL app.p()",
    ];
    const refused = [
      'SELECT "Close_Month"()',
      'SELECT app."F"()',
      'SELECT "App".f()',
      "SELECT b.g()",
      'SELECT "app.f"()',
      "SELECT g()",
      "SELECT 'x'::\"MOOD\"",
    ];
    for (const sql of allowed) assert.notEqual(action(sql, policy), "block", sql);
    for (const sql of [...refused, 'CALL "P"()', 'CALL app."P"()', 'CALL "APP".p()', 'CALL "app.p"()']) {
      assert.equal(action(sql, policy), "block", sql);
    }
  });
});

describe("lists of a policy in front of PostgreSQL", () => {
  const cases: readonly (readonly [policy: string, sql: string, action: string])[] = [
    ["deny: { tables: [salary] }", "SELECT 1 FROM book WHERE EXISTS (SELECT 1 FROM hr.salary)", "block"],
    ["deny: { tables: [salary] }", "SELECT table_to_xml('hr.salary', true, true, '')", "block"],
    ["deny: { tables: [salary] }", "SELECT query_to_xml('SELECT * FROM salary', true, true, '')", "block"],
    ["deny: { tables: [hr.salary] }", "SELECT * FROM salary", "block"],
    ["deny: { tables: [hr.salary] }", "SELECT * FROM shop.salary WHERE id = 1", "allow"],
    ["deny: { tables: [salary] }", "TRUNCATE book, salary", "block"],
    ["deny: { tables: [salary] }", "COPY salary TO STDOUT", "block"],
    ["deny: { columns: [member.password] }", "SELECT m FROM member m", "block"],
    ["deny: { columns: [member.password] }", "SELECT c FROM member AS m (a, b, c)", "block"],
    ["deny: { columns: [member.password] }", "SELECT c FROM (member CROSS JOIN book) AS j (a, b, c)", "block"],
    ["deny: { columns: [member.password] }", "SELECT j FROM (member CROSS JOIN book) AS j", "block"],
    ["deny: { columns: [member.password] }", "SELECT (j).password FROM (member CROSS JOIN book) AS j", "block"],
    ["deny: { columns: [member.password] }", "SELECT j.id FROM (member CROSS JOIN book) AS j LIMIT 1", "allow"],
    ["deny: { columns: [member.password] }", "CREATE STATISTICS s ON login, password FROM member", "block"],
    ["deny: { columns: [member.password] }", "ALTER TABLE member ADD UNIQUE (password)", "block"],
    ["deny: { columns: [member.password] }", "CREATE TABLE x (a text REFERENCES member (password))", "block"],
    ["deny: { columns: [member.password] }", "CREATE TRIGGER t AFTER UPDATE ON member EXECUTE FUNCTION f()", "block"],
    ["deny: { columns: [member.password] }", "CREATE RULE r AS ON UPDATE TO member DO ALSO NOTIFY x", "block"],
    ["deny: { columns: [member.password] }", "SELECT row_to_json(member) FROM member", "block"],
    ["deny: { columns: [member.password] }", "COPY member TO STDOUT", "block"],
    ["deny: { columns: [member.password] }", "SELECT id, login FROM member WHERE id = 1", "allow"],
    ["deny: { columns: [member.password] }", "SELECT most_common_vals FROM pg_stats", "block"],
    ["deny: { columns: [member.password] }", "SELECT query FROM pg_catalog.pg_stat_activity", "block"],
    ["deny: { columns: [member.password] }", "SELECT query FROM pg_stat_statements", "block"],
    ["deny: { functions: [peek] }", "SELECT t.peek FROM t WHERE id = 1", "block"],
    ["deny: { functions: [pg_sleep] }", "SELECT 1 FROM a, pg_sleep(1)", "block"],
    ["allow: { tables: [book] }", 'SELECT id FROM "Book" WHERE id = 1', "block"],
    ["allow: { tables: [book] }", "SELECT id FROM book WHERE id = 1", "allow"],
    ["require_where: [book]", "DELETE FROM book WHERE id IN (SELECT id FROM book)", "block"],
    ["require_where: [book]", "DELETE FROM book WHERE id = 1", "allow"],
    ["require_where: [book]", "UPDATE book SET a = 1 WHERE id > 0 OR id <= 0", "block"],
    ["tenants: [{ tables: [invoice], column: tenant_id }]", "SELECT id FROM invoice WHERE tenant_id = 7", "allow"],
    [
      "tenants: [{ tables: [invoice], column: tenant_id }]",
      "SELECT id FROM invoice WHERE tenant_id = 7 OR true",
      "block",
    ],
    [
      "tenants: [{ tables: [invoice], column: tenant_id }]",
      "SELECT id FROM invoice i LEFT JOIN item ON i.tenant_id = 7",
      "block",
    ],
    [
      "tenants: [{ tables: [invoice], column: tenant_id }]",
      "SELECT id FROM invoice AS i (tenant_id, id) WHERE i.tenant_id = 7",
      "block",
    ],
    [
      "tenants: [{ tables: [invoice], column: tenant_id }]",
      "SELECT i.id FROM (invoice i JOIN item ON item.id = i.id) AS i (id, tenant_id) WHERE i.tenant_id = 7",
      "block",
    ],
  ];
  for (const [policy, sql, expected] of cases) {
    test(`${policy}: ${sql} is ${expected}`, () => assert.equal(action(sql, policy), expected));
  }

  test("judge a prepared statement by the values that it runs with", () => {
    const policy = "tenants: [{ tables: [invoice], column: tenant_id, value: 7 }]";
    const run = (value: string): string =>
      decideText("SELECT id FROM invoice WHERE tenant_id = $1", { policy, engine: "postgresql", values: [value] })
        .action;
    assert.equal(run("7"), "allow");
    assert.equal(run("8"), "block");
  });
});
