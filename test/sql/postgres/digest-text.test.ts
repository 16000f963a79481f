/** Digests of PostgreSQL's read back: the facts of the statement without its values, or nothing. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Reading } from "../../../src/sql/facts.ts";
import { analyze } from "../../../src/sql/postgres/analyze.ts";
import { analyzeDigest } from "../../../src/sql/postgres/digest-text.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../../support/postgres-context.ts";
import { POSTGRES_TEXTS } from "../../support/postgres-texts.ts";

before(readyToParse);

const factsOf = (sql: string) => analyze(Buffer.from(sql), POSTGRES_CONTEXT);
const readBack = (sql: string) => analyzeDigest(factsOf(sql).digest, POSTGRES_CONTEXT);

const told = ({ statements }: Pick<Reading, "statements">) =>
  statements.map(({ kind, tablesRead, tablesWritten, columns, functions }) => [
    kind,
    tablesRead.map(({ schema, table }) => [schema, table]),
    tablesWritten.map(({ schema, table }) => [schema, table]),
    columns.map(({ table, name }) => [table, name]),
    functions.map(({ schema, name, spelling }) => [schema, name, spelling]),
  ]);

describe("analyzeDigest() of PostgreSQL", () => {
  test("finds in a digest what is in its statement, or nothing", () => {
    let found = 0;
    for (const sql of Object.values(POSTGRES_TEXTS).flat()) {
      const facts = factsOf(sql);
      if (!facts.understood) continue;
      const read = analyzeDigest(facts.digest, POSTGRES_CONTEXT);
      if (read === undefined) continue;
      found++;
      assert.equal(read.digest, facts.digest);
      assert.deepEqual(told(read), told(facts), sql);
    }
    assert.ok(found > 300, String(found));
  });

  for (const sql of [
    "SELECT a FROM t WHERE id IN (1, 2, 3) LIMIT 5",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, NULL) RETURNING a",
    "SELECT interval '1 day', date '2026-01-01', varchar(3) 'x', float(3) '1' FROM t",
    "SELECT data ? 'k', data ?| array['a', 'b'] FROM t WHERE data -> 'a' ? 'b'",
    'SELECT "order"."id", "user" FROM "order" WHERE "order"."id" = $1 AND state = 5',
    "SET search_path TO 'x', \"y\"",
    "PREPARE n AS SELECT 1 FROM t",
    "CREATE TABLE t (a numeric(3, 2) DEFAULT 5, b text DEFAULT 'x')",
    "FETCH 5 FROM c",
  ]) {
    test(`finds in the digest what is in ${sql}`, () => {
      const read = readBack(sql);
      assert.ok(read, factsOf(sql).digest);
      assert.deepEqual(told(read), told(factsOf(sql)));
    });
  }

  for (const sql of [
    "DO 'BEGIN DELETE FROM t; END'",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT set_config('search_path', 'x', false)",
    `SELECT a FROM U&"!0073ecret" UESCAPE '!'`,
  ]) {
    test(`does not know what is behind the literals of ${sql}`, () => assert.equal(readBack(sql), undefined));
  }

  for (const cut of ["select a from", "select a from t whe[cut]", 'select "a from t', ". . ."]) {
    test(`does not know what ${cut} does`, () => assert.equal(analyzeDigest(cut, POSTGRES_CONTEXT), undefined));
  }
});
