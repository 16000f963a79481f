/** Texts of which real servers touched more than our facts once said: see bench/effects-oracle.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Analysis, Dialect } from "../../src/sql/facts.ts";
import { analyze } from "../../src/sql/mysql/analyze.ts";

function factsOf(sql: string, dialect: Dialect): Analysis {
  const serverVersion = dialect === "mariadb" ? 110806 : 90704;
  const context = {
    engine: "mysql" as const,
    dialect,
    serverVersion,
    sqlMode: 0,
    charset: "utf8mb4",
    schema: "app",
    multiStatements: true,
  };
  return analyze(Buffer.from(sql), context);
}

/** "read tables > written tables" of all statements. */
function tablesOf({ statements }: Analysis): string {
  const names = (list: "tablesRead" | "tablesWritten"): string =>
    statements.flatMap((statement) => statement[list].map(({ schema, table }) => `${schema}.${table}`)).join(" ");
  return `${names("tablesRead")} > ${names("tablesWritten")}`.trim();
}

const TABLES: readonly (readonly [sql: string, dialect: Dialect, tables: string])[] = [
  // The same name in two schemas
  ["update t, s.t set s.t.b = 7", "mysql", "> app.t s.t"],
  ["update s.t, u set s.t.b = 7", "mysql", "app.u > s.t"],
  ["delete s.t from t, s.t", "mysql", "> app.t s.t"],
  ["delete t from t, s.t where 1", "mysql", "> app.t s.t"],
  ["delete from s.t using t join s.t", "mysql", "> app.t s.t"],
  // The schema of now
  ["use s; select * from t", "mysql", "s.t >"],
  ["use s; delete from t; select * from u.t", "mysql", "u.t > s.t"],
  ["explain for schema s select * from t; select * from t", "mysql", "s.t app.t >"],
  ["explain analyze for database s select * from t", "mysql", "s.t >"],
  ["use s; prepare p from 'delete from t'", "mysql", "> s.t"],
  // Stored code is of its own schema
  ["create procedure s.p() begin delete from t; prepare q from 'drop table u'; end", "mysql", "> s.t s.u"],
  ["create function s.f() returns int return (select 1 from t)", "mysql", "s.t >"],
  ["create trigger s.g before insert on t for each row delete from u", "mysql", "> s.t s.u"],
  ["create event s.e on schedule every 1 day do delete from t; select * from u", "mysql", "app.u > s.t"],
  ["alter event s.e rename to f do delete from t", "mysql", "> app.t"],
  ["alter event e rename to s.f do delete from t", "mysql", "> s.t"],
  ["create view s.v as select * from t", "mysql", "app.t > s.v"],
  // Lists whose items have words of their own
  ["load index into cache a ignore leaves, b index (i, j), s.c", "mysql", "app.a app.b s.c >"],
  ["cache index a partition (p0, p1) index (i), b in default", "mysql", "app.a app.b >"],
  ["analyze table a persistent for columns (x, y) indexes (), b", "mariadb", "app.a app.b >"],
  ["check view v, w for upgrade", "mariadb", "app.v app.w >"],
  ["repair view v, w from mysql", "mariadb", "> app.v app.w"],
  // Tables of more than one time
  ["select * from h for system_time as of now() x, secret", "mariadb", "app.h app.secret >"],
  ["select * from h for system_time as of timestamp '2020-01-01' join secret on 1", "mariadb", "app.h app.secret >"],
  ["select * from h for system_time all x left join secret using (a)", "mariadb", "app.h app.secret >"],
  ["select * from (h for system_time from '1' to now() x, secret), u", "mariadb", "app.h app.secret app.u >"],
  ["select * from h for system_time between (select 1 from v) and 2, secret", "mariadb", "app.h app.v app.secret >"],
  ["delete history from h before system_time now()", "mariadb", "> app.h"],
  ["delete history from history, t", "mariadb", "> app.history app.t"],
  ["update t for portion of p from 1 to (select 2 from u) set b = 1", "mariadb", "app.u > app.t"],
  // Sequences
  ["select nextval(s), next value for d.s, setval(u, 5)", "mariadb", "> app.s d.s app.u"],
  ["select previous value for s, lastval(d.u)", "mariadb", "app.s d.u >"],
  ["insert into t (a) values (next value for s)", "mariadb", "> app.t app.s"],
  ["create table t (a int default next value for s, b int default nextval(u))", "mariadb", "> app.t app.s app.u"],
  // Words of later MySQL versions are names
  ["select * from (select 1) qualify, secret", "mariadb", "app.secret >"],
  ["select * from t tablesample join secret on 1", "mariadb", "app.t app.secret >"],
  ["select * from t intersect select * from u", "mariadb", "app.t app.u >"],
  // Partitions that become tables, and back
  ["alter table t convert partition p to table u", "mariadb", "> app.t app.u"],
  ["alter table t convert table u to partition p values less than (5)", "mariadb", "> app.t app.u"],
  ["alter ignore table t drop column c", "mariadb", "> app.t"],
];

for (const [sql, dialect, tables] of TABLES) {
  test(`analyze() finds the tables of ${sql} as ${dialect}`, () => {
    const facts = factsOf(sql, dialect);
    assert.equal(tablesOf(facts), tables);
    assert.equal(facts.understood, true);
  });
}

test("analyze() knows the alias behind FOR SYSTEM_TIME", () => {
  const { statements } = factsOf("select x.a from h for system_time as of now() as x, h2 y where x.b = 1", "mariadb");
  assert.deepEqual(
    statements[0]?.tablesRead.map(({ alias }) => alias),
    ["x", "y"],
  );
  assert.equal(statements[0]?.predicates[0]?.table, "h");
});

test("analyze() knows calls of MariaDB's functions that are named like words of MySQL's", () => {
  const [statement] = factsOf(
    "select get(1), optimizer_costs(2), generated.a from t generated, u",
    "mariadb",
  ).statements;
  assert.deepEqual(
    statement?.functions.map(({ name }) => name),
    ["GET", "OPTIMIZER_COSTS"],
  );
  assert.equal(tablesOf(factsOf("select 1 from t get, virtual stored", "mariadb")), "app.t app.virtual >");
});

test("analyze() names the schema that ALTER SCHEMA means when it says none", () => {
  for (const sql of ["alter schema default collate utf8mb4_bin", "alter database charset = latin1"]) {
    const [statement] = factsOf(sql, "mysql").statements;
    assert.ok(statement?.objects.some(({ type, name }) => type === "schema" && name === "app"));
  }
});

test("analyze() names the event that ALTER EVENT makes of another", () => {
  const [statement] = factsOf("alter event e rename to s.f comment 'x'", "mysql").statements;
  assert.deepEqual(
    statement?.objects.map(({ schema, name }) => `${schema}.${name}`),
    ["app.e", "s.f"],
  );
});

test("analyze() knows a label before a loop outside of stored code", () => {
  const facts = factsOf("l: loop delete from t; leave l; end loop", "mariadb");
  assert.equal(facts.understood, true);
  assert.equal(tablesOf(facts), "> app.t");
});

test("analyze() knows the locks of queries in parentheses and behind FETCH", () => {
  for (const sql of [
    "select * from ((select * from t) for update) x",
    "select * from ((select * from t) limit 1 for update) x",
  ]) {
    assert.ok(factsOf(sql, "mysql").statements[0]?.modifiers.includes("for-update"), sql);
  }
  for (const sql of [
    "select * from t fetch first row only lock in share mode",
    "select * from ((select * from t) lock in share mode) x",
  ]) {
    assert.ok(factsOf(sql, "mariadb").statements[0]?.modifiers.includes("for-share"), sql);
  }
});

test("analyze() does not vouch for a block without NOT ATOMIC, as sql_mode ORACLE has it, but reads it", () => {
  const facts = factsOf("begin delete from t; insert into u select * from v; end; select 1", "mariadb");
  assert.equal(facts.understood, false);
  assert.equal(tablesOf(facts), "app.v > app.t app.u");
  assert.deepEqual(
    facts.statements.map(({ kind }) => kind),
    ["compound", "delete", "insert-select", "select"],
  );
  assert.equal(factsOf("begin work; select 1", "mariadb").statements[0]?.kind, "begin");
});

test("analyze() names the sequence that SHOW CREATE SEQUENCE shows", () => {
  assert.equal(tablesOf(factsOf("show create sequence d.s", "mariadb")), "d.s >");
});
