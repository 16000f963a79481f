import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { PostgresqlContext, Reading, StatementFacts } from "../../../src/sql/facts.ts";
import { analyze } from "../../../src/sql/postgres/analyze.ts";
import { fillSpare } from "../../../src/sql/postgres/parser/parser.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../../support/postgres-context.ts";

const encoder = new TextEncoder();

function read(sql: string | Uint8Array, context: Partial<PostgresqlContext> = {}): Reading {
  return analyze(typeof sql === "string" ? encoder.encode(sql) : sql, { ...POSTGRES_CONTEXT, ...context });
}

const statementsOf = (sql: string): readonly StatementFacts[] => read(sql).statements;

const only = (sql: string): StatementFacts => {
  const [statement, ...others] = statementsOf(sql);
  assert.equal(others.length, 0, sql);
  return statement as StatementFacts;
};

const tables = (list: StatementFacts["tablesRead"]): string[] =>
  list.map(({ schema, table }) => (schema === undefined ? table : `${schema}.${table}`));

const findings = (sql: string, context: Partial<PostgresqlContext> = {}): string[] =>
  read(sql, context).findings.map(({ what }) => what);

before(readyToParse);

/** A text of each kind; the worst of its statements is what a policy asks for. */
const KINDS: readonly (readonly [string, string])[] = [
  ["SELECT 1", "select"],
  ["TABLE t", "select"],
  ["VALUES (1), (2)", "select"],
  ["SELECT * INTO t FROM u", "create-table"],
  ["CREATE TABLE t AS SELECT 1", "create-table"],
  ["CREATE MATERIALIZED VIEW v AS SELECT 1", "create-materialized-view"],
  ["INSERT INTO t VALUES (1)", "insert"],
  ["INSERT INTO t SELECT 1", "insert-select"],
  ["MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE", "merge"],
  ["COPY t FROM STDIN", "copy-in"],
  ["COPY t TO STDOUT", "copy-out"],
  ["COPY t FROM '/etc/passwd'", "copy-from-file"],
  ["COPY t TO '/tmp/x'", "copy-to-file"],
  ["COPY t FROM PROGRAM 'id'", "copy-from-program"],
  ["COPY t TO PROGRAM 'sh'", "copy-to-program"],
  ["DECLARE c CURSOR FOR SELECT 1", "declare-cursor"],
  ["FETCH ALL FROM c", "fetch"],
  ["MOVE 3 FROM c", "move"],
  ["CLOSE c", "close-cursor"],
  ["PREPARE p AS SELECT 1", "prepare"],
  ["EXECUTE p(1)", "execute"],
  ["DEALLOCATE ALL", "deallocate"],
  ["CALL p()", "call"],
  ["TRUNCATE a, b", "truncate"],
  ["DROP SCHEMA s CASCADE", "drop-schema"],
  ["DROP EXTENSION IF EXISTS e", "drop-extension"],
  ["ALTER TABLE t RENAME TO u", "rename-table"],
  ["ALTER TABLE t RENAME COLUMN a TO b", "alter-table"],
  ["ALTER SYSTEM SET log_statement = 'none'", "alter-system"],
  ["ALTER ROLE r SET search_path = x", "alter-role-set"],
  ["ALTER ROLE r PASSWORD 'x'", "alter-user"],
  ["CREATE USER u", "create-user"],
  ["CREATE ROLE r", "create-role"],
  ["GRANT SELECT ON t TO r", "grant"],
  ["REVOKE r FROM s", "revoke-role"],
  ["SET ROLE r", "set-role"],
  ["RESET ROLE", "set-role"],
  ["SET SESSION AUTHORIZATION DEFAULT", "set-session-authorization"],
  ["SET TRANSACTION READ WRITE", "set-transaction"],
  ["RESET ALL", "reset-setting"],
  ["DISCARD ALL", "discard"],
  ["PREPARE TRANSACTION 'x'", "prepare-transaction"],
  ["LISTEN c", "listen"],
  ["NOTIFY c, 'x'", "notify"],
  ["LOAD 'lib'", "load-library"],
  ["CREATE SERVER s FOREIGN DATA WRAPPER w", "create-server"],
  ["VACUUM FULL t", "vacuum"],
  ["ANALYZE t", "analyze"],
  ["", "empty"],
  ["-- nothing", "empty"],
  ["FROBNICATE t", "unknown"],
];

describe("the facts of PostgreSQL's statements", () => {
  for (const [sql, kind] of KINDS) {
    test(`${sql === "" ? "nothing" : sql} is ${kind}`, () => assert.equal(read(sql).statements[0]?.kind, kind));
  }

  test("finds tables wherever they stand, and leaves out the names of WITH where those are seen", () => {
    assert.deepEqual(tables(only("WITH x AS (SELECT * FROM a) SELECT * FROM x JOIN b USING (id)").tablesRead), [
      "a",
      "b",
    ]);
    assert.deepEqual(tables(only("WITH x AS (SELECT * FROM x) SELECT * FROM x").tablesRead), ["x"]);
    assert.deepEqual(
      tables(only("WITH RECURSIVE x AS (SELECT 1 UNION SELECT 2 FROM x) SELECT * FROM x").tablesRead),
      [],
    );
    assert.deepEqual(tables(only("SELECT (SELECT max(id) FROM s.b) FROM a, LATERAL (SELECT * FROM c) d").tablesRead), [
      "a",
      "c",
      "s.b",
    ]);
    assert.deepEqual(tables(only("SELECT 1 ORDER BY (SELECT 1 FROM a) LIMIT (SELECT 2 FROM b)").tablesRead), [
      "a",
      "b",
    ]);
    assert.deepEqual(tables(only("SELECT rank() OVER (PARTITION BY (SELECT 1 FROM a))").tablesRead), ["a"]);
  });

  test("finds rows changed inside WITH, EXPLAIN, PREPARE, COPY and cursors", () => {
    const texts = [
      "WITH x AS (%) SELECT 1",
      "EXPLAIN %",
      "EXPLAIN (ANALYZE false) %",
      "PREPARE p AS %",
      "COPY (%) TO STDOUT",
    ];
    for (const text of texts) {
      const sql = text.replace("%", "DELETE FROM secret RETURNING *");
      const change = statementsOf(sql).find(({ kind }) => kind === "delete");
      assert.deepEqual(tables(change?.tablesWritten ?? []), ["secret"], sql);
      assert.notEqual(change?.within, "explained", sql);
    }
  });

  test("reads the SQL that functions run from a string, and takes what is no literal for the worst", () => {
    const sql = "SELECT query_to_xml('SELECT * FROM secret', true, true, '')";
    assert.deepEqual(tables(statementsOf(sql)[1]?.tablesRead ?? []), ["secret"]);
    for (const hidden of [
      "SELECT query_to_xml('SEL' || 'ECT 1', true, true, '')",
      "SELECT ts_stat($1)",
      "SELECT database_to_xml(true, true, '')",
    ]) {
      assert.ok(findings(hidden).includes("prepare-variable"), hidden);
    }
    assert.deepEqual(tables(only("SELECT table_to_xml('secret', true, true, '')").tablesRead), ["secret"]);
    assert.equal(read("SELECT query_to_xml('DELETE FROM', true, true, '')").understood, false);
  });

  test("reads bodies of SQL and PL/pgSQL, and takes EXECUTE in them for the worst", () => {
    const body = statementsOf("DO $$ BEGIN DELETE FROM secret; END $$").find(({ kind }) => kind === "delete");
    assert.deepEqual(tables(body?.tablesWritten ?? []), ["secret"]);
    assert.ok(findings("DO $$ BEGIN EXECUTE 'DELETE FROM secret'; END $$").includes("prepare-variable"));
    assert.ok(findings("DO LANGUAGE plpython3u $$ x $$").includes("prepare-variable"));
    assert.ok(
      findings("DO 'BEGIN ' -- \n 'END'").includes("prepare-variable") || !read("DO 'BEGIN ' -- \n 'END'").understood,
    );
    const inSql = statementsOf("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC DELETE FROM secret; SELECT 1; END");
    assert.ok(inSql.some(({ kind }) => kind === "delete"));
  });

  test("reads tables that stand in no query", () => {
    for (const from of [
      "a JOIN b ON true",
      "(a JOIN b ON true) AS c (x, y)",
      "a NATURAL JOIN b",
      "(SELECT * FROM a) AS b",
    ]) {
      assert.equal(only(`CREATE STATISTICS s ON x, y FROM ${from}`).kind, "create-statistics", from);
    }
  });

  test("tells columns that only the whole row names", () => {
    for (const sql of [
      "SELECT s FROM secret s",
      "SELECT row_to_json(secret) FROM secret",
      "SELECT b FROM secret AS s (a, b)",
      "COPY secret TO STDOUT",
      "SELECT (s).* FROM secret s",
      "INSERT INTO t VALUES (1) RETURNING t",
    ]) {
      assert.ok(
        only(sql).columns.some(({ name }) => name === "*"),
        sql,
      );
    }
  });

  test("tells calls without parentheses: of a row's function, a cast and an operator of somebody's own", () => {
    const spellings = (sql: string): string[] => only(sql).functions.map(({ name, spelling }) => `${name} ${spelling}`);
    assert.deepEqual(spellings("SELECT t.peek FROM t"), ["PEEK attribute"]);
    assert.deepEqual(spellings("SELECT 'a'::mood, 1::int"), ["mood cast"]);
    assert.deepEqual(spellings("SELECT 1 OPERATOR(evil.+) 2, 1 OPERATOR(pg_catalog.+) 2"), ["+ operator"]);
    assert.deepEqual(spellings("SELECT 1 ORDER BY 1 USING OPERATOR(evil.<)"), ["< operator"]);
    assert.deepEqual(spellings("SELECT 1 FROM t TABLESAMPLE evil.pick(1)"), ["pick operator"]);
    assert.deepEqual(spellings("SELECT * FROM json_table('{}', '$' COLUMNS (a mood PATH '$'))"), ["mood cast"]);
    assert.deepEqual(spellings('SELECT "Lower"(a), "lower"(a) FROM t').slice(0, 2), ["Lower quoted", "LOWER plain"]);
  });

  test("folds, decodes and cuts names as the server does", () => {
    const long = "a".repeat(70);
    assert.deepEqual(tables(only(`SELECT 1 FROM SeCreT, "SeCreT", U&"\\0073ecret", ${long}`).tablesRead), [
      "secret",
      "SeCreT",
      "secret",
      "a".repeat(63),
    ]);
    assert.deepEqual(tables(only("SELECT 1 FROM U&\"!0073ecret\" UESCAPE '!'").tablesRead), ["secret"]);
  });

  test("knows the schema of a name only where search_path leaves no doubt", () => {
    const schemas = (sql: string, searchPath: PostgresqlContext["searchPath"]): (string | undefined)[] =>
      read(sql, { searchPath }).statements.flatMap(({ tablesRead }) => tablesRead.map(({ schema }) => schema));
    assert.deepEqual(schemas("SELECT 1 FROM t", ["app"]), ["app"]);
    assert.deepEqual(schemas("SELECT 1 FROM t", ["$user", "public"]), [undefined]);
    assert.deepEqual(schemas("SELECT 1 FROM t", "unknown"), [undefined]);
    assert.deepEqual(schemas("SELECT 1 FROM pg_authid", ["app"]), ["pg_catalog"]);
    assert.deepEqual(schemas("SET search_path = evil; SELECT 1 FROM t", ["app"]), ["evil"]);
    assert.deepEqual(schemas("SELECT set_config($1, $2, false); SELECT 1 FROM t", ["app"]), [undefined]);
    assert.deepEqual(schemas("CALL p(); SELECT 1 FROM t", ["app"]), [undefined]);
  });

  test("says of conditions whether they leave rows out", () => {
    const shapes: Readonly<Record<string, readonly string[]>> = {
      present: [
        "id = 1",
        "id = $1",
        "id IN (SELECT id FROM other)",
        "EXISTS (SELECT 1 FROM o WHERE o.id = t.id)",
        "deleted",
        "NOT deleted",
        "id <> 1",
      ],
      constant: [
        "true",
        "1 = 1",
        "'a' = 'a'",
        "now() > '2000-01-01'",
        "EXISTS (SELECT 1 FROM o)",
        "(SELECT true)",
        "id = 1 OR 1 = 1",
        "NOT false",
        "random() < 2",
        "true IS NOT NULL",
      ],
      never: ["false", "1 = 2", "NULL", "id <> id", "id = 1 AND 1 = 0"],
      "self-comparison": [
        "id = id",
        "id::text = id::text",
        "id IN (id)",
        "name LIKE '%'",
        "id IN (SELECT id FROM t)",
        "id = 1 OR id <> 1",
        "id > 0 OR id <= 0",
        "id IS NULL OR id IS NOT NULL",
        "a OR NOT a",
        "id BETWEEN id AND id",
        "(id = id) IS TRUE",
        "id = ANY (ARRAY[id])",
        "id IS NOT DISTINCT FROM id",
      ],
    };
    for (const [shape, conditions] of Object.entries(shapes)) {
      for (const condition of conditions) {
        assert.equal(only(`DELETE FROM t WHERE ${condition}`).where, shape, condition);
      }
    }
  });

  test("points to bytes of the text", () => {
    const sql = "SELECT 'ä', lower( name ) FROM shop . book AS b WHERE b.id = 1";
    const bytes = encoder.encode(sql);
    const at = ({ start, end }: { readonly start: number; readonly end: number }): string =>
      new TextDecoder().decode(bytes.subarray(start, end));
    const [statement] = read(bytes).statements;
    assert.equal(at(statement as StatementFacts), sql);
    assert.deepEqual(statement?.tablesRead.map(at), ["shop . book"]);
    assert.equal(at(statement?.functions[0] ?? { start: 0, end: 0 }), "lower( name )");
  });

  test("does not understand what it cannot read for certain", () => {
    const reasons = (sql: string | Uint8Array, context: Partial<PostgresqlContext> = {}): string | undefined =>
      read(sql, context).notUnderstood?.reason;
    assert.equal(reasons("SELECT 'a"), "lexical-error");
    assert.equal(reasons("SELECT 1 \0"), "lexical-error");
    assert.equal(reasons(Uint8Array.of(0x53, 0xff)), "lexical-error");
    assert.equal(reasons("SELECT 'ä'", { clientEncoding: "SJIS" }), "text-in-doubt");
    assert.equal(reasons("SELECT 'ä'", { clientEncoding: "unknown" }), "text-in-doubt");
    assert.equal(reasons("SELECT 'a'", { clientEncoding: "SJIS" }), undefined);
    assert.equal(reasons("SELEC 1"), "unexpected-token");
    assert.equal(reasons(`SELECT ${"/*".repeat(40)}`), "budget-exceeded");
  });

  test("reads a backslash both ways where nobody knows standard_conforming_strings", () => {
    const sql = encoder.encode("SELECT 'a\\', (SELECT 1 FROM secret), '");
    const { readings } = analyze(sql, { ...POSTGRES_CONTEXT, standardConformingStrings: "unknown" });
    assert.deepEqual(
      readings.map(({ understood }) => understood),
      [false, true],
    );
    const hidden = encoder.encode("SELECT 'a\\'' , (SELECT 1 FROM secret) --'");
    const both = analyze(hidden, { ...POSTGRES_CONTEXT, standardConformingStrings: "unknown" }).readings;
    assert.ok(
      both.some(({ statements }) => statements.some(({ tablesRead }) => tablesRead.length > 0)) ||
        both.some(({ understood }) => !understood),
    );
    assert.equal(
      analyze(encoder.encode("select'a'"), { ...POSTGRES_CONTEXT, standardConformingStrings: "off" }).understood,
      true,
    );
  });

  test("knows the syntax that Aurora DSQL alone has, there alone", () => {
    assert.equal(
      read("AWS IAM GRANT app TO 'arn:aws:iam::1:role/r'", { isDsql: true }).statements[0]?.kind,
      "aws-iam-grant",
    );
    assert.equal(
      read("ALTER TABLE ASYNC t VALIDATE CONSTRAINT c", { isDsql: true }).statements[0]?.kind,
      "alter-table",
    );
    assert.equal(read("AWS IAM GRANT app TO 'x'; DROP TABLE t", { isDsql: true }).understood, false);
    assert.equal(read("AWS IAM GRANT app TO 'x'").understood, false);
  });
});

describe("the digest", () => {
  test("has no literal and no comment in it, whatever the statement", () => {
    const texts = [
      "COPY t FROM PROGRAM 'SECRET'",
      "ALTER ROLE r PASSWORD 'SECRET'",
      "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (password 'SECRET')",
      "COMMENT ON TABLE t IS 'SECRET'",
      "SELECT $$SECRET$$, E'SECRET', U&'SECRET' /* SECRET */ -- SECRET",
      "SELECT 'SECRET",
      "ALTER ROLE r PASSWORD SECRET",
      "SELECT $a$SECRET",
      "/* SECRET",
    ];
    for (const sql of texts) assert.ok(!/secret/i.test(read(sql).digest), read(sql).digest);
  });

  test("is the same for other values, and another for other names", () => {
    const digest = (sql: string): string => read(sql).digest;
    assert.equal(digest("select 1 from T where id in (1, 2)"), digest("SELECT 2 FROM t WHERE id IN (3,4,5) ;"));
    assert.notEqual(digest("SET ROLE a"), digest("SET ROLE b"));
    assert.notEqual(digest('SELECT "A"'), digest("SELECT a"));
  });
});

describe("texts that ask for much", () => {
  const texts: readonly string[] = [
    `SELECT ${"1+".repeat(2_000)}1`,
    `SELECT ${"(".repeat(900)}1${")".repeat(900)}`,
    `SELECT ${"- ".repeat(3_000)}1`,
    `SELECT ${"NOT ".repeat(7_000)}true`,
    `SELECT ${"CASE WHEN true THEN ".repeat(900)}1${" END".repeat(900)}`,
    `SELECT 1${" UNION SELECT 1".repeat(1_000)}`,
    `SELECT 1 FROM a${" JOIN b ON true".repeat(1_000)}`,
    `SELECT a${"[1]".repeat(1_000)}`,
    `SELECT 1${"::int".repeat(1_500)}`,
    `SELECT 1 WHERE a = 1${" OR a = 1".repeat(1_000)}`,
    `${"/*".repeat(30)}${"*/".repeat(30)}SELECT 1`,
  ];
  for (const sql of texts) {
    test(`are answered, and the next one as before: ${sql.slice(0, 30)}`, { timeout: 120_000 }, async () => {
      assert.doesNotThrow(() => read(sql));
      await fillSpare();
      assert.equal(read("SELECT id FROM book WHERE id = 1").understood, true);
    });
  }
});
