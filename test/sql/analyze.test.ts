import assert from "node:assert/strict";
import { test } from "node:test";
import type { Analysis, MysqlContext, StatementKind } from "../../src/sql/facts.ts";
import { analyze, lexForCache } from "../../src/sql/mysql/analyze.ts";

const CONTEXT: MysqlContext = {
  engine: "mysql",
  dialect: "mysql",
  serverVersion: 90704,
  sqlMode: 0,
  charset: "utf8mb4",
  schema: "app",
  multiStatements: true,
};

function factsOf(sql: string, context: Partial<MysqlContext> = {}): Analysis {
  return analyze(Buffer.from(sql), { ...CONTEXT, ...context });
}

/** "read tables > written tables" of all statements. */
function tablesOf(sql: string, context: Partial<MysqlContext> = {}): string {
  const { statements } = factsOf(sql, context);
  const names = (list: "tablesRead" | "tablesWritten"): string =>
    statements.flatMap((statement) => statement[list].map(({ schema, table }) => `${schema}.${table}`)).join(" ");
  return `${names("tablesRead")} > ${names("tablesWritten")}`.trim();
}

const TABLES: readonly (readonly [string, string])[] = [
  ["select * from t", "app.t >"],
  ["select * from s.t a, u join v on a.x=v.x", "s.t app.u app.v >"],
  ["select * from t join (mysql.user, x) on 1", "app.t mysql.user app.x >"],
  ["select * from t left join (a join mysql.user b on 1) on 1", "app.t app.a mysql.user >"],
  ["with x as (select * from y) select * from x", "app.y >"],
  ["with users as (select * from users) select * from users", "app.users >"],
  ["select * from (with users as (select 1) select * from users) d, users", "app.users >"],
  ["with recursive r as (select 1 union select n+1 from r) select * from r", ">"],
  ["with a as (select * from b) delete from c where id in (select id from a)", "app.b > app.c"],
  ["with a as (select * from b) update c set x=1", "app.b > app.c"],
  ["(((select * from t)))", "app.t >"],
  ["(select * from a) union (select * from b order by 1) limit 1", "app.a app.b >"],
  ["select * from ((select * from a) union (select * from b)) d", "app.a app.b >"],
  ["table t", "app.t >"],
  ["select (select max(x) from a), exists(select 1 from b) from c", "app.a app.b app.c >"],
  ["insert into t select * from u", "app.u > app.t"],
  ["insert into t (a) values (1) on duplicate key update a=(select max(a) from u)", "app.u > app.t"],
  ["replace t set a=1", "> app.t"],
  ["update a, b set a.x=b.y", "app.b > app.a"],
  ["update a, b set x=1", "> app.a app.b"],
  ["delete x from a as x join b on x.i=b.i", "app.b > app.a"],
  ["delete from a using a join b on a.i=b.i", "app.b > app.a"],
  ["select * from t1 straight_join t2 for share of t1", "app.t1 app.t2 >"],
  ["select * from t partition (p0) as a use index (i) where a.x=1", "app.t >"],
  ["select * from json_table('[]', '$' columns(a int path '$')) j, t", "app.t >"],
  ["select * from information_schema 1.e.tables", "information_schema.tables >"],
  ["SELECT`id`FROM`t`.`x`", "t.x >"],
  ["create view v as select * from mysql.user", "mysql.user > app.v"],
  ["create table a like b", "app.b > app.a"],
  ["create table a (x int, foreign key (x) references b (y)) select * from c", "app.b app.c > app.a"],
  ["create trigger g before insert on t for each row delete from u", "> app.t app.u"],
  ["explain analyze select * from t", "app.t >"],
  ["handler t read first", "app.t >"],
  ["do (select 1 from t)", "app.t >"],
  ["show columns from t from s", "s.t >"],
  ["load data infile 'x' into table t set a=(select 1 from u)", "app.u > app.t"],
  ["rename table a to b, c to d", "> app.a app.b app.c app.d"],
  ["prepare s from 'drop table t'", "> app.t"],
  ["call sys.execute_prepared_stmt('drop table t')", "> undefined.t"],
  ["select 1 from t where a=1--1 union select 2 from u", "app.t app.u >"],
  ["select 1 /*! from t */", "app.t >"],
];

for (const [sql, tables] of TABLES) {
  test(`analyze() finds the tables of ${sql}`, () => {
    assert.equal(tablesOf(sql), tables);
    assert.equal(factsOf(sql).understood, true);
  });
}

const KINDS: readonly (readonly [string, StatementKind, Partial<MysqlContext>?])[] = [
  ["", "empty"],
  ["-- x", "empty"],
  ["values row(1,2)", "values"],
  ["insert into t (select 1)", "insert-select"],
  ["update a join b using (i) set a.x=1", "update-multi"],
  ["start transaction read only", "begin"],
  ["rollback work to savepoint s", "rollback-to-savepoint"],
  ["xa start 'a'", "xa-begin"],
  ["change replication source to source_host='x'", "change-replication-source"],
  ["change master to master_host='x'", "change-replication-source"],
  ["create function f returns string soname 'x.so'", "create-loadable-function"],
  ["create or replace definer=`a`@`b` procedure p() select 1", "create-procedure"],
  ["create temporary table t (a int)", "create-table"],
  ["drop prepare s", "drop-prepare"],
  ["grant a to b", "grant-role"],
  ["grant select on t to b", "grant"],
  ["set names gbk", "set-names"],
  ["set password for a = 'x'", "set-password"],
  ["set global transaction read only", "set-transaction"],
  ["desc t", "describe"],
  ["desc select 1", "explain"],
  ["install plugin p soname 'x'", "install-plugin"],
  ["alter instance rotate innodb master key", "alter-instance"],
  ["begin not atomic select 1; end", "compound", { dialect: "mariadb" }],
  ["execute immediate 'select 1'", "execute-immediate", { dialect: "mariadb" }],
  ["create sequence s", "create-sequence", { dialect: "mariadb" }],
  ["vexplain plan select 1", "vitess-vexplain", { dialect: "vitess" }],
  ["frobnicate", "unknown"],
];

for (const [sql, kind, context] of KINDS) {
  test(`analyze() knows ${sql === "" ? "the empty text" : sql} as ${kind}`, () => {
    const { statements, understood } = factsOf(sql, context);
    assert.equal(statements[0]?.kind, kind);
    assert.equal(understood, kind !== "unknown");
  });
}

const SHAPES: readonly (readonly [string, string])[] = [
  ["delete from t", "absent"],
  ["delete from t where 1=1", "constant"],
  ["delete from t where a=1", "present"],
  ["delete from t where a=1 or 1=1", "constant"],
  ["delete from t where a=1 or 1=0", "present"],
  ["delete from t where a=1 and 1=1", "present"],
  ["delete from t where a=a", "self-comparison"],
  ["delete from t where a like '%'", "self-comparison"],
  ["delete from t where (a=1 or (b=2 or 2>1))", "constant"],
  ["delete from t where not 1=0", "constant"],
  ["delete from t where sleep(1)", "constant"],
  ["delete from t where a between 1 and 2", "present"],
  ["delete from t where (select 1)", "constant"],
  ["delete from t where 0=1", "never"],
  ["delete from t where 0=1 and 0=2", "never"],
  ["delete from t where false", "never"],
  ["delete from t where null", "never"],
  ["delete from t where ((0))", "never"],
  ["delete from t where a=1 and (b=2 or c=3) and 1<>1", "never"],
  ["delete from t where 0 or (1>2 and a=3)", "never"],
  ["update t set a=1 where 1=2 limit 3", "never"],
  ["delete from t where not true", "never"],
  ["delete from t where not (1=1)", "never"],
  ["delete from t where !1", "never"],
  ["delete from t where '0'", "never"],
  ["delete from t where '1'='2'", "never"],
  ["delete from t where 1 not in (1)", "never"],
  ["delete from t where 1 in (2, null)", "never"],
  ["delete from t where 1 between 2 and 3", "never"],
  ["delete from t where null is not null", "never"],
  ["delete from t where 1 xor 1", "never"],
  ["delete from t where 2 - 1 - 1", "never"],
  ["delete from t where 0 = 0 = 0", "never"],
  ["delete from t where 0.00", "never"],
  // Each of these may leave rows, whatever its parts look like.
  ["delete from t where not 0", "constant"],
  ["delete from t where not 1 = 0", "constant"],
  ["delete from t where '00'='0'", "never"],
  ["delete from t where '00'=0", "constant"],
  ["delete from t where '10'<'9'", "constant"],
  ["delete from t where 0.4", "constant"],
  ["delete from t where 1 in (2, 1)", "constant"],
  ["delete from t where 1 not between 2 and 3", "constant"],
  ["delete from t where 0 <=> null or null <=> null", "constant"],
  ["delete from t where -1", "constant"],
  ["delete from t where (0) = 0", "constant"],
  ["delete from t where (0) is null or not (0)", "constant"],
  ["delete from t where 0 = 0 = 1", "constant"],
  ["delete from t where 1 between 0 and 1=1", "constant"],
  ["delete from t where 9007199254740992 <> 9007199254740993", "constant"],
  ["delete from t where 0 xor 1", "constant"],
  ["delete from t where not 'a'", "constant"],
  ["delete from t where case when 1 then 1 and 0 else 1 end", "constant"],
  ["delete from t where 0 and 0 || 1", "constant"],
  ["delete from t where (0, 1) = (0, 1)", "constant"],
  ["delete from t where (select 1 union select 1 and 0)", "constant"],
];

for (const [sql, shape] of SHAPES) {
  test(`analyze() calls WHERE ${shape} in ${sql}`, () => {
    assert.equal(factsOf(sql).statements[0]?.where, shape);
  });
}

/** Columns that hold for every row, with what they are compared with. */
function conjunctsOf(sql: string): string {
  return factsOf(sql)
    .statements.flatMap(({ predicates }) => predicates.filter(({ isConjunct }) => isConjunct))
    .map(({ table, column, operator, operand }) => `${table}.${column}${operator}${operand.text ?? operand.type}`)
    .join(" ");
}

const CONJUNCTS: readonly (readonly [string, string])[] = [
  ["select * from t where tenant=5", "t.tenant=5"],
  ["select * from t where 5=tenant and x=?", "t.tenant=5 t.x=0"],
  ["select * from t where tenant=5 or x=1", ""],
  ["select * from t where (tenant=5 and (x=1 or y=2))", "t.tenant=5"],
  ["select * from t where not tenant=5", ""],
  ["select * from t where not (tenant=5)", ""],
  ["select * from t where tenant=5=0", ""],
  ["select * from t where 1 between 0 and tenant=1", ""],
  ["select * from t where if(1,1,tenant=5)", ""],
  ["select * from t where case when tenant=5 then 1 else 1 end", ""],
  ["select * from a left join b on b.tenant=5 and a.tenant=5", "b.tenant=5"],
  ["select * from a join b on b.tenant=5 and a.tenant=5", "b.tenant=5 a.tenant=5"],
  ["select * from a where id in (select id from b where tenant=5)", "a.idinlist b.tenant=5"],
];

for (const [sql, conjuncts] of CONJUNCTS) {
  test(`analyze() tells what limits every row of ${sql}`, () => {
    assert.equal(conjunctsOf(sql), conjuncts);
  });
}

test("analyze() reads a version comment both ways even when the version is known", () => {
  const { readings } = factsOf("select 1 /*!99999 union select 2 from mysql.user */");
  const tables = readings.map(({ statements }) => statements.flatMap(({ tablesRead }) => tablesRead.length).join());
  assert.deepEqual(tables, ["0", "1"]);
});

test("analyze() reads under every mode that the text depends on when the mode is unknown", () => {
  const analysis = factsOf("select 'a\\', 2, \"b\"", { sqlMode: "unknown" });
  assert.equal(analysis.readings.length, 4);
  assert.equal(factsOf("select 1", { sqlMode: "unknown" }).readings.length, 1);
});

test("analyze() takes // for a comment only where Vitess reads", () => {
  const sql = "select 1 // '\n union select 2 from mysql.user -- '";
  assert.equal(factsOf(sql, { dialect: "vitess" }).statements[0]?.tablesRead.length, 1);
  assert.equal(factsOf(sql, { dialect: "unknown" }).readings.length, 2);
});

test("analyze() walks the bodies of stored code", () => {
  const { statements, understood } = factsOf(
    "create procedure p() begin declare continue handler for not found set done = 1; if exists(select 1 from a) then " +
      "delete from b; else l: loop update c set x=1; leave l; end loop l; end if; case x when 1 then select 1; end case; end",
  );
  assert.equal(understood, true);
  assert.deepEqual(
    statements.filter(({ parent }) => parent === 0).map(({ kind }) => kind),
    ["declare", "set", "flow", "delete", "update", "flow", "flow", "flow", "select"],
  );
});

test("analyze() splits a packet at its semicolons, not at those of a body", () => {
  const { statements, findings } = factsOf("create procedure p() begin select 1; select 2; end; drop table t");
  assert.deepEqual(
    statements.filter(({ parent }) => parent === undefined).map(({ kind }) => kind),
    ["create-procedure", "drop-table"],
  );
  assert.equal(findings.filter(({ what }) => what === "stacked-statement").length, 1);
});

test("analyze() does not follow a thousand levels, and says so", () => {
  const { understood, notUnderstood } = factsOf(`select ${"(".repeat(5000)}1${")".repeat(5000)}`);
  assert.equal(understood, false);
  assert.equal(notUnderstood?.reason, "budget-exceeded");
});

test("lexForCache() gives texts of one shape one key", () => {
  const key = (sql: string): string | undefined => lexForCache(Buffer.from(sql), CONTEXT).key;
  assert.notEqual(key("select * from t where id = 5"), undefined);
  assert.equal(key("select * from t where id = 5"), key("SELECT  *\nFROM t WHERE id = 77"));
  assert.equal(key("select * from t where id in (5, 6)"), key("select * from t where id in (7, 8, 9)"));
  assert.notEqual(key("select * from t where id = 5"), key("select * from u where id = 5"));
  assert.notEqual(key("select * from t where 5=5"), key("select * from t where 5=6"));
  assert.notEqual(key("select * from t limit 5"), key("select * from t limit 50000"));
  assert.notEqual(key("select @a"), key("select @b"));
});

test("lexForCache() gives no key where literals or readings matter", () => {
  const key = (sql: string, context: MysqlContext = CONTEXT): string | undefined =>
    lexForCache(Buffer.from(sql), context).key;
  assert.equal(key("select * from t where a = 'it''s'"), undefined);
  assert.equal(key("select 1 /*!50000 ,2 */"), undefined);
  assert.equal(key("select 1; select 2"), undefined);
  assert.equal(key("select 1", { ...CONTEXT, sqlMode: "unknown" }), undefined);
});

test("analyze() reads two dashes before a byte that may be a control character both ways", () => {
  const sql = Buffer.from("select 1--\x80'\n from t -- '", "latin1");
  const { readings } = analyze(sql, { ...CONTEXT, charset: "unknown" });
  assert.deepEqual(
    readings.map(({ statements }) => statements[0]?.tablesRead.length),
    [0, 1],
  );
});
