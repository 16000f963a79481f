import assert from "node:assert/strict";
import { before, test } from "node:test";
import { postgresUrl, postgresVariables } from "../../src/connections/postgres-program.ts";
import { psqlCommands } from "../../src/connections/psql-arguments.ts";
import { loadParser } from "../../src/sql/postgres/parser/parser.ts";
import { statementsIn } from "../../src/sql/postgres/statement-count.ts";

before(loadParser);

test("the texts of -c are found in every form in which psql takes them", () => {
  const forms: readonly (readonly string[])[] = [
    ["-c", "SQL"],
    ["-cSQL"],
    ["-XAtc", "SQL"],
    ["-AtcSQL"],
    ["--command", "SQL"],
    ["--command=SQL"],
    ["--comm", "SQL"],
    ["-d", "-c", "-c", "SQL"],
    ["-vc=1", "database", "-c", "SQL", "--", "-c", "not this"],
    ["--set", "-c", "-qcSQL"],
    ["--dbname=x", "--file", "-c", "-c", "SQL"],
  ];
  for (const words of forms) assert.deepEqual(psqlCommands("/usr/bin/psql", words), ["SQL"], words.join(" "));
  assert.deepEqual(psqlCommands("psql", ["-c", "A", "-c", "B"]), ["A", "B"]);
  assert.deepEqual(psqlCommands("psql", ["-c", "\\d; x", "-f", "-c", "-1"]), []);
  assert.deepEqual(psqlCommands("pg_dump", ["-c", "SQL"]), []);
});

test("statements are counted by the grammar, and by semicolons of tokens where it takes no text", () => {
  const counts: readonly (readonly [sql: string, count: number])[] = [
    ["", 0],
    [" ; -- ;\n", 0],
    ["SELECT ';', $$;$$, \"a;b\" /* ; */;", 1],
    ["SELECT ''; DROP TABLE t; --'", 2],
    ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", 1],
    ["AWS IAM GRANT app TO 'arn'", 1],
    ["AWS IAM GRANT app TO 'arn'; DROP TABLE t", 2],
    ["not SQL; not SQL ';' either", 2],
  ];
  for (const [sql, count] of counts) assert.equal(statementsIn(sql, true), count, sql);
  const index = "CREATE INDEX ASYNC ON t (a)";
  assert.equal(statementsIn(`${index}; ${index}`, true), 2);
});

test("libpq is told a folder and the number in the socket's name, and a URL tells the same", () => {
  const known = { engine: "postgresql", user: "a b", password: "p@ss", database: "d/b" } as const;
  const bySocket = { ...known, host: "localhost", port: 0, socketPath: "/run/x y/.s.PGSQL.5432" };
  assert.deepEqual(
    [postgresVariables(bySocket)["PGHOST"], postgresVariables(bySocket)["PGPORT"]],
    ["/run/x y", "5432"],
  );
  assert.equal(postgresUrl(bySocket), "postgresql://a%20b:p%40ss@/d%2Fb?host=%2Frun%2Fx%20y&port=5432");
  const byTcp = { ...known, host: "127.0.0.1", port: 7, socketPath: undefined };
  assert.equal(postgresUrl(byTcp), "postgresql://a%20b:p%40ss@127.0.0.1:7/d%2Fb?sslmode=disable");
});
