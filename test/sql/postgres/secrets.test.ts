import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { SYSTEM_CLOCK } from "../../../src/base/clock.ts";
import { Judge } from "../../../src/policy/judge.ts";
import { DEFAULT_POLICY } from "../../../src/policy/policy.ts";
import { POSTGRES_ENGINE } from "../../../src/policy/postgres/postgres-engine.ts";
import { mayHoldSecret } from "../../../src/sql/postgres/secrets.ts";
import { SUBJECT } from "../../policy/policy-fixture.ts";
import { POSTGRES_CONTEXT, readyToParse } from "../../support/postgres-context.ts";

before(readyToParse);

const judge = new Judge({
  engines: { postgresql: POSTGRES_ENGINE },
  policy: DEFAULT_POLICY,
  clock: SYSTEM_CLOCK,
  idPrefix: "t",
  cacheBytesMax: 0,
});

function isSecret(sql: string): boolean {
  const { summary } = judge.judge(new TextEncoder().encode(sql), POSTGRES_CONTEXT, SUBJECT);
  return mayHoldSecret(summary.digest, [...summary.kinds, ...summary.innerKinds], summary.isUnderstood);
}

const OPEN = [
  "SELECT id FROM book WHERE name = 'a'",
  "INSERT INTO book VALUES (1, 'a') ON CONFLICT DO NOTHING",
  "WITH x AS (DELETE FROM book WHERE id = 1 RETURNING *) SELECT count(*) FROM x",
  "UPDATE book SET name = 'a' WHERE id = 1",
  "BEGIN; SELECT 1; COMMIT",
  "EXPLAIN SELECT 'a'",
  "COPY book TO STDOUT",
  "DECLARE c CURSOR FOR SELECT 'a'",
];

const SECRET = [
  "CREATE ROLE r LOGIN PASSWORD 'x'",
  "ALTER ROLE r PASSWORD 'x'",
  "SELECT 1; ALTER ROLE r PASSWORD 'x'",
  "CREATE USER MAPPING FOR r SERVER s OPTIONS (password 'x')",
  "CREATE SUBSCRIPTION s CONNECTION 'password=x' PUBLICATION p",
  "ALTER SUBSCRIPTION s CONNECTION 'password=x'",
  "SELECT dblink_connect('password=x')",
  "SELECT crypt('x', gen_salt('bf'))",
  "SELECT pgp_sym_encrypt('x', 'y')",
  "SELECT \"Crypt\".pgp_sym_decrypt('x', 'y')",
  "SELECT md5('x')",
  "SELECT set_config('app.jwt', 'x', true)",
  "SET app.jwt = 'x'",
  "PREPARE p AS SELECT 'x'",
  "EXECUTE p('x')",
  "DO $$ BEGIN PERFORM 'x'; END $$",
  "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$",
  "COPY book FROM PROGRAM 'curl -u a:x http://h'",
  "SELECT query_to_xml('ALTER ROLE r PASSWORD ''x''', true, true, '')",
  "UPDATE member SET password = 'x' WHERE id = 1",
  "ALTER ROLE r PASWORD 'x'",
];

describe("a text of PostgreSQL's that is kept sealed", () => {
  for (const sql of OPEN) test(`may be ${sql}`, () => assert.equal(isSecret(sql), false));
  for (const sql of SECRET) test(`is never ${sql}`, () => assert.equal(isSecret(sql), true));
});
