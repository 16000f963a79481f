/**
 * What a cluster of Aurora DSQL answered to these statements in September 2026, as a public record has it
 * (github.com/Dreamescaper/dsql-emulator, test/conformance/golden): facts, in words of ours.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { analyze } from "../../../src/sql/postgres/analyze.ts";
import { DsqlRuleSet } from "../../../src/sql/postgres/dsql/rule-set.ts";
import { DSQL_RULES } from "../../../src/sql/postgres/dsql/rules.ts";
import { readRulesFile } from "../../../src/sql/postgres/dsql/rules-file.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../../support/postgres-context.ts";

await readyToParse();
const rules = new DsqlRuleSet("2026-11-30");
const brokenBy = (sql: string, set = rules): readonly string[] | "unread" => {
  const check = set.check(encodeUtf8(sql));
  return check.kind === "unread" ? "unread" : check.broken.map(({ id }) => id);
};

/** Statement, SQLSTATE, message, and the rule that knows it. */
const REFUSED: readonly (readonly [string, string, string, string])[] = [
  ["TRUNCATE TABLE a", "0A000", "unsupported statement: Truncate", "truncate"],
  ["CREATE EXTENSION IF NOT EXISTS pgcrypto", "0A000", "unsupported statement: CreateExtension", "extension"],
  ["CREATE TRIGGER g AFTER INSERT ON a EXECUTE FUNCTION f()", "0A000", "CREATE TRIGGER not supported", "trigger"],
  ["CREATE DATABASE other", "0A000", "unsupported statement: Createdb", "create-database"],
  [
    "CREATE TEMPORARY TABLE a (id int)",
    "0A000",
    "TEMPORARY or TEMP table not supported for CREATE TABLE",
    "temporary-table",
  ],
  ["CREATE UNLOGGED TABLE a (id int)", "0A000", "UNLOGGED table not supported for CREATE TABLE", "unlogged-table"],
  ["CREATE TABLE a (id serial PRIMARY KEY)", "42704", 'type "serial" does not exist', "serial"],
  ["ALTER TABLE a ADD COLUMN b bigserial", "42704", 'type "bigserial" does not exist', "serial"],
  ["CREATE MATERIALIZED VIEW m AS SELECT 1 AS x", "0A000", "unsupported statement: CreateTableAs", "create-table-as"],
  ["CREATE TABLE a AS SELECT 1 AS x", "0A000", "unsupported statement: CreateTableAs", "create-table-as"],
  ["CREATE TYPE m AS ENUM ('a')", "0A000", "CREATE TYPE not supported", "create-type"],
  ["ALTER TYPE m ADD VALUE 'b'", "0A000", "ALTER TYPE not supported", "alter-type"],
  ["ALTER TYPE m RENAME TO n", "0A000", "unsupported object in RENAME statement", "rename-type"],
  ["DROP TYPE IF EXISTS m", "0A000", "unsupported object in DROP statement", "drop-object"],
  ["CREATE TYPE p AS (a int, b int)", "0A000", "unsupported statement: CompositeType", "composite-type"],
  ["CREATE TYPE r AS RANGE (subtype = int4)", "0A000", "unsupported statement: CreateRange", "range-type"],
  ["CREATE TABLESPACE s LOCATION '/tmp/s'", "0A000", "unsupported statement: CreateTableSpace", "tablespace"],
  ["CREATE FOREIGN TABLE a (id int) SERVER s", "0A000", "unsupported statement: CreateForeignTable", "foreign-data"],
  ["VACUUM a", "0A000", "unsupported VACUUM statement", "vacuum"],
  ["LISTEN c", "0A000", "unsupported statement: Listen", "listen"],
  ["UNLISTEN c", "0A000", "unsupported statement: Unlisten", "listen"],
  ["NOTIFY c", "0A000", "unsupported statement: Notify", "notify"],
  ["ALTER SYSTEM SET work_mem = '4MB'", "0A000", "unsupported statement: AlterSystem", "alter-system"],
  [
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    "0A000",
    "CREATE FUNCTION with language plpgsql not supported",
    "function-language",
  ],
  ["SAVEPOINT s", "0A000", "unsupported transaction statement: SAVEPOINT", "savepoint"],
  ["RELEASE s", "0A000", "unsupported transaction statement: RELEASE", "savepoint"],
  ["ROLLBACK TO SAVEPOINT s", "0A000", "unsupported transaction statement: ROLLBACK TO", "savepoint"],
  ["BEGIN ISOLATION LEVEL SERIALIZABLE", "0A000", "Unsupported isolation level: SERIALIZABLE", "isolation-level"],
  ["SET TRANSACTION READ ONLY", "0A000", 'setting configuration parameter "TRANSACTION" not supported', "setting"],
  [
    "SET default_transaction_isolation = 'repeatable read'",
    "0A000",
    'setting configuration parameter "default_transaction_isolation" not supported',
    "setting",
  ],
  [
    "SELECT 1 FROM a FOR SHARE",
    "0A000",
    "locking clauses other than FOR UPDATE/FOR KEY SHARE are not supported",
    "locking-clause",
  ],
  ["SELECT * FROM a TABLESAMPLE SYSTEM (1)", "0A000", "TABLESAMPLE clause not supported", "tablesample"],
  [
    "MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DO NOTHING",
    "0A000",
    "unsupported statement type: MERGE",
    "merge",
  ],
  ["CREATE INDEX i ON a (b)", "0A000", "unsupported mode. please use CREATE INDEX ASYNC.", "index-async"],
  [
    "CREATE SEQUENCE s",
    "0A000",
    "CREATE SEQUENCE is not supported without an explicit cache size. please define CACHE greater than or equal to 65536 or equal to 1",
    "sequence-cache",
  ],
  [
    "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
    "0A000",
    "identity column is not supported without an explicit cache size. please define CACHE greater than or equal to 65536 or equal to 1",
    "identity-cache",
  ],
  [
    "CREATE TABLE a (id integer GENERATED BY DEFAULT AS IDENTITY (CACHE 1) PRIMARY KEY)",
    "0A000",
    "datatype integer not supported, identity column type must be bigint",
    "identity-type",
  ],
  [
    "ALTER TABLE a ADD CONSTRAINT k PRIMARY KEY (id)",
    "0A000",
    "unsupported ALTER TABLE ADD CONSTRAINT statement",
    "add-key",
  ],
  [
    "ALTER TABLE a ADD CONSTRAINT k CHECK (b IS NOT NULL)",
    "0A000",
    "unsupported ALTER TABLE ADD CONSTRAINT statement",
    "add-constraint",
  ],
  [
    "ALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES c (id)",
    "0A000",
    "unsupported ALTER TABLE ADD CONSTRAINT statement",
    "add-constraint",
  ],
  [
    "ALTER TABLE a VALIDATE CONSTRAINT k",
    "0A000",
    "unsupported ALTER TABLE VALIDATE CONSTRAINT statement",
    "validate-constraint",
  ],
  [
    "ALTER TABLE a ALTER COLUMN b TYPE varchar(20)",
    "0A000",
    "unsupported ALTER TABLE ALTER COLUMN ... SET DATA TYPE statement",
    "alter-column-type",
  ],
  ...["int NOT NULL DEFAULT 0", "int DEFAULT 7", "int CHECK (b > 0)", "int UNIQUE"].map(
    (column) =>
      [
        `ALTER TABLE a ADD COLUMN b ${column}`,
        "0A000",
        "ALTER TABLE ADD COLUMN with constraint not supported",
        "add-column-constraint",
      ] as const,
  ),
  ...[
    "money",
    "xml",
    "inet",
    "cidr",
    "macaddr",
    "point",
    "line",
    "box",
    "tsvector",
    "int4range",
    "bit(8)",
    "pg_lsn",
  ].map(
    (type) =>
      [
        `CREATE TABLE a (v ${type})`,
        "0A000",
        `datatype ${type.replace("(8)", "")} not supported`,
        "column-type",
      ] as const,
  ),
  ["CREATE TABLE a (v int[])", "0A000", "datatype integer[] not supported", "array-column"],
  ["ALTER TABLE a ADD COLUMN v text[]", "0A000", "datatype text[] not supported", "array-column"],
];

const TAKEN: readonly string[] = [
  "CREATE DOMAIN d AS text CHECK (VALUE IN ('a', 'b'))",
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "CREATE VIEW v AS SELECT 1 AS x",
  "CREATE SEQUENCE s CACHE 65536",
  "CREATE SEQUENCE s CACHE 1",
  "CREATE SCHEMA s",
  "INSERT INTO a (id, v) VALUES (1, 'x') ON CONFLICT (id) DO NOTHING RETURNING v",
  "UPDATE a SET v = 'y' WHERE id = 1",
  "WITH x AS (SELECT 1 AS n) SELECT n FROM x",
  "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY (CACHE 65536) PRIMARY KEY, v text)",
  "CREATE TABLE a (id bigint GENERATED BY DEFAULT AS IDENTITY (CACHE 1) PRIMARY KEY)",
  "CREATE TABLE a (id int PRIMARY KEY, b uuid REFERENCES c (id) DEFERRABLE INITIALLY DEFERRED)",
  "CREATE TABLE a (m text CHECK (m IN ('a', 'b')), n numeric(18,6), j jsonb, t timestamptz, y bytea, i interval)",
  "ALTER TABLE a DROP COLUMN b",
  "ALTER TABLE a ADD COLUMN c text STORAGE PLAIN",
  "ALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES c (id) NOT VALID",
  "ALTER TABLE ASYNC a VALIDATE CONSTRAINT k",
  "ALTER TABLE a ADD CONSTRAINT k UNIQUE USING INDEX i",
  "CREATE INDEX ASYNC IF NOT EXISTS i ON a (b)",
  "CREATE UNIQUE INDEX ASYNC i ON a (b) WHERE b <> ''",
  "CREATE INDEX ASYNC i ON a ((lower(b))) INCLUDE (c)",
  "CREATE INDEX ASYNC ON a (b)",
  "CREATE UNIQUE INDEX ASYNC i ON a (b) NULLS NOT DISTINCT",
  "SELECT string_to_array('1,2', ','), '127.0.0.1'::inet, '{}'::jsonb ->> 'a'",
  "SELECT 1 FROM a FOR KEY SHARE",
  "BEGIN ISOLATION LEVEL REPEATABLE READ",
  "SET application_name = 'x'",
  "SET enable_seqscan = off",
  "SELECT GROUPING(a) FROM b GROUP BY GROUPING SETS ((a))",
];

test("what a cluster has refused is refused by the rule that knows its message", () => {
  for (const [sql, sqlState, message, id] of REFUSED) {
    assert.equal(rules.ofError(sqlState, message)?.sqlState, sqlState, message);
    const broken = brokenBy(sql);
    assert.ok(broken !== "unread" && broken.includes(id), `${sql}: ${broken}`);
    const hint = rules.ofError(sqlState, message)?.instead;
    assert.ok(hint !== undefined && hint.length > 10, message);
    // Several rules may have one message; the hint of the first has to hold for all of them.
    if (id !== "add-key") assert.equal(rules.ofError(sqlState, message)?.id, id, message);
  }
});

test("what a cluster has taken breaks no rule", () => {
  for (const sql of TAKEN) assert.deepEqual(brokenBy(sql), [], sql);
});

test("transactions and conflicts are told by the server alone", () => {
  const told = [
    ["0A000", "multiple ddl statements not supported in a transaction", "multiple-ddl"],
    ["0A000", "ddl and dml are not supported in the same transaction", "ddl-and-dml"],
    ["54000", "transaction row limit exceeded", "values-rows"],
    ["54000", "transaction size limit 10mb exceeded", "size-limit"],
    ["54000", "transaction age limit of 300s exceeded", "age-limit"],
    ["40001", "change conflicts with another transaction, please retry: (OC000)", "conflict"],
    ["40001", "schema has been updated by another transaction, please retry: (OC001)", "schema-conflict"],
    ["OC001", "anything", "conflict"],
    ["40001", "words that are new (OC001)", "schema-conflict"],
  ];
  for (const [sqlState = "", message = "", id] of told) assert.equal(rules.ofError(sqlState, message)?.id, id);
  for (const [sqlState = "", message = ""] of [
    ["42P01", 'relation "a" does not exist'],
    ["42704", 'type "mood" does not exist'],
    ["0A000", "cannot use subquery in check constraint"],
  ]) {
    assert.equal(rules.ofError(sqlState, message), undefined, message);
  }
});

test("a rule holds up to the day of its end", () => {
  const before = new DsqlRuleSet("2026-08-25");
  assert.equal(before.ofError("0A000", "FOREIGN KEY constraint not supported")?.id, "foreign-key");
  assert.equal(new DsqlRuleSet("2026-08-26").ofError("0A000", "FOREIGN KEY constraint not supported"), undefined);
  assert.equal(new Set(DSQL_RULES.map(({ id }) => id)).size, DSQL_RULES.length);
  for (const { seen, until } of DSQL_RULES) assert.ok(until === undefined || seen < until);
});

test("a file ends rules, gives them other hints, and adds new ones", () => {
  const added = {
    id: "no-views",
    title: "Views",
    seen: "2026-11-01",
    source: "a test",
    sqlState: "0A000",
    message: "views are gone: *",
    instead: "Write the query out.",
    patterns: [{ node: "ViewStmt" }],
  };
  const file = readRulesFile(JSON.stringify({ rules: [{ id: "truncate", until: "2026-10-01" }, added] }));
  assert.ok("rules" in file);
  const changed = new DsqlRuleSet("2026-11-30", file.rules);
  assert.deepEqual(brokenBy("TRUNCATE a", changed), []);
  assert.deepEqual(brokenBy("CREATE VIEW v AS SELECT 1", changed), ["no-views"]);
  assert.equal(changed.ofError("0A000", "views are gone: v")?.instead, "Write the query out.");
  assert.deepEqual(brokenBy("VACUUM", changed), ["vacuum"]);
  const whole = readRulesFile(JSON.stringify({ rules: DSQL_RULES }));
  assert.ok("rules" in whole && whole.rules.length === DSQL_RULES.length);
});

test("a file that says what cannot be is refused with its place", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["{", /no JSON/],
    ["[]", /under "rules"/],
    ['{"rules":[{}]}', /rule 1: id must/],
    ['{"rules":[{"id":"truncate","until":"tomorrow"}]}', /truncate: until must be YYYY-MM-DD/],
    ['{"rules":[{"id":"truncate","untill":"2026-01-01"}]}', /unknown key "untill"/],
    ['{"rules":[{"id":"new-one"}]}', /title is missing/],
    ['{"rules":[{"id":"truncate","patterns":[{"nodes":"x"}]}]}', /patterns must be/],
    ['{"rules":[{"id":"truncate","scope":"all"}]}', /scope must be/],
  ];
  for (const [text, expected] of refused) {
    const file = readRulesFile(text);
    assert.ok("problem" in file, text);
    assert.match(file.problem, expected);
  }
});

test("what is too deep, too long or not SQL breaks no rule and is said to be unread", () => {
  for (const sql of ["SELEC 1", "SELECT '", `SELECT ${"(".repeat(5_000)}1`, "CREATE INDEX ASYNC public.i ON a (b)"]) {
    assert.equal(brokenBy(sql), "unread", sql.slice(0, 40));
  }
});

test("statements of Aurora DSQL are understood as what they are, at the places where they stand", () => {
  const dsql = { ...POSTGRES_CONTEXT, isDsql: true };
  const cases: readonly (readonly [string, string, string])[] = [
    ["CREATE INDEX ASYNC i ON orders (a)", "create-index", "orders"],
    ["create unique /* c */ index async if not exists i on orders (a)", "create-index", "orders"],
    ["ALTER TABLE ASYNC orders VALIDATE CONSTRAINT k", "alter-table", "orders"],
    ["ALTER TABLE async ADD COLUMN c int", "alter-table", "async"],
  ];
  for (const [sql, kind, table] of cases) {
    const bytes = encodeUtf8(sql);
    const { statements, understood } = analyze(bytes, dsql);
    const [found] = statements[0]?.tablesWritten ?? [];
    assert.deepEqual([understood, statements[0]?.kind, found?.table], [true, kind, table], sql);
    assert.equal(sql.slice(found?.start, found?.end).toLowerCase(), table, sql);
  }
  assert.equal(analyze(encodeUtf8("CREATE INDEX ASYNC i ON orders (a)"), POSTGRES_CONTEXT).understood, false);
  const hidden = "SELECT 1; CREATE INDEX ASYNC i ON orders (a); DROP TABLE orders";
  assert.deepEqual(
    analyze(encodeUtf8(hidden), dsql).statements.map(({ kind }) => kind),
    ["select", "create-index", "drop-table"],
  );
});
